"""A thousand events at once that ask for streams, and the account of what became of each stream."""

import json
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import batched
from typing import Any

from headwater.streams import identify
from local.cloud import STAGE, Cloud
from tests.stack.bus import Subscriber
from tests.stack.doors import CREATES, Door
from tests.stack.storage import Storage

Json = dict[str, Any]

SHARES = {"cloudflare": 300, "kinesis-video": 230, "overshoot": 230, "pyannote": 160}
"""How many different streams are asked for at each provider."""
REPEATED = 10
"""So many of each are asked for twice in a row, and as many others again when all has been asked for."""
ENTRIES = 10
"""PutEvents takes no more at once."""
OUTCOMES = frozenset({"StreamCreated", "StreamFailed"})
TELL_SECONDS = 5.0
FEW = 3
PATIENCE_SECONDS = 360
"""Twice what it may take on two cores."""


@dataclass(frozen=True)
class Wish:
    """One event. What has the same provider and key asks for the same stream."""

    provider: str
    key: str

    def entry(self, bus: str) -> Json:
        """As PutEvents takes it."""
        data = {"provider": self.provider, "idempotency_key": self.key, "request": {"name": self.key}}
        detail = json.dumps({"version": 1, "data": data})
        kind = {"Source": "headwater.requests", "DetailType": "StreamRequested"}
        return {**kind, "Detail": detail, "EventBusName": bus}


def wishes(shares: Mapping[str, int] = SHARES, repeated: int = REPEATED) -> list[Wish]:
    """All of them, those of different providers mixed."""
    placed: list[tuple[float, Wish]] = []
    for provider, share in shares.items():
        wished = [Wish(provider, f"rush {provider} {number}") for number in range(share)]
        placed += [(number / share, wish) for number, wish in enumerate(wished)]
        placed += [(number / share, wish) for number, wish in enumerate(wished[:repeated])]
        placed += [(1, wish) for wish in wished[repeated : 2 * repeated]]
    return [wish for _, wish in sorted(placed, key=lambda each: each[0])]


@dataclass(frozen=True)
class Account:
    """Of one stream: how often its creation and its failure were told, what its record says, what is there of it."""

    created: int
    failed: int
    record: str
    there: int


OPENED = Account(created=1, failed=0, record="opened", there=1)
REFUSED = Account(created=0, failed=1, record="failed", there=0)


@dataclass(frozen=True)
class Seen:
    """What is to be seen when all is over. Streams by their ids, with the providers that they were asked for at."""

    asked: Mapping[str, str]
    events: Sequence[Json]
    """As a subscriber received them."""
    records: Mapping[str, Json]
    there: Mapping[str, frozenset[str]]
    """By provider: what it has, by the names that records keep."""
    again: frozenset[str] = frozenset()
    """Streams that were asked for twice: a key that failed begins anew, and may fail anew, which is told as well."""

    def accounts(self) -> dict[str, Counter[Account]]:
        """By provider, how many streams came to what."""
        told = Counter((event["detail-type"], _stream_id(event)) for event in self.events)
        kept: dict[str, Counter[Account]] = {provider: Counter() for provider in self.there}
        for stream_id, provider in self.asked.items():
            record = self.records.get(stream_id)
            ref = record["stream"].get("provider_ref") if record else None
            made, failed = told["StreamCreated", stream_id], told["StreamFailed", stream_id]
            failed -= failed == 2 and stream_id in self.again
            kept[provider][Account(made, failed, _word(record), int(ref in self.there[provider]))] += 1
        return kept

    def strays(self) -> dict[str, set[str]]:
        """By provider, what it has and no record knows."""
        known = {record["stream"].get("provider_ref") for record in self.records.values()}
        return {provider: set(refs) - known for provider, refs in self.there.items()}

    def others(self) -> set[str]:
        """Streams that nobody asked for, in the table or on the bus."""
        return (self.records.keys() | {_stream_id(event) for event in self.events}) - self.asked.keys()

    def without_event(self, stream_id: str) -> "Seen":
        """As it would be, had nobody heard of that stream."""
        return replace(self, events=[event for event in self.events if _stream_id(event) != stream_id])

    def with_event(self, event: Json) -> "Seen":
        """As it would be, had that event come twice."""
        return replace(self, events=[*self.events, event])

    def without_record(self, stream_id: str) -> "Seen":
        """As it would be without that record."""
        return replace(self, records={one: record for one, record in self.records.items() if one != stream_id})

    def with_another(self, provider: str) -> "Seen":
        """As it would be, had that provider made one stream twice."""
        return replace(self, there={**self.there, provider: self.there[provider] | {"another"}})


def _stream_id(event: Json) -> str:
    return str(event["detail"]["data"]["stream"]["id"])


