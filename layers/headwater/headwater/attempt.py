"""One attempt at making a stream: find what an earlier one made, else create, then settle. Pure over its ports."""

import math
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta

from headwater.claims import Asked, Claims
from headwater.deadline import Deadline
from headwater.errors import (
    CallerError,
    CreateUndecided,
    CreationInProgress,
    Effect,
    GuardSpent,
    HeadwaterError,
    OperatorError,
    ProviderError,
    ProviderOutcomeUnknown,
    ProviderUnavailable,
)
from headwater.ports import Parts
from headwater.provider import Options, Order, Resource, Search
from headwater.records import Credentials, Record
from headwater.settlement import Settlement, Superseded
from headwater.streams import State


class Attempt:
    """The attempt of the worker that holds ``record``'s claim; ``record`` is always as it was last written."""

    def __init__(self, parts: Parts, record: Record, asked: Asked, deadline: Deadline) -> None:
        self._parts = parts
        self._claims = Claims(parts)
        self._settlement = Settlement(parts)
        self._in_time = deadline.sooner(parts.settle_reserve)
        self._search: Search | None = None
        self._last_word: HeadwaterError | None = None
        self.record = record
        self.asked = asked
        self.deadline = deadline

    def make(self) -> tuple[Record, Credentials]:
        """The settled stream: what an earlier attempt made, else what this one creates.

        Raises what the provider says no with, having settled or released the claim, and ``Superseded``.
        """
        return self._settled(lambda: self._found() or self._created())

    def finish(self, error: HeadwaterError) -> None:
        """Settle what an earlier attempt made, unless another has it; else settle as failed, and raise ``error``.

        Raises ``CreateUndecided``, having released the claim, where there may be one that should be found yet.
        """
        self._last_word = error
        with suppress(Superseded):
            self._settled(lambda: self._found() or self._nothing(error))

    def fail(self, error: HeadwaterError) -> HeadwaterError:
        """Settle as failed; the error to answer with."""
        return self._settlement.failed(self.asked.caller, self.record, error)

    # -- have it

    def _found(self) -> Resource | None:
        """What an earlier attempt made; the first one has nothing to look for."""
        if self.record.attempt > 1:
            try:
                self._search = self._parts.provider.find(self._order(), self._in_time)
            except ProviderError as error:
                if error.transient:
                    raise
                # A search that is refused says nothing of what is there.
                raise _undecided(self._parts.provider.name, error) from None
        return self._search.resource if self._search else None

    def _created(self) -> Resource:
        """Create, where that can make no second one as far as the provider lets anybody know."""
        self._require_guard()
        try:
            return self._parts.provider.create(self._order(), self._in_time)
        except GuardSpent as spent:
            self._require_gone(spent)
            return self._parts.provider.create(self._order(), self._in_time)

    def _require_guard(self) -> None:
        """Go on under the guard of this generation, or, where nothing was made, under a new one's.

        Raises ``CreateUndecided`` where the guard is over and the search has proved nothing.
        """
        seconds = self._parts.provider.guard_seconds
        since = self.record.guarded_since
        if self._search is None or not seconds or since is None:
            return
        if (self._parts.present() - since).total_seconds() < seconds:
            return
        if not self._search.conclusive:
            raise _undecided(self._parts.provider.name)
        self._require_landed()
        self._begin_generation()

    def _require_landed(self) -> None:
        """Raises ``ProviderUnavailable`` while an earlier request may be under way: no search shows what it makes."""
        if wait := self._landing():
            raise ProviderUnavailable("An earlier request may still be under way.", retry_after=wait)

    def _landing(self) -> float:
        """Seconds until nothing is under way any more; 0 where that is certain now, or is nobody's concern."""
        landed_at = self.record.landed_at
        if landed_at is None or not self._parts.provider.guard_seconds:
            return 0
        return max(0.0, (landed_at - self._parts.clock()).total_seconds())

    def _require_gone(self, spent: GuardSpent) -> None:
        """Begin a generation once what holds the guard is certainly gone.

        Providers do not say whether a request that is still under way is answered so too. So it must be told twice,
        with time between for a dead worker's request to land, and a complete search must have found nothing. What is
        told after a call of our own that got no answer is told for the first time: that one may be under way.
        """
        first_told, moment = self.record.guard_spent_at, self._parts.clock()
        if first_told is None or spent.effect is Effect.UNKNOWN:
            self.record = self._claims.write(self.record.model_copy(update={"guard_spent_at": moment}))
            raise spent
        if (moment - first_told).total_seconds() < self._parts.landing:
            raise spent
        if self._search is None or not self._search.conclusive:
            raise _undecided(self._parts.provider.name, spent)
        self._begin_generation()

    def _begin_generation(self) -> None:
        """Recorded before anything is made under it: whoever takes over must look under the same."""
        update = {
            "generation": self.record.generation + 1,
            "guarded_since": self._parts.present(),
            "guard_spent_at": None,
        }
        self.record = self._claims.write(self.record.model_copy(update=update))

    def _may_be_hidden(self) -> bool:
        """Whether what an earlier attempt made may be where it could be found, and was not shown."""
        return bool(self._parts.provider.guard_seconds and self._search and not self._search.conclusive)

    def _nothing(self, error: HeadwaterError) -> Resource:
        if self._may_be_hidden():
            raise _undecided(self._parts.provider.name)
        self._require_landed()
        raise error

    def _order(self) -> Order[Options]:
        record = self.record
        return Order(
            record.stream.id, self.asked.wanted.options, record.stream.name, record.generation, self._parts.deployment
        )

    # -- end it

    def _settled(self, work: Callable[[], Resource]) -> tuple[Record, Credentials]:
        try:
            resource = work()
        except CreationInProgress:
            raise  # somebody else has it, or is about to
        except (ProviderError, OperatorError, CallerError) as error:
            raise self._not_made(error) from None
        try:
            made = self._settlement.made(self.asked.caller, self.record, resource, self.deadline)
        except Superseded as superseded:
            self._leave_nothing_beside(superseded)
            raise
        self._parts.count("StreamProvisioned")
        return made

    def _leave_nothing_beside(self, superseded: Superseded) -> None:
        """Another attempt has the claim: what ours made goes, unless it is the very one that is recorded."""
        ours, recorded = superseded.ours, superseded.recorded
        same = recorded is not None and recorded.stream.provider_ref == ours.stream.provider_ref
        if not self._parts.provider.guard_seconds and not same:
            self._parts.provider.remove(ours.handle, self.deadline)

    def _not_made(self, error: HeadwaterError) -> HeadwaterError:
        """Record what the failure means for the next attempt; the error to answer with."""
        if error is self._last_word:
            return self.fail(error)
        if isinstance(error, CreateUndecided):
            return self._left_undecided(error)
        if isinstance(error, GuardSpent):
            return self._released(error, self._parts.landing, State.PROVISIONING)
        unknown = isinstance(error, ProviderError) and error.effect is Effect.UNKNOWN
        if unknown and not self._parts.provider.guard_seconds:
            return self._in_doubt(error)
        if unknown:
            sent = {"landed_at": self._claims.landed_at(self._parts.clock()), "guard_spent_at": None}
            self.record = self.record.model_copy(update=sent)
        transient = isinstance(error, OperatorError) or (
            isinstance(error, ProviderError) and (error.transient or unknown)
        )
        if transient:
            self._settlement.released(self.record, self._parts.clock(), State.PROVISIONING, error.retry_after)
            return error
        return self._refused(error)

    def _refused(self, error: HeadwaterError) -> HeadwaterError:
        """This attempt made nothing; the stream has failed where an earlier one certainly made nothing either."""
        if self._may_be_hidden():
            return self._left_undecided(error)
        if wait := self._landing():
            return self._released(error, wait, State.PROVISIONING)
        # Whoever asks anew begins with a whole guard.
        self.record = self.record.model_copy(update={"guarded_since": None, "guard_spent_at": None})
        return self.fail(error)

    def _left_undecided(self, error: HeadwaterError) -> HeadwaterError:
        self._parts.count("UndecidedCreate")
        return self._released(error, self._parts.undecided_pause, State.UNKNOWN)

    def _in_doubt(self, error: HeadwaterError) -> HeadwaterError:
        self._parts.count("AmbiguousCreate")
        self.record = self.record.model_copy(update={"ambiguous_creates": self.record.ambiguous_creates + 1})
        answer = outcome_unknown(self._parts.provider.name, error)
        if too_ambiguous(self._parts, self.record):
            return self.fail(answer)
        return self._released(answer, self._claims.doubt_seconds(self.asked.wanted), State.UNKNOWN)

    def _released(self, error: HeadwaterError, wait: float, state: State) -> HeadwaterError:
        """Let go of the claim for ``wait`` seconds; the error says when to come again."""
        self._settlement.released(self.record, self._parts.clock() + timedelta(seconds=wait), state)
        error.retry_after = math.ceil(wait) or 1
        return error


