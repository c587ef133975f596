"""What a dead attempt left is found and finished or closed, by the steps of a client's retry, and by nobody twice."""

from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from functools import partial
from typing import ClassVar

import pytest

from headwater.creation import Accepted, Opened
from headwater.ending import Ending
from headwater.errors import (
    CreateUndecided,
    CreationAbandoned,
    CreationInProgress,
    Effect,
    GuardSpent,
    HeadwaterError,
    IdempotencyKeyReused,
    InvalidRequest,
    ProviderConflict,
    ProviderError,
    ProviderNotEntitled,
    ProviderOutcomeUnknown,
    ProviderPaymentRequired,
    ProviderRateLimited,
    ProviderRejected,
    ProviderUnavailable,
    StreamEnded,
    Upstream,
)
from headwater.events import AttentionData
from headwater.ports import Caller, Stale
from headwater.provider import Order
from headwater.records import Record
from headwater.streams import State
from tests.unit.fakes import (
    CALLER,
    CANARY,
    CLAIM_SECONDS,
    FakeOptions,
    FakeProvider,
    Harmless,
    Killed,
    Scripted,
    Unfindable,
    World,
    whole_invocation,
)

HOUR = 3600
LANDING = 20


class Keyed(FakeProvider):
    """Guarded for five hours; what it made can be listed, if the list is whole."""

    guard_seconds: ClassVar[float] = 5 * HOUR


class KeptInCreating(FakeProvider):
    """What it made takes a while to be ready."""

    def __init__(self) -> None:
        super().__init__()
        self.state = State.PROVISIONING


def attend(world: World, reason: str = "due", key: str = "key") -> None:
    data = AttentionData.model_validate({"provider": "fake", "stream_id": world.id_of(key), "reason": reason})
    world.attention.attend(data, "sweep-1", whole_invocation())


def killed_at(world: World, step: str, *, carried_out: bool) -> None:
    """The first attempt's worker dies at this step."""
    where: Scripted = world.provider if step == "create" else world.store
    where.fail(step, Killed(), carried_out=carried_out)
    with pytest.raises(Killed):
        world.provision(options={"camera_url": f"{CANARY}url"})


def once_free(world: World) -> None:
    claim = world.record().claim
    assert claim
    world.clock.advance(max(0, (claim.free_at - world.clock()).total_seconds()))


# -- what sweep has resumed

DEATHS = [("claim", True), ("create", False), ("create", True), ("settle", False)]


@pytest.mark.parametrize(("step", "carried_out"), DEATHS)
@pytest.mark.parametrize("provider", [FakeProvider, Keyed])
def test_what_a_dead_attempt_left_at_a_guarded_provider_becomes_the_stream(
    provider: type[FakeProvider], step: str, carried_out: bool
) -> None:
    world = World(provider())
    killed_at(world, step, carried_out=carried_out)
    once_free(world)
    attend(world)
    record = world.record()
    assert (record.stream.state, record.claim, record.request_secrets) == (State.READY, None, None)
    assert list(world.provider.alive) == [record.stream.provider_ref]
    assert world.provider.alive[str(record.stream.provider_ref)].options.camera_url is not None
    assert world.kinds() == ["StreamCreated"]
    [event] = world.store.events[world.id_of()]
    assert event.request_id == CALLER.request_id
    assert world.provision(options={"camera_url": f"{CANARY}url"}).replayed


@pytest.mark.parametrize(("step", "carried_out"), DEATHS)
def test_an_unfindable_one_is_waited_out_as_unknown_and_then_has_failed(step: str, carried_out: bool) -> None:
    """Nobody waits for its one-time secrets, and a second one might be beside the first."""
    world = World(Unfindable())
    killed_at(world, step, carried_out=carried_out)
    world.clock.advance(CLAIM_SECONDS)
    assert world.record().due_at == world.clock()
    attend(world)
    record = world.record()
    assert (record.stream.state, record.ambiguous_creates) == (State.UNKNOWN, 1)
    assert record.claim
    assert record.claim.free_at == world.clock() + timedelta(seconds=LANDING + Unfindable.lives_on)
    assert world.counted == ["AmbiguousCreate"]
    attend(world)
    assert world.record() == record  # told once
    with pytest.raises(CreationInProgress) as told:
        world.provision(options={"camera_url": f"{CANARY}url"})
    assert told.value.retry_after == LANDING + Unfindable.lives_on
    once_free(world)
    with pytest.raises(ProviderOutcomeUnknown) as failed:
        attend(world)
    assert failed.value.settled
    assert (world.record().stream.state, world.record().claim) == (State.FAILED, None)
    assert world.kinds() == ["StreamFailed"]
    assert world.counted == ["AmbiguousCreate"]
    assert world.provider.count("create") == (0 if (step, carried_out) == ("claim", True) else 1)


@pytest.mark.parametrize(("step", "carried_out"), DEATHS)
def test_a_harmless_lost_one_has_failed_at_once_and_is_counted(step: str, carried_out: bool) -> None:
    world = World(Harmless())
    killed_at(world, step, carried_out=carried_out)
    once_free(world)
    with pytest.raises(ProviderOutcomeUnknown):
        attend(world)
    assert (world.record().stream.state, world.record().ambiguous_creates) == (State.FAILED, 1)
    assert world.counted == ["AmbiguousCreate"]


@pytest.mark.parametrize("provider", [Unfindable, Harmless])
def test_an_unguarded_create_that_did_nothing_and_that_nobody_repeats_is_abandoned(
    provider: type[FakeProvider],
) -> None:
    world = World(provider())
    world.provider.fail("create", ProviderRateLimited("slow down"))
    with pytest.raises(ProviderRateLimited):
        world.provision()
    with pytest.raises(CreationAbandoned):
        attend(world)
    assert world.record().stream.state_reason == "creation-abandoned"
    assert (world.kinds(), world.counted) == (["StreamFailed"], [])
    assert world.provision().stream.state is State.READY  # whoever asks anew has it anew


