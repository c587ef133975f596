"""Whatever is due is asked for, once; a run is bounded, the next goes on from there, and nobody stands in the way."""

import json
import threading
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import batched, count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headwater import aws
from headwater.attributes import from_attributes, to_attributes
from headwater.catalogue import catalogue
from headwater.deadline import Deadline
from headwater.store import DUE_SHARDS, shard, stream_item
from headwater.streams import now
from local.generate import FUNCTIONS
from sweep.handler import MARGIN_SECONDS, handler, searchable
from sweep.index import PAGE, Index
from sweep.pace import interleaved, pause
from sweep.steps import Incomplete, Sweep, Swept
from tests.subscribers.fakes import FakeBus, received
from tests.subscribers.turns import Turns
from tests.unit.fakes import a_claimed_record

BEGIN = datetime(2026, 11, 20, 8, tzinfo=UTC)
HOUR = timedelta(hours=1)

type Item = dict[str, Any]


@pytest.fixture(autouse=True)
def function(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORPHAN_SEARCH_MINUTES", "60")
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_NAME", "Sweep")


@pytest.fixture
def bus(clients: dict[str, Any]) -> FakeBus:
    clients["events"] = bus = FakeBus()
    return bus


def text(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds")


def due(stream: str | int, seconds: float = -1, *, within: int | None = None, **more: Any) -> Item:
    """What the table has of a stream that is due ``seconds`` after BEGIN; ``within``: in that shard."""
    stream_id = f"str_{stream}"
    item = {"pk": f"STREAM#{stream_id}", "sk": "STREAM", "provider": "fake", "revision": 1, "record": "canary"}
    keys = {"due_shard": f"DUE#{shard(stream_id, DUE_SHARDS) if within is None else within}"}
    return {**item, **keys, "due_at": text(BEGIN + timedelta(seconds=seconds)), **more}


def put(table: str, items: Iterable[Item]) -> None:
    for some in batched(items, 25, strict=False):
        written = [{"PutRequest": {"Item": to_attributes(item)}} for item in some]
        assert aws.client("dynamodb").batch_write_item(RequestItems={table: written})["UnprocessedItems"] == {}


def kept(table: str, item: Item) -> Item:
    key = to_attributes({"pk": item["pk"], "sk": item["sk"]})
    return from_attributes(aws.client("dynamodb").get_item(TableName=table, Key=key)["Item"])


def name(item: Item) -> str:
    return str(item["pk"].removeprefix("STREAM#"))


def names(items: Iterable[Item]) -> list[str]:
    return sorted(map(name, items))


def sweep(
    client: Any = None,
    at: datetime = BEGIN,
    *,
    searched: tuple[str, ...] = (),
    interval: timedelta = HOUR,
    deadline: Deadline | None = None,
) -> Swept:
    """A run by a clock that stands at ``at``."""
    index = Index(client or aws.client("dynamodb"), "table")
    return Sweep(index, lambda: at, deadline or Deadline(60)).run(searched, interval)


class Between:
    """A DynamoDB client with something put before each call; ``calls`` are by operation."""

    def __init__(self, before: Callable[[str, dict[str, Any]], None] = lambda *_: None, client: Any = None) -> None:
        self._client = client or aws.client("dynamodb")
        self._before = before
        self.calls: Counter[str] = Counter()
        self.exceptions = self._client.exceptions

    def query(self, **asked: Any) -> Any:
        return self._call("query", asked)

    def update_item(self, **asked: Any) -> Any:
        return self._call("update_item", asked)

    def _call(self, operation: str, asked: dict[str, Any]) -> Any:
        self.calls[operation] += 1
        self._before(operation, asked)
        return getattr(self._client, operation)(**asked)


def metrics(out: str, metric: str) -> list[Item]:
    """The lines of CloudWatch's embedded format that tell of a metric."""
    return [line for line in map(json.loads, out.splitlines()) if metric in line]


# ---- what is due


def test_what_is_due_is_asked_for_and_nothing_else(table: str, heard: str) -> None:
    record = {name: value for name, value in due("settled").items() if not name.startswith("due_")}
    put(table, [due("late", -3600), due("now", 0), due("soon", 0.001), due("tomorrow", 86_400), record])
    assert sweep() == Swept(streams=2, searches=0, backlog=0)
    asked = received(heard)
    assert {(event["source"], event["detail-type"]) for event in asked} == {("headwater", "StreamAttentionDue")}
    assert sorted(event["detail"]["data"]["stream_id"] for event in asked) == ["str_late", "str_now"]
    wanted = {"provider": "fake", "stream_id": "str_now", "reason": "due", "beat": None}
    assert {"version": 1, "data": wanted} in [event["detail"] for event in asked]


def test_what_the_store_writes_is_found_when_it_is_due_and_not_before(table: str, bus: FakeBus) -> None:
    record = a_claimed_record(at=BEGIN)
    assert record.due_at
    put(table, [stream_item(record)])
    sweep(at=record.due_at - timedelta(milliseconds=1))
    assert bus.ids == []
    sweep(at=record.due_at)
    assert bus.ids == [record.stream.id]
    assert kept(table, stream_item(record))["record"] == stream_item(record)["record"]


def test_every_shard_is_gone_through_to_its_last_page(table: str, bus: FakeBus) -> None:
    items = [due(f"{number}_{of}", -number, within=of) for of in range(DUE_SHARDS) for number in range(3)]
    long = [due(f"long_{number}", -1000 - number, within=5) for number in range(2 * PAGE + 1)]
    put(table, [*items, *long])
    assert sweep().streams == len(items) + len(long)
    assert sorted(bus.ids) == names([*items, *long])
    oldest_first = sorted([*long, *items[15:18]], key=lambda item: str(item["due_at"]))
    of_shard = set(names(oldest_first))
    assert [stream for stream in bus.ids if stream in of_shard] == [name(item) for item in oldest_first]


def test_a_long_shard_keeps_no_other_waiting(table: str, bus: FakeBus) -> None:
    put(table, [due(f"long_{number}", -1000, within=0) for number in range(50)])
    put(table, [due(f"short_{of}", -1, within=of) for of in range(1, DUE_SHARDS)])
    sweep()
    assert {stream for stream in bus.ids[:DUE_SHARDS] if "short" in stream} == {
        f"str_short_{of}" for of in range(1, DUE_SHARDS)
    }


@given(st.lists(st.lists(st.integers())))
def test_interleaving_loses_nothing_and_keeps_each_one_s_order(sources: list[list[int]]) -> None:
    tagged = [[(tag, place, each) for place, each in enumerate(source)] for tag, source in enumerate(sources)]
    mixed = list(interleaved(map(iter, tagged)))
    for tag, source in enumerate(tagged):
        assert [each for each in mixed if each[0] == tag] == source
    assert [place for _, place, _ in mixed] == sorted(place for _, place, _ in mixed)


@pytest.mark.parametrize("others", [0, 100, 500])
def test_how_many_are_not_due_costs_nothing(table: str, bus: FakeBus, others: int) -> None:
    put(table, [due(number, 60 + number) for number in range(others)])
    client = Between()
    sweep(client)
    assert client.calls == {"query": DUE_SHARDS}
    assert bus.calls == []


# ---- once


def test_a_second_run_at_once_finds_nothing_left(table: str, bus: FakeBus) -> None:
    put(table, [due(number) for number in range(30)])
    assert [sweep().streams, sweep().streams] == [30, 0]
    assert len(bus.ids) == len(set(bus.ids)) == 30


def test_two_runs_that_saw_the_same_ask_for_each_once(table: str, bus: FakeBus) -> None:
    items = [due(number) for number in range(80)]
    put(table, items)
    seen, one_write = threading.Barrier(2), threading.Lock()

    class Client(Between):
        """Lets both read before either writes; and one write at a time, as DynamoDB does to an item, and moto not."""

        def query(self, **asked: Any) -> Any:
            page = super().query(**asked)
            seen.wait(30)
            return page

        def update_item(self, **asked: Any) -> Any:
            with one_write:
                return super().update_item(**asked)

    found: list[int] = []
    clients = [Client(), Client()]
    threads = [threading.Thread(target=lambda: found.append(sweep(clients.pop()).streams)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(bus.ids) == names(items)
    assert sum(found) == 80
    assert min(found) > 0, "they did not run at once"


@dataclass
class FakeTable:
    """What DynamoDB does for a run, for threads that take turns. A test below holds it to moto's.

    ``behind``: whether the index is as it was some time ago. Every call is a step.
    """

    items: dict[str, Item]
    step: Callable[[], None] = lambda: None
    behind: Callable[[], bool] = lambda: False
    busy: frozenset[str] = frozenset()
    """Items in the hands of a transaction."""
    index: dict[str, Item] = field(default_factory=dict)

    class Met(Exception):
        """Somebody's transaction is at the item just now."""

    class Refused(Exception):
        """A condition was not met."""

    exceptions = SimpleNamespace(ConditionalCheckFailedException=Refused, TransactionConflictException=Met)

    def __post_init__(self) -> None:
        self.index = dict(self.items)

    def query(self, **asked: Any) -> Any:
        self.step()
        if not self.behind():
            self.index = dict(self.items)
        values = from_attributes(asked["ExpressionAttributeValues"])
        found = [
            item
            for item in self.index.values()
            if item.get("due_shard") == values[":shard"] and item["due_at"] <= values[":now"]
        ]
        found.sort(key=lambda item: (item["due_at"], item["pk"]))
        if "ExclusiveStartKey" in asked:
            after = from_attributes(asked["ExclusiveStartKey"])
            found = [item for item in found if (item["due_at"], item["pk"]) > (after["due_at"], after["pk"])]
        page = found[: asked.get("Limit")]
        answer: Item = {"Count": len(page), "Items": [to_attributes(item) for item in page]}
        return answer | ({"LastEvaluatedKey": to_attributes(page[-1])} if len(page) < len(found) else {})

    def update_item(self, **asked: Any) -> Any:
        self.step()
        values, key = from_attributes(asked["ExpressionAttributeValues"]), from_attributes(asked["Key"])["pk"]
        item = self.items.get(key, {})
        if key in self.busy:
            raise self.Met
        if asked.get("ConditionExpression") == "due_at = :seen" and item.get("due_at") != values[":seen"]:
            raise self.Refused
        swept = item.get("swept", 0) + 1
        self.items[key] = {**item, "due_at": values[":later"], "swept": swept}


class SteppingBus(FakeBus):
    """Every call is a step."""

    def __init__(self, step: Callable[[], None]) -> None:
        super().__init__()
        self._step = step

    def put_events(self, Entries: list[Item]) -> Item:  # noqa: N803  # boto3's name
        self._step()
        return super().put_events(Entries)


DUE = st.lists(st.integers(-600, 600), max_size=12)


def drawn(seconds: list[int]) -> dict[str, Item]:
    items = [due(number, at, within=number % 3) for number, at in enumerate(seconds)]
    return {item["pk"]: item for item in items}


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(DUE, st.integers(1, 3), st.data())
def test_every_stream_that_is_due_is_asked_for_exactly_once_however_runs_interleave(
    clients: Item, seconds: list[int], runs: int, data: st.DataObject
) -> None:
    turns = Turns(lambda left: data.draw(st.sampled_from(left)))
    # Whether the index lags is told beforehand: only who chooses the turns may draw while the threads run.
    lags = iter(data.draw(st.lists(st.booleans(), max_size=40)))
    table = FakeTable(drawn(seconds), turns.wait, lambda: next(lags, False))
    clients["events"] = bus = SteppingBus(turns.wait)
    wanted = names(item for item in table.items.values() if item["due_at"] <= text(BEGIN))
    found: list[int] = []
    turns.run(*[lambda: found.append(sweep(table).streams)] * runs)
    assert sorted(bus.ids) == wanted
    assert sum(found) == len(wanted)


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(DUE, st.lists(st.tuples(st.integers(0, 11), st.booleans()), max_size=6), st.data())
def test_what_others_write_meanwhile_is_neither_undone_nor_asked_for_twice(
    clients: Item, seconds: list[int], writes: list[tuple[int, bool]], data: st.DataObject
) -> None:
    turns = Turns(lambda left: data.draw(st.sampled_from(left)))
    table = FakeTable(drawn(seconds), turns.wait)
    clients["events"] = bus = SteppingBus(turns.wait)
    before = dict(table.items)
    written: dict[str, Item] = {}

    def write() -> None:
        """As a provider's function does: the whole record anew, due much later or never."""
        for number, again in writes:
            turns.wait()
            stale = ("due_shard", "due_at")
            item = {key: value for key, value in due(number).items() if key not in stale} | {"revision": 2}
            written[item["pk"]] = item | ({key: due(number, 900)[key] for key in stale} if again else {})
            table.items[item["pk"]] = written[item["pk"]]

    turns.run(lambda: sweep(table), lambda: sweep(table), write)
    asked = Counter(bus.ids)
    for pk, item in before.items():
        was_due = item["due_at"] <= text(BEGIN)
        assert asked[name(item)] <= was_due
        assert pk in written or asked[name(item)] == was_due
    for pk, item in written.items():
        assert table.items[pk] == item


@settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(DUE)
def test_the_fake_table_is_as_moto_s(table: str, clients: Item, seconds: list[int]) -> None:
    fake, items = FakeTable(drawn(seconds)), drawn(seconds)
    put(table, items.values())
    came_of_it = []
    for client in (fake, aws.client("dynamodb")):
        clients["events"] = bus = FakeBus()
        came_of_it.append((sweep(client), sweep(client, BEGIN + 2 * HOUR), bus.ids))
    assert came_of_it[0] == came_of_it[1]
    for pk, item in items.items():
        assert kept(table, item) == fake.items[pk]
        aws.client("dynamodb").delete_item(TableName=table, Key=to_attributes({"pk": pk, "sk": "STREAM"}))


# ---- bounded


def test_a_run_is_bounded_and_the_next_begins_with_the_oldest_left(
    table: str, bus: FakeBus, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sweep.steps.MOST", 24)
    items = [due(number, -number, within=number % 8) for number in range(1, 57)]
    put(table, items)
    runs = [sweep(at=BEGIN + timedelta(seconds=number)) for number in range(4)]
    assert [(run.streams, run.backlog) for run in runs] == [(24, 32), (24, 8), (8, 0), (0, 0)]
    oldest_first = [name(item) for item in sorted(items, key=lambda item: str(item["due_at"]))]
    assert [sorted(bus.ids[:24]), sorted(bus.ids[24:48])] == [sorted(oldest_first[:24]), sorted(oldest_first[24:48])]
    assert len(bus.ids) == len(set(bus.ids)) == 56
    told = metrics(capsys.readouterr().out, "SweepBacklog")
    assert [(line["SweepBacklog"], line["function"]) for line in told] == [([32.0], "Sweep"), ([8.0], "Sweep")]


def test_exactly_as_many_as_a_run_may_ask_for_leave_no_backlog(
    table: str, bus: FakeBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sweep.steps.MOST", 24)
    put(table, [due(number) for number in range(24)])
    assert sweep() == Swept(streams=24, searches=0, backlog=0)


def test_a_run_whose_time_is_over_sends_what_it_moved_on_and_leaves_the_rest_due(table: str, bus: FakeBus) -> None:
    put(table, [due(number) for number in range(40)])
    clock = SimpleNamespace(seconds=0.0)

    def slow(operation: str, _: Any) -> None:
        clock.seconds += operation == "update_item"

    run = sweep(Between(slow), deadline=Deadline(15, lambda: clock.seconds))
    assert (run.streams, run.backlog) == (15, 25)
    assert (len(bus.ids), bus.calls) == (15, [10, 5])
    assert sweep().streams == 25
    assert len(set(bus.ids)) == 40


def test_what_was_moved_on_is_sent_by_the_ten_and_not_only_in_the_end(table: str, bus: FakeBus) -> None:
    """A run may be killed at any write: no more than ten streams then wait until they are due again."""
    put(table, [due(number) for number in range(35)])
    moved = 0

    def watch(operation: str, _: Any) -> None:
        nonlocal moved
        assert moved - len(bus.ids) <= 10
        moved += operation == "update_item"

    sweep(Between(watch))
    assert moved == 35


# ---- nobody stands in the way


def later(item: Item, minutes: float) -> str:
    return text(BEGIN + timedelta(minutes=minutes))


def test_an_item_that_cannot_be_read_is_passed_over_and_moves_out_of_the_way(
    table: str, bus: FakeBus, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = {key: value for key, value in due("bad", -9000, within=2).items() if key != "provider"}
    put(table, [bad, *[due(number, within=2) for number in range(15)]])
    with pytest.raises(Incomplete):
        sweep()
    assert sorted(bus.ids) == names(due(number) for number in range(15))
    assert kept(table, bad)["due_at"] == later(bad, 1)
    log = capsys.readouterr().out
    assert '"pk":"STREAM#str_bad"' in log
    assert "canary" not in log


def test_items_that_cannot_be_written_are_passed_over(
    table: str, bus: FakeBus, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = [due(f"bad_{number}", -9000, within=2, swept="canary") for number in range(3)]
    put(table, [*bad, *[due(number, within=2) for number in range(15)]])

    def broken(operation: str, asked: Item) -> None:
        if operation == "update_item" and "worse" in asked["Key"]["pk"]["S"]:
            raise ConnectionError("canary")

    put(table, [due("worse", -9999, within=2)])
    with pytest.raises(Incomplete, match="4 of"):
        sweep(Between(broken))
    assert sorted(bus.ids) == names(due(number) for number in range(15))
    log = capsys.readouterr().out
    assert log.count('"message":"passed over"') == 4
    assert "canary" not in log


@pytest.mark.parametrize("page", [1, 2])
def test_a_shard_that_cannot_be_read_stops_no_other(
    table: str, bus: FakeBus, page: int, capsys: pytest.CaptureFixture[str]
) -> None:
    put(table, [due(f"{of}_{number}", within=of) for of in range(DUE_SHARDS) for number in range(PAGE // 10)])
    put(table, [due(f"long_{number}", within=3) for number in range(PAGE)])

    def broken(operation: str, asked: Item) -> None:
        of = asked["ExpressionAttributeValues"].get(":shard") == {"S": "DUE#3"}
        if operation == "query" and of and ("ExclusiveStartKey" in asked) == (page == 2):
            raise ConnectionError("canary")

    with pytest.raises(Incomplete, match="1 of"):
        sweep(Between(broken))
    asked = Counter(stream.split("_")[1] for stream in bus.ids)
    others = {str(of): PAGE // 10 for of in range(DUE_SHARDS) if of != 3}
    assert {of: count for of, count in asked.items() if of not in {"3", "long"}} == others
    assert asked["3"] + asked["long"] == (0 if page == 1 else PAGE)
    assert "canary" not in capsys.readouterr().out


def test_what_somebody_writes_just_now_is_left_to_them(bus: FakeBus) -> None:
    items = [due(number) for number in range(3)]
    table = FakeTable({item["pk"]: item for item in items}, busy=frozenset({items[1]["pk"]}))
    assert sweep(table).streams == 2
    assert sorted(bus.ids) == names([items[0], items[2]])


def test_a_stream_that_nobody_can_help_is_asked_for_less_and_less_often(bus: FakeBus) -> None:
    item = due("hopeless", 0)
    table = FakeTable({item["pk"]: item})
    asked = [minute for minute in range(300) if sweep(table, BEGIN + timedelta(minutes=minute)).streams]
    assert asked == [0, 1, 3, 7, 15, 31, 63, 123, 183, 243]
    table.items[item["pk"]] = due("hopeless", 300 * 60)
    again = [minute for minute in range(300, 320) if sweep(table, BEGIN + timedelta(minutes=minute)).streams]
    assert again == [300, 301, 303, 307, 315], "whoever wrote the record may have helped it"


def test_a_pause_begins_when_the_stream_is_asked_for_and_not_when_the_run_began(bus: FakeBus) -> None:
    items = [due(number, within=1) for number in range(3)]
    table = FakeTable({item["pk"]: item for item in items})
    moments = (BEGIN + timedelta(seconds=10 * number) for number in count())
    Sweep(Index(table, "table"), lambda: next(moments), Deadline(60)).run((), HOUR)  # type: ignore[arg-type] # has what is used
    again = [text(BEGIN + timedelta(seconds=seconds)) for seconds in (70, 80, 90)]
    assert sorted(str(item["due_at"]) for item in table.items.values()) == again


@given(st.integers(0, 10**9))
def test_a_pause_is_at_least_a_minute_and_at_most_an_hour(swept: int) -> None:
    assert timedelta(minutes=1) <= pause({"swept": swept}) <= HOUR
    assert pause({"swept": swept}) <= pause({"swept": swept + 1})


def test_many_that_nobody_can_help_leave_room_for_one_that_is_newly_due(
    bus: FakeBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sweep.steps.MOST", 20)
    items = [due(f"hopeless_{number}", -9000, within=1) for number in range(60)] + [due("new", 10, within=1)]
    table = FakeTable({item["pk"]: item for item in items})
    runs = [sweep(table, BEGIN + timedelta(minutes=minute)) for minute in (1, 2, 3, 4)]
    assert [run.streams for run in runs] == [20, 20, 20, 20]
    assert "str_new" in bus.ids, "those that were asked for already stand behind it"


# ---- what the bus does not take


def test_each_entry_s_answer_counts_for_its_stream_alone(
    table: str, bus: FakeBus, capsys: pytest.CaptureFixture[str]
) -> None:
    put(table, [due(number) for number in range(25)])
    bus.refused = {"str_3", "str_17"}
    with pytest.raises(Incomplete, match="2 of"):
        sweep()
    assert len(bus.ids) == 23
    told = metrics(capsys.readouterr().out, "CommandNotTaken")
    assert [(line["CommandNotTaken"], line["provider"]) for line in told] == [([1.0], "fake")] * 2
    bus.refused.clear()
    assert sweep(at=BEGIN + timedelta(seconds=59)).streams == 0
    sweep(at=BEGIN + timedelta(seconds=60))
    assert Counter(bus.ids)["str_3"] == Counter(bus.ids)["str_17"] == 1


def test_a_call_that_fails_as_a_whole_leaves_its_ten_for_later_and_the_others_are_sent(
    table: str, bus: FakeBus
) -> None:
    put(table, [due(number) for number in range(25)])
    bus.down = {1}
    with pytest.raises(Incomplete, match="10 of"):
        sweep()
    assert len(bus.ids) == 15
    sweep(at=BEGIN + timedelta(minutes=1))
    assert set(bus.ids) == {f"str_{number}" for number in range(25)}


# ---- orphans


def searches(bus: FakeBus) -> int:
    return sum(entry["DetailType"] == "OrphanSearchDue" for entry in bus.taken)


def test_a_search_for_orphans_is_asked_for_once_an_interval(table: str, bus: FakeBus) -> None:
    for minute in (0, 1, 30, 59, 60, 61, 119, 120, 150, 179, 180):
        sweep(at=BEGIN + timedelta(minutes=minute), searched=("fake-one", "fake-two"))
    assert Counter(bus.ids) == {"fake-one": 4, "fake-two": 4}
    assert searches(bus) == 8


def test_two_runs_at_once_begin_one_search(clients: Item, bus: FakeBus, table: str) -> None:
    both, one_write = threading.Barrier(2), threading.Lock()

    class Client(Between):
        def update_item(self, **asked: Any) -> Any:
            both.wait(30)
            with one_write:
                return super().update_item(**asked)

    threads = [threading.Thread(target=partial(sweep, Client(), searched=("fake",))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert searches(bus) == 1


def test_streams_are_asked_for_though_no_search_can_be_begun(table: str, bus: FakeBus) -> None:
    def broken(_: str, asked: Item) -> None:
        if asked.get("Key", {}).get("sk") == {"S": "ORPHANS#one"}:
            raise ConnectionError

    put(table, [due(1)])
    with pytest.raises(Incomplete):
        sweep(Between(broken), searched=("one", "two"))
    assert bus.ids == ["two", "str_1"]


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the function looks for providers."""
    monkeypatch.setattr("sweep.handler.FUNCTIONS", tmp_path)
    told = {
        "one": {"finds_orphans": True},
        "two": {"finds_orphans": False},
        "three": {},
        "four": {"finds_orphans": True},
    }
    for provider, capabilities in told.items():
        (tmp_path / f"provision_{provider}").mkdir()
        content = json.dumps({"provider": provider, **capabilities})
        (tmp_path / f"provision_{provider}" / "capabilities.json").write_text(content)
    return tmp_path


def test_providers_that_can_be_searched_are_found(folders: Path) -> None:
    assert searchable() == ("four", "one")


def test_the_function_finds_the_providers_that_come_with_it() -> None:
    able = {name for name, one in catalogue(FUNCTIONS).items() if one["finds_orphans"]}
    assert able
    assert set(searchable()) == able


# ---- the function


def context(seconds: float = 50) -> Any:
    return SimpleNamespace(get_remaining_time_in_millis=lambda: seconds * 1000)


def test_the_function_asks_for_streams_and_searches_and_says_how_many(table: str, heard: str, folders: Path) -> None:
    put(table, [due("a", -9000)])
    assert handler({}, context()) == {"streams": 1, "searches": 2, "backlog": 0}
    assert handler({}, context()) == {"streams": 0, "searches": 0, "backlog": 0}
    kinds = Counter(event["detail-type"] for event in received(heard))
    assert kinds == {"StreamAttentionDue": 1, "OrphanSearchDue": 2}
    assert kept(table, due("a"))["due_at"] > text(now() + timedelta(seconds=30))


def test_the_function_asks_for_what_is_due_by_business_time_and_for_claims_that_are_due_by_real_time(
    table: str, bus: FakeBus, folders: Path, ahead: Callable[[float], None]
) -> None:
    moment = now()
    claimed = a_claimed_record(at=moment - HOUR)
    assert claimed.due_at
    assert claimed.due_at < moment
    put(table, [stream_item(claimed)])
    put(table, [due("later", (moment - BEGIN).total_seconds() + 1800)])
    put(table, [due("much_later", (moment - BEGIN).total_seconds() + 7200)])
    handler({}, context())
    assert sorted(bus.ids) == sorted([claimed.stream.id, "one", "four"])
    ahead(3600)
    handler({}, context())
    assert sorted(bus.ids[3:]) == sorted([claimed.stream.id, "str_later", "one", "four"])
    assert kept(table, due("later"))["due_at"] > text(moment + HOUR + timedelta(seconds=30))


def test_searches_can_be_switched_off(table: str, heard: str, folders: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORPHAN_SEARCH_MINUTES", "0")
    assert handler({}, context())["searches"] == 0


def test_no_stream_is_moved_on_in_time_that_is_kept_for_what_must_follow(
    table: str, bus: FakeBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ORPHAN_SEARCH_MINUTES", "0")
    put(table, [due("a", -9000)])
    assert handler({}, context(MARGIN_SECONDS)) == {"streams": 0, "searches": 0, "backlog": 1}
    assert kept(table, due("a"))["due_at"] == due("a", -9000)["due_at"]


def test_what_was_found_is_counted_by_provider(
    table: str, bus: FakeBus, folders: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    put(table, [due(number, -9000, provider="one" if number < 3 else "two") for number in range(5)])
    handler({}, context())
    told = metrics(capsys.readouterr().out, "SweepFound")
    assert {line["provider"]: line["SweepFound"] for line in told} == {"one": [3.0], "two": [2.0]}
    (described,) = told[0]["_aws"]["CloudWatchMetrics"]
    assert (described["Namespace"], described["Dimensions"]) == ("Headwater", [["provider"]])
