"""Every failure has a code of its own, the status that we promised, and the form of an RFC 9457 problem."""

import inspect
import json
import re
from collections.abc import Iterator

import pytest

from headwater import errors
from headwater.errors import Effect, Fault, HeadwaterError, ProviderError, ProviderOutcomeUnknown, Upstream

PROMISED = {
    "malformed-body": 400,
    "idempotency-key-missing": 400,
    "idempotency-key-invalid": 400,
    "unauthenticated": 401,
    "invalid-request": 422,
    "idempotency-key-reused": 422,
    "creation-in-progress": 409,
    "name-taken": 409,
    "capability-not-supported": 409,
    "stream-not-found": 404,
    "route-not-found": 404,
    "provider-unknown": 404,
    "stream-ended": 410,
    "precondition-failed": 412,
    "body-too-large": 413,
    "provider-rejected": 422,
    "provider-unauthorized": 502,
    "provider-payment-required": 402,
    "provider-not-entitled": 403,
    "provider-quota-exceeded": 409,
    "provider-conflict": 409,
    "provider-guard-spent": 409,
    "provider-outcome-undecided": 504,
    "creation-abandoned": 409,
    "provider-rate-limited": 503,
    "provider-unavailable": 503,
    "provider-outcome-unknown": 504,
    "provider-secret-invalid": 500,
    "provider-secret-unavailable": 503,
    "internal-error": 500,
    "adoption-not-allowed": 403,
    "already-recorded": 409,
    "not-at-provider": 404,
    "notification-refused": 401,
    "output-not-found": 404,
    "stream-live": 409,
}
RETRYABLE = {
    "creation-in-progress",
    "precondition-failed",
    "provider-rate-limited",
    "provider-unavailable",
    "provider-outcome-unknown",
    "provider-guard-spent",
    "provider-outcome-undecided",
    "provider-secret-unavailable",
    "internal-error",
}


def leaves(kind: type[HeadwaterError] = HeadwaterError) -> Iterator[type[HeadwaterError]]:
    below = kind.__subclasses__()
    if not below:
        yield kind
    for each in below:
        if each.__module__ == errors.__name__:
            yield from leaves(each)


LEAVES = list(leaves())
EACH = pytest.mark.parametrize("kind", LEAVES, ids=lambda kind: kind.__name__)


@EACH
def test_each_failure_has_a_code_a_status_and_a_title(kind: type[HeadwaterError]) -> None:
    assert re.fullmatch(r"[a-z]+(-[a-z]+)*", kind.code)
    assert 400 <= kind.status < 600
    assert kind.title
    assert not kind.title.endswith(".")


def test_no_two_failures_share_a_code() -> None:
    codes = [kind.code for kind in LEAVES]
    assert len(set(codes)) == len(codes)


def test_the_statuses_are_those_that_were_promised() -> None:
    assert {kind.code: kind.status for kind in LEAVES} == PROMISED


def test_what_may_be_repeated_is_marked() -> None:
    assert {kind.code for kind in LEAVES if kind.retryable} == RETRYABLE


@EACH
def test_each_failure_stands_in_the_drawn_tree_with_its_status(kind: type[HeadwaterError]) -> None:
    assert re.search(rf"── {kind.__name__} +{kind.status}\b", inspect.getdoc(errors) or "")


def test_a_provider_s_refusal_of_our_secret_is_never_the_caller_s_fault() -> None:
    assert errors.ProviderUnauthorized.status >= 500
    assert errors.ProviderSecretInvalid.status >= 500


@EACH
def test_each_failure_can_be_written_as_a_problem(kind: type[HeadwaterError]) -> None:
    problem = json.loads(json.dumps(kind("What happened.").problem("req-1")))
    assert problem == {
        "type": errors.TYPE_BASE + kind.code,
        "title": kind.title,
        "status": kind.status,
        "code": kind.code,
        "detail": "What happened.",
        "request_id": "req-1",
        "retryable": kind.retryable,
        "errors": [],
    }


def test_a_problem_tells_every_fault_and_what_the_provider_answered() -> None:
    faults = (Fault("/name", "too_long", "Too long."), Fault("/options/a~1b", "missing", "Required."))
    error = errors.ProviderRejected("no", faults=faults, upstream=Upstream("fake", 400, "E1", "up-1"))
    problem = error.problem("req-1")
    assert problem["errors"] == [
        {"pointer": "/name", "code": "too_long", "detail": "Too long."},
        {"pointer": "/options/a~1b", "code": "missing", "detail": "Required."},
    ]
    assert problem["upstream"] == {"provider": "fake", "status": 400, "code": "E1", "request_id": "up-1"}


def test_a_problem_tells_what_its_kind_adds() -> None:
    assert errors.StreamEnded("over", state="lost").problem("r")["state"] == "lost"


def test_a_failure_s_text_is_its_detail() -> None:
    assert str(errors.StreamNotFound("There is none.")) == "There is none."


@pytest.mark.parametrize(
    "kind", [kind for kind in LEAVES if issubclass(kind, ProviderError)], ids=lambda kind: kind.__name__
)
def test_a_refusal_did_nothing_unless_told_otherwise_and_a_silence_may_have(kind: type[ProviderError]) -> None:
    expected = Effect.UNKNOWN if kind is ProviderOutcomeUnknown else Effect.NONE
    assert kind("no").effect is expected
    assert kind("no", effect=Effect.UNKNOWN).effect is Effect.UNKNOWN
    assert kind("no", effect=Effect.NONE).effect is Effect.NONE
