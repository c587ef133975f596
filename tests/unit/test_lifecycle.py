"""What becomes of a stream that is there: read, looked at, lost, its lease renewed."""

import json
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from headwater.changing import Match
from headwater.deadline import Deadline
from headwater.errors import (
    CapabilityNotSupported,
    CreationInProgress,
    ProviderPaymentRequired,
    ProviderRejected,
    ProviderUnavailable,
    StreamEnded,
    StreamNotFound,
)
from headwater.events import AttentionData
from headwater.lifecycle import Lifecycle
from headwater.provider import Handle, Resource
from headwater.records import LOOK_SECONDS, Credentials
from headwater.streams import State
from tests.unit.fakes import (
    CALLER,
    CANARY,
    CLAIM_SECONDS,
    STRANGER,
    FakeProvider,
    Plain,
    Unfindable,
    World,
    whole_invocation,
)
from tests.unit.interleaving import every_death, every_meeting
from tests.unit.standing import Standing, unsettled

# ---- reading


def test_a_stream_is_read_without_asking_the_provider() -> None:
    world = Standing()
    assert world.read() == world.stream
    assert world.provider.calls == []


def test_a_stream_that_is_being_created_can_be_read() -> None:
    world = World()
    stream_id = unsettled(world)
    stream = world.lifecycle.read(CALLER, stream_id, True, whole_invocation())
    assert stream.state is State.PROVISIONING
    assert world.provider.count("read") == 0


def test_a_stream_that_failed_can_be_read() -> None:
    world = World()
    world.provider.fail("create", ProviderRejected("no"))
    with pytest.raises(ProviderRejected):
        world.provision()
    stream = world.lifecycle.read(CALLER, world.id_of(), True, whole_invocation())
    assert (stream.state, stream.state_reason) == (State.FAILED, "provider-rejected")
    assert world.provider.count("read") == 0


def test_a_refresh_that_finds_nothing_new_writes_nothing() -> None:
    world = Standing()
    before = world.record()
    assert world.read(refresh=True) == world.stream
    assert world.record() == before
    assert world.kinds() == ["StreamCreated"]


def test_a_refresh_that_finds_another_state_records_and_announces_it() -> None:
    world = Standing()
    world.clock.advance(10)
    world.provider.state, world.provider.provider_status = State.LIVE, "connected"
    stream = world.read(refresh=True)
    assert (stream.state, stream.provider_status, stream.version) == (State.LIVE, "connected", 2)
    assert stream.updated_at == world.clock()
    assert world.read() == stream
    assert world.kinds() == ["StreamCreated", "StreamStateChanged"]
    event = world.store.timeline(stream.id)[-1]
    assert (event["data"]["previous_state"], event["sequence"]) == ("ready", 2)


def test_a_refresh_that_finds_another_word_for_the_same_state_records_it_and_announces_nothing() -> None:
    world = Standing()
    world.provider.provider_status = "finer"
    stream = world.read(refresh=True)
    assert (stream.provider_status, stream.version) == ("finer", 1)
    assert world.read() == stream
    assert world.kinds() == ["StreamCreated"]


def test_what_the_provider_does_not_tell_again_is_kept() -> None:
    world = Standing()
    world.provider.tells_access = False
    world.provider.state = State.LIVE
    assert world.read(refresh=True).ingest == world.stream.ingest
    assert world.provider.secret_of("ref-1") in json.dumps(world.credentials().revealed())


def test_a_secret_that_the_provider_replaced_comes_with_the_next_change() -> None:
    world = Standing()
    world.provider.exchange("ref-1")
    world.provider.state = State.LIVE
    world.read(refresh=True)
    revealed = json.dumps(world.credentials().revealed())
    assert f"{CANARY}ref-1-1" in revealed
    assert f"{CANARY}ref-1-0" not in revealed


