"""It is noted that somebody is about to change a stream at its provider, until he has, or is dead for certain. Pure.

Whoever looks meanwhile does not take half of it for drift, and somebody looks should he die.
"""

import secrets
from contextlib import suppress
from datetime import datetime, timedelta

from headwater.deadline import Deadline
from headwater.errors import Effect, HeadwaterError, PreconditionFailed, ProviderError, StreamNotFound
from headwater.keeping import GOING, Keeping
from headwater.opening import look_at
from headwater.ports import Caller, Parts
from headwater.records import Record


class Beginning:
    """The note of one call, which may have to begin anew over somebody else's write."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._keeping = Keeping(parts)
        self._worker = secrets.token_hex(8)
        self._look_at: datetime | None = None
        self.begun = False

    def others(self, record: Record) -> bool:
        """Whether somebody else may be changing it just now."""
        theirs = {worker: until for worker, until in record.changing.items() if worker != self._worker}
        return self._keeping.is_being_changed(record.model_copy(update={"changing": theirs}))

    def note(self, record: Record, deadline: Deadline) -> Record:
        """The record with our note on it. Raises ``PreconditionFailed``."""
        until = self._parts.clock() + timedelta(seconds=deadline.worker_ends() + self._parts.claim_margin)
        noted = record.model_copy(update={"changing": record.changing | {self._worker: until}})
        begun = self._keeping.write(None, record, noted)
        if not self.begun:
            self.begun, self._look_at = True, record.look_at
        return begun

    def over(self, found: Record) -> Record:
        """``found`` without our note, to be looked at when it was to be before."""
        if not self.begun:
            return found
        others = {worker: until for worker, until in found.changing.items() if worker != self._worker}
        by_rule = look_at(self._parts, found.stream.state, found.stream.lease, self._parts.present())
        looks = [moment for moment in (self._look_at, by_rule) if moment]
        return found.model_copy(update={"changing": others, "look_at": min(looks, default=None)})

    def failed(self, caller: Caller, begun: Record, error: HeadwaterError) -> None:
        """Take the note back, for nothing came of it; or shorten it to the time in which a request that was not
        answered may still land. Where that cannot be noted, somebody looks later."""
        unknown = isinstance(error, ProviderError) and error.effect is Effect.UNKNOWN
        with suppress(PreconditionFailed, StreamNotFound):
            change = self._landing if unknown else self.over
            self._keeping.insist(caller, begun, change, None, GOING)

    def _landing(self, found: Record) -> Record:
        until = self._parts.clock() + timedelta(seconds=self._parts.landing)
        return found.model_copy(update={"changing": found.changing | {self._worker: until}})
