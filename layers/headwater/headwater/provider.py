"""What a provider must offer, and what it is told and tells in our words. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from pydantic import BaseModel, ConfigDict, JsonValue

from headwater.deadline import Deadline
from headwater.errors import CapabilityNotSupported
from headwater.streams import Access, State

if TYPE_CHECKING:
    from headwater.simulcast import NewOutput, Output


class Options(BaseModel):
    """A provider's own create request, field by field: closed, immutable, no coercion, snake_case.

    A field that holds a secret is typed ``SecretStr`` (or ``Secret[...]``): that alone decides that it is sealed
    where it is kept, masked where it is shown, and refused in a request that came over the bus.
    """

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        strict=True,
        allow_inf_nan=False,
        hide_input_in_errors=True,
    )


class Verb(StrEnum):
    """What can be done with a provider's stream; ``GET /providers`` lists them."""

    CREATE = "create"
    READ = "read"
    UPDATE = "update"
    DELETE = "delete"
    KEEPALIVE = "keepalive"
    ROTATE = "rotate"
    REPAIR = "repair"
    ADOPT = "adopt"
    SIMULCAST = "simulcast"


EVERYWHERE = frozenset({Verb.CREATE, Verb.READ, Verb.UPDATE, Verb.DELETE})
"""What every provider's streams can do: of the name and the metadata, at least, each can be changed."""


@dataclass(frozen=True)
class Order[O: Options]:
    """What is to be made. The same id and generation always mean the same resource."""

    id: str
    options: O
    name: str | None = None
    generation: int = 1
    """Rises only when what an unsettled attempt had made is gone: a duplicate guard is then free again."""
    deployment: str = ""
    """Whose mark the resource bears, beside its stream's id, where the provider lets us mark it."""


@dataclass(frozen=True)
class Resource:
    """What exists at the provider, in our words."""

    ref: str
    """The provider's own id: enough, with ``notes``, to read, renew and remove it."""
    state: State
    provider_status: str | None = None
    ingest: tuple[Access, ...] = ()
    playback: tuple[Access, ...] = ()
    lease_seconds: int | None = None
    """How long it lives unless renewed, as the provider returned it; None where there is no lease."""
    notes: dict[str, JsonValue] = field(default_factory=dict)
    """What later calls need and nobody else: a region, an ARN. Never a secret."""
    state_reason: str | None = None
    settings: Mapping[str, JsonValue] = field(default_factory=dict)
    """What a request can ask for, as it is at the provider: by pointer into a request (``/name``, ``/options/tags``).
    Only what the provider told, with what it leaves out where it means a default filled in. A secret only as a hash."""
    rotated_at: datetime | None = None
    """When its credentials were last exchanged, where the provider tells."""


@dataclass(frozen=True)
class Search:
    """What looking for an earlier attempt's resource came to."""

    resource: Resource | None = None
    conclusive: bool = True
    """Where nothing was found: whether there certainly is nothing. A list that may be incomplete proves nothing."""


@dataclass(frozen=True)
class Marked:
    """A resource that bears our mark, as the provider lists it."""

    ref: str
    stream_id: str
    created_at: datetime | None
    """None where the provider does not say."""
    notes: dict[str, JsonValue] = field(default_factory=dict)


@dataclass(frozen=True)
class Adoptable[O: Options]:
    """A resource that somebody else made, and what it would have been asked for with."""

    resource: Resource
    options: O
    name: str | None = None
    stream_id: str | None = None
    """Whose mark it bears already, and of which deployment."""
    deployment: str | None = None


@dataclass(frozen=True)
class Notice:
    """What a provider told by itself of one of its resources."""

    ref: str
    at: datetime
    """When it was so, by the provider's clock: what is older than what is known already is no news."""
    state: State
    provider_status: str
    state_reason: str | None = None
    """In words for whoever sends to the stream, where something is wrong with what is sent."""


@dataclass(frozen=True)
class Handle:
    """A resource to act on: what ``create`` returned as ``ref`` and ``notes``, and the stream's id."""

    id: str
    ref: str
    notes: dict[str, JsonValue]


@dataclass(frozen=True)
class Removal:
    """The provider's resource is gone, save for what ``remains`` tells in a sentence for the caller."""

    remains: str | None = None


