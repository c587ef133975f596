"""Leases and lifetimes in real time, with leases of a few seconds: held, let go, and over when they are to be."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest

from tests.stack.bus import Subscriber
from tests.stack.callers import Api
from tests.stack.doors import Door
from tests.stack.waiting import eventually

Json = dict[str, Any]

LEASE = 8
LIFETIME = 60
"""Seconds; no caller may ask for less."""
PROMPTLY = timedelta(seconds=20)
"""After its end a stream is gone: the longest delay of a message, an invocation or two, and two busy cores."""
V02 = {
    "api_version": "v0.2",
    "processing": {"interval_seconds": 2.5},
    "inference": {"prompt": "Is the door open?", "model": "a-model"},
}
LEASED = {"v1beta": ("overshoot", {}), "v0.2": ("overshoot", V02)}
UNLEASED: dict[str, tuple[str, Json]] = {
    "cloudflare": ("cloudflare", {}),
    "kinesis-video": ("kinesis-video", {}),
    "pyannote": ("pyannote", {}),
}
MORTAL = LEASED | UNLEASED


@pytest.fixture(scope="module")
def mortals(api: Api, doors: dict[str, Door]) -> Iterator[dict[str, Json]]:
    """Streams of a minute, of short leases where there are leases: what their creates answered."""

    def opened(name: str) -> Json:
        provider, options = MORTAL[name]
        body = {"name": name, "max_lifetime_seconds": LIFETIME, "options": options}
        answer = api.create(provider, f"mortal-{name}", body)
        assert answer.status_code == 201, answer.text
        stream: Json = answer.json()
        return stream

    with (
        doors["overshoot"].set(lease_seconds=LEASE, v02_lease_seconds=LEASE),
        ThreadPoolExecutor(len(MORTAL)) as pool,
    ):
        yield dict(zip(MORTAL, pool.map(opened, MORTAL), strict=True))


@pytest.fixture
def overshoot(doors: dict[str, Door]) -> Door:
    return doors["overshoot"]


def renewals(door: Door, stream: Json) -> list[Json]:
    """The keepalives of a stream that the provider has answered."""
    calls = door.calls("keepStreamAlive")
    return [call for call in calls if stream["provider_ref"] in call["path"] and call["status"] == 200]


def token_in(credentials: Json) -> str:
    [entry] = credentials["ingest"]
    token: str = entry["token"]
    return token


def told_token(renewal: Json) -> str:
    """The new token in the answer to a keepalive, of either API."""
    answer = renewal["response"]
    token: str = answer["livekit_token"] if "livekit_token" in answer else answer["publish"]["token"]
    return token


@pytest.mark.parametrize("name", MORTAL)
def test_a_stream_tells_when_it_will_end(name: str, mortals: dict[str, Json]) -> None:
    """Counted from when it was there to be used."""
    stream = mortals[name]
    lasts = datetime.fromisoformat(stream["expires_at"]) - datetime.fromisoformat(stream["updated_at"])
    assert lasts == timedelta(seconds=LIFETIME)
    assert (stream["lease"] or {}).get("ttl_seconds") == (LEASE if name in LEASED else None)


@pytest.mark.parametrize("name", LEASED)
def test_a_leased_stream_outlives_its_lease_several_times(
    name: str, mortals: dict[str, Json], overshoot: Door, api: Api
) -> None:
    stream = mortals[name]
    begun = datetime.fromisoformat(stream["created_at"]).timestamp() * 1000
    seen = eventually(
        lambda: renewals(overshoot, stream),
        lambda calls: bool(calls) and calls[-1]["at"] - begun > 3 * LEASE * 1000,
        seconds=5 * LEASE,
    )
    gaps = [later["at"] - call["at"] for call, later in pairwise(seen)]
    assert max(gaps) < LEASE * 1000
    assert stream["provider_ref"] in overshoot.refs()
    now = api.read(stream["href"]).json()
    assert now["lease"]["expires_at"] > stream["lease"]["expires_at"]
    assert now["version"] == 1  # a renewal is not worth an event


@pytest.mark.parametrize("name", LEASED)
def test_the_token_of_the_last_renewal_is_the_one_in_the_credentials(
    name: str, mortals: dict[str, Json], overshoot: Door, api: Api
) -> None:
    stream = mortals[name]

    def held_and_told() -> tuple[str, str]:
        held = token_in(api.credentials(stream["href"]).json())
        return held, told_token(renewals(overshoot, stream)[-1])

    eventually(lambda: renewals(overshoot, stream), bool)
    # One may come between the two looks.
    held, _ = eventually(held_and_told, lambda pair: pair[0] == pair[1])
    assert held != token_in(stream["credentials"])


@pytest.mark.parametrize("name", LEASED)
def test_a_deleted_stream_is_no_longer_renewed(name: str, mortals: dict[str, Json], overshoot: Door, api: Api) -> None:
    provider, options = LEASED[name]
    stream = api.create(provider, f"let-go-{name}", {"options": options}).json()
    eventually(lambda: renewals(overshoot, stream), bool)
    assert api.delete(stream["href"]).status_code == 204
    asked = len([call for call in overshoot.calls() if stream["provider_ref"] in call["path"]])
    neighbour = mortals[name]
    before = len(renewals(overshoot, neighbour))
    # As long as a neighbour takes to be renewed three times more, nobody asks the provider about this one.
    eventually(lambda: len(renewals(overshoot, neighbour)), lambda count: count >= before + 3)
    assert len([call for call in overshoot.calls() if stream["provider_ref"] in call["path"]]) == asked


@pytest.mark.parametrize("name", MORTAL)
def test_at_the_end_of_its_lifetime_a_stream_is_removed_at_the_provider_and_that_is_told(
    name: str, mortals: dict[str, Json], api: Api, doors: dict[str, Door], subscriber: Subscriber
) -> None:
    stream, door = mortals[name], doors[MORTAL[name][0]]
    [expired] = subscriber.await_events(stream["id"], "StreamExpired", seconds=LIFETIME + PROMPTLY.total_seconds())
    ends = datetime.fromisoformat(stream["expires_at"])
    assert ends <= datetime.fromisoformat(expired["detail"]["occurred_at"]) < ends + PROMPTLY
    assert expired["detail"]["data"]["stream"]["state"] == "ended"
    assert subscriber.events(stream["id"], "StreamDeleted") == []
    if name != "pyannote":  # which has no call that ends a stream
        assert stream["provider_ref"] not in door.refs()
    gone = api.read(stream["href"])
    assert (gone.status_code, gone.json()["reason"]) == (410, "expired")
    assert api.credentials(stream["href"]).status_code == 410
