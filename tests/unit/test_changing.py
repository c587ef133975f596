"""A stream is changed, or brought back to what was asked for, whoever else is at it and whatever dies."""

import json
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from headwater.changing import Changing, Match
from headwater.deadline import Deadline
from headwater.errors import (
    CapabilityNotSupported,
    CreationInProgress,
    Effect,
    HeadwaterError,
    InvalidRequest,
    PreconditionFailed,
    ProviderOutcomeUnknown,
    ProviderRejected,
    ProviderUnavailable,
    StreamEnded,
)
from headwater.provider import Handle, Order, Resource
from headwater.records import EXPIRY_GRACE
from headwater.streams import Access, State, Stream
from tests.unit.fakes import (
    CALLER,
    CANARY,
    CLAIM_SECONDS,
    INVOCATION_SECONDS,
    Alive,
    FakeOptions,
    FakeProvider,
    Overwriting,
    Plain,
    World,
    whole_invocation,
)
from tests.unit.interleaving import every_death, every_meeting
from tests.unit.standing import Standing, unsettled


def lobby(provider: FakeProvider | None = None, given: dict[str, Any] | None = None) -> Standing:
    """A stream with a name, two tags and a secret."""
    options = {"quality": 0.5, "tags": {"a": "1", "b": "2"}, "headers": {"k": f"{CANARY}old"}}
    return Standing(provider, given, name="lobby", metadata={"site": "north"}, options=options)


def is_as_asked(world: Standing) -> bool:
    """Whether the provider has what the record says."""
    record = world.record()
    order = Order(record.stream.id, FakeOptions.model_validate(record.stream.options), record.stream.name)
    return world.resource.settings == world.provider.settings(order)


# ---- what a patch comes to


def test_a_patch_is_made_at_the_provider_first_and_then_recorded() -> None:
    world = lobby()
    world.clock.advance(5)
    seen: list[Stream] = []
    world.provider.meanwhile("change", lambda: seen.append(world.read()))
    stream = world.change({"name": "hall", "options": {"quality": 0.7, "tags": {"a": None, "c": "3"}}})
    assert seen == [world.stream]
    assert world.resource.settings == {
        "/name": "hall",
        "/options/quality": 0.7,
        "/options/labels": [],
        "/options/tags": {"b": "2", "c": "3"},
    }
    assert (stream.name, stream.version, stream.updated_at) == ("hall", 2, world.clock())
    assert stream.options == {"quality": 0.7, "tags": {"b": "2", "c": "3"}, "headers": {"k": "***"}}
    assert world.read() == stream
    assert world.provider.calls == ["change"]


def test_the_event_of_a_change_names_what_changed() -> None:
    world = lobby()
    world.change({"name": "hall", "metadata": {"site": None, "floor": "2"}, "options": {"tags": {"a": None}}})
    assert world.kinds() == ["StreamCreated", "StreamUpdated"]
    (data,) = world.told("StreamUpdated")
    assert data["changed"] == ["/metadata/floor", "/metadata/site", "/name", "/options/tags/a"]
    assert data["stream"]["metadata"] == {"floor": "2"}


def test_the_provider_is_told_what_is_to_change_and_nothing_else() -> None:
    class Tells(FakeProvider):
        told: frozenset[str] = frozenset()

        def _bring(self, one: Alive, order: Order[FakeOptions], changed: frozenset[str]) -> None:
            Tells.told = changed

    world = lobby(Tells())
    world.change({"metadata": {"a": "b"}, "max_lifetime_seconds": 60, "options": {"quality": 0.7, "tags": {"a": "9"}}})
    assert Tells.told == {"/options/quality", "/options/tags/a"}


def test_what_is_ours_alone_is_changed_without_calling_anybody() -> None:
    world = lobby()
    stream = world.change({"metadata": {"site": "south"}, "max_lifetime_seconds": 600})
    assert stream.metadata == {"site": "south"}
    assert world.provider.calls == []
    assert world.store.writes == 1


def test_a_name_that_the_provider_does_not_keep_is_ours_alone() -> None:
    world = lobby(Plain())
    assert world.change({"name": "hall"}).name == "hall"
    assert world.provider.calls == []


