"""What is refused before anything happens: each bad call with its problem, nobody called and nothing written."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from local.client import SignedClient
from local.cloud import Cloud
from tests.stack.bus import Requester, Subscriber
from tests.stack.callers import Api, new_caller
from tests.stack.doors import Door
from tests.stack.storage import Storage
from tests.stack.ways import OVERSHOOT_V02, PROVIDERS

Json = dict[str, Any]

BOTH_RATES = {"clip_length_seconds": 1, "delay_seconds": 1, "target_fps": 6, "fps": 30, "sampling_ratio": 0.5}


@dataclass(frozen=True)
class Bad:
    """One bad create, and what it is answered with."""

    body: Any
    status: int = 422
    code: str = "invalid-request"
    pointers: tuple[str, ...] = ()
    """Each place that is wrong, in any order."""
    provider: str = "cloudflare"
    headers: Json = field(default_factory=lambda: {"Idempotency-Key": "bad"})


BAD = {
    "an unknown provider": Bad({}, 404, "provider-unknown", provider="vimeo"),
    "no key": Bad({}, 400, "idempotency-key-missing", headers={}),
    "a key of 256 characters": Bad({}, 400, "idempotency-key-invalid", headers={"Idempotency-Key": "k" * 256}),
    "an unknown option": Bad({"options": {"colour": "red"}}, pointers=("/options/colour",)),
    "an option that is another provider's": Bad(
        {"options": {"recording": {"mode": "off"}}}, pointers=("/options/recording",), provider="pyannote"
    ),
    "an unknown field": Bad({"colour": "red"}, pointers=("/colour",)),
    "a text for a number": Bad(
        {"options": {"recording": {"timeout_seconds": "10"}}}, pointers=("/options/recording/timeout_seconds",)
    ),
    "too few days for recordings": Bad(
        {"options": {"delete_recording_after_days": 29}}, pointers=("/options/delete_recording_after_days",)
    ),
    "low latency of what is not recorded": Bad(
        {"options": {"prefer_low_latency": True}}, pointers=("/options/prefer_low_latency",)
    ),
    "both ways to tell a clip's frame rate": Bad(
        OVERSHOOT_V02.asking(processing=BOTH_RATES).body(),
        pointers=("/options/processing/target_fps",),
        provider="overshoot",
    ),
    "an unknown version of the provider's API": Bad(
        {"options": {"api_version": "v3"}}, pointers=("/options/api_version",), provider="overshoot"
    ),
    "a camera on this machine": Bad(
        {"options": {"source": {"type": "rtsp", "url": "rtsp://127.0.0.1/main"}}},
        pointers=("/options/source/url",),
        provider="overshoot",
    ),
    "a name with a blank": Bad(
        {"options": {"stream_name": "loading dock"}}, pointers=("/options/stream_name",), provider="kinesis-video"
    ),
    "51 tags": Bad(
        {"options": {"tags": {f"tag{n}": "" for n in range(51)}}}, pointers=("/options/tags",), provider="kinesis-video"
    ),
    "a body that is no JSON": Bad("{name: lobby}", 400, "malformed-body"),
    "a body that is no object": Bad("[]", 400, "malformed-body"),
    "a body above 64 kB": Bad({"name": "x" * 64_000}, 413, "body-too-large"),
    "many faults": Bad(
        {
            "name": "",
            "metadata": {"customer": 42},
            "max_lifetime_seconds": 59,
            "colour": "red",
            "options": {"recording": {"mode": "always"}, "enabled": "yes", "delete_recording_after_days": 2000},
        },
        pointers=(
            "/name",
            "/metadata/customer",
            "/max_lifetime_seconds",
            "/colour",
            "/options/recording/mode",
            "/options/enabled",
            "/options/delete_recording_after_days",
        ),
    ),
}


@pytest.fixture
def untouched(doors: dict[str, Door], storage: Storage) -> Iterator[None]:
    """No provider is called and nothing is written while the test runs."""

    def called() -> dict[str, int]:
        # A stream that another test has left open may have its lease renewed meanwhile.
        calls = {name: door.calls() for name, door in doors.items()}
        return {name: sum(call["operation"] != "keepStreamAlive" for call in made) for name, made in calls.items()}

    before = called(), storage.keys()
    yield
    assert (called(), storage.keys()) == before


def problem_of(answer: httpx.Response) -> Json:
    """The problem in an answer, of the form that every refusal has."""
    assert answer.headers["content-type"] == "application/problem+json"
    problem: Json = answer.json()
    assert problem["status"] == answer.status_code
    assert problem["type"] == f"urn:headwater:problem:{problem['code']}"
    assert problem["title"]
    assert problem["detail"]
    assert problem["request_id"]
    assert ("retry-after" in answer.headers) == problem["retryable"]
    return problem


@pytest.mark.parametrize("what", BAD)
@pytest.mark.usefixtures("untouched")
def test_a_bad_create_is_refused_with_all_its_faults(what: str, api: Api) -> None:
    bad = BAD[what]
    answer = api.call("POST", f"/streams/{bad.provider}", bad.body, bad.headers)
    problem = problem_of(answer)
    assert (answer.status_code, problem["code"]) == (bad.status, bad.code)
    assert sorted(fault["pointer"] for fault in problem["errors"]) == sorted(bad.pointers)
    assert all(fault["code"] and fault["detail"] for fault in problem["errors"])


@pytest.mark.parametrize("method", ["GET", "POST", "PATCH", "DELETE"])
@pytest.mark.usefixtures("untouched")
def test_an_unknown_provider_is_told_whatever_is_asked_of_it(method: str, api: Api) -> None:
    problem = problem_of(api.call(method, "/streams/vimeo/str_1"))
    assert (problem["status"], problem["code"]) == (404, "provider-unknown")
    assert all(provider in problem["detail"] for provider in PROVIDERS)


@pytest.mark.usefixtures("untouched")
def test_an_address_where_nothing_is_answers_as_the_gateway_does(api: Api) -> None:
    assert problem_of(api.call("GET", "/nowhere"))["code"] in {"unauthenticated", "route-not-found"}


@pytest.mark.parametrize("path", ["/streams/cloudflare/str_1/rotate", "/streams/pyannote/str_1/events/1"])
@pytest.mark.usefixtures("untouched")
def test_an_unknown_route_below_a_provider_is_told(path: str, api: Api) -> None:
    problem = problem_of(api.call("GET", path))
    assert (problem["status"], problem["code"]) == (404, "route-not-found")


# ---- whose it is ----


@pytest.fixture(scope="module")
def theirs(requester: Requester, subscriber: Subscriber, api: Api) -> str:
    """Another tenant's stream.

    By a request over the bus that names the tenant, which the stack's own account may do: the emulator knows an API
    in its own account only, so no caller of another account gets as far as the functions.
    """
    tenant = "aws:210987654321"
    requester.ask("pyannote", {}, idempotency_key="theirs", tenant=tenant)
    [created] = subscriber.await_events(api.id_of("pyannote", "theirs", tenant), "StreamCreated")
    href: str = created["detail"]["data"]["stream"]["href"]
    return href


NOBODYS = f"/streams/pyannote/str_{'a' * 52}"


@pytest.mark.parametrize(
    ("method", "below", "body"),
    [
        ("GET", "", None),
        ("GET", "?refresh=true", None),
        ("PATCH", "", {"name": "mine"}),
        ("DELETE", "", None),
        ("GET", "/credentials", None),
        ("GET", "/credentials?refresh=true", None),
        ("POST", "/credentials/rotate", None),
        ("GET", "/events", None),
        ("POST", "/keepalive", None),
        ("POST", "/repair", None),
        ("GET", "/outputs", None),
        ("POST", "/outputs", {"url": "rtmp://live.example.org/app", "stream_key": "mine"}),
        ("PATCH", "/outputs/one", {"enabled": False}),
        ("DELETE", "/outputs/one", None),
    ],
)
def test_another_tenant_s_stream_is_a_404_like_any_other(
    method: str, below: str, body: Any, theirs: str, api: Api, untouched: None
) -> None:
    hidden, absent = (problem_of(api.call(method, href + below, body)) for href in (theirs, NOBODYS))
    assert (hidden["status"], hidden["code"]) == (404, "stream-not-found")
    assert {**hidden, "request_id": ""} == {**absent, "request_id": ""}


@pytest.mark.usefixtures("untouched")
def test_a_stream_is_not_found_under_another_provider(api: Api, theirs: str) -> None:
    problem = problem_of(api.read(theirs.replace("pyannote", "cloudflare")))
    assert (problem["status"], problem["code"]) == (404, "stream-not-found")


def test_another_tenant_s_key_is_no_key_of_mine(theirs: str, api: Api) -> None:
    opened = api.create("pyannote", "theirs")
    assert opened.status_code == 201
    assert opened.json()["href"] != theirs


# ---- who calls ----

EACH_METHOD = pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/streams/cloudflare"),
        ("POST", "/streams/cloudflare/adopt"),
        ("GET", "/streams"),
        ("GET", "/providers"),
        ("GET", f"{NOBODYS}/credentials"),
        ("PATCH", NOBODYS),
        ("DELETE", NOBODYS),
    ],
)


@EACH_METHOD
@pytest.mark.usefixtures("untouched")
def test_a_call_without_a_signature_is_refused(method: str, path: str, cloud: Cloud, api: Api) -> None:
    headers = {"Idempotency-Key": "unsigned"}
    problem = problem_of(httpx.request(method, cloud.api_url + path, headers=headers, timeout=40))
    assert (problem["status"], problem["code"]) == (401, "unauthenticated")


@pytest.fixture(scope="module")
def forger(cloud: Cloud) -> Iterator[SignedClient]:
    """Knows an access key, and not the secret that goes with it."""
    access_key = cloud.client("iam").list_access_keys(UserName="caller")["AccessKeyMetadata"][0]["AccessKeyId"]
    client = SignedClient(cloud.api_url, cloud.region, access_key, "another secret")
    yield client
    client.close()


@EACH_METHOD
@pytest.mark.usefixtures("untouched")
def test_a_wrong_signature_is_refused(method: str, path: str, api: Api, forger: SignedClient) -> None:
    problem = problem_of(forger.call(method, path, headers={"Idempotency-Key": "forged"}))
    assert (problem["status"], problem["code"]) == (403, "access-denied")


@pytest.fixture(scope="module")
def stranger(cloud: Cloud) -> Iterator[Api]:
    """A user of this account who may not call this API."""
    stranger = new_caller(cloud, "stranger", allowed=False)
    yield stranger
    stranger.close()


@EACH_METHOD
@pytest.mark.usefixtures("untouched")
def test_a_caller_who_may_not_is_refused(method: str, path: str, stranger: Api) -> None:
    """In AWS's own words: the emulator does not render its denials by the API's gateway responses."""
    answer = stranger.call(method, path, headers={"Idempotency-Key": "strange"})
    assert answer.status_code == 403
    assert "execute-api:Invoke" in answer.text


# ---- a used key ----


def test_a_key_that_was_used_for_another_request_is_refused(api: Api) -> None:
    first = api.create("pyannote", "reused", {"name": "one"})
    problem = problem_of(api.create("pyannote", "reused", {"name": "another"}))
    assert (problem["status"], problem["code"]) == (422, "idempotency-key-reused")
    assert api.create("pyannote", "reused", {"name": "one"}).json() == first.json()


def test_the_same_request_in_other_words_is_the_same_request(api: Api) -> None:
    body = {"name": "one", "max_lifetime_seconds": 600, "metadata": {"a": "1", "b": "2"}}
    first = api.create("pyannote", "reworded", body)
    other = '{"metadata": {"b": "2", "a": "1"}, "max_lifetime_seconds": 600, "name": "\\u006fne"}'
    assert json.loads(other) == body
    again = api.call("POST", "/streams/pyannote", other, {"Idempotency-Key": "reworded"})
    assert (again.status_code, again.json()) == (200, first.json()), again.text
