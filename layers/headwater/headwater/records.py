"""What is kept of a stream beside its public view. Pure."""

from datetime import datetime, timedelta
from typing import Literal

from pydantic import AwareDatetime, Field, JsonValue

from headwater.provider import Handle
from headwater.streams import Access, Frozen, Stream


class Claim(Frozen):
    """Whose turn it is to create. A record is unsettled exactly while it has one, whatever its state."""

    attempt: int
    """Rises with each take-over; the compare-and-set on it decides, never a clock."""
    until: AwareDatetime
    """When the worker that holds it is dead for certain."""
    free_at: AwareDatetime
    """When the next attempt may begin: ``until``, or later where an unfindable resource may still be alive."""
    worker: str
    """A word of its own for each claim, by which a worker knows its write again."""
    generation: int = 1
    released: bool = False
    """Whether its worker let go of it, having counted what it left in doubt."""


class Record(Frozen):
    """A stream, with what only we need to know. ``revision`` rises with every write, the version with every event."""

    stream: Stream
    tenant: str
    fingerprint: str
    revision: int = 1
    attempt: int = 1
    claim: Claim | None = None
    origin: Literal["api", "bus"] = "api"
    max_lifetime_seconds: int | None = None
    notes: dict[str, JsonValue] = Field(default_factory=dict)
    ambiguous_creates: int = 0
    ended_at: AwareDatetime | None = None
    request_secrets: bytes | None = None
    """The secret-typed parts of the request, sealed; gone once settled."""

    @property
    def handle(self) -> Handle:
        """What the provider needs to act on it. Only for a record that was settled with a resource."""
        if self.stream.provider_ref is None:
            raise ValueError("nothing was made for this record")
        return Handle(self.stream.id, self.stream.provider_ref, self.notes)

    @property
    def due_at(self) -> datetime | None:
        """When somebody should look after it: an unsettled record, once its next attempt may begin."""
        return self.claim.free_at if self.claim else None

    @property
    def expires(self) -> datetime | None:
        """When it may be forgotten: thirty days after its end, so that its key is not free before."""
        return self.ended_at + timedelta(days=30) if self.ended_at else None


class Credentials(Frozen):
    """Everything that opens a stream. Its secrets come out in ``revealed`` alone."""

    ingest: list[Access] = Field(default_factory=list)
    playback: list[Access] = Field(default_factory=list)

    @property
    def secret(self) -> bool:
        """Whether there is anything in it to hide."""
        return any(access.secrets for access in [*self.ingest, *self.playback])

    def revealed(self) -> dict[str, JsonValue]:
        """The answer of ``/credentials``."""
        return {
            "ingest": [access.revealed() for access in self.ingest],
            "playback": [access.revealed() for access in self.playback],
        }

    def replaced_by(self, told: "Credentials") -> "Credentials":
        """These, save where the provider told an entry of the same protocol anew."""
        return Credentials(ingest=_replaced(self.ingest, told.ingest), playback=_replaced(self.playback, told.playback))


def _replaced(kept: list[Access], told: list[Access]) -> list[Access]:
    anew = {access.protocol for access in told}
    return [access for access in kept if access.protocol not in anew] + told