class Provider[O: Options](Protocol):
    """One provider. A call ends before its deadline, or raises a ``ProviderError`` that says what it may have done.

    Whoever offers one inherits from this: what it cannot do is answered here, and nothing is called.
    """

    name: ClassVar[str]
    """Lower-case, with hyphens: as in routes, events and secrets."""
    api_version: ClassVar[str]
    options_type: ClassVar[Any]
    """The ``Options`` subclass, or an annotated union of several: whatever pydantic can validate as a field."""
    verbs: ClassVar[frozenset[Verb]]
    changeable: ClassVar[frozenset[str]] = frozenset()
    """What of a request the provider can change afterwards, by pointer into it; what is below one is meant too.
    ``/name`` only where the provider keeps it."""
    guard_seconds: ClassVar[float]
    """For how long after the first create under an id and generation a repeat can make no second resource: 0 where it
    always makes one, infinite where it never can."""
    marks: ClassVar[bool] = False
    """Whether its resources bear our mark and can be listed: what has no record can then be found."""
    notifies: ClassVar[bool] = False
    """Whether it tells of its resources by itself, at ``POST /notifications/{provider}``."""
    ambiguous_creates_allowed: ClassVar[int | None] = None
    """How many creates of one stream may end unknown before it fails; None where that is no matter of counting."""
    look_seconds: ClassVar[float | None] = None
    """How often to look at a stream of which nothing is heard; None where its lease tells often enough."""

    def create(self, order: Order[O], deadline: Deadline) -> Resource:
        """Make it. Repeats a call only if it was provably not carried out, or is guarded.

        Raises ``NameTaken`` where the provider has another's resource of this name, ``GuardSpent`` where its guard is
        held by a resource that it no longer has.
        """

    def find(self, order: Order[O], deadline: Deadline) -> Search:
        """Look for what an earlier attempt at this order made, whatever its generation.

        Where streams can neither be listed nor marked there is nothing to look for, which proves nothing.
        """
        return Search(conclusive=False)

    def orphan_seconds(self, options: O) -> int:
        """How long a resource whose answer was lost may live on, unfindable; 0 where it can be found or is harmless."""
        return 0

    def read(self, handle: Handle, deadline: Deadline) -> Resource | None:
        """How it is now; None where the provider no longer has it.

        ``ingest`` and ``playback`` are those the provider tells now; empty means that it does not tell them again.
        """

    def remove(self, handle: Handle, deadline: Deadline) -> Removal:
        """Remove it. One that the provider no longer has is removed."""

    # -- what not every provider can: whoever can says so in ``verbs``, ``changeable``, ``marks`` and ``notifies``

    def renew(self, handle: Handle, deadline: Deadline) -> Resource | None:
        """Renew the lease; None where the provider no longer has it."""
        raise self.cannot(Verb.KEEPALIVE)

    def settings(self, order: Order[O]) -> Mapping[str, JsonValue]:
        """What ``Resource.settings`` is to be by this order, defaults filled in."""
        return {}

    def change(self, handle: Handle, order: Order[O], changed: frozenset[str], deadline: Deadline) -> Resource | None:
        """Bring what ``changed`` points at to what the order says; None where the provider no longer has it.

        Carried out twice it comes to the same. Each of ``changed`` is, or is below, one of ``changeable``. Raises
        ``CapabilityNotSupported``, having called nothing, where one cannot be had in this way all the same.
        """
        raise self.cannot(Verb.UPDATE)

    def rotate(self, handle: Handle, force: bool, deadline: Deadline) -> Resource | None:
        """Exchange its credentials; None where the provider no longer has it. Twice gives other ones again.

        Raises ``StreamLive`` where somebody sends to it, who would be cut off, unless ``force``.
        """
        raise self.cannot(Verb.ROTATE)

    def adoptable(self, ref: str, deadline: Deadline) -> Adoptable[O] | None:
        """What the provider has under this id, whoever made it; None where there is nothing."""
        raise self.cannot(Verb.ADOPT)

    def mark(self, handle: Handle, order: Order[O], deadline: Deadline) -> None:
        """Put our marks, the order's id and deployment, on what somebody else made; twice comes to the same."""
        raise self.cannot(Verb.ADOPT)

    def outputs(self, handle: Handle, deadline: Deadline) -> "Sequence[Output]":
        """Where it is sent on to."""
        raise self.cannot(Verb.SIMULCAST)

    def add_output(self, handle: Handle, wanted: "NewOutput", deadline: Deadline) -> "Output":
        """Send it on to one more; one to the same place with the same key is there already, and brought into line."""
        raise self.cannot(Verb.SIMULCAST)

    def switch_output(self, handle: Handle, output_id: str, enabled: bool, deadline: Deadline) -> "Output | None":
        """Switch one on or off; None where there is none of this id."""
        raise self.cannot(Verb.SIMULCAST)

    def remove_output(self, handle: Handle, output_id: str, deadline: Deadline) -> None:
        """Send it there no longer. One that is not there is removed."""
        raise self.cannot(Verb.SIMULCAST)

    def marked(self, deployment: str, deadline: Deadline) -> Sequence[Marked]:
        """Every resource that bears this deployment's mark, as far as they are listed."""
        return ()

    def connected(self, handle: Handle, deadline: Deadline) -> bool | None:
        """Whether somebody sends to it just now; None where that cannot be told."""
        return None

    def notice(self, headers: Mapping[str, str], body: str) -> Notice | None:
        """What a notification tells, ``headers`` by lower-case names; None where it is of no stream.

        Raises ``NotificationRefused`` where it does not prove to be the provider's, ``MalformedBody``.
        """
        raise self.cannot(Verb.READ)

    def cannot(self, verb: Verb) -> CapabilityNotSupported:
        """What to raise of a verb that the provider does not have."""
        return CapabilityNotSupported(f"{self.name} has no {verb}.")


AnyProvider = Provider[Any]
