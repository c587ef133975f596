"""A stream's whole way, for each way to have one: opened by the API, looked at, held, looked at again, deleted."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import count
from statistics import median
from typing import Any

from bench.cost.prices import Usage, summed
from bench.cost.world import Invocation, World

MONTH_SECONDS = 730 * 3600
APART = 3600
"""Seconds, simulated, since the one before: what was cached then is not any more."""
METHODS = {"GET", "POST", "PATCH", "DELETE"}
CREATE = "POST"
"""What an invocation is called that opens a stream for a caller."""
SHORT = 90
"""Seconds, simulated, of a stream that only warms up."""
PATIENCE = 2 * 3600
"""Seconds, simulated, in which a deleted stream is quiet at last."""

type Json = dict[str, Any]


@dataclass(frozen=True)
class Way:
    """One of them. ``kept_every``: seconds after which its caller renews its lease, 0 where Headwater does."""

    name: str
    folder: str
    provider: str
    body: Json = field(hash=False)
    seconds: int = 3600 - 90
    """How long its caller has it: an hour, but for what is left to delete it in before a lease's own end."""
    kept_every: int = 0


V02 = {"processing": {"interval_seconds": 2.5}, "inference": {"prompt": "Is the door open?", "model": "a-model"}}
OVERSHOOT = ("provision_overshoot", "overshoot")
NAMED = {"name": "lobby camera", "metadata": {"customer": "42"}}
WAYS = (
    Way("cloudflare", "provision_cloudflare", "cloudflare", NAMED),
    Way("kinesis-video", "provision_kinesis_video", "kinesis-video", NAMED),
    Way("pyannote", "provision_pyannote", "pyannote", NAMED),
    Way("overshoot, over within its first lease", *OVERSHOOT, NAMED, 90),
    Way("overshoot, lease held by Headwater", *OVERSHOOT, NAMED),
    Way("overshoot, lease held by its caller", *OVERSHOOT, NAMED | {"lease": {"managed": False}}, kept_every=100),
    Way("overshoot v0.2, lease held by Headwater", *OVERSHOOT, NAMED | {"options": {"api_version": "v0.2", **V02}}),
)


@dataclass(frozen=True)
class Life:
    """What one stream came to. ``between``: what services used between functions; ``table_gb_months``: what it leaves
    in the table, for as long as that is kept there."""

    way: Way
    invocations: tuple[Invocation, ...]
    between: Usage
    table_gb_months: float

    @property
    def methods(self) -> frozenset[str]:
        """The API's methods, as it tells them apart, that were called."""
        labels = {one.label for one in self.invocations if one.function == self.way.folder}
        one, every = f"/streams/{self.way.provider}/{{proxy+}}", f"/streams/{self.way.provider}"
        called = {label for label in labels if label.partition(" ")[0] in METHODS}
        return frozenset(f"{label.partition(' ')[0]} {every if label == CREATE else one}" for label in called)


_keys = count(1)


def lived(world: World, way: Way) -> Life:
    """One stream's way from its creation until nothing of it is to come any more."""
    world.time.advance(APART)
    world.invocations.clear()
    world.between.clear()
    begun = world.now()
    stream = world.call(way.folder, "POST", f"/streams/{way.provider}", way.body, key=f"cost-{next(_keys)}")
    world.pass_until(begun + 30)
    world.call(way.folder, "GET", stream["href"])
    for moment in _kept(way):
        world.pass_until(begun + moment)
        world.call(way.folder, "POST", f"{stream['href']}/keepalive")
    world.pass_until(begun + way.seconds)
    world.call(way.folder, "DELETE", stream["href"])
    latest = world.now() + PATIENCE
    while (following := world.next_at()) <= latest:
        world.pass_until(following)
    if following < math.inf:
        raise RuntimeError(f"{way.name}: deleted two hours ago, and still not quiet")
    return Life(way, tuple(world.invocations), summed(world.between), _left(world, stream["id"]))


def _kept(way: Way) -> Iterator[int]:
    return iter(range(way.kept_every, way.seconds, way.kept_every) if way.kept_every else ())


def _left(world: World, stream_id: str) -> float:
    """GB and months of what the table has of a stream, by when each item is to be gone: TTL takes it away unbilled."""
    kept = 0.0
    for key, item in world.items.items():
        if key.startswith(f"STREAM#{stream_id}/"):
            seconds = int(item["expires"]["N"]) - world.now() if "expires" in item else MONTH_SECONDS
            kept += world.cloud.layout.stored(item) / 1e9 * seconds / MONTH_SECONDS
    return kept


@dataclass(frozen=True)
class Measured:
    """A way's life, its processor times as they usually are, and those of the first of its kind in this process."""

    life: Life
    firsts: dict[tuple[str, str], float]


def measured(world: World, way: Way) -> Measured:
    """Two short lives, so that everything is loaded and known; then the one that counts."""
    short = [lived(world, replace(way, seconds=min(SHORT, way.seconds))) for _ in range(2)]
    life = lived(world, way)
    firsts = {(one.function, one.label): one.cpu_ms for one in reversed(short[0].invocations)}
    times: dict[tuple[str, str], list[float]] = {}
    for one in (*short[1].invocations, *life.invocations):
        times.setdefault((one.function, one.label), []).append(one.cpu_ms)
    usual = {key: median(several) for key, several in times.items()}
    steady = tuple(replace(one, cpu_ms=usual[one.function, one.label]) for one in life.invocations)
    return Measured(replace(life, invocations=steady), firsts)
