"""How a stream ends: because somebody asks, or because its time is over, whatever dies and whoever else is at it."""

from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta

import pytest

from headwater.ending import AGAIN_SECONDS
from headwater.errors import (
    CreationInProgress,
    Effect,
    HeadwaterError,
    PreconditionFailed,
    ProviderOutcomeUnknown,
    ProviderRateLimited,
    ProviderRejected,
    ProviderSecretInvalid,
    ProviderSecretUnavailable,
    ProviderUnauthorized,
    ProviderUnavailable,
    StreamEnded,
)
from headwater.records import EXPIRY_GRACE
from headwater.streams import State
from tests.unit.fakes import CALLER, CLAIM_SECONDS, FakeProvider, Harmless, Unfindable, World, whole_invocation
from tests.unit.interleaving import every_death, every_meeting
from tests.unit.standing import Standing, unsettled

# ---- removing


@pytest.mark.parametrize("provider", [FakeProvider, Unfindable, Harmless])
def test_a_removed_stream_is_gone_at_the_provider_and_ended_in_the_record(provider: type[FakeProvider]) -> None:
    world = Standing(provider())
    world.clock.advance(10)
    assert world.remove().remains is None
    assert world.provider.alive == {}
    record = world.record()
    assert (record.stream.state, record.stream.state_reason) == (State.ENDED, "deleted")
    assert record.ended_at == record.stream.updated_at == world.clock()
    assert record.expires == world.clock() + timedelta(days=30)
    assert world.kinds() == ["StreamCreated", "StreamDeleted"]
    with pytest.raises(StreamEnded) as caught:
        world.read()
    assert caught.value.problem("r")["reason"] == "deleted"


def test_a_removed_stream_s_credentials_are_gone() -> None:
    world = Standing()
    world.remove()
    assert world.store.sealed == {}
    with pytest.raises(StreamEnded):
        world.credentials()


def test_a_stream_that_is_removed_again_stays_as_it_is() -> None:
    world = Standing()
    world.remove()
    before = world.record()
    assert world.remove().remains is None
    assert world.record() == before
    assert world.provider.count("remove") == 1
    assert world.kinds() == ["StreamCreated", "StreamDeleted"]


def test_what_remains_at_the_provider_is_told() -> None:
    world = Standing()
    world.provider.remains = "Its recordings stay."
    assert world.remove().remains == "Its recordings stay."


def test_a_stream_that_is_being_created_cannot_be_removed() -> None:
    world = World()
    stream_id = unsettled(world)
    with pytest.raises(CreationInProgress) as caught:
        world.ending.remove(CALLER, stream_id, whole_invocation())
    assert caught.value.retry_after == CLAIM_SECONDS
    assert world.provider.count("remove") == 0


def test_who_is_told_to_come_back_is_never_told_to_come_too_early() -> None:
    world = World()
    stream_id = unsettled(world)
    world.clock.advance(CLAIM_SECONDS - 2.4)
    with pytest.raises(CreationInProgress) as caught:
        world.ending.remove(CALLER, stream_id, whole_invocation())
    assert caught.value.retry_after == 3


def test_of_a_stream_that_failed_there_is_nothing_to_remove() -> None:
    world = World()
    world.provider.fail("create", ProviderRejected("no"))
    with pytest.raises(ProviderRejected):
        world.provision()
    assert world.ending.remove(CALLER, world.id_of(), whole_invocation()).remains is None
    assert world.provider.count("remove") == 0
    assert world.kinds() == ["StreamFailed"]


def test_what_failed_at_the_provider_after_it_was_made_is_removed() -> None:
    world = Standing()
    world.put(State.FAILED)
    world.remove()
    assert world.provider.alive == {}
    assert world.record().stream.state is State.ENDED


@pytest.mark.parametrize(
    "error",
    [
        ProviderUnavailable("later"),
        ProviderRateLimited("later"),
        ProviderUnauthorized("the secret is refused"),
        ProviderOutcomeUnknown("silence"),
        ProviderRejected("who knows", effect=Effect.UNKNOWN),
        ProviderSecretUnavailable("later"),
        ProviderSecretInvalid("no secret"),
    ],
)
def test_a_stream_whose_provider_is_away_is_ending_until_it_is_back(error: HeadwaterError) -> None:
    world = Standing()
    world.provider.fail("remove", error)
    ended = world.remove()
    assert (ended.stream.state, ended.stream.state_reason) == (State.ENDING, "deleted")
    assert world.read() == world.record().stream
    assert world.kinds() == ["StreamCreated"]
    assert world.record().due_at == world.clock() + timedelta(seconds=AGAIN_SECONDS)
    world.wait()
    assert world.provider.alive == {}
    assert world.record().stream.state_reason == "deleted"
    assert world.kinds() == ["StreamCreated", "StreamDeleted"]


