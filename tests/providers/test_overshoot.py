"""Overshoot, v1beta and v0.2: the contract signed for each, the requests that are sent, each answer there is."""

from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import Any

import pytest
import yaml
from pydantic import JsonValue, SecretStr, TypeAdapter

from headwater.deadline import Deadline
from headwater.errors import (
    CapabilityNotSupported,
    Effect,
    Fault,
    InvalidRequest,
    ProviderConflict,
    ProviderNotEntitled,
    ProviderPaymentRequired,
    ProviderQuotaExceeded,
    ProviderRateLimited,
    ProviderRejected,
    ProviderUnauthorized,
    ProviderUnavailable,
)
from headwater.http import Answer
from headwater.provider import Handle, Options, Order, Verb
from headwater.requests import check
from headwater.streams import Entry, State
from local.door import Door
from local.simulators import Simulators, simulators
from local.simulators.contract import FOLDER
from local.simulators.overshoot_common import Settings
from local.simulators.secrets import SECRETS
from provision_overshoot import wire_v02, wire_v1beta
from provision_overshoot.handler import overshoot
from provision_overshoot.options import OvershootOptions, V02Options, V1betaOptions
from provision_overshoot.provider import Overshoot
from provision_overshoot.wire import OvershootSecret
from tests.providers.provider_contract import (
    BRIEF,
    PATIENT,
    Change,
    FakeSecret,
    ProviderContract,
    Refusal,
    failure_of,
    handle,
    strike,
)
from tests.template import functions, template

CAMERA = "rtsp://viewer:canary-camera-password@camera.example.org:554/main"
SDP = "v=0\r\na=ice-pwd:canary-offer\r\n"
FRAMES = {"interval_seconds": 2.5}
CLIPS = {"clip_length_seconds": 1.5, "delay_seconds": 3}
LEASES = {"v1beta": 400, "v0.2": 60}
"""As a deployment may set them."""
PROMPT = frozenset({"/options/inference/prompt"})
INFERENCE = {"prompt": "Is the door open?", "model": "made-up/model-1"}


def options_of(**asked: Any) -> Options:
    valid: Options = TypeAdapter(OvershootOptions).validate_python(asked)
    return valid


def v02(**asked: Any) -> Options:
    return options_of(**{"api_version": "v0.2", "processing": FRAMES, "inference": INFERENCE} | asked)


def asking(prompt: str) -> Order[Any]:
    """The order of a stream of v0.2 whose prompt is another now."""
    return Order("str_of_ours", v02(inference={**INFERENCE, "prompt": prompt}))


def faults_of(asked: Any) -> dict[str, str]:
    """What is wrong with the options, by where."""
    with pytest.raises(InvalidRequest) as refused:
        check({"options": asked}, OvershootOptions)
    faults = {fault.pointer.removeprefix("/options"): fault.detail for fault in refused.value.faults}
    assert len(faults) == len(refused.value.faults)
    return faults


# ---- the simulated provider ----


@pytest.fixture(scope="module")
def simulated() -> Iterator[Simulators]:
    with simulators() as running:
        yield running


@pytest.fixture
def door(simulated: Simulators) -> Iterator[Door]:
    door = simulated.overshoot.door
    door.reset()
    door.configure(**asdict(Settings()))
    yield door
    assert door.violations == []


@pytest.fixture
def url(simulated: Simulators, door: Door) -> str:
    """With a door that is as new."""
    return f"{simulated.url}/overshoot"


def a_secret() -> FakeSecret[OvershootSecret]:
    refused = OvershootSecret(api_key=SecretStr("ovs-canary-refused"))
    return FakeSecret(OvershootSecret.model_validate(SECRETS["overshoot"]), refused)


@pytest.fixture
def secret() -> FakeSecret[OvershootSecret]:
    return a_secret()


@pytest.fixture
def provider_at(secret: FakeSecret[OvershootSecret]) -> Callable[[str], Overshoot]:
    return lambda url: Overshoot({"v1beta": f"{url}/v1beta", "v0.2": f"{url}/v0.2"}, secret, LEASES)


@pytest.fixture
def provider(provider_at: Callable[[str], Overshoot], url: str) -> Overshoot:
    return provider_at(url)


class Opened:
    """A stream that a test opened, with its handle."""

    def __init__(self, provider: Overshoot, options: Any) -> None:
        order: Order[Any] = Order("str_of_ours", options)
        self.resource = provider.create(order, Deadline(PATIENT))
        self.handle = handle(order, self.resource)

    @property
    def public(self) -> list[Entry]:
        return [access.public() for access in self.resource.ingest]

    @property
    def revealed(self) -> list[dict[str, Any]]:
        return [access.revealed() for access in self.resource.ingest]


def sent(door: Door, operation: str = "createStream") -> Any:
    """The body of the one call of this operation."""
    [call] = door.calls(operation)
    return call.body


# ---- the contract, twice ----


class OvershootContract(ProviderContract):
    """What both sign: the same key, a keepalive that exchanges the token, and no way to find anything."""

    takes_private_options = True

    findable = False
    rotates = "keepStreamAlive"

    @pytest.fixture
    def secret(self) -> FakeSecret[OvershootSecret]:
        return a_secret()


