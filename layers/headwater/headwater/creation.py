"""Claim, take over, resume: one key, one stream; one stream, one event. Pure over its ports."""

import math
from dataclasses import dataclass
from datetime import datetime

from headwater.attempt import Attempt, outcome_unknown, too_ambiguous
from headwater.claims import Claims, same_worker
from headwater.deadline import Deadline
from headwater.errors import (
    CreationAbandoned,
    CreationInProgress,
    HeadwaterError,
    IdempotencyKeyReused,
    StreamEnded,
)
from headwater.events import AttentionData
from headwater.ports import Caller, Parts, Stale
from headwater.records import Claim, Credentials, Origin, Record
from headwater.requests import CreateRequest, Wanted
from headwater.sealing import unseal_credentials, unseal_options
from headwater.settlement import Settlement, Superseded
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
        record = self._claims.first(caller, key, wanted, deadline, origin, until)
        existing = self._parts.store.claim(record)
        if existing is None or same_worker(existing, record):
            return self._make(caller, record, wanted, deadline)
        return self._answer_used_key(caller, existing, wanted, deadline, until)

    def accept(self, caller: Caller, key: str, wanted: Wanted) -> Accepted | Opened:
        """The stream of this key, to be made by whoever attends to it next; where it is there already, that.

        Raises ``IdempotencyKeyReused`` and ``StreamEnded`` as ``provision`` does.
        """
        record = self._claims.accepted(caller, key, wanted)
        existing = self._parts.store.claim(record)
        if existing is None or same_worker(existing, record):
            return self._accepted(record, again=False)
        if _failed(existing):
            written = self._claims.write(self._claims.accepted_again(caller, existing, wanted))
            return self._accepted(written, again=False)
        self._require_same(existing, wanted)
        if not existing.claim:
            return self._replay(existing)
        if existing.claim.free_at <= self._parts.clock():
            # Nobody has it, and the caller of before may not have been one who does not wait.
            self._claims.write(existing.model_copy(update={"origin": "async"}))
        return self._accepted(existing, again=True)

    def refuse(self, caller: Caller, key: str, error: HeadwaterError) -> None:
        """Record a bus request that cannot be carried out, and announce that, unless its key has a record already."""
        record = self._claims.unreadable(caller, key)
        existing = self._parts.store.claim(record)
        if existing is None or same_worker(existing, record):
            self._settlement.failed(caller, record, error)
        elif existing.claim and existing.fingerprint == record.fingerprint:
            # An earlier refusal, whose worker died before it could say so.
            self._require_free(existing.claim)
            self._settlement.failed(caller, self._claims.write(self._claims.repeated(existing)), error)

    def give_up(self, caller: Caller, key: str, wanted: Wanted, deadline: Deadline, error: HeadwaterError) -> None:
        """End a bus request that nobody waits for any more: settle what an earlier attempt made, else raise ``error``.

        Raises ``CreationInProgress`` while an earlier attempt may still be at it.
        """
        record = self._claims.first(caller, key, wanted, deadline, "bus", None)
        existing = self._parts.store.claim(record)
        if existing is None or same_worker(existing, record):
            raise self._settlement.failed(caller, record, error)
        if existing.claim and existing.fingerprint == wanted.fingerprint:
            self._require_free(existing.claim)
            self._finish(self._taken_over(caller, existing, wanted, deadline, existing.try_until), error)

    def resume(self, existing: Record, deadline: Deadline) -> None:
        """Go on with what a dead attempt left, if nobody has: settle what was made, else create, fail, or wait.

        Raises as ``provision`` does what it has recorded by then.
        """
        claim, moment = existing.claim, self._parts.clock()
        if claim is None or claim.until > moment:
            return
        if claim.free_at > moment:
            self._tell_unknown(existing, claim)
            return
        caller = Caller(existing.tenant, existing.request_id)
        if not existing.fingerprint:
            self._resume_refusal(caller, existing)
            return
        attempt = self._taken_over(caller, existing, self._asked(existing), deadline, existing.try_until)
        if self._is_abandoned(existing):
            self._finish(attempt, self._abandoned(attempt.record))
            return
        try:
            attempt.make()
        except Superseded:
            return  # another attempt has it

    # -- the key was used before

    def _answer_used_key(
        self, caller: Caller, existing: Record, wanted: Wanted, deadline: Deadline, until: datetime | None
    ) -> Opened:
        if _failed(existing):
            return self._take_over(caller, existing, wanted, deadline, until)
        self._require_same(existing, wanted)
        if not existing.claim:
            return self._replay(existing)
        self._require_free(existing.claim)
        return self._take_over(caller, existing, wanted, deadline, until)

    def _require_same(self, existing: Record, wanted: Wanted) -> None:
        """Raises ``IdempotencyKeyReused`` for another request."""
        if existing.fingerprint != wanted.fingerprint:
            raise IdempotencyKeyReused("This key was used before, for a request with another body.")

    def _require_free(self, claim: Claim) -> None:
        """Raises ``CreationInProgress`` while the claim's worker, or what it may have left, is not gone."""
        wait = (claim.free_at - self._parts.clock()).total_seconds()
        if wait > 0:
            raise CreationInProgress(
                "The stream of this key is being created, or what became of it is not known yet.",
                retry_after=math.ceil(wait),
            )

    def _replay(self, record: Record) -> Opened:
        """Raises ``StreamEnded`` once it is over."""
        if record.stream.state in OVER | {State.ENDING, State.FAILED}:
            raise ended(record)
        sealed = self._parts.store.credentials(record.stream.id)
        return Opened(record.stream, unseal_credentials(self._parts.vault, record, sealed), replayed=True)

    def _take_over(
        self, caller: Caller, existing: Record, wanted: Wanted, deadline: Deadline, until: datetime | None
    ) -> Opened:
        attempt = self._taken_over(caller, existing, wanted, deadline, until)
        return self._made_by(attempt, caller, wanted, deadline)

    def _taken_over(
        self, caller: Caller, existing: Record, wanted: Wanted, deadline: Deadline, until: datetime | None
    ) -> Attempt:
        """The next attempt, ours. Raises ``ProviderOutcomeUnknown``, settled, where there may be no further one."""
        record = self._claims.write(self._claims.following(caller, existing, wanted, deadline, until))
        attempt = Attempt(self._parts, caller, record, wanted, deadline)
        if self._claims.left_in_doubt(existing):
            self._parts.count("AmbiguousCreate")
        if too_ambiguous(self._parts, record):
            raise attempt.fail(outcome_unknown(self._parts.provider.name))
        return attempt

    # -- make it

    def _make(self, caller: Caller, record: Record, wanted: Wanted, deadline: Deadline) -> Opened:
        return self._made_by(Attempt(self._parts, caller, record, wanted, deadline), caller, wanted, deadline)

    def _made_by(self, attempt: Attempt, caller: Caller, wanted: Wanted, deadline: Deadline) -> Opened:
        try:
            settled, credentials = attempt.make()
        except Superseded as superseded:
            recorded = superseded.recorded
            if recorded is None or recorded.claim:
                raise CreationInProgress("Another request with this key took over.", retry_after=1) from None
            return self._answer_used_key(caller, recorded, wanted, deadline, None)
        return Opened(settled.stream, credentials, replayed=False)

    # -- nobody waits

    def _accepted(self, record: Record, *, again: bool) -> Accepted:
        stream = record.stream
        self._parts.call_for(AttentionData(provider=stream.provider, stream_id=stream.id, reason="due"))
        return Accepted(stream, again)

    def _finish(self, attempt: Attempt, error: HeadwaterError) -> None:
        try:
            attempt.finish(error)
        except Superseded:
            return  # another attempt has it

    def _is_abandoned(self, record: Record) -> bool:
        """Whether nobody would have anything of a stream that was created now."""
        # Without a guard a second create may make a second one, and the caller who waited for its secrets is gone.
        return self._is_late(record) or (record.origin == "api" and not self._parts.provider.guard_seconds)

    def _abandoned(self, record: Record) -> HeadwaterError:
        if record.ambiguous_creates:
            return outcome_unknown(self._parts.provider.name)
        return CreationAbandoned("The stream was not created in time, and nobody waits for it any more.")

    def _resume_refusal(self, caller: Caller, existing: Record) -> None:
        """A refusal that died is repeated by its queue, which knows why; only where it never is, without saying so."""
        if self._is_late(existing):
            record = self._claims.write(self._claims.repeated(existing))
            self._settlement.failed(caller, record, self._abandoned(record))

    def _is_late(self, record: Record) -> bool:
        return record.try_until is not None and record.try_until <= self._parts.clock()

    def _tell_unknown(self, existing: Record, claim: Claim) -> None:
        """Say of a dead attempt's stream that its outcome is unknown, once; it stays so until the claim is free."""
        if claim.released:
            return
        doubtful = existing.model_copy(
            update={"ambiguous_creates": existing.ambiguous_creates + self._claims.left_in_doubt(existing)}
        )
        try:
            self._settlement.let_go(doubtful, claim.free_at, State.UNKNOWN)
        except Stale:
            return  # somebody has taken over
        self._parts.count("AmbiguousCreate")

    def _asked(self, record: Record) -> Wanted:
        """The request of an unsettled record, its secrets unsealed."""
        options = unseal_options(self._parts.vault, record, self._parts.provider.options_type)
        common = CreateRequest(
            name=record.stream.name,
            metadata=record.stream.metadata,
            max_lifetime_seconds=record.max_lifetime_seconds,
        )
        return Wanted(common, options, record.fingerprint)


def _failed(record: Record) -> bool:
    """Whether its key may be used anew: nothing was made under it."""
    return record.stream.state is State.FAILED and not record.claim and record.stream.provider_ref is None


def ended(record: Record) -> StreamEnded:
    """What to answer about a stream that is over: since when, and why."""
    stream = record.stream
    since = (record.ended_at or stream.updated_at).isoformat()
    why = stream.state_reason or stream.state
    return StreamEnded(
        f"The stream is {stream.state} since {since}: {why}.", state=stream.state, ended_at=since, reason=why
    )
