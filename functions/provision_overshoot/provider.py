"""Overshoot in our words: two generations of its API behind one provider."""

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Protocol, override

from pydantic import JsonValue, SecretStr

from headwater.deadline import Deadline
from headwater.errors import (
    CapabilityNotSupported,
    Effect,
    ProviderOutcomeUnknown,
    ProviderRejected,
    ProviderUnavailable,
    Upstream,
)
from headwater.http import Answer, Explanation, ProviderClient
from headwater.provider import EVERYWHERE, Handle, Options, Order, Provider, Removal, Resource, Verb
from provision_overshoot import wire_v02, wire_v1beta
from provision_overshoot.options import V02, V1BETA, OvershootOptions, V02Options, V1betaOptions
from provision_overshoot.wire import OvershootSecret, holds_secrets, stream_path

NAME = "overshoot"

PROMPT = "/options/inference/prompt"
"""What can be changed, in v0.2 alone: v1beta is asked with each question."""


class Wire[O: Options](Protocol):
    """What tells the two generations apart: their JSON and paths. ``wire_v1beta`` and ``wire_v02`` are such."""

    def creation(self, order: Order[O]) -> dict[str, JsonValue]:
        """The body of a create."""

    def patience(self, options: O) -> float:
        """How long the answer to a create may take, in seconds."""

    def created(self, answer: Answer) -> Resource | None:
        """The stream that was made; None where the answer names none."""

    def status_path(self, ref: str) -> str:
        """Where a stream's state is told."""

    def headers(self, handle: Handle) -> dict[str, str]:
        """What every call for a stream needs beside the key."""

    def found(self, answer: Answer, handle: Handle) -> Resource | None:
        """The stream as it is; None where the answer cannot be understood."""

    def renewed(self, answer: Answer, handle: Handle) -> Resource | None:
        """The stream with its lease renewed; None where the answer cannot be understood."""

    def has_token(self, handle: Handle) -> bool:
        """Whether a keepalive brings a token, as far as that is known."""

    def explain(self, answer: Answer) -> Explanation:
        """What a refusal says."""


class Generation[O: Options]:
    """One of the two APIs. All but a create may be repeated: what is charged or renewed twice begins at the first."""

    def __init__(self, wire: Wire[O], base_url: str, authorize: Callable[[bool], Mapping[str, SecretStr]]) -> None:
        self._wire = wire
        self._client = ProviderClient(NAME, base_url, authorize, wire.explain)

    def create(self, order: Order[O], deadline: Deadline) -> Resource:
        """Open a stream. A repetition would open another, so none is made unless this one was provably not."""
        answer = self._client.call(
            "POST",
            "/streams",
            deadline,
            repeatable=False,
            json=self._wire.creation(order),
            seconds=self._wire.patience(order.options),
            private=holds_secrets(order.options),
        )
        created = self._wire.created(answer)
        if created is None:
            upstream = Upstream(NAME, answer.status)
            raise ProviderOutcomeUnknown(f"{NAME}: its answer names no stream.", upstream=upstream)
        return created

    def read(self, handle: Handle, deadline: Deadline) -> Resource | None:
        answer = self._ask("GET", self._wire.status_path(handle.ref), handle, deadline)
        return _understood(self._wire.found(answer, handle), answer, Effect.NONE) if answer else None

    def renew(self, handle: Handle, deadline: Deadline) -> Resource | None:
        answer = self._ask("POST", stream_path(handle.ref, "keepalive"), handle, deadline)
        return _understood(self._wire.renewed(answer, handle), answer) if answer else None

    def rotate(self, handle: Handle, deadline: Deadline) -> Resource | None:
        """By a keepalive. Raises ``CapabilityNotSupported`` where that brings no token; if it is known, without one."""
        if self._wire.has_token(handle):
            renewed = self.renew(handle, deadline)
            if renewed is None or renewed.ingest:
                return renewed
        raise CapabilityNotSupported(f"{NAME}: this stream has no token, as nobody publishes to a room of {NAME}'s.")

    def remove(self, handle: Handle, deadline: Deadline) -> Removal:
        self._ask("DELETE", stream_path(handle.ref), handle, deadline)
        return Removal()

    def _ask(self, method: str, path: str, handle: Handle, deadline: Deadline, json: JsonValue = None) -> Answer | None:
        """The answer about a stream; None where the provider does not have it."""
        headers = self._wire.headers(handle)
        try:
            return self._client.call(method, path, deadline, repeatable=True, json=json, headers=headers)
        except ProviderRejected as error:
            if error.upstream and error.upstream.status == 404:
                return None
            raise


