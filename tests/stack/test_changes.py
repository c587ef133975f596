"""Streams that are changed: what is ours everywhere, what is the provider's where it can, and nothing where it cannot.

What each can is read from ``GET /providers``: who adds a verb or an option there is told here what to try.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from headwater.provider import EVERYWHERE, Verb
from tests.stack.bus import Subscriber
from tests.stack.callers import Api
from tests.stack.consoles import CloudflareConsole
from tests.stack.doors import Door
from tests.stack.promises import kept
from tests.stack.waiting import eventually
from tests.stack.ways import (
    CLOUDFLARE,
    EACH_WAY,
    KINESIS_VIDEO,
    OVERSHOOT,
    OVERSHOOT_V02,
    PROVIDERS,
    PYANNOTE,
    WAYS,
    Way,
)

if TYPE_CHECKING:
    from mypy_boto3_kinesisvideo import KinesisVideoClient

Json = dict[str, Any]


@pytest.fixture(scope="module")
def told(api: Api) -> dict[str, Json]:
    """What each provider can do, as it says itself."""
    return {one["provider"]: one for one in api.providers().json()["providers"]}


@pytest.fixture(scope="module", autouse=True)
def at_once(doors: dict[str, Door]) -> Iterator[None]:
    """Kinesis Video makes and changes its streams without taking time for it."""
    with doors["kinesis-video"].set(creating_seconds=0, updating_seconds=0):
        yield


# ---- what is ours: the name, the metadata, the lifetime

METADATA = {"customer": "42", "room": "7"}
PATCH = {"name": "back door", "metadata": {"floor": "2", "room": None}}
PATCHED = {"customer": "42", "floor": "2"}
WRONG = {
    "name": "",
    "metadata": {"customer": 43},
    "max_lifetime_seconds": 59,
    "colour": "red",
    "options": {"colour": "red"},
}


@dataclass
class Story:
    """One stream's, in the order of the calls."""

    before: Json
    changed: httpx.Response
    read: httpx.Response
    """With the provider asked, which must not have lost it."""
    again: httpx.Response
    stale: httpx.Response
    weak: httpx.Response
    wrong: httpx.Response
    no_object: httpx.Response
    called_meanwhile: list[Json]
    """From ``again`` on, until here."""
    matched: httpx.Response
    longer: httpx.Response
    timeline: list[Json]


def tell(way: Way, api: Api, door: Door) -> Story:
    """Change it, change it in vain, change it again."""
    before = api.opened(way, f"changed-{way.name}", name="front door", metadata=METADATA)
    href, ref = before["href"], before["provider_ref"]
    changed = api.change(href, PATCH)
    read = api.read(href, refresh=True)
    calls = len(door.about(ref))
    again = api.change(href, PATCH)
    stale = api.change(href, {"name": "stale"}, if_match=f'"{before["version"]}"')
    weak = api.change(href, {"name": "weak"}, if_match=f"W/{changed.headers['etag']}")
    wrong = api.change(href, WRONG)
    no_object = api.change(href, "[]")
    called = door.about(ref)[calls:]
    matched = api.change(href, {"name": None}, if_match=f'"7000", {changed.headers["etag"]}')
    longer = api.change(href, {"max_lifetime_seconds": 7200}, if_match="*")
    timeline = api.timeline(href).json()["events"]
    return Story(before, changed, read, again, stale, weak, wrong, no_object, called, matched, longer, timeline)


@pytest.fixture(scope="module")
def stories(api: Api, doors: dict[str, Door]) -> Iterator[dict[Way, Story]]:
    with ThreadPoolExecutor(len(WAYS)) as pool:
        found = pool.map(lambda way: tell(way, api, doors[way.provider]), WAYS)
        stories = dict(zip(WAYS, found, strict=True))
    yield stories
    for story in stories.values():
        assert api.delete(story.before["href"]).is_success


def but_for_its_lease(stream: Json) -> Json:
    """Which may have been renewed in between."""
    return {**stream, "lease": None}


@pytest.fixture
def story(way: Way, stories: dict[Way, Story]) -> Story:
    return stories[way]