@pytest.mark.parametrize("provider", [FakeProvider, Keyed])
def test_a_guarded_create_that_did_nothing_is_repeated_for_an_hour(provider: type[FakeProvider]) -> None:
    world = World(provider())
    world.provider.fail("create", ProviderUnavailable("away"), times=3)
    with pytest.raises(ProviderUnavailable):
        world.provision()
    for _ in range(2):
        with pytest.raises(ProviderUnavailable):
            attend(world)
    world.clock.advance(HOUR)
    with pytest.raises(CreationAbandoned):
        attend(world)
    assert (world.record().stream.state, world.kinds()) == (State.FAILED, ["StreamFailed"])
    assert world.provider.alive == {}


def test_what_was_made_is_settled_however_late() -> None:
    world = World(Keyed())
    killed_at(world, "create", carried_out=True)
    world.clock.advance(30 * HOUR)
    attend(world)
    assert world.record().stream.provider_ref == "ref-1"
    assert world.kinds() == ["StreamCreated"]


def test_a_refusal_of_a_resumed_create_is_announced() -> None:
    world = World()
    killed_at(world, "create", carried_out=False)
    once_free(world)
    world.provider.fail("create", ProviderRejected("no"), times=2)
    with pytest.raises(ProviderRejected):
        attend(world)
    assert world.kinds() == []  # what the dead worker sent may still be under way
    once_free(world)
    with pytest.raises(ProviderRejected):
        attend(world)
    assert world.kinds() == ["StreamFailed"]


@pytest.mark.parametrize("provider", [FakeProvider, Unfindable, Harmless])
def test_a_worker_that_may_be_alive_is_left_alone(provider: type[FakeProvider]) -> None:
    world = World(provider())
    killed_at(world, "create", carried_out=True)
    before = world.record()
    world.clock.advance(CLAIM_SECONDS - 1)
    attend(world)
    assert world.record() == before


def test_what_another_took_over_meanwhile_is_left_to_it() -> None:
    world = World()
    killed_at(world, "create", carried_out=True)
    once_free(world)
    world.store.meanwhile("update", lambda: world.provision(options={"camera_url": f"{CANARY}url"}))
    with pytest.raises(CreationInProgress):
        attend(world)
    assert world.kinds() == ["StreamCreated"]
    assert len(world.provider.alive) == 1


@pytest.mark.parametrize("provider", [FakeProvider, Unfindable, Harmless])
def test_overtaken_while_it_settles_a_resumed_attempt_leaves_nothing_beside(provider: type[FakeProvider]) -> None:
    world = World(provider())
    assert isinstance(world.creation.accept(CALLER, "key", world.wanted()), Accepted)

    def overtake() -> None:
        world.clock.advance(10 * HOUR)
        with pytest.raises(HeadwaterError) if not world.provider.guard_seconds else _nothing():
            attend(world)

    world.store.meanwhile("settle", overtake)
    attend(world)
    recorded = world.record().stream.provider_ref
    assert set(world.provider.alive) == ({recorded} if recorded else set())
    assert len(world.kinds()) == 1


class _nothing:  # noqa: N801  # a context manager, used like a function
    def __enter__(self) -> None: ...
    def __exit__(self, *_: object) -> None: ...


def test_a_refusal_that_died_makes_nothing_and_is_left_to_its_queue_for_an_hour() -> None:
    world = World()
    world.store.fail("settle", Killed())
    with pytest.raises(Killed):
        world.creation.refuse(CALLER, "key", InvalidRequest("It is not of its schema."))
    once_free(world)
    before = world.record()
    attend(world)
    assert world.record() == before
    world.clock.advance(HOUR)
    attend(world)
    assert (world.record().stream.state, world.kinds()) == (State.FAILED, ["StreamFailed"])
    assert world.provider.calls == []


@pytest.mark.parametrize("reason", ["renew", "expire"])
def test_only_what_is_due_resumes(reason: str) -> None:
    world = World()
    killed_at(world, "create", carried_out=True)
    once_free(world)
    before = world.record()
    attend(world, reason)
    assert world.record() == before


def test_a_command_for_what_is_settled_does_nothing() -> None:
    world = World()
    world.provision()
    before = world.record()
    attend(world)
    attend(world, key="another")
    assert world.record() == before
    assert world.provider.calls == ["create"]


# -- the guard


def test_while_its_guard_holds_a_create_is_repeated_although_the_list_proves_nothing() -> None:
    world = World(Keyed())
    killed_at(world, "create", carried_out=True)
    world.provider.hidden = {"ref-1"}
    world.clock.advance(5 * HOUR - 1)
    world.store.touch(world.id_of(), try_until=None)
    attend(world)
    assert world.record().stream.provider_ref == "ref-1"
    assert [order.generation for order in world.provider.orders] == [1, 1]


def undecided(world: World) -> Record:
    with pytest.raises(CreateUndecided) as told:
        world.provision(options={"camera_url": f"{CANARY}url"})
    assert told.value.retry_after == world.parts.undecided_pause
    return world.record()


