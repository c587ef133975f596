"""A provider's routes, called as API Gateway calls them."""

import base64
import io
import json
import re
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from headwater import aws
from headwater.api import deadline_of
from headwater.errors import (
    ProviderOutcomeUnknown,
    ProviderRateLimited,
    ProviderRejected,
    ProviderSecretInvalid,
    ProviderUnauthorized,
    ProviderUnavailable,
)
from headwater.ports import Caller
from headwater.provider_function import ProviderFunction
from headwater.requests import BODY_BYTES
from headwater.streams import State, identify, now
from tests.unit.fakes import (
    ACCOUNT,
    CANARY,
    DEPLOYMENT,
    FakeProvider,
    Harmless,
    Killed,
    Plain,
    Unfindable,
    World,
    notification,
    whole_invocation,
)
from tests.unit.test_queue import Context, batch, requested
from tests.unit.test_store import NAME, table_properties

ROOT = "/streams/fake"
REQUEST_ID = "req-77"


def call(
    method: str,
    path: str,
    *,
    body: str | None = None,
    headers: dict[str, str] | None = None,
    query: dict[str, str] | None = None,
    base64_encoded: bool = False,
    account: str = ACCOUNT,
    authorizer: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """An API Gateway proxy event."""
    headers = {"Content-Type": "application/json", **(headers or {})}
    return {
        "resource": "/streams/fake/{proxy+}",
        "path": path,
        "httpMethod": method,
        "headers": headers,
        "multiValueHeaders": {name: [value] for name, value in headers.items()},
        "queryStringParameters": query,
        "multiValueQueryStringParameters": {name: [value] for name, value in query.items()} if query else None,
        "pathParameters": {"proxy": path.removeprefix(f"{ROOT}/")},
        "stageVariables": None,
        "requestContext": {
            "accountId": "000000000000",
            "apiId": "a1b2c3",
            "authorizer": authorizer,
            "domainName": "a1b2c3.execute-api.eu-central-1.amazonaws.com",
            "httpMethod": method,
            "identity": {"accountId": account, "sourceIp": "192.0.2.1", "userArn": "arn:aws:iam::1:user/x"},
            "path": f"/v1{path}",
            "protocol": "HTTP/1.1",
            "requestId": REQUEST_ID,
            "requestTimeEpoch": 1763700000000,
            "resourcePath": "/streams/fake/{proxy+}",
            "stage": "v1",
        },
        "body": body,
        "isBase64Encoded": base64_encoded,
    }


class Service(World):
    """The function of a provider over fakes."""

    def __init__(self, provider: FakeProvider | None = None) -> None:
        super().__init__(provider)
        self.function = ProviderFunction(lambda: self.provider)
        self.function.parts = self.parts

    def call(self, method: str, path: str, **rest: Any) -> "Answered":
        return Answered(self.function(call(method, path, **rest), Context()))

    def create(self, body: Any = None, key: str | None = "key", **rest: Any) -> "Answered":
        headers = {"Idempotency-Key": key} if key is not None else {}
        text = body if isinstance(body, str) else json.dumps(body or {})
        return self.call("POST", ROOT, body=text, headers={**headers, **rest.pop("headers", {})}, **rest)

    def one(self, method: str = "GET", suffix: str = "", **rest: Any) -> "Answered":
        return self.call(method, f"{ROOT}/{self.id_of()}{suffix}", **rest)


class Answered:
    """A proxy answer, with its headers by lower-case name."""

    def __init__(self, raw: dict[str, Any]) -> None:
        self.status: int = raw["statusCode"]
        self.text: str = raw["body"]
        single = raw.get("headers") or {}
        several = {name: ",".join(values) for name, values in (raw.get("multiValueHeaders") or {}).items()}
        self.headers = {name.lower(): value for name, value in {**single, **several}.items()}
        assert not raw["isBase64Encoded"]

    @property
    def body(self) -> dict[str, Any]:
        parsed: dict[str, Any] = json.loads(self.text)
        return parsed

    def problem(self, status: int, code: str) -> dict[str, Any]:
        """The body, being this problem."""
        assert self.headers["content-type"] == "application/problem+json"
        problem = self.body
        assert (self.status, problem["status"], problem["code"]) == (status, status, code)
        assert problem["request_id"] == REQUEST_ID
        assert {"type", "title", "detail", "retryable", "errors"} <= set(problem)
        assert CANARY not in self.text
        return problem


# ---- create


def test_a_create_answers_the_stream_with_its_credentials() -> None:
    service = Service()
    body = {"name": "lobby", "metadata": {"a": "b"}, "options": {"quality": 0.5, "camera_url": f"{CANARY}url"}}
    answer = service.create(body)
    assert answer.status == 201
    assert answer.headers["content-type"] == "application/json"
    stream_id = service.id_of()
    host = "https://a1b2c3.execute-api.eu-central-1.amazonaws.com"
    assert answer.headers["location"] == f"{host}/v1{ROOT}/{stream_id}"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["etag"] == '"1"'
    assert "idempotency-replayed" not in answer.headers
    stream = answer.body
    credentials = stream.pop("credentials")
    assert credentials["ingest"][0]["stream_key"] == service.provider.secret_of("ref-1")
    assert CANARY not in json.dumps(stream)
    assert stream["options"] == {"quality": 0.5, "camera_url": "***"}
    assert (stream["id"], stream["href"], stream["state"]) == (stream_id, f"{ROOT}/{stream_id}", "ready")
    assert (stream["name"], stream["metadata"], stream["version"]) == ("lobby", {"a": "b"}, 1)
    assert (stream["expires_at"], stream["lease"]) == (None, None)


def test_a_stream_has_the_promised_shape() -> None:
    service = Service()
    stream = service.create().body
    assert set(stream) >= {
        *("id", "provider", "provider_ref", "name", "state", "provider_status", "metadata", "version"),
        *("created_at", "updated_at", "expires_at", "lease", "ingest", "playback", "options", "href", "credentials"),
    }
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", stream["created_at"])


def test_a_replay_answers_the_same_with_200() -> None:
    service = Service()
    first, again = service.create({"name": "a"}), service.create({"name": "a"})
    assert again.status == 200
    assert again.headers["idempotency-replayed"] == "true"
    assert again.headers["cache-control"] == "no-store"
    assert again.body == first.body
    assert service.provider.calls == ["create"]


def test_a_create_without_a_body_asks_for_a_stream_without_options() -> None:
    service = Service()
    assert service.call("POST", ROOT, headers={"Idempotency-Key": "k"}).status == 201
    assert service.call("POST", ROOT, body="", headers={"Idempotency-Key": "k2"}).status == 201


def test_a_header_s_name_may_be_written_in_any_case() -> None:
    service = Service()
    assert service.call("POST", ROOT, body="{}", headers={"idempotency-key": "key"}).status == 201
    assert service.create().status == 200


def test_a_body_may_come_in_base64() -> None:
    service = Service()
    encoded = base64.b64encode('{"name": "Größe"}'.encode()).decode()
    assert service.create(encoded, base64_encoded=True).body["name"] == "Größe"


@pytest.mark.parametrize("content", [b"\xff\xfe{}", b'{"name": "\xe9"}'])
def test_a_body_that_is_no_text_is_malformed(content: bytes) -> None:
    answer = Service().create(base64.b64encode(content).decode(), base64_encoded=True)
    answer.problem(400, "malformed-body")


@pytest.mark.parametrize("key", [None, "", "   "])
def test_a_create_needs_a_key(key: str | None) -> None:
    service = Service()
    service.create(key=key).problem(400, "idempotency-key-missing")
    assert service.store.records == {}


@pytest.mark.parametrize("key", ["k" * 256, "caf\u00e9", "a\tb", "a\nb", "\x7f"])
def test_a_key_has_at_most_255_printable_characters(key: str) -> None:
    service = Service()
    service.create(key=key).problem(400, "idempotency-key-invalid")
    assert service.store.records == {}


@pytest.mark.parametrize("key", ["k", "k" * 255, 'a b~!"#/{}'])
def test_any_printable_key_can_be_used(key: str) -> None:
    assert Service().create(key=key).status == 201


@pytest.mark.parametrize("body", ["no JSON", "[]", '"text"', '{"name": "a", "name": "b"}', '{"a": NaN}', "{"])
def test_a_body_that_is_no_json_object_is_malformed(body: str) -> None:
    Service().create(body).problem(400, "malformed-body")


def test_a_body_of_64_kb_is_read_and_a_longer_one_is_not() -> None:
    service = Service()
    assert service.create("{}" + " " * (BODY_BYTES - 2)).status == 201
    service.create("{}" + " " * (BODY_BYTES - 1), key="k2").problem(413, "body-too-large")
    assert len(service.store.records) == 1


def test_a_body_s_length_is_counted_in_bytes() -> None:
    name = "é" * (BODY_BYTES // 2)
    Service().create(json.dumps({"name": name}, ensure_ascii=False)).problem(413, "body-too-large")


@pytest.mark.parametrize("depth", [500, 2000, 20_000])
def test_a_body_of_any_depth_is_the_caller_s_mistake(depth: int) -> None:
    answer = Service().create('{"options": {"labels": ' + "[" * depth + "]" * depth + "}}")
    assert answer.status in {400, 422}


def test_an_unknown_option_is_named_with_all_else_that_is_wrong() -> None:
    service = Service()
    answer = service.create({"name": "", "options": {"nope": CANARY, "labels": [1]}})
    problem = answer.problem(422, "invalid-request")
    assert {error["pointer"] for error in problem["errors"]} == {"/name", "/options/nope", "/options/labels/0"}
    assert not problem["retryable"]
    assert service.store.records == {}


def test_a_key_that_was_used_for_another_request_is_refused() -> None:
    service = Service()
    service.create({"name": "a"})
    service.create({"name": "b"}).problem(422, "idempotency-key-reused")


def test_a_create_in_progress_says_when_to_come_back() -> None:
    service = Service()
    service.provider.fail("create", Killed())
    with pytest.raises(Killed):
        service.create()
    answer = service.create()
    assert answer.problem(409, "creation-in-progress")["retryable"]
    assert 30 <= int(answer.headers["retry-after"]) <= 34


def test_a_refusal_by_the_provider_is_told() -> None:
    service = Service()
    service.provider.fail("create", ProviderRejected("fake answered 400: no such thing"))
    answer = service.create()
    assert answer.problem(422, "provider-rejected")["detail"] == "fake answered 400: no such thing"
    assert "retry-after" not in answer.headers
    assert service.one().body["state"] == "failed"


@pytest.mark.parametrize(
    ("error", "status", "wait"),
    [
        (ProviderRateLimited("slow down", retry_after=7), 503, "7"),
        (ProviderRateLimited("slow down", retry_after=1.2), 503, "2"),
        (ProviderRateLimited("slow down"), 503, None),
        (ProviderUnavailable("not there"), 503, None),
        (ProviderUnavailable("not there", retry_after=0), 503, "1"),
        (ProviderOutcomeUnknown("silence"), 504, None),
    ],
)
def test_what_may_be_tried_again_says_when(error: ProviderUnavailable, status: int, wait: str | None) -> None:
    service = Service()
    service.provider.fail("create", error)
    answer = service.create()
    assert answer.problem(status, error.code)["retryable"]
    assert answer.headers["retry-after"] == wait if wait else int(answer.headers["retry-after"]) >= 1


def test_a_provider_that_asks_to_wait_for_ever_is_answered_all_the_same() -> None:
    service = Service()
    service.provider.fail("create", ProviderRateLimited("slow down", retry_after=float("inf")))
    service.create().problem(503, "provider-rate-limited")


def test_an_unknown_outcome_is_told_with_how_long_it_takes_to_be_over() -> None:
    service = Service(Unfindable())
    service.provider.fail("create", ProviderOutcomeUnknown("silence"), carried_out=True)
    answer = service.create()
    answer.problem(504, "provider-outcome-unknown")
    assert answer.headers["retry-after"] == "320"
    assert service.one().body["state"] == "unknown"


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (ProviderUnauthorized("no"), 502, "provider-unauthorized"),
        (ProviderSecretInvalid("malformed"), 500, "provider-secret-invalid"),
    ],
)
def test_a_bad_secret_of_ours_is_never_the_caller_s_fault(error: Exception, status: int, code: str) -> None:
    service = Service()
    service.provider.fail("create", error)
    service.create().problem(status, code)
    assert service.create().status == 201