@EACH_WAY
def test_the_name_and_the_metadata_change_at_every_provider(story: Story) -> None:
    assert story.changed.status_code == 200, story.changed.text
    stream, version = story.changed.json(), story.before["version"] + 1
    assert (stream["name"], stream["metadata"]) == ("back door", PATCHED)
    assert (stream["version"], story.changed.headers["etag"]) == (version, f'"{version}"')
    assert but_for_its_lease(story.read.json()) == but_for_its_lease(stream)


@EACH_WAY
def test_a_change_is_announced_with_what_changed(way: Way, story: Story, subscriber: Subscriber) -> None:
    event = subscriber.await_events(story.before["id"], "StreamUpdated", 3)[0]
    detail = kept(event)
    assert detail["data"]["changed"] == ["/metadata/floor", "/metadata/room", "/name"]
    assert (detail["data"]["stream"], detail["sequence"]) == (story.changed.json(), story.before["version"] + 1)


@EACH_WAY
def test_what_changes_nothing_is_answered_with_the_stream_as_it_is(story: Story) -> None:
    assert (story.again.status_code, story.again.json()) == (200, story.changed.json())


@EACH_WAY
def test_a_change_of_another_version_is_refused(story: Story) -> None:
    for answer in (story.stale, story.weak):
        assert (answer.status_code, answer.json()["code"]) == (412, "precondition-failed")


@EACH_WAY
def test_a_wrong_change_is_refused_with_all_its_faults(story: Story) -> None:
    problem = story.wrong.json()
    assert (story.wrong.status_code, problem["code"]) == (422, "invalid-request")
    places = {"/name", "/metadata/customer", "/max_lifetime_seconds", "/colour", "/options/colour"}
    assert {fault["pointer"] for fault in problem["errors"]} == places
    assert (story.no_object.status_code, story.no_object.json()["code"]) == (400, "malformed-body")


@EACH_WAY
def test_nobody_is_called_for_what_changes_nothing(story: Story) -> None:
    assert story.called_meanwhile == []


@EACH_WAY
def test_a_change_of_this_version_is_made_and_null_takes_away(story: Story) -> None:
    assert (story.matched.status_code, story.matched.json()["name"]) == (200, None)


@EACH_WAY
def test_a_lifetime_is_counted_from_when_the_stream_was_there(story: Story) -> None:
    assert story.longer.status_code == 200, story.longer.text
    ends = datetime.fromisoformat(story.longer.json()["expires_at"])
    there = datetime.fromisoformat(story.timeline[0]["occurred_at"])
    assert ends - there == timedelta(seconds=7200)


@EACH_WAY
def test_each_change_is_told_once_and_nothing_else(story: Story) -> None:
    ready = ["StreamStateChanged"] if story.before["version"] == 2 else []
    kinds = [event["type"] for event in story.timeline]
    assert kinds == ["StreamCreated", *ready, *["StreamUpdated"] * 3]
    assert [event["sequence"] for event in story.timeline] == list(range(1, len(kinds) + 1))


def test_the_name_is_the_provider_s_too_where_it_keeps_one(stories: dict[Way, Story], doors: dict[str, Door]) -> None:
    updates = doors["cloudflare"].calls("updateLiveInput")
    ours = [call for call in updates if stories[CLOUDFLARE].before["provider_ref"] in call["path"]]
    assert [call["body"]["meta"].get("name") for call in ours] == ["back door", None]


def test_changes_at_the_same_time_all_take_effect(api: Api) -> None:
    before = api.opened(PYANNOTE, "changed by two")
    with ThreadPoolExecutor(2) as pool:
        patches = ({"metadata": {one: one}} for one in "ab")
        answers = list(pool.map(lambda patch: api.change(before["href"], patch), patches))
    assert [answer.status_code for answer in answers] == [200, 200]
    after = api.read(before["href"]).json()
    assert (after["metadata"], after["version"]) == ({"a": "a", "b": "b"}, before["version"] + 2)


# ---- what a provider cannot do


