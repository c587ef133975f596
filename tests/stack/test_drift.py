"""Streams whose provider has something else than was asked for: seen, named, told once, and mended only if asked."""

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from tests.stack.bus import Subscriber
from tests.stack.callers import Api
from tests.stack.consoles import CloudflareConsole
from tests.stack.doors import Door
from tests.stack.promises import kept
from tests.stack.storage import Storage
from tests.stack.ways import CLOUDFLARE, KINESIS_VIDEO, Way

if TYPE_CHECKING:
    from mypy_boto3_kinesisvideo import KinesisVideoClient

Json = dict[str, Any]

EACH = 50
"""Streams at each of the two providers that tell what a stream is."""
AT_ONCE = 4
LOOKS = 3

ASKED: dict[Way, list[Json]] = {
    CLOUDFLARE: [
        {},
        {"recording": {"mode": "automatic", "timeout_seconds": 10, "allowed_origins": ["b.example.org", "a.org"]}},
        {"recording": {"mode": "automatic", "require_signed_urls": True}, "prefer_low_latency": True},
        {"enabled": False, "delete_recording_after_days": 45, "default_creator": "somebody"},
        {"meta": {"gate": "north", "floors": [1, 2, {"roof": None}]}, "delete_recording_after_days": None},
    ],
    KINESIS_VIDEO: [
        {},
        {"data_retention_in_hours": 24, "media_type": "video/h264,audio/aac"},
        {"device_name": "camera-1", "data_retention_in_hours": 0, "tags": {}},
        {"tags": {f"tag{n:02}": f"value {n}" for n in range(15)}},
        {"stream_storage_configuration": {"default_storage_tier": "WARM"}, "media_type": None},
    ],
}
"""What is asked for in each way, in turn: nothing, and what a provider may tell in other words than it was asked in."""
CHANGES = {
    "cloudflare": ("updateLiveInput", "enableLiveInput", "disableLiveInput", "rotateLiveInputKeys"),
    "kinesis-video": (
        "UpdateStream",
        "UpdateDataRetention",
        "UpdateStreamStorageConfiguration",
        "TagStream",
        "UntagStream",
    ),
}
"""Each provider's operations that change a stream."""


@pytest.fixture(scope="module", autouse=True)
def at_once(doors: dict[str, Door]) -> Iterator[None]:
    """Kinesis Video makes, changes and deletes its streams without taking time for it."""
    with doors["kinesis-video"].set(creating_seconds=0, updating_seconds=0, deleting_seconds=0):
        yield


@dataclass
class Crowd:
    """A hundred streams, and how to do the same with all of them."""

    api: Api
    streams: list[Json]

    def each[T](self, do: Callable[[Json], T]) -> list[T]:
        with ThreadPoolExecutor(AT_ONCE) as pool:
            return list(pool.map(do, self.streams))

    def looked_at(self) -> list[Json]:
        """As each is, its provider having been asked."""
        answers = self.each(lambda stream: self.api.read(stream["href"], refresh=True))
        assert {answer.status_code for answer in answers} == {200}
        return [answer.json() for answer in answers]

    def of(self, way: Way, asked: int) -> list[Json]:
        """Those that were asked for in this way with these options."""
        return [stream for stream in self.streams if stream["name"] == f"{way.name} {asked}"]


@pytest.fixture(scope="module")
def crowd(api: Api) -> Iterator[Crowd]:
    """Half of them at each provider, each provider's in turn with the other's, so that neither waits."""
    wanted = [(way, n) for n in range(EACH) for way in ASKED]

    def opened(one: tuple[Way, int]) -> Json:
        way, n = one
        asked = n % len(ASKED[way])
        return api.opened(way.asking(**ASKED[way][asked]), f"drift-{way.name}-{n}", name=f"{way.name} {asked}")

    with ThreadPoolExecutor(AT_ONCE) as pool:
        crowd = Crowd(api, list(pool.map(opened, wanted)))
    yield crowd
    deleted = crowd.each(lambda stream: api.delete(stream["href"]))
    assert all(answer.is_success for answer in deleted)


def events_of(crowd: Crowd, storage: Storage) -> list[tuple[str, str]]:
    """The keys of all that was ever told about them."""
    ids, items = {f"STREAM#{stream['id']}" for stream in crowd.streams}, storage.keys()
    return sorted((pk, sk) for pk, sk in items if pk in ids and sk.startswith("EVENT#"))


