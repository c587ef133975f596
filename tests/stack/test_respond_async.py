"""Streams that are asked for and not waited for: 202 at once, and the outcome is told, and shown at its address."""

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import httpx
import pytest

from local.cloud import Cloud
from tests.stack.bus import Subscriber, subscribed
from tests.stack.callers import Api, new_caller
from tests.stack.doors import Door, aws_door_of
from tests.stack.environments import deployed_function
from tests.stack.leaks import leaks, values_of
from tests.stack.storage import Storage
from tests.stack.waiting import eventually
from tests.stack.ways import EACH_WAY, WAYS, Way, secretive

Json = dict[str, Any]

MAKING_SECONDS = 8.0
"""Of providers that take their time, less than they are waited for."""
TRIES = 4
"""To ask again meanwhile: on a busy machine that may come too late."""
PUT_EVENTS = "events.PutEvents"
COMMAND = r"\"stream_id\":\"%s\",\"reason\":\"due\""
"""In what is sent to have a stream attended to."""
ATTEMPTS = 3
"""Of a call to AWS, before it counts as failed."""


SECRETIVE = {way.name: way for way in secretive("behind")}
ALL = {way.name: way for way in WAYS} | SECRETIVE
EACH = pytest.mark.parametrize("name", ALL)


def key_of(way: Way, number: int = 0) -> str:
    return f"async {way.name} {number}"


def request_id(item: Json) -> str:
    """Of the call that its record was made by."""
    asked_by: str = json.loads(item["record"]["S"])["request_id"]
    return asked_by


def ask(api: Api, way: Way, key: str, **body: Any) -> httpx.Response:
    headers = {"Idempotency-Key": key, "Prefer": "respond-async"}
    return api.call("POST", f"/streams/{way.provider}", way.body(**body), headers)


@dataclass
class Story:
    """The answers about one stream, in the order of the calls, and what was told of it."""

    accepted: httpx.Response
    unsettled: Json
    """Its item in the table meanwhile."""
    again: httpx.Response
    other: httpx.Response
    ready: httpx.Response
    created: Json
    credentials: httpx.Response
    replayed: httpx.Response
    waited_for: httpx.Response
    """The same key, by a caller who waits."""
    creates: int
    events: list[Json] = field(default_factory=list)


def tell(way: Way, api: Api, door: Door, subscriber: Subscriber, storage: Storage) -> Story:
    for number in range(TRIES):
        key = key_of(way, number)
        stream_id = api.id_of(way.provider, key)
        door.fault("slow", seconds=MAKING_SECONDS, containing=way.path)
        accepted = ask(api, way, key, name="later")
        unsettled = storage.item(stream_id) or {}
        again, other = ask(api, way, key, name="later"), ask(api, way, key, name="never")
        in_time = storage.record(stream_id)["claim"] is not None
        [created] = subscriber.await_events(stream_id, "StreamCreated", seconds=60)
        if in_time:
            break
    href = accepted.json()["href"]
    ready = eventually(lambda: api.read(href, refresh=True), lambda answer: answer.json()["state"] == "ready")
    ref = ready.json()["provider_ref"]
    return Story(
        accepted=accepted,
        unsettled=unsettled,
        again=again,
        other=other,
        ready=ready,
        created=created["detail"],
        credentials=api.credentials(href),
        replayed=ask(api, way, key, name="later"),
        waited_for=api.create(way.provider, key, way.body(name="later")),
        creates=sum(json.dumps(ref) in json.dumps(call["response"]) for call in door.creates()),
        events=subscriber.events(stream_id),
    )


type Stories = dict[str, Story]


@pytest.fixture(scope="module", autouse=True)
def long_leases(doors: dict[str, Door]) -> Iterator[None]:
    """A renewal brings a new token: none comes between two looks."""
    with doors["overshoot"].set(v02_lease_seconds=300):
        yield