def test_what_nobody_foresaw_is_a_problem_too_and_shows_nothing(log: io.StringIO) -> None:
    service = Service()
    service.provider.fail("create", RuntimeError(f"https://u:{CANARY}word@host"))
    answer = service.create()
    assert "host" not in str(answer.problem(500, "internal-error"))
    assert "RuntimeError" in log.getvalue()
    assert CANARY not in log.getvalue()
    assert REQUEST_ID in log.getvalue()


def test_a_create_is_counted_once_and_nothing_that_is_written_shows_a_secret(
    log: io.StringIO, capsys: pytest.CaptureFixture[str]
) -> None:
    service = Service()
    for _ in range(2):
        service.create({"options": {"camera_url": f"{CANARY}url"}})
    service.create({"options": {"camera_url": [f"{CANARY}url"]}}, key="k2")
    service.one()
    service.one("DELETE")
    written = capsys.readouterr().out
    assert service.counted == ["StreamProvisioned"]
    assert CANARY not in written + log.getvalue()


# ---- read


def test_a_stream_is_read_without_its_credentials() -> None:
    service = Service()
    created = service.create({"options": {"camera_url": f"{CANARY}url"}}).body
    answer = service.one()
    assert (answer.status, answer.headers["etag"]) == (200, '"1"')
    del created["credentials"]
    assert answer.body == created
    assert CANARY not in answer.text
    assert service.provider.calls == ["create"]


