"""A stream's end, whatever comes between: a provider that is away, a worker that dies, and a month that passes.

Time is moved here: so it is told what an end that was begun waits for, and for how long one is remembered.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any

import httpx
import pytest

from headwater.ending import AGAIN_SECONDS
from tests.stack.moved_time import DAY, MovedTime, side_by_side
from tests.stack.waiting import eventually
from tests.stack.ways import CLOUDFLARE, EACH_WAY, KINESIS_VIDEO, OVERSHOOT, OVERSHOOT_V02, WAYS, Way, each

Json = dict[str, Any]

REMOVALS = {
    CLOUDFLARE: "deleteLiveInput",
    KINESIS_VIDEO: "DeleteStream",
    OVERSHOOT: "deleteStream",
    OVERSHOOT_V02: "closeStream",
}
"""The provider's operation that ends a stream, of each way that has one."""
EACH_REMOVED = each(REMOVALS)
ALWAYS = 100
AGAIN = AGAIN_SECONDS + 1
REMEMBERED = 30
"""Days."""
SWEEPS = 5


def removals(moved_time: MovedTime, way: Way, stream: Json) -> list[Json]:
    """The calls that were to remove a stream."""
    calls = moved_time.doors[way.provider].about(stream["provider_ref"])
    return [call for call in calls if call["operation"] == REMOVALS[way]]


def ready(moved_time: MovedTime, way: Way, key: str) -> Json:
    """A stream that is there to be used."""
    stream = moved_time.open(way, key, max_lifetime_seconds=DAY)
    eventually(lambda: moved_time.api.read(stream["href"], refresh=True).json()["state"], lambda now: now == "ready")
    return stream


def swept_until_told(moved_time: MovedTime, stream: Json) -> None:
    """As the schedule does each minute. The first finds it, unless the command meets what is just being ended."""
    for _ in range(SWEEPS):
        moved_time.later(AGAIN)
        try:
            moved_time.subscriber.await_events(stream["id"], "StreamDeleted", seconds=10)
            return
        except AssertionError:
            continue
    raise AssertionError(f"{stream['href']} has not ended in {SWEEPS} sweeps")


@pytest.fixture(scope="module", autouse=True)
def long_leases(moved_time: MovedTime) -> Iterator[None]:
    """It is no lease that ends these streams, and a Kinesis Video stream is there at once."""
    overshoot, kinesis_video = (moved_time.doors[name] for name in ("overshoot", "kinesis-video"))
    with overshoot.set(lease_seconds=DAY, v02_lease_seconds=DAY), kinesis_video.set(creating_seconds=0):
        yield


# ---- a provider that is away


@dataclass
class End:
    """The answers about one stream whose provider was away when it was deleted."""

    stream: Json
    deleted: httpx.Response
    shown: httpx.Response
    refreshed: httpx.Response
    credentials: httpx.Response
    again: httpx.Response
    same_key: httpx.Response
    kinds: list[str]
    """What had been told of it by then."""
    still: Json = field(default_factory=dict)
    """What a read answered when a sweep had tried in vain."""


@pytest.fixture(scope="module")
def away(moved_time: MovedTime) -> dict[Way, End]:
    """By way; each has ended when its provider is back."""
    api = moved_time.api

    def end(way: Way) -> End:
        stream = ready(moved_time, way, "away")
        ref, href = stream["provider_ref"], stream["href"]
        moved_time.doors[way.provider].fault("status", REMOVALS[way], containing=ref, status=503, times=ALWAYS)
        return End(
            stream,
            deleted=api.delete(href),
            shown=api.read(href),
            refreshed=api.read(href, refresh=True),
            credentials=api.credentials(href),
            again=api.delete(href),
            same_key=api.create(way.provider, f"away {way.name}", way.body(max_lifetime_seconds=DAY)),
            kinds=moved_time.kinds(stream),
        )

    def tried(way: Way) -> int:
        return len(removals(moved_time, way, ends[way].stream))

    ends = side_by_side(end, REMOVALS)
    before = side_by_side(tried, REMOVALS)
    moved_time.later(AGAIN)
    side_by_side(lambda way: eventually(partial(tried, way), lambda now: now > before[way]), REMOVALS)
    for way, one in ends.items():
        one.still = api.read(one.stream["href"]).json()
        moved_time.doors[way.provider].heal()
    # It may still be at it, and then needs no sweep.
    moved_time.later(AGAIN)
    for one in ends.values():
        moved_time.subscriber.await_events(one.stream["id"], "StreamDeleted")
    return ends


@EACH_REMOVED
def test_a_delete_that_its_provider_does_not_answer_is_accepted(way: Way, away: dict[Way, End]) -> None:
    end = away[way]
    assert end.deleted.status_code == 202, end.deleted.text
    for answer in (end.deleted, end.again):
        assert (answer.status_code, answer.json()["state"]) == (202, "ending")
    for answer in (end.shown, end.refreshed):
        assert (answer.status_code, answer.json()["state"], answer.json()["state_reason"]) == (200, "ending", "deleted")


@EACH_REMOVED
def test_what_is_to_end_opens_no_more(way: Way, away: dict[Way, End]) -> None:
    end = away[way]
    assert (end.credentials.status_code, end.credentials.json()["state"]) == (410, "ending")
    assert (end.same_key.status_code, end.same_key.json()["code"]) == (410, "stream-ended")


@EACH_REMOVED
def test_nobody_is_told_of_an_end_before_it_came(way: Way, away: dict[Way, End]) -> None:
    assert not {"StreamDeleted", "StreamExpired", "StreamLost"} & set(away[way].kinds)
    assert (away[way].still["state"], away[way].still["version"]) == ("ending", away[way].shown.json()["version"])