@pytest.fixture(scope="module")
def stories(api: Api, doors: dict[str, Door], subscriber: Subscriber, storage: Storage) -> Iterator[Stories]:
    """By way; all of them side by side."""
    with ThreadPoolExecutor(len(ALL)) as pool:
        begun = {
            name: pool.submit(tell, way, api, doors[way.provider], subscriber, storage) for name, way in ALL.items()
        }
        yield {name: story.result() for name, story in begun.items()}
    for way in ALL.values():
        for number in range(TRIES):
            assert api.delete(api.href_of(way.provider, key_of(way, number))).status_code in {200, 204, 404}


@EACH
def test_it_is_accepted_before_it_is_made(name: str, stories: Stories) -> None:
    accepted, stream = stories[name].accepted, stories[name].accepted.json()
    assert (accepted.status_code, accepted.headers["preference-applied"]) == (202, "respond-async"), accepted.text
    assert accepted.headers["location"].endswith(f"/v1{stream['href']}")
    assert (stream["state"], stream["provider_ref"], stream["version"]) == ("provisioning", None, 0)
    assert "credentials" not in stream


@EACH
def test_to_ask_again_meanwhile_is_to_be_accepted_again(name: str, stories: Stories) -> None:
    again, other = stories[name].again, stories[name].other
    assert (again.status_code, again.headers["idempotency-replayed"]) == (202, "true"), again.text
    assert again.json()["id"] == stories[name].accepted.json()["id"]
    assert (other.status_code, other.json()["code"]) == (422, "idempotency-key-reused")


@EACH
def test_it_becomes_ready_at_its_address(name: str, stories: Stories) -> None:
    ready = stories[name].ready.json()
    assert (ready["id"], ready["name"], ready["state"]) == (stories[name].accepted.json()["id"], "later", "ready")
    assert stories[name].creates == 1


@EACH
def test_it_is_told_once_under_the_id_of_the_request(name: str, stories: Stories) -> None:
    story = stories[name]
    assert story.created["request_id"] == request_id(story.unsettled)
    assert [event["detail-type"] for event in story.events].count("StreamCreated") == 1


@EACH
def test_its_credentials_are_at_their_address_and_with_each_repetition(name: str, stories: Stories) -> None:
    story = stories[name]
    told = story.credentials.json()
    assert (story.credentials.status_code, story.credentials.headers["cache-control"]) == (200, "no-store")
    for repeated in (story.replayed, story.waited_for):
        assert (repeated.status_code, repeated.headers["idempotency-replayed"]) == (200, "true")
        assert repeated.json()["credentials"] == {way: told[way] for way in ("ingest", "playback")}


@pytest.mark.parametrize("name", SECRETIVE)
def test_a_secret_reaches_the_provider_and_is_in_clear_nowhere_else(
    name: str, stories: Stories, doors: dict[str, Door], storage: Storage
) -> None:
    story, source = stories[name], ALL[name].options["source"]
    hidden = {kind: value for kind, value in source.items() if leaks([value])}
    sent = [call["body"]["source"] for call in doors["overshoot"].creates() if "source" in call["body"]]
    assert any(hidden.items() <= one.items() for one in sent)
    assert story.accepted.json()["options"]["source"] == {**source, **dict.fromkeys(hidden, "***")}
    shown = [story.accepted.text, story.again.text, story.other.text, story.ready.text, *map(json.dumps, story.events)]
    assert leaks(shown) == []
    assert "request_secrets" in story.unsettled
    assert leaks(values_of(story.unsettled)) == []
    assert "request_secrets" not in (storage.item(story.accepted.json()["id"]) or {})


# ---- when it cannot be made


@EACH_WAY
def test_a_refusal_is_told_and_shown_and_the_key_may_be_used_anew(
    way: Way, api: Api, doors: dict[str, Door], subscriber: Subscriber, storage: Storage
) -> None:
    key, door = f"async refused {way.name}", doors[way.provider]
    if way.provider == "kinesis-video":
        door.act("raise_exception", exception="AccountStreamLimitExceededException", operation="CreateStream")
    else:
        door.fault("status", status=402, containing=way.path)
    accepted = ask(api, way, key, name="refused")
    assert accepted.status_code == 202
    asked_by = storage.record(accepted.json()["id"])["request_id"]
    [failed] = subscriber.await_events(accepted.json()["id"], "StreamFailed")
    shown = api.read(accepted.json()["href"])
    assert (shown.status_code, shown.json()["state"], shown.json()["ingest"]) == (200, "failed", [])
    assert failed["detail"]["request_id"] == asked_by
    assert failed["detail"]["data"]["problem"]["code"] == shown.json()["state_reason"]

    anew = ask(api, way, key, name="another")
    assert (anew.status_code, anew.headers.get("idempotency-replayed")) == (202, None)
    [created] = subscriber.await_events(accepted.json()["id"], "StreamCreated")
    assert created["detail"]["request_id"] != asked_by
    assert created["detail"]["data"]["stream"]["name"] == "another"
    assert api.delete(accepted.json()["href"]).is_success


