"""Where sightings are kept: the table, and the fake that stands for it elsewhere. And how a search is come by."""

import io
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from headwater import aws
from headwater.deadline import Deadline
from headwater.errors import ProviderSecretInvalid, ProviderUnavailable
from headwater.orphan_reports import LINES, preview, search
from headwater.orphans import MEMORY, Sighting, Sightings, Why
from headwater.provider_function import ProviderFunction
from headwater.queue import Inbox
from headwater.sightings import TableSightings
from headwater.streams import now
from tests.template import resources
from tests.unit.fakes import CANARY, Plain, World
from tests.unit.fakes_orphans import DAY, HOUR, FakeSightings, Orphanage
from tests.unit.test_queue import Context, batch, envelope

MOMENT = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOURS = timedelta(hours=1)
FIRST = Sighting(ref="ref-1", stream_id="str_1", why=Why.NO_RECORD, first_seen=MOMENT, last_seen=MOMENT)
SECOND = FIRST.model_copy(update={"last_seen": MOMENT + timedelta(hours=1), "sightings": 2})


@pytest.fixture
def table(cloud: None) -> str:
    """The table as the template declares it."""
    declared = resources("AWS::DynamoDB::Table")["Table"]
    names = ("BillingMode", "AttributeDefinitions", "KeySchema", "GlobalSecondaryIndexes")
    aws.client("dynamodb").create_table(TableName="table", **{name: declared[name] for name in names})
    return "table"


class SightingsContract:
    """What a search relies on. A subclass gives the fixture ``sightings``."""

    @pytest.fixture
    def sightings(self) -> Sightings:
        raise TypeError("a subclass gives the sightings")

    def test_what_is_kept_is_known_by_its_ref(self, sightings: Sightings) -> None:
        assert sightings.known("one") == {}
        assert sightings.keep("one", FIRST, None)
        assert sightings.known("one") == {"ref-1": FIRST}

    def test_two_providers_do_not_meet(self, sightings: Sightings) -> None:
        sightings.keep("one", FIRST, None)
        assert sightings.known("another") == {}
        assert sightings.keep("another", SECOND, None)
        assert sightings.known("one") == {"ref-1": FIRST}

    def test_a_sighting_takes_its_forerunner_s_place(self, sightings: Sightings) -> None:
        sightings.keep("one", FIRST, None)
        assert sightings.keep("one", SECOND, FIRST)
        assert sightings.known("one") == {"ref-1": SECOND}

    def test_who_comes_second_changes_nothing(self, sightings: Sightings) -> None:
        sightings.keep("one", FIRST, None)
        assert not sightings.keep("one", SECOND, None)
        assert sightings.keep("one", SECOND, FIRST)
        third = SECOND.model_copy(update={"sightings": 9})
        assert not sightings.keep("one", third, FIRST)
        assert sightings.known("one") == {"ref-1": SECOND}

    def test_what_is_gone_has_no_follower(self, sightings: Sightings) -> None:
        assert not sightings.keep("one", SECOND, FIRST)
        assert sightings.known("one") == {}

    def test_what_is_forgotten_is_not_known(self, sightings: Sightings) -> None:
        sightings.keep("one", FIRST, None)
        sightings.forget("one", FIRST)
        assert sightings.known("one") == {}

    def test_what_was_seen_meanwhile_is_not_forgotten(self, sightings: Sightings) -> None:
        sightings.keep("one", SECOND, None)
        sightings.forget("one", FIRST)
        assert sightings.known("one") == {"ref-1": SECOND}

    def test_it_is_kept_when_the_table_was_first_searched_with(self, sightings: Sightings) -> None:
        assert sightings.since(MOMENT, dry_run=True) == MOMENT
        assert sightings.since(MOMENT + HOURS, dry_run=False) == MOMENT + HOURS
        assert sightings.since(MOMENT + 2 * HOURS, dry_run=False) == MOMENT + HOURS
        assert sightings.since(MOMENT + 2 * HOURS, dry_run=True) == MOMENT + HOURS

    def test_what_is_not_there_can_be_forgotten(self, sightings: Sightings) -> None:
        sightings.forget("one", FIRST)
        assert sightings.known("one") == {}