def test_a_secret_that_the_provider_replaced_comes_even_if_nothing_else_changed() -> None:
    world = Standing()
    world.provider.exchange("ref-1")
    world.read(refresh=True)
    assert f"{CANARY}ref-1-1" in json.dumps(world.credentials().revealed())


def test_a_stream_that_the_provider_no_longer_has_is_lost() -> None:
    world = Standing()
    world.provider.alive.clear()
    with pytest.raises(StreamEnded) as caught:
        world.read(refresh=True)
    assert caught.value.problem("r")["state"] == "lost"
    record = world.record()
    assert (record.stream.state, record.ended_at) == (State.LOST, world.clock())
    assert world.kinds() == ["StreamCreated", "StreamLost"]
    assert world.store.sealed == {}


def test_a_lost_stream_is_lost_once() -> None:
    world = Standing()
    world.provider.alive.clear()
    for _ in range(3):
        with pytest.raises(StreamEnded):
            world.read(refresh=True)
    assert world.provider.count("read") == 1
    assert world.kinds() == ["StreamCreated", "StreamLost"]


def test_a_stream_that_ended_at_the_provider_has_ended() -> None:
    world = Standing()
    world.provider.state = State.ENDED
    with pytest.raises(StreamEnded):
        world.read(refresh=True)
    assert world.record().ended_at == world.clock()
    assert world.kinds() == ["StreamCreated", "StreamStateChanged"]


@pytest.mark.parametrize("state", [State.ENDED, State.FAILED])
def test_of_a_stream_that_is_over_no_secret_is_kept(state: State) -> None:
    world = Standing()
    world.provider.state = state
    with suppress(StreamEnded):  # how an ended one is answered; a failed one is shown
        world.read(refresh=True)
    assert world.record().stream.state is state
    assert world.store.sealed == {}


def test_a_provider_that_cannot_be_asked_changes_nothing() -> None:
    world = Standing()
    before = world.record()
    world.provider.fail("read", ProviderUnavailable("later"))
    with pytest.raises(ProviderUnavailable):
        world.read(refresh=True)
    assert world.record() == before


def test_a_provider_leaves_time_to_record_what_it_told() -> None:
    world = Standing()
    world.lifecycle.read(CALLER, world.stream.id, True, Deadline(10, clock=lambda: 0.0))
    assert world.provider.time_given[-1] == 10 - world.parts.settle_reserve


def test_a_read_that_met_another_worker_still_answers() -> None:
    world = Standing()
    world.provider.state = State.LIVE
    world.provider.meanwhile("read", world.interfere)
    assert world.read(refresh=True).state in {State.READY, State.LIVE}


# ---- whose it is


def test_a_stranger_s_stream_looks_like_none() -> None:
    world = Standing()
    missing = "str_" + "a" * 52

    def told(stream_id: str) -> list[object]:
        lifecycle, problems = world.lifecycle, list[object]()
        for call in (
            lambda: lifecycle.read(STRANGER, stream_id, False, whole_invocation()),
            lambda: lifecycle.read(STRANGER, stream_id, True, whole_invocation()),
            lambda: lifecycle.credentials(STRANGER, stream_id, False, whole_invocation()),
            lambda: lifecycle.credentials(STRANGER, stream_id, True, whole_invocation()),
            lambda: lifecycle.keep_alive(STRANGER, stream_id, whole_invocation()),
            lambda: world.ending.remove(STRANGER, stream_id, whole_invocation()),
            lambda: world.changing.change(STRANGER, stream_id, {"name": "x"}, Match(), whole_invocation()),
            lambda: world.changing.repair(STRANGER, stream_id, whole_invocation()),
            lambda: world.rotation.rotate(STRANGER, stream_id, True, whole_invocation()),
            lambda: world.outputs.list(STRANGER, stream_id, whole_invocation()),
            lambda: world.outputs.switch(STRANGER, stream_id, "out-1", True, whole_invocation()),
            lambda: world.outputs.remove(STRANGER, stream_id, "out-1", whole_invocation()),
            lambda: lifecycle.timeline(STRANGER, stream_id),
        ):
            with pytest.raises(StreamNotFound) as caught:
                call()
            problems.append(caught.value.problem("r"))
        return problems

    assert told(world.stream.id) == told(missing)
    assert world.provider.calls == []
    assert len(world.provider.alive) == 1


