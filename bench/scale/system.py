"""All functions, joined as the template joins them, in this process: real handlers, counted AWS, simulated providers.

Time passes from message to message; nothing waits.
"""

import heapq
import importlib
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any

from bench.scale.cloud import ACCOUNT, Cloud, cloud, environment
from headwater import clock
from local.door import Clock, Door, serve
from local.kinesis_video.server import kinesis_video
from local.simulators import Simulators, simulators

REQUESTS = Path(__file__).parents[2] / "events" / "requests"
HOP = 0.5
"""Simulated seconds that the bus, a queue or the table's stream takes to pass something on."""
TIME = 3_600_000
"""Milliseconds that an invocation is given: how long the local table takes must cut nothing short."""
CONTEXT = SimpleNamespace(
    get_remaining_time_in_millis=lambda: TIME,
    aws_request_id="request",
    function_name="function",
    memory_limit_in_mb=512,
    invoked_function_arn=f"arn:aws:lambda:eu-central-1:{ACCOUNT}:function:function",
)

type Message = dict[str, Any]


@dataclass(frozen=True)
class Way:
    """One way to open a stream. ``folder`` is of the function that does; ``lifetime`` in seconds, if it has one."""

    name: str
    folder: str
    provider: str
    lifetime: int | None = None
    options: str = ""
    """Instead of those of the example request; a JSON object."""


V02 = (
    '{"api_version": "v0.2", "processing": {"interval_seconds": 2.5}, '
    '"inference": {"prompt": "Is the door open?", "model": "a-model"}}'
)
WAYS = (
    Way("cloudflare", "provision_cloudflare", "cloudflare", 3600),
    Way("kinesis-video", "provision_kinesis_video", "kinesis-video", 3600),
    Way("overshoot v1beta", "provision_overshoot", "overshoot", 3600),
    Way("overshoot v0.2", "provision_overshoot", "overshoot", 3600, V02),
    Way("pyannote", "provision_pyannote", "pyannote", 3600),
)


def _forgetful(module: Any) -> Any:
    """The module without what it remembers of services that stood here before."""
    for each in vars(module).values():
        if hasattr(each, "cache_clear"):
            each.cache_clear()
    return module


