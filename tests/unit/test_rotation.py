"""What opens a stream is exchanged: the old secret opens nothing and is kept nowhere, whatever dies."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from headwater.deadline import Deadline
from headwater.errors import (
    CapabilityNotSupported,
    Effect,
    HeadwaterError,
    PreconditionFailed,
    ProviderOutcomeUnknown,
    ProviderRejected,
    ProviderUnavailable,
    StreamEnded,
    StreamLive,
)
from headwater.ports import Stale
from headwater.provider import Handle, Resource
from headwater.streams import State
from tests.unit.fakes import (
    CALLER,
    CANARY,
    CLAIM_SECONDS,
    INVOCATION_SECONDS,
    FakeProvider,
    Plain,
    Unfindable,
    whole_invocation,
)
from tests.unit.interleaving import every_death, every_meeting
from tests.unit.standing import Standing


class Quiet(FakeProvider):
    """What opens its streams is told once, and at a rotation."""

    def __init__(self) -> None:
        super().__init__()
        self.tells_access = False


class Renewing(Unfindable):
    """It rotates as it renews: each gives another token."""

    def renew(self, handle: Handle, deadline: Deadline) -> Resource | None:
        return self.rotate(handle, True, deadline)


def opens_it(world: Standing) -> bool:
    """Whether what is kept is what opens it, and nothing else is kept."""
    secrets = world.secrets()
    others = [f"{CANARY}ref-1-{number}" for number in range(world.resource.rotations)]
    return world.provider.secret_of("ref-1") in secrets and not any(f'{other}"' in secrets for other in others)


def test_a_rotation_answers_with_what_opens_the_stream_from_now_on() -> None:
    world = Standing()
    world.clock.advance(5)
    stream, credentials = world.rotate()
    revealed = json.dumps(credentials.revealed())
    assert (f"{CANARY}ref-1-1" in revealed, f"{CANARY}ref-1-0" in revealed) == (True, False)
    assert (stream.credentials_rotated_at, stream.version) == (world.clock(), 2)
    assert world.credentials() == credentials
    assert world.read() == stream


def test_the_old_secret_is_gone_from_the_store() -> None:
    world = Standing()
    world.rotate()
    (sealed,) = world.store.sealed.values()
    plain = world.vault.unseal(world.record(), sealed).decode()
    assert (f"{CANARY}ref-1-1" in plain, f"{CANARY}ref-1-0" in plain) == (True, False)


def test_a_rotation_is_announced_without_secrets() -> None:
    world = Standing()
    world.rotate()
    assert world.kinds() == ["StreamCreated", "StreamCredentialsRotated"]
    assert CANARY not in json.dumps(world.lifecycle.timeline(CALLER, world.stream.id))
    assert CANARY not in world.record().model_dump_json()


def test_what_is_not_told_anew_is_kept() -> None:
    world = Standing()
    before = world.credentials().playback
    world.rotate()
    assert world.credentials().playback == before


def test_a_rotation_that_was_noted_is_no_news_to_whoever_looks() -> None:
    world = Standing()
    world.rotate()
    world.refresh()
    assert world.kinds() == ["StreamCreated", "StreamCredentialsRotated"]
    assert world.record().due_at is None


def test_when_it_was_rotated_is_what_the_provider_says_where_it_does() -> None:
    world = Standing()
    world.resource.rotated_at = world.clock() - timedelta(seconds=3)
    assert world.rotate()[0].credentials_rotated_at == world.clock() - timedelta(seconds=3)


def test_each_rotation_gives_another_secret() -> None:
    world = Standing()
    first, second = world.rotate()[1], world.rotate()[1]
    assert first != second
    assert opens_it(world)


def test_a_rotation_that_would_cut_somebody_off_is_refused_and_leaves_no_trace() -> None:
    world = Standing()
    before = world.record()
    world.resource.live = True
    with pytest.raises(StreamLive):
        world.rotate()
    after = world.record()
    assert after == before.model_copy(update={"revision": after.revision})
    assert world.resource.rotations == 0
    world.rotate(force=True)
    assert opens_it(world)


def test_where_there_is_nothing_to_rotate_nothing_is_called() -> None:
    world = Standing(Plain())
    with pytest.raises(CapabilityNotSupported):
        world.rotate()
    assert world.untouched


@pytest.mark.parametrize("state", [State.ENDED, State.LOST, State.FAILED, State.ENDING])
def test_what_is_over_is_not_rotated(state: State) -> None:
    world = Standing()
    world.put(state)
    with pytest.raises(StreamEnded):
        world.rotate()
    assert world.provider.calls == []


def test_what_the_provider_does_not_have_is_lost() -> None:
    world = Standing()
    world.provider.alive.clear()
    with pytest.raises(StreamEnded):
        world.rotate()
    assert world.kinds() == ["StreamCreated", "StreamLost"]


def test_a_rotation_renews_the_lease_where_that_is_how_it_is_done() -> None:
    world = Standing(Renewing())
    world.clock.advance(100)
    lease = world.rotate()[0].lease
    assert lease
    assert lease.renewed_at == world.clock()


def test_a_rotation_that_tells_of_no_lease_leaves_the_one_there_is() -> None:
    class Apart(Unfindable):
        def rotate(self, handle: Handle, force: bool, deadline: Deadline) -> Resource | None:
            rotated = super().rotate(handle, force, deadline)
            return replace(rotated, lease_seconds=None) if rotated else None

    world = Standing(Apart())
    world.clock.advance(100)
    assert world.rotate()[0].lease == world.stream.lease


def test_a_rotation_without_a_lease_gives_none() -> None:
    assert Standing().rotate()[0].lease is None


@pytest.mark.parametrize("error", [ProviderUnavailable("later"), ProviderRejected("no")])
def test_a_rotation_that_provably_came_to_nothing_keeps_nobody_from_another(error: HeadwaterError) -> None:
    world = Standing()
    world.provider.fail("rotate", error)
    with pytest.raises(type(error)):
        world.rotate()
    assert world.record().changing == {}
    assert world.rotate()[0].credentials_rotated_at == world.clock()


def test_secrets_that_may_have_been_exchanged_just_now_are_not_read_anew_but_later() -> None:
    world = Standing()
    world.provider.fail("rotate", ProviderOutcomeUnknown("silence"), carried_out=True)
    with pytest.raises(ProviderOutcomeUnknown):
        world.rotate()
    with pytest.raises(PreconditionFailed) as refused:
        world.lifecycle.credentials(CALLER, world.stream.id, True, whole_invocation())
    assert refused.value.retry_after
    world.clock.advance(world.parts.landing + 1)
    world.lifecycle.credentials(CALLER, world.stream.id, True, whole_invocation())
    assert opens_it(world)


UNCLEAR = [ProviderUnavailable("later", effect=Effect.UNKNOWN), ProviderOutcomeUnknown("silence")]


@pytest.mark.parametrize("error", UNCLEAR)
def test_a_rotation_of_which_nothing_is_known_is_found_by_a_look(error: HeadwaterError) -> None:
    world = Standing()
    world.provider.fail("rotate", error, carried_out=True)
    with pytest.raises(type(error)):
        world.rotate()
    assert world.kinds() == ["StreamCreated"]
    world.wait()
    assert opens_it(world)
    assert world.kinds() == ["StreamCreated", "StreamCredentialsRotated"]


def test_a_rotation_whose_worker_died_is_found_by_a_look() -> None:
    died = 0
    for world, label in every_death(Standing, Standing.rotate):
        died += 1
        world.wait(rounds=3)
        assert opens_it(world), label
        told = ["StreamCredentialsRotated"] if world.resource.rotations else []
        assert world.kinds() == ["StreamCreated", *told], label
        assert world.record().due_at is None, label
    assert died == 4


def test_a_rotation_whose_worker_died_can_be_asked_for_again() -> None:
    for world, label in every_death(lambda: Standing(Quiet()), Standing.rotate):
        world.clock.advance(CLAIM_SECONDS)
        world.rotate()
        assert opens_it(world), label


def test_of_two_rotations_at_once_the_secret_that_is_kept_is_the_last_one() -> None:
    """Where two would exchange it at the same time, one is told to come again."""
    for provider in (FakeProvider, Quiet):
        for met in every_meeting(lambda provider=provider: Standing(provider()), Standing.rotate, Standing.rotate):  # type: ignore[misc] # mypy cannot tell a default's type
            errors = [outcome.error for outcome in (met.first, met.second) if outcome.error]
            assert len(errors) <= 1, met.label
            assert all(isinstance(error, PreconditionFailed) and error.retryable for error in errors), met.label
            assert opens_it(met.world), met.label
            assert met.world.kinds() == ["StreamCreated"] + ["StreamCredentialsRotated"] * (2 - len(errors)), met.label
            assert met.world.resource.rotations == 2 - len(errors), met.label


def test_a_rotation_and_a_renewal_at_once_leave_the_token_that_opens_it() -> None:
    for other in (Standing.keep_alive, lambda world: world.beat(1)):
        for met in every_meeting(lambda: Standing(Renewing()), Standing.rotate, other):
            assert (met.first.error, met.second.error) == (None, None), met.label
            assert opens_it(met.world), met.label
            assert met.world.kinds() == ["StreamCreated", "StreamCredentialsRotated"], met.label


def test_a_rotation_and_a_change_at_once_are_both_made() -> None:
    for met in every_meeting(Standing, Standing.rotate, lambda world: world.change({"options": {"quality": 0.7}})):
        assert met.second.error is None, met.label
        assert isinstance(met.first.error, PreconditionFailed | None), met.label
        assert opens_it(met.world), met.label
        assert met.world.read().options == {"quality": 0.7}, met.label
        assert met.world.refresh().drift == [], met.label


def test_a_rotation_brings_nothing_back_that_ends() -> None:
    for met in every_meeting(Standing, Standing.rotate, Standing.remove):
        assert met.world.record().stream.state is State.ENDED, met.label
        assert met.world.kinds()[-1] == "StreamDeleted", met.label
        assert met.world.store.sealed == {}, met.label
        told = "StreamCredentialsRotated" in met.world.kinds()
        assert told or isinstance(met.first.error, StreamEnded), met.label
        assert isinstance(met.first.error, StreamEnded | None), met.label


def test_while_somebody_changes_a_stream_it_is_said_when_to_come_again() -> None:
    world = Standing()
    world.note(changing={"w": world.clock() + timedelta(seconds=10)})
    with pytest.raises(PreconditionFailed) as caught:
        world.rotate()
    assert caught.value.retry_after
    world.clock.advance(10)
    world.rotate()
    assert opens_it(world)


def test_a_rotation_that_others_overtake_all_the_time_is_given_up_and_looked_at() -> None:
    world = Standing()

    def other() -> None:
        world.note(credential_hashes={"n": str(world.record().revision)})

    for _ in range(9):
        world.provider.meanwhile("rotate", other)
    with pytest.raises(PreconditionFailed):
        world.rotate()
    world.wait()
    assert opens_it(world)


def test_the_provider_leaves_time_to_record_the_rotation() -> None:
    world = Standing()
    world.rotate()
    assert world.provider.time_given[-1] == INVOCATION_SECONDS - world.parts.settle_reserve


def test_a_note_of_our_own_whose_answer_was_lost_is_no_other_s() -> None:
    world = Standing()
    world.store.fail("update", Stale(), carried_out=True)
    world.rotate()
    assert opens_it(world)
    assert world.record().changing == {}


def test_a_rotation_that_was_made_is_finished_whoever_begins_to_change_the_stream_since() -> None:
    world = Standing(Quiet())

    def other() -> None:
        changing = world.record().changing | {"w": world.clock() + timedelta(seconds=30)}
        world.note(credential_hashes={"another": "exchanged"}, changing=changing)

    world.provider.meanwhile("rotate", other)
    world.rotate()
    assert world.provider.secret_of("ref-1") in world.secrets()
    assert world.record().changing.keys() == {"w"}


def failing(provider: FakeProvider | None = None) -> Standing:
    """A stream of which its provider says that it has failed."""
    world = Standing(provider)
    world.provider.state = State.FAILED
    return world


def test_of_what_has_failed_meanwhile_no_new_secret_is_kept() -> None:
    asked: list[Callable[[Standing], object]] = [Standing.rotate, Standing.keep_alive, lambda world: world.beat(1)]
    for ask in asked:
        for met in every_meeting(lambda: failing(Renewing()), ask, lambda world: world.refresh()):
            assert isinstance(met.first.error, StreamEnded | None), met.label
            failed = met.world.record().stream.state is State.FAILED  # else it is told by the next look
            assert failed == (met.world.store.sealed == {}), met.label


def test_a_rotation_that_is_refused_when_it_is_made_anew_is_looked_at() -> None:
    """It was made once by then, and what opens the stream since was not recorded."""
    world = Standing()

    def other() -> None:
        world.note(credential_hashes={"another": "exchanged"})
        world.resource.live = True

    world.provider.meanwhile("rotate", other)
    with pytest.raises(StreamLive):
        world.rotate()
    world.wait()
    assert opens_it(world)
