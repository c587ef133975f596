"""The simulated Overshoot, both generations, call by call; each exchange is checked against its contract."""

import time
from typing import Any

import httpx
import pytest

from local.simulators import Simulators, secrets
from tests.local.conftest import Checked

KEY = {"Authorization": f"Bearer {secrets.SECRETS['overshoot']['api_key']}"}
OTHER_KEY = {"Authorization": f"Bearer {secrets.OVERSHOOT_OTHER_OWNER['api_key']}"}
REGION = "X-Overshoot-Region"
FRAMES: dict[str, dict[str, Any]] = {
    "processing": {"interval_seconds": 2},
    "inference": {"prompt": "Is the door open?", "model": "model-1"},
}


@pytest.fixture
def client(checked: Checked) -> httpx.Client:
    return checked.client("overshoot", KEY)


@pytest.fixture
def old(checked: Checked) -> httpx.Client:
    return checked.client("overshoot-v0.2", KEY)


def made(answer: httpx.Response) -> Any:
    assert answer.status_code == 201, answer.text
    return answer.json()


class TestV1Beta:
    def test_a_stream_to_publish_to_has_a_token_and_a_lease(self, client: httpx.Client, sims: Simulators) -> None:
        before = sims.clock.now_ms()
        stream = made(client.post("/streams"))
        assert (stream["state"], stream["source"], stream["ttl_seconds"]) == ("active", {"type": "livekit"}, 300)
        assert stream["publish"]["url"].startswith("wss://")
        assert before <= stream["expires_at_ms"] - 300_000 <= sims.clock.now_ms()

    @pytest.mark.parametrize(
        "source",
        [
            {"type": "rtsp", "url": "rtsp://viewer:made-up@camera.example.org:554/main"},
            {"type": "hls", "url": "https://video.example.org/live/index.m3u8"},
        ],
    )
    def test_a_pulled_stream_has_nothing_to_publish_to(self, client: httpx.Client, source: dict[str, str]) -> None:
        stream = made(client.post("/streams", json={"source": source}))
        assert (stream["publish"], stream["source"]) == (None, {"type": source["type"]})
        assert client.post(f"/streams/{stream['id']}/keepalive").json()["publish"] is None

    def test_opening_a_source_takes_its_time_and_may_fail(self, client: httpx.Client, sims: Simulators) -> None:
        sims.overshoot.settings.opening_seconds = 0.2
        source = {"type": "rtsp", "url": "rtsp://unreachable.example.org/main"}
        began = time.monotonic()
        answer = client.post("/streams", json={"source": source})
        assert time.monotonic() - began >= 0.2
        assert (answer.status_code, list(answer.json())) == (422, ["detail"])

    @pytest.mark.parametrize("host", ["10.0.0.1", "127.0.0.1", "[::1]", "169.254.1.1", "localhost", "cam.local"])
    def test_a_source_that_is_not_public_is_refused(self, client: httpx.Client, host: str) -> None:
        answer = client.post("/streams", json={"source": {"type": "rtsp", "url": f"rtsp://{host}/main"}})
        assert answer.status_code == 422

    def test_reading_shows_no_token(self, client: httpx.Client) -> None:
        stream = made(client.post("/streams"))
        answer = client.get(f"/streams/{stream['id']}")
        assert answer.json()["state"] == "active"
        assert answer.json()["expires_at_ms"] == stream["expires_at_ms"]
        assert "canary" not in answer.text

    def test_a_renewal_moves_the_end_and_gives_a_new_token(self, client: httpx.Client, sims: Simulators) -> None:
        stream = made(client.post("/streams"))
        sims.clock.advance(200)
        renewed = client.post(f"/streams/{stream['id']}/keepalive").json()
        assert renewed["expires_at_ms"] - stream["expires_at_ms"] >= 200_000
        assert renewed["publish"]["token"] != stream["publish"]["token"]
        sims.clock.advance(200)
        assert client.get(f"/streams/{stream['id']}").json()["state"] == "active"

    def test_an_unrenewed_stream_ends_and_is_forgotten(self, client: httpx.Client, sims: Simulators) -> None:
        stream = made(client.post("/streams"))
        path = f"/streams/{stream['id']}"
        sims.clock.advance(300)
        ended = client.get(path).json()
        assert (ended["state"], ended["end_reason"]) == ("ended", "expired")
        assert (ended["ended_at_ms"], ended["expires_at_ms"]) == (stream["expires_at_ms"], None)
        assert client.post(f"{path}/keepalive").status_code == 404
        assert client.post(f"{path}/viewer-token").status_code == 404
        assert sims.overshoot.door.resources() == []
        sims.clock.advance(600)
        assert client.get(path).status_code == 404

    def test_deleting_can_be_repeated_for_a_while(self, client: httpx.Client, sims: Simulators) -> None:
        path = f"/streams/{made(client.post('/streams'))['id']}"
        for _ in range(2):
            assert client.delete(path).json()["deleted"] is True
        assert client.get(path).json()["end_reason"] == "deleted"
        sims.clock.advance(600)
        assert client.delete(path).status_code == 404

    def test_a_first_frame_is_told(self, client: httpx.Client, sims: Simulators) -> None:
        stream = made(client.post("/streams"))["id"]
        assert client.get(f"/streams/{stream}").json()["first_frame_at_ms"] is None
        for _ in range(2):
            sent = httpx.post(f"{sims.url}/_control/overshoot/send_frame", json={"stream_id": stream})
            assert sent.status_code == 200
            sims.clock.advance(5)
        shown = client.get(f"/streams/{stream}").json()
        assert (shown["state"], shown["last_frame_at_ms"]) == ("active", None)
        assert 10_000 <= sims.clock.now_ms() - shown["first_frame_at_ms"] < 15_000

    @pytest.mark.parametrize("reason", ["expired", "deleted", "reaped"])
    def test_the_provider_may_end_a_stream_by_itself(self, client: httpx.Client, sims: Simulators, reason: str) -> None:
        stream = made(client.post("/streams"))["id"]
        ending = {"stream_id": stream, "reason": reason}
        assert httpx.post(f"{sims.url}/_control/overshoot/end_stream", json=ending).status_code == 200
        shown = client.get(f"/streams/{stream}").json()
        assert (shown["state"], shown["end_reason"]) == ("ended", reason)
        assert client.post(f"/streams/{stream}/keepalive").status_code == 404
        assert sims.overshoot.door.resources() == []

    def test_a_short_lease_can_be_set(self, client: httpx.Client, sims: Simulators) -> None:
        sims.overshoot.settings.lease_seconds = 2
        assert made(client.post("/streams"))["ttl_seconds"] == 2

    def test_only_the_owner_finds_a_stream(self, client: httpx.Client, checked: Checked) -> None:
        path = f"/streams/{made(client.post('/streams'))['id']}"
        viewer = client.post(f"{path}/viewer-token").json()["view"]
        assert (viewer["type"], viewer["expires_in_seconds"]) == ("livekit", 300)
        other = checked.client("overshoot", OTHER_KEY)
        for answer in (other.get(path), other.delete(path), other.post(f"{path}/viewer-token")):
            assert answer.status_code == 404
        assert client.get(path).json()["state"] == "active"

    def test_every_answer_names_its_region_and_another_is_told_off(
        self, client: httpx.Client, sims: Simulators
    ) -> None:
        created = client.post("/streams", headers={REGION: "us-central1"})
        path = f"/streams/{created.json()['id']}"
        assert created.headers[REGION] == "us-central1"
        assert client.get(path, headers={REGION: "us-central1"}).status_code == 200
        wrong = client.get(path, headers={REGION: "us-west1"})
        detail = {
            "error": "region_error",
            "expected_region": "us-central1",
            "requested_region": "us-west1",
        }
        assert (wrong.status_code, wrong.json(), wrong.headers[REGION]) == (409, {"detail": detail}, "us-west1")
        assert client.get(path).status_code == 409
        sims.overshoot.settings.region = "us-central1"
        assert client.get(path).status_code == 200

    def test_refusals_name_their_region_too(self, client: httpx.Client, sims: Simulators) -> None:
        assert httpx.post(f"{sims.bases['overshoot']}/streams").headers[REGION] == "us-west1"
        for path in ("no-uuid", "00000000-0000-4000-8000-000000000000"):
            assert client.get(f"/streams/{path}").headers[REGION] == "us-west1"
        assert client.post("/streams", headers={REGION: "mars"}).status_code == 422

    def test_an_id_that_is_no_uuid_is_of_the_wrong_form(self, client: httpx.Client) -> None:
        assert client.get("/streams/no-uuid").status_code == 422

    def test_a_renewal_without_credits_is_refused(self, client: httpx.Client, sims: Simulators) -> None:
        path = f"/streams/{made(client.post('/streams'))['id']}"
        control = f"{sims.url}/_control/overshoot/set_credits"
        httpx.post(control, json={"owner": "main", "cents": 0}).raise_for_status()
        assert client.post(f"{path}/keepalive").status_code == 402


