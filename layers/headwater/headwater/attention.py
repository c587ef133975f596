"""What a stream needs now, whoever noticed: its creation resumed, its lease renewed, its end. Pure over its ports."""

from headwater.deadline import Deadline
from headwater.ending import DELETED, Ending
from headwater.events import AttentionData
from headwater.lifecycle import Lifecycle
from headwater.ports import Caller, Parts
from headwater.records import Record
from headwater.recovery import Recovery
from headwater.refreshing import Refreshing
from headwater.streams import OVER, State


class Attention:
    """Attends to the streams of one provider, by the record as it is then: a command may come late, or twice."""

    def __init__(self, parts: Parts, lifecycle: Lifecycle) -> None:
        self._parts = parts
        self._recovery = Recovery(parts)
        self._lifecycle = lifecycle
        self._ending = Ending(parts)
        self._refreshing = Refreshing(parts)

    def attend(self, data: AttentionData, request_id: str, deadline: Deadline) -> None:
        """Do what is due, unless that was done or no longer matters. Raises what it could not do for."""
        record = self._parts.store.load(data.stream_id)
        if record is None:
            return
        if record.claim:
            if data.reason == "due":
                self._recovery.resume(record, deadline)
            return
        if record.stream.state in OVER | {State.FAILED}:
            return
        caller = Caller(record.tenant, request_id)
        match data.reason:
            case "expire":
                self._ending.expire(caller, record, deadline)
            case "renew" if data.beat is not None:
                self._lifecycle.beat(caller, record, data.beat, deadline)
            case "due":
                self._catch_up(caller, record, deadline)

    def _catch_up(self, caller: Caller, record: Record, deadline: Deadline) -> None:
        """Do what nobody has done in time."""
        stream, moment = record.stream, self._parts.present()
        if stream.state is State.ENDING:
            self._ending.end(caller, record, stream.state_reason or DELETED, deadline)
        elif stream.expires_at and stream.expires_at <= moment:
            self._ending.expire(caller, record, deadline)
        elif stream.lease and stream.lease.managed and stream.lease.critical_at <= moment:
            self._lifecycle.beat(caller, record, stream.lease.beat + 1, deadline)
        elif record.look_at and record.look_at <= moment:
            self._refreshing.refresh(caller, record, deadline)
