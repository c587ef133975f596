"""Where a stream is sent on to: kept by the provider alone, and its keys told to nobody."""

from collections.abc import Callable

import pytest
from pydantic import SecretStr

from headwater.errors import (
    CapabilityNotSupported,
    NotAtProvider,
    OutputNotFound,
    ProviderQuotaExceeded,
    StreamEnded,
    StreamNotFound,
)
from headwater.ports import Caller
from headwater.simulcast import NewOutput, Output
from headwater.streams import State
from tests.unit.fakes import CALLER, CANARY, STRANGER, Plain, whole_invocation
from tests.unit.standing import Standing

WANTED = NewOutput(url=SecretStr("rtmp://live.example/app"), stream_key=SecretStr(f"{CANARY}key"))


class Sent(Standing):
    """A stream, and what is asked about its outputs."""

    def add(self, wanted: NewOutput = WANTED, caller: Caller = CALLER) -> Output:
        return self.outputs.add(caller, self.stream.id, wanted, whole_invocation())

    def all(self, caller: Caller = CALLER) -> list[Output]:
        return list(self.outputs.list(caller, self.stream.id, whole_invocation()))

    def switch(self, output_id: str, *, enabled: bool, caller: Caller = CALLER) -> Output:
        return self.outputs.switch(caller, self.stream.id, output_id, enabled, whole_invocation())

    def drop(self, output_id: str, caller: Caller = CALLER) -> None:
        self.outputs.remove(caller, self.stream.id, output_id, whole_invocation())

    def everything(self, caller: Caller = CALLER) -> list[Callable[[], object]]:
        return [
            lambda: self.all(caller),
            lambda: self.add(caller=caller),
            lambda: self.switch("out-1", enabled=True, caller=caller),
            lambda: self.drop("out-1", caller),
        ]


def test_an_output_is_added_listed_switched_and_removed() -> None:
    world = Sent()
    added = world.add()
    assert added == Output(id="out-1", service="rtmp://live.example", enabled=True)
    assert world.all() == [added]
    assert world.switch("out-1", enabled=False).enabled is False
    assert [output.enabled for output in world.all()] == [False]
    world.drop("out-1")
    assert world.all() == []


def test_the_same_output_again_is_that_one() -> None:
    world = Sent()
    assert world.add().id == world.add().id
    assert len(world.all()) == 1


def test_of_an_output_nothing_is_recorded_and_no_key_told() -> None:
    world = Sent()
    told = [world.add(), world.switch("out-1", enabled=False), *world.all()]
    assert CANARY not in "".join(output.model_dump_json() for output in told)
    assert CANARY not in repr(WANTED)
    assert world.store.writes == 0
    assert world.kinds() == ["StreamCreated"]


def test_an_output_that_is_not_there_cannot_be_switched() -> None:
    world = Sent()
    with pytest.raises(OutputNotFound):
        world.switch("out-1", enabled=True)


def test_an_output_that_is_not_there_is_removed() -> None:
    Sent().drop("out-1")


def test_where_nothing_is_sent_on_nothing_is_called() -> None:
    world = Sent(Plain())
    for ask in world.everything():
        with pytest.raises(CapabilityNotSupported):
            ask()
    assert world.untouched


def test_another_s_outputs_look_like_none() -> None:
    world = Sent()
    for ask in world.everything(STRANGER):
        with pytest.raises(StreamNotFound):
            ask()
    assert world.untouched


@pytest.mark.parametrize("state", [State.ENDED, State.LOST, State.FAILED, State.ENDING])
def test_what_is_over_is_sent_on_to_nowhere(state: State) -> None:
    world = Sent()
    world.put(state)
    for ask in world.everything():
        with pytest.raises(StreamEnded):
            ask()
    assert world.provider.calls == []


def test_what_the_provider_says_no_with_is_told() -> None:
    world = Sent()
    world.provider.fail("add_output", ProviderQuotaExceeded("50 are all there can be"))
    with pytest.raises(ProviderQuotaExceeded):
        world.add()


def test_a_stream_that_the_provider_does_not_have_any_more_is_lost() -> None:
    world = Sent()
    world.provider.fail("outputs", NotAtProvider("gone"))
    world.provider.alive.clear()
    with pytest.raises(StreamEnded):
        world.all()
    assert world.kinds() == ["StreamCreated", "StreamLost"]