class TestV1beta(OvershootContract):
    creates, reads, removes, renews = "createStream", "getStream", "deleteStream", "keepStreamAlive"
    slow_down = Refusal(429, ProviderRateLimited, body={"detail": "slow down"})
    refusals = (
        Refusal(401, ProviderUnauthorized, body={"detail": "no such key"}),
        Refusal(402, ProviderPaymentRequired, body={"detail": "no credits"}),
        Refusal(403, ProviderNotEntitled, body={"detail": "the key has no user"}),
        Refusal(
            409,
            ProviderConflict,
            body={"detail": {"error": "region_error", "expected_region": "us-west1", "requested_region": None}},
            code="region_error",
        ),
        Refusal(422, ProviderRejected, body={"detail": "the source could not be opened"}),
        Refusal(422, ProviderRejected, body={"error": "validation_error", "message": "no"}, code="validation_error"),
        slow_down,
        Refusal(500, ProviderUnavailable, body="a page of a gateway's", effect=Effect.UNKNOWN),
        Refusal(504, ProviderUnavailable, effect=Effect.UNKNOWN),
        Refusal(503, ProviderUnavailable, body={"detail": "draining"}, headers={"Retry-After": "0.1"}),
    )

    @staticmethod
    def rejection(text: str) -> Refusal:
        return Refusal(422, ProviderRejected, body={"detail": text})

    @pytest.fixture
    def options(self) -> Options:
        return options_of()

    @pytest.fixture
    def private_options(self) -> Options:
        return options_of(source={"type": "rtsp", "url": CAMERA})

    def test_removing_twice_leaves_nothing(self, provider: Any, door: Door, order: Order[Any]) -> None:
        """As everywhere, but an ended stream is told of for a while."""
        ref = handle(order, provider.create(order, Deadline(PATIENT)))
        for _ in range(2):
            provider.remove(ref, Deadline(PATIENT))
            assert list(door.resources()) == []
        read = provider.read(ref, Deadline(PATIENT))
        assert (read.state, read.state_reason, read.provider_status) == (State.ENDED, "deleted", "ended")
        door.clock.advance(door.settings.lookup_seconds)
        assert provider.read(ref, Deadline(PATIENT)) is None
        provider.remove(ref, Deadline(PATIENT))


class TestV02(OvershootContract):
    says_how_long_to_wait = False
    changing = {  # noqa: RUF012  # as the contract declares it
        at: Change("changePrompt", asking("Is the window open?").options.model_dump(exclude_unset=True))
        for at in PROMPT
    }
    creates, reads, removes, renews = "createStream", "getStreamInfo", "closeStream", "keepStreamAlive"
    refusals = (
        Refusal(400, ProviderRejected, body={"error": "not possible"}),
        Refusal(401, ProviderUnauthorized, body={"message": "no such key"}),
        Refusal(402, ProviderPaymentRequired, body={"error": "no credits", "request_id": "req-1"}, request_id="req-1"),
        Refusal(422, ProviderRejected, body={"error": "wrong form"}),
        Refusal(429, ProviderQuotaExceeded, body={"error": "five at once"}, headers={"Retry-After": "0"}),
        Refusal(
            500, ProviderUnavailable, body={"error": "failed", "request_id": "r"}, request_id="r", effect=Effect.UNKNOWN
        ),
        Refusal(503, ProviderUnavailable, effect=Effect.UNKNOWN),
    )

    @staticmethod
    def rejection(text: str) -> Refusal:
        return Refusal(422, ProviderRejected, body={"error": text})

    @pytest.fixture
    def options(self) -> Options:
        return v02()

    @pytest.fixture
    def private_options(self) -> Options:
        return v02(source={"type": "livekit", "url": "wss://room.example.org", "token": "canary-token"})


# ---- v1beta: requests ----


def test_a_stream_without_a_source_is_asked_for_with_nothing_but_the_key(provider: Overshoot, door: Door) -> None:
    opened = Opened(provider, options_of())
    [call] = door.calls()
    assert (call.method, call.path, call.body) == ("POST", "/v1beta/streams", {})
    assert call.headers["authorization"] == f"Bearer {SECRETS['overshoot']['api_key']}"
    assert "x-overshoot-region" not in call.headers
    assert opened.public == [{"protocol": "livekit", "url": "wss://room.example.net"}]
    assert opened.revealed[0]["token"].startswith("canary-overshoot-publish-token-")
    assert opened.resource.provider_status == "active"


@pytest.mark.parametrize("source", [{"type": "rtsp", "url": CAMERA}, {"type": "hls", "url": "https://v.example.org/a"}])
def test_a_source_is_pulled_and_its_address_is_told_to_the_provider_alone(
    provider: Overshoot, door: Door, source: dict[str, str]
) -> None:
    opened = Opened(provider, options_of(source=source))
    assert sent(door) == {"source": source}
    assert opened.revealed == [{"protocol": source["type"], "url": None}]
    renewed = provider.renew(opened.handle, Deadline(PATIENT))
    assert renewed
    assert renewed.ingest == ()


