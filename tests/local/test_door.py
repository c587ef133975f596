"""The door before a tiny provider that makes one thing at each POST."""

import json
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx
import psutil
import pytest
from werkzeug.wrappers import Request, Response

from local.door import Clock, Door, serve, side_by_side
from local.killing import Victims, nobody
from tests.local.calling import called, children
from tests.local.conftest import NO_TLS


@dataclass
class Settings:
    colour: str = "red"
    size: int = 1


@dataclass
class TinyProvider:
    made: list[str] = field(default_factory=list)

    def __call__(self, environ: Any, start_response: Any) -> Iterable[bytes]:
        request = Request(environ)
        if request.path == "/broken":
            raise RuntimeError("out of order")
        if request.method == "POST":
            self.made.append(request.get_data(as_text=True))
        body = json.dumps({"made": len(self.made), "padding": "x" * 200})
        return Response(body, 201, content_type="application/json")(environ, start_response)

    def resources(self) -> list[dict[str, Any]]:
        return [{"name": name} for name in self.made]

    def rename(self, index: int, name: str) -> str:
        self.made[index] = name
        return name


@dataclass
class Stand:
    provider: TinyProvider
    door: Door
    client: httpx.Client
    control: Callable[..., httpx.Response]


@pytest.fixture
def stand() -> Iterator[Stand]:
    provider = TinyProvider()
    door = Door(
        provider,
        "tiny",
        lambda method, _: {"POST": "make", "GET": "look"}.get(method, "unknown"),
        resources=provider.resources,
        forget=provider.made.clear,
        settings=Settings(),
        actions=[provider.rename],
    )
    with (
        serve(side_by_side([door])) as url,
        httpx.Client(base_url=f"{url}/tiny", verify=NO_TLS) as client,
        httpx.Client(base_url=f"{url}/_control", verify=NO_TLS) as control,
    ):
        yield Stand(provider, door, client, control.request)


def until(condition: Callable[[], bool]) -> None:
    ends = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < ends, "it did not come true in 5 s"
        time.sleep(0.005)


def test_a_call_is_logged_with_what_came_in_and_what_went_out(stand: Stand) -> None:
    stand.client.post("/things?colour=red&empty=", json={"a": 1}, headers={"X-Key": "k"})
    (call,) = stand.door.calls()
    assert (call.seq, call.operation, call.method, call.path) == (1, "make", "POST", "/things")
    assert (call.query, call.body) == ({"colour": "red", "empty": ""}, {"a": 1})
    assert call.headers["x-key"] == "k"
    assert (call.status, call.response["made"]) == (201, 1)
    assert (call.fault, call.carried_out, call.departure) == (None, True, None)
    assert abs(call.at - stand.door.clock.now_ms()) < 60_000


def test_the_control_routes_tell_the_same_and_choose_by_operation(stand: Stand) -> None:
    stand.client.post("/things", content=b"plain text")
    stand.client.get("/things")
    calls = stand.control("GET", "tiny/calls").json()
    assert [call["operation"] for call in calls] == ["make", "look"]
    assert calls[0]["body"] == "plain text"
    assert calls[1]["body"] == ""
    chosen = stand.control("GET", "tiny/calls", params={"operation": "look"}).json()
    assert [call["seq"] for call in chosen] == [2]
    stand.control("DELETE", "tiny/calls")
    assert stand.door.calls() == []


