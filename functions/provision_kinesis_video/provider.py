"""Kinesis Video Streams as a provider: a stream's unique name guards its creation, a tag says whose it is."""

import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import JsonValue

from headwater.deadline import Deadline
from headwater.errors import (
    NameTaken,
    ProviderConflict,
    ProviderError,
    ProviderQuotaExceeded,
    ProviderUnauthorized,
    ProviderUnavailable,
)
from headwater.provider import EVERYWHERE, Adoptable, Handle, Marked, Order, Provider, Removal, Resource, Search, Verb
from headwater.retry import with_retries
from headwater.streams import Access, State
from provision_kinesis_video import settings, wire
from provision_kinesis_video.calls import Calls
from provision_kinesis_video.changes import Change
from provision_kinesis_video.looks import Looks
from provision_kinesis_video.options import MARKS, KinesisVideoOptions
from provision_kinesis_video.search import MarkSearch

if TYPE_CHECKING:
    from mypy_boto3_kinesisvideo.client import KinesisVideoClient
    from mypy_boto3_kinesisvideo.literals import APINameType

REMOVAL_ATTEMPTS = 10
"""So many looks outlast a stream's CREATING, of which 14 seconds were seen."""

INGEST: "tuple[APINameType, str]" = ("PUT_MEDIA", "put_media_endpoint")
PLAYBACK: "tuple[APINameType, str]" = ("GET_MEDIA", "get_media_endpoint")
"""GetDataEndpoint's APIName, and the note that keeps its answer."""


