"""Looking at a stream: its state, whether it is lost, its drift, and who changes it meanwhile."""

import json
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from headwater.adoption import AdoptRequest
from headwater.deadline import Deadline
from headwater.errors import (
    HeadwaterError,
    PreconditionFailed,
    ProviderNotEntitled,
    ProviderOutcomeUnknown,
    ProviderRateLimited,
    ProviderRejected,
    ProviderSecretUnavailable,
    ProviderUnauthorized,
    ProviderUnavailable,
    StreamEnded,
)
from headwater.keeping import Keeping
from headwater.provider import Handle, Resource
from headwater.records import LOOK_SECONDS
from headwater.requests import MASK
from headwater.streams import State, Stream
from tests.unit.fakes import (
    CALLER,
    CANARY,
    CLAIM_SECONDS,
    FakeProvider,
    Killed,
    Overwriting,
    Unfindable,
    World,
    whole_invocation,
)
from tests.unit.interleaving import every_death, every_meeting
from tests.unit.standing import Standing


class Looked(FakeProvider):
    """Nothing is heard of its streams, so they are looked at."""

    look_seconds = 300


def drifted(**settings: Any) -> Standing:
    """A stream of quality 0.5, of which something is otherwise at the provider."""
    world = Standing(name="lobby", options={"quality": 0.5, "tags": {"a": "1"}})
    world.resource.settings.update(settings or {"/options/quality": 0.9})
    return world


# ---- when it is looked at


def test_a_stream_of_which_nothing_is_heard_is_looked_at_now_and_then() -> None:
    world = Standing(Looked())
    for _ in range(3):
        assert world.record().due_at == world.clock() + timedelta(seconds=300)
        world.wait()
    assert world.provider.calls == ["read"] * 3
    assert world.kinds() == ["StreamCreated"]


def test_a_stream_that_is_being_made_is_looked_at_soon_and_then_no_more() -> None:
    world = World()
    world.provider.state = State.PROVISIONING
    world.provision()
    assert world.record().due_at == world.clock() + timedelta(seconds=LOOK_SECONDS)
    world.wait()
    assert world.record().due_at == world.clock() + timedelta(seconds=LOOK_SECONDS)
    world.provider.state = State.READY
    world.wait()
    assert world.record().due_at is None
    assert world.kinds() == ["StreamCreated", "StreamStateChanged"]


def test_a_look_that_the_provider_did_not_answer_is_due_still() -> None:
    world = Standing(Looked())
    world.provider.fail("read", ProviderUnavailable("later"))
    world.wait()
    assert world.record().due_at == world.clock()
    world.sweep()
    assert world.record().due_at == world.clock() + timedelta(seconds=300)


def test_a_stream_that_is_as_it_was_is_written_by_nobody_who_looks() -> None:
    world = Standing(Looked(), name="lobby", options={"quality": 0.5, "tags": {"a": "1"}, "labels": ["x"]})
    for _ in range(5):
        world.clock.advance(10)
        world.refresh()
    assert world.store.writes == 0
    assert world.kinds() == ["StreamCreated"]


# ---- lost


@pytest.mark.parametrize(
    "error",
    [
        ProviderUnavailable("500"),
        ProviderOutcomeUnknown("silence"),
        ProviderRateLimited("slowly"),
        ProviderUnauthorized("401"),
        ProviderRejected("400"),
        ProviderNotEntitled("403"),
        ProviderSecretUnavailable("later"),
    ],
)
def test_no_error_makes_a_stream_lost(error: HeadwaterError) -> None:
    world = Standing(Unfindable())
    before = world.record()
    world.provider.fail("read", error, times=2)
    world.provider.fail("renew", error)
    for ask in (world.refresh, lambda: world.credentials(refresh=True), world.keep_alive):
        with pytest.raises(type(error)):
            ask()
    assert world.record() == before


def test_two_who_find_it_gone_tell_of_one_loss() -> None:
    def look(world: Standing) -> None:
        with suppress(StreamEnded):
            world.refresh()

    def gone() -> Standing:
        world = Standing()
        world.provider.alive.clear()
        return world

    for met in every_meeting(gone, look, look):
        assert met.world.kinds() == ["StreamCreated", "StreamLost"], met.label
        assert met.world.store.sealed == {}, met.label


def test_of_what_is_lost_nothing_is_due_any_more() -> None:
    world = Standing(Looked(), max_lifetime_seconds=600)
    world.provider.alive.clear()
    world.wait()
    assert world.record().stream.state_reason == "not-at-provider"
    assert world.record().due_at is None


