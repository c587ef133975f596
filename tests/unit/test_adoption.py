"""What somebody else made at a provider is taken into the record: first recorded, then marked, whatever dies."""

import json
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from headwater.adoption import AdoptRequest
from headwater.changing import Match
from headwater.creation import Opened
from headwater.errors import (
    AdoptionNotAllowed,
    AlreadyRecorded,
    CapabilityNotSupported,
    CreationInProgress,
    NotAtProvider,
    ProviderUnavailable,
    StreamEnded,
    StreamNotFound,
)
from headwater.ports import Caller, Stale
from headwater.records import Record
from headwater.streams import State, identify
from tests.unit.fakes import (
    CALLER,
    CANARY,
    CLAIM_SECONDS,
    DEPLOYMENT,
    FakeProvider,
    Killed,
    Plain,
    World,
    whole_invocation,
)
from tests.unit.interleaving import every_death, every_meeting

OTHER = Caller("aws:999999999999", "req-other")
CUSTOMER = Caller("jwt:abc:customer", "req-customer")


class Found(World):
    """A world in which somebody else has made a resource."""

    def __init__(self, provider: FakeProvider | None = None, **given: Any) -> None:
        super().__init__(provider, **given)
        self.resource = self.provider.place("cam", name="lobby", quality=0.5, camera_url=f"{CANARY}camera")

    @property
    def stream_id(self) -> str:
        return identify(DEPLOYMENT, "", "fake", "cam")

    @property
    def kept(self) -> Record:
        return self.store.records[self.stream_id]

    def adopt(self, caller: Caller = CALLER, **rest: Any) -> Opened:
        return self.adoption.adopt(caller, AdoptRequest(provider_ref="cam", **rest), whole_invocation())

    def told(self) -> list[str]:
        return self.store.kinds(self.stream_id)

    def lose(self) -> None:
        """The stream was lost, and is found again."""
        one = self.provider.alive.pop("cam")
        with suppress(StreamEnded):
            self.lifecycle.read(CALLER, self.stream_id, True, whole_invocation())
        self.provider.alive["cam"] = one

    def end(self) -> None:
        """The stream was ended, and its resource is there again all the same."""
        one = self.provider.alive["cam"]
        self.ending.remove(CALLER, self.stream_id, whole_invocation())
        self.provider.alive["cam"] = one


def test_what_is_adopted_is_a_stream_like_any() -> None:
    world = Found()
    opened = world.adopt(metadata={"site": "north"})
    stream = opened.stream
    assert not opened.replayed
    assert (stream.id, stream.provider_ref, stream.state) == (world.stream_id, "cam", State.READY)
    assert (stream.name, stream.metadata, stream.version) == ("lobby", {"site": "north"}, 1)
    assert stream.options == {"quality": 0.5, "camera_url": "***"}
    assert world.told() == ["StreamAdopted"]
    assert world.lifecycle.read(CALLER, stream.id, False, whole_invocation()) == stream
    kept = world.lifecycle.credentials(CALLER, stream.id, False, whole_invocation())
    assert kept == opened.credentials
    assert world.provider.secret_of("cam") in json.dumps(kept.revealed())


def test_what_is_adopted_bears_our_marks() -> None:
    world = Found()
    world.adopt()
    assert (world.resource.order_id, world.resource.deployment) == (world.stream_id, DEPLOYMENT)
    assert world.provider.calls == ["adoptable", "mark"]


def test_of_what_is_adopted_no_secret_is_told_or_kept_in_clear() -> None:
    world = Found()
    world.adopt()
    assert CANARY not in json.dumps(world.lifecycle.timeline(CALLER, world.stream_id))
    assert CANARY not in world.kept.model_dump_json()
    assert CANARY not in repr(world.store.sealed)


def test_a_name_that_is_given_is_the_stream_s() -> None:
    assert Found().adopt(name="hall").stream.name == "hall"


def test_what_is_adopted_lives_until_somebody_ends_it() -> None:
    world = Found(default_lifetime=600, lifetime_ceiling=900)
    assert world.adopt().stream.expires_at is None
    world.clock.advance(10_000)
    world.sweep()
    assert world.kept.stream.state is State.READY


