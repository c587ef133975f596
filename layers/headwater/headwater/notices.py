"""What a provider tells by itself of one of its resources becomes the state of the stream. Pure over its ports."""

from collections.abc import Mapping
from datetime import timedelta

from headwater.errors import PreconditionFailed
from headwater.keeping import CLOSED, WRITES, Keeping
from headwater.opening import look_at
from headwater.ports import Caller, Parts
from headwater.provider import Notice
from headwater.records import LOOK_SECONDS, Record

CLOCKS_DIFFER = timedelta(seconds=5)
"""How far a provider's clock may be behind ours, or its seconds cut off."""


class Notices:
    """Hears the notifications of one provider."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._keeping = Keeping(parts)

    def hear(self, headers: Mapping[str, str], body: str, request_id: str) -> None:
        """Record and announce what is told, once, if it is of a stream of ours and newer than what is known.

        Raises ``NotificationRefused``, ``MalformedBody``; ``PreconditionFailed``, so that it is sent again, where
        others wrote all the time.
        """
        notice = self._parts.provider.notice(headers, body)
        if notice:
            for stream_id in self._parts.store.recorded_as(self._parts.provider.name, notice.ref):
                self._note(stream_id, notice, request_id)

    def _note(self, stream_id: str, notice: Notice, request_id: str) -> None:
        for _ in range(WRITES):
            record = self._parts.store.load(stream_id)
            if record is None or not _is_news(notice, record):
                return
            try:
                self._written(Caller(record.tenant, request_id), record, notice)
            except PreconditionFailed:
                continue
            return
        raise PreconditionFailed("The stream was changed by other requests all the time.")

    def _written(self, caller: Caller, record: Record, notice: Notice) -> None:
        told = {
            "state": notice.state,
            "state_reason": notice.state_reason,
            "provider_status": notice.provider_status,
        }
        stream = record.stream.model_copy(update=told)
        next_look = look_at(self._parts, notice.state, stream.lease, self._parts.present())
        if record.told_at and notice.at < record.told_at:
            next_look = self._parts.present() + timedelta(seconds=LOOK_SECONDS)  # which of the two was first?
        after = record.model_copy(update={"stream": stream, "noticed_at": notice.at, "look_at": next_look})
        if (stream.state, stream.state_reason) != (record.stream.state, record.stream.state_reason):
            self._keeping.turned(caller, record, after)
        else:
            self._keeping.write(None, record, after)


def _is_news(notice: Notice, record: Record) -> bool:
    """Whether it is of this stream as it stands, and newer than what was told or seen of it."""
    stream = record.stream
    if record.claim or stream.state in CLOSED or stream.provider_ref != notice.ref:
        return False
    heard = record.noticed_at is not None and notice.at <= record.noticed_at
    seen = record.told_at is not None and notice.at < record.told_at - CLOCKS_DIFFER
    return not (heard or seen)
