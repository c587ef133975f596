"""The cells of the crash matrix: where a worker dies, at which provider, who comes after; what each may come to."""

from dataclasses import dataclass, replace
from typing import Any, Literal

from tests.stack.doors import CREATES
from tests.stack.ways import CLOUDFLARE, KINESIS_VIDEO, OVERSHOOT, OVERSHOOT_V02, PYANNOTE, Known

Json = dict[str, Any]


@dataclass(frozen=True)
class Lane(Known):
    """A way to ask for streams, and what a dead worker leaves there. They are asked for one after the other."""

    finds: bool = False
    """Whether what a dead worker made can be found, or made again as the same."""
    lists: bool = True
    """Whether it is found, where it can be at all; else it is asked for again, and must be the same."""
    marked: bool = False
    """Whether a stream bears our id there. Where none does, the way's path tells its calls from those of another."""


LANES = {
    lane.name: lane
    for lane in (
        Lane(OVERSHOOT),
        Lane(PYANNOTE),
        Lane(OVERSHOOT_V02, marked=True),
        Lane(KINESIS_VIDEO, finds=True, marked=True),
        Lane(CLOUDFLARE, finds=True, marked=True),
    )
}
UNLISTED = Lane(CLOUDFLARE.asking("cloudflare unlisted"), finds=True, lists=False, marked=True)
"""While its list shows none of the live inputs."""


@dataclass(frozen=True)
class Kill:
    """At which call its worker dies. ``of`` names the stream in the call."""

    door: Literal["aws", "provider"]
    carried_out: bool
    operation: str = ""
    """Of AWS; at a provider's door it is the create."""
    of: str = "{id}"

    def fault(self, lane: Lane, stream_id: str) -> Json:
        """As a door takes it."""
        selected = self.of.format(id=stream_id) if self.door == "aws" or lane.marked else lane.way.path
        operation = self.operation or CREATES[lane.provider]
        return {"operation": operation, "containing": selected, "carry_out": self.carried_out}


SEALING, UNPUBLISHED, PUBLISHED = "before the sealing", "before the publish", "after the publish"
HAPPENED = r"\"event_id\":\"{id}:"
"""Commands name a stream too, but only what happened to it has an id of its own."""
KILLS = {
    "before the claim": Kill("aws", False, "dynamodb.PutItem"),
    "after the claim": Kill("aws", True, "dynamodb.PutItem"),
    "after the create": Kill("provider", True),
    SEALING: Kill("aws", False, "kms.Encrypt"),
    "before the settle": Kill("aws", False, "dynamodb.TransactWriteItems"),
    "after the settle": Kill("aws", True, "dynamodb.TransactWriteItems"),
    UNPUBLISHED: Kill("aws", False, "events.PutEvents", of=HAPPENED),
    PUBLISHED: Kill("aws", True, "events.PutEvents", of=HAPPENED),
}
"""In the order of a creation."""
PUBLISHER = (UNPUBLISHED, PUBLISHED)
"""Here it is the publisher's worker that dies."""
MADE = ("after the create", SEALING, "before the settle")
DOUBTFUL = ("after the claim", *MADE)
"""Where the worker dies so, nobody can tell by the record whether the provider made the stream."""

RETRIES, NOBODY = "the client retries", "only sweep"
API, BUS, ASYNC = "api", "bus", "async"


@dataclass(frozen=True)
class Cell:
    """One stream, under a key of its own."""

    lane: Lane
    step: str
    after: str = NOBODY
    by: str = API
    """How it is asked for."""
    deaths: int = 1
    """How many workers die so, one after the other."""

    def __str__(self) -> str:
        by = "" if self.by == API else f"{self.by}, "
        return f"{self.lane.name}: {by}{self.step}{self._twice}, {self.after}"

    @property
    def name(self) -> str:
        """Fit to be chosen by: ``pytest -k cloudflare/api/after-the-claim``."""
        return "/".join((self.lane.name, self.by, self.step + self._twice, self.after)).replace(" ", "-")

    @property
    def _twice(self) -> str:
        return " twice" if self.deaths == 2 else ""

    @property
    def key(self) -> str:
        return f"crash/{self.name}"

    @property
    def first_status(self) -> int | None:
        """What the first answer must be: the worker that died owes it, or has nothing to do with it."""
        if self.by == BUS:
            return None
        if self.step in PUBLISHER:
            return 201
        return 202 if self.by == ASYNC and self.step in MADE else 502

    @property
    def makes_nothing(self) -> bool:
        """Whether nobody knows of it any more."""
        return (self.step, self.after, self.by) == ("before the claim", NOBODY, API)

    @property
    def doubtful(self) -> bool:
        """Whether a create is left in doubt. Who accepts a stream for later creates nothing."""
        accepts = self.by == ASYNC and self.step == "after the claim"
        return self.step in DOUBTFUL and not self.lane.finds and not accepts


