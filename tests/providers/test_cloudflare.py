"""Cloudflare Stream against its simulator: the shared contract, what is sent, and each answer it is known to give."""

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import Any, ClassVar

import httpx
import pytest
from pydantic import TypeAdapter, ValidationError

from headwater import errors
from headwater.deadline import Deadline
from headwater.errors import Effect, Fault, Upstream
from headwater.provider import Handle, Notice, Options, Order, Resource, Search
from headwater.simulcast import NewOutput, Output
from headwater.streams import State
from local.door import Door
from local.faults import Kind
from local.simulators import Simulators, secrets, simulators
from local.simulators.cloudflare import Cloudflare as SimulatedCloudflare
from local.simulators.cloudflare import Event, Settings, notification
from local.simulators.contract import Contract
from provision_cloudflare.options import CloudflareOptions
from provision_cloudflare.provider import Cloudflare
from provision_cloudflare.wire import CloudflareSecret
from tests.providers.provider_contract import (
    BRIEF,
    OURS,
    PATIENT,
    Change,
    FakeSecret,
    ProviderContract,
    Refusal,
    an_order,
    differing,
    failure_of,
    handle,
    reveal_a_secret,
    strike,
)

GOOD = CloudflareSecret.model_validate(secrets.SECRETS["cloudflare"])
REFUSED = CloudflareSecret.model_validate({"account_id": "sim-account", "api_token": "canary-no-such-token"})

FULLEST = {
    "default_creator": "customer-42",
    "delete_recording_after_days": 45,
    "enabled": False,
    "meta": {"name": "gate", "floor": {"allowed_origins": [1, None]}},
    "prefer_low_latency": True,
    "recording": {
        "mode": "automatic",
        "allowed_origins": ["*.example.com"],
        "hide_live_viewer_count": True,
        "require_signed_urls": True,
        "timeout_seconds": 10,
    },
}


@pytest.fixture(scope="module")
def running() -> Iterator[Simulators]:
    with simulators() as found:
        yield found


@pytest.fixture
def simulated(running: Simulators) -> SimulatedCloudflare:
    running.cloudflare.door.reset()
    running.cloudflare.door.configure(**asdict(Settings()))
    return running.cloudflare


@pytest.fixture
def door(simulated: SimulatedCloudflare) -> Door:
    return simulated.door


@pytest.fixture
def url(running: Simulators, simulated: SimulatedCloudflare) -> str:
    """With a simulator that is as new."""
    return running.url


@pytest.fixture
def secret() -> FakeSecret[CloudflareSecret]:
    return FakeSecret(GOOD, REFUSED)


@pytest.fixture
def provider_at(secret: FakeSecret[CloudflareSecret]) -> Callable[[str], Cloudflare]:
    return lambda url: Cloudflare(f"{url}/cloudflare/client/v4", secret)


@pytest.fixture
def provider(provider_at: Callable[[str], Cloudflare], url: str) -> Cloudflare:
    return provider_at(url)


@pytest.fixture
def options() -> CloudflareOptions:
    return CloudflareOptions()


@pytest.fixture
def private_options() -> None:
    """No option is a secret."""


@pytest.fixture
def order(options: CloudflareOptions) -> Order[CloudflareOptions]:
    return Order("str_made-up", options, name="lobby camera", deployment=OURS)


@pytest.fixture
def live(provider: Cloudflare, order: Order[CloudflareOptions]) -> Handle:
    """A live input that is there."""
    return handle(order, provider.create(order, Deadline(PATIENT)))


@pytest.fixture
def console(url: str) -> Iterator[httpx.Client]:
    """Somebody who has the account too, and changes things behind our back."""
    headers = {"Authorization": f"Bearer {secrets.SECRETS['cloudflare']['api_token']}"}
    base = f"{url}/cloudflare/client/v4/accounts/sim-account/stream"
    with httpx.Client(base_url=base, headers=headers) as client:
        yield client


@pytest.fixture
def somebody_else_s(console: httpx.Client) -> str:
    made = console.post("/live_inputs", json={"meta": {"name": "yard", "since": 2021}, "enabled": False})
    uid: str = made.json()["result"]["uid"]
    return uid


def envelope(*found: dict[str, Any]) -> dict[str, Any]:
    return {"success": False, "errors": list(found), "messages": [], "result": None}


GONE = envelope({"code": 1004, "message": "not found"})
"""What is answered of a live input that is not there."""


def refusal(status: int, error: type[errors.ProviderError], code: int = 1000, **rest: Any) -> Refusal:
    ray = {"cf-ray": f"ray-{status}"}
    body = envelope({"code": code, "message": "a made-up text"})
    return Refusal(status, error, body, ray, code=str(code), request_id=f"ray-{status}", **rest)


PUT = "updateLiveInput"


class TestCloudflareSigns(ProviderContract):
    creates, reads, removes = "createLiveInput", "getLiveInput", "deleteLiveInput"
    findable = marks = True
    contract = Contract("cloudflare-stream.yaml")
    contract_prefix = "/client/v4"
    refusals = (
        refusal(400, errors.ProviderRejected, 1001),
        refusal(400, errors.ProviderUnauthorized, 6003),
        refusal(401, errors.ProviderUnauthorized, 10000),
        refusal(402, errors.ProviderPaymentRequired),
        refusal(403, errors.ProviderNotEntitled, 10000),
        refusal(404, errors.ProviderNotEntitled, 7003),
        refusal(409, errors.GuardSpent, 1009),
        refusal(413, errors.ProviderRejected),
        refusal(429, errors.ProviderRateLimited, 971),
        refusal(500, errors.ProviderUnavailable, effect=Effect.UNKNOWN),
        Refusal(502, errors.ProviderUnavailable, "<html>bad gateway</html>", effect=Effect.UNKNOWN),
        # A refusal in spite of its status.
        refusal(200, errors.ProviderRejected, 1001),
    )
    slow_down = refusal(429, errors.ProviderRateLimited, 971)
    tells_settings = adopts = simulcasts = True
    rotates = "rotateLiveInputKeys"
    changing: ClassVar[dict[str, Change]] = {
        "/name": Change(PUT, name="gate camera"),
        "/options/enabled": Change(PUT, {"enabled": False}),
        "/options/default_creator": Change(PUT, {"default_creator": "customer-42"}),
        "/options/delete_recording_after_days": Change(PUT, {"delete_recording_after_days": 30}),
        "/options/recording/mode": Change(PUT, {"recording": {"mode": "automatic"}}),
        "/options/recording/allowed_origins": Change(
            PUT, {"recording": {"allowed_origins": ["b.example", "a.example"]}}
        ),
        "/options/meta/floor": Change(PUT, {"meta": {"floor": 2}}),
    }

    @staticmethod
    def rejection(text: str) -> Refusal:
        return Refusal(400, errors.ProviderRejected, envelope({"code": 1001, "message": text}), code="1001")


# ---- what is sent ----


MARKS = {"headwater_id": "str_made-up", "headwater_deployment": OURS}


def test_the_emptiest_order_sends_our_marks_and_its_key(provider: Cloudflare, door: Door) -> None:
    provider.create(Order("str_made-up", CloudflareOptions(), deployment=OURS), Deadline(PATIENT))
    (call,) = door.calls()
    assert (call.method, call.path) == ("POST", "/client/v4/accounts/sim-account/stream/live_inputs")
    assert call.body == {"meta": MARKS}
    assert call.headers["idempotency-key"] == "str_made-up-1"
    assert call.headers["authorization"] == f"Bearer {secrets.SECRETS['cloudflare']['api_token']}"
    assert not {"x-auth-email", "x-auth-key"} & call.headers.keys()


def test_the_fullest_order_sends_every_field(provider: Cloudflare, door: Door) -> None:
    options = CloudflareOptions.model_validate(FULLEST)
    order = Order("str_made-up", options, name="lobby camera", generation=3, deployment=OURS)
    provider.create(order, Deadline(PATIENT))
    (call,) = door.calls()
    assert call.headers["idempotency-key"] == "str_made-up-3"
    assert call.body == {
        "defaultCreator": "customer-42",
        "deleteRecordingAfterDays": 45,
        "enabled": False,
        "meta": {"name": "gate", "floor": {"allowed_origins": [1, None]}, **MARKS},
        "preferLowLatency": True,
        "recording": {
            "mode": "automatic",
            "allowedOrigins": ["*.example.com"],
            "hideLiveViewerCount": True,
            "requireSignedURLs": True,
            "timeoutSeconds": 10,
        },
    }


def test_every_field_of_the_provider_can_be_asked_for(provider: Cloudflare, door: Door) -> None:
    provider.create(an_order(provider, CloudflareOptions.model_validate(FULLEST)), Deadline(PATIENT))
    settings = Contract("cloudflare-stream.yaml").document["components"]["schemas"]["LiveInputSettings"]["properties"]
    (call,) = door.calls()
    assert call.body.keys() == settings.keys()
    assert call.body["recording"].keys() == settings["recording"]["properties"].keys()


def test_the_order_s_name_is_the_display_name(
    provider: Cloudflare, door: Door, order: Order[CloudflareOptions]
) -> None:
    provider.create(order, Deadline(PATIENT))
    assert door.calls()[0].body == {"meta": {"name": "lobby camera", **MARKS}}


