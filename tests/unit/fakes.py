"""Stateful stand-ins for all that the workflows need from outside, and a world made of them."""

import base64
import copy
import json
import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any, ClassVar, Literal

from pydantic import JsonValue, Secret, SecretStr

from headwater.adoption import Adoption
from headwater.attention import Attention
from headwater.changing import Changing
from headwater.creation import Creation, Opened
from headwater.deadline import Deadline
from headwater.ending import Ending
from headwater.errors import GuardSpent, HeadwaterError, MalformedBody, NotificationRefused, StreamLive
from headwater.events import AttentionData, Happened
from headwater.lifecycle import Lifecycle
from headwater.notices import Notices
from headwater.outputs import Outputs
from headwater.ports import Caller, Parts, Stale
from headwater.provider import (
    EVERYWHERE,
    Adoptable,
    Handle,
    Notice,
    Options,
    Order,
    Provider,
    Removal,
    Resource,
    Search,
    Verb,
)
from headwater.records import Claim, Record
from headwater.requests import Wanted, parse
from headwater.rotation import Rotation
from headwater.simulcast import NewOutput, Output
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
        self.before: Callable[[str], object] = lambda _: None
        """Hears of each call before it has any effect."""

    def _play[T](self, operation: str, work: Callable[[], T], *, interrupt_first: bool = False) -> T:
        self.before(operation)
        return self._script.play(operation, work, interrupt_first=interrupt_first)

    def fail(self, operation: str, error: BaseException, *, carried_out: bool = False, times: int = 1) -> None:
        """The next calls end with this error; where ``carried_out``, having done their work: the answer is lost."""
        self._script.failures[operation] += [Failure(error, carried_out)] * times

    def meanwhile(self, operation: str, action: Callable[[], object]) -> None:
        """During the next call, somebody else does this."""
        self._script.interruptions[operation].append(action)


class FakeOptions(Options):
    """A little of everything: a number, a list, a map, a nested value, and two secrets."""

    quality: float | None = None
    labels: list[str] = []  # noqa: RUF012  # a pydantic field: it is copied for each model
    tags: dict[str, str] = {}  # noqa: RUF012  # a pydantic field: it is copied for each model
    camera_url: SecretStr | None = None
    headers: dict[str, SecretStr] | None = None


@dataclass
class Alive:
    """A resource that exists at the provider."""

    order_id: str
    generation: int
    options: FakeOptions
    name: str | None
    settings: dict[str, JsonValue] = field(default_factory=dict)
    """What it is like, by pointer into a request."""
    deployment: str | None = None
    """Whose mark it bears, beside ``order_id``."""
    rotations: int = 0
    rotated_at: datetime | None = None
    live: bool = False
    """Whether somebody sends to it."""
    headers: dict[str, str] = field(default_factory=dict)
    """The secrets that were sent with a change."""
    outputs: dict[str, Output] = field(default_factory=dict)
    keys: dict[str, str] = field(default_factory=dict)
    """What opens its outputs."""


NOTIFIER = f"{CANARY}notifier"
"""What a notification of the fake provider has to bring."""


