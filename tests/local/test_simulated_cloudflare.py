"""The simulated Cloudflare Stream, call by call; each exchange is also checked against the contract."""

import json
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest

from local.simulators import Simulators, secrets
from local.simulators.cloudflare import notification
from tests.local.conftest import Checked

PATH = "/accounts/sim-account/stream/live_inputs"
SECRET_PARTS = ("rtmps", "rtmpsPlayback", "srt", "srtPlayback", "webRTC", "webRTCPlayback")
TOKEN = {"Authorization": f"Bearer {secrets.SECRETS['cloudflare']['api_token']}"}
GLOBAL = {
    "X-Auth-Email": secrets.CLOUDFLARE_GLOBAL_KEY["email"],
    "X-Auth-Key": secrets.CLOUDFLARE_GLOBAL_KEY["global_api_key"],
}
HOUR = 3600


@pytest.fixture
def client(checked: Checked) -> httpx.Client:
    return checked.client("cloudflare", TOKEN)


def result(answer: httpx.Response) -> Any:
    assert answer.status_code == 200, answer.text
    return answer.json()["result"]


def make(client: httpx.Client, key: str | None = None, **settings: Any) -> Any:
    return result(client.post(PATH, json=settings, headers={"Idempotency-Key": key} if key else {}))


def test_a_new_input_has_all_its_secrets_and_what_was_set(client: httpx.Client) -> None:
    made = make(client, meta={"name": "lobby"}, recording={"mode": "automatic", "timeoutSeconds": 10})
    assert set(SECRET_PARTS) <= made.keys()
    assert made["meta"] == {"name": "lobby"}
    assert (made["recording"]["mode"], made["recording"]["timeoutSeconds"]) == ("automatic", 10)
    assert (made["enabled"], made["status"]) == (True, None)
    assert "keysRotatedAt" not in made
    assert result(client.get(f"{PATH}/{made['uid']}")) == made


def test_without_a_key_each_creation_is_another_input(client: httpx.Client) -> None:
    assert make(client)["uid"] != make(client)["uid"]


def test_the_same_key_replays_the_same_input_with_its_secrets(client: httpx.Client, sims: Simulators) -> None:
    first = make(client, "key-1")
    sims.clock.advance(6 * HOUR - 60)
    assert make(client, "key-1") == first
    assert len(sims.cloudflare.door.resources()) == 1


def test_a_replay_may_be_answered_without_its_secrets(client: httpx.Client, sims: Simulators) -> None:
    first = make(client, "key-1")
    sims.cloudflare.door.configure(replay_has_secrets=False)
    assert make(client, "key-1") == {name: told for name, told in first.items() if name not in SECRET_PARTS}
    assert set(SECRET_PARTS) <= make(client, "key-2").keys()
    assert result(client.get(f"{PATH}/{first['uid']}")) == first


def test_a_key_is_let_go_six_hours_after_the_creation(client: httpx.Client, sims: Simulators) -> None:
    first = make(client, "key-1")
    sims.clock.advance(6 * HOUR)
    assert make(client, "key-1")["uid"] != first["uid"]


def test_a_held_key_whose_input_was_deleted_is_a_conflict(client: httpx.Client, sims: Simulators) -> None:
    made = make(client, "key-1")
    client.delete(f"{PATH}/{made['uid']}")
    assert client.post(PATH, json={}, headers={"Idempotency-Key": "key-1"}).status_code == 409
    sims.clock.advance(6 * HOUR)
    make(client, "key-1")


@pytest.mark.parametrize("key", ["x" * 256, "", "tab\there"])
def test_a_key_of_the_wrong_form_is_refused(client: httpx.Client, key: str) -> None:
    assert client.post(PATH, json={}, headers={"Idempotency-Key": key}).status_code == 400
    assert make(client, "x" * 255)


def test_a_deleted_input_is_gone(client: httpx.Client) -> None:
    path = f"{PATH}/{make(client)['uid']}"
    gone = client.delete(path)
    assert (gone.status_code, gone.content) == (200, b"")
    for answer in (client.get(path), client.put(path, json={}), client.delete(path), client.post(f"{path}/enable")):
        assert answer.status_code == 404


def test_an_update_merges_the_top_level_and_takes_recording_whole(client: httpx.Client) -> None:
    made = make(client, meta={"name": "a"}, recording={"mode": "automatic", "timeoutSeconds": 10})
    path = f"{PATH}/{made['uid']}"
    off = result(client.put(path, json={"enabled": False, "deleteRecordingAfterDays": 45}))
    assert (off["enabled"], off["meta"], off["recording"]) == (False, {"name": "a"}, made["recording"])
    kept = result(client.put(path, json={"recording": {"mode": "off"}}))
    assert (kept["recording"]["timeoutSeconds"], kept["deleteRecordingAfterDays"]) == (0, 45)
    assert result(client.put(path, json={"deleteRecordingAfterDays": None}))["deleteRecordingAfterDays"] is None


