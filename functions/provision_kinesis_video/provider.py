"""Kinesis Video Streams as a provider: a stream's unique name guards its creation, a tag says whose it is."""

import json
import math
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, ClassVar

from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError
from pydantic import JsonValue

from headwater.deadline import Deadline
from headwater.errors import (
    NameTaken,
    ProviderConflict,
    ProviderError,
    ProviderQuotaExceeded,
    ProviderRejected,
    ProviderUnavailable,
)
from headwater.provider import Handle, Order, Removal, Resource, Verb
from headwater.retry import with_retries
from headwater.streams import Access, State
from provision_kinesis_video import wire
from provision_kinesis_video.options import KinesisVideoOptions

if TYPE_CHECKING:
    from mypy_boto3_kinesisvideo.client import KinesisVideoClient
    from mypy_boto3_kinesisvideo.literals import APINameType
    from mypy_boto3_kinesisvideo.type_defs import ListTagsForStreamInputTypeDef

CONNECT_SECONDS = 5.0
ANSWER_SECONDS = 10.0

BUSY_SECONDS = 2.0
"""Between looks at a stream that is on its way to another state: a quarter second would pass the five calls a second
that a stream allows ("Service quotas" in the developer guide)."""

REMOVAL_ATTEMPTS = 10
"""So many looks outlast a stream's CREATING, of which 14 seconds were seen."""

INGEST: "tuple[APINameType, str]" = ("PUT_MEDIA", "put_media_endpoint")
PLAYBACK: "tuple[APINameType, str]" = ("GET_MEDIA", "get_media_endpoint")
"""GetDataEndpoint's APIName, and the note that keeps its answer."""

_PATIENCE: ContextVar[float] = ContextVar("patience", default=math.inf)
"""Seconds until the deadline of the call under way: botocore's handlers are told of no such thing."""


def kinesis_video_client(
    endpoint_url: str | None, connect_seconds: float = CONNECT_SECONDS, answer_seconds: float = ANSWER_SECONDS
) -> "KinesisVideoClient":
    """A client that tries once: repeating is ``with_retries``' alone. Without ``endpoint_url`` botocore finds it."""
    import boto3
    from botocore.config import Config

    config = Config(connect_timeout=connect_seconds, read_timeout=answer_seconds, retries={"total_max_attempts": 1})
    return boto3.client("kinesisvideo", endpoint_url=endpoint_url, config=config)


