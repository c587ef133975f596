"""Leases are held and lifetimes end: the arithmetic of beats on a simulated clock, and the function around it."""

import heapq
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count, pairwise
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


def stream(ttl: int | None = None, lifetime: int | None = None, managed: bool = True) -> StreamSeen:
    return StreamSeen(
        id="str_1",
        provider="fake",
        lease=LeaseSeen(ttl_seconds=ttl, renewed_at=BEGIN, managed=managed) if ttl else None,
        expires_at=BEGIN + timedelta(seconds=lifetime) if lifetime else None,
    )


@dataclass
class Simulation:
    """A stream at its provider, its record, a queue that delays, and a clock that jumps from message to message.

    ``late``: seconds by which a message comes late. ``begins``: whether what is asked for is begun at once, or never.
    ``succeeds``: whether a renewal does. ``copies``: how often a message is delivered.
    """

    stream: StreamSeen
    late: Callable[[], float] = lambda: 0.0
    begins: Callable[[], bool] = lambda: True
    succeeds: Callable[[], bool] = lambda: True
    copies: Callable[[], int] = lambda: 1
    delays: list[int] = field(default_factory=list)
    asked: list[int] = field(default_factory=list)
    """The beats that a renewal was asked for, repetitions included."""
    renewed: list[float] = field(default_factory=list)
    """When each renewal was begun."""
    margins: list[float] = field(default_factory=list)
    """How much of the lease was left at each renewal that succeeded, in parts of it; below 0 it had run out."""
    ended_at: float | None = None
    over: float = 0.0
    _messages: list[tuple[float, int, Beat]] = field(default_factory=list)
    _number: "count[int]" = field(default_factory=count)

    @property
    def renewals(self) -> int:
        return len(self.renewed)

    @property
    def ran_out(self) -> bool:
        """Whether a renewal came too late, or the last one is too long ago."""
        return min(self.margins, default=1) <= 0 or self._left(self.over) <= 0

    def run(self, seconds: float) -> "Simulation":
        """Let so much time pass."""
        self.over = seconds
        self._carry_out(0.0, first(self.stream, BEGIN))
        while self._messages and self._messages[0][0] <= seconds and self.ended_at is None:
            moment, _, beat = heapq.heappop(self._messages)
            self._carry_out(moment, following(beat, self.stream, BEGIN + timedelta(seconds=moment)))
        return self

    def _carry_out(self, moment: float, step: Step) -> None:
        if step.reason == "renew":
            assert step.delay, "it would be asked for again at once, and for ever"
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
        assert self.stream.lease
        self.asked.append(beat)
        if beat <= self.stream.lease.beat or not self.begins():
            return
        self._record(beat=beat)
        self.renewed.append(moment)
        if self.succeeds():
            self.margins.append(self._left(moment))
            self._record(renewed_at=BEGIN + timedelta(seconds=moment))

    def _left(self, moment: float) -> float:
        """Of the lease, in parts of it."""
        lease = self.stream.lease
        if lease is None:
            return 1
        return 1 - (BEGIN + timedelta(seconds=moment) - lease.renewed_at) / timedelta(seconds=lease.ttl_seconds)

    def _record(self, **update: Any) -> None:
        assert self.stream.lease
        self.stream = self.stream.model_copy(update={"lease": self.stream.lease.model_copy(update=update)})


LEASES = st.integers(20, 3600)


@given(LEASES, st.data())
def test_a_lease_never_runs_out_while_renewals_succeed(ttl: int, data: st.DataObject) -> None:
    lateness = st.floats(0, ttl / 2 - 1)
    simulation = Simulation(stream(ttl), late=lambda: data.draw(lateness)).run(10 * ttl)
    assert simulation.renewals >= 10
    assert not simulation.ran_out


@given(st.integers(45, 3600), st.data())
def test_a_lease_is_held_to_well_before_its_last_third_while_renewals_succeed(ttl: int, data: st.DataObject) -> None:
    lateness = st.floats(0, ttl / 9)
    simulation = Simulation(stream(ttl), late=lambda: data.draw(lateness)).run(10 * ttl)
    # Two messages may be late, the one that looks and the one that asks, and a delay is whole seconds.
    assert min(simulation.margins) >= 2 / 3 - 1 / 9 - 1 / ttl - 1e-6


