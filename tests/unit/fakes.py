"""Stateful stand-ins for all that the workflows need from outside, and a world made of them."""

import base64
import json
import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any, ClassVar

from pydantic import JsonValue, Secret, SecretStr

from headwater.attention import Attention
from headwater.creation import Creation, Opened
from headwater.deadline import Deadline
from headwater.errors import GuardSpent
from headwater.events import AttentionData, Happened
from headwater.lifecycle import Lifecycle
from headwater.ports import Caller, Parts, Stale
from headwater.provider import Handle, Marked, Options, Order, Removal, Resource, Search, Verb
from headwater.records import Claim, Record
from headwater.requests import Wanted, parse
from headwater.store import EVENT_DAYS
from headwater.streams import Access, State, Stream, href, identify, length_prefixed, now

CANARY = "canary-"
"""Begins every secret here: what holds it shows a secret."""

ACCOUNT = "123456789012"
DEPLOYMENT = "unit-eu-central-1"
CALLER = Caller(f"aws:{ACCOUNT}", "req-1")
STRANGER = Caller("aws:999999999999", "req-2")

INVOCATION_SECONDS = 29.0
CLAIM_SECONDS = INVOCATION_SECONDS + 5


class Killed(BaseException):
    """What a worker sees when its invocation ends: nothing of its own runs after it."""


