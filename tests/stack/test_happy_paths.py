"""A stream's whole life at each provider: what its caller, its provider and a subscriber on the bus see of it."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from jsonschema import Draft202012Validator

from tests.stack.bus import Subscriber
from tests.stack.callers import Api
from tests.stack.doors import Door
from tests.stack.promises import kept
from tests.stack.waiting import eventually
from tests.stack.ways import CLOUDFLARE, KINESIS_VIDEO, OVERSHOOT, OVERSHOOT_V02, PYANNOTE, Known, secretive

Json = dict[str, Any]

METADATA = {"customer": "42"}


@dataclass(frozen=True)
class Variant(Known):
    """One way to ask for a stream, and what there is to know of such streams."""

    masked: str = ""
    """Which field of its source is shown as ``***``."""
    secrets: frozenset[str] = frozenset()
    """Which fields of the credentials are secret."""
    remains: bool = False
    """Whether something is left at the provider when the stream is over."""

    @property
    def body(self) -> Json:
        return self.way.body(name=self.name, metadata=METADATA)

    @property
    def shown(self) -> Json:
        """The options as they are shown."""
        options = self.way.options
        return {**options, "source": {**options["source"], self.masked: "***"}} if self.masked else options


RECORDED = {"recording": {"mode": "automatic", "timeout_seconds": 10}, "prefer_low_latency": True}
NATIVE = OVERSHOOT_V02.asking("overshoot-v0.2-native", source={"type": "native"})
CAMERA, OFFER, ROOM = secretive("caller")
VARIANTS = [
    Variant(CLOUDFLARE.asking(**RECORDED), secrets=frozenset({"stream_key", "passphrase", "url"}), remains=True),
    Variant(KINESIS_VIDEO.asking(data_retention_in_hours=24, tags={"site": "north"})),
    Variant(OVERSHOOT, secrets=frozenset({"token"})),
    Variant(CAMERA, masked="url"),
    Variant(NATIVE, secrets=frozenset({"token"})),
    Variant(OFFER, masked="sdp", secrets=frozenset({"sdp_answer", "turn_servers"})),
    Variant(ROOM, masked="token"),
    Variant(PYANNOTE, secrets=frozenset({"url"}), remains=True),
]
EACH = pytest.mark.parametrize("variant", VARIANTS, ids=lambda variant: variant.name)
LEASED = pytest.mark.parametrize("variant", [v for v in VARIANTS if v.leased], ids=lambda variant: variant.name)
UNLEASED = pytest.mark.parametrize("variant", [v for v in VARIANTS if not v.leased], ids=lambda variant: variant.name)


@dataclass
class Life:
    """The answers of one stream's life, in the order of the calls, and its events."""

    created: httpx.Response
    replayed: httpx.Response
    read: httpx.Response
    refreshed: httpx.Response
    credentials: httpx.Response
    kept_alive: httpx.Response
    called_by_keepalive: list[Json]
    credentials_then: httpx.Response
    deleted: httpx.Response
    deleted_again: httpx.Response
    read_after: httpx.Response
    credentials_after: httpx.Response
    timeline: list[Json]
    events: list[Json]

    @property
    def stream(self) -> Json:
        return body_of(self.created)

    def told(self, kind: str) -> list[Json]:
        return [event for event in self.events if event["detail-type"] == kind]


def body_of(answer: httpx.Response) -> Json:
    body: Json = answer.json()
    return body


def live(variant: Variant, api: Api, door: Door, subscriber: Subscriber) -> Life:
    """Create, look, renew, delete, look again."""
    created = api.create(variant.provider, f"happy-{variant.name}", variant.body)
    assert created.status_code == 201, created.text
    stream_id, href = created.json()["id"], created.json()["href"]
    replayed = api.create(variant.provider, f"happy-{variant.name}", variant.body)
    read = api.read(href)
    refreshed = eventually(
        lambda: api.read(href, refresh=True), lambda answer: answer.json().get("state") != "provisioning"
    )
    credentials = api.credentials(href)
    calls = len(door.calls())
    kept_alive = api.keep_alive(href)
    # At a door where several lives call at a time, only the calls about this stream are its own.
    about = [
        call for call in door.calls()[calls:] if not variant.leased or created.json()["provider_ref"] in call["path"]
    ]
    credentials_then = api.credentials(href)
    subscriber.await_events(stream_id, "StreamCreated")
    deleted, deleted_again = api.delete(href), api.delete(href)
    subscriber.await_events(stream_id, "StreamDeleted")
    return Life(
        created=created,
        replayed=replayed,
        read=read,
        refreshed=refreshed,
        credentials=credentials,
        kept_alive=kept_alive,
        called_by_keepalive=about,
        credentials_then=credentials_then,
        deleted=deleted,
        deleted_again=deleted_again,
        read_after=api.read(href),
        credentials_after=api.credentials(href),
        timeline=body_of(api.timeline(href))["events"],
        events=subscriber.events(stream_id),
    )


