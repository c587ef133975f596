"""Kinesis Video Streams as a provider: a stream's unique name guards its creation, a tag says whose it is."""

import math
import time
from collections.abc import Mapping, Sequence
from random import shuffle
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import JsonValue

from headwater.deadline import Deadline
from headwater.errors import (
    NameTaken,
    ProviderConflict,
    ProviderError,
    ProviderQuotaExceeded,
    ProviderRateLimited,
    ProviderUnavailable,
)
from headwater.provider import Handle, Marked, Order, Removal, Resource, Search, Verb
from headwater.retry import with_retries
from headwater.streams import Access, State
from provision_kinesis_video import wire
from provision_kinesis_video.calls import Calls
from provision_kinesis_video.options import KinesisVideoOptions

if TYPE_CHECKING:
    from mypy_boto3_kinesisvideo.client import KinesisVideoClient
    from mypy_boto3_kinesisvideo.literals import APINameType
    from mypy_boto3_kinesisvideo.type_defs import ListStreamsInputTypeDef, ListTagsForStreamInputTypeDef

BUSY_SECONDS = 2.0
"""Between looks at a stream that is on its way to another state: a quarter second would pass the five calls a second
that a stream allows ("Service quotas" in the developer guide)."""

LISTED_AT_ONCE = 1000
"""Streams in a page: the most that the service gives, 10,000, are more than a short answer."""

LISTING_PAUSE = 0.05
"""Seconds between the calls of a search: less than half of the 50 a second that all of an account's callers share."""

SAME_STREAM_PAUSE = 0.25
"""Seconds between its calls about one stream, which allows five a second (both: "Service quotas")."""

LOOK_SECONDS = 1.0
"""A search looks at no further stream with less time left than this."""

REMOVAL_ATTEMPTS = 10
"""So many looks outlast a stream's CREATING, of which 14 seconds were seen."""

INGEST: "tuple[APINameType, str]" = ("PUT_MEDIA", "put_media_endpoint")
PLAYBACK: "tuple[APINameType, str]" = ("GET_MEDIA", "get_media_endpoint")
"""GetDataEndpoint's APIName, and the note that keeps its answer."""