def test_past_its_guard_a_list_that_is_cut_leaves_it_unknown_and_says_so() -> None:
    world = World(Keyed())
    killed_at(world, "create", carried_out=True)
    world.provider.hidden = {"ref-1"}
    world.provider.forget_guards()
    world.clock.advance(5 * HOUR)
    record = undecided(world)
    assert (record.stream.state, record.generation) == (State.UNKNOWN, 1)
    assert (world.counted, world.kinds()) == (["UndecidedCreate"], [])
    assert world.provider.count("create") == 1
    world.clock.advance(world.parts.undecided_pause)
    undecided(world)
    world.clock.advance(world.parts.undecided_pause)
    world.provider.hidden = set()
    assert world.provision(options={"camera_url": f"{CANARY}url"}).stream.provider_ref == "ref-1"


def test_an_abandoned_one_that_may_be_there_is_not_said_to_have_failed() -> None:
    world = World(Keyed())
    killed_at(world, "create", carried_out=True)
    world.provider.hidden = {"ref-1"}
    world.clock.advance(2 * HOUR)
    with pytest.raises(CreateUndecided):
        attend(world)
    assert (world.record().stream.state, world.kinds()) == (State.UNKNOWN, [])


def test_past_its_guard_a_whole_list_that_shows_nothing_begins_a_generation_before_anything_is_made() -> None:
    world = World(Keyed())
    killed_at(world, "create", carried_out=False)
    world.provider.forget_guards()
    world.clock.advance(5 * HOUR)
    world.provider.fail("create", Killed(), carried_out=True)
    with pytest.raises(Killed):
        world.provision(options={"camera_url": f"{CANARY}url"})
    record = world.record()
    assert (record.generation, record.guarded_since) == (2, world.clock())
    world.provider.hidden = {"ref-1"}
    world.clock.advance(4 * HOUR)
    assert world.provision(options={"camera_url": f"{CANARY}url"}).stream.provider_ref == "ref-1"
    assert [order.generation for order in world.provider.orders] == [1, 2, 2]


def made_and_gone(world: World) -> None:
    """What an unsettled attempt made is deleted by somebody: the provider still holds its guard."""
    killed_at(world, "create", carried_out=True)
    once_free(world)
    world.provider.alive.clear()


def spent(world: World) -> GuardSpent:
    with pytest.raises(GuardSpent) as told:
        world.provision(options={"camera_url": f"{CANARY}url"})
    return told.value


@pytest.mark.parametrize("finish", [attend, lambda world: world.provision(options={"camera_url": f"{CANARY}url"})])
def test_a_guard_that_is_held_by_what_is_gone_gives_way_once_nothing_can_be_under_way(
    finish: Callable[[World], object],
) -> None:
    world = World(Keyed())
    made_and_gone(world)
    assert spent(world).retry_after == LANDING
    with pytest.raises(CreationInProgress):
        world.provision(options={"camera_url": f"{CANARY}url"})
    world.clock.advance(LANDING)
    finish(world)
    record = world.record()
    assert (record.stream.provider_ref, record.generation) == ("ref-2", 2)
    assert list(world.provider.alive) == ["ref-2"]
    assert world.kinds() == ["StreamCreated"]


def test_a_guard_that_is_spent_gives_no_way_where_the_list_is_cut() -> None:
    world = World(Keyed())
    made_and_gone(world)
    spent(world)
    world.provider.hidden = {"ref-1"}
    world.clock.advance(LANDING)
    undecided(world)
    assert world.record().generation == 1


def test_a_key_that_certainly_failed_begins_with_a_whole_guard() -> None:
    world = World(Keyed())
    world.provider.fail("create", ProviderRejected("no"))
    with pytest.raises(ProviderRejected):
        world.provision()
    assert world.record().guarded_since is None
    world.clock.advance(6 * HOUR)
    world.provider.hidden = {"any"}
    assert world.provision().stream.provider_ref == "ref-1"


def test_a_refusal_is_no_failure_while_an_earlier_attempt_may_have_made_one() -> None:
    world = World(Keyed())
    killed_at(world, "create", carried_out=True)
    begun = world.record().guarded_since
    once_free(world)
    world.provider.hidden = {"ref-1"}
    world.provider.fail("create", ProviderRejected("no"))
    with pytest.raises(ProviderRejected):
        attend(world)
    assert (world.record().stream.state, world.record().guarded_since, world.kinds()) == (State.UNKNOWN, begun, [])
    world.provider.hidden = set()
    once_free(world)
    attend(world)
    assert world.kinds() == ["StreamCreated"]


@pytest.mark.parametrize("refusal", [ProviderNotEntitled, ProviderRejected, ProviderPaymentRequired, ProviderConflict])
@pytest.mark.parametrize("provider", [FakeProvider, Keyed])
def test_a_search_that_is_refused_says_nothing_of_what_is_there(
    provider: type[FakeProvider], refusal: type[ProviderError]
) -> None:
    world = World(provider())
    killed_at(world, "create", carried_out=True)
    once_free(world)
    world.provider.fail("find", refusal("no", upstream=Upstream("fake", 403)))
    with pytest.raises(CreateUndecided) as told:
        attend(world)
    assert told.value.upstream == Upstream("fake", 403)
    assert (world.record().stream.state, world.kinds()) == (State.UNKNOWN, [])
    once_free(world)
    attend(world)
    assert world.kinds() == ["StreamCreated"]


def test_a_write_that_met_another_is_no_failure_of_the_stream() -> None:
    world = World(Keyed())
    killed_at(world, "create", carried_out=False)
    world.provider.forget_guards()
    world.clock.advance(5 * HOUR)
    world.provider.meanwhile("find", lambda: world.store.fail("update", Stale()))
    with pytest.raises(CreationInProgress):
        world.provision(options={"camera_url": f"{CANARY}url"})
    assert world.kinds() == []


# -- what is still under way


