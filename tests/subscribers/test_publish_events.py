"""What was recorded is published: all of it, nothing else, and what the bus did not take comes again."""

import json
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headwater import events
from headwater.attributes import to_attributes
from headwater.events import DETAIL_BYTES
from headwater.store import event_item
from headwater.streams import State, Stream, href
from publish_events.bus import CALL_SECONDS, PAUSES
from publish_events.handler import NotPublished, handler
from publish_events.outbox import ENTRIES, REQUEST_BYTES, Pending, portions
from tests.subscribers.fakes import PUT_EVENTS_BYTES, FakeBus, FakeQueue, received

MOMENT = datetime(2026, 11, 20, 8, 15, tzinfo=UTC)


def recorded(number: int, filling: int = 0) -> events.StreamCreated:
    """An event; ``filling`` are bytes that make it longer."""
    stream_id = f"str_{number:03}"
    stream = Stream(
        id=stream_id,
        provider="fake",
        state=State.READY,
        version=1,
        created_at=MOMENT,
        updated_at=MOMENT,
        metadata={"filling": "x" * filling},
        href=href("fake", stream_id),
    )
    return events.happened(events.StreamCreated, stream, "aws:1", "request")


def record(number: int, event: events.Happened | None = None, **image: str) -> dict[str, Any]:
    """As the table's stream brings it: the item that ``store`` writes, with what is given in its place."""
    attributes = to_attributes({**event_item(event or recorded(number)), **image})
    keys = {name: attributes[name] for name in ("pk", "sk")}
    change = {"SequenceNumber": str(1000 + number), "Keys": keys, "NewImage": attributes}
    return {"eventID": f"event-{number}", "eventName": "INSERT", "dynamodb": change}


def batch(*records: dict[str, Any]) -> dict[str, Any]:
    return {"Records": list(records)}


def id_of(number: int) -> str:
    return events.event_id(recorded(number).data.stream)


class Context:
    """An invocation with so many seconds left, at each look."""

    def __init__(self, *seconds: float) -> None:
        self._seconds = list(seconds)

    def get_remaining_time_in_millis(self) -> int:
        seconds = self._seconds.pop(0) if self._seconds else 29.0
        return int(seconds * 1000)


def publish(*records: dict[str, Any]) -> None:
    handler(batch(*records), Context())


def not_published(*records: dict[str, Any], context: Context | None = None) -> int:
    """How many of them are said not to be published yet."""
    with pytest.raises(NotPublished) as told:
        handler(batch(*records), context or Context())
    return int(str(told.value).split()[0])