TRIED: dict[Verb, list[Callable[[Api, Json], httpx.Response]]] = {
    Verb.KEEPALIVE: [lambda api, stream: api.keep_alive(stream["href"])],
    Verb.ROTATE: [lambda api, stream: api.rotate(stream["href"])],
    Verb.REPAIR: [lambda api, stream: api.repair(stream["href"])],
    Verb.ADOPT: [lambda api, stream: api.adopt(stream["provider"], stream["provider_ref"])],
    Verb.SIMULCAST: [
        lambda api, stream: api.outputs(stream["href"]),
        lambda api, stream: api.add_output(stream["href"], "rtmp://live.example.org/app", "a-key"),
        lambda api, stream: api.switch_output(stream["href"], "none-such", False),
        lambda api, stream: api.remove_output(stream["href"], "none-such"),
    ],
}
"""The calls that need a verb which not every provider has."""


@pytest.fixture(scope="module")
def tried(api: Api) -> Iterator[dict[str, Json]]:
    """A stream at each provider to try things on."""
    ways = {way.provider: way for way in WAYS if way is not OVERSHOOT_V02}
    with ThreadPoolExecutor(len(ways)) as pool:
        found = pool.map(lambda way: api.opened(way, f"tried-{way.name}"), ways.values())
        streams = dict(zip(ways, found, strict=True))
    yield streams
    for stream in streams.values():
        assert api.delete(stream["href"]).is_success


def test_every_verb_is_tried() -> None:
    assert TRIED.keys() == set(Verb) - EVERYWHERE


@pytest.mark.parametrize("verb", TRIED)
@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_provider_can_what_it_says_and_for_the_rest_nobody_is_called(
    provider: str, verb: Verb, tried: dict[str, Json], told: dict[str, Json], api: Api, doors: dict[str, Door]
) -> None:
    stream, door = tried[provider], doors[provider]
    before = door.about(stream["provider_ref"])
    for attempt in TRIED[verb]:
        answer = attempt(api, stream)
        code = answer.json()["code"] if answer.is_error else ""
        if verb in told[provider]["verbs"]:
            assert code != "capability-not-supported", answer.text
        else:
            assert (answer.status_code, code) == (409, "capability-not-supported"), answer.text
            assert door.about(stream["provider_ref"]) == before


# ---- what of its request a provider cannot change


def one_by_one(**options: Any) -> dict[str, Json]:
    return {name: {name: value} for name, value in options.items()}


OTHERWISE: dict[Way, dict[str, Json]] = {
    CLOUDFLARE.asking(recording={"mode": "automatic"}): one_by_one(
        default_creator="somebody",
        delete_recording_after_days=40,
        enabled=False,
        meta={"gate": "north"},
        recording={"require_signed_urls": True},
        prefer_low_latency=True,
    ),
    KINESIS_VIDEO: one_by_one(
        stream_name="another-name",
        device_name="another-device",
        media_type="video/h265",
        kms_key_id="alias/another",
        data_retention_in_hours=3,
        tags={"gate": "north"},
        stream_storage_configuration={"default_storage_tier": "WARM"},
    ),
    # What the one version is asked, the other is not: only all of it together is a request.
    OVERSHOOT: {
        "api_version": OVERSHOOT_V02.options,
        "source": {"source": {"type": "hls", "url": "https://camera.example.org/main.m3u8"}},
    },
    OVERSHOOT_V02: {
        "api_version": {"api_version": "v1beta", "processing": None, "inference": None},
        **one_by_one(
            processing={"interval_seconds": 5},
            inference={"model": "another-model"},
            source={"type": "native"},
            webrtc={"type": "offer", "sdp": "v=0"},
            mode="frame",
            client={"request_id": "another"},
        ),
    },
    PYANNOTE: {},
}
"""For each option of a way's requests a patch of them that makes it otherwise than it is at first."""
CHANGES = [(way, option) for way, patches in OTHERWISE.items() for option in patches]


def places(value: Any, at: str) -> Iterator[str]:
    """The pointers of what is given."""
    if isinstance(value, dict):
        for name, member in value.items():
            yield from places(member, f"{at}/{name}")
    elif value is not None:
        yield at


def options_of(way: Way, told: dict[str, Json]) -> set[str]:
    """The names of a way's options, by the provider's own schema."""
    schema = told[way.provider]["options"]
    kinds = [schema["$defs"][one["$ref"].rpartition("/")[-1]] for one in schema.get("oneOf", [])] or [schema]
    version = way.options.get("api_version", "v1beta")
    mine = [one for one in kinds if one["properties"].get("api_version", {}).get("const", version) == version]
    return {name for one in mine for name in one["properties"]}


