"""What a sweep, a page, a lease's beat and a publish batch ask for, in tables of more and more streams."""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from bench.scale.counting import Counted
from bench.scale.filling import FEW, TENANT, due_streams, others, put, settled
from bench.scale.system import WAYS, System, system
from headwater import clock

SIZES = (100, 1_000, 10_000, 100_000, 1_000_000)
DUE = 60
"""Streams that are due, in every table."""
TENANTS = 1000
"""They share one half of a table; the other half is one tenant's."""
BATCH = 100
"""Records that the table's stream brings at once: ``BatchSize`` in the template."""
AHEAD = timedelta(hours=1)
"""How long a table may take to be filled before what it holds is due."""
LEASED = next(way for way in WAYS if way.name == "overshoot v1beta")


@dataclass(frozen=True)
class Point:
    """One thing done once. ``shown`` is what it was for: streams asked for, shown, renewed, or events published."""

    streams: int
    what: str
    queries: int
    gets: int
    writes: int
    items_read: int
    read_units: float
    put_events: int
    shown: int
    cursor: bool = False
    """Whether the page told where to go on."""


def growth(sizes: tuple[int, ...] = SIZES, told: Callable[[str], None] = print) -> Iterator[Point]:
    """Every measure in a table of each size. Only what moves time is real: how long it takes says nothing of AWS."""
    with system(emulated=True) as standing:
        for size in sizes:
            standing.cloud.empty()
            standing.lose_messages()
            begin = clock.present() + AHEAD
            put(standing.cloud, others(size - DUE - 1, TENANTS, begin, AHEAD))
            put(standing.cloud, due_streams(DUE, begin))
            put(standing.cloud, [settled("small", tenant="aws:999999999999")])
            told(f"{size:,} streams are there")
            yield from measured(standing, size, begin)
            told(f"{size:,} streams: measured")


def measured(standing: System, size: int, begin: datetime) -> Iterator[Point]:
    """Everything once, in a table that is filled, whose due streams are so at ``begin``."""

    def count(what: str, work: Callable[[], tuple[int, bool]]) -> Point:
        counting: AbstractContextManager[Counted] = standing.cloud.counting.counted()
        with counting as counted:
            shown, cursor = work()
        return _point(size, what, counted, shown, cursor)

    yield count("a sweep that finds nothing due", lambda: (standing.sweep()["streams"], False))
    for what, asked in pages(standing).items():
        yield count(what, lambda asked=asked: _page(standing, *asked))  # type: ignore[misc] # bound now, not later
    standing.clock.advance(max(0.0, (begin - clock.present()).total_seconds()))
    yield count(f"a sweep that finds {DUE} due", lambda: (standing.sweep()["streams"], False))
    standing.lose_messages()
    records = _leased(standing)
    yield count("a lease's beat, its renewal included", lambda: (_beat(standing), False))
    batch = [_again(records[0], number) for number in range(BATCH)]
    yield count(f"a publish batch of {BATCH}", lambda: (_publish(standing, batch), False))


def _point(size: int, what: str, counted: Counted, shown: int, cursor: bool) -> Point:
    calls = counted.calls
    writes = sum(calls[f"dynamodb.{name}"] for name in ("PutItem", "UpdateItem", "TransactWriteItems"))
    return Point(
        size,
        what,
        calls["dynamodb.Query"],
        calls["dynamodb.GetItem"],
        writes,
        counted.items_read,
        sum(counted.read_units.values()),
        calls["events.PutEvents"],
        shown,
        cursor,
    )


def pages(standing: System) -> dict[str, tuple[str, dict[str, str]]]:
    """Pages by what is the matter with them: whose, and with what parameters."""
    deep = _deep(standing, 5)
    return {
        "a page of one tenant with half of them": (TENANT, {}),
        "the same, of 100": (TENANT, {"limit": "100"}),
        "the same, five pages on": (TENANT, {"cursor": deep} if deep else {}),
        "the same, of a provider with one in a thousand": (TENANT, {"provider": FEW}),
        "the same, of a state that nothing is in": (TENANT, {"state": "live"}),
        "a page of one of a thousand tenants": ("aws:000000000007", {}),
        "a page of a tenant with one": ("aws:999999999999", {}),
    }


def _deep(standing: System, pages_on: int) -> str | None:
    cursor = None
    for _ in range(pages_on):
        told = standing.page(TENANT, **({"cursor": cursor} if cursor else {}))
        cursor = told["cursor"]
        if not cursor:
            return None
    return cursor


def _page(standing: System, tenant: str, asked: dict[str, str]) -> tuple[int, bool]:
    told = standing.page(tenant, **asked)
    return len(told["streams"]), bool(told["cursor"])


def _leased(standing: System) -> list[dict[str, Any]]:
    """The events of a stream with a lease, as the table's stream brings them; it was just created, and its first beat
    is on its way."""
    standing.create(LEASED, f"leased-{time.monotonic_ns()}")
    records = standing.published()
    standing.messages(1)  # to renew_leases, which sends itself the beat
    return records


def _beat(standing: System) -> int:
    """The next messages: its own, and the command that comes of it. How many renewals its provider was asked for."""
    door = standing.simulated.overshoot.door
    before = len(door.calls("keepStreamAlive"))
    standing.messages(2)
    return len(door.calls("keepStreamAlive")) - before


def _publish(standing: System, records: list[dict[str, Any]]) -> int:
    standing.publish(records)
    return len(records)


def _again(record: dict[str, Any], number: int) -> dict[str, Any]:
    """The same event as if of another stream."""
    return {**record, "eventID": f"event-{number}"}


def as_json(point: Point) -> dict[str, Any]:
    """As ``docs/scale.json`` keeps it."""
    return asdict(point)
