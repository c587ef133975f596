"""What somebody else made at a provider is taken into the record: once, by its owner, and as it is."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from local.cloud import STAGE, Cloud
from tests.stack.bus import Subscriber
from tests.stack.callers import Api
from tests.stack.consoles import CloudflareConsole, keys_in
from tests.stack.doors import Door
from tests.stack.promises import kept
from tests.stack.storage import Storage
from tests.stack.waiting import eventually
from tests.stack.ways import CLOUDFLARE, KINESIS_VIDEO, OVERSHOOT, PYANNOTE, Way, each

if TYPE_CHECKING:
    from mypy_boto3_kinesisvideo import KinesisVideoClient

Json = dict[str, Any]

ADOPTABLE, UNADOPTABLE = (CLOUDFLARE, KINESIS_VIDEO), (OVERSHOOT, PYANNOTE)
EACH, EACH_OTHER = each(ADOPTABLE), each(UNADOPTABLE)
METADATA = {"customer": "42"}
MADE: Json = {
    "meta": {"name": "gate camera", "gate": "north"},
    "recording": {"mode": "automatic", "timeoutSeconds": 10},
    "deleteRecordingAfterDays": 45,
}
TAGS = {"site": "north", "floor": "1"}
SHOWN: dict[Way, Json] = {
    CLOUDFLARE: {
        "meta": {"gate": "north"},
        "recording": {"mode": "automatic", "timeout_seconds": 10},
        "delete_recording_after_days": 45,
    },
    KINESIS_VIDEO: {
        "stream_name": "adopted-0",
        "device_name": "camera-1",
        "media_type": "video/h264",
        "data_retention_in_hours": 24,
        "tags": TAGS,
    },
}
"""What each would have been asked for with; more may be told."""
NOBODY_S = {CLOUDFLARE: "0" * 32, KINESIS_VIDEO: "adopted-by-nobody"}
"""What no provider has anything under."""

type Make = Callable[[Way], str]


@pytest.fixture(scope="module", autouse=True)
def at_once(doors: dict[str, Door]) -> Iterator[None]:
    """Kinesis Video makes and deletes its streams without taking time for it."""
    with doors["kinesis-video"].set(creating_seconds=0, deleting_seconds=0):
        yield


@pytest.fixture(scope="module")
def make(cloudflare: CloudflareConsole, kinesis_video: "KinesisVideoClient") -> Make:
    """Makes something past Headwater; its name there."""
    made: list[str] = []

    def make(way: Way) -> str:
        if way is CLOUDFLARE:
            uid: str = cloudflare.make(**MADE)["uid"]
            return uid
        made.append(f"adopted-{len(made)}")
        return kinesis_video.create_stream(
            StreamName=made[-1], DeviceName="camera-1", MediaType="video/h264", DataRetentionInHours=24, Tags=TAGS
        )["StreamARN"]

    return make


@dataclass
class Story:
    """One resource's, in the order of the calls."""

    ref: str
    adopted: httpx.Response
    credentials: Json
    refreshed: Json
    marks: Json
    again: httpx.Response
    differently: httpx.Response
    marks_then: Json
    timeline: list[Json]
    deleted: httpx.Response
    read_after: httpx.Response
    after: httpx.Response
    """The answer to one more adoption, of what is gone."""

    @property
    def stream(self) -> Json:
        stream: Json = self.adopted.json()
        return stream


def tell(way: Way, api: Api, ref: str, look: Callable[[], Json]) -> Story:
    """``look`` tells what is there in the place of our marks."""
    adopted = api.adopt(way.provider, ref, metadata=METADATA)
    assert adopted.status_code == 201, adopted.text
    href = adopted.json()["href"]
    credentials, refreshed = api.credentials(href).json(), api.read(href, refresh=True).json()
    marks = look()
    again, differently = api.adopt(way.provider, ref, metadata=METADATA), api.adopt(way.provider, ref, name="another")
    marks_then, timeline = look(), api.timeline(href).json()["events"]
    deleted, read_after = api.delete(href), api.read(href)
    after = api.adopt(way.provider, ref)
    return Story(
        ref=ref,
        adopted=adopted,
        credentials=credentials,
        refreshed=refreshed,
        marks=marks,
        again=again,
        differently=differently,
        marks_then=marks_then,
        timeline=timeline,
        deleted=deleted,
        read_after=read_after,
        after=after,
    )


@pytest.fixture(scope="module")
def keys(make: Make, cloudflare: CloudflareConsole) -> tuple[str, set[str]]:
    """A live input, and all that opens it."""
    uid = make(CLOUDFLARE)
    return uid, keys_in(cloudflare.shown(uid))