@pytest.mark.parametrize("way", OTHERWISE, ids=lambda way: way.name)
def test_every_option_is_tried(way: Way, told: dict[str, Json]) -> None:
    assert OTHERWISE[way].keys() == options_of(way, told)


@pytest.fixture(scope="module")
def optioned(api: Api) -> Iterator[dict[Way, Json]]:
    """A stream of each way to change the options of."""
    with ThreadPoolExecutor(len(OTHERWISE)) as pool:
        found = pool.map(lambda way: api.opened(way, f"optioned-{way.name}"), OTHERWISE)
        streams = dict(zip(OTHERWISE, found, strict=True))
    yield streams
    for stream in streams.values():
        assert api.delete(stream["href"]).is_success


@pytest.mark.parametrize(("way", "option"), CHANGES, ids=[f"{way.name}-{option}" for way, option in CHANGES])
def test_an_option_is_changed_as_the_provider_says_or_nobody_is_called(
    way: Way, option: str, optioned: dict[Way, Json], told: dict[str, Json], api: Api, doors: dict[str, Door]
) -> None:
    before, door, patch = api.read(optioned[way]["href"]).json(), doors[way.provider], OTHERWISE[way][option]
    changeable = told[way.provider]["changeable"]
    wanted = set(places(patch, "/options"))
    unable = {at for at in wanted if not any(f"{at}/".startswith(f"{one}/") for one in changeable)}
    calls = len(door.about(before["provider_ref"]))
    answer = api.change(before["href"], {"options": patch})
    if unable:
        problem = answer.json()
        assert (answer.status_code, problem["code"]) == (409, "capability-not-supported"), answer.text
        assert {fault["pointer"] for fault in problem["errors"]} >= unable
        assert door.about(before["provider_ref"])[calls:] == []
        assert but_for_its_lease(api.read(before["href"]).json()) == but_for_its_lease(before)
    else:
        assert answer.status_code == 200, answer.text
        assert answer.json()["version"] == before["version"] + 1
        assert door.about(before["provider_ref"])[calls:] != []


@EACH_WAY
def test_who_holds_the_lease_is_settled_for_good(
    way: Way, stories: dict[Way, Story], api: Api, doors: dict[str, Door]
) -> None:
    stream, door = stories[way].before, doors[way.provider]
    calls = len(door.about(stream["provider_ref"]))
    answer = api.change(stream["href"], {"lease": {"managed": False}})
    assert (answer.status_code, answer.json()["code"]) == (409, "capability-not-supported"), answer.text
    assert door.about(stream["provider_ref"])[calls:] == []


# ---- what comes of it at the provider

RECORDED = CLOUDFLARE.asking(
    recording={"mode": "automatic", "timeout_seconds": 10, "allowed_origins": ["a.example.org"]},
    delete_recording_after_days=30,
)


@pytest.fixture(scope="module")
def recorded(api: Api) -> Iterator[Json]:
    stream = api.opened(RECORDED, "changed-recorded")
    yield stream
    assert api.delete(stream["href"]).is_success


def changed(api: Api, stream: Json, options: Json) -> Json:
    """The stream with these options changed."""
    answer = api.change(stream["href"], {"options": options})
    assert answer.status_code == 200, answer.text
    after: Json = answer.json()
    return after


def test_a_recording_is_sent_whole(
    recorded: Json, api: Api, cloudflare: CloudflareConsole, doors: dict[str, Door]
) -> None:
    """What is not sent might be reset: that is not documented."""
    after = changed(api, recorded, {"recording": {"require_signed_urls": True}})
    whole = {
        "mode": "automatic",
        "timeoutSeconds": 10,
        "allowedOrigins": ["a.example.org"],
        "requireSignedURLs": True,
        "hideLiveViewerCount": False,
    }
    sent = doors["cloudflare"].calls("updateLiveInput")[-1]["body"]
    assert sent == {"recording": whole}
    assert cloudflare.shown(recorded["provider_ref"])["recording"] == whole
    assert after["options"]["recording"] == {**RECORDED.options["recording"], "require_signed_urls": True}


