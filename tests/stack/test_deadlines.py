"""Whoever calls is answered by us, and in time: not by API Gateway's 29 s, and not by the end of an invocation.

Creates at a provider that hangs are in ``test_provider_refusals``.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from local.cloud import Cloud
from tests.stack.callers import Api, new_caller
from tests.stack.doors import Door, aws_door_of, doors_of
from tests.stack.waiting import WELL_BEFORE, eventually
from tests.stack.ways import PYANNOTE, WAYS, Way

Json = dict[str, Any]

ALWAYS = 50


def problem_of(answer: httpx.Response) -> Json:
    """In our own words, which a timeout's would not be."""
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    problem: Json = answer.json()
    assert problem["type"] == f"urn:headwater:problem:{problem['code']}"
    return problem


CALLS: dict[str, Callable[[Api, str], httpx.Response]] = {
    "refresh": lambda api, href: api.read(href, refresh=True),
    "delete": Api.delete,
    "keepalive": Api.keep_alive,
}
HANGING = [
    (call, way)
    for call in CALLS
    for way in WAYS
    if (call != "keepalive" or way.lease) and (call != "delete" or way is not PYANNOTE)
]
"""What asks the provider: only Overshoot has leases, and at pyannoteAI nothing ends a stream."""
STEPS = ["dynamodb.PutItem", "kms.Encrypt", "dynamodb.TransactWriteItems"]
"""Of AWS, in a creation."""
INVOCATION = 10
"""Seconds that an invocation has in the cloud with a door before AWS."""
ATTEMPTS = 3
"""Of a call to AWS, before it counts as failed."""


@dataclass
class Creation:
    """One that AWS kept waiting, and the same key again until that said something new."""

    hung: httpx.Response
    faults_left: int
    again: httpx.Response
    alive: list[Json]


@dataclass
class Hanging:
    """All that was kept waiting, side by side."""

    calls: dict[tuple[str, str], httpx.Response]
    creations: dict[str, Creation]


def call_kept_waiting(call: str, way: Way, api: Api, door: Door) -> httpx.Response:
    made = api.create(way.provider, f"hung {call} {way.name}", way.body())
    assert made.status_code == 201, made.text
    door.fault("hang", "*", containing=made.json()["provider_ref"], times=ALWAYS)
    return CALLS[call](api, made.json()["href"])


def creation_kept_waiting(step: str, cloud: Cloud, api: Api) -> Creation:
    key = f"hung {step}"
    stream_id = api.id_of("cloudflare", key)
    with aws_door_of(cloud) as aws, doors_of(cloud) as doors:
        aws.fault("hang", step, times=ATTEMPTS, containing=stream_id)
        hung = api.create("cloudflare", key)
        left = sum(fault["containing"] == stream_id for fault in aws.faults())
        again = eventually(lambda: api.create("cloudflare", key), lambda answer: answer.status_code != 409, 60)
        alive = [one for one in doors["cloudflare"].resources() if stream_id in str(one)]
    assert api.delete(api.href_of("cloudflare", key)).is_success
    return Creation(hung, left, again, alive)


@pytest.fixture(scope="module")
def hanging(api: Api, doors: dict[str, Door], crash_cloud: Cloud) -> Iterator[Hanging]:
    crash_api = new_caller(crash_cloud, "deadlines")
    with ThreadPoolExecutor(len(HANGING) + len(STEPS)) as pool:
        called = {
            (call, way.name): pool.submit(call_kept_waiting, call, way, api, doors[way.provider])
            for call, way in HANGING
        }
        created = {step: pool.submit(creation_kept_waiting, step, crash_cloud, crash_api) for step in STEPS}
        calls = {one: answer.result() for one, answer in called.items()}
        creations = {step: creation.result() for step, creation in created.items()}
    for door in doors.values():
        door.heal()
    yield Hanging(calls, creations)
    for call, way in HANGING:
        assert api.delete(api.href_of(way.provider, f"hung {call} {way.name}")).is_success
    crash_api.close()


@pytest.mark.parametrize(("call", "way"), HANGING, ids=[f"{call} {way.name}" for call, way in HANGING])
def test_a_provider_that_hangs_is_answered_for(call: str, way: Way, hanging: Hanging) -> None:
    """An end that was asked for is recorded before: it needs nobody who asks again."""
    answer = hanging.calls[call, way.name]
    assert answer.elapsed.total_seconds() < WELL_BEFORE
    if call == "delete":
        assert (answer.status_code, answer.json()["state"]) == (202, "ending")
        return
    problem = problem_of(answer)
    assert (answer.status_code, problem["code"]) in {(503, "provider-unavailable"), (504, "provider-outcome-unknown")}
    assert problem["retryable"]


@pytest.mark.parametrize("step", STEPS)
def test_an_aws_service_that_hangs_is_answered_for(step: str, hanging: Hanging) -> None:
    creation = hanging.creations[step]
    assert (creation.hung.status_code, problem_of(creation.hung)["retryable"]) == (500, True), creation.hung.text
    assert creation.hung.elapsed.total_seconds() < INVOCATION
    assert creation.faults_left == 0


@pytest.mark.parametrize("step", STEPS)
def test_a_creation_that_aws_kept_waiting_makes_one_stream(step: str, hanging: Hanging) -> None:
    creation = hanging.creations[step]
    assert creation.again.status_code == 201, creation.again.text
    assert [one["uid"] for one in creation.alive] == [creation.again.json()["provider_ref"]]
