"""The client against a real server on this machine: in time, repeated only where harmless, and telling no secret."""

import email.utils
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from pydantic import JsonValue, SecretStr

from headwater import deadline, errors
from headwater.deadline import Deadline
from headwater.errors import (
    Effect,
    Fault,
    HeadwaterError,
    ProviderConflict,
    ProviderError,
    ProviderOutcomeUnknown,
    ProviderRateLimited,
    ProviderRejected,
    ProviderUnauthorized,
    ProviderUnavailable,
    Upstream,
)
from headwater.http import ANSWER_BYTES, Answer, Explanation, ProviderClient, retry_after
from headwater.retry import with_retries
from tests.unit.fakes import CANARY

PATIENT = 10.0
BRIEF = 0.5
SLACK = 0.35
"""How late a call may end: what a slow machine takes."""
TICK = 0.05

type Play = Callable[["Handler"], None]


@dataclass
class Server:
    """A provider that answers each call as the next play says, and afterwards 200 with an empty object."""

    url: str
    plays: list[Play] = field(default_factory=list)
    calls: list[tuple[str, str, dict[str, str], bytes]] = field(default_factory=list)
    stopped: threading.Event = field(default_factory=threading.Event)

    @property
    def keys(self) -> list[str]:
        """The key of each call."""
        return [headers["authorization"] for _, _, headers, _ in self.calls]


class Handler(BaseHTTPRequestHandler):
    """Plays what the server was told."""

    protocol_version = "HTTP/1.1"
    scripted: Server

    def do_ANY(self) -> None:
        length = int(self.headers.get("content-length") or 0)
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.scripted.calls.append((self.command, self.path, headers, self.rfile.read(length)))
        play = self.scripted.plays.pop(0) if self.scripted.plays else answers(200, {})
        try:
            play(self)
        except OSError:
            self.close_connection = True  # the client has gone, as it should

    do_GET = do_POST = do_DELETE = do_ANY  # noqa: N815  # names that the base class looks for

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


def answers(status: int, body: JsonValue = None, headers: Mapping[str, str] | None = None) -> Play:
    return says(status, b"" if body is None else json.dumps(body).encode(), headers)


def says(status: int, content: bytes, headers: Mapping[str, str] | None = None) -> Play:
    def play(handler: Handler) -> None:
        handler.send_response(status)
        for name, value in {"Content-Length": str(len(content)), **(headers or {})}.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(content)

    return play


def hangs(handler: Handler) -> None:
    handler.scripted.stopped.wait(PATIENT)


def drops(handler: Handler) -> None:
    handler.close_connection = True


def then_drops(play: Play) -> Play:
    """Play it, and close the connection."""

    def both(handler: Handler) -> None:
        play(handler)
        drops(handler)

    return both


def drips(start: bytes, drop: bytes, *, after: float = 0) -> Play:
    """Send the start, then one drop after the other until the client has gone."""

    def play(handler: Handler) -> None:
        handler.close_connection = True
        handler.scripted.stopped.wait(after)
        handler.wfile.write(start)
        ends = time.monotonic() + 2
        while time.monotonic() < ends and not handler.scripted.stopped.wait(TICK):
            handler.wfile.write(drop)

    return play


@pytest.fixture
def server() -> Iterator[Server]:
    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    scripted = Server(f"http://127.0.0.1:{http.server_port}")
    http.RequestHandlerClass = type("Scripted", (Handler,), {"scripted": scripted})
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield scripted
    scripted.stopped.set()
    http.shutdown()
    thread.join()
    http.server_close()


@dataclass
class Keys:
    """A stored key, and the one that is remembered of it."""

    stored: str = f"{CANARY}stored"
    remembered: str = f"{CANARY}stored"
    read_anew: int = 0

    def __call__(self, fresh: bool) -> Mapping[str, SecretStr]:
        if fresh:
            self.read_anew += 1
            self.remembered = self.stored
        return {"Authorization": SecretStr(f"Bearer {self.remembered}")}


def explain(answer: Answer) -> Explanation:
    told = answer.body if isinstance(answer.body, dict) else {}
    faults = (Fault("/x", "told", str(told.get("message"))),) if told else ()
    wait = told.get("wait")
    return Explanation(
        code=str(told.get("code")) if told else None,
        message=str(told["message"]) if "message" in told else None,
        request_id=answer.headers.get("x-request-id"),
        faults=faults,
        kind=ProviderConflict if told.get("code") == "conflict" else None,
        effect=Effect.UNKNOWN if told.get("code") == "doubtful" else None,
        retry_after=float(wait) if isinstance(wait, int | float) else None,
    )