def test_a_live_input_is_read_before_it_is_changed(recorded: Json, api: Api, doors: dict[str, Door]) -> None:
    calls = len(doors["cloudflare"].about(recorded["provider_ref"]))
    changed(api, recorded, {"recording": {"timeout_seconds": 20}})
    made = doors["cloudflare"].about(recorded["provider_ref"])[calls:]
    assert [call["operation"] for call in made] == ["getLiveInput", "updateLiveInput"]


def test_a_live_input_is_switched_off_and_on_again(recorded: Json, api: Api, cloudflare: CloudflareConsole) -> None:
    changed(api, recorded, {"enabled": False})
    assert cloudflare.shown(recorded["provider_ref"])["enabled"] is False
    after = changed(api, recorded, {"enabled": None})
    assert cloudflare.shown(recorded["provider_ref"])["enabled"] is True
    assert "enabled" not in after["options"]


def test_recordings_are_to_be_deleted_later_or_never(recorded: Json, api: Api, cloudflare: CloudflareConsole) -> None:
    for days in (45, None):
        changed(api, recorded, {"delete_recording_after_days": days})
        assert cloudflare.shown(recorded["provider_ref"])["deleteRecordingAfterDays"] == days


def test_the_provider_s_own_metadata_keeps_our_marks(recorded: Json, api: Api, cloudflare: CloudflareConsole) -> None:
    before = cloudflare.shown(recorded["provider_ref"])["meta"]
    changed(api, recorded, {"meta": {"gate": "north"}})
    assert cloudflare.shown(recorded["provider_ref"])["meta"] == {**before, "gate": "north"}
    assert before["headwater_id"] == recorded["id"]


def test_what_was_changed_has_not_drifted(recorded: Json, api: Api) -> None:
    assert api.read(recorded["href"], refresh=True).json()["drift"] == []


TAGGED = KINESIS_VIDEO.asking(data_retention_in_hours=24, tags={"site": "north", "floor": "1"})


@pytest.fixture(scope="module")
def door(doors: dict[str, Door]) -> Door:
    """Kinesis Video's."""
    return doors["kinesis-video"]


@pytest.fixture(scope="module")
def tagged(api: Api) -> Iterator[Json]:
    stream = api.opened(TAGGED, "changed-tagged")
    yield stream
    assert api.delete(stream["href"]).is_success


def test_device_and_media_type_change_at_once(tagged: Json, api: Api, door: Door) -> None:
    changed(api, tagged, {"device_name": "camera-2", "media_type": "video/h264,audio/aac"})
    there = door.resource(tagged["provider_ref"])
    assert (there["DeviceName"], there["MediaType"]) == ("camera-2", "video/h264,audio/aac")


def test_what_cannot_be_taken_away_again_is_refused_before_anybody_is_called(
    tagged: Json, api: Api, door: Door
) -> None:
    calls = len(door.about(tagged["provider_ref"]))
    answer = api.change(tagged["href"], {"options": {"device_name": None, "media_type": None}})
    assert (answer.status_code, answer.json()["code"]) == (409, "capability-not-supported"), answer.text
    assert door.about(tagged["provider_ref"])[calls:] == []


@pytest.mark.parametrize("hours", [48, 6, 0, 24])
def test_retention_is_given_as_a_value_up_and_down(hours: int, tagged: Json, api: Api, door: Door) -> None:
    changed(api, tagged, {"data_retention_in_hours": hours})
    assert door.resource(tagged["provider_ref"])["DataRetentionInHours"] == hours


def test_a_change_of_retention_whose_answer_is_lost_is_not_made_twice(tagged: Json, api: Api, door: Door) -> None:
    before, calls = door.resource(tagged["provider_ref"]), len(retentions(door, tagged))
    wanted = before["DataRetentionInHours"] + 7
    door.fault("lose_answer", "UpdateDataRetention", containing=tagged["provider_ref"])
    answer = eventually(
        lambda: api.change(tagged["href"], {"options": {"data_retention_in_hours": wanted}}),
        lambda answer: answer.status_code == 200,
    )
    assert answer.json()["options"]["data_retention_in_hours"] == wanted
    assert door.faults() == []
    assert door.resource(tagged["provider_ref"])["DataRetentionInHours"] == wanted
    made = [call for call in retentions(door, tagged)[calls:] if call["status"] in {None, 200}]
    assert sum(call["body"]["DataRetentionChangeInHours"] for call in made) == 7


