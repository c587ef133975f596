"""Whose turn it is to create, and what an attempt begins with. Pure over its ports."""

import math
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

from pydantic import JsonValue

from headwater.deadline import Deadline
from headwater.errors import CreationInProgress
from headwater.ports import Caller, Parts, Stale
from headwater.records import Claim, Origin, Record
from headwater.requests import Wanted
from headwater.sealing import seal_request
from headwater.streams import State, Stream, href, identify


@dataclass(frozen=True)
class Asked:
    """Who asks for what, and how."""

    caller: Caller
    wanted: Wanted
    origin: Origin
    until: datetime | None = None
    """The latest moment at which it is worth creating without somebody asking anew; None: as long as is usual."""


class Claims:
    """Makes the claimed records of one provider."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def first(self, key: str, asked: Asked, deadline: Deadline) -> Record:
        """The record of a key that is new, to be worked on at once."""
        return self._asked_for(key, asked, self.turn(1, deadline.worker_ends(), self.doubt_seconds(asked.wanted)))

    def accepted(self, key: str, asked: Asked) -> Record:
        """The record of a key that is new, to be worked on by whoever comes first."""
        return self._asked_for(key, asked, self._free(0))

    def accepted_again(self, existing: Record, asked: Asked) -> Record:
        """``existing``, which failed, to be worked on by whoever comes first."""
        return self._asked_again(existing, asked).model_copy(update={"claim": self._free(existing.attempt)})

    def awaited_anew(self, existing: Record, asked: Asked) -> Record:
        """``existing``, on which nobody works, asked for anew by somebody who does not wait."""
        awaited = existing.model_copy(update={"try_until": self._try_until(existing, asked)})
        if existing.origin != "api" and not self.is_late(existing):
            return awaited  # who asked for it first is still to be told of it
        origin = "async" if existing.origin == "api" else existing.origin
        return awaited.model_copy(update={"origin": origin, "request_id": asked.caller.request_id})

    def unreadable(self, caller: Caller, key: str) -> Record:
        """The record of a request that cannot be carried out: claimed only to be settled as failed at once."""
        stream = self._stream(caller, key, {})
        claim = self.turn(1, 0)
        return Record(
            stream=stream,
            tenant=caller.tenant,
            fingerprint="",
            origin="bus",
            request_id=caller.request_id,
            try_until=self._patient(),
            claim=claim,
        )

    def following(self, existing: Record, asked: Asked, deadline: Deadline) -> Record:
        """``existing`` with its next attempt ours; it takes the request's place, which a failed one may differ from."""
        attempt = existing.attempt + 1
        claim = self.turn(attempt, deadline.worker_ends(), self.doubt_seconds(asked.wanted))
        return self._asked_again(existing, asked).model_copy(update={"attempt": attempt, "claim": claim})

    def repeated(self, existing: Record) -> Record:
        """``existing`` with its next attempt ours, only to be settled as failed at once."""
        attempt = existing.attempt + 1
        return existing.model_copy(update={"attempt": attempt, "claim": self.turn(attempt, 0)})

    def write(self, record: Record) -> Record:
        """``record``, a claim of ours, as it is now kept. Raises ``CreationInProgress`` where another was quicker."""
        try:
            return self.put(record)
        except Stale:
            raise CreationInProgress("Another request with this key was quicker.", retry_after=1) from None

    def put(self, record: Record) -> Record:
        """As ``write``, but raises ``Stale``, which may also mean that nothing but another transaction was met."""
        try:
            return self._parts.store.update(record)
        except Stale:
            current = self._parts.store.load(record.stream.id)
            if current and same_worker(current, record) and current.revision == record.revision + 1:
                return current  # our own write, its answer lost
            raise

    def require_free(self, claim: Claim) -> None:
        """Raises ``CreationInProgress`` while the claim's worker, or what it may have left, is not gone."""
        wait = claim.wait(self._parts.clock())
        if wait > 0:
            raise CreationInProgress(
                "The stream of this key is being created, or what became of it is not known yet.",
                retry_after=math.ceil(wait),
            )

    def is_late(self, record: Record) -> bool:
        """Whether nobody has asked for it lately enough to have something of it now."""
        return _ends_by(record.try_until, self._parts.clock())

    def outlasts_its_worker(self, record: Record) -> bool:
        """Whether whoever finds it should its worker die goes on with it: who asked for it does not wait."""
        return record.origin != "api" and not (record.claim and _ends_by(record.try_until, record.claim.until))

    def left_in_doubt(self, existing: Record) -> bool:
        """Whether the last worker died without saying what it did, and nobody can find out."""
        died = existing.claim is not None and not existing.claim.released
        return died and not self._parts.provider.guard_seconds

    def landed_at(self, sent_at: datetime) -> datetime:
        """When a request that was sent then at the latest has reached the provider."""
        return sent_at + timedelta(seconds=self._parts.landing)

    def doubt_seconds(self, wanted: Wanted) -> float:
        """How long after a worker's death a resource of its that nobody can find may live on."""
        alive = self._parts.provider.orphan_seconds(wanted.options)
        return alive + self._parts.landing if alive else 0

    def _asked_for(self, key: str, asked: Asked, claim: Claim) -> Record:
        common = asked.wanted.common
        stream = self._stream(asked.caller, key, asked.wanted.public_options)
        record = Record(
            stream=stream.model_copy(update={"name": common.name, "metadata": common.metadata}),
            tenant=asked.caller.tenant,
            fingerprint=asked.wanted.fingerprint,
            attempt=claim.attempt,
            guarded_since=stream.created_at,
            origin=asked.origin,
            request_id=asked.caller.request_id,
            try_until=asked.until or self._patient(),
            max_lifetime_seconds=common.max_lifetime_seconds,
            lease_managed=common.lease_is_managed,
            claim=claim,
        )
        return self._with_secrets(record, asked.wanted)

    def _asked_again(self, existing: Record, asked: Asked) -> Record:
        common, claim = asked.wanted.common, existing.claim
        died = claim is not None and not claim.released
        stream = existing.stream.model_copy(
            update={
                "name": common.name,
                "metadata": common.metadata,
                "options": asked.wanted.public_options,
                "state": State.PROVISIONING,
                "state_reason": None,
            }
        )
        record = existing.model_copy(
            update={
                "stream": stream,
                "fingerprint": asked.wanted.fingerprint,
                # A claim from before guards were counted is as old as its record.
                "guarded_since": existing.guarded_since
                or (existing.stream.created_at if claim else self._parts.present()),
                # Whatever is told while a dead worker's request may be under way may be of that one.
                "guard_spent_at": None if died else existing.guard_spent_at,
                "landed_at": self.landed_at(claim.until) if claim and died else existing.landed_at,
                "origin": asked.origin if claim is None or existing.origin == "api" else existing.origin,
                "request_id": asked.caller.request_id,
                "try_until": self._try_until(existing, asked),
                "max_lifetime_seconds": common.max_lifetime_seconds,
                "lease_managed": common.lease_is_managed,
                # A key that failed begins anew, whatever it failed of.
                "ambiguous_creates": existing.ambiguous_creates + self.left_in_doubt(existing) if claim else 0,
                "ended_at": None,
            }
        )
        return self._with_secrets(record, asked.wanted)

    def _try_until(self, existing: Record, asked: Asked) -> datetime:
        """What was promised to somebody who does not wait stands, whoever asks after them."""
        until = asked.until or self._patient()
        promised = existing.try_until if existing.claim and existing.origin != "api" else None
        return max(until, promised) if promised else until

    def _patient(self) -> datetime:
        return self._parts.clock() + timedelta(seconds=self._parts.patience)

    def _free(self, attempt: int) -> Claim:
        moment = self._parts.clock()
        return Claim(attempt=attempt, until=moment, free_at=moment, released=True, worker=secrets.token_hex(8))

    def turn(self, attempt: int, seconds: float, doubt_seconds: float = 0) -> Claim:
        """The claim of a worker that ends so soon, of whose work something that nobody can find may live on so long."""
        until = self._parts.clock() + timedelta(seconds=seconds + self._parts.claim_margin)
        free_at = until + timedelta(seconds=doubt_seconds)
        return Claim(attempt=attempt, until=until, free_at=free_at, worker=secrets.token_hex(8))

    def _stream(self, caller: Caller, key: str, options: dict[str, JsonValue]) -> Stream:
        provider, moment = self._parts.provider.name, self._parts.present()
        stream_id = identify(self._parts.deployment, caller.tenant, provider, key)
        return Stream(
            id=stream_id,
            provider=provider,
            state=State.PROVISIONING,
            created_at=moment,
            updated_at=moment,
            options=options,
            href=href(provider, stream_id),
        )

    def _with_secrets(self, record: Record, wanted: Wanted) -> Record:
        return record.model_copy(update={"request_secrets": seal_request(self._parts.vault, record, wanted)})


def _ends_by(try_until: datetime | None, moment: datetime) -> bool:
    return try_until is not None and try_until <= moment


def same_worker(one: Record, other: Record) -> bool:
    """Whether both are the claim of one worker: a write of its own, repeated because its answer was lost."""
    return one.claim is not None and other.claim is not None and one.claim.worker == other.claim.worker