class TestFake(SightingsContract):
    @pytest.fixture
    def sightings(self) -> Sightings:
        return FakeSightings()


class TestTable(SightingsContract):
    @pytest.fixture
    def sightings(self, table: str) -> Sightings:
        return TableSightings(aws.client("dynamodb"), table)

    def test_more_than_a_page_is_known(self, sightings: Sightings) -> None:
        long = "x" * 300_000
        for number in range(5):
            sightings.keep("one", FIRST.model_copy(update={"ref": f"ref-{number}", "stream_id": long}), None)
        assert len(sightings.known("one")) == 5

    def test_an_item_goes_by_itself_some_days_later(self, sightings: Sightings, table: str) -> None:
        sightings.keep("one", FIRST, None)
        [item] = aws.client("dynamodb").scan(TableName=table)["Items"]
        assert (item["pk"]["S"], item["sk"]["S"]) == ("ORPHAN#one", "ref-1")
        assert int(item["expires"]["N"]) == (MOMENT + MEMORY).timestamp()
        declared = resources("AWS::DynamoDB::Table")["Table"]["TimeToLiveSpecification"]
        assert declared["AttributeName"] == "expires"

    def test_a_restored_table_is_searched_with_for_the_first_time(self, sightings: Sightings, table: str) -> None:
        sightings.since(MOMENT, dry_run=False)
        dynamodb = aws.client("dynamodb")
        [item] = dynamodb.scan(TableName=table)["Items"]
        assert item["table_made_at"]["S"]
        # As the items of another table came along with a restore: made at another time.
        dynamodb.put_item(TableName=table, Item={**item, "table_made_at": {"S": "2025-01-01T00:00:00+00:00"}})
        assert sightings.since(MOMENT + HOURS, dry_run=True) == MOMENT + HOURS
        assert sightings.since(MOMENT + 2 * HOURS, dry_run=False) == MOMENT + 2 * HOURS
        assert sightings.since(MOMENT + 3 * HOURS, dry_run=False) == MOMENT + 2 * HOURS

    def test_who_begins_second_leaves_the_first(self, sightings: TableSightings, table: str) -> None:
        sightings.since(MOMENT, dry_run=False)
        [item] = aws.client("dynamodb").scan(TableName=table)["Items"]
        sightings._begin(item["table_made_at"]["S"], MOMENT + HOURS)
        assert sightings.since(MOMENT + HOURS, dry_run=False) == MOMENT


# ---- how a search is come by


@pytest.fixture
def world(table: str, monkeypatch: pytest.MonkeyPatch) -> Orphanage:
    """A function's environment, with a provider, records and a clock of ours."""
    monkeypatch.setenv("TABLE_NAME", table)
    monkeypatch.setenv("REMOVE_ORPHANS", "false")
    return Orphanage()


def due(provider: str = "fake", **rest: Any) -> str:
    return envelope("OrphanSearchDue", {"version": 1, "data": {"provider": provider}, **rest}, source="headwater")


def receive(world: World, *bodies: str) -> list[str]:
    answer = Inbox(world.parts, world.creation, world.attention).receive(batch(*bodies), Context())
    return [failure["itemIdentifier"] for failure in answer["batchItemFailures"]]


def deployed(world: World) -> ProviderFunction:
    function = ProviderFunction(lambda: world.provider)
    function.__dict__["parts"] = world.parts
    return function


def items(table: str = "table") -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = aws.client("dynamodb").scan(TableName=table)["Items"]
    return found


def seen() -> list[dict[str, Any]]:
    """The items of orphans."""
    return [item for item in items() if item["pk"]["S"].startswith("ORPHAN#")]


