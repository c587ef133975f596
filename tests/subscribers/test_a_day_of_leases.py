"""Leased streams through a day, and through what can happen to them in one: every renewal, every token, their end."""

from collections.abc import Iterable, Iterator
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from headwater.streams import State, Stream
from local.door import Clock
from local.simulators import Simulators, simulators
from local.simulators.overshoot_common import Settings
from tests.subscribers.days import HOP, V02, Day

HOURS = 24
SECONDS = HOURS * 3600
LATE = 1 + 2 * HOP + 5
"""Seconds by which a renewal may come late: a delay is whole seconds, two hops, and what a busy machine takes."""
MEMORY = Path("/dev/shm")  # noqa: S108  # a folder that is made in it has a name of its own
"""The clock is moved tens of thousands of times a day: where there is such a place, not on a disk."""


@pytest.fixture(scope="module")
def file() -> Iterator[Path]:
    """The clock of all that is simulated, and of the functions."""
    with TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as folder:
        yield Path(folder) / "clock"


@pytest.fixture(scope="module")
def simulated(file: Path) -> Iterator[Simulators]:
    with simulators(clock=Clock(file)) as running:
        yield running


@pytest.fixture
def day(simulated: Simulators, file: Path, clients: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> Iterator[Day]:
    monkeypatch.setenv("CLOCK_FILE", str(file))
    monkeypatch.setenv("QUEUE_URL", "own")
    simulated.reset()
    simulated.overshoot.door.configure(**asdict(Settings()))
    yield Day(simulated, clients)
    assert simulated.violations() == []


def opened(day: Day, **body: Any) -> tuple[Stream, Stream]:
    """One of v1beta, one of v0.2."""
    return day.open("v1beta", **body), day.open("v0.2", **body, options=V02)


def refs(streams: Iterable[Stream]) -> set[str | None]:
    """As the provider knows them."""
    return {stream.provider_ref for stream in streams}


@pytest.fixture
def streams(day: Day) -> tuple[Stream, Stream]:
    return opened(day, max_lifetime_seconds=SECONDS)


def lease_of(stream: Stream) -> float:
    """In seconds."""
    assert stream.lease
    return float(stream.lease.ttl_seconds)


def expect_end(day: Day, stream: Stream, kind: str, reason: str) -> None:
    """It is over, which was told once; what opened it is gone, and nobody has called for it since."""
    assert day.kinds(stream) == ["StreamCreated", kind]
    ended = day.record(stream)
    assert (ended.stream.state, ended.stream.state_reason) == (State.ENDED, reason)
    assert ended.ended_at
    assert stream.id not in day.store.sealed
    assert all(renewal.at <= ended.ended_at for renewal in day.renewals(stream))
    assert day.under_way() == 0


def test_a_day_long_leases_are_held_and_then_let_go(day: Day, streams: tuple[Stream, Stream]) -> None:
    day.pass_seconds(SECONDS - 60)
    assert day.alive() == refs(streams)
    day.pass_seconds(600)
    assert day.alive() == set()
    for stream in streams:
        expect_end(day, stream, "StreamExpired", "expired")
        assert stream.expires_at
        late = day.told(stream, "StreamExpired") - stream.expires_at
        assert timedelta(0) <= late <= timedelta(seconds=lease_of(stream))
        # Two thirds, less what a message is late by; the last third never begins.
        renewals = day.renewals(stream)
        assert min(renewal.left for renewal in renewals) > 2 / 3 - LATE / lease_of(stream) > 1 / 3
        assert len(renewals) == len(day.keepalives(stream)) <= SECONDS / (lease_of(stream) / 3)
        # A renewal is not worth an event.
        assert day.record(stream).stream.version == 2


def test_leases_outlive_three_failures_in_a_row_every_hour(day: Day, streams: tuple[Stream, Stream]) -> None:
    hours = 6
    for _ in range(hours):
        for stream in streams:
            # A pause that does not fit is not waited for: each failure is one call.
            away = {"status": 503, "headers": {"Retry-After": "30"}, "containing": f"/{stream.provider_ref}/"}
            day.door.fault("status", "keepStreamAlive", times=3, **away)
        day.pass_seconds(3600)
        assert day.door.faults() == []
    assert day.alive() == refs(streams)
    for stream in streams:
        assert day.kinds(stream) == ["StreamCreated"]
        assert [call.status for call in day.keepalives(stream)].count(503) == 3 * hours
        left = sorted(renewal.left for renewal in day.renewals(stream))
        after_failures, others = left[:hours], left[hours:]
        assert min(after_failures) > 1 / 3 - 2 * LATE / lease_of(stream)
        assert max(after_failures) <= 1 / 3
        assert min(others) > 2 / 3 - LATE / lease_of(stream)


def test_the_newest_token_is_the_one_that_is_kept(day: Day, streams: tuple[Stream, Stream]) -> None:
    day.pass_seconds(600)
    for stream in streams:
        assert len(day.keepalives(stream)) >= 600 // lease_of(stream)
        assert day.token(stream) == day.told_token(stream)


@pytest.mark.parametrize("options", [{}, V02], ids=["v1beta", "v0.2"])
def test_a_token_that_a_caller_has_exchanged_is_the_one_that_is_kept_and_the_lease_is_renewed_with_it(
    day: Day, options: dict[str, Any]
) -> None:
    stream = day.open("key", options=options)
    before = day.token(stream)
    day.pass_seconds(10)
    day.rotate(stream)
    assert before != day.token(stream) == day.told_token(stream)
    assert day.kinds(stream) == ["StreamCreated", "StreamCredentialsRotated"]
    # From then on a third of the lease passes, as ever.
    [rotated] = day.renewals(stream)
    day.pass_until(rotated.at + timedelta(seconds=lease_of(stream) / 3 - 1))
    assert day.renewals(stream) == [rotated]
    day.pass_seconds(1 + LATE)
    assert len(day.renewals(stream)) == 2


def test_renewals_stop_with_the_delete(day: Day) -> None:
    """Whatever is under way just then: they are deleted at each moment of the time around a renewal."""
    day.door.configure(lease_seconds=45)
    streams = [day.open(f"key-{number}") for number in range(40)]
    day.pass_seconds(60)
    for stream in streams:
        day.delete(stream)
        day.pass_seconds(0.5)
    asked = {stream.id: len(day.keepalives(stream)) for stream in streams}
    assert min(asked.values()) >= 60 // 22
    day.pass_seconds(3600)
    assert {stream.id: len(day.keepalives(stream)) for stream in streams} == asked
    for stream in streams:
        expect_end(day, stream, "StreamDeleted", "deleted")


def test_a_renewal_that_nobody_pays_for_ends_the_stream_with_that_reason(
    day: Day, streams: tuple[Stream, Stream]
) -> None:
    day.pass_seconds(3600)
    renewed = {stream.id: len(day.renewals(stream)) for stream in streams}
    day.simulated.overshoot.team.set_credits("main", 0)
    day.pass_seconds(3600)
    assert day.alive() == set()
    for stream in streams:
        expect_end(day, stream, "StreamStateChanged", "provider-payment-required")
        assert [call.status for call in day.keepalives(stream)] == [200] * renewed[stream.id] + [402]


def test_a_stream_that_its_provider_has_ended_is_told_of_once_and_let_be(
    day: Day, streams: tuple[Stream, Stream]
) -> None:
    """By the next renewal, with the reason where there is one to be had: v0.2 only says that it has no such stream."""
    day.pass_seconds(600)
    for stream in streams:
        day.end_at_the_provider(stream)
    day.pass_seconds(600)
    newer, older = streams
    expect_end(day, newer, "StreamStateChanged", "deleted")
    assert day.kinds(older) == ["StreamCreated", "StreamLost"]
    assert [call.status for stream in streams for call in day.keepalives(stream)].count(404) == 2
    assert day.under_way() == 0


def test_a_lease_that_ran_out_since_nobody_renewed_it_ends_the_stream_with_what_the_provider_says(
    day: Day, streams: tuple[Stream, Stream]
) -> None:
    """Every message was lost, and whoever sweeps comes too late: that was not asked for, so it is no expiry."""
    day.pass_seconds(60)
    day.lose_messages()
    day.pass_seconds(400)
    assert day.sweep() == 2
    day.pass_seconds(60)
    newer, older = streams
    expect_end(day, newer, "StreamStateChanged", "expired")
    assert day.kinds(older) == ["StreamCreated", "StreamLost"]
    assert (day.alive(), day.sweep()) == (set(), 0)


def test_whoever_sweeps_holds_a_lease_whose_messages_were_lost(day: Day) -> None:
    stream = day.open("key")
    day.pass_seconds(60)
    day.lose_messages()
    for _ in range(30):
        day.pass_seconds(60)
        day.sweep()
    assert day.alive() == {stream.provider_ref}
    assert min(renewal.left for renewal in day.renewals(stream)) > 1 / 3 - (60 + LATE) / 300


# ---- leases that their callers hold


def test_whoever_holds_a_lease_alone_is_not_helped_and_lets_go_by_doing_nothing(day: Day) -> None:
    streams = opened(day, lease={"managed": False})
    for stream in streams:
        assert stream.lease
        assert (stream.lease.managed, stream.expires_at) == (False, None)
        day.pass_until(stream.lease.expires_at)
    assert day.under_way() == 0
    assert [day.kinds(stream) for stream in streams] == [["StreamCreated"]] * 2
    day.pass_seconds(60)
    assert day.sweep() == 2
    day.pass_seconds(60)
    for stream in streams:
        expect_end(day, stream, "StreamExpired", "lease-expired")
        assert day.keepalives(stream) == []
    assert (day.alive(), day.sweep()) == (set(), 0)


def test_what_the_provider_ends_before_its_caller_let_go_has_not_expired(day: Day) -> None:
    newer, older = opened(day, lease={"managed": False})
    day.pass_seconds(10)
    for stream in (newer, older):
        day.end_at_the_provider(stream)
        day.look_at(stream)
    expect_end(day, newer, "StreamStateChanged", "deleted")
    assert day.kinds(older) == ["StreamCreated", "StreamLost"]


def test_whoever_holds_a_lease_alone_holds_it_for_as_long_as_they_like(day: Day) -> None:
    streams = opened(day, lease={"managed": False})
    for _ in range(60):
        day.pass_seconds(30)
        day.sweep()
        for stream in streams:
            day.keep_alive(stream)
    assert day.alive() == refs(streams)
    for stream in streams:
        assert day.kinds(stream) == ["StreamCreated"]
        assert len(day.keepalives(stream)) == 60


def test_a_lease_that_its_caller_holds_ends_with_the_lifetime_all_the_same(day: Day) -> None:
    streams = opened(day, lease={"managed": False}, max_lifetime_seconds=120)
    for _ in range(8):
        day.pass_seconds(30)
        for stream in streams:
            if day.record(stream).stream.state is State.READY:
                day.keep_alive(stream)
    assert day.alive() == set()
    for stream in streams:
        expect_end(day, stream, "StreamExpired", "expired")