@pytest.fixture(autouse=True)
def pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many as there are, and none of them long."""
    monkeypatch.setattr("publish_events.bus.PAUSES", tuple(pause / 1000 for pause in PAUSES))


@pytest.fixture
def bus(clients: dict[str, Any]) -> FakeBus:
    clients["events"] = bus = FakeBus()
    return bus


@pytest.fixture
def letters(clients: dict[str, Any]) -> FakeQueue:
    clients["sqs"] = letters = FakeQueue()
    return letters


def test_an_event_arrives_on_the_bus_as_it_was_recorded(heard: str) -> None:
    publish(record(1))
    (arrived,) = received(heard)
    assert (arrived["source"], arrived["detail-type"]) == ("headwater", "StreamCreated")
    assert arrived["detail"] == json.loads(recorded(1).model_dump_json())


def test_events_go_in_order_and_at_most_ten_at_once(bus: FakeBus) -> None:
    publish(*map(record, range(25)))
    assert bus.calls == [10, 10, 5]
    assert bus.ids == [id_of(number) for number in range(25)]


def test_nothing_to_publish_is_nothing_put(bus: FakeBus) -> None:
    publish()
    assert bus.calls == []


def test_large_events_go_in_smaller_portions(bus: FakeBus) -> None:
    large = [record(number, recorded(number, 90_000)) for number in range(5)]
    publish(*large)
    assert bus.calls == [2, 2, 1]


def test_an_event_as_large_as_one_may_be_is_published(bus: FakeBus) -> None:
    room = DETAIL_BYTES - len(recorded(1).model_dump_json().encode())
    publish(record(1, recorded(1, room)), record(2))
    assert bus.calls == [1, 1]


# ---- what the bus does not take


def test_each_entry_s_answer_is_read(bus: FakeBus) -> None:
    bus.refused = {id_of(3), id_of(17)}
    assert not_published(*map(record, range(25))) == 2
    assert bus.ids == [id_of(number) for number in range(25) if number not in {3, 17}]


def test_what_was_refused_is_offered_again_and_nothing_else_is(bus: FakeBus) -> None:
    bus.refused = {id_of(1)}
    assert not_published(*map(record, range(12))) == 1
    assert bus.calls == [10, 2, *[1 for _ in PAUSES]]


def test_what_is_taken_the_second_time_is_published(bus: FakeBus) -> None:
    bus.down = {1}
    publish(record(0), record(1))
    assert bus.ids == [id_of(0), id_of(1)]


def test_what_was_refused_is_published_when_it_comes_again(bus: FakeBus) -> None:
    bus.refused = {id_of(1)}
    assert not_published(record(0), record(1)) == 1
    bus.refused.clear()
    publish(record(0), record(1))
    assert bus.ids == [id_of(0), id_of(0), id_of(1)]


def test_a_call_that_fails_as_a_whole_keeps_no_other_portion_back(bus: FakeBus) -> None:
    bus.down = {2}
    publish(*map(record, range(25)))
    assert bus.ids == [id_of(number) for number in [*range(10), *range(20, 25), *range(10, 20)]]


def test_while_the_bus_is_away_everything_comes_again(bus: FakeBus) -> None:
    bus.down = set(range(1, 100))
    assert not_published(*map(record, range(12))) == 12


def test_nothing_is_offered_again_that_could_not_be_answered_in_time(bus: FakeBus) -> None:
    bus.down = {1, 2}
    assert not_published(record(1), context=Context(CALL_SECONDS + 1, CALL_SECONDS - 1)) == 1
    assert bus.ids == []


# ---- what can never be published


def with_a_secret(number: int) -> dict[str, Any]:
    detail = json.loads(recorded(number).model_dump_json())
    detail["data"]["stream"]["stream_key"] = "canary-key"
    return record(number, detail=json.dumps(detail))


UNPUBLISHABLE = {
    "a type that was not promised": record(1, type="StreamAttentionDue"),
    "another version": record(1, detail=recorded(1).model_dump_json().replace('"version":1', '"version":2', 1)),
    "no JSON": record(1, detail="canary-key"),
    "too large": record(1, recorded(1, DETAIL_BYTES)),
    "no image": {"eventID": "event-1", "dynamodb": {"SequenceNumber": "1001", "Keys": {"pk": {"S": "STREAM#str_001"}}}},
    "no event at all": {"eventID": "event-1"},
}


@pytest.mark.parametrize("unfit", UNPUBLISHABLE.values(), ids=UNPUBLISHABLE)
def test_what_can_never_be_published_is_set_aside_and_holds_up_nothing(
    bus: FakeBus, letters: FakeQueue, unfit: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    publish(record(0), unfit, record(2))
    assert bus.ids == [id_of(0), id_of(2)]
    (letter,) = letters.messages
    told = json.loads(letter["MessageBody"])
    assert letter["QueueUrl"] == "dead-letters"
    assert told["event_id"] == "event-1"
    assert told["reason"]
    assert told["keys"] == unfit.get("dynamodb", {}).get("Keys", {})
    assert "canary" not in letter["MessageBody"] + "".join(capsys.readouterr())


def test_what_cannot_be_set_aside_is_not_lost(bus: FakeBus, letters: FakeQueue) -> None:
    letters.down = True
    with pytest.raises(ConnectionError):
        publish(record(1, detail="no JSON"))


def test_a_member_that_was_not_promised_is_left_out(bus: FakeBus) -> None:
    publish(with_a_secret(1))
    assert bus.ids == [id_of(1)]
    assert "canary" not in json.dumps(bus.taken)


# ---- portions


@given(st.lists(st.integers(0, DETAIL_BYTES), max_size=60))
def test_portions_are_in_order_whole_and_as_small_as_put_events_wants_them(sizes: list[int]) -> None:
    events_ = [
        Pending("StreamStateChanged", f"{number:03}" + "x" * max(0, size - 3)) for number, size in enumerate(sizes)
    ]
    made = list(portions(events_))
    assert [event for portion in made for event in portion] == events_
    for portion in made:
        assert 1 <= len(portion) <= ENTRIES
        weight = sum(len(event.detail) for event in portion)
        assert weight <= REQUEST_BYTES
        names = sum(len(event.kind) + len("headwater") for event in portion)
        assert weight + names <= PUT_EVENTS_BYTES
    for portion, following in pairwise(made):
        full = len(portion) == ENTRIES
        assert full or sum(len(event.detail) for event in [*portion, following[0]]) > REQUEST_BYTES


@given(st.integers(1, 40))
def test_a_portion_s_size_is_in_bytes_and_not_in_characters(count: int) -> None:
    events_ = [Pending("StreamCreated", "ä" * 60_000) for _ in range(count)]
    assert {len(portion) for portion in portions(events_)} == {1}