@pytest.fixture
def keys() -> Keys:
    return Keys()


@pytest.fixture
def client(server: Server, keys: Keys) -> Iterator[ProviderClient]:
    client = ProviderClient("fake", f"{server.url}/base/", keys, explain)
    yield client
    client._client.close()


def get(client: ProviderClient, seconds: float = PATIENT, **rest: Any) -> Answer:
    return client.call("GET", "/things", Deadline(seconds), **{"repeatable": True, **rest})


def post(client: ProviderClient, seconds: float = PATIENT, **rest: Any) -> Answer:
    return client.call("POST", "/things", Deadline(seconds), **{"repeatable": False, "json": {"a": 1}, **rest})


def failure(call: Callable[[], object]) -> ProviderError:
    """What the call raises; nothing in its whole chain shows a secret or where the provider is."""
    with pytest.raises(ProviderError) as caught:
        call()
    for text in everything_told_by(caught.value):
        assert CANARY not in text
        assert "127.0.0.1" not in text
    return caught.value


def everything_told_by(error: BaseException | None) -> Iterator[str]:
    while error:
        yield f"{error} {error!r} {error.args} {getattr(error, '__notes__', '')}"
        if isinstance(error, HeadwaterError):
            yield json.dumps(error.problem("r"))
        if error.__cause__ is not error.__context__:
            yield from everything_told_by(error.__cause__)
        error = error.__context__


def lasts(call: Callable[[], object]) -> float:
    started = time.monotonic()
    call()
    return time.monotonic() - started


def test_a_unit_test_cannot_leave_this_machine() -> None:
    with socket.socket() as out, pytest.raises(AssertionError, match="may not connect"):
        out.connect(("192.0.2.1", 80))


# ---- a call and its answer


def test_a_call_sends_the_key_the_body_and_the_headers(client: ProviderClient, server: Server) -> None:
    server.plays = [answers(201, {"id": 1}, {"X-Some": "thing"})]
    answer = post(client, headers={"Idempotency-Key": "k"})
    assert (answer.status, answer.body, answer.headers["x-some"]) == (201, {"id": 1}, "thing")
    ((method, path, headers, body),) = server.calls
    assert (method, path, json.loads(body)) == ("POST", "/base/things", {"a": 1})
    assert headers["authorization"] == f"Bearer {CANARY}stored"
    assert headers["idempotency-key"] == "k"
    assert headers["content-type"] == "application/json"
    assert headers["user-agent"] == "headwater"


def test_a_call_without_a_body_sends_none(client: ProviderClient, server: Server) -> None:
    get(client)
    assert server.calls[0][3] == b""
    assert "content-type" not in server.calls[0][2]


@pytest.mark.parametrize("content", [b"", b"<html>", b"{", b"\xff\xfe\xff", b"\x00"])
def test_an_answer_that_is_not_json_has_no_body(client: ProviderClient, server: Server, content: bytes) -> None:
    server.plays = [says(200, content)]
    assert get(client).body is None


def test_an_answer_that_never_ends_is_given_up(client: ProviderClient, server: Server) -> None:
    server.plays = [says(200, b"1" * (ANSWER_BYTES + 1))]
    assert failure(lambda: post(client)).effect is Effect.UNKNOWN


def test_a_redirection_is_not_followed(client: ProviderClient, server: Server) -> None:
    elsewhere = {"Location": f"{server.url}/elsewhere?key={CANARY}x"}
    server.plays = [answers(302, None, elsewhere)] * 5
    error = failure(lambda: post(client, BRIEF))
    assert isinstance(error, ProviderUnavailable)
    assert {path for _, path, _, _ in server.calls} == {"/base/things"}


# ---- refusals


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, ProviderRejected),
        (402, errors.ProviderPaymentRequired),
        (403, errors.ProviderNotEntitled),
        (404, ProviderRejected),
        (409, ProviderConflict),
        (422, ProviderRejected),
    ],
)
def test_a_refusal_did_nothing_and_is_not_repeated(
    client: ProviderClient, server: Server, status: int, kind: type[ProviderError]
) -> None:
    server.plays = [answers(status, {"code": "E1", "message": "no such thing"}, {"X-Request-Id": "up-1"})]
    error = failure(lambda: post(client, repeatable=True))
    assert type(error) is kind
    assert error.effect is Effect.NONE
    assert error.upstream == Upstream("fake", status, "E1", "up-1")
    assert "no such thing" in error.detail
    assert [fault.pointer for fault in error.faults] == ["/options/x"]
    assert error.retry_after is None
    assert len(server.calls) == 1