class System:
    """What stands here, and what goes on in it. ``invocations`` counts them by function."""

    def __init__(self, standing: Cloud, simulated: Simulators, kinesis: Door, kinesis_url: str, moved: Clock) -> None:
        self.cloud = standing
        self.simulated = simulated
        self.kinesis = kinesis
        self.kinesis_url = kinesis_url
        self.clock = moved
        self.invocations: dict[str, int] = {}
        self._messages: list[tuple[datetime, int, Callable[[Message], None], Message]] = []
        self._number = count(1)
        self._functions = {way.provider: self._provider(way, kinesis_url) for way in WAYS}
        self._sweep, self._publish, self._renew, self._browse = (
            _forgetful(importlib.import_module(f"{folder}.handler")).handler
            for folder in ("sweep", "publish_events", "renew_leases", "browse_streams")
        )

    def _provider(self, way: Way, kinesis_url: str) -> Any:
        """Its function, wired by an environment of its own."""
        bases = self.simulated.bases | {"kinesis-video": kinesis_url}
        given = {
            "PROVIDER_BASE_URL": bases[way.provider],
            "PROVIDER_V02_BASE_URL": bases["overshoot-v0.2"],
            "PROVIDER_SECRET_ARN": way.provider,
            "PROVIDER_LEASE_SECONDS": "300",
            "PROVIDER_V02_LEASE_SECONDS": "45",
        }
        function = importlib.reload(importlib.import_module(f"{way.folder}.handler")).handler
        with environment(given):
            function.parts  # noqa: B018  # wired now, while the environment is its own
        return function

    # -- what callers do

    def create(self, way: Way, key: str) -> str:
        """A new stream by the API; its id."""
        event = _request(way.folder, "create")
        body = json.loads(event["body"])
        for name in ("headers", "multiValueHeaders"):
            value: Any = key if name == "headers" else [key]
            event[name] = {k: v for k, v in event[name].items() if k.lower() != "idempotency-key"}
            event[name]["Idempotency-Key"] = value
        body.pop("max_lifetime_seconds", None)
        if way.lifetime:
            body["max_lifetime_seconds"] = way.lifetime
        if way.options:
            body["options"] = json.loads(way.options)
        if "stream_name" in body.get("options", {}):
            body["options"]["stream_name"] = key
        answer = self._call(way.provider, {**event, "body": json.dumps(body)})
        if answer["statusCode"] != 201:
            raise RuntimeError(f"{way.name}: {answer['body']}")
        stream_id: str = json.loads(answer["body"])["id"]
        return stream_id

    def page(self, tenant: str, **asked: str) -> Message:
        """A page of ``GET /streams``."""
        event = _request("browse_streams", "list")
        account = tenant.removeprefix("aws:")
        event["requestContext"]["accountId"] = account
        event["requestContext"]["identity"]["accountId"] = account
        event["queryStringParameters"] = asked
        event["multiValueQueryStringParameters"] = {name: [value] for name, value in asked.items()}
        self._invoked("browse_streams")
        answer = self._browse(event, CONTEXT)
        if answer["statusCode"] != 200:
            raise RuntimeError(answer["body"])
        page: Message = json.loads(answer["body"])
        return page

    def sweep(self) -> dict[str, int]:
        """A minute has passed."""
        self._invoked("sweep")
        told: dict[str, int] = self._sweep({}, CONTEXT)
        self._deliver()
        return told

    def publish(self, records: list[Message]) -> None:
        """The table's stream brings these."""
        self._invoked("publish_events")
        self._publish({"Records": records}, CONTEXT)
        self._deliver()

    # -- how time passes

    def pass_seconds(self, seconds: float) -> None:
        """Each message is delivered when it arrives, and a minute's sweep comes where something is due."""
        until = clock.present() + timedelta(seconds=seconds)
        while (moment := self._next()) and moment <= until:
            self._advance_to(moment)
            if self._messages and self._messages[0][0] <= clock.present():
                _, _, to, body = heapq.heappop(self._messages)
                to(body)
            else:
                self.sweep()
        self._advance_to(until)

    def messages(self, count: int) -> None:
        """The next so many are delivered, each when it arrives; no sweep comes."""
        for _ in range(count):
            due, _number, to, body = heapq.heappop(self._messages)
            self._advance_to(due)
            to(body)

    def published(self) -> list[Message]:
        """The next message is delivered, which is the table's stream's; the records that it brought."""
        records: list[Message] = self._messages[0][3]["records"]
        self.messages(1)
        return records

    def lose_messages(self) -> None:
        """All that are under way."""
        self._messages.clear()

    def _next(self) -> datetime | None:
        messages = [self._messages[0][0]] if self._messages else []
        due = self._due_at()
        # A sweep comes at the next whole minute.
        sweeps = [due.replace(second=0, microsecond=0) + timedelta(minutes=1)] if due else []
        return min(messages + sweeps, default=None)

    def _due_at(self) -> datetime | None:
        items = self.cloud.peek.scan(TableName="table", ProjectionExpression="due_at")["Items"]
        texts = [item["due_at"]["S"] for item in items if "due_at" in item]
        return datetime.fromisoformat(min(texts)) if texts else None

    def _advance_to(self, moment: datetime) -> None:
        self.clock.advance(max(0.0, (moment - clock.present()).total_seconds()))

    # -- how things are joined

    def _deliver(self) -> None:
        """Pass on what the last invocation left: events, commands, and messages to itself."""
        for name, params in self.cloud.counting.taken():
            match name:
                case "dynamodb.TransactWriteItems":
                    items = [part["Put"]["Item"] for part in params["TransactItems"] if "Put" in part]
                    records = [_record(item) for item in items if item["sk"]["S"].startswith("EVENT#")]
                    if records:
                        self._send(lambda body: self.publish(body["records"]), {"records": records}, HOP)
                case "events.PutEvents":
                    for entry in params["Entries"]:
                        self._announce(entry["DetailType"], json.loads(entry["Detail"]))
                case "sqs.SendMessage":
                    delay = params.get("DelaySeconds", 0)
                    self._send(self._to_renew_leases, json.loads(params["MessageBody"]), delay + HOP)

    def _announce(self, kind: str, detail: Message) -> None:
        envelope = {
            "id": f"event-{next(self._number)}",
            "account": ACCOUNT,
            "source": "headwater",
            "time": clock.present().isoformat(),
            "detail-type": kind,
            "detail": detail,
        }
        if kind == "StreamCreated":
            self._send(self._to_renew_leases, envelope, HOP)
        if kind == "StreamAttentionDue" and detail["data"]["provider"] in self._functions:
            self._send(self._to_provider, envelope, HOP)

    def _send(self, to: Callable[[Message], None], body: Message, delay: float) -> None:
        due = clock.present() + timedelta(seconds=delay)
        heapq.heappush(self._messages, (due, next(self._number), to, body))

    def _to_renew_leases(self, body: Message) -> None:
        self._invoked("renew_leases")
        if self._renew(_batch(body), CONTEXT)["batchItemFailures"]:
            raise RuntimeError("a beat failed")
        self._deliver()

    def _to_provider(self, envelope: Message) -> None:
        if self._call(envelope["detail"]["data"]["provider"], _batch(envelope))["batchItemFailures"]:
            raise RuntimeError("a command failed")

    def _call(self, provider: str, event: Message) -> Message:
        self._invoked(provider)
        answer: Message = self._functions[provider](event, CONTEXT)
        self._deliver()
        return answer

    def _invoked(self, function: str) -> None:
        self.invocations[function] = self.invocations.get(function, 0) + 1


def _request(folder: str, name: str) -> Message:
    event: Message = json.loads((REQUESTS / folder / f"{name}.json").read_text())
    return deepcopy(event)


def _record(item: Message) -> Message:
    """As the table's stream brings an item."""
    keys = {name: item[name] for name in ("pk", "sk")}
    change = {"Keys": keys, "NewImage": item, "SequenceNumber": "1"}
    return {"eventID": "1", "eventName": "INSERT", "dynamodb": change}


def _batch(body: Message) -> Message:
    """A message as Lambda hands it over."""
    record = {"messageId": "1", "receiptHandle": "1", "body": json.dumps(body), "eventSource": "aws:sqs"}
    return {"Records": [{**record, "attributes": {}}]}


@contextmanager
def system(emulated: bool = False) -> Iterator[System]:
    """Everything, until the block ends."""
    with TemporaryDirectory() as folder, cloud(emulated) as standing:
        file = Path(folder) / "clock"
        moved = Clock(file)
        os.environ["CLOCK_FILE"] = str(file)  # put back with all else when the cloud is gone
        door = kinesis_video(moved)
        with simulators(clock=moved) as simulated, serve(door) as url:
            yield System(standing, simulated, door, url, moved)