@pytest.mark.parametrize(
    "patch", [{}, {"name": "lobby"}, {"options": {"tags": {"a": "1"}, "headers": {"k": "***"}}}, {"lease": None}]
)
def test_a_patch_that_asks_for_what_is_there_writes_and_calls_nothing(patch: dict[str, Any]) -> None:
    world = lobby()
    assert world.change(patch) == world.stream
    assert world.untouched


def test_a_patch_with_faults_changes_nothing_and_tells_them_all() -> None:
    world = lobby()
    with pytest.raises(InvalidRequest) as caught:
        world.change({"name": "", "options": {"quality": "high", "nope": 1}})
    assert {fault.pointer for fault in caught.value.faults} == {"/name", "/options/quality", "/options/nope"}
    assert world.untouched


def test_what_cannot_be_changed_is_told_by_name_with_nothing_changed() -> None:
    world = lobby()
    with pytest.raises(CapabilityNotSupported) as caught:
        world.change({"name": "hall", "options": {"quality": 0.7, "camera_url": "x"}, "lease": {"managed": False}})
    assert [fault.pointer for fault in caught.value.faults] == ["/lease/managed", "/options/camera_url"]
    assert world.untouched


def test_of_a_provider_that_changes_nothing_only_what_is_ours_changes() -> None:
    world = lobby(Plain())
    with pytest.raises(CapabilityNotSupported):
        world.change({"metadata": {"a": "b"}, "options": {"quality": 0.7}})
    assert world.untouched


def test_a_wrong_patch_of_what_cannot_be_changed_is_a_wrong_patch() -> None:
    world = lobby(Plain())
    with pytest.raises(InvalidRequest):
        world.change({"options": {"quality": "high"}})
    assert world.untouched


def test_what_the_provider_itself_declines_leaves_no_trace() -> None:
    world = lobby()
    before = world.record()
    world.provider.fail("change", CapabilityNotSupported("not in this way"))
    with pytest.raises(CapabilityNotSupported):
        world.change({"options": {"quality": 0.7}})
    after = world.record()
    assert after == before.model_copy(update={"revision": after.revision})
    assert world.provider.count("change") == 1
    world.resource.settings["/options/quality"] = 0.9
    assert world.refresh().drift == ["/options/quality"]


@pytest.mark.parametrize(
    "error",
    [
        ProviderRejected("no", effect=Effect.UNKNOWN),
        ProviderUnavailable("later", effect=Effect.UNKNOWN),
        ProviderOutcomeUnknown("?"),
    ],
)
def test_what_the_provider_refuses_is_not_recorded_and_looked_at(error: HeadwaterError) -> None:
    """It may be made of several calls, of which one was carried out."""
    world = lobby()
    world.provider.fail("change", error, carried_out=True)
    with pytest.raises(type(error)):
        world.change({"options": {"quality": 0.7}})
    assert world.read() == world.stream
    world.wait()
    assert world.read().drift == ["/options/quality"]
    assert world.kinds() == ["StreamCreated", "StreamDrifted"]


def test_a_refused_change_does_not_hide_what_has_drifted() -> None:
    world = lobby()
    world.resource.settings["/options/quality"] = 0.9
    world.provider.fail("change", ProviderRejected("no"))
    with pytest.raises(ProviderRejected):
        world.change({"options": {"quality": 0.7}})
    world.repair()
    assert world.resource.settings["/options/quality"] == 0.5


def test_of_what_may_be_changing_just_now_it_is_not_said_that_it_needs_no_repair() -> None:
    world = lobby()
    world.provider.fail("change", ProviderOutcomeUnknown("?"), carried_out=True)
    with pytest.raises(ProviderOutcomeUnknown):
        world.change({"options": {"quality": 0.7}})
    with pytest.raises(PreconditionFailed):
        world.repair()
    world.clock.advance(world.parts.landing + 1)
    world.repair()
    assert world.resource.settings["/options/quality"] == 0.5


