"""Overshoot in our words: two generations of its API behind one provider."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Protocol

from pydantic import JsonValue, SecretStr

from headwater.deadline import Deadline
from headwater.errors import ProviderOutcomeUnknown, ProviderRejected, ProviderUnavailable, Upstream
from headwater.http import Answer, Explanation, ProviderClient
from headwater.provider import Handle, Marked, Options, Order, Removal, Resource, Search, Verb
from provision_overshoot import wire_v02, wire_v1beta
from provision_overshoot.options import V02, V1BETA, OvershootOptions, V02Options, V1betaOptions
from provision_overshoot.wire import OvershootSecret, holds_secrets, stream_path

NAME = "overshoot"


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
        return _understood(self._wire.found(answer, handle), answer) if answer else None

    def renew(self, handle: Handle, deadline: Deadline) -> Resource | None:
        answer = self._ask("POST", stream_path(handle.ref, "keepalive"), handle, deadline)
        return _understood(self._wire.renewed(answer, handle), answer) if answer else None

    def remove(self, handle: Handle, deadline: Deadline) -> Removal:
        self._ask("DELETE", stream_path(handle.ref), handle, deadline)
        return Removal()

    def _ask(self, method: str, path: str, handle: Handle, deadline: Deadline) -> Answer | None:
        """The answer about a stream; None where the provider does not have it."""
        try:
            return self._client.call(method, path, deadline, repeatable=True, headers=self._wire.headers(handle))
        except ProviderRejected as error:
            if error.upstream and error.upstream.status == 404:
                return None
            raise


def _understood(resource: Resource | None, answer: Answer) -> Resource:
    if resource is None:
        raise ProviderUnavailable(f"{NAME}: its answer cannot be understood.", upstream=Upstream(NAME, answer.status))
    return resource


class Overshoot:
    """Opens streams of v1beta or v0.2, as the options say; which of the two a stream is of stands in its notes.

    No create is guarded, and a stream whose create was not answered cannot be found: there is no list. So a create
    is repeated only where it was provably not carried out; what a lost one made ends with its first lease.
    """

    name: ClassVar[str] = NAME
    api_version: ClassVar[str] = V1BETA
    options_type: ClassVar[Any] = OvershootOptions
    verbs: ClassVar[frozenset[Verb]] = frozenset({Verb.CREATE, Verb.READ, Verb.DELETE, Verb.KEEPALIVE})
    guard_seconds: ClassVar[float] = 0
    marks: ClassVar[bool] = False
    ambiguous_creates_allowed: ClassVar[int | None] = None

    def __init__(
        self, base_urls: Mapping[str, str], secret: Callable[[bool], OvershootSecret], leases: Mapping[str, int]
    ) -> None:
        """``base_urls`` by API version, ``v1beta`` and ``v0.2``, as are ``leases``: for how long, in seconds, a stream
        is taken to live whose answer was lost. ``secret``, told True, reads the key anew."""

        def authorize(fresh: bool) -> Mapping[str, SecretStr]:
            return secret(fresh).headers()

        self._leases = leases
        self._v1beta = Generation[V1betaOptions](wire_v1beta, base_urls[V1BETA], authorize)
        self._v02 = Generation[V02Options](wire_v02, base_urls[V02], authorize)

    def create(self, order: Order[V1betaOptions | V02Options], deadline: Deadline) -> Resource:
        """Open a stream. With a ``source`` of v1beta the answer may take 15 s: leave more than that."""
        return self._meant_by(order.options).create(order, deadline)

    def find(self, order: Order[V1betaOptions | V02Options], deadline: Deadline) -> Search:  # noqa: ARG002  # as every provider's
        """Nothing, which proves nothing: there is no list, and nothing to look for in one."""
        return Search(conclusive=False)

    def orphan_seconds(self, options: V1betaOptions | V02Options) -> int:
        """One lease, as this deployment takes it to be: the value that was returned is lost with the answer."""
        return self._leases[V02 if isinstance(options, V02Options) else V1BETA]

    def read(self, handle: Handle, deadline: Deadline) -> Resource | None:
        return self._of(handle).read(handle, deadline)

    def renew(self, handle: Handle, deadline: Deadline) -> Resource | None:
        return self._of(handle).renew(handle, deadline)

    def remove(self, handle: Handle, deadline: Deadline) -> Removal:
        return self._of(handle).remove(handle, deadline)

    def marked(self, deployment: str, deadline: Deadline) -> Sequence[Marked]:  # noqa: ARG002  # as every provider's
        """None: streams cannot be listed."""
        return ()

    def connected(self, handle: Handle, deadline: Deadline) -> bool | None:  # noqa: ARG002  # as every provider's
        """None: it is of no use where nothing can be found."""
        return None

    def _of(self, handle: Handle) -> Generation[V1betaOptions] | Generation[V02Options]:
        return self._v02 if handle.notes.get("api_version") == V02 else self._v1beta

    def _meant_by(self, options: Options) -> Generation[Any]:
        return self._v02 if isinstance(options, V02Options) else self._v1beta