class V02Api(Generation[V02Options]):
    """The older of the two, in which the stream knows its prompt."""

    def change(self, handle: Handle, prompt: str, deadline: Deadline) -> Resource | None:
        answer = self._ask("PATCH", wire_v02.prompt_path(handle.ref), handle, deadline, {"prompt": prompt})
        return _understood(wire_v02.changed(answer, handle), answer) if answer else None


def _understood(resource: Resource | None, answer: Answer, effect: Effect = Effect.UNKNOWN) -> Resource:
    """Raises ``ProviderUnavailable``, by which the call had this effect all the same."""
    if resource is None:
        upstream = Upstream(NAME, answer.status)
        raise ProviderUnavailable(f"{NAME}: its answer cannot be understood.", effect=effect, upstream=upstream)
    return resource


class Overshoot(Provider[V1betaOptions | V02Options]):
    """Opens streams of v1beta or v0.2, as the options say; which of the two a stream is of stands in its notes.

    No create is guarded, and a stream whose create was not answered cannot be found: there is no list. So a create
    is repeated only where it was provably not carried out; what a lost one made ends with its first lease.
    """

    name: ClassVar[str] = NAME
    api_version: ClassVar[str] = V1BETA
    options_type: ClassVar[Any] = OvershootOptions
    verbs: ClassVar[frozenset[Verb]] = EVERYWHERE | {Verb.KEEPALIVE, Verb.ROTATE}
    """No REPAIR: neither API tells what a stream was asked for with, so no drift is ever seen."""
    changeable: ClassVar[frozenset[str]] = frozenset({PROMPT})
    guard_seconds: ClassVar[float] = 0

    def __init__(
        self, base_urls: Mapping[str, str], secret: Callable[[bool], OvershootSecret], leases: Mapping[str, int]
    ) -> None:
        """``base_urls`` by API version, ``v1beta`` and ``v0.2``, as are ``leases``: for how long, in seconds, a stream
        is taken to live whose answer was lost. ``secret``, told True, reads the key anew."""

        def authorize(fresh: bool) -> Mapping[str, SecretStr]:
            return secret(fresh).headers()

        self._leases = leases
        self._v1beta = Generation[V1betaOptions](wire_v1beta, base_urls[V1BETA], authorize)
        self._v02 = V02Api(wire_v02, base_urls[V02], authorize)

    def create(self, order: Order[V1betaOptions | V02Options], deadline: Deadline) -> Resource:
        """Open a stream. With a ``source`` of v1beta the answer may take 15 s: leave more than that."""
        return self._meant_by(order.options).create(order, deadline)

    def orphan_seconds(self, options: V1betaOptions | V02Options) -> int:
        """One lease, as this deployment takes it to be: the value that was returned is lost with the answer."""
        return self._leases[V02 if isinstance(options, V02Options) else V1BETA]

    def read(self, handle: Handle, deadline: Deadline) -> Resource | None:
        return self._of(handle).read(handle, deadline)

    def renew(self, handle: Handle, deadline: Deadline) -> Resource | None:
        return self._of(handle).renew(handle, deadline)

    @override
    def change(
        self, handle: Handle, order: Order[V1betaOptions | V02Options], changed: frozenset[str], deadline: Deadline
    ) -> Resource | None:
        if self._of(handle) is self._v02 and isinstance(order.options, V02Options):
            return self._v02.change(handle, order.options.inference.prompt, deadline)
        raise CapabilityNotSupported(f"{NAME}: nothing can be changed of a stream of {V1BETA}.")

    @override
    def rotate(self, handle: Handle, force: bool, deadline: Deadline) -> Resource | None:
        """By a keepalive, which exchanges the token in any case: somebody who sends is no more cut off than by that."""
        return self._of(handle).rotate(handle, deadline)

    def remove(self, handle: Handle, deadline: Deadline) -> Removal:
        return self._of(handle).remove(handle, deadline)

    def _of(self, handle: Handle) -> Generation[V1betaOptions] | Generation[V02Options]:
        return self._v02 if handle.notes.get("api_version") == V02 else self._v1beta

    def _meant_by(self, options: Options) -> Generation[Any]:
        return self._v02 if isinstance(options, V02Options) else self._v1beta
