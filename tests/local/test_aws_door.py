"""The door between functions and the AWS emulator, before a small server of its own."""

import hashlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import boto3
import httpx
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import ClientError, ConnectionClosedError, ReadTimeoutError

from local.aws_door.door import AwsDoor
from local.aws_door.server import aws_door
from local.faults import Kind
from local.killing import nobody
from tests.local.calling import called, children
from tests.local.conftest import NO_TLS, ROOT

REGION = "eu-central-1"
KEYS = {"aws_access_key_id": "a-key", "aws_secret_access_key": "a-secret"}


@dataclass
class Taken:
    """A request as it came to the emulator."""

    line: str
    headers: list[tuple[str, str]]
    body: bytes
    connection: tuple[str, int]

    def header(self, name: str) -> str:
        return next(value for key, value in self.headers if key.lower() == name)


@dataclass
class TinyEmulator:
    taken: list[Taken] = field(default_factory=list)
    answers: list[bytes] = field(default_factory=list)
    """What is sent next, byte for byte; else a JSON answer."""


def handler(emulator: TinyEmulator) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", "0")))
            emulator.taken.append(Taken(self.requestline, self.headers.items(), body, self.client_address))
            if emulator.answers:
                self.wfile.write(emulator.answers.pop(0))
                return
            answer = json.dumps(answered(self.headers.get("x-amz-target", ""), body)).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/x-amz-json-1.1")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        do_GET = do_HEAD = do_PUT = do_POST  # noqa: N815  # the base's names

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing."""

    return Handler


def answered(target: str, body: bytes) -> dict[str, Any]:
    if target == "AWSEvents.PutEvents":
        entries = json.loads(body)["Entries"]
        refused = {"ErrorCode": "MadeUp", "ErrorMessage": "by the emulator"}
        told = [refused if one["Detail"] == "bad" else {"EventId": one["Detail"]} for one in entries]
        return {"FailedEntryCount": told.count(refused), "Entries": told}
    return {"Item": {"padding": {"S": "x" * 200}}}


@dataclass
class Stand:
    emulator: TinyEmulator
    door: AwsDoor
    url: str
    client: Callable[..., Any]
    control: httpx.Client


@pytest.fixture
def stand() -> Iterator[Stand]:
    emulator = TinyEmulator()
    with ThreadingHTTPServer(("127.0.0.1", 0), handler(emulator)) as server:
        server.daemon_threads, server.block_on_close = True, False
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        made: list[Any] = []
        with aws_door(f"http://127.0.0.1:{server.server_address[1]}") as served:

            def client(service: str, **settings: Any) -> Any:
                config = Config(retries={"total_max_attempts": 1}, **settings)
                made.append(
                    boto3.client(service, endpoint_url=served.url, region_name=REGION, config=config, **KEYS)  # type: ignore[call-overload] # any service
                )
                return made[-1]

            with httpx.Client(base_url=f"{served.url}/_control", verify=NO_TLS) as control:
                yield Stand(emulator, served.door, served.url, client, control)
            for one in made:
                one.close()
        server.shutdown()
        thread.join()


def put(client: Any, **item: str) -> Any:
    return client.put_item(TableName="t", Item={"pk": {"S": "STREAM#one"}, **{k: {"S": v} for k, v in item.items()}})


def events(*details: str) -> list[dict[str, str]]:
    return [{"Source": "s", "DetailType": "T", "Detail": detail} for detail in details]


# ---- passing on ----


def exchanged(url: str, request: bytes) -> bytes:
    """What comes back until the connection is closed."""
    port = int(url.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port), 10) as connection:
        connection.sendall(request)
        return b"".join(iter(lambda: connection.recv(65536), b""))


def test_a_request_and_its_answer_pass_byte_for_byte(stand: Stand) -> None:
    answer = b"HTTP/1.1 418 Tea  pot\r\nx-ODD:  value\r\nX-Twice: 1\r\nX-Twice: 2\r\nContent-Length: 3\r\n\r\n\x00\xffz"
    stand.emulator.answers.append(answer)
    head = b"PUT /a%2Fb//c?x=%20&y&x=2 HTTP/1.1\r\nhost: Example:1\r\nX-oDD:  v  w\r\nX-Twice: 1\r\nX-Twice: 2\r\n"
    came = exchanged(stand.url, head + b"Connection: close\r\nContent-Length: 4\r\n\r\n\x00\xff\r\n")
    assert came == answer
    (taken,) = stand.emulator.taken
    assert taken.line == "PUT /a%2Fb//c?x=%20&y&x=2 HTTP/1.1"
    assert taken.headers == [
        ("host", "Example:1"),
        ("X-oDD", "v  w"),
        ("X-Twice", "1"),
        ("X-Twice", "2"),
        ("Connection", "close"),
        ("Content-Length", "4"),
    ]
    assert taken.body == b"\x00\xff\r\n"


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\nab\r\nc\r\n1\r\nd\r\n0\r\nTrailer: t\r\n\r\n"
UNFRAMED = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nuntil the end"
NOTHING = b"HTTP/1.1 204 No Content\r\n\r\n"
INTERIM = b"HTTP/1.1 100 Continue\r\n\r\n"


@pytest.mark.parametrize("answer", [CHUNKED, NOTHING], ids=["chunked", "bodiless"])
def test_however_an_answer_is_framed_the_next_one_follows(stand: Stand, answer: bytes) -> None:
    stand.emulator.answers += [answer, CHUNKED]
    request = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"
    assert exchanged(stand.url, request + request.replace(b"Host", b"Connection: close\r\nHost")) == answer + CHUNKED


def test_an_answer_to_head_has_no_body_whatever_its_length_says(stand: Stand) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n"
    stand.emulator.answers += [head]
    assert exchanged(stand.url, b"HEAD / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n") == head


def test_an_answer_that_its_connection_ends_comes_whole_and_an_interim_one_is_left_out(stand: Stand) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closing_one:

        def answer_once() -> None:
            connection, _ = closing_one.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(INTERIM + UNFRAMED)

        thread = threading.Thread(target=answer_once)
        thread.start()
        with aws_door(f"http://127.0.0.1:{closing_one.getsockname()[1]}") as served:
            assert exchanged(served.url, b"GET / HTTP/1.1\r\nHost: h\r\n\r\n") == UNFRAMED
        thread.join(10)


def test_who_asks_before_it_sends_a_body_is_told_to(stand: Stand) -> None:
    port = int(stand.url.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port), 10) as connection:
        connection.sendall(b"PUT / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n")
        assert connection.recv(65536) == INTERIM
        connection.sendall(b"ab")
        assert connection.recv(65536).startswith(b"HTTP/1.1 200 ")
    assert stand.emulator.taken[0].body == b"ab"


def test_a_signature_made_for_the_door_stands_at_the_emulator(stand: Stand) -> None:
    put(stand.client("dynamodb"), name="lobby")
    (taken,) = stand.emulator.taken
    assert taken.header("host") == stand.url.removeprefix("http://")
    signed = taken.header("authorization")
    names = re.search(r"SignedHeaders=([^,]+)", signed)
    assert names
    said = {name: taken.header(name) for name in names[1].split(";")}
    request = AWSRequest("POST", f"{stand.url}/", data=taken.body, headers=said)
    request.context["timestamp"] = said["x-amz-date"]
    signer = SigV4Auth(Credentials("a-key", "a-secret"), "dynamodb", REGION)
    signature = signer.signature(signer.string_to_sign(request, signer.canonical_request(request)), request)
    assert signed.endswith(f"Signature={signature}")


def test_a_connection_is_kept_on_both_sides(stand: Stand) -> None:
    client = stand.client("dynamodb")
    for _ in range(5):
        put(client)
    assert len({taken.connection for taken in stand.emulator.taken}) == 1


def test_a_connection_that_the_emulator_has_ended_is_made_anew(stand: Stand) -> None:
    client = stand.client("dynamodb")
    body = b'{"Item": {}}'
    ends = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: %b\r\n\r\n" + body
    stand.emulator.answers += [ends % (len(body), b"close"), ends % (len(body), b"keep-alive")]
    for _ in range(3):
        put(client)
    assert len({taken.connection for taken in stand.emulator.taken}) == 2


def test_an_idle_connection_that_the_emulator_ends_without_a_word_is_made_anew() -> None:
    """As it does after some seconds."""
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
    request = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"
    with (
        socket.create_server(("127.0.0.1", 0)) as emulator,
        aws_door(f"http://127.0.0.1:{emulator.getsockname()[1]}") as served,
        socket.create_connection(("127.0.0.1", int(served.url.rpartition(":")[2])), 10) as client,
    ):
        emulator.settimeout(10)
        for _ in range(2):
            client.sendall(request)
            connection, _address = emulator.accept()
            with connection:
                assert connection.recv(65536) == request
                connection.sendall(answer)
                assert client.recv(65536) == answer


def test_calls_at_the_same_time_do_not_wait_for_each_other(stand: Stand) -> None:
    stand.door.fault("slow", times=20, seconds=0.3)
    client = stand.client("dynamodb", max_pool_connections=20)
    began = time.monotonic()
    with ThreadPoolExecutor(20) as pool:
        list(pool.map(lambda n: put(client, n=str(n)), range(20)))
    assert time.monotonic() - began < 20 * 0.3 / 2
    assert sorted(call.seq for call in stand.door.calls()) == list(range(1, 21))


def test_where_no_emulator_is_the_connection_ends() -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    with aws_door(f"http://127.0.0.1:{port}") as served:
        assert exchanged(served.url, b"GET / HTTP/1.1\r\nHost: h\r\n\r\n") == b""
        assert served.door.calls()[0].status is None


# ---- names and log ----


def test_operations_are_named_by_service_and_call(stand: Stand) -> None:
    put(stand.client("dynamodb"))
    stand.client("kms").encrypt(KeyId="k", Plaintext=b"p")
    stand.client("events").put_events(Entries=events("one"))
    stand.client("sqs").send_message(QueueUrl=f"{stand.url}/1/q", MessageBody="m")
    stand.client("secretsmanager").get_secret_value(SecretId="s")
    assert [call.operation for call in stand.door.calls()] == [
        "dynamodb.PutItem",
        "kms.Encrypt",
        "events.PutEvents",
        "sqs.SendMessage",
        "secretsmanager.GetSecretValue",
    ]


@pytest.mark.parametrize(
    ("method", "target", "headers", "body", "operation"),
    [
        ("POST", "/", {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}, "Action=Do&A=1", "x.Do"),
        ("GET", "/?Action=Do", {}, "", "x.Do"),
        ("POST", "/2015-03-31/functions/f/invocations?q=1", {}, "{}", "x.POST /2015-03-31/functions/f/invocations"),
    ],
)
def test_query_and_rest_services_are_named_too(
    stand: Stand, method: str, target: str, headers: dict[str, str], body: str, operation: str
) -> None:
    signed = {"Authorization": f"AWS4-HMAC-SHA256 Credential=k/20260101/{REGION}/x/aws4_request, Signature=0"}
    httpx.request(method, stand.url + target, headers=headers | signed, content=body, verify=NO_TLS)
    httpx.request(method, stand.url + target, headers=headers, content=body, verify=NO_TLS)
    assert [call.operation for call in stand.door.calls()] == [operation, operation.replace("x.", "unsigned.")]


def test_the_log_tells_what_became_of_a_call_and_holds_no_secret(stand: Stand) -> None:
    stand.door.fault("status", "kms.Decrypt", status=400, body={"__type": "canary-answer"})
    put(stand.client("dynamodb"), name="lobby")
    with pytest.raises(ClientError):
        stand.client("kms").decrypt(CiphertextBlob=b"canary")
    stand.client("secretsmanager").put_secret_value(SecretId="s", SecretString="canary")
    put(stand.client("dynamodb"), name="x" * 5000)
    calls = stand.control.get("aws/calls").json()
    assert [(call["operation"], call["status"], call["fault"], call["carried_out"]) for call in calls] == [
        ("dynamodb.PutItem", 200, None, True),
        ("kms.Decrypt", 400, "status", False),
        ("secretsmanager.PutSecretValue", 200, None, True),
        ("dynamodb.PutItem", 200, None, True),
    ]
    assert calls[0]["body"]["Item"]["name"] == {"S": "lobby"}
    assert abs(calls[0]["at"] / 1000 - time.time()) < 60
    text = json.dumps(calls)
    for secret in ("canary", "Signature", "xxxx"):
        assert secret not in text


def test_the_log_holds_the_latest_calls(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("local.aws_door.door.KEPT_CALLS", 3)
    door = AwsDoor(nobody)
    for number in range(5):
        door.arrived(str(number), "GET", "/")
    assert [call.operation for call in door.calls()] == ["2", "3", "4"]


# ---- faults ----


def test_a_status_is_answered_without_the_emulator(stand: Stand) -> None:
    refusal = {"__type": "ThrottlingException", "message": "slow down"}
    faults = {"kind": "status", "operation": "dynamodb.PutItem", "status": 400, "body": refusal}
    stand.control.post("aws/faults", json=faults).raise_for_status()
    client = stand.client("dynamodb")
    with pytest.raises(client.exceptions.ThrottlingException, match="slow down"):
        put(client)
    put(client)
    assert len(stand.emulator.taken) == 1
    assert stand.control.get("aws/faults").json() == []


def test_a_fault_can_be_meant_for_one_call_among_many(stand: Stand) -> None:
    stand.door.fault("status", "dynamodb.PutItem", containing="STREAM#one", after=1, status=500)
    client = stand.client("dynamodb")
    put(client)
    client.get_item(TableName="t", Key={"pk": {"S": "STREAM#one"}})
    client.put_item(TableName="t", Item={"pk": {"S": "STREAM#two"}})
    with pytest.raises(ClientError):
        put(client)


@pytest.mark.parametrize(("kind", "carried_out"), [("refuse", False), ("lose_answer", True)])
def test_a_connection_is_ended_before_or_after_the_work(stand: Stand, kind: Kind, carried_out: bool) -> None:
    stand.door.fault(kind)
    client = stand.client("dynamodb")
    with pytest.raises(ConnectionClosedError):
        put(client)
    assert len(stand.emulator.taken) == carried_out
    (call,) = stand.door.calls()
    assert (call.status, call.fault, call.carried_out) == (None, kind, carried_out)
    put(client)


def test_a_reset_comes_in_the_middle_of_the_body(stand: Stand) -> None:
    stand.door.fault("reset")
    came = exchanged(stand.url, b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
    head, _, body = came.partition(b"\r\n\r\n")
    length = re.search(rb"Content-Length: (\d+)", head)
    assert length
    assert len(body) == int(length[1]) // 2
    (call,) = stand.door.calls()
    assert (call.status, call.fault, call.carried_out) == (200, "reset", True)


@pytest.mark.parametrize("carry_out", [False, True])
def test_a_hanging_call_is_never_answered(stand: Stand, carry_out: bool) -> None:
    stand.door.fault("hang", carry_out=carry_out)
    with pytest.raises(ReadTimeoutError):
        put(stand.client("dynamodb", read_timeout=0.3))
    assert len(stand.emulator.taken) == carry_out
    assert stand.door.calls()[0].status is None


def test_a_hanging_call_ends_with_the_door(stand: Stand) -> None:
    with aws_door(stand.url) as served, ThreadPoolExecutor(1) as pool:
        served.door.fault("hang")
        hanging = pool.submit(exchanged, served.url, b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
        while not served.door.calls():
            time.sleep(0.005)  # until it hangs
        served.door.stopping.set()
        assert hanging.result(5) == b""


def test_a_slow_call_is_carried_out_after_its_time(stand: Stand) -> None:
    stand.door.fault("slow", seconds=0.3)
    began = time.monotonic()
    put(stand.client("dynamodb"))
    assert time.monotonic() - began >= 0.3
    assert len(stand.emulator.taken) == 1


def test_garbage_is_carried_out_and_is_not_json(stand: Stand) -> None:
    stand.door.fault("garbage")
    answer = httpx.post(stand.url, verify=NO_TLS)
    assert answer.status_code == 200
    with pytest.raises(json.JSONDecodeError):
        answer.json()
    assert len(stand.emulator.taken) == 1


@pytest.mark.parametrize("carry_out", [False, True])
def test_the_calling_process_is_killed_before_or_after_the_work(stand: Stand, carry_out: bool) -> None:
    stand.door.victims = children
    stand.door.fault("kill", containing="this one", carry_out=carry_out)
    assert called(stand.url, "another").stdout.startswith("200 None ")
    died = called(stand.url, "this one")
    assert (died.returncode, died.stdout) == (-signal.SIGKILL, "")
    assert len(stand.emulator.taken) == 1 + carry_out
    call = stand.door.calls()[-1]
    assert (call.status, call.fault, call.carried_out) == (None, "kill", carry_out)


def test_a_caller_that_may_not_be_killed_is_told_and_nothing_is_done(stand: Stand) -> None:
    stand.door.fault("kill", carry_out=True)
    lives = called(stand.url)
    assert (lives.returncode, lives.stdout) == (0, "500 kill the caller is not a process that may be killed\n")
    assert stand.emulator.taken == []


# ---- entries ----


def test_every_second_entry_is_refused_and_the_others_are_passed_on(stand: Stand) -> None:
    stand.door.fault("refuse_entries", "events.PutEvents")
    answer = stand.client("events").put_events(Entries=events("0", "1", "2", "bad", "4"))
    assert [one.get("EventId") or one["ErrorCode"] for one in answer["Entries"]] == [
        "InternalFailure",
        "1",
        "InternalFailure",
        "MadeUp",
        "InternalFailure",
    ]
    assert answer["FailedEntryCount"] == 4
    (taken,) = stand.emulator.taken
    assert [one["Detail"] for one in json.loads(taken.body)["Entries"]] == ["1", "bad"]
    sent = json.dumps({"Entries": events("0", "1", "2", "bad", "4")}).encode()
    assert taken.header("x-amz-content-sha256") == hashlib.sha256(sent).hexdigest()
    assert stand.door.calls()[0].carried_out


@pytest.mark.parametrize(("which", "details"), [("all", ["0", "1", "2"]), ("alternate", ["0"])])
def test_where_every_entry_is_refused_nothing_reaches_the_emulator(
    stand: Stand, which: str, details: list[str]
) -> None:
    fault = {"kind": "refuse_entries", "operation": "events.PutEvents", "which": which}
    stand.control.post("aws/faults", json=fault).raise_for_status()
    answer = stand.client("events").put_events(Entries=events(*details))
    assert [one["ErrorCode"] for one in answer["Entries"]] == ["InternalFailure"] * len(details)
    assert answer["FailedEntryCount"] == len(details)
    assert stand.emulator.taken == []
    assert not stand.door.calls()[0].carried_out


def test_what_the_emulator_refuses_as_a_whole_is_refused_as_a_whole(stand: Stand) -> None:
    stand.door.fault("refuse_entries", "events.PutEvents")
    stand.emulator.answers.append(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 2\r\n\r\n{}")
    with pytest.raises(ClientError):
        stand.client("events").put_events(Entries=events("0", "1"))


def test_only_a_call_with_entries_can_have_some_refused(stand: Stand) -> None:
    for operation in ("dynamodb.PutItem", "*"):
        answer = stand.control.post("aws/faults", json={"kind": "refuse_entries", "operation": operation})
        assert answer.status_code == 400
        assert "events.PutEvents" in answer.json()["error"]


# ---- the process ----


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGINT])
def test_the_process_says_when_it_is_ready_and_ends_when_told(end: signal.Signals) -> None:
    command = [sys.executable, "-m", "local.aws_door", "--upstream", "http://127.0.0.1:1"]
    with subprocess.Popen(  # noqa: S603  # this interpreter and our own module
        command,
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            url = process.stdout.readline().split()[-1]
            assert httpx.get(f"{url}/_control/health", verify=NO_TLS).json() == {"status": "ok", "doors": ["aws"]}
            process.send_signal(end)
            assert process.communicate(timeout=5) == ("", "")
            assert process.returncode == 0
        finally:
            process.kill()