def test_a_stream_is_refreshed_when_asked() -> None:
    service = Service()
    service.create()
    service.provider.state = State.LIVE
    answer = service.one(query={"refresh": "true"})
    assert (answer.body["state"], answer.headers["etag"]) == ("live", '"2"')
    assert service.one(query={"refresh": "false"}).body["state"] == "live"
    assert service.provider.count("read") == 1


def test_a_stream_that_was_lost_has_ended() -> None:
    service = Service()
    service.create()
    service.provider.alive.clear()
    problem = service.one(query={"refresh": "true"}).problem(410, "stream-ended")
    assert problem["state"] == "lost"


# ---- remove


def test_a_stream_is_removed_and_removed_again_and_then_gone() -> None:
    service = Service()
    service.create()
    for _ in range(2):
        answer = service.one("DELETE")
        assert (answer.status, answer.text) == (204, "")
    problem = service.one().problem(410, "stream-ended")
    assert (problem["state"], problem["reason"]) == ("ended", "deleted")
    service.one(suffix="/credentials").problem(410, "stream-ended")
    service.create().problem(410, "stream-ended")
    assert service.provider.alive == {}


def test_what_remains_at_the_provider_is_told() -> None:
    service = Service()
    service.create()
    service.provider.remains = "Its recordings stay."
    answer = service.one("DELETE")
    assert (answer.status, answer.body["remains"], answer.body["state"]) == (200, "Its recordings stay.", "ended")
    assert service.one("DELETE").status == 204


