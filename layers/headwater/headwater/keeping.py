"""What everybody does who acts on a recorded stream: find it, see that it may be, write what came of it. Pure."""

import math
import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from headwater import events
from headwater.creation import ended
from headwater.deadline import Deadline
from headwater.errors import CapabilityNotSupported, CreationInProgress, PreconditionFailed, StreamNotFound
from headwater.events import Happened
from headwater.ports import Caller, Parts, Stale
from headwater.provider import Resource, Verb
from headwater.records import Credentials, Record
from headwater.sealing import seal_credentials, unseal_credentials
from headwater.streams import OVER, State

ID = re.compile("str_[a-z2-7]{52}")
type Change = Callable[[Record], Record]
"""What becomes of a record. Its sealed credentials are part of it: a change that does not speak of them keeps them."""
BUSY_SECONDS = 5
"""When to come again, where somebody is changing the stream at its provider."""
WRITES = 3
"""How often a fact is written anew over another's change."""
GOING = OVER | {State.ENDING}
"""States of a stream of which nothing is recorded any more but its end."""
AT_AN_END = OVER | {State.FAILED}
"""States that a stream comes to by itself, and in which nothing opens it any more."""
CLOSED = GOING | AT_AN_END
"""States of a stream that nobody uses any more."""


class Keeping:
    """The records of one provider's streams."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    # -- have one

    def own(self, caller: Caller, stream_id: str) -> Record:
        """The caller's. Raises ``StreamNotFound``, of another's too."""
        record = self._parts.store.load(stream_id) if ID.fullmatch(stream_id) else None
        theirs = record is None or record.tenant != caller.tenant
        if record is None or theirs or record.stream.provider != self._parts.provider.name:
            raise StreamNotFound("There is no stream of this id.")
        return record

    def open(self, caller: Caller, stream_id: str) -> Record:
        """One that is not over. Raises ``StreamEnded`` too."""
        record = self.own(caller, stream_id)
        if record.stream.state in OVER:
            raise ended(record)
        return record

    def usable(self, caller: Caller, stream_id: str) -> Record:
        """One that was made, and that nobody has asked to end. Raises ``CreationInProgress`` too."""
        record = self.open(caller, stream_id)
        self.require_settled(record)
        if record.stream.state in {State.FAILED, State.ENDING}:
            raise ended(record)
        return record

    def require_settled(self, record: Record) -> None:
        """Raises ``CreationInProgress`` of one that is being made."""
        if record.claim:
            wait = record.claim.wait(self._parts.clock())
            raise CreationInProgress("The stream is still being created.", retry_after=max(1, math.ceil(wait)))

    def require(self, verb: Verb) -> None:
        """Raises ``CapabilityNotSupported`` of what the provider does not have."""
        if verb not in self._parts.provider.verbs:
            raise CapabilityNotSupported(f"{self._parts.provider.name} has no {verb}.")

    def is_being_changed(self, record: Record) -> bool:
        """Whether somebody may be changing it at its provider just now."""
        return any(until > self._parts.clock() for until in record.changing.values())

    # -- write what came of it

    def insist(
        self,
        caller: Caller,
        record: Record,
        change: Change,
        kind: type[Happened] | None,
        unless: frozenset[State] = OVER,
        **more: Any,
    ) -> Record:
        """Record what is a fact at the provider already, whatever was written meanwhile, ``unless`` it came to that.

        Raises ``PreconditionFailed`` where others write all the time, or it is another's life by now.
        """
        for _ in range(WRITES):
            if record.stream.state in unless:
                return record
            after = change(record)
            try:
                return self.write(caller, record, after, kind, **more)
            except PreconditionFailed:
                before, record = record, self.own(caller, record.stream.id)
                if record.claim or record.opened_at != before.opened_at:
                    raise
        raise PreconditionFailed("The stream was changed by other requests all the time.")

    def write(
        self,
        caller: Caller | None,
        before: Record,
        after: Record,
        kind: type[Happened] | None = None,
        **more: Any,
    ) -> Record:
        """Write what changed; with an event, whose data has ``more``, the version rises by one.

        Raises ``PreconditionFailed`` where it is not as ``before`` any more.
        """
        event, after = None, self._looked_after(after)
        if kind and caller:
            moment, version = self._parts.present(), before.stream.version + 1
            stream = after.stream.model_copy(update={"version": version, "updated_at": moment})
            after = after.model_copy(update={"stream": stream})
            if kind is events.StreamStateChanged:
                more = {"previous_state": before.stream.state, **more}
            event = events.happened(kind, stream, caller.tenant, caller.request_id, **more)
        try:
            return self._parts.store.update(after, event)
        except Stale:
            raise PreconditionFailed("The stream was changed by another request meanwhile.") from None

    def _looked_after(self, record: Record) -> Record:
        """What somebody has begun to change is looked at once he is dead for certain, whatever else it is due for."""
        if not record.changing or record.stream.state in GOING:
            return record
        dead_in = max(max(record.changing.values()) - self._parts.clock(), timedelta(0))
        then = self._parts.present() + dead_in
        return record.model_copy(update={"look_at": min(record.look_at or then, then)})

    def turned(self, caller: Caller, before: Record, after: Record) -> Record:
        """Record and announce another state than before; where that is an end, its credentials go.

        Raises as ``write`` does.
        """
        if after.stream.state not in AT_AN_END:
            return self.write(caller, before, after, events.StreamStateChanged)
        at_an_end = after.model_copy(update={"ended_at": self._parts.present(), "sealed_credentials": None})
        return self.write(caller, before, at_an_end, events.StreamStateChanged)

    def over(
        self,
        caller: Caller,
        record: Record,
        state: State,
        reason: str,
        kind: type[Happened],
        unless: frozenset[State] = OVER,
        remains: str | None = None,
    ) -> Record:
        """Record its end, and what ``remains`` of it: its credentials go."""

        def over(found: Record) -> Record:
            stream = found.stream.model_copy(update={"state": state, "state_reason": reason})
            update = {"stream": stream, "ended_at": self._parts.present(), "remains": remains}
            return found.model_copy(update={**update, "sealed_credentials": None})

        return self.insist(caller, record, over, kind, unless)

    def lost(self, caller: Caller, record: Record) -> Record:
        """Record that the provider does not have it, though nobody has ended it; where a caller held its lease alone,
        and let go of it, that is its end. Of one that is to be ended nothing is recorded: whoever ends it says so."""
        lease, moment = record.stream.lease, self._parts.present()
        if lease and not lease.managed and lease.expires_at <= moment:
            return self.over(caller, record, State.ENDED, "lease-expired", events.StreamExpired, CLOSED)
        return self.over(caller, record, State.LOST, "not-at-provider", events.StreamLost, CLOSED)

    # -- what opens it

    def credentials(self, record: Record) -> Credentials:
        """Everything that opens it, as it was when it was read."""
        return unseal_credentials(self._parts.vault, record)

    def told(self, record: Record, resource: Resource) -> Record:
        """The record with what the provider told of what opens it; sealed anew only where that is news."""
        told = Credentials(ingest=list(resource.ingest), playback=list(resource.playback))
        hashes = told.hashes(record.stream.id)
        if hashes.items() <= record.credential_hashes.items():
            return record
        kept = unseal_credentials(self._parts.vault, record)
        # A record from before there were hashes has none of what is kept.
        known = kept.hashes(record.stream.id) | hashes
        new = kept.replaced_by(told)
        record = record.model_copy(update={"credential_hashes": known})
        if new == kept:
            return record
        return record.model_copy(update={"sealed_credentials": seal_credentials(self._parts.vault, record, new)})

    def in_time(self, deadline: Deadline) -> Deadline:
        """How long a provider may take, so that there is time to record what it did."""
        return deadline.sooner(self._parts.settle_reserve)


def busy() -> PreconditionFailed:
    """What to raise where somebody is changing the stream just now: half of that may be seen."""
    return PreconditionFailed("Another request is changing the stream now.", retry_after=BUSY_SECONDS)
