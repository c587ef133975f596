"""Who reads an event reads every version-1 example of it, also with what may be added later; who writes is strict."""

import json
from types import SimpleNamespace
from typing import Any, cast

import pytest
from pydantic import BaseModel, ValidationError

from headwater.attributes import to_attributes
from headwater.deadline import Deadline
from headwater.events import (
    PUBLISHED,
    AttentionData,
    OrphanSearchDue,
    StreamAttentionDue,
    StreamCreated,
    StreamRequested,
)
from headwater.queue import Envelope, Inbox
from publish_events.outbox import Unpublishable, pending
from renew_leases.beats import CreatedDetail
from tests.contract.promises import EVENTS, Json, example, on_the_bus, with_one_unknown_member, with_unknown_members

CONTEXT = SimpleNamespace(get_remaining_time_in_millis=lambda: 29_000)


class FakeLifecycle:
    """Remembers what was due."""

    def __init__(self) -> None:
        self.due: list[AttentionData] = []

    def attend(self, data: AttentionData, request_id: str, deadline: Deadline) -> None:
        self.due.append(data)


@pytest.mark.parametrize("change", [lambda event: event, with_unknown_members], ids=["as it is", "with more"])
class TestReaders:
    @pytest.mark.parametrize("kind", EVENTS)
    def test_a_provider_s_queue_reads_the_envelope(self, kind: type[BaseModel], change: Any) -> None:
        sent = on_the_bus(kind, example(kind))
        read = Envelope.model_validate(change(sent))
        assert (read.id, read.account, read.detail_type) == (sent["id"], sent["account"], kind.__name__)
        assert read.detail["version"] == 1

    def test_a_provider_s_queue_reads_what_is_due(self, change: Any) -> None:
        lifecycle = FakeLifecycle()
        body = json.dumps(change(on_the_bus(StreamAttentionDue, example(StreamAttentionDue))))
        message = {"messageId": "1", "body": body, "eventSource": "aws:sqs"}
        inbox = Inbox(cast(Any, None), cast(Any, None), cast(Any, lifecycle))
        assert inbox.receive({"Records": [message]}, CONTEXT) == {"batchItemFailures": []}
        assert [json.loads(data.model_dump_json()) for data in lifecycle.due] == [example(StreamAttentionDue)["data"]]

    def test_the_lease_keeper_reads_what_was_created(self, change: Any) -> None:
        told = example(StreamCreated)["data"]["stream"]
        read = CreatedDetail.model_validate(change(example(StreamCreated))).data.stream
        assert (read.id, read.provider) == (told["id"], told["provider"])
        assert read.lease
        assert read.lease.ttl_seconds == told["lease"]["ttl_seconds"]
        assert read.expires_at
        assert read.expires_at.isoformat().startswith(told["expires_at"].removesuffix("Z"))

    def test_the_lease_keeper_reads_a_stream_without_lease_or_end(self, change: Any) -> None:
        detail = example(StreamCreated)
        detail["data"]["stream"] |= {"lease": None, "expires_at": None}
        read = CreatedDetail.model_validate(change(detail)).data.stream
        assert (read.lease, read.expires_at) == (None, None)


def test_a_request_with_an_unknown_member_is_refused_by_its_place() -> None:
    with pytest.raises(ValidationError) as refused:
        StreamRequested.model_validate(with_unknown_members(example(StreamRequested)))
    assert {error["loc"] for error in refused.value.errors()} >= {("added_later",), ("data", "added_later")}


# ---- the publisher


def record(kind: type[BaseModel], detail: Json) -> Json:
    """As the table's stream brings it."""
    image = {"pk": "STREAM#1", "sk": "EVENT#0000000001", "type": kind.__name__, "detail": json.dumps(detail)}
    return {"eventName": "INSERT", "dynamodb": {"SequenceNumber": "7", "NewImage": to_attributes(image)}}


@pytest.mark.parametrize("kind", PUBLISHED)
def test_the_publisher_sends_an_example_as_it_was_recorded(kind: type[BaseModel]) -> None:
    event = pending(record(kind, example(kind)))
    assert event.kind == kind.__name__
    assert json.loads(event.entry("bus")["Detail"]) == example(kind)
    assert event.entry("bus")["Source"] == "headwater"


@pytest.mark.parametrize("kind", PUBLISHED)
def test_the_publisher_sends_nothing_that_was_not_promised(kind: type[BaseModel]) -> None:
    free = ("/data/stream/metadata", "/data/stream/options")
    places = [(at, changed) for at, changed in with_one_unknown_member(example(kind)) if not at.startswith(free)]
    assert {"", "/data", "/data/stream"} <= {at for at, _ in places}
    for _, changed in places:
        assert "added_later" not in pending(record(kind, changed)).detail


@pytest.mark.parametrize("kind", [StreamAttentionDue, OrphanSearchDue, StreamRequested])
def test_the_publisher_sends_no_command(kind: type[BaseModel]) -> None:
    with pytest.raises(Unpublishable):
        pending(record(kind, example(kind)))