def test_null_days_are_sent_as_null(provider: Cloudflare, door: Door) -> None:
    options = CloudflareOptions.model_validate({"delete_recording_after_days": None})
    provider.create(Order("str_made-up", options, deployment=OURS), Deadline(PATIENT))
    assert door.calls()[0].body == {"deleteRecordingAfterDays": None, "meta": MARKS}


def test_a_global_key_is_sent_with_its_email_and_no_token(url: str, door: Door) -> None:
    key = CloudflareSecret.model_validate(secrets.CLOUDFLARE_GLOBAL_KEY)
    provider = Cloudflare(f"{url}/cloudflare/client/v4", lambda _: key)
    assert provider.create(an_order(provider, CloudflareOptions()), Deadline(PATIENT)).ref
    sent = door.calls()[0].headers
    assert sent["x-auth-email"] == secrets.CLOUDFLARE_GLOBAL_KEY["email"]
    assert sent["x-auth-key"] == secrets.CLOUDFLARE_GLOBAL_KEY["global_api_key"]
    assert "authorization" not in sent


def test_a_token_that_may_only_read_is_not_entitled(url: str, door: Door) -> None:
    read_only = CloudflareSecret.model_validate(secrets.CLOUDFLARE_READ_ONLY)
    provider = Cloudflare(f"{url}/cloudflare/client/v4", lambda _: read_only)
    error = failure_of(lambda: provider.create(an_order(provider, CloudflareOptions()), Deadline(BRIEF)))
    assert type(error) is errors.ProviderNotEntitled


@pytest.mark.parametrize(
    "malformed",
    [
        {},
        {"account_id": "a"},
        {"account_id": "a", "email": "canary-e"},
        {"account_id": "a", "api_token": "canary-t", "email": "canary-e", "global_api_key": "canary-k"},
        {"account_id": "a", "api_token": "canary-t", "other": "canary-o"},
        {"account_id": "a" * 33, "api_token": "canary-t"},
        {"account_id": "a", "api_token": "canary-t\n"},
        {"account_id": "a", "api_token": ""},
        {"api_token": "canary-t"},
    ],
)
def test_a_secret_is_of_one_scheme_or_the_other(malformed: dict[str, str]) -> None:
    with pytest.raises(ValidationError) as refused:
        CloudflareSecret.model_validate(malformed)
    assert "canary-" not in str(refused.value)


def test_a_secret_shows_nothing() -> None:
    both = [GOOD, CloudflareSecret.model_validate(secrets.CLOUDFLARE_GLOBAL_KEY)]
    assert "canary-" not in f"{both}{both[0]}{both[1]}"
    assert "canary-" not in repr([secret.headers() for secret in both])


# ---- what may be asked ----


def faults_of(options: dict[str, Any]) -> set[tuple[str | int, ...]]:
    with pytest.raises(ValidationError) as refused:
        TypeAdapter[Options](Cloudflare.options_type).validate_python(options)
    return {fault["loc"] for fault in refused.value.errors()}


@pytest.mark.parametrize(
    ("options", "wrong"),
    [
        ({"delete_recording_after_days": 29}, {("delete_recording_after_days",)}),
        ({"delete_recording_after_days": 1097}, {("delete_recording_after_days",)}),
        ({"recording": {"timeout_seconds": -1}}, {("recording", "timeout_seconds")}),
        ({"recording": {"mode": "on"}}, {("recording", "mode")}),
        ({"recording": None}, {("recording",)}),
        ({"recording": {"allowedOrigins": []}}, {("recording", "allowedOrigins")}),
        ({"prefer_low_latency": True}, {("prefer_low_latency",)}),
        ({"prefer_low_latency": True, "recording": {"mode": "off"}}, {("prefer_low_latency",)}),
        ({"prefer_low_latency": True, "recording": {"mode": "on"}}, {("recording", "mode")}),
        ({"meta": {"headwater_id": "mine"}}, {("meta",)}),
        ({"meta": {"headwater_deployment": "mine"}}, {("meta",)}),
        ({"meta": "canary"}, {("meta",)}),
        (
            {"enabled": 1, "default_creator": None, "meta": [], "prefer_low_latency": True, "live": 1},
            {("enabled",), ("default_creator",), ("meta",), ("prefer_low_latency",), ("live",)},
        ),
    ],
)
def test_what_is_wrong_is_told_all_at_once_and_where(
    options: dict[str, Any], wrong: set[tuple[str | int, ...]]
) -> None:
    assert faults_of(options) == wrong


@pytest.mark.parametrize("days", [30, 1096, None])
def test_the_bounds_themselves_are_allowed(days: int | None) -> None:
    assert CloudflareOptions(delete_recording_after_days=days).delete_recording_after_days == days


def test_every_option_is_described() -> None:
    schema = CloudflareOptions.model_json_schema()
    fields = [schema["properties"], schema["$defs"]["Recording"]["properties"]]
    assert all(described["description"] for properties in fields for described in properties.values())


# ---- what is answered ----


def test_a_new_live_input_has_three_ways_in_and_three_out(
    provider: Cloudflare, order: Order[CloudflareOptions]
) -> None:
    made = provider.create(order, Deadline(PATIENT))
    assert (made.state, made.provider_status, made.lease_seconds) == (State.READY, None, None)
    assert [(access.protocol, set(access.secrets)) for access in made.ingest] == [
        ("rtmps", {"stream_key"}),
        ("srt", {"stream_id", "passphrase"}),
        ("whip", {"url"}),
    ]
    assert [(access.protocol, set(access.secrets)) for access in made.playback] == [
        ("rtmps", {"stream_key"}),
        ("srt", {"stream_id", "passphrase"}),
        ("whep", {"url"}),
    ]
    assert made.ingest[0].public() == {"protocol": "rtmps", "url": "rtmps://ingest.example.net:443/live/"}
    assert made.ingest[1].url == "srt://ingest.example.net:778"
    assert made.ingest[2].public() == {"protocol": "whip", "url": None}
    assert str(made.ingest[2].revealed()["url"]).endswith("/webRTC/publish")


def test_what_is_recorded_can_also_be_watched_over_hls_and_dash(provider: Cloudflare) -> None:
    options = CloudflareOptions.model_validate({"recording": {"mode": "automatic"}})
    made = provider.create(an_order(provider, options), Deadline(PATIENT))
    manifests = {access.protocol: access for access in made.playback if not access.secrets}
    assert manifests.keys() == {"hls", "dash"}
    assert str(manifests["hls"].url).endswith("/manifest/video.m3u8")


@pytest.mark.parametrize("as_object", [False, True])
@pytest.mark.parametrize(
    ("status", "state"),
    [
        (None, State.READY),
        ("connected", State.LIVE),
        ("reconnected", State.LIVE),
        ("new_configuration_accepted", State.LIVE),
        ("reconnecting", State.READY),
        ("client_disconnect", State.READY),
        ("ttl_exceeded", State.READY),
        ("failed_to_connect", State.READY),
        ("failed_to_reconnect", State.READY),
    ],
)
def test_each_status_in_either_form_has_its_state(
    provider: Cloudflare,
    simulated: SimulatedCloudflare,
    order: Order[CloudflareOptions],
    status: Any,
    state: State,
    as_object: bool,
) -> None:
    made = provider.create(order, Deadline(PATIENT))
    simulated.set_status(made.ref, status, as_object)
    found = provider.read(handle(order, made), Deadline(PATIENT))
    assert found
    assert (found.state, found.provider_status) == (state, status)


def test_reading_tells_the_secrets_again(provider: Cloudflare, order: Order[CloudflareOptions]) -> None:
    made = provider.create(order, Deadline(PATIENT))
    found = provider.read(handle(order, made), Deadline(PATIENT))
    assert found
    assert [access.revealed() for access in found.ingest] == [access.revealed() for access in made.ingest]


@pytest.mark.parametrize("mode", ["off", "automatic"])
def test_the_answer_of_2021_is_understood(provider: Cloudflare, simulated: SimulatedCloudflare, mode: str) -> None:
    simulated.door.configure(live_block=True)
    options = CloudflareOptions.model_validate({"recording": {"mode": mode}})
    made = provider.create(an_order(provider, options), Deadline(PATIENT))
    assert made.notes == {"recording_mode": mode, "account_id": "sim-account"}


def test_an_answer_of_the_id_alone_is_completed_by_reading(
    provider: Cloudflare, door: Door, order: Order[CloudflareOptions]
) -> None:
    made = provider.create(order, Deadline(PATIENT))
    bare = {"success": True, "errors": [], "messages": [], "result": {"uid": made.ref}}
    door.fault("status", "createLiveInput", status=200, body=bare)
    assert provider.create(order, Deadline(PATIENT)) == made
    assert len(door.calls("getLiveInput")) == 1


@pytest.mark.parametrize("status", [404, 429, 500])
def test_an_answer_of_the_id_alone_that_cannot_be_completed_is_an_unknown_outcome(
    provider: Cloudflare, door: Door, order: Order[CloudflareOptions], status: int
) -> None:
    bare = {"success": True, "errors": [], "messages": [], "result": {"uid": "0a1b2c3d"}}
    door.fault("status", "createLiveInput", status=200, body=bare)
    door.fault("status", "getLiveInput", status=status, times=9)
    error = failure_of(lambda: provider.create(order, Deadline(BRIEF)))
    assert type(error) is errors.ProviderOutcomeUnknown
    assert error.effect is Effect.UNKNOWN