@given(LEASES, st.data())
def test_a_lease_outlives_three_failures_in_a_row(ttl: int, data: st.DataObject) -> None:
    failed = 0

    def succeeds() -> bool:
        nonlocal failed
        failed = 0 if failed == 3 or data.draw(st.booleans()) else failed + 1
        return failed == 0

    lateness = st.floats(0, ttl / 20)
    simulation = Simulation(stream(ttl), late=lambda: data.draw(lateness), succeeds=succeeds).run(10 * ttl)
    assert simulation.renewals >= 10
    assert not simulation.ran_out


@pytest.mark.parametrize("ttl", [20, 45, 300])
def test_of_four_renewals_three_may_fail_for_ever(ttl: int) -> None:
    outcomes = count()
    simulation = Simulation(stream(ttl), succeeds=lambda: next(outcomes) % 4 == 3).run(100 * ttl)
    assert simulation.renewals >= 4 * 100
    assert not simulation.ran_out


@pytest.mark.parametrize(("ttl", "asked"), [(45, [15, 20, 25, 30]), (300, [100, 134, 167, 200])])
def test_the_fourth_renewal_comes_as_the_last_third_begins(ttl: int, asked: list[float]) -> None:
    outcomes = count()
    simulation = Simulation(stream(ttl), succeeds=lambda: next(outcomes) == 3).run(ttl)
    assert simulation.renewed[:4] == asked
    assert simulation.margins == [pytest.approx(1 / 3)]


@pytest.mark.parametrize("ttl", [45, 300])
def test_being_late_does_not_add_up(ttl: int) -> None:
    """Each message comes two thirds of a part late: one that would then come at once is left out."""
    part = ttl / 9
    late = Simulation(stream(ttl), late=lambda: part * 2 / 3, succeeds=lambda: False).run(0.99 * ttl).renewed
    assert [round((moment - ttl / 3) / part - 2 / 3) for moment in late[:3]] == [0, 2, 4]


def test_a_lease_that_has_passed_is_asked_for_less_often() -> None:
    simulation = Simulation(stream(45), succeeds=lambda: False).run(150)
    assert simulation.renewed == [15, 20, 25, 30, 35, 40, 45, 60, 75, 90, 105, 120, 135, 150]


def test_the_simulation_would_notice_a_lease_that_ran_out() -> None:
    assert Simulation(stream(45), succeeds=lambda: False).run(100).ran_out
    assert Simulation(stream(45, managed=False)).run(100).ran_out
    assert Simulation(stream(45), late=lambda: 31.0).run(450).ran_out


@given(LEASES)
def test_a_provider_is_asked_no_more_often_than_three_times_a_lease(ttl: int) -> None:
    simulation = Simulation(stream(ttl)).run(10 * ttl)
    assert simulation.renewals <= 30
    # One to ask and one to look.
    assert len(simulation.delays) <= 2 * simulation.renewals + 2


@given(LEASES, st.integers(1, 40))
def test_a_renewal_that_is_not_begun_is_asked_for_again_and_is_one_renewal(ttl: int, waiting: int) -> None:
    outcomes = count()
    simulation = Simulation(stream(ttl), begins=lambda: next(outcomes) == waiting).run((2 + waiting) * ttl)
    assert simulation.asked[: waiting + 1] == [1] * (waiting + 1)


def test_whoever_holds_a_lease_alone_is_left_alone() -> None:
    simulation = Simulation(stream(45, managed=False)).run(3600)
    assert (simulation.asked, simulation.delays) == ([], [])


def test_the_lifetime_of_a_stream_whose_caller_holds_the_lease_ends_all_the_same() -> None:
    simulation = Simulation(stream(45, lifetime=3600, managed=False)).run(3700)
    assert (simulation.asked, simulation.ended_at) == ([], 3600)


@pytest.mark.parametrize("ahead_by", [-2, 0, 2])
def test_a_renewal_is_seen_to_have_come_through_though_clocks_differ(ahead_by: int) -> None:
    """Two functions may not have the very same time, nor may the lease be counted from the very moment."""
    asked_at = BEGIN + timedelta(seconds=15)
    lease = LeaseSeen(ttl_seconds=45, renewed_at=asked_at + timedelta(seconds=ahead_by), beat=1)
    renewed = stream(45).model_copy(update={"lease": lease})
    message = Beat(stream_id="str_1", provider="fake", number=1, asked_at=asked_at)
    step = following(message, renewed, asked_at + timedelta(seconds=5))
    assert (step.reason, step.delay) == (None, 10 + ahead_by)