def dies_with_its_request_under_way(world: World) -> Order[FakeOptions]:
    world.provider.fail("create", Killed())
    with pytest.raises(Killed):
        world.provision(options={"camera_url": f"{CANARY}url"})
    return world.provider.orders[-1]


def test_a_generation_waits_for_what_may_be_under_way() -> None:
    world = World(Keyed())
    killed_at(world, "create", carried_out=False)
    world.clock.advance(5 * HOUR - 1)
    under_way = dies_with_its_request_under_way(world)
    once_free(world)
    with pytest.raises(ProviderUnavailable) as told:
        world.provision(options={"camera_url": f"{CANARY}url"})
    assert told.value.retry_after == LANDING
    world.provider.land(under_way)
    assert world.provision(options={"camera_url": f"{CANARY}url"}).stream.provider_ref == "ref-1"
    assert list(world.provider.alive) == ["ref-1"]


def test_nothing_is_said_to_have_failed_that_may_be_under_way() -> None:
    world = World(Keyed())
    under_way = dies_with_its_request_under_way(world)
    world.store.touch(world.id_of(), try_until=world.clock())
    once_free(world)
    with pytest.raises(ProviderUnavailable):
        attend(world)
    world.provider.land(under_way)
    attend(world)
    assert world.kinds() == ["StreamCreated"]


def test_an_answer_that_did_not_come_may_be_under_way_as_well() -> None:
    world = World(Keyed())
    world.provider.fail("create", ProviderOutcomeUnknown("silence"))
    with pytest.raises(ProviderOutcomeUnknown):
        world.provision()
    world.store.touch(world.id_of(), try_until=world.clock())
    with pytest.raises(ProviderUnavailable):
        attend(world)
    world.clock.advance(LANDING)
    with pytest.raises(CreationAbandoned):
        attend(world)


def test_a_guard_is_told_to_be_spent_twice_with_nobody_dying_between() -> None:
    world = World(Keyed())
    killed_at(world, "create", carried_out=False)
    once_free(world)
    world.provider.fail("create", GuardSpent("held"))
    spent(world)
    world.clock.advance(LANDING)
    under_way = dies_with_its_request_under_way(world)
    once_free(world)
    world.provider.fail("create", GuardSpent("held"))
    spent(world)
    world.provider.land(under_way)
    once_free(world)
    world.provision(options={"camera_url": f"{CANARY}url"})
    assert list(world.provider.alive) == ["ref-1"]
    assert world.record().generation == 1


def test_a_guard_that_is_told_to_be_spent_after_a_call_without_an_answer_may_be_held_by_that_one() -> None:
    world = World(Keyed())
    killed_at(world, "create", carried_out=False)
    once_free(world)
    world.provider.fail("create", GuardSpent("held"))
    spent(world)
    world.clock.advance(LANDING)
    world.provider.fail("create", GuardSpent("held", effect=Effect.UNKNOWN))
    assert spent(world).retry_after == LANDING
    world.provider.land(world.provider.orders[-1])
    world.clock.advance(LANDING)
    world.provision(options={"camera_url": f"{CANARY}url"})
    assert (list(world.provider.alive), world.record().generation) == (["ref-1"], 1)


def test_the_guard_s_hours_are_business_time_and_what_is_under_way_is_not() -> None:
    world = World(Keyed())
    killed_at(world, "create", carried_out=False)
    world.provider.forget_guards()
    world.clock.advance(CLAIM_SECONDS)
    world.moved = timedelta(hours=5)
    with pytest.raises(ProviderUnavailable) as told:
        world.provision(options={"camera_url": f"{CANARY}url"})
    assert told.value.retry_after == LANDING
    world.clock.advance(LANDING)
    world.provider.fail("create", Killed())
    with pytest.raises(Killed):
        world.provision(options={"camera_url": f"{CANARY}url"})
    record = world.record()
    assert (record.generation, record.guarded_since) == (2, world.clock() + world.moved)


def test_a_key_that_is_used_under_moved_time_has_its_guard_from_then() -> None:
    world = World(Keyed())
    world.moved = timedelta(days=40)
    world.provider.fail("create", ProviderRejected("no"))
    with pytest.raises(ProviderRejected):
        world.provision()
    world.provider.fail("create", ProviderUnavailable("away"))
    with pytest.raises(ProviderUnavailable):
        world.provision()
    assert (world.record().guarded_since, world.record().generation) == (world.clock() + world.moved, 1)


def test_a_guard_that_is_spent_is_waited_for_in_real_time() -> None:
    world = World(Keyed())
    made_and_gone(world)
    world.moved = timedelta(hours=1)
    spent(world)
    assert world.record().guard_spent_at == world.clock()
    world.moved = timedelta(hours=2)
    with pytest.raises(CreationInProgress):
        world.provision(options={"camera_url": f"{CANARY}url"})
    world.clock.advance(LANDING)
    world.provision(options={"camera_url": f"{CANARY}url"})
    assert (list(world.provider.alive), world.record().generation) == (["ref-2"], 2)


def test_what_may_be_under_way_lands_in_real_time() -> None:
    world = World(Keyed())
    world.moved = timedelta(days=20)
    world.provider.fail("create", ProviderOutcomeUnknown("silence"))
    with pytest.raises(ProviderOutcomeUnknown):
        world.provision()
    assert world.record().landed_at == world.clock() + timedelta(seconds=LANDING)


def test_a_worker_that_may_be_alive_by_real_time_is_left_alone() -> None:
    world = World()
    killed_at(world, "create", carried_out=True)
    before = world.record()
    world.moved = timedelta(days=20)
    attend(world)
    assert world.record() == before


