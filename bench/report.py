"""The tables that a run prints and writes, and the figures that other commands read. Pure, but for the writing."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.budgets import REFERENCE, Verdict
from bench.figures import METRICS, Row, Spread

BEGIN, END = "<!-- make bench writes from here -->", "<!-- to here -->"


def tables(rows: Sequence[Row], verdicts: Sequence[Verdict], heading: str) -> str:
    """All there is to see, in Markdown."""
    medians = _table(["Function", *METRICS.values()], [_medians(row, _reference(rows)) for row in rows])
    spreads = _table(["Function", *METRICS.values()], [_spreads(row) for row in rows])
    budgets = _table(["Function", "Budget", "Figure", "Bound", ""], [_budget(verdict) for verdict in verdicts])
    parts = [heading, "### Medians, and their ratio to `boto_min`", medians, "### Least and most", spreads]
    return "\n\n".join([*parts, "### Budgets", budgets])


def _reference(rows: Sequence[Row]) -> Row | None:
    return next((row for row in rows if row.name == REFERENCE), None)


def _medians(row: Row, reference: Row | None) -> list[str]:
    cells = [f"`{row.name}`"]
    for metric in METRICS:
        own, other = row.median(metric), reference.median(metric) if reference else None
        ratio = f" ({own / other:.2f})" if own is not None and other else ""
        cells.append("" if own is None else number(own) + ratio)
    return cells


def _spreads(row: Row) -> list[str]:
    return [f"`{row.name}`", *(_range(row.figures.get(metric)) for metric in METRICS)]


def _range(spread: Spread | None) -> str:
    if spread is None:
        return ""
    low, high = number(spread.low), number(spread.high)
    return low if low == high else f"{low} to {high}"


def _budget(verdict: Verdict) -> list[str]:
    figures = (f"{verdict.figure:.2f}", f"{verdict.bound:.2f}")
    return [f"`{verdict.name}`", verdict.what, *figures, "ok" if verdict.ok else "**over**"]


def number(value: float) -> str:
    """Three digits that count, or all before the point."""
    return f"{value:.0f}" if value >= 100 or value == int(value) else f"{value:.3g}"


def _table(heads: list[str], rows: list[list[str]]) -> str:
    lines = [heads, ["---", *("---:" for _ in heads[1:])], *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def between_marks(text: str, content: str) -> str:
    """The text with what is between the marks replaced. Raises ``ValueError`` where they are not there once each."""
    if text.count(BEGIN) != 1 or text.count(END) != 1 or text.index(BEGIN) > text.index(END):
        raise ValueError(f"the text needs {BEGIN!r} and, after it, {END!r}")
    before, after = text.partition(BEGIN)[0], text.partition(END)[2]
    return f"{before}{BEGIN}\n\n{content}\n\n{END}{after}"


def as_json(rows: Sequence[Row], measured: str, machine: str, rounds: int) -> str:
    """The raw figures."""
    functions: dict[str, Any] = {
        row.name: {
            metric: {"median": round(each.median, 3), "low": round(each.low, 3), "high": round(each.high, 3)}
            for metric, each in row.figures.items()
        }
        for row in rows
    }
    told = {"measured": measured, "machine": machine, "rounds": rounds, "functions": functions}
    return json.dumps(told, indent=2) + "\n"


def write(folder: Path, table: str, figures: str) -> None:
    """To performance.md and performance.json of the folder."""
    document = folder / "performance.md"
    document.write_text(between_marks(document.read_text(), table))
    (folder / "performance.json").write_text(figures)
