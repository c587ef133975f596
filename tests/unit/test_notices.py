"""What a provider tells by itself: each told once, the newest decides, and what proves nothing changes nothing."""

import json
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headwater.errors import MalformedBody, NotificationRefused, PreconditionFailed
from headwater.notices import CLOCKS_DIFFER
from headwater.records import LOOK_SECONDS
from headwater.streams import State
from tests.unit.fakes import CALLER, FakeProvider, World, notification
from tests.unit.interleaving import every_death, every_meeting
from tests.unit.standing import Standing, unsettled

EACH = st.tuples(
    st.sampled_from([State.READY, State.LIVE, State.PROVISIONING]),
    st.sampled_from([None, "the codec is not supported", "the GOP is too long"]),
)


def test_a_notification_becomes_the_state_of_its_stream() -> None:
    world = Standing()
    world.clock.advance(3)
    world.hear(State.LIVE, at=2, status="live_input.connected")
    stream = world.read()
    assert (stream.state, stream.provider_status, stream.version) == (State.LIVE, "live_input.connected", 2)
    assert stream.updated_at == world.clock()
    assert world.kinds() == ["StreamCreated", "StreamStateChanged"]
    (data,) = world.told("StreamStateChanged")
    assert (data["previous_state"], data["stream"]["state"]) == ("ready", "live")
    assert world.store.events[stream.id][-1].request_id == "call-1"
    assert world.store.events[stream.id][-1].tenant == CALLER.tenant


def test_what_is_wrong_with_what_is_sent_is_told_in_words() -> None:
    world = Standing()
    world.hear(State.LIVE, at=1)
    world.hear(State.LIVE, at=2, reason="the codec is not supported")
    assert world.read().state_reason == "the codec is not supported"
    assert world.kinds() == ["StreamCreated", "StreamStateChanged", "StreamStateChanged"]
    world.hear(State.LIVE, at=3)
    assert world.read().state_reason is None


def test_another_word_for_the_same_state_is_recorded_and_announced_to_nobody() -> None:
    world = Standing()
    world.hear(State.READY, at=1, status="live_input.disconnected")
    assert world.read().provider_status == "live_input.disconnected"
    assert world.kinds() == ["StreamCreated"]


def test_what_is_told_twice_is_heard_once() -> None:
    world = Standing()
    for _ in range(3):
        world.hear(State.LIVE, at=1)
    assert world.kinds() == ["StreamCreated", "StreamStateChanged"]
    assert world.store.writes == 1


def test_what_is_older_than_what_is_known_moves_no_state_back() -> None:
    world = Standing()
    world.hear(State.LIVE, at=10)
    world.hear(State.READY, at=9)
    assert world.read().state is State.LIVE


def test_what_is_older_than_what_was_seen_moves_no_state_back() -> None:
    """A look that told something new counts from when the provider was asked, as far as clocks agree."""
    world = Standing()
    world.clock.advance(100)
    world.provider.state = State.LIVE
    world.refresh()
    world.hear(State.READY, at=100 - CLOCKS_DIFFER.total_seconds() - 1)
    assert world.read().state is State.LIVE
    world.hear(State.READY, at=100 - CLOCKS_DIFFER.total_seconds())
    assert world.read().state is State.READY


@given(told=st.lists(EACH, min_size=1, max_size=5), data=st.data())
@settings(max_examples=60, deadline=None)
def test_however_they_come_the_newest_decides_and_none_is_told_twice(
    told: list[tuple[State, str | None]], data: st.DataObject
) -> None:
    every = [(float(at), *each) for at, each in enumerate(told)]
    again = data.draw(st.lists(st.sampled_from(every), max_size=5))
    order = data.draw(st.permutations(every + again))
    world = Standing()
    newest = -1.0
    for at, state, reason in order:
        before = world.read()
        world.hear(state, at, reason=reason)
        stream = world.read()
        if at <= newest:
            assert stream == before
        else:
            newest = at
            assert (stream.state, stream.state_reason) == (state, reason)
            assert stream.version - before.version == ((before.state, before.state_reason) != (state, reason))
    stream = world.read()
    assert (stream.state, stream.state_reason) == told[-1]
    assert len(world.told("StreamStateChanged")) <= len(told)
    times = world.kinds().count("StreamStateChanged")
    assert stream.version == 1 + times


def test_notifications_that_meet_each_other_leave_the_newest() -> None:
    for met in every_meeting(
        Standing, lambda world: world.hear(State.LIVE, at=1), lambda world: world.hear(State.READY, at=2)
    ):
        assert (met.first.error, met.second.error) == (None, None), met.label
        assert met.world.read().state is State.READY, met.label
        assert met.world.record().noticed_at == met.world.stream.created_at + timedelta(seconds=2), met.label