def test_a_stream_that_the_provider_does_not_have_is_lost() -> None:
    world = lobby()
    world.provider.alive.clear()
    with pytest.raises(StreamEnded):
        world.change({"options": {"quality": 0.7}})
    assert world.kinds() == ["StreamCreated", "StreamLost"]


def test_the_provider_leaves_time_to_record_the_change() -> None:
    world = lobby()
    world.change({"options": {"quality": 0.7}})
    assert world.provider.time_given[-1] == INVOCATION_SECONDS - world.parts.settle_reserve


def test_what_a_provider_notes_with_a_change_is_kept() -> None:
    class Notes(FakeProvider):
        def change(
            self, handle: Handle, order: Order[FakeOptions], changed: frozenset[str], deadline: Deadline
        ) -> Resource | None:
            return replace(self._resource(handle.ref), notes={**handle.notes, "mode": "off"})

    world = lobby(Notes())
    world.change({"options": {"quality": 0.7}})
    assert world.record().notes == {"region": "here", "mode": "off"}


def test_a_way_to_watch_that_a_change_opens_is_shown_at_once() -> None:
    class Opening(FakeProvider):
        def change(
            self, handle: Handle, order: Order[FakeOptions], changed: frozenset[str], deadline: Deadline
        ) -> Resource | None:
            opened = (Access(protocol="hls", url="https://out.example/manifest"),)
            return replace(self._resource(handle.ref), playback=opened)

    world = Standing(Opening())
    assert world.change({"options": {"quality": 0.5}}).playback == [
        {"protocol": "hls", "url": "https://out.example/manifest"}
    ]


def test_a_stream_that_was_changed_is_looked_at_no_sooner_than_before() -> None:
    world = lobby()
    world.change({"options": {"quality": 0.7}})
    record = world.record()
    assert (record.changing, record.look_at, record.due_at) == ({}, None, None)


# ---- secrets


def test_a_secret_that_is_not_kept_never_reaches_the_provider_as_its_mask() -> None:
    world = lobby()
    world.change({"options": {"quality": 0.7}})
    (order,) = world.provider.orders
    assert order.options.headers
    with pytest.raises(CapabilityNotSupported):
        order.options.headers["k"].get_secret_value()


def test_a_secret_that_is_not_kept_is_not_sent_by_a_repair_either() -> None:
    world = lobby()
    world.resource.settings["/options/quality"] = 0.9
    world.repair()
    (order,) = world.provider.orders
    assert order.options.headers
    with pytest.raises(CapabilityNotSupported):
        order.options.headers["k"].get_secret_value()


def test_a_change_that_needs_a_secret_that_is_not_kept_changes_nothing() -> None:
    world = lobby()
    with pytest.raises(CapabilityNotSupported):
        world.change({"options": {"headers": {"other": f"{CANARY}new"}}})
    assert world.resource.headers == {}
    assert world.read() == world.stream
    assert world.record().changing == {}


def test_a_secret_that_is_given_anew_reaches_the_provider_and_nothing_else() -> None:
    world = lobby()
    stream = world.change({"options": {"headers": {"k": f"{CANARY}new"}}})
    assert world.resource.headers == {"k": f"{CANARY}new"}
    assert stream.options["headers"] == {"k": "***"}
    assert world.told("StreamUpdated")[0]["changed"] == ["/options/headers/k"]
    assert CANARY not in json.dumps(world.lifecycle.timeline(CALLER, stream.id))
    assert CANARY not in world.record().model_dump_json()


# ---- lifetimes


def test_a_lifetime_counts_from_when_the_stream_was_opened() -> None:
    world = lobby()
    world.clock.advance(100)
    stream = world.change({"max_lifetime_seconds": 600})
    assert stream.expires_at == world.stream.created_at + timedelta(seconds=600)
    assert world.record().due_at == stream.expires_at + EXPIRY_GRACE
    assert world.told("StreamUpdated")[0]["changed"] == ["/max_lifetime_seconds"]


def test_without_a_lifetime_of_its_own_a_stream_has_the_deployment_s() -> None:
    world = lobby(given={"default_lifetime": 900})
    assert world.change({"max_lifetime_seconds": 600}).expires_at == world.clock() + timedelta(seconds=600)
    assert world.change({"max_lifetime_seconds": None}).expires_at == world.clock() + timedelta(seconds=900)