class FakeProvider(Scripted, Provider[FakeOptions]):
    """A provider that keeps resources. As it is: guarded, and what it made can be found. See its subclasses."""

    name: ClassVar[str] = "fake"
    api_version: ClassVar[str] = "v1"
    options_type: ClassVar[Any] = FakeOptions
    verbs: ClassVar[frozenset[Verb]] = frozenset(Verb)
    changeable: ClassVar[frozenset[str]] = frozenset(
        {"/name", "/options/quality", "/options/labels", "/options/tags", "/options/headers"}
    )
    guard_seconds: ClassVar[float] = math.inf
    notifies: ClassVar[bool] = True
    look_seconds: ClassVar[float | None] = None
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
        self.tells_settings = True
        """Whether reading tells what was asked for."""
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
        return self._play("create", lambda: self._resource(self._ref_for(order), first=True))

    def find(self, order: Order[FakeOptions], deadline: Deadline) -> Search:
        self._called("find", deadline)

        def work() -> Search:
            if not self.guard_seconds:
                return Search(conclusive=False)
            shown = (ref for ref, it in self.alive.items() if it.order_id == order.id and ref not in self.hidden)
            ref = next(shown, None)
            return Search(self._resource(ref, first=True) if ref else None, conclusive=not self.hidden)

        return self._play("find", work)

    def orphan_seconds(self, options: FakeOptions) -> int:
        return self.lives_on

    def read(self, handle: Handle, deadline: Deadline) -> Resource | None:
        self._called("read", deadline)
        return self._play("read", lambda: self._present(handle))

    def renew(self, handle: Handle, deadline: Deadline) -> Resource | None:
        self._called("renew", deadline)
        return self._play("renew", lambda: self._present(handle))

    def remove(self, handle: Handle, deadline: Deadline) -> Removal:
        self._called("remove", deadline)

        def work() -> Removal:
            self.alive.pop(handle.ref, None)
            return Removal(self.remains)

        return self._play("remove", work)

    def settings(self, order: Order[FakeOptions]) -> Mapping[str, JsonValue]:
        options = order.options
        return {
            "/name": order.name,
            "/options/quality": 1.0 if options.quality is None else options.quality,
            "/options/labels": list[JsonValue](options.labels),
            "/options/tags": dict[str, JsonValue](options.tags),
        }

    def change(
        self, handle: Handle, order: Order[FakeOptions], changed: frozenset[str], deadline: Deadline
    ) -> Resource | None:
        self._called("change", deadline)
        self.orders.append(order)

        def work() -> Resource | None:
            if one := self.alive.get(handle.ref):
                self._bring(one, order, changed)
            return self._present(handle)

        return self._play("change", work)

    def _bring(self, one: Alive, order: Order[FakeOptions], changed: frozenset[str]) -> None:
        """Bring what is pointed at to what the order says."""
        for at, wanted in self.settings(order).items():
            if any(f"{pointer}/".startswith(f"{at}/") for pointer in changed):
                one.settings[at] = wanted
        if any(pointer.startswith("/options/headers") for pointer in changed):
            one.headers = {name: secret.get_secret_value() for name, secret in (order.options.headers or {}).items()}

    def rotate(self, handle: Handle, force: bool, deadline: Deadline) -> Resource | None:
        self._called("rotate", deadline)

        def work() -> Resource | None:
            if one := self.alive.get(handle.ref):
                if one.live and not force:
                    raise StreamLive("Somebody sends to it.")
                one.rotations += 1
            return self._present(handle, first=True)

        return self._play("rotate", work)

    def exchange(self, ref: str) -> None:
        """The provider replaces the resource's secret by itself."""
        self.alive[ref].rotations += 1

    def secret_of(self, ref: str) -> str:
        return f"{CANARY}{ref}-{self.alive[ref].rotations}"

    def place(self, ref: str, name: str | None = None, **options: Any) -> Alive:
        """Somebody else makes a resource."""
        asked = FakeOptions.model_validate(options)
        self.alive[ref] = Alive("", 1, asked, name, dict(self.settings(Order("", asked, name))))
        return self.alive[ref]

    def adoptable(self, ref: str, deadline: Deadline) -> Adoptable[FakeOptions] | None:
        self._called("adoptable", deadline)

        def work() -> Adoptable[FakeOptions] | None:
            if ref not in self.alive:
                return None
            one = self.alive[ref]
            return Adoptable(
                self._resource(ref, first=True), one.options, one.name, one.order_id or None, one.deployment
            )

        return self._play("adoptable", work)

    def mark(self, handle: Handle, order: Order[FakeOptions], deadline: Deadline) -> None:
        self._called("mark", deadline)

        def work() -> None:
            if one := self.alive.get(handle.ref):
                one.order_id, one.deployment = order.id, order.deployment

        self._play("mark", work)

    def outputs(self, handle: Handle, deadline: Deadline) -> Sequence[Output]:
        self._called("outputs", deadline)
        return self._play("outputs", lambda: list(self.alive[handle.ref].outputs.values()))

    def add_output(self, handle: Handle, wanted: NewOutput, deadline: Deadline) -> Output:
        self._called("add_output", deadline)
        url, key = wanted.url.get_secret_value(), wanted.stream_key.get_secret_value()

        def work() -> Output:
            one = self.alive[handle.ref]
            known = next((id for id, opens in one.keys.items() if opens == f"{url} {key}"), f"out-{len(one.keys) + 1}")
            one.keys[known] = f"{url} {key}"
            service = "/".join(url.split("/")[:3])
            one.outputs[known] = Output(id=known, service=service, enabled=wanted.enabled)
            return one.outputs[known]

        return self._play("add_output", work)

    def switch_output(self, handle: Handle, output_id: str, enabled: bool, deadline: Deadline) -> Output | None:
        self._called("switch_output", deadline)

        def work() -> Output | None:
            outputs = self.alive[handle.ref].outputs
            if output_id in outputs:
                outputs[output_id] = outputs[output_id].model_copy(update={"enabled": enabled})
            return outputs.get(output_id)

        return self._play("switch_output", work)

    def remove_output(self, handle: Handle, output_id: str, deadline: Deadline) -> None:
        self._called("remove_output", deadline)
        self._play("remove_output", lambda: self.alive[handle.ref].outputs.pop(output_id, None))

    def notice(self, headers: Mapping[str, str], body: str) -> Notice | None:
        """One that ``notification`` made."""
        if headers.get("x-fake-notifier") != NOTIFIER:
            raise NotificationRefused("It does not bring what it should.")
        try:
            told = json.loads(body)
        except ValueError:
            raise MalformedBody("It is no JSON.") from None
        if "state" not in told:
            return None
        at = datetime.fromisoformat(told["at"])
        return Notice(told["ref"], at, State(told["state"]), told["status"], told.get("reason"))

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
        settings = dict(self.settings(order))
        made = Alive(order.id, order.generation, order.options, order.name, settings, order.deployment)
        self.alive[f"ref-{self._made}"] = made
        return f"ref-{self._made}"

    def _present(self, handle: Handle, *, first: bool = False) -> Resource | None:
        return self._resource(handle.ref, first=first) if handle.ref in self.alive else None

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
            settings=dict(self.alive[ref].settings) if self.tells_settings else {},
            rotated_at=self.alive[ref].rotated_at,
        )


