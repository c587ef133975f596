"""Cloudflare Stream against its simulator: the shared contract, what is sent, and each answer it is known to give."""

from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from headwater import errors
from headwater.deadline import Deadline
from headwater.errors import Effect, Fault, Upstream
from headwater.provider import Handle, Options, Order, Search
from headwater.streams import State
from local.door import Door
from local.simulators import Simulators, secrets, simulators
from local.simulators.cloudflare import Cloudflare as SimulatedCloudflare
from local.simulators.cloudflare import Settings
from local.simulators.contract import Contract
from provision_cloudflare.options import CloudflareOptions
from provision_cloudflare.provider import Cloudflare
from provision_cloudflare.wire import CloudflareSecret
from tests.providers.provider_contract import (
    BRIEF,
    OURS,
    PATIENT,
    FakeSecret,
    ProviderContract,
    Refusal,
    an_order,
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


def envelope(*found: dict[str, Any]) -> dict[str, Any]:
    return {"success": False, "errors": list(found), "messages": [], "result": None}


def refusal(status: int, error: type[errors.ProviderError], code: int = 1000, **rest: Any) -> Refusal:
    ray = {"cf-ray": f"ray-{status}"}
    body = envelope({"code": code, "message": "a made-up text"})
    return Refusal(status, error, body, ray, code=str(code), request_id=f"ray-{status}", **rest)


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
    door.fault("status", "getLiveInput", status=404)
    assert provider.find(order, Deadline(PATIENT)) == Search(conclusive=complete)


def test_behind_a_deleted_one_that_is_still_listed_the_next_generation_s_is_found(
    provider: Cloudflare, door: Door, order: Order[CloudflareOptions]
) -> None:
    provider.create(order, Deadline(PATIENT))
    second = provider.create(replace(order, generation=2), Deadline(PATIENT))
    door.fault("status", "getLiveInput", status=404)
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