def test_a_stranger_s_stream_that_is_over_looks_like_none() -> None:
    world = Standing()
    world.put(State.ENDED)
    with pytest.raises(StreamNotFound):
        world.read(caller=STRANGER)


def test_another_provider_s_stream_looks_like_none() -> None:
    world = Standing()
    elsewhere = world.record().stream.model_copy(update={"provider": "another"})
    world.store.touch(world.stream.id, stream=elsewhere)
    with pytest.raises(StreamNotFound):
        world.read()


# ---- credentials


def test_credentials_are_what_the_create_answered() -> None:
    world = World()
    opened = world.provision()
    kept = world.lifecycle.credentials(CALLER, opened.stream.id, False, whole_invocation())
    assert kept == opened.credentials


def test_credentials_without_secrets_are_what_the_stream_shows() -> None:
    provider = FakeProvider()
    provider.has_secrets = False
    world = Standing(provider)
    revealed = world.credentials().revealed()
    assert (revealed["ingest"], revealed["playback"]) == (world.stream.ingest, world.stream.playback)


def test_credentials_can_be_read_anew_from_the_provider() -> None:
    world = Standing()
    world.provider.exchange("ref-1")
    revealed = json.dumps(world.credentials(refresh=True).revealed())
    assert (f"{CANARY}ref-1-1" in revealed, f"{CANARY}ref-1-0" in revealed) == (True, False)
    assert world.read().credentials_rotated_at == world.clock()


def test_credentials_that_the_provider_does_not_tell_again_are_those_that_are_kept() -> None:
    world = Standing()
    world.provider.tells_access = False
    assert world.credentials(refresh=True) == world.credentials()


@pytest.mark.parametrize("state", [State.ENDED, State.FAILED])
def test_credentials_of_one_that_is_found_to_be_over_are_gone(state: State) -> None:
    world = Standing()
    world.provider.state = state
    with pytest.raises(StreamEnded):
        world.credentials(refresh=True)


def test_credentials_of_one_that_is_to_end_since_the_provider_was_asked_are_gone() -> None:
    world = Standing()
    world.provider.fail("remove", ProviderUnavailable("later"))
    world.provider.meanwhile("read", world.remove)
    world.provider.state = State.LIVE
    with pytest.raises(StreamEnded):
        world.credentials(refresh=True)


def test_credentials_that_meet_the_delete_are_either_whole_or_gone() -> None:
    for refresh in (False, True):

        def read(world: Standing, refresh: bool = refresh) -> object:
            return world.credentials(refresh=refresh)

        for met in every_meeting(Standing, read, Standing.remove):
            if met.first.error:
                assert isinstance(met.first.error, StreamEnded), met.label
            else:
                assert isinstance(met.first.value, Credentials)
                assert met.first.value.secret, met.label
            assert met.world.kinds() == ["StreamCreated", "StreamDeleted"], met.label


def test_credentials_of_one_that_is_being_created_are_not_there_yet() -> None:
    world = World()
    stream_id = unsettled(world)
    with pytest.raises(CreationInProgress) as caught:
        world.lifecycle.credentials(CALLER, stream_id, False, whole_invocation())
    assert caught.value.retry_after == CLAIM_SECONDS


@pytest.mark.parametrize("state", [State.ENDED, State.LOST, State.FAILED])
def test_credentials_of_one_that_is_over_are_gone(state: State) -> None:
    world = Standing()
    world.put(state)
    with pytest.raises(StreamEnded):
        world.credentials()


# ---- keeping alive


