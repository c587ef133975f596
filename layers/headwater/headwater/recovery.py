"""What a dead attempt left is gone on with by whoever finds it, when nobody waits. Pure over its ports."""

from contextlib import suppress

from pydantic import ValidationError

from headwater.attempt import outcome_unknown, take_over
from headwater.claims import Asked, Claims
from headwater.deadline import Deadline
from headwater.errors import CreationAbandoned, HeadwaterError
from headwater.ports import Caller, Parts, Stale
from headwater.records import Claim, Record
from headwater.requests import CreateRequest, LeaseRequest, Wanted
from headwater.sealing import unseal_options
from headwater.settlement import Settlement, Superseded
from headwater.streams import State


class Recovery:
    """Finishes or closes what was left unsettled at one provider."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._claims = Claims(parts)
        self._settlement = Settlement(parts)

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
        wanted = self._wanted(existing)
        if wanted is None:
            self._resume_refusal(caller, existing)
            return
        asked = Asked(caller, wanted, existing.origin, existing.try_until)
        attempt = take_over(self._parts, existing, asked, deadline)
        if self._is_abandoned(existing):
            attempt.finish(self._abandoned(attempt.record))
            return
        with suppress(Superseded):  # another attempt has it
            attempt.make()

    def _is_abandoned(self, record: Record) -> bool:
        """Whether nobody would have anything of a stream that was created now."""
        # Without a guard a second create may make a second one, and the caller who waited for its secrets is gone.
        return self._claims.is_late(record) or (record.origin == "api" and not self._parts.provider.guard_seconds)

    def _abandoned(self, record: Record) -> HeadwaterError:
        if record.ambiguous_creates:
            return outcome_unknown(self._parts.provider.name)
        return CreationAbandoned("The stream was not created in time, and nobody waits for it any more.")

    def _resume_refusal(self, caller: Caller, existing: Record) -> None:
        """Close, once it is late, what cannot be resumed: a request that was never readable, or is no longer.

        A refusal that died is repeated by its queue until then, which knows why.
        """
        if self._claims.is_late(existing):
            record = self._claims.write(self._claims.repeated(existing))
            self._settlement.failed(caller, record, self._abandoned(record))

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

    def _wanted(self, record: Record) -> Wanted | None:
        """The request of an unsettled record, its secrets unsealed; None where it cannot be read (any more)."""
        if not record.fingerprint:
            return None
        try:
            options = unseal_options(self._parts.vault, record, self._parts.provider.options_type)
        except ValidationError:
            return None
        common = CreateRequest(
            name=record.stream.name,
            metadata=record.stream.metadata,
            max_lifetime_seconds=record.max_lifetime_seconds,
            lease=None if record.lease_managed else LeaseRequest(managed=False),
        )
        return Wanted(common, options, record.fingerprint)
