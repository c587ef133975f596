"""The streams of one account in one region: moto's, with versions, states that take time, tags and tiers."""

from collections.abc import Sized
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Self, cast, override

from moto.kinesisvideo.exceptions import ResourceInUseException, ResourceNotFoundException
from moto.kinesisvideo.models import KinesisVideoBackend as MotoBackend
from moto.kinesisvideo.models import Stream as MotoStream
from moto.moto_api._internal import mock_random
from moto.utilities.utils import get_partition
from pydantic import Field

from local.kinesis_video.exceptions import (
    AccountStreamLimitExceededException,
    ClientLimitExceededException,
    InvalidArgumentException,
    TagsPerResourceExceededLimitException,
    VersionMismatchException,
)

MAX_RETENTION_HOURS = 87_600
"""Ten years: UpdateDataRetention's description in botocore's model."""

MAX_TAGS = 50

type Seconds = Annotated[float, Field(ge=0)]


@dataclass
class Settings:
    """What a test may change. Durations are seconds by the clock; streams already under way keep theirs."""

    creating_seconds: Seconds = 1.0
    updating_seconds: Seconds = 1.0
    deleting_seconds: Seconds = 1.0
    stream_limit: Annotated[int, Field(ge=0)] = 10_000
    """Per account and region: the developer guide's page on quotas."""
    creates_per_second: Annotated[int, Field(ge=1)] = 50
    """The same page's; here of each second by the clock."""
    streams_per_page: Annotated[int, Field(ge=1)] = 10_000
    """However many are asked for. The service gives that many at most, and need not give as many as are asked for."""
    tags_per_page: Annotated[int, Field(ge=1)] = 10
    """The service's own is not documented; a small one finds callers that do not follow NextToken."""
    changes_show_when_done: bool = False
    """Whether a description has what was changed only when the stream is no longer UPDATING; the version at once. The
    service's own way is not documented."""


class Stream(MotoStream):
    """Its status ends at `until_ms`: CREATING and UPDATING in ACTIVE, DELETING in nothing."""

    tier = "HOT"

    def __init__(self, *args: Any, created_ms: int) -> None:
        """`args` are moto's."""
        super().__init__(*args)
        account_id = self.arn.split(":")[4]
        self.arn = f"{self.arn.rpartition('/')[0]}/{created_ms}"
        self.creation_time = datetime.fromtimestamp(created_ms / 1000, UTC)
        partition = get_partition(self.region_name)
        self.kms_key_id = (
            self.kms_key_id or f"arn:{partition}:kms:{self.region_name}:{account_id}:alias/aws/kinesisvideo"
        )
        self.data_retention_in_hours = self.data_retention_in_hours or 0
        self.tags = self.tags or {}
        self.until_ms = 0
        self.to_show: dict[str, Any] = {}

    def becomes(self, status: str, until_ms: int) -> None:
        self.status, self.until_ms = status, until_ms

    def show(self, attributes: dict[str, Any]) -> None:
        """Sets what is not None."""
        for name, value in attributes.items():
            if value is not None:
                setattr(self, name, value)