def test_keeping_alive_renews_the_lease_and_announces_nothing() -> None:
    world = Standing(Unfindable())
    world.clock.advance(100)
    lease = world.keep_alive().lease
    assert lease
    assert (lease.renewed_at, lease.expires_at) == (world.clock(), world.clock() + timedelta(seconds=300))
    assert world.record().stream.lease == lease
    assert world.kinds() == ["StreamCreated"]
    assert world.read().version == 1


def test_keeping_alive_does_not_move_the_end_of_the_lifetime() -> None:
    world = Standing(Unfindable(), max_lifetime_seconds=600)
    world.clock.advance(500)
    assert world.keep_alive().expires_at == world.stream.expires_at


def test_a_new_token_replaces_the_old() -> None:
    world = Standing(Unfindable())
    world.provider.exchange("ref-1")
    world.keep_alive()
    revealed = json.dumps(world.credentials().revealed())
    assert f"{CANARY}ref-1-1" in revealed
    assert f"{CANARY}ref-1-0" not in revealed


def test_keeping_alive_does_not_count_as_a_beat() -> None:
    world = Standing(Unfindable())
    world.beat(2)
    lease = world.keep_alive().lease
    assert lease
    assert lease.beat == 2


def test_where_there_are_no_leases_nothing_is_kept_alive() -> None:
    world = Standing(Plain())
    with pytest.raises(CapabilityNotSupported):
        world.keep_alive()
    assert world.provider.calls == []


def test_keeping_alive_what_the_provider_lost_is_told_as_any_use_of_a_lost_stream() -> None:
    world = Standing(Unfindable())
    world.provider.alive.clear()
    with pytest.raises(StreamEnded):
        world.keep_alive()
    assert world.kinds() == ["StreamCreated", "StreamLost"]


@pytest.mark.parametrize("state", [State.ENDED, State.LOST, State.FAILED])
def test_what_is_over_is_not_kept_alive(state: State) -> None:
    world = Standing(Unfindable())
    world.put(state)
    with pytest.raises(StreamEnded):
        world.keep_alive()
    assert world.provider.calls == []


def test_what_is_being_created_is_not_kept_alive() -> None:
    world = World(Unfindable())
    stream_id = unsettled(world)
    with pytest.raises(CreationInProgress):
        world.lifecycle.keep_alive(CALLER, stream_id, whole_invocation())


# ---- the beat


def test_a_beat_renews_the_lease() -> None:
    world = Standing(Unfindable())
    world.clock.advance(100)
    world.beat(1)
    lease = world.record().stream.lease
    assert lease
    assert (lease.beat, lease.renewed_at) == (1, world.clock())
    assert world.provider.calls == ["renew"]
    assert world.kinds() == ["StreamCreated"]


def test_a_beat_that_is_told_again_does_nothing() -> None:
    world = Standing(Unfindable())
    world.beat(1)
    world.beat(1)
    assert world.provider.count("renew") == 1


def test_a_beat_that_was_overtaken_does_nothing() -> None:
    world = Standing(Unfindable())
    world.beat(2)
    world.beat(1)
    assert world.provider.count("renew") == 1


def test_of_two_that_hear_one_beat_one_renews() -> None:
    world = Standing(Unfindable())
    world.store.meanwhile("update", lambda: world.beat(1))
    world.beat(1)
    assert world.provider.count("renew") == 1


def test_beats_follow_each_other() -> None:
    world = Standing(Unfindable())
    for beat in (1, 2, 3):
        world.clock.advance(100)
        world.beat(beat)
    lease = world.record().stream.lease
    assert lease
    assert (lease.beat, lease.renewed_at) == (3, world.clock())


def test_a_beat_of_a_stream_without_lease_does_nothing() -> None:
    world = Standing()
    world.beat(1)
    assert world.provider.calls == []


def test_a_beat_without_a_number_does_nothing() -> None:
    world = Standing(Unfindable())
    data = AttentionData(provider="fake", stream_id=world.stream.id, reason="renew")
    world.attention.attend(data, "bus-1", whole_invocation())
    assert world.provider.calls == []