def test_calls_at_the_same_time_are_all_logged(stand: Stand) -> None:
    threads = [threading.Thread(target=stand.client.post, args=("/things",)) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(call.seq for call in stand.door.calls()) == list(range(1, 21))


def test_a_status_is_answered_without_carrying_anything_out(stand: Stand) -> None:
    body = {"error": "slow down"}
    stand.door.fault("status", "make", status=429, headers={"Retry-After": "2"}, body=body)
    answer = stand.client.post("/things")
    assert (answer.status_code, answer.headers["retry-after"], answer.json()) == (429, "2", body)
    assert stand.provider.made == []
    (call,) = stand.door.calls()
    assert (call.status, call.response, call.fault, call.carried_out) == (429, body, "status", False)


def test_a_status_may_have_a_text_for_its_body(stand: Stand) -> None:
    stand.door.fault("status", status=502, headers={"Content-Type": "text/html"}, body="<h1>no</h1>")
    answer = stand.client.get("/things")
    assert (answer.status_code, answer.text) == (502, "<h1>no</h1>")
    assert answer.headers["content-type"] == "text/html"


def test_a_slow_call_is_carried_out_after_its_time(stand: Stand) -> None:
    stand.door.fault("slow", seconds=0.2)
    began = time.monotonic()
    assert stand.client.post("/things").status_code == 201
    assert time.monotonic() - began >= 0.2
    (call,) = stand.door.calls()
    assert call.carried_out
    assert call.answered_at is not None
    assert call.answered_at - call.at >= 200


@pytest.mark.parametrize("carry_out", [False, True])
def test_a_hanging_call_is_never_answered(stand: Stand, carry_out: bool) -> None:
    stand.door.fault("hang", carry_out=carry_out)
    with pytest.raises(httpx.ReadTimeout):
        stand.client.post("/things", timeout=0.2)
    (call,) = stand.door.calls()
    assert (call.status, call.answered_at, call.fault, call.carried_out) == (None, None, "hang", carry_out)
    assert len(stand.provider.made) == carry_out


def test_a_hanging_call_ends_with_the_server_and_does_not_hold_it_up() -> None:
    door = Door(TinyProvider(), "tiny", lambda _method, _path: "look")
    door.fault("hang")
    ends: list[Exception] = []

    def call(url: str) -> None:
        try:
            httpx.get(url, timeout=30)
        except httpx.TransportError as error:
            ends.append(error)

    with serve(door) as url:
        thread = threading.Thread(target=call, args=(url,))
        thread.start()
        until(lambda: len(door.calls()) == 1)
        began = time.monotonic()
    thread.join(5)
    assert time.monotonic() - began < 2
    assert isinstance(ends[0], httpx.RemoteProtocolError)


def test_a_lost_answer_was_carried_out_but_not_a_byte_comes(stand: Stand) -> None:
    stand.door.fault("lose_answer")
    with pytest.raises(httpx.RemoteProtocolError, match="without sending a response"):
        stand.client.post("/things")
    assert len(stand.provider.made) == 1
    (call,) = stand.door.calls()
    assert (call.status, call.response, call.carried_out) == (None, None, True)


def test_a_refused_call_is_not_carried_out(stand: Stand) -> None:
    stand.door.fault("refuse")
    with pytest.raises(httpx.RemoteProtocolError, match="without sending a response"):
        stand.client.post("/things")
    assert stand.provider.made == []
    assert stand.door.calls()[0].carried_out is False


def test_a_reset_comes_in_the_middle_of_the_body(stand: Stand) -> None:
    stand.door.fault("reset")
    with pytest.raises(httpx.RemoteProtocolError, match="complete message body"):
        stand.client.post("/things")
    (call,) = stand.door.calls()
    assert (call.status, call.response, call.carried_out) == (201, None, True)


def test_garbage_is_a_good_status_with_a_body_that_is_not_json(stand: Stand) -> None:
    stand.door.fault("garbage")
    answer = stand.client.post("/things")
    assert answer.status_code == 200
    with pytest.raises(json.JSONDecodeError):
        answer.json()
    assert len(stand.provider.made) == 1


def test_a_fault_waits_then_hits_as_often_as_it_was_told(stand: Stand) -> None:
    stand.door.fault("status", "make", status=500, after=1, times=2)
    stand.client.get("/things")
    answers = [stand.client.post("/things").status_code for _ in range(4)]
    assert answers == [201, 500, 500, 201]
    assert stand.door.faults() == []


def test_a_fault_can_be_meant_for_one_call_among_many(stand: Stand) -> None:
    stand.door.fault("status", containing="key-2", status=500)
    assert stand.client.post("/things", headers={"Idempotency-Key": "key-1"}).status_code == 201
    assert stand.client.post("/things", headers={"Idempotency-Key": "key-2"}).status_code == 500


def test_faults_are_set_shown_and_taken_back_over_http(stand: Stand) -> None:
    set_ = stand.control("POST", "tiny/faults", json={"kind": "slow", "operation": "make", "seconds": 9})
    assert set_.json()["times"] == 1
    assert stand.control("GET", "tiny/faults").json() == [set_.json()]
    stand.control("DELETE", "tiny/faults")
    assert stand.door.faults() == []


@pytest.mark.parametrize(
    ("fault", "what"),
    [
        ({}, "kind"),
        ({"kind": "explode"}, "kind"),
        ({"kind": "status"}, "needs status"),
        ({"kind": "slow"}, "needs seconds"),
        ({"kind": "hang", "seconds": 1}, "has no seconds"),
        ({"kind": "refuse", "times": 0}, "times"),
        ({"kind": "refuse", "tmies": 2}, "tmies"),
        ([], "not a JSON object"),
    ],
)
def test_a_fault_that_is_not_understood_is_refused_with_the_reason(stand: Stand, fault: Any, what: str) -> None:
    answer = stand.control("POST", "tiny/faults", json=fault)
    assert answer.status_code == 400
    assert what in answer.json()["error"]
    assert stand.door.faults() == []


def test_the_clock_is_real_time_plus_what_it_was_moved(stand: Stand) -> None:
    before = stand.control("GET", "clock").json()["now_ms"]
    after = stand.control("POST", "clock", json={"advance_seconds": 3600}).json()["now_ms"]
    assert 3_600_000 <= after - before < 3_660_000
    assert stand.door.clock.now_ms() >= after
    for body in ({"advance_seconds": "soon"}, {"advance_seconds": -1}, {"seconds": 1}, {}):
        assert stand.control("POST", "clock", json=body).status_code == 400


def test_the_clock_never_goes_back() -> None:
    with pytest.raises(ValueError, match="advance_seconds"):
        Clock().advance(-1)


def test_reset_forgets_resources_calls_and_faults_but_keeps_settings(stand: Stand) -> None:
    stand.control("POST", "tiny/settings", json={"size": 3})
    stand.client.post("/things", content=b"one")
    assert stand.control("GET", "tiny/resources").json() == [{"name": "one"}]
    stand.door.fault("refuse")
    stand.control("POST", "tiny/reset")
    assert (stand.door.resources(), stand.door.calls(), stand.door.faults()) == ([], [], [])
    assert stand.control("GET", "tiny/settings").json() == {"colour": "red", "size": 3}


def test_settings_are_taken_all_or_none(stand: Stand) -> None:
    for body, what in (({"size": 5, "shape": "round"}, "shape"), ({"colour": "blue", "size": "big"}, "size")):
        answer = stand.control("POST", "tiny/settings", json=body)
        assert answer.status_code == 400
        assert what in answer.json()["error"]
    assert stand.door.settings == Settings()


def test_the_providers_own_actions_are_reached_by_name(stand: Stand) -> None:
    stand.client.post("/things", content=b"one")
    assert stand.control("POST", "tiny/rename", json={"index": 0, "name": "two"}).json() == "two"
    assert stand.provider.made == ["two"]
    for body in ({"index": 0}, {"index": 7, "name": "x"}, {"index": 0, "name": "x", "more": 1}):
        assert stand.control("POST", "tiny/rename", json=body).status_code == 400


def test_health_names_the_doors_and_unknown_control_routes_are_not_found(stand: Stand) -> None:
    assert stand.control("GET", "health").json() == {"status": "ok", "doors": ["tiny"]}
    for method, path in (("GET", "nobody/calls"), ("GET", "tiny/nothing"), ("PUT", "tiny/faults")):
        assert stand.control(method, path).status_code == 404
    assert stand.control("POST", "clock", content=b"{").json() == {"error": "the body is not JSON"}


def test_a_provider_that_trips_is_kept_as_a_violation(stand: Stand) -> None:
    answer = stand.client.get("/broken")
    assert (answer.status_code, answer.headers["x-simulator-fault"]) == (500, "exception")
    (violation,) = stand.control("GET", "tiny/violations").json()
    assert "look" in violation
    assert "out of order" in violation


def test_nothing_is_written_about_requests(stand: Stand, capfd: pytest.CaptureFixture[str]) -> None:
    stand.client.get("/things?key=secret")
    stand.door.fault("lose_answer")
    with pytest.raises(httpx.RemoteProtocolError):
        stand.client.get("/things?key=secret")
    assert capfd.readouterr() == ("", "")


# ---- the caller killed ----


@pytest.mark.parametrize("carry_out", [False, True])
def test_the_calling_process_is_killed_before_or_after_the_work(stand: Stand, carry_out: bool) -> None:
    stand.door.victims = children
    stand.door.fault("kill", "make", carry_out=carry_out)
    died = called(f"{stand.client.base_url}things")
    assert (died.returncode, died.stdout) == (-signal.SIGKILL, "")
    assert len(stand.provider.made) == carry_out
    (call,) = stand.door.calls()
    assert (call.status, call.fault, call.carried_out) == (None, "kill", carry_out)


@pytest.mark.parametrize("victims", [nobody, lambda: [psutil.Process()]], ids=["nobody", "another"])
def test_a_caller_that_may_not_be_killed_is_told_and_nothing_is_done(stand: Stand, victims: Victims) -> None:
    stand.door.victims = victims
    stand.door.fault("kill", "make", carry_out=True)
    lives = called(f"{stand.client.base_url}things")
    assert lives.stdout == "500 kill the caller is not a process that may be killed\n"
    assert lives.returncode == 0
    assert stand.provider.made == []
    assert stand.door.calls()[0].carried_out is False


def test_a_call_without_entries_cannot_be_answered_entry_by_entry(stand: Stand) -> None:
    answer = stand.control("POST", "tiny/faults", json={"kind": "refuse_entries", "operation": "make"})
    assert answer.status_code == 400
    assert "refuse_entries" in answer.json()["error"]
