"""What has our mark and no record: what is told of it, and how much must come together before it is removed."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from headwater.deadline import Deadline
from headwater.errors import ProviderOutcomeUnknown, ProviderUnavailable
from headwater.orphan_search import LOOKS, REMOVALS, OrphanSearch
from headwater.orphans import MEMORY, PAUSE, Done, Orphan, Why
from headwater.streams import State
from tests.unit.fakes import INVOCATION_SECONDS, a_claimed_record
from tests.unit.fakes_orphans import DAY, HOUR, Orphanage


@pytest.fixture
def world() -> Orphanage:
    return Orphanage()


def ripen(world: Orphanage) -> None:
    """Let a day pass since what was just put there was first seen, for it was too young at first."""
    world.search_for(DAY)
    world.clock.advance(HOUR)


@pytest.fixture
def ripe(world: Orphanage) -> Orphanage:
    """An orphan that has been seen for a day and a stream that is as it should be; the next search may remove one."""
    world.put("lost")
    world.stand("kept")
    ripen(world)
    world.provider.calls.clear()
    world.told.clear()
    return world


def refs(orphans: list[Orphan]) -> list[str]:
    return [orphan.ref for orphan in orphans]


def only(orphans: list[Orphan]) -> Orphan:
    [orphan] = orphans
    return orphan


def change(world: Orphanage, key: str, *, ended_before: float = HOUR, **stream: Any) -> None:
    """Another worker has written the record of the key's stream."""
    record = world.record(key)
    ended_at = world.clock() - timedelta(seconds=ended_before)
    world.store.touch(record.stream.id, stream=record.stream.model_copy(update=stream), ended_at=ended_at)


# ---- what is one


def test_what_has_no_record_is_told(world: Orphanage) -> None:
    ref = world.put("lost", age=HOUR)
    report = world.search()
    orphan = only(report.orphans)
    assert (orphan.ref, orphan.stream_id, orphan.why) == (ref, world.id_of("lost"), Why.NO_RECORD)
    assert (orphan.created_at, orphan.first_seen) == (world.clock() - timedelta(hours=1), world.clock())
    assert (orphan.done, orphan.note, orphan.sightings) == (Done.REPORTED, None, 1)
    assert world.told == report.orphans
    assert (report.marked, report.recorded, report.complete) == (1, 0, True)


def test_what_is_recorded_is_none(world: Orphanage) -> None:
    world.stand("key")
    world.clock.advance(HOUR)
    report = world.search()
    assert (report.orphans, report.marked, report.recorded) == ([], 1, 1)
    assert world.sightings.writes == 0


def test_what_an_attempt_is_at_is_none_even_if_it_is_dead(world: Orphanage) -> None:
    world.put("key", age=30 * DAY)
    world.store.claim(a_claimed_record("key", world.clock() - timedelta(days=30)))
    assert world.search().orphans == []


def test_what_was_made_a_moment_ago_is_not_told_yet(world: Orphanage) -> None:
    world.put("key", age=14 * 60)
    report = world.search()
    assert (report.orphans, report.young, world.sightings.writes) == ([], 1, 0)
    world.clock.advance(61)
    assert only(world.search().orphans).why is Why.NO_RECORD


def test_an_orphan_ages_by_business_time(world: Orphanage) -> None:
    world.put("key", age=14 * 60)
    world.moved = timedelta(seconds=61)
    orphan = only(world.search().orphans)
    assert orphan.first_seen == world.clock() + world.moved


def test_what_is_of_unknown_age_is_told(world: Orphanage) -> None:
    world.put("key", age=None)
    assert only(world.search().orphans).created_at is None


def test_another_deployment_s_and_what_bears_no_mark_are_not_seen(world: Orphanage) -> None:
    world.put("theirs", "another-deployment", age=2 * DAY)
    world.put("nobody-s", None, age=2 * DAY)
    report = world.search_for(3 * DAY, removes=True)
    assert (report.marked, report.orphans) == (0, [])
    assert len(world.provider.shelf) == 2


def test_beside_the_recorded_resource_a_second_one_is_told(world: Orphanage) -> None:
    world.stand("key")
    ref = world.put("key", age=HOUR)
    world.clock.advance(HOUR)
    orphan = only(world.search().orphans)
    assert (orphan.ref, orphan.why) == (ref, Why.ANOTHER)