def test_a_renewal_that_a_sweep_began_is_given_its_time() -> None:
    """As if we had asked for it: then we ask for the next."""
    seen = stream(45).lease
    assert seen
    begun = stream(45).model_copy(update={"lease": seen.model_copy(update={"beat": 3})})
    message = Beat(stream_id="str_1", provider="fake", number=2, asked_at=BEGIN + timedelta(seconds=25))
    step = following(message, begun, BEGIN + timedelta(seconds=30))
    assert (step.reason, step.delay, step.beat.number) == (None, 5, 3)
    step = following(step.beat, begun, BEGIN + timedelta(seconds=35))
    assert (step.reason, step.delay, step.beat.number) == ("renew", 5, 4)


@given(st.one_of(st.none(), LEASES), st.integers(60, 30 * 86_400), st.data())
def test_a_lifetime_ends_when_it_should_and_not_before(ttl: int | None, lifetime: int, data: st.DataObject) -> None:
    lifetime = min(lifetime, 200 * (ttl or 3600))
    lateness = st.floats(0, 3)
    simulation = Simulation(stream(ttl, lifetime), late=lambda: data.draw(lateness)).run(lifetime + 100)
    assert simulation.ended_at is not None
    # A delay is whole seconds, and each message may come late.
    assert lifetime <= simulation.ended_at <= lifetime + 1 + 3


@pytest.mark.parametrize("ttl", [1, 2, 5, 9])
def test_a_lease_of_seconds_is_asked_for_once_a_second_at_most(ttl: int) -> None:
    simulation = Simulation(stream(ttl), succeeds=lambda: False).run(10 * ttl)
    assert all(later - moment >= 1 for moment, later in pairwise(simulation.renewed))


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
    assert simulation.renewals <= 15
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


def a_lease(ago: float = 0, **changes: Any) -> Lease:
    """Of five minutes, renewed so many seconds ago."""
    renewed_at = now() - timedelta(seconds=ago)
    return Lease(ttl_seconds=300, expires_at=renewed_at + timedelta(seconds=300), renewed_at=renewed_at, **changes)


def recorded(table: str, key: str = "key", **changes: Any) -> Record:
    """A settled record in the table."""
    store = Table(aws.client("dynamodb"), table)
    claimed = a_claimed_record(key)
    assert store.claim(claimed) is None
    update = {"state": State.READY, "provider_ref": "ref-1", "version": 1, "lease": a_lease(101, beat=6), **changes}
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


def beat(stream: Stream, number: int = 6, asked_at: datetime | None = None) -> dict[str, Any]:
    message = Beat(stream_id=stream.id, provider=stream.provider, number=number, asked_at=asked_at)
    told: dict[str, Any] = json.loads(message.model_dump_json())
    return told


def told(failed: list[str]) -> dict[str, Any]:
    return {"batchItemFailures": [{"itemIdentifier": number} for number in failed]}


@pytest.mark.parametrize(("ago", "delay"), [(0, 100), (30, 70), (200, 0)])
def test_a_created_stream_with_a_lease_is_looked_after_when_a_third_of_it_has_passed(
    own: FakeQueue, ago: int, delay: int
) -> None:
    """However late its event comes."""
    assert handler(sqs_batch(created(a_stream(lease=a_lease(ago)))), None) == told([])
    (message,) = own.messages
    assert message["QueueUrl"] == "own"
    assert delay - 1 <= message["DelaySeconds"] <= delay
    assert json.loads(message["MessageBody"])["number"] == 0


def test_a_created_stream_whose_caller_holds_the_lease_is_let_be(own: FakeQueue) -> None:
    assert handler(sqs_batch(created(a_stream(lease=a_lease(managed=False)))), None) == told([])
    assert own.messages == []


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
    """To look, after a ninth of the lease, whether the renewal came through."""
    stream = recorded(table).stream
    assert handler(sqs_batch(beat(stream, 6)), None) == told([])
    (message,) = own.messages
    following_beat = Beat.model_validate_json(message["MessageBody"])
    assert following_beat.number == 7
    assert following_beat.asked_at
    assert 32 <= message["DelaySeconds"] <= 33