type Lives = dict[str, Life]


@pytest.fixture(scope="module")
def creates_before(doors: dict[str, Door]) -> dict[str, int]:
    return {name: len(door.creates()) for name, door in doors.items()}


@pytest.fixture(scope="module")
def lives(api: Api, doors: dict[str, Door], subscriber: Subscriber, creates_before: dict[str, int]) -> Iterator[Lives]:
    """All of them side by side."""
    with ThreadPoolExecutor(len(VARIANTS)) as pool:
        begun = {v.name: pool.submit(live, v, api, doors[v.provider], subscriber) for v in VARIANTS}
        yield {name: life.result() for name, life in begun.items()}


# ---- create ----


@EACH
def test_a_create_answers_201_with_the_stream_its_address_and_its_tag(variant: Variant, lives: Lives) -> None:
    created, stream = lives[variant.name].created, lives[variant.name].stream
    assert created.headers["location"].startswith("https://")
    assert created.headers["location"].endswith(f"/v1{stream['href']}")
    assert stream["href"] == f"/streams/{variant.provider}/{stream['id']}"
    assert (created.headers["etag"], stream["version"]) == ('"1"', 1)
    assert created.headers["cache-control"] == "no-store"
    assert (stream["provider"], stream["name"], stream["metadata"]) == (variant.provider, variant.name, METADATA)
    assert stream["state"] == ("provisioning" if variant.provider == "kinesis-video" else "ready")
    assert stream["provider_ref"]


@EACH
def test_the_id_is_what_caller_provider_and_key_make_it(variant: Variant, lives: Lives, api: Api) -> None:
    assert lives[variant.name].stream["id"] == api.id_of(variant.provider, f"happy-{variant.name}")


@EACH
def test_a_create_hands_out_the_credentials(variant: Variant, lives: Lives) -> None:
    credentials = lives[variant.name].stream["credentials"]
    entries = [*credentials["ingest"], *credentials["playback"]]
    for name in variant.secrets:
        held = [entry[name] for entry in entries if entry.get(name)]
        assert any("canary-" in json.dumps(value) for value in held), name


@EACH
def test_options_are_shown_as_they_were_given_but_for_the_secrets(variant: Variant, lives: Lives) -> None:
    assert body_of(lives[variant.name].read)["options"] == variant.shown


# ---- the same key again ----


@EACH
def test_the_same_key_gives_the_same_stream_with_the_same_credentials(variant: Variant, lives: Lives) -> None:
    life = lives[variant.name]
    assert (life.created.headers.get("idempotency-replayed"), life.replayed.status_code) == (None, 200)
    assert life.replayed.headers["idempotency-replayed"] == "true"
    assert life.replayed.headers["location"] == life.created.headers["location"]
    assert body_of(life.replayed) == life.stream


def test_each_provider_was_asked_once_for_each_stream(
    lives: Lives, doors: dict[str, Door], creates_before: dict[str, int]
) -> None:
    for name, door in doors.items():
        expected = sum(variant.provider == name for variant in VARIANTS)
        assert len(door.creates()) - creates_before[name] == expected, name
    refs = {life.stream["provider_ref"] for life in lives.values()}
    assert len(refs) == len(VARIANTS)


# ---- read ----


@EACH
def test_a_read_shows_the_stream_without_its_credentials(variant: Variant, lives: Lives) -> None:
    life = lives[variant.name]
    stream = {name: value for name, value in life.stream.items() if name != "credentials"}
    assert (life.read.status_code, life.read.headers["etag"]) == (200, '"1"')
    assert body_of(life.read) == stream


@EACH
def test_a_refresh_asks_the_provider(variant: Variant, lives: Lives) -> None:
    assert (lives[variant.name].refreshed.status_code, body_of(lives[variant.name].refreshed)["state"]) == (
        200,
        "ready",
    )


