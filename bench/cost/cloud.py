"""AWS as the functions call it, on a socket of this machine, with every call counted in what it is billed by.

The table, the key and the secrets are moto's. Bus and queues are ours: they take messages and hand them to whoever
drives, since what happens between two messages here is an hour of business time.
"""

import hashlib
import json
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from io import BytesIO
from itertools import count
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import parse_qs

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.datastructures import Headers
from werkzeug.test import EnvironBuilder
from werkzeug.wrappers import Request, Response

from bench.cost.prices import Usage
from bench.units import TRANSACTED, Attributes, Layout, read_units, size

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

REGION = "us-east-1"
CHUNK_BYTES = 64 * 1024
"""What EventBridge and SQS count as one: an event, a request."""
TABLE_WRITES = ("PutItem", "UpdateItem", "DeleteItem")
FREE = {"DescribeTable"}
"""Of DynamoDB: the control plane's calls have no price."""

type Json = dict[str, Any]


@dataclass(frozen=True)
class Call:
    """One that a function made. ``usage`` by the names of the table of prices; ``what``: of which item or index."""

    operation: str
    """As in ``dynamodb.GetItem``."""
    usage: Usage
    what: str = ""


@dataclass(frozen=True)
class Written:
    """What a write did to an item."""

    before: Attributes | None
    after: Attributes | None


class Hearer(Protocol):
    """Whoever drives: told by the thread that serves, while the caller waits."""

    def heard(self, entry: Json) -> None:
        """Of an event that was put on the bus."""

    def sent(self, message: Json) -> None:
        """Of a message that was sent to a queue."""

    def wrote(self, change: Written) -> None:
        """Of an item that was written."""


