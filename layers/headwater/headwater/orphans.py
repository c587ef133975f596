"""What is an orphan: a resource that bears our mark at a provider, and that no record answers for. Pure."""

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol

from pydantic import AwareDatetime, Field

from headwater.provider import Marked
from headwater.records import Record
from headwater.streams import Frozen, State

YOUNG = timedelta(minutes=15)
"""Until then nothing is told: its attempt may be at work. Claims come first, so this is only caution."""
OLD = timedelta(hours=24)
"""So long ago it must have been made, and first been seen as an orphan, before it may be removed."""
PAUSE = timedelta(minutes=30)
"""What is seen again sooner was not seen twice: a command may come twice."""
MEMORY = timedelta(days=3)
"""How long a sighting counts when no other follows."""


class Why(StrEnum):
    """What makes a resource an orphan."""

    NO_RECORD = "no-record"
    """Nothing is recorded under its stream's id, or no longer: a record goes thirty days after its stream's end."""
    ENDED = "ended"
    FAILED = "failed"
    LOST = "lost"
    ANOTHER = "another-recorded"
    """Its stream is recorded with another resource."""


OVER = {State.ENDED: Why.ENDED, State.FAILED: Why.FAILED, State.LOST: Why.LOST}
REMOVABLE = frozenset({Why.NO_RECORD, Why.ENDED})
"""Where nobody can have a use for it. A key that failed may adopt it, a lost stream's may be in use again, and which of
two is the right one is for a person to say."""


class Done(StrEnum):
    """What became of an orphan in a run."""

    REPORTED = "reported"
    """Removal is off."""
    KEPT = "kept"
    WOULD_BE_REMOVED = "would-be-removed"
    REMOVED = "removed"


class Sighting(Frozen):
    """How often an orphan was seen, and since when."""

    ref: str
    stream_id: str
    why: Why
    first_seen: AwareDatetime
    last_seen: AwareDatetime
    sightings: int = 1

    @property
    def expires(self) -> datetime:
        """When it may be forgotten."""
        return self.last_seen + MEMORY


class Sightings(Protocol):
    """Where it is kept what was seen at a provider."""

    def known(self, provider: str) -> dict[str, Sighting]:
        """All that are kept, by ref; what has expired may be among them."""

    def keep(self, provider: str, sighting: Sighting, before: Sighting | None) -> bool:
        """Put it in the place of ``before``, or of nothing; False where somebody else has written meanwhile."""

    def forget(self, provider: str, sighting: Sighting) -> None:
        """Remove it, unless somebody else has written meanwhile."""

    def since(self, moment: datetime, *, dry_run: bool) -> datetime:
        """When this very table of records was first searched with, which is ``moment`` if it never was.

        What is older may be recorded in another one: a table that is restored is a new one, as it was at some earlier
        time. A dry run leaves no trace that it was.
        """


class Orphan(Frozen):
    """One of them, and what was done about it."""

    ref: str
    stream_id: str
    created_at: AwareDatetime | None
    why: Why
    sightings: int
    """This one included."""
    first_seen: AwareDatetime
    done: Done = Done.REPORTED
    note: str | None = None
    """Why it was kept, or what remains of it."""


class Trouble(Frozen):
    """Something that could not be done for one resource; the others were looked at all the same."""

    ref: str
    doing: str
    error: str
    """Its kind, never its text."""


class Report(Frozen):
    """What a run came to."""

    provider: str
    searched_at: AwareDatetime
    marks: bool
    """Whether this provider's resources bear marks that can be listed; without, there is nothing to search."""
    dry_run: bool
    removes: bool
    """Whether removal is on."""
    complete: bool = True
    """Whether there was time to look at everything that the provider listed."""
    marked: int = 0
    recorded: int = 0
    """How many of the marked are as their records say, or are being made."""
    young: int = 0
    """How many were made so lately that they are not judged yet."""
    remembered: int = 0
    """How many orphans were known before it, from the days past."""
    orphans: list[Orphan] = Field(default_factory=list)
    troubles: list[Trouble] = Field(default_factory=list)


def reason(record: Record | None, ref: str, moment: datetime) -> Why | None:
    """What makes the resource an orphan, by the record of the stream that it is marked with; None where it is none."""
    if record is None:
        return Why.NO_RECORD
    if record.claim:
        return None  # an attempt is at it, or will be: what it finds it settles
    if why := OVER.get(record.stream.state):
        just_now = record.ended_at is not None and moment - record.ended_at < YOUNG
        return None if just_now else why
    return None if record.stream.provider_ref == ref else Why.ANOTHER


def following(known: Sighting | None, seen: Marked, why: Why, moment: datetime) -> Sighting:
    """What is to be kept once ``seen`` is seen now; ``known`` itself where that is too soon to count.

    What is an orphan for another reason than before is counted anew.
    """
    if known is None or (known.stream_id, known.why) != (seen.stream_id, why) or known.expires <= moment:
        return Sighting(ref=seen.ref, stream_id=seen.stream_id, why=why, first_seen=moment, last_seen=moment)
    if moment - known.last_seen < PAUSE:
        return known
    return known.model_copy(update={"last_seen": moment, "sightings": known.sightings + 1})


def too_early(created_at: datetime, sighting: Sighting, moment: datetime) -> str | None:
    """Why an orphan may not be removed yet, in words; None where it is old, and was seen often and for long."""
    if moment - created_at < OLD:
        return "it was made less than a day ago"
    if sighting.last_seen - sighting.first_seen < OLD:  # so it was seen twice at least
        return "it has not been seen for a day yet"
    return None
