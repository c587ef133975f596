"""What opens a stream is exchanged: by its caller, or by somebody else at the provider; of the old nothing is kept."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import httpx
import pytest

from headwater.attributes import from_attributes
from headwater.store import record_of
from headwater.vault import KmsVault
from local.cloud import STAGE, Cloud
from tests.stack.bus import Subscriber
from tests.stack.callers import Api
from tests.stack.consoles import CloudflareConsole, keys_in
from tests.stack.doors import Door
from tests.stack.environments import deployed_function, provisioning
from tests.stack.leaks import leaks, secrets_in, values_of
from tests.stack.promises import kept
from tests.stack.storage import Storage
from tests.stack.ways import CLOUDFLARE, LEASED, Way, each, secretive

Json = dict[str, Any]

ROTATED = (CLOUDFLARE, *LEASED)
"""The ways whose streams can be given other credentials."""
EACH_ROTATED, EACH_LEASED = each(ROTATED), each(LEASED)


def opening(credentials: Json) -> set[str]:
    """All the secrets in an answer that hands them out."""
    return secrets_in(json.dumps([credentials["ingest"], credentials["playback"]]))


def kept_of(stream: Json, cloud: Cloud, storage: Storage) -> str:
    """All that the table has of a stream, with what is sealed in it unsealed."""
    variables = deployed_function(cloud, provisioning(stream["provider"]))["Environment"]["Variables"]
    deployment = f"{STAGE}-{cloud.region}-{cloud.account}"
    vault = KmsVault(cloud.client("kms"), variables["SEALING_KEY_ID"], deployment)
    items = [item for item in storage.items() if item["pk"]["S"] == f"STREAM#{stream['id']}"]
    [record] = [record_of(from_attributes(item)) for item in items if item["sk"]["S"] == "STREAM"]
    assert record.sealed_credentials
    texts = (value for value in values_of(items) if isinstance(value, str))
    return "\n".join([vault.unseal(record, record.sealed_credentials).decode(), *texts])


@dataclass
class Story:
    """One stream's, in the order of the calls."""

    before: Json
    old: Json
    rotated: httpx.Response
    read: Json
    credentials: Json
    calls: list[Json]
    """The provider's answers to the call that exchanges them."""
    events: list[Json]
    kept: str

    @property
    def new(self) -> Json:
        told: Json = self.rotated.json()
        return told


EXCHANGES = {"cloudflare": "rotateLiveInputKeys", "overshoot": "keepStreamAlive"}
"""Each provider's operation that gives a stream other credentials."""


def exchanges(door: Door, stream: Json) -> list[Json]:
    return [call for call in door.calls(EXCHANGES[door.name]) if stream["provider_ref"] in call["path"]]


def tell(way: Way, api: Api, door: Door, cloud: Cloud, storage: Storage, subscriber: Subscriber) -> Story:
    before = api.opened(way, f"rotated-{way.name}")
    old = api.credentials(before["href"]).json()
    rotated = api.rotate(before["href"])
    assert rotated.status_code == 200, rotated.text
    calls = exchanges(door, before)
    read, credentials = api.read(before["href"]).json(), api.credentials(before["href"]).json()
    events = subscriber.await_events(before["id"], "StreamCredentialsRotated")
    return Story(before, old, rotated, read, credentials, calls, events, kept_of(before, cloud, storage))


@pytest.fixture(scope="module")
def stories(
    api: Api, doors: dict[str, Door], cloud: Cloud, storage: Storage, subscriber: Subscriber
) -> Iterator[dict[Way, Story]]:
    def told(way: Way) -> Story:
        return tell(way, api, doors[way.provider], cloud, storage, subscriber)

    # Nobody else renews them meanwhile, which brings other tokens too.
    with doors["overshoot"].set(lease_seconds=300, v02_lease_seconds=300), ThreadPoolExecutor(len(ROTATED)) as pool:
        stories = dict(zip(ROTATED, pool.map(told, ROTATED), strict=True))
        yield stories
    for story in stories.values():
        assert api.delete(story.before["href"]).is_success


@pytest.fixture
def story(way: Way, stories: dict[Way, Story]) -> Story:
    return stories[way]


@EACH_ROTATED
def test_the_answer_has_what_opens_the_stream_from_now_on(story: Story) -> None:
    assert story.rotated.headers["cache-control"] == "no-store"
    assert story.rotated.headers["etag"] == f'"{story.read["version"]}"'
    assert opening(story.old)
    assert len(opening(story.new)) == len(opening(story.old))
    assert not opening(story.new) & opening(story.old)
    assert story.credentials == story.new


@EACH_ROTATED
def test_it_is_what_the_provider_gave(story: Story) -> None:
    [call] = story.calls
    assert opening(story.new) <= secrets_in(json.dumps(call["response"]))


@EACH_ROTATED
def test_of_the_old_nothing_is_kept(story: Story) -> None:
    assert opening(story.new) <= secrets_in(story.kept)
    assert not opening(story.old) & secrets_in(story.kept)