@dataclass
class Cloud:
    """A WSGI application. It counts while ``counting`` is set; a ``hearer`` is to be there by then."""

    layout: Layout
    hearer: Hearer = field(init=False)
    counting: bool = False
    calls: list[Call] = field(default_factory=list)
    _numbers: Iterator[int] = field(default_factory=lambda: count(1))
    _moto: "WSGIApplication" = field(default_factory=lambda: DomainDispatcherApplication(create_backend_app))

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        request = Request(environ)
        response = self._answer(request) if self.counting else self._passed_on(request)
        return response(environ, start_response)

    def taken(self) -> list[Call]:
        """The calls since the last time."""
        calls, self.calls = self.calls, []
        return calls

    def item(self, table: str, key: Attributes) -> Attributes | None:
        """What is in the table, without a call being counted."""
        found: Attributes | None = self._ask("GetItem", {"TableName": table, "Key": key, "ConsistentRead": True}).get(
            "Item"
        )
        return found

    def _answer(self, request: Request) -> Response:
        service, operation = operation_of(request)
        body = json.loads(request.get_data() or b"{}")
        match service:
            case "dynamodb":
                return self._table(operation, body, request)
            case "kms":
                self._count(f"kms.{operation}", key_requests=1)
            case "secretsmanager":
                self._count(f"secretsmanager.{operation}", secret_requests=1)
            case "events" if operation == "PutEvents":
                return self._put_events(body)
            case "sqs" if operation == "SendMessage":
                return self._send_message(body)
            case _:
                raise LookupError(f"nobody has said what {service}.{operation} costs")
        return self._passed_on(request)

    def _count(self, operation: str, what: str = "", **usage: float) -> None:
        self.calls.append(Call(operation, usage, what))

    # -- the table

    def _table(self, operation: str, body: Json, request: Request) -> Response:
        name = f"dynamodb.{operation}"
        if operation in TABLE_WRITES:
            return self._wrote(name, [body], request, 1)
        if operation == "TransactWriteItems":
            writes = [write for each in body["TransactItems"] for write in each.values()]
            return self._wrote(name, writes, request, TRANSACTED)
        response = self._passed_on(request)
        answer = json.loads(response.get_data())
        if operation == "GetItem":
            units = read_units(size(answer.get("Item")), consistent=body.get("ConsistentRead", False))
            self._count(name, _told(body["Key"]), table_reads=units)
        elif operation == "Query":
            sizes = [size(item) for item in answer.get("Items", ())]
            units = read_units(*sizes, consistent=body.get("ConsistentRead", False))
            self._count(name, body.get("IndexName", ""), table_reads=units)
        elif operation in FREE:
            self._count(name)
        else:
            raise LookupError(f"nobody has said what {name} costs")
        return response

    def _wrote(self, name: str, writes: list[Json], request: Request, times: int) -> Response:
        keys = [_key(write) for write in writes]
        before = [self.item(write["TableName"], key) for write, key in zip(writes, keys, strict=True)]
        response = self._passed_on(request)
        after = [self.item(write["TableName"], key) for write, key in zip(writes, keys, strict=True)]
        changes = [Written(*each) for each in zip(before, after, strict=True)]
        units = sum(
            self.layout.written(one.before, one.after, times, key=key).total()
            for one, key in zip(changes, keys, strict=True)
        )
        self._count(name, " ".join(map(_told, keys)), table_writes=units)
        if response.status_code < 300:
            for one in changes:
                self.hearer.wrote(one)
        return response

    def _ask(self, operation: str, body: Json) -> Json:
        signed = (
            "AWS4-HMAC-SHA256 Credential=testing/20261121/{}/dynamodb/aws4_request, SignedHeaders=host, Signature=0"
        )
        headers = Headers({"X-Amz-Target": f"DynamoDB_20120810.{operation}", "Authorization": signed.format(REGION)})
        builder = EnvironBuilder(method="POST", headers=headers, data=json.dumps(body))
        answer: Json = json.loads(Response.from_app(self._moto, builder.get_environ(), buffered=True).get_data())
        return answer

    # -- bus and queues

    def _put_events(self, body: Json) -> Response:
        entries = body["Entries"]
        self._count("events.PutEvents", bus_events=sum(chunks(_weight(entry)) for entry in entries))
        for entry in entries:
            self.hearer.heard(entry)
        return _reply({"FailedEntryCount": 0, "Entries": [{"EventId": str(next(self._numbers))} for _ in entries]})

    def _send_message(self, body: Json) -> Response:
        text = body["MessageBody"].encode()
        self._count("sqs.SendMessage", queue_requests=chunks(len(text)))
        self.hearer.sent(body)
        digest = hashlib.md5(text, usedforsecurity=False).hexdigest()
        return _reply({"MessageId": str(next(self._numbers)), "MD5OfMessageBody": digest})

    def _passed_on(self, request: Request) -> Response:
        request.environ["wsgi.input"] = BytesIO(request.get_data())  # it has been read
        return Response.from_app(self._moto, request.environ, buffered=True)


def operation_of(request: Request) -> tuple[str, str]:
    """Service and operation, as in ``dynamodb`` and ``GetItem``."""
    scope = request.headers.get("Authorization", "").partition("Credential=")[2].split("/")
    service = scope[3] if len(scope) > 3 else "unsigned"
    if target := request.headers.get("X-Amz-Target"):
        return service, target.rpartition(".")[2]
    form = parse_qs(request.get_data(as_text=True))
    return service, form.get("Action", [f"{request.method} {request.path}"])[0]


def chunks(size_in_bytes: int) -> int:
    """As how many a message of this size counts."""
    return max(1, math.ceil(size_in_bytes / CHUNK_BYTES))


def _weight(entry: Json) -> int:
    """ "Calculating PutEvents event entry size", in EventBridge's user guide."""
    return sum(len(str(entry.get(name, "")).encode()) for name in ("Source", "DetailType", "Detail"))


def _key(write: Json) -> Attributes:
    if "Key" in write:
        key: Attributes = write["Key"]
        return key
    return {name: write["Item"][name] for name in ("pk", "sk")}


def _told(key: Attributes) -> str:
    return f"{key['pk']['S']}/{key['sk']['S']}"


def _reply(body: Json) -> Response:
    return Response(json.dumps(body), 200, content_type="application/x-amz-json-1.1")