def test_a_stream_that_is_being_created_is_not_removed() -> None:
    service = Service()
    service.provider.fail("create", Killed())
    with pytest.raises(Killed):
        service.create()
    answer = service.one("DELETE")
    answer.problem(409, "creation-in-progress")
    assert int(answer.headers["retry-after"]) > 0


# ---- credentials, keepalive, events


def test_credentials_are_what_the_create_answered_and_are_not_stored() -> None:
    service = Service()
    created = service.create().body
    answer = service.one(suffix="/credentials")
    assert answer.status == 200
    assert answer.headers["cache-control"] == "no-store"
    assert answer.body == {"id": created["id"], **created["credentials"]}


def test_a_lease_is_renewed() -> None:
    service = Service(Unfindable())
    service.create()
    service.clock.advance(100)
    answer = service.one("POST", "/keepalive")
    assert answer.status == 200
    assert answer.body["lease"]["ttl_seconds"] == 300
    assert "credentials" not in answer.body
    assert CANARY not in answer.text


def test_where_there_is_no_lease_none_is_renewed() -> None:
    service = Service(Plain())
    service.create()
    service.one("POST", "/keepalive").problem(409, "capability-not-supported")


def test_a_stream_s_events_are_told_also_when_it_is_over() -> None:
    service = Service()
    service.create({"options": {"camera_url": f"{CANARY}url"}})
    service.one("DELETE")
    answer = service.one(suffix="/events")
    assert answer.status == 200
    assert [event["type"] for event in answer.body["events"]] == ["StreamCreated", "StreamDeleted"]
    assert {event["request_id"] for event in answer.body["events"]} == {REQUEST_ID}
    assert CANARY not in answer.text


