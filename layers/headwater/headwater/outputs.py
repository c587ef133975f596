"""Where a caller's stream is sent on to. Kept by the provider alone: nothing of it is recorded. Pure over its ports."""

from collections.abc import Callable, Sequence

from headwater.deadline import Deadline
from headwater.errors import NotAtProvider, OutputNotFound
from headwater.keeping import Keeping
from headwater.ports import Caller, Parts
from headwater.provider import Handle, Verb
from headwater.refreshing import Refreshing
from headwater.simulcast import NewOutput, Output


class Outputs:
    """Of one provider's streams. Each raises as ``Keeping.usable`` does, ``CapabilityNotSupported``, and
    ``StreamEnded`` where the provider does not have the stream any more, which is then recorded."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._provider = parts.provider
        self._keeping = Keeping(parts)

    def list(self, caller: Caller, stream_id: str, deadline: Deadline) -> Sequence[Output]:
        """All of them, without their keys."""
        return self._of(caller, stream_id, deadline, lambda handle: self._provider.outputs(handle, deadline))

    def add(self, caller: Caller, stream_id: str, wanted: NewOutput, deadline: Deadline) -> Output:
        """One more; the same one again is that one."""
        return self._of(caller, stream_id, deadline, lambda it: self._provider.add_output(it, wanted, deadline))

    def switch(self, caller: Caller, stream_id: str, output_id: str, enabled: bool, deadline: Deadline) -> Output:
        """One of them, on or off. Raises ``OutputNotFound``."""

        def switch(handle: Handle) -> Output | None:
            return self._provider.switch_output(handle, output_id, enabled, deadline)

        switched = self._of(caller, stream_id, deadline, switch)
        if switched is None:
            raise OutputNotFound("The stream is sent on to no output of this id.")
        return switched

    def remove(self, caller: Caller, stream_id: str, output_id: str, deadline: Deadline) -> None:
        """One less; one that is not there is removed."""
        self._of(caller, stream_id, deadline, lambda it: self._provider.remove_output(it, output_id, deadline))

    def _of[T](self, caller: Caller, stream_id: str, deadline: Deadline, work: Callable[[Handle], T]) -> T:
        record = self._keeping.usable(caller, stream_id)
        self._keeping.require(Verb.SIMULCAST)
        try:
            return work(record.handle)
        except NotAtProvider:
            raise Refreshing(self._parts).gone(caller, record, deadline) from None
