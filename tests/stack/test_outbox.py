"""A bus that fails in every way it can while two hundred streams come and go: what happened is told once it is well.

By the door before AWS the publisher's calls fail, are refused entry by entry, or are carried out and never answered.
"""

import json
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from operator import lt
from typing import Any

import httpx
import pytest

from local.cloud import Cloud
from tests.stack.bus import Subscriber, subscribed
from tests.stack.callers import Api, new_caller
from tests.stack.doors import Door, aws_door_of, doors_of
from tests.stack.storage import Storage
from tests.stack.waiting import eventually
from tests.stack.ways import UNLEASED

Json = dict[str, Any]

STREAMS = 200
AT_ONCE = 8
ALWAYS = 600
PUT_EVENTS = "events.PutEvents"
PUBLISHED = r"\"event_id\":\""
"""In every event that is published, and in no command."""
PHASES: dict[str, Json] = {
    "refused whole": {"kind": "status", "status": 500},
    "refused in part": {"kind": "refuse_entries"},
    "every entry refused": {"kind": "refuse_entries", "which": "all"},
    "carried out, never answered": {"kind": "hang", "carry_out": True},
    "carried out, then cut off": {"kind": "lose_answer"},
}
"""How the bus fails, one after the other, while a part of the streams is made."""
REFUSED_EVERY, ENDED_EVERY = 5, 4
"""Every so many streams one is refused by its provider, if that can tell it from others; and one is deleted."""


@dataclass(frozen=True)
class Made:
    """One of the two hundred, and how its create was answered."""

    stream_id: str
    href: str
    answer: httpx.Response

    @property
    def created(self) -> bool:
        return self.answer.status_code == 201


@dataclass
class Run:
    """What was done, and what was told of it: everything, as often as it came."""

    made: list[Made] = field(default_factory=list)
    deleted: set[str] = field(default_factory=set)
    failures: dict[str, int] = field(default_factory=dict)
    """How many calls failed, by phase."""
    told: dict[str, list[Json]] = field(default_factory=dict)
    """By stream."""
    recorded: dict[str, dict[str, Json]] = field(default_factory=dict)
    """By stream and event id: what is told, as the table has it."""

    def kinds(self, one: Made) -> list[str]:
        """Of the events that it was told by, each counted once, in their order."""
        found = {event["detail"]["sequence"]: event["detail-type"] for event in self.told[one.stream_id]}
        return [found[sequence] for sequence in sorted(found)]


@dataclass(frozen=True)
class Outage:
    """Has streams made and ended while the bus fails."""

    api: Api
    aws: Door
    doors: dict[str, Door]
    subscriber: Subscriber
    storage: Storage
    run: Run

    def happen(self) -> Run:
        share = STREAMS // len(PHASES)
        for index, (phase, fault) in enumerate(PHASES.items()):
            before = self._failed(fault["kind"])
            self.aws.fault(operation=PUT_EVENTS, containing=PUBLISHED, times=ALWAYS, **fault)
            with ThreadPoolExecutor(AT_ONCE) as pool:
                self.run.made += pool.map(self._live, range(index * share, (index + 1) * share))
            failed = eventually(partial(self._failed, fault["kind"]), partial(lt, before + 1), 60)
            self.run.failures[phase] = failed - before
            self.aws.heal()
        ids = [one.stream_id for one in self.run.made]
        with suppress(AssertionError):  # what is missing then, the tests tell
            eventually(partial(self._recorded, ids), lambda found: self._told(ids) == _ids(found), 120)
        self.run.recorded = self._recorded(ids)
        self.run.told = {stream_id: self._events(stream_id) for stream_id in ids}
        return self.run

    def _live(self, number: int) -> Made:
        provider, key = UNLEASED[number % len(UNLEASED)].provider, f"outbox-{number}"
        stream_id, href = self.api.id_of(provider, key), self.api.href_of(provider, key)
        if number % REFUSED_EVERY == 0:
            self._have_refused(provider, stream_id)
        made = Made(stream_id, href, self.api.create(provider, key, {"name": key}))
        if made.created and number % ENDED_EVERY == 0:
            assert self.api.delete(href).is_success
            self.run.deleted.add(stream_id)
        return made

    def _have_refused(self, provider: str, stream_id: str) -> None:
        if provider == "kinesis-video":
            exception = "AccountStreamLimitExceededException"
            self.doors[provider].act("raise_exception", exception=exception, containing=stream_id)
        elif provider == "cloudflare":
            self.doors[provider].fault("status", status=402, containing=stream_id)

    def _failed(self, kind: str) -> int:
        return sum(call["fault"] == kind for call in self.aws.calls(PUT_EVENTS))

    def _recorded(self, ids: list[str]) -> dict[str, dict[str, Json]]:
        found: dict[str, dict[str, Json]] = {stream_id: {} for stream_id in ids}
        for item in self.storage.items():
            stream_id = item["pk"]["S"].removeprefix("STREAM#")
            if stream_id in found and item["sk"]["S"].startswith("EVENT#"):
                detail = json.loads(item["detail"]["S"])
                found[stream_id][detail["event_id"]] = detail
        return found

    def _told(self, ids: list[str]) -> dict[str, set[str]]:
        received = -1
        while received < len(self.subscriber.received):
            received = len(self.subscriber.received)
            self.subscriber.receive()
        return {stream_id: {event["detail"]["event_id"] for event in self._events(stream_id)} for stream_id in ids}

    def _events(self, stream_id: str) -> list[Json]:
        """Commands have no such id."""
        return [event for event in self.subscriber.events(stream_id) if "event_id" in event["detail"]]


