"""Live inputs at Cloudflare Stream, in our words."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar

from pydantic import JsonValue

from headwater.deadline import Deadline
from headwater.errors import (
    GuardSpent,
    OperatorError,
    ProviderConflict,
    ProviderError,
    ProviderOutcomeUnknown,
    ProviderUnauthorized,
    StreamLive,
    Upstream,
)
from headwater.provider import (
    EVERYWHERE,
    Adoptable,
    Handle,
    Marked,
    Notice,
    Order,
    Provider,
    Removal,
    Resource,
    Search,
    Verb,
)
from provision_cloudflare import settings, wire
from provision_cloudflare.live_inputs import ID, NAME, LiveInputs, unclear, unreadable
from provision_cloudflare.options import HEADWATER_DEPLOYMENT, HEADWATER_ID, CloudflareOptions
from provision_cloudflare.wire import MODE_NOTE, CloudflareSecret

if TYPE_CHECKING:
    from headwater.simulcast import NewOutput, Output
    from provision_cloudflare.outputs import Outputs

RECORDINGS_REMAIN = (
    "Recordings of a live input outlive it at Cloudflare, and count against the account's storage until they "
    "are deleted there."
)


ACCOUNT_NOTE = "account_id"
"""In another account the live input reads as gone: a secret that was exchanged must not lose it."""


class Cloudflare(Provider[CloudflareOptions]):
    """Cloudflare Stream. Source of what it does: its API reference and product pages for live inputs."""

    name: ClassVar = NAME
    api_version: ClassVar = "v4"
    options_type: ClassVar = CloudflareOptions
    verbs: ClassVar[frozenset[Verb]] = EVERYWHERE | {Verb.ROTATE, Verb.REPAIR, Verb.ADOPT, Verb.SIMULCAST}
    changeable: ClassVar[frozenset[str]] = frozenset({"/name", "/options"})
    guard_seconds: ClassVar[float] = 5 * 3600
    """An ``Idempotency-Key`` is held for 6 hours from the creation of the live input: this is an hour less."""
    marks: ClassVar = True
    notifies: ClassVar = True
    look_seconds: ClassVar[float | None] = 6 * 3600
    """Seldom, for it notifies, and 1200 calls in five minutes are all that a token has for everything."""

    def __init__(self, base_url: str, secret: Callable[[bool], CloudflareSecret]) -> None:
        self._secret = secret
        self._inputs = LiveInputs(base_url, secret)

    def create(self, order: Order[CloudflareOptions], deadline: Deadline) -> Resource:
        """Make the live input; under the same id and generation, have the same one again, for 6 hours.

        Raises ``GuardSpent`` where the key is still held by a live input that was deleted. That is the one meaning of a
        409 that is documented; it is not said what a create is answered while another under its key is under way.
        """
        key = {"Idempotency-Key": wire.idempotency_key(order)}
        try:
            answer = self._inputs.call("POST", deadline, json=settings.creation(order), headers=key)
        except ProviderConflict as error:
            raise GuardSpent(error.detail, effect=error.effect, faults=error.faults, upstream=error.upstream) from None
        made = wire.resource(wire.live_input(answer))
        if made is None:
            raise unclear(answer, "its answer names no live input")
        return self._noted(made) if _opens(made) else self._whole(made.ref, deadline)

    def find(self, order: Order[CloudflareOptions], deadline: Deadline) -> Search:
        """The live input that bears the order's id. That a list shows none proves something only if it is complete.

        One that was deleted since it was listed is gone; beside it another generation's may be there, or not be shown.
        """
        listing = self._inputs.listing(deadline)
        for ref in listing.refs_of(order.id):
            if found := self._read(ref, deadline):
                return Search(self._noted(found))
        return Search(conclusive=listing.complete)

    def read(self, handle: Handle, deadline: Deadline) -> Resource | None:
        """The live input as it is, its secrets included."""
        self._require_its_account(handle)
        found = self._read(handle.ref, deadline)
        return self._noted(found, handle) if found else None

    def remove(self, handle: Handle, deadline: Deadline) -> Removal:
        """Delete the live input, which ends what is being sent to it. Its recordings stay."""
        self._require_its_account(handle)
        self._inputs.ask("DELETE", deadline, handle.ref)
        never_recorded = handle.notes.get(MODE_NOTE) == "off"
        return Removal(None if never_recorded else RECORDINGS_REMAIN)

    def marked(self, deployment: str, deadline: Deadline) -> Sequence[Marked]:
        """The live inputs of the list that bear both our marks; one that is not shown is not among them."""
        found = self._inputs.listing(deadline).marked(deployment)
        notes: dict[str, JsonValue] = {ACCOUNT_NOTE: self._inputs.account_id}
        return [replace(one, notes=notes) for one in found]

    def connected(self, handle: Handle, deadline: Deadline) -> bool | None:
        """By its status just now. One that is trying to come back counts as connected, one that is gone as not."""
        self._require_its_account(handle)
        answer = self._inputs.ask("GET", deadline, handle.ref)
        return wire.connected(wire.live_input(answer)) if answer else False

    # -- change, rotate, adopt

    def settings(self, order: Order[CloudflareOptions]) -> Mapping[str, JsonValue]:
        """All but ``default_creator``, which Cloudflare does not tell."""
        return settings.wanted(order)

    def change(
        self, handle: Handle, order: Order[CloudflareOptions], changed: frozenset[str], deadline: Deadline
    ) -> Resource | None:
        """Read it and put what is to change. Nothing guards it against others: who puts last is right."""
        self._require_its_account(handle)
        there = self._inputs.ask("GET", deadline, handle.ref)
        if there is None:
            return None
        body = settings.alteration(order, changed, wire.live_input(there))
        return self._put(handle, body, deadline)

    def rotate(self, handle: Handle, force: bool, deadline: Deadline) -> Resource | None:
        """Exchange its keys, which cuts off whoever uses the old ones. Whoever begins to send meanwhile is, too."""
        self._require_its_account(handle)
        if not force and self.connected(handle, deadline):
            raise StreamLive("Somebody sends to it, and would be cut off: ask with force=true to rotate all the same.")
        # Carried out twice it exchanges them twice: the last answer's are those that count.
        answer = self._inputs.ask("POST", deadline, handle.ref, "/rotate_keys")
        if answer is None:
            return None
        rotated = wire.resource(wire.live_input(answer))
        if rotated is None:
            raise unclear(answer, "its answer names no live input")
        return self._noted(rotated, handle) if _opens(rotated) else self._whole(handle.ref, deadline, handle)

    def adoptable(self, ref: str, deadline: Deadline) -> Adoptable[CloudflareOptions] | None:
        """The live input of this id. It may have been recorded before we knew it."""
        answer = self._inputs.ask("GET", deadline, ref) if ID.fullmatch(ref) else None
        if answer is None:
            return None
        there = wire.live_input(answer)
        found = wire.resource(there)
        if found is None:
            raise unreadable(answer)
        return Adoptable(
            self._noted(found, Handle("", ref, {})),
            settings.given_as(there),
            settings.name_of(there),
            settings.mark(there, HEADWATER_ID),
            settings.mark(there, HEADWATER_DEPLOYMENT),
        )

    def mark(self, handle: Handle, order: Order[CloudflareOptions], deadline: Deadline) -> None:
        """Put our marks, and the name, into ``meta`` as it is just now: the order may know it as it was."""
        self._require_its_account(handle)
        there = self._inputs.ask("GET", deadline, handle.ref)
        if there:
            self._put(handle, settings.marking(order, wire.live_input(there)), deadline)

    # -- simulcast

    def outputs(self, handle: Handle, deadline: Deadline) -> "Sequence[Output]":
        """All of them. Raises ``NotAtProvider`` where the live input is gone, as the next three do."""
        self._require_its_account(handle)
        return self._outputs.all(handle.ref, deadline)

    def add_output(self, handle: Handle, wanted: "NewOutput", deadline: Deadline) -> "Output":
        """See ``Outputs.add``: raises ``ProviderQuotaExceeded`` where there are 50 already."""
        self._require_its_account(handle)
        return self._outputs.add(handle.ref, wanted, deadline)

    def switch_output(self, handle: Handle, output_id: str, enabled: bool, deadline: Deadline) -> "Output | None":
        self._require_its_account(handle)
        return self._outputs.switch(handle.ref, output_id, enabled, deadline)

    def remove_output(self, handle: Handle, output_id: str, deadline: Deadline) -> None:
        self._require_its_account(handle)
        self._outputs.remove(handle.ref, output_id, deadline)

    @cached_property
    def _outputs(self) -> "Outputs":
        from provision_cloudflare.outputs import Outputs

        return Outputs(self._inputs)

    # -- notifications

    def notice(self, headers: Mapping[str, str], body: str) -> Notice | None:
        """Raises ``NotificationRefused`` unless it brings our secret, as it is remembered: were it read anew for one
        that does not fit, anybody could make us read it all the time. One that was exchanged works in five minutes."""
        try:
            kept = self._secret(False).webhook_secret
        except OperatorError:
            kept = None  # whose it is, and what is the matter with it, is not for everybody
        from provision_cloudflare import notifications

        notifications.require_secret(headers, kept)
        return notifications.notice(body)

    # -- steps

    def _put(self, handle: Handle, body: Mapping[str, JsonValue], deadline: Deadline) -> Resource | None:
        answer = self._inputs.ask("PUT", deadline, handle.ref, json=body)
        if answer is None:
            return None
        after = wire.resource(wire.live_input(answer))
        if after is None:
            raise unclear(answer, "its answer names no live input")
        return self._noted(after, handle)

    def _whole(self, ref: str, deadline: Deadline, before: Handle | None = None) -> Resource:
        """What was made or exchanged, where the answer has no secrets, as a replay's might not: not documented."""
        upstream = Upstream(self.name)
        try:
            found = self._read(ref, deadline)
        except ProviderError as error:
            found, upstream = None, error.upstream or upstream
        if found is None:
            raise ProviderOutcomeUnknown("cloudflare: what came of it cannot be read.", upstream=upstream)
        return self._noted(found, before)

    def _read(self, ref: str, deadline: Deadline) -> Resource | None:
        answer = self._inputs.ask("GET", deadline, ref)
        if answer is None:
            return None
        found = wire.resource(wire.live_input(answer))
        if found is None:
            raise unreadable(answer)
        return found

    def _noted(self, live_input: Resource, before: Handle | None = None) -> Resource:
        """With its account. That it is not recorded is noted only as long as it certainly never was: of one that we
        made, unless it was ``before``."""
        notes = {**live_input.notes, ACCOUNT_NOTE: self._inputs.account_id}
        if notes.get(MODE_NOTE) == "off" and before and before.notes.get(MODE_NOTE) != "off":
            del notes[MODE_NOTE]
        return replace(live_input, notes=notes)

    def _require_its_account(self, handle: Handle) -> None:
        if handle.notes.get(ACCOUNT_NOTE) not in {None, self._inputs.account_id}:
            raise ProviderUnauthorized("cloudflare: the stored secret is of another account than this live input.")


def _opens(live_input: Resource) -> bool:
    """Whether it tells what opens it."""
    return any(access.secrets for access in live_input.ingest)