class KinesisVideo:
    """Calls Kinesis Video Streams as the function's own role: there is no secret, of ours or the caller's.

    A call waits for its answer until the deadline at most. What may pass it is a connection that is not established
    (the client's connect timeout, at most once), the lookup of the name, and the reading of the role's credentials.
    """

    name: ClassVar[str] = wire.PROVIDER
    api_version: ClassVar[str] = "2017-09-30"
    options_type: ClassVar[Any] = KinesisVideoOptions
    verbs: ClassVar[frozenset[Verb]] = frozenset({Verb.CREATE, Verb.READ, Verb.DELETE})
    guard_seconds: ClassVar[float] = math.inf
    """By the name, which is unique for as long as the stream is there."""
    marks: ClassVar[bool] = True
    ambiguous_creates_allowed: ClassVar[int | None] = None

    def __init__(self, client: "KinesisVideoClient") -> None:
        self._client = client
        self._calls = Calls(client)

    def create(self, order: Order[KinesisVideoOptions], deadline: Deadline) -> Resource:
        """Make it, or adopt what an earlier attempt made. Raises ``NameTaken``, or a ``ProviderError``."""
        return with_retries(lambda: self._created(order, deadline), deadline, repeatable=True)

    def find(self, order: Order[KinesisVideoOptions], deadline: Deadline) -> Search:
        """The stream of the order's name, if it bears our id. One that is being deleted is not there any more.

        Always conclusive: an order has one name, and whatever bears it is described.
        """
        return Search(with_retries(lambda: self._found(order, deadline), deadline, repeatable=True))

    def orphan_seconds(self, options: KinesisVideoOptions) -> int:  # noqa: ARG002  # the options change nothing here
        """None: whatever was made can be found."""
        return 0

    def read(self, handle: Handle, deadline: Deadline) -> Resource | None:
        """How it is now, with its endpoints once it is ready. Those that the notes hold are not asked for again."""
        return with_retries(lambda: self._read(handle, deadline), deadline, repeatable=True)

    def renew(self, handle: Handle, deadline: Deadline) -> Resource | None:
        """There is no lease: this is ``read``."""
        return self.read(handle, deadline)

    def remove(self, handle: Handle, deadline: Deadline) -> Removal:
        """Remove it. Its data is out of reach at once; its name is free a little later.

        A stream that is still being made or changed cannot be deleted: that is waited for within the deadline.
        """
        return with_retries(
            lambda: self._removed(handle, deadline), deadline, repeatable=True, attempts=REMOVAL_ATTEMPTS
        )

    def marked(self, deployment: str, deadline: Deadline) -> Sequence[Marked]:
        """The streams of this account and region that bear both our tags, as far as time allows: each is asked for its.

        They are looked at in no order, so that where time does not suffice for all, each search sees others.
        """
        found, left = [], self._listed(deadline)
        shuffle(left)
        while left and deadline.remaining() > LOOK_SECONDS:
            info = left.pop()
            time.sleep(LISTING_PAUSE)
            try:
                tags = self._marks_in_a_search(info.arn, deadline)
            except ProviderUnavailable:
                continue  # it cannot be looked at just now: another search may
            except ProviderRateLimited:
                break  # creates, which need these calls too, go first
            if tags.stream_id and tags.deployment == deployment:
                found.append(Marked(info.arn, tags.stream_id, info.created_at))
        return found

    def connected(self, handle: Handle, deadline: Deadline) -> bool | None:  # noqa: ARG002  # it never calls
        """None: the service does not tell whether anybody sends."""
        return None

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
        info = self._described_by_name(wire.stream_name(order), deadline)
        if info and self._is_of(order, info, deadline):
            return self._resource(info, {}, deadline)
        if isinstance(refusal, ProviderQuotaExceeded):
            raise refusal
        if info and info.status != wire.DELETING:
            raise NameTaken("The account has a stream of this name already.", upstream=refusal.upstream)
        raise ProviderUnavailable(
            f"{self.name}: a stream of this name is being deleted, or just was.",
            retry_after=BUSY_SECONDS if info else None,
            upstream=refusal.upstream,
        )

    def _found(self, order: Order[KinesisVideoOptions], deadline: Deadline) -> Resource | None:
        info = self._described_by_name(wire.stream_name(order), deadline)
        return self._resource(info, {}, deadline) if info and self._is_of(order, info, deadline) else None

    def _read(self, handle: Handle, deadline: Deadline) -> Resource | None:
        info = self._described(handle.ref, deadline)
        return self._resource(info, handle.notes, deadline) if info else None

    def _removed(self, handle: Handle, deadline: Deadline) -> Removal:
        try:
            self._delete(handle, deadline)
        except ProviderConflict as refusal:
            info = self._described(handle.ref, deadline)
            # Either it became so just now, or a signaling channel keeps its media there: then it is refused again.
            if info and info.status == "ACTIVE":
                self._delete(handle, deadline)
            elif info and info.status != wire.DELETING:
                raise ProviderUnavailable(
                    f"{self.name}: the stream is {info.status} and cannot be deleted yet.",
                    retry_after=BUSY_SECONDS,
                    upstream=refusal.upstream,
                ) from None
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
        url = wire.text(notes, note) or self._endpoint(api, str(notes["arn"]), deadline)
        notes[note] = url
        return Access(protocol=self.name, url=url)

    def _endpoint(self, api: "APINameType", arn: str, deadline: Deadline) -> str:
        """Raises ``ProviderUnavailable`` where the stream goes just now: the next look tells."""
        answer = self._calls.looked_up(lambda: self._client.get_data_endpoint(StreamARN=arn, APIName=api), deadline)
        url = wire.text(answer or {}, "DataEndpoint")
        if url is None:
            raise wire.unreadable(changes=False)
        return url

    def _is_of(self, order: Order[KinesisVideoOptions], info: wire.Info, deadline: Deadline) -> bool:
        """Whether it is the stream that this order asks for, and is to stay."""
        return info.status != wire.DELETING and self._marks(info.arn, deadline).stream_id == order.id

    def _marks(self, arn: str, deadline: Deadline, pause: float = 0) -> wire.Marks:
        """What of ours is in the tags, on whichever pages; nothing where somebody else made it, or it is gone."""
        page: ListTagsForStreamInputTypeDef = {"StreamARN": arn}
        found = wire.Marks()
        while answer := self._calls.looked_up(lambda: self._client.list_tags_for_stream(**page), deadline):
            found, token = found.and_of(answer), wire.text(answer, "NextToken")
            if not token or (found.stream_id and found.deployment):
                break
            page["NextToken"] = token
            time.sleep(pause)
        return found

    def _marks_in_a_search(self, arn: str, deadline: Deadline) -> wire.Marks:
        return with_retries(
            lambda: self._marks(arn, deadline, SAME_STREAM_PAUSE), deadline, repeatable=True, attempts=2
        )

    def _listed(self, deadline: Deadline) -> list[wire.Info]:
        """Every stream of this account and region that is to stay."""
        page: ListStreamsInputTypeDef = {"MaxResults": LISTED_AT_ONCE}
        listed: list[wire.Info] = []
        while True:
            answer = with_retries(
                lambda: self._calls.call(lambda: self._client.list_streams(**page), deadline), deadline, repeatable=True
            )
            listed += [info for info in wire.infos(answer) if info.status != wire.DELETING]
            token = wire.text(answer, "NextToken")
            if not token:
                return listed
            page["NextToken"] = token
            time.sleep(LISTING_PAUSE)

    def _described_by_name(self, name: str, deadline: Deadline) -> wire.Info | None:
        return _info(self._calls.looked_up(lambda: self._client.describe_stream(StreamName=name), deadline))

    def _described(self, arn: str, deadline: Deadline) -> wire.Info | None:
        """None also where a stream of this name was made anew: the ARN holds the time of the creation."""
        info = _info(self._calls.looked_up(lambda: self._client.describe_stream(StreamARN=arn), deadline))
        return info if info and info.arn == arn else None


def _info(answer: Mapping[str, Any] | None) -> wire.Info | None:
    """What was described, if anything is there. Raises ``ProviderUnavailable`` for an answer that tells too little."""
    if answer is None:
        return None
    info = wire.info(answer.get("StreamInfo") or {})
    if info is None:
        raise wire.unreadable(changes=False)
    return info