def test_a_source_has_the_time_that_the_provider_takes_to_open_it(provider: Overshoot, door: Door) -> None:
    opening = V1betaOptions.model_validate({"source": {"type": "rtsp", "url": CAMERA}})
    assert wire_v1beta.patience(opening) >= 20
    door.configure(opening_seconds=0.3)
    assert Opened(provider, opening).resource.ref


def test_a_source_that_cannot_be_opened_is_the_caller_s_matter(provider: Overshoot, door: Door) -> None:
    unreachable = options_of(source={"type": "rtsp", "url": "rtsp://u:canary-p@unreachable.example.org/"})
    error = failure_of(lambda: Opened(provider, unreachable))
    assert type(error) is ProviderRejected
    assert error.detail == "overshoot answered 422."
    assert len(door.calls()) == 1


def test_a_draining_server_is_given_the_second_that_the_provider_asks_for(provider: Overshoot, door: Door) -> None:
    strike(door, "createStream", Refusal(503, ProviderUnavailable, body={"detail": "draining"}))
    error = failure_of(lambda: provider.create(Order("str_of_ours", V1betaOptions()), Deadline(BRIEF)))
    assert (error.retry_after, error.effect) == (1, Effect.NONE)


def test_later_calls_go_to_the_region_of_the_stream(provider: Overshoot, door: Door) -> None:
    door.configure(region="us-central1")
    opened = Opened(provider, options_of())
    assert opened.handle.notes == {"api_version": "v1beta", "region": "us-central1"}
    door.configure(region="us-west1")
    assert provider.read(opened.handle, Deadline(PATIENT))
    assert provider.renew(opened.handle, Deadline(PATIENT))
    provider.remove(opened.handle, Deadline(PATIENT))
    later = door.calls()[1:]
    assert {call.headers["x-overshoot-region"] for call in later} == {"us-central1"}
    assert {call.status for call in later} == {200}


def test_another_region_is_a_conflict_of_its_own(provider: Overshoot, door: Door) -> None:
    opened = Opened(provider, options_of())
    door.configure(region="us-central1")
    astray = Handle(opened.handle.id, opened.handle.ref, {"api_version": "v1beta"})
    error = failure_of(lambda: provider.read(astray, Deadline(PATIENT)))
    assert type(error) is ProviderConflict
    assert (error.upstream and error.upstream.code) == "region_error"


# ---- v1beta: answers ----


def test_a_stream_is_live_once_a_frame_has_arrived(provider: Overshoot, simulated: Simulators) -> None:
    opened = Opened(provider, options_of())
    simulated.overshoot.v1beta.send_frame(opened.resource.ref)
    read = provider.read(opened.handle, Deadline(PATIENT))
    assert read
    assert (read.state, read.provider_status, read.lease_seconds) == (State.LIVE, "active", 300)
    assert (read.ingest, read.notes) == ((), opened.handle.notes)


@pytest.mark.parametrize("reason", ["expired", "deleted", "reaped"])
def test_a_stream_that_the_provider_has_ended_tells_why(
    provider: Overshoot, door: Door, simulated: Simulators, reason: Any
) -> None:
    opened = Opened(provider, options_of())
    simulated.overshoot.v1beta.end_stream(opened.resource.ref, reason)
    read = provider.read(opened.handle, Deadline(PATIENT))
    assert read
    assert (read.state, read.provider_status, read.state_reason) == (State.ENDED, "ended", reason)
    door.clock.advance(door.settings.lookup_seconds)
    assert provider.read(opened.handle, Deadline(PATIENT)) is None


def test_a_lease_that_passed_ends_the_stream(provider: Overshoot, door: Door) -> None:
    opened = Opened(provider, options_of())
    door.clock.advance(300)
    read = provider.read(opened.handle, Deadline(PATIENT))
    assert read
    assert (read.state, read.state_reason) == (State.ENDED, "expired")
    assert provider.renew(opened.handle, Deadline(PATIENT)) is None


def test_a_keepalive_gives_a_new_token_and_the_whole_lease(provider: Overshoot, door: Door) -> None:
    opened = Opened(provider, options_of())
    door.configure(lease_seconds=120)
    renewed = provider.renew(opened.handle, Deadline(PATIENT))
    assert renewed
    assert (opened.resource.lease_seconds, renewed.lease_seconds) == (300, 120)
    assert renewed.ingest[0].public() == opened.public[0]
    assert renewed.ingest[0].revealed() != opened.revealed[0]


def test_the_documented_lease_counts_only_where_none_is_told(provider: Overshoot, door: Door) -> None:
    door.fault("status", "createStream", status=201, body={"id": "a", "ttl_seconds": None})
    assert Opened(provider, options_of()).resource.lease_seconds == 300
    door.fault("status", "createStream", status=201, body={"stream_id": "a", "lease": None})
    assert Opened(provider, v02()).resource.lease_seconds == 45


@pytest.mark.parametrize("detail", ["a text", {"error": "region_error"}, {"error": {"message": "m"}}, ["a"], None])
def test_a_refusal_is_read_whatever_its_detail_is(detail: Any) -> None:
    told = wire_v1beta.explain(Answer(409, {}, {"detail": detail}))
    assert told.message == ("a text" if detail == "a text" else None)
    assert told.code == ("region_error" if detail == {"error": "region_error"} else None)