def test_what_is_adopted_has_not_drifted_and_is_looked_at_as_any() -> None:
    world = Found()
    world.adopt()
    stream = world.lifecycle.read(CALLER, world.stream_id, True, whole_invocation())
    assert stream.drift == []
    assert world.told() == ["StreamAdopted"]


def test_what_is_not_there_cannot_be_adopted() -> None:
    world = World()
    with pytest.raises(NotAtProvider):
        world.adoption.adopt(CALLER, AdoptRequest(provider_ref="cam"), whole_invocation())
    assert world.store.records == {}


@pytest.mark.parametrize("state", [State.ENDING, State.ENDED, State.FAILED, State.LOST])
def test_what_is_going_cannot_be_adopted(state: State) -> None:
    world = Found()
    world.provider.state = state
    with pytest.raises(NotAtProvider):
        world.adopt()
    assert world.store.records == {}


def test_where_nothing_can_be_adopted_nothing_is_called() -> None:
    world = Found(Plain())
    with pytest.raises(CapabilityNotSupported):
        world.adopt()
    assert (world.provider.calls, world.store.records) == ([], {})


def test_somebody_s_customer_owns_nothing_in_the_account() -> None:
    world = Found()
    with pytest.raises(AdoptionNotAllowed):
        world.adopt(CUSTOMER)
    assert (world.provider.calls, world.store.records) == ([], {})


# ---- adopted before


def test_whoever_adopts_it_again_has_the_same_stream() -> None:
    world = Found()
    first, again = world.adopt(), world.adopt(name="hall", metadata={"a": "b"})
    assert (again.stream, again.credentials, again.replayed) == (first.stream, first.credentials, True)
    assert world.told() == ["StreamAdopted"]
    assert world.provider.count("mark") == 1


def test_what_somebody_else_has_adopted_is_his() -> None:
    world = Found()
    world.adopt()
    with pytest.raises(AlreadyRecorded):
        world.adopt(OTHER)
    assert world.kept.tenant == CALLER.tenant
    assert world.told() == ["StreamAdopted"]


def test_what_bears_another_deployment_s_mark_is_theirs() -> None:
    world = Found()
    world.resource.order_id, world.resource.deployment = "str_theirs", "another-deployment"
    with pytest.raises(AlreadyRecorded):
        world.adopt()
    assert world.store.records == {}
    assert world.resource.deployment == "another-deployment"


def test_what_another_deployment_has_taken_meanwhile_is_not_taken_back() -> None:
    world = Found()
    world.adopt()
    world.resource.order_id, world.resource.deployment = "str_theirs", "another-deployment"
    with pytest.raises(AlreadyRecorded):
        world.adopt()
    assert world.resource.deployment == "another-deployment"


def test_what_we_made_is_not_adopted() -> None:
    """By its mark, though the index does not show it yet; and by the index, though somebody took its mark off."""
    for marked, indexed in ((True, False), (False, True), (True, True)):
        world = World()
        made = world.provision()
        if not marked:
            world.provider.alive["ref-1"].order_id = ""
            world.provider.alive["ref-1"].deployment = None
        if not indexed:
            world.store.unindexed.add(made.stream.id)
        with pytest.raises(AlreadyRecorded):
            world.adoption.adopt(CALLER, AdoptRequest(provider_ref="ref-1"), whole_invocation())
        assert set(world.store.records) == {made.stream.id}


def test_what_is_being_made_is_not_adopted() -> None:
    world = World()
    world.provider.fail("create", Killed(), carried_out=True)
    with suppress(Killed):
        world.provision()
    with pytest.raises(AlreadyRecorded):
        world.adoption.adopt(CALLER, AdoptRequest(provider_ref="ref-1"), whole_invocation())


def test_what_outlived_a_stream_of_ours_can_be_adopted() -> None:
    world = World()
    made = world.provision()
    one = world.provider.alive["ref-1"]
    world.ending.remove(CALLER, made.stream.id, whole_invocation())
    world.provider.alive["ref-1"] = one
    adopted = world.adoption.adopt(CALLER, AdoptRequest(provider_ref="ref-1"), whole_invocation())
    assert adopted.stream.id != made.stream.id
    assert (one.order_id, one.deployment) == (adopted.stream.id, DEPLOYMENT)