@pytest.mark.parametrize(
    "result",
    [
        {"uid": 7},
        {"uid": ""},
        [],
        None,
        "0a1b2c3d",
    ],
)
def test_a_create_whose_answer_names_nothing_has_an_unknown_outcome(
    provider: Cloudflare, door: Door, order: Order[CloudflareOptions], result: Any
) -> None:
    body = {"success": True, "errors": [], "messages": [], "result": result}
    door.fault("status", "createLiveInput", status=200, body=body)
    error = failure_of(lambda: provider.create(order, Deadline(BRIEF)))
    assert type(error) is errors.ProviderOutcomeUnknown


def test_fields_of_other_types_than_described_are_left_out(
    provider: Cloudflare, door: Door, order: Order[CloudflareOptions]
) -> None:
    made = provider.create(order, Deadline(PATIENT))
    odd = {"uid": made.ref, "status": 7, "recording": None, "rtmps": [], "srt": {"url": 1}, "playback": "x"}
    door.fault("status", "getLiveInput", status=200, body={"success": True, "result": odd})
    found = provider.read(handle(order, made), Deadline(PATIENT))
    assert found
    assert (found.state, found.ingest, found.playback, found.notes) == (
        State.READY,
        (),
        (),
        {"account_id": "sim-account"},
    )


# ---- what is refused ----


def test_the_provider_s_pointers_are_told_in_our_names(
    provider: Cloudflare, door: Door, order: Order[CloudflareOptions]
) -> None:
    body = envelope(
        {"code": 1001, "message": "not an origin", "source": {"pointer": "/recording/allowedOrigins/0"}},
        {"code": 1002, "message": "too soon", "source": {"pointer": "/deleteRecordingAfterDays"}},
        {"code": 1003, "message": "too long", "source": {"pointer": "/meta/allowedOrigins"}},
        {"code": 1004, "message": "and something else"},
    )
    door.fault("status", "createLiveInput", status=400, body=body)
    error = failure_of(lambda: provider.create(order, Deadline(BRIEF)))
    assert error.faults == (
        Fault("/options/recording/allowed_origins/0", "1001", "not an origin"),
        Fault("/options/delete_recording_after_days", "1002", "too soon"),
        Fault("/options/meta/allowedOrigins", "1003", "too long"),
    )
    assert "and something else" in error.detail


@pytest.mark.parametrize(
    "body", [None, "not JSON", [], {"success": False}, {"success": False, "errors": [7, {}, {"code": "x"}]}]
)
def test_a_refusal_in_other_words_is_still_one(
    provider: Cloudflare, door: Door, order: Order[CloudflareOptions], body: Any
) -> None:
    strike(door, "createLiveInput", Refusal(400, errors.ProviderRejected, body))
    error = failure_of(lambda: provider.create(order, Deadline(BRIEF)))
    assert type(error) is errors.ProviderRejected
    assert error.upstream == Upstream("cloudflare", 400)


def test_a_removal_refused_with_200_is_an_error(
    provider: Cloudflare, door: Door, order: Order[CloudflareOptions]
) -> None:
    made = provider.create(order, Deadline(PATIENT))
    strike(door, "deleteLiveInput", refusal(200, errors.ProviderRejected))
    error = failure_of(lambda: provider.remove(handle(order, made), Deadline(BRIEF)))
    assert type(error) is errors.ProviderRejected


def test_the_key_of_a_deleted_live_input_is_spent_until_the_generation_rises(
    provider: Cloudflare, door: Door, order: Order[CloudflareOptions]
) -> None:
    made = provider.create(order, Deadline(PATIENT))
    provider.remove(handle(order, made), Deadline(PATIENT))
    error = failure_of(lambda: provider.create(order, Deadline(BRIEF)))
    assert type(error) is errors.GuardSpent
    assert error.effect is Effect.NONE
    assert len(door.calls("createLiveInput")) == 2
    assert provider.create(replace(order, generation=2), Deadline(PATIENT)).ref != made.ref
    assert len(door.resources()) == 1


def test_a_spent_key_does_not_make_certain_what_became_of_an_earlier_call(
    provider: Cloudflare, door: Door, order: Order[CloudflareOptions]
) -> None:
    """The first call may be under way still: what a second is then answered is not documented."""
    door.fault("refuse", "createLiveInput")
    door.fault("status", "createLiveInput", status=409)
    error = failure_of(lambda: provider.create(order, Deadline(PATIENT)))
    assert (type(error), error.effect) == (errors.GuardSpent, Effect.UNKNOWN)


def test_a_conflict_about_anything_else_than_a_create_is_a_conflict(
    provider: Cloudflare, door: Door, order: Order[CloudflareOptions]
) -> None:
    made = handle(order, provider.create(order, Deadline(PATIENT)))
    for operation in ("getLiveInput", "listLiveInputs", "deleteLiveInput"):
        strike(door, operation, refusal(409, errors.ProviderConflict))
    calls: list[Callable[[], object]] = [
        lambda: provider.read(made, Deadline(BRIEF)),
        lambda: provider.remove(made, Deadline(BRIEF)),
        lambda: provider.connected(made, Deadline(BRIEF)),
        lambda: provider.find(order, Deadline(BRIEF)),
    ]
    assert {type(failure_of(call)) for call in calls} == {errors.ProviderConflict}


def test_a_replay_without_its_secrets_is_completed_by_reading(
    provider: Cloudflare, door: Door, order: Order[CloudflareOptions]
) -> None:
    made = provider.create(order, Deadline(PATIENT))
    door.configure(replay_has_secrets=False)
    assert provider.create(order, Deadline(PATIENT)) == made
    assert len(door.resources()) == 1


def test_the_guard_ends_after_six_hours(provider: Cloudflare, door: Door, order: Order[CloudflareOptions]) -> None:
    provider.create(order, Deadline(PATIENT))
    door.clock.advance(6 * 3600)
    provider.create(order, Deadline(PATIENT))
    assert len(door.resources()) == 2


# ---- finding ----


def test_a_list_that_shows_less_than_there_is_proves_nothing(
    provider: Cloudflare, simulated: SimulatedCloudflare, order: Order[CloudflareOptions]
) -> None:
    provider.create(an_order(provider, order.options), Deadline(PATIENT))
    provider.create(order, Deadline(PATIENT))
    simulated.door.configure(list_window=1)
    assert provider.find(order, Deadline(PATIENT)) == Search(conclusive=False)
    simulated.door.configure(list_window=2)
    assert provider.find(order, Deadline(PATIENT)).resource


def test_a_cut_list_that_shows_it_is_enough(
    provider: Cloudflare, simulated: SimulatedCloudflare, order: Order[CloudflareOptions]
) -> None:
    made = provider.create(order, Deadline(PATIENT))
    provider.create(an_order(provider, order.options), Deadline(PATIENT))
    simulated.door.configure(list_window=1)
    assert provider.find(order, Deadline(PATIENT)) == Search(made)


ANOTHER = {"uid": "another", "meta": {"headwater_id": "str_another"}}


@pytest.mark.parametrize(
    ("result", "conclusive"),
    [
        ({"liveInputs": [], "range": 0, "total": 0}, True),
        ({"liveInputs": [ANOTHER], "range": 1, "total": 1}, True),
        ({"liveInputs": [ANOTHER, {"uid": "unmarked", "meta": None}], "total": 2}, True),
        ({"liveInputs": [ANOTHER], "total": 2}, False),
        ({"liveInputs": [ANOTHER], "total": None}, False),
        ({"liveInputs": [ANOTHER], "total": "1"}, False),
        ({"liveInputs": [ANOTHER], "total": True}, False),
        ({"liveInputs": [ANOTHER], "range": 1}, False),
        ([ANOTHER], False),
        ([], False),
        # Whatever this is, it might be ours.
        ({"liveInputs": [ANOTHER, 7], "total": 2}, False),
        ({"liveInputs": [{"meta": {"headwater_id": "str_made-up"}}], "total": 1}, False),
    ],
)
def test_only_a_list_that_says_that_it_is_complete_proves_that_there_is_nothing(
    provider: Cloudflare, door: Door, order: Order[CloudflareOptions], result: Any, conclusive: bool
) -> None:
    door.fault("status", "listLiveInputs", status=200, body={"success": True, "result": result})
    assert provider.find(order, Deadline(PATIENT)) == Search(conclusive=conclusive)


@pytest.mark.parametrize("bare", [False, True])
def test_a_list_is_understood_in_either_form(
    provider: Cloudflare, door: Door, order: Order[CloudflareOptions], bare: bool
) -> None:
    made = provider.create(order, Deadline(PATIENT))
    inputs = [{"uid": "another", "meta": None}, {}, 7, {"uid": made.ref, "meta": {"headwater_id": order.id}}]
    body = {"success": True, "result": inputs if bare else {"liveInputs": inputs, "range": 4, "total": 4}}
    door.fault("status", "listLiveInputs", status=200, body=body)
    assert provider.find(order, Deadline(PATIENT)) == Search(made)


@pytest.mark.parametrize("complete", [True, False])
def test_what_was_deleted_since_it_was_listed_is_gone_but_proves_no_more_than_the_list(
    provider: Cloudflare, door: Door, order: Order[CloudflareOptions], complete: bool
) -> None:
    provider.create(order, Deadline(PATIENT))
    provider.create(an_order(provider, order.options), Deadline(PATIENT))
    door.configure(list_window=2 if complete else 1)
    door.fault("status", "getLiveInput", status=404, body=GONE)
    assert provider.find(order, Deadline(PATIENT)) == Search(conclusive=complete)