@pytest.mark.parametrize(
    "url", ["wss://user:canary-p@room.example.org", "wss://room.example.org?access_token=canary-t", "wss://[canary"]
)
def test_the_address_of_a_room_holds_no_key(url: str) -> None:
    source = {"type": "livekit", "url": url, "token": "canary-token"}
    faults = faults_of(
        {"api_version": "v0.2", "processing": {"interval_seconds": 1}, "inference": INFERENCE, "source": source}
    )
    assert set(faults) == {"/source/url"}
    assert "canary" not in str(faults)


def test_turn_servers_reach_the_caller_without_an_sdp_answer_too() -> None:
    servers: JsonValue = [{"urls": "turn:t.example.net", "username": "u", "credential": "c"}]
    made = wire_v02.created(Answer(201, {}, {"stream_id": "a", "turn_servers": servers}))
    assert made
    assert made.ingest[0].revealed()["turn_servers"] == servers


@pytest.mark.parametrize("explain", [wire_v1beta.explain, wire_v02.explain])
def test_what_the_provider_finds_wrong_points_into_the_request(explain: Callable[[Answer], Any]) -> None:
    details = [
        {"loc": ["body", "source", "a/b"], "msg": "is wrong", "type": "made_up"},
        {"loc": ["body", "clips", 0], "msg": "is wrong too", "type": "Made up"},
        {"loc": ["path", "stream_id"], "msg": "is no place in a request"},
        {"loc": "body"},
        "a text",
    ]
    body: Any = {"error": "validation_error", "message": "no", "details": details}
    assert explain(Answer(422, {}, body)).faults == (
        Fault("/source/a~1b", "made_up", "is wrong"),
        Fault("/clips/0", "rejected", "is wrong too"),
    )


# ---- v0.2: requests ----


def test_the_least_that_v02_takes_is_marked_with_our_id(provider: Overshoot, door: Door) -> None:
    opened = Opened(provider, v02())
    [call] = door.calls()
    assert (call.method, call.path) == ("POST", "/v0.2/streams")
    assert call.body == {
        "processing": FRAMES,
        "inference": {**INFERENCE, "backend": "overshoot"},
        "client": {"request_id": "str_of_ours"},
    }
    assert call.headers["authorization"] == f"Bearer {SECRETS['overshoot']['api_key']}"
    assert opened.handle.notes == {"api_version": "v0.2", "livekit_url": "wss://room.example.net"}


def test_all_that_v02_takes_is_sent_as_it_is(provider: Overshoot, door: Door) -> None:
    asked = {
        "processing": {**CLIPS, "fps": 24, "sampling_ratio": 0.25},
        "inference": {
            **INFERENCE,
            "backend": "gemini",
            "output_schema_json": {
                "type": "object",
                "properties": {"boxes": {"type": ["integer", "null"]}},
                "not": None,
            },
            "max_output_tokens": 384,
        },
        "source": {"type": "livekit", "url": "wss://room.example.org", "token": "canary-token"},
        "mode": "clip",
        "client": {"request_id": "order-7731"},
    }
    opened = Opened(provider, v02(**asked))
    assert sent(door) == asked
    assert opened.resource.ingest == ()
    assert opened.handle.notes == {"api_version": "v0.2"}


@pytest.mark.parametrize(
    "asked",
    [
        {"processing": {**CLIPS, "target_fps": 30}, "mode": "clip"},
        {"processing": {"interval_seconds": 0.5}, "mode": "frame"},
        {"source": {"type": "native"}},
        {"source": {"type": "webrtc", "sdp": SDP}},
        {"webrtc": {"type": "offer", "sdp": SDP}},
    ],
)
def test_each_form_of_v02_is_sent_as_it_is(provider: Overshoot, door: Door, asked: dict[str, Any]) -> None:
    Opened(provider, v02(**asked))
    assert asked.items() <= sent(door).items()


@pytest.mark.parametrize(
    "field", [{"source": {"type": "webrtc", "sdp": SDP}}, {"webrtc": {"type": "offer", "sdp": SDP}}]
)
def test_an_offer_is_not_repeated_in_the_provider_s_words(provider: Overshoot, door: Door, field: Any) -> None:
    strike(door, "createStream", Refusal(422, ProviderRejected, body={"error": SDP}))
    assert failure_of(lambda: Opened(provider, v02(**field))).detail == "overshoot answered 422."


# ---- v0.2: answers ----


@pytest.mark.parametrize(
    "field", [{"source": {"type": "webrtc", "sdp": SDP}}, {"webrtc": {"type": "offer", "sdp": SDP}}]
)
def test_an_offer_is_answered_with_sdp_and_turn_servers(provider: Overshoot, field: Any) -> None:
    opened = Opened(provider, v02(**field))
    [access] = opened.revealed
    assert (access["protocol"], access["url"]) == ("webrtc", None)
    assert "a=ice-pwd:canary-overshoot-ice-pwd-" in access["sdp_answer"]
    [turn_server] = access["turn_servers"]
    assert turn_server["urls"] == "turn:turn.example.net:3478"
    assert turn_server["credential"].startswith("canary-overshoot-turn-credential-")
    renewed = provider.renew(opened.handle, Deadline(PATIENT))
    assert renewed
    assert renewed.ingest == ()


