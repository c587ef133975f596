"""The simulated pyannoteAI, call by call; each exchange is also checked against the contract."""

import httpx
import pytest

from local.simulators import Simulators, secrets
from tests.local.conftest import Checked

KEY = {"Authorization": f"Bearer {secrets.SECRETS['pyannote']['api_key']}"}
OTHER_KEY = {"Authorization": f"Bearer {secrets.PYANNOTE_OTHER_TEAM['api_key']}"}


@pytest.fixture
def client(checked: Checked) -> httpx.Client:
    return checked.client("pyannote", KEY)


def test_the_url_is_given_once(client: httpx.Client) -> None:
    made = client.post("/v1/live", json={})
    assert made.status_code == 200
    assert made.json()["url"].startswith("wss://live.example.net/stream?token=canary-pyannote-url-")
    shown = client.get(f"/v1/live/{made.json()['id']}")
    assert shown.json() == {
        "id": made.json()["id"],
        "status": "created",
        "startedAt": None,
        "completedAt": None,
        "input": {},
    }


def test_a_body_may_be_left_out_but_not_be_anything_else(sims: Simulators, client: httpx.Client) -> None:
    bare = httpx.post(f"{sims.bases['pyannote']}/v1/live", headers=KEY)
    assert bare.status_code == 200
    for body in ('{"name": "a"}', "[]", "null", '"x"'):
        refused = client.post("/v1/live", headers={"Content-Type": "application/json"}, content=body)
        assert refused.status_code == 400


def test_each_creation_is_another_stream(client: httpx.Client) -> None:
    assert client.post("/v1/live", json={}).json()["id"] != client.post("/v1/live", json={}).json()["id"]


def test_a_stream_runs_and_ends_when_told(client: httpx.Client, sims: Simulators) -> None:
    stream = client.post("/v1/live", json={}).json()["id"]
    sims.pyannote.set_status(stream, "running")
    running = client.get(f"/v1/live/{stream}").json()
    assert (running["status"], running["completedAt"]) == ("running", None)
    assert running["startedAt"]
    control = f"{sims.url}/_control/pyannote/set_status"
    assert httpx.post(control, json={"id": stream, "status": "done"}).status_code == 200
    done = client.get(f"/v1/live/{stream}").json()
    assert (done["status"], done["startedAt"]) == ("done", running["startedAt"])
    assert done["completedAt"]
    assert sims.pyannote.door.resources() == []


def test_a_team_has_at_most_ten_streams_at_once(client: httpx.Client, checked: Checked, sims: Simulators) -> None:
    streams = [client.post("/v1/live", json={}).json()["id"] for _ in range(10)]
    refused = client.post("/v1/live", json={})
    assert refused.status_code == 429
    assert int(refused.headers["retry-after"]) > 0
    assert checked.client("pyannote", OTHER_KEY).post("/v1/live", json={}).status_code == 200
    sims.pyannote.set_status(streams[0], "error")
    assert client.post("/v1/live", json={}).status_code == 200


def test_another_teams_stream_is_not_found(client: httpx.Client, checked: Checked) -> None:
    stream = client.post("/v1/live", json={}).json()["id"]
    assert checked.client("pyannote", OTHER_KEY).get(f"/v1/live/{stream}").status_code == 404
    assert client.get("/v1/live/unknown").status_code == 404


def test_every_answer_tells_the_rate_and_too_many_calls_wait(client: httpx.Client, sims: Simulators) -> None:
    sims.pyannote.settings.creates_per_minute = 2
    answers = [client.post("/v1/live", json=body) for body in ({}, {"name": "a"}, {})]
    assert [answer.status_code for answer in answers] == [200, 400, 429]
    assert [answer.headers["x-ratelimit-remaining"] for answer in answers] == ["1", "0", "0"]
    assert answers[0].headers["x-ratelimit-limit"] == "2"
    assert client.get("/v1/live/unknown").headers["x-ratelimit-limit"] == "300"
    sims.clock.advance(int(answers[2].headers["retry-after"]))
    assert client.post("/v1/live", json={}).status_code == 200