def test_without_any_lifetime_a_stream_lives_until_somebody_ends_it() -> None:
    world = lobby()
    world.change({"max_lifetime_seconds": 600})
    assert world.change({"max_lifetime_seconds": None}).expires_at is None


def test_the_ceiling_binds_a_change() -> None:
    world = lobby(given={"lifetime_ceiling": 600})
    with pytest.raises(InvalidRequest):
        world.change({"max_lifetime_seconds": 601})
    assert world.untouched
    assert world.change({"max_lifetime_seconds": 300}).expires_at == world.clock() + timedelta(seconds=300)


def test_a_change_of_something_else_moves_no_end() -> None:
    world = lobby(given={"default_lifetime": 900})
    world.clock.advance(100)
    assert world.change({"name": "hall"}).expires_at == world.stream.expires_at
    changed = Changing(replace(world.parts, default_lifetime=None, lifetime_ceiling=60))
    stream = changed.change(CALLER, world.stream.id, {"name": "attic"}, Match(), whole_invocation())
    assert stream.expires_at == world.stream.expires_at


# ---- If-Match


def test_a_change_may_be_bound_to_a_version() -> None:
    world = lobby()
    assert world.change({"name": "hall"}, 1).version == 2
    for versions in ((1,), (3,), (1, 7)):
        with pytest.raises(PreconditionFailed):
            world.change({"name": "attic"}, *versions)
    assert world.change({"name": "attic"}, 1, 2).version == 3
    assert world.provider.count("change") == 2


def test_a_change_that_matches_nothing_changes_nothing() -> None:
    world = lobby()
    before = world.store.writes
    with pytest.raises(PreconditionFailed):
        world.changing.change(CALLER, world.stream.id, {"name": "x"}, Match(frozenset()), whole_invocation())
    assert (world.store.writes, world.provider.calls) == (before, [])


def test_of_two_changes_bound_to_one_version_one_is_made() -> None:
    """And the other neither in the record nor at the provider, whatever it had done there by then."""

    def one(world: Standing) -> Stream:
        return world.change({"options": {"quality": 0.7}}, 1)

    def other(world: Standing) -> Stream:
        return world.change({"name": "hall", "options": {"tags": {"a": "9"}}}, 1)

    for provider in (FakeProvider, Overwriting):
        for met in every_meeting(partial(lobby_at, provider), one, other):
            errors = [outcome.error for outcome in (met.first, met.second)]
            assert sorted(map(type, errors), key=str) == [type(None), PreconditionFailed], met.label
            assert met.world.kinds() == ["StreamCreated", "StreamUpdated"], met.label
            assert met.world.read().version == 2, met.label
            assert is_as_asked(met.world), met.label


def lobby_at(provider: type[FakeProvider]) -> Standing:
    return lobby(provider())


# ---- two at once


def test_two_changes_at_once_both_take_effect() -> None:
    def one(world: Standing) -> Stream:
        return world.change({"metadata": {"a": "b"}, "options": {"quality": 0.7, "tags": {"a": None}}})

    def other(world: Standing) -> Stream:
        return world.change({"name": "hall", "options": {"tags": {"c": "3"}}})

    for provider in (FakeProvider, Overwriting):
        for met in every_meeting(partial(lobby_at, provider), one, other):
            assert (met.first.error, met.second.error) == (None, None), met.label
            stream = met.world.read()
            assert (stream.name, stream.metadata) == ("hall", {"site": "north", "a": "b"}), met.label
            assert stream.options["quality"] == 0.7, met.label
            assert stream.options["tags"] == {"b": "2", "c": "3"}, met.label
            assert stream.version == 3, met.label
            assert met.world.kinds() == ["StreamCreated", "StreamUpdated", "StreamUpdated"], met.label
            assert is_as_asked(met.world), met.label
            assert met.world.refresh().drift == [], met.label