def test_a_beat_that_finds_nothing_at_the_provider_tells_that_the_stream_is_lost() -> None:
    world = Standing(Unfindable())
    world.provider.alive.clear()
    with pytest.raises((StreamEnded, StreamNotFound)):
        world.beat(1)
    assert world.record().stream.state is State.LOST
    assert world.kinds() == ["StreamCreated", "StreamLost"]


def test_a_beat_that_cannot_be_done_is_told() -> None:
    world = Standing(Unfindable())
    world.provider.fail("renew", ProviderUnavailable("later"))
    with pytest.raises(ProviderUnavailable):
        world.beat(1)
    world.beat(2)
    lease = world.record().stream.lease
    assert lease
    assert lease.beat == 2


# ---- a lease that is held


def test_of_three_renewals_two_may_fail() -> None:
    """They come after a quarter of the lease each; the third is there before its last third has begun."""
    world = Standing(Unfindable())
    world.provider.fail("renew", ProviderUnavailable("later"), times=2)
    for beat in (1, 2):
        world.clock.advance(75)
        with pytest.raises(ProviderUnavailable):
            world.beat(beat)
    lease = world.record().stream.lease
    assert lease
    assert lease.critical_at > world.clock()
    world.clock.advance(75)
    world.beat(3)
    renewed = world.record().stream.lease
    assert renewed
    assert renewed.expires_at == world.clock() + timedelta(seconds=300)
    assert world.kinds() == ["StreamCreated"]


def test_a_lease_in_its_last_third_is_renewed_by_whoever_sweeps() -> None:
    world = Standing(Unfindable())
    world.provider.fail("renew", ProviderUnavailable("later"), times=3)
    for beat in (1, 2, 3):
        with pytest.raises(ProviderUnavailable):
            world.beat(beat)
    lease = world.record().stream.lease
    assert lease
    assert world.record().due_at == lease.critical_at
    world.clock.advance(200)
    world.sweep()
    renewed = world.record().stream.lease
    assert renewed
    assert (renewed.beat, renewed.renewed_at) == (4, world.clock())


def test_a_lease_counts_from_when_it_was_asked_for() -> None:
    """What the provider took to answer is gone from it already."""
    world = Standing(Unfindable())
    asked_at = world.clock()
    world.provider.meanwhile("renew", lambda: world.clock.advance(20))
    world.beat(1)
    lease = world.record().stream.lease
    assert lease
    assert (lease.renewed_at, lease.expires_at) == (asked_at, asked_at + timedelta(seconds=300))


def test_a_lease_that_was_renewed_later_is_not_shortened_by_an_answer_that_comes_late() -> None:
    world = Standing(Unfindable())

    def later() -> None:
        world.clock.advance(10)
        world.keep_alive()

    world.provider.meanwhile("renew", later)
    world.beat(1)
    lease = world.record().stream.lease
    assert lease
    assert (lease.renewed_at, lease.beat) == (world.clock(), 1)


def test_a_renewal_that_nobody_pays_for_ends_the_stream_with_its_reason() -> None:
    world = Standing(Unfindable())
    world.provider.fail("renew", ProviderPaymentRequired("no credits"))
    with pytest.raises(ProviderPaymentRequired):
        world.beat(1)
    stream = world.record().stream
    assert (stream.state, stream.state_reason) == (State.ENDED, "provider-payment-required")
    assert world.provider.alive == {}
    assert world.kinds() == ["StreamCreated", "StreamStateChanged"]
    assert world.told("StreamStateChanged")[0]["stream"]["state"] == "ended"


def test_a_stream_that_nobody_pays_for_ends_when_its_provider_can_be_reached_again() -> None:
    world = Standing(Unfindable())
    world.provider.fail("renew", ProviderPaymentRequired("no credits"))
    world.provider.fail("remove", ProviderUnavailable("later"))
    with pytest.raises(ProviderPaymentRequired):
        world.keep_alive()
    assert world.record().stream.state is State.ENDING
    world.wait()
    assert world.record().stream.state_reason == "provider-payment-required"
    assert world.kinds() == ["StreamCreated", "StreamStateChanged"]