def lines(log: io.StringIO, message: str) -> list[dict[str, Any]]:
    read = [json.loads(line) for line in log.getvalue().splitlines()]
    return [line for line in read if line["message"] == message]


def metrics(capsys: pytest.CaptureFixture[str], name: str) -> list[Any]:
    written = [json.loads(line) for line in capsys.readouterr().out.splitlines() if "_aws" in line]
    return [(line["provider"], line[name]) for line in written if name in line]


def test_a_command_from_the_bus_searches_and_tells(
    world: Orphanage, log: io.StringIO, capsys: pytest.CaptureFixture[str]
) -> None:
    world.put("lost", age=HOUR)
    world.stand("kept")
    world.clock.advance(HOUR)
    assert receive(world, due()) == []
    [line] = lines(log, "orphan")
    assert (line["level"], line["provider"], line["ref"], line["why"]) == (
        "WARNING",
        "fake",
        "ref-of-lost",
        "no-record",
    )
    assert (line["stream_id"], line["done"]) == (world.id_of("lost"), "reported")
    [whole] = lines(log, "searched for orphans")
    assert (whole["orphans"], whole["recorded"], whole["complete"]) == (1, 1, True)
    assert metrics(capsys, "OrphansFound") == [("fake", [1.0])]
    assert [(item["pk"]["S"], item["sk"]["S"]) for item in seen()] == [("ORPHAN#fake", "ref-of-lost")]


def test_that_there_are_none_any_more_is_told(world: Orphanage, capsys: pytest.CaptureFixture[str]) -> None:
    world.put("lost", age=HOUR)
    receive(world, due())
    world.provider.shelf.clear()
    for _ in range(2):
        world.clock.advance(HOUR)
        receive(world, due())
    assert metrics(capsys, "OrphansFound") == [("fake", [1]), ("fake", [0]), ("fake", [0])]


def test_that_the_last_one_is_none_any_more_is_told(world: Orphanage, capsys: pytest.CaptureFixture[str]) -> None:
    ref = world.stand("missing")
    world.clock.advance(HOUR)
    stream_id, record = world.store.records.popitem()
    receive(world, due())
    assert [item["sk"]["S"] for item in seen()] == [ref]
    world.store.records[stream_id] = record
    receive(world, due())
    assert seen() == []
    assert metrics(capsys, "OrphansFound") == [("fake", [1]), ("fake", [0])]


def test_where_there_were_none_that_is_told_once_a_day(world: Orphanage, capsys: pytest.CaptureFixture[str]) -> None:
    for _ in range(48):
        receive(world, due())
        world.clock.advance(HOUR)
    assert metrics(capsys, "OrphansFound") == [("fake", [0])] * 2


def test_a_command_that_comes_twice_is_one_sighting(world: Orphanage) -> None:
    world.put("lost", age=HOUR)
    assert receive(world, due(), due()) == []
    [item] = seen()
    assert json.loads(item["sighting"]["S"])["sightings"] == 1


def test_where_nothing_is_marked_nothing_is_told(
    world: Orphanage, log: io.StringIO, capsys: pytest.CaptureFixture[str]
) -> None:
    plain = World(Plain())
    assert receive(plain, due()) == []
    assert metrics(capsys, "OrphansFound") == []


@pytest.mark.parametrize("error", [ProviderUnavailable("later"), ProviderSecretInvalid("none")])
def test_a_provider_that_cannot_be_asked_is_asked_by_the_next_command(
    world: Orphanage, log: io.StringIO, error: Exception, capsys: pytest.CaptureFixture[str]
) -> None:
    world.provider.fail("marked", error)
    assert receive(world, due()) == []
    assert len(lines(log, "no search for orphans")) == 1
    assert metrics(capsys, "OrphansFound") == []