def test_behind_a_deleted_one_that_is_still_listed_the_next_generation_s_is_found(
    provider: Cloudflare, door: Door, order: Order[CloudflareOptions]
) -> None:
    provider.create(order, Deadline(PATIENT))
    second = provider.create(replace(order, generation=2), Deadline(PATIENT))
    door.fault("status", "getLiveInput", status=404, body=GONE)
    assert provider.find(order, Deadline(PATIENT)) == Search(second)


def test_garbage_for_a_list_is_the_provider_s_failure(
    provider: Cloudflare, door: Door, order: Order[CloudflareOptions]
) -> None:
    door.fault("garbage", "listLiveInputs")
    assert type(failure_of(lambda: provider.find(order, Deadline(BRIEF)))) is errors.ProviderUnavailable


# ---- what nobody has a record of ----


def test_what_lacks_one_of_our_marks_is_not_listed_as_ours(provider: Cloudflare, door: Door) -> None:
    created = "2026-11-02T09:15:04.123Z"
    metas: list[Any] = [
        {"headwater_id": "str_1", "headwater_deployment": OURS},
        {"headwater_id": "str_2"},
        {"headwater_deployment": OURS},
        {"headwater_id": "str_4", "headwater_deployment": f"{OURS}2"},
        {"headwater_id": "str_5", "headwater_deployment": ""},
        {"headwater_id": 6, "headwater_deployment": OURS},
        {"name": "somebody else's"},
        None,
    ]
    inputs = [{"uid": f"uid-{number}", "created": created, "meta": meta} for number, meta in enumerate(metas, 1)]
    body = {"success": True, "result": {"liveInputs": [*inputs, {"meta": metas[0]}, 7], "total": 10}}
    door.fault("status", "listLiveInputs", status=200, body=body)
    [listed] = provider.marked(OURS, Deadline(PATIENT))
    assert (listed.ref, listed.stream_id, listed.notes) == ("uid-1", "str_1", {"account_id": "sim-account"})
    assert listed.created_at == datetime(2026, 11, 2, 9, 15, 4, 123000, UTC)


@pytest.mark.parametrize("created", [None, 7, "", "yesterday", "2026-11-02", "2026-11-02T09:15:04"])
def test_an_age_that_cannot_be_read_is_not_known(provider: Cloudflare, door: Door, created: Any) -> None:
    marked = {"uid": "a", "created": created, "meta": {"headwater_id": "str_1", "headwater_deployment": OURS}}
    door.fault("status", "listLiveInputs", status=200, body={"success": True, "result": [marked]})
    [listed] = provider.marked(OURS, Deadline(PATIENT))
    assert listed.created_at is None


@pytest.mark.parametrize(
    ("status", "as_object", "connected"),
    [
        (None, False, False),
        # Not documented, so not taken for "never used".
        (None, True, None),
        *(
            (word, as_object, connected)
            for as_object in (False, True)
            for word, connected in {
                "connected": True,
                "reconnected": True,
                "reconnecting": True,
                "new_configuration_accepted": True,
                "client_disconnect": False,
                "ttl_exceeded": False,
                "failed_to_connect": False,
                "failed_to_reconnect": False,
            }.items()
        ),
    ],
)
def test_each_status_says_whether_somebody_sends(
    provider: Cloudflare,
    simulated: SimulatedCloudflare,
    order: Order[CloudflareOptions],
    status: Any,
    as_object: bool,
    connected: bool | None,
) -> None:
    made = provider.create(order, Deadline(PATIENT))
    simulated.set_status(made.ref, status, as_object)
    assert provider.connected(handle(order, made), Deadline(PATIENT)) is connected
    assert len(simulated.door.calls("getLiveInput")) == 1


@pytest.mark.parametrize(
    "result", [{"uid": "a"}, {"uid": "a", "status": "dancing"}, {"uid": "a", "status": 7}, {"status": {}}, [], None]
)
def test_where_the_status_is_not_told_in_a_known_word_it_is_not_known(
    provider: Cloudflare, door: Door, result: Any
) -> None:
    door.fault("status", "getLiveInput", status=200, body={"success": True, "result": result})
    assert provider.connected(Handle("str_1", "a", {}), Deadline(PATIENT)) is None


def test_whether_somebody_sends_is_not_told_of_another_account_s(provider: Cloudflare, door: Door) -> None:
    error = failure_of(lambda: provider.connected(Handle("str_1", "a", {"account_id": "old"}), Deadline(PATIENT)))
    assert type(error) is errors.ProviderUnauthorized
    assert door.calls() == []


# ---- removing ----


@pytest.mark.parametrize(("mode", "remains"), [("off", False), ("automatic", True)])
def test_removal_says_that_recordings_stay_if_there_can_be_any(provider: Cloudflare, mode: str, remains: bool) -> None:
    order = an_order(provider, CloudflareOptions.model_validate({"recording": {"mode": mode}}))
    made = provider.create(order, Deadline(PATIENT))
    removal = provider.remove(handle(order, made), Deadline(PATIENT))
    assert bool(removal.remains) is remains


def test_removal_says_so_too_where_the_mode_is_not_known(provider: Cloudflare) -> None:
    assert provider.remove(Handle("str_made-up", "0a1b2c3d", {}), Deadline(PATIENT)).remains


def test_a_disabled_live_input_is_ready_and_can_be_removed(provider: Cloudflare, door: Door) -> None:
    order = an_order(provider, CloudflareOptions(enabled=False))
    made = provider.create(order, Deadline(PATIENT))
    assert made.state is State.READY
    provider.remove(handle(order, made), Deadline(PATIENT))
    assert list(door.resources()) == []


def test_a_ref_is_quoted_in_the_path(provider: Cloudflare, door: Door) -> None:
    assert provider.read(Handle("str_made-up", "../videos?x=1", {}), Deadline(PATIENT)) is None
    assert door.calls()[0].path.startswith("/client/v4/accounts/sim-account/stream/live_inputs/..")
    assert door.calls()[0].query == {}


def test_a_live_input_has_no_lease(provider: Cloudflare, door: Door, order: Order[CloudflareOptions]) -> None:
    with pytest.raises(errors.CapabilityNotSupported):
        provider.renew(Handle(order.id, "0a1b2c3d", {}), Deadline(PATIENT))
    assert provider.orphan_seconds(order.options) == 0
    assert door.calls() == []


def test_a_lost_answer_with_its_secrets_is_had_by_repeating(
    provider: Cloudflare, door: Door, order: Order[CloudflareOptions]
) -> None:
    door.fault("lose_answer", "createLiveInput", times=2)
    made = provider.create(order, Deadline(PATIENT))
    assert reveal_a_secret([*made.ingest])
    assert {call.headers["idempotency-key"] for call in door.calls("createLiveInput")} == {"str_made-up-1"}
    assert len(door.resources()) == 1


# ---- how it is set


def read(provider: Cloudflare, made: Resource, order: Order[CloudflareOptions]) -> Resource:
    found = provider.read(handle(order, made), Deadline(PATIENT))
    assert found
    return found


def drift(provider: Cloudflare, made: Resource, order: Order[CloudflareOptions]) -> list[str]:
    """What is otherwise there than this order asks for."""
    return differing(provider.settings(order), read(provider, made, order).settings)


@pytest.mark.parametrize("asked", [{}, FULLEST])
def test_what_is_told_of_a_live_input_is_what_can_be_asked_for_but_its_creator(
    provider: Cloudflare, asked: dict[str, Any]
) -> None:
    order = replace(an_order(provider, CloudflareOptions.model_validate(asked)), name="lobby camera")
    made = provider.create(order, Deadline(PATIENT))
    settings = read(provider, made, order).settings
    assert settings == provider.settings(order) == made.settings
    assert settings.keys() == {
        "/options/enabled",
        "/options/delete_recording_after_days",
        "/options/prefer_low_latency",
        "/options/meta",
        "/options/recording/mode",
        "/options/recording/allowed_origins",
        "/options/recording/hide_live_viewer_count",
        "/options/recording/require_signed_urls",
        "/options/recording/timeout_seconds",
    }


def test_null_is_the_default_and_what_is_left_out_is_not_known(provider: Cloudflare, door: Door) -> None:
    order = an_order(provider, CloudflareOptions.model_validate({"recording": {"timeout_seconds": 10}}))
    made = provider.create(order, Deadline(PATIENT))
    door.configure(terse_recording=True)
    settings = read(provider, made, order).settings
    assert settings["/options/recording/allowed_origins"] == []
    assert "/options/recording/timeout_seconds" not in settings
    assert drift(provider, made, order) == []


@pytest.mark.parametrize(
    ("told", "found"),
    [
        ({}, {}),
        ({"recording": None, "meta": None}, {"/options/meta": {}}),
        ({"recording": {"mode": None}}, {"/options/recording/mode": "off"}),
        ({"recording": {"mode": "archive"}}, {"/options/recording/mode": "archive"}),
        ({"recording": {"allowedOrigins": ["b", "a"]}}, {"/options/recording/allowed_origins": ["a", "b"]}),
        ({"live": {"mode": "automatic"}}, {"/options/recording/mode": "automatic"}),
        (
            {"enabled": None, "preferLowLatency": None, "deleteRecordingAfterDays": None},
            {
                "/options/enabled": True,
                "/options/prefer_low_latency": False,
                "/options/delete_recording_after_days": None,
            },
        ),
        ({"deleteRecordingAfterDays": 45.0}, {"/options/delete_recording_after_days": 45}),
        ({"defaultCreator": "x", "modified": "x", "meta": "x"}, {"/options/meta": {}}),
    ],
)
def test_each_form_of_a_setting_is_understood(
    provider: Cloudflare, door: Door, order: Order[CloudflareOptions], told: dict[str, Any], found: dict[str, Any]
) -> None:
    body = {"success": True, "result": {"uid": "a", **told}}
    door.fault("status", "getLiveInput", status=200, body=body)
    there = provider.read(Handle(order.id, "a", {}), Deadline(PATIENT))
    assert there
    assert there.settings == found


