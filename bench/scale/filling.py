"""Streams of every kind that a table holds, laid out as the product lays them out."""

from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import batched, cycle
from typing import Any

from bench.scale.cloud import TABLE, Cloud
from headwater.attributes import to_attributes
from headwater.records import EXPIRY_GRACE, Record
from headwater.store import stream_item
from headwater.streams import Lease, State, Stream, href, identify

BEGIN = datetime(2026, 11, 20, 8, tzinfo=UTC)
"""When the sweep comes whose cost is asked for, where nobody says otherwise."""
MADE = BEGIN - timedelta(days=1)
SECOND, DAY = timedelta(seconds=1), timedelta(days=1)
LEASE = 300
PROVIDERS = ("cloudflare", "kinesis-video", "overshoot")
FEW = "pyannote"
"""The provider of one stream in a thousand."""
TENANT = "aws:123456789012"

type Item = dict[str, Any]


def lease(critical_at: datetime, managed: bool = True) -> Lease:
    """One whose last third begins then."""
    ends = critical_at + timedelta(seconds=LEASE / 3)
    return Lease(ttl_seconds=LEASE, expires_at=ends, renewed_at=ends - timedelta(seconds=LEASE), managed=managed)


DUE: dict[str, Callable[[datetime], Item]] = {
    "to be looked at": lambda at: {"look_at": at},
    "being made at its provider": lambda at: {"state": State.PROVISIONING, "look_at": at},
    "with a lease that nobody renews": lambda at: {"lease": lease(at)},
    "with a lease that its caller holds": lambda at: {"lease": lease(at - DAY, managed=False), "look_at": at},
    "at the end of its lifetime": lambda at: {"expires_at": at - EXPIRY_GRACE},
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


def settled(key: str, provider: str = "fake", tenant: str = TENANT, created_at: datetime = MADE, **more: Any) -> Item:
    """What the table has of a stream that was made; ``more`` of the record or of the stream."""
    stream_id = identify("scale", tenant, provider, key)
    of_stream = {name: more.pop(name) for name in set(more) & set(Stream.model_fields)}
    told: Item = {
        "state": State.READY,
        "provider_ref": f"ref-{key}",
        "name": "lobby camera",
        "metadata": {"customer": "42", "site": "north", "floor": "3"},
        "version": 1,
        "created_at": created_at,
        "updated_at": created_at,
        "ingest": [{"protocol": "rtmps", "url": "rtmps://ingest.example.net:443/live/"}],
        "options": {"recording": {"mode": "automatic", "timeout_seconds": 10}},
        "href": href(provider, stream_id),
    }
    stream = Stream(id=stream_id, provider=provider, **told | of_stream)
    return stream_item(Record(stream=stream, tenant=tenant, fingerprint="f" * 64, opened_at=created_at, **more))


def due_streams(count: int, begin: datetime = BEGIN) -> Iterator[Item]:
    """So many that are due then, of each kind as many as of another, each since another second."""
    for number, kind in zip(range(count), cycle(DUE), strict=False):
        yield settled(f"due {number}", **DUE[kind](begin - number * SECOND))


def others(count: int, tenants: int = 1, begin: datetime = BEGIN, after: timedelta = SECOND) -> Iterator[Item]:
    """So many that are not due yet: the first ``after`` that, each later by another second, or never.

    Every other one is of ``TENANT``, the rest of as many tenants as are asked for; one in a thousand is of the one
    provider of which there are few.
    """
    kinds = [*DUE, *NEVER_DUE]
    for number, kind in zip(range(count), cycle(kinds), strict=False):
        later = begin + after + number * SECOND
        more = DUE[kind](later) if kind in DUE else NEVER_DUE[kind]
        tenant = TENANT if number % 2 == 0 or tenants == 1 else f"aws:{number // 2 % tenants:012}"
        provider = FEW if number % 1000 == 0 else PROVIDERS[number % 3]
        yield settled(f"other {number}", provider, tenant, MADE + number * timedelta(milliseconds=10), **more)


def put(cloud: Cloud, items: Iterable[Item]) -> int:
    """Write them; how many they were. Straight into the emulator's table, where there is one: a batch takes longer."""
    count = 0
    if cloud.emulator:
        table = cloud.emulator._tables[TABLE]
        for item in items:
            cloud.emulator._set_item(table, item["pk"], item["sk"], to_attributes(item))
            count += 1
        return count
    for some in batched(items, 25, strict=False):
        written = [{"PutRequest": {"Item": to_attributes(item)}} for item in some]
        answer = cloud.peek.batch_write_item(RequestItems={TABLE: written})
        if answer["UnprocessedItems"]:
            raise RuntimeError("the table did not take everything")
        count += len(some)
    return count
