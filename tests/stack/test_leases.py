"""Leases and lifetimes in real time, with leases of a few seconds: held, let go, and over when they are to be.

And, in a deployment whose time is moved: what a sweep does where no beat comes, and leases that their callers hold.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from itertools import pairwise
from typing import Any

import httpx
import pytest

from headwater.records import LOOK_SECONDS
from tests.stack.bus import Subscriber
from tests.stack.callers import Api
from tests.stack.doors import Door
from tests.stack.moved_time import MovedTime, side_by_side
from tests.stack.waiting import eventually
from tests.stack.ways import EACH_LEASED, EACH_WAY, LEASED, PYANNOTE, UNLEASED, WAYS, Way, each

Json = dict[str, Any]

LEASE = 8
LIFETIME = 60
"""Seconds; no caller may ask for less."""
OWN = {"managed": False}
COMMANDS = {"StreamAttentionDue"}
"""What the bus carries besides events."""
SLOW_LEASE = 18
"""Of a stream whose first renewals fail: so that a busy machine can be late, too."""
FAILURES = 3
TOO_MANY: Json = {"status": 429, "headers": {"Retry-After": "60"}}
"""An answer after which a renewal is not repeated at once, but by its next beat."""
HELD_LEASE = 600
"""Where time is moved."""
TURNS = 3
PROMPTLY = timedelta(seconds=20)
"""After its end a stream is gone: the longest delay of a message, an invocation or two, and two busy cores."""


@pytest.fixture(scope="module")
def mortals(api: Api, doors: dict[str, Door], moved_time: MovedTime) -> Iterator[dict[Way, Json]]:
    """Streams of a minute, of short leases where there are leases: what their creates answered.

    The other deployment is there before: these leases would not outlast it on a busy machine.
    """

    def opened(way: Way) -> Json:
        body = way.body(name=way.name, max_lifetime_seconds=LIFETIME)
        answer = api.create(way.provider, f"mortal-{way.name}", body)
        assert answer.status_code == 201, answer.text
        stream: Json = answer.json()
        return stream

    with (
        doors["overshoot"].set(lease_seconds=LEASE, v02_lease_seconds=LEASE),
        ThreadPoolExecutor(len(WAYS)) as pool,
    ):
        yield dict(zip(WAYS, pool.map(opened, WAYS), strict=True))


@dataclass
class Troubled:
    """Streams of each way that has leases, whose renewals fail from the first on."""

    late: dict[Way, Json]
    """As often as a lease allows."""
    unpaid: dict[Way, Json]
    """For good: nobody pays."""


@pytest.fixture(scope="module")
def troubled(api: Api, doors: dict[str, Door], mortals: dict[Way, Json]) -> Troubled:
    """They run into it while the mortals live."""
    door = doors["overshoot"]

    def opened(way: Way, what: str, **fault: Any) -> Json:
        answer = api.create(way.provider, f"{what}-{way.name}", way.body())
        assert answer.status_code == 201, answer.text
        stream: Json = answer.json()
        door.fault("status", "keepStreamAlive", containing=stream["provider_ref"], **fault)
        return stream

    with door.set(lease_seconds=SLOW_LEASE, v02_lease_seconds=SLOW_LEASE):
        late = side_by_side(partial(opened, what="late", times=FAILURES, **TOO_MANY), LEASED)
        unpaid = side_by_side(partial(opened, what="unpaid", status=402), LEASED)
    return Troubled(late, unpaid)


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


@EACH_WAY
def test_a_stream_tells_when_it_will_end(way: Way, mortals: dict[Way, Json]) -> None:
    """Counted from when it was there to be used."""
    stream = mortals[way]
    lasts = datetime.fromisoformat(stream["expires_at"]) - datetime.fromisoformat(stream["updated_at"])
    assert lasts == timedelta(seconds=LIFETIME)
    assert (stream["lease"] or {}).get("ttl_seconds") == (LEASE if way.lease else None)


@EACH_LEASED
@pytest.mark.usefixtures("troubled")
def test_a_leased_stream_outlives_its_lease_several_times(
    way: Way, mortals: dict[Way, Json], overshoot: Door, api: Api
) -> None:
    stream = mortals[way]
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


@EACH_LEASED
def test_the_token_of_the_last_renewal_is_the_one_in_the_credentials(
    way: Way, mortals: dict[Way, Json], overshoot: Door, api: Api
) -> None:
    stream = mortals[way]

    def held_and_told() -> tuple[str, str]:
        held = token_in(api.credentials(stream["href"]).json())
        return held, told_token(renewals(overshoot, stream)[-1])

    eventually(lambda: renewals(overshoot, stream), bool)
    # One may come between the two looks.
    held, _ = eventually(held_and_told, lambda pair: pair[0] == pair[1])
    assert held != token_in(stream["credentials"])


@EACH_LEASED
def test_a_lease_outlasts_three_renewals_that_fail(
    way: Way, troubled: Troubled, overshoot: Door, api: Api, subscriber: Subscriber
) -> None:
    stream = troubled.late[way]
    eventually(lambda: renewals(overshoot, stream), bool)
    calls = [call for call in overshoot.calls("keepStreamAlive") if stream["provider_ref"] in call["path"]]
    assert [call["status"] for call in calls[: FAILURES + 1]] == [429] * FAILURES + [200]
    begun = datetime.fromisoformat(stream["lease"]["renewed_at"]).timestamp() * 1000
    assert calls[FAILURES]["at"] - begun < SLOW_LEASE * 1000
    assert (api.read(stream["href"]).json()["state"], stream["provider_ref"] in overshoot.refs()) == ("ready", True)
    assert {event["detail-type"] for event in subscriber.events(stream["id"])} <= {"StreamCreated", *COMMANDS}
    assert api.delete(stream["href"]).status_code == 204


@EACH_LEASED
def test_a_stream_that_nobody_pays_for_any_more_ends_with_its_reason(
    way: Way, troubled: Troubled, overshoot: Door, api: Api, subscriber: Subscriber
) -> None:
    stream = troubled.unpaid[way]
    [changed] = subscriber.await_events(stream["id"], "StreamStateChanged")
    told = changed["detail"]["data"]
    assert (told["previous_state"], told["stream"]["state"]) == ("ending", "ended")
    assert told["stream"]["state_reason"] == "provider-payment-required"
    assert stream["provider_ref"] not in overshoot.refs()
    gone = api.read(stream["href"])
    assert (gone.status_code, gone.json()["reason"]) == (410, "provider-payment-required")
    assert api.credentials(stream["href"]).status_code == 410
    asked = [call for call in overshoot.calls("keepStreamAlive") if stream["provider_ref"] in call["path"]]
    assert [call["status"] for call in asked] == [402]


@EACH_LEASED
def test_a_caller_whose_renewal_nobody_pays_is_told_so_and_the_stream_ends(way: Way, overshoot: Door, api: Api) -> None:
    stream = api.create(way.provider, f"unpaid-by-its-caller-{way.name}", way.body(lease=OWN)).json()
    overshoot.fault("status", "keepStreamAlive", containing=stream["provider_ref"], status=402)
    refused, gone = api.keep_alive(stream["href"]), api.read(stream["href"])
    assert (refused.status_code, refused.json()["code"]) == (402, "provider-payment-required")
    assert (gone.status_code, gone.json()["reason"]) == (410, "provider-payment-required")
    assert stream["provider_ref"] not in overshoot.refs()


@EACH_LEASED
def test_a_deleted_stream_is_no_longer_renewed(way: Way, mortals: dict[Way, Json], overshoot: Door, api: Api) -> None:
    stream = api.create(way.provider, f"let-go-{way.name}", way.body()).json()
    eventually(lambda: renewals(overshoot, stream), bool)
    assert api.delete(stream["href"]).status_code == 204
    asked = len([call for call in overshoot.calls() if stream["provider_ref"] in call["path"]])
    neighbour = mortals[way]
    before = len(renewals(overshoot, neighbour))
    # As long as a neighbour takes to be renewed three times more, nobody asks the provider about this one.
    eventually(lambda: len(renewals(overshoot, neighbour)), lambda count: count >= before + 3)
    assert len([call for call in overshoot.calls() if stream["provider_ref"] in call["path"]]) == asked


# ---- where time is moved, and so no beat comes


@dataclass
class Turns:
    """Of a stream: what was seen of it at each of the moments when the last third of its lease had begun."""

    stream: Json
    due: list[str] = field(default_factory=list)
    """When it was to be seen to, before each of them."""
    reads: list[Json] = field(default_factory=list)
    """After its renewal."""
    renewals: list[int] = field(default_factory=list)
    """How many there had been."""
    over: httpx.Response | None = None


@dataclass
class Leases:
    """By way: those that we hold, and those that their callers hold."""

    ours: dict[Way, Turns]
    theirs: dict[Way, Turns]


@pytest.fixture(scope="module")
def leases(moved_time: MovedTime) -> Leases:
    """Each outlives its lease by far; then its caller lets go of it, or deletes it."""
    api, door = moved_time.api, moved_time.doors["overshoot"]

    def seen(turns: Turns, count: int) -> None:
        found = eventually(lambda: renewals(door, turns.stream), lambda calls: len(calls) >= count)
        eventually(lambda: told_token(found[-1]) == token_in(api.credentials(turns.stream["href"]).json()), bool)
        turns.renewals.append(len(found))
        turns.reads.append(api.read(turns.stream["href"]).json())

    with door.set(lease_seconds=HELD_LEASE, v02_lease_seconds=HELD_LEASE):
        ours = side_by_side(lambda way: Turns(moved_time.open(way, "ours")), LEASED)
        theirs = side_by_side(lambda way: Turns(moved_time.open(way, "theirs", lease=OWN)), LEASED)
        every = [*ours.values(), *theirs.values()]
        moved_time.heard(turns.stream for turns in every)
        for count in range(1, TURNS + 1):
            for turns in every:
                item = moved_time.storage.item(turns.stream["id"]) or {}
                turns.due.append(item["due_at"]["S"])
            moved_time.later(2 / 3 * HELD_LEASE + 1)
            for turns in theirs.values():
                assert api.keep_alive(turns.stream["href"]).status_code == 200
            for turns in every:
                seen(turns, count)
    for turns in ours.values():
        assert api.delete(turns.stream["href"]).status_code == 204
    moved_time.later(HELD_LEASE + LOOK_SECONDS + 1)
    for turns in theirs.values():
        moved_time.subscriber.await_events(turns.stream["id"], "StreamExpired")
    for turns in every:
        turns.over = api.read(turns.stream["href"])
    return Leases(ours, theirs)


def lease_in(read: Json) -> tuple[datetime, datetime]:
    """When it was last renewed, and when it is over."""
    renewed_at, expires_at = (datetime.fromisoformat(read["lease"][name]) for name in ("renewed_at", "expires_at"))
    return renewed_at, expires_at


@EACH_LEASED
def test_where_no_beat_comes_a_sweep_renews_in_the_lease_s_last_third(way: Way, leases: Leases) -> None:
    turns = leases.ours[way]
    before = [turns.stream, *turns.reads]
    for due, read, then in zip(turns.due, before, before[1:], strict=False):
        renewed_at, expires_at = lease_in(read)
        assert datetime.fromisoformat(due) == renewed_at + timedelta(seconds=HELD_LEASE) * 2 / 3
        assert renewed_at < datetime.fromisoformat(due) <= lease_in(then)[0] < expires_at
    assert turns.renewals == [1, 2, 3]
    assert [(read["state"], read["version"], read["lease"]["managed"]) for read in turns.reads] == [
        ("ready", 1, True)
    ] * TURNS


@EACH_LEASED
def test_a_lease_that_its_caller_holds_is_renewed_by_nobody_else(way: Way, leases: Leases) -> None:
    """Over several leases' time; and it lives as long as its caller keeps it alive."""
    turns = leases.theirs[way]
    assert turns.renewals == [1, 2, 3]
    before = [turns.stream, *turns.reads]
    for due, read, then in zip(turns.due, before, before[1:], strict=False):
        assert read["lease"]["managed"] is False
        renewed_at, expires_at = lease_in(read)
        assert expires_at == renewed_at + timedelta(seconds=HELD_LEASE)
        assert datetime.fromisoformat(due) == expires_at + timedelta(seconds=LOOK_SECONDS)
        assert lease_in(then)[1] > expires_at
    assert {(read["state"], read["version"]) for read in turns.reads} == {("ready", 1)}