def retentions(door: Door, stream: Json) -> list[Json]:
    return [call for call in door.about(stream["provider_ref"]) if call["operation"] == "UpdateDataRetention"]


def test_a_change_that_meets_another_s_is_made_on_top_of_it(tagged: Json, api: Api, door: Door) -> None:
    door.act("raise_exception", exception="VersionMismatchException", operation="UpdateStream")
    changed(api, tagged, {"device_name": "camera-3"})
    assert door.faults() == []
    assert door.resource(tagged["provider_ref"])["DeviceName"] == "camera-3"


def test_tags_come_go_and_change_and_our_marks_stay(tagged: Json, api: Api, door: Door) -> None:
    after = changed(api, tagged, {"tags": {"floor": None, "site": "south", "gate": "2"}})
    tags = door.resource(tagged["provider_ref"])["Tags"]
    assert {name: value for name, value in tags.items() if not name.startswith("headwater:")} == {
        "site": "south",
        "gate": "2",
    }
    assert after["options"]["tags"] == {"site": "south", "gate": "2"}
    assert tags["headwater:stream-id"] == tagged["id"]
    assert tags["headwater:deployment"]


def test_the_storage_tier_changes(tagged: Json, api: Api, door: Door) -> None:
    changed(api, tagged, {"stream_storage_configuration": {"default_storage_tier": "WARM"}})
    assert door.resource(tagged["provider_ref"])["DefaultStorageTier"] == "WARM"


def test_many_changes_at_once_wait_for_each_other(tagged: Json, api: Api, door: Door) -> None:
    """Each leaves the stream UPDATING for a while, with another version."""
    with door.set(updating_seconds=0.5):
        changed(api, tagged, {"device_name": "camera-4", "data_retention_in_hours": 12, "tags": {"gate": "3"}})
    there = door.resource(tagged["provider_ref"])
    assert (there["DeviceName"], there["DataRetentionInHours"], there["Tags"]["gate"]) == ("camera-4", 12, "3")
    eventually(
        lambda: api.read(tagged["href"], refresh=True).json(),
        lambda stream: (stream["provider_status"], stream["drift"]) == ("ACTIVE", []),
    )


def test_a_prompt_changes_while_the_stream_runs(api: Api, doors: dict[str, Door]) -> None:
    stream = api.opened(OVERSHOOT_V02, "changed-prompt")
    after = changed(api, stream, {"inference": {"prompt": "Who is there?"}})
    sent = [call for call in doors["overshoot"].calls("changePrompt") if stream["provider_ref"] in call["path"]]
    assert [(call["body"], call["status"]) for call in sent] == [({"prompt": "Who is there?"}, 200)]
    assert after["options"]["inference"] == {**OVERSHOOT_V02.options["inference"], "prompt": "Who is there?"}
    assert api.delete(stream["href"]).is_success


# ---- a stream that is gone


@pytest.mark.parametrize("way", [CLOUDFLARE, KINESIS_VIDEO], ids=lambda way: way.name)
def test_a_stream_that_is_gone_at_its_provider_is_lost_and_that_is_told_once(
    way: Way,
    api: Api,
    door: Door,
    cloudflare: CloudflareConsole,
    kinesis_video: "KinesisVideoClient",
    subscriber: Subscriber,
) -> None:
    stream = api.opened(way, f"changed-gone-{way.name}")
    if way is CLOUDFLARE:
        options: Json = {"enabled": False}
        cloudflare.remove(stream["provider_ref"])
    else:
        options = {"data_retention_in_hours": 1}
        with door.set(deleting_seconds=0):
            kinesis_video.delete_stream(StreamARN=stream["provider_ref"])
    for _ in range(2):
        answer = api.change(stream["href"], {"options": options})
        assert (answer.status_code, answer.json()["code"]) == (410, "stream-ended"), answer.text
    [lost] = subscriber.await_events(stream["id"], "StreamLost")
    assert kept(lost)["data"]["stream"]["state"] == "lost"
    kinds = [event["type"] for event in api.timeline(stream["href"]).json()["events"]]
    assert kinds.count("StreamLost") == 1
    assert "StreamUpdated" not in kinds