@pytest.mark.parametrize(
    ("behind_our_back", "fields"),
    [
        ({"enabled": False}, ["/options/enabled"]),
        ({"deleteRecordingAfterDays": 30}, ["/options/delete_recording_after_days"]),
        ({"recording": {"mode": "automatic"}, "preferLowLatency": True}, None),
        ({"recording": {"mode": "off", "allowedOrigins": ["a.example"]}}, ["/options/recording/allowed_origins"]),
        ({"meta": {"name": "lobby camera"}}, ["/options/meta"]),
        ({"meta": {"name": "another", **MARKS}}, ["/options/meta"]),
        ({"meta": {"name": "lobby camera", **MARKS, "more": 1}}, ["/options/meta"]),
        ({"defaultCreator": "not told"}, []),
    ],
)
def test_what_somebody_changes_is_seen_and_repaired_by_a_change(
    provider: Cloudflare,
    console: httpx.Client,
    order: Order[CloudflareOptions],
    behind_our_back: dict[str, Any],
    fields: list[str] | None,
) -> None:
    made = provider.create(order, Deadline(PATIENT))
    assert drift(provider, made, order) == []
    assert console.put(f"/live_inputs/{made.ref}", json=behind_our_back).is_success
    found = drift(provider, made, order)
    assert found == (["/options/prefer_low_latency", "/options/recording/mode"] if fields is None else fields)
    assert provider.change(handle(order, made), order, frozenset(found), Deadline(PATIENT))
    assert drift(provider, made, order) == []


# ---- changing it


def changed_to(
    provider: Cloudflare,
    made: Resource,
    order: Order[CloudflareOptions],
    options: dict[str, Any],
    *pointers: str,
) -> Order[CloudflareOptions]:
    after = replace(order, options=CloudflareOptions.model_validate(options))
    assert provider.change(handle(order, made), after, frozenset(pointers), Deadline(PATIENT))
    return after


def put(door: Door) -> Any:
    """The body of the last change."""
    return door.calls(PUT)[-1].body


NAMED = {"name": "lobby camera", **MARKS}
DAYS = "/options/delete_recording_after_days"


@pytest.mark.parametrize(
    ("asked", "pointer", "body"),
    [
        ({"enabled": False}, "/options/enabled", {"enabled": False}),
        ({}, "/options/enabled", {"enabled": True}),
        ({"delete_recording_after_days": 30}, DAYS, {"deleteRecordingAfterDays": 30}),
        ({}, DAYS, {"deleteRecordingAfterDays": None}),
        ({"default_creator": "c"}, "/options/default_creator", {"defaultCreator": "c"}),
        ({}, "/options/default_creator", {"defaultCreator": ""}),
        ({}, "/name", {"meta": NAMED}),
        ({"meta": {"floor": {"n": 1}}}, "/options/meta/floor/n", {"meta": {"floor": {"n": 1}, **NAMED}}),
        ({}, "/options/meta", {"meta": NAMED}),
    ],
)
def test_a_change_reads_first_and_puts_what_changed_and_nothing_else(
    provider: Cloudflare,
    door: Door,
    order: Order[CloudflareOptions],
    asked: dict[str, Any],
    pointer: str,
    body: dict[str, Any],
) -> None:
    made = provider.create(order, Deadline(PATIENT))
    changed_to(provider, made, order, asked, pointer)
    assert [call.operation for call in door.calls()] == ["createLiveInput", "getLiveInput", PUT]
    assert put(door) == body


def test_everything_can_be_changed_at_once(provider: Cloudflare, door: Door, order: Order[CloudflareOptions]) -> None:
    made = provider.create(order, Deadline(PATIENT))
    after = changed_to(provider, made, order, FULLEST, "/options")
    assert put(door).keys() == {
        *("enabled", "defaultCreator", "deleteRecordingAfterDays", "preferLowLatency", "recording", "meta")
    }
    assert drift(provider, made, after) == []


def test_recording_is_sent_whole_with_what_somebody_else_set_in_it(
    provider: Cloudflare, door: Door, console: httpx.Client, order: Order[CloudflareOptions]
) -> None:
    asked = {"recording": {"mode": "automatic", "timeout_seconds": 10}}
    order = replace(order, options=CloudflareOptions.model_validate(asked))
    made = provider.create(order, Deadline(PATIENT))
    theirs = {"mode": "automatic", "timeoutSeconds": 20, "hideLiveViewerCount": True}
    console.put(f"/live_inputs/{made.ref}", json={"recording": theirs})
    after = {"recording": {**asked["recording"], "require_signed_urls": True}}
    order = changed_to(provider, made, order, after, "/options/recording/require_signed_urls")
    assert put(door) == {
        "recording": {
            "mode": "automatic",
            "allowedOrigins": [],
            "hideLiveViewerCount": True,
            "requireSignedURLs": True,
            "timeoutSeconds": 20,
        }
    }
    # What they did is drift as before, and repaired when it is asked for.
    assert drift(provider, made, order) == [
        "/options/recording/hide_live_viewer_count",
        "/options/recording/timeout_seconds",
    ]


def test_of_a_recording_what_is_not_told_is_sent_as_it_was_asked_for(
    provider: Cloudflare, door: Door, order: Order[CloudflareOptions]
) -> None:
    asked = {"recording": {"mode": "automatic", "timeout_seconds": 10}}
    order = replace(order, options=CloudflareOptions.model_validate(asked))
    made = provider.create(order, Deadline(PATIENT))
    door.configure(terse_recording=True)
    after = {"recording": {**asked["recording"], "hide_live_viewer_count": True}}
    changed_to(provider, made, order, after, "/options/recording/hide_live_viewer_count")
    assert put(door)["recording"]["timeoutSeconds"] == 10
    assert put(door)["recording"]["allowedOrigins"] == []


def test_of_a_recording_what_is_there_in_no_known_form_is_sent_as_it_was_asked_for(
    provider: Cloudflare, door: Door, order: Order[CloudflareOptions]
) -> None:
    made = provider.create(order, Deadline(PATIENT))
    odd = {"mode": "archive", "allowedOrigins": [7], "timeoutSeconds": -1, "requireSignedURLs": True, "new": 1}
    door.fault("status", "getLiveInput", status=200, body={"success": True, "result": {"uid": "a", "recording": odd}})
    changed_to(provider, made, order, {"recording": {"mode": "automatic"}}, "/options/recording/hide_live_viewer_count")
    assert put(door)["recording"] == {
        "mode": "automatic",
        "allowedOrigins": [],
        "hideLiveViewerCount": False,
        "requireSignedURLs": True,
        "timeoutSeconds": 0,
    }


def test_a_member_of_a_recording_that_is_asked_for_no_more_has_its_default_again(
    provider: Cloudflare, door: Door, order: Order[CloudflareOptions]
) -> None:
    asked = {"recording": {"mode": "automatic", "timeout_seconds": 10}}
    made = provider.create(replace(order, options=CloudflareOptions.model_validate(asked)), Deadline(PATIENT))
    after = changed_to(
        provider, made, order, {"recording": {"mode": "automatic"}}, "/options/recording/timeout_seconds"
    )
    assert put(door)["recording"]["timeoutSeconds"] == 0
    assert drift(provider, made, after) == []


def test_a_change_that_is_answered_with_garbage_may_or_may_not_have_been_made(
    provider: Cloudflare, door: Door, order: Order[CloudflareOptions]
) -> None:
    made = handle(order, provider.create(order, Deadline(PATIENT)))
    door.fault("garbage", PUT, times=9)
    error = failure_of(lambda: provider.change(made, order, frozenset({"/name"}), Deadline(BRIEF)))
    assert (type(error), error.effect) == (errors.ProviderOutcomeUnknown, Effect.UNKNOWN)


def test_a_404_that_is_not_of_the_api_loses_no_live_input(
    provider: Cloudflare, door: Door, order: Order[CloudflareOptions]
) -> None:
    """A gateway's page on the way there, for instance."""
    made = handle(order, provider.create(order, Deadline(PATIENT)))
    door.fault("status", "getLiveInput", status=404, body="<html>not here</html>")
    error = failure_of(lambda: provider.read(made, Deadline(PATIENT)))
    assert isinstance(error, errors.ProviderNotEntitled)


def test_what_is_deleted_between_the_look_and_the_change_is_gone(
    provider: Cloudflare, door: Door, order: Order[CloudflareOptions]
) -> None:
    made = handle(order, provider.create(order, Deadline(PATIENT)))
    door.fault("status", PUT, status=404, body=GONE)
    assert provider.change(made, order, frozenset({"/name"}), Deadline(PATIENT)) is None