def test_a_provider_may_say_what_its_refusal_means(client: ProviderClient, server: Server) -> None:
    server.plays = [answers(400, {"code": "conflict"}), answers(400, {"code": "doubtful"})]
    assert isinstance(failure(lambda: post(client)), ProviderConflict)
    assert failure(lambda: post(client)).effect is Effect.UNKNOWN


def test_a_provider_s_words_are_withheld_where_they_may_repeat_a_secret(client: ProviderClient, server: Server) -> None:
    server.plays = [answers(400, {"message": f"bad {CANARY}camera"})]
    error = failure(lambda: post(client, private=True, json={"url": f"{CANARY}camera"}))
    assert error.faults == ()


@pytest.mark.parametrize("status", [400, 401, 403, 500])
def test_our_key_is_masked_in_a_provider_s_words(
    client: ProviderClient, server: Server, keys: Keys, status: int
) -> None:
    keys.stored = keys.remembered = f"{CANARY}0123456789abcdef"
    server.plays = [answers(status, {"message": f"the key {keys.stored} is bad"})] * 2
    with pytest.raises(ProviderError) as caught:
        post(client)
    assert CANARY not in json.dumps(caught.value.problem("r")["detail"])


# ---- silence, and what can be known of it


def test_a_provider_that_is_not_there_has_done_nothing(server: Server, keys: Keys) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        client = ProviderClient("fake", f"http://127.0.0.1:{taken.getsockname()[1]}", keys, explain)
        error = failure(lambda: post(client, BRIEF))
        client._client.close()
    assert isinstance(error, ProviderUnavailable)
    assert error.effect is Effect.NONE
    assert error.upstream == Upstream("fake")


def test_nothing_is_called_when_no_time_is_left(client: ProviderClient, server: Server) -> None:
    error = failure(lambda: post(client, 0))
    assert (type(error), error.effect) == (ProviderUnavailable, Effect.NONE)
    assert server.calls == []


@pytest.mark.parametrize("play", [drops, says(200, b"{", {"Content-Length": "50"})])
def test_a_lost_answer_to_a_create_leaves_its_outcome_unknown(
    client: ProviderClient, server: Server, play: Play
) -> None:
    server.plays = [then_drops(play)]
    error = failure(lambda: post(client))
    assert (type(error), error.effect) == (ProviderOutcomeUnknown, Effect.UNKNOWN)
    assert len(server.calls) == 1


def at_work() -> bool:
    """Whether a thread that ``within`` started is doing anything."""
    alive = [thread for thread in threading.enumerate() if thread.name == "within"]
    return len(alive) > len([worker for worker in deadline._IDLE if worker.thread.is_alive()])