@pytest.mark.parametrize("state", [State.ENDED, State.LOST, State.FAILED])
def test_what_outlives_its_stream_is_told(world: Orphanage, state: State) -> None:
    world.stand("key")
    world.clock.advance(HOUR)
    change(world, "key", state=state)
    assert only(world.search().orphans).why.value == state.value


@pytest.mark.parametrize("state", [State.ENDED, State.LOST, State.FAILED])
def test_what_may_be_going_just_now_is_not_told(world: Orphanage, state: State) -> None:
    world.stand("key")
    world.clock.advance(HOUR)
    change(world, "key", state=state, ended_before=14 * 60)
    assert world.search().orphans == []


@pytest.mark.parametrize("state", [State.ENDING, State.LIVE, State.PROVISIONING])
def test_what_is_alive_is_none(world: Orphanage, state: State) -> None:
    world.stand("key")
    world.clock.advance(HOUR)
    change(world, "key", state=state)
    assert world.search().orphans == []


def test_what_outlives_its_record_is_one_like_any(world: Orphanage) -> None:
    world.stand("key")
    change(world, "key", state=State.ENDED)
    world.clock.advance(31 * DAY)
    assert only(world.search().orphans).why is Why.NO_RECORD


def test_where_nothing_is_marked_nothing_is_asked(world: Orphanage) -> None:
    world.provider.marks = False  # type: ignore[misc] # of this one alone
    report = world.search()
    assert (report.marks, report.orphans, world.provider.calls) == (False, [], [])


def test_a_resource_that_is_listed_twice_is_one(world: Orphanage, monkeypatch: pytest.MonkeyPatch) -> None:
    world.put("key", age=HOUR)
    listed = world.provider.marked
    monkeypatch.setattr(world.provider, "marked", lambda *given: [*listed(*given), *listed(*given)])
    assert world.search().marked == 1


# ---- sightings


def test_a_sighting_counts_once_in_half_an_hour(world: Orphanage) -> None:
    world.put("key", age=HOUR)
    counts = []
    for seconds in (0, 60, PAUSE.total_seconds() - 61, 1):
        world.clock.advance(seconds)
        counts.append(only(world.search().orphans).sightings)
    assert counts == [1, 1, 1, 2]


def test_of_two_searches_at_once_one_counts(world: Orphanage) -> None:
    world.put("key", age=HOUR)
    world.search()
    world.clock.advance(HOUR)

    def another() -> None:
        world.clock.advance(0.001)
        world.search()

    world.sightings.meanwhile("keep", another)
    assert only(world.search().orphans).sightings == 1
    assert [sighting.sightings for sighting in world.sightings.kept.values()] == [2]


def test_what_was_not_seen_for_days_is_seen_for_the_first_time_again(world: Orphanage) -> None:
    world.put("key", age=HOUR)
    world.search()
    world.clock.advance(MEMORY.total_seconds())
    orphan = only(world.search().orphans)
    assert (orphan.sightings, orphan.first_seen) == (1, world.clock())


def test_what_has_a_record_again_is_forgotten(ripe: Orphanage) -> None:
    record = a_claimed_record("lost", ripe.clock())
    ripe.store.claim(record)
    ripe.search(removes=True)
    assert ripe.sightings.kept == {}
    del ripe.store.records[record.stream.id]
    ripe.clock.advance(HOUR)
    assert only(ripe.search(removes=True).orphans).sightings == 1


def test_a_sighting_of_another_stream_s_mark_does_not_count(ripe: Orphanage) -> None:
    ripe.provider.shelf["ref-of-lost"].stream_id = ripe.id_of("another")
    assert only(ripe.search(removes=True).orphans).sightings == 1


# ---- removal


def test_what_was_seen_for_a_day_is_removed_where_that_is_on(ripe: Orphanage) -> None:
    ripe.provider.remains = "Recordings."
    orphan = only(ripe.search(removes=True).orphans)
    assert (orphan.ref, orphan.done, orphan.note) == ("ref-of-lost", Done.REMOVED, "Recordings.")
    assert list(ripe.provider.shelf) == ["ref-1"]
    assert ripe.counted.count("OrphanRemoved") == 1
    assert ripe.told == [orphan]


def test_by_default_nothing_is_removed_or_even_asked(ripe: Orphanage) -> None:
    assert only(ripe.search().orphans).done is Done.REPORTED
    assert ripe.provider.calls == ["marked"]


def test_an_ended_stream_s_resource_is_removed(world: Orphanage) -> None:
    world.stand("key")
    world.clock.advance(HOUR)
    change(world, "key", state=State.ENDED)
    assert world.search_for(2 * DAY, removes=True).orphans == []
    assert world.provider.shelf == {}