# ---- whose it is


EACH_ROUTE = pytest.mark.parametrize(
    ("method", "suffix"),
    [("GET", ""), ("DELETE", ""), ("GET", "/credentials"), ("POST", "/keepalive"), ("GET", "/events")],
)


@EACH_ROUTE
@pytest.mark.parametrize(
    "who", [{"account": "999999999999"}, {"authorizer": {"tenant": "jwt:abc:user"}}], ids=["account", "token"]
)
def test_another_tenant_s_stream_looks_like_none(method: str, suffix: str, who: dict[str, Any]) -> None:
    service = Service()
    service.create()
    theirs = service.one(method, suffix, **who)
    none = service.call(method, f"{ROOT}/str_{'a' * 52}{suffix}", **who)
    theirs.problem(404, "stream-not-found")
    assert (theirs.text, theirs.headers) == (none.text, none.headers)
    assert len(service.provider.alive) == 1


def test_a_token_s_tenant_goes_before_the_account() -> None:
    service = Service()
    answer = service.create(authorizer={"tenant": "jwt:abc:user"})
    assert answer.body["id"] == identify(DEPLOYMENT, "jwt:abc:user", "fake", "key")
    assert service.store.records[answer.body["id"]].tenant == "jwt:abc:user"


def test_the_tenant_of_who_signed_is_their_own_account_and_not_the_api_s() -> None:
    service = Service()
    service.create(account="555555555555")
    (record,) = service.store.records.values()
    assert record.tenant == "aws:555555555555"


def test_who_cannot_be_told_apart_is_not_served() -> None:
    """All such callers would share one tenant."""
    service = Service()
    event = call("POST", ROOT, body="{}", headers={"Idempotency-Key": "k"})
    event["requestContext"]["identity"]["accountId"] = None
    assert Answered(service.function(event, Context())).status >= 400
    assert service.store.records == {}


# ---- anything else


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", ROOT),
        ("PUT", f"{ROOT}/str_x"),
        ("GET", f"{ROOT}/str_x/nope"),
        ("GET", "/streams/other/str_x"),
        ("POST", f"{ROOT}/str_x/credentials"),
        ("GET", "/"),
    ],
)
def test_an_address_where_there_is_nothing_is_a_problem_too(method: str, path: str) -> None:
    Service().call(method, path).problem(404, "route-not-found")


def test_a_location_under_a_name_of_one_s_own_has_no_stage() -> None:
    service = Service()
    event = call("POST", ROOT, body="{}", headers={"Idempotency-Key": "key"})
    event["requestContext"] |= {"domainName": "streams.example.com", "path": ROOT}
    answer = Answered(service.function(event, Context()))
    assert answer.headers["location"] == f"https://streams.example.com{ROOT}/{service.id_of()}"