def test_a_removal_that_the_provider_refuses_for_good_is_told_and_begun_all_the_same() -> None:
    world = Standing()
    world.provider.fail("remove", ProviderRejected("no"))
    with pytest.raises(ProviderRejected):
        world.remove()
    assert world.read().state is State.ENDING
    assert world.kinds() == ["StreamCreated"]
    world.remove()
    assert world.kinds() == ["StreamCreated", "StreamDeleted"]


def test_an_end_is_tried_for_as_long_as_the_provider_is_away() -> None:
    world = Standing()
    world.provider.fail("remove", ProviderUnavailable("later"), times=5)
    world.remove()
    world.wait(rounds=5)
    assert world.provider.count("remove") == 6
    assert world.kinds() == ["StreamCreated", "StreamDeleted"]


def test_a_stream_that_is_ending_can_be_read_and_nothing_else() -> None:
    world = ending()
    assert world.read().state is State.ENDING
    assert world.refresh().state is State.ENDING
    asked: list[Callable[[], object]] = [
        world.credentials,
        lambda: world.credentials(refresh=True),
        world.keep_alive,
        lambda: world.change({"name": "x"}),
        world.repair,
        world.rotate,
        lambda: world.outputs.list(CALLER, world.stream.id, whole_invocation()),
    ]
    for ask in asked:
        with pytest.raises(StreamEnded) as caught:
            ask()
        assert caught.value.problem("r")["reason"] == "deleted"
    assert world.untouched


def test_what_is_ending_hears_nothing_any_more() -> None:
    world = ending()
    world.hear(State.LIVE, at=100)
    world.beat(1)
    assert world.untouched


def ending() -> Standing:
    """A stream that was to be ended while its provider was away."""
    world = Standing(Unfindable())
    world.provider.fail("remove", ProviderUnavailable("later"))
    world.remove()
    world.provider.calls.clear()
    world.store.writes = 0
    return world


def test_that_a_stream_is_to_end_is_recorded_before_the_provider_hears_of_it() -> None:
    world = Standing()
    seen: list[State] = []
    world.provider.meanwhile("remove", lambda: seen.append(world.record().stream.state))
    world.remove()
    assert seen == [State.ENDING]


def test_a_removal_whose_worker_died_is_finished_by_whoever_sweeps() -> None:
    died = 0
    for world, label in every_death(Standing, Standing.remove):
        before = world.record().stream.state
        world.wait(rounds=2)
        died += 1
        gone = world.provider.alive == {}
        assert gone == (before is not State.READY), label
        assert world.kinds() == ["StreamCreated", "StreamDeleted"][: 1 + gone], label
        if not gone:  # nothing was begun
            world.remove()
        assert world.remove().stream.state is State.ENDED, label
        assert world.kinds() == ["StreamCreated", "StreamDeleted"], label
    assert died == 4


def test_a_removal_whose_worker_died_is_finished_by_the_next_who_asks() -> None:
    for world, label in every_death(Standing, Standing.remove):
        assert world.remove().stream.state is State.ENDED, label
        assert world.provider.alive == {}, label
        assert world.kinds() == ["StreamCreated", "StreamDeleted"], label
        assert world.store.sealed == {}, label


def test_a_delete_that_meets_a_look_is_a_deletion_and_nothing_is_lost() -> None:
    for state in (State.READY, State.LIVE):

        def standing(state: State = state) -> Standing:
            world = Standing()
            world.provider.state = state
            return world

        for met in every_meeting(standing, Standing.remove, lambda world: world.refresh()):
            assert met.world.record().stream.state is State.ENDED, met.label
            assert met.world.record().stream.state_reason == "deleted", met.label
            ends = [kind for kind in met.world.kinds() if kind not in {"StreamCreated", "StreamStateChanged"}]
            assert ends == ["StreamDeleted"], met.label
            assert met.world.store.sealed == {}, met.label


def test_a_delete_that_meets_a_notification_is_a_deletion() -> None:
    for met in every_meeting(Standing, Standing.remove, lambda world: world.hear(State.LIVE, at=1)):
        assert met.world.record().stream.state is State.ENDED, met.label
        assert met.world.kinds()[-1] == "StreamDeleted", met.label


def test_two_who_end_a_stream_at_once_announce_one_end() -> None:
    for met in every_meeting(past_its_end, Standing.remove, Standing.expire):
        assert met.world.record().stream.state is State.ENDED, met.label
        (kind,) = met.world.kinds()[1:]
        assert kind in {"StreamDeleted", "StreamExpired"}, met.label
        assert met.world.told(kind)[0]["stream"]["state_reason"] == {"StreamDeleted": "deleted"}.get(kind, "expired")