@EACH_LEASED
def test_when_its_caller_lets_go_of_it_that_is_its_end(way: Way, leases: Leases, moved_time: MovedTime) -> None:
    turns = leases.theirs[way]
    assert moved_time.kinds(turns.stream) == ["StreamCreated", "StreamExpired"]
    [expired] = moved_time.subscriber.events(turns.stream["id"], "StreamExpired")
    told = expired["detail"]["data"]["stream"]
    assert (told["state"], told["state_reason"]) == ("ended", "lease-expired")
    assert turns.over is not None
    assert (turns.over.status_code, turns.over.json()["reason"]) == (410, "lease-expired")
    assert moved_time.api.credentials(turns.stream["href"]).status_code == 410
    assert moved_time.api.keep_alive(turns.stream["href"]).status_code == 410
    assert moved_time.api.delete(turns.stream["href"]).status_code == 204


@EACH_LEASED
def test_nobody_renews_a_lease_after_the_delete(way: Way, leases: Leases, moved_time: MovedTime) -> None:
    """Though its last third had begun when a sweep looked again."""
    turns = leases.ours[way]
    assert len(renewals(moved_time.doors["overshoot"], turns.stream)) == TURNS
    assert moved_time.kinds(turns.stream) == ["StreamCreated", "StreamDeleted"]
    assert "due_at" not in (moved_time.storage.item(turns.stream["id"]) or {})