@EACH_WAY
def test_a_key_whose_stream_is_over_is_not_accepted(way: Way, api: Api) -> None:
    made = api.create(way.provider, f"async over {way.name}", way.body())
    assert api.delete(made.json()["href"]).is_success
    over = ask(api, way, f"async over {way.name}")
    assert (over.status_code, over.json()["code"]) == (410, "stream-ended")


def test_what_is_no_request_is_refused_at_once(api: Api) -> None:
    refused = ask(api, WAYS[0], "async invalid", colour="red")
    assert (refused.status_code, refused.json()["code"]) == (422, "invalid-request")
    assert api.read(api.href_of(WAYS[0].provider, "async invalid")).status_code == 404


# ---- when the command is lost


@dataclass
class Unheard:
    """What became of streams whose command the bus refused."""

    accepted: dict[str, httpx.Response]
    records: dict[str, Json]
    """Before anybody swept."""
    refused: int
    """How often a call was."""
    created: dict[str, list[Json]]


@pytest.fixture(scope="module")
def unheard(crash_cloud: Cloud) -> Iterator[Unheard]:
    """By way; side by side, in the cloud that has a door before AWS."""
    api, storage = new_caller(crash_cloud, "unheard"), Storage(crash_cloud)
    ids = {way.name: api.id_of(way.provider, key_of(way)) for way in WAYS}
    with (
        aws_door_of(crash_cloud) as aws,
        subscribed(crash_cloud, "unheard") as subscriber,
    ):
        for stream_id in ids.values():
            aws.fault("status", PUT_EVENTS, status=500, times=ATTEMPTS, containing=COMMAND % stream_id)
        with ThreadPoolExecutor(len(WAYS)) as pool:
            accepted = dict(zip(ids, pool.map(lambda way: ask(api, way, key_of(way)), WAYS), strict=True))
        waiting = sum(fault["times"] for fault in aws.faults())
        aws.heal()
        records = {name: storage.record(stream_id) for name, stream_id in ids.items()}
        for stream_id in ids.values():
            swept_until(crash_cloud, partial(heard, subscriber, stream_id))
        created = {name: heard(subscriber, stream_id) for name, stream_id in ids.items()}
        yield Unheard(accepted, records, len(ids) * ATTEMPTS - waiting, created)
    for way in WAYS:
        assert api.delete(api.href_of(way.provider, key_of(way))).is_success
    api.close()


def heard(subscriber: Subscriber, stream_id: str) -> list[Json]:
    subscriber.receive()
    return subscriber.events(stream_id, "StreamCreated")


def swept_until(cloud: Cloud, done: Callable[[], object]) -> None:
    """As the schedule does each minute, but until it is done."""
    functions = cloud.client("lambda")
    name = deployed_function(cloud, "Sweep")["FunctionName"]

    def look() -> object:
        functions.invoke(FunctionName=name, Payload=b"{}")
        return done()

    eventually(look, bool, 120)


@EACH_WAY
def test_a_command_that_the_bus_refuses_is_nobody_s_loss(way: Way, unheard: Unheard) -> None:
    accepted, record = unheard.accepted[way.name], unheard.records[way.name]
    assert accepted.status_code == 202, accepted.text
    assert unheard.refused == len(WAYS) * ATTEMPTS
    assert (record["attempt"], record["stream"]["state"]) == (0, "provisioning")
    [created] = unheard.created[way.name]
    assert created["detail"]["request_id"] == record["request_id"]