def test_an_offer_may_be_answered_without_turn_servers(provider: Overshoot, door: Door) -> None:
    body = {"stream_id": "a", "webrtc": {"type": "answer", "sdp": "v=0"}, "turn_servers": None}
    door.fault("status", "createStream", status=201, body=body)
    assert Opened(provider, v02()).revealed == [{"protocol": "webrtc", "url": None, "sdp_answer": "v=0"}]


def test_a_keepalive_of_v02_gives_a_new_token_for_the_same_room(provider: Overshoot, door: Door) -> None:
    opened = Opened(provider, v02())
    door.configure(v02_lease_seconds=30)
    renewed = provider.renew(opened.handle, Deadline(PATIENT))
    assert renewed
    assert (opened.resource.lease_seconds, renewed.lease_seconds) == (45, 30)
    assert (renewed.provider_status, renewed.notes) == ("pending", opened.handle.notes)
    assert renewed.ingest[0].public() == opened.public[0]
    assert renewed.ingest[0].revealed() != opened.revealed[0]


@pytest.mark.parametrize(("word", "state"), [("pending", State.READY), ("active", State.LIVE), ("idle", State.READY)])
def test_v02_is_live_while_somebody_sends(provider: Overshoot, simulated: Simulators, word: Any, state: State) -> None:
    opened = Opened(provider, v02())
    simulated.overshoot.v02.set_state(opened.resource.ref, word)
    for told in (provider.read(opened.handle, Deadline(PATIENT)), provider.renew(opened.handle, Deadline(PATIENT))):
        assert told
        assert (told.state, told.provider_status) == (state, word)


def test_a_sixth_stream_of_v02_is_over_the_limit_and_not_tried_again(provider: Overshoot, door: Door) -> None:
    for _ in range(5):
        Opened(provider, v02())
    error = failure_of(lambda: Opened(provider, v02()))
    assert type(error) is ProviderQuotaExceeded
    assert error.upstream
    assert error.upstream.request_id
    assert len(door.calls("createStream")) == 6


def test_a_stream_of_v02_that_was_closed_before_is_removed(provider: Overshoot, door: Door) -> None:
    opened = Opened(provider, v02())
    for _ in range(2):
        provider.remove(opened.handle, Deadline(PATIENT))
    assert [call.status for call in door.calls("closeStream")] == [200, 204]


@pytest.mark.parametrize("options", [options_of(), v02()])
def test_a_stream_that_is_over_is_known_by_its_next_renewal_so_nobody_need_look(
    provider: Overshoot, door: Door, options: Options
) -> None:
    opened = Opened(provider, options)
    provider.remove(opened.handle, Deadline(PATIENT))
    assert provider.renew(opened.handle, Deadline(PATIENT)) is None
    assert provider.look_seconds is None


@pytest.mark.parametrize("options", [options_of(), v02()])
def test_a_lease_that_nobody_pays_for_is_not_renewed(
    provider: Overshoot, door: Door, simulated: Simulators, options: Options
) -> None:
    opened = Opened(provider, options)
    simulated.overshoot.team.set_credits("main", 0)
    error = failure_of(lambda: provider.renew(opened.handle, Deadline(PATIENT)))
    assert type(error) is ProviderPaymentRequired
    assert len(door.calls("keepStreamAlive")) == 1


@pytest.mark.parametrize("options", [options_of(), v02()])
def test_a_keepalive_that_cannot_be_understood_is_the_provider_s_failure(
    provider: Overshoot, door: Door, options: Options
) -> None:
    opened = Opened(provider, options)
    door.fault("garbage", "keepStreamAlive")
    assert type(failure_of(lambda: provider.renew(opened.handle, Deadline(PATIENT)))) is ProviderUnavailable


@pytest.mark.parametrize("options", [options_of(), v02()])
@pytest.mark.parametrize("kind", ["lose_answer", "refuse"])
def test_a_keepalive_whose_answer_is_lost_is_repeated(
    provider: Overshoot, door: Door, options: Options, kind: Any
) -> None:
    opened = Opened(provider, options)
    door.fault(kind, "keepStreamAlive")
    assert provider.renew(opened.handle, Deadline(PATIENT))


# ---- what can be changed ----


def test_the_prompt_of_v02_is_changed_and_nothing_else(provider: Overshoot, door: Door, simulated: Simulators) -> None:
    opened = Opened(provider, v02())
    changed = provider.change(opened.handle, asking("Is the window open?"), PROMPT, Deadline(PATIENT))
    assert changed
    assert (changed.ref, changed.notes) == (opened.resource.ref, opened.handle.notes)
    [call] = door.calls("changePrompt")
    assert (call.method, call.path) == ("PATCH", f"/v0.2/streams/{changed.ref}/config/prompt")
    assert call.body == {"prompt": "Is the window open?"}
    kept = simulated.overshoot.v02.streams[changed.ref].inference
    assert kept == {**INFERENCE, "backend": "overshoot", "output_schema_json": None, "prompt": "Is the window open?"}