@EACH_REMOVED
def test_it_has_ended_once_its_provider_is_back(way: Way, away: dict[Way, End], moved_time: MovedTime) -> None:
    stream = away[way].stream
    assert stream["provider_ref"] not in moved_time.doors[way.provider].refs()
    kinds = moved_time.kinds(stream)
    assert (kinds[-1], kinds.count("StreamDeleted"), "StreamLost" in kinds) == ("StreamDeleted", 1, False)
    gone = moved_time.api.read(stream["href"])
    assert (gone.status_code, gone.json()["state"], gone.json()["reason"]) == (410, "ended", "deleted")
    assert moved_time.api.delete(stream["href"]).status_code == 204


# ---- a worker that dies


@pytest.fixture(scope="module")
def killed(moved_time: MovedTime) -> dict[Way, tuple[Json, httpx.Response, httpx.Response]]:
    """Streams whose worker died when their provider had removed them, and nothing was written yet; what the delete was
    answered, and a refresh then. A sweep has finished it.
    """

    def killing(way: Way) -> tuple[Json, httpx.Response, httpx.Response]:
        stream = ready(moved_time, way, "killed")
        door, ref = moved_time.doors[way.provider], stream["provider_ref"]
        door.fault("kill", REMOVALS[way], containing=ref, carry_out=True)
        deleted = moved_time.api.delete(stream["href"])
        assert ref not in door.refs()
        return stream, deleted, moved_time.api.read(stream["href"], refresh=True)

    told = side_by_side(killing, REMOVALS)
    for stream, _, _ in told.values():
        swept_until_told(moved_time, stream)
    return told


@EACH_REMOVED
def test_an_end_whose_worker_died_is_finished_by_a_sweep_and_told_once(
    way: Way, killed: dict[Way, tuple[Json, httpx.Response, httpx.Response]], moved_time: MovedTime
) -> None:
    """What was removed because somebody asked is never taken for lost, whoever looks meanwhile."""
    stream, deleted, refreshed = killed[way]
    assert deleted.status_code == 502, "its worker did not die"
    assert (refreshed.status_code, refreshed.json()["state"]) == (200, "ending")
    assert [call["fault"] for call in removals(moved_time, way, stream)][:1] == ["kill"]
    kinds = moved_time.kinds(stream)
    assert (kinds.count("StreamDeleted"), "StreamLost" in kinds) == (1, False)
    gone = moved_time.api.read(stream["href"])
    assert (gone.status_code, gone.json()["state"], gone.json()["reason"]) == (410, "ended", "deleted")


# ---- what remains


def test_cloudflare_s_recordings_remain_and_the_answer_says_so(moved_time: MovedTime) -> None:
    recorded = CLOUDFLARE.asking(recording={"mode": "automatic"})
    stream = moved_time.open(recorded, "recorded")
    deleted = moved_time.api.delete(stream["href"])
    assert (deleted.status_code, deleted.json()["state"]) == (200, "ended")
    assert deleted.json()["remains"].startswith("Recordings of a live input outlive it")
    assert moved_time.api.delete(stream["href"]).status_code == 204


# ---- a month later


@dataclass
class Month:
    """What each call was answered about a stream of each way, days after its end."""

    streams: dict[Way, Json]
    days: dict[int, dict[Way, list[httpx.Response]]]
    """A read, a look at its credentials, a delete, and a create under its key."""


@pytest.fixture(scope="module")
def month(moved_time: MovedTime) -> Month:
    api, clock = moved_time.api, moved_time.clock
    streams = side_by_side(partial(moved_time.open, key="month"), WAYS)
    for stream in streams.values():
        assert api.delete(stream["href"]).is_success
    began = clock.now()

    def asked(way: Way) -> list[httpx.Response]:
        href = streams[way]["href"]
        return [
            api.read(href),
            api.credentials(href),
            api.delete(href),
            api.create(way.provider, f"month {way.name}", way.body()),
        ]

    days = {}
    for day in (0, REMEMBERED - 1, REMEMBERED + 1):
        clock.advance(max(0, day * DAY - (clock.now() - began).total_seconds()))
        days[day] = side_by_side(asked, WAYS)
    for stream in streams.values():
        assert api.delete(stream["href"]).is_success
    return Month(streams, days)


@EACH_WAY
def test_for_thirty_days_it_is_told_when_and_why_it_ended(way: Way, month: Month) -> None:
    for day in (0, REMEMBERED - 1):
        read, credentials, deleted, created = month.days[day][way]
        assert deleted.status_code == 204
        for answer in (read, credentials, created):
            told = answer.json()
            assert (answer.status_code, told["code"], told["reason"]) == (410, "stream-ended", "deleted")
            assert told["ended_at"] == month.days[0][way][0].json()["ended_at"]
    ended_at = datetime.fromisoformat(month.days[0][way][0].json()["ended_at"])
    assert ended_at >= datetime.fromisoformat(month.streams[way]["updated_at"])


@EACH_WAY
def test_then_it_is_forgotten_and_its_key_is_free(way: Way, month: Month) -> None:
    read, credentials, deleted, created = month.days[REMEMBERED + 1][way]
    for answer in (read, credentials, deleted):
        assert (answer.status_code, answer.json()["code"]) == (404, "stream-not-found")
    assert (created.status_code, created.json()["id"]) == (201, month.streams[way]["id"])
    assert created.json()["created_at"] > month.streams[way]["created_at"]
    assert created.json()["provider_ref"] != month.streams[way]["provider_ref"]