def test_a_loss_whose_worker_died_is_told_by_the_next_who_looks() -> None:
    def gone() -> Standing:
        world = Standing(Looked())
        world.provider.alive.clear()
        world.clock.advance(300)
        return world

    for world, label in every_death(gone, Standing.look):
        world.sweep()
        assert world.kinds() == ["StreamCreated", "StreamLost"], label


def test_what_was_found_gone_and_was_adopted_again_meanwhile_is_not_lost() -> None:
    """It had been lost before; whoever looked then comes too late."""
    world = World()
    world.provider.place("cam")
    adopted = adopt(world, "cam")
    early = world.store.records[adopted.id]
    world.store.touch(adopted.id, stream=early.stream.model_copy(update={"state": State.LOST}), ended_at=world.clock())
    world.clock.advance(1)
    adopt(world, "cam")
    with pytest.raises(PreconditionFailed):
        Keeping(world.parts).lost(CALLER, early)
    assert world.store.records[adopted.id].stream.state is State.READY


def adopt(world: World, ref: str) -> Stream:
    return world.adoption.adopt(CALLER, AdoptRequest(provider_ref=ref), whole_invocation()).stream


# ---- states


def test_what_was_seen_before_a_newer_notification_moves_no_state_back() -> None:
    world = Standing()
    world.hear(State.LIVE, at=100)
    world.provider.state = State.READY
    assert world.refresh().state is State.LIVE
    world.clock.advance(200)
    assert world.refresh().state is State.READY


def test_a_look_that_meets_a_notification_leaves_the_newer_state() -> None:
    for met in every_meeting(Standing, lambda world: world.refresh(), lambda world: world.hear(State.LIVE, at=1)):
        assert met.world.record().stream.state is State.LIVE, met.label
        assert met.world.kinds() == ["StreamCreated", "StreamStateChanged"], met.label


def test_the_reason_that_the_provider_gives_is_shown() -> None:
    class Tells(FakeProvider):
        def read(self, handle: Handle, deadline: Deadline) -> Resource | None:
            return Resource(handle.ref, State.FAILED, "error", state_reason="no audio came")

    world = Standing(Tells())
    stream = world.refresh()
    assert (stream.state, stream.state_reason, stream.provider_status) == (State.FAILED, "no audio came", "error")


# ---- drift


def test_what_is_otherwise_than_asked_for_is_told_by_name() -> None:
    world = drifted(**{"/options/quality": 0.9, "/options/tags": {"a": "2"}, "/name": "hall"})
    stream = world.refresh()
    fields = ["/name", "/options/quality", "/options/tags"]
    assert (stream.drift, stream.version) == (fields, 2)
    assert world.kinds() == ["StreamCreated", "StreamDrifted"]
    assert world.told("StreamDrifted")[0]["fields"] == fields
    assert world.read() == stream


def test_nothing_is_repaired_without_being_asked() -> None:
    world = drifted()
    world.refresh()
    assert world.provider.calls == ["read"]
    assert world.read().options["quality"] == 0.5


def test_the_same_drift_is_told_once() -> None:
    world = drifted()
    for _ in range(3):
        world.clock.advance(10)
        world.refresh()
    assert world.kinds() == ["StreamCreated", "StreamDrifted"]


def test_another_drift_is_told_again_and_so_is_that_there_is_none_any_more() -> None:
    world = drifted()
    world.refresh()
    world.resource.settings["/name"] = "hall"
    world.refresh()
    world.resource.settings |= {"/name": "lobby", "/options/quality": 0.5}
    assert world.refresh().drift == []
    told = [data["fields"] for data in world.told("StreamDrifted")]
    assert told == [["/options/quality"], ["/name", "/options/quality"], []]


def test_a_default_that_was_not_asked_for_is_no_drift() -> None:
    world = Standing(options={})
    assert world.resource.settings["/options/quality"] == 1.0
    assert world.refresh().drift == []
    world.resource.settings["/options/quality"] = 0.9
    assert world.refresh().drift == ["/options/quality"]


def test_where_the_provider_tells_nothing_of_what_was_asked_for_there_is_no_drift() -> None:
    world = drifted()
    world.provider.tells_settings = False
    world.refresh()
    assert world.kinds() == ["StreamCreated"]


def test_where_the_provider_does_not_tell_any_more_the_drift_that_was_told_stays() -> None:
    world = drifted()
    world.refresh()
    world.provider.tells_settings = False
    assert world.refresh().drift == ["/options/quality"]


def test_what_is_a_secret_of_the_request_is_no_drift() -> None:
    """It is not kept, so it cannot be compared."""
    world = Standing(options={"tags": {"a": "1"}, "quality": 0.5})
    masked = {"tags": {"a": MASK}, "quality": 0.5}
    world.note(stream=world.record().stream.model_copy(update={"options": masked}))
    world.resource.settings |= {"/options/tags": {"a": "secret"}, "/options/quality": 0.9}
    assert world.refresh().drift == ["/options/quality"]