def test_a_renewal_of_what_has_ended_at_its_provider_tells_the_provider_s_reason() -> None:
    class Ends(Unfindable):
        """A lease is not renewed of what has ended, of which it can tell for a while."""

        def renew(self, handle: Handle, deadline: Deadline) -> Resource | None:
            self._called("renew", deadline)
            return None

        def read(self, handle: Handle, deadline: Deadline) -> Resource | None:
            self._called("read", deadline)
            return Resource(handle.ref, State.ENDED, "ended", state_reason="source-closed")

    world = Standing(Ends())
    with pytest.raises(StreamEnded) as caught:
        world.keep_alive()
    assert caught.value.problem("r")["reason"] == "source-closed"
    assert world.kinds() == ["StreamCreated", "StreamStateChanged"]
    assert world.store.sealed == {}


def test_a_renewal_that_is_refused_of_what_is_there_is_told_as_such() -> None:
    class Forgetful(Unfindable):
        """It knows a stream, but not its lease."""

        def renew(self, handle: Handle, deadline: Deadline) -> Resource | None:
            return None

    world = Standing(Forgetful())
    with pytest.raises(ProviderUnavailable):
        world.keep_alive()
    assert world.record().stream.state is State.READY


def test_renewals_stop_with_the_delete() -> None:
    world = Standing(Unfindable())
    world.provider.fail("remove", ProviderUnavailable("later"))
    world.remove()
    world.beat(1)
    world.clock.advance(290)
    world.sweep()
    assert world.provider.count("renew") == 0
    assert world.record().stream.state is State.ENDED


def test_a_renewal_that_meets_the_delete_is_told_that_the_stream_ends() -> None:
    world = Standing(Unfindable())
    world.provider.meanwhile("renew", world.remove)
    with pytest.raises(StreamEnded):
        world.keep_alive()
    assert world.kinds() == ["StreamCreated", "StreamDeleted"]
    assert world.store.sealed == {}


def test_a_beat_that_meets_a_mere_write_is_no_beat_missed() -> None:
    world = Standing(Unfindable())
    world.store.meanwhile("update", world.interfere)
    world.beat(1)
    assert world.provider.count("renew") == 1


def test_a_deployment_s_new_terms_move_no_end_that_was_told() -> None:
    world = Standing(Unfindable())
    told = world.stream.expires_at
    changed = replace(world.parts, leased_lifetime=60, lifetime_ceiling=60)
    Lifecycle(changed).keep_alive(CALLER, world.stream.id, whole_invocation())
    assert world.record().stream.expires_at == told


class Tokens(Unfindable):
    """Each renewal exchanges the token, and the one before opens nothing any more."""

    def renew(self, handle: Handle, deadline: Deadline) -> Resource | None:
        self._called("renew", deadline)

        def work() -> Resource | None:
            if one := self.alive.get(handle.ref):
                one.rotations += 1
            return self._present(handle)

        return self._play("renew", work)


def opens_it(world: Standing) -> bool:
    return world.provider.secret_of("ref-1") in world.secrets()


def test_of_renewals_at_once_the_token_that_is_kept_is_the_last_one() -> None:
    for met in every_meeting(lambda: Standing(Tokens()), lambda world: world.beat(1), Standing.keep_alive):
        assert met.first.error is None, met.label
        assert met.second.error is None, met.label
        assert opens_it(met.world), met.label
        assert met.world.kinds() == ["StreamCreated"], met.label


def test_a_renewal_and_a_delete_at_once_end_in_one_deletion() -> None:
    for met in every_meeting(lambda: Standing(Tokens()), Standing.keep_alive, Standing.remove):
        assert met.world.record().stream.state is State.ENDED, met.label
        assert met.world.kinds() == ["StreamCreated", "StreamDeleted"], met.label
        assert met.world.store.sealed == {}, met.label
        assert isinstance(met.first.error, StreamEnded | None), met.label