class KinesisVideoBackend(MotoBackend):
    """Every call begins with `at`; what it then does happens at that moment."""

    def __init__(self, region_name: str, account_id: str) -> None:
        super().__init__(region_name, account_id)
        self.streams: dict[str, Stream] = {}  # type: ignore[assignment]  # narrower than moto's: no other is put in
        self.settings = Settings()
        self.now_ms = 0
        self._last_created_ms = 0
        self._creates = (0, 0)

    def at(self, now_ms: int, settings: Settings) -> Self:
        """Brings every stream to where it is at `now_ms`."""
        self.now_ms, self.settings = now_ms, settings
        for stream in [stream for stream in self.streams.values() if stream.until_ms <= now_ms]:
            if stream.status == "DELETING":
                del self.streams[stream.arn]
            else:
                stream.status = "ACTIVE"
                stream.show(stream.to_show)
                stream.to_show = {}
        return self

    @override
    def create_stream(
        self,
        device_name: str,
        stream_name: str,
        media_type: str,
        kms_key_id: str,
        data_retention_in_hours: int,
        tags: dict[str, str],
    ) -> str:
        """A name is free again when its stream is gone, not while that is DELETING."""
        self._require_turn()
        _check_retention(data_retention_in_hours or 0)
        _check_tag_count(tags or ())
        if any(stream.stream_name == stream_name for stream in self.streams.values()):
            raise ResourceInUseException(f"The stream {stream_name} already exists.")
        if len(self.streams) >= self.settings.stream_limit:
            raise AccountStreamLimitExceededException
        asked = (device_name, stream_name, media_type, kms_key_id, data_retention_in_hours, tags)
        # The creation time is what tells a stream from an earlier one of its name, so none is used twice.
        self._last_created_ms = max(self.now_ms, self._last_created_ms + 1)
        stream = Stream(self.account_id, self.region_name, *asked, created_ms=self._last_created_ms)
        stream.becomes("CREATING", self._after(self.settings.creating_seconds))
        self.streams[stream.arn] = stream
        return stream.arn

    def _require_turn(self) -> None:
        """Raises ClientLimitExceededException where this second has had its creates."""
        second, creates = self._creates
        now = self.now_ms // 1000
        self._creates = (now, creates + 1 if second == now else 1)
        if self._creates[1] > self.settings.creates_per_second:
            raise ClientLimitExceededException

    def _get_stream(self, stream_name: str, stream_arn: str) -> Stream:
        """Where both are given they must be of one stream."""
        stream = cast(Stream, super()._get_stream(stream_name, stream_arn))
        if stream_arn and stream_arn != stream.arn:
            raise ResourceNotFoundException
        return stream

    def stream(self, stream_name: str, stream_arn: str) -> Stream:
        """Raises ResourceNotFoundException."""
        return self._get_stream(stream_name, stream_arn)

    def unchanged(self, stream_name: str, stream_arn: str, version: str | None) -> Stream:
        """The stream, to be changed if `version` is still its own.

        The version is judged before the state, so that a change repeated after a lost answer is always
        VersionMismatchException. Raises that, ResourceNotFoundException or ResourceInUseException.
        """
        stream = self._get_stream(stream_name, stream_arn)
        if version not in (None, stream.version):
            raise VersionMismatchException
        if stream.status != "ACTIVE":
            raise ResourceInUseException(f"The stream {stream.stream_name} is not in ACTIVE status.")
        return stream

    def change(self, stream: Stream, **attributes: Any) -> None:
        """Sets what is not None, and another version."""
        if self.settings.changes_show_when_done:
            stream.to_show = attributes
        else:
            stream.show(attributes)
        stream.version = mock_random.get_random_string()
        stream.becomes("UPDATING", self._after(self.settings.updating_seconds))

    def change_retention(self, stream: Stream, by_hours: int) -> None:
        """Raises InvalidArgumentException where that leads outside 0 to 87600 hours."""
        hours = stream.data_retention_in_hours + by_hours
        _check_retention(hours)
        self.change(stream, data_retention_in_hours=hours)

    def tag(self, stream: Stream, tags: dict[str, str]) -> None:
        """Raises TagsPerResourceExceededLimitException where there would be more than 50."""
        both = stream.tags | tags
        _check_tag_count(both)
        stream.tags = both

    def delete_stream(self, stream_arn: str, current_version: str | None = None) -> None:
        stream = self.unchanged("", stream_arn, current_version)
        stream.becomes("DELETING", self._after(self.settings.deleting_seconds))

    def get_data_endpoint(self, stream_name: str, stream_arn: str, api_name: str) -> str:
        """A stream that is being deleted has none: DeleteStream puts its data out of reach at once."""
        if self._get_stream(stream_name, stream_arn).status == "DELETING":
            raise ResourceNotFoundException
        return super().get_data_endpoint(stream_name, stream_arn, api_name)

    def alive(self) -> list[dict[str, Any]]:
        """Every stream but those that are being deleted, as DescribeStream shows it and with what that leaves out."""
        own = {"Account": self.account_id, "Region": self.region_name}
        return [
            stream.to_dict()
            | own
            | {"CreationTime": stream.creation_time.isoformat(), "Tags": stream.tags, "DefaultStorageTier": stream.tier}
            for stream in self.streams.values()
            if stream.status != "DELETING"
        ]

    def _after(self, seconds: float) -> int:
        return self.now_ms + round(seconds * 1000)


def _check_retention(hours: int) -> None:
    if not 0 <= hours <= MAX_RETENTION_HOURS:
        raise InvalidArgumentException(f"The data retention must be between 0 and {MAX_RETENTION_HOURS} hours.")


def _check_tag_count(tags: Sized) -> None:
    if len(tags) > MAX_TAGS:
        raise TagsPerResourceExceededLimitException
