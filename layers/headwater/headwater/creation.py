"""Claim, take over, resume: one key, one stream; one stream, one event. Pure over its ports."""

from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from headwater.attempt import Attempt, take_over
from headwater.claims import Asked, Claims, same_worker
from headwater.deadline import Deadline
from headwater.errors import (
    CreationInProgress,
    HeadwaterError,
    IdempotencyKeyReused,
    StreamEnded,
)
from headwater.events import AttentionData
from headwater.ports import Caller, Parts, Stale
from headwater.records import Credentials, Origin, Record
from headwater.requests import Wanted
from headwater.sealing import unseal_credentials
from headwater.settlement import WRITES, Settlement, Superseded
from headwater.streams import OVER, State, Stream


@dataclass(frozen=True)
class Opened:
    """An open stream with all that opens it."""

    stream: Stream
    credentials: Credentials
    replayed: bool


@dataclass(frozen=True)
class Accepted:
    """A stream that will be opened, or will fail, without its caller waiting. ``again``: it was accepted before."""

    stream: Stream
    again: bool


class Creation:
    """Opens streams at one provider."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._claims = Claims(parts)
        self._settlement = Settlement(parts)

    def provision(
        self,
        caller: Caller,
        key: str,
        wanted: Wanted,
        deadline: Deadline,
        origin: Origin = "api",
        until: datetime | None = None,
    ) -> Opened:
        """The stream of this key: made now, or the one that was made before.

        ``until`` is the latest moment at which it is worth creating without somebody asking anew. Raises what the
        provider says no with, ``CreationInProgress`` while another worker makes it, ``IdempotencyKeyReused`` for
        another request, ``StreamEnded`` once it is over.
        """
        asked = Asked(caller, wanted, origin, until)
        record = self._claims.first(key, asked, deadline)
        existing = self._parts.store.claim(record)
        if existing is None or same_worker(existing, record):
            return self._made_by(Attempt(self._parts, record, asked, deadline))
        return self._answer_used_key(existing, asked, deadline)

    def accept(self, caller: Caller, key: str, wanted: Wanted) -> Accepted | Opened:
        """The stream of this key, to be made by whoever attends to it next; where it is there already, that.

        Raises ``IdempotencyKeyReused`` and ``StreamEnded`` as ``provision`` does, and ``CreationInProgress`` while one
        makes it after whose end nobody would go on.
        """
        asked = Asked(caller, wanted, "async")
        record = self._claims.accepted(key, asked)
        for _ in range(WRITES):
            existing = self._parts.store.claim(record)
            if existing is None or same_worker(existing, record):
                return self._accepted(record, again=False)
            with suppress(Stale):  # it is not as it was: what to do is decided anew
                return self._accept_used_key(existing, asked)
        raise CreationInProgress("Other requests with this key were quicker all the time.", retry_after=1)

    def refuse(self, caller: Caller, key: str, error: HeadwaterError) -> None:
        """Record a bus request that cannot be carried out, and announce that, unless its key has a record already."""
        record = self._claims.unreadable(caller, key)
        existing = self._parts.store.claim(record)
        if existing is None or same_worker(existing, record):
            self._settlement.failed(caller, record, error)
        elif existing.claim and existing.fingerprint == record.fingerprint:
            # An earlier refusal, whose worker died before it could say so.
            self._claims.require_free(existing.claim)
            self._settlement.failed(caller, self._claims.write(self._claims.repeated(existing)), error)

    def give_up(self, caller: Caller, key: str, wanted: Wanted, deadline: Deadline, error: HeadwaterError) -> None:
        """End a bus request that nobody waits for any more: settle what an earlier attempt made, else raise ``error``.

        Raises ``CreationInProgress`` while an earlier attempt may still be at it.
        """
        # Were its worker to die now, whoever goes on must not open it either.
        record = self._claims.first(key, Asked(caller, wanted, "bus", self._parts.clock()), deadline)
        existing = self._parts.store.claim(record)
        if existing is None or same_worker(existing, record):
            raise self._settlement.failed(caller, record, error)
        # One that is not late somebody else asked for too.
        if existing.claim and existing.fingerprint == wanted.fingerprint and self._claims.is_late(existing):
            self._claims.require_free(existing.claim)
            asked = Asked(caller, wanted, existing.origin, existing.try_until)
            take_over(self._parts, existing, asked, deadline).finish(error)

    # -- the key was used before

    def _answer_used_key(self, existing: Record, asked: Asked, deadline: Deadline) -> Opened:
        if _failed(existing):
            if asked.origin == "bus" and existing.request_id == asked.caller.request_id:
                raise ended(existing)  # nobody asks anew: the same message came again
        else:
            self._require_same(existing, asked.wanted)
            if not existing.claim:
                return self._replay(existing)
            self._claims.require_free(existing.claim)
        return self._made_by(take_over(self._parts, existing, asked, deadline))

    def _accept_used_key(self, existing: Record, asked: Asked) -> Accepted | Opened:
        """Raises ``Stale``, having done nothing, where the record is not as it was read."""
        if _failed(existing):
            return self._accepted(self._claims.put(self._claims.accepted_again(existing, asked)), again=False)
        self._require_same(existing, asked.wanted)
        claim = existing.claim
        if not claim:
            return self._replay(existing)
        if claim.until <= self._parts.clock():
            awaited = self._claims.awaited_anew(existing, asked)
            existing = existing if awaited == existing else self._parts.store.update(awaited)
        elif not self._claims.outlasts_its_worker(existing):
            self._claims.require_free(claim)
        return self._accepted(existing, again=True)

    def _require_same(self, existing: Record, wanted: Wanted) -> None:
        """Raises ``IdempotencyKeyReused`` for another request."""
        if existing.fingerprint != wanted.fingerprint:
            raise IdempotencyKeyReused("This key was used before, for a request with another body.")

    def _replay(self, record: Record) -> Opened:
        """Raises ``StreamEnded`` once it is over."""
        if record.stream.state in OVER | {State.ENDING, State.FAILED}:
            raise ended(record)
        return Opened(record.stream, unseal_credentials(self._parts.vault, record), replayed=True)

    # -- make it, or have it made

    def _made_by(self, attempt: Attempt) -> Opened:
        try:
            settled, credentials = attempt.make()
        except Superseded as superseded:
            recorded = superseded.recorded
            if recorded is None or recorded.claim:
                raise CreationInProgress("Another request with this key took over.", retry_after=1) from None
            return self._answer_used_key(recorded, attempt.asked, attempt.deadline)
        return Opened(settled.stream, credentials, replayed=False)

    def _accepted(self, record: Record, *, again: bool) -> Accepted:
        stream = record.stream
        self._parts.call_for(AttentionData(provider=stream.provider, stream_id=stream.id, reason="due"))
        return Accepted(stream, again)


def _failed(record: Record) -> bool:
    """Whether its key may be used anew: nothing was made under it."""
    return record.stream.state is State.FAILED and not record.claim and record.stream.provider_ref is None


def ended(record: Record) -> StreamEnded:
    """What to answer about a stream that is over: since when, and why."""
    stream = record.stream
    since = (record.ended_at or stream.updated_at).isoformat()
    why = stream.state_reason or stream.state
    told: dict[str, Any] = {"state": stream.state, "ended_at": since, "reason": why}
    if record.remains:
        told["remains"] = record.remains
    return StreamEnded(f"The stream is {stream.state} since {since}: {why}.", **told)
