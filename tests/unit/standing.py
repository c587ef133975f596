"""A world with one stream in it, and what can be asked of it."""

import json
from contextlib import suppress
from datetime import timedelta
from typing import Any

from headwater.changing import Match
from headwater.ending import Ended
from headwater.ports import Caller
from headwater.records import Credentials, Record
from headwater.streams import State, Stream
from tests.unit.fakes import CALLER, Alive, FakeProvider, Killed, World, notification, whole_invocation


class Standing(World):
    """A world with one stream in it. What begins with a provider's name and a deployment's terms is the world's."""

    def __init__(self, provider: FakeProvider | None = None, given: dict[str, Any] | None = None, **body: Any) -> None:
        super().__init__(provider, **(given or {}))
        self.stream = self.provision(**body).stream
        self.provider.calls.clear()
        self.provider.orders.clear()
        self.store.writes = 0

    @property
    def resource(self) -> Alive:
        """What the provider has of it."""
        return self.provider.alive["ref-1"]

    @property
    def untouched(self) -> bool:
        """Whether nobody has called the provider, or written, since it stood."""
        return not self.provider.calls and not self.store.writes

    def read(self, *, refresh: bool = False, caller: Caller = CALLER) -> Stream:
        return self.lifecycle.read(caller, self.stream.id, refresh, whole_invocation())

    def refresh(self) -> Stream:
        return self.read(refresh=True)

    def credentials(self, caller: Caller = CALLER, *, refresh: bool = False) -> Credentials:
        return self.lifecycle.credentials(caller, self.stream.id, refresh, whole_invocation())

    def secrets(self) -> str:
        """All that opens it, as it is answered."""
        return json.dumps(self.credentials().revealed())

    def keep_alive(self, caller: Caller = CALLER) -> Stream:
        return self.lifecycle.keep_alive(caller, self.stream.id, whole_invocation())

    def remove(self, caller: Caller = CALLER) -> Ended:
        return self.ending.remove(caller, self.stream.id, whole_invocation())

    def change(self, patch: dict[str, Any], *versions: int, caller: Caller = CALLER) -> Stream:
        match = Match(frozenset(versions) if versions else None)
        return self.changing.change(caller, self.stream.id, patch, match, whole_invocation())

    def repair(self, caller: Caller = CALLER) -> Stream:
        return self.changing.repair(caller, self.stream.id, whole_invocation())

    def rotate(self, *, force: bool = False, caller: Caller = CALLER) -> tuple[Stream, Credentials]:
        return self.rotation.rotate(caller, self.stream.id, force, whole_invocation())

    def hear(self, state: State, at: float, status: str = "told", reason: str | None = None) -> None:
        """The provider tells that it was so at this many seconds after the world's noon."""
        moment = self.stream.created_at + timedelta(seconds=at)
        self.notices.hear(*notification("ref-1", state, moment, status, reason), "call-1")

    def beat(self, beat: int) -> None:
        self.attend("renew", self.stream.id, beat)

    def expire(self) -> None:
        self.attend("expire", self.stream.id)

    def look(self) -> None:
        """Somebody attends to what is due of it."""
        self.attend("due", self.stream.id)

    def interfere(self) -> None:
        """Another worker writes to the record, to no visible effect."""
        self.store.touch(self.stream.id)

    def put(self, state: State) -> None:
        stream = self.record().stream.model_copy(update={"state": state})
        self.store.touch(stream.id, stream=stream, ended_at=self.clock())

    def note(self, **update: Any) -> Record:
        """Something of the record is as if it had always been so."""
        self.store.touch(self.stream.id, **update)
        return self.record()

    def told(self, kind: str) -> list[dict[str, Any]]:
        """The data of the stream's events of this kind, oldest first."""
        return [event["data"] for event in self.store.timeline(self.stream.id) if event["type"] == kind]


def unsettled(world: World) -> str:
    """A stream whose worker died; its id."""
    world.provider.fail("create", Killed())
    with suppress(Killed):
        world.provision()
    return world.id_of()
