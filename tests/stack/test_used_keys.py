"""What a used key is answered, by what became of it: each row of the table, at each provider, in the deployed system.

Elsewhere: deleted (``test_happy_paths``), released (``test_provider_refusals``), a dead worker's (the crash matrix).
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from operator import lt
from typing import Any

import httpx
import pytest

from tests.stack.bus import Requester, Subscriber
from tests.stack.callers import Api
from tests.stack.doors import Door
from tests.stack.storage import Storage
from tests.stack.waiting import eventually
from tests.stack.ways import EACH_WAY, LEASED, WAYS, Way

Json = dict[str, Any]

LONG_AGO = "2026-01-01T00:00:00Z"
ALWAYS = 50
MAKING_SECONDS = 8.0
"""Of a provider that takes its time, less than it is waited for."""
TRIES = 4
"""To ask all that there is to be asked meanwhile: what needs a new environment on a busy machine may come too late."""
CLAIM_SECONDS = 29 + 5
UNKNOWN_FOR = {way.name: way.lease + 20 for way in LEASED}
"""Seconds: one lease, and what a request may take to land."""
INCOMPLETE = {"success": True, "errors": [], "messages": [], "result": {"liveInputs": [], "total": 2000}}
"""A list of live inputs that shows some of them."""
ONE, OTHER = {"name": "one"}, {"name": "another"}

type Answers = dict[str, httpx.Response]


@dataclass(frozen=True)
class Teller:
    """Of one way, at whose provider it breaks nothing for others."""

    way: Way
    api: Api
    door: Door
    storage: Storage
    asked_for: set[str] = field(default_factory=set)

    def create(self, what: str, more: Json) -> httpx.Response:
        self.asked_for.add(what)
        return self.api.create(self.way.provider, self.key(what), self.way.body(**more))

    def ask_without_waiting(self, what: str, more: Json) -> httpx.Response:
        headers = {"Idempotency-Key": self.key(what), "Prefer": "respond-async"}
        return self.api.call("POST", f"/streams/{self.way.provider}", self.way.body(**more), headers)

    def key(self, what: str) -> str:
        return f"used {self.way.name} {what}"

    def href(self, what: str) -> str:
        return self.api.href_of(self.way.provider, self.key(what))

    def stream_id(self, what: str) -> str:
        return self.api.id_of(self.way.provider, self.key(what))

    def creates(self) -> int:
        return sum(self.way.path in call["path"] for call in self.door.creates())

    def claimed(self) -> Answers:
        """While a worker is at the provider, and then."""
        for number in range(TRIES):
            what = f"claimed {number}"
            before = self.creates()
            self.door.fault("slow", seconds=MAKING_SECONDS, containing=self.way.path)
            with ThreadPoolExecutor(1) as pool:
                first = pool.submit(self.create, what, ONE)
                eventually(self.creates, partial(lt, before))
                answers = self._asked_meanwhile(what)
                in_time = not first.done()
                answers["first"] = first.result()
            answers |= {"same then": self.create(what, ONE), "other then": self.create(what, OTHER)}
            assert self.creates() == before + 1
            if in_time:
                return answers
        raise AssertionError(f"not all was asked within {MAKING_SECONDS} s")

    def _asked_meanwhile(self, what: str) -> Answers:
        href = self.href(what)
        return {
            "same": self.create(what, ONE),
            "other": self.create(what, OTHER),
            "without waiting": self.ask_without_waiting(what, ONE),
            "credentials": self.api.credentials(href),
            "deleted": self.api.delete(href),
            "read": self.api.read(href),
        }

    def failed(self) -> Answers:
        """After a refusal, with another body, and then."""
        if self.way.provider == "kinesis-video":
            self.door.act("raise_exception", exception="AccountStreamLimitExceededException", operation="CreateStream")
        else:
            self.door.fault("status", status=402, containing=self.way.path)
        return {
            "refused": self.create("failed", ONE),
            "other": self.create("failed", OTHER),
            "one": self.create("failed", ONE),
            "other then": self.create("failed", OTHER),
        }

    def lost(self) -> Answers:
        """Once its provider no longer has it."""
        made = self.create("lost", ONE)
        ref = made.json()["provider_ref"]
        self.door.lose(ref)
        refreshed = self.api.read(made.json()["href"], refresh=True)
        return {"made": made, "refreshed": refreshed, "again": self.create("lost", ONE)}


STORIES = {"failed": Teller.failed, "lost": Teller.lost, "claimed": Teller.claimed}


@pytest.fixture(scope="module", autouse=True)
def long_leases(doors: dict[str, Door]) -> Iterator[None]:
    """A renewal brings a new token: none comes between two looks."""
    with doors["overshoot"].set(v02_lease_seconds=300):
        yield


@pytest.fixture(scope="module")
def tellers(api: Api, doors: dict[str, Door], storage: Storage) -> dict[str, Teller]:
    return {way.name: Teller(way, api, doors[way.provider], storage) for way in WAYS}


@pytest.fixture(scope="module")
def told(tellers: dict[str, Teller]) -> Iterator[dict[tuple[str, str], Answers]]:
    """By way and row; the ways side by side."""
    found: dict[tuple[str, str], Answers] = {}
    with ThreadPoolExecutor(len(tellers)) as pool:
        for row, tell in STORIES.items():
            answers = pool.map(tell, tellers.values())
            found |= {(name, row): each for name, each in zip(tellers, answers, strict=True)}
    yield found
    for teller in tellers.values():
        for what in teller.asked_for:
            assert teller.api.delete(teller.href(what)).is_success


type Told = dict[tuple[str, str], Answers]


def said(answer: httpx.Response) -> tuple[int, str | None]:
    """Status and, of a problem, its code."""
    return answer.status_code, answer.json().get("code")


# ---- claimed, and its worker is alive


@EACH_WAY
def test_while_it_is_made_the_same_request_is_told_when_to_come_again(way: Way, told: Told) -> None:
    same = told[way.name, "claimed"]["same"]
    assert said(same) == (409, "creation-in-progress")
    assert (same.headers["content-type"], same.json()["retryable"]) == ("application/problem+json", True)
    assert 1 <= int(same.headers["retry-after"]) <= CLAIM_SECONDS


@EACH_WAY
def test_while_it_is_made_for_one_who_waits_it_is_not_promised_to_one_who_does_not(way: Way, told: Told) -> None:
    answer = told[way.name, "claimed"]["without waiting"]
    assert (said(answer), answer.json()["retryable"]) == ((409, "creation-in-progress"), True)
    assert 1 <= int(answer.headers["retry-after"]) <= CLAIM_SECONDS


@EACH_WAY
def test_while_it_is_made_another_request_is_refused_for_good(way: Way, told: Told) -> None:
    other = told[way.name, "claimed"]["other"]
    assert (said(other), other.json()["retryable"]) == ((422, "idempotency-key-reused"), False)


@EACH_WAY
def test_while_it_is_made_it_is_shown_and_can_be_neither_opened_nor_ended(way: Way, told: Told) -> None:
    answers = told[way.name, "claimed"]
    shown = answers["read"].json()
    assert (answers["read"].status_code, shown["state"], shown["version"]) == (200, "provisioning", 0)
    assert shown["provider_ref"] is None
    for asked in ("credentials", "deleted"):
        assert said(answers[asked]) == (409, "creation-in-progress")
        assert 1 <= int(answers[asked].headers["retry-after"]) <= CLAIM_SECONDS


# ---- alive


@EACH_WAY
def test_once_it_is_there_the_same_request_gets_it_and_another_does_not(way: Way, told: Told) -> None:
    answers = told[way.name, "claimed"]
    assert answers["first"].status_code == 201
    assert (answers["same then"].status_code, answers["same then"].json()) == (200, answers["first"].json())
    assert answers["same then"].headers["idempotency-replayed"] == "true"
    assert said(answers["other then"]) == (422, "idempotency-key-reused")


FORMS = [
    '{"name": "n", "options": {"api_version": "v0.2", "processing": {"interval_seconds": 10}, "inference": %s}}',
    '{"name": "n", "options": {"api_version": "v0.2", "processing": {"interval_seconds": 10.0}, "inference": %s}}',
    '{"name": "n", "options": {"api_version": "v0.2", "processing": {"interval_seconds": 1e1}, "inference": %s}}',
    '{"options": {"inference": %s, "processing": {"interval_seconds": 0.10E2}, "api_version": "v0.2"}, "name": "n"}',
    ' {\t"name":"\\u006e","options":{"processing":{"interval_seconds":100e-1},"api_version":"v0.2","inference":%s}}\n',
]
INFERENCE = '{"prompt": "Who is there?", "model": "a-model"}'


def test_the_order_of_members_and_the_form_of_numbers_make_no_other_request(api: Api) -> None:
    def ask(form: str) -> httpx.Response:
        return api.call("POST", "/streams/overshoot", form % INFERENCE, {"Idempotency-Key": "used in other words"})

    first, *others = map(ask, FORMS)
    assert first.status_code == 201, first.text
    assert [(other.status_code, other.json()) for other in others] == [(200, first.json())] * len(others)
    assert said(ask(FORMS[0].replace("10", "10.5"))) == (422, "idempotency-key-reused")
    assert api.delete(first.json()["href"]).status_code == 204


# ---- failed


@EACH_WAY
def test_a_key_that_failed_takes_another_request_which_is_then_its_own(way: Way, told: Told) -> None:
    answers = told[way.name, "failed"]
    assert answers["refused"].status_code in {402, 409}, answers["refused"].text
    assert (answers["other"].status_code, answers["other"].json()["name"]) == (201, "another")
    assert said(answers["one"]) == (422, "idempotency-key-reused")
    assert (answers["other then"].status_code, answers["other then"].json()) == (200, answers["other"].json())


@EACH_WAY
@pytest.mark.usefixtures("told")
def test_a_key_that_failed_tells_both(way: Way, tellers: dict[str, Teller], subscriber: Subscriber) -> None:
    stream_id = tellers[way.name].stream_id("failed")
    [failed], [created] = (subscriber.await_events(stream_id, kind) for kind in ("StreamFailed", "StreamCreated"))
    assert (failed["detail"]["sequence"], created["detail"]["sequence"]) == (1, 2)
    assert created["detail"]["data"]["stream"]["name"] == "another"


# ---- over


@EACH_WAY
def test_a_stream_that_was_lost_is_over_and_its_key_makes_no_other(way: Way, told: Told) -> None:
    answers = told[way.name, "lost"]
    assert answers["made"].status_code == 201
    for asked in ("refreshed", "again"):
        assert said(answers[asked]) == (410, "stream-ended")
        assert (answers[asked].json()["state"], answers[asked].json()["reason"]) == ("lost", "not-at-provider")


def test_a_stream_that_is_ending_is_over_for_its_key(api: Api, storage: Storage, doors: dict[str, Door]) -> None:
    made = api.create("pyannote", "used ending", ONE)
    before = len(doors["pyannote"].creates())

    def ending(record: Json) -> None:
        record["stream"]["state"] = "ending"

    storage.change_record(made.json()["id"], ending)
    assert said(api.create("pyannote", "used ending", ONE)) == (410, "stream-ended")
    assert len(doors["pyannote"].creates()) == before


# ---- unknown: closed without an answer, and so that nothing is left at a provider that nobody knows, not carried out


def waited(record: Json) -> None:
    """What there was to wait is over, and nothing is under way any more."""
    record["claim"]["free_at"] = record["landed_at"] = LONG_AGO


@pytest.mark.parametrize("name", UNKNOWN_FOR)
def test_an_unknown_outcome_is_waited_for_as_long_as_a_lost_stream_may_live(
    name: str, tellers: dict[str, Teller]
) -> None:
    teller, longest = tellers[name], UNKNOWN_FOR[name]
    teller.door.fault("refuse", containing=teller.way.path)
    before = teller.creates()
    first = teller.create("unknown", ONE)
    assert said(first) == (504, "provider-outcome-unknown")
    assert int(first.headers["retry-after"]) == longest
    again = teller.create("unknown", ONE)
    assert said(again) == (409, "creation-in-progress")
    assert longest - 60 < int(again.headers["retry-after"]) <= longest
    assert said(teller.create("unknown", OTHER)) == (422, "idempotency-key-reused")
    assert teller.api.read(teller.href("unknown")).json()["state"] == "unknown"
    assert teller.creates() == before + 1

    teller.storage.change_record(teller.stream_id("unknown"), waited)
    made = teller.create("unknown", ONE)
    assert (made.status_code, teller.creates()) == (201, before + 2), made.text
    assert teller.storage.record(made.json()["id"])["ambiguous_creates"] == 1
    assert teller.api.delete(made.json()["href"]).status_code == 204


def test_at_pyannoteai_a_second_unknown_outcome_is_the_last(tellers: dict[str, Teller], subscriber: Subscriber) -> None:
    teller = tellers["pyannote"]
    before = teller.creates()
    teller.door.fault("refuse", times=2)
    first, second = teller.create("unknown", ONE), teller.create("unknown", ONE)
    assert said(first) == said(second) == (504, "provider-outcome-unknown")
    record = teller.storage.record(teller.stream_id("unknown"))
    assert (record["stream"]["state"], record["claim"], record["ambiguous_creates"]) == ("failed", None, 2)
    assert teller.creates() == before + 2
    subscriber.await_events(teller.stream_id("unknown"), "StreamFailed")
    made = teller.create("unknown", OTHER)
    assert (made.status_code, made.json()["name"]) == (201, "another")


def test_at_cloudflare_a_list_that_is_not_complete_proves_nothing(tellers: dict[str, Teller]) -> None:
    """Once the guard is over, and until a list is complete."""
    teller = tellers["cloudflare"]
    teller.door.fault("status", status=503, times=ALWAYS)
    assert said(teller.create("unknown", ONE)) == (503, "provider-unavailable")
    teller.door.heal()

    def guard_is_over(record: Json) -> None:
        waited(record)
        record["guarded_since"] = LONG_AGO

    teller.storage.change_record(teller.stream_id("unknown"), guard_is_over)
    before = teller.creates()
    teller.door.fault("status", "listLiveInputs", status=200, body=INCOMPLETE)
    undecided, again = teller.create("unknown", ONE), teller.create("unknown", ONE)
    assert (undecided.status_code, undecided.json()["retryable"]) == (504, True), undecided.text
    assert int(undecided.headers["retry-after"]) == 900
    assert said(again) == (409, "creation-in-progress")
    assert 840 < int(again.headers["retry-after"]) <= 900
    assert teller.api.read(teller.href("unknown")).json()["state"] == "unknown"
    assert teller.creates() == before

    teller.storage.change_record(teller.stream_id("unknown"), waited)
    made = teller.create("unknown", ONE)
    assert (made.status_code, teller.creates()) == (201, before + 1), made.text
    assert teller.api.delete(made.json()["href"]).is_success


# ---- over the bus


def test_another_request_over_the_bus_changes_nothing(
    api: Api, requester: Requester, subscriber: Subscriber, doors: dict[str, Door]
) -> None:
    made = api.create("pyannote", "used over the bus", ONE)
    before = len(doors["pyannote"].creates())
    requester.ask("pyannote", OTHER, idempotency_key="used over the bus")
    requester.ask("pyannote", ONE, idempotency_key="used over the bus")
    # What is asked later has been done by now, and so has what was asked before.
    requester.ask("pyannote", ONE, idempotency_key="used after it")
    subscriber.await_events(api.id_of("pyannote", "used after it"), "StreamCreated")
    assert len(doors["pyannote"].creates()) == before + 1
    assert api.create("pyannote", "used over the bus", ONE).json() == made.json()
    assert [event["detail-type"] for event in subscriber.events(made.json()["id"])] == ["StreamCreated"]


def test_a_key_used_over_the_bus_takes_the_same_request_in_other_words(
    api: Api, requester: Requester, subscriber: Subscriber
) -> None:
    options = {
        "api_version": "v0.2",
        "processing": {"interval_seconds": 10},
        "inference": {"prompt": "?", "model": "m"},
    }
    requester.ask("overshoot", {"options": options}, idempotency_key="used in words")
    subscriber.await_events(api.id_of("overshoot", "used in words"), "StreamCreated")
    body = (
        '{"options": {"inference": {"model": "m", "prompt": "\\u003f"}, "processing": {"interval_seconds": 1.0e1},'
        ' "api_version": "v0.2"}}'
    )
    again = api.call("POST", "/streams/overshoot", body, {"Idempotency-Key": "used in words"})
    assert (again.status_code, again.headers["idempotency-replayed"]) == (200, "true"), again.text
    assert api.delete(again.json()["href"]).status_code == 204
