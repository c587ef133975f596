"""Providers of four kinds, true to what each is known to do: the truth about what exists, and calls that may fail.

Nothing here knows the product's workflows. ``keyed`` has a duplicate guard for a while, as Cloudflare's
``Idempotency-Key``; ``named`` has unique names, as Kinesis Video; ``leased`` has neither, and ends what is not renewed,
as Overshoot; ``anonymous`` has nothing at all, as pyannoteAI.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf
from typing import Any, ClassVar, Protocol

from pydantic import JsonValue, Secret, SecretStr

from headwater.deadline import Deadline
from headwater.errors import (
    CapabilityNotSupported,
    Effect,
    GuardSpent,
    NameTaken,
    ProviderError,
    ProviderOutcomeUnknown,
    ProviderPaymentRequired,
    ProviderRateLimited,
    ProviderRejected,
    ProviderUnauthorized,
    ProviderUnavailable,
)
from headwater.provider import Handle, Marked, Options, Order, Provider, Removal, Resource, Search, Verb
from headwater.retry import with_retries
from headwater.streams import Access, State
from tests.simulation.kernel import Failures, Kernel, Task, current
from tests.simulation.table import CANARY

HELD = 6 * 3600
"""How long a keyed provider knows a create again, from the making of what it made, also when that is deleted."""
LEASE = 100
MAKING = 14
"""How long a named one's resource is being made."""
PAUSE = 0.3
"""Before a create is sent again."""
UNMARKED = 1.0
"""How long it may take until a resource is seen to be marked."""


class SimulatedOptions(Options):
    """A request with a number, a name of the caller's choice, and a secret."""

    quality: int | None = None
    label: str | None = None
    camera_url: SecretStr | None = None


@dataclass
class Made:
    """A resource, also when it is gone."""

    ref: str
    order_id: str
    generation: int
    name: str
    made_at: float
    maker: Task
    ends_at: float = inf
    """When its lease is over."""
    gone: str | None = None
    """Why it is gone, if it was removed: by us, or by somebody else."""
    gone_at: float = inf

    @property
    def secret(self) -> str:
        return CANARY + self.ref


class Witness(Protocol):
    """Who looks at everything that happens at a provider."""

    def asked_to_create(self, order: Order[Any]) -> None:
        """The product calls ``create``, just now."""

    def made(self, resource: Made) -> None:
        """Something exists from now on."""

    def to_be_removed(self, resource: Made) -> None:
        """The product has it removed, just now, and it is still there."""

    def to_be_renewed(self, resource: Made) -> None:
        """The product renews its lease, just now, and it is still there."""


def _final(rng: random.Random) -> ProviderError:
    return rng.choice([ProviderRejected, ProviderPaymentRequired])("the provider says no")


def _refusal(rng: random.Random) -> Exception:
    """Mostly of the kind that passes."""
    if rng.random() < 0.4:
        return _final(rng)
    passing: list[type[ProviderError]] = [ProviderUnavailable, ProviderRateLimited, ProviderUnauthorized]
    return rng.choice(passing)("the provider says not now")


def _silence(rng: random.Random) -> Exception:
    kind: type[ProviderError] = ProviderUnavailable if rng.random() < 0.3 else ProviderOutcomeUnknown
    return kind("the provider says nothing", effect=Effect.UNKNOWN)


def _unavailable(_: random.Random) -> Exception:
    return ProviderUnavailable("the provider is not there")


CHANGING = Failures(_refusal, _silence, (ProviderError, NameTaken))
REMOVING = Failures(_unavailable, _silence, (ProviderError,))
LOOKING = Failures(_unavailable, _unavailable, (ProviderError,))


@dataclass(frozen=True)
class Manners:
    """How a provider behaves beyond what its kind says."""

    cut: float = 0
    """How often a list does not show what is there, and says so."""
    cut_for_good: bool = False
    """Whether that never ends."""
    refuses_the_second: bool = False
    """Whether a create is refused as if its guard were spent while another under its guard is on its way."""
    repeats: bool = False
    """Whether what is sent again can do no harm and is sent again by the client of the provider, where it failed."""
    unmarked: bool = False
    """Whether whoever sends a create again at once does not see yet that it is theirs that has the name."""