def test_a_conflict_about_a_change_is_a_conflict(
    provider: Cloudflare, door: Door, order: Order[CloudflareOptions]
) -> None:
    made = handle(order, provider.create(order, Deadline(PATIENT)))
    strike(door, PUT, refusal(409, errors.ProviderConflict))
    error = failure_of(lambda: provider.change(made, order, frozenset({"/name"}), Deadline(BRIEF)))
    assert type(error) is errors.ProviderConflict


# ---- whether it was ever recorded


@pytest.mark.parametrize(("modes", "remains"), [(["off"], False), (["automatic", "off"], True)])
def test_what_was_recorded_once_leaves_its_recordings_whatever_it_is_set_to_now(
    provider: Cloudflare, order: Order[CloudflareOptions], modes: list[str], remains: bool
) -> None:
    made = provider.create(order, Deadline(PATIENT))
    for mode in modes:
        options = CloudflareOptions.model_validate({"recording": {"mode": mode}})
        after = replace(order, options=options)
        changed = provider.change(handle(order, made), after, frozenset({"/options/recording/mode"}), Deadline(PATIENT))
        assert changed
        made = read(provider, changed, after)
        assert made.notes == changed.notes
    assert bool(provider.remove(handle(order, made), Deadline(PATIENT)).remains) is remains


def test_of_what_somebody_else_made_it_is_not_known_that_it_was_never_recorded(
    provider: Cloudflare, order: Order[CloudflareOptions], somebody_else_s: str
) -> None:
    found = provider.adoptable(somebody_else_s, Deadline(PATIENT))
    assert found
    assert found.resource.notes == {"account_id": "sim-account"}
    assert read(provider, found.resource, order).notes == found.resource.notes
    assert provider.remove(handle(order, found.resource), Deadline(PATIENT)).remains


# ---- rotating its keys


@pytest.mark.parametrize("as_object", [False, True])
@pytest.mark.parametrize(
    ("status", "refused"),
    [
        ("connected", True),
        ("reconnected", True),
        ("reconnecting", True),
        ("new_configuration_accepted", True),
        ("client_disconnect", False),
        ("ttl_exceeded", False),
        (None, False),
    ],
)
def test_keys_that_somebody_sends_with_are_exchanged_by_force_alone(
    provider: Cloudflare,
    simulated: SimulatedCloudflare,
    order: Order[CloudflareOptions],
    status: Any,
    refused: bool,
    as_object: bool,
) -> None:
    made = provider.create(order, Deadline(PATIENT))
    simulated.set_status(made.ref, status, as_object)
    if refused:
        error = failure_of(lambda: provider.rotate(handle(order, made), False, Deadline(PATIENT)))
        assert type(error) is errors.StreamLive
        assert simulated.door.calls("rotateLiveInputKeys") == []
        assert read(provider, made, order).ingest == made.ingest
    rotated = provider.rotate(handle(order, made), refused, Deadline(PATIENT))
    assert rotated
    assert rotated.ingest != made.ingest


def test_when_keys_were_last_exchanged_is_told_by_rotations_and_reads(
    provider: Cloudflare, door: Door, order: Order[CloudflareOptions]
) -> None:
    made = provider.create(order, Deadline(PATIENT))
    assert made.rotated_at is None
    now = datetime.fromtimestamp(door.clock.now_ms() / 1000, UTC)
    rotated = provider.rotate(handle(order, made), False, Deadline(PATIENT))
    assert rotated
    assert rotated.rotated_at
    assert abs((rotated.rotated_at - now).total_seconds()) < 5
    assert read(provider, made, order) == rotated
    assert rotated.notes == made.notes


def test_keys_that_are_not_told_with_their_exchange_are_read(
    provider: Cloudflare, door: Door, order: Order[CloudflareOptions]
) -> None:
    made = provider.create(order, Deadline(PATIENT))
    door.configure(rotation_has_secrets=False)
    rotated = provider.rotate(handle(order, made), False, Deadline(PATIENT))
    assert rotated
    assert rotated.ingest != made.ingest
    assert rotated == read(provider, made, order)


def test_an_exchange_answered_with_garbage_may_or_may_not_have_been_made(
    provider: Cloudflare, door: Door, live: Handle
) -> None:
    door.fault("garbage", "rotateLiveInputKeys", times=9)
    error = failure_of(lambda: provider.rotate(live, True, Deadline(BRIEF)))
    assert (type(error), error.effect) == (errors.ProviderOutcomeUnknown, Effect.UNKNOWN)


@pytest.mark.parametrize("status", [404, 503])
def test_keys_that_were_exchanged_and_cannot_be_read_are_an_unknown_outcome(
    provider: Cloudflare, door: Door, order: Order[CloudflareOptions], status: int
) -> None:
    made = handle(order, provider.create(order, Deadline(PATIENT)))
    door.configure(rotation_has_secrets=False)
    door.fault("status", "getLiveInput", status=status, times=9)
    error = failure_of(lambda: provider.rotate(made, True, Deadline(BRIEF)))
    assert (type(error), error.effect) == (errors.ProviderOutcomeUnknown, Effect.UNKNOWN)


# ---- taking over what somebody else made


def test_what_is_taken_over_is_as_it_would_have_been_asked_for(provider: Cloudflare, console: httpx.Client) -> None:
    theirs = {
        "meta": {"name": "yard", "floor": {"n": [1, None]}},
        "enabled": False,
        "deleteRecordingAfterDays": 45,
        "preferLowLatency": True,
        "recording": {"mode": "automatic", "allowedOrigins": ["a.example"], "timeoutSeconds": 10},
    }
    uid = console.post("/live_inputs", json=theirs).json()["result"]["uid"]
    found = provider.adoptable(uid, Deadline(PATIENT))
    assert found
    assert (found.name, found.resource.ref, found.resource.state) == ("yard", uid, State.READY)
    assert found.options == CloudflareOptions.model_validate(
        {
            "meta": {"floor": {"n": [1, None]}},
            "enabled": False,
            "delete_recording_after_days": 45,
            "prefer_low_latency": True,
            "recording": {"mode": "automatic", "allowed_origins": ["a.example"], "timeout_seconds": 10},
        }
    )
    assert len(found.resource.ingest) == 3
    assert reveal_a_secret([*found.resource.ingest])


@pytest.mark.parametrize(
    ("told", "options", "name"),
    [
        ({}, {}, None),
        ({"meta": {"name": "n" * 256}}, {}, "n" * 256),
        ({"meta": {"name": "n" * 257}}, {"meta": {"name": "n" * 257}}, None),
        ({"meta": {"name": ""}}, {"meta": {"name": ""}}, None),
        ({"meta": {"name": 7}}, {"meta": {"name": 7}}, None),
        ({"meta": None, "recording": {"allowedOrigins": None}}, {"recording": {"allowed_origins": []}}, None),
        ({"deleteRecordingAfterDays": 7, "enabled": "yes", "defaultCreator": "c"}, {}, None),
        ({"preferLowLatency": True, "recording": {"mode": "archive"}}, {}, None),
        (
            {"recording": {"mode": "automatic", "allowedOrigins": [7], "timeoutSeconds": 2.5}},
            {"recording": {"mode": "automatic"}},
            None,
        ),
        ({"meta": {"headwater_id": "str_x", "headwater_deployment": 7, "n": 1}}, {"meta": {"n": 1}}, None),
    ],
)
def test_what_could_not_have_been_asked_for_is_left_out(
    provider: Cloudflare, door: Door, told: dict[str, Any], options: dict[str, Any], name: str | None
) -> None:
    door.fault("status", "getLiveInput", status=200, body={"success": True, "result": {"uid": "a", **told}})
    found = provider.adoptable("a", Deadline(PATIENT))
    assert found
    assert found.options == CloudflareOptions.model_validate(options)
    assert found.name == name


def test_an_answer_that_names_nothing_is_the_provider_s_failure(provider: Cloudflare, door: Door) -> None:
    door.fault("status", "getLiveInput", status=200, body={"success": True, "result": {}})
    error = failure_of(lambda: provider.adoptable("a", Deadline(BRIEF)))
    assert type(error) is errors.ProviderUnavailable


def test_a_mark_loses_nothing_of_what_is_there_by_then(
    provider: Cloudflare, door: Door, console: httpx.Client, somebody_else_s: str
) -> None:
    found = provider.adoptable(somebody_else_s, Deadline(PATIENT))
    assert found
    console.put(f"/live_inputs/{somebody_else_s}", json={"meta": {"name": "yard", "since": 2022, "more": [1]}})
    order = Order("str_made-up", found.options, name=found.name, deployment=OURS)
    provider.mark(handle(order, found.resource), order, Deadline(PATIENT))
    assert put(door) == {"meta": {"name": "yard", "since": 2022, "more": [1], **MARKS}}
    assert drift(provider, found.resource, order) == ["/options/meta"]


@pytest.mark.parametrize(("given", "shown"), [("gate camera", "gate camera"), (None, "yard")])
def test_a_name_that_was_given_is_the_display_name_too(
    provider: Cloudflare, somebody_else_s: str, given: str | None, shown: str
) -> None:
    found = provider.adoptable(somebody_else_s, Deadline(PATIENT))
    assert found
    order = replace(an_order(provider, found.options), name=given or found.name)
    provider.mark(handle(order, found.resource), order, Deadline(PATIENT))
    again = provider.adoptable(somebody_else_s, Deadline(PATIENT))
    assert again
    assert again.name == shown
    assert drift(provider, found.resource, order) == []


