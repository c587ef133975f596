"""What a run of the sweep costs: by how many streams are due, and not by how many there are."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from itertools import batched, chain
from math import ceil
from typing import Any

import boto3
import pytest

from bench.scale import model
from bench.scale.cloud import declared
from bench.scale.counting import Counted, Counting
from bench.scale.filling import BEGIN, DAY, DUE, NEVER_DUE, due_streams, others, settled
from bench.units import Layout
from headwater import aws
from headwater.attributes import to_attributes
from headwater.deadline import Deadline
from headwater.store import DUE_SHARDS, record_of
from sweep.index import LEAST_PAGE, PAGE, Index
from sweep.pace import MOST
from sweep.steps import Sweep, Swept
from tests.subscribers.fakes import FakeBus

type Item = dict[str, Any]


def put(table: str, items: Iterable[Item]) -> None:
    for some in batched(items, 25, strict=False):
        written = [{"PutRequest": {"Item": to_attributes(item)}} for item in some]
        assert aws.client("dynamodb").batch_write_item(RequestItems={table: written})["UnprocessedItems"] == {}


@pytest.fixture
def bus(clients: dict[str, Any]) -> FakeBus:
    clients["events"] = bus = FakeBus()
    return bus


@pytest.fixture
def counting(table: str) -> Counting:
    """Hears what the functions ask the table for."""
    listening = Counting(Layout.declared(declared()), boto3.session.Session().client("dynamodb"), table)
    listening.listen_to(aws.client("dynamodb"))
    return listening


def sweep(at: datetime = BEGIN, shards: int = DUE_SHARDS) -> Swept:
    index = Index(aws.client("dynamodb"), "table", shards)
    return Sweep(index, lambda: at, Deadline(60)).run((), timedelta(hours=1))


def cost(counted: Counted) -> tuple[int, int, int]:
    """Queries, items read, items moved on."""
    return counted.calls["dynamodb.Query"], counted.items_read, counted.calls["dynamodb.UpdateItem"]


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
def test_a_run_costs_what_is_due_and_nothing_for_what_is_not(
    table: str, bus: FakeBus, counting: Counting, streams: int, due: int
) -> None:
    put(table, chain(others(streams - due), due_streams(due)))
    runs = []
    for asked_for in (due, 0):  # what a run was for is nothing to the next
        before = len(bus.calls)
        with counting.counted() as counted:
            assert sweep() == Swept(streams=asked_for, searches=0, backlog=0)
        runs.append((*cost(counted), len(bus.calls) - before))
    assert runs == [(DUE_SHARDS, due, due, ceil(due / 10)), (DUE_SHARDS, 0, 0, 0)]


def test_where_many_are_due_a_run_reads_them_by_the_page(table: str, bus: FakeBus, counting: Counting) -> None:
    put(table, due_streams(DUE_SHARDS * PAGE // 2))
    with counting.counted() as counted:
        assert sweep().streams == DUE_SHARDS * PAGE // 2
    assert counted.calls["dynamodb.Query"] == DUE_SHARDS


# ---- shards


def test_what_was_written_with_fewer_shards_is_found_with_more(table: str, bus: FakeBus) -> None:
    put(table, due_streams(40))
    assert sweep(shards=4 * DUE_SHARDS).streams == 40


@pytest.mark.parametrize("shards", [1, 8, DUE_SHARDS, 128, 200])
def test_a_run_that_is_cut_short_has_read_at_most_about_twice_what_it_asks_for(shards: int) -> None:
    page = Index(aws.client, "table", shards)._page  # type: ignore[arg-type] # it is not called
    assert shards * page <= 2 * MOST


def test_of_however_many_shards_a_page_is_worth_its_call() -> None:
    assert Index(aws.client, "table", 10_000)._page == LEAST_PAGE  # type: ignore[arg-type] # it is not called


@pytest.mark.parametrize("due", [0, 5, 60])
def test_the_model_reckons_a_run_as_it_is_counted(table: str, bus: FakeBus, counting: Counting, due: int) -> None:
    put(table, chain(others(200), due_streams(due)))
    with counting.counted() as counted:
        sweep()
    reckoned = model.sweep(due)
    assert (reckoned.queries, reckoned.items_read, reckoned.updates, reckoned.put_events) == (
        *cost(counted),
        len(bus.calls),
    )
    assert counted.read_units["due"] == reckoned.read_units
