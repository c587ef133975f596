"""What Cloudflare tells by itself: heard only with the shared secret, once, and never from before what is known."""

import json
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest

from local.cloud import Cloud
from local.simulators.cloudflare import Event, notification
from local.simulators.secrets import SECRETS, canary
from tests.stack.bus import Subscriber
from tests.stack.callers import Api
from tests.stack.doors import BusinessClock, Door
from tests.stack.promises import kept
from tests.stack.storage import Storage
from tests.stack.ways import CLOUDFLARE, PROVIDERS

Json = dict[str, Any]

HEADER = "cf-webhook-auth"
SECRET = SECRETS["cloudflare"]["webhook_secret"]


class Told:
    """One live input, and Cloudflare that tells of it."""

    def __init__(self, api: Api, stream: Json, begun: datetime) -> None:
        self._api = api
        self.stream = stream
        self._begun = begun

    def tell(self, event: Event, seconds: float, secret: str | None = SECRET, **more: Any) -> httpx.Response:
        """That this was so, so many seconds after the test began."""
        at = self._begun + timedelta(seconds=seconds)
        headers, body = notification(self.stream["provider_ref"], event, at, **more)
        sent = {name: value for name, value in headers.items() if name != HEADER}
        return self._api.notify("cloudflare", body, sent if secret is None else {**sent, HEADER: secret})

    def now(self) -> Json:
        """As it is recorded."""
        stream: Json = self._api.read(self.stream["href"]).json()
        return stream

    def states(self) -> list[tuple[str, str]]:
        """Each change of its state that was recorded: from which to which."""
        events = self._api.timeline(self.stream["href"]).json()["events"]
        data = [event["data"] for event in events if event["type"] == "StreamStateChanged"]
        return [(one["previous_state"], one["stream"]["state"]) for one in data]


@pytest.fixture
def told(api: Api, clock: BusinessClock, request: pytest.FixtureRequest) -> Iterator[Told]:
    stream = api.opened(CLOUDFLARE, request.node.name)
    yield Told(api, stream, clock.now())
    assert api.delete(stream["href"]).is_success


# ---- who tells


@pytest.mark.parametrize(
    "secret",
    [
        None,
        "",
        SECRET[:-1],
        f"{SECRET}x",
        SECRET.upper(),
        canary("caller", "webhook-guess"),
        f"{SECRET}\u00e9",
    ],
    ids=["none", "empty", "shorter", "longer", "in-capitals", "guessed", "no-ascii"],
)
def test_who_does_not_bring_the_secret_is_not_heard(secret: str | None, told: Told, storage: Storage) -> None:
    before, items = storage.record(told.stream["id"]), storage.keys()
    answer = told.tell("connected", 1, secret=secret)
    assert (answer.status_code, answer.json()["code"]) == (401, "notification-refused"), answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert SECRET not in answer.text
    assert (storage.record(told.stream["id"]), storage.keys()) == (before, items)


def test_nothing_of_a_refused_message_is_read(told: Told, api: Api) -> None:
    answer = api.notify("cloudflare", "no JSON", {HEADER: "guessed"})
    assert (answer.status_code, answer.json()["code"]) == (401, "notification-refused")


def test_the_provider_is_never_called_for_what_it_tells(told: Told, doors: dict[str, Door]) -> None:
    calls = len(doors["cloudflare"].about(told.stream["provider_ref"]))
    assert told.tell("connected", 1).status_code == 204
    assert told.tell("connected", 2, secret="guessed").status_code == 401
    assert doors["cloudflare"].about(told.stream["provider_ref"])[calls:] == []


@pytest.mark.parametrize("provider", sorted({*PROVIDERS, "vimeo"} - {"cloudflare"}))
def test_nobody_else_can_tell_anything(provider: str, api: Api) -> None:
    answer = api.notify(provider, "{}", {HEADER: SECRET})
    assert answer.status_code in {401, 403, 404}, answer.text


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE"])
def test_a_notification_can_only_be_posted(method: str, cloud: Cloud) -> None:
    answer = httpx.request(method, f"{cloud.api_url}/notifications/cloudflare", headers={HEADER: SECRET}, timeout=40)
    assert answer.status_code in {401, 403, 404}, answer.text


@pytest.mark.parametrize(
    "path", ["/streams", "/providers", "/streams/cloudflare/str_1", "/notifications/cloudflare/str_1"]
)
def test_the_secret_opens_nothing_else(path: str, cloud: Cloud) -> None:
    answer = httpx.get(cloud.api_url + path, headers={HEADER: SECRET}, timeout=40)
    assert answer.status_code in {401, 403, 404}, answer.text


# ---- what is told


TURNS: list[tuple[Event, str, str]] = [("connected", "ready", "live"), ("disconnected", "live", "ready")]


def test_who_connects_makes_the_stream_live_and_who_leaves_ready_again(told: Told, subscriber: Subscriber) -> None:
    version = told.stream["version"]
    for number, (event, before, after) in enumerate(TURNS):
        assert told.tell(event, 1 + number).status_code == 204
        now = told.now()
        assert (now["state"], now["provider_status"], now["version"]) == (after, event, version + 1 + number)
        heard = subscriber.await_events(told.stream["id"], "StreamStateChanged", number + 1)[number]
        detail = kept(heard)
        assert (detail["data"]["previous_state"], detail["data"]["stream"]) == (before, now)
    assert told.states() == [("ready", "live"), ("live", "ready")]