def changes(doors: dict[str, Door]) -> int:
    """How often anybody has changed anything at either provider."""
    return sum(len(doors[name].calls(operation)) for name, operations in CHANGES.items() for operation in operations)


@dataclass
class Drifting:
    """What was done behind our back: to which stream, and what of it is to be told."""

    stream: Json
    fields: list[str]
    there: Callable[[], Any]
    """What it comes to at the provider, to be compared."""
    asked: Any
    """What that was before."""


def test_a_hundred_untouched_streams_looked_at_three_times_have_not_drifted(
    crowd: Crowd, storage: Storage, doors: dict[str, Door]
) -> None:
    assert len(crowd.streams) == 2 * EACH
    before, calls = events_of(crowd, storage), changes(doors)
    for _ in range(LOOKS):
        assert [stream for stream in crowd.looked_at() if stream["drift"]] == []
    assert events_of(crowd, storage) == before
    assert changes(doors) == calls


# ---- three of them are changed


@dataclass
class Aftermath:
    """What came of three changes behind our back."""

    drifting: list[Drifting]
    seen: list[Json]
    seen_again: list[Json]
    told: list[tuple[str, str]]
    """The keys of the events that are new."""
    unasked: int
    """How often somebody changed anything at a provider while it was looked at."""
    there: list[Any]
    """What is at the provider then of each."""


@pytest.fixture(scope="module")
def aftermath(
    crowd: Crowd,
    storage: Storage,
    doors: dict[str, Door],
    cloudflare: CloudflareConsole,
    kinesis_video: "KinesisVideoClient",
) -> Aftermath:
    recorded, marked, tagged = crowd.of(CLOUDFLARE, 1)[0], crowd.of(CLOUDFLARE, 4)[0], crowd.of(KINESIS_VIDEO, 3)[0]

    def live_input(stream: Json, *names: str) -> Callable[[], Any]:
        return lambda: [cloudflare.shown(stream["provider_ref"])[name] for name in names]

    def video_stream() -> Any:
        there = doors["kinesis-video"].resource(tagged["provider_ref"])
        return [there[name] for name in ("DataRetentionInHours", "Tags", "DeviceName")]

    drifting = [
        Drifting(
            recorded,
            ["/options/enabled", "/options/recording/mode", "/options/recording/timeout_seconds"],
            live_input(recorded, "enabled", "recording"),
            live_input(recorded, "enabled", "recording")(),
        ),
        Drifting(marked, ["/options/meta"], live_input(marked, "meta"), live_input(marked, "meta")()),
        Drifting(tagged, ["/options/data_retention_in_hours", "/options/tags"], video_stream, video_stream()),
    ]
    before = events_of(crowd, storage)
    whole = {**drifting[0].asked[1], "mode": "off", "timeoutSeconds": 20}
    cloudflare.change(recorded["provider_ref"], enabled=False, recording=whole)
    cloudflare.change(marked["provider_ref"], meta={**drifting[1].asked[0], "gate": "south"})
    arn = tagged["provider_ref"]
    version = kinesis_video.describe_stream(StreamARN=arn)["StreamInfo"]["Version"]
    kinesis_video.update_data_retention(
        StreamARN=arn, CurrentVersion=version, Operation="INCREASE_DATA_RETENTION", DataRetentionChangeInHours=5
    )
    kinesis_video.tag_stream(StreamARN=arn, Tags={"tag03": "another value"})
    kinesis_video.untag_stream(StreamARN=arn, TagKeyList=["tag07"])
    calls = changes(doors)
    seen, seen_again = crowd.looked_at(), crowd.looked_at()
    told = [key for key in events_of(crowd, storage) if key not in before]
    there = [one.there() for one in drifting]
    return Aftermath(drifting, seen, seen_again, told, changes(doors) - calls, there)


def test_the_three_and_only_the_three_tell_what_is_otherwise(aftermath: Aftermath) -> None:
    drifted = {one.stream["id"]: one.fields for one in aftermath.drifting}
    for look in (aftermath.seen, aftermath.seen_again):
        assert {stream["id"]: stream["drift"] for stream in look if stream["drift"]} == drifted