def take_over(parts: Parts, existing: Record, asked: Asked, deadline: Deadline) -> Attempt:
    """The next attempt, ours.

    Raises ``CreationInProgress`` where another was quicker, ``ProviderOutcomeUnknown``, settled, where there may be no
    further attempt.
    """
    claims = Claims(parts)
    record = claims.write(claims.following(existing, asked, deadline))
    attempt = Attempt(parts, record, asked, deadline)
    if claims.left_in_doubt(existing):
        parts.count("AmbiguousCreate")
    if too_ambiguous(parts, record):
        raise attempt.fail(outcome_unknown(parts.provider.name))
    return attempt


def too_ambiguous(parts: Parts, record: Record) -> bool:
    """Whether more creates have ended unknown than the provider allows."""
    allowed = parts.provider.ambiguous_creates_allowed
    return allowed is not None and record.ambiguous_creates > allowed


def outcome_unknown(provider: str, error: HeadwaterError | None = None) -> ProviderOutcomeUnknown:
    """What to say of a create whose answer was lost where nothing can be looked for."""
    return ProviderOutcomeUnknown(
        f"It cannot be learnt whether {provider} created the stream.", upstream=error.upstream if error else None
    )


def _undecided(provider: str, error: HeadwaterError | None = None) -> CreateUndecided:
    return CreateUndecided(
        f"{provider} may have made the stream, but does not show it, and might make another if asked again.",
        upstream=error.upstream if error else None,
    )