def test_what_is_told_twice_or_all_at_once_is_heard_once(told: Told) -> None:
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: told.tell("connected", 1), range(4)))
    # One that met another's writing is sent again.
    assert {answer.status_code for answer in answers} <= {204, 412}
    assert told.tell("connected", 1).status_code == 204
    assert told.states() == [("ready", "live")]
    assert told.now()["version"] == told.stream["version"] + 1


IN_DISORDER: list[tuple[Event, float]] = [
    ("connected", 10),
    ("disconnected", 20),
    ("connected", 15),
    ("connected", 10),
    ("errored", 19),
]
"""What was told, and of which second."""


def test_what_comes_late_never_moves_the_state_back(told: Told) -> None:
    for event, seconds in IN_DISORDER:
        assert told.tell(event, seconds).status_code == 204
    assert (told.now()["state"], told.now()["state_reason"]) == ("ready", None)
    assert told.states() == [("ready", "live"), ("live", "ready")]


def test_what_is_older_than_what_was_seen_is_no_news(told: Told, api: Api, doors: dict[str, Door]) -> None:
    doors["cloudflare"].act("set_status", uid=told.stream["provider_ref"], status="connected")
    assert api.read(told.stream["href"], refresh=True).json()["state"] == "live"
    assert told.tell("disconnected", -60).status_code == 204
    assert told.now()["state"] == "live"
    assert told.states() == [("ready", "live")]


ERRORS: Mapping[str, tuple[Json, tuple[str, ...]]] = {
    "ERR_UNSUPPORTED_VIDEO_CODEC": ({"video_codec": "vp9"}, ("vp9", "H.264")),
    "ERR_UNSUPPORTED_AUDIO_CODEC": ({"audio_codec": "opus"}, ("opus", "AAC")),
    "ERR_GOP_OUT_OF_RANGE": ({}, ("GOP", "2", "10")),
    "ERR_STORAGE_QUOTA_EXHAUSTED": ({}, ("storage",)),
    "ERR_NEVER_HEARD_OF": ({}, ("ERR_NEVER_HEARD_OF",)),
}
"""By the provider's code: what else it tells, and the words that whoever sends needs to be told."""


@pytest.mark.parametrize("code", ERRORS)
def test_what_is_wrong_with_what_is_sent_is_told_in_words(code: str, told: Told, subscriber: Subscriber) -> None:
    more, words = ERRORS[code]
    assert told.tell("errored", 1, code=code, **more).status_code == 204
    now = told.now()
    assert (now["state"], now["provider_status"]) == ("ready", "errored")
    assert now["state_reason"].endswith(".")
    assert [word for word in words if word not in now["state_reason"]] == []
    [event] = subscriber.await_events(told.stream["id"], "StreamStateChanged")
    assert kept(event)["data"]["stream"] == now
    assert told.tell("connected", 2).status_code == 204
    assert (told.now()["state"], told.now()["state_reason"]) == ("live", None)


def test_what_the_provider_says_besides_is_passed_on_nowhere(told: Told) -> None:
    hostile = canary("caller", "webhook-words")
    answer = told.tell("errored", 1, code=f"ERR {hostile}", video_codec=f"<{hostile}>", audio_codec=hostile * 9)
    assert answer.status_code == 204
    assert hostile not in json.dumps(told.now())


@pytest.mark.parametrize(
    "body",
    [
        {"text": "This is a test message.", "ts": 1},
        {"data": {"event_type": "live_input.rebooted", "input_id": "0" * 32, "updated_at": "2026-11-21T12:00:00Z"}},
        {"data": {"event_type": "live_input.connected", "updated_at": "2026-11-21T12:00:00Z"}},
        {"data": ["live_input.connected"]},
        {},
    ],
    ids=["test", "unknown-event", "no-input", "no-object", "empty"],
)
def test_what_is_of_no_stream_is_taken_without_a_word(body: Json, api: Api, storage: Storage) -> None:
    before = storage.keys()
    assert api.notify("cloudflare", json.dumps(body), {HEADER: SECRET}).status_code == 204
    assert storage.keys() == before


@pytest.mark.parametrize("body", ["no JSON", "[]", ""])
def test_what_is_no_message_is_told_so(body: str, api: Api) -> None:
    answer = api.notify("cloudflare", body, {HEADER: SECRET})
    assert answer.status_code in ({204, 400} if body == "" else {400}), answer.text


def test_a_live_input_of_nobody_s_is_none_of_ours(api: Api, clock: BusinessClock, storage: Storage) -> None:
    before = storage.keys()
    headers, body = notification("f" * 32, "connected", clock.now())
    assert api.notify("cloudflare", body, headers).status_code == 204
    assert storage.keys() == before


def test_a_stream_that_is_over_stays_over(api: Api, clock: BusinessClock) -> None:
    stream = api.opened(CLOUDFLARE, "told-too-late")
    assert api.delete(stream["href"]).is_success
    told = Told(api, stream, clock.now())
    assert told.tell("connected", 1).status_code == 204
    assert api.read(stream["href"]).status_code == 410
    assert told.states() == []