def test_a_stream_that_takes_time_to_make_becomes_ready_with_its_endpoints_and_that_is_told(lives: Lives) -> None:
    life = lives["kinesis-video"]
    ready, [told] = body_of(life.refreshed), life.told("StreamStateChanged")
    assert (ready["version"], ready["provider_status"]) == (2, "ACTIVE")
    for way in ("ingest", "playback"):
        assert [(entry["protocol"], bool(entry["url"])) for entry in ready[way]] == [("kinesis-video", True)]
    data = told["detail"]["data"]
    assert (data["previous_state"], data["stream"]["state"]) == ("provisioning", "ready")
    assert data["stream"]["ingest"] == ready["ingest"]


# ---- credentials ----


@EACH
def test_credentials_are_told_again_and_never_to_be_stored(variant: Variant, lives: Lives) -> None:
    life = lives[variant.name]
    told = body_of(life.credentials)
    assert (life.credentials.status_code, life.credentials.headers["cache-control"]) == (200, "no-store")
    assert told.pop("id") == life.stream["id"]
    if variant.provider == "kinesis-video":  # it has no secrets; its endpoints are known once it is ready
        assert told == {way: body_of(life.refreshed)[way] for way in ("ingest", "playback")}
    else:
        assert told == life.stream["credentials"]


# ---- keepalive ----


@LEASED
def test_a_keepalive_renews_the_lease_at_the_provider(variant: Variant, lives: Lives) -> None:
    life = lives[variant.name]
    before, after = life.stream["lease"], body_of(life.kept_alive)["lease"]
    assert life.kept_alive.status_code == 200, life.kept_alive.text
    assert [call["operation"] for call in life.called_by_keepalive] == ["keepStreamAlive"]
    assert after["renewed_at"] > before["renewed_at"]
    assert after["expires_at"] > before["expires_at"]


@pytest.mark.parametrize("name", ["overshoot-v1beta", "overshoot-v0.2-native"])
def test_the_token_that_a_keepalive_brings_replaces_the_old(name: str, lives: Lives) -> None:
    life = lives[name]
    [before], [after] = body_of(life.credentials)["ingest"], body_of(life.credentials_then)["ingest"]
    assert before["token"] != after["token"]
    assert before["url"] == after["url"]


@UNLEASED
def test_a_keepalive_where_there_are_no_leases_is_refused_and_calls_nobody(variant: Variant, lives: Lives) -> None:
    life = lives[variant.name]
    assert (life.kept_alive.status_code, life.kept_alive.json()["code"]) == (409, "capability-not-supported")
    assert life.called_by_keepalive == []


# ---- delete ----


@EACH
def test_a_delete_answers_204_or_what_is_left_at_the_provider(variant: Variant, lives: Lives) -> None:
    deleted = lives[variant.name].deleted
    if variant.remains:
        assert (deleted.status_code, deleted.json()["state"]) == (200, "ended")
        assert deleted.json()["remains"]
    else:
        assert (deleted.status_code, deleted.content) == (204, b"")


@EACH
def test_a_second_delete_answers_204(variant: Variant, lives: Lives) -> None:
    assert lives[variant.name].deleted_again.status_code == 204


@pytest.mark.parametrize("variant", VARIANTS[:-1], ids=lambda variant: variant.name)
def test_what_was_deleted_is_gone_at_the_provider(variant: Variant, lives: Lives, doors: dict[str, Door]) -> None:
    """Save at pyannoteAI, which has no call that ends a stream."""
    assert lives[variant.name].stream["provider_ref"] not in doors[variant.provider].refs()


@EACH
def test_what_is_over_answers_410_with_when_and_why(variant: Variant, lives: Lives) -> None:
    life = lives[variant.name]
    for answer in (life.read_after, life.credentials_after):
        problem = body_of(answer)
        assert (answer.status_code, answer.headers["content-type"]) == (410, "application/problem+json")
        assert (problem["code"], problem["state"], problem["reason"]) == ("stream-ended", "ended", "deleted")
        assert problem["ended_at"] >= life.stream["created_at"]


@EACH
def test_a_key_whose_stream_is_over_opens_no_new_one(variant: Variant, lives: Lives, api: Api) -> None:
    assert lives[variant.name].deleted.is_success
    again = api.create(variant.provider, f"happy-{variant.name}", variant.body)
    assert (again.status_code, again.json()["code"]) == (410, "stream-ended")


def test_a_live_input_that_was_never_recorded_leaves_nothing(api: Api) -> None:
    href = api.create("cloudflare", "happy-unrecorded").json()["href"]
    assert api.delete(href).status_code == 204