class KinesisVideo:
    """Calls Kinesis Video Streams as the function's own role: there is no secret, of ours or the caller's.

    A call waits for its answer until the deadline at most. What may pass it is a connection that is not established
    (the client's connect timeout, at most once), the lookup of the name, and the reading of the role's credentials.
    """

    name: ClassVar[str] = wire.PROVIDER
    api_version: ClassVar[str] = "2017-09-30"
    options_type: ClassVar[Any] = KinesisVideoOptions
    verbs: ClassVar[frozenset[Verb]] = frozenset({Verb.CREATE, Verb.READ, Verb.DELETE})
    guarded: ClassVar[bool] = True
    ambiguous_creates_allowed: ClassVar[int | None] = None

    def __init__(self, client: "KinesisVideoClient") -> None:
        self._client = client
        events = client.meta.events
        events.register("before-call.kinesis-video", _bound, unique_id="headwater-bound")
        events.register("before-parse.kinesis-video", _refuse_garbage, unique_id="headwater-refuse-garbage")

    def create(self, order: Order[KinesisVideoOptions], deadline: Deadline) -> Resource:
        """Make it, or adopt what an earlier attempt made. Raises ``NameTaken``, or a ``ProviderError``."""
        return with_retries(lambda: self._created(order, deadline), deadline, repeatable=True)

    def find(self, order: Order[KinesisVideoOptions], deadline: Deadline) -> Resource | None:
        """The stream of the order's name, if it bears our id. One that is being deleted is not there any more."""
        return with_retries(lambda: self._found(order, deadline), deadline, repeatable=True)

    def orphan_seconds(self, options: KinesisVideoOptions) -> int:  # noqa: ARG002 - the options change nothing here
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

    def _created(self, order: Order[KinesisVideoOptions], deadline: Deadline) -> Resource:
        request = wire.creation(order)
        try:
            answer = self._call(lambda: self._client.create_stream(**request), deadline, changes=True)
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
        self._looked_up(lambda: self._client.delete_stream(StreamARN=handle.ref), deadline, changes=True)

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
        answer = self._looked_up(lambda: self._client.get_data_endpoint(StreamARN=arn, APIName=api), deadline)
        url = wire.text(answer or {}, "DataEndpoint")
        if url is None:
            raise wire.unreadable(changes=False)
        return url

    def _is_of(self, order: Order[KinesisVideoOptions], info: wire.Info, deadline: Deadline) -> bool:
        """Whether it is the stream that this order asks for, and is to stay."""
        return info.status != wire.DELETING and self._owner(info.arn, deadline) == order.id

    def _owner(self, arn: str, deadline: Deadline) -> str | None:
        """The stream's id that the tags tell, on whichever page; None where somebody else made it."""
        page: ListTagsForStreamInputTypeDef = {"StreamARN": arn}
        while answer := self._looked_up(lambda: self._client.list_tags_for_stream(**page), deadline):
            owner, token = wire.owner(answer), wire.text(answer, "NextToken")
            if owner or not token:
                return owner
            page["NextToken"] = token
        return None

    def _described_by_name(self, name: str, deadline: Deadline) -> wire.Info | None:
        return _info(self._looked_up(lambda: self._client.describe_stream(StreamName=name), deadline))

    def _described(self, arn: str, deadline: Deadline) -> wire.Info | None:
        """None also where a stream of this name was made anew: the ARN holds the time of the creation."""
        info = _info(self._looked_up(lambda: self._client.describe_stream(StreamARN=arn), deadline))
        return info if info and info.arn == arn else None

    def _looked_up[T: Mapping[str, Any]](
        self, call: Callable[[], T], deadline: Deadline, *, changes: bool = False
    ) -> T | None:
        """As ``_call``; None where the service has no such stream."""
        try:
            return self._call(call, deadline, changes=changes)
        except ProviderRejected as refusal:
            if wire.is_not_found(refusal):
                return None
            raise

    def _call[T](self, call: Callable[[], T], deadline: Deadline, *, changes: bool = False) -> T:
        """The service's answer. Raises the ``ProviderError`` that anything else means."""
        patience = deadline.remaining()
        if not patience:
            raise wire.unanswered("there was no time left to call it")
        _PATIENCE.set(patience)
        # botocore's texts hold the endpoint, and so may their causes: neither leaves this function.
        try:
            return call()
        except ClientError as error:
            failure = wire.refusal(error, changes=changes)
        except BotoCoreError as error:
            failure = wire.silence(error, changes=changes)
        # botocore's parser meets an answer of another shape with whatever Python raises then.
        except (ResponseParserError, AttributeError, TypeError, ValueError):
            failure = wire.unreadable(changes=changes)
        raise failure


def _info(answer: Mapping[str, Any] | None) -> wire.Info | None:
    """What was described, if anything is there. Raises ``ProviderUnavailable`` for an answer that tells too little."""
    if answer is None:
        return None
    info = wire.info(answer)
    if info is None:
        raise wire.unreadable(changes=False)
    return info


def _bound(context: dict[str, Any], **_: Any) -> None:
    """Ends the wait for an answer with the deadline (botocore's pull request 3770: read timeouts per invocation)."""
    context["read_timeout"] = min(_PATIENCE.get(), context["client_config"].read_timeout)


def _refuse_garbage(response_dict: dict[str, Any], **_: Any) -> None:
    """botocore takes a body that is no JSON for an answer without members: a stream without tags, for one."""
    body = response_dict["body"]
    if response_dict["status_code"] < 300 and body and not isinstance(json.loads(body), dict):
        raise ValueError("the answer is not a JSON object")