def test_where_what_was_asked_for_is_not_understood_any_more_there_is_no_drift() -> None:
    world = drifted()
    world.note(stream=world.record().stream.model_copy(update={"options": {"quality": "of an earlier version"}}))
    world.provider.state = State.LIVE
    stream = world.refresh()
    assert (stream.state, stream.drift) == (State.LIVE, [])


def test_drift_and_state_and_credentials_are_each_told_of_by_an_event_of_their_own() -> None:
    world = drifted()
    world.provider.exchange("ref-1")
    world.provider.state = State.LIVE
    stream = world.refresh()
    assert sorted(world.kinds()[1:]) == ["StreamCredentialsRotated", "StreamDrifted", "StreamStateChanged"]
    assert stream.version == 4
    assert world.kinds()[-1] == "StreamStateChanged"


def test_a_look_whose_worker_died_is_made_again() -> None:
    """Whatever it had told by then, the rest is told by the next, and nothing twice."""

    def due() -> Standing:
        world = Standing(Looked(), options={"quality": 0.5})
        world.resource.settings["/options/quality"] = 0.9
        world.provider.exchange("ref-1")
        world.provider.state = State.LIVE
        world.clock.advance(300)
        return world

    for world, label in every_death(due, Standing.look):
        world.sweep()
        assert sorted(world.kinds()[1:]) == ["StreamCredentialsRotated", "StreamDrifted", "StreamStateChanged"], label
        assert world.read().drift == ["/options/quality"], label
        assert world.provider.secret_of("ref-1") in world.secrets(), label
        assert world.record().due_at == world.clock() + timedelta(seconds=300), label


# ---- what opens it


def test_credentials_that_were_exchanged_at_the_provider_are_told_of_without_them() -> None:
    world = Standing()
    world.provider.exchange("ref-1")
    stream = world.refresh()
    assert stream.credentials_rotated_at == world.clock()
    assert world.kinds() == ["StreamCreated", "StreamCredentialsRotated"]
    assert CANARY not in json.dumps(world.lifecycle.timeline(CALLER, stream.id))
    assert CANARY not in world.record().model_dump_json()
    assert world.provider.secret_of("ref-1") in world.secrets()


def test_when_they_were_exchanged_is_what_the_provider_says_where_it_does() -> None:
    world = Standing()
    world.provider.exchange("ref-1")
    world.resource.rotated_at = world.clock() - timedelta(seconds=77)
    assert world.refresh().credentials_rotated_at == world.clock() - timedelta(seconds=77)


def test_a_record_from_before_there_were_hashes_is_not_taken_for_exchanged() -> None:
    world = Standing()
    hashes = world.record().credential_hashes
    world.note(credential_hashes={})
    assert world.refresh().credentials_rotated_at is None
    assert world.record().credential_hashes == hashes
    assert world.kinds() == ["StreamCreated"]
    world.note(credential_hashes={})
    world.provider.exchange("ref-1")
    world.refresh()
    assert world.kinds() == ["StreamCreated", "StreamCredentialsRotated"]


def test_that_nothing_was_exchanged_is_seen_without_unsealing_anything() -> None:
    world = Standing()
    seals = world.vault.seals
    world.store.fail("credentials", AssertionError("nobody needs them"))
    world.refresh()
    assert world.vault.seals == seals


# ---- somebody changes it meanwhile


def test_a_look_that_meets_a_change_takes_no_half_of_it_for_drift() -> None:
    def change(world: Standing) -> Stream:
        return world.change({"options": {"quality": 0.7}, "name": "hall"})

    for provider in (FakeProvider, Overwriting):
        for met in every_meeting(
            lambda provider=provider: Standing(provider(), name="lobby", options={"quality": 0.5}),  # type: ignore[misc] # mypy cannot tell a default's type
            change,
            lambda world: world.refresh(),
        ):
            assert met.first.error is None, met.label
            assert met.world.kinds() == ["StreamCreated", "StreamUpdated"], met.label
            assert met.world.refresh().drift == [], met.label


def test_a_look_that_meets_a_rotation_tells_of_it_once() -> None:
    for met in every_meeting(Standing, Standing.rotate, lambda world: world.refresh()):
        assert met.first.error is None, met.label
        assert met.world.kinds() == ["StreamCreated", "StreamCredentialsRotated"], met.label
        assert met.world.provider.secret_of("ref-1") in met.world.secrets(), met.label


