"""Our own commands reach the bus: in tens, as what they are, and whoever sends hears which of them did not."""

import json
from typing import Any

import pytest

from headwater.commands import ENTRIES, Command, send
from headwater.events import AttentionData, OrphanSearchDue, SearchData, StreamAttentionDue
from tests.subscribers.fakes import FakeBus, received


def attention(number: int) -> Command:
    return StreamAttentionDue(data=AttentionData(provider="fake", stream_id=f"str_{number}", reason="due"))


def search() -> Command:
    return OrphanSearchDue(data=SearchData(provider="fake"))


@pytest.fixture
def bus(clients: dict[str, Any]) -> FakeBus:
    clients["events"] = bus = FakeBus()
    return bus


def test_a_command_is_on_our_bus_from_us_and_by_its_name(heard: str) -> None:
    assert send([attention(1), search()]) == []
    told = {event["detail-type"]: event for event in received(heard)}
    assert set(told) == {"StreamAttentionDue", "OrphanSearchDue"}
    assert {event["source"] for event in told.values()} == {"headwater"}
    wanted = {"provider": "fake", "stream_id": "str_1", "reason": "due", "beat": None}
    assert told["StreamAttentionDue"]["detail"] == {"version": 1, "data": wanted}
    assert told["OrphanSearchDue"]["detail"] == {"version": 1, "data": {"provider": "fake"}}


@pytest.mark.parametrize(("commands", "calls"), [(0, []), (1, [1]), (10, [10]), (11, [10, 1]), (25, [10, 10, 5])])
def test_commands_go_by_the_ten(bus: FakeBus, commands: int, calls: list[int]) -> None:
    assert send([attention(number) for number in range(commands)]) == []
    assert bus.calls == calls
    assert bus.ids == [f"str_{number}" for number in range(commands)]


def test_each_entry_s_answer_is_read(bus: FakeBus, capsys: pytest.CaptureFixture[str]) -> None:
    commands = [attention(number) for number in range(25)]
    bus.refused = {"str_3", "str_17", "str_24"}
    assert send(commands) == [commands[number] for number in (3, 17, 24)]
    assert len(bus.taken) == 22
    refusals = [json.loads(line) for line in capsys.readouterr().out.splitlines() if "refused" in line]
    assert [line["code"] for line in refusals] == ["InternalFailure"] * 3


def test_of_a_call_that_failed_nothing_is_taken_and_the_others_go_on(
    bus: FakeBus, capsys: pytest.CaptureFixture[str]
) -> None:
    commands = [attention(number) for number in range(25)]
    bus.down = {2}
    assert send(commands) == commands[ENTRIES : 2 * ENTRIES]
    assert len(bus.taken) == 15
    assert "cannot be reached" not in capsys.readouterr().out


class Forgetful:
    """Answers to fewer entries than it was given."""

    def put_events(self, Entries: list[dict[str, Any]]) -> dict[str, Any]:  # noqa: N803  # boto3's name
        return {"FailedEntryCount": 0, "Entries": [{"EventId": "1"} for _ in Entries[1:]]}


def test_an_answer_that_leaves_one_out_vouches_for_none(clients: dict[str, Any]) -> None:
    clients["events"] = Forgetful()
    commands = [attention(1), attention(2)]
    assert send(commands) == commands
