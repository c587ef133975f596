"""What becomes of a stream that is there: read, renewed, lost, removed, expired."""

import json
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest

from headwater.deadline import Deadline
from headwater.errors import (
    CapabilityNotSupported,
    CreationInProgress,
    PreconditionFailed,
    ProviderError,
    ProviderRejected,
    ProviderUnavailable,
    StreamEnded,
    StreamNotFound,
)
from headwater.events import AttentionData
from headwater.ports import Caller
from headwater.records import Credentials
from headwater.streams import State, Stream
from tests.unit.fakes import (
    CALLER,
    CANARY,
    CLAIM_SECONDS,
    STRANGER,
    FakeProvider,
    Harmless,
    Killed,
    Plain,
    Unfindable,
    World,
    whole_invocation,
)


class Standing(World):
    """A world with one stream in it."""

    def __init__(self, provider: FakeProvider | None = None, **body: Any) -> None:
        super().__init__(provider)
        self.stream = self.provision(**body).stream
        self.provider.calls.clear()

    def read(self, *, refresh: bool = False, caller: Caller = CALLER) -> Stream:
        return self.lifecycle.read(caller, self.stream.id, refresh, whole_invocation())

    def credentials(self, caller: Caller = CALLER) -> Credentials:
        return self.lifecycle.credentials(caller, self.stream.id)

    def keep_alive(self, caller: Caller = CALLER) -> Stream:
        return self.lifecycle.keep_alive(caller, self.stream.id, whole_invocation())

    def remove(self, caller: Caller = CALLER) -> str | None:
        return self.lifecycle.remove(caller, self.stream.id, whole_invocation()).remains

    def beat(self, beat: int) -> None:
        data = AttentionData(provider="fake", stream_id=self.stream.id, reason="renew", beat=beat)
        self.attention.attend(data, "bus-1", whole_invocation())

    def expire(self) -> None:
        data = AttentionData(provider="fake", stream_id=self.stream.id, reason="expire")
        self.attention.attend(data, "bus-1", whole_invocation())

    def interfere(self) -> None:
        """Another worker writes to the record, to no visible effect."""
        self.store.touch(self.stream.id)

    def put(self, state: State) -> None:
        stream = self.record().stream.model_copy(update={"state": state})
        self.store.touch(stream.id, stream=stream, ended_at=self.clock())


def unsettled(world: World) -> str:
    """A stream whose worker died; its id."""
    world.provider.fail("create", Killed())
    with pytest.raises(Killed):
        world.provision()
    return world.id_of()


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
    world.provider.rotate("ref-1")
    world.provider.state = State.LIVE
    world.read(refresh=True)
    revealed = json.dumps(world.credentials().revealed())
    assert f"{CANARY}ref-1-1" in revealed
    assert f"{CANARY}ref-1-0" not in revealed


def test_a_secret_that_the_provider_replaced_comes_even_if_nothing_else_changed() -> None:
    world = Standing()
    world.provider.rotate("ref-1")
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
            lambda: lifecycle.credentials(STRANGER, stream_id),
            lambda: lifecycle.keep_alive(STRANGER, stream_id, whole_invocation()),
            lambda: lifecycle.remove(STRANGER, stream_id, whole_invocation()),
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
    assert world.lifecycle.credentials(CALLER, opened.stream.id) == opened.credentials


def test_credentials_without_secrets_are_what_the_stream_shows() -> None:
    provider = FakeProvider()
    provider.has_secrets = False
    world = Standing(provider)
    revealed = world.credentials().revealed()
    assert (revealed["ingest"], revealed["playback"]) == (world.stream.ingest, world.stream.playback)


def test_credentials_of_one_that_is_being_created_are_not_there_yet() -> None:
    world = World()
    stream_id = unsettled(world)
    with pytest.raises(CreationInProgress) as caught:
        world.lifecycle.credentials(CALLER, stream_id)
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
    world.provider.rotate("ref-1")
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


# ---- removing


@pytest.mark.parametrize("provider", [FakeProvider, Unfindable, Harmless])
def test_a_removed_stream_is_gone_at_the_provider_and_ended_in_the_record(provider: type[FakeProvider]) -> None:
    world = Standing(provider())
    world.clock.advance(10)
    assert world.remove() is None
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
    assert world.remove() is None
    assert world.record() == before
    assert world.provider.count("remove") == 1
    assert world.kinds() == ["StreamCreated", "StreamDeleted"]


def test_what_remains_at_the_provider_is_told() -> None:
    world = Standing()
    world.provider.remains = "Its recordings stay."
    assert world.remove() == "Its recordings stay."


def test_a_stream_that_is_being_created_cannot_be_removed() -> None:
    world = World()
    stream_id = unsettled(world)
    with pytest.raises(CreationInProgress) as caught:
        world.lifecycle.remove(CALLER, stream_id, whole_invocation())
    assert caught.value.retry_after == CLAIM_SECONDS
    assert world.provider.count("remove") == 0


def test_who_is_told_to_come_back_is_never_told_to_come_too_early() -> None:
    world = World()
    stream_id = unsettled(world)
    world.clock.advance(CLAIM_SECONDS - 2.4)
    with pytest.raises(CreationInProgress) as caught:
        world.lifecycle.remove(CALLER, stream_id, whole_invocation())
    assert caught.value.retry_after == 3


def test_of_a_stream_that_failed_there_is_nothing_to_remove() -> None:
    world = World()
    world.provider.fail("create", ProviderRejected("no"))
    with pytest.raises(ProviderRejected):
        world.provision()
    assert world.lifecycle.remove(CALLER, world.id_of(), whole_invocation()).remains is None
    assert world.provider.count("remove") == 0
    assert world.kinds() == ["StreamFailed"]


def test_what_failed_at_the_provider_after_it_was_made_is_removed() -> None:
    world = Standing()
    world.put(State.FAILED)
    world.remove()
    assert world.provider.alive == {}
    assert world.record().stream.state is State.ENDED


@pytest.mark.parametrize("error", [ProviderUnavailable("later"), ProviderRejected("no")])
def test_a_removal_that_the_provider_refuses_ends_nothing(error: ProviderError) -> None:
    world = Standing()
    world.provider.fail("remove", error)
    with pytest.raises(type(error)):
        world.remove()
    assert world.read().state is State.READY
    assert world.kinds() == ["StreamCreated"]


def test_a_removal_whose_worker_died_is_finished_by_the_next() -> None:
    world = Standing()
    world.store.fail("update", Killed())
    with pytest.raises(Killed):
        world.remove()
    assert world.provider.alive == {}
    world.remove()
    assert world.record().stream.state is State.ENDED
    assert world.kinds() == ["StreamCreated", "StreamDeleted"]


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
    with pytest.raises(ProviderUnavailable):
        world.expire()
    world.expire()
    assert world.kinds() == ["StreamCreated", "StreamExpired"]


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
    world.provider.rotate("ref-1")
    world.keep_alive()
    assert world.provider.secret_of("ref-1") in json.dumps(world.credentials().revealed())


@pytest.mark.parametrize("stream_id", ["x" * 3000, "str_", "str_" + "A" * 52, "str_" + "a" * 53, "../x"])
def test_what_is_no_id_is_not_looked_for(stream_id: str) -> None:
    world = Standing()
    world.store.fail("load", AssertionError("the table refuses such keys"), times=9)
    with pytest.raises(StreamNotFound):
        world.lifecycle.timeline(CALLER, stream_id)