@pytest.mark.parametrize("state", [State.LOST, State.FAILED])
def test_the_resource_of_a_stream_that_is_lost_or_failed_is_kept(world: Orphanage, state: State) -> None:
    world.stand("key")
    world.clock.advance(HOUR)
    change(world, "key", state=state)
    assert only(world.search_for(3 * DAY, removes=True).orphans).done is Done.KEPT
    assert "connected" not in world.provider.calls


def test_what_has_become_an_orphan_for_another_reason_is_counted_anew(world: Orphanage) -> None:
    ref = world.stand("key")
    change(world, "key", state=State.LOST)
    ripen(world)
    change(world, "key", state=State.ENDED)
    orphan = only(world.search(removes=True).orphans)
    assert (orphan.why, orphan.done, orphan.sightings) == (Why.ENDED, Done.KEPT, 1)
    assert ref in world.provider.shelf


def test_a_second_resource_of_a_stream_that_is_alive_is_kept(world: Orphanage) -> None:
    world.stand("key")
    world.put("key")
    assert only(world.search_for(3 * DAY, removes=True).orphans).done is Done.KEPT
    assert len(world.provider.shelf) == 2


def test_one_sighting_removes_nothing_however_old_it_is(world: Orphanage) -> None:
    world.put("lost", age=30 * DAY)
    assert only(world.search(removes=True).orphans).note == "it has not been seen for a day yet"
    assert "ref-of-lost" in world.provider.shelf


def test_two_sightings_within_a_minute_remove_nothing(world: Orphanage) -> None:
    world.put("lost", age=30 * DAY)
    world.search(removes=True)
    world.clock.advance(60)
    assert only(world.search(removes=True).orphans).done is Done.KEPT


def test_two_sightings_remove_nothing_unless_a_day_lies_between(world: Orphanage) -> None:
    world.put("lost", age=30 * DAY)
    assert only(world.search_for(DAY - HOUR, removes=True).orphans).done is Done.KEPT
    world.clock.advance(HOUR)
    assert only(world.search(removes=True).orphans).done is Done.REMOVED


def test_what_is_younger_than_a_day_is_kept(world: Orphanage, monkeypatch: pytest.MonkeyPatch) -> None:
    world.put("lost", age=20 * 60)
    assert only(world.search_for(DAY - HOUR, removes=True).orphans).note == "it was made less than a day ago"


def test_what_is_of_unknown_age_is_kept(world: Orphanage) -> None:
    world.put("lost", age=None)
    orphan = only(world.search_for(3 * DAY, removes=True).orphans)
    assert (orphan.done, orphan.note) == (Done.KEPT, "the provider does not say when it was made")


@pytest.mark.parametrize(
    ("connected", "note"),
    [(True, "somebody sends to it"), (None, "it cannot be told whether somebody sends to it")],
)
def test_what_somebody_sends_to_is_kept_and_what_cannot_be_told_of(
    ripe: Orphanage, connected: bool | None, note: str
) -> None:
    ripe.provider.shelf["ref-of-lost"].connected = connected
    orphan = only(ripe.search(removes=True).orphans)
    assert (orphan.done, orphan.note) == (Done.KEPT, note)
    assert "remove" not in ripe.provider.calls


def test_at_most_ten_are_removed_in_a_run_the_oldest_first(world: Orphanage) -> None:
    for number in range(11):
        world.put(f"lost-{number}", age=number)
    ripen(world)
    done = [orphan.done for orphan in world.search(removes=True).orphans]
    assert done == [Done.REMOVED] * REMOVALS + [Done.KEPT]
    assert list(world.provider.shelf) == ["ref-of-lost-0"]
    assert REMOVALS == 10
    assert only(world.search(removes=True).orphans).done is Done.REMOVED


def test_what_could_not_be_removed_counts_too(world: Orphanage) -> None:
    for number in range(11):
        world.put(f"lost-{number}")
    ripen(world)
    world.provider.fail("remove", ProviderOutcomeUnknown("silence"), carried_out=True, times=10)
    report = world.search(removes=True)
    assert [orphan.done for orphan in report.orphans] == [Done.KEPT] * 11
    assert len(world.provider.shelf) == 1
    assert {trouble.error for trouble in report.troubles} == {"provider-outcome-unknown"}
    assert "OrphanRemoved" not in world.counted