def test_of_two_changes_of_the_same_the_later_in_the_record_is_the_one_at_the_provider() -> None:
    for provider in (FakeProvider, Overwriting):
        for met in every_meeting(
            partial(lobby_at, provider),
            lambda world: world.change({"options": {"quality": 0.1}}),
            lambda world: world.change({"options": {"quality": 0.2}}),
        ):
            assert (met.first.error, met.second.error) == (None, None), met.label
            assert is_as_asked(met.world), met.label


def test_a_change_meets_a_notification_that_changes_nothing_of_it() -> None:
    for met in every_meeting(
        lobby, lambda world: world.change({"options": {"quality": 0.7}}, 1), lambda world: world.hear(State.LIVE, at=1)
    ):
        # Whether it came first is told by the version alone.
        if met.first.error:
            assert isinstance(met.first.error, PreconditionFailed), met.label
        else:
            assert met.world.read().options["quality"] == 0.7, met.label
        assert met.world.read().state is State.LIVE, met.label
        assert is_as_asked(met.world), met.label


def test_a_change_brings_nothing_back_that_ends() -> None:
    for change in ({"options": {"quality": 0.7}}, {"metadata": {"a": "b"}}):
        for met in every_meeting(lobby, lambda world, change=change: world.change(change), Standing.remove):  # type: ignore[misc] # mypy cannot tell a default's type
            assert met.world.record().stream.state is State.ENDED, met.label
            assert met.world.kinds()[-1] == "StreamDeleted", met.label
            told = "StreamUpdated" in met.world.kinds()
            assert isinstance(met.first.error, type(None) if told else StreamEnded), met.label
            assert met.world.provider.alive == {}, met.label
            assert met.world.store.sealed == {}, met.label


@pytest.mark.parametrize("state", [State.ENDED, State.LOST, State.FAILED, State.ENDING])
def test_what_is_over_is_neither_changed_nor_repaired(state: State) -> None:
    world = lobby()
    world.put(state)
    world.store.writes = 0
    with pytest.raises(StreamEnded):
        world.change({"name": "hall"})
    with pytest.raises(StreamEnded):
        world.repair()
    assert world.untouched


def test_what_is_being_created_is_not_changed() -> None:
    world = World()
    stream_id = unsettled(world)
    with pytest.raises(CreationInProgress):
        world.changing.change(CALLER, stream_id, {"name": "x"}, Match(), whole_invocation())


def test_a_change_that_others_overtake_all_the_time_is_given_up() -> None:
    world = lobby()

    def other() -> None:
        stream = world.record().stream
        metadata = {"n": str(stream.version)}
        changed = stream.model_copy(update={"metadata": metadata, "version": stream.version + 1})
        world.store.touch(stream.id, stream=changed)

    for _ in range(20):
        world.provider.meanwhile("change", other)
    with pytest.raises(PreconditionFailed):
        world.change({"options": {"quality": 0.7}})
    world.wait()
    assert world.read().drift == ["/options/quality"]


def test_a_change_that_is_declined_when_it_is_made_anew_is_taken_back() -> None:
    """Somebody else's change came between, and with that the provider does not make ours."""
    world = lobby()

    def other() -> None:
        world.change({"metadata": {"a": "b"}})
        world.provider.fail("change", CapabilityNotSupported("not with that"))

    world.provider.meanwhile("change", other)
    with pytest.raises(CapabilityNotSupported):
        world.change({"options": {"quality": 0.7}})
    assert is_as_asked(world)
    assert world.read().options["quality"] == 0.5
    assert world.record().changing == {}


def test_a_change_is_taken_back_whatever_is_written_meanwhile() -> None:
    for number in range(1, 9):
        world = lobby()
        updates: list[str] = []

        def other(world: Standing = world) -> None:
            world.change({"metadata": {"a": "b"}})
            world.provider.fail("change", CapabilityNotSupported("not with that"))

        def interfere(call: str, world: Standing = world, updates: list[str] = updates, number: int = number) -> None:
            updates.append(call)
            if len(updates) < 20 and updates.count("update") == number and call == "update":
                updates.append("update")
                world.interfere()

        world.provider.meanwhile("change", other)
        world.store.before = interfere
        with pytest.raises(CapabilityNotSupported):
            world.change({"options": {"quality": 0.7}})
        assert is_as_asked(world), number
        assert world.record().changing == {}, number