def test_low_latency_needs_automatic_recording(client: httpx.Client) -> None:
    assert client.post(PATH, json={"preferLowLatency": True}).status_code == 400
    made = make(client, preferLowLatency=True, recording={"mode": "automatic"})
    assert made["preferLowLatency"] is True
    path = f"{PATH}/{made['uid']}"
    assert client.put(path, json={"recording": {"mode": "off"}}).status_code == 400
    assert result(client.get(path)) == made


@pytest.mark.parametrize("days", [29, 1097, "45"])
def test_a_value_out_of_bounds_is_refused_with_its_place(client: httpx.Client, days: Any) -> None:
    refused = client.post(PATH, json={"deleteRecordingAfterDays": days})
    assert refused.status_code == 400
    assert refused.json()["errors"][0]["source"] == {"pointer": "/deleteRecordingAfterDays"}


def test_an_input_is_switched_off_and_on(client: httpx.Client) -> None:
    path = f"{PATH}/{make(client)['uid']}"
    assert result(client.post(f"{path}/disable"))["enabled"] is False
    assert result(client.post(f"{path}/enable"))["enabled"] is True


def test_rotation_changes_every_secret_and_nothing_else(client: httpx.Client) -> None:
    before = make(client)
    after = result(client.post(f"{PATH}/{before['uid']}/rotate_keys"))
    assert all(after[part] != before[part] for part in SECRET_PARTS)
    assert after["keysRotatedAt"] == after["modified"]
    same = before.keys() - {*SECRET_PARTS, "modified"}
    assert {name: after[name] for name in same} == {name: before[name] for name in same}


def test_a_list_has_no_secrets_and_its_total_tells_what_it_leaves_out(client: httpx.Client, sims: Simulators) -> None:
    made = [make(client, meta={"n": n})["uid"] for n in range(3)]
    whole = client.get(PATH, params={"include_counts": "true"})
    assert [shown["uid"] for shown in result(whole)["liveInputs"]] == made
    assert "canary" not in whole.text
    sims.cloudflare.door.configure(list_window=2)
    part = result(client.get(PATH))
    assert (len(part["liveInputs"]), part["total"]) == (2, 3)


def test_outputs_are_made_listed_switched_and_deleted(client: httpx.Client, sims: Simulators) -> None:
    path = f"{PATH}/{make(client)['uid']}/outputs"
    body = {"url": "rtmp://relay.example.org/app", "streamKey": "made-up"}
    output = result(client.post(path, json=body))
    assert output == {"uid": output["uid"], "enabled": True, **body}
    assert result(client.put(f"{path}/{output['uid']}", json={"enabled": False}))["enabled"] is False
    assert result(client.get(path)) == [{**output, "enabled": False}]
    assert client.delete(f"{path}/{output['uid']}").status_code == 200
    assert client.delete(f"{path}/{output['uid']}").status_code == 404
    sims.cloudflare.settings.outputs_per_input = 0
    assert client.post(path, json=body).status_code == 400


@pytest.mark.parametrize("as_object", [False, True])
def test_the_status_comes_in_each_form_that_was_seen(client: httpx.Client, sims: Simulators, as_object: bool) -> None:
    uid = make(client)["uid"]
    sims.cloudflare.set_status(uid, "connected", as_object)
    status = result(client.get(f"{PATH}/{uid}"))["status"]
    assert (status["current"]["state"] if as_object else status) == "connected"
    control = f"{sims.url}/_control/cloudflare/set_status"
    assert httpx.post(control, json={"uid": uid, "status": None}).status_code == 200
    assert result(client.get(f"{PATH}/{uid}"))["status"] is None
    assert httpx.post(control, json={"uid": uid, "status": "dancing"}).status_code == 400


def test_an_input_can_be_made_older(client: httpx.Client, sims: Simulators) -> None:
    made = make(client)
    control = f"{sims.url}/_control/cloudflare/make_older"
    assert httpx.post(control, json={"uid": made["uid"], "seconds": 3600}).status_code == 200
    created = datetime.fromisoformat(result(client.get(f"{PATH}/{made['uid']}"))["created"])
    assert datetime.fromisoformat(made["created"]) - created == timedelta(hours=1)