def test_it_is_in_real_time_that_it_is_late() -> None:
    world = World()
    world.moved = timedelta(days=20)
    accept(world)
    assert world.record().try_until == world.clock() + timedelta(hours=1)
    world.moved = timedelta(days=40)
    attend(world)
    assert world.kinds() == ["StreamCreated"]


def test_a_claim_from_before_guards_were_counted_is_as_old_as_its_record() -> None:
    world = World(Keyed())
    killed_at(world, "create", carried_out=True)
    world.store.touch(world.id_of(), guarded_since=None)
    world.clock.advance(6 * HOUR)
    world.provider.hidden = {"ref-1"}
    world.provider.forget_guards()
    undecided(world)
    assert list(world.provider.alive) == ["ref-1"]


# -- the bus


def over_the_bus(world: World, request_id: str = "envelope-1", seconds: float = HOUR) -> None:
    caller, until = Caller(CALLER.tenant, request_id), world.clock() + timedelta(seconds=seconds)
    world.creation.provision(caller, "key", world.wanted(), whole_invocation(), "bus", until)


def test_a_message_that_comes_again_asks_for_nothing_anew() -> None:
    world = World(Unfindable())
    world.provider.fail("create", ProviderRejected("no"))
    with pytest.raises(ProviderRejected):
        over_the_bus(world)
    with pytest.raises(StreamEnded):
        over_the_bus(world)
    assert world.kinds() == ["StreamFailed"]
    over_the_bus(world, "envelope-2")
    assert world.kinds() == ["StreamFailed", "StreamCreated"]


def test_one_request_over_the_bus_has_one_deliberate_second_create() -> None:
    world = World(Harmless())
    world.provider.fail("create", ProviderOutcomeUnknown("silence"), carried_out=True, times=20)
    for _ in range(5):
        with suppress(HeadwaterError):
            over_the_bus(world)
        world.clock.advance(60)
        with suppress(HeadwaterError):
            attend(world)
        world.clock.advance(114)
    assert world.provider.count("create") == 2
    assert world.kinds() == ["StreamFailed"]


def test_a_failed_key_is_tried_as_whoever_asks_anew_would_have_it() -> None:
    world = World(Unfindable())
    world.provider.fail("create", ProviderRejected("no"))
    with pytest.raises(ProviderRejected):
        world.provision()
    world.provider.fail("create", ProviderRateLimited("slow down"))
    with pytest.raises(ProviderRateLimited):
        over_the_bus(world)
    world.clock.advance(60)
    attend(world)
    assert world.kinds() == ["StreamFailed", "StreamCreated"]
    assert world.store.events[world.id_of()][-1].request_id == "envelope-1"


LATE = InvalidRequest("The deadline has passed.")


def test_a_request_past_its_deadline_is_opened_by_nobody() -> None:
    world = World()
    world.store.fail("settle", Killed())
    with pytest.raises(Killed):
        world.creation.give_up(CALLER, "key", world.wanted(), whole_invocation(), LATE)
    once_free(world)
    world.clock.advance(LANDING)
    with pytest.raises(CreationAbandoned):
        attend(world)
    assert world.kinds() == ["StreamFailed"]
    assert world.provider.alive == {}


def test_a_late_request_does_not_end_what_another_asked_for_lately() -> None:
    world = World()
    accept(world)
    late = Caller(CALLER.tenant, "envelope-1")
    world.creation.give_up(late, "key", world.wanted(), whole_invocation(), LATE)
    attend(world)
    assert world.kinds() == ["StreamCreated"]


# -- when


def test_whoever_was_told_when_to_come_has_the_time_to() -> None:
    world = World(Unfindable())
    world.provider.fail("create", ProviderRateLimited("slow down", retry_after=60))
    with pytest.raises(ProviderRateLimited):
        world.provision()
    assert world.record().due_at == world.clock() + timedelta(seconds=90)
    assert world.provision().stream.state is State.READY  # and may come sooner


def test_an_undecided_one_is_looked_for_every_quarter_of_an_hour() -> None:
    world = World(Keyed())
    killed_at(world, "create", carried_out=True)
    world.provider.hidden = {"ref-1"}
    world.provider.forget_guards()
    world.clock.advance(5 * HOUR)
    for _ in range(14):
        with pytest.raises(CreateUndecided):
            attend(world)
        due_at = world.record().due_at
        assert due_at
        pause = (due_at - world.clock()).total_seconds()
        assert 900 < pause < 1000
        world.clock.advance(pause)


def test_what_can_no_longer_be_read_is_closed_once_it_is_late() -> None:
    world = World()
    killed_at(world, "create", carried_out=False)
    stream = world.record().stream.model_copy(update={"options": {"a_field_that_was": 1}})
    world.store.touch(world.id_of(), stream=stream)
    once_free(world)
    attend(world)
    assert world.kinds() == []
    world.clock.advance(HOUR)
    attend(world)
    assert (world.record().claim, world.kinds()) == (None, ["StreamFailed"])


def test_where_nothing_can_be_removed_what_could_not_be_sealed_is_counted() -> None:
    world = World(Harmless())
    world.provider.remains = "it stays"
    world.vault.away = True
    for expected in (ConnectionError, ConnectionError, ProviderOutcomeUnknown):
        with pytest.raises(expected):
            world.provision()
    assert world.provider.count("create") == 2
    assert world.counted == ["AmbiguousCreate"] * 2
    assert world.kinds() == ["StreamFailed"]


# -- a caller who does not wait


def accept(world: World, **body: object) -> Accepted | Opened:
    return world.creation.accept(CALLER, "key", world.wanted(**body))