class KinesisVideo(Provider[KinesisVideoOptions]):
    """Calls Kinesis Video Streams as the function's own role: there is no secret, of ours or the caller's.

    A call waits for its answer until the deadline at most. What may pass it is a connection that is not established
    (the client's connect timeout, at most once), the lookup of the name, and the reading of the role's credentials.
    """

    name: ClassVar[str] = wire.PROVIDER
    api_version: ClassVar[str] = "2017-09-30"
    options_type: ClassVar[Any] = KinesisVideoOptions
    verbs: ClassVar[frozenset[Verb]] = EVERYWHERE | {Verb.REPAIR, Verb.ADOPT}
    changeable: ClassVar[frozenset[str]] = frozenset(
        {settings.DEVICE_NAME, settings.MEDIA_TYPE, settings.RETENTION, settings.TAGS, settings.STORAGE}
    )
    """All but the name and the key, which the service fixes when it makes a stream."""
    guard_seconds: ClassVar[float] = math.inf
    """By the name, which is unique for as long as the stream is there."""
    marks: ClassVar[bool] = True
    look_seconds: ClassVar[float | None] = 6 * 3600
    """The service tells nothing by itself, and a stream that is ready changes only if somebody changes it."""

    def __init__(self, client: "KinesisVideoClient") -> None:
        self._client = client
        self._calls = Calls(client)
        self._looks = Looks(client, self._calls)

    def create(self, order: Order[KinesisVideoOptions], deadline: Deadline) -> Resource:
        """Make it, or adopt what an earlier attempt made. Raises ``NameTaken``, or a ``ProviderError``."""
        return with_retries(lambda: self._created(order, deadline), deadline, repeatable=True)

    def find(self, order: Order[KinesisVideoOptions], deadline: Deadline) -> Search:
        """The stream of the order's name, if it bears our id. One that is being deleted is not there any more.

        Always conclusive: an order has one name, and whatever bears it is described.
        """
        return Search(with_retries(lambda: self._found(order, deadline), deadline, repeatable=True))

    def read(self, handle: Handle, deadline: Deadline) -> Resource | None:
        """How it is now, with its endpoints once it is ready. Those that the notes hold are not asked for again.

        With its settings too, unless it is just being made or changed: as many of them as the role may see.
        """
        return with_retries(lambda: self._read(handle, deadline), deadline, repeatable=True)

    def remove(self, handle: Handle, deadline: Deadline) -> Removal:
        """Remove it. Its data is out of reach at once; its name is free a little later.

        A stream that is still being made or changed cannot be deleted: that is waited for within the deadline.
        """
        return with_retries(
            lambda: self._removed(handle, deadline), deadline, repeatable=True, attempts=REMOVAL_ATTEMPTS
        )

    def settings(self, order: Order[KinesisVideoOptions]) -> Mapping[str, JsonValue]:
        """Our marks too, each by a pointer of its own below the tags."""
        return settings.wanted(order)

    def change(
        self, handle: Handle, order: Order[KinesisVideoOptions], changed: frozenset[str], deadline: Deadline
    ) -> Resource | None:
        """Bring it to what the order says, as ``Change`` does; of the tags only those that are pointed at.

        Raises ``CapabilityNotSupported``, with nothing called, where a device's name or a media type is taken away.
        """
        change = Change(self._client, self._calls, self._looks, handle.ref, order, changed)
        return change.carried_out(lambda info: self._resource(info, handle.notes, deadline), deadline)

    def adoptable(self, ref: str, deadline: Deadline) -> Adoptable[KinesisVideoOptions] | None:
        """The stream of this ARN, or of this name. One that is being deleted is not there any more.

        Raises ``ProviderRejected`` where its tags leave no room for our marks.
        """
        return with_retries(lambda: self._adoptable(ref, deadline), deadline, repeatable=True)

    def mark(self, handle: Handle, order: Order[KinesisVideoOptions], deadline: Deadline) -> None:
        """Put both our tags on it."""
        tags = wire.marks_of(order)
        with_retries(
            lambda: self._calls.call(
                lambda: self._client.tag_stream(StreamARN=handle.ref, Tags=tags), deadline, changes=True
            ),
            deadline,
            repeatable=True,
        )

    def marked(self, deployment: str, deadline: Deadline) -> Sequence[Marked]:
        """The streams of this account and region that bear both our tags, as far as time allows."""
        return MarkSearch(self._client, self._calls, self._looks).marked(deployment, deadline)

    def _created(self, order: Order[KinesisVideoOptions], deadline: Deadline) -> Resource:
        request = wire.creation(order)
        try:
            answer = self._calls.call(lambda: self._client.create_stream(**request), deadline, changes=True)
        # An earlier attempt whose answer was lost may have made it, and so have used up the quota too.
        except (ProviderConflict, ProviderQuotaExceeded) as refusal:
            return self._adopted(order, refusal, deadline)
        arn = wire.text(answer, "StreamARN")
        if arn is None:
            raise wire.unreadable(changes=True)
        return Resource(arn, State.PROVISIONING, "CREATING", notes={"arn": arn, "stream_name": request["StreamName"]})

    def _adopted(self, order: Order[KinesisVideoOptions], refusal: ProviderError, deadline: Deadline) -> Resource:
        """The stream that an earlier attempt at this order made. Raises what its absence means."""
        info = self._looks.described_by_name(wire.stream_name(order), deadline)
        if info and self._is_of(order, info, deadline):
            return self._resource(info, {}, deadline)
        if isinstance(refusal, ProviderQuotaExceeded):
            raise refusal
        if info and info.status != wire.DELETING:
            raise NameTaken("The account has a stream of this name already.", upstream=refusal.upstream)
        raise ProviderUnavailable(
            f"{self.name}: a stream of this name is being deleted, or just was.",
            retry_after=wire.BUSY_SECONDS if info else None,
            upstream=refusal.upstream,
        )

    def _found(self, order: Order[KinesisVideoOptions], deadline: Deadline) -> Resource | None:
        info = self._looks.described_by_name(wire.stream_name(order), deadline)
        return self._resource(info, {}, deadline) if info and self._is_of(order, info, deadline) else None

    def _read(self, handle: Handle, deadline: Deadline) -> Resource | None:
        info = self._looks.described(handle.ref, deadline)
        if info is None:
            return None
        return replace(self._resource(info, handle.notes, deadline), settings=self._settings(info, deadline))

    def _settings(self, info: wire.Info, deadline: Deadline) -> Mapping[str, JsonValue]:
        """Nothing of a stream that is on its way to another state: what is told may be half of a change.

        Raises ``ProviderUnavailable`` where the stream goes just now: the next look tells.
        """
        if info.status != wire.ACTIVE:
            return {}
        found = settings.described(info)
        with suppress(ProviderUnauthorized):
            found |= settings.tagged(wire.there(self._looks.tags(info.arn, deadline)))
        with suppress(ProviderUnauthorized):
            found |= settings.stored(wire.there(self._looks.tier(info.arn, deadline)))
        return found

    def _adoptable(self, ref: str, deadline: Deadline) -> Adoptable[KinesisVideoOptions] | None:
        info = self._looks.described_as(ref, deadline)
        if info is None or info.status == wire.DELETING:
            return None
        tags, tier = wire.there(self._looks.tags(info.arn, deadline)), wire.there(self._looks.tier(info.arn, deadline))
        options, marks = settings.options_of(info, tags, tier), wire.marks(tags)
        resource = self._resource(info, {}, deadline)
        return Adoptable(resource, options, stream_id=marks.stream_id, deployment=marks.deployment)

    def _removed(self, handle: Handle, deadline: Deadline) -> Removal:
        try:
            self._delete(handle, deadline)
        except ProviderConflict as refusal:
            info = self._looks.described(handle.ref, deadline)
            # Either it became so just now, or a signaling channel keeps its media there: then it is refused again.
            if info and info.status == wire.ACTIVE:
                self._delete(handle, deadline)
            elif info and info.status != wire.DELETING:
                raise wire.busy(f"{info.status} and cannot be deleted yet", refusal.upstream) from None
        return Removal()

    def _delete(self, handle: Handle, deadline: Deadline) -> None:
        self._calls.looked_up(lambda: self._client.delete_stream(StreamARN=handle.ref), deadline, changes=True)

    def _resource(self, info: wire.Info, notes: dict[str, JsonValue], deadline: Deadline) -> Resource:
        state = wire.state(info.status)
        known = {**notes, "arn": info.arn, "stream_name": info.name}
        ingest: tuple[Access, ...] = ()
        playback: tuple[Access, ...] = ()
        if state is State.READY:
            ingest = (self._access(INGEST, known, deadline),)
            playback = (self._access(PLAYBACK, known, deadline),)
        return Resource(
            info.arn,
            state,
            info.status,
            ingest,
            playback,
            notes=known,
            state_reason="deleting" if state is State.ENDED else None,
        )

    def _access(self, way: "tuple[APINameType, str]", notes: dict[str, JsonValue], deadline: Deadline) -> Access:
        """One of the stream's endpoints, which it notes: they are worthless without a signature, so no secrets."""
        api, note = way
        url = wire.text(notes, note) or self._looks.endpoint(str(notes["arn"]), api, deadline)
        notes[note] = url
        return Access(protocol=self.name, url=url)

    def _is_of(self, order: Order[KinesisVideoOptions], info: wire.Info, deadline: Deadline) -> bool:
        """Whether it is the stream that this order asks for, and is to stay."""
        if info.status == wire.DELETING:
            return False
        return wire.marks(self._looks.tags(info.arn, deadline, enough=MARKS) or {}).stream_id == order.id
