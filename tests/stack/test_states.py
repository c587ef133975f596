"""What a stream's provider does to it is found out by looking: followed, told once, and never made up.

Time is moved here, so that looks are due; what Cloudflare tells by itself: ``test_notifications``.
"""

import json
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from operator import le, lt
from typing import Any

import httpx
import pytest

from headwater.records import LOOK_SECONDS
from local.simulators.secrets import SECRETS
from tests.stack.moved_time import DAY, HOUR, MovedTime, side_by_side
from tests.stack.waiting import eventually
from tests.stack.ways import CLOUDFLARE, EACH_WAY, KINESIS_VIDEO, OVERSHOOT, PYANNOTE, WAYS, Way

Json = dict[str, Any]

ALWAYS = 50
MANY = 3
CREATING_SECONDS = HOUR // 2
EARLY_LOOKS = 2
"""While it is being made."""
CALLS_A_SECOND = 5
"""Of one kind about one stream, all of a service's callers together (the developer guide's page on quotas)."""
PYANNOTE_LOOKS = 60
SELDOM = 6 * HOUR
"""Between looks at what tells by itself, or never changes by itself. All of these in seconds."""


def state_changes(moved_time: MovedTime, stream: Json) -> list[tuple[str, str]]:
    """From and to which states, in the order in which it happened."""
    told = moved_time.subscriber.events(stream["id"], "StreamStateChanged")
    details = {event["detail"]["sequence"]: event["detail"]["data"] for event in told}
    return [(details[at]["previous_state"], details[at]["stream"]["state"]) for at in sorted(details)]


# ---- Kinesis Video: being made


@pytest.fixture(scope="module")
def followed(moved_time: MovedTime) -> Iterator[Json]:
    """A stream whose making takes its time, until it was seen to be ready: nobody asked about it."""
    door = moved_time.doors["kinesis-video"]
    with door.set(creating_seconds=CREATING_SECONDS):
        stream = moved_time.open(KINESIS_VIDEO, "followed")
    for number, seconds in enumerate((*[LOOK_SECONDS] * EARLY_LOOKS, CREATING_SECONDS), start=1):
        assert moved_time.kinds(stream) in ([], ["StreamCreated"])
        moved_time.later(seconds)
        eventually(partial(described, moved_time, stream), partial(le, number))
        # What it saw is written before the next look is due.
        eventually(partial(looked_at_again, moved_time, stream), bool)
    moved_time.subscriber.await_events(stream["id"], "StreamStateChanged")
    yield stream
    assert moved_time.api.delete(stream["href"]).is_success


def described(moved_time: MovedTime, stream: Json) -> int:
    calls = moved_time.doors["kinesis-video"].about(stream["provider_ref"])
    return sum(call["operation"] == "DescribeStream" for call in calls)


def looked_at_again(moved_time: MovedTime, stream: Json) -> bool:
    """Whether its next look is yet to come."""
    record = moved_time.storage.record(stream["id"])
    return bool(record["look_at"] > moved_time.clock.now().isoformat())


def test_a_stream_that_is_being_made_is_followed_until_it_is_ready(followed: Json, moved_time: MovedTime) -> None:
    assert (followed["state"], followed["provider_status"]) == ("provisioning", "CREATING")
    assert state_changes(moved_time, followed) == [("provisioning", "ready")]
    ready = moved_time.api.read(followed["href"]).json()
    assert (ready["state"], ready["provider_status"], ready["version"]) == ("ready", "ACTIVE", 2)
    assert ready["ingest"]
    assert ready["playback"]


def test_nobody_looks_more_often_than_the_service_allows(followed: Json, moved_time: MovedTime) -> None:
    assert described(moved_time, followed) == EARLY_LOOKS + 1
    calls = moved_time.doors["kinesis-video"].about(followed["provider_ref"])
    for call in calls:
        in_its_second = [other for other in calls if 0 <= other["at"] - call["at"] < 1000]
        assert max(Counter(other["operation"] for other in in_its_second).values()) < CALLS_A_SECOND


# ---- pyannoteAI: created, running, done or error


@dataclass
class Sessions:
    """Two streams: one was sent to and is done, the other went wrong."""

    done: Json
    error: Json
    seen: dict[str, list[Json]]
    """By what was the matter at the provider, what reading both answered then."""
    looks: list[int]
    """How often each was looked at by the end of each minute."""


