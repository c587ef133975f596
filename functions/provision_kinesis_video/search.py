"""The search for the streams that bear a deployment's mark: each is asked for its tags, below the service's quotas."""

import time
from collections.abc import Sequence
from random import shuffle
from typing import TYPE_CHECKING

from headwater.deadline import Deadline
from headwater.errors import ProviderRateLimited, ProviderUnavailable
from headwater.provider import Marked
from headwater.retry import with_retries
from provision_kinesis_video import wire
from provision_kinesis_video.calls import Calls
from provision_kinesis_video.looks import Looks
from provision_kinesis_video.options import MARKS

if TYPE_CHECKING:
    from mypy_boto3_kinesisvideo.client import KinesisVideoClient
    from mypy_boto3_kinesisvideo.type_defs import ListStreamsInputTypeDef

LISTED_AT_ONCE = 1000
"""Streams in a page: the most that the service gives, 10,000, are more than a short answer."""

LISTING_PAUSE = 0.05
"""Seconds between the calls of a search: less than half of the 50 a second that all of an account's callers share
("Service quotas" in the developer guide)."""

LOOK_SECONDS = 1.0
"""A search looks at no further stream with less time left than this."""


class MarkSearch:
    """Searches the streams of this account and region by one client."""

    def __init__(self, client: "KinesisVideoClient", calls: Calls, looks: Looks) -> None:
        self._client = client
        self._calls = calls
        self._looks = looks

    def marked(self, deployment: str, deadline: Deadline) -> Sequence[Marked]:
        """Those that bear both our tags, as far as time allows. They are looked at in no order, so that where time
        does not suffice for all, each search sees others."""
        found, left = [], self._listed(deadline)
        shuffle(left)
        while left and deadline.remaining() > LOOK_SECONDS:
            info = left.pop()
            time.sleep(LISTING_PAUSE)
            try:
                marks = self._marks(info.arn, deadline)
            except ProviderUnavailable:
                continue  # it cannot be looked at just now: another search may
            except ProviderRateLimited:
                break  # creates, which need these calls too, go first
            if marks.stream_id and marks.deployment == deployment:
                found.append(Marked(info.arn, marks.stream_id, info.created_at))
        return found

    def _marks(self, arn: str, deadline: Deadline) -> wire.Marks:
        return with_retries(
            lambda: wire.marks(self._looks.tags(arn, deadline, enough=MARKS) or {}),
            deadline,
            repeatable=True,
            attempts=2,
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
