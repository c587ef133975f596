"""Live inputs at Cloudflare Stream, in our words."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import ClassVar
from urllib.parse import quote

from pydantic import JsonValue

from headwater.deadline import Deadline
from headwater.errors import (
    CapabilityNotSupported,
    GuardSpent,
    ProviderConflict,
    ProviderError,
    ProviderOutcomeUnknown,
    ProviderUnauthorized,
    ProviderUnavailable,
    Upstream,
)
from headwater.http import Answer, ProviderClient
from headwater.provider import Handle, Marked, Order, Removal, Resource, Search, Verb
from provision_cloudflare import wire
from provision_cloudflare.options import CloudflareOptions
from provision_cloudflare.wire import CloudflareSecret

RECORDINGS_REMAIN = (
    "Recordings of a live input outlive it at Cloudflare, and count against the account's storage until they "
    "are deleted there."
)


ACCOUNT_NOTE = "account_id"
"""In another account the live input reads as gone: a secret that was exchanged must not lose it."""


class Cloudflare:
    """Cloudflare Stream. Source of what it does: its API reference and product pages for live inputs."""

    name: ClassVar = "cloudflare"
    api_version: ClassVar = "v4"
    options_type: ClassVar = CloudflareOptions
    verbs: ClassVar = frozenset({Verb.CREATE, Verb.READ, Verb.DELETE})
    guard_seconds: ClassVar[float] = 5 * 3600
    """An ``Idempotency-Key`` is held for 6 hours from the creation of the live input: this is an hour less."""
    marks: ClassVar = True
    ambiguous_creates_allowed: ClassVar[int | None] = None

    def __init__(self, base_url: str, secret: Callable[[bool], CloudflareSecret]) -> None:
        self._secret = secret
        self._client = ProviderClient(
            self.name, base_url, lambda fresh: secret(fresh).headers(), wire.explain, wire.refuses
        )

    def create(self, order: Order[CloudflareOptions], deadline: Deadline) -> Resource:
        """Make the live input; under the same id and generation, have the same one again, for 6 hours.

        Raises ``GuardSpent`` where the key is still held by a live input that was deleted. That is the one meaning of a
        409 that is documented; it is not said what a create is answered while another under its key is under way.
        """
        try:
            answer = self._client.call(
                "POST",
                self._path(),
                deadline,
                repeatable=True,
                json=wire.creation(order),
                headers={"Idempotency-Key": wire.idempotency_key(order)},
            )
        except ProviderConflict as error:
            raise GuardSpent(error.detail, effect=error.effect, faults=error.faults, upstream=error.upstream) from None
        made = wire.resource(wire.granted(answer))
        if made is None:
            raise ProviderOutcomeUnknown("cloudflare: its answer names no live input.", upstream=self._upstream(answer))
        return self._noted(made) if any(access.secrets for access in made.ingest) else self._whole(made.ref, deadline)

    def find(self, order: Order[CloudflareOptions], deadline: Deadline) -> Search:
        """The live input that bears the order's id. That a list shows none proves something only if it is complete.

        One that was deleted since it was listed is gone; beside it another generation's may be there, or not be shown.
        """
        listing = self._listing(deadline)
        for ref in listing.refs_of(order.id):
            if found := self._read(ref, deadline):
                return Search(found)
        return Search(conclusive=listing.complete)

    def orphan_seconds(self, options: CloudflareOptions) -> int:  # noqa: ARG002  # the same for all options
        """None: it can be found."""
        return 0

    def read(self, handle: Handle, deadline: Deadline) -> Resource | None:
        """The live input as it is, its secrets included."""
        self._require_its_account(handle)
        return self._read(handle.ref, deadline)

    def renew(self, handle: Handle, deadline: Deadline) -> Resource | None:  # noqa: ARG002  # it never calls
        """Raises ``CapabilityNotSupported``: live inputs do not expire."""
        raise CapabilityNotSupported("cloudflare: a live input has no lease.")

    def remove(self, handle: Handle, deadline: Deadline) -> Removal:
        """Delete the live input, which ends what is being sent to it. Its recordings stay."""
        self._require_its_account(handle)
        try:
            wire.granted(self._client.call("DELETE", self._path(handle.ref), deadline, repeatable=True))
        except ProviderError as error:
            if not _is_gone(error):
                raise
        never_recorded = handle.notes.get("recording_mode") == "off"
        return Removal(None if never_recorded else RECORDINGS_REMAIN)

    def marked(self, deployment: str, deadline: Deadline) -> Sequence[Marked]:
        """The live inputs of the list that bear both our marks; one that is not shown is not among them."""
        found = self._listing(deadline).marked(deployment)
        notes: dict[str, JsonValue] = {ACCOUNT_NOTE: self._secret(False).account_id}
        return [replace(one, notes=notes) for one in found]

    def connected(self, handle: Handle, deadline: Deadline) -> bool | None:
        """By its status just now. One that is trying to come back counts as connected, one that is gone as not."""
        self._require_its_account(handle)
        answer = self._fetched(handle.ref, deadline)
        return wire.connected(wire.granted(answer)) if answer else False

    def _listing(self, deadline: Deadline) -> wire.Listing:
        answer = self._client.call("GET", self._path(), deadline, repeatable=True)
        try:
            return wire.listing(wire.granted(answer))
        except ValueError:
            raise self._unreadable(answer) from None

    def _whole(self, ref: str, deadline: Deadline) -> Resource:
        """What a create made whose answer has no secrets, as a replay's might not: that is not documented."""
        upstream = Upstream(self.name)
        try:
            found = self._read(ref, deadline)
        except ProviderError as error:
            found, upstream = None, error.upstream or upstream
        if found is None:
            raise ProviderOutcomeUnknown("cloudflare: what it made cannot be read.", upstream=upstream)
        return found

    def _fetched(self, ref: str, deadline: Deadline) -> Answer | None:
        """The answer about a live input; None where Cloudflare does not have it."""
        try:
            return self._client.call("GET", self._path(ref), deadline, repeatable=True)
        except ProviderError as error:
            if _is_gone(error):
                return None
            raise

    def _read(self, ref: str, deadline: Deadline) -> Resource | None:
        answer = self._fetched(ref, deadline)
        if answer is None:
            return None
        found = wire.resource(wire.granted(answer))
        if found is None:
            raise self._unreadable(answer)
        return self._noted(found)

    def _noted(self, live_input: Resource) -> Resource:
        return replace(live_input, notes={**live_input.notes, ACCOUNT_NOTE: self._secret(False).account_id})

    def _require_its_account(self, handle: Handle) -> None:
        if handle.notes.get(ACCOUNT_NOTE) not in {None, self._secret(False).account_id}:
            raise ProviderUnauthorized("cloudflare: the stored secret is of another account than this live input.")

    def _path(self, ref: str | None = None) -> str:
        account = quote(self._secret(False).account_id, safe="")
        return f"/accounts/{account}/stream/live_inputs" + (f"/{quote(ref, safe='')}" if ref else "")

    def _unreadable(self, answer: Answer) -> ProviderUnavailable:
        return ProviderUnavailable("cloudflare: its answer was unreadable.", upstream=self._upstream(answer))

    def _upstream(self, answer: Answer) -> Upstream:
        return Upstream(self.name, answer.status, request_id=answer.headers.get("cf-ray"))


def _is_gone(error: ProviderError) -> bool:
    """What Cloudflare answers for a deleted live input is not documented; 404 is what fits."""
    return error.upstream is not None and error.upstream.status == 404