def test_what_is_recorded_between_the_list_and_the_removal_is_kept(ripe: Orphanage) -> None:
    ripe.provider.meanwhile("connected", lambda: ripe.store.claim(a_claimed_record("lost", ripe.clock())))
    orphan = only(ripe.search(removes=True).orphans)
    assert (orphan.done, orphan.note) == (Done.KEPT, "it was recorded meanwhile")


def test_what_somebody_connects_to_after_the_list_is_kept(ripe: Orphanage) -> None:
    ripe.provider.meanwhile("marked", lambda: setattr(ripe.provider.shelf["ref-of-lost"], "connected", True))
    assert only(ripe.search(removes=True).orphans).note == "somebody sends to it"


def test_a_mark_that_is_no_stream_s_id_removes_nothing(world: Orphanage) -> None:
    world.provider.shelf[world.put("lost")].stream_id = "str_1"
    assert only(world.search_for(3 * DAY, removes=True).orphans).done is Done.KEPT


# ---- a restored table


@pytest.mark.parametrize("connected", [True, False])
def test_a_restored_table_costs_nobody_a_resource(world: Orphanage, connected: bool) -> None:
    """Nor one that nobody sends to just now: its owner holds its key."""
    for number in range(3):
        world.provider.shelf[world.stand(f"key-{number}")].connected = connected
    world.search_for(2 * DAY, removes=True)
    world.lose_records()
    report = world.search_for(5 * DAY, removes=True)
    assert [orphan.done for orphan in report.orphans] == [Done.KEPT] * 3
    assert len(world.provider.shelf) == 3
    assert "remove" not in world.provider.calls


def test_what_is_lost_after_the_table_was_restored_is_removed(world: Orphanage) -> None:
    world.lose_records()
    world.search()
    world.clock.advance(1)
    world.put("lost")
    assert world.search_for(2 * DAY, removes=True).orphans == []


def test_what_was_recorded_in_the_old_table_until_the_new_one_took_over_is_kept(world: Orphanage) -> None:
    """The restored table may be older than what was made while nobody used it yet; no search knew it then."""
    world.lose_records()
    world.put("key")
    world.clock.advance(HOUR)
    assert only(world.search_for(5 * DAY, removes=True).orphans).done is Done.KEPT


def test_a_dry_run_is_no_first_search(world: Orphanage) -> None:
    world.lose_records()
    world.search(dry_run=True)
    assert world.sightings.searched_since is None


# ---- a dry run


def test_a_dry_run_changes_nothing_and_says_what_would_be_done(ripe: Orphanage) -> None:
    before, writes = dict(ripe.sightings.kept), ripe.sightings.writes
    report = ripe.search(removes=True, dry_run=True)
    assert (only(report.orphans).done, report.dry_run) == (Done.WOULD_BE_REMOVED, True)
    assert (ripe.sightings.kept, ripe.sightings.writes) == (before, writes)
    assert len(ripe.provider.shelf) == 2
    assert set(ripe.provider.calls) == {"marked", "connected"}


def test_a_dry_run_where_removal_is_off_says_what_stands_in_its_way(ripe: Orphanage) -> None:
    orphan = only(ripe.search(dry_run=True).orphans)
    assert (orphan.done, orphan.note) == (Done.REPORTED, "removal is off")
    ripe.provider.shelf["ref-of-lost"].connected = True
    orphan = only(ripe.search(dry_run=True).orphans)
    assert (orphan.done, orphan.note) == (Done.KEPT, "somebody sends to it")


def test_a_dry_run_forgets_nothing(ripe: Orphanage) -> None:
    ripe.store.claim(a_claimed_record("lost", ripe.clock()))
    ripe.search(removes=True, dry_run=True)
    assert len(ripe.sightings.kept) == 1


def test_dry_runs_are_no_sightings(world: Orphanage) -> None:
    world.put("lost", age=30 * DAY)
    for _ in range(3):
        world.search(removes=True, dry_run=True)
        world.clock.advance(DAY)
    assert only(world.search(removes=True).orphans).sightings == 1


def test_a_dry_run_would_remove_ten_as_well(world: Orphanage) -> None:
    for number in range(11):
        world.put(f"lost-{number}")
    ripen(world)
    done = [orphan.done for orphan in world.search(removes=True, dry_run=True).orphans]
    assert done.count(Done.WOULD_BE_REMOVED) == 10


# ---- trouble, and the end of time