def test_an_orphan_of_ours_can_be_adopted() -> None:
    world = Found()
    world.resource.order_id, world.resource.deployment = "str_" + "a" * 52, DEPLOYMENT
    assert not world.adopt().replayed
    assert world.resource.order_id == world.stream_id


@pytest.mark.parametrize(("over", "end"), [(Found.lose, "StreamLost"), (Found.end, "StreamDeleted")])
def test_what_was_lost_or_ended_and_is_there_again_can_be_adopted_again(
    over: Callable[[Found], None], end: str
) -> None:
    world = Found()
    first = world.adopt(metadata={"a": "b"}).stream
    over(world)
    world.clock.advance(60)
    again = world.adopt()
    stream = again.stream
    assert not again.replayed
    assert (stream.id, stream.created_at, stream.version) == (first.id, first.created_at, 3)
    assert (stream.state, stream.state_reason, stream.metadata) == (State.READY, None, {})
    assert world.told() == ["StreamAdopted", end, "StreamAdopted"]
    assert world.kept.expires is None
    assert world.provider.secret_of("cam") in json.dumps(again.credentials.revealed())
    assert not world.adopt().stream.drift


def test_what_was_another_s_before_is_not_shown_to_whoever_adopts_it_now() -> None:
    world = Found()
    world.adopt(metadata={"theirs": "private"})
    world.lose()
    world.adopt(OTHER)
    timeline = world.lifecycle.timeline(OTHER, world.stream_id)
    assert [event["type"] for event in timeline] == ["StreamAdopted"]
    assert "private" not in json.dumps(timeline)
    with pytest.raises(StreamNotFound):
        world.lifecycle.timeline(CALLER, world.stream_id)


def test_what_is_about_to_end_is_not_adopted() -> None:
    world = Found()
    world.adopt()
    world.provider.fail("remove", ProviderUnavailable("later"))
    world.ending.remove(CALLER, world.stream_id, whole_invocation())
    with pytest.raises(StreamEnded):
        world.adopt()


# ---- a worker dies, or two are at it


def marked_without_a_record(world: Found) -> bool:
    record = world.store.records.get(world.stream_id)
    settled = record is not None and record.claim is None
    return world.resource.order_id == world.stream_id and not settled


def new() -> Found:
    return Found()


def lost() -> Found:
    world = Found()
    world.adopt()
    world.lose()
    world.clock.advance(60)
    return world


@pytest.mark.parametrize(("make", "before"), [(new, []), (lost, ["StreamAdopted", "StreamLost"])])
def test_an_adoption_whose_worker_died_is_completed_by_who_asks_again(
    make: Callable[[], Found], before: list[str]
) -> None:
    died = 0
    for world, label in every_death(make, Found.adopt):
        died += 1
        assert make is lost or not marked_without_a_record(world), label
        world.clock.advance(CLAIM_SECONDS)
        adopted = world.adopt()
        assert adopted.stream.state is State.READY, label
        assert world.told() == [*before, "StreamAdopted"], label
        assert (world.resource.order_id, world.resource.deployment) == (world.stream_id, DEPLOYMENT), label
    assert died >= 5


def test_an_adoption_whose_worker_died_keeps_others_waiting_no_longer_than_it_may_live() -> None:
    world = Found()
    world.store.fail("settle", Killed())
    with suppress(Killed):
        world.adopt()
    with pytest.raises(CreationInProgress) as caught:
        world.adopt(CALLER)
    assert caught.value.retry_after == CLAIM_SECONDS
    with pytest.raises(AlreadyRecorded):
        world.adopt(OTHER)
    world.clock.advance(CLAIM_SECONDS)
    world.adopt(OTHER)
    assert world.kept.tenant == OTHER.tenant


def test_an_adoption_that_nobody_completes_is_closed_by_whoever_sweeps() -> None:
    for world, label in every_death(new, Found.adopt):
        world.wait(rounds=4)
        record = world.store.records.get(world.stream_id)
        assert record is None or record.claim is None, label
        assert not marked_without_a_record(world), label
        assert world.told() in ([], ["StreamFailed"], ["StreamAdopted"]), label
        closed = world.told()
        world.adopt()
        assert world.told() == [*(kind for kind in closed if kind == "StreamFailed"), "StreamAdopted"], label


