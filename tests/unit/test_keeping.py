"""What everybody keeps to who acts on a recorded stream."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from pydantic import Secret

from headwater.beginning import Beginning
from headwater.ending import AGAIN_SECONDS
from headwater.errors import PreconditionFailed, ProviderUnavailable
from headwater.events import StreamDeleted, StreamLost, StreamUpdated
from headwater.keeping import Keeping
from headwater.provider import Resource
from headwater.records import Record
from headwater.streams import Access, State
from tests.unit.fakes import CALLER, CLAIM_SECONDS, Unfindable, World, a_claimed_record, whole_invocation
from tests.unit.standing import Standing


def keeping(world: World) -> Keeping:
    return Keeping(world.parts)


def renamed(name: str) -> Callable[[Record], Record]:
    def change(found: Record) -> Record:
        return found.model_copy(update={"stream": found.stream.model_copy(update={"name": name})})

    return change


def test_a_write_over_somebody_else_s_is_refused() -> None:
    world = Standing()
    record = world.record()
    world.interfere()
    with pytest.raises(PreconditionFailed):
        keeping(world).write(CALLER, record, record, StreamUpdated, changed=[])
    assert world.kinds() == ["StreamCreated"]


def test_an_event_raises_the_version_by_one_and_nothing_else_does() -> None:
    world = Standing()
    record = keeping(world).write(None, world.record(), world.record())
    assert (record.stream.version, record.revision) == (1, world.record().revision)
    record = keeping(world).write(CALLER, record, record, StreamUpdated, changed=["/name"])
    assert record.stream.version == 2
    assert world.store.events[world.stream.id][-1].sequence == 2


def test_a_fact_is_recorded_whatever_was_written_meanwhile() -> None:
    world = Standing()
    record = world.record()
    world.note(notes={"theirs": "kept"})
    after = keeping(world).insist(CALLER, record, renamed("hall"), None)
    assert (after.stream.name, after.notes) == ("hall", {"theirs": "kept"})


def test_a_fact_is_not_recorded_of_what_it_does_not_concern_any_more() -> None:
    world = Standing()
    record = world.record()
    world.put(State.LOST)
    after = keeping(world).insist(CALLER, record, renamed("hall"), None)
    assert (after.stream.name, after.stream.state) == (None, State.LOST)


def test_a_fact_that_others_overtake_all_the_time_is_given_up() -> None:
    world = Standing()
    for _ in range(9):
        world.store.meanwhile("update", world.interfere)
    with pytest.raises(PreconditionFailed):
        keeping(world).insist(CALLER, world.record(), renamed("hall"), None)


@pytest.mark.parametrize("meanwhile", ["claimed", "opened anew"])
def test_a_fact_of_an_earlier_life_is_not_recorded_of_a_later_one(meanwhile: str) -> None:
    world = Standing()
    record = world.record()
    if meanwhile == "claimed":
        world.note(claim=a_claimed_record().claim)
    else:
        world.note(opened_at=world.clock() + timedelta(seconds=1))
    before = world.record()
    works: list[Callable[[], object]] = [
        lambda: keeping(world).insist(CALLER, record, renamed("hall"), None),
        lambda: keeping(world).lost(CALLER, record),
        lambda: keeping(world).over(CALLER, record, State.ENDED, "deleted", StreamDeleted),
    ]
    for work in works:
        with pytest.raises(PreconditionFailed):
            work()
    assert world.record() == before


def test_what_somebody_else_says_to_be_changing_is_his_to_take_back() -> None:
    world = Standing()
    one, other = Beginning(world.parts), Beginning(world.parts)
    one.note(world.record(), whole_invocation())
    begun = other.note(world.record(), whole_invocation())
    assert len(begun.changing) == 2
    world.note(changing=one.over(begun).changing)
    assert keeping(world).is_being_changed(world.record())
    assert other.over(world.record()).changing == {}


def test_whoever_changes_a_stream_is_dead_for_certain_after_his_invocation() -> None:
    world = Standing()
    Beginning(world.parts).note(world.record(), whole_invocation())
    assert keeping(world).is_being_changed(world.record())
    world.clock.advance(CLAIM_SECONDS - 0.1)
    assert keeping(world).is_being_changed(world.record())
    world.clock.advance(0.1)
    assert not keeping(world).is_being_changed(world.record())


def test_what_is_due_sooner_is_due_sooner_all_the_same() -> None:
    world = Standing()
    world.note(look_at=world.clock() + timedelta(seconds=5))
    beginning = Beginning(world.parts)
    begun = beginning.note(world.record(), whole_invocation())
    assert begun.look_at == world.clock() + timedelta(seconds=5)
    assert beginning.over(begun).look_at == world.clock() + timedelta(seconds=5)


def test_what_nobody_began_is_not_over() -> None:
    world = Standing()
    assert Beginning(world.parts).over(world.record()) == world.record()


def test_where_it_cannot_be_noted_that_nothing_came_of_it_somebody_looks() -> None:
    world = Standing()
    beginning = Beginning(world.parts)
    begun = beginning.note(world.record(), whole_invocation())
    for _ in range(9):
        world.store.meanwhile("update", world.interfere)
    beginning.failed(CALLER, begun, ProviderUnavailable("later"))
    assert world.record().due_at == world.clock() + timedelta(seconds=CLAIM_SECONDS)


def test_what_ends_is_not_looked_at_for_a_change() -> None:
    world = Standing()
    Beginning(world.parts).note(world.record(), whole_invocation())
    world.provider.fail("remove", ProviderUnavailable("later"))
    world.remove()
    assert world.record().due_at == world.clock() + timedelta(seconds=AGAIN_SECONDS)


def test_nothing_is_written_over_an_end() -> None:
    world = Standing()
    record = world.record()
    world.remove()
    after = keeping(world).over(CALLER, record, State.LOST, "not-at-provider", StreamLost)
    assert after.stream.state is State.ENDED
    assert world.kinds() == ["StreamCreated", "StreamDeleted"]


def test_the_same_credentials_seal_nothing() -> None:
    world = Standing()
    resource = world.provider.read(world.record().handle, whole_invocation())
    assert resource
    seals = world.vault.seals
    assert keeping(world).told(world.record(), resource) == world.record()
    assert world.vault.seals == seals


def test_a_hash_tells_nothing_of_another_stream_s_secret() -> None:
    world = Standing()
    world.provision("other")
    one, other = world.record().credential_hashes, world.record("other").credential_hashes
    assert one.keys() == other.keys()
    assert one != other
    credentials = world.credentials()
    assert credentials.hashes("str_a") != credentials.hashes("str_b")


def test_a_lease_that_its_caller_let_go_of_does_not_end_what_is_being_ended() -> None:
    world = Standing(Unfindable(), lease={"managed": False})
    record = world.record()
    world.provider.fail("remove", ProviderUnavailable("later"))
    world.remove()
    world.clock.advance(1000)
    assert keeping(world).lost(CALLER, record).stream.state is State.ENDING
    assert world.kinds() == ["StreamCreated"]


def test_of_several_secrets_the_one_that_is_told_anew_is_exchanged_and_the_others_are_kept() -> None:
    world = Standing()

    def telling(**keys: str) -> Resource:
        told = (Access(protocol=protocol, secrets={"key": Secret(key)}) for protocol, key in keys.items())
        return Resource("ref-1", State.READY, ingest=tuple(told))

    def tell(**keys: str) -> bool:
        """Whether it was news."""
        before = world.record()
        after = keeping(world).told(before, telling(**keys))
        if news := after.sealed_credentials != before.sealed_credentials:
            keeping(world).write(None, before, after)
        return news

    assert tell(srt="a", whip="b")
    assert tell(srt="c")
    assert not tell(whip="b")
    assert not tell(srt="c", whip="b")
    kept = {access.protocol: access.revealed() for access in world.credentials().ingest}
    assert (kept["srt"]["key"], kept["whip"]["key"]) == ("c", "b")
    assert kept.keys() == {"rtmps", "srt", "whip"}
