"""Leases are held and lifetimes end: the arithmetic of beats on a simulated clock, and the function around it."""

import heapq
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headwater import aws, events
from headwater.records import Record
from headwater.store import Table
from headwater.streams import Lease, State, Stream, href, now
from renew_leases.beats import LONGEST_DELAY, Beat, LeaseSeen, Step, StreamSeen, first, following
from renew_leases.handler import handler
from tests.subscribers.fakes import FakeBus, FakeQueue, received, sqs_batch
from tests.unit.fakes import a_claimed_record

BEGIN = datetime(2026, 11, 20, 8, tzinfo=UTC)


def stream(ttl: int | None = None, lifetime: int | None = None) -> StreamSeen:
    return StreamSeen(
        id="str_1",
        provider="fake",
        lease=LeaseSeen(ttl_seconds=ttl) if ttl else None,
        expires_at=BEGIN + timedelta(seconds=lifetime) if lifetime else None,
    )


@dataclass
class Simulation:
    """A stream at its provider, a queue that delays, and a clock that jumps from message to message.

    ``late``: seconds by which a message comes late. ``succeeds``: whether a renewal does. ``copies``: how often a
    message is delivered.
    """

    stream: StreamSeen
    late: Callable[[], float] = lambda: 0.0
    succeeds: Callable[[], bool] = lambda: True
    copies: Callable[[], int] = lambda: 1
    delays: list[int] = field(default_factory=list)
    asked: list[int] = field(default_factory=list)
    """The beats that a renewal was asked for, repetitions included."""
    renewals: int = 0
    ran_out: bool = False
    ended_at: float | None = None
    _recorded: int = 0
    _lease_until: float = 0.0
    _messages: list[tuple[float, int, Beat]] = field(default_factory=list)
    _number: "count[int]" = field(default_factory=count)

    def run(self, seconds: float) -> "Simulation":
        """Let so much time pass."""
        if self.stream.lease:
            self._lease_until = self.stream.lease.ttl_seconds
        self._carry_out(0.0, first(self.stream, BEGIN))
        while self._messages and self._messages[0][0] <= seconds and self.ended_at is None:
            moment, _, beat = heapq.heappop(self._messages)
            self._carry_out(moment, following(beat, self.stream, BEGIN + timedelta(seconds=moment)))
        return self

    def _carry_out(self, moment: float, step: Step) -> None:
        if step.reason == "renew":
            self._renew(moment, step.beat.number)
        if step.reason == "expire":
            self.ended_at = moment
        if step.delay is not None:
            self.delays.append(step.delay)
            for _ in range(self.copies()):
                due = moment + step.delay + self.late()
                heapq.heappush(self._messages, (due, next(self._number), step.beat))

    def _renew(self, moment: float, beat: int) -> None:
        """As the provider's function does: once for a beat, which is recorded before the provider is called."""
        self.asked.append(beat)
        if beat <= self._recorded:
            return
        self._recorded = beat
        self.renewals += 1
        self.ran_out = self.ran_out or moment >= self._lease_until
        if self.succeeds() and self.stream.lease:
            self._lease_until = moment + self.stream.lease.ttl_seconds


LEASES = st.integers(20, 3600)


@given(LEASES, st.data())
def test_a_lease_never_runs_out_while_renewals_succeed(ttl: int, data: st.DataObject) -> None:
    lateness = st.floats(0, ttl / 2 - 1)
    simulation = Simulation(stream(ttl), late=lambda: data.draw(lateness)).run(10 * ttl)
    assert simulation.renewals >= 10
    assert not simulation.ran_out


@given(LEASES, st.data())
def test_a_lease_outlives_two_failures_in_a_row(ttl: int, data: st.DataObject) -> None:
    failed = 0

    def succeeds() -> bool:
        nonlocal failed
        failed = 0 if failed == 2 or data.draw(st.booleans()) else failed + 1
        return failed == 0

    lateness = st.floats(0, ttl / 20)
    simulation = Simulation(stream(ttl), late=lambda: data.draw(lateness), succeeds=succeeds).run(10 * ttl)
    assert simulation.renewals >= 10
    assert not simulation.ran_out


@pytest.mark.parametrize("ttl", [20, 45, 300])
def test_of_three_renewals_two_may_fail_for_ever(ttl: int) -> None:
    outcomes = count()
    simulation = Simulation(stream(ttl), succeeds=lambda: next(outcomes) % 3 == 2).run(100 * ttl)
    assert simulation.renewals >= 100
    assert not simulation.ran_out


def test_the_simulation_would_notice_a_lease_that_ran_out() -> None:
    assert Simulation(stream(45), succeeds=lambda: False).run(100).ran_out


@given(LEASES)
def test_a_provider_is_asked_no_more_often_than_four_times_a_lease(ttl: int) -> None:
    simulation = Simulation(stream(ttl)).run(10 * ttl)
    assert simulation.renewals <= 41