@pytest.fixture(scope="module")
def sessions(moved_time: MovedTime) -> Sessions:
    door, both = moved_time.doors["pyannote"], ("done", "error")
    streams = side_by_side(lambda what: moved_time.open(PYANNOTE, f"session {what}"), both)
    refs = {what: streams[what]["provider_ref"] for what in both}
    told = Sessions(streams["done"], streams["error"], {}, [])

    def looks(what: str) -> int:
        return sum(call["operation"] == "getLiveStream" for call in door.about(refs[what]))

    def a_minute(name: str, *expected: str, **statuses: str) -> None:
        for what, status in statuses.items():
            door.act("set_status", id=refs[what], status=status)
        before = {what: looks(what) for what in expected}
        moved_time.later(PYANNOTE_LOOKS)
        for what in expected:
            eventually(partial(looks, what), partial(lt, before[what]))
        told.looks += [looks(what) for what in both]
        told.seen[name] = [moved_time.api.read(streams[what]["href"]).json() for what in both]

    def told_of(what: str, count: int) -> None:
        moved_time.subscriber.await_events(streams[what]["id"], "StreamStateChanged", count)

    a_minute("created", "done", "error")
    a_minute("running", "done", "error", done="running", error="running")
    told_of("done", 1)
    told_of("error", 1)
    a_minute("over", "done", "error", done="done", error="error")
    told_of("done", 2)
    told_of("error", 2)
    a_minute("long over")
    return told


def test_a_session_is_followed_to_its_end(sessions: Sessions, moved_time: MovedTime) -> None:
    assert state_changes(moved_time, sessions.done) == [("ready", "live"), ("live", "ended")]
    assert state_changes(moved_time, sessions.error) == [("ready", "live"), ("live", "failed")]
    assert {told["state"] for told in sessions.seen["created"]} == {"ready"}


def test_what_is_over_says_why_and_opens_no_more(sessions: Sessions, moved_time: MovedTime) -> None:
    api = moved_time.api
    done, error = api.read(sessions.done["href"]), api.read(sessions.error["href"])
    assert (done.status_code, done.json()["reason"]) == (410, "done")
    assert (error.status_code, error.json()["state"], error.json()["state_reason"]) == (200, "failed", "error")
    for stream in (sessions.done, sessions.error):
        assert api.credentials(stream["href"]).status_code == 410


def test_it_is_looked_at_once_a_minute_and_no_more_when_it_is_over(sessions: Sessions, moved_time: MovedTime) -> None:
    assert sessions.looks == [1, 1, 2, 2, 3, 3, 3, 3]
    for stream in (sessions.done, sessions.error):
        assert "due_at" not in (moved_time.storage.item(stream["id"]) or {})


# ---- told by a refresh


def test_a_broadcast_at_cloudflare_is_seen_by_a_refresh(moved_time: MovedTime) -> None:
    stream = moved_time.open(CLOUDFLARE, "broadcast")
    seen = []
    for status in ("connected", "reconnecting", "client_disconnect", "connected"):
        moved_time.doors["cloudflare"].act("set_status", uid=stream["provider_ref"], status=status)
        told = moved_time.api.read(stream["href"], refresh=True).json()
        seen.append((told["provider_status"], told["state"]))
    assert seen == [
        ("connected", "live"),
        ("reconnecting", "ready"),
        ("client_disconnect", "ready"),
        ("connected", "live"),
    ]
    moved_time.subscriber.await_events(stream["id"], "StreamStateChanged", 3)
    assert state_changes(moved_time, stream) == [("ready", "live"), ("live", "ready"), ("ready", "live")]
    assert moved_time.api.delete(stream["href"]).is_success


def test_a_stream_that_overshoot_has_ended_says_so_with_its_reason(moved_time: MovedTime) -> None:
    stream = moved_time.open(OVERSHOOT, "ended there")
    active = moved_time.api.read(stream["href"], refresh=True).json()
    assert (active["state"], active["provider_status"]) == ("ready", "active")
    key = SECRETS["overshoot"]["api_key"]
    address = f"{moved_time.cloud.simulators_url}/overshoot/v1beta/streams/{stream['provider_ref']}"
    assert httpx.delete(address, headers={"Authorization": f"Bearer {key}"}, timeout=10).is_success
    over = moved_time.api.read(stream["href"], refresh=True)
    assert (over.status_code, over.json()["state"], over.json()["reason"]) == (410, "ended", "deleted")
    [changed] = moved_time.subscriber.await_events(stream["id"], "StreamStateChanged")
    told = changed["detail"]["data"]["stream"]
    assert (told["state"], told["state_reason"], told["provider_status"]) == ("ended", "deleted", "ended")
    assert moved_time.kinds(stream) == ["StreamCreated", "StreamStateChanged"]


# ---- a provider that is away, and one that no longer has it


@dataclass
class Vanished:
    """What became of a stream of each way whose provider first did not answer, and then did not have it."""

    streams: dict[Way, Json]
    refreshed: dict[Way, httpx.Response]
    """While the provider was away."""
    after_a_look: dict[Way, httpx.Response]
    """A read, once the provider was asked in vain because a look, or a renewal, was due."""
    well_again: dict[Way, httpx.Response]
    """A refresh."""