def test_a_command_that_a_newer_sweep_tells_more_in_is_read(world: Orphanage) -> None:
    world.put("lost", age=HOUR)
    assert receive(world, due(since="a while")) == []
    assert len(seen()) == 1


def removing(world: Orphanage, monkeypatch: pytest.MonkeyPatch) -> None:
    """A day of searches, and more."""
    monkeypatch.setenv("REMOVE_ORPHANS", "true")
    for _ in range(26):
        receive(world, due())
        world.clock.advance(HOUR)


def test_by_the_environment_orphans_are_removed(
    world: Orphanage, log: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    receive(world, due())
    world.clock.advance(1)
    world.put("lost")
    removing(world, monkeypatch)
    assert world.provider.shelf == {}
    assert lines(log, "orphan")[-1]["done"] == "removed"


def test_by_default_they_stay(world: Orphanage, monkeypatch: pytest.MonkeyPatch) -> None:
    world.put("lost")
    for _ in range(50):
        receive(world, due())
        world.clock.advance(HOUR)
    assert "ref-of-lost" in world.provider.shelf
    assert set(world.provider.calls) == {"marked"}


def test_of_very_many_some_are_logged_and_all_are_counted(
    world: Orphanage, log: io.StringIO, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(LINES + 5):
        world.put(f"lost-{number}", age=HOUR)
    receive(world, due())
    assert len(lines(log, "orphan")) == LINES
    assert metrics(capsys, "OrphansFound") == [("fake", [LINES + 5.0])]


def test_nothing_that_is_logged_shows_an_error_s_text(
    world: Orphanage, log: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(stream_id: str) -> Any:
        raise RuntimeError(CANARY)

    world.put("lost", age=HOUR)
    monkeypatch.setattr(world.store, "load", broken)
    receive(world, due())
    assert "RuntimeError" in log.getvalue()
    assert CANARY not in log.getvalue()


# ---- an operator looks


def test_an_operator_s_look_answers_with_the_report_and_changes_nothing(world: Orphanage, log: io.StringIO) -> None:
    world.put("lost", age=DAY)
    answer = deployed(world)({"orphans": "dry-run"}, Context())
    [orphan] = answer["orphans"]
    assert (answer["provider"], answer["dry_run"], answer["marked"]) == ("fake", True, 1)
    assert (orphan["ref"], orphan["done"]) == ("ref-of-lost", "kept")
    assert json.loads(json.dumps(answer)) == answer
    assert items() == []
    assert set(world.provider.calls) == {"marked"}


@pytest.mark.parametrize("asked", ["remove", None, True])
def test_an_operator_can_ask_for_nothing_else(world: Orphanage, asked: Any) -> None:
    with pytest.raises(ValueError, match="dry-run"):
        deployed(world)({"orphans": asked}, Context())
    assert world.provider.calls == []


def test_an_operator_hears_why_there_is_no_list(world: Orphanage) -> None:
    world.provider.fail("marked", ProviderUnavailable("It is away."))
    answer = preview({"orphans": "dry-run"}, world.parts, Deadline(9))
    assert answer == {"provider": "fake", "error": {"code": "provider-unavailable", "detail": "It is away."}}


def test_an_operator_is_not_shown_what_may_be_secret(world: Orphanage, log: io.StringIO) -> None:
    world.provider.fail("marked", RuntimeError(f"at https://u:{CANARY}p@host"))
    answer = preview({"orphans": "dry-run"}, world.parts, Deadline(9))
    assert answer["error"]["code"] == "internal-error"
    assert "RuntimeError" in log.getvalue()
    assert CANARY not in json.dumps(answer) + log.getvalue()


def test_a_search_is_of_the_present(world: Orphanage) -> None:
    """By the clock of the parts, which is what records are dated by."""
    world.put("lost", age=HOUR)
    search(world.parts, Deadline(29))
    [item] = seen()
    assert json.loads(item["sighting"]["S"])["last_seen"].startswith("2026-03-01T12")
    assert now().year >= 2026