class Outside(Provider[SimulatedOptions]):
    """What all kinds share. ``resources`` is the truth."""

    name: ClassVar[str]
    api_version: ClassVar[str] = "v1"
    options_type: ClassVar[Any] = SimulatedOptions
    verbs: ClassVar[frozenset[Verb]] = frozenset({Verb.CREATE, Verb.READ, Verb.DELETE})
    guard_seconds: ClassVar[float] = 0
    marks: ClassVar[bool] = False
    ambiguous_creates_allowed: ClassVar[int | None] = None

    def __init__(self, kernel: Kernel, manners: Manners) -> None:
        self.resources: dict[str, Made] = {}
        self.witness: Witness
        self.manners = manners
        self.foreign: set[str] = set()
        """Names that somebody else has."""
        self._kernel = kernel

    # -- the truth

    def alive(self, made: Made) -> bool:
        return made.gone is None and made.ends_at > self._kernel.now

    def alive_of(self, order_id: str) -> list[Made]:
        """What exists of a stream, whoever knows of it."""
        return [made for made in self.resources.values() if made.order_id == order_id and self.alive(made)]

    def taken_away(self, ref: str) -> None:
        """Somebody else removes it, by the provider's own means."""
        self.resources[ref].gone, self.resources[ref].gone_at = "somebody else", self._kernel.now
        self._kernel.note("outsider", f"removes {ref}")

    def take_name(self, name: str) -> None:
        """Somebody else has it from now on, if it is free."""
        if not any(made.name == name and self.alive(made) for made in self.resources.values()):
            self.foreign.add(name)

    def cuts(self) -> bool:
        """Whether a list is cut just now."""
        return (self.manners.cut_for_good or not self._kernel.healed) and self._kernel.rng.random() < self.manners.cut

    # -- the port

    def create(self, order: Order[SimulatedOptions], deadline: Deadline) -> Resource:
        """By the product's one retry loop: once, or twice where that does no harm."""
        self.witness.asked_to_create(order)
        maker, tag = current(), (order.id, order.generation)

        def send() -> Resource:
            return self._call(
                "create", lambda: self._shown(self._create(order, maker), first=True), CHANGING, deadline, tag
            )

        def wait(_: float) -> None:
            # For as long each time: how long the loop waits is left to chance, and not to the seed.
            self._kernel.seen["a create is sent twice"] += 1
            self._kernel.pause(PAUSE)

        # How long there is, is for each call to see: by its own chance the loop might stop before.
        endless = Deadline(inf, lambda: self._kernel.now)
        times = 2 if self.manners.repeats else 1
        return with_retries(send, endless, repeatable=bool(self.guard_seconds), attempts=times, sleep=wait)

    def find(self, order: Order[SimulatedOptions], deadline: Deadline) -> Search:
        """Nothing is called where there is nothing to look in."""
        if not self.marks:
            return Search(conclusive=False)
        search = self._call("find", lambda: self._find(order), LOOKING, deadline)
        found = search.resource.ref if search.resource else "nothing" if search.conclusive else "a cut list"
        self._kernel.note(current(), f"finds {found}")
        return search

    def orphan_seconds(self, options: SimulatedOptions) -> int:
        return 0

    def read(self, handle: Handle, deadline: Deadline) -> Resource | None:
        return self._call("read", lambda: self._present(handle.ref), LOOKING, deadline)

    def renew(self, handle: Handle, deadline: Deadline) -> Resource | None:
        def work() -> Resource | None:
            made = self.resources[handle.ref]
            if self.alive(made):
                self.witness.to_be_renewed(made)
                made.ends_at = self._kernel.now + LEASE
            return self._present(handle.ref)

        return self._call("renew", work, REMOVING, deadline)

    def remove(self, handle: Handle, deadline: Deadline) -> Removal:
        def work() -> Removal:
            made = self.resources[handle.ref]
            if self.alive(made):
                self.witness.to_be_removed(made)
                made.gone, made.gone_at = "removed", self._kernel.now
            return Removal()

        return self._call("remove", work, REMOVING, deadline)

    def marked(self, deployment: str, deadline: Deadline) -> Sequence[Marked]:
        """Nobody looks for orphans here."""
        return ()

    def connected(self, handle: Handle, deadline: Deadline) -> bool | None:
        """Nobody asks here."""
        return None

    # -- how it is done

    def _call[T](
        self, operation: str, work: Callable[[], T], failures: Failures, deadline: Deadline, tag: Any = None
    ) -> T:
        patience = deadline.remaining()
        if not patience:
            raise ProviderUnavailable("there was no time left to call it")
        return self._kernel.call(f"provider.{operation}", work, failures, patience=patience, tag=tag)

    def _create(self, order: Order[SimulatedOptions], maker: Task) -> Made:
        return self._make(order, maker)

    def _make(self, order: Order[SimulatedOptions], maker: Task) -> Made:
        name = order.options.label or order.id
        made = Made(f"ref-{len(self.resources) + 1}", order.id, order.generation, name, self._kernel.now, maker)
        self.resources[made.ref] = made
        self._kernel.note(maker, f"-> {made.ref} exists, generation {made.generation}")
        self.witness.made(made)
        return made

    def _find(self, order: Order[SimulatedOptions]) -> Search:
        alive = self.alive_of(order.id)
        return Search(self._shown(alive[-1], first=True)) if alive else Search()

    def _present(self, ref: str) -> Resource | None:
        made = self.resources[ref]
        return self._shown(made) if self.alive(made) else None

    def _shown(self, made: Made, first: bool = False) -> Resource:
        secrets: dict[str, Secret[JsonValue]] = {"stream_key": Secret(made.secret)}
        ingest = (Access(protocol="rtmps", url="rtmps://in.example/live", secrets=secrets),)
        return Resource(made.ref, self._state(made), None, ingest if first else ())

    def _state(self, made: Made) -> State:
        return State.READY