def _ids(recorded: dict[str, dict[str, Json]]) -> dict[str, set[str]]:
    return {stream_id: set(events) for stream_id, events in recorded.items()}


@pytest.fixture(scope="module")
def run(crash_cloud: Cloud) -> Iterator[Run]:
    """What came of it all, once the bus was well and everything that is recorded had been told."""
    with (
        doors_of(crash_cloud) as doors,
        aws_door_of(crash_cloud) as aws,
        subscribed(crash_cloud, "outbox") as subscriber,
    ):
        api = new_caller(crash_cloud, "outbox")
        try:
            yield Outage(api, aws, doors, subscriber, Storage(crash_cloud), Run()).happen()
        finally:
            aws.heal()
            api.close()


@pytest.mark.parametrize("phase", PHASES)
def test_the_bus_did_fail(phase: str, run: Run) -> None:
    assert run.failures[phase] > 1


def test_a_failing_bus_disturbs_no_caller(run: Run) -> None:
    answers = Counter((one.answer.status_code, one.answer.json().get("code")) for one in run.made)
    assert answers.keys() == {(201, None), (402, "provider-payment-required"), (409, "provider-quota-exceeded")}
    assert answers.total() == STREAMS
    assert answers[201, None] >= STREAMS * 4 // 5


def test_everything_that_is_recorded_is_told_and_nothing_else(run: Run) -> None:
    told = {stream_id: {event["detail"]["event_id"] for event in events} for stream_id, events in run.told.items()}
    assert told == _ids(run.recorded)
    assert all(told.values())


def test_an_event_says_what_is_recorded_however_often_it_comes(run: Run) -> None:
    copies: Counter[str] = Counter()
    for stream_id, events in run.told.items():
        for event in events:
            event_id = event["detail"]["event_id"]
            assert event["detail"] == run.recorded[stream_id][event_id]
            copies[event_id] += 1
    assert max(copies.values()) > 1, "what is carried out and never answered comes again"


def test_each_stream_is_told_from_its_beginning_without_a_gap(run: Run) -> None:
    for one in run.made:
        sequences = {event["detail"]["sequence"] for event in run.told[one.stream_id]}
        assert sequences == set(range(1, len(run.recorded[one.stream_id]) + 1)), one


def test_a_stream_that_was_created_is_told_so_once(run: Run) -> None:
    created = [one for one in run.made if one.created]
    for kinds in map(run.kinds, created):
        assert (kinds[0], kinds.count("StreamCreated")) == ("StreamCreated", 1)
    assert {one.stream_id for one in created if run.kinds(one)[-1] == "StreamDeleted"} == run.deleted


def test_a_create_that_failed_is_told_as_that_alone(run: Run) -> None:
    failed = [one for one in run.made if not one.created]
    assert len(failed) > STREAMS // 10
    assert {tuple(run.kinds(one)) for one in failed} == {("StreamFailed",)}
