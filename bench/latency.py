"""Measures how long an event takes from the commit of its stream to a subscriber, in the local cloud, part by part.

Writes its section of docs/performance.md. With ``--creates`` it measures fewer and writes nothing.

    python -m bench.latency
"""

import argparse
import json
import os
import random
import re
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import chain
from typing import Any

import httpx

from bench.latency_report import Arrival, Journey, placed, section
from headwater.streams import milliseconds
from local.client import SignedClient
from local.cloud import CREDENTIALS, HOME, ROOT, Cloud, LocalCloud
from local.steps import step

PROVIDER = "cloudflare"
CREATES = 250
"""In each series; at most 4 % of them may not be told apart from what else went on."""
CALLERS = 8
PAUSE_SECONDS = (0.1, 0.3)
"""Before a create that is alone: by then all is over that the one before has set going, and it comes at any moment of
the beat of whoever polls."""
ARRIVAL_SECONDS = 30.0
DOCUMENT = ROOT / "docs" / "performance.md"
REPORT = re.compile(r"REPORT RequestId: \S+\s+Duration: (\d+) ms")
SETTLES, PUBLISHES = "dynamodb.TransactWriteItems", "events.PutEvents"

type Json = dict[str, Any]
type Span = tuple[int, int]


@dataclass(frozen=True)
class Made:
    """A stream, and between which moments its create was under way."""

    stream_id: str
    asked: int
    answered: int


@dataclass(frozen=True)
class Heard:
    """An event as its subscriber got it: when the queue had it, and when the subscriber did."""

    event: Json
    queued: int
    received: int

    @property
    def recorded(self) -> int:
        return milliseconds(datetime.fromisoformat(self.event["occurred_at"]))


@dataclass
class Subscriber:
    """A queue behind a rule for StreamCreated, with somebody who is always waiting at it."""

    cloud: Cloud
    heard: dict[str, Heard] = field(default_factory=dict)
    """By the stream's id."""
    arrived: threading.Condition = field(default_factory=threading.Condition)
    over: threading.Event = field(default_factory=threading.Event)

    def listen(self, url: str) -> None:
        """Until it is over."""
        sqs = self.cloud.client("sqs")
        how: Json = {"MaxNumberOfMessages": 10, "WaitTimeSeconds": 1, "AttributeNames": ["SentTimestamp"]}
        while not self.over.is_set():
            messages = sqs.receive_message(QueueUrl=url, **how).get("Messages", [])
            received = now()
            for message in messages:
                detail = json.loads(message["Body"])["detail"]
                heard = Heard(detail, int(message["Attributes"]["SentTimestamp"]), received)
                with self.arrived:
                    self.heard.setdefault(detail["data"]["stream"]["id"], heard)
                    self.arrived.notify_all()
                sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])

    def await_all(self, streams: Sequence[Made]) -> None:
        """Raises ``TimeoutError`` where an event does not come."""
        with self.arrived:
            whole = self.arrived.wait_for(lambda: all(one.stream_id in self.heard for one in streams), ARRIVAL_SECONDS)
        if not whole:
            raise TimeoutError("an event did not arrive")


def now() -> int:
    """Milliseconds since the epoch."""
    return time.time_ns() // 1_000_000


