"""What a sweep, a page and the busiest partition key cost, reckoned for any number of streams. Pure.

A query with a limit reads so many entries of one partition, or as many as there are: what else the partition holds is
never gone through, since an index is ordered by its sort key and the query begins at a place in it. So the number of
streams is in none of these formulas; only what is due, what a page asks for, and what is written.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import ceil

from bench.units import read_units
from headwater.commands import ENTRIES
from headwater.store import DUE_SHARDS, SHARDS
from sweep.index import LEAST_PAGE, PAGE
from sweep.pace import MOST

PARTITION_WRITES = 1000
PARTITION_READS = 3000
"""Units a second of one partition: "Best practices for designing and using partition keys effectively"."""


@dataclass(frozen=True)
class Swept:
    """What one run asks for. ``updates`` are writes of what is moved on."""

    queries: int
    items_read: int
    read_units: float
    updates: int
    put_events: int


def sweep(due: int, shards: int = DUE_SHARDS, entry_bytes: int = 150) -> Swept:
    """A run that finds so many due, evenly spread, and is not cut short. ``entry_bytes``: of an entry of the index."""
    if due > MOST:
        raise ValueError(f"a run asks for at most {MOST}")
    page = min(PAGE, max(LEAST_PAGE, 2 * MOST // shards))
    units, queries = 0.0, 0
    for held in _spread(due, shards):
        full, rest = divmod(held, page)
        queries += full + 1
        units += full * read_units(page * entry_bytes, consistent=False)
        units += read_units(rest * entry_bytes, consistent=False)
    return Swept(queries, due, units, due, ceil(due / ENTRIES))


@dataclass(frozen=True)
class Page:
    """What one page of ``GET /streams`` asks for, whatever it shows."""

    queries: int
    items_read: int
    read_units: float


def page(limit: int, beyond: int, entry_bytes: int = 720, shards: int = SHARDS) -> Page:
    """A page of at most ``limit`` streams of a tenant who has so many beyond the cursor, evenly spread.

    What a filter lets through is not asked: it is looked for in what was read, and the page may be short.
    """
    reads = [min(limit, held) for held in _spread(beyond, shards)]
    units = sum(read_units(count * entry_bytes, consistent=False) for count in reads)
    return Page(shards, sum(reads), units)


def _spread(count: int, shards: int) -> Iterable[int]:
    each, more = divmod(count, shards)
    return [each + (number < more) for number in range(shards)]


@dataclass(frozen=True)
class Busy:
    """The busiest key of its kind: units of writes a second, and the rate of streams that it can take at most."""

    kind: str
    units_a_stream: float
    keys: int
    """Over how many keys the streams are spread."""
    writes: float
    share: float
    """Of what a partition takes."""
    most_streams: float
    """A second."""


def busiest(
    units: Mapping[str, float], streams: float, due_shards: int = DUE_SHARDS, tenant_shards: int = SHARDS
) -> list[Busy]:
    """Of each kind of key that streams share, at so many a second that write so many units each, all of one tenant.

    ``units`` are of one stream, by index. The table's own keys and those of ``by_provider_ref`` are one stream's alone.
    """
    kinds = (("by_tenant", tenant_shards), ("due", due_shards))
    return [_busy(kind, units.get(kind, 0), keys, streams) for kind, keys in kinds]


def _busy(kind: str, units: float, keys: int, streams: float) -> Busy:
    writes = units * streams / keys
    most = PARTITION_WRITES * keys / units if units else float("inf")
    return Busy(kind, units, keys, writes, writes / PARTITION_WRITES, most)


def due_shards_for(units: float, streams: float, share: float = 0.8) -> int:
    """How many shards of the index ``due`` keep its busiest at that share of a partition, at that rate."""
    shards = 8
    while units * streams / shards > share * PARTITION_WRITES:
        shards *= 2
    return shards


def breaker_reads(environments: float, cached_seconds: float = 5, units: float = 0.5) -> float:
    """Read units a second of a provider's one circuit, which every warm environment reads so often."""
    return environments * units / cached_seconds
