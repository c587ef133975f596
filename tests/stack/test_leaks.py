"""No secret anywhere but where it is asked for: not in all that the suite has left in logs, events, items, answers."""

import base64
import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from local.cloud import Cloud
from local.simulators.cloudflare import notification
from local.simulators.secrets import SECRETS, canary
from tests.stack.bus import Requester, Subscriber
from tests.stack.callers import Api, Exchange
from tests.stack.consoles import CloudflareConsole
from tests.stack.doors import CREATES, Door
from tests.stack.leaks import leaks, secrets_in, values_of
from tests.stack.storage import Storage
from tests.stack.waiting import eventually
from tests.stack.ways import V02

Json = dict[str, Any]


def secret(what: str) -> str:
    return canary("planted", what)


def camera(password: str) -> Json:
    return {"source": {"type": "rtsp", "url": f"rtsp://viewer:{password}@camera.example.org/main"}}


# ---- what is planted beside all that the other tests have left ----

HOSTILE: dict[str, Any] = {
    "a secret where the body is no JSON": f'{{"options": {{"source": "{secret("no-json")}"',
    "a secret in an unknown option": {"options": {"password": secret("unknown-option")}},
    "a camera by another protocol": {"options": {"source": {"type": "rtsp", "url": f"ftp://a:{secret('ftp')}@b.org"}}},
    "a camera on this machine": {"options": {"source": {"type": "hls", "url": f"http://a:{secret('host')}@[::1]/"}}},
    "a camera that is no address": {"options": {"source": {"type": "rtsp", "url": f"rtsp://[{secret('bracket')}/"}}},
    "a secret for the kind of a source": {"options": {"source": {"type": secret("kind")}}},
    "a secret for the version": {"options": {"api_version": secret("version")}},
    "an offer that is no text": {"options": {**V02, "source": {"type": "webrtc", "sdp": [secret("offer")]}}},
    "a room whose address opens it": {
        "options": {**V02, "source": {"type": "livekit", "url": f"wss://a.org?t={secret('room-url')}", "token": "t"}}
    },
    "an offer and a source": {
        "options": {
            **V02,
            "source": {"type": "livekit", "url": "wss://a.org", "token": secret("room")},
            "webrtc": {"type": "offer", "sdp": f"v=0\r\na=ice-pwd:{secret('ice-pwd')}\r\n"},
        }
    },
}
"""Bodies that are refused, for the provider whose options hold secrets."""


@pytest.fixture(scope="module")
def planted(
    api: Api, doors: dict[str, Door], requester: Requester, subscriber: Subscriber, cloudflare: CloudflareConsole
) -> Iterator[None]:
    """A stream at each provider that is open while the search runs, and each way in which a secret may go astray."""
    hrefs = [api.create(provider, "planted").json()["href"] for provider in CREATES]
    hrefs.append(api.create("overshoot", "planted camera", {"options": camera(secret("camera"))}).json()["href"])
    hrefs.append(api.adopt("cloudflare", cloudflare.make()["uid"]).json()["href"])
    _changes(api, hrefs)
    _sent_on(api, doors["cloudflare"], hrefs[-1])
    _notifications(api, hrefs[-1])
    for href in hrefs:
        api.credentials(href)
        api.read(href, refresh=True)
        api.timeline(href)
    api.streams(limit=100)
    for what, body in HOSTILE.items():
        answer = api.call("POST", "/streams/overshoot", body, {"Idempotency-Key": f"hostile {what}"})
        assert answer.status_code in {400, 422}, f"{what}: {answer.text}"
    _careless_provider(api, doors["overshoot"], "rejected", status=422, repeats=1)
    # Let go, and not yet done: the request's secrets stay, sealed, for the next attempt.
    _careless_provider(api, doors["overshoot"], "put off", status=429, repeats=20)
    _odd_answers(api, doors)
    key = requester.ask("overshoot", {"options": camera(secret("over-the-bus"))})
    subscriber.await_events(api.id_of("overshoot", key), "StreamFailed")
    yield
    for href in hrefs:
        assert api.delete(href).is_success


def _changes(api: Api, hrefs: list[str]) -> None:
    """With a secret where none belongs, and where one does; and of what opens a stream."""
    for href in hrefs:
        assert api.change(href, {"metadata": {"planted": "yes"}}).is_success
        assert api.change(href, {"options": {"password": secret("patched")}}).status_code == 422
        assert api.change(href, {"name": [secret("patched-name")]}).status_code == 422
        api.rotate(href, force=True)
        api.credentials(href, refresh=True)
        api.repair(href)
    [watched] = [href for href in hrefs if api.read(href).json()["options"].get("source")]
    moved = camera(secret("moved-camera"))
    assert api.change(watched, {"options": moved}).status_code == 409


def _sent_on(api: Api, door: Door, href: str) -> None:
    """To a place that is told, and to one that its provider refuses with its key in its words."""
    added = api.add_output(href, f"rtmps://live.example.org/app/{secret('output-url')}", secret("output-key"))
    assert added.status_code == 201, added.text
    api.switch_output(href, added.json()["id"], False)
    api.outputs(href)
    key = secret("output-refused")
    words = {"success": False, "errors": [{"code": 1001, "message": f"not {key}", "source": {"pointer": f"/{key}"}}]}
    door.fault("status", "createOutput", status=400, body=words)
    assert api.add_output(href, f"rtmps://live.example.org/app/{key}", key).is_error


