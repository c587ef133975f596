"""What Kinesis Video tells of one stream: its description, its tags on all their pages, its tier, its endpoints."""

import re
import time
from collections.abc import Mapping, Set
from typing import TYPE_CHECKING, Any

from headwater.deadline import Deadline
from provision_kinesis_video import wire
from provision_kinesis_video.calls import Calls
from provision_kinesis_video.options import NAME

if TYPE_CHECKING:
    from mypy_boto3_kinesisvideo.client import KinesisVideoClient
    from mypy_boto3_kinesisvideo.literals import APINameType
    from mypy_boto3_kinesisvideo.type_defs import ListTagsForStreamInputTypeDef

SAME_STREAM_PAUSE = 0.25
"""Seconds between calls of one kind about one stream, which allows five a second ("Service quotas")."""

ARN = r"arn:[a-z0-9-]+:kinesisvideo:[a-z0-9-]+:[0-9]+:stream/[a-zA-Z0-9_.-]+/[0-9]+"
"""A stream's ("StreamARN" in the API reference), which ends in the time of its creation."""
LONGEST_ARN, LONGEST_NAME = 1024, 256


class Looks:
    """Asks about streams by one client. Nothing is changed, and nothing is repeated here.

    What there is no stream for is None.
    """

    def __init__(self, client: "KinesisVideoClient", calls: Calls) -> None:
        self._client = client
        self._calls = calls

    def described(self, arn: str, deadline: Deadline) -> wire.Info | None:
        """None also where a stream of this name was made anew: the ARN holds the time of the creation."""
        info = _info(self._calls.looked_up(lambda: self._client.describe_stream(StreamARN=arn), deadline))
        return info if info and info.arn == arn else None

    def described_by_name(self, name: str, deadline: Deadline) -> wire.Info | None:
        return _info(self._calls.looked_up(lambda: self._client.describe_stream(StreamName=name), deadline))

    def described_as(self, ref: str, deadline: Deadline) -> wire.Info | None:
        """By its ARN or its name. What can be neither is not asked about."""
        if len(ref) <= LONGEST_ARN and re.fullmatch(ARN, ref):
            return self.described(ref, deadline)
        if len(ref) <= LONGEST_NAME and re.fullmatch(NAME, ref):
            return self.described_by_name(ref, deadline)
        return None

    def standing(self, arn: str, deadline: Deadline) -> wire.Info | None:
        """None also of one that is being deleted."""
        info = self.described(arn, deadline)
        return info if info and info.status != wire.DELETING else None

    def tags(self, arn: str, deadline: Deadline, enough: Set[str] = frozenset()) -> dict[str, str] | None:
        """All of them, or as many pages as it takes until those of ``enough`` are among them."""
        page: ListTagsForStreamInputTypeDef = {"StreamARN": arn}
        found: dict[str, str] = {}
        while answer := self._calls.looked_up(lambda: self._client.list_tags_for_stream(**page), deadline):
            found |= wire.tags(answer)
            token = wire.text(answer, "NextToken")
            if not token or (enough and enough <= found.keys()):
                return found
            page["NextToken"] = token
            time.sleep(SAME_STREAM_PAUSE)
        return None

    def tier(self, arn: str, deadline: Deadline) -> str | None:
        """Where its data is kept."""
        answer = self._calls.looked_up(
            lambda: self._client.describe_stream_storage_configuration(StreamARN=arn), deadline
        )
        return None if answer is None else wire.tier(answer)

    def endpoint(self, arn: str, api: "APINameType", deadline: Deadline) -> str:
        """Raises ``ProviderUnavailable`` where the stream goes just now: the next look tells."""
        answer = self._calls.looked_up(lambda: self._client.get_data_endpoint(StreamARN=arn, APIName=api), deadline)
        url = wire.text(answer or {}, "DataEndpoint")
        if url is None:
            raise wire.unreadable(changes=False)
        return url


def _info(answer: Mapping[str, Any] | None) -> wire.Info | None:
    """What was described, if anything is there. Raises ``ProviderUnavailable`` for an answer that tells too little."""
    if answer is None:
        return None
    info = wire.info(answer.get("StreamInfo") or {})
    if info is None:
        raise wire.unreadable(changes=False)
    return info
