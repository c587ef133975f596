"""Each fault at each simulated provider's create, through a real socket: what the caller meets, and what was made."""

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from local.door import Door, serve
from local.faults import Kind
from local.kinesis_video.server import kinesis_video
from local.simulators import secrets, simulators
from tests.local.calling import called, children
from tests.local.conftest import NO_TLS

SIGNED = (
    "AWS4-HMAC-SHA256 Credential=any/20260101/eu-central-1/kinesisvideo/aws4_request, SignedHeaders=host, Signature=0"
)
V02_BODY = {
    "processing": {"interval_seconds": 2},
    "inference": {"prompt": "Is the door open?", "model": "model-1"},
}
TOKEN = f"Bearer {secrets.SECRETS['cloudflare']['api_token']}"


def key(provider: str) -> str:
    return f"Bearer {secrets.SECRETS[provider]['api_key']}"


CREATES: dict[str, tuple[str, str, str, str, dict[str, Any]]] = {
    "cloudflare": ("cloudflare", "createLiveInput", "/accounts/sim-account/stream/live_inputs", TOKEN, {}),
    "kinesis-video": ("kinesis-video", "CreateStream", "/createStream", SIGNED, {"StreamName": "lobby"}),
    "overshoot": ("overshoot", "createStream", "/streams", key("overshoot"), {}),
    "overshoot-v0.2": ("overshoot", "createStream", "/streams", key("overshoot"), V02_BODY),
    "pyannote": ("pyannote", "createLiveStream", "/v1/live", key("pyannote"), {}),
}
"""Door, operation, path, authorization and body of each interface's create."""


@dataclass
class Stand:
    door: Door
    operation: str
    url: str
    create: Callable[..., httpx.Response]

    def fault(self, kind: Kind, **fields: Any) -> None:
        self.door.fault(kind, self.operation, **fields)


@contextmanager
def served(interface: str) -> Iterator[tuple[Door, str]]:
    with ExitStack() as opened:
        if interface == "kinesis-video":
            door = kinesis_video(victims=children)
            yield door, opened.enter_context(serve(door))
            return
        running = opened.enter_context(simulators(victims=children))
        (found,) = [door for door in running.doors if door.name == CREATES[interface][0]]
        yield found, running.bases[interface]


@pytest.fixture(params=CREATES)
def stand(request: pytest.FixtureRequest) -> Iterator[Stand]:
    _, operation, path, authorization, body = CREATES[request.param]
    headers = {"Authorization": authorization}
    with served(request.param) as (door, base), httpx.Client(headers=headers, timeout=10, verify=NO_TLS) as client:
        yield Stand(door, operation, base + path, lambda **rest: client.post(base + path, json=body, **rest))
        assert door.violations == []


def test_refused_before_anything_was_made(stand: Stand) -> None:
    stand.fault("refuse")
    with pytest.raises(httpx.RemoteProtocolError):
        stand.create()
    assert len(stand.door.resources()) == 0
    assert stand.create().is_success


def test_made_and_the_answer_lost(stand: Stand) -> None:
    stand.fault("lose_answer")
    with pytest.raises(httpx.RemoteProtocolError):
        stand.create()
    assert len(stand.door.resources()) == 1


@pytest.mark.parametrize("carry_out", [False, True])
def test_hanging_before_or_after_it_was_made(stand: Stand, carry_out: bool) -> None:
    stand.fault("hang", carry_out=carry_out)
    with pytest.raises(httpx.ReadTimeout):
        stand.create(timeout=0.3)
    assert len(stand.door.resources()) == carry_out


def test_slow(stand: Stand) -> None:
    stand.fault("slow", seconds=0.2)
    began = time.monotonic()
    assert stand.create().is_success
    assert time.monotonic() - began >= 0.2


def test_too_many_calls_with_the_time_to_wait(stand: Stand) -> None:
    stand.fault("status", status=429, headers={"Retry-After": "7"}, body={"message": "slow down"})
    answer = stand.create()
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "7")
    assert len(stand.door.resources()) == 0


def test_a_server_s_error_as_often_as_it_was_told(stand: Stand) -> None:
    stand.fault("status", status=503, times=2)
    assert [stand.create().status_code for _ in range(2)] == [503, 503]
    assert len(stand.door.resources()) == 0
    assert stand.create().is_success


def test_made_and_the_connection_ended_within_the_answer(stand: Stand) -> None:
    stand.fault("reset")
    with pytest.raises(httpx.RemoteProtocolError):
        stand.create()
    assert len(stand.door.resources()) == 1


def test_the_caller_killed(stand: Stand) -> None:
    stand.fault("kill")
    assert called(stand.url).returncode == -signal.SIGKILL
    assert len(stand.door.resources()) == 0
    assert stand.create().is_success