def test_a_change_is_not_worked_out_anew_when_its_time_is_over() -> None:
    world = lobby()
    moments = [0.0]
    deadline = Deadline(20, clock=lambda: moments[0])

    def other() -> None:
        moments[0] = 30
        stream = world.record().stream.model_copy(update={"metadata": {"a": "b"}})
        world.store.touch(stream.id, stream=stream)

    world.provider.meanwhile("change", other)
    with pytest.raises(PreconditionFailed):
        world.changing.change(CALLER, world.stream.id, {"options": {"quality": 0.7}}, Match(), deadline)
    assert world.provider.count("change") == 1


# ---- a worker dies


def test_a_change_whose_worker_died_is_completed_by_who_asks_again() -> None:
    patch = {"name": "hall", "metadata": {"a": "b"}, "options": {"quality": 0.7}}
    died = 0
    for provider in (FakeProvider, Overwriting):
        for world, label in every_death(partial(lobby_at, provider), lambda world: world.change(patch)):
            died += 1
            stream = world.change(patch)
            assert (stream.name, stream.metadata["a"], stream.options["quality"]) == ("hall", "b", 0.7), label
            assert world.kinds() == ["StreamCreated", "StreamUpdated"], label
            assert is_as_asked(world), label
            world.wait(rounds=3)
            assert world.kinds() == ["StreamCreated", "StreamUpdated"], label
    assert died == 4 + 5


def test_a_change_whose_worker_died_is_found_by_a_look_where_it_was_made() -> None:
    for world, label in every_death(lobby, lambda world: world.change({"options": {"quality": 0.7}})):
        made = world.resource.settings["/options/quality"] == 0.7
        world.wait(rounds=3)
        assert world.read().drift == (["/options/quality"] if made else []), label
        assert world.record().due_at is None, label
        assert world.repair().drift == [], label
        assert is_as_asked(world), label


# ---- repair


def drifted(provider: FakeProvider | None = None) -> Standing:
    world = lobby(provider)
    world.resource.settings |= {"/options/quality": 0.9, "/options/tags": {}}
    return world


def test_a_repair_brings_back_what_was_asked_for() -> None:
    world = drifted()
    world.refresh()
    world.provider.calls.clear()
    stream = world.repair()
    assert world.provider.calls == ["read", "change"]
    assert is_as_asked(world)
    assert (stream.drift, stream.version) == ([], 3)
    assert world.kinds() == ["StreamCreated", "StreamDrifted", "StreamUpdated"]
    assert world.told("StreamUpdated")[0]["changed"] == ["/options/quality", "/options/tags"]
    assert world.refresh() == stream


def test_a_repair_looks_first() -> None:
    world = drifted()
    assert world.repair().drift == []
    assert world.kinds() == ["StreamCreated", "StreamDrifted", "StreamUpdated"]


def test_a_repair_of_what_has_not_drifted_changes_nothing() -> None:
    world = lobby()
    assert world.repair() == world.stream
    assert world.provider.calls == ["read"]
    assert world.store.writes == 0


def test_a_repair_of_what_is_gone_tells_that_it_is_over() -> None:
    world = drifted()
    world.refresh()
    world.provider.alive.clear()
    with pytest.raises(StreamEnded):
        world.repair()
    assert world.kinds() == ["StreamCreated", "StreamDrifted", "StreamLost"]
    assert world.provider.count("change") == 0


def test_where_nothing_can_be_repaired_nothing_is_called() -> None:
    world = lobby(Plain())
    with pytest.raises(CapabilityNotSupported):
        world.repair()
    assert world.untouched


def test_what_the_provider_cannot_change_cannot_be_repaired() -> None:
    """Not even a name, which of any stream is ours to change, where the provider tells it and keeps it."""

    class Fixed(FakeProvider):
        changeable = frozenset({"/options/quality"})

    world = drifted(Fixed())
    world.resource.settings["/name"] = "hall"
    with pytest.raises(CapabilityNotSupported) as caught:
        world.repair()
    assert [fault.pointer for fault in caught.value.faults] == ["/name", "/options/tags"]
    assert world.provider.count("change") == 0