def past_its_end() -> Standing:
    world = Standing(max_lifetime_seconds=60)
    world.clock.advance(61)
    return world


def test_an_end_that_was_begun_keeps_its_reason_whoever_finishes_it() -> None:
    world = past_its_end()
    world.provider.fail("remove", ProviderUnavailable("later"))
    world.expire()
    assert world.remove().stream.state_reason == "expired"
    assert world.kinds() == ["StreamCreated", "StreamExpired"]


def test_an_end_is_counted_by_business_time() -> None:
    world = Standing(max_lifetime_seconds=60)
    world.moved = timedelta(seconds=60)
    world.expire()
    assert world.record().ended_at == world.clock() + timedelta(seconds=60)
    assert world.record().stream.state_reason == "expired"


def test_a_removal_that_met_a_mere_write_is_no_failed_precondition() -> None:
    world = Standing()
    world.provider.meanwhile("remove", world.interfere)
    world.remove()
    assert world.kinds() == ["StreamCreated", "StreamDeleted"]


def test_two_removals_at_once_announce_one_deletion() -> None:
    world = Standing()
    world.provider.meanwhile("remove", world.remove)
    with suppress(PreconditionFailed):  # either answer is true; what counts is what is recorded
        world.remove()
    assert world.kinds() == ["StreamCreated", "StreamDeleted"]


# ---- expiring


def test_a_stream_expires_when_its_lifetime_is_over() -> None:
    world = Standing(max_lifetime_seconds=60)
    world.clock.advance(60)
    world.expire()
    assert world.provider.alive == {}
    record = world.record()
    assert (record.stream.state, record.stream.state_reason) == (State.ENDED, "expired")
    assert world.kinds() == ["StreamCreated", "StreamExpired"]
    assert world.store.sealed == {}


def test_a_stream_does_not_expire_too_soon() -> None:
    world = Standing(max_lifetime_seconds=60)
    world.clock.advance(59.9)
    world.expire()
    assert world.provider.calls == []


def test_a_stream_without_a_lifetime_does_not_expire() -> None:
    world = Standing()
    world.clock.advance(10_000_000)
    world.expire()
    assert world.provider.calls == []


def test_a_stream_expires_once() -> None:
    world = Standing(max_lifetime_seconds=60)
    world.clock.advance(60)
    world.expire()
    world.expire()
    assert world.provider.count("remove") == 1
    assert world.kinds() == ["StreamCreated", "StreamExpired"]


def test_an_expiry_that_the_provider_could_not_do_is_done_when_it_is_told_again() -> None:
    world = Standing(max_lifetime_seconds=60)
    world.clock.advance(60)
    world.provider.fail("remove", ProviderUnavailable("later"))
    world.expire()
    assert world.record().stream.state is State.ENDING
    world.expire()
    assert world.kinds() == ["StreamCreated", "StreamExpired"]


def test_a_lifetime_that_nobody_ended_in_time_is_ended_by_whoever_sweeps() -> None:
    world = Standing(max_lifetime_seconds=60)
    assert world.record().due_at == world.clock() + timedelta(seconds=60) + EXPIRY_GRACE
    world.wait()
    assert world.kinds() == ["StreamCreated", "StreamExpired"]
    assert world.record().due_at is None


def test_an_expiry_whose_worker_died_is_finished_by_whoever_sweeps() -> None:
    for world, label in every_death(past_its_end, Standing.expire):
        world.wait(rounds=2)
        assert world.provider.alive == {}, label
        assert world.kinds() == ["StreamCreated", "StreamExpired"], label


def test_a_lifetime_that_is_prolonged_while_it_ends_is_either_prolonged_or_over() -> None:
    for met in every_meeting(past_its_end, Standing.expire, lambda world: world.change({"max_lifetime_seconds": 600})):
        if met.second.error:
            assert isinstance(met.second.error, StreamEnded), met.label
            assert met.world.kinds() == ["StreamCreated", "StreamExpired"], met.label
        else:
            assert met.world.record().stream.state is State.READY, met.label
            assert met.world.kinds() == ["StreamCreated", "StreamUpdated"], met.label
            assert len(met.world.provider.alive) == 1, met.label


def test_what_remains_is_told_for_as_long_as_the_end_is_known() -> None:
    """Also where nobody waited for it."""
    world = Standing()
    world.provider.remains = "Its recordings stay."
    world.provider.fail("remove", ProviderUnavailable("later"))
    assert world.remove().stream.state is State.ENDING
    world.clock.advance(AGAIN_SECONDS)
    world.look()
    with pytest.raises(StreamEnded) as over:
        world.read()
    assert over.value.extra["remains"] == "Its recordings stay."
