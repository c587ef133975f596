"""What a function of ours may cost, beside what others write. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bench.figures import Kind, Row

REFERENCE, SDK = "boto_min", "cf_sdk"

COLD_BY_HTTP = {REFERENCE: 0.8, SDK: 0.55}
"""Instructions of init and first create, of a function whose provider is called by HTTP, to those peers'."""
COLD_BY_AWS = {REFERENCE: 1.0}
"""The same where the provider is a service of AWS."""
WARM = 1.1
"""CPU of a warm create for each provider call and table write, to the reference's for each of its."""
MEMORY = 1.0
"""Resident memory at its highest, to the reference's."""
UNZIPPED_MB = 25.0
"""Function and layers, in megabytes."""


@dataclass(frozen=True)
class Verdict:
    """One budget of one function."""

    name: str
    what: str
    figure: float
    bound: float

    @property
    def ok(self) -> bool:
        """A budget may be used up."""
        return self.figure <= self.bound


def judged(rows: Sequence[Row]) -> list[Verdict]:
    """Each of our functions by each budget, as far as what it takes was measured."""
    by_name = {row.name: row for row in rows}
    ours = [row for row in rows if row.kind in {Kind.HTTP, Kind.AWS}]
    return [verdict for row in ours for verdict in _verdicts(row, by_name)]


def _verdicts(row: Row, others: dict[str, Row]) -> Iterator[Verdict]:
    cold = COLD_BY_HTTP if row.kind is Kind.HTTP else COLD_BY_AWS
    ratios = [(f"instructions of init + first create, to {peer}", peer, _cold, bound) for peer, bound in cold.items()]
    ratios.append((f"warm CPU per provider call and table write, to {REFERENCE}", REFERENCE, _warm, WARM))
    ratios.append((f"peak memory, to {REFERENCE}", REFERENCE, _memory, MEMORY))
    for what, peer, figure, bound in ratios:
        mine, its = figure(row), figure(others[peer]) if peer in others else None
        if mine is not None and its:
            yield Verdict(row.name, what, mine / its, bound)
    if (unzipped := row.median("unzipped_mb")) is not None:
        yield Verdict(row.name, "unzipped function and layers, MB", unzipped, UNZIPPED_MB)


def _cold(row: Row) -> float | None:
    return row.median("cold_minstr")


def _warm(row: Row) -> float | None:
    cpu, units = row.median("warm_cpu_ms"), row.median("wire_units")
    return cpu / units if cpu is not None and units else None


def _memory(row: Row) -> float | None:
    return row.median("memory_mb")
