"""Kinesis Video's client, and the one way to call it: until a deadline, with a failure of ours for each of its."""

import json
import math
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, cast

from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError

from headwater import aws, snapshot
from headwater.deadline import Deadline
from headwater.errors import ProviderRejected
from provision_kinesis_video import wire

if TYPE_CHECKING:
    from mypy_boto3_kinesisvideo.client import KinesisVideoClient

CONNECT_SECONDS = 5.0
ANSWER_SECONDS = 10.0

_PATIENCE: ContextVar[float] = ContextVar("patience", default=math.inf)
"""Seconds until the deadline of the call under way: botocore's handlers are told of no such thing."""


def kinesis_video_client(
    endpoint_url: str | None, connect_seconds: float = CONNECT_SECONDS, answer_seconds: float = ANSWER_SECONDS
) -> "KinesisVideoClient":
    """A client that tries once: repeating is ``with_retries``' alone. Without ``endpoint_url`` botocore finds it."""
    from botocore.config import Config

    config = Config(
        connect_timeout=connect_seconds,
        read_timeout=answer_seconds,
        retries={"total_max_attempts": 1},
        user_agent=aws.USER_AGENT,
    )
    made: Any = aws.session().create_client(
        "kinesisvideo", endpoint_url=endpoint_url, config=config, verify=aws.trusted()
    )
    snapshot.before(made.close)
    return cast("KinesisVideoClient", made)


class Calls:
    """Calls by one client. Nothing is repeated here."""

    def __init__(self, client: "KinesisVideoClient") -> None:
        events = client.meta.events
        events.register("before-call.kinesis-video", _bound, unique_id="headwater-bound")
        events.register("before-parse.kinesis-video", _refuse_garbage, unique_id="headwater-refuse-garbage")

    def looked_up[T: Mapping[str, Any]](
        self, call: Callable[[], T], deadline: Deadline, *, changes: bool = False
    ) -> T | None:
        """As ``call``; None where the service has no such stream."""
        try:
            return self.call(call, deadline, changes=changes)
        except ProviderRejected as refusal:
            if wire.is_not_found(refusal):
                return None
            raise

    def call[T](self, call: Callable[[], T], deadline: Deadline, *, changes: bool = False) -> T:
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


def _bound(context: dict[str, Any], **_: Any) -> None:
    """Ends the wait for an answer with the deadline (botocore's pull request 3770: read timeouts per invocation)."""
    context["read_timeout"] = min(_PATIENCE.get(), context["client_config"].read_timeout)


def _refuse_garbage(response_dict: dict[str, Any], **_: Any) -> None:
    """botocore takes a body that is no JSON for an answer without members: a stream without tags, for one."""
    body = response_dict["body"]
    if response_dict["status_code"] < 300 and body and not isinstance(json.loads(body), dict):
        raise ValueError("the answer is not a JSON object")
