"""Headwater in one process, run by its own handlers over counting services, while business time jumps to what is next.

A function's log, metrics, calls and processor time are those of its thread; what the services do between two functions
(a rule's delivery, Lambda's own reading and deleting of messages) is counted here.
"""

import heapq
import json
import math
import os
import time
from collections.abc import Iterator
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from datetime import datetime
from importlib import import_module
from io import StringIO
from itertools import count
from typing import Any

from bench.cost.cloud import Call, Cloud, Written
from bench.cost.prices import Usage, summed
from bench.cost.stack import Stack
from bench.cost.triggers import ACCOUNT, api_event, context, matches, metrics_of
from headwater import clock
from local.door import Clock, Door
from tests.template import folder_of, target

HTTP_BYTES = 1000
"""Of each request or answer besides its body: about what headers and TLS take."""
CACHED_SECONDS = {"CIRCUIT": 5, "GetSecretValue": 300}
"""How long a function believes what it read of its provider's circuit, and of its secret. In business time that is over
at nearly every invocation of a stream that is alone; in the real time of a measurement it never is."""
POLLED = {"queue_requests": 2}
"""Lambda receives a message, and deletes it."""
DELIVERED = {"queue_requests": 1}
"""EventBridge sends a message to a queue."""

type Json = dict[str, Any]


class _Log(StringIO):
    """Standard output of the functions, the same from first to last: a logger keeps the one it was made with."""

    def taken(self) -> str:
        """What was written since the last time."""
        text = self.getvalue()
        self.seek(0)
        self.truncate()
        return text


LOG = _Log()


@dataclass(frozen=True)
class Invocation:
    """One of a function, and all that it came to. ``label`` tells what it was for, as in ``GET`` or ``beat``."""

    function: str
    label: str
    cpu_ms: float
    usage: Usage
    aws_calls: int
    provider_calls: int
    log_lines: int
    log_bytes: int
    metrics: frozenset[str]
    operations: tuple[str, ...] = ()