def test_a_renewal_s_worker_may_die_anywhere() -> None:
    for world, label in every_death(lambda: Standing(Tokens()), lambda world: world.beat(1)):
        world.clock.advance(200)
        world.sweep()
        assert opens_it(world), label
        assert world.kinds() == ["StreamCreated"], label


# ---- a lease that its caller holds alone


def alone(provider: FakeProvider | None = None, **body: Any) -> Standing:
    return Standing(provider or Unfindable(), lease={"managed": False}, **body)


def test_a_lease_that_its_caller_holds_is_shown_with_its_end() -> None:
    world = alone()
    lease = world.read().lease
    assert lease
    assert (lease.managed, lease.expires_at) == (False, world.clock() + timedelta(seconds=300))
    assert world.read().expires_at is None


def test_a_lease_that_its_caller_holds_is_not_renewed_by_us() -> None:
    world = alone()
    world.beat(1)
    world.clock.advance(290)
    world.look()
    world.sweep()
    assert world.untouched


def test_a_lease_that_its_caller_holds_is_due_only_once_it_may_be_over() -> None:
    world = alone()
    lease = world.read().lease
    assert lease
    assert world.record().due_at == lease.expires_at + timedelta(seconds=LOOK_SECONDS)
    world.clock.advance(200)
    held = world.keep_alive().lease
    assert held
    assert not held.managed
    assert world.record().due_at == held.expires_at + timedelta(seconds=LOOK_SECONDS)


def test_a_lease_that_its_caller_let_go_of_is_that_stream_s_end() -> None:
    world = alone()
    world.provider.alive.clear()
    world.wait()
    record = world.record()
    assert (record.stream.state, record.stream.state_reason) == (State.ENDED, "lease-expired")
    assert record.due_at is None
    assert world.kinds() == ["StreamCreated", "StreamExpired"]
    assert world.store.sealed == {}


def test_a_lease_that_its_caller_let_go_of_is_the_end_too_while_the_provider_tells_of_it_still() -> None:
    world = alone()
    world.provider.state = State.ENDED
    world.wait()
    assert world.record().stream.state_reason == "lease-expired"
    assert world.kinds() == ["StreamCreated", "StreamExpired"]


def test_what_has_ended_before_its_caller_s_lease_was_over_has_ended_for_another_reason() -> None:
    world = alone()
    world.provider.state = State.ENDED
    with pytest.raises(StreamEnded):
        world.refresh()
    assert world.kinds() == ["StreamCreated", "StreamStateChanged"]


def test_what_has_gone_before_its_caller_s_lease_was_over_is_lost() -> None:
    world = alone()
    world.provider.alive.clear()
    with pytest.raises(StreamEnded):
        world.refresh()
    assert world.kinds() == ["StreamCreated", "StreamLost"]


def test_what_is_gone_though_we_held_its_lease_is_lost() -> None:
    world = Standing(Unfindable())
    world.provider.alive.clear()
    world.clock.advance(1000)
    with pytest.raises(StreamEnded):
        world.refresh()
    assert world.kinds() == ["StreamCreated", "StreamLost"]


def test_a_stream_whose_caller_holds_it_still_is_looked_at_again() -> None:
    world = alone()
    world.wait()
    assert world.provider.calls == ["read"]
    assert world.record().due_at == world.clock() + timedelta(seconds=LOOK_SECONDS)
    assert world.kinds() == ["StreamCreated"]


def test_a_stream_whose_caller_let_go_is_deleted_if_that_is_what_its_caller_asks() -> None:
    """That it ended by itself meanwhile does not make it expired: whoever ends it says so."""
    for met in every_meeting(lapsed, lambda world: world.refresh(), Standing.remove):
        assert met.world.record().stream.state is State.ENDED, met.label
        (kind,) = met.world.kinds()[1:]
        reasons = {"StreamDeleted": "deleted", "StreamExpired": "lease-expired"}
        assert met.world.record().stream.state_reason == reasons[kind], met.label