class FakeClock:
    """A present that moves only when it is told to."""

    def __init__(self) -> None:
        self.moment = datetime(2026, 3, 1, 12, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.moment

    def advance(self, seconds: float) -> None:
        self.moment += timedelta(seconds=seconds)


@dataclass(frozen=True)
class Failure:
    """One call's scripted end; ``carried_out`` tells whether it did its work before."""

    error: BaseException
    carried_out: bool


@dataclass
class Script:
    """What is to happen at the next calls of each operation."""

    failures: dict[str, list[Failure]] = field(default_factory=lambda: defaultdict(list))
    interruptions: dict[str, list[Callable[[], object]]] = field(default_factory=lambda: defaultdict(list))

    def play[T](self, operation: str, work: Callable[[], T], *, interrupt_first: bool = False) -> T:
        """Do the work as scripted; somebody else may come between its effect and its answer, or just before it."""
        failure = self.failures[operation].pop(0) if self.failures[operation] else None
        if failure and not failure.carried_out:
            raise failure.error
        if interrupt_first:
            self._interrupt(operation)
        done = work()
        if not interrupt_first:
            self._interrupt(operation)
        if failure:
            raise failure.error
        return done

    def _interrupt(self, operation: str) -> None:
        if self.interruptions[operation]:
            self.interruptions[operation].pop(0)()


class Scripted:
    """Something whose calls can be made to fail or be interrupted."""

    def __init__(self) -> None:
        self._script = Script()

    def fail(self, operation: str, error: BaseException, *, carried_out: bool = False, times: int = 1) -> None:
        """The next calls end with this error; where ``carried_out``, having done their work: the answer is lost."""
        self._script.failures[operation] += [Failure(error, carried_out)] * times

    def meanwhile(self, operation: str, action: Callable[[], object]) -> None:
        """During the next call, somebody else does this."""
        self._script.interruptions[operation].append(action)


class FakeOptions(Options):
    """A little of everything: a number, a list, a nested value, and two secrets."""

    quality: float | None = None
    labels: list[str] = []  # noqa: RUF012  # a pydantic field: it is copied for each model
    camera_url: SecretStr | None = None
    headers: dict[str, SecretStr] | None = None


@dataclass
class Alive:
    """A resource that exists at the provider."""

    order_id: str
    generation: int
    options: FakeOptions
    name: str | None
    rotations: int = 0


class FakeProvider(Scripted):
    """A provider that keeps resources. As it is: guarded, and what it made can be found. See its subclasses."""

    name: ClassVar[str] = "fake"
    api_version: ClassVar[str] = "v1"
    options_type: ClassVar[Any] = FakeOptions
    verbs: ClassVar[frozenset[Verb]] = frozenset(Verb)
    guard_seconds: ClassVar[float] = math.inf
    marks: ClassVar[bool] = False
    ambiguous_creates_allowed: ClassVar[int | None] = None
    lease_seconds: ClassVar[int | None] = None
    lives_on: ClassVar[int] = 0
    """What ``orphan_seconds`` answers."""

    def __init__(self) -> None:
        super().__init__()
        self.alive: dict[str, Alive] = {}
        self.calls: list[str] = []
        self.orders: list[Order[FakeOptions]] = []
        self.time_given: list[float] = []
        self.state = State.READY
        self.provider_status: str | None = "fine"
        self.tells_access = True
        """Whether reading and renewing tell ``ingest`` and ``playback`` again."""
        self.has_secrets = True
        self.remains: str | None = None
        self.hidden: set[str] = set()
        """What exists and the list does not show, for it is cut."""
        self.held: dict[tuple[str, int], str] = {}
        """By what the guard knows a create again: order and generation, and what it made."""
        self._made = 0

    def create(self, order: Order[FakeOptions], deadline: Deadline) -> Resource:
        self._called("create", deadline)
        self.orders.append(order)
        return self._script.play("create", lambda: self._resource(self._ref_for(order), first=True))

    def find(self, order: Order[FakeOptions], deadline: Deadline) -> Search:
        self._called("find", deadline)

        def work() -> Search:
            if not self.guard_seconds:
                return Search(conclusive=False)
            shown = (ref for ref, it in self.alive.items() if it.order_id == order.id and ref not in self.hidden)
            ref = next(shown, None)
            return Search(self._resource(ref, first=True) if ref else None, conclusive=not self.hidden)

        return self._script.play("find", work)

    def orphan_seconds(self, options: FakeOptions) -> int:
        return self.lives_on

    def read(self, handle: Handle, deadline: Deadline) -> Resource | None:
        self._called("read", deadline)
        return self._script.play("read", lambda: self._present(handle))

    def renew(self, handle: Handle, deadline: Deadline) -> Resource | None:
        self._called("renew", deadline)
        return self._script.play("renew", lambda: self._present(handle))

    def remove(self, handle: Handle, deadline: Deadline) -> Removal:
        self._called("remove", deadline)

        def work() -> Removal:
            self.alive.pop(handle.ref, None)
            return Removal(self.remains)

        return self._script.play("remove", work)

    def rotate(self, ref: str) -> None:
        """The provider replaces the resource's secret by itself."""
        self.alive[ref].rotations += 1

    def secret_of(self, ref: str) -> str:
        return f"{CANARY}{ref}-{self.alive[ref].rotations}"

    def marked(self, deployment: str, deadline: Deadline) -> Sequence[Marked]:
        """Nothing: it does not mark."""
        return ()

    def connected(self, handle: Handle, deadline: Deadline) -> bool | None:
        """It does not tell."""
        return None

    def count(self, operation: str) -> int:
        """How often it was called."""
        return self.calls.count(operation)

    def _called(self, operation: str, deadline: Deadline) -> None:
        self.calls.append(operation)
        self.time_given.append(deadline.remaining())

    def land(self, order: Order[FakeOptions]) -> None:
        """What was under way arrives: nobody hears the answer."""
        self._ref_for(order)

    def forget_guards(self) -> None:
        """The guard of every create so far is over."""
        self.held.clear()

    def _ref_for(self, order: Order[FakeOptions]) -> str:
        known = self.held.get((order.id, order.generation)) if self.guard_seconds else None
        if known and known not in self.alive:
            raise GuardSpent("fake: its guard is held by what is gone")
        if known:
            return known
        self._made += 1
        self.held[order.id, order.generation] = f"ref-{self._made}"
        self.alive[f"ref-{self._made}"] = Alive(order.id, order.generation, order.options, order.name)
        return f"ref-{self._made}"

    def _present(self, handle: Handle) -> Resource | None:
        return self._resource(handle.ref) if handle.ref in self.alive else None

    def _resource(self, ref: str, *, first: bool = False) -> Resource:
        secrets: dict[str, Secret[JsonValue]] = {"stream_key": Secret(self.secret_of(ref))} if self.has_secrets else {}
        ingest = (Access(protocol="rtmps", url="rtmps://in.example/live", secrets=secrets),)
        playback = (Access(protocol="whep", url=f"https://out.example/{ref}"),)
        told = first or self.tells_access
        return Resource(
            ref,
            self.state,
            self.provider_status,
            ingest if told else (),
            playback if told else (),
            self.lease_seconds,
            {"region": "here"},
        )


class Unfindable(FakeProvider):
    """Unguarded; what a lost create made lives on for a lease, and cannot be found."""

    guard_seconds = 0
    lives_on = 300
    lease_seconds = 300


class Harmless(FakeProvider):
    """Unguarded; what a lost create made does no harm, so one more create is allowed."""

    guard_seconds = 0
    ambiguous_creates_allowed = 1


class Plain(FakeProvider):
    """It can neither renew nor find a reason to."""

    verbs = frozenset({Verb.CREATE, Verb.READ, Verb.DELETE})


class FakeStore(Scripted):
    """Records, events and sealed credentials, under the conditions that the table's writes have."""

    def __init__(self, clock: Callable[[], datetime] = now) -> None:
        super().__init__()
        self.records: dict[str, Record] = {}
        self.events: dict[str, list[Happened]] = defaultdict(list)
        self.sealed: dict[str, bytes] = {}
        self._clock = clock

    def claim(self, record: Record) -> Record | None:
        def work() -> Record | None:
            existing = self.load(record.stream.id)
            if existing is None:
                self.records[record.stream.id] = record
            return existing

        return self._script.play("claim", work, interrupt_first=True)

    def load(self, stream_id: str) -> Record | None:
        record = self.records.get(stream_id)
        forgotten = record is None or (record.expires is not None and record.expires <= self._clock())
        return None if forgotten else record

    def update(self, record: Record, event: Happened | None = None, credentials: bytes | None = None) -> Record:
        return self._script.play(
            "update", lambda: self._replace(record, True, event, credentials), interrupt_first=True
        )

    def settle(self, record: Record, event: Happened, credentials: bytes | None = None) -> Record:
        def work() -> Record:
            kept = self.records.get(record.stream.id)
            ours = kept is not None and kept.claim is not None and kept.claim.attempt == record.attempt
            return self._replace(record, ours, event, credentials)

        return self._script.play("settle", work, interrupt_first=True)

    def credentials(self, stream_id: str) -> bytes | None:
        return self.sealed.get(stream_id)

    def timeline(self, stream_id: str) -> list[dict[str, Any]]:
        events = sorted(self._remembered(stream_id), key=lambda event: event.sequence)
        return [{"type": type(event).__name__, **json.loads(event.model_dump_json())} for event in events]

    def kinds(self, stream_id: str) -> list[str]:
        """The types of the stream's events, oldest first."""
        return [event["type"] for event in self.timeline(stream_id)]

    def touch(self, stream_id: str, **update: Any) -> None:
        """Another worker writes to the record; what is not given stays."""
        record = self.records[stream_id]
        self._replace(record.model_copy(update=update), True, None, None)

    def _replace(self, record: Record, allowed: bool, event: Happened | None, credentials: bytes | None) -> Record:
        stream_id = record.stream.id
        kept = self.records.get(stream_id)
        told = event is not None and event.sequence in {each.sequence for each in self._remembered(stream_id)}
        if not allowed or kept is None or kept.revision != record.revision or told:
            raise Stale
        after = record.model_copy(update={"revision": record.revision + 1})
        self.records[stream_id] = after
        if event:
            self.events[stream_id].append(event)
        if credentials is not None:
            self.sealed[stream_id] = credentials
        if credentials == b"":
            del self.sealed[stream_id]
        return after

    def _remembered(self, stream_id: str) -> list[Happened]:
        oldest = self._clock() - timedelta(days=EVENT_DAYS)
        return [event for event in self.events[stream_id] if event.occurred_at > oldest]


class WrongIdentity(Exception):
    """What was sealed for one stream does not open for another."""


class FakeVault:
    """Seals reversibly, bound to the record's tenant and id, and shows nothing of what it sealed."""

    def __init__(self) -> None:
        self.seals = 0
        self.away = False

    def seal(self, record: Record, plain: bytes) -> bytes:
        if self.away:
            raise ConnectionError
        self.seals += 1
        return base64.b64encode(self._bound(record) + plain)

    def unseal(self, record: Record, sealed: bytes) -> bytes:
        plain = base64.b64decode(sealed)
        if not plain.startswith(self._bound(record)):
            raise WrongIdentity
        return plain.removeprefix(self._bound(record))

    @staticmethod
    def _bound(record: Record) -> bytes:
        return length_prefixed(record.tenant, record.stream.id)


class World:
    """The workflows over fakes."""

    def __init__(self, provider: FakeProvider | None = None) -> None:
        self.provider = provider or FakeProvider()
        self.clock = FakeClock()
        self.store = FakeStore(self.clock)
        self.vault = FakeVault()

        self.counted: list[str] = []
        self.called_for: list[AttentionData] = []

    @cached_property
    def parts(self) -> Parts:
        told = (self.counted.append, self.called_for.append)
        return Parts(self.provider, self.store, self.vault, DEPLOYMENT, ACCOUNT, self.clock, *told)

    @property
    def creation(self) -> Creation:
        return Creation(self.parts)

    @property
    def lifecycle(self) -> Lifecycle:
        return Lifecycle(self.parts)

    @property
    def attention(self) -> Attention:
        return Attention(self.parts, self.lifecycle)

    def provision(self, key: str = "key", caller: Caller = CALLER, **body: Any) -> Opened:
        """Ask for a stream with this key and body."""
        return self.creation.provision(caller, key, self.wanted(**body), whole_invocation())

    def wanted(self, **body: Any) -> Wanted:
        return parse(json.dumps(body), self.provider.options_type)

    def id_of(self, key: str = "key", caller: Caller = CALLER) -> str:
        return identify(DEPLOYMENT, caller.tenant, self.provider.name, key)

    def record(self, key: str = "key") -> Record:
        """What is recorded of the key's stream."""
        return self.store.records[self.id_of(key)]

    def kinds(self, key: str = "key") -> list[str]:
        return self.store.kinds(self.id_of(key))


def whole_invocation() -> Deadline:
    """All of an invocation's time, which does not pass."""
    return Deadline(INVOCATION_SECONDS, clock=lambda: 0.0)


def a_claimed_record(key: str = "key", at: datetime | None = None, tenant: str = CALLER.tenant) -> Record:
    """A record as a first attempt claims it."""
    moment = at or now()
    stream_id = identify(DEPLOYMENT, tenant, "fake", key)
    stream = Stream(
        id=stream_id,
        provider="fake",
        name="lobby camera",
        state=State.PROVISIONING,
        metadata={"customer": "42"},
        created_at=moment,
        updated_at=moment,
        options={"quality": 0.5, "camera_url": "***"},
        href=href("fake", stream_id),
    )
    until = moment + timedelta(seconds=CLAIM_SECONDS)
    return Record(
        stream=stream,
        tenant=tenant,
        fingerprint="f" * 64,
        claim=Claim(worker="w", attempt=1, until=until, free_at=until),
        request_secrets=b"sealed \x00\xff request",
    )