def test_a_call_that_was_given_up_is_not_sent_later(
    client: ProviderClient, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name that is looked up for too long, or a function that is frozen after its answer and thawed much later."""
    given_up, connect = threading.Event(), socket.create_connection

    def slowly(*arguments: Any, **rest: Any) -> socket.socket:
        given_up.wait(PATIENT)
        return connect(*arguments, **rest)

    monkeypatch.setattr(socket, "create_connection", slowly)
    assert failure(lambda: post(client, 0.3)).effect is Effect.UNKNOWN
    assert at_work()
    given_up.set()
    until = time.monotonic() + PATIENT
    while at_work():
        assert time.monotonic() < until
        time.sleep(0.01)
    assert server.calls == []


def test_a_key_that_cannot_be_read_just_then_hides_no_failure(server: Server) -> None:
    def key(_: bool) -> Mapping[str, SecretStr]:
        if server.calls:
            raise errors.ProviderSecretUnavailable("not just now")
        return {"Authorization": SecretStr(f"Bearer {CANARY}key")}

    server.plays = [answers(500, {"message": f"not with {CANARY}key"})]
    client = ProviderClient("fake", server.url, key, explain)
    error = failure(lambda: post(client))
    client._client.close()
    assert (type(error), error.effect) == (ProviderUnavailable, Effect.UNKNOWN)


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_a_provider_s_failure_to_create_leaves_its_outcome_unknown(
    client: ProviderClient, server: Server, status: int
) -> None:
    server.plays = [answers(status)]
    error = failure(lambda: post(client))
    assert (type(error), error.effect) == (ProviderUnavailable, Effect.UNKNOWN)
    assert len(server.calls) == 1


def test_a_provider_s_failure_to_read_leaves_nothing_in_doubt(client: ProviderClient, server: Server) -> None:
    server.plays = [answers(500)] * 4
    assert failure(lambda: get(client)).effect is Effect.NONE
    assert len(server.calls) == 4


def test_a_lost_answer_to_a_read_leaves_nothing_in_doubt(client: ProviderClient, server: Server) -> None:
    server.plays = [drops] * 4
    assert failure(lambda: get(client)).effect is Effect.NONE


def test_a_refusal_after_a_lost_answer_leaves_the_outcome_unknown(client: ProviderClient, server: Server) -> None:
    server.plays = [drops, answers(402)]
    error = failure(lambda: post(client, repeatable=True))
    assert (type(error), error.effect) == (errors.ProviderPaymentRequired, Effect.UNKNOWN)


@pytest.mark.parametrize("bad", [f"{CANARY}key\n", f"{CANARY}k\u2019ey", f"{CANARY}k\x00ey"])
def test_a_key_that_cannot_be_sent_has_done_nothing(
    client: ProviderClient, server: Server, keys: Keys, bad: str
) -> None:
    keys.stored = keys.remembered = bad
    with pytest.raises(HeadwaterError) as caught:
        post(client)
    assert server.calls == []
    assert getattr(caught.value, "effect", Effect.NONE) is Effect.NONE
    assert CANARY not in "".join(everything_told_by(caught.value))


# ---- in time


def test_a_call_that_hangs_ends_with_the_deadline(client: ProviderClient, server: Server) -> None:
    server.plays = [hangs]
    assert lasts(lambda: failure(lambda: post(client, BRIEF))) < BRIEF + SLACK


def test_one_answer_may_be_given_less_than_the_deadline(client: ProviderClient, server: Server) -> None:
    server.plays = [hangs]
    assert lasts(lambda: failure(lambda: post(client, seconds=BRIEF))) < BRIEF + SLACK


def test_a_body_that_drips_ends_with_the_deadline(client: ProviderClient, server: Server) -> None:
    server.plays = [drips(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n", b" ")]
    assert lasts(lambda: failure(lambda: post(client, BRIEF))) < BRIEF + SLACK


def test_a_body_that_drips_after_a_long_silence_ends_with_the_deadline(client: ProviderClient, server: Server) -> None:
    server.plays = [drips(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n", b" ", after=0.9)]
    assert lasts(lambda: failure(lambda: post(client, 1.0))) < 1.0 + SLACK


def test_headers_that_drip_end_with_the_deadline(client: ProviderClient, server: Server) -> None:
    server.plays = [drips(b"HTTP/1.1 200 OK\r\nX-Drip: ", b"x")]
    assert lasts(lambda: failure(lambda: post(client, BRIEF))) < BRIEF + SLACK


def test_a_compressed_body_that_drips_ends_with_the_deadline(client: ProviderClient, server: Server) -> None:
    start = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 1000\r\n\r\n\x1f\x8b\x08\x08" + b"\0" * 6
    server.plays = [drips(start, b"n")]  # a file name in the gzip header, which never ends
    assert lasts(lambda: failure(lambda: post(client, BRIEF))) < BRIEF + SLACK


# ---- the key that was replaced


def test_a_refused_key_is_read_anew_once(client: ProviderClient, server: Server, keys: Keys) -> None:
    keys.remembered = f"{CANARY}old"
    server.plays = [answers(401), answers(200, {"id": 1})]
    assert post(client).body == {"id": 1}
    assert server.keys == [f"Bearer {CANARY}old", f"Bearer {CANARY}stored"]
    assert keys.read_anew == 1


def test_a_key_that_is_refused_again_is_the_operator_s_matter(
    client: ProviderClient, server: Server, keys: Keys
) -> None:
    server.plays = [answers(401), answers(401)]
    error = failure(lambda: post(client, repeatable=True))
    assert (type(error), error.effect) == (ProviderUnauthorized, Effect.NONE)
    assert len(server.calls) == 2
    assert keys.read_anew == 1


# ---- the one retry loop


def test_a_read_is_repeated_until_it_succeeds(client: ProviderClient, server: Server) -> None:
    server.plays = [drops, answers(500), answers(200, {"id": 1})]
    assert get(client).body == {"id": 1}
    assert len(server.calls) == 3


def test_a_create_is_repeated_where_it_was_refused_for_now(client: ProviderClient, server: Server) -> None:
    server.plays = [answers(429, None, {"Retry-After": "0"}), answers(201, {"id": 1})]
    assert post(client).body == {"id": 1}
    assert len(server.calls) == 2


def test_a_guarded_create_is_repeated_whatever_became_of_it(client: ProviderClient, server: Server) -> None:
    server.plays = [drops, answers(503), answers(201, {"id": 1})]
    assert post(client, repeatable=True).body == {"id": 1}
    assert len({body for _, _, _, body in server.calls}) == 1


def test_what_the_provider_asks_to_wait_is_waited(client: ProviderClient, server: Server) -> None:
    server.plays = [answers(429, None, {"Retry-After": "0.4"}), answers(200)]
    assert 0.4 <= lasts(lambda: get(client)) < PATIENT


def test_a_wait_told_in_the_body_is_waited(client: ProviderClient, server: Server) -> None:
    server.plays = [answers(429, {"wait": 0.4}), answers(200)]
    assert lasts(lambda: get(client)) >= 0.4


def test_a_wait_in_the_header_goes_before_one_in_the_body(client: ProviderClient, server: Server) -> None:
    server.plays = [answers(429, {"wait": 60}, {"Retry-After": "0"}), answers(200)]
    assert lasts(lambda: get(client)) < BRIEF


def test_a_wait_that_does_not_fit_is_told_at_once(client: ProviderClient, server: Server) -> None:
    server.plays = [answers(429, None, {"Retry-After": "30"})]
    errors_: list[ProviderError] = []
    assert lasts(lambda: errors_.append(failure(lambda: get(client)))) < BRIEF
    assert (type(errors_[0]), errors_[0].retry_after) == (ProviderRateLimited, 30)
    assert len(server.calls) == 1


def test_a_date_to_come_back_at_is_told_in_seconds(client: ProviderClient, server: Server) -> None:
    server.plays = [answers(503, None, {"Retry-After": email.utils.formatdate(time.time() + 60, usegmt=True)})]
    error = failure(lambda: get(client))
    assert error.retry_after == pytest.approx(60, abs=2)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("0", 0), ("7", 7), ("0.5", 0.5), ("-3", 0), ("Wed, 21 Oct 2015 07:28:00 GMT", 0), ("soon", None), ("", None)],
)
def test_retry_after_is_read_as_seconds_or_a_date(value: str, seconds: float | None) -> None:
    assert retry_after({"retry-after": value}) == seconds
    assert retry_after({}) is None


@pytest.mark.parametrize("value", ["nan", "inf", "1e999"])
def test_a_retry_after_that_is_no_number_of_seconds_is_unreadable(value: str) -> None:
    assert retry_after({"retry-after": value}) is None


class Pauses(list[float]):
    """What was waited, without waiting."""

    def __call__(self, seconds: float) -> None:
        self.append(seconds)


def failing(*failures: HeadwaterError) -> Callable[[], str]:
    left = list(failures)

    def call() -> str:
        if left:
            raise left.pop(0)
        return "done"

    return call


def unavailable(effect: Effect = Effect.NONE, wait: float | None = None) -> ProviderUnavailable:
    return ProviderUnavailable("later", effect=effect, retry_after=wait)


def test_pauses_grow_and_differ() -> None:
    pauses = Pauses()
    call = failing(unavailable(), unavailable(), unavailable())
    assert with_retries(call, Deadline(60), repeatable=True, sleep=pauses) == "done"
    assert 0.125 <= pauses[0] <= 0.25 <= pauses[1] <= 0.5 <= pauses[2] <= 1


def test_at_most_four_calls_are_made() -> None:
    pauses = Pauses()
    with pytest.raises(ProviderUnavailable):
        with_retries(failing(*[unavailable() for _ in range(9)]), Deadline(60), repeatable=True, sleep=pauses)
    assert len(pauses) == 3


def test_nothing_is_repeated_with_too_little_time_for_an_answer() -> None:
    """A clear refusal must not become an answer that did not come."""
    pauses = Pauses()
    with pytest.raises(ProviderUnavailable):
        with_retries(failing(unavailable(wait=1)), Deadline(1.2), repeatable=True, sleep=pauses)
    assert pauses == []


def test_no_pause_outlasts_the_deadline() -> None:
    pauses = Pauses()
    with pytest.raises(ProviderUnavailable):
        with_retries(failing(unavailable(wait=5)), Deadline(5), repeatable=True, sleep=pauses)
    assert pauses == []


def test_what_may_have_been_done_is_repeated_only_where_that_is_harmless() -> None:
    pauses = Pauses()
    with pytest.raises(ProviderUnavailable):
        with_retries(failing(unavailable(Effect.UNKNOWN)), Deadline(60), repeatable=False, sleep=pauses)
    assert pauses == []
    call = failing(unavailable(Effect.UNKNOWN))
    assert with_retries(call, Deadline(60), repeatable=True, sleep=pauses) == "done"


def test_a_first_call_that_may_have_been_carried_out_is_not_forgotten() -> None:
    call = failing(unavailable(Effect.UNKNOWN), ProviderRejected("no"))
    with pytest.raises(ProviderRejected) as caught:
        with_retries(call, Deadline(60), repeatable=True, sleep=Pauses())
    assert caught.value.effect is Effect.UNKNOWN


def test_what_is_no_provider_s_failure_is_not_repeated() -> None:
    def call() -> None:
        raise errors.NameTaken("taken")

    with pytest.raises(errors.NameTaken):
        with_retries(call, Deadline(60), repeatable=True, sleep=Pauses())


@pytest.mark.parametrize("effect", Effect)
@pytest.mark.parametrize("kind", [errors.NameTaken, errors.ProviderSecretUnavailable])
def test_what_a_repetition_is_told_may_be_of_what_an_earlier_call_made(
    kind: type[HeadwaterError], effect: Effect
) -> None:
    upstream = Upstream("fake", 409)
    call = failing(unavailable(effect), kind("no", upstream=upstream))
    with pytest.raises(HeadwaterError) as caught:
        with_retries(call, Deadline(60), repeatable=True, sleep=Pauses())
    told = caught.value
    assert (type(told), told.upstream) == (ProviderOutcomeUnknown if effect is Effect.UNKNOWN else kind, upstream)
    assert not isinstance(told, ProviderError) or told.effect is Effect.UNKNOWN


def test_where_nobody_was_asked_again_what_the_earlier_call_met_is_told() -> None:
    doubt = ProviderUnavailable("silence", effect=Effect.UNKNOWN, upstream=Upstream("fake"))
    call = failing(doubt, unavailable(), errors.ProviderSecretInvalid("no"))
    with pytest.raises(ProviderOutcomeUnknown) as caught:
        with_retries(call, Deadline(60), repeatable=True, sleep=Pauses())
    assert caught.value.upstream == Upstream("fake")


def test_a_deadline_has_no_time_left_when_it_has_passed() -> None:
    now = [100.0]
    deadline = Deadline(10, clock=lambda: now[0])
    assert deadline.remaining() == 10
    assert deadline.sooner(3).remaining() == 7
    assert deadline.sooner(30).remaining() == 0
    now[0] = 200
    assert deadline.remaining() == 0


# ---- what of a refusal is passed on


def test_our_key_is_masked_wherever_a_provider_repeats_it(server: Server, keys: Keys) -> None:
    key = keys.stored

    def repeats(_: Answer) -> Explanation:
        fault = Fault("/x", "no", f"not with {key}")
        return Explanation(code=f"bad-{key}", message=f"no {key}", request_id=f"r-{key}", faults=(fault,) * 200)

    client = ProviderClient("fake", server.url, keys, repeats)
    for status in (400, 401, 403, 422):
        server.plays = [answers(status)] * 2
        error = failure(lambda: post(client))
        assert key not in "".join(everything_told_by(error)) + json.dumps(error.problem("r"))
        assert len(error.faults) <= 100
    client._client.close()


def test_an_answer_may_refuse_whatever_its_status(server: Server, keys: Keys) -> None:
    server.plays = [answers(200, {"ok": False})]
    client = ProviderClient(
        "fake",
        server.url,
        keys,
        lambda _: Explanation(kind=ProviderRejected),
        lambda answer: answer.body == {"ok": False},
    )
    error = failure(lambda: post(client))
    assert (type(error), error.effect) == (ProviderRejected, Effect.NONE)
    client._client.close()


@pytest.mark.parametrize(("status", "effect"), [(408, Effect.UNKNOWN), (425, Effect.NONE)])
def test_a_gateway_s_time_out_is_no_rejection(
    client: ProviderClient, server: Server, status: int, effect: Effect
) -> None:
    server.plays = [answers(status)] * 9
    error = failure(lambda: post(client, BRIEF))
    assert (type(error), error.effect) == (ProviderUnavailable, effect)
