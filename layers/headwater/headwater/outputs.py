"""Where a caller's stream is sent on to. Kept by the provider alone: nothing of it is recorded. Pure over its ports."""

from collections.abc import Sequence

from headwater.deadline import Deadline
from headwater.errors import OutputNotFound
from headwater.keeping import Keeping
from headwater.ports import Caller, Parts
from headwater.provider import Handle, Verb
from headwater.simulcast import NewOutput, Output


class Outputs:
    """Of one provider's streams. Each raises as ``Keeping.usable`` does, and ``CapabilityNotSupported``."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._keeping = Keeping(parts)

    def list(self, caller: Caller, stream_id: str, deadline: Deadline) -> Sequence[Output]:
        """All of them, without their keys."""
        return self._parts.provider.outputs(self._of(caller, stream_id), deadline)

    def add(self, caller: Caller, stream_id: str, wanted: NewOutput, deadline: Deadline) -> Output:
        """One more; the same one again is that one."""
        return self._parts.provider.add_output(self._of(caller, stream_id), wanted, deadline)

    def switch(self, caller: Caller, stream_id: str, output_id: str, enabled: bool, deadline: Deadline) -> Output:
        """One of them, on or off. Raises ``OutputNotFound``."""
        handle = self._of(caller, stream_id)
        switched = self._parts.provider.switch_output(handle, output_id, enabled, deadline)
        if switched is None:
            raise OutputNotFound("The stream is sent on to no output of this id.")
        return switched

    def remove(self, caller: Caller, stream_id: str, output_id: str, deadline: Deadline) -> None:
        """One less; one that is not there is removed."""
        self._parts.provider.remove_output(self._of(caller, stream_id), output_id, deadline)

    def _of(self, caller: Caller, stream_id: str) -> Handle:
        record = self._keeping.usable(caller, stream_id)
        self._keeping.require(Verb.SIMULCAST)
        return record.handle
