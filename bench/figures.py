"""What was measured of each function, with its spread. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from statistics import median


class Kind(StrEnum):
    """What a function is to the budgets."""

    HTTP = "http"
    """Ours, whose provider is called by HTTP."""
    AWS = "aws"
    """Ours, whose provider is a service of AWS."""
    PEER = "peer"
    BEFORE = "before"
    """Ours, of an earlier revision: shown, not judged."""


METRICS = {
    "init_minstr": "Minstr init",
    "cold_minstr": "Minstr init + first",
    "init_ms": "ms init",
    "first_ms": "ms first",
    "warm_cpu_ms": "ms CPU warm",
    "wire_units": "calls + writes",
    "wire_calls": "calls in all",
    "memory_mb": "MB peak",
    "unzipped_mb": "MB unzipped",
    "modules": "modules",
}
"""What is measured, and how a table calls it. A megabyte is 1,000,000 bytes."""


@dataclass(frozen=True)
class Spread:
    """The median of several runs, the least and the most."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Iterable[float]) -> "Spread":
        """Of at least one."""
        all_of_them = sorted(values)
        return cls(median(all_of_them), all_of_them[0], all_of_them[-1])

    @property
    def agrees(self) -> bool:
        """Whether no two differ by more than a hundredth of the median."""
        return self.high - self.low <= 0.01 * self.median


@dataclass(frozen=True)
class Row:
    """One function: its figures, by the names of ``METRICS``. In a narrow run some are missing."""

    name: str
    kind: Kind
    figures: dict[str, Spread]

    def median(self, metric: str) -> float | None:
        """None where it was not measured."""
        return self.figures[metric].median if metric in self.figures else None