def test_what_is_gone_by_then_is_not_marked(provider: Cloudflare, door: Door, somebody_else_s: str) -> None:
    found = provider.adoptable(somebody_else_s, Deadline(PATIENT))
    assert found
    door.reset()
    order = an_order(provider, found.options)
    provider.mark(handle(order, found.resource), order, Deadline(PATIENT))
    assert door.calls(PUT) == []


# ---- sending it on


RELAY = "rtmp://canary-user:canary-pass@relay.example.org:1935/app/canary-in-url"


def output(**changed: Any) -> NewOutput:
    return NewOutput.model_validate({"url": RELAY, "stream_key": "canary-relay-key"} | changed)


def test_an_output_is_added_listed_switched_and_removed_and_its_key_never_told(
    provider: Cloudflare, door: Door, live: Handle
) -> None:
    assert list(provider.outputs(live, Deadline(PATIENT))) == []
    added = provider.add_output(live, output(), Deadline(PATIENT))
    assert (added.service, added.enabled) == ("rtmp://relay.example.org", True)
    assert list(provider.outputs(live, Deadline(PATIENT))) == [added]
    off = provider.switch_output(live, added.id, False, Deadline(PATIENT))
    assert off == added.model_copy(update={"enabled": False})
    assert provider.outputs(live, Deadline(PATIENT)) == [off]
    for _ in range(2):
        provider.remove_output(live, added.id, Deadline(PATIENT))
    assert provider.outputs(live, Deadline(PATIENT)) == []
    assert "canary-" not in repr((added, off))
    (call,) = door.calls("createOutput")
    assert call.body == {
        "url": RELAY,
        "streamKey": "canary-relay-key",
        "enabled": True,
    }


def test_the_same_place_with_the_same_key_is_one_output_switched_as_wanted(
    provider: Cloudflare, door: Door, live: Handle
) -> None:
    first = provider.add_output(live, output(), Deadline(PATIENT))
    assert provider.add_output(live, output(), Deadline(PATIENT)) == first
    assert door.calls("updateOutput") == []
    off = provider.add_output(live, output(enabled=False), Deadline(PATIENT))
    assert (off.id, off.enabled) == (first.id, False)
    other = provider.add_output(live, output(stream_key="canary-another"), Deadline(PATIENT))
    elsewhere = provider.add_output(live, output(url="rtmps://other.example/app"), Deadline(PATIENT))
    assert len({first.id, other.id, elsewhere.id}) == 3
    assert len(door.calls("createOutput")) == 3


def test_an_output_can_be_added_switched_off(provider: Cloudflare, door: Door, live: Handle) -> None:
    added = provider.add_output(live, output(enabled=False), Deadline(PATIENT))
    assert not added.enabled
    assert provider.outputs(live, Deadline(PATIENT)) == [added]
    assert [call.body["enabled"] for call in door.calls("createOutput")] == [False]
    assert door.calls("updateOutput") == []


def test_beyond_fifty_nothing_is_sent_unless_it_is_there_already(
    provider: Cloudflare, simulated: SimulatedCloudflare, live: Handle
) -> None:
    simulated.inputs[live.ref].outputs = {
        f"output-{number}": {
            "uid": f"output-{number}",
            "url": "rtmp://a.example/x",
            "streamKey": f"k{number}",
            "enabled": True,
        }
        for number in range(50)
    }
    error = failure_of(lambda: provider.add_output(live, output(), Deadline(PATIENT)))
    assert (type(error), error.effect) == (errors.ProviderQuotaExceeded, Effect.NONE)
    same = output(url="rtmp://a.example/x", stream_key="k49")
    assert provider.add_output(live, same, Deadline(PATIENT)).id == "output-49"
    assert simulated.door.calls("createOutput") == []
    provider.remove_output(live, "output-0", Deadline(PATIENT))
    assert provider.add_output(live, output(), Deadline(PATIENT)).id


@pytest.mark.parametrize("fault", ["lose_answer", "garbage"])
def test_an_output_whose_answer_is_lost_is_looked_for_and_not_made_again(
    provider: Cloudflare, door: Door, live: Handle, fault: Kind
) -> None:
    door.fault(fault, "createOutput")
    added = provider.add_output(live, output(enabled=False), Deadline(PATIENT))
    assert provider.outputs(live, Deadline(PATIENT)) == [added]
    assert not added.enabled
    assert len(door.calls("createOutput")) == 1


def test_an_output_that_was_provably_not_made_is_asked_for_again(
    provider: Cloudflare, door: Door, live: Handle
) -> None:
    strike(door, "createOutput", refusal(429, errors.ProviderRateLimited, 971), times=1)
    added = provider.add_output(live, output(), Deadline(PATIENT))
    assert provider.outputs(live, Deadline(PATIENT)) == [added]


@pytest.mark.parametrize("listing", [200, 503])
def test_where_it_cannot_be_seen_whether_an_output_was_made_that_is_said(
    provider: Cloudflare, door: Door, live: Handle, listing: int
) -> None:
    door.fault("status", "createOutput", status=502)
    if listing != 200:
        door.fault("status", "listOutputs", status=listing, times=9, after=1)
    error = failure_of(lambda: provider.add_output(live, output(), Deadline(BRIEF)))
    assert (type(error), error.effect) == (errors.ProviderUnavailable, Effect.UNKNOWN)
    assert len(door.calls("createOutput")) == 1


def test_the_provider_s_words_about_an_output_are_withheld(provider: Cloudflare, door: Door, live: Handle) -> None:
    added = provider.add_output(live, output(), Deadline(PATIENT))
    body = envelope({"code": 1001, "message": "cannot use canary-relay-key", "source": {"pointer": "/canary-in-url"}})
    for operation in ("createOutput", "updateOutput", "deleteOutput", "listOutputs"):
        strike(door, operation, Refusal(400, errors.ProviderRejected, body))
    calls: list[Callable[[], object]] = [
        lambda: provider.outputs(live, Deadline(BRIEF)),
        lambda: provider.switch_output(live, added.id, True, Deadline(BRIEF)),
        lambda: provider.remove_output(live, added.id, Deadline(BRIEF)),
    ]
    assert {type(failure_of(call)) for call in calls} == {errors.ProviderRejected}
    door.clear_faults()
    strike(door, "createOutput", Refusal(400, errors.ProviderRejected, body))
    error = failure_of(lambda: provider.add_output(live, output(stream_key="canary-2"), Deadline(BRIEF)))
    assert (type(error), error.faults, error.upstream.code) == (errors.ProviderRejected, (), "1001")


@pytest.mark.parametrize("output_id", ["no-such-output", "..", ".", "", "a/b", "a b", "a" * 33, "ü"])
def test_an_output_that_is_not_there_is_told_apart_and_no_other_path_is_taken(
    provider: Cloudflare, door: Door, live: Handle, output_id: str
) -> None:
    assert provider.switch_output(live, output_id, True, Deadline(PATIENT)) is None
    provider.remove_output(live, output_id, Deadline(PATIENT))
    assert {call.operation for call in door.calls()} <= {"createLiveInput", "updateOutput", "deleteOutput"}
    assert len(door.resources()) == 1


def test_an_output_of_a_live_input_that_is_gone(provider: Cloudflare, door: Door, live: Handle) -> None:
    door.reset()
    for call in (
        lambda: provider.outputs(live, Deadline(PATIENT)),
        lambda: provider.add_output(live, output(), Deadline(PATIENT)),
    ):
        assert type(failure_of(call)) is errors.NotAtProvider
    assert provider.switch_output(live, "output", True, Deadline(PATIENT)) is None
    provider.remove_output(live, "output", Deadline(PATIENT))


def test_a_live_input_that_goes_while_an_output_is_added(provider: Cloudflare, door: Door, live: Handle) -> None:
    door.fault("status", "createOutput", status=404, body=GONE)
    assert type(failure_of(lambda: provider.add_output(live, output(), Deadline(PATIENT)))) is errors.NotAtProvider


@pytest.mark.parametrize(
    ("address", "service"),
    [
        ("rtmps://relay.example.org:443/app/key", "rtmps://relay.example.org"),
        ("srt://user:key@10.0.0.1:778?passphrase=key", "srt://10.0.0.1"),
        ("rtmp://[2001:db8::1]:1935/app", "rtmp://[2001:db8::1]"),
        ("relay.example.org/app", None),
        ("rtmp://[oops/app", None),
        ("rtmp:key", None),
        (None, None),
        (7, None),
    ],
)
def test_of_an_address_the_scheme_and_the_host_are_shown(
    provider: Cloudflare, door: Door, live: Handle, address: Any, service: str | None
) -> None:
    listed = [{"uid": "a", "url": address}, {"url": address}, 7]
    door.fault("status", "listOutputs", status=200, body={"success": True, "result": listed})
    assert provider.outputs(live, Deadline(PATIENT)) == [Output(id="a", service=service, enabled=True)]


@pytest.mark.parametrize("result", [None, {}, "x"])
def test_what_is_no_list_of_outputs_is_the_provider_s_failure(
    provider: Cloudflare, door: Door, live: Handle, result: Any
) -> None:
    door.fault("status", "listOutputs", status=200, body={"success": True, "result": result})
    assert type(failure_of(lambda: provider.outputs(live, Deadline(BRIEF)))) is errors.ProviderUnavailable


