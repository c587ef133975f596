"""What happens to a stream that is there: read, renew, remove. Pure over its ports."""

import math
import re
from collections.abc import Callable
from datetime import datetime
from typing import Any

from headwater import events
from headwater.creation import ended
from headwater.deadline import Deadline
from headwater.errors import CapabilityNotSupported, CreationInProgress, PreconditionFailed, StreamNotFound
from headwater.events import Happened
from headwater.ports import Caller, Parts, Stale
from headwater.provider import Removal, Resource, Verb
from headwater.records import Credentials, Record
from headwater.sealing import seal_credentials, unseal_credentials
from headwater.settlement import leased
from headwater.streams import OVER, State, Stream

ID = re.compile("str_[a-z2-7]{52}")
KEEP: None = None
DROP = b""
WRITES = 3
"""How often a fact is written anew over another's change."""


class Lifecycle:
    """Acts on recorded streams of one provider."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    # -- what a caller asks for

    def read(self, caller: Caller, stream_id: str, refresh: bool, deadline: Deadline) -> Stream:
        """The stream; with ``refresh`` the provider is asked first. Raises ``StreamNotFound``, ``StreamEnded``."""
        record = self._open(caller, stream_id)
        if refresh and record.stream.provider_ref and record.stream.state is not State.FAILED:
            record = self.refresh(caller, record, deadline)
        if record.stream.state in OVER:
            raise ended(record)
        return record.stream

    def credentials(self, caller: Caller, stream_id: str) -> Credentials:
        """Everything that opens the stream. Raises as ``read`` does, and ``CreationInProgress``."""
        record = self._settled(caller, stream_id)
        sealed = self._parts.store.credentials(stream_id)
        return unseal_credentials(self._parts.vault, record, sealed)

    def timeline(self, caller: Caller, stream_id: str) -> list[dict[str, Any]]:
        """The stream's events of the last thirty days, oldest first, also when it is over."""
        self._own(caller, stream_id)
        return self._parts.store.timeline(stream_id)

    def keep_alive(self, caller: Caller, stream_id: str, deadline: Deadline) -> Stream:
        """The stream with its lease renewed. Raises ``CapabilityNotSupported`` where there are no leases."""
        record = self._settled(caller, stream_id)
        self._require(Verb.KEEPALIVE)
        return self._renewed(caller, record, deadline).stream

    def remove(self, caller: Caller, stream_id: str, deadline: Deadline) -> Removal:
        """End the stream at its provider, then in the record. One that is over is left as it is."""
        record = self._own(caller, stream_id)
        if record.claim:
            raise _still_creating(record, self._parts.clock())
        if record.stream.state in OVER or record.stream.provider_ref is None:
            return Removal()
        return self._ended(caller, record, deadline, events.StreamDeleted, "deleted")

    # -- what is a matter of time

    def refresh(self, caller: Caller, record: Record, deadline: Deadline) -> Record:
        """The record as the provider now tells it. Raises a ``ProviderError`` where it tells nothing."""
        resource = self._parts.provider.read(record.handle, self._in_time(deadline))
        if resource is None:
            return self._lost(caller, record)
        seen, credentials = self._seen(record, resource), self._told(record, resource)
        if seen.stream.state in OVER | {State.FAILED}:
            seen, credentials = seen.model_copy(update={"ended_at": self._parts.clock()}), DROP
        if (seen.stream, seen.notes, credentials) == (record.stream, record.notes, KEEP):
            return record
        kind = events.StreamStateChanged if seen.stream.state is not record.stream.state else None
        try:
            return self._write(caller, record, seen, kind, credentials)
        except PreconditionFailed:
            return self._own(caller, record.stream.id)  # somebody else knows better by now

    def expire(self, caller: Caller, record: Record, deadline: Deadline) -> None:
        """End it at its provider, if its lifetime is over."""
        expires_at = record.stream.expires_at
        if expires_at and expires_at <= self._parts.clock():
            self._ended(caller, record, deadline, events.StreamExpired, "expired")

    def beat(self, caller: Caller, record: Record, beat: int, deadline: Deadline) -> None:
        """Renew once for each beat, however often it is told: the beat is recorded before the provider is called."""
        lease = record.stream.lease
        if lease is None or lease.beat >= beat:
            return
        stream = record.stream.model_copy(update={"lease": lease.model_copy(update={"beat": beat})})
        try:
            record = self._parts.store.update(record.model_copy(update={"stream": stream}))
        except Stale:
            return  # somebody else is at it, or the stream is being ended; the next beat comes in time
        self._renewed(caller, record, deadline)

    # -- steps

    def _own(self, caller: Caller, stream_id: str) -> Record:
        record = self._parts.store.load(stream_id) if ID.fullmatch(stream_id) else None
        theirs = record is None or record.tenant != caller.tenant
        if record is None or theirs or record.stream.provider != self._parts.provider.name:
            raise StreamNotFound("There is no stream of this id.")
        return record

    def _open(self, caller: Caller, stream_id: str) -> Record:
        record = self._own(caller, stream_id)
        if record.stream.state in OVER:
            raise ended(record)
        return record

    def _settled(self, caller: Caller, stream_id: str) -> Record:
        record = self._open(caller, stream_id)
        if record.claim:
            raise _still_creating(record, self._parts.clock())
        if record.stream.state is State.FAILED:
            raise ended(record)
        return record

    def _require(self, verb: Verb) -> None:
        if verb not in self._parts.provider.verbs:
            raise CapabilityNotSupported(f"{self._parts.provider.name} has no {verb}.")

    def _seen(self, record: Record, resource: Resource) -> Record:
        told = {
            "ingest": [access.public() for access in resource.ingest],
            "playback": [access.public() for access in resource.playback],
        }
        update: dict[str, Any] = {name: entries for name, entries in told.items() if entries}
        update |= {
            "state": resource.state,
            "state_reason": resource.state_reason,
            "provider_status": resource.provider_status,
        }
        stream = record.stream.model_copy(update=update)
        return record.model_copy(update={"stream": stream, "notes": resource.notes})

    def _told(self, record: Record, resource: Resource) -> bytes | None:
        """The credentials that the provider told anew, sealed over those that are kept."""
        told = Credentials(ingest=list(resource.ingest), playback=list(resource.playback))
        if not told.secret:
            return KEEP
        sealed = self._parts.store.credentials(record.stream.id)
        kept = unseal_credentials(self._parts.vault, record, sealed)
        new = kept.replaced_by(told)
        return KEEP if new == kept else seal_credentials(self._parts.vault, record, new)

    def _renewed(self, caller: Caller, record: Record, deadline: Deadline) -> Record:
        resource = self._parts.provider.renew(record.handle, self._in_time(deadline))
        if resource is None:
            raise ended(self._lost(caller, record))
        return self._insist(
            caller,
            record,
            lambda found: _renewed(found, resource, self._parts.clock()),
            None,
            lambda found: self._told(found, resource),
        )

    def _lost(self, caller: Caller, record: Record) -> Record:
        return self._over(caller, record, State.LOST, "not-at-provider", events.StreamLost)

    def _ended(self, caller: Caller, record: Record, deadline: Deadline, kind: type[Happened], reason: str) -> Removal:
        removal = self._parts.provider.remove(record.handle, self._in_time(deadline))
        self._over(caller, record, State.ENDED, reason, kind)
        return removal

    def _over(self, caller: Caller, record: Record, state: State, reason: str, kind: type[Happened]) -> Record:
        def over(found: Record) -> Record:
            stream = found.stream.model_copy(update={"state": state, "state_reason": reason})
            return found.model_copy(update={"stream": stream, "ended_at": self._parts.clock()})

        return self._insist(caller, record, over, kind, lambda _: DROP)

    def _insist(
        self,
        caller: Caller,
        record: Record,
        change: Callable[[Record], Record],
        kind: type[Happened] | None,
        credentials: Callable[[Record], bytes | None],
    ) -> Record:
        """Record what is a fact at the provider already, whatever was written meanwhile; an end is final."""
        for _ in range(WRITES):
            try:
                return self._write(caller, record, change(record), kind, credentials(record))
            except PreconditionFailed:
                record = self._own(caller, record.stream.id)
                if record.stream.state in OVER:
                    return record
        raise PreconditionFailed("The stream was changed by other requests all the time.")

    def _write(
        self, caller: Caller, before: Record, after: Record, kind: type[Happened] | None, credentials: bytes | None
    ) -> Record:
        """Write what changed; with an event the version rises by one."""
        event = None
        if kind:
            moment, version = self._parts.clock(), before.stream.version + 1
            stream = after.stream.model_copy(update={"version": version, "updated_at": moment})
            after = after.model_copy(update={"stream": stream})
            more = {"previous_state": before.stream.state} if kind is events.StreamStateChanged else {}
            event = events.happened(kind, stream, caller.tenant, caller.request_id, **more)
        try:
            return self._parts.store.update(after, event, credentials)
        except Stale:
            raise PreconditionFailed("The stream was changed by another request meanwhile.") from None

    def _in_time(self, deadline: Deadline) -> Deadline:
        return deadline.sooner(self._parts.settle_reserve)


def _renewed(record: Record, resource: Resource, moment: datetime) -> Record:
    lease, kept = leased(resource, moment), record.stream.lease
    if lease and kept:
        lease = lease.model_copy(update={"beat": kept.beat})
    stream = record.stream.model_copy(update={"lease": lease})
    return record.model_copy(update={"stream": stream, "notes": resource.notes})


def _still_creating(record: Record, moment: datetime) -> CreationInProgress:
    wait = record.claim.wait(moment) if record.claim else 0
    return CreationInProgress("The stream is still being created.", retry_after=max(1, math.ceil(wait)))