def test_an_invocation_with_no_time_left_calls_nobody() -> None:
    service = Service()
    event = call("POST", ROOT, body="{}", headers={"Idempotency-Key": "key"})
    service.function(event, Context(seconds=2))
    assert service.provider.time_given in ([], [0.0])


def created_at_age(seconds: float | None, *, left: float = 29) -> Service:
    """A create whose call reached the gateway so long ago, in an invocation that has ``left`` seconds."""
    service = Service()
    event = call("POST", ROOT, body="{}", headers={"Idempotency-Key": "key"})
    arrived = None if seconds is None else int((time.time() - seconds) * 1000)
    event["requestContext"]["requestTimeEpoch"] = arrived
    service.function(event, Context(left))
    return service


def time_to_answer(seconds: float | None, *, left: float = 29) -> float:
    """What such a call's provider is given, and what is kept to settle."""
    service = created_at_age(seconds, left=left)
    (given,) = service.provider.time_given
    return given + service.parts.settle_reserve


def test_what_a_cold_start_took_is_missing_from_the_time_to_answer() -> None:
    """API Gateway's 29 s began when the call came, the invocation's only after the start."""
    assert time_to_answer(6) == pytest.approx(22.5, abs=0.4)


def test_an_invocation_that_ends_before_the_gateway_gives_up_is_what_counts() -> None:
    assert time_to_answer(6, left=12) == pytest.approx(11.5, abs=0.4)


@pytest.mark.parametrize("seconds", [-3, -4000, 15.5, 4000, None])
def test_a_call_s_arrival_by_a_clock_that_differs_counts_for_nothing(seconds: float | None) -> None:
    assert time_to_answer(seconds) == pytest.approx(28.5, abs=0.4)


def test_a_worker_lives_until_its_invocation_ends_whenever_its_answer_is_due() -> None:
    event = call("POST", ROOT)
    event["requestContext"]["requestTimeEpoch"] = int((time.time() - 9) * 1000)
    deadline = deadline_of(Context(), event)
    assert deadline.remaining() == pytest.approx(19.5, abs=0.4)
    assert deadline.worker_ends() == pytest.approx(29, abs=0.4)


def test_a_batch_has_its_invocation_s_time() -> None:
    assert deadline_of(Context(20)).remaining() == pytest.approx(19.5, abs=0.1)


def test_one_function_takes_calls_and_batches() -> None:
    service = Service()
    assert service.create({"name": "a"}).status == 201
    assert service.function(batch(requested({"name": "b"}, idempotency_key="k2")), Context()) == {
        "batchItemFailures": []
    }
    assert len(service.provider.alive) == 2


PREFERENCES = ["respond-async", "Respond-Async", "wait=10, respond-async", "respond-async; foo=bar, wait=10"]


@pytest.mark.parametrize("preference", PREFERENCES)
def test_a_caller_who_does_not_wait_is_answered_at_once(preference: str) -> None:
    service = Service()
    secret = {"options": {"camera_url": f"{CANARY}url"}}
    first = service.create(secret, headers={"Prefer": preference})
    assert (first.status, first.body["state"], first.body["version"]) == (202, "provisioning", 0)
    assert first.headers["preference-applied"] == "respond-async"
    assert first.headers["location"].endswith(first.body["href"])
    assert "idempotency-replayed" not in first.headers
    assert "credentials" not in first.body
    assert CANARY not in first.text
    assert service.provider.calls == []
    again = service.create(secret, headers={"Prefer": preference})
    assert (again.status, again.body, again.headers["idempotency-replayed"]) == (202, first.body, "true")
    assert service.one().body == first.body
    for command in service.called_for:
        service.attention.attend(command, "bus-1", whole_invocation())
    assert service.one().body["state"] == "ready"
    replayed = service.create(secret, headers={"Prefer": preference})
    assert (replayed.status, replayed.headers["idempotency-replayed"]) == (200, "true")
    assert replayed.body["credentials"]
    assert service.provider.calls == ["create"]


@pytest.mark.parametrize("preference", ["", "wait=10", "respond-asynchronously", 'handling="respond-async"'])
def test_any_other_preference_is_ignored(preference: str) -> None:
    answer = Service().create(headers={"Prefer": preference})
    assert answer.status == 201
    assert "preference-applied" not in answer.headers