@pytest.fixture(scope="module")
def stories(
    api: Api, make: Make, keys: tuple[str, set[str]], cloudflare: CloudflareConsole, doors: dict[str, Door]
) -> dict[Way, Story]:
    uid, arn = keys[0], make(KINESIS_VIDEO)
    with ThreadPoolExecutor(2) as pool:
        looks = lambda: cloudflare.shown(uid)["meta"], lambda: doors["kinesis-video"].resource(arn)["Tags"]
        stories = pool.map(lambda way, ref, look: tell(way, api, ref, look), ADOPTABLE, (uid, arn), looks)
        return dict(zip(ADOPTABLE, stories, strict=True))


@pytest.fixture
def story(way: Way, stories: dict[Way, Story]) -> Story:
    return stories[way]


@EACH
def test_it_is_recorded_as_it_is(way: Way, story: Story) -> None:
    stream = story.stream
    assert (stream["provider"], stream["provider_ref"], stream["state"]) == (way.provider, story.ref, "ready")
    assert (stream["version"], stream["metadata"]) == (1, METADATA)
    assert stream["name"] == ("gate camera" if way is CLOUDFLARE else None)
    assert within(SHOWN[way], stream["options"])
    assert story.adopted.headers["etag"] == '"1"'
    assert story.adopted.headers["location"].endswith(stream["href"])


def within(less: Any, more: Any) -> bool:
    """Whether it is there, whatever is there besides."""
    if isinstance(less, dict):
        return isinstance(more, dict) and all(name in more and within(less[name], more[name]) for name in less)
    return bool(less == more)


@EACH
def test_it_stays_until_somebody_ends_it(story: Story) -> None:
    assert story.stream["expires_at"] is None


def test_what_opens_it_is_handed_out(stories: dict[Way, Story], keys: tuple[str, set[str]]) -> None:
    story = stories[CLOUDFLARE]
    assert story.adopted.headers["cache-control"] == "no-store"
    entries = [*story.stream["credentials"]["ingest"], *story.stream["credentials"]["playback"]]
    assert keys[1] <= {value for entry in entries for value in entry.values()}
    assert {way: story.credentials[way] for way in ("ingest", "playback")} == story.stream["credentials"]


@EACH
def test_it_bears_our_marks_beside_what_it_bore(way: Way, story: Story, cloud: Cloud) -> None:
    bore = MADE["meta"] if way is CLOUDFLARE else TAGS
    ours = {name: value for name, value in story.marks.items() if name not in bore}
    assert {name: story.marks[name] for name in bore} == bore
    assert sorted(ours.values()) == sorted([story.stream["id"], f"{STAGE}-{cloud.region}-{cloud.account}"])


@EACH
def test_it_has_not_drifted_from_itself(story: Story) -> None:
    assert story.refreshed["drift"] == []
    assert story.refreshed["version"] == 1


@EACH
def test_it_is_announced_once_as_adopted(story: Story, subscriber: Subscriber, api: Api) -> None:
    [event] = subscriber.await_events(story.stream["id"], "StreamAdopted")
    detail = kept(event)
    shown = {name: value for name, value in story.stream.items() if name != "credentials"}
    assert (detail["data"]["stream"], detail["tenant"], detail["sequence"]) == (shown, api.tenant, 1)
    assert [event["type"] for event in story.timeline] == ["StreamAdopted"]


@EACH
def test_to_adopt_it_again_is_a_replay(story: Story) -> None:
    for answer in (story.again, story.differently):
        assert (answer.status_code, answer.headers["idempotency-replayed"]) == (200, "true"), answer.text
        assert answer.json() == story.stream
    assert story.marks_then == story.marks


@EACH
def test_what_was_adopted_can_be_deleted_like_any_other(
    way: Way, story: Story, doors: dict[str, Door], subscriber: Subscriber
) -> None:
    # What was recorded before may be left.
    assert story.deleted.status_code == (200 if way is CLOUDFLARE else 204), story.deleted.text
    assert story.ref not in doors[way.provider].refs()
    assert (story.read_after.status_code, story.read_after.json()["reason"]) == (410, "deleted")
    assert subscriber.await_events(story.stream["id"], "StreamDeleted")


@EACH
def test_what_is_not_there_cannot_be_adopted(way: Way, story: Story, api: Api) -> None:
    for answer in (story.after, api.adopt(way.provider, NOBODY_S[way])):
        assert (answer.status_code, answer.json()["code"]) == (404, "not-at-provider"), answer.text


@pytest.mark.parametrize("ref", ["../live_inputs", "a" * 33, "é", " "])
def test_what_is_no_id_of_the_provider_s_is_not_asked_for(ref: str, api: Api, doors: dict[str, Door]) -> None:
    calls = len(doors["cloudflare"].calls())
    answer = api.adopt("cloudflare", ref)
    assert (answer.status_code, answer.json()["code"]) == (404, "not-at-provider"), answer.text
    assert len(doors["cloudflare"].calls()) == calls


