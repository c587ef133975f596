"""What the workflows need from outside. Pure."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

from headwater.events import AttentionData, Happened
from headwater.provider import AnyProvider, Verb
from headwater.records import Record
from headwater.requests import Terms
from headwater.streams import now


class Stale(Exception):
    """A conditional write was refused: the record is not as it was read."""


class Store(Protocol):
    """The table. Every write is conditional; records are read consistently."""

    def claim(self, record: Record) -> Record | None:
        """Put a new, claimed record; where there is one already, change nothing and return that."""

    def load(self, stream_id: str) -> Record | None:
        """The record as it is now."""

    def update(self, record: Record, event: Happened | None = None) -> Record:
        """Replace the record of this ``revision``, which rises, sealed parts and all; with its event, if any, at once.

        Raises ``Stale``.
        """

    def settle(self, record: Record, event: Happened) -> Record:
        """As ``update``, but on condition that this record's ``attempt`` still holds the claim. Raises ``Stale``."""

    def recorded_as(self, provider: str, ref: str) -> list[str]:
        """The ids of the streams that a provider's resource belongs or belonged to: a hint, perhaps a little old."""

    def timeline(self, stream_id: str) -> list[dict[str, Any]]:
        """Every event of the last thirty days, oldest first: its type, and the detail as published."""


class Vault(Protocol):
    """Seals secrets for one stream; what is sealed for one cannot be unsealed for another."""

    def seal(self, record: Record, plain: bytes) -> bytes:
        """``plain``, readable only with the sealing key and this record's identity."""

    def unseal(self, record: Record, sealed: bytes) -> bytes:
        """What was sealed for this record."""


def _nowhere(_: object) -> None:
    """Tells nobody."""


def _not_moved() -> timedelta:
    """Business time is real time."""
    return timedelta(0)


@dataclass(frozen=True)
class Parts:
    """What a provider's function is made of. Seconds throughout."""

    provider: AnyProvider
    store: Store
    vault: Vault
    deployment: str
    """Tells two deployments in one account apart, and never changes: every stream's id is derived from it."""
    account: str
    """The AWS account of this deployment."""
    clock: Callable[[], datetime] = now
    """Real time: by it a worker is dead or alive."""
    moved: Callable[[], timedelta] = _not_moved
    """How far the time by which streams live and end is ahead of real time: only where that is tried out."""
    count: Callable[[str], None] = _nowhere
    """Counts a fact about this provider, by its metric's name."""
    call_for: Callable[[AttentionData], None] = _nowhere
    """Has somebody attend to a stream soon; were it lost, whoever sweeps does."""
    claim_margin: float = 5
    """How long after its invocation's end a worker counts as dead."""
    settle_reserve: float = 5
    """What a provider call leaves of the invocation, to record what it did."""
    landing: float = 20
    """How long a request whose worker is dead may still be on its way into the provider."""
    patience: float = 3600
    """How long after it was asked for a stream is still worth creating, where nobody says otherwise."""
    undecided_pause: float = 900
    """Between looks for a resource that can neither be found nor ruled out."""
    leased_lifetime: int = 3600
    """How long a leased stream is held where nobody says."""
    default_lifetime: int | None = None
    """How long a stream lives where its caller does not say; None: until somebody ends it."""
    lifetime_ceiling: int | None = None
    """How long any stream lives at most."""

    @property
    def terms(self) -> Terms:
        """What a request must keep to."""
        return Terms(self.lifetime_ceiling, Verb.KEEPALIVE in self.provider.verbs)

    def present(self) -> datetime:
        """The time by which streams live and end."""
        return self.clock() + self.moved()


@dataclass(frozen=True)
class Caller:
    """Who asks. ``request_id`` is of the API call or the bus event and ends up in the event."""

    tenant: str
    request_id: str