# ---- events ----


@EACH
def test_each_thing_that_happened_is_told_once(variant: Variant, lives: Lives) -> None:
    life = lives[variant.name]
    told = sorted((event["detail"]["sequence"], event["detail-type"]) for event in life.events)
    changed = ["StreamStateChanged"] if variant.provider == "kinesis-video" else []
    assert [kind for _, kind in told if kind != "StreamAttentionDue"] == ["StreamCreated", *changed, "StreamDeleted"]


@EACH
def test_every_event_is_as_subscribers_were_promised(variant: Variant, lives: Lives) -> None:
    for event in lives[variant.name].events:
        assert event["source"] == "headwater"
        kept(event)


@EACH
def test_the_event_shows_the_stream_as_the_caller_saw_it(variant: Variant, lives: Lives, api: Api) -> None:
    life = lives[variant.name]
    [created] = life.told("StreamCreated")
    assert created["detail"]["data"]["stream"] == body_of(life.read)
    assert created["detail"]["tenant"] == api.tenant
    assert created["detail"]["sequence"] == 1


@EACH
def test_the_timeline_is_what_the_bus_carried(variant: Variant, lives: Lives) -> None:
    life = lives[variant.name]
    carried = {event["detail"]["event_id"]: event["detail-type"] for event in life.events}
    assert {event["event_id"]: event["type"] for event in life.timeline} == carried
    assert [event["sequence"] for event in life.timeline] == list(range(1, len(life.timeline) + 1))


# ---- across providers ----


def pages(api: Api, **query: str | int) -> list[list[Json]]:
    """Every page of a list."""
    found: list[list[Json]] = []
    while True:
        answer = body_of(api.streams(**query))
        found.append(answer["streams"])
        if not answer["cursor"]:
            return found
        query["cursor"] = answer["cursor"]


def test_streams_are_listed_newest_first(api: Api, lives: Lives) -> None:
    listed = [stream for page in pages(api, limit=100) for stream in page]
    moments = [stream["created_at"] for stream in listed]
    assert moments == sorted(moments, reverse=True)
    assert {life.stream["id"] for life in lives.values()} <= {stream["id"] for stream in listed}


def test_a_list_can_be_limited_to_a_provider_and_a_state(api: Api, lives: Lives) -> None:
    ended = [stream for page in pages(api, provider="overshoot", state="ended", limit=100) for stream in page]
    mine = {lives[variant.name].stream["id"] for variant in VARIANTS if variant.provider == "overshoot"}
    assert mine <= {stream["id"] for stream in ended}
    assert {(stream["provider"], stream["state"]) for stream in ended} == {("overshoot", "ended")}


def test_pages_follow_each_other_without_a_gap_or_a_repetition(api: Api, lives: Lives) -> None:
    small, whole = pages(api, limit=3), pages(api, limit=100)
    assert len(small) > 2
    assert all(len(page) <= 3 for page in small)
    shown = [stream["id"] for page in small for stream in page]
    assert shown == [stream["id"] for page in whole for stream in page]
    assert len(lives) <= len(shown) == len(set(shown))


def test_a_cursor_of_another_query_is_refused(api: Api, lives: Lives) -> None:
    cursor = body_of(api.streams(limit=len(lives) // 3))["cursor"]
    refused = api.streams(cursor=cursor, provider="pyannote")
    assert (refused.status_code, refused.json()["code"]) == (422, "invalid-request")
    assert [fault["pointer"] for fault in refused.json()["errors"]] == ["/cursor"]


def test_every_fault_of_a_query_is_told_at_once(api: Api) -> None:
    refused = api.streams(provider="vimeo", state="asleep", limit=0, colour="red", cursor="?")
    assert refused.status_code == 422
    assert {fault["pointer"] for fault in refused.json()["errors"]} == {
        "/provider",
        "/state",
        "/limit",
        "/colour",
        "/cursor",
    }


def test_the_providers_tell_what_they_can_do_and_what_may_be_asked_of_them(api: Api) -> None:
    answer = api.providers()
    told = {one["provider"]: one for one in body_of(answer)["providers"]}
    assert (answer.status_code, set(told)) == (200, {variant.provider for variant in VARIANTS})
    for variant in VARIANTS:
        assert ("keepalive" in told[variant.provider]["verbs"]) == variant.leased
        Draft202012Validator(told[variant.provider]["options"]).validate(variant.way.options)