def test_the_old_live_block_is_a_marked_departure(client: httpx.Client, sims: Simulators) -> None:
    sims.cloudflare.door.configure(live_block=True)
    made = make(client)
    assert "recording" not in made
    assert made["live"] == {"mode": "off", "requireSignedURLs": False, "allowedOrigins": []}
    assert sims.cloudflare.door.calls()[0].departure == "live instead of recording"


def test_the_global_key_works_but_never_beside_a_token(checked: Checked) -> None:
    make(checked.client("cloudflare", GLOBAL))
    assert checked.client("cloudflare", GLOBAL | TOKEN).get(PATH).status_code == 400
    half = {"X-Auth-Email": GLOBAL["X-Auth-Email"]}
    assert checked.client("cloudflare", half).get(PATH).status_code == 401
    assert checked.client("cloudflare", half | TOKEN).get(PATH).status_code == 400


def test_a_token_that_may_only_read_reads(client: httpx.Client, checked: Checked) -> None:
    uid = make(client)["uid"]
    reader = checked.client("cloudflare", {"Authorization": f"Bearer {secrets.CLOUDFLARE_READ_ONLY['api_token']}"})
    assert reader.get(f"{PATH}/{uid}").status_code == 200
    assert reader.delete(f"{PATH}/{uid}").status_code == 403


def test_another_account_is_not_found(client: httpx.Client) -> None:
    assert client.get("/accounts/someone-else/stream/live_inputs").status_code == 404


def test_the_quota_is_told_and_kept(client: httpx.Client, sims: Simulators) -> None:
    sims.cloudflare.settings.calls_per_five_minutes = 2
    first = client.get(PATH)
    assert first.headers["ratelimit"].startswith('"default";r=1;t=')
    assert first.headers["ratelimit-policy"] == '"default";q=2;w=300'
    client.get(PATH)
    refused = client.get(PATH)
    assert (refused.status_code, refused.json()["errors"][0]["code"]) == (429, 971)
    sims.clock.advance(int(refused.headers["retry-after"]))
    assert client.get(PATH).status_code == 200


def test_the_prose_page_s_form_of_a_recording_keeps_to_the_contract(client: httpx.Client, sims: Simulators) -> None:
    sims.cloudflare.door.configure(terse_recording=True)
    without = make(client)["recording"]
    assert without["allowedOrigins"] is None
    assert "timeoutSeconds" not in without
    assert make(client, recording={"allowedOrigins": ["a.example"]})["recording"]["allowedOrigins"] == ["a.example"]


def test_a_rotation_may_be_answered_without_its_secrets(client: httpx.Client, sims: Simulators) -> None:
    before = make(client)
    sims.cloudflare.door.configure(rotation_has_secrets=False)
    after = result(client.post(f"{PATH}/{before['uid']}/rotate_keys"))
    assert not set(SECRET_PARTS) & after.keys()
    assert all(result(client.get(f"{PATH}/{before['uid']}"))[part] != before[part] for part in SECRET_PARTS)


@pytest.mark.parametrize("as_object", [False, True])
@pytest.mark.parametrize(
    ("before", "after"), [("connected", "client_disconnect"), ("failed_to_connect", "failed_to_connect"), (None, None)]
)
def test_a_rotation_cuts_off_whoever_sends(
    client: httpx.Client, sims: Simulators, before: Any, after: Any, as_object: bool
) -> None:
    uid = make(client)["uid"]
    sims.cloudflare.set_status(uid, before, as_object)
    status = result(client.post(f"{PATH}/{uid}/rotate_keys"))["status"]
    assert (status["current"]["state"] if isinstance(status, dict) else status) == after


def test_a_notification_brings_the_shared_secret_and_what_happened() -> None:
    moment = datetime.fromisoformat("2026-11-04T09:05:09.123456+01:00")
    headers, body = notification("0a1b2c3d", "errored", moment, "ERR_GOP_OUT_OF_RANGE", "h264", "aac")
    assert headers["cf-webhook-auth"] == secrets.SECRETS["cloudflare"]["webhook_secret"]
    told = json.loads(body)
    assert told["ts"] == int(moment.timestamp())
    assert told["data"] == {
        "notification_name": "Stream Live Input",
        "input_id": "0a1b2c3d",
        "event_type": "live_input.errored",
        "updated_at": "2026-11-04T08:05:09.123456000Z",
        "live_input_errored": {
            "error": {"code": "ERR_GOP_OUT_OF_RANGE", "message": "a made-up text about what was sent"},
            "video_codec": "h264",
            "audio_codec": "aac",
        },
    }
    _, plain = notification("0a1b2c3d", "connected", moment)
    assert "live_input_errored" not in json.loads(plain)["data"]