@pytest.fixture(scope="module")
def vanished(moved_time: MovedTime) -> Vanished:
    """What nothing is heard of is looked at every six hours, or renewed: then the last third of its lease begins."""
    api, doors = moved_time.api, moved_time.doors
    lease = SELDOM * 3 // 2
    with doors["overshoot"].set(lease_seconds=lease, v02_lease_seconds=lease):
        streams = side_by_side(partial(moved_time.open, key="vanished", max_lifetime_seconds=DAY), WAYS)

        def be_away(way: Way) -> None:
            ref = streams[way]["provider_ref"]
            doors[way.provider].fault("status", "*", containing=ref, times=ALWAYS, status=503)

        def refresh(way: Way) -> httpx.Response:
            return api.read(streams[way]["href"], refresh=True)

        def asked_in_vain(way: Way) -> int:
            ref = streams[way]["provider_ref"]
            calls = [call for call in doors[way.provider].calls() if call["status"] == 503]
            return sum(ref in f"{call['path']} {call['body']}" for call in calls)

        side_by_side(lambda way: eventually(partial(refresh, way), is_ready), WAYS)
        side_by_side(be_away, WAYS)
        refreshed = side_by_side(refresh, WAYS)
        before = side_by_side(asked_in_vain, WAYS)
        moved_time.later(SELDOM + 1)
        side_by_side(lambda way: eventually(partial(asked_in_vain, way), partial(lt, before[way])), WAYS)
        after_a_look = side_by_side(lambda way: api.read(streams[way]["href"]), WAYS)
        for door in doors.values():
            door.heal()
        well_again = side_by_side(lambda way: eventually(partial(refresh, way), is_ready), WAYS)
        side_by_side(lambda way: doors[way.provider].lose(streams[way]["provider_ref"], ALWAYS), WAYS)
        moved_time.later(SELDOM + 1)
        for stream in streams.values():
            moved_time.subscriber.await_events(stream["id"], "StreamLost")
        for door in doors.values():
            door.heal()
    return Vanished(streams, refreshed, after_a_look, well_again)


def is_ready(answer: httpx.Response) -> bool:
    return (answer.status_code, answer.json().get("state")) == (200, "ready")


@EACH_WAY
def test_nothing_is_lost_by_a_provider_that_is_away(way: Way, vanished: Vanished) -> None:
    assert (vanished.refreshed[way].status_code, vanished.refreshed[way].json()["code"]) == (
        *(503, "provider-unavailable"),
    )
    assert vanished.refreshed[way].json()["retryable"]
    for answer in (vanished.after_a_look[way], vanished.well_again[way]):
        assert (answer.status_code, answer.json()["state"]) == (200, "ready")


@EACH_WAY
def test_what_its_provider_no_longer_has_is_lost_and_that_is_told_once(
    way: Way, vanished: Vanished, moved_time: MovedTime
) -> None:
    stream = vanished.streams[way]
    changed = ["StreamStateChanged"] if way.provider == "kinesis-video" else []
    assert moved_time.kinds(stream) == ["StreamCreated", *changed, "StreamLost"]
    gone = moved_time.api.read(stream["href"])
    assert (gone.status_code, gone.json()["state"], gone.json()["reason"]) == (410, "lost", "not-at-provider")
    assert moved_time.api.credentials(stream["href"]).status_code == 410
    assert moved_time.api.delete(stream["href"]).status_code == 204
    [lost] = moved_time.subscriber.events(stream["id"], "StreamLost")
    assert lost["detail"]["data"]["stream"]["state_reason"] == "not-at-provider"


@EACH_WAY
def test_many_who_see_at_once_that_it_is_gone_tell_it_once(way: Way, moved_time: MovedTime) -> None:
    door, stream = moved_time.doors[way.provider], moved_time.open(way, "seen by many")
    door.lose(stream["provider_ref"], ALWAYS)
    with ThreadPoolExecutor(MANY) as pool:
        answers = list(pool.map(lambda _: moved_time.api.read(stream["href"], refresh=True), range(MANY)))
    door.heal()
    assert [(answer.status_code, answer.json()["state"]) for answer in answers] == [(410, "lost")] * MANY
    moved_time.subscriber.await_events(stream["id"], "StreamLost")
    assert moved_time.kinds(stream) == ["StreamCreated", "StreamLost"]
    record = moved_time.storage.record(stream["id"])
    assert record["stream"]["version"] == 2


# ---- and whatever was done in moved time


def test_nothing_went_astray_where_time_was_moved(moved_time: MovedTime) -> None:
    """By this file, or by those before it."""
    for door in moved_time.doors.values():
        assert door.violations() == []
    assert [line for line in moved_time.storage.log_lines() if '"level":"ERROR"' in line.replace(" ", "")] == []
    items = [item for item in moved_time.storage.items() if item["sk"]["S"].startswith("EVENT#")]
    recorded = {json.loads(item["detail"]["S"])["event_id"] for item in items}

    def carried() -> Counter[str]:
        moved_time.subscriber.receive()
        details = (event["detail"] for event in moved_time.subscriber.received)
        return Counter(detail["event_id"] for detail in details if "event_id" in detail)

    # Of a stream that is forgotten, the events are too, once its key is used anew.
    assert set(eventually(carried, lambda seen: recorded <= seen.keys()).values()) == {1}