def _notifications(api: Api, href: str) -> None:
    """One with the secret and one with a wrong one, both with a secret in what they say."""
    ref, at = api.read(href).json()["provider_ref"], datetime.now(UTC) + timedelta(days=1)
    headers, body = notification(ref, "errored", at, code=secret("notified"), video_codec=secret("notified-codec"))
    assert api.notify("cloudflare", body, {**headers, "cf-webhook-auth": secret("webhook")}).status_code == 401
    assert api.notify("cloudflare", body, headers).status_code == 204


def _careless_provider(api: Api, door: Door, key: str, status: int, repeats: int) -> None:
    """It repeats the camera's address, and our own key, in its refusal."""
    options = camera(secret(key.replace(" ", "-")))
    words = f"cannot open {options['source']['url']} for {SECRETS['overshoot']['api_key']}"
    body = {"detail": words, "error": words, "details": [{"loc": ["body", "source", "url"], "msg": words}]}
    door.fault("status", status=status, headers={"Retry-After": "60"}, body=body, times=repeats)
    answer = api.create("overshoot", f"planted {key}", {"options": options})
    door.heal()
    assert answer.is_error


def _odd_answers(api: Api, doors: dict[str, Door]) -> None:
    """Creates that are answered with what cannot be understood, a secret in it."""
    for provider in ("cloudflare", "overshoot", "pyannote"):
        for number, body in enumerate([{"id": 7, "url": secret("odd")}, [secret("odd")], secret("odd")]):
            doors[provider].fault("status", status=200, body=body, times=20)
            answer = api.create(provider, f"odd {number}")
            doors[provider].heal()
            assert answer.is_error, answer.text


@pytest.fixture(scope="module")
def handed_out(planted: None, doors: dict[str, Door], api: Api, requester: Requester) -> set[str]:
    """Every secret that a provider ever got or gave, and every one that was sent to us."""
    calls = json.dumps([door.calls() for door in doors.values()])
    sent = [exchange.sent for exchange in api.exchanges] + requester.sent
    return secrets_in(calls) | secrets_in("\n".join(sent))


# ---- where it is looked for ----

type Look = Callable[[], Iterable[str | bytes]]


@pytest.fixture(scope="module")
def places(
    planted: None, cloud: Cloud, folder: Path, storage: Storage, subscriber: Subscriber, api: Api
) -> dict[str, Look]:
    """Each place with how to look there: at everything, now."""

    def quiet() -> Iterator[Exchange]:
        return (exchange for exchange in api.exchanges if not exchange.hands_out_credentials)

    def configuration() -> Iterator[str | bytes]:
        return values_of(cloud.client("lambda").list_functions()["Functions"])

    return {
        "logs": storage.log_lines,
        "the programs' own logs": lambda: [path.read_bytes() for path in (folder / "logs").glob("*.log")],
        "events": lambda: [json.dumps(event) for event in subscriber.received],
        "items": lambda: values_of(storage.items()),
        "problems": lambda: (exchange.received for exchange in quiet() if exchange.is_problem),
        "other answers": lambda: (exchange.received for exchange in quiet() if not exchange.is_problem),
        "the functions' configuration": configuration,
    }


PLACES = [
    "logs",
    "the programs' own logs",
    "events",
    "items",
    "problems",
    "other answers",
    "the functions' configuration",
]


@pytest.mark.parametrize("place", PLACES)
def test_there_is_something_to_look_through(place: str, places: dict[str, Look]) -> None:
    assert sum(len(text) for text in places[place]()) > 1000


def test_what_is_kept_of_secrets_is_sealed(storage: Storage, planted: None) -> None:
    """Of open streams their credentials, and of a request that is yet to be carried out its secrets."""
    sealed = {name for item in storage.items() for name, value in item.items() if "B" in value}
    assert sealed == {"sealed_credentials", "request_secrets"}


@pytest.mark.parametrize("place", PLACES)
def test_no_secret_is_there(place: str, places: dict[str, Look], handed_out: set[str]) -> None:
    assert leaks(places[place](), handed_out) == []


def test_there_were_secrets_of_every_kind(handed_out: set[str]) -> None:
    kinds = {tuple(one.split("-")[1:-1]) for one in handed_out}
    assert {
        ("cloudflare", "rtmps"),
        ("cloudflare", "srt"),
        ("cloudflare", "webrtc"),
        ("overshoot", "publish", "token"),
        ("pyannote", "url"),
        ("planted", "camera"),
        ("planted", "output", "key"),
        ("planted", "patched"),
        ("planted", "webhook"),
    } <= kinds
    for provider, stored in SECRETS.items():
        assert secrets_in(json.dumps(stored)) <= handed_out, provider