@dataclass(frozen=True)
class Outcome:
    """What is counted when a stream has come to rest. ``record``: is it alive, failed, or none?"""

    record: str
    created: int
    """Distinct event ids of StreamCreated, as a subscriber received them."""
    failed: int
    """The same of StreamFailed."""
    creates: int
    """Create calls that the provider carried out."""
    alive: int
    """What is alive at the provider of all that was made for this stream; the recorded one is among them."""
    ambiguous: int
    """As the record counts them."""


PYANNOTE_DEATHS = 1
"""So many creates in doubt may be followed by another."""
NOTHING = Outcome("none", 0, 0, 0, 0, 0)
ONE = Outcome("alive", 1, 0, 1, 1, 0)


def allowed(cell: Cell) -> list[Outcome]:
    """What may become of it: of several, which one is a matter of who came first."""
    if cell.makes_nothing:
        return [NOTHING]
    lost = cell.deaths if cell.step in MADE else 0
    if not cell.doubtful:
        return [ONE if cell.lane.lists else replace(ONE, creates=1 + lost)]
    if cell.deaths > PYANNOTE_DEATHS:
        return [Outcome("failed", 0, 1, lost, lost, lost)]
    # A lost stream of pyannoteAI never connects and so never ends; Overshoot's ends with its lease.
    unused = 0 if cell.lane.leased else lost
    if cell.after == NOBODY and cell.by == API:
        return [Outcome("failed", 0, 1, lost, unused, 1)]  # nobody waits for its one-time secrets
    again = Outcome("alive", 1, 0, 1 + lost, 1 + unused, 1)
    if cell.by != API:
        return [again]
    # A sweep may come before a client that is late: then its retry is a new attempt at a key that failed.
    return [again, replace(again, failed=1, ambiguous=0)]


SEALED = (("cloudflare", NOBODY), ("overshoot-v1beta", NOBODY), ("overshoot-v0.2", RETRIES), ("pyannote", RETRIES))
"""Who has something to seal. It is one more place before the settle; so not each of them in both ways."""
OTHERWISE = [
    # Only its queue knows of it then, and gives it again when its visibility timeout is over.
    ("cloudflare", "before the claim", BUS),
    ("overshoot-v0.2", "before the claim", BUS),
    ("cloudflare", "after the claim", BUS),
    ("cloudflare", "after the create", BUS),
    ("kinesis-video", "after the create", BUS),
    ("overshoot-v0.2", "after the claim", BUS),
    ("pyannote", "after the create", BUS),
    ("cloudflare", "after the create", ASYNC),
    ("kinesis-video", "after the claim", ASYNC),
    ("overshoot-v0.2", "after the create", ASYNC),
    ("overshoot-v1beta", "after the claim", ASYNC),
]
"""Lane, step and what it is asked for by, of the cells in which nobody waits for an answer: their stream must come."""
SCHEDULED = Cell(LANES["kinesis-video"], "after the claim")
"""The one that waits for the minute's own sweep."""


def cells() -> list[Cell]:
    """All of them, by lane in the order in which they are begun: those first that take longest."""
    others = [Cell(LANES[lane], step, by=by) for lane, step, by in OTHERWISE]
    unclaimed = [cell for cell in others if cell.step == "before the claim"]
    steps = (*(step for step in DOUBTFUL if step != SEALING), "before the claim", "after the settle")
    both = [Cell(lane, step, after) for step in steps for lane in LANES.values() for after in (RETRIES, NOBODY)]
    # Its event must be out before a lease is over: so those with leases when the publisher is warm.
    both += [Cell(lane, PUBLISHED, after) for lane in reversed(LANES.values()) for after in (RETRIES, NOBODY)]
    both += [Cell(LANES[lane], UNPUBLISHED) for lane in ("cloudflare", "pyannote")]
    sealed = [Cell(LANES[lane], SEALING, after) for lane, after in SEALED]
    twice = [Cell(LANES[lane], "before the settle", by=BUS, deaths=2) for lane in ("pyannote", "cloudflare")]
    return [*unclaimed, *sealed, *both, *(cell for cell in others if cell not in unclaimed), *twice]
