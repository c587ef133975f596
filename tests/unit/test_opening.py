"""What a stream begins its life with: its lifetime by whoever says, its lease, its first look."""

import json
from datetime import timedelta
from typing import Any

import pytest

from headwater.errors import InvalidRequest
from headwater.opening import leased, look_at
from headwater.provider import Resource
from headwater.records import LOOK_SECONDS
from headwater.requests import parse
from headwater.streams import State
from tests.unit.fakes import FakeClock, FakeOptions, FakeProvider, Unfindable, World
from tests.unit.standing import Standing


class Looked(FakeProvider):
    """Nothing is heard of its streams, so they are looked at."""

    look_seconds = 300


def ends_after(world: Standing) -> float | None:
    expires_at = world.stream.expires_at
    return (expires_at - world.clock()).total_seconds() if expires_at else None


@pytest.mark.parametrize(
    ("given", "asked", "seconds"),
    [
        ({}, None, None),
        ({}, 600, 600),
        ({"default_lifetime": 900}, None, 900),
        ({"default_lifetime": 900}, 600, 600),
        ({"default_lifetime": 900}, 1800, 1800),
        ({"lifetime_ceiling": 900}, None, 900),
        ({"lifetime_ceiling": 900}, 600, 600),
        ({"default_lifetime": 600, "lifetime_ceiling": 900}, None, 600),
        ({"default_lifetime": 1800, "lifetime_ceiling": 900}, None, 900),
    ],
)
def test_a_lifetime_is_by_its_caller_then_by_the_deployment(
    given: dict[str, int], asked: int | None, seconds: float | None
) -> None:
    body = {"max_lifetime_seconds": asked} if asked else {}
    assert ends_after(Standing(None, given, **body)) == seconds


@pytest.mark.parametrize(
    ("given", "asked", "seconds"),
    [
        ({}, None, 3600),
        ({}, 600, 600),
        ({"leased_lifetime": 1200}, None, 1200),
        ({"default_lifetime": 900}, None, 900),
        ({"lifetime_ceiling": 900}, None, 900),
        ({"lifetime_ceiling": 7200}, None, 3600),
    ],
)
def test_a_lease_that_we_hold_is_held_for_an_hour_where_nobody_says(
    given: dict[str, int], asked: int | None, seconds: float
) -> None:
    body = {"max_lifetime_seconds": asked} if asked else {}
    assert ends_after(Standing(Unfindable(), given, **body)) == seconds


@pytest.mark.parametrize(
    ("given", "seconds"), [({}, None), ({"default_lifetime": 900}, 900), ({"lifetime_ceiling": 900}, 900)]
)
def test_a_lease_that_its_caller_holds_ends_by_itself_where_the_deployment_does_not_say(
    given: dict[str, int], seconds: float | None
) -> None:
    assert ends_after(Standing(Unfindable(), given, lease={"managed": False})) == seconds


def test_a_lifetime_beyond_the_ceiling_is_a_fault_among_all_others() -> None:
    body = json.dumps({"max_lifetime_seconds": 901, "name": "", "options": {"nope": 1}})
    with pytest.raises(InvalidRequest) as caught:
        parse(body, FakeOptions, World(lifetime_ceiling=900).parts.terms)
    assert {fault.pointer for fault in caught.value.faults} == {"/max_lifetime_seconds", "/name", "/options/nope"}


def test_a_stream_begins_with_all_that_its_resource_brings() -> None:
    world = Standing(name="lobby")
    record = world.record()
    assert (record.opened_at, record.told_at) == (world.clock(), world.clock())
    assert record.claim is None
    assert record.credential_hashes.keys() == {"ingest/rtmps"}
    assert record.notes == {"region": "here"}
    assert (record.stream.drift, record.stream.credentials_rotated_at) == ([], None)


def test_a_stream_lives_by_business_time() -> None:
    world = World()
    world.moved = timedelta(days=2)
    stream = world.provision(max_lifetime_seconds=60).stream
    assert stream.expires_at == world.clock() + timedelta(days=2, seconds=60)
    assert world.record().opened_at == world.now


@pytest.mark.parametrize(
    ("provider", "state", "body", "seconds"),
    [
        (FakeProvider, State.READY, {}, None),
        (FakeProvider, State.PROVISIONING, {}, LOOK_SECONDS),
        (Looked, State.READY, {}, 300),
        (Looked, State.PROVISIONING, {}, LOOK_SECONDS),
        (Unfindable, State.READY, {}, None),
        (Unfindable, State.READY, {"lease": {"managed": False}}, 300 + LOOK_SECONDS),
    ],
)
def test_a_stream_is_looked_at_where_nothing_else_tells(
    provider: type[FakeProvider], state: State, body: dict[str, Any], seconds: float | None
) -> None:
    world = World(provider())
    world.provider.state = state
    world.provision(**body)
    look = world.record().look_at
    assert (look and (look - world.clock()).total_seconds()) == seconds


def test_a_lease_that_lapsed_and_is_there_still_is_looked_at_again_soon() -> None:
    world = Standing(Unfindable(), lease={"managed": False})
    lease = world.record().stream.lease
    moment = world.clock() + timedelta(seconds=1000)
    assert look_at(world.parts, State.READY, lease, moment) == moment + timedelta(seconds=LOOK_SECONDS)


def test_of_a_resource_without_a_lease_there_is_none() -> None:
    assert leased(Resource("ref", State.READY), FakeClock()(), managed=True) is None
