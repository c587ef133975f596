"""Business time: real time, unless a file says how far somebody has moved it ahead."""

from collections.abc import Callable
from datetime import UTC, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from headwater import aws, clock, wiring
from headwater.records import Record
from headwater.streams import State, now
from tests.template import template
from tests.unit.fakes import Plain, a_claimed_record
from tests.unit.test_store import NAME, settled, table_properties, told

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

DAY = 86_400

type Move = Callable[[float], None]
"""Business time is so many seconds ahead from now on."""


@pytest.fixture
def move(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Move:
    file = tmp_path / "clock"
    monkeypatch.setenv("CLOCK_FILE", str(file))

    def ahead_by(seconds: float) -> None:
        file.write_text(str(round(seconds * 1000)))

    return ahead_by


def is_ahead_by(seconds: float) -> bool:
    before, present, after = now(), clock.present(), now()
    return before <= present - timedelta(seconds=seconds) <= after


def test_where_no_file_is_named_business_time_is_real_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CLOCK_FILE", raising=False)
    assert clock.moved() == timedelta(0)
    assert is_ahead_by(0)


def test_a_file_that_is_not_there_yet_moves_nothing(move: Move) -> None:
    assert clock.moved() == timedelta(0)
    assert is_ahead_by(0)


def test_business_time_is_ahead_by_what_the_file_says_at_each_look(move: Move) -> None:
    for seconds in (0.25, 3600, 40 * DAY):
        move(seconds)
        assert clock.moved() == timedelta(seconds=seconds)
        assert is_ahead_by(seconds)


def test_business_time_is_utc_in_whole_milliseconds(move: Move) -> None:
    move(3600)
    present = clock.present()
    assert present.tzinfo is UTC
    assert present.microsecond % 1000 == 0


def test_what_is_no_number_is_not_taken_for_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "clock"
    file.write_text("soon")
    monkeypatch.setenv("CLOCK_FILE", str(file))
    with pytest.raises(ValueError, match="soon"):
        clock.moved()


# ---- what is wired by the environment


@pytest.fixture
def client(cloud: None, monkeypatch: pytest.MonkeyPatch) -> "DynamoDBClient":
    monkeypatch.setenv("TABLE_NAME", NAME)
    client: DynamoDBClient = aws.client("dynamodb")
    client.create_table(TableName=NAME, **table_properties())
    return client


@pytest.fixture
def ended(client: "DynamoDBClient") -> Record:
    """A stream that has just ended, with one event."""
    record = a_claimed_record()
    assert wiring.table().claim(record) is None
    after = settled(record, state=State.ENDED).model_copy(update={"ended_at": now()})
    return wiring.table().settle(after, told(after))


def test_what_has_ended_is_known_for_thirty_days_of_business_time(ended: Record, move: Move) -> None:
    move(30 * DAY - 60)
    assert wiring.table().load(ended.stream.id) == ended
    assert len(wiring.table().timeline(ended.stream.id)) == 1
    assert wiring.table().claim(a_claimed_record()) == ended
    move(30 * DAY + 1)
    assert wiring.table().load(ended.stream.id) is None
    assert wiring.table().timeline(ended.stream.id) == []


def test_a_key_and_an_event_s_place_are_free_again_by_business_time(ended: Record, move: Move) -> None:
    move(30 * DAY + 1)
    again = a_claimed_record()
    assert wiring.table().claim(again) is None
    after = settled(again)
    assert wiring.table().settle(after, told(after)).stream == after.stream


def test_a_provider_s_function_lives_by_business_time_and_claims_by_real_time(
    client: "DynamoDBClient", move: Move, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in template()["Globals"]["Function"]["Environment"]["Variables"]:
        monkeypatch.setenv(name, "5")  # for a text and for a number
    parts = wiring.parts(Plain())
    move(3600)
    before, real, present, after = now(), parts.clock(), parts.present(), now()
    assert before <= real <= after
    assert before <= present - timedelta(seconds=3600) <= after