@EACH_ROTATED
def test_it_is_told_once_and_no_secret_in_it(story: Story) -> None:
    [event] = story.events
    detail = kept(event)
    assert leaks([json.dumps(event)], opening(story.new) | opening(story.old)) == []
    assert detail["sequence"] == story.before["version"] + 1
    assert detail["data"]["stream"] == story.read


@EACH_ROTATED
def test_the_record_says_when(story: Story) -> None:
    assert story.before["credentials_rotated_at"] is None
    moments = [story.before["updated_at"], story.read["credentials_rotated_at"], story.read["updated_at"]]
    before, rotated, after = (datetime.fromisoformat(moment) for moment in moments)
    assert before < rotated <= after


@EACH_LEASED
def test_a_token_comes_with_a_renewed_lease(story: Story) -> None:
    assert story.read["lease"]["expires_at"] > story.before["lease"]["expires_at"]
    assert story.read["lease"]["renewed_at"] > story.before["lease"]["renewed_at"]


@pytest.mark.parametrize("way", secretive("rotator"), ids=lambda way: way.name)
def test_where_there_is_no_token_nobody_is_called(way: Way, api: Api, doors: dict[str, Door]) -> None:
    stream = api.opened(way, f"rotated-{way.name}")
    answer = api.rotate(stream["href"])
    assert (answer.status_code, answer.json()["code"]) == (409, "capability-not-supported"), answer.text
    assert exchanges(doors["overshoot"], stream) == []
    assert api.delete(stream["href"]).is_success


# ---- somebody sends to it, or is faster


@pytest.fixture
def door(doors: dict[str, Door]) -> Door:
    return doors["cloudflare"]


@pytest.fixture
def stream(api: Api, request: pytest.FixtureRequest) -> Iterator[Json]:
    stream = api.opened(CLOUDFLARE, request.node.name)
    yield stream
    assert api.delete(stream["href"]).is_success


def test_whoever_sends_is_not_cut_off_unless_that_is_meant(stream: Json, api: Api, door: Door) -> None:
    old = opening(api.credentials(stream["href"]).json())
    door.act("set_status", uid=stream["provider_ref"], status="connected")
    refused = api.rotate(stream["href"])
    assert (refused.status_code, refused.json()["code"]) == (409, "stream-live"), refused.text
    assert exchanges(door, stream) == []
    assert opening(api.credentials(stream["href"]).json()) == old
    meant = api.rotate(stream["href"], force=True)
    assert meant.status_code == 200, meant.text
    assert not opening(meant.json()) & old
    kinds = [event["type"] for event in api.timeline(stream["href"]).json()["events"]]
    assert kinds == ["StreamCreated", "StreamCredentialsRotated"]


def test_what_was_refused_hides_nothing_that_others_do(
    stream: Json, api: Api, door: Door, cloudflare: CloudflareConsole
) -> None:
    """As an exchange of ours would that is under way."""
    door.act("set_status", uid=stream["provider_ref"], status="connected")
    assert api.rotate(stream["href"]).status_code == 409
    there = cloudflare.rotate(stream["provider_ref"])
    assert opening(api.credentials(stream["href"], refresh=True).json()) == keys_in_answers(there)


def test_a_stream_can_be_rotated_again_and_again(stream: Json, api: Api) -> None:
    seen = [opening(api.rotate(stream["href"]).json()) for _ in range(3)]
    assert len(set.union(*seen)) == 3 * len(seen[0])
    assert opening(api.credentials(stream["href"]).json()) == seen[-1]


def test_what_somebody_else_exchanged_is_there_once_the_provider_is_asked(
    stream: Json, api: Api, cloudflare: CloudflareConsole, subscriber: Subscriber
) -> None:
    old = api.credentials(stream["href"]).json()
    there = cloudflare.rotate(stream["provider_ref"])
    assert api.credentials(stream["href"]).json() == old
    for _ in range(2):
        anew = api.credentials(stream["href"], refresh=True)
        assert (anew.status_code, anew.headers["cache-control"]) == (200, "no-store")
        assert opening(anew.json()) == keys_in_answers(there)
    assert api.credentials(stream["href"]).json() == anew.json()
    after = api.read(stream["href"]).json()
    rotated_at = datetime.fromisoformat(after["credentials_rotated_at"])
    assert rotated_at == datetime.fromisoformat(there["keysRotatedAt"])
    [event] = subscriber.await_events(stream["id"], "StreamCredentialsRotated")
    assert kept(event)["data"]["stream"] == after
    assert after["version"] == stream["version"] + 1


def keys_in_answers(live_input: Json) -> set[str]:
    """The keys alone, without the addresses around them."""
    return secrets_in(json.dumps(sorted(keys_in(live_input))))


def test_what_is_over_is_not_rotated(api: Api, door: Door) -> None:
    stream = api.opened(CLOUDFLARE, "rotated-too-late")
    assert api.delete(stream["href"]).is_success
    answer = api.rotate(stream["href"])
    assert (answer.status_code, answer.json()["code"]) == (410, "stream-ended")
    assert exchanges(door, stream) == []