@pytest.mark.parametrize("provider", [FakeProvider, Keyed, Unfindable, Harmless])
def test_what_was_accepted_is_made_by_whoever_attends_to_it(provider: type[FakeProvider]) -> None:
    world = World(provider())
    accepted = accept(world, name="lobby", options={"camera_url": f"{CANARY}url", "quality": 0.5})
    assert isinstance(accepted, Accepted)
    assert not accepted.again
    assert (accepted.stream.state, accepted.stream.version) == (State.PROVISIONING, 0)
    assert world.provider.calls == []
    [command] = world.called_for
    assert (command.provider, command.stream_id, command.reason) == ("fake", accepted.stream.id, "due")
    record = world.record()
    assert record.due_at == world.clock() + timedelta(seconds=1)
    assert CANARY not in record.model_dump_json()
    attend(world)
    assert world.provider.calls == ["create"]  # there is nothing to look for
    made = world.provider.alive["ref-1"]
    assert (made.name, made.options.quality) == ("lobby", 0.5)
    assert made.options.camera_url is not None
    assert made.options.camera_url.get_secret_value() == f"{CANARY}url"
    assert (world.kinds(), world.counted) == (["StreamCreated"], ["StreamProvisioned"])
    assert world.store.events[world.id_of()][0].request_id == CALLER.request_id
    opened = accept(world, name="lobby", options={"camera_url": f"{CANARY}url", "quality": 0.5})
    assert isinstance(opened, Opened)
    assert opened.replayed


@pytest.mark.parametrize("provider", [FakeProvider, Unfindable, Harmless])
def test_accepted_and_failing_for_now_it_is_tried_again_for_an_hour(provider: type[FakeProvider]) -> None:
    world = World(provider())
    accept(world)
    world.provider.fail("create", ProviderUnavailable("away"))
    with pytest.raises(ProviderUnavailable):
        attend(world)
    attend(world)
    assert world.kinds() == ["StreamCreated"]


def test_accepted_and_never_made_within_the_hour_it_has_failed() -> None:
    world = World()
    accept(world)
    world.clock.advance(HOUR)
    with pytest.raises(CreationAbandoned):
        attend(world)
    assert world.kinds() == ["StreamFailed"]


def test_accepted_twice_is_accepted_once() -> None:
    world = World()
    first, second = accept(world), accept(world)
    assert isinstance(second, Accepted)
    assert (second.again, second.stream) == (True, first.stream)
    attend(world)
    attend(world)
    assert world.provider.calls == ["create"]


def test_accepted_again_it_is_left_to_whoever_is_about_to_attend_to_it() -> None:
    world = World()
    accept(world)
    world.store.meanwhile("update", lambda: attend(world))
    again = accept(world)
    assert isinstance(again, Accepted)
    assert (again.again, world.record().revision) == (True, 1)


def test_a_key_of_another_request_is_not_accepted() -> None:
    world = World()
    accept(world)
    with pytest.raises(IdempotencyKeyReused):
        accept(world, name="another")


def test_a_key_whose_stream_is_over_is_not_accepted() -> None:
    world = World()
    world.provision()
    Ending(world.parts).remove(CALLER, world.id_of(), whole_invocation())
    with pytest.raises(StreamEnded):
        accept(world)


def test_a_key_that_failed_is_accepted_anew_with_another_body() -> None:
    world = World()
    world.provider.fail("create", ProviderRejected("no"))
    with pytest.raises(ProviderRejected):
        world.provision()
    accepted = accept(world, name="another")
    assert isinstance(accepted, Accepted)
    attend(world)
    assert world.record().stream.name == "another"
    assert world.kinds() == ["StreamFailed", "StreamCreated"]


def test_accepted_after_its_hour_it_is_waited_for_anew() -> None:
    world = World()
    accept(world)
    world.clock.advance(HOUR + 1)
    later = Caller(CALLER.tenant, "req-later")
    accepted = world.creation.accept(later, "key", world.wanted())
    assert isinstance(accepted, Accepted)
    attend(world)
    assert world.kinds() == ["StreamCreated"]
    assert world.store.events[world.id_of()][0].request_id == "req-later"


def test_accepted_while_unknown_it_is_not_abandoned() -> None:
    world = World(Unfindable())
    world.provider.fail("create", Killed(), carried_out=True)
    with pytest.raises(Killed):
        world.provision()
    world.clock.advance(CLAIM_SECONDS)
    attend(world)
    accept(world)
    once_free(world)
    attend(world)
    assert world.kinds() == ["StreamCreated"]


def test_a_caller_who_does_not_wait_takes_the_place_of_one_who_did() -> None:
    """At an unguarded provider the latter's would be abandoned."""
    world = World(Harmless())
    world.provider.fail("create", ProviderRateLimited("slow down"))
    with pytest.raises(ProviderRateLimited):
        world.provision()
    accepted = accept(world)
    assert isinstance(accepted, Accepted)
    assert accepted.again
    attend(world)
    assert world.kinds() == ["StreamCreated"]


def refused_meanwhile(world: World) -> list[CreationInProgress]:
    """What somebody is told who asks without waiting during the next create."""
    told: list[CreationInProgress] = []

    def ask() -> None:
        before = world.record()
        with pytest.raises(CreationInProgress) as refused:
            accept(world)
        told.append(refused.value)
        assert world.record() == before

    world.provider.meanwhile("create", ask)
    return told


@pytest.mark.parametrize("provider", [FakeProvider, Unfindable, Harmless])
def test_what_a_caller_who_waits_has_in_hand_is_not_accepted(provider: type[FakeProvider]) -> None:
    """Were its worker to die, it might be abandoned."""
    world = World(provider())
    told = refused_meanwhile(world)
    assert not world.provision().replayed
    assert [each.retry_after for each in told] == [CLAIM_SECONDS]
    assert world.called_for == []
    assert world.kinds() == ["StreamCreated"]