@EACH
def test_one_of_ours_is_recorded_already(way: Way, api: Api, storage: Storage) -> None:
    stream = api.opened(way, f"adopted-ours-{way.name}")
    before = storage.keys()
    answer = api.adopt(way.provider, stream["provider_ref"])
    assert (answer.status_code, answer.json()["code"]) == (409, "already-recorded"), answer.text
    assert storage.keys() == before
    assert api.read(stream["href"], refresh=True).json() == stream
    assert api.delete(stream["href"]).is_success


def test_what_another_deployment_has_made_is_not_taken_from_it(
    api: Api, cloudflare: CloudflareConsole, storage: Storage
) -> None:
    meta = {"headwater_id": f"str_{'a' * 52}", "headwater_deployment": "another"}
    uid = cloudflare.make(meta=meta)["uid"]
    before = storage.keys()
    answer = api.adopt("cloudflare", uid)
    assert (answer.status_code, answer.json()["code"]) == (409, "already-recorded"), answer.text
    assert storage.keys() == before
    assert cloudflare.shown(uid)["meta"] == meta
    cloudflare.remove(uid)


@EACH_OTHER
def test_where_nothing_can_be_adopted_nobody_is_called(way: Way, api: Api, doors: dict[str, Door]) -> None:
    ref = f"adopted-at-{way.name}"
    answer = api.adopt(way.provider, ref)
    assert (answer.status_code, answer.json()["code"]) == (409, "capability-not-supported"), answer.text
    assert doors[way.provider].about(ref) == []


@EACH
def test_a_wrong_request_is_refused_with_all_its_faults(way: Way, api: Api, doors: dict[str, Door]) -> None:
    calls = len(doors[way.provider].calls())
    body = {"provider_ref": "", "name": 7, "metadata": {"customer": 42}, "options": {}}
    answer = api.call("POST", f"/streams/{way.provider}/adopt", body)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid-request"), answer.text
    places = {"/provider_ref", "/name", "/metadata/customer", "/options"}
    assert {fault["pointer"] for fault in answer.json()["errors"]} == places
    assert len(doors[way.provider].calls()) == calls


def test_a_stream_is_adopted_by_its_name_too_and_named_as_its_owner_likes(
    api: Api, make: Make, doors: dict[str, Door]
) -> None:
    arn = make(KINESIS_VIDEO)
    by_name = api.adopt("kinesis-video", arn.split("/")[-2], name="loading dock")
    assert by_name.status_code == 201, by_name.text
    assert (by_name.json()["provider_ref"], by_name.json()["name"]) == (arn, "loading dock")
    by_arn = api.adopt("kinesis-video", arn)
    assert (by_arn.status_code, by_arn.json()) == (200, by_name.json())
    assert api.delete(by_name.json()["href"]).is_success


def test_what_was_adopted_is_changed_and_rotated_like_any_other(
    api: Api, make: Make, cloudflare: CloudflareConsole
) -> None:
    adopted = api.adopt("cloudflare", make(CLOUDFLARE), name="yard camera").json()
    uid, href = adopted["provider_ref"], adopted["href"]
    assert cloudflare.shown(uid)["meta"]["name"] == "yard camera"
    answer = api.change(href, {"options": {"recording": {"require_signed_urls": True}}})
    assert answer.status_code == 200, answer.text
    assert cloudflare.shown(uid)["recording"]["requireSignedURLs"] is True
    assert cloudflare.shown(uid)["recording"]["timeoutSeconds"] == MADE["recording"]["timeoutSeconds"]
    rotated = api.rotate(href)
    assert rotated.status_code == 200, rotated.text
    assert rotated.json()["ingest"] != adopted["credentials"]["ingest"]
    assert api.read(href, refresh=True).json()["drift"] == []
    assert api.delete(href).is_success


def test_many_who_adopt_it_at_the_same_time_have_one_stream(
    api: Api, make: Make, cloudflare: CloudflareConsole
) -> None:
    uid = make(CLOUDFLARE)
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: api.adopt("cloudflare", uid), range(4)))
    refused = [answer.json()["code"] for answer in answers if answer.is_error]
    assert set(refused) <= {"creation-in-progress"}
    assert [answer.status_code for answer in answers].count(201) == 1
    done = eventually(lambda: api.adopt("cloudflare", uid), lambda answer: answer.status_code == 200).json()
    assert {answer.json()["id"] for answer in answers if answer.is_success} == {done["id"]}
    assert cloudflare.shown(uid)["meta"]["headwater_id"] == done["id"]
    kinds = [event["type"] for event in api.timeline(done["href"]).json()["events"]]
    assert kinds == ["StreamAdopted"]
    assert api.delete(done["href"]).is_success