def test_a_change_of_what_has_drifted_leaves_the_rest_of_the_drift() -> None:
    world = drifted()
    world.refresh()
    assert world.change({"options": {"quality": 0.7}}).drift == ["/options/tags"]
    world.refresh()
    assert world.kinds() == ["StreamCreated", "StreamDrifted", "StreamUpdated"]


def test_a_change_of_a_part_of_what_has_drifted_leaves_the_drift_that_is_still_there() -> None:
    class Apart(FakeProvider):
        """Of its tags it changes those that are pointed at."""

        def _bring(self, one: Alive, order: Order[FakeOptions], changed: frozenset[str]) -> None:
            tags = one.settings["/options/tags"]
            assert isinstance(tags, dict)
            names = {at.removeprefix("/options/tags/") for at in changed}
            one.settings["/options/tags"] = tags | {n: v for n, v in order.options.tags.items() if n in names}

    world = lobby(Apart())
    world.resource.settings["/options/tags"] = {"a": "1", "b": "wrong"}
    world.refresh()
    assert world.change({"options": {"tags": {"a": "9"}}}).drift == ["/options/tags"]
    assert world.change({"options": {"tags": {"b": "3"}}}).drift == []
    world.refresh()
    assert world.kinds() == ["StreamCreated", "StreamDrifted", "StreamUpdated", "StreamUpdated"]


def test_where_a_change_s_answer_tells_nothing_what_was_changed_has_not_drifted() -> None:
    world = drifted()
    world.refresh()
    world.provider.tells_settings = False
    assert world.change({"options": {"quality": 0.7}}).drift == ["/options/tags"]


def test_what_drifts_anew_during_a_change_is_for_whoever_looks_to_tell() -> None:
    world = lobby()
    world.resource.settings["/options/tags"] = {}
    assert world.change({"options": {"quality": 0.7}}).drift == []
    world.refresh()
    assert world.kinds() == ["StreamCreated", "StreamUpdated", "StreamDrifted"]


def test_a_repair_and_a_change_at_once_leave_what_is_asked_for() -> None:
    for provider in (FakeProvider, Overwriting):
        for met in every_meeting(
            partial(drifted_at, provider),
            Standing.repair,
            lambda world: world.change({"name": "hall", "options": {"quality": 0.7}}),
        ):
            assert (met.first.error, met.second.error) == (None, None), met.label
            assert met.world.read().options["quality"] == 0.7, met.label
            assert is_as_asked(met.world), met.label
            assert met.world.refresh().drift == [], met.label


def drifted_at(provider: type[FakeProvider]) -> Standing:
    world = drifted(provider())
    world.refresh()
    return world


def test_a_repair_brings_nothing_back_that_ends() -> None:
    for met in every_meeting(partial(drifted_at, FakeProvider), Standing.repair, Standing.remove):
        assert met.world.record().stream.state is State.ENDED, met.label
        assert met.world.kinds()[-1] == "StreamDeleted", met.label
        assert isinstance(met.first.error, StreamEnded | None), met.label


def test_a_repair_whose_worker_died_can_be_asked_for_again() -> None:
    for world, label in every_death(partial(drifted_at, FakeProvider), Standing.repair):
        world.clock.advance(CLAIM_SECONDS)
        world.repair()
        world.wait(rounds=3)
        assert is_as_asked(world), label
        assert world.read().drift == [], label
        assert world.kinds()[-1] in {"StreamUpdated", "StreamDrifted"}, label


def test_what_was_asked_for_and_is_not_understood_any_more_is_not_repaired() -> None:
    world = drifted_at(FakeProvider)
    world.note(stream=world.record().stream.model_copy(update={"options": {"quality": "of an earlier version"}}))
    with pytest.raises(CapabilityNotSupported):
        world.repair()
    assert world.provider.count("change") == 0
    assert world.record().changing == {}