def test_the_same_notification_that_comes_twice_at_once_is_told_once() -> None:
    def hear(world: Standing) -> None:
        world.hear(State.LIVE, at=1)

    for met in every_meeting(Standing, hear, hear):
        assert met.world.kinds() == ["StreamCreated", "StreamStateChanged"], met.label


def test_a_notification_whose_worker_died_is_heard_when_it_comes_again() -> None:
    for world, label in every_death(Standing, lambda world: world.hear(State.LIVE, at=1)):
        world.hear(State.LIVE, at=1)
        assert world.kinds() == ["StreamCreated", "StreamStateChanged"], label


def test_a_notification_that_others_overtake_all_the_time_is_sent_again() -> None:
    world = Standing()
    for _ in range(9):
        world.store.meanwhile("update", world.interfere)
    with pytest.raises(PreconditionFailed) as caught:
        world.hear(State.LIVE, at=1)
    assert caught.value.retryable


def test_what_does_not_prove_where_it_comes_from_changes_nothing() -> None:
    world = Standing()
    _, body = notification("ref-1", State.LIVE, world.clock())
    for headers in ({}, {"x-fake-notifier": "guessed"}):
        with pytest.raises(NotificationRefused):
            world.notices.hear(headers, body, "call-1")
    assert world.untouched


def test_what_cannot_be_read_changes_nothing() -> None:
    world = Standing()
    headers, _ = notification("ref-1", State.LIVE, world.clock())
    with pytest.raises(MalformedBody):
        world.notices.hear(headers, "{", "call-1")
    assert world.untouched


def test_what_is_of_no_stream_changes_nothing() -> None:
    world = Standing()
    headers, _ = notification("ref-1", State.LIVE, world.clock())
    world.notices.hear(headers, json.dumps({"ref": "ref-1"}), "call-1")
    world.notices.hear(*notification("ref-of-somebody", State.LIVE, world.clock()), "call-1")
    assert world.untouched


@pytest.mark.parametrize("state", [State.ENDED, State.LOST, State.FAILED, State.ENDING])
def test_what_is_over_hears_nothing(state: State) -> None:
    world = Standing()
    world.put(state)
    before = world.record()
    world.hear(State.LIVE, at=1000)
    assert world.record() == before


def test_what_is_being_created_hears_nothing() -> None:
    world = World()
    stream_id = unsettled(world)
    record = world.store.records[stream_id]
    world.store.touch(stream_id, stream=record.stream.model_copy(update={"provider_ref": "ref-1"}))
    before = world.record()
    world.notices.hear(*notification("ref-1", State.LIVE, world.clock()), "call-1")
    assert world.record() == before


def test_what_the_index_shows_of_an_earlier_time_decides_nothing() -> None:
    """A stream that has another resource by now is not this one's."""
    world = Standing()
    elsewhere = world.record().stream.model_copy(update={"provider_ref": "ref-2"})

    def moved() -> None:
        world.note(stream=elsewhere)

    world.store.meanwhile("recorded_as", moved)
    world.hear(State.LIVE, at=1)
    assert world.read().state is State.READY


def test_a_notification_that_it_is_over_ends_it_and_its_secrets_go() -> None:
    for state in (State.ENDED, State.FAILED):
        world = Standing()
        world.hear(state, at=1, reason="source-closed")
        record = world.record()
        assert (record.stream.state, record.ended_at) == (state, world.clock())
        assert world.store.sealed == {}
        assert world.kinds() == ["StreamCreated", "StreamStateChanged"]


def test_a_stream_that_was_heard_of_is_looked_at_later() -> None:
    class Looked(FakeProvider):
        look_seconds = 300

    world = Standing(Looked())
    world.clock.advance(200)
    world.hear(State.LIVE, at=200)
    assert world.record().due_at == world.clock() + timedelta(seconds=300)


def test_a_notification_does_not_put_off_the_look_at_what_somebody_died_over() -> None:
    world = Standing()
    world.note(changing={"w": world.clock() + timedelta(seconds=30)})
    world.hear(State.LIVE, at=1)
    assert world.record().due_at == world.clock() + timedelta(seconds=30)


def test_what_is_wrong_is_not_forgotten_by_a_look_that_cannot_see_it() -> None:
    world = Standing()
    world.hear(State.READY, at=1, reason="The key frames come too seldom.")
    world.clock.advance(10)
    assert world.refresh().state_reason == "The key frames come too seldom."
    world.provider.state = State.LIVE
    assert world.refresh().state_reason is None


def test_of_a_notification_as_old_as_the_last_look_another_look_decides() -> None:
    world = Standing()
    world.clock.advance(100)
    world.provider.state = State.LIVE
    world.refresh()
    world.hear(State.READY, at=98)
    assert world.record().due_at == world.clock() + timedelta(seconds=LOOK_SECONDS)
