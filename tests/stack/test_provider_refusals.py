"""What a provider's refusals become: a problem, a record, an event or none; and one stream once it is well again."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from local.simulators.secrets import SECRETS
from tests.stack.bus import Subscriber
from tests.stack.callers import Api
from tests.stack.doors import Door
from tests.stack.storage import Storage
from tests.stack.waiting import WELL_BEFORE
from tests.stack.ways import CLOUDFLARE, KINESIS_VIDEO, LEASED, OVERSHOOT, OVERSHOOT_V02, PYANNOTE, Way

Json = dict[str, Any]

LONG_AGO = "2026-01-01T00:00:00Z"
ALWAYS = 50
"""More often than any call is repeated."""
KEY = {provider: secret.get("api_token") or secret["api_key"] for provider, secret in SECRETS.items()}
WORDS: dict[Way, Json] = {
    CLOUDFLARE: {"success": False, "errors": [{"code": 1001, "message": f"not with {KEY['cloudflare']}"}]},
    OVERSHOOT: {"detail": f"not with {KEY['overshoot']}"},
    OVERSHOOT_V02: {"error": f"not with {KEY['overshoot']}", "request_id": "req-1"},
    PYANNOTE: {"message": f"not with {KEY['pyannote']}", "requestId": "req-1"},
}
"""How each says no by its status: with our key in its words, as a careless one may."""
CODES = {CLOUDFLARE: "1001"}
"""The error code in them, as ``upstream`` shows it."""


@dataclass(frozen=True)
class Refusal:
    """What goes wrong in one way, and what it must become."""

    way: Way
    what: int | str
    """The provider's status; or ``hang``; or Kinesis Video's exception."""
    status: int
    code: str
    state: str
    """Of the record: ``failed`` is announced; ``provisioning`` may be tried again at once, ``unknown`` after a wait."""
    retry_after: int | None = None

    @property
    def name(self) -> str:
        return f"{self.way.name}, {self.what}"


def _of(way: Way, *cells: tuple[Any, ...]) -> list[Refusal]:
    return [Refusal(way, *cell) for cell in cells]


FINAL = (
    (402, 402, "provider-payment-required", "failed"),
    (403, 403, "provider-not-entitled", "failed"),
    (409, 409, "provider-conflict", "failed"),
    (422, 422, "provider-rejected", "failed"),
)
UNAUTHORIZED = (401, 502, "provider-unauthorized", "provisioning")
SLOW_DOWN = (429, 503, "provider-rate-limited", "provisioning", 60)
LANDING = 20
LEASE_AND_LANDING = {way: way.lease + LANDING for way in LEASED} | {PYANNOTE: 1}
"""Seconds until what may have been made is certainly gone, or until the one deliberate retry."""


def _unknown(way: Way, what: int | str) -> tuple[Any, ...]:
    return what, 504, "provider-outcome-unknown", "unknown", LEASE_AND_LANDING[way]


REFUSALS = [
    # A create under its own Idempotency-Key does no harm twice: it is repeated, and then left to the next attempt.
    *_of(CLOUDFLARE, *(cell for cell in FINAL if cell[0] != 409), UNAUTHORIZED, SLOW_DOWN),
    # Its key is held by what is gone, or so it says the first time.
    *_of(CLOUDFLARE, (409, 409, "provider-guard-spent", "provisioning", LANDING)),
    *_of(CLOUDFLARE, *((what, 503, "provider-unavailable", "provisioning", 2) for what in (500, 503))),
    *_of(CLOUDFLARE, ("hang", 504, "provider-outcome-unknown", "provisioning", 2)),
    *_of(OVERSHOOT, *FINAL, UNAUTHORIZED, SLOW_DOWN),
    *_of(OVERSHOOT, (503, 503, "provider-unavailable", "provisioning", 1)),  # it did nothing, it says
    *_of(OVERSHOOT, _unknown(OVERSHOOT, 500), _unknown(OVERSHOOT, "hang")),
    *_of(OVERSHOOT_V02, *FINAL, UNAUTHORIZED, (429, 409, "provider-quota-exceeded", "failed")),
    *_of(OVERSHOOT_V02, *(_unknown(OVERSHOOT_V02, what) for what in (500, 503, "hang"))),
    *_of(PYANNOTE, *FINAL, UNAUTHORIZED, SLOW_DOWN),
    *_of(PYANNOTE, *(_unknown(PYANNOTE, what) for what in (500, 503, "hang"))),
    *_of(
        KINESIS_VIDEO,
        ("AccountStreamLimitExceededException", 409, "provider-quota-exceeded", "failed"),
        ("DeviceStreamLimitExceededException", 409, "provider-quota-exceeded", "failed"),
        ("InvalidArgumentException", 422, "provider-rejected", "failed"),
        ("InvalidDeviceException", 422, "provider-rejected", "failed"),
        ("TagsPerResourceExceededLimitException", 422, "provider-rejected", "failed"),
        # The name's stream is nowhere to be seen: it is being deleted, or just was.
        ("ResourceInUseException", 503, "provider-unavailable", "provisioning", 2),
        ("ClientLimitExceededException", 503, "provider-rate-limited", "provisioning", 2),
        ("NotAuthorizedException", 502, "provider-unauthorized", "provisioning"),
        (500, 503, "provider-unavailable", "provisioning", 2),
        ("hang", 504, "provider-outcome-unknown", "provisioning", 2),
    ),
]
EACH = pytest.mark.parametrize("refusal", REFUSALS, ids=lambda refusal: refusal.name)


@dataclass
class Outcome:
    """What was answered, recorded and told; then, the provider well again, the same request twice."""

    answer: httpx.Response
    record: Json
    told: list[str]
    healed: httpx.Response
    replayed: httpx.Response
    told_then: list[str]
    made: set[str]
    """What the provider has in the end that it had not before."""


type Outcomes = dict[str, Outcome]


@dataclass
class Trial:
    """Tries one refusal after the other at one provider, of which it must be the only user meanwhile."""

    api: Api
    door: Door
    storage: Storage
    subscriber: Subscriber

    def run(self, refusal: Refusal) -> Outcome:
        way, key = refusal.way, f"refused {refusal.name}"
        href, stream_id = self.api.href_of(way.provider, key), self.api.id_of(way.provider, key)
        before = self.door.refs()
        self._break(refusal)
        answer = self.api.create(way.provider, key, way.body())
        self.door.heal()
        record = self.api.read(href).json()
        told = self._told(href, stream_id)
        if record["state"] == "unknown" or refusal.retry_after == LANDING:
            self.storage.change_record(stream_id, _wait_is_over)
        healed = self.api.create(way.provider, key, way.body())
        replayed = self.api.create(way.provider, key, way.body())
        told_then, made = self._told(href, stream_id), self.door.refs() - before
        self.api.delete(href)
        return Outcome(answer, record, told, healed, replayed, told_then, made)

    def _break(self, refusal: Refusal) -> None:
        if refusal.what == "hang":
            self.door.fault("hang", times=ALWAYS)
        elif isinstance(refusal.what, str):
            self.door.act("raise_exception", exception=refusal.what, operation="CreateStream", times=ALWAYS)
        else:
            headers = {"Retry-After": "60"} if refusal.what == 429 else None
            words = WORDS.get(refusal.way)
            self.door.fault("status", times=ALWAYS, status=refusal.what, headers=headers, body=words)

    def _told(self, href: str, stream_id: str) -> list[str]:
        """The kinds of the events so far, once the bus has carried all that are recorded."""
        kinds = [event["type"] for event in self.api.timeline(href).json()["events"]]
        for kind in kinds:
            self.subscriber.await_events(stream_id, kind)
        return kinds


def _wait_is_over(record: Json) -> None:
    record["claim"]["free_at"] = LONG_AGO


@pytest.fixture(scope="module")
def outcomes(api: Api, doors: dict[str, Door], storage: Storage, subscriber: Subscriber) -> Iterator[Outcomes]:
    """One refusal after the other at each provider, the providers side by side."""

    def tried(name: str) -> Outcomes:
        trial = Trial(api, doors[name], storage, subscriber)
        return {refusal.name: trial.run(refusal) for refusal in REFUSALS if refusal.way.provider == name}

    with ThreadPoolExecutor(len(doors)) as pool:
        found: Outcomes = {}
        for outcome in pool.map(tried, doors):
            found |= outcome
        yield found


@EACH
def test_a_refusal_is_told_as_what_it_means(refusal: Refusal, outcomes: Outcomes) -> None:
    answer = outcomes[refusal.name].answer
    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (refusal.status, refusal.code), answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert problem["retryable"] == (refusal.retry_after is not None)
    waits = answer.headers.get("retry-after")
    assert waits == (None if refusal.retry_after is None else str(refusal.retry_after))


@pytest.mark.parametrize("refusal", [one for one in REFUSALS if one.what == "hang"], ids=lambda refusal: refusal.name)
def test_a_provider_that_hangs_is_answered_for_before_api_gateway_gives_up(
    refusal: Refusal, outcomes: Outcomes
) -> None:
    assert outcomes[refusal.name].answer.elapsed.total_seconds() < WELL_BEFORE


@EACH
def test_the_problem_tells_what_the_provider_itself_said(refusal: Refusal, outcomes: Outcomes) -> None:
    upstream = outcomes[refusal.name].answer.json()["upstream"]
    by_name = isinstance(refusal.what, str) and refusal.what != "hang"
    assert upstream["provider"] == refusal.way.provider
    if refusal.what == "hang":
        assert (upstream["status"], upstream["code"]) == (None, None)
    elif by_name:
        assert (upstream["code"], bool(upstream["request_id"])) == (refusal.what, True)
    else:
        assert (upstream["status"], upstream["code"]) == (refusal.what, CODES.get(refusal.way))


@EACH
def test_the_provider_s_words_are_passed_on_without_our_key(refusal: Refusal, outcomes: Outcomes) -> None:
    text = outcomes[refusal.name].answer.text
    assert KEY.get(refusal.way.provider, "canary-") not in text
    if refusal.what in {402, 403, 409, 422}:
        assert "not with ***" in json.loads(text)["detail"]


@EACH
def test_only_a_final_refusal_is_recorded_as_failed_and_announced(refusal: Refusal, outcomes: Outcomes) -> None:
    outcome = outcomes[refusal.name]
    assert outcome.record["state"] == refusal.state
    assert outcome.told == (["StreamFailed"] if refusal.state == "failed" else [])
    assert outcome.record["state_reason"] == (refusal.code if refusal.state == "failed" else None)


@EACH
def test_once_the_provider_is_well_the_same_key_opens_one_stream(refusal: Refusal, outcomes: Outcomes) -> None:
    outcome = outcomes[refusal.name]
    assert (outcome.healed.status_code, outcome.replayed.status_code) == (201, 200), outcome.healed.text
    assert outcome.replayed.json() == outcome.healed.json()
    assert outcome.made == {outcome.healed.json()["provider_ref"]}
    assert outcome.told_then == [*outcome.told, "StreamCreated"]


def test_a_create_is_not_repeated_where_it_may_have_been_carried_out(api: Api, doors: dict[str, Door]) -> None:
    door = doors["overshoot"]
    before = len(door.creates())
    door.fault("status", status=500, times=ALWAYS)
    assert api.create("overshoot", "once-only").status_code == 504
    door.heal()
    assert len(door.creates()) == before + 1
    waiting = api.create("overshoot", "once-only")
    assert (waiting.status_code, waiting.json()["code"]) == (409, "creation-in-progress")
    assert 300 < int(waiting.headers["retry-after"]) <= 320
    deleted = api.delete(api.href_of("overshoot", "once-only"))
    assert (deleted.status_code, deleted.json()["code"]) == (409, "creation-in-progress")


FAULTS: dict[str, Any] = {
    "cloudflare": {
        "success": False,
        "errors": [{"code": 1002, "message": "too soon", "source": {"pointer": "/deleteRecordingAfterDays"}}],
    },
    "overshoot": {"error": "validation_error", "details": [{"loc": ["body", "source", "type"], "msg": "unknown"}]},
    "pyannote": {"message": "wrong", "errors": [{"field": "language", "message": "unknown"}]},
}
POINTERS = {
    "cloudflare": "/options/delete_recording_after_days",
    "overshoot": "/options/source/type",
    "pyannote": "/options/language",
    "kinesis-video": "/options/tags",
}


@pytest.mark.parametrize("provider", POINTERS)
def test_what_the_provider_finds_wrong_is_pointed_to_in_the_caller_s_own_request(
    provider: str, api: Api, doors: dict[str, Door]
) -> None:
    if provider == "kinesis-video":
        doors[provider].act("raise_exception", exception="TagsPerResourceExceededLimitException")
    else:
        doors[provider].fault("status", status=422, body=FAULTS[provider])
    problem = api.create(provider, "pointed").json()
    assert (problem["code"], [fault["pointer"] for fault in problem["errors"]]) == (
        "provider-rejected",
        [POINTERS[provider]],
    )


def test_a_name_that_is_somebody_else_s_is_told_as_taken(api: Api) -> None:
    body = {"options": {"stream_name": "only-one"}}
    first = api.create("kinesis-video", "name-1", body)
    taken = api.create("kinesis-video", "name-2", body)
    assert first.status_code == 201
    assert (taken.status_code, taken.json()["code"]) == (409, "name-taken")
    assert taken.json()["upstream"]["code"] == "ResourceInUseException"
    assert api.read(api.href_of("kinesis-video", "name-2")).json()["state"] == "failed"
    assert api.delete(first.json()["href"]).status_code == 204


def test_a_key_that_was_changed_is_read_anew_when_the_old_one_is_refused(api: Api, doors: dict[str, Door]) -> None:
    """The cache of secrets is asked past once when the provider answers 401, so that no new environment is needed."""
    before = len(doors["pyannote"].creates())
    doors["pyannote"].fault("status", status=401)
    assert api.create("pyannote", "rotated").status_code == 201
    assert len(doors["pyannote"].creates()) == before + 2