@dataclass
class World:
    """Everything, and what has happened in it."""

    stack: Stack
    cloud: Cloud
    doors: list[Door]
    time: Clock
    invocations: list[Invocation] = field(default_factory=list)
    between: list[Usage] = field(default_factory=list)
    """What was used between functions."""
    searches: bool = False
    """Whether sweeps ask for orphans."""
    items: dict[str, Any] = field(default_factory=dict)
    """What is in the table, by key."""
    _messages: list[tuple[float, int, str, Json]] = field(default_factory=list)
    _records: list[Json] = field(default_factory=list)
    _numbers: Iterator[int] = field(default_factory=lambda: count(1))
    _cached: dict[tuple[str, str], tuple[float, Call]] = field(default_factory=dict)

    # -- time

    def now(self) -> float:
        """Business time, in seconds of the epoch."""
        return self.time.now_ms() / 1000

    def pass_until(self, moment: float) -> None:
        """Whatever comes until then, each when it does: events, messages, and sweeps of minutes in which one is due."""
        self._drain()
        while (following := self.next_at()) <= moment:
            self.time.advance(max(0.0, following - self.now()))
            if self._messages and self._messages[0][0] <= self.now():
                _, _, function, body = heapq.heappop(self._messages)
                self._deliver(function, body)
            else:
                self.invoke("sweep", "sweep", {})
            self._drain()
        self.time.advance(max(0.0, moment - self.now()))

    def next_at(self) -> float:
        """When the next message arrives or the next sweep finds something; infinite where nothing is to come."""
        due = [item["due_at"]["S"] for item in self.items.values() if "due_at" in item]
        swept = [math.ceil(_epoch(moment) / 60) * 60 for moment in due]
        return min([math.inf, *swept, *(message[0] for message in self._messages[:1])])

    # -- what is invoked

    def call(self, function: str, method: str, path: str, body: Json | None = None, key: str = "") -> Json:
        """The answer to an API call. Raises ``RuntimeError`` where it is an error."""
        event = api_event(method, path, body, key, next(self._numbers))
        self.between.append({"api_requests": 1})
        answer = self.invoke(
            function, f"{method} {path.rpartition('/')[2] if path.count('/') > 3 else ''}".strip(), event
        )
        told = len(answer.get("body") or "") + HTTP_BYTES
        self.between.append({"transfer_gb": told / 1e9})
        self._drain()
        if answer["statusCode"] >= 400:
            raise RuntimeError(f"{method} {path} was answered {answer['statusCode']}: {answer['body']}")
        read: Json = json.loads(answer.get("body") or "{}")
        return read

    def invoke(self, function: str, label: str, event: Json) -> Any:
        """What a function returns, its invocation noted."""
        variables = self.stack.environment(function) | {"AWS_LAMBDA_FUNCTION_NAME": f"headwater-{function}"}
        if not self.searches:
            variables["ORPHAN_SEARCH_MINUTES"] = "0"
        os.environ.update(variables)
        calls_before = sum(len(door.calls()) for door in self.doors)
        handler = import_module(f"{function}.handler").handler
        given = context(function, next(self._numbers))
        with redirect_stdout(LOG):
            begun = time.thread_time()
            answer = handler(event, given)
            cpu_ms = (time.thread_time() - begun) * 1000
        asked = sum(len(door.calls()) for door in self.doors) - calls_before
        self._note(function, label, cpu_ms, asked, LOG.taken())
        return answer

    def _note(self, function: str, label: str, cpu_ms: float, asked: int, log: str) -> None:
        calls = self.cloud.taken()
        if function == "sweep" and not self.searches:
            # The rest of a run is there however many streams are: it is counted as what the stack costs when idle.
            calls = [call for call in calls if "STREAM#" in call.what or call.operation == "events.PutEvents"]
        else:
            calls += self._once_more(function, calls, asked)
        usage = summed([*(call.usage for call in calls), {"transfer_gb": asked * HTTP_BYTES / 1e9}])
        lines = log.splitlines()
        made = tuple(f"{call.operation} {call.what}".strip() for call in calls)
        metrics = frozenset(found for line in lines for found in metrics_of(line))
        size = sum(len(line.encode()) for line in lines)
        counted = (len(calls), asked, len(lines), size, metrics, made)
        self.invocations.append(Invocation(function, label, cpu_ms, usage, *counted))

    def _once_more(self, function: str, calls: list[Call], asked: int) -> list[Call]:
        """The reads that a cache saved in this run, and would not have saved in the time that passed."""
        more = []
        for kind, seconds in CACHED_SECONDS.items():
            read = next((call for call in calls if kind in f"{call.operation} {call.what}"), None)
            last = self._cached.get((function, kind))
            if read is None and last and asked and self.now() - last[0] > seconds:
                more.append(read := last[1])
            if read:
                self._cached[function, kind] = self.now(), read
        return more

    # -- what the services do

    def heard(self, entry: Json) -> None:
        """An event was put on the bus: each rule that it matches sends it to its queue."""
        envelope = {
            "id": f"event-{next(self._numbers)}",
            "account": ACCOUNT,
            "source": entry["Source"],
            "time": clock.present().isoformat(),
            "detail-type": entry["DetailType"],
            "detail": json.loads(entry["Detail"]),
        }
        for rule in self.stack.of_type("AWS::Events::Rule").values():
            if matches(rule["EventPattern"], envelope):
                for each in rule["Targets"]:
                    self.between.append(DELIVERED)
                    self._send(target(each["Arn"]), envelope, 0)

    def sent(self, message: Json) -> None:
        """A function sent a message to a queue."""
        queue = message["QueueUrl"].rpartition("/")[2]
        self._send(queue, json.loads(message["MessageBody"]), message.get("DelaySeconds", 0))

    def wrote(self, change: Written) -> None:
        """An item was written: the table's stream has it, where the mapping lets it through."""
        image = change.after or change.before
        if image is None:
            return
        key = f"{image['pk']['S']}/{image['sk']['S']}"
        if change.after is None:
            self.items.pop(key, None)
        else:
            self.items[key] = change.after
        told = {"INSERT": change.before is None, "REMOVE": change.after is None}
        name = next((name for name, is_so in told.items() if is_so), "MODIFY")
        keys = {part: image[part] for part in ("pk", "sk")}
        self._records.append({"eventName": name, "dynamodb": {"Keys": keys, "NewImage": change.after}})

    def _send(self, queue: str, body: Json, delay: float) -> None:
        [mapping] = [
            each
            for each in self.stack.of_type("AWS::Lambda::EventSourceMapping").values()
            if target(each["EventSourceArn"]) == queue
        ]
        arrival = self.now() + delay, next(self._numbers)
        heapq.heappush(self._messages, (*arrival, folder_of(target(mapping["FunctionName"])), body))

    def _deliver(self, function: str, body: Json) -> None:
        self.between.append(POLLED)
        data = body.get("detail", {}).get("data", {})
        label = str(data.get("reason") or body.get("detail-type", "beat"))
        record = {
            "messageId": "1",
            "receiptHandle": "1",
            "body": json.dumps(body),
            "eventSource": "aws:sqs",
            "attributes": {},
        }
        answer = self.invoke(function, label, {"Records": [record]})
        if answer["batchItemFailures"]:
            raise RuntimeError(f"{function} failed at {body}")

    def _drain(self) -> None:
        """The table's stream, one record a batch: as it is where one stream is made at a time."""
        for name, mapping in self.stack.of_type("AWS::Lambda::EventSourceMapping").items():
            if "StartingPosition" not in mapping:
                continue
            records, self._records = self._records, []
            [pattern] = [json.loads(each["Pattern"]) for each in mapping["FilterCriteria"]["Filters"]]
            for record in records:
                if matches(pattern, record):
                    self.invoke(folder_of(target(mapping["FunctionName"])), name, {"Records": [record]})


def _epoch(moment: str) -> float:
    return datetime.fromisoformat(moment).timestamp()
