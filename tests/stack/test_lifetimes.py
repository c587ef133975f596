"""How long a stream lives: as long as its caller says or else its deployment, and no longer than that allows.

Here time is moved and no beat comes: so a sweep ends them. By their beats, in real time: ``test_leases``.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import httpx
import pytest

from headwater.records import EXPIRY_GRACE
from tests.stack.moved_time import CEILING, DEFAULT_LIFETIME, HOUR, MovedTime, side_by_side
from tests.stack.waiting import eventually
from tests.stack.ways import EACH_WAY, KINESIS_VIDEO, PYANNOTE, WAYS, Way

Json = dict[str, Any]

GRACE = EXPIRY_GRACE.total_seconds() + 1
"""Seconds after which a sweep does what no beat has done."""
EARLY = 60
REMOVALS = {"cloudflare": {"deleteLiveInput"}, "kinesis-video": {"DeleteStream"}} | {
    "overshoot": {"deleteStream", "closeStream"}
}
"""Each provider's operations that remove a stream."""


@dataclass
class Lives:
    """Of streams of each way, whose caller asked for an hour, or for nothing."""

    asked: dict[Way, Json]
    unasked: dict[Way, Json]
    early: dict[Way, int]
    """What a look at those of an hour was answered a minute before their end."""
    outlived: dict[Way, int]
    """What a look at the others was answered when the first had ended."""


@pytest.fixture(scope="module")
def lives(moved_time: MovedTime) -> Iterator[Lives]:
    """Their leases are so long that it is not a lease that ends them."""
    long, api = 3 * HOUR, moved_time.api

    def seen(streams: dict[Way, Json]) -> dict[Way, int]:
        return side_by_side(lambda way: api.read(streams[way]["href"]).status_code, WAYS)

    def expired(streams: dict[Way, Json]) -> None:
        for stream in streams.values():
            moved_time.subscriber.await_events(stream["id"], "StreamExpired")

    with moved_time.doors["overshoot"].set(lease_seconds=long, v02_lease_seconds=long):
        asked = side_by_side(partial(moved_time.open, key="an hour", max_lifetime_seconds=HOUR), WAYS)
        unasked = side_by_side(partial(moved_time.open, key="by default"), WAYS)
        # The one whose making takes a moment is looked at by nobody but us: a look would still be under way then.
        for stream in (asked[KINESIS_VIDEO], unasked[KINESIS_VIDEO]):
            eventually(partial(api.read, stream["href"], refresh=True), is_ready)
        moved_time.later(HOUR - EARLY)
        early = seen(asked)
        moved_time.later(EARLY + GRACE)
        expired(asked)
        outlived = seen(unasked)
        moved_time.later(DEFAULT_LIFETIME - HOUR)
        expired(unasked)
        yield Lives(asked, unasked, early, outlived)


def is_ready(answer: httpx.Response) -> bool:
    return bool(answer.json()["state"] == "ready")


def lifetime(stream: Json) -> timedelta:
    """Counted from when it was there to be used."""
    return datetime.fromisoformat(stream["expires_at"]) - datetime.fromisoformat(stream["updated_at"])


@EACH_WAY
def test_a_stream_lives_as_long_as_its_caller_says_or_else_its_deployment(way: Way, lives: Lives) -> None:
    assert lifetime(lives.asked[way]) == timedelta(seconds=HOUR)
    assert lifetime(lives.unasked[way]) == timedelta(seconds=DEFAULT_LIFETIME)
    assert (lives.early[way], lives.outlived[way]) == (200, 200)


@pytest.mark.parametrize("whose", ["asked", "unasked"])
@EACH_WAY
def test_then_it_is_ended_and_told_once_as_expired(way: Way, whose: str, lives: Lives, moved_time: MovedTime) -> None:
    stream: Json = getattr(lives, whose)[way]
    [expired] = [event["detail"] for event in moved_time.subscriber.events(stream["id"], "StreamExpired")]
    told = expired["data"]["stream"]
    assert (told["state"], told["state_reason"]) == ("ended", "expired")
    assert datetime.fromisoformat(expired["occurred_at"]) >= datetime.fromisoformat(stream["expires_at"])
    changed = ["StreamStateChanged"] if way.provider == "kinesis-video" else []
    assert moved_time.kinds(stream) == ["StreamCreated", *changed, "StreamExpired"]
    gone = moved_time.api.read(stream["href"])
    assert (gone.status_code, gone.json()["code"], gone.json()["reason"]) == (410, "stream-ended", "expired")
    assert moved_time.api.credentials(stream["href"]).status_code == 410


@pytest.mark.parametrize("whose", ["asked", "unasked"])
@EACH_WAY
def test_then_its_provider_has_it_no_longer(way: Way, whose: str, lives: Lives, moved_time: MovedTime) -> None:
    """pyannoteAI has no call that ends a stream: there the record alone ends."""
    ref, door = getattr(lives, whose)[way]["provider_ref"], moved_time.doors[way.provider]
    removals = [call for call in door.about(ref) if call["operation"] in REMOVALS.get(way.provider, ())]
    if way is PYANNOTE:
        assert ref in door.refs()
    else:
        assert ref not in door.refs()
        assert [call["status"] for call in removals] == [200]


@EACH_WAY
def test_nobody_is_given_longer_than_the_ceiling(way: Way, moved_time: MovedTime) -> None:
    before = len(moved_time.doors[way.provider].creates())
    body = way.body(max_lifetime_seconds=2 * CEILING, name="")
    refused = moved_time.api.create(way.provider, f"two ceilings {way.name}", body)
    assert (refused.status_code, refused.json()["code"]) == (422, "invalid-request")
    assert [fault["pointer"] for fault in refused.json()["errors"]] == ["/name", "/max_lifetime_seconds"]
    assert len(moved_time.doors[way.provider].creates()) == before


def test_a_stream_may_live_for_the_whole_ceiling(moved_time: MovedTime) -> None:
    stream = moved_time.open(PYANNOTE, "one ceiling", max_lifetime_seconds=CEILING)
    assert lifetime(stream) == timedelta(seconds=CEILING)
    assert moved_time.api.delete(stream["href"]).is_success


def test_over_the_bus_too_nobody_is_given_longer(moved_time: MovedTime) -> None:
    key = "two ceilings over the bus"
    moved_time.requester.ask("pyannote", {"max_lifetime_seconds": CEILING + 1}, idempotency_key=key)
    [failed] = moved_time.subscriber.await_events(moved_time.api.id_of("pyannote", key), "StreamFailed")
    problem = failed["detail"]["data"]["problem"]
    assert [fault["pointer"] for fault in problem["errors"]] == ["/max_lifetime_seconds"]
