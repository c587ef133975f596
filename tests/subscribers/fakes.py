"""Stateful stand-ins for the services that the functions downstream talk to."""

import json
from collections.abc import Iterable
from typing import Any

from headwater import aws

PUT_EVENTS_ENTRIES = 10
PUT_EVENTS_BYTES = 262_144
"""PutEvents' limits: "Amazon EventBridge quotas", and "Calculating PutEvents event entry size" in its user guide."""


class FakeBus:
    """Takes entries as EventBridge does, save for those that it was told to refuse. ``taken`` are in order."""

    def __init__(self) -> None:
        self.taken: list[dict[str, Any]] = []
        self.calls: list[int] = []
        """How many entries each call had."""
        self.refused: set[str] = set()
        """The ids of events, and of the streams of commands, that are refused."""
        self.down: set[int] = set()
        """The numbers of the calls that fail as a whole, from 1."""

    def put_events(self, Entries: list[dict[str, Any]]) -> dict[str, Any]:  # noqa: N803  # boto3's name
        self.calls.append(len(Entries))
        if len(Entries) > PUT_EVENTS_ENTRIES or sum(map(_weight, Entries)) > PUT_EVENTS_BYTES:
            raise ValueError("ValidationException: too much at once")
        if len(self.calls) in self.down:
            raise ConnectionError("the bus cannot be reached")
        answers = [self._answer(entry) for entry in Entries]
        return {"FailedEntryCount": sum("ErrorCode" in each for each in answers), "Entries": answers}

    def _answer(self, entry: dict[str, Any]) -> dict[str, str]:
        if self._id(entry) in self.refused:
            return {"ErrorCode": "InternalFailure", "ErrorMessage": "Try again."}
        self.taken.append(entry)
        return {"EventId": str(len(self.taken))}

    @property
    def ids(self) -> list[str]:
        """The ids of the events that were taken, in order."""
        return [self._id(entry) for entry in self.taken]

    @staticmethod
    def _id(entry: dict[str, Any]) -> str:
        detail = json.loads(entry["Detail"])
        return str(detail.get("event_id") or detail["data"].get("stream_id") or detail["data"]["provider"])


def _weight(entry: dict[str, Any]) -> int:
    texts: Iterable[str] = (entry["Source"], entry["DetailType"], entry["Detail"], *entry.get("Resources", ()))
    return sum(len(text.encode()) for text in texts) + (14 if "Time" in entry else 0)


class FakeQueue:
    """Keeps the messages that it was sent."""

    def __init__(self) -> None:
        self.messages: list[dict[str, Any]] = []
        self.down = False

    def send_message(self, **message: Any) -> dict[str, Any]:
        if self.down:
            raise ConnectionError("the queue cannot be reached")
        self.messages.append(message)
        return {"MessageId": str(len(self.messages))}


def received(url: str) -> list[dict[str, Any]]:
    """The bodies of all the messages that wait in a queue of moto's; they are taken out of it."""
    bodies: list[dict[str, Any]] = []
    while found := aws.client("sqs").receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
        for message in found:
            bodies.append(json.loads(message["Body"]))
            aws.client("sqs").delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    return bodies


def sqs_batch(*bodies: Any) -> dict[str, Any]:
    """Messages as Lambda hands them over; their ids count from 1."""
    return {
        "Records": [
            {"messageId": str(number), "body": json.dumps(body), "eventSource": "aws:sqs", "attributes": {}}
            for number, body in enumerate(bodies, start=1)
        ]
    }