def test_a_switch_answered_with_nothing_may_or_may_not_have_been_made(
    provider: Cloudflare, door: Door, live: Handle
) -> None:
    added = provider.add_output(live, output(), Deadline(PATIENT))
    door.fault("status", "updateOutput", status=200, body={"success": True, "result": None})
    error = failure_of(lambda: provider.switch_output(live, added.id, False, Deadline(BRIEF)))
    assert (type(error), error.effect) == (errors.ProviderOutcomeUnknown, Effect.UNKNOWN)


def test_nothing_is_done_to_another_account_s_live_input(
    provider: Cloudflare, door: Door, order: Order[CloudflareOptions]
) -> None:
    other = Handle(order.id, "a", {"account_id": "old"})
    calls: list[Callable[[], object]] = [
        lambda: provider.change(other, order, frozenset({"/name"}), Deadline(PATIENT)),
        lambda: provider.rotate(other, True, Deadline(PATIENT)),
        lambda: provider.mark(other, order, Deadline(PATIENT)),
        lambda: provider.outputs(other, Deadline(PATIENT)),
        lambda: provider.add_output(other, output(), Deadline(PATIENT)),
        lambda: provider.switch_output(other, "b", True, Deadline(PATIENT)),
        lambda: provider.remove_output(other, "b", Deadline(PATIENT)),
    ]
    assert {type(failure_of(call)) for call in calls} == {errors.ProviderUnauthorized}
    assert door.calls() == []


# ---- what it tells by itself


AT = datetime(2026, 11, 4, 8, 5, 9, 123456, UTC)


@pytest.mark.parametrize(
    ("event", "state"),
    [("connected", State.LIVE), ("disconnected", State.READY), ("errored", State.READY)],
)
def test_each_notification_has_its_state(provider: Cloudflare, door: Door, event: Event, state: State) -> None:
    headers, body = notification("0a1b2c3d", event, AT)
    told = provider.notice(lower(headers), body)
    assert told
    assert (told.ref, told.at, told.state, told.provider_status) == ("0a1b2c3d", AT, state, event)
    assert (told.state_reason is None) is (event != "errored")
    assert door.calls() == []


def lower(headers: dict[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("ERR_UNSUPPORTED_VIDEO_CODEC", "The video codec (hevc) is not supported: send H.264."),
        ("ERR_UNSUPPORTED_AUDIO_CODEC", "The audio codec (opus) is not supported: send AAC."),
        ("ERR_GOP_OUT_OF_RANGE", "The key frames come too seldom or too often: send a closed GOP of 2 to 10 seconds."),
        (
            "ERR_STORAGE_QUOTA_EXHAUSTED",
            "The account's storage is used up: recordings have to be deleted, or storage added.",
        ),
        ("ERR_SOMETHING_NEW", "Cloudflare does not accept what is sent (ERR_SOMETHING_NEW)."),
        ("<b>{video} canary", "Cloudflare does not accept what is sent."),
        ("", "Cloudflare does not accept what is sent."),
    ],
)
def test_what_is_wrong_with_what_is_sent_is_told_in_words(provider: Cloudflare, code: str, reason: str) -> None:
    headers, body = notification("0a1b2c3d", "errored", AT, code, "hevc", "opus")
    told = provider.notice(lower(headers), body)
    assert told
    assert told.state_reason == reason


@pytest.mark.parametrize("codec", ["", "<script>", "a b", "x" * 33, "{code}"])
def test_a_codec_that_looks_like_none_is_not_repeated(provider: Cloudflare, codec: str) -> None:
    headers, body = notification("0a1b2c3d", "errored", AT, "ERR_UNSUPPORTED_VIDEO_CODEC", codec)
    told = provider.notice(lower(headers), body)
    assert told
    assert told.state_reason == "The video codec is not supported: send H.264."


def noticed(provider: Cloudflare, **changed: Any) -> Notice | None:
    """What comes of a notification that is changed in ``data``, or in ``ts``; what is None is left out."""
    headers, text = notification("0a1b2c3d", "errored", AT, "ERR_GOP_OUT_OF_RANGE")
    body = json.loads(text)
    if "ts" in changed:
        body["ts"] = changed.pop("ts")
    body["data"] = {name: value for name, value in {**body["data"], **changed}.items() if value is not None}
    return provider.notice(lower(headers), json.dumps(body))


@pytest.mark.parametrize(
    ("updated_at", "ts", "at"),
    [
        ("2026-11-04T08:05:09.123456789Z", 0, AT),
        ("2026-11-04T10:05:09.123456+02:00", 0, AT),
        (None, 1793779509, AT.replace(microsecond=0)),
        ("2026-11-04T08:05:09", 1793779509, AT.replace(microsecond=0)),
        ("yesterday", 1793779509.5, AT.replace(microsecond=500000)),
        (7, "2026-11-04T08:05:09.123456Z", AT),
        (None, None, None),
        (None, "yesterday", None),
        (None, 1e300, None),
        (None, [], None),
    ],
)
def test_when_it_was_so_is_told_by_the_live_input_or_else_by_the_notification(
    provider: Cloudflare, updated_at: Any, ts: Any, at: datetime | None
) -> None:
    told = noticed(provider, updated_at=updated_at, ts=ts)
    assert (told.at if told else None) == at


@pytest.mark.parametrize(
    "changed",
    [
        {"event_type": "live_input.dancing"},
        {"event_type": "connected"},
        {"event_type": None},
        {"event_type": 7},
        {"input_id": None},
        {"input_id": ""},
        {"input_id": 7},
    ],
)
def test_what_is_of_no_live_input_or_of_an_unknown_kind_is_passed_over(
    provider: Cloudflare, changed: dict[str, Any]
) -> None:
    assert noticed(provider, **changed) is None


@pytest.mark.parametrize("wrong", [None, 7, [], {"error": 7}, {"error": {"code": 7}, "video_codec": []}])
def test_an_error_in_another_form_is_one_all_the_same(provider: Cloudflare, wrong: Any) -> None:
    told = noticed(provider, live_input_errored=wrong)
    assert told
    assert told.state_reason == "Cloudflare does not accept what is sent."


@pytest.mark.parametrize("body", ['{"text": "a test of this destination"}', "{}", '{"data": 7}', '{"data": []}'])
def test_the_message_that_tests_the_destination_is_accepted(provider: Cloudflare, body: str) -> None:
    headers, _ = notification("0a1b2c3d", "connected", AT)
    assert provider.notice(lower(headers), body) is None


@pytest.mark.parametrize("body", ["", "not JSON", "[]", "7", "null", '"x"', "[" * 100_000])
def test_a_notification_that_is_no_object_is_malformed(provider: Cloudflare, body: str) -> None:
    headers, _ = notification("0a1b2c3d", "connected", AT)
    assert type(failure_of(lambda: provider.notice(lower(headers), body))) is errors.MalformedBody


@pytest.mark.parametrize(
    "brought", [None, "", "canary-other", "\ud800", "ä", secrets.SECRETS["cloudflare"]["webhook_secret"][:-1]]
)
def test_a_notification_without_the_secret_is_refused_and_nothing_is_read_anew(
    provider: Cloudflare, secret: FakeSecret[CloudflareSecret], brought: str | None
) -> None:
    _, body = notification("0a1b2c3d", "connected", AT)
    headers = {} if brought is None else {"cf-webhook-auth": brought}
    assert type(failure_of(lambda: provider.notice(headers, body))) is errors.NotificationRefused
    assert type(failure_of(lambda: provider.notice(headers, "not JSON"))) is errors.NotificationRefused
    assert secret.read_anew == 0


def test_whoever_notifies_learns_nothing_of_a_secret_that_cannot_be_read(url: str) -> None:
    def unreadable(_: bool) -> CloudflareSecret:
        raise errors.ProviderSecretInvalid("The secret arn:aws:secretsmanager:… is malformed.")

    provider = Cloudflare(f"{url}/cloudflare/client/v4", unreadable)
    headers, body = notification("0a1b2c3d", "connected", AT)
    error = failure_of(lambda: provider.notice(lower(headers), body))
    assert type(error) is errors.NotificationRefused
    assert "arn" not in error.detail


@pytest.mark.parametrize("brought", [None, "", "canary-anything"])
def test_where_no_secret_is_kept_no_notification_is_believed(url: str, brought: str | None) -> None:
    without = CloudflareSecret.model_validate(secrets.CLOUDFLARE_GLOBAL_KEY)
    provider = Cloudflare(f"{url}/cloudflare/client/v4", lambda _: without)
    _, body = notification("0a1b2c3d", "connected", AT)
    headers = {} if brought is None else {"cf-webhook-auth": brought}
    assert type(failure_of(lambda: provider.notice(headers, body))) is errors.NotificationRefused


@pytest.mark.parametrize("scheme", [secrets.SECRETS["cloudflare"], secrets.CLOUDFLARE_GLOBAL_KEY])
def test_the_webhook_s_secret_may_stand_beside_either_credential(scheme: dict[str, str]) -> None:
    kept = CloudflareSecret.model_validate(scheme | {"webhook_secret": "canary-of-the-webhook"})
    assert kept.webhook_secret
    assert kept.webhook_secret.get_secret_value() == "canary-of-the-webhook"
    assert "canary-" not in f"{kept}{kept!r}"
    malformed: list[object] = ["", " canary", 7, []]
    for wrong in malformed:
        with pytest.raises(ValidationError) as refused:
            CloudflareSecret.model_validate(scheme | {"webhook_secret": wrong})
        assert "canary-" not in str(refused.value)