@contextmanager
def subscribed(cloud: Cloud) -> Iterator[Subscriber]:
    """A subscriber who listens until the block ends."""
    sqs, events, name = cloud.client("sqs"), cloud.client("events"), "latency"
    url = sqs.create_queue(QueueName=name)["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    allow = {"Effect": "Allow", "Principal": {"Service": "events.amazonaws.com"}, "Action": "sqs:SendMessage"}
    policy = {"Version": "2012-10-17", "Statement": [{**allow, "Resource": arn}]}
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": json.dumps(policy)})
    pattern = {"source": ["headwater"], "detail-type": ["StreamCreated"]}
    events.put_rule(Name=name, EventBusName=cloud.bus, EventPattern=json.dumps(pattern))
    events.put_targets(Rule=name, EventBusName=cloud.bus, Targets=[{"Id": "queue", "Arn": arn}])
    subscriber = Subscriber(cloud)
    listening = threading.Thread(target=subscriber.listen, args=(url,), daemon=True)
    listening.start()
    try:
        yield subscriber
    finally:
        subscriber.over.set()
        listening.join(5)


@dataclass(frozen=True)
class Caller:
    """Creates streams under keys of its own."""

    cloud: Cloud
    name: str
    client: SignedClient

    def create(self, number: int) -> Made:
        """Raises ``RuntimeError`` where it is not made."""
        asked = now()
        answer = self.client.create(PROVIDER, f"{self.name} {number}", {"name": "latency"})
        answered = now()
        if answer.status_code != 201:
            raise RuntimeError(f"a create was answered {answer.status_code}")
        return Made(answer.json()["id"], asked, answered)


def caller(cloud: Cloud, name: str) -> Caller:
    """With connections of its own."""
    return Caller(cloud, name, SignedClient(cloud.api_url, cloud.region, *CREDENTIALS.values()))


def one_at_a_time(cloud: Cloud, subscriber: Subscriber, name: str, creates: int) -> list[Made]:
    """Each begun at a random moment after the event of the one before has come."""
    alone, chance, made = caller(cloud, name), random.SystemRandom(), []
    for number in range(creates):
        time.sleep(chance.uniform(*PAUSE_SECONDS))
        made.append(alone.create(number))
        subscriber.await_all(made[-1:])
    return made


def all_at_once(cloud: Cloud, subscriber: Subscriber, name: str, creates: int) -> list[Made]:
    """By several callers, each of whom begins the next as soon as one is answered."""

    def work(number: int) -> list[Made]:
        each = caller(cloud, f"{name} {number}")
        return [each.create(one) for one in range(creates // CALLERS)]

    with ThreadPoolExecutor(CALLERS) as pool:
        made = list(chain.from_iterable(pool.map(work, range(CALLERS))))
    subscriber.await_all(made)
    return made


@dataclass(frozen=True)
class Traces:
    """What is told afterwards of who did what when: the door's calls, and the functions' invocations."""

    calls: Mapping[str, Sequence[Json]]
    invocations: Sequence[Span]

    def journey(self, made: Made, heard: Heard) -> Journey | None:
        """A stream's that was alone; None where something else went on that cannot be told from it."""
        settles = [call for call in self.calls[SETTLES] if made.asked <= call["at"] <= made.answered]
        publishes = [call for call in self.calls[PUBLISHES] if made.stream_id in json.dumps(call["body"])]
        if len(settles) != 1 or len(publishes) != 1:
            return None
        committed, published = settles[0]["answered_at"], publishes[0]["at"]
        begun = [first for first, last in self.invocations if settles[0]["at"] <= first <= published <= last]
        if len(begun) != 1:
            return None
        return Journey(heard.recorded, committed, begun[0], published, heard.queued, heard.received)


def traces(cloud: Cloud, since: int) -> Traces:
    """Since that moment."""
    calls = {}
    for operation in (SETTLES, PUBLISHES):
        asked = httpx.get(f"{cloud.aws_door_url}/_control/aws/calls", params={"operation": operation}, timeout=30)
        calls[operation] = [call for call in asked.raise_for_status().json() if call["at"] >= since]
    return Traces(calls, list(invocations(cloud, since)))


def invocations(cloud: Cloud, since: int) -> Iterator[Span]:
    """When each began and ended: its REPORT is written at its end and says how long it took."""
    logs = cloud.client("logs")
    # The emulator gives the first ten thousand lines and no token to go on.
    while True:
        lines = logs.filter_log_events(logGroupName=cloud.log_group, startTime=since, limit=10_000)["events"]
        for line in lines:
            if told := REPORT.match(line["message"]):
                yield line["timestamp"] - int(told[1]), line["timestamp"]
        if len(lines) < 10_000:
            return
        since = lines[-1]["timestamp"] + 1


def measured(cloud: Cloud, creates: int) -> tuple[list[Journey], list[Arrival]]:
    """Both series, warm. Raises ``RuntimeError`` where too little can be told of the first."""
    with subscribed(cloud) as subscriber:
        with step("warming up"):
            one_at_a_time(cloud, subscriber, "warm", 10)
            all_at_once(cloud, subscriber, "warm crowd", 3 * CALLERS)
        begun = now()
        with step(f"{creates} creates, one at a time"):
            alone = one_at_a_time(cloud, subscriber, "alone", creates)
        told = traces(cloud, begun)
        with step(f"{creates} creates by {CALLERS} callers at once"):
            crowded = all_at_once(cloud, subscriber, "crowd", creates)
        heard = subscriber.heard
    journeys = [found for made in alone if (found := told.journey(made, heard[made.stream_id]))]
    if len(journeys) < 0.96 * creates:
        raise RuntimeError(f"of {creates} events only {len(journeys)} could be followed")
    arrivals = [heard[made.stream_id] for made in crowded]
    return journeys, [Arrival(one.recorded, one.queued) for one in arrivals]


def main() -> None:
    """Start a cloud, measure, show, write, stop it."""
    parser = argparse.ArgumentParser("python -m bench.latency", description=__doc__.partition("\n")[0])
    parser.add_argument("--creates", type=int, default=CREATES, help=f"instead of {CREATES}; writes nothing")
    creates: int = parser.parse_args().creates
    local = LocalCloud(HOME / "latency", aws_door=True)
    local.down()  # what a run that was killed has left
    machine = f"{datetime.now(UTC).date()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at its beginning"
    try:
        alone, crowded = measured(local.up(), creates)
    finally:
        local.down()
    text = section(machine, alone, crowded, CALLERS)
    print(f"\n{text}")
    if creates == CREATES:
        before = DOCUMENT.read_text() if DOCUMENT.exists() else "# Performance\n"
        DOCUMENT.write_text(placed(before, text))


if __name__ == "__main__":
    main()
