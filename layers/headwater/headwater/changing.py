"""A stream is changed because its caller asks, or brought back to what was asked for. Pure over its ports."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from headwater import events
from headwater.beginning import Beginning
from headwater.creation import ended
from headwater.deadline import Deadline
from headwater.errors import CallerError, CapabilityNotSupported, Fault, HeadwaterError, PreconditionFailed
from headwater.forgotten import forgetting
from headwater.keeping import CLOSED, Keeping, busy
from headwater.opening import expires_at
from headwater.patches import Patched, differing, patched, request_of
from headwater.ports import Caller, Parts
from headwater.provider import Options, Order, Resource, Verb
from headwater.records import Record
from headwater.refreshing import Refreshing, drift_of, order_of, ways_of
from headwater.requests import Body
from headwater.streams import Stream

OURS = frozenset({"/name", "/metadata", "/max_lifetime_seconds"})
"""What can be changed of any stream: it is kept by us."""
TRIES = 4
"""How often a change is worked out anew over somebody else's."""


@dataclass(frozen=True)
class Match:
    """The versions of which a stream must be one (``If-Match``); any, where that is None."""

    versions: frozenset[int] | None = None

    def require(self, stream: Stream) -> None:
        """Raises ``PreconditionFailed``."""
        if self.versions is not None and stream.version not in self.versions:
            raise PreconditionFailed(f"The stream is at version {stream.version}.")


@dataclass(frozen=True)
class _Done:
    """A change that the provider has made."""

    begun: Record
    resource: Resource
    pointers: frozenset[str]