def test_two_who_adopt_at_once_have_one_stream() -> None:
    for make, before in ((new, []), (lost, ["StreamAdopted", "StreamLost"])):
        for met in every_meeting(make, Found.adopt, Found.adopt):
            errors = [outcome.error for outcome in (met.first, met.second) if outcome.error]
            assert len(errors) <= 1, met.label
            assert all(isinstance(error, CreationInProgress) for error in errors), met.label
            assert met.world.told() == [*before, "StreamAdopted"], met.label
            assert met.world.adopt().stream.state is State.READY, met.label
            assert met.world.resource.order_id == met.world.stream_id, met.label


def test_of_two_tenants_who_adopt_at_once_one_has_it() -> None:
    for met in every_meeting(new, Found.adopt, lambda world: world.adopt(OTHER)):
        errors = [outcome.error for outcome in (met.first, met.second) if outcome.error]
        assert len(errors) == 1, met.label
        assert isinstance(errors[0], CreationInProgress | AlreadyRecorded), met.label
        assert met.world.told() == ["StreamAdopted"], met.label


def test_an_adoption_that_meets_a_delete_leaves_a_stream_or_none() -> None:
    def adopted() -> Found:
        world = Found()
        world.adopt()
        return world

    def delete(world: Found) -> object:
        return world.ending.remove(CALLER, world.stream_id, whole_invocation())

    for met in every_meeting(adopted, Found.adopt, delete):
        assert met.world.kept.stream.state is State.ENDED, met.label
        assert met.world.told() == ["StreamAdopted", "StreamDeleted"], met.label
        assert met.world.store.sealed == {}, met.label


def test_an_adoption_that_meets_the_delete_of_what_we_made_adopts_nothing_that_is_gone() -> None:
    def made() -> World:
        world = World()
        world.provision()
        return world

    def adopt(world: World) -> object:
        return world.adoption.adopt(CALLER, AdoptRequest(provider_ref="ref-1"), whole_invocation())

    def delete(world: World) -> object:
        return world.ending.remove(CALLER, world.id_of(), whole_invocation())

    for met in every_meeting(made, adopt, delete):
        assert isinstance(met.first.error, AlreadyRecorded | NotAtProvider), met.label
        assert set(met.world.store.records) == {met.world.id_of()}, met.label


def test_a_resource_that_could_not_be_marked_is_marked_by_who_asks_again() -> None:
    world = Found()
    world.provider.fail("mark", ProviderUnavailable("later"))
    with pytest.raises(ProviderUnavailable):
        world.adopt()
    assert world.told() == ["StreamAdopted"]
    assert world.adopt().replayed
    assert world.resource.order_id == world.stream_id


# ---- what can be asked


@pytest.mark.parametrize(
    "body",
    [{}, {"provider_ref": ""}, {"provider_ref": 1}, {"provider_ref": "r", "options": {}}, {"provider_ref": "r" * 1025}],
)
def test_an_adoption_names_what_and_perhaps_how_it_is_to_be_called(body: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        AdoptRequest.model_validate(body)


def test_a_claim_of_our_own_whose_answer_was_lost_is_no_other_s() -> None:
    world = lost()
    world.store.fail("update", Stale(), carried_out=True)
    assert world.adopt().stream.state is State.READY


def test_no_default_and_no_ceiling_ends_what_was_there_before() -> None:
    """Nor do they when its caller gave it a lifetime, and takes that back."""
    world = Found(default_lifetime=600, lifetime_ceiling=7200)
    stream = world.adopt().stream
    assert stream.expires_at is None
    world.clock.advance(3000)
    change = world.changing.change
    patched = change(CALLER, stream.id, {"max_lifetime_seconds": 3600}, Match(), whole_invocation())
    assert patched.expires_at == stream.updated_at + timedelta(seconds=3600)
    assert change(CALLER, stream.id, {"max_lifetime_seconds": None}, Match(), whole_invocation()).expires_at is None