class Keyed(Outside):
    """A create under a key that is held makes nothing; resources are marked, but a list may be cut."""

    name = "keyed"
    guard_seconds = 5 * 3600
    marks = True

    def __init__(self, kernel: Kernel, manners: Manners) -> None:
        super().__init__(kernel, manners)
        self._keys: dict[tuple[str, int], Made] = {}

    def _create(self, order: Order[SimulatedOptions], maker: Task) -> Made:
        key = (order.id, order.generation)
        holder = self._keys.get(key)
        if holder and self._kernel.now < holder.made_at + HELD:
            if holder.gone:
                self._kernel.seen["guard spent"] += 1
                raise GuardSpent("its key is held by what is gone")
            self._kernel.seen["guard held"] += 1
            return holder
        if self.manners.refuses_the_second and self._kernel.on_their_way[key]:
            self._kernel.seen["guard spent, it says, for another on its way"] += 1
            raise GuardSpent("its key is in use")
        made = self._keys[key] = self._make(order, maker)
        return made

    def _find(self, order: Order[SimulatedOptions]) -> Search:
        cut = self.cuts()
        if cut:
            self._kernel.seen["list cut"] += 1
        return Search(conclusive=False) if cut else super()._find(order)


class Named(Outside):
    """A name is there once. A resource takes a while to be ready, and its name is free as soon as it is deleted."""

    name = "named"
    guard_seconds = inf
    marks = True

    def _create(self, order: Order[SimulatedOptions], maker: Task) -> Made:
        name = order.options.label or order.id
        holders = [made for made in self.resources.values() if made.name == name and self.alive(made)]
        if name in self.foreign or any(self._is_anothers(made, order, maker) for made in holders):
            raise NameTaken("somebody has this name")
        return holders[0] if holders else self._make(order, maker)

    def _is_anothers(self, made: Made, order: Order[SimulatedOptions], maker: Task) -> bool:
        """Whether it is, or looks so to who made it just now."""
        just_made = made.maker is maker and self._kernel.now < made.made_at + UNMARKED
        unmarked = self.manners.unmarked and made.order_id == order.id and just_made
        self._kernel.seen["taken, it seems, by another"] += unmarked
        return made.order_id != order.id or unmarked

    def _state(self, made: Made) -> State:
        return State.READY if self._kernel.now >= made.made_at + MAKING else State.PROVISIONING


class Leased(Outside):
    """Every create makes another; what is not renewed ends with its lease."""

    name = "leased"
    verbs = frozenset({Verb.CREATE, Verb.READ, Verb.DELETE, Verb.KEEPALIVE})

    def orphan_seconds(self, options: SimulatedOptions) -> int:
        return LEASE

    def _make(self, order: Order[SimulatedOptions], maker: Task) -> Made:
        made = super()._make(order, maker)
        made.ends_at = self._kernel.now + LEASE
        return made

    def _shown(self, made: Made, first: bool = False) -> Resource:
        shown = super()._shown(made, first)
        return Resource(shown.ref, shown.state, None, shown.ingest, lease_seconds=LEASE)


class Anonymous(Outside):
    """Every create makes another, which does no harm, cannot be removed and is never seen again."""

    name = "anonymous"
    ambiguous_creates_allowed = 1

    def remove(self, handle: Handle, deadline: Deadline) -> Removal:
        """Nothing is called: there is nothing to call."""
        return Removal("it ends by itself")

    def renew(self, handle: Handle, deadline: Deadline) -> Resource | None:
        raise CapabilityNotSupported("there are no leases")


KINDS: dict[str, type[Outside]] = {kind.name: kind for kind in (Keyed, Named, Leased, Anonymous)}
