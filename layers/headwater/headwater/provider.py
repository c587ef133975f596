"""What a provider must offer, and what it is told and tells in our words. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar, Protocol

from pydantic import BaseModel, ConfigDict, JsonValue

from headwater.deadline import Deadline
from headwater.streams import Access, State


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
    DELETE = "delete"
    KEEPALIVE = "keepalive"


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
    """One provider. A call ends before its deadline, or raises a ``ProviderError`` that says what it may have done."""

    name: ClassVar[str]
    """Lower-case, with hyphens: as in routes, events and secrets."""
    api_version: ClassVar[str]
    options_type: ClassVar[Any]
    """The ``Options`` subclass, or an annotated union of several: whatever pydantic can validate as a field."""
    verbs: ClassVar[frozenset[Verb]]
    guard_seconds: ClassVar[float]
    """For how long after the first create under an id and generation a repeat can make no second resource: 0 where it
    always makes one, infinite where it never can."""
    marks: ClassVar[bool]
    """Whether its resources bear our mark and can be listed: what has no record can then be found."""
    ambiguous_creates_allowed: ClassVar[int | None]
    """How many creates of one stream may end unknown before it fails; None where that is no matter of counting."""

    def create(self, order: Order[O], deadline: Deadline) -> Resource:
        """Make it. Repeats a call only if it was provably not carried out, or is guarded.

        Raises ``NameTaken`` where the provider has another's resource of this name, ``GuardSpent`` where its guard is
        held by a resource that it no longer has.
        """

    def find(self, order: Order[O], deadline: Deadline) -> Search:
        """Look for what an earlier attempt at this order made, whatever its generation."""

    def orphan_seconds(self, options: O) -> int:
        """How long a resource whose answer was lost may live on, unfindable; 0 where it can be found or is harmless."""

    def read(self, handle: Handle, deadline: Deadline) -> Resource | None:
        """How it is now; None where the provider no longer has it.

        ``ingest`` and ``playback`` are those the provider tells now; empty means that it does not tell them again.
        """

    def renew(self, handle: Handle, deadline: Deadline) -> Resource | None:
        """Renew the lease; None where the provider no longer has it. Only called where ``verbs`` has KEEPALIVE."""

    def remove(self, handle: Handle, deadline: Deadline) -> Removal:
        """Remove it. One that the provider no longer has is removed."""

    def marked(self, deployment: str, deadline: Deadline) -> Sequence[Marked]:
        """Every resource that bears this deployment's mark, as far as they are listed. Only called where ``marks``."""

    def connected(self, handle: Handle, deadline: Deadline) -> bool | None:
        """Whether somebody sends to it just now; None where that cannot be told. Only called where ``marks``."""


AnyProvider = Provider[Any]