def test_a_change_of_a_stream_that_is_gone_finds_nothing(provider: Overshoot, door: Door) -> None:
    opened = Opened(provider, v02())
    door.clock.advance(45)
    assert provider.change(opened.handle, asking("anything"), PROMPT, Deadline(PATIENT)) is None


@pytest.mark.parametrize("kind", ["lose_answer", "refuse", "reset"])
def test_a_change_whose_answer_is_lost_is_repeated(provider: Overshoot, door: Door, kind: Any) -> None:
    opened = Opened(provider, v02())
    door.fault(kind, "changePrompt")
    assert provider.change(opened.handle, asking("once more"), PROMPT, Deadline(PATIENT))
    assert [call.body for call in door.calls("changePrompt")] == [{"prompt": "once more"}] * 2


def test_a_change_that_cannot_be_understood_is_the_provider_s_failure(provider: Overshoot, door: Door) -> None:
    opened = Opened(provider, v02())
    door.fault("garbage", "changePrompt")
    error = failure_of(lambda: provider.change(opened.handle, asking("anything"), PROMPT, Deadline(PATIENT)))
    assert (type(error), error.effect) == (ProviderUnavailable, Effect.UNKNOWN)


def test_a_prompt_that_is_refused_is_pointed_at_where_our_caller_wrote_it(provider: Overshoot, door: Door) -> None:
    opened = Opened(provider, v02())
    details = [{"loc": ["body", "prompt"], "msg": "too rude", "type": "tone"}]
    door.fault("status", "changePrompt", status=422, body={"error": "no", "details": details})
    error = failure_of(lambda: provider.change(opened.handle, asking("anything"), PROMPT, Deadline(PATIENT)))
    assert (type(error), error.faults) == (
        ProviderRejected,
        (Fault("/options/inference/prompt", "tone", "too rude"),),
    )


@pytest.mark.parametrize("options", [options_of(), v02()])
def test_of_v1beta_nothing_can_be_changed_and_nothing_is_called(
    provider: Overshoot, door: Door, options: Options
) -> None:
    opened = Opened(provider, options_of())
    calls = len(door.calls())
    order: Order[Any] = Order("str_of_ours", options)
    error = failure_of(lambda: provider.change(opened.handle, order, PROMPT, Deadline(PATIENT)))
    assert type(error) is CapabilityNotSupported
    assert len(door.calls()) == calls


def test_no_drift_is_claimed_of_what_is_never_told(provider: Overshoot) -> None:
    opened = Opened(provider, v02())
    read = provider.read(opened.handle, Deadline(PATIENT))
    assert read
    assert (read.settings, provider.settings(asking("anything"))) == ({}, {})
    assert Verb.REPAIR not in provider.verbs
    assert provider.changeable == PROMPT


# ---- rotation ----


@pytest.mark.parametrize("options", [options_of(), v02()])
@pytest.mark.parametrize("force", [False, True])
def test_a_token_is_exchanged_by_a_keepalive_and_the_lease_with_it(
    provider: Overshoot, door: Door, options: Options, force: bool
) -> None:
    opened = Opened(provider, options)
    door.configure(lease_seconds=120, v02_lease_seconds=120)
    rotated = provider.rotate(opened.handle, force, Deadline(PATIENT))
    assert rotated
    assert [access.public() for access in rotated.ingest] == opened.public
    [new], [old] = [access.revealed() for access in rotated.ingest], opened.revealed
    assert str(new["token"]).startswith("canary-overshoot-")
    assert new["token"] != old["token"]
    assert (rotated.lease_seconds, rotated.notes) == (120, opened.handle.notes)
    assert len(door.calls("keepStreamAlive")) == len(door.calls()) - 1 == 1


def test_a_stream_is_rotated_though_somebody_sends(provider: Overshoot, simulated: Simulators) -> None:
    opened = Opened(provider, v02())
    simulated.overshoot.v02.set_state(opened.resource.ref, "active")
    rotated = provider.rotate(opened.handle, False, Deadline(PATIENT))
    assert rotated
    assert rotated.state is State.LIVE


TOKENLESS = [
    options_of(source={"type": "rtsp", "url": CAMERA}),
    v02(source={"type": "webrtc", "sdp": SDP}),
    v02(webrtc={"type": "offer", "sdp": SDP}),
    v02(source={"type": "livekit", "url": "wss://room.example.org", "token": "canary-token"}),
]


@pytest.mark.parametrize("options", TOKENLESS)
def test_a_stream_without_a_token_cannot_be_rotated_and_nothing_is_called(
    provider: Overshoot, door: Door, options: Options
) -> None:
    opened = Opened(provider, options)
    error = failure_of(lambda: provider.rotate(opened.handle, True, Deadline(PATIENT)))
    assert type(error) is CapabilityNotSupported
    assert len(door.calls()) == 1


def test_a_stream_of_which_it_was_not_noted_is_asked_and_has_no_token_either(provider: Overshoot, door: Door) -> None:
    opened = Opened(provider, TOKENLESS[0])
    assert opened.handle.notes["source"] == "rtsp"
    older = Handle(opened.handle.id, opened.handle.ref, {"api_version": "v1beta", "region": "us-west1"})
    error = failure_of(lambda: provider.rotate(older, False, Deadline(PATIENT)))
    assert type(error) is CapabilityNotSupported
    assert len(door.calls("keepStreamAlive")) == 1