@given(st.one_of(st.none(), LEASES), st.integers(60, 30 * 86_400), st.data())
def test_a_lifetime_ends_when_it_should_and_not_before(ttl: int | None, lifetime: int, data: st.DataObject) -> None:
    lifetime = min(lifetime, 200 * (ttl or 3600))
    lateness = st.floats(0, 3)
    simulation = Simulation(stream(ttl, lifetime), late=lambda: data.draw(lateness)).run(lifetime + 100)
    assert simulation.ended_at is not None
    # A delay is whole seconds, and each message may come late.
    assert lifetime <= simulation.ended_at <= lifetime + 1 + 3


@given(st.integers(1, 10**7), st.one_of(st.none(), st.integers(60, 30 * 86_400)))
def test_no_delay_is_longer_than_sqs_allows(ttl: int, lifetime: int | None) -> None:
    simulation = Simulation(stream(ttl, lifetime)).run(20 * LONGEST_DELAY)
    assert simulation.delays
    assert all(isinstance(delay, int) and 0 <= delay <= LONGEST_DELAY for delay in simulation.delays)


def test_a_wait_that_is_longer_than_a_delay_asks_for_nothing_on_its_way() -> None:
    simulation = Simulation(stream(lifetime=3600)).run(3599)
    assert (simulation.asked, simulation.delays) == ([], [900, 900, 900, 900])


@given(LEASES, st.data())
def test_repeated_messages_never_renew_more_often_than_there_are_beats(ttl: int, data: st.DataObject) -> None:
    copies = iter(data.draw(st.lists(st.integers(1, 3), max_size=6)))
    lateness = st.floats(0, ttl / 10)
    simulation = Simulation(stream(ttl), late=lambda: data.draw(lateness), copies=lambda: next(copies, 1)).run(5 * ttl)
    assert simulation.renewals == len(set(simulation.asked)) == max(simulation.asked)
    assert simulation.renewals <= 21
    assert not simulation.ran_out


def test_a_stream_without_lease_or_end_needs_nothing() -> None:
    assert first(stream(), BEGIN) == Step(Beat(stream_id="str_1", provider="fake"), None, None)


def test_the_end_is_asked_for_again_until_it_is_recorded() -> None:
    over = stream(ttl=45, lifetime=60)
    step = following(Beat(stream_id="str_1", provider="fake", number=5), over, BEGIN + timedelta(seconds=61))
    assert (step.reason, step.delay, step.beat.number) == ("expire", 60, 5)


def test_a_beat_survives_its_message() -> None:
    step = first(stream(ttl=45, lifetime=600), BEGIN)
    assert Beat.model_validate_json(step.beat.model_dump_json()) == step.beat


# ---- the function


@pytest.fixture
def queue(cloud: None, monkeypatch: pytest.MonkeyPatch) -> str:
    """The address of the function's own queue."""
    url: str = aws.client("sqs").create_queue(QueueName="own")["QueueUrl"]
    monkeypatch.setenv("QUEUE_URL", url)
    return url