def test_what_is_too_late_once_its_worker_has_died_is_not_accepted() -> None:
    world = World()
    told = refused_meanwhile(world)
    over_the_bus(world, seconds=CLAIM_SECONDS)
    assert [each.retry_after for each in told] == [CLAIM_SECONDS]


@pytest.mark.parametrize("ask", [accept, partial(over_the_bus, seconds=CLAIM_SECONDS + 1)])
def test_what_somebody_works_on_for_one_who_does_not_wait_is_accepted_and_left_to_it(
    ask: Callable[[World], object],
) -> None:
    world = World()
    meanwhile: list[Accepted | Opened] = []

    def again() -> None:
        before = world.record()
        meanwhile.append(accept(world))
        assert world.record() == before

    world.provider.meanwhile("create", again)
    ask(world)
    attend(world)
    [accepted] = meanwhile
    assert isinstance(accepted, Accepted)
    assert accepted.again
    assert world.kinds() == ["StreamCreated"]


def accepted_after_the_bus(world: World, seconds: float = 60) -> None:
    """A request over the bus could not be carried out just then, and somebody asks who does not wait."""
    world.provider.fail("create", ProviderUnavailable("away"))
    with pytest.raises(ProviderUnavailable):
        over_the_bus(world, seconds=seconds)
    assert isinstance(accept(world), Accepted)


def test_accepted_while_the_bus_waits_for_it_it_is_tried_for_an_hour() -> None:
    world = World()
    accepted_after_the_bus(world)
    world.clock.advance(HOUR - 1)
    attend(world)
    assert world.kinds() == ["StreamCreated"]
    assert world.store.events[world.id_of()][0].request_id == "envelope-1"  # who asks over the bus knows it by that


def test_accepted_while_the_bus_waits_for_it_for_longer_it_is_tried_for_longer() -> None:
    world = World()
    accepted_after_the_bus(world, 7 * HOUR)
    world.clock.advance(7 * HOUR - 1)
    attend(world)
    assert world.kinds() == ["StreamCreated"]


def test_what_was_accepted_the_bus_s_deadline_does_not_end() -> None:
    """Neither by its message coming again before it, nor after."""
    world = World()
    accepted_after_the_bus(world)
    world.provider.fail("create", ProviderUnavailable("away"))
    with pytest.raises(ProviderUnavailable):
        over_the_bus(world, seconds=60)
    world.clock.advance(61)
    world.creation.give_up(Caller(CALLER.tenant, "envelope-1"), "key", world.wanted(), whole_invocation(), LATE)
    world.clock.advance(HOUR - 62)
    attend(world)
    assert world.kinds() == ["StreamCreated"]


def assert_nobody_waits_for_it_after_a_minute(world: World) -> None:
    """Asked for over the bus with a minute's deadline, it is not made, and given up by whoever attends to it then."""
    with pytest.raises(ProviderUnavailable):
        over_the_bus(world, seconds=60)
    world.clock.advance(60)
    with pytest.raises(CreationAbandoned):
        attend(world)


def test_what_was_promised_to_nobody_is_tried_as_who_asks_last_would_have_it() -> None:
    world = World()
    world.provider.fail("create", ProviderUnavailable("away"), times=2)
    with pytest.raises(ProviderUnavailable):
        world.provision()
    assert_nobody_waits_for_it_after_a_minute(world)


def test_what_was_promised_of_a_stream_that_failed_is_over_with_it() -> None:
    world = World()
    accept(world)
    world.provider.fail("create", ProviderRejected("no"))
    with pytest.raises(ProviderRejected):
        attend(world)
    world.provider.fail("create", ProviderUnavailable("away"))
    assert_nobody_waits_for_it_after_a_minute(world)


# -- an acceptance that meets other writes


def test_an_acceptance_that_met_another_transaction_is_recorded() -> None:
    world = World(Harmless())
    world.provider.fail("create", ProviderRateLimited("slow down"))
    with pytest.raises(ProviderRateLimited):
        world.provision()
    world.store.fail("update", Stale())
    accepted = accept(world)
    assert isinstance(accepted, Accepted)
    assert accepted.again
    attend(world)
    assert world.kinds() == ["StreamCreated"]


@pytest.mark.parametrize("carried_out", [True, False])
def test_a_failed_key_s_acceptance_that_met_another_transaction_is_recorded(carried_out: bool) -> None:
    world = World()
    world.provider.fail("create", ProviderRejected("no"))
    with pytest.raises(ProviderRejected):
        world.provision()
    world.store.fail("update", Stale(), carried_out=carried_out)
    accepted = accept(world, name="another")
    assert isinstance(accepted, Accepted)
    assert not accepted.again
    attend(world)
    assert world.kinds() == ["StreamFailed", "StreamCreated"]


def test_an_acceptance_decides_anew_by_what_it_meets() -> None:
    world = World()
    world.provider.fail("create", ProviderUnavailable("away"))
    with pytest.raises(ProviderUnavailable):
        world.provision()
    world.store.meanwhile("update", world.provision)
    opened = accept(world)
    assert isinstance(opened, Opened)
    assert opened.replayed
    assert world.called_for == []


def test_an_acceptance_that_meets_other_writes_all_the_time_is_to_come_again() -> None:
    world = World()
    world.provider.fail("create", ProviderUnavailable("away"))
    with pytest.raises(ProviderUnavailable):
        world.provision()
    before = world.record()
    world.store.fail("update", Stale(), times=3)
    with pytest.raises(CreationInProgress) as told:
        accept(world)
    assert told.value.retry_after == 1
    assert (world.record(), world.called_for) == (before, [])
    assert isinstance(accept(world), Accepted)