class Overwriting(FakeProvider):
    """A change there is to read the whole and put it back: of two at once one undoes what the other did."""

    def change(
        self, handle: Handle, order: Order[FakeOptions], changed: frozenset[str], deadline: Deadline
    ) -> Resource | None:
        self._called("change", deadline)
        self.orders.append(order)
        read = self._play("peek", lambda: copy.deepcopy(self.alive.get(handle.ref)))
        if read is None:
            return None
        self._bring(read, order, changed)

        def work() -> Resource | None:
            if one := self.alive.get(handle.ref):
                one.settings, one.headers = read.settings, read.headers
            return self._present(handle)

        return self._play("change", work)


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
    """It can neither renew nor find a reason to, and changes nothing of what it made."""

    verbs = EVERYWHERE
    changeable = frozenset()
    notifies = False


def notification(
    ref: str, state: State, at: datetime, status: str = "told", reason: str | None = None
) -> tuple[dict[str, str], str]:
    """Headers and body of what the fake provider tells by itself."""
    told = {"ref": ref, "state": state, "at": at.isoformat(), "status": status, "reason": reason}
    return {"x-fake-notifier": NOTIFIER}, json.dumps(told)


class FakeStore(Scripted):
    """Records, sealed parts and all, and events, under the conditions that the table's writes have."""

    def __init__(self, clock: Callable[[], datetime] = now) -> None:
        super().__init__()
        self.records: dict[str, Record] = {}
        self.writes = 0
        self.unindexed: set[str] = set()
        """The streams that the index does not show yet."""
        self.events: dict[str, list[Happened]] = defaultdict(list)
        self._clock = clock

    @property
    def sealed(self) -> dict[str, bytes]:
        """The sealed credentials that are kept, by stream."""
        kept = ((stream_id, record.sealed_credentials) for stream_id, record in self.records.items())
        return {stream_id: sealed for stream_id, sealed in kept if sealed}

    def claim(self, record: Record) -> Record | None:
        def work() -> Record | None:
            existing = self._there(record.stream.id)
            if existing is None:
                self.writes += 1
                self.records[record.stream.id] = record
            return existing

        return self._play("claim", work, interrupt_first=True)

    def load(self, stream_id: str) -> Record | None:
        return self._play("load", lambda: self._there(stream_id))

    def _there(self, stream_id: str) -> Record | None:
        record = self.records.get(stream_id)
        forgotten = record is None or (record.expires is not None and record.expires <= self._clock())
        return None if forgotten else record

    def update(self, record: Record, event: Happened | None = None) -> Record:
        return self._play("update", lambda: self._replace(record, True, event), interrupt_first=True)

    def settle(self, record: Record, event: Happened) -> Record:
        def work() -> Record:
            kept = self.records.get(record.stream.id)
            ours = kept is not None and kept.claim is not None and kept.claim.attempt == record.attempt
            return self._replace(record, ours, event)

        return self._play("settle", work, interrupt_first=True)

    def recorded_as(self, provider: str, ref: str) -> list[str]:
        def work() -> list[str]:
            streams = [record.stream for record in self.records.values() if self._there(record.stream.id)]
            found = [stream.id for stream in streams if (stream.provider, stream.provider_ref) == (provider, ref)]
            return [stream_id for stream_id in found if stream_id not in self.unindexed]

        return self._play("recorded_as", work)

    def timeline(self, stream_id: str) -> list[dict[str, Any]]:
        events = sorted(self._remembered(stream_id), key=lambda event: event.sequence)
        return [{"type": type(event).__name__, **json.loads(event.model_dump_json())} for event in events]

    def kinds(self, stream_id: str) -> list[str]:
        """The types of the stream's events, oldest first."""
        return [event["type"] for event in self.timeline(stream_id)]

    def touch(self, stream_id: str, **update: Any) -> None:
        """Another worker writes to the record; what is not given stays."""
        record = self.records[stream_id]
        self._replace(record.model_copy(update=update), True, None)

    def _replace(self, record: Record, allowed: bool, event: Happened | None) -> Record:
        stream_id = record.stream.id
        kept = self.records.get(stream_id)
        told = event is not None and event.sequence in {each.sequence for each in self._remembered(stream_id)}
        if not allowed or kept is None or kept.revision != record.revision or told:
            raise Stale
        after = record.model_copy(update={"revision": record.revision + 1})
        self.writes += 1
        self.records[stream_id] = after
        if event:
            self.events[stream_id].append(event)
        return after

    def _remembered(self, stream_id: str) -> list[Happened]:
        oldest = self._clock() - timedelta(days=EVENT_DAYS)
        return [event for event in self.events[stream_id] if event.occurred_at > oldest]


