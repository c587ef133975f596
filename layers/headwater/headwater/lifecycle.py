"""What happens to a stream that is there: it is read, and its lease renewed. Pure over its ports."""

from contextlib import suppress
from datetime import datetime
from typing import Any

from headwater.creation import ended
from headwater.deadline import Deadline
from headwater.ending import Ending
from headwater.errors import HeadwaterError, PreconditionFailed, ProviderPaymentRequired
from headwater.keeping import CLOSED, Keeping, busy
from headwater.opening import leased, look_at
from headwater.ports import Caller, Parts
from headwater.provider import Resource, Verb
from headwater.records import Credentials, Record
from headwater.refreshing import Refreshing, seen_as
from headwater.streams import OVER, State, Stream

WRITES = 3
"""How often a beat is written anew over another's change, and a lease renewed anew over another's renewal."""


class Lifecycle:
    """Acts on recorded streams of one provider."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._keeping = Keeping(parts)
        self._refreshing = Refreshing(parts)
        self._ending = Ending(parts)

    # -- what a caller asks for

    def read(self, caller: Caller, stream_id: str, refresh: bool, deadline: Deadline) -> Stream:
        """The stream; with ``refresh`` the provider is asked first. Raises ``StreamNotFound``, ``StreamEnded``."""
        record = self._keeping.open(caller, stream_id)
        if refresh and _can_be_asked_about(record):
            record = self._refreshing.refresh(caller, record, deadline)
        if record.stream.state in OVER:
            raise ended(record)
        return record.stream

    def credentials(self, caller: Caller, stream_id: str, refresh: bool, deadline: Deadline) -> Credentials:
        """Everything that opens the stream; with ``refresh`` the provider is asked first for those it can tell again.

        Raises as ``read`` does, and ``CreationInProgress``.
        """
        record = self._keeping.usable(caller, stream_id)
        if refresh:
            if self._keeping.is_being_changed(record):
                raise busy()
            record = self._refreshing.refresh(caller, record, deadline)
            if record.stream.state in CLOSED:
                raise ended(record)
        return self._keeping.credentials(record)

    def timeline(self, caller: Caller, stream_id: str) -> list[dict[str, Any]]:
        """The stream's events of the last thirty days, oldest first, also when it is over.

        What happened while it was another's, who had adopted it before, is nobody's business.
        """
        self._keeping.own(caller, stream_id)
        return [event for event in self._parts.store.timeline(stream_id) if event["tenant"] == caller.tenant]

    def keep_alive(self, caller: Caller, stream_id: str, deadline: Deadline) -> Stream:
        """The stream with its lease renewed. Raises ``CapabilityNotSupported`` where there are no leases."""
        record = self._keeping.usable(caller, stream_id)
        self._keeping.require(Verb.KEEPALIVE)
        renewed = self._renewed(caller, record, deadline)
        if renewed.stream.state in CLOSED:
            raise ended(renewed)
        return renewed.stream

    # -- what is a matter of time

    def beat(self, caller: Caller, record: Record, beat: int, deadline: Deadline) -> None:
        """Renew once for each beat, however often it is told: the beat is recorded before the provider is called."""
        for _ in range(WRITES):
            lease = record.stream.lease
            if lease is None or not lease.managed or lease.beat >= beat or record.stream.state in CLOSED:
                return
            stream = record.stream.model_copy(update={"lease": lease.model_copy(update={"beat": beat})})
            try:
                record = self._keeping.write(None, record, record.model_copy(update={"stream": stream}))
            except PreconditionFailed:
                record = self._keeping.own(caller, record.stream.id)
                continue
            self._renewed(caller, record, deadline)
            return

    def _renewed(self, caller: Caller, record: Record, deadline: Deadline) -> Record:
        for _ in range(WRITES):
            asked_at = self._parts.present()
            try:
                resource = self._parts.provider.renew(record.handle, self._keeping.in_time(deadline))
            except ProviderPaymentRequired as error:
                # It is not renewed, and ends with its lease at the latest: whoever listens learns now, and why.
                with suppress(HeadwaterError):
                    self._ending.end(caller, record, error.code, deadline)
                raise error from None
            if resource is None:
                raise self._refreshing.gone(caller, record, deadline)
            try:
                return self._note_renewal(caller, record, resource, asked_at)
            except PreconditionFailed:
                record = self._keeping.usable(caller, record.stream.id)
        raise PreconditionFailed("The lease was renewed by other requests all the time.")

    def _note_renewal(self, caller: Caller, record: Record, resource: Resource, asked_at: datetime) -> Record:
        """Record a lease that was renewed, and the token that came with it.

        Raises ``PreconditionFailed`` where another exchanged the token meanwhile: which one is the later cannot be
        told, and the earlier may open nothing any more.
        """

        def note(found: Record) -> Record:
            after = self._keeping.told(with_lease(self._parts, found, resource, asked_at), resource)
            exchanged = after.sealed_credentials != found.sealed_credentials
            if exchanged and found.credential_hashes != record.credential_hashes:
                raise PreconditionFailed("Another request exchanged the token meanwhile.")
            return after

        noted = self._keeping.insist(caller, record, note, None, CLOSED)
        return self._note_state(caller, noted, resource, asked_at)

    def _note_state(self, caller: Caller, record: Record, resource: Resource, asked_at: datetime) -> Record:
        """What a renewal tells of the state is as good as a look; should others write just now, the next one is."""
        if resource.provider_status is None or record.stream.state in {*CLOSED, resource.state}:
            return record
        with suppress(PreconditionFailed):
            return self._keeping.turned(caller, record, seen_as(self._parts, record, resource, asked_at))
        return record


def with_lease(parts: Parts, record: Record, resource: Resource, asked_at: datetime) -> Record:
    """The record with the lease that its resource has had since it was asked for then, at the latest."""
    kept = record.stream.lease
    lease = leased(resource, asked_at, record.lease_managed)
    if lease is None or (kept and kept.renewed_at > asked_at):
        return record.model_copy(update={"notes": resource.notes})
    stream = record.stream.model_copy(update={"lease": lease.model_copy(update={"beat": kept.beat}) if kept else lease})
    next_look = look_at(parts, stream.state, lease, parts.present())
    return record.model_copy(update={"stream": stream, "look_at": next_look, "notes": resource.notes})


def _can_be_asked_about(record: Record) -> bool:
    return bool(record.stream.provider_ref) and record.stream.state not in {State.FAILED, State.ENDING}
