"""What opens a stream is exchanged because its caller asks. Pure over its ports."""

from headwater import events
from headwater.beginning import Beginning
from headwater.creation import ended
from headwater.deadline import Deadline
from headwater.errors import HeadwaterError, PreconditionFailed
from headwater.keeping import CLOSED, WRITES, Keeping, busy
from headwater.lifecycle import with_lease
from headwater.ports import Caller, Parts
from headwater.provider import Verb
from headwater.records import Credentials, Record
from headwater.refreshing import Refreshing
from headwater.streams import Stream


class Rotation:
    """Exchanges the credentials of one provider's streams."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._keeping = Keeping(parts)
        self._refreshing = Refreshing(parts)

    def rotate(self, caller: Caller, stream_id: str, force: bool, deadline: Deadline) -> tuple[Stream, Credentials]:
        """The stream, and what opens it from now on. The old secrets are gone from the store.

        Were we to die in between, somebody looks soon, and finds the new ones where the provider tells them again.
        Raises ``CapabilityNotSupported`` with nothing called, ``StreamLive`` unless ``force``, ``PreconditionFailed``
        while another is at it: of two that are exchanged at once it cannot be told which are the later.
        """
        beginning = Beginning(self._parts)
        for _ in range(WRITES):
            record = self._keeping.usable(caller, stream_id)
            self._keeping.require(Verb.ROTATE)
            if not beginning.begun and beginning.others(record):
                raise busy()
            try:
                rotated = self._rotated(caller, record, beginning, force, deadline)
            except PreconditionFailed:
                continue
            return rotated.stream, self._keeping.credentials(rotated)
        raise PreconditionFailed("The stream was changed by other requests all the time.")

    def _rotated(self, caller: Caller, record: Record, beginning: Beginning, force: bool, deadline: Deadline) -> Record:
        made_before = beginning.begun
        record = beginning.note(record, deadline)
        asked_at = self._parts.present()
        try:
            resource = self._parts.provider.rotate(record.handle, force, self._keeping.in_time(deadline))
        except HeadwaterError as error:
            if not made_before:
                beginning.failed(caller, record, error)
            raise
        if resource is None:
            raise self._refreshing.gone(caller, record, deadline)

        def note(found: Record) -> Record:
            if found.credential_hashes != record.credential_hashes:
                raise PreconditionFailed("Another request exchanged them meanwhile.")
            after = with_lease(self._parts, found, resource, asked_at)
            rotated_at = resource.rotated_at or self._parts.present()
            stream = after.stream.model_copy(update={"credentials_rotated_at": rotated_at})
            return self._keeping.told(beginning.over(after.model_copy(update={"stream": stream})), resource)

        noted = self._keeping.insist(caller, record, note, events.StreamCredentialsRotated, CLOSED)
        if noted.stream.state in CLOSED:
            raise ended(noted)
        return noted