# -- whoever is overtaken asks as it asked


def overtaken_by_a_refusal(world: World) -> None:
    """While the next create is under way its claim passes, and whoever goes on is refused."""

    def refuse() -> None:
        world.clock.advance(CLAIM_SECONDS + LANDING + Unfindable.lives_on)
        world.provider.fail("create", ProviderRejected("no"))
        with pytest.raises(ProviderRejected):
            attend(world)

    world.provider.meanwhile("create", refuse)


@pytest.mark.parametrize("provider", [Unfindable, Harmless])
def test_a_caller_who_waits_and_is_overtaken_by_the_bus_s_refusal_begins_anew(provider: type[FakeProvider]) -> None:
    world = World(provider())
    world.provider.fail("create", ProviderUnavailable("away"))
    with pytest.raises(ProviderUnavailable):
        over_the_bus(world)
    overtaken_by_a_refusal(world)
    opened = world.provision()
    assert not opened.replayed
    assert list(world.provider.alive) == [opened.stream.provider_ref]
    assert world.kinds() == ["StreamFailed", "StreamCreated"]


def test_a_message_that_is_overtaken_by_its_own_refusal_asks_for_nothing_anew() -> None:
    world = World(Unfindable())
    overtaken_by_a_refusal(world)
    with pytest.raises(StreamEnded):
        over_the_bus(world)
    assert world.kinds() == ["StreamFailed"]


def test_a_message_that_is_overtaken_by_another_s_refusal_begins_anew_with_its_own_deadline() -> None:
    world = World(Unfindable())
    until = world.clock() + timedelta(seconds=7 * HOUR)

    def refused_for_another() -> None:
        world.clock.advance(CLAIM_SECONDS + LANDING + Unfindable.lives_on)
        world.provider.fail("create", ProviderRejected("no"))
        with pytest.raises(ProviderRejected):
            world.provision()
        world.provider.fail("create", ProviderUnavailable("away"))

    world.provider.meanwhile("create", refused_for_another)
    with pytest.raises(ProviderUnavailable):
        over_the_bus(world, seconds=7 * HOUR)
    assert world.kinds() == ["StreamFailed"]
    assert world.record().try_until == until


def test_a_note_on_our_claim_does_not_keep_us_from_settling() -> None:
    world = World(Unfindable())
    world.store.meanwhile("settle", lambda: world.store.touch(world.id_of(), ambiguous_creates=1))
    assert world.provision().stream.state is State.READY
    assert world.record().ambiguous_creates == 1
    assert world.kinds() == ["StreamCreated"]


def test_whoever_waits_may_take_over_what_was_accepted() -> None:
    world = World()
    accept(world)
    assert not world.provision().replayed
    attend(world)
    assert world.provider.calls == ["create"]


# -- what is due of a settled stream


def test_a_stream_that_is_still_being_made_is_looked_at() -> None:
    world = World(KeptInCreating())
    world.provision()
    for _ in range(2):
        assert world.record().due_at == world.clock() + timedelta(seconds=20)
        world.clock.advance(20)
        attend(world)
    assert world.provider.count("read") == 2
    world.provider.state = State.READY
    world.clock.advance(20)
    attend(world)
    assert (world.record().stream.state, world.record().due_at) == (State.READY, None)
    assert world.kinds() == ["StreamCreated", "StreamStateChanged"]


def test_a_lifetime_that_nobody_ended_is_ended() -> None:
    world = World()
    world.provision(max_lifetime_seconds=60)
    assert world.record().due_at == world.clock() + timedelta(seconds=150)
    world.clock.advance(150)
    attend(world)
    assert world.kinds() == ["StreamCreated", "StreamExpired"]
    assert world.record().due_at is None


def test_a_lease_in_its_last_third_is_renewed_once() -> None:
    world = World(Unfindable())
    world.provision()
    assert world.record().due_at == world.clock() + timedelta(seconds=200)
    attend(world)
    assert world.provider.count("renew") == 0
    world.clock.advance(200)
    attend(world)
    attend(world)
    assert world.provider.count("renew") == 1
    assert world.record().due_at == world.clock() + timedelta(seconds=200)


def test_a_claim_that_nobody_can_settle_is_due_less_and_less_often() -> None:
    world = World()
    world.provider.fail("create", ProviderUnavailable("away"), times=40)
    pauses = []
    for _ in range(20):
        with pytest.raises(ProviderUnavailable):
            world.provision()
        due_at = world.record().due_at
        assert due_at
        pauses.append((due_at - world.clock()).total_seconds())
    assert pauses[:5] == [2, 4, 8, 16, 32]
    assert max(pauses) == 32


@pytest.mark.parametrize(
    "error", [ProviderOutcomeUnknown("silence"), ProviderUnavailable("5xx", effect=Effect.UNKNOWN)]
)
def test_each_doubt_is_counted_once(error: HeadwaterError) -> None:
    world = World(Harmless())
    world.provider.fail("create", error, carried_out=True)
    with pytest.raises(ProviderOutcomeUnknown):
        world.provision()
    assert world.counted == ["AmbiguousCreate"]
    world.provision()
    assert world.counted == ["AmbiguousCreate", "StreamProvisioned"]
    assert world.record().ambiguous_creates == 1


def test_a_client_s_retry_counts_the_doubt_that_a_death_left() -> None:
    world = World(Harmless())
    killed_at(world, "create", carried_out=True)
    once_free(world)
    world.provision(options={"camera_url": f"{CANARY}url"})
    assert world.counted == ["AmbiguousCreate", "StreamProvisioned"]
    assert world.record().ambiguous_creates == 1
