"""How a stream ends: first it is recorded that it is to, then it is removed, then that is told. Pure over its ports.

In this order nobody takes what is being removed for lost, and whoever finds the record of a dead worker goes on.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta

from headwater import events
from headwater.deadline import Deadline
from headwater.errors import Effect, HeadwaterError, OperatorError, ProviderError
from headwater.events import Happened
from headwater.keeping import GOING, Keeping
from headwater.ports import Caller, Parts
from headwater.records import Record
from headwater.streams import OVER, State, Stream

DELETED, EXPIRED = "deleted", "expired"
TOLD_BY: dict[str, type[Happened]] = {DELETED: events.StreamDeleted, EXPIRED: events.StreamExpired}
"""The event of an end by its reason; of any other reason it is that the state has changed."""
AGAIN_SECONDS = 60
"""After so long somebody else goes on with an end that was begun. Whoever sweeps has a growing pause of their own."""


@dataclass(frozen=True)
class Ended:
    """A stream that has ended, or is ``ending`` since its provider is away; what ``remains`` of it at the provider."""

    stream: Stream
    remains: str | None = None


class Ending:
    """Ends the streams of one provider."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._keeping = Keeping(parts)

    def remove(self, caller: Caller, stream_id: str, deadline: Deadline) -> Ended:
        """End it because its caller asks. One that is over is left as it is.

        Raises ``StreamNotFound``, ``CreationInProgress``, and what its provider refuses for good: it stays ``ending``.
        """
        record = self._keeping.own(caller, stream_id)
        self._keeping.require_settled(record)
        if record.stream.state in OVER or record.stream.provider_ref is None:
            return Ended(record.stream)
        return self.end(caller, record, DELETED, deadline)

    def expire(self, caller: Caller, record: Record, deadline: Deadline) -> None:
        """End it, if its lifetime is over, and was not prolonged just now."""
        with suppress(_Prolonged):
            self._go_on(caller, self._begun(caller, record, EXPIRED, self._require_expired), EXPIRED, deadline)

    def end(self, caller: Caller, record: Record, reason: str, deadline: Deadline) -> Ended:
        """End it for this reason, or go on with an end that was begun, whose reason stays.

        Raises as ``remove`` does.
        """
        return self._go_on(caller, self._begun(caller, record, reason, _require_nothing), reason, deadline)

    def _require_expired(self, found: Record) -> None:
        expires_at = found.stream.expires_at
        if expires_at is None or expires_at > self._parts.present():
            raise _Prolonged

    def _go_on(self, caller: Caller, record: Record, reason: str, deadline: Deadline) -> Ended:
        if record.stream.state in OVER:
            return Ended(record.stream)
        try:
            removal = self._parts.provider.remove(record.handle, self._keeping.in_time(deadline))
        except (ProviderError, OperatorError) as error:
            if not _passes(error):
                raise
            return Ended(record.stream)
        reason = record.stream.state_reason or reason
        kind = TOLD_BY.get(reason, events.StreamStateChanged)
        record = self._keeping.over(caller, record, State.ENDED, reason, kind, remains=removal.remains)
        return Ended(record.stream, removal.remains)

    def _begun(self, caller: Caller, record: Record, reason: str, require: Callable[[Record], None]) -> Record:
        """The record of a stream that is to end, if it is as is required when that is written."""

        def ending(found: Record) -> Record:
            require(found)
            stream = found.stream.model_copy(update={"state": State.ENDING, "state_reason": reason})
            look_at = self._parts.present() + timedelta(seconds=AGAIN_SECONDS)
            return found.model_copy(update={"stream": stream, "look_at": look_at})

        return self._keeping.insist(caller, record, ending, None, GOING)


class _Prolonged(Exception):
    """Its lifetime is not over."""


def _require_nothing(_: Record) -> None:
    """It is to end whatever it is like."""


def _passes(error: HeadwaterError) -> bool:
    """Whether the same call may succeed later, with nobody changing anything but the operator."""
    unknown = isinstance(error, ProviderError) and error.effect is Effect.UNKNOWN
    return unknown or isinstance(error, OperatorError) or (isinstance(error, ProviderError) and error.transient)