def test_a_state_that_is_seen_while_somebody_changes_it_is_told() -> None:
    world = drifted()
    world.note(changing={"w": world.clock() + timedelta(seconds=30)})
    world.provider.state = State.LIVE
    stream = world.refresh()
    assert (stream.state, stream.drift) == (State.LIVE, [])
    assert world.kinds() == ["StreamCreated", "StreamStateChanged"]


def test_what_somebody_died_over_is_looked_at_once_he_is_dead_for_certain() -> None:
    """Whatever else is written meanwhile, and whatever else the stream is looked at for."""
    for provider in (FakeProvider, Unfindable):
        for interfere in (
            Standing.interfere,
            lambda world: world.refresh(),
            lambda world: world.hear(State.LIVE, at=1),
            lambda world: world.beat(1),
            lambda world: world.change({"name": "hall"}),
        ):
            world = Standing(provider(), options={"quality": 0.5})
            world.provider.fail("change", Killed(), carried_out=True)
            with suppress(Killed):
                world.change({"options": {"quality": 0.7}})
            interfere(world)
            world.clock.advance(CLAIM_SECONDS)
            if provider is Unfindable:
                world.beat(2)
            assert world.record().due_at == world.clock()
            world.sweep()
            assert world.read().drift == ["/options/quality"]
            assert world.record().changing == {}
            assert world.record().due_at != world.clock()


def test_a_look_while_somebody_may_be_at_it_is_not_the_last() -> None:
    world = Standing()
    world.note(changing={"w": world.clock() + timedelta(seconds=30)}, look_at=world.clock())
    world.look()
    assert world.record().changing
    assert world.record().due_at == world.clock() + timedelta(seconds=30)


def test_a_worker_is_dead_by_real_time_and_a_look_is_due_by_business_time() -> None:
    world = Standing(options={"quality": 0.5})
    world.moved = timedelta(days=2)
    world.provider.fail("change", Killed(), carried_out=True)
    with suppress(Killed):
        world.change({"options": {"quality": 0.7}})
    assert world.record().due_at == world.now + timedelta(seconds=CLAIM_SECONDS)
    world.sweep()
    assert world.provider.count("read") == 0
    world.clock.advance(CLAIM_SECONDS)
    world.sweep()
    assert world.read().drift == ["/options/quality"]


def test_what_the_provider_tells_of_before_a_rotation_is_not_kept() -> None:
    """One part of a provider may not know yet what another has done."""

    class Late(FakeProvider):
        def read(self, handle: Handle, deadline: Deadline) -> Resource | None:
            one = self.alive[handle.ref]
            now = one.rotations, one.rotated_at
            one.rotations, one.rotated_at = 0, one.rotated_at and one.rotated_at - timedelta(seconds=60)
            told = self._resource(handle.ref)
            one.rotations, one.rotated_at = now
            return told

    world = Standing(Late())
    world.resource.rotated_at = world.clock()
    world.rotate()
    world.refresh()
    assert world.provider.secret_of("ref-1") in world.secrets()
    assert world.kinds() == ["StreamCreated", "StreamCredentialsRotated"]


def test_a_loss_that_others_overtake_all_the_time_is_left_to_the_next_look() -> None:
    world = Standing(Looked())
    world.provider.alive.clear()
    for _ in range(3):
        world.store.meanwhile("update", world.interfere)
    assert world.refresh().state is State.READY
    with pytest.raises(StreamEnded):
        world.refresh()


def test_what_has_failed_is_not_lost_as_well() -> None:
    class Ends(FakeProvider):
        """It tells once of a stream that has failed."""

        def read(self, handle: Handle, deadline: Deadline) -> Resource | None:
            self._called("read", deadline)
            return self._play("read", lambda: self._told(handle))

        def _told(self, handle: Handle) -> Resource | None:
            one = self.alive.pop(handle.ref, None)
            return Resource(handle.ref, State.FAILED, "error") if one else None

    def look(world: Standing) -> None:
        with suppress(StreamEnded):
            world.refresh()

    for met in every_meeting(lambda: Standing(Ends()), look, look):
        assert met.world.kinds()[1:] in (["StreamStateChanged"], ["StreamLost"]), met.label


def test_drift_that_is_not_told_this_time_has_not_been_mended() -> None:
    class Reticent(FakeProvider):
        def read(self, handle: Handle, deadline: Deadline) -> Resource | None:
            told = super().read(handle, deadline)
            if told is None:
                return None
            return replace(told, settings={at: it for at, it in told.settings.items() if at not in hidden})

    hidden: set[str] = set()
    world = Standing(Reticent(), options={"quality": 0.5})
    world.resource.settings["/options/quality"] = 0.9
    assert world.refresh().drift == ["/options/quality"]
    hidden.add("/options/quality")
    assert world.refresh().drift == ["/options/quality"]
    assert world.kinds() == ["StreamCreated", "StreamDrifted"]