def test_a_bad_request_is_refused_at_once_although_its_caller_does_not_wait() -> None:
    service = Service()
    service.create({"options": {"foo": 1}}, headers={"Prefer": "respond-async"}).problem(422, "invalid-request")
    assert service.called_for == []
    assert service.store.records == {}


def test_nothing_is_made_before_the_first_event() -> None:
    made: list[int] = []

    def make() -> FakeProvider:
        made.append(1)
        return FakeProvider()

    ProviderFunction(make)
    assert made == []


@pytest.mark.parametrize("kind", [FakeProvider, Unfindable, Harmless])
def test_wired_to_aws_it_does_the_same(cloud: None, monkeypatch: pytest.MonkeyPatch, kind: Callable[[], Any]) -> None:
    aws.client("dynamodb").create_table(TableName=NAME, **table_properties())
    key_id = aws.client("kms").create_key()["KeyMetadata"]["KeyId"]
    for name, value in {
        "TABLE_NAME": NAME,
        "SEALING_KEY_ID": key_id,
        "DEPLOYMENT_ID": DEPLOYMENT,
        "ACCOUNT_ID": ACCOUNT,
        "CLAIM_MARGIN_SECONDS": "5",
        "LANDING_SECONDS": "20",
        "DEFAULT_LIFETIME_SECONDS": "0",
        "DUE_SHARDS": "16",
        "LIFETIME_CEILING_SECONDS": "0",
    }.items():
        monkeypatch.setenv(name, value)
    made = kind()
    function = ProviderFunction(lambda: made)

    def do(method: str, path: str, **rest: Any) -> Answered:
        return Answered(function(call(method, path, **rest), Context()))

    body = json.dumps({"name": "a", "options": {"camera_url": f"{CANARY}url"}})
    created = do("POST", ROOT, body=body, headers={"Idempotency-Key": "key"})
    again = do("POST", ROOT, body=body, headers={"Idempotency-Key": "key"})
    assert (created.status, again.status) == (201, 200)
    assert again.body == created.body
    one = f"{ROOT}/{created.body['id']}"
    assert do("GET", f"{one}/credentials").body == {"id": created.body["id"], **created.body["credentials"]}
    assert do("GET", one, query={"refresh": "true"}).body["state"] == "ready"
    changed = do(
        "PATCH", one, body='{"options": {"quality": 0.7}, "metadata": {"a": "b"}}', headers={"If-Match": '"1"'}
    )
    assert (changed.status, changed.headers["etag"], changed.body["options"]["quality"]) == (200, '"2"', 0.7)
    rotated = do("POST", f"{one}/credentials/rotate").body
    assert do("GET", f"{one}/credentials").body == rotated != {"id": rotated["id"], **created.body["credentials"]}
    headers, told = notification("ref-1", State.LIVE, now() + timedelta(minutes=1))
    assert do("POST", "/notifications/fake", body=told, headers=headers).status == 204
    assert do("GET", one).body["state"] == "live"
    made.place("cam")
    assert do("POST", f"{ROOT}/adopt", body='{"provider_ref": "cam"}').status == 201
    assert do("POST", f"{ROOT}/adopt", body='{"provider_ref": "cam"}').status == 200
    assert do("DELETE", one).status == 204
    do("GET", one).problem(410, "stream-ended")
    told_of = [event["type"] for event in do("GET", f"{one}/events").body["events"]]
    assert told_of[0] == "StreamCreated"
    assert told_of[1:] == ["StreamUpdated", "StreamCredentialsRotated", "StreamStateChanged", "StreamDeleted"]
    items = aws.client("dynamodb").scan(TableName=NAME)["Items"]
    assert CANARY not in str(items)
    sealed = {item["pk"]["S"][7:] for item in items if "sealed_credentials" in item}
    assert sealed
    assert created.body["id"] not in sealed
    assert Caller(f"aws:{ACCOUNT}", "").tenant in str(items)
