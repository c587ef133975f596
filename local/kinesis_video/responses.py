"""The operations on streams: request in, answer out. Each has the API's name in snake_case."""

import json
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterable
from functools import cached_property
from typing import Any

from moto.core.common_types import TYPE_RESPONSE
from moto.core.exceptions import ServiceException
from moto.core.responses import ActionResult, EmptyResult
from moto.core.utils import camelcase_to_underscores
from moto.kinesisvideo.responses import KinesisVideoResponse as MotoResponse

from local.kinesis_video import api
from local.kinesis_video.exceptions import InvalidArgumentException
from local.kinesis_video.models import KinesisVideoBackend, Stream

MAX_RESULTS = 10_000
"""ListStreams' default: its description in botocore's model."""

type BackendOf = Callable[[str, str], KinesisVideoBackend]
"""By account and region."""


class KinesisVideoResponse(MotoResponse):
    """Made for one call. An operation that changes nothing but what moto has is moto's own."""

    def __init__(self, operation: str, backend_of: BackendOf) -> None:
        super().__init__()
        self._operation = operation
        self._backend_of = backend_of

    @property
    def kinesisvideo_backend(self) -> KinesisVideoBackend:
        return self._backend_of(self.current_account, self.region)

    @cached_property
    def asked(self) -> dict[str, Any]:
        """The checked request. Raises InvalidArgumentException."""
        return api.checked(self._operation, self.body)

    def _get_action(self) -> str:
        return self._operation

    def _get_param(self, param_name: str, if_none: Any = None) -> Any:
        """moto reads each parameter here, and before it does anything: so nothing is done unchecked."""
        return self.asked.get(param_name, if_none)

    def serialized(self, action_result: ActionResult) -> TYPE_RESPONSE:
        """The service names an error in the header only; moto also in the body."""
        status, headers, body = super().serialized(action_result)
        if isinstance(action_result.result, ServiceException):
            body = json.dumps({"Message": action_result.result.message})
        return status, headers, body

    def create_stream(self) -> ActionResult:
        made = super().create_stream()
        stream = self.kinesisvideo_backend.stream(self.asked["StreamName"], "")
        stream.tier = self.asked.get("StreamStorageConfiguration", {}).get("DefaultStorageTier", stream.tier)
        return made

    def list_streams(self) -> ActionResult:
        prefix = self._get_param("StreamNameCondition", {}).get("ComparisonValue", "")
        infos = {info["StreamName"]: info for info in self.kinesisvideo_backend.list_streams()}
        names = [name for name in infos if name.startswith(prefix)]
        size = min(self._get_param("MaxResults", MAX_RESULTS), self.kinesisvideo_backend.settings.streams_per_page)
        names, token = _page(names, size, self._get_param("NextToken"))
        return ActionResult({"StreamInfoList": [infos[name] for name in names], "NextToken": token})

    def delete_stream(self) -> ActionResult:
        self.kinesisvideo_backend.delete_stream(self._get_param("StreamARN"), self._get_param("CurrentVersion"))
        return EmptyResult()

    def update_stream(self) -> ActionResult:
        stream = self._unchanged()
        self.kinesisvideo_backend.change(
            stream, device_name=self._get_param("DeviceName"), media_type=self._get_param("MediaType")
        )
        return EmptyResult()

    def update_data_retention(self) -> ActionResult:
        stream, hours = self._unchanged(), self._get_param("DataRetentionChangeInHours")
        sign = 1 if self._get_param("Operation") == "INCREASE_DATA_RETENTION" else -1
        self.kinesisvideo_backend.change_retention(stream, sign * hours)
        return EmptyResult()

    def tag_stream(self) -> ActionResult:
        self.kinesisvideo_backend.tag(self._stream(), self._get_param("Tags"))
        return EmptyResult()

    def untag_stream(self) -> ActionResult:
        stream = self._stream()
        for key in self._get_param("TagKeyList"):
            stream.tags.pop(key, None)
        return EmptyResult()

    def list_tags_for_stream(self) -> ActionResult:
        tags, size = self._stream().tags, self.kinesisvideo_backend.settings.tags_per_page
        keys, token = _page(tags, size, self._get_param("NextToken"))
        return ActionResult({"Tags": {key: tags[key] for key in keys}, "NextToken": token})

    def describe_stream_storage_configuration(self) -> ActionResult:
        stream = self._stream()
        configuration = {"DefaultStorageTier": stream.tier}
        return ActionResult(
            {
                "StreamName": stream.stream_name,
                "StreamARN": stream.arn,
                "StreamStorageConfiguration": configuration,
            }
        )

    def update_stream_storage_configuration(self) -> ActionResult:
        stream = self._unchanged()
        tier = self._get_param("StreamStorageConfiguration")["DefaultStorageTier"]
        self.kinesisvideo_backend.change(stream, tier=tier)
        return EmptyResult()

    def _stream(self) -> Stream:
        return self.kinesisvideo_backend.stream(self._get_param("StreamName"), self._get_param("StreamARN"))

    def _unchanged(self) -> Stream:
        return self.kinesisvideo_backend.unchanged(
            self._get_param("StreamName"), self._get_param("StreamARN"), self._get_param("CurrentVersion")
        )


def answers(operation: str) -> bool:
    """Whether the operation is one of those above or moto's."""
    return hasattr(KinesisVideoResponse, camelcase_to_underscores(operation))


def _page(names: Iterable[str], size: int, token: str | None) -> tuple[list[str], str | None]:
    """At most `size` names in order, and the token for those behind them: the last name that was shown, so
    that nothing is skipped or shown twice when names come and go between two pages."""
    after = _shown(token) if token else ""
    rest = sorted(name for name in names if name > after)
    page = rest[:size]
    return page, b64encode(page[-1].encode()).decode() if len(rest) > size else None


def _shown(token: str) -> str:
    try:
        return b64decode(token, validate=True).decode()
    except ValueError:
        raise InvalidArgumentException("The NextToken is not one that was given out.") from None