@pytest.mark.parametrize("options", [options_of(), v02()])
def test_a_stream_that_is_gone_cannot_be_rotated(provider: Overshoot, door: Door, options: Options) -> None:
    opened = Opened(provider, options)
    door.clock.advance(300)
    assert provider.rotate(opened.handle, False, Deadline(PATIENT)) is None


# ---- what is documented ----


def example(file: str, path: str, method: str, status: str, name: str) -> Any:
    """One example of an answer."""
    responses = yaml.safe_load((FOLDER / file).read_text())["paths"][path][method]["responses"]
    return responses[status]["content"]["application/json"]["examples"][name]["value"]


@pytest.mark.parametrize(
    ("name", "protocol", "notes"), [("published", "livekit", {}), ("pulled", "rtsp", {"source": "rtsp"})]
)
def test_each_documented_creation_of_v1beta_is_understood(name: str, protocol: str, notes: dict[str, str]) -> None:
    answer = Answer(201, {}, example("overshoot-v1beta.yaml", "/streams", "post", "201", name))
    created = wire_v1beta.created(answer)
    assert created
    assert (created.ref, created.lease_seconds) == ("7d3a1f60-9b52-4e0a-8c41-5b2e6d7f9a01", 300)
    assert [access.protocol for access in created.ingest] == [protocol]
    assert created.notes == {"api_version": "v1beta"} | notes


@pytest.mark.parametrize(("name", "protocol"), [("native", "livekit"), ("webrtc", "webrtc")])
def test_each_documented_creation_of_v02_is_understood(name: str, protocol: str) -> None:
    created = wire_v02.created(Answer(201, {}, example("overshoot-v0.2.yaml", "/streams", "post", "201", name)))
    assert created
    assert (created.ref, created.lease_seconds) == ("5f0c9a44-2b1d-4c53-9c7e-0d6f3f1b8a10", 45)
    assert [access.protocol for access in created.ingest] == [protocol]


@pytest.mark.parametrize(
    ("name", "state", "reason"),
    [("noFrameYet", State.READY, None), ("running", State.LIVE, None), ("ended", State.ENDED, "expired")],
)
def test_each_documented_state_of_v1beta_is_understood(name: str, state: State, reason: str | None) -> None:
    answer = Answer(200, {}, example("overshoot-v1beta.yaml", "/streams/{stream_id}", "get", "200", name))
    found = wire_v1beta.found(answer, Handle("str_of_ours", "a", {}))
    assert found
    assert (found.state, found.state_reason) == (state, reason)


def test_a_lost_stream_lives_for_one_lease_as_this_deployment_takes_it_to_be(provider: Overshoot) -> None:
    assert provider.orphan_seconds(V1betaOptions()) == 400
    assert provider.orphan_seconds(TypeAdapter(V02Options).validate_python(v02())) == 60


@pytest.mark.parametrize(("version", "parameter"), [("v1beta", "OvershootLease"), ("v0.2", "OvershootV02Lease")])
def test_the_lease_is_the_documented_one_unless_the_deployment_says_otherwise(
    monkeypatch: pytest.MonkeyPatch, version: str, parameter: str
) -> None:
    monkeypatch.setenv("PROVIDER_SECRET_ARN", "arn:any")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION"):
        monkeypatch.setenv(name, "testing")
    for name, value in functions()["provision_overshoot"]["Environment"]["Variables"].items():
        told = template()["Parameters"].get(value["Ref"], {}).get("Default", "any")
        monkeypatch.setenv(name, str(told))
    options: Any = options_of() if version == "v1beta" else v02()
    assert overshoot().orphan_seconds(options) == template()["Parameters"][parameter]["Default"]
    assert template()["Parameters"][parameter]["Default"] == {"v1beta": 300, "v0.2": 45}[version]


@pytest.mark.parametrize("options", [options_of(), v02()], ids=["v1beta", "v0.2"])
def test_a_lost_stream_is_gone_when_the_lease_is_over(provider: Overshoot, door: Door, options: Any) -> None:
    door.fault("lose_answer", "createStream")
    failure_of(lambda: Opened(provider, options))
    assert len(door.resources()) == 1
    door.clock.advance(300 if isinstance(options, V1betaOptions) else 45)
    assert list(door.resources()) == []


# ---- options ----


def test_v1beta_is_meant_where_nothing_is_said() -> None:
    assert options_of() == options_of(api_version="v1beta") == V1betaOptions()
    assert isinstance(v02(), V02Options)


@pytest.mark.parametrize("version", ["v1", "v0.2 ", None, 2, ["v1beta"]])
def test_an_unknown_api_version_is_one_fault(version: Any) -> None:
    assert faults_of({"api_version": version, "processing": 1, "nonsense": 2}) == {
        "/api_version": "Input should be 'v1beta' or 'v0.2'"
    }