class Changing:
    """Changes the streams of one provider."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._keeping = Keeping(parts)
        self._refreshing = Refreshing(parts)

    def change(self, caller: Caller, stream_id: str, patch: Body, match: Match, deadline: Deadline) -> Stream:
        """The stream with a merge-patch (RFC 7396) of its request applied, at the provider first.

        Raises ``InvalidRequest`` with every fault, ``CapabilityNotSupported`` naming what cannot be changed, both with
        nothing called, and ``PreconditionFailed``.
        """
        turn = _Turn(self._parts, caller, deadline)
        for _ in range(TRIES):
            record = self._keeping.usable(caller, stream_id)
            turn.begin_with(record)
            try:
                wanted = self._wanted(record, patch, match)
            except CallerError:
                turn.take_back(stream_id)
                raise
            if not wanted.changed and not turn.disturbed:
                return record.stream
            try:
                return turn.changed(record, wanted).stream
            except PreconditionFailed:
                if not deadline.remaining():
                    raise
            except CallerError:
                turn.take_back(stream_id)
                raise
        raise PreconditionFailed("The stream was changed by other requests all the time.")

    def repair(self, caller: Caller, stream_id: str, deadline: Deadline) -> Stream:
        """The stream brought back, at the provider, to what was asked for; as it is where it has not drifted.

        Raises ``CapabilityNotSupported`` naming what the provider cannot change.
        """
        turn = _Turn(self._parts, caller, deadline)
        for _ in range(TRIES):
            record = self._keeping.usable(caller, stream_id)
            self._keeping.require(Verb.REPAIR)
            record = self._refreshing.refresh(caller, record, deadline)
            if record.stream.state in CLOSED:
                raise ended(record)
            turn.begin_with(record)
            drifted = frozenset(record.stream.drift) | turn.disturbed
            if not drifted:
                turn.require_whole(record)
                return record.stream
            self._require_able(drifted, self._parts.provider.changeable)
            try:
                return turn.repaired(record, drifted).stream
            except PreconditionFailed:
                if not deadline.remaining():
                    raise
        raise PreconditionFailed("The stream was changed by other requests all the time.")

    def _wanted(self, record: Record, patch: Body, match: Match) -> Patched:
        match.require(record.stream)
        wanted = patched(record, patch, self._parts.provider.options_type, self._parts.terms)
        self._require_able(wanted.changed, OURS | self._parts.provider.changeable)
        return wanted

    def _require_able(self, changed: frozenset[str], able: frozenset[str]) -> None:
        """Raises ``CapabilityNotSupported`` with each that is none, or below none, of what can be changed."""
        unable = sorted(at for at in changed if not _is_covered(at, able))
        if unable:
            name = self._parts.provider.name
            faults = tuple(Fault(at, "not-changeable", f"{name} cannot change this") for at in unable)
            raise CapabilityNotSupported(f"{name} cannot change {', '.join(unable)} of a stream.", faults=faults)


class _Turn:
    """One call's changes to one stream, however often it has to begin anew over somebody else's."""

    def __init__(self, parts: Parts, caller: Caller, deadline: Deadline) -> None:
        self._parts = parts
        self._keeping = Keeping(parts)
        self._refreshing = Refreshing(parts)
        self._caller = caller
        self._deadline = deadline
        self._beginning = Beginning(parts)
        self._first: Record | None = None
        self._touched: frozenset[str] = frozenset()
        self.disturbed: frozenset[str] = frozenset()
        """What at the provider we have changed, and what others have meanwhile: ours may have undone theirs there."""

    def begin_with(self, record: Record) -> None:
        """Begin, perhaps anew, with the record as it is now."""
        if self._first:
            asked = frozenset(differing(request_of(self._first), request_of(record)))
            repaired = frozenset(self._first.stream.drift) ^ frozenset(record.stream.drift)
            self.disturbed = self._touched | self._at_provider(asked | repaired)

    def require_whole(self, record: Record) -> None:
        """Raises ``PreconditionFailed`` while somebody else may be changing it: what was seen may be half of that."""
        if self._beginning.others(record):
            raise busy()

    def changed(self, record: Record, wanted: Patched) -> Record:
        """The record with the patch applied. Raises ``PreconditionFailed`` where others have changed it meanwhile."""
        pointers = self._at_provider(wanted.changed) | self.disturbed
        done = self._carried_out(record, self._order(record, wanted), pointers) if pointers else None
        return self._recorded(record, done, wanted.changed, lambda found: self._patched(found, wanted))

    def repaired(self, record: Record, drifted: frozenset[str]) -> Record:
        """The record, which the provider keeps to again. Raises as ``changed`` does."""
        order = order_of(self._parts, record)
        if order is None:
            raise _not_understood()
        return self._recorded(record, self._carried_out(record, order, drifted), drifted, _same)

    def take_back(self, stream_id: str) -> None:
        """Who is told that nothing is changed is told the truth; where it cannot be taken back, somebody looks."""
        for _ in range(TRIES):
            try:
                record = self._keeping.usable(self._caller, stream_id)
                self.begin_with(record)
                order = order_of(self._parts, record) if self.disturbed else None
                if order:
                    self._recorded(record, self._carried_out(record, order, self.disturbed), frozenset(), _same)
            except PreconditionFailed:
                continue
            except HeadwaterError:
                return
            return

    # -- steps

    def _carried_out(self, record: Record, order: Order[Options], pointers: frozenset[str]) -> _Done:
        begun = self._beginning.note(record, self._deadline)
        before = self._first, self._touched
        self._first, self._touched = self._first or record, self._touched | pointers
        in_time = self._keeping.in_time(self._deadline)
        try:
            resource = self._parts.provider.change(begun.handle, order, pointers, in_time)
        except HeadwaterError as error:
            if isinstance(error, CallerError):  # with nothing called
                self._first, self._touched = before
            self._beginning.failed(self._caller, begun, error)
            raise
        if resource is None:
            raise self._refreshing.gone(self._caller, begun, self._deadline)
        return _Done(begun, resource, pointers)

    def _recorded(
        self, record: Record, done: _Done | None, changed: frozenset[str], change: Callable[[Record], Record]
    ) -> Record:
        """Record a change that the provider has made, if nobody else has recorded one since."""

        def note(found: Record) -> Record:
            if (request_of(found), found.stream.drift) != (request_of(record), record.stream.drift):
                raise PreconditionFailed("The stream was changed by another request meanwhile.")
            return self._after(change(found), done) if done else change(found)

        kind = events.StreamUpdated if changed else None
        begun = done.begun if done else record
        noted = self._keeping.insist(self._caller, begun, note, kind, CLOSED, changed=sorted(changed))
        if noted.stream.state in CLOSED:
            raise ended(noted)
        return noted

    def _after(self, record: Record, done: _Done) -> Record:
        """The record with what is known since the provider has made the change."""
        still = drift_of(self._parts, record, done.resource)
        if still is None:
            still = [at for at in record.stream.drift if not _is_covered(at, done.pointers)]
        # What drifts anew is for whoever looks to tell.
        drift = [at for at in record.stream.drift if at in still]
        stream = record.stream.model_copy(update={"drift": drift, **ways_of(done.resource)})
        known = record.model_copy(update={"stream": stream, "notes": done.resource.notes})
        return self._beginning.over(known)

    def _patched(self, found: Record, wanted: Patched) -> Record:
        given: dict[str, Any] = {"name": wanted.name, "metadata": wanted.metadata, "options": wanted.options}
        record = found.model_copy(update={"max_lifetime_seconds": wanted.max_lifetime_seconds})
        if "/max_lifetime_seconds" in wanted.changed:
            opened_at = found.opened_at or found.stream.created_at
            given["expires_at"] = expires_at(self._parts, record, found.stream.lease, opened_at)
        return record.model_copy(update={"stream": found.stream.model_copy(update=given)})

    def _order(self, record: Record, wanted: Patched) -> Order[Options]:
        if wanted.asked is None:
            raise _not_understood()
        options = forgetting(wanted.asked)
        return Order(record.stream.id, options, wanted.name, record.generation, self._parts.deployment)

    def _at_provider(self, changed: frozenset[str]) -> frozenset[str]:
        return frozenset(at for at in changed if _is_covered(at, self._parts.provider.changeable))


def _not_understood() -> CapabilityNotSupported:
    return CapabilityNotSupported("What was asked for of this stream is not kept in full, so this cannot be changed.")


def _same(record: Record) -> Record:
    return record


def _is_covered(at: str, by: frozenset[str]) -> bool:
    """Whether it is one of these, or below one."""
    return any(at == one or at.startswith(f"{one}/") for one in by)