def test_a_renewal_that_came_through_leaves_the_rest_of_a_third(table: str, bus: FakeBus, own: FakeQueue) -> None:
    stream = recorded(table, lease=a_lease(33, beat=7)).stream
    asked_at = now() - timedelta(seconds=34)
    assert handler(sqs_batch(beat(stream, 7, asked_at)), None) == told([])
    assert bus.taken == []
    assert 66 <= own.messages[0]["DelaySeconds"] <= 67


def test_a_renewal_that_did_not_come_through_is_asked_for_anew(table: str, bus: FakeBus, own: FakeQueue) -> None:
    stream = recorded(table, lease=a_lease(134, beat=7)).stream
    asked_at = now() - timedelta(seconds=34)
    assert handler(sqs_batch(beat(stream, 7, asked_at)), None) == told([])
    assert json.loads(bus.taken[0]["Detail"])["data"]["beat"] == 8
    assert 32 <= own.messages[0]["DelaySeconds"] <= 33


def test_a_beat_that_is_not_due_only_waits_on(table: str, bus: FakeBus, own: FakeQueue) -> None:
    lease = a_lease().model_copy(update={"ttl_seconds": 6000})
    stream = recorded(table, lease=lease).stream
    assert handler(sqs_batch(beat(stream)), None) == told([])
    assert bus.taken == []
    assert own.messages[0]["DelaySeconds"] == LONGEST_DELAY


def test_a_beat_of_before_a_deployment_is_understood(table: str, bus: FakeBus, own: FakeQueue) -> None:
    stream = recorded(table).stream
    older = {"stream_id": stream.id, "provider": stream.provider, "number": 6, "renew_at": now().isoformat()}
    assert handler(sqs_batch(older), None) == told([])
    assert json.loads(bus.taken[0]["Detail"])["data"]["beat"] == 7


def test_a_lease_that_its_caller_holds_is_not_renewed(table: str, bus: FakeBus, own: FakeQueue) -> None:
    ends = now() + timedelta(seconds=600)
    stream = recorded(table, lease=a_lease(250, managed=False), expires_at=ends).stream
    assert handler(sqs_batch(beat(stream)), None) == told([])
    assert bus.taken == []
    assert 599 <= own.messages[0]["DelaySeconds"] <= 600


def test_a_lifetime_that_is_over_is_asked_to_be_ended(table: str, bus: FakeBus, own: FakeQueue) -> None:
    stream = recorded(table, expires_at=now() - timedelta(seconds=1)).stream
    assert handler(sqs_batch(beat(stream, 6)), None) == told([])
    (asked,) = bus.taken
    wanted = {"provider": "fake", "stream_id": stream.id, "reason": "expire", "beat": None}
    assert json.loads(asked["Detail"])["data"] == wanted
    assert own.messages[0]["DelaySeconds"] == 60


def test_a_lifetime_is_over_by_business_time(
    table: str, bus: FakeBus, own: FakeQueue, ahead: Callable[[float], None]
) -> None:
    stream = recorded(table, lease=None, expires_at=now() + timedelta(seconds=3600)).stream
    ahead(3000)
    assert handler(sqs_batch(beat(stream)), None) == told([])
    assert bus.taken == []
    assert 599 <= own.messages[0]["DelaySeconds"] <= 600
    ahead(3601)
    assert handler(sqs_batch(beat(stream)), None) == told([])
    assert json.loads(bus.taken[0]["Detail"])["data"]["reason"] == "expire"


def test_a_created_stream_s_first_beat_is_counted_from_business_time(
    own: FakeQueue, ahead: Callable[[float], None]
) -> None:
    ahead(3000)
    assert handler(sqs_batch(created(a_stream(expires_at=now() + timedelta(seconds=3600)))), None) == told([])
    assert 599 <= own.messages[0]["DelaySeconds"] <= 600


@pytest.mark.parametrize("state", [State.ENDING, State.ENDED, State.LOST, State.FAILED])
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
