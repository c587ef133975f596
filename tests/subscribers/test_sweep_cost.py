"""What a run of the sweep costs: by how many streams are due, and not by how many there are."""

from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import batched, chain, cycle
from math import ceil
from typing import Any

import pytest

from headwater import aws
from headwater.commands import ENTRIES
from headwater.deadline import Deadline
from headwater.records import EXPIRY_GRACE
from headwater.store import SHARDS, record_of, stream_item, to_attributes
from headwater.streams import Lease, State
from sweep.index import PAGE, Index
from sweep.steps import Sweep, Swept
from tests.subscribers.fakes import FakeBus
from tests.unit.fakes import a_claimed_record

BEGIN = datetime(2026, 11, 20, 8, tzinfo=UTC)
MADE = BEGIN - timedelta(days=1)
SECOND, DAY = timedelta(seconds=1), timedelta(days=1)
LEASE = 300

type Item = dict[str, Any]


def lease(critical_at: datetime, managed: bool = True) -> Lease:
    ends = critical_at + timedelta(seconds=LEASE / 3)
    renewed = ends - timedelta(seconds=LEASE)
    return Lease(ttl_seconds=LEASE, expires_at=ends, renewed_at=renewed, managed=managed)


def expiring(due_at: datetime) -> datetime:
    """The end of a lifetime that is looked after in the beat's stead then."""
    return due_at - EXPIRY_GRACE


DUE: dict[str, Callable[[datetime], Item]] = {
    "to be looked at": lambda at: {"look_at": at},
    "being made at its provider": lambda at: {"state": State.PROVISIONING, "look_at": at},
    "with a lease that nobody renews": lambda at: {"lease": lease(at)},
    "with a lease that its caller holds": lambda at: {"lease": lease(at - DAY, managed=False), "look_at": at},
    "at the end of its lifetime": lambda at: {"expires_at": expiring(at)},
    "with an end that nobody went on with": lambda at: {"state": State.ENDING, "look_at": at},
}
"""Each kind of stream that a sweep asks for when it is due, which it is at the moment given."""

NEVER_DUE: dict[str, Item] = {
    "whose provider tells by itself": {},
    "that has ended": {"state": State.ENDED, "look_at": BEGIN - DAY, "expires_at": BEGIN - DAY, "ended_at": BEGIN},
    "that was lost": {"state": State.LOST, "lease": lease(BEGIN - DAY), "ended_at": BEGIN},
    "that failed": {"state": State.FAILED, "look_at": BEGIN - DAY, "ended_at": BEGIN},
}
"""And each that it leaves alone for good."""


def settled(key: str, **more: Any) -> Item:
    """What the table has of a stream that was made; ``more`` of the record or of the stream."""
    record = a_claimed_record(key, at=MADE)
    of_stream = {name: more.pop(name) for name in set(more) & set(type(record.stream).model_fields)}
    shown = {"state": State.READY, "provider_ref": f"ref-{key}", "version": 1, **of_stream}
    stream = record.stream.model_copy(update=shown)
    made = {"stream": stream, "claim": None, "request_secrets": None, "opened_at": MADE, **more}
    return stream_item(record.model_copy(update=made))


def put(table: str, items: Iterator[Item]) -> None:
    for some in batched(items, 25, strict=False):
        written = [{"PutRequest": {"Item": to_attributes(item)}} for item in some]
        assert aws.client("dynamodb").batch_write_item(RequestItems={table: written})["UnprocessedItems"] == {}


def due_streams(count: int) -> Iterator[Item]:
    """So many, of each kind as many as of another."""
    for number, (kind, _) in zip(range(count), cycle(DUE.items()), strict=False):
        yield settled(f"due {number}", **DUE[kind](BEGIN - number * SECOND))


def others(count: int) -> Iterator[Item]:
    """So many that are not due: each later by another second, or never."""
    kinds = [*DUE, *NEVER_DUE]
    for number, kind in zip(range(count), cycle(kinds), strict=False):
        later = BEGIN + (number + 1) * SECOND
        yield settled(f"other {number}", **(DUE[kind](later) if kind in DUE else NEVER_DUE[kind]))


class Counting:
    """A DynamoDB client that counts its calls, and what each query went through."""

    def __init__(self) -> None:
        self._client = aws.client("dynamodb")
        self.exceptions = self._client.exceptions
        self.calls: Counter[str] = Counter()
        self.read = 0

    def query(self, **asked: Any) -> Any:
        self.calls["query"] += 1
        answer = self._client.query(**asked)
        self.read += answer["ScannedCount"]
        return answer

    def update_item(self, **asked: Any) -> Any:
        self.calls["update_item"] += 1
        return self._client.update_item(**asked)


@pytest.fixture
def bus(clients: dict[str, Any]) -> FakeBus:
    clients["events"] = bus = FakeBus()
    return bus


def sweep(client: Any = None, at: datetime = BEGIN) -> Swept:
    index = Index(client or aws.client("dynamodb"), "table")
    return Sweep(index, lambda: at, Deadline(60)).run((), timedelta(hours=1))


@pytest.mark.parametrize("kind", DUE)
def test_each_kind_is_asked_for_from_the_moment_when_it_is_due(kind: str, table: str, bus: FakeBus) -> None:
    item = settled("one", **DUE[kind](BEGIN))
    put(table, iter([item]))
    assert sweep(at=BEGIN - timedelta(milliseconds=1)).streams == 0
    assert sweep(at=BEGIN).streams == 1
    assert bus.ids == [record_of(item).stream.id]


@pytest.mark.parametrize("kind", NEVER_DUE)
def test_what_is_over_or_tells_by_itself_is_not_even_in_the_index(kind: str, table: str, bus: FakeBus) -> None:
    item = settled("one", **NEVER_DUE[kind])
    assert not {"due_at", "due_shard"} & item.keys()
    put(table, iter([item]))
    assert sweep(at=BEGIN + 365 * DAY).streams == 0


@pytest.mark.parametrize(("streams", "due"), [(100, 6), (1_000, 6), (100, 60), (1_000, 60), (10_000, 60)])
def test_a_run_costs_what_is_due_and_nothing_for_what_is_not(table: str, bus: FakeBus, streams: int, due: int) -> None:
    put(table, chain(others(streams - due), due_streams(due)))
    runs = []
    for asked_for in (due, 0):  # what a run was for is nothing to the next
        client, before = Counting(), len(bus.calls)
        assert sweep(client) == Swept(streams=asked_for, searches=0, backlog=0)
        runs.append((client.calls["query"], client.read, client.calls["update_item"], len(bus.calls) - before))
    assert runs == [(SHARDS, due, due, ceil(due / ENTRIES)), (SHARDS, 0, 0, 0)]


def test_where_many_are_due_a_run_reads_them_by_the_page(table: str, bus: FakeBus) -> None:
    put(table, due_streams(SHARDS * PAGE // 2))
    client = Counting()
    assert sweep(client).streams == SHARDS * PAGE // 2
    assert client.calls["query"] == SHARDS