def lapsed() -> Standing:
    world = alone()
    world.provider.alive.clear()
    world.clock.advance(400)
    return world


def test_a_lifetime_ends_a_stream_whose_caller_holds_it_too() -> None:
    world = alone(max_lifetime_seconds=60)
    world.clock.advance(60)
    world.expire()
    assert world.kinds() == ["StreamCreated", "StreamExpired"]
    assert world.record().stream.state_reason == "expired"


# ---- attention


@pytest.mark.parametrize("state", [State.ENDED, State.LOST, State.FAILED])
def test_what_is_over_needs_no_attention(state: State) -> None:
    world = Standing(Unfindable(), max_lifetime_seconds=60)
    world.put(state)
    before = world.record()
    world.clock.advance(1000)
    world.expire()
    world.beat(1)
    assert world.provider.calls == []
    assert world.record() == before


def test_what_is_not_there_needs_no_attention() -> None:
    world = World()
    data = AttentionData(provider="fake", stream_id="str_none", reason="expire")
    world.attention.attend(data, "bus-1", whole_invocation())
    assert world.provider.calls == []


def test_what_is_being_created_is_neither_renewed_nor_ended() -> None:
    world = World(Unfindable())
    stream_id = unsettled(world)
    before = world.record()
    for data in (
        AttentionData(provider="fake", stream_id=stream_id, reason="expire"),
        AttentionData(provider="fake", stream_id=stream_id, reason="renew", beat=1),
    ):
        world.attention.attend(data, "bus-1", whole_invocation())
    assert world.record() == before


# ---- the timeline


def test_the_timeline_tells_all_that_happened_also_when_it_is_over() -> None:
    world = Standing()
    world.provider.state = State.LIVE
    world.read(refresh=True)
    world.remove()
    timeline = world.lifecycle.timeline(CALLER, world.stream.id)
    assert [event["type"] for event in timeline] == ["StreamCreated", "StreamStateChanged", "StreamDeleted"]
    assert [event["sequence"] for event in timeline] == [1, 2, 3]
    assert CANARY not in json.dumps(timeline)


def test_the_event_of_a_command_tells_the_command_that_brought_it_about() -> None:
    world = Standing(max_lifetime_seconds=60)
    world.clock.advance(60)
    world.expire()
    assert world.store.events[world.stream.id][-1].request_id == "bus-1"


# ---- what is a fact at the provider already


def test_a_renewal_s_new_token_is_kept_whatever_was_written_meanwhile() -> None:
    world = Standing(Unfindable())
    world.provider.meanwhile("renew", world.interfere)
    world.provider.exchange("ref-1")
    world.keep_alive()
    assert world.provider.secret_of("ref-1") in json.dumps(world.credentials().revealed())


@pytest.mark.parametrize("stream_id", ["x" * 3000, "str_", "str_" + "A" * 52, "str_" + "a" * 53, "../x"])
def test_what_is_no_id_is_not_looked_for(stream_id: str) -> None:
    world = Standing()
    world.store.fail("load", AssertionError("the table refuses such keys"), times=9)
    with pytest.raises(StreamNotFound):
        world.lifecycle.timeline(CALLER, stream_id)


def test_a_renewal_that_tells_another_state_is_as_good_as_a_look() -> None:
    world = Standing(Unfindable())
    world.provider.state = State.LIVE
    assert world.keep_alive().state is State.LIVE
    assert world.kinds() == ["StreamCreated", "StreamStateChanged"]
    assert world.provider.count("read") == 0


def test_a_renewal_that_tells_no_state_changes_none() -> None:
    world = Standing(Unfindable())
    world.provider.state, world.provider.provider_status = State.LIVE, None
    assert world.keep_alive().state is State.READY
    assert world.kinds() == ["StreamCreated"]