class WrongIdentity(Exception):
    """What was sealed for one stream does not open for another."""


class FakeVault:
    """Seals reversibly and never twice alike, bound to the record's tenant and id; shows nothing of what it sealed."""

    def __init__(self) -> None:
        self.seals = 0
        self.away = False

    def seal(self, record: Record, plain: bytes) -> bytes:
        if self.away:
            raise ConnectionError
        self.seals += 1
        return base64.b64encode(self._bound(record) + self.seals.to_bytes(4) + plain)

    def unseal(self, record: Record, sealed: bytes) -> bytes:
        plain = base64.b64decode(sealed)
        if not plain.startswith(self._bound(record)):
            raise WrongIdentity
        return plain.removeprefix(self._bound(record))[4:]

    @staticmethod
    def _bound(record: Record) -> bytes:
        return length_prefixed(record.tenant, record.stream.id)


class World:
    """The workflows over fakes; ``given`` is what a deployment says of lifetimes and the like."""

    def __init__(self, provider: FakeProvider | None = None, **given: Any) -> None:
        self._given = given
        self.provider = provider or FakeProvider()
        self.clock = FakeClock()
        self.moved = timedelta(0)
        """How far business time is ahead of the clock."""
        self.store = FakeStore(lambda: self.clock() + self.moved)
        self.vault = FakeVault()

        self.counted: list[str] = []
        self.called_for: list[AttentionData] = []

    @cached_property
    def parts(self) -> Parts:
        times = (self.clock, lambda: self.moved)
        told = (self.counted.append, self.called_for.append)
        return Parts(self.provider, self.store, self.vault, DEPLOYMENT, ACCOUNT, *times, *told, **self._given)

    @property
    def creation(self) -> Creation:
        return Creation(self.parts)

    @property
    def lifecycle(self) -> Lifecycle:
        return Lifecycle(self.parts)

    @property
    def attention(self) -> Attention:
        return Attention(self.parts, self.lifecycle)

    @property
    def ending(self) -> Ending:
        return Ending(self.parts)

    @property
    def changing(self) -> Changing:
        return Changing(self.parts)

    @property
    def rotation(self) -> Rotation:
        return Rotation(self.parts)

    @property
    def adoption(self) -> Adoption:
        return Adoption(self.parts)

    @property
    def notices(self) -> Notices:
        return Notices(self.parts)

    @property
    def outputs(self) -> Outputs:
        return Outputs(self.parts)

    @property
    def now(self) -> datetime:
        """Business time."""
        return self.parts.present()

    def attend(self, reason: Literal["renew", "expire", "due"], stream_id: str, beat: int | None = None) -> None:
        """Somebody has the stream attended to, as over the bus."""
        data = AttentionData(provider="fake", stream_id=stream_id, reason=reason, beat=beat)
        self.attention.attend(data, "bus-1", whole_invocation())

    def sweep(self) -> None:
        """Whatever is due by now is attended to; what that raises is told to nobody who waits."""
        for stream_id, record in list(self.store.records.items()):
            if record.due_at and record.due_at <= self.now:
                with suppress(HeadwaterError):
                    self.attend("due", stream_id)

    def wait(self, rounds: int = 1) -> None:
        """Time passes until something is due, which is attended to; so many times, while there is anything."""
        for _ in range(rounds):
            due = [record.due_at for record in self.store.records.values() if record.due_at]
            if not due:
                return
            self.clock.advance(max(0.0, (min(due) - self.now).total_seconds()))
            self.sweep()

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
