"""The door between functions and the AWS emulator."""

import hashlib
import json
import socket
import threading
from io import BufferedIOBase
from typing import Any, Self
from urllib.parse import urlsplit

from werkzeug.wrappers import Request, Response

from local.aws_door.messages import Message, made_of, read_answer
from local.aws_door.operations import operation_of
from local.control import CONTROL, control
from local.door import Call, Doorkeeper, peer_has_left, spared
from local.faults import GARBAGE, Fault
from local.killing import NoVictim, Victims, caller, nobody

NAME = "aws"
PUT_EVENTS = "events.PutEvents"
KEPT_CALLS = 20_000
KEPT_BODY = 4_096
"""Bytes; of a longer body the log holds nothing."""
SECRET = {"kms", "secretsmanager", "sts", "ssm"}
"""Services of whose calls no body is logged."""
UPSTREAM_SECONDS = 120
_TRIED_AGAIN = "InternalFailure"


class Closed(Exception):
    """The client's connection is to end, with these bytes as the last."""

    def __init__(self, last: bytes = b"") -> None:
        super().__init__("closed by a fault on demand, or since the emulator closed its own")
        self.last = last


class Upstream:
    """A connection to the emulator, made when it is needed."""

    def __init__(self, host: str, port: int) -> None:
        self._address = (host, port)
        self._connection: socket.socket | None = None
        self._stream: BufferedIOBase | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def ask(self, request: Message) -> Message:
        """Raises OSError where no whole answer comes."""
        connection, stream = self._connected()
        connection.sendall(request.raw)
        answer = read_answer(stream, request.method)
        if answer is None:
            raise ConnectionError("the emulator closed the connection")
        if answer.ends_connection:
            self.close()
        return answer

    def close(self) -> None:
        if self._connection and self._stream:
            self._stream.close()
            self._connection.close()
        self._connection = self._stream = None

    def _connected(self) -> tuple[socket.socket, BufferedIOBase]:
        if self._connection and self._has_left(self._connection):
            self.close()  # the emulator ends connections that were idle for a while
        if not self._connection or not self._stream:
            self._connection = socket.create_connection(self._address, UPSTREAM_SECONDS)
            self._connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._stream = self._connection.makefile("rb")
        return self._connection, self._stream

    @staticmethod
    def _has_left(connection: socket.socket) -> bool:
        connection.settimeout(0)  # else even a look would wait
        left = peer_has_left(connection)
        connection.settimeout(UPSTREAM_SECONDS)
        return left


class AwsDoor(Doorkeeper):
    """Passes requests on and answers back as they are, unless a fault is to happen."""

    def __init__(self, victims: Victims = nobody) -> None:
        super().__init__(NAME, victims=victims, batches=[PUT_EVENTS], keep=KEPT_CALLS)
        self.stopping = threading.Event()

    def answer(self, request: Message, connection: socket.socket, upstream: Upstream) -> Message:
        """Raises Closed where the connection is to end without an answer."""
        if request.target.startswith(CONTROL):
            return self._controlled(request)
        call = self._logged(request)
        fault = self.due(call, f"{request.target}\n{request.body.decode(errors='replace')}")
        handling = _Handling(self, request, call, connection, upstream)
        answer = handling.disturbed(fault) if fault else handling.carry_out()
        self.answered(call, answer.status)
        return answer

    def _controlled(self, request: Message) -> Message:
        asked = urlsplit(request.target)
        seen = Request.from_values(asked.path, query_string=asked.query, method=request.method, data=request.body)
        return made_of(control(seen, [self]))

    def _logged(self, request: Message) -> Call:
        """Without headers and query, which hold signatures."""
        operation = operation_of(request)
        kept = len(request.body) <= KEPT_BODY and operation.partition(".")[0] not in SECRET
        path = urlsplit(request.target).path
        return self.arrived(operation, request.method, path, body=_parsed(request.body) if kept else "")


class _Handling:
    """Of one request."""

    def __init__(
        self, door: AwsDoor, request: Message, call: Call, connection: socket.socket, upstream: Upstream
    ) -> None:
        self._door, self._request, self._call = door, request, call
        self._connection, self._upstream = connection, upstream

    def carry_out(self, request: Message | None = None) -> Message:
        self._call.carried_out = True
        try:
            return self._upstream.ask(request or self._request)
        except OSError:
            self._upstream.close()
            raise Closed from None

    def disturbed(self, fault: Fault) -> Message:
        match fault.kind:
            case "status":
                return made_of(fault.answer())
            case "kill":
                return self._kill(fault)
            case "refuse_entries":
                return self._refuse_entries(fault)
            case "refuse":
                raise Closed
            case "slow":
                self._door.stopping.wait(fault.seconds)
            case "hang" if not fault.carry_out:
                self._hang()
        return self._spoilt(fault, self.carry_out())

    def _spoilt(self, fault: Fault, answer: Message) -> Message:
        match fault.kind:
            case "hang":
                self._hang()
            case "lose_answer":
                raise Closed
            case "garbage":
                return made_of(Response(GARBAGE, 200, content_type="application/json"))
            case "reset" if answer.body:
                self._door.answered(self._call, answer.status)
                raise Closed(answer.head + answer.body[: len(answer.body) // 2])
        return answer

    def _hang(self) -> None:
        while not self._door.stopping.wait(0.05):
            if peer_has_left(self._connection):
                break
        raise Closed

    def _kill(self, fault: Fault) -> Message:
        try:
            victim = caller(self._connection, self._door.victims)
        except NoVictim as reason:
            return made_of(spared(reason))
        if fault.carry_out:
            self.carry_out()
        victim.kill()
        raise Closed

    def _refuse_entries(self, fault: Fault) -> Message:
        order = json.loads(self._request.body)
        entries = order["Entries"]
        taken = [] if fault.which == "all" else entries[1::2]
        told: list[dict[str, Any]] = []
        if taken:
            # The emulator believes the hash that a request names. So the caller's signature still stands for it.
            signed = hashlib.sha256(self._request.body).hexdigest()
            body = json.dumps({**order, "Entries": taken}).encode()
            answer = self.carry_out(self._request.with_body(body, x_amz_content_sha256=signed))
            if answer.status != 200:
                return answer
            told = json.loads(answer.body)["Entries"]
        refused = {"ErrorCode": _TRIED_AGAIN, "ErrorMessage": "refused on demand"}
        rest = iter(told)
        results = [next(rest) if taken and index % 2 else refused for index in range(len(entries))]
        failed = sum("ErrorCode" in result for result in results)
        body_back = json.dumps({"FailedEntryCount": failed, "Entries": results})
        return made_of(Response(body_back, 200, content_type="application/x-amz-json-1.1"))


def _parsed(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return body.decode(errors="replace")
