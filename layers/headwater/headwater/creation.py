"""Claim, create, settle: one key, one stream; one stream, one event. Pure over its ports."""

import math
from dataclasses import dataclass
from datetime import datetime, timedelta

from headwater import events
from headwater.claims import Claims, Origin
from headwater.deadline import Deadline
from headwater.errors import (
    CallerError,
    CreationInProgress,
    Effect,
    HeadwaterError,
    IdempotencyKeyReused,
    ProviderError,
    ProviderOutcomeUnknown,
    ProviderSecretInvalid,
    StreamEnded,
)
from headwater.ports import Caller, Parts, Stale
from headwater.provider import Order, Resource
from headwater.records import Claim, Credentials, Record
from headwater.requests import Wanted
from headwater.sealing import seal_credentials, unseal_credentials
from headwater.streams import OVER, Lease, State, Stream


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
        """Record a bus request that cannot be carried out, and announce that, unless its key is settled already."""
        record = self._claims.unreadable(caller, key)
        existing = self._parts.store.claim(record)
        if existing is None or same_worker(existing, record):
            self._fail(caller, record, error)
        elif existing.claim and existing.claim.free_at <= self._parts.clock():
            self._fail(caller, self._taken_over(self._claims.repeated(existing)), error)

    # -- the key was used before

    def _answer_used_key(self, caller: Caller, existing: Record, wanted: Wanted, deadline: Deadline) -> Opened:
        stream = existing.stream
        if stream.state is State.FAILED and not existing.claim and stream.provider_ref is None:
            return self._take_over(caller, existing, wanted, deadline)
        if existing.fingerprint != wanted.fingerprint:
            raise IdempotencyKeyReused("This key was used before, for a request with another body.")
        if existing.claim:
            return self._await_or_take_over(caller, existing, existing.claim, wanted, deadline)
        if stream.state in OVER | {State.ENDING, State.FAILED}:
            raise ended(existing)
        return self._replay(existing)

    def _await_or_take_over(
        self, caller: Caller, existing: Record, claim: Claim, wanted: Wanted, deadline: Deadline
    ) -> Opened:
        wait = (claim.free_at - self._parts.clock()).total_seconds()
        if wait > 0:
            raise CreationInProgress(
                "The stream of this key is being created, or what became of it is not known yet.",
                retry_after=math.ceil(wait),
            )
        return self._take_over(caller, existing, wanted, deadline)

    def _replay(self, record: Record) -> Opened:
        sealed = self._parts.store.credentials(record.stream.id)
        return Opened(record.stream, unseal_credentials(self._parts.vault, record, sealed), replayed=True)

    def _take_over(self, caller: Caller, existing: Record, wanted: Wanted, deadline: Deadline) -> Opened:
        """Make the next attempt ours, then go on from where the last one died."""
        record = self._taken_over(self._claims.following(existing, wanted, deadline))
        if self._too_ambiguous(record):
            raise self._fail(caller, record, _unknown(self._parts.provider.name))
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
        provider, stream = self._parts.provider, record.stream
        generation = record.claim.generation if record.claim else 1
        order = Order(stream.id, wanted.options, stream.name, generation)
        in_time = deadline.sooner(self._parts.settle_reserve)
        try:
            found = provider.find(order, in_time) if resuming else None
            resource = found or provider.create(order, in_time)
        except (ProviderError, ProviderSecretInvalid, CallerError) as error:
            raise self._not_made(caller, record, wanted, error) from None
        return self._settle(caller, record, resource, wanted, deadline)

    def _not_made(self, caller: Caller, record: Record, wanted: Wanted, error: HeadwaterError) -> HeadwaterError:
        """Record what the failure means for the next attempt; the error to answer with."""
        unknown = isinstance(error, ProviderError) and error.effect is Effect.UNKNOWN
        if unknown and not self._parts.provider.guarded:
            return self._in_doubt(caller, record, wanted, error)
        transient = isinstance(error, ProviderSecretInvalid) or (
            isinstance(error, ProviderError) and (error.transient or unknown)
        )
        if not transient:
            return self._fail(caller, record, error)
        self._release(record, self._parts.clock(), State.PROVISIONING)
        return error

    def _in_doubt(self, caller: Caller, record: Record, wanted: Wanted, error: HeadwaterError) -> HeadwaterError:
        doubtful = record.model_copy(update={"ambiguous_creates": record.ambiguous_creates + 1})
        answer = _unknown(self._parts.provider.name, error)
        if self._too_ambiguous(doubtful):
            return self._fail(caller, doubtful, answer)
        wait = self._claims.doubt_seconds(wanted)
        self._release(doubtful, self._parts.clock() + timedelta(seconds=wait), State.UNKNOWN)
        answer.retry_after = math.ceil(wait) or 1
        return answer

    def _release(self, record: Record, free_at: datetime, state: State) -> None:
        """Let go of the claim, so that a client told to come back is not met by our own shadow."""
        if not record.claim:
            return
        moment = self._parts.clock()
        claim = record.claim.model_copy(update={"until": moment, "free_at": free_at, "released": True})
        stream = record.stream.model_copy(update={"state": state})
        try:
            self._parts.store.update(record.model_copy(update={"claim": claim, "stream": stream}))
        except Stale:
            return  # another attempt has taken over meanwhile: it is not ours to release

    def _fail(self, caller: Caller, record: Record, error: HeadwaterError) -> HeadwaterError:
        """Settle as failed, with its event; the error to answer with."""
        moment = self._parts.clock()
        stream = record.stream.model_copy(
            update={
                "state": State.FAILED,
                "state_reason": error.code,
                "version": record.stream.version + 1,
                "updated_at": moment,
            }
        )
        failed = record.model_copy(
            update={"stream": stream, "claim": None, "ended_at": moment, "request_secrets": None}
        )
        event = events.happened(
            events.StreamFailed, stream, caller.tenant, caller.request_id, problem=events.problem(error)
        )
        try:
            self._parts.store.settle(failed, event)
        except Stale:
            return CreationInProgress("Another request with this key took over.", retry_after=1)
        error.settled = True
        return error

    # -- settle

    def _settle(self, caller: Caller, record: Record, resource: Resource, wanted: Wanted, deadline: Deadline) -> Opened:
        settled = self._settled(record, resource)
        credentials = Credentials(ingest=list(resource.ingest), playback=list(resource.playback))
        sealed = seal_credentials(self._parts.vault, settled, credentials)
        event = events.happened(events.StreamCreated, settled.stream, caller.tenant, caller.request_id)
        try:
            self._parts.store.settle(settled, event, sealed)
        except Stale:
            return self._settle_refused(caller, settled, credentials, wanted, deadline)
        return Opened(settled.stream, credentials, replayed=False)

    def _settled(self, record: Record, resource: Resource) -> Record:
        moment = self._parts.clock()
        lifetime = record.max_lifetime_seconds or (self._parts.leased_lifetime if resource.lease_seconds else None)
        stream = record.stream.model_copy(
            update={
                "provider_ref": resource.ref,
                "state": resource.state,
                "state_reason": resource.state_reason,
                "provider_status": resource.provider_status,
                "version": record.stream.version + 1,
                "updated_at": moment,
                "expires_at": moment + timedelta(seconds=lifetime) if lifetime else None,
                "lease": leased(resource, moment),
                "ingest": [access.public() for access in resource.ingest],
                "playback": [access.public() for access in resource.playback],
            }
        )
        return record.model_copy(
            update={
                "stream": stream,
                "claim": None,
                "notes": resource.notes,
                "request_secrets": None,
                "ended_at": None,
            }
        )

    def _settle_refused(
        self, caller: Caller, ours: Record, credentials: Credentials, wanted: Wanted, deadline: Deadline
    ) -> Opened:
        """The claim is no longer this attempt's: see what is recorded, and leave nothing beside it."""
        recorded = self._parts.store.load(ours.stream.id)
        if recorded and not recorded.claim and recorded.attempt == ours.attempt:
            return Opened(recorded.stream, credentials, replayed=False)  # our own write, its answer lost
        same = recorded is not None and recorded.stream.provider_ref == ours.stream.provider_ref
        if not self._parts.provider.guarded and not same:
            self._parts.provider.remove(ours.handle, deadline)
        if recorded is None or recorded.claim:
            raise CreationInProgress("Another request with this key took over.", retry_after=1)
        return self._answer_used_key(caller, recorded, wanted, deadline)


def same_worker(one: Record, other: Record) -> bool:
    """Whether both are the claim of one worker: a write of its own, repeated because its answer was lost."""
    return one.claim is not None and other.claim is not None and one.claim.worker == other.claim.worker


def leased(resource: Resource, moment: datetime) -> Lease | None:
    """The lease that a resource came with, counted from ``moment``."""
    if resource.lease_seconds is None:
        return None
    expires_at = moment + timedelta(seconds=resource.lease_seconds)
    return Lease(ttl_seconds=resource.lease_seconds, expires_at=expires_at, renewed_at=moment)


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
