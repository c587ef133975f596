"""pyannoteAI against its simulator: the shared contract, what is sent, and each answer it is known to give."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pydantic import ValidationError

from headwater import errors
from headwater.deadline import Deadline
from headwater.errors import Effect, Fault
from headwater.provider import Handle, Order, Search
from headwater.streams import State
from local.door import Door
from local.simulators import Simulators, secrets, simulators
from local.simulators.contract import Contract
from local.simulators.pyannote import Pyannote as SimulatedPyannote
from provision_pyannote.options import PyannoteOptions
from provision_pyannote.provider import Pyannote
from provision_pyannote.wire import PyannoteSecret
from tests.providers.provider_contract import (
    BRIEF,
    PATIENT,
    FakeSecret,
    ProviderContract,
    Refusal,
    failure_of,
    handle,
    strike,
)

GOOD = PyannoteSecret.model_validate(secrets.SECRETS["pyannote"])
REFUSED = PyannoteSecret.model_validate({"api_key": "canary-no-such-key"})


@pytest.fixture(scope="module")
def running() -> Iterator[Simulators]:
    with simulators() as found:
        yield found


@pytest.fixture
def simulated(running: Simulators) -> SimulatedPyannote:
    running.pyannote.door.reset()
    return running.pyannote


@pytest.fixture
def door(simulated: SimulatedPyannote) -> Door:
    return simulated.door


@pytest.fixture
def url(running: Simulators, simulated: SimulatedPyannote) -> str:
    """With a simulator that is as new."""
    return running.url


@pytest.fixture
def secret() -> FakeSecret[PyannoteSecret]:
    return FakeSecret(GOOD, REFUSED)


@pytest.fixture
def provider_at(secret: FakeSecret[PyannoteSecret]) -> Callable[[str], Pyannote]:
    return lambda url: Pyannote(f"{url}/pyannote", secret)


@pytest.fixture
def provider(provider_at: Callable[[str], Pyannote], url: str) -> Pyannote:
    return provider_at(url)


@pytest.fixture
def options() -> PyannoteOptions:
    return PyannoteOptions()


@pytest.fixture
def private_options() -> None:
    """No option is a secret."""


@pytest.fixture
def order(options: PyannoteOptions) -> Order[PyannoteOptions]:
    return Order("str_made-up", options, name="lobby camera")


def refusal(status: int, error: type[errors.ProviderError], **rest: Any) -> Refusal:
    body = {"requestId": f"req-{status}", "message": "a made-up text"}
    return Refusal(status, error, body, request_id=f"req-{status}", **rest)


class TestPyannoteSigns(ProviderContract):
    creates, reads, removes = "createLiveStream", "getLiveStream", None
    findable = False
    contract = Contract("pyannote-live.yaml")
    refusals = (
        Refusal(400, errors.ProviderRejected, {"message": "a made-up text", "errors": []}),
        refusal(401, errors.ProviderUnauthorized),
        refusal(402, errors.ProviderPaymentRequired),
        refusal(403, errors.ProviderNotEntitled),
        refusal(404, errors.ProviderRejected),
        refusal(429, errors.ProviderRateLimited),
        refusal(500, errors.ProviderUnavailable, effect=Effect.UNKNOWN),
        Refusal(503, errors.ProviderUnavailable, "not JSON", effect=Effect.UNKNOWN),
    )
    slow_down = refusal(429, errors.ProviderRateLimited)

    @staticmethod
    def rejection(text: str) -> Refusal:
        return Refusal(400, errors.ProviderRejected, {"message": text, "errors": []})


# ---- what is sent, and answered ----


def test_a_create_sends_an_empty_object(provider: Pyannote, door: Door, order: Order[PyannoteOptions]) -> None:
    provider.create(order, Deadline(PATIENT))
    (call,) = door.calls()
    assert (call.method, call.path, call.body) == ("POST", "/v1/live", {})
    assert call.headers["authorization"] == f"Bearer {secrets.SECRETS['pyannote']['api_key']}"


def test_the_whole_address_is_the_secret(provider: Pyannote, order: Order[PyannoteOptions]) -> None:
    made = provider.create(order, Deadline(PATIENT))
    (access,) = made.ingest
    assert access.public() == {"protocol": "websocket", "url": None}
    assert str(access.revealed()["url"]).startswith("wss://live.example.net/stream?token=canary-pyannote-url-")
    assert (made.state, made.playback, made.lease_seconds) == (State.READY, (), None)


@pytest.mark.parametrize(
    ("status", "state", "reason"),
    [
        ("created", State.READY, None),
        ("running", State.LIVE, None),
        ("done", State.ENDED, "done"),
        ("error", State.FAILED, "error"),
    ],
)
def test_each_status_has_its_state(
    provider: Pyannote,
    simulated: SimulatedPyannote,
    order: Order[PyannoteOptions],
    status: Any,
    state: State,
    reason: str | None,
) -> None:
    made = provider.create(order, Deadline(PATIENT))
    simulated.set_status(made.ref, status)
    found = provider.read(handle(order, made), Deadline(PATIENT))
    assert found
    assert (found.state, found.provider_status, found.state_reason) == (state, status, reason)
    assert found.ingest == ()


@pytest.mark.parametrize("status", [{}, {"status": "a new word"}])
@pytest.mark.parametrize(
    ("times", "state"),
    [
        ({"startedAt": None, "completedAt": None}, State.READY),
        ({"startedAt": "2026-11-02T09:15:04Z", "completedAt": None}, State.LIVE),
        ({"startedAt": "2026-11-02T09:15:04Z", "completedAt": "2026-11-02T09:42:31Z"}, State.ENDED),
    ],
)
def test_without_a_known_status_the_times_tell(
    provider: Pyannote, door: Door, status: dict[str, str], times: dict[str, Any], state: State
) -> None:
    door.fault("status", "getLiveStream", status=200, body={"id": "x", "input": {}, **status, **times})
    found = provider.read(Handle("str_made-up", "x", {}), Deadline(PATIENT))
    assert found
    assert (found.state, found.provider_status) == (state, status.get("status"))


@pytest.mark.parametrize("body", [{"id": "x"}, {"url": "wss://canary-x"}, {"id": 1, "url": "wss://canary-x"}, []])
def test_a_create_answered_with_half_has_an_unknown_outcome(
    provider: Pyannote, door: Door, order: Order[PyannoteOptions], body: Any
) -> None:
    door.fault("status", "createLiveStream", status=200, body=body)
    error = failure_of(lambda: provider.create(order, Deadline(BRIEF)))
    assert type(error) is errors.ProviderOutcomeUnknown
    assert len(door.calls()) == 1


def test_a_ref_is_quoted_in_the_path(provider: Pyannote, door: Door) -> None:
    assert provider.read(Handle("str_made-up", "a?b=1", {}), Deadline(PATIENT)) is None
    assert (door.calls()[0].path, door.calls()[0].query) == ("/v1/live/a?b=1", {})


# ---- what is refused ----


def test_the_fields_that_are_named_are_told(provider: Pyannote, door: Door, order: Order[PyannoteOptions]) -> None:
    body = {"message": "no", "errors": [{"field": "speakers.max", "message": "too many"}, 7, {"message": "odd"}]}
    door.fault("status", "createLiveStream", status=400, body=body)
    error = failure_of(lambda: provider.create(order, Deadline(BRIEF)))
    assert error.faults == (Fault("/options/speakers/max", "provider-rejected", "too many"),)


@pytest.mark.parametrize(
    ("headers", "wait"),
    [
        ({"Retry-After": "30", "X-RateLimit-Reset": "50"}, 30),
        ({"X-RateLimit-Reset": "50"}, 50),
        ({"X-RateLimit-Reset": "soon"}, None),
        ({}, None),
    ],
)
def test_retry_after_is_preferred_to_the_reset(
    provider: Pyannote, door: Door, order: Order[PyannoteOptions], headers: dict[str, str], wait: float | None
) -> None:
    strike(door, "createLiveStream", Refusal(429, errors.ProviderRateLimited, headers=headers))
    error = failure_of(lambda: provider.create(order, Deadline(BRIEF)))
    assert error.retry_after == wait


def test_a_reset_may_be_a_moment(provider: Pyannote, door: Door, order: Order[PyannoteOptions]) -> None:
    headers = {"X-RateLimit-Reset": str(int(time.time()) + 60)}
    strike(door, "createLiveStream", Refusal(429, errors.ProviderRateLimited, headers=headers))
    error = failure_of(lambda: provider.create(order, Deadline(BRIEF)))
    assert 55 < error.retry_after <= 60


@pytest.mark.parametrize(
    ("key", "error"),
    [
        (secrets.PYANNOTE_WITHOUT_CREDIT, errors.ProviderPaymentRequired),
        (secrets.PYANNOTE_WITHOUT_PERMISSION, errors.ProviderNotEntitled),
    ],
)
def test_what_a_team_may_not_do_is_told_apart(
    url: str, door: Door, order: Order[PyannoteOptions], key: dict[str, str], error: type[errors.ProviderError]
) -> None:
    provider = Pyannote(f"{url}/pyannote", lambda _: PyannoteSecret.model_validate(key))
    assert type(failure_of(lambda: provider.create(order, Deadline(BRIEF)))) is error


def test_the_eleventh_stream_at_once_is_told_to_wait(
    provider: Pyannote, door: Door, order: Order[PyannoteOptions]
) -> None:
    for _ in range(10):
        provider.create(order, Deadline(PATIENT))
    error = failure_of(lambda: provider.create(order, Deadline(BRIEF)))
    assert type(error) is errors.ProviderRateLimited


@pytest.mark.parametrize(
    "malformed", [{}, {"api_key": ""}, {"api_key": "canary-k\n"}, {"api_key": 1}, {"api_key": "canary-k", "other": ""}]
)
def test_a_secret_is_one_usable_key(malformed: dict[str, Any]) -> None:
    with pytest.raises(ValidationError) as refused:
        PyannoteSecret.model_validate(malformed)
    assert "canary-" not in str(refused.value)


def test_looking_at_as_many_streams_as_a_team_may_have_stays_far_below_its_limits(provider: Pyannote) -> None:
    at_once, calls_a_minute = 10, 100
    assert provider.look_seconds
    assert at_once * 60 / provider.look_seconds <= calls_a_minute / 10


def test_what_cannot_be_done_calls_nothing(provider: Pyannote, door: Door, order: Order[PyannoteOptions]) -> None:
    made = Handle(order.id, "x", {})
    for undoable in (
        lambda: provider.renew(made, Deadline(PATIENT)),
        lambda: provider.rotate(made, True, Deadline(PATIENT)),
        lambda: provider.change(made, order, frozenset({"/options"}), Deadline(PATIENT)),
    ):
        assert type(failure_of(undoable)) is errors.CapabilityNotSupported
    assert (provider.changeable, provider.settings(order)) == (frozenset(), {})
    assert provider.find(order, Deadline(PATIENT)) == Search(conclusive=False)
    assert "end_of_stream" in str(provider.remove(Handle(order.id, "x", {}), Deadline(PATIENT)).remains)
    assert provider.orphan_seconds(order.options) == 0
    assert door.calls() == []