def fail_to_list(world: Orphanage) -> None:
    world.provider.fail("marked", ProviderUnavailable("later"))


def test_a_provider_that_does_not_list_fails_the_search(ripe: Orphanage) -> None:
    fail_to_list(ripe)
    with pytest.raises(ProviderUnavailable):
        ripe.search(removes=True)


def unreadable_record(world: Orphanage, monkeypatch: pytest.MonkeyPatch) -> None:
    load = world.store.load

    def broken(stream_id: str) -> Any:
        if stream_id == world.id_of("lost-0"):
            raise ConnectionError("https://secret@host")
        return load(stream_id)

    monkeypatch.setattr(world.store, "load", broken)


def unaskable(world: Orphanage, monkeypatch: pytest.MonkeyPatch) -> None:
    world.provider.fail("connected", ProviderUnavailable("later"))


def unkeepable(world: Orphanage, monkeypatch: pytest.MonkeyPatch) -> None:
    world.sightings.fail("keep", ConnectionError("later"))


def unremovable(world: Orphanage, monkeypatch: pytest.MonkeyPatch) -> None:
    world.provider.fail("remove", ProviderUnavailable("later"))


@pytest.mark.parametrize(
    ("trouble", "removed"),
    [(unreadable_record, 2), (unaskable, 2), (unremovable, 2), (unkeepable, 2)],
)
def test_trouble_with_one_is_noted_and_stops_no_other(
    world: Orphanage,
    monkeypatch: pytest.MonkeyPatch,
    trouble: Callable[[Orphanage, pytest.MonkeyPatch], None],
    removed: int,
) -> None:
    for number in range(3):
        world.put(f"lost-{number}", age=-number)
    ripen(world)
    trouble(world, monkeypatch)
    report = world.search(removes=True)
    assert len(world.provider.shelf) == 3 - removed
    noted = report.troubles[0]
    assert (noted.ref, noted.error in {"ConnectionError", "provider-unavailable"}) == ("ref-of-lost-0", True)
    assert "secret" not in report.model_dump_json()


def test_a_sighting_that_could_not_be_kept_does_not_count(world: Orphanage) -> None:
    world.put("lost")
    world.search_for(DAY - HOUR)
    world.clock.advance(HOUR)
    world.sightings.fail("keep", ConnectionError("later"))
    assert only(world.search(removes=True).orphans).done is Done.KEPT


def test_the_list_leaves_time_for_what_is_on_it(world: Orphanage) -> None:
    world.put("lost", age=HOUR)
    world.search()
    assert world.provider.time_given[0] < INVOCATION_SECONDS * 2 / 3


class PassingTime:
    """Every look at the clock takes a while."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._now = 0.0

    def __call__(self) -> float:
        self._now += self._seconds
        return self._now


def test_where_time_runs_out_the_report_says_so(world: Orphanage) -> None:
    for number in range(20):
        world.put(f"lost-{number}", age=HOUR)
    report = OrphanSearch(world.parts, world.sightings).run(Deadline(INVOCATION_SECONDS, PassingTime(1.5)))
    assert not report.complete
    assert 0 < len(report.orphans) < report.marked == 20


def test_where_time_runs_out_nothing_more_is_removed(world: Orphanage) -> None:
    for number in range(3):
        world.put(f"lost-{number}")
    ripen(world)
    clock = PassingTime(0)
    world.provider.meanwhile("remove", lambda: setattr(clock, "_now", INVOCATION_SECONDS - 4))
    report = OrphanSearch(world.parts, world.sightings, removes=True).run(Deadline(INVOCATION_SECONDS, clock))
    assert [orphan.done for orphan in report.orphans] == [Done.REMOVED, Done.KEPT, Done.KEPT]
    assert report.orphans[-1].note == "this run had no time left for it"


def test_a_run_asks_about_so_many_and_no_more(world: Orphanage) -> None:
    for number in range(LOOKS + 1):
        world.put(f"lost-{number}", connected=True)
    ripen(world)
    world.search(removes=True)
    assert world.provider.count("connected") == LOOKS


def test_what_was_adopted_is_none_though_it_bears_an_old_mark_still(world: Orphanage) -> None:
    """It is recorded before it is marked anew, and whoever was about to may have died."""
    ref = world.put("old mark")
    world.stand("adopted")
    stream = world.record("adopted").stream
    world.store.touch(stream.id, stream=stream.model_copy(update={"provider_ref": ref}))
    ripen(world)
    report = world.search()
    assert ref not in refs(report.orphans)