@each(UNLEASED)
def test_where_there_are_no_leases_none_can_be_held(way: Way, api: Api, doors: dict[str, Door]) -> None:
    before = len(doors[way.provider].calls())
    for held in (OWN, {"managed": True}):
        refused = api.create(way.provider, f"no-lease-{way.name}", way.body(lease=held))
        assert (refused.status_code, refused.json()["code"]) == (409, "capability-not-supported")
    assert len(doors[way.provider].calls()) == before
    assert api.read(api.href_of(way.provider, f"no-lease-{way.name}")).status_code == 404


# ---- in real time again, when the minute is over


@EACH_WAY
def test_at_the_end_of_its_lifetime_a_stream_is_removed_at_the_provider_and_that_is_told(
    way: Way, mortals: dict[Way, Json], api: Api, doors: dict[str, Door], subscriber: Subscriber
) -> None:
    stream, door = mortals[way], doors[way.provider]
    [expired] = subscriber.await_events(stream["id"], "StreamExpired", seconds=LIFETIME + PROMPTLY.total_seconds())
    ends = datetime.fromisoformat(stream["expires_at"])
    assert ends <= datetime.fromisoformat(expired["detail"]["occurred_at"]) < ends + PROMPTLY
    assert expired["detail"]["data"]["stream"]["state"] == "ended"
    assert subscriber.events(stream["id"], "StreamDeleted") == []
    if way is not PYANNOTE:  # which has no call that ends a stream
        assert stream["provider_ref"] not in door.refs()
    gone = api.read(stream["href"])
    assert (gone.status_code, gone.json()["reason"]) == (410, "expired")
    assert api.credentials(stream["href"]).status_code == 410
