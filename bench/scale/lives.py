"""A stream's life at each provider, by the real functions: what it asks of each service, from its create to its end."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

from bench.scale.counting import Counted
from bench.scale.system import WAYS, System, Way, system

INDEXES = ("", "due", "by_tenant", "by_provider_ref")
AFTERWARDS = 300
"""Simulated seconds after its lifetime in which it comes to its end."""


@dataclass
class Load:
    """What a part of a life asks for. ``units`` are of writes: the table's under the empty name, and each index's."""

    units: dict[str, int] = field(default_factory=dict)
    calls: dict[str, int] = field(default_factory=dict)
    """By service and operation, ``provider`` among them; of PutEvents its entries besides, under ``events.Entries``."""
    invocations: dict[str, int] = field(default_factory=dict)
    read_units: float = 0
    due: int = 0
    """How often a sweep asked for it."""


@dataclass
class Life:
    """Of one way to open a stream. ``opened`` is its create alone, ``whole`` all of it. Sizes in bytes."""

    way: str
    provider: str
    seconds: int
    opened: Load
    whole: Load
    sizes: dict[str, int]


def lives() -> Iterator[Life]:
    """One stream of each kind, one after the other."""
    with system() as standing:
        for way in WAYS:
            yield life(standing, way)


def life(standing: System, way: Way) -> Life:
    """Open a stream, and let time pass until it has ended."""
    standing.create(way, f"warm-{way.name.replace(' ', '-')}")  # the secret is read, the circuit known
    standing.lose_messages()
    standing.cloud.empty()
    begun = _begin(standing)
    with standing.cloud.counting.counted() as opened:
        standing.create(way, f"life-{way.name.replace(' ', '-')}")
        first = load(standing, opened, begun)
    with standing.cloud.counting.counted() as later:
        standing.pass_seconds((way.lifetime or 0) + AFTERWARDS)
        whole = load(standing, _sum(opened, later), begun)
    left = standing.cloud.peek.scan(TableName="table")["Items"]
    if any("due_at" in item for item in left):
        raise RuntimeError(f"{way.name} has not come to its end")
    sizes = {kind: max(opened.sizes.get(kind, 0), size) for kind, size in later.sizes.items()}
    return Life(way.name, way.provider, way.lifetime or 0, first, whole, opened.sizes | sizes)


def _begin(standing: System) -> Counter[str]:
    """What there was before."""
    standing.invocations.clear()
    return _provider_calls(standing)


def _provider_calls(standing: System) -> Counter[str]:
    doors = [*standing.simulated.doors, standing.kinesis]
    return Counter({"provider": sum(len(door.calls()) for door in doors)})


def _sum(one: Counted, other: Counted) -> Counted:
    indexes = one.read_units.keys() | other.read_units.keys()
    return Counted(
        calls=one.calls + other.calls,
        write_units=one.write_units + other.write_units,
        read_units={each: one.read_units.get(each, 0) + other.read_units.get(each, 0) for each in indexes},
        entries=one.entries + other.entries,
    )


def load(standing: System, counted: Counted, before: Counter[str]) -> Load:
    """What was counted, less what there was before."""
    calls: dict[str, int] = dict(counted.calls)
    calls |= _provider_calls(standing) - before
    if counted.entries:
        calls["events.Entries"] = counted.entries
    return Load(
        units={index: counted.written(index) for index in INDEXES},
        calls=dict(sorted(calls.items())),
        invocations=dict(sorted(standing.invocations.items())),
        read_units=sum(counted.read_units.values()),
        due=counted.calls["dynamodb.UpdateItem"],
    )


def as_json(found: Life) -> dict[str, Any]:
    """As ``docs/scale.json`` keeps it."""
    return asdict(found)


def from_json(kept: dict[str, Any]) -> Life:
    """What ``as_json`` wrote."""
    parts = {name: Load(**kept[name]) for name in ("opened", "whole")}
    return Life(**{**kept, **parts})