class TestV02:
    @pytest.mark.parametrize("source", [{}, {"source": None}, {"source": {"type": "native"}}])
    def test_a_native_stream_gives_a_room(self, old: httpx.Client, source: dict[str, Any]) -> None:
        stream = made(old.post("/streams", json=FRAMES | source))
        assert stream["livekit"]["url"].startswith("wss://")
        assert (stream["webrtc"], stream["turn_servers"]) == (None, None)
        assert stream["lease"] == {"ttl_seconds": 45}

    @pytest.mark.parametrize(
        "source",
        [
            {"source": {"type": "webrtc", "sdp": "v=0\r\n"}},
            {"webrtc": {"type": "offer", "sdp": "v=0\r\n"}},
        ],
    )
    def test_a_webrtc_stream_gives_an_answer_and_turn_servers(self, old: httpx.Client, source: dict[str, Any]) -> None:
        stream = made(old.post("/streams", json=FRAMES | source))
        assert stream["webrtc"]["sdp"].startswith("v=0\r\n")
        assert "\r\na=ice-pwd:canary-overshoot-ice-pwd-" in stream["webrtc"]["sdp"]
        (server,) = stream["turn_servers"]
        assert server.keys() == {"urls", "username", "credential"}
        assert server["username"].startswith("canary-overshoot-turn-username-")
        assert server["credential"].startswith("canary-overshoot-turn-credential-")
        assert stream["livekit"] is None

    def test_a_stream_from_the_callers_own_room_gives_nothing(self, old: httpx.Client) -> None:
        source = {"type": "livekit", "url": "wss://own.example.org", "token": "made-up"}
        stream = made(old.post("/streams", json=FRAMES | {"source": source}))
        assert (stream["webrtc"], stream["turn_servers"], stream["livekit"]) == (None, None, None)

    @pytest.mark.parametrize(
        "processing",
        [
            {"clip_length_seconds": 1.5, "delay_seconds": 3, "target_fps": 6},
            {"clip_length_seconds": 1, "delay_seconds": 1, "fps": 30, "sampling_ratio": 0.5},
            {"interval_seconds": 60},
        ],
    )
    def test_each_form_of_processing_is_taken(self, old: httpx.Client, processing: dict[str, Any]) -> None:
        made(old.post("/streams", json=FRAMES | {"processing": processing}))

    @pytest.mark.parametrize(
        "change",
        [
            {"processing": {"interval_seconds": 0}},
            {"processing": {"interval_seconds": 61}},
            {"processing": {"clip_length_seconds": 1, "delay_seconds": 1}},
            {"processing": {"clip_length_seconds": 1, "delay_seconds": 1, "target_fps": 31}},
            {
                "processing": {
                    "clip_length_seconds": 1,
                    "delay_seconds": 1,
                    "target_fps": 6,
                    "fps": 30,
                    "sampling_ratio": 0.5,
                }
            },
            {"inference": {"prompt": "", "model": "m"}},
            {"inference": {"prompt": "p", "model": "m", "backend": "abacus"}},
            {"inference": {"prompt": "p", "model": "m", "max_output_tokens": 257}},
            {"source": {"type": "webrtc"}},
            {"mode": "clip"},
            {"client": {"name": "x"}},
        ],
    )
    def test_a_request_of_the_wrong_form_is_refused(self, old: httpx.Client, change: dict[str, Any]) -> None:
        answer = old.post("/streams", json=FRAMES | change)
        assert answer.status_code == 422
        assert answer.json()["details"]

    def test_tokens_are_bounded_by_the_rate(self, old: httpx.Client) -> None:
        inference = {**FRAMES["inference"], "max_output_tokens": 256}
        made(old.post("/streams", json=FRAMES | {"inference": inference, "mode": "frame"}))

    def test_two_sources_at_once_are_not_possible(self, old: httpx.Client) -> None:
        offer = {"type": "offer", "sdp": "v=0\r\n"}
        answer = old.post("/streams", json=FRAMES | {"webrtc": offer, "source": {"type": "native"}})
        assert answer.status_code == 400

    def test_a_renewal_charges_and_gives_a_new_token(self, old: httpx.Client, sims: Simulators) -> None:
        stream = made(old.post("/streams", json=FRAMES))
        sims.clock.advance(40)
        first = old.post(f"/streams/{stream['stream_id']}/keepalive").json()
        assert (first["status"], first["ttl_seconds"], first["state"]) == ("ok", 45, "pending")
        assert first["seconds_charged"] >= 40
        assert first["livekit_token"] != stream["livekit"]["token"]
        sims.clock.advance(40)
        second = old.post(f"/streams/{stream['stream_id']}/keepalive").json()
        assert second["credits_remaining_cents"] < first["credits_remaining_cents"]

    def test_without_credits_the_lease_is_not_renewed(self, old: httpx.Client, sims: Simulators) -> None:
        path = f"/streams/{made(old.post('/streams', json=FRAMES))['stream_id']}"
        sims.overshoot.team.set_credits("main", 0)
        assert old.post(f"{path}/keepalive").status_code == 402
        sims.clock.advance(45)
        assert old.get(f"{path}/info").status_code == 404
        assert sims.overshoot.door.resources() == []

    def test_closing_is_told_apart_from_closing_again(self, old: httpx.Client) -> None:
        path = f"/streams/{made(old.post('/streams', json=FRAMES))['stream_id']}"
        assert [old.delete(path).status_code for _ in range(3)] == [200, 204, 204]
        assert old.delete("/streams/unknown").status_code == 404
        assert old.post(f"{path}/keepalive").status_code == 404

    def test_a_key_has_at_most_five_streams_at_once(
        self, old: httpx.Client, client: httpx.Client, checked: Checked, sims: Simulators
    ) -> None:
        streams = [made(old.post("/streams", json=FRAMES)) for _ in range(5)]
        assert old.post("/streams", json=FRAMES).status_code == 429
        made(client.post("/streams"))
        made(checked.client("overshoot-v0.2", OTHER_KEY).post("/streams", json=FRAMES))
        old.delete(f"/streams/{streams[0]['stream_id']}")
        made(old.post("/streams", json=FRAMES))
        sims.clock.advance(45)
        made(old.post("/streams", json=FRAMES))

    def test_the_prompt_can_be_changed(self, old: httpx.Client) -> None:
        path = f"/streams/{made(old.post('/streams', json=FRAMES))['stream_id']}/config/prompt"
        changed = old.patch(path, json={"prompt": "Is the window open?"}).json()
        assert (changed["prompt"], changed["model"]) == ("Is the window open?", "model-1")
        assert old.patch(path, json={"prompt": ""}).status_code == 422

    def test_figures_and_state_are_shown(self, old: httpx.Client, sims: Simulators) -> None:
        stream_id = made(old.post("/streams", json=FRAMES))["stream_id"]
        sims.overshoot.v02.set_state(stream_id, "active")
        info = old.get(f"/streams/{stream_id}/info").json()
        assert (info["state"], info["source_type"]) == ("active", "native")

    def test_only_native_streams_can_be_watched(self, old: httpx.Client) -> None:
        native = made(old.post("/streams", json=FRAMES))["stream_id"]
        assert "canary" in old.post(f"/streams/{native}/spectate").json()["livekit"]["token"]
        source = {"type": "webrtc", "sdp": "v=0\r\n"}
        pulled = made(old.post("/streams", json=FRAMES | {"source": source}))["stream_id"]
        assert old.post(f"/streams/{pulled}/spectate").status_code == 400

    def test_the_generations_do_not_share_streams(self, old: httpx.Client, client: httpx.Client) -> None:
        assert old.get(f"/streams/{made(client.post('/streams'))['id']}/info").status_code == 404
        stream_id = made(old.post("/streams", json=FRAMES))["stream_id"]
        assert client.get(f"/streams/{stream_id}").status_code == 404