def test_it_is_told_once_for_each_with_what_is_otherwise(aftermath: Aftermath, subscriber: Subscriber) -> None:
    assert {pk for pk, _ in aftermath.told} == {f"STREAM#{one.stream['id']}" for one in aftermath.drifting}
    assert len(aftermath.told) == len(aftermath.drifting)
    for one in aftermath.drifting:
        [event] = subscriber.await_events(one.stream["id"], "StreamDrifted")
        data = kept(event)["data"]
        assert (data["fields"], data["stream"]["drift"]) == (one.fields, one.fields)
        assert event["detail"]["sequence"] == one.stream["version"] + 1


def test_what_was_found_is_in_no_event(aftermath: Aftermath, subscriber: Subscriber) -> None:
    """The fields tell enough: a value may be somebody's secret."""
    for one in aftermath.drifting:
        [event] = subscriber.await_events(one.stream["id"], "StreamDrifted")
        assert not [word for word in ("south", "another value") if word in json.dumps(event)]


def test_nothing_is_repaired_unasked(aftermath: Aftermath) -> None:
    assert aftermath.unasked == 0
    for one, there in zip(aftermath.drifting, aftermath.there, strict=True):
        assert there != one.asked


@pytest.fixture(scope="module")
def repaired(aftermath: Aftermath, api: Api) -> list[httpx.Response]:
    return [api.repair(one.stream["href"]) for one in aftermath.drifting]


def test_a_repair_brings_it_back_to_what_was_asked_for(
    repaired: list[httpx.Response], aftermath: Aftermath, subscriber: Subscriber
) -> None:
    for answer, one in zip(repaired, aftermath.drifting, strict=True):
        assert answer.status_code == 200, answer.text
        assert one.there() == one.asked
        stream = answer.json()
        assert (stream["drift"], stream["version"]) == ([], one.stream["version"] + 2)
        [event] = subscriber.await_events(one.stream["id"], "StreamUpdated")
        detail = kept(event)
        assert (detail["data"]["changed"], detail["data"]["stream"]) == (one.fields, stream)


def test_after_a_repair_it_has_not_drifted(
    repaired: list[httpx.Response], crowd: Crowd, storage: Storage, doors: dict[str, Door]
) -> None:
    before, calls = events_of(crowd, storage), changes(doors)
    assert [stream for stream in crowd.looked_at() if stream["drift"]] == []
    assert events_of(crowd, storage) == before
    assert changes(doors) == calls


def test_what_has_not_drifted_is_repaired_by_leaving_it_alone(
    repaired: list[httpx.Response], crowd: Crowd, api: Api, doors: dict[str, Door]
) -> None:
    untouched = [crowd.of(way, 0)[0] for way in ASKED]
    calls = changes(doors)
    for stream in untouched:
        answer = api.repair(stream["href"])
        assert (answer.status_code, answer.json()["version"]) == (200, stream["version"])
    assert changes(doors) == calls


def test_what_somebody_put_back_has_not_drifted_any_more_and_that_is_told(
    repaired: list[httpx.Response], crowd: Crowd, api: Api, cloudflare: CloudflareConsole, subscriber: Subscriber
) -> None:
    stream = crowd.of(CLOUDFLARE, 0)[1]
    for enabled, fields in ((False, ["/options/enabled"]), (True, [])):
        cloudflare.change(stream["provider_ref"], enabled=enabled)
        assert api.read(stream["href"], refresh=True).json()["drift"] == fields
    told = subscriber.await_events(stream["id"], "StreamDrifted", 2)
    assert [kept(event)["data"]["fields"] for event in told] == [["/options/enabled"], []]


def test_our_mark_that_somebody_took_off_comes_back_with_a_repair(
    repaired: list[httpx.Response], crowd: Crowd, api: Api, cloudflare: CloudflareConsole
) -> None:
    stream = crowd.of(CLOUDFLARE, 2)[0]
    meta = cloudflare.shown(stream["provider_ref"])["meta"]
    assert meta["headwater_id"] == stream["id"]
    cloudflare.change(stream["provider_ref"], meta={"name": meta["name"]})
    assert api.read(stream["href"], refresh=True).json()["drift"] == ["/options/meta"]
    assert api.repair(stream["href"]).json()["drift"] == []
    assert cloudflare.shown(stream["provider_ref"])["meta"] == meta
