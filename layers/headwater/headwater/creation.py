"""Claim, create, settle: one key, one stream; one stream, one event. Pure over its ports."""

import math
from dataclasses import dataclass
from datetime import timedelta

from headwater.claims import Claims, Origin
from headwater.deadline import Deadline
from headwater.errors import (
    CallerError,
    CreationInProgress,
    Effect,
    HeadwaterError,
    IdempotencyKeyReused,
    OperatorError,
    ProviderError,
    ProviderOutcomeUnknown,
    StreamEnded,
)
from headwater.ports import Caller, Parts, Stale
from headwater.provider import Options, Order, Resource
from headwater.records import Claim, Credentials, Record
from headwater.requests import Wanted
from headwater.sealing import unseal_credentials
from headwater.settlement import Settlement, Superseded
from headwater.streams import OVER, State, Stream


@dataclass(frozen=True)
class Opened:
    """An open stream with all that opens it."""

    stream: Stream
    credentials: Credentials
    replayed: bool


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
    ) -> Opened:
        """The stream of this key: made now, or the one that was made before.

        Raises what the provider says no with, ``CreationInProgress`` while another worker makes it,
        ``IdempotencyKeyReused`` for another request, ``StreamEnded`` once it is over.
        """
        record = self._claims.first(caller, key, wanted, deadline, origin)
        existing = self._parts.store.claim(record)
        if existing is None or same_worker(existing, record):
            return self._make(caller, record, wanted, deadline, resuming=False)
        return self._answer_used_key(caller, existing, wanted, deadline)

    def refuse(self, caller: Caller, key: str, error: HeadwaterError) -> None:
        """Record a bus request that cannot be carried out, and announce that, unless its key has a record already."""
        record = self._claims.unreadable(caller, key)
        existing = self._parts.store.claim(record)
        if existing is None or same_worker(existing, record):
            self._settlement.failed(caller, record, error)
        elif existing.claim and existing.fingerprint == record.fingerprint:
            # An earlier refusal, whose worker died before it could say so.
            self._require_free(existing.claim)
            self._settlement.failed(caller, self._taken_over(self._claims.repeated(existing)), error)

    def give_up(self, caller: Caller, key: str, wanted: Wanted, deadline: Deadline, error: HeadwaterError) -> None:
        """End a bus request that nobody waits for any more: settle what an earlier attempt made, else fail it.

        Raises ``CreationInProgress`` while an earlier attempt may still be at it.
        """
        record = self._claims.first(caller, key, wanted, deadline, "bus")
        existing = self._parts.store.claim(record)
        if existing is None or same_worker(existing, record):
            self._settlement.failed(caller, record, error)
        elif existing.claim and existing.fingerprint == wanted.fingerprint:
            self._require_free(existing.claim)
            record = self._taken_over(self._claims.following(existing, wanted, deadline))
            found = self._parts.provider.find(_order(record, wanted), deadline.sooner(self._parts.settle_reserve))
            if found:
                self._settle(caller, record, found, wanted, deadline)
            else:
                self._settlement.failed(caller, record, error)

    # -- the key was used before

    def _answer_used_key(self, caller: Caller, existing: Record, wanted: Wanted, deadline: Deadline) -> Opened:
        stream = existing.stream
        if stream.state is State.FAILED and not existing.claim and stream.provider_ref is None:
            return self._take_over(caller, existing, wanted, deadline)
        if existing.fingerprint != wanted.fingerprint:
            raise IdempotencyKeyReused("This key was used before, for a request with another body.")
        if existing.claim:
            self._require_free(existing.claim)
            return self._take_over(caller, existing, wanted, deadline)
        if stream.state in OVER | {State.ENDING, State.FAILED}:
            raise ended(existing)
        return self._replay(existing)

    def _require_free(self, claim: Claim) -> None:
        """Raises ``CreationInProgress`` while the claim's worker, or what it may have left, is not gone."""
        wait = (claim.free_at - self._parts.clock()).total_seconds()
        if wait > 0:
            raise CreationInProgress(
                "The stream of this key is being created, or what became of it is not known yet.",
                retry_after=math.ceil(wait),
            )

    def _replay(self, record: Record) -> Opened:
        sealed = self._parts.store.credentials(record.stream.id)
        return Opened(record.stream, unseal_credentials(self._parts.vault, record, sealed), replayed=True)

    def _take_over(self, caller: Caller, existing: Record, wanted: Wanted, deadline: Deadline) -> Opened:
        """Make the next attempt ours, then go on from where the last one died."""
        record = self._taken_over(self._claims.following(existing, wanted, deadline))
        if self._too_ambiguous(record):
            raise self._settlement.failed(caller, record, _unknown(self._parts.provider.name))
        return self._make(caller, record, wanted, deadline, resuming=True)

    def _taken_over(self, record: Record) -> Record:
        try:
            return self._parts.store.update(record)
        except Stale:
            current = self._parts.store.load(record.stream.id)
            if current and same_worker(current, record):
                return current  # our own write, its answer lost
            raise CreationInProgress("Another request with this key was quicker.", retry_after=1) from None

    def _too_ambiguous(self, record: Record) -> bool:
        allowed = self._parts.provider.ambiguous_creates_allowed
        return allowed is not None and record.ambiguous_creates > allowed

    # -- make it

    def _make(self, caller: Caller, record: Record, wanted: Wanted, deadline: Deadline, resuming: bool) -> Opened:
        provider, order = self._parts.provider, _order(record, wanted)
        in_time = deadline.sooner(self._parts.settle_reserve)
        try:
            found = provider.find(order, in_time) if resuming else None
            resource = found or provider.create(order, in_time)
        except (ProviderError, OperatorError, CallerError) as error:
            raise self._not_made(caller, record, wanted, error) from None
        return self._settle(caller, record, resource, wanted, deadline)

    def _not_made(self, caller: Caller, record: Record, wanted: Wanted, error: HeadwaterError) -> HeadwaterError:
        """Record what the failure means for the next attempt; the error to answer with."""
        unknown = isinstance(error, ProviderError) and error.effect is Effect.UNKNOWN
        if unknown and not self._parts.provider.guarded:
            return self._in_doubt(caller, record, wanted, error)
        transient = isinstance(error, OperatorError) or (
            isinstance(error, ProviderError) and (error.transient or unknown)
        )
        if not transient:
            return self._settlement.failed(caller, record, error)
        self._settlement.released(record, self._parts.clock(), State.PROVISIONING)
        return error

    def _in_doubt(self, caller: Caller, record: Record, wanted: Wanted, error: HeadwaterError) -> HeadwaterError:
        doubtful = record.model_copy(update={"ambiguous_creates": record.ambiguous_creates + 1})
        answer = _unknown(self._parts.provider.name, error)
        if self._too_ambiguous(doubtful):
            return self._settlement.failed(caller, doubtful, answer)
        wait = self._claims.doubt_seconds(wanted)
        self._settlement.released(doubtful, self._parts.clock() + timedelta(seconds=wait), State.UNKNOWN)
        answer.retry_after = math.ceil(wait) or 1
        return answer

    # -- settle

    def _settle(self, caller: Caller, record: Record, resource: Resource, wanted: Wanted, deadline: Deadline) -> Opened:
        try:
            settled, credentials = self._settlement.made(caller, record, resource, deadline)
        except Superseded as superseded:
            return self._leave_nothing_beside(caller, superseded, wanted, deadline)
        return Opened(settled.stream, credentials, replayed=False)

    def _leave_nothing_beside(
        self, caller: Caller, superseded: Superseded, wanted: Wanted, deadline: Deadline
    ) -> Opened:
        """Another attempt has the claim: what ours made goes, unless it is the very one that is recorded."""
        ours, recorded = superseded.ours, superseded.recorded
        same = recorded is not None and recorded.stream.provider_ref == ours.stream.provider_ref
        if not self._parts.provider.guarded and not same:
            self._parts.provider.remove(ours.handle, deadline)
        if recorded is None or recorded.claim:
            raise CreationInProgress("Another request with this key took over.", retry_after=1)
        return self._answer_used_key(caller, recorded, wanted, deadline)


def _order(record: Record, wanted: Wanted) -> Order[Options]:
    generation = record.claim.generation if record.claim else 1
    return Order(record.stream.id, wanted.options, record.stream.name, generation)


def same_worker(one: Record, other: Record) -> bool:
    """Whether both are the claim of one worker: a write of its own, repeated because its answer was lost."""
    return one.claim is not None and other.claim is not None and one.claim.worker == other.claim.worker


def ended(record: Record) -> StreamEnded:
    """What to answer about a stream that is over: since when, and why."""
    stream = record.stream
    since = (record.ended_at or stream.updated_at).isoformat()
    why = stream.state_reason or stream.state
    return StreamEnded(
        f"The stream is {stream.state} since {since}: {why}.", state=stream.state, ended_at=since, reason=why
    )


def _unknown(provider: str, error: HeadwaterError | None = None) -> ProviderOutcomeUnknown:
    return ProviderOutcomeUnknown(
        f"It cannot be learnt whether {provider} created the stream.", upstream=error.upstream if error else None
    )
