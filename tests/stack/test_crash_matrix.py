"""The crash matrix: workers killed at every point between claim and publish, over the deployed system.

At AWS's steps they are killed by the door in front of it, at the providers' by the simulators: SIGKILL, so that nothing
in the product has a say in it. The cells run side by side; each test waits for its own to come to rest. Only the cells
that are asked for are run (``pytest -k``).
"""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from local.cloud import Cloud
from tests.stack.bus import Requester, subscribed
from tests.stack.callers import new_caller
from tests.stack.conftest import TOLD
from tests.stack.crash_cells import KILLS, NOBODY, RETRIES, SCHEDULED, UNLISTED, Cell, allowed, cells
from tests.stack.crash_runs import OVER, Matrix, Place, table
from tests.stack.doors import aws_door_of, doors_of
from tests.stack.storage import Storage
from tests.stack.waiting import eventually
from tests.stack.ways import PROVIDERS

Json = dict[str, Any]

CELLS = cells()


@pytest.fixture(scope="module")
def place(crash_cloud: Cloud) -> Iterator[Place]:
    """A caller, a subscriber and every door of a deployment of its own."""
    with (
        doors_of(crash_cloud) as doors,
        aws_door_of(crash_cloud) as aws,
        subscribed(crash_cloud, "crash-matrix") as subscriber,
    ):
        api = new_caller(crash_cloud, "crash-matrix")
        requester, storage = Requester(crash_cloud), Storage(crash_cloud)
        yield Place(crash_cloud, api, subscriber, requester, storage, doors, aws)
        api.close()


@pytest.fixture(scope="module")
def doubts_before(place: Place) -> Counter[str]:
    """How many creates in doubt the metrics had counted before."""
    return doubts(place.storage)


@pytest.fixture(scope="module")
def matrix(place: Place, doubts_before: Counter[str], request: pytest.FixtureRequest) -> Iterator[Matrix]:
    """Under way: the cells that are asked for, and their whole table at the end."""
    chosen: list[Cell] = [
        item.callspec.params["cell"]  # type: ignore[misc]  # by the name in the parametrization
        for item in request.session.items
        if item.path == request.path and isinstance(item, pytest.Function) and "cell" in item.fixturenames
    ]
    with Matrix(place, chosen or CELLS) as running:
        yield running
        lines = ["", "crash matrix: each counted when its stream had come to rest", *table(running.done())]
        request.config.stash.setdefault(TOLD, []).extend(lines)


def doubts(storage: Storage) -> Counter[str]:
    """How many creates in doubt the metrics count, by provider."""
    lines = (json.loads(line) for line in storage.log_lines() if '"AmbiguousCreate"' in line)
    counted: Counter[str] = Counter()
    for line in lines:
        for value in line["AmbiguousCreate"]:
            counted[line["provider"]] += int(value)
    return counted


@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: cell.name)
def test_a_worker_that_dies_leaves_one_stream_or_none(cell: Cell, matrix: Matrix) -> None:
    trace = matrix.trace(cell)
    assert trace.outcome in allowed(cell), trace
    assert trace.wrong == [], trace


def test_what_a_dead_worker_left_is_found_by_the_schedule_alone(matrix: Matrix) -> None:
    """The other sweeps were asked for by this test, and not before."""
    trace = matrix.trace(SCHEDULED)
    assert matrix.swept_at is None or trace.ended <= matrix.swept_at


def test_each_kill_was_one(matrix: Matrix, place: Place) -> None:
    """By the doors' own logs: no worker was spared, and none died of another's fault."""
    traces = matrix.traces()
    expected: Counter[str] = Counter()
    for cell in (trace.cell for trace in traces):
        expected[KILLS[cell.step].operation or cell.lane.provider] += cell.deaths
    calls = [call for step in KILLS.values() if step.door == "aws" for call in place.aws.calls(step.operation)]
    killed = Counter({call["seq"]: call["operation"] for call in calls if call["fault"] == "kill"}.values())
    for provider in PROVIDERS:
        killed[provider] = sum(call["fault"] == "kill" for call in place.doors[provider].creates())
        calls += place.doors[provider].creates()
    assert +killed == +expected
    assert [call for call in calls if call["fault"] == "kill" and call["status"] is not None] == []


@pytest.mark.parametrize("provider", PROVIDERS)
def test_every_create_in_doubt_is_counted(
    provider: str, matrix: Matrix, place: Place, doubts_before: Counter[str]
) -> None:
    cells = (trace.cell for trace in matrix.traces())
    left = sum(cell.deaths for cell in cells if cell.lane.provider == provider and cell.doubtful)
    seen = eventually(lambda: doubts(place.storage) - doubts_before, lambda found: found[provider] >= left)
    assert seen[provider] == left


def test_afterwards_nothing_more_has_come_of_any(matrix: Matrix, place: Place) -> None:
    """Counted again, when all are at rest. Only what was ended, or was unused until its lease ended, is gone."""
    traces = matrix.traces()
    changed = []
    for trace in traces:
        now, then = matrix.count(trace), trace.outcome
        assert then is not None
        if trace.cell.lane.leased and then.record == "alive":
            then = replace(then, record=now.record if now.record in OVER else "ended", alive=0)
        if now != then:
            changed.append((str(trace.cell), then, now))
    assert changed == []


@pytest.mark.parametrize("provider", PROVIDERS)
def test_at_the_provider_there_is_nothing_besides(provider: str, matrix: Matrix, place: Place) -> None:
    """All that has appeared there since: of Overshoot's nothing is left, of pyannoteAI's what no client ever opened."""
    traces = [trace for trace in matrix.traces() if trace.cell.lane.provider == provider]
    recorded = {trace.record["stream"]["provider_ref"] for trace in traces if trace.record} - {None}
    leased = {trace.record["stream"]["provider_ref"] for trace in traces if trace.record and trace.cell.lane.leased}
    unused = sum(trace.outcome.alive for trace in traces if trace.outcome) - len(recorded - leased) if not leased else 0
    there = place.doors[provider].refs() - matrix.refs_before[provider]
    assert recorded - leased <= there
    assert len(there) == len(recorded - leased) + unused
    assert place.doors[provider].violations() == []


def test_what_the_provider_s_list_does_not_show_is_made_again_as_the_same(place: Place, matrix: Matrix) -> None:
    """Cloudflare by its Idempotency-Key: the last of all, since nobody's list is whole meanwhile."""
    matrix.traces()
    unlisted = [Cell(UNLISTED, "after the create", after) for after in (RETRIES, NOBODY)]
    with place.doors["cloudflare"].set(list_window=0), Matrix(place, unlisted) as running:
        traces = running.traces()
    matrix.later += traces
    for trace in traces:
        assert trace.outcome in allowed(trace.cell), trace
        assert trace.wrong == [], trace
