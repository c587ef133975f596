"""Whose turn it is to create, and what an attempt begins with. Pure over its ports."""

import secrets
from datetime import timedelta
from typing import Literal

from pydantic import JsonValue

from headwater.deadline import Deadline
from headwater.ports import Caller, Parts
from headwater.records import Claim, Record
from headwater.requests import Wanted
from headwater.sealing import seal_request
from headwater.streams import State, Stream, href, identify

type Origin = Literal["api", "bus"]


class Claims:
    """Makes the claimed records of one provider."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def first(self, caller: Caller, key: str, wanted: Wanted, deadline: Deadline, origin: Origin) -> Record:
        """The record of a key that is new."""
        common = wanted.common
        stream = self._stream(caller, key, wanted.public_options)
        record = Record(
            stream=stream.model_copy(update={"name": common.name, "metadata": common.metadata}),
            tenant=caller.tenant,
            fingerprint=wanted.fingerprint,
            origin=origin,
            max_lifetime_seconds=common.max_lifetime_seconds,
            claim=self._claim(1, deadline.remaining(), self.doubt_seconds(wanted)),
        )
        return self._with_secrets(record, wanted)

    def unreadable(self, caller: Caller, key: str) -> Record:
        """The record of a request that cannot be carried out: claimed only to be settled as failed at once."""
        stream = self._stream(caller, key, {})
        claim = self._claim(1, 0, 0)
        return Record(stream=stream, tenant=caller.tenant, fingerprint="", origin="bus", claim=claim)

    def following(self, existing: Record, wanted: Wanted, deadline: Deadline) -> Record:
        """``existing`` with its next attempt ours; it takes the request's place, which a failed one may differ from."""
        common, attempt = wanted.common, existing.attempt + 1
        generation = existing.claim.generation if existing.claim else 1
        stream = existing.stream.model_copy(
            update={
                "name": common.name,
                "metadata": common.metadata,
                "options": wanted.public_options,
                "state": State.PROVISIONING,
                "state_reason": None,
            }
        )
        record = existing.model_copy(
            update={
                "stream": stream,
                "attempt": attempt,
                "claim": self._claim(attempt, deadline.remaining(), self.doubt_seconds(wanted), generation),
                "fingerprint": wanted.fingerprint,
                "max_lifetime_seconds": common.max_lifetime_seconds,
                # A key that failed begins anew, whatever it failed of.
                "ambiguous_creates": existing.ambiguous_creates + self._left_in_doubt(existing)
                if existing.claim
                else 0,
                "ended_at": None,
            }
        )
        return self._with_secrets(record, wanted)

    def repeated(self, existing: Record) -> Record:
        """``existing`` with its next attempt ours, only to be settled as failed at once."""
        attempt = existing.attempt + 1
        return existing.model_copy(update={"attempt": attempt, "claim": self._claim(attempt, 0, 0)})

    def doubt_seconds(self, wanted: Wanted) -> float:
        """How long after a worker's death a resource of its that nobody can find may live on."""
        alive = self._parts.provider.orphan_seconds(wanted.options)
        return alive + self._parts.landing if alive else 0

    def _left_in_doubt(self, existing: Record) -> int:
        """1 where the last worker died without saying what it did, and nobody can find out."""
        died = existing.claim is not None and not existing.claim.released
        return int(died and not self._parts.provider.guarded)

    def _claim(self, attempt: int, seconds: float, doubt_seconds: float, generation: int = 1) -> Claim:
        until = self._parts.clock() + timedelta(seconds=seconds + self._parts.claim_margin)
        free_at = until + timedelta(seconds=doubt_seconds)
        return Claim(attempt=attempt, until=until, free_at=free_at, generation=generation, worker=secrets.token_hex(8))

    def _stream(self, caller: Caller, key: str, options: dict[str, JsonValue]) -> Stream:
        provider, moment = self._parts.provider.name, self._parts.clock()
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
