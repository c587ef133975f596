"""Both ends of the bus: a subscriber, and whoever asks for streams over it."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from local.cloud import Cloud

Json = dict[str, Any]


class Subscriber:
    """A queue behind a rule for everything of source ``headwater``. Keeps what it received; any thread may wait."""

    def __init__(self, sqs: Any, url: str) -> None:
        self._sqs = sqs
        self._url = url
        self._lock = threading.Lock()
        self.received: list[Json] = []
        """EventBridge's envelopes, as they came."""

    def events(self, stream_id: str, kind: str | None = None) -> list[Json]:
        """What has been received about a stream so far."""
        return [
            event
            for event in list(self.received)
            if kind in {None, event["detail-type"]} and stream_id == _stream_id(event["detail"]["data"])
        ]

    def await_events(self, stream_id: str, kind: str, count: int = 1, seconds: float = 30) -> list[Json]:
        """At least ``count`` events of that kind. Raises ``AssertionError`` after ``seconds``."""
        deadline = time.monotonic() + seconds
        while len(found := self.events(stream_id, kind)) < count:
            assert time.monotonic() < deadline, f"{len(found)} of {count} {kind} of {stream_id} in {seconds} s"
            self.receive()
        return found

    def receive(self) -> None:
        """Take what has arrived; wait up to a second for something."""
        with self._lock:
            answer = self._sqs.receive_message(QueueUrl=self._url, MaxNumberOfMessages=10, WaitTimeSeconds=1)
            for message in answer.get("Messages", []):
                self._sqs.delete_message(QueueUrl=self._url, ReceiptHandle=message["ReceiptHandle"])
                self.received.append(json.loads(message["Body"]))


def _stream_id(data: Json) -> str | None:
    stream_id: str | None = data["stream"]["id"] if "stream" in data else data.get("stream_id")
    return stream_id


@contextmanager
def subscribed(cloud: Cloud, name: str) -> Iterator[Subscriber]:
    """A subscriber with a queue and a rule of its own."""
    sqs, events = cloud.client("sqs"), cloud.client("events")
    url = sqs.create_queue(QueueName=name)["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    pattern = json.dumps({"source": ["headwater"]})
    rule = events.put_rule(Name=name, EventBusName=cloud.bus, EventPattern=pattern)["RuleArn"]
    allow = {
        "Effect": "Allow",
        "Principal": {"Service": "events.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": arn,
        "Condition": {"ArnEquals": {"aws:SourceArn": rule}},
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [allow]})
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy})
    events.put_targets(Rule=name, EventBusName=cloud.bus, Targets=[{"Id": "queue", "Arn": arn}])
    try:
        yield Subscriber(sqs, url)
    finally:
        events.remove_targets(Rule=name, EventBusName=cloud.bus, Ids=["queue"])
        events.delete_rule(Name=name, EventBusName=cloud.bus)
        sqs.delete_queue(QueueUrl=url)


class Requester:
    """Asks for streams over the bus. Keeps what it sent, for whoever looks for the secrets in it."""

    def __init__(self, cloud: Cloud) -> None:
        self._events = cloud.client("events")
        self._bus = cloud.bus
        self.sent: list[str] = []

    def ask(self, provider: str, request: Json | None = None, *, version: int = 1, **rest: Any) -> str:
        """Put a ``StreamRequested`` on the bus; its event id. ``rest``: more members of ``data``, and ``tenant``."""
        tenant = {"tenant": rest.pop("tenant")} if "tenant" in rest else {}
        data = {"provider": provider, "request": request or {}, **rest}
        detail = json.dumps({"version": version, **tenant, "data": data})
        self.sent.append(detail)
        entry = {"Source": "headwater.requests", "DetailType": "StreamRequested", "Detail": detail}
        answer = self._events.put_events(Entries=[{**entry, "EventBusName": self._bus}])
        assert answer["FailedEntryCount"] == 0, answer
        event_id: str = answer["Entries"][0]["EventId"]
        return event_id