def test_every_fault_is_told_at_once_and_in_its_place() -> None:
    faults = faults_of(
        {
            "api_version": "v0.2",
            "processing": {"interval_seconds": 2, "delay_seconds": 1},
            "inference": {"prompt": "", "model": "", "backend": "other", "max_output_tokens": 0},
            "source": {"type": "livekit", "url": "", "token": ""},
            "mode": "other",
            "client": {"id": 1},
            "name": "lobby",
        }
    )
    assert set(faults) == {
        "/processing/delay_seconds",
        "/inference/prompt",
        "/inference/model",
        "/inference/backend",
        "/inference/max_output_tokens",
        "/source/url",
        "/source/token",
        "/mode",
        "/client/id",
        "/name",
    }


@pytest.mark.parametrize(
    ("rate", "at"),
    [
        ({}, {"/processing/target_fps"}),
        ({"target_fps": 6, "fps": 24}, {"/processing/sampling_ratio", "/processing/target_fps"}),
        ({"target_fps": 6, "fps": 24, "sampling_ratio": 0.5}, {"/processing/target_fps"}),
        ({"target_fps": 6, "sampling_ratio": 0.5}, {"/processing/sampling_ratio"}),
        ({"fps": 24}, {"/processing/sampling_ratio"}),
        ({"fps": 0, "sampling_ratio": 0.5}, {"/processing/fps"}),
        ({"fps": 24, "sampling_ratio": 0.09}, {"/processing/sampling_ratio"}),
        ({"fps": 24, "sampling_ratio": 1.1}, {"/processing/sampling_ratio"}),
        ({"target_fps": 0}, {"/processing/target_fps"}),
        ({"target_fps": 31}, {"/processing/target_fps"}),
    ],
)
def test_clips_have_exactly_one_rate(rate: dict[str, Any], at: set[str]) -> None:
    asked = {"api_version": "v0.2", "processing": {**CLIPS, **rate}, "inference": INFERENCE}
    assert faults_of(asked).keys() == at


@pytest.mark.parametrize(
    ("processing", "at"),
    [
        ({"interval_seconds": 0}, "/processing/interval_seconds"),
        ({"interval_seconds": 60.1}, "/processing/interval_seconds"),
        ({**CLIPS, "target_fps": 6, "clip_length_seconds": 0.09}, "/processing/clip_length_seconds"),
        ({**CLIPS, "target_fps": 6, "clip_length_seconds": 60.1}, "/processing/clip_length_seconds"),
        ({**CLIPS, "target_fps": 6, "delay_seconds": 0}, "/processing/delay_seconds"),
        ("clips", "/processing"),
    ],
)
def test_intervals_have_bounds(processing: Any, at: str) -> None:
    assert faults_of({"api_version": "v0.2", "processing": processing, "inference": INFERENCE}).keys() == {at}


@pytest.mark.parametrize("processing", [{"interval_seconds": 2.5}, {**CLIPS, "delay_seconds": 2.5, "target_fps": 6}])
def test_a_model_writes_at_most_128_tokens_a_second(processing: dict[str, Any]) -> None:
    assert v02(processing=processing, inference={**INFERENCE, "max_output_tokens": 320})
    asked = {"api_version": "v0.2", "processing": processing, "inference": {**INFERENCE, "max_output_tokens": 321}}
    assert faults_of(asked).keys() == {"/inference/max_output_tokens"}


@pytest.mark.parametrize(("processing", "mode"), [(FRAMES, "clip"), ({**CLIPS, "target_fps": 6}, "frame")])
def test_mode_agrees_with_processing(processing: dict[str, Any], mode: str) -> None:
    asked = {"api_version": "v0.2", "processing": processing, "inference": INFERENCE, "mode": mode}
    assert faults_of(asked).keys() == {"/mode"}


def test_two_sources_are_refused() -> None:
    offer = {"type": "offer", "sdp": SDP}
    asked = {"api_version": "v0.2", "processing": FRAMES, "inference": INFERENCE, "webrtc": offer}
    assert faults_of({**asked, "source": {"type": "native"}}).keys() == {"/webrtc"}
    assert options_of(**asked, source=None)


@pytest.mark.parametrize(
    "address",
    [
        "http://camera.example.org/",
        "RTSP://camera.example.org/",
        "rtsp://",
        "rtsp:///main",
        "rtsp://canary@[::1]/",
        "rtsp://canary@[fe80::1]/",
        "rtsp://canary@[::ffff:192.168.0.1]/",
        "rtsp://canary@[no-address/",
        "rtsp://canary@127.0.0.1/",
        "rtsp://canary@10.1.2.3:554/",
        "rtsp://canary@169.254.169.254/",
        "rtsp://canary@2130706433/",
        "rtsp://canary@127.1/",
        "rtsp://canary@localhost/",
        "rtsp://canary@camera.localhost./",
    ],
)
def test_what_the_provider_could_not_reach_is_refused_without_being_repeated(address: str) -> None:
    [(at, why)] = faults_of({"source": {"type": "rtsp", "url": address}}).items()
    assert at == "/source/url"
    assert "canary" not in why


@pytest.mark.parametrize(
    "address", ["rtsps://u:p@camera.example.org", "rtsp://8.8.8.8:554/a", "rtsp://[2606:4700::1]/"]
)
def test_what_looks_public_is_left_to_the_provider(address: str) -> None:
    assert options_of(source={"type": "rtsp", "url": address})
