"""The simulation itself: a seed is always the same run, and a guard that is missing is noticed."""

import os
import subprocess
import sys
from collections.abc import Callable
from math import inf
from pathlib import Path
from typing import Any

import pytest

from headwater.provider import Search
from tests.simulation.outside import Anonymous, Keyed, Leased, Outside
from tests.simulation.runs import Run
from tests.simulation.table import FAILURES, Table

ROOT = Path(__file__).parents[2]
ENOUGH = 1500
"""Seeds within which a missing guard is noticed."""


@pytest.mark.parametrize("kind", ["keyed", "leased"])
def test_a_seed_is_the_same_run_in_every_process(kind: str) -> None:
    def printed(hash_seed: str) -> str:
        path = ("functions", "layers/headwater", ".")
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": ":".join(path)}
        command = [sys.executable, "-m", "tests.simulation", kind, "11"]
        return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, check=True, text=True).stdout  # noqa: S603  # it is ours

    assert printed("1") == printed("2") == "\n".join([*Run.of(kind, 11).lines, "every promise was kept", ""])


def test_seeds_differ() -> None:
    assert len({tuple(Run.of("named", seed).lines) for seed in range(20)}) == 20


def noticed(kind: str) -> str | None:
    """The first promise that is seen broken."""
    runs = (Run.of(kind, seed) for seed in range(ENOUGH))
    return next((run.broken for run in runs if run.broken), None)


def unconditional_claim(self: Table, record: Any) -> None:
    self._kernel.call("store.claim", lambda: self._put(self._kept(record.stream.id), record, None), FAILURES)


def certain_search(self: Keyed, order: Any) -> Search:
    search = Outside._find(self, order)
    return Search() if self.cuts() else search


def unrecorded_event(put: Callable[..., None]) -> Callable[..., None]:
    """The second half of a settle, done only sometimes: what a write of its own would come to."""

    def puts(self: Table, before: Any, after: Any, event: Any) -> None:
        put(self, before, after, event if self._kernel.rng.random() < 0.99 else None)

    return puts


@pytest.mark.parametrize(
    ("kind", "owner", "name", "missing"),
    [
        ("leased", Table, "claim", unconditional_claim),
        ("anonymous", Table, "_put", unrecorded_event(Table._put)),
        ("keyed", Keyed, "guard_seconds", inf),
        ("keyed", Keyed, "_find", certain_search),
        ("leased", Leased, "orphan_seconds", lambda *_: 0),
        ("anonymous", Anonymous, "ambiguous_creates_allowed", 5),
    ],
    ids=["claim", "event", "guard that ends", "list that is cut", "lease waited out", "creates counted"],
)
def test_what_is_missing_is_noticed(
    monkeypatch: pytest.MonkeyPatch, kind: str, owner: type, name: str, missing: object
) -> None:
    monkeypatch.setattr(owner, name, missing)
    assert noticed(kind)