@pytest.fixture
def own(clients: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> FakeQueue:
    """The function's own queue, which shows its delays."""
    monkeypatch.setenv("QUEUE_URL", "own")
    clients["sqs"] = own = FakeQueue()
    return own


@pytest.fixture
def bus(clients: dict[str, Any]) -> FakeBus:
    clients["events"] = bus = FakeBus()
    return bus


def recorded(table: str, key: str = "key", **changes: Any) -> Record:
    """A settled record in the table."""
    store = Table(aws.client("dynamodb"), table)
    claimed = a_claimed_record(key)
    assert store.claim(claimed) is None
    moment = now()
    lease = Lease(ttl_seconds=300, expires_at=moment + timedelta(seconds=300), renewed_at=moment)
    update = {"state": State.READY, "provider_ref": "ref-1", "version": 1, "lease": lease, **changes}
    settled = claimed.model_copy(
        update={"stream": claimed.stream.model_copy(update=update), "claim": None, "request_secrets": None}
    )
    return store.settle(settled, events.happened(events.StreamCreated, settled.stream, settled.tenant, "request"))


def created(stream: Stream) -> dict[str, Any]:
    """StreamCreated, as the rule delivers it."""
    event = events.happened(events.StreamCreated, stream, "aws:1", "request")
    return {"detail-type": "StreamCreated", "source": "headwater", "detail": json.loads(event.model_dump_json())}


def a_stream(**changes: Any) -> Stream:
    moment = now()
    given = {"id": "str_1", "provider": "fake", "state": State.READY, "version": 1, **changes}
    return Stream(created_at=moment, updated_at=moment, href=href("fake", "str_1"), **given)


def beat(stream: Stream, number: int = 0, renew_at: datetime | None = None) -> dict[str, Any]:
    message = Beat(stream_id=stream.id, provider=stream.provider, number=number, renew_at=renew_at)
    told: dict[str, Any] = json.loads(message.model_dump_json())
    return told


def told(failed: list[str]) -> dict[str, Any]:
    return {"batchItemFailures": [{"itemIdentifier": number} for number in failed]}


def test_a_created_stream_with_a_lease_is_looked_after_a_quarter_of_it_later(own: FakeQueue) -> None:
    moment = now()
    lease = Lease(ttl_seconds=300, expires_at=moment + timedelta(seconds=300), renewed_at=moment)
    assert handler(sqs_batch(created(a_stream(lease=lease))), None) == told([])
    (message,) = own.messages
    assert message["QueueUrl"] == "own"
    assert message["DelaySeconds"] == 75
    assert json.loads(message["MessageBody"])["number"] == 0


def test_a_created_stream_with_an_end_is_looked_after_then(own: FakeQueue) -> None:
    assert handler(sqs_batch(created(a_stream(expires_at=now() + timedelta(seconds=600)))), None) == told([])
    assert 599 <= own.messages[0]["DelaySeconds"] <= 600


def test_a_created_stream_that_needs_nothing_is_let_be(own: FakeQueue) -> None:
    assert handler(sqs_batch(created(a_stream())), None) == told([])
    assert own.messages == []


def test_a_beat_asks_for_a_renewal_and_sees_to_the_next(table: str, heard: str, queue: str) -> None:
    stream = recorded(table).stream
    assert handler(sqs_batch(beat(stream, 6)), None) == told([])
    (asked,) = received(heard)
    assert (asked["source"], asked["detail-type"]) == ("headwater", "StreamAttentionDue")
    wanted = {"provider": "fake", "stream_id": stream.id, "reason": "renew", "beat": 7}
    assert asked["detail"] == {"version": 1, "data": wanted}


def test_the_next_beat_is_a_message_to_ourselves(table: str, bus: FakeBus, own: FakeQueue) -> None:
    stream = recorded(table).stream
    assert handler(sqs_batch(beat(stream, 6)), None) == told([])
    (message,) = own.messages
    following_beat = Beat.model_validate_json(message["MessageBody"])
    assert (following_beat.number, message["DelaySeconds"]) == (7, 75)


def test_a_beat_that_is_not_due_only_waits_on(table: str, bus: FakeBus, own: FakeQueue) -> None:
    stream = recorded(table).stream
    assert handler(sqs_batch(beat(stream, 6, now() + timedelta(seconds=2000))), None) == told([])
    assert bus.taken == []
    assert own.messages[0]["DelaySeconds"] == LONGEST_DELAY


def test_a_lifetime_that_is_over_is_asked_to_be_ended(table: str, bus: FakeBus, own: FakeQueue) -> None:
    stream = recorded(table, expires_at=now() - timedelta(seconds=1)).stream
    assert handler(sqs_batch(beat(stream, 6)), None) == told([])
    (asked,) = bus.taken
    wanted = {"provider": "fake", "stream_id": stream.id, "reason": "expire", "beat": None}
    assert json.loads(asked["Detail"])["data"] == wanted
    assert own.messages[0]["DelaySeconds"] == 60


@pytest.mark.parametrize("state", [State.ENDED, State.LOST, State.FAILED])
def test_the_beat_stops_at_a_stream_that_is_over(table: str, bus: FakeBus, own: FakeQueue, state: State) -> None:
    stream = recorded(table, state=state).stream
    assert handler(sqs_batch(beat(stream)), None) == told([])
    assert (bus.taken, own.messages) == ([], [])


def test_the_beat_stops_at_a_stream_that_nobody_knows(table: str, bus: FakeBus, own: FakeQueue) -> None:
    assert handler(sqs_batch(beat(a_stream())), None) == told([])
    assert (bus.taken, own.messages) == ([], [])


def test_a_beat_that_the_bus_refused_comes_again_and_the_others_do_not(
    table: str, bus: FakeBus, own: FakeQueue
) -> None:
    refused, taken = recorded(table, "one").stream, recorded(table, "two").stream
    bus.refused = {refused.id}
    assert handler(sqs_batch(beat(refused), beat(taken)), None) == told(["1"])
    assert bus.ids == [taken.id]
    assert len(own.messages) == 1


def test_a_beat_whose_next_could_not_be_sent_comes_again(table: str, bus: FakeBus, own: FakeQueue) -> None:
    own.down = True
    assert handler(sqs_batch(beat(recorded(table).stream)), None) == told(["1"])


def test_a_message_that_cannot_be_read_comes_again_and_shows_nothing(
    own: FakeQueue, capsys: pytest.CaptureFixture[str]
) -> None:
    assert handler(sqs_batch({"stream_id": "canary"}, created(a_stream())), None) == told(["1"])
    assert "canary" not in "".join(capsys.readouterr())


def test_a_second_delivery_asks_for_the_same_beat(table: str, bus: FakeBus, own: FakeQueue) -> None:
    message = sqs_batch(beat(recorded(table).stream, 6))
    assert handler(message, None) == handler(message, None) == told([])
    assert [json.loads(entry["Detail"])["data"]["beat"] for entry in bus.taken] == [7, 7]
