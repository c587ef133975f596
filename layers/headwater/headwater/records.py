"""What is kept of a stream beside its public view. Pure."""

import hashlib
import json
from datetime import datetime, timedelta
from typing import Literal

from pydantic import AwareDatetime, Field, JsonValue

from headwater.provider import Handle
from headwater.streams import OVER, Access, Frozen, State, Stream, length_prefixed


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
    released: bool = False
    """Whether nobody works on it: its worker let go of it, having counted what it left in doubt."""
    expected_at: AwareDatetime | None = None
    """When whoever was told to come again should have come."""

    def wait(self, moment: datetime) -> float:
        """Seconds after ``moment`` at which to ask again: by ``until`` a living worker has settled or let go.

        0 or less where the next attempt may begin.
        """
        return ((self.until if moment < self.until else self.free_at) - moment).total_seconds()


type Origin = Literal["api", "async", "bus"]
"""How a stream was asked for: by a caller who waits, by one who does not, over the bus."""

EXPIRY_GRACE = timedelta(seconds=90)
"""The beat that ends a lifetime comes first; after this long it is looked after in its stead."""
LOOK_SECONDS = 20
"""Between looks at a stream that its provider is still making: 14 s were seen."""
LONGEST_PAUSE_EXPONENT = 5
"""Of two, in seconds. Clients raise the attempts too, and whoever sweeps has a longer pause of their own."""


class Record(Frozen):
    """A stream, with what only we need to know. ``revision`` rises with every write, the version with every event."""

    stream: Stream
    tenant: str
    fingerprint: str
    revision: int = 1
    attempt: int = 1
    """0 where nobody has tried yet. Rises with each take-over."""
    claim: Claim | None = None
    generation: int = 1
    """Of the orders: rises only when what an unsettled attempt had made is gone."""
    guarded_since: AwareDatetime | None = None
    """When a create of this generation was first begun; None where certainly none has had an effect."""
    guard_spent_at: AwareDatetime | None = None
    """When the provider first said that its guard is held by something that it no longer has."""
    landed_at: AwareDatetime | None = None
    """When whatever was sent without an answer has reached the provider: until then no search proves anything."""
    origin: Origin = "api"
    request_id: str = ""
    """Of the API call or bus event that asked for it, for the events of whoever finishes it."""
    try_until: AwareDatetime | None = None
    """After this nothing is created any more without somebody asking anew; what was made is settled all the same."""
    max_lifetime_seconds: int | None = None
    lease_managed: bool = True
    """Whether its lease, if it gets one, is ours to renew."""
    adopted: bool = False
    """Whether it was there before us: then only what its caller asks for ends it."""
    opened_at: AwareDatetime | None = None
    """When its lifetime began; None where it never did."""
    look_at: AwareDatetime | None = None
    """When to look at it next, if nothing else happens."""
    told_at: AwareDatetime | None = None
    """When the provider was last asked about it, by our clock, and something was new."""
    noticed_at: AwareDatetime | None = None
    """Of what the provider told by itself, the latest, by its own clock."""
    changing: dict[str, AwareDatetime] = Field(default_factory=dict)
    """Who may be changing it at its provider, each by a word of his own: until when, in real time, he is not dead."""
    credential_hashes: dict[str, str] = Field(default_factory=dict)
    """Of each way into or out of it that has secrets: enough to see that they were exchanged."""
    notes: dict[str, JsonValue] = Field(default_factory=dict)
    ambiguous_creates: int = 0
    ended_at: AwareDatetime | None = None
    remains: str | None = None
    """What of it stays at its provider when it is over, in a sentence."""
    request_secrets: bytes | None = Field(default=None, exclude=True, repr=False)
    """The secret-typed parts of the request, sealed; gone once settled. Beside the document, never in it."""
    sealed_credentials: bytes | None = Field(default=None, exclude=True, repr=False)
    """Everything that opens it, sealed; None where that is no secret, and once it is over. Beside the document too."""

    @property
    def handle(self) -> Handle:
        """What the provider needs to act on it. Only for a record that was settled with a resource."""
        if self.stream.provider_ref is None:
            raise ValueError("nothing was made for this record")
        return Handle(self.stream.id, self.stream.provider_ref, self.notes)

    @property
    def due_at(self) -> datetime | None:
        """When somebody should look after it, unless whoever is meant to has done so by then; None: never."""
        if self.claim:
            return self._claim_due_at(self.claim)
        stream = self.stream
        if stream.state in OVER | {State.FAILED}:
            return None
        if stream.state is State.ENDING:
            return self.look_at
        moments = [self.look_at, stream.expires_at + EXPIRY_GRACE if stream.expires_at else None]
        if stream.lease and stream.lease.managed:
            moments.append(stream.lease.critical_at)
        return min((moment for moment in moments if moment), default=None)

    def _claim_due_at(self, claim: Claim) -> datetime:
        """First to say that its outcome is unknown, then to go on; a client's own retry may well come before."""
        if claim.until < claim.free_at and not claim.released:
            return claim.until
        pause = 2 ** min(self.attempt, LONGEST_PAUSE_EXPONENT)
        due_at = claim.free_at + timedelta(seconds=pause)
        return max(due_at, claim.expected_at) if claim.expected_at else due_at

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

    def hashes(self, stream_id: str) -> dict[str, str]:
        """One for each entry that has secrets, by where it is and its protocol; of another stream's they differ."""
        sides = (("ingest", self.ingest), ("playback", self.playback))
        entries = ((f"{side}/{access.protocol}", access) for side, accesses in sides for access in accesses)
        return {at: _hash(stream_id, at, access) for at, access in entries if access.secrets}

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


def _hash(stream_id: str, at: str, access: Access) -> str:
    told = json.dumps(access.revealed(), sort_keys=True)
    return hashlib.sha256(length_prefixed(stream_id, at, told)).hexdigest()