@pytest.mark.parametrize("provider", SECRETS)
@pytest.mark.usefixtures("planted")
def test_whoever_asks_for_the_credentials_gets_them(provider: str, api: Api) -> None:
    answers = [exchange for exchange in api.exchanges if exchange.path.startswith(f"/streams/{provider}")]
    asked = [exchange for exchange in answers if exchange.hands_out_credentials]
    assert {exchange.method for exchange in asked if leaks([exchange.received])} == {"GET", "POST"}


def test_our_own_keys_to_the_providers_are_in_no_answer_at_all(api: Api, planted: None) -> None:
    ours = secrets_in(json.dumps(SECRETS))
    for exchange in api.exchanges:
        assert not ours & secrets_in(exchange.received)


# ---- the very same search, and something to find ----


@contextmanager
def logged(leak: str, cloud: Cloud) -> Iterator[None]:
    logs, stream = cloud.client("logs"), {"logGroupName": cloud.log_group, "logStreamName": "on-purpose"}
    logs.create_log_stream(**stream)
    started = cloud.client("logs").describe_log_streams(logGroupName=cloud.log_group)["logStreams"]
    moment = max(one.get("lastIngestionTime", 0) for one in started)
    logs.put_log_events(**stream, logEvents=[{"timestamp": moment, "message": f"created with {leak}"}])
    yield
    logs.delete_log_stream(**stream)


@contextmanager
def logged_by_a_program(leak: str, cloud: Cloud) -> Iterator[None]:
    """The emulator writes down the name of each queue that is made."""
    sqs = cloud.client("sqs")
    url = sqs.create_queue(QueueName=leak)["QueueUrl"]
    yield
    sqs.delete_queue(QueueUrl=url)


@contextmanager
def put_on_the_bus(leak: str, cloud: Cloud, subscriber: Subscriber) -> Iterator[None]:
    detail = {"data": {"stream": {"id": "on-purpose", "name": leak}}}
    entry = {"Source": "headwater", "DetailType": "OnPurpose", "Detail": json.dumps(detail)}
    cloud.client("events").put_events(Entries=[{**entry, "EventBusName": cloud.bus}])
    [event] = subscriber.await_events("on-purpose", "OnPurpose")
    yield
    subscriber.received.remove(event)


@contextmanager
def kept(leak: str, cloud: Cloud) -> Iterator[None]:
    dynamodb, key = cloud.client("dynamodb"), {"pk": {"S": "ON#PURPOSE"}, "sk": {"S": "STREAM"}}
    dynamodb.put_item(TableName=cloud.table, Item={**key, "sealed_credentials": {"B": f"not {leak}".encode()}})
    yield
    dynamodb.delete_item(TableName=cloud.table, Key=key)


@contextmanager
def answered(leak: str, api: Api, content_type: str) -> Iterator[None]:
    answer = httpx.Response(422, headers={"content-type": content_type}, json={"detail": leak})
    exchange = Exchange("POST", "/streams/overshoot", "", answer)
    api.exchanges.append(exchange)
    yield
    api.exchanges.remove(exchange)


@contextmanager
def configured(leak: str, cloud: Cloud) -> Iterator[None]:
    functions = cloud.client("lambda")
    function = functions.list_functions()["Functions"][0]
    name = {"FunctionName": function["FunctionName"]}
    functions.update_function_configuration(**name, Description=leak)
    yield
    functions.update_function_configuration(**name, Description=function["Description"])


@pytest.mark.parametrize("place", PLACES)
def test_the_search_finds_what_is_leaked_on_purpose(
    place: str, places: dict[str, Look], cloud: Cloud, api: Api, subscriber: Subscriber
) -> None:
    leak = secret("on-purpose")
    ways: dict[str, Callable[[], AbstractContextManager[None]]] = {
        "logs": lambda: logged(leak, cloud),
        "the programs' own logs": lambda: logged_by_a_program(leak, cloud),
        "events": lambda: put_on_the_bus(leak, cloud, subscriber),
        "items": lambda: kept(leak, cloud),
        "problems": lambda: answered(leak, api, "application/problem+json"),
        "other answers": lambda: answered(leak, api, "application/json"),
        "the functions' configuration": lambda: configured(leak, cloud),
    }
    with ways[place]():
        found = eventually(lambda: leaks(places[place]()), bool)
    assert any(leak in one for one in found)


@pytest.mark.parametrize("before", ["", "u", "ur", "url"])
def test_the_search_sees_through_disguises(before: str) -> None:
    leak = secret("in-disguise")
    told = f"{before}{leak}&x=1"
    disguised = {
        "base64": base64.b64encode(told.encode()).decode(),
        "base64 for addresses": base64.urlsafe_b64encode(told.encode()).decode(),
        "hexadecimal": told.encode().hex(),
        "percent-encoded": quote(told, safe=""),
        "percent-encoded throughout": "".join(f"%{byte:02X}" for byte in told.encode()),
        "inside JSON inside JSON": json.dumps(json.dumps({"key": told})),
    }
    for form, text in disguised.items():
        assert leaks([f"before {text} after"]), form
    assert leaks([f"…{leak[-32:]}"], [leak])
    assert not leaks(["nothing", b"\x00\x01", "can a ry-"], [leak])