def _few(streams: Mapping[str, str]) -> str:
    """Which they are, where they are few: whoever waits for them may look for them."""
    return f": {', '.join(streams)}" if len(streams) <= FEW else ""


def _word(record: Json | None) -> str:
    if record is None:
        return "none"
    if record.get("claim"):
        return "claimed"
    return "failed" if record["stream"]["state"] == "failed" else "opened"


@dataclass
class Rush:
    """One deployment, and the thousand."""

    cloud: Cloud
    subscriber: Subscriber
    storage: Storage
    doors: Mapping[str, Door]
    wishes: Sequence[Wish]
    tell: Callable[[str], None]
    """Says a line to whoever waits."""
    seconds: dict[str, float] = field(default_factory=dict)
    """By provider: from the first event to the end of what the last of its streams came to."""

    def stream_id(self, wish: Wish) -> str:
        deployment = f"{STAGE}-{self.cloud.region}-{self.cloud.account}"
        return identify(deployment, f"aws:{self.cloud.account}", wish.provider, wish.key)

    @property
    def asked(self) -> dict[str, str]:
        """Each stream once: its provider by its id."""
        return {self.stream_id(wish): wish.provider for wish in self.wishes}

    def run(self) -> None:
        """Put them all on the bus, and wait until each stream was told of and no queue holds a message of theirs."""
        begun = time.monotonic()
        self._put()
        left = self.asked
        for _ in self._looking(begun, lambda: f"{len(left)} of {len(self.asked)} are not settled{_few(left)}"):
            self.subscriber.receive()
            for stream_id in {_stream_id(event) for event in self._told()} & left.keys():
                self.seconds[left.pop(stream_id)] = time.monotonic() - begun
            if not left:
                break
        for _ in self._looking(begun, lambda: f"messages wait: {self.waiting()}"):
            self.subscriber.receive()
            if not self.waiting():
                break
        self.seconds["all"] = time.monotonic() - begun

    def _put(self) -> None:
        events = self.cloud.client("events")
        for portion in batched(self.wishes, ENTRIES, strict=False):
            answer = events.put_events(Entries=[wish.entry(self.cloud.bus) for wish in portion])
            assert answer["FailedEntryCount"] == 0, answer

    def _looking(self, begun: float, what: Callable[[], str]) -> Iterator[None]:
        """Turns, each of which waits for something itself; every few seconds ``what`` is still waited for is told."""
        told = begun
        while True:
            yield
            now = time.monotonic()
            assert now - begun < PATIENCE_SECONDS, what()
            if now - told >= TELL_SECONDS:
                self.tell(f"after {now - begun:.0f} s {what()}")
                told = now

    def _told(self) -> Iterator[Json]:
        """Of what happened, not of what is to be done."""
        return (event for event in list(self.subscriber.received) if event["detail-type"] in OUTCOMES)

    def seen(self) -> Seen:
        """By now."""
        found = (json.loads(item["record"]["S"]) for item in self.storage.items() if "record" in item)
        records = {record["stream"]["id"]: record for record in found}
        there = {provider: frozenset(door.refs()) for provider, door in self.doors.items()}
        asked = Counter(self.stream_id(wish) for wish in self.wishes)
        again = frozenset(stream_id for stream_id, times in asked.items() if times == 2)
        return Seen(self.asked, list(self._told()), records, there, again)

    def waiting(self) -> dict[str, int]:
        """Messages in the providers' queues that are not empty, those that are being worked on included."""
        return {name: count for name, count in self._messages().items() if "Provision" in name and count}

    def dead_letters(self) -> dict[str, int]:
        """Messages in each queue for what went astray."""
        return {name: count for name, count in self._messages().items() if "DeadLetters" in name}

    def _messages(self) -> dict[str, int]:
        sqs = self.cloud.client("sqs")
        names = [f"ApproximateNumberOfMessages{which}" for which in ("", "NotVisible", "Delayed")]
        counted = {}
        for url in sqs.list_queues(QueueNamePrefix=f"headwater-{STAGE}")["QueueUrls"]:
            told = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
            counted[url.rpartition("/")[2]] = sum(int(told[name]) for name in names)
        return counted


def carried_out(calls: Iterable[Json]) -> list[Json]:
    """The calls to which the provider said yes."""
    return [call for call in calls if call["status"] and call["status"] < 300]


def at_once(calls: Iterable[Json]) -> int:
    """The most of these calls that were under way at one moment."""
    steps = [step for call in calls for step in ((call["at"], 1), (call["answered_at"], -1))]
    under_way = most = 0
    for _, step in sorted(steps):  # what ends at a moment makes room for what begins then
        under_way += step
        most = max(most, under_way)
    return most


def refused_creates(door: Door) -> int:
    """Creates that were told to come later, or that there is no room."""
    return len(door.calls(CREATES[door.name])) - len(carried_out(door.calls(CREATES[door.name])))
