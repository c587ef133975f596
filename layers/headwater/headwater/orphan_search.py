"""Looks for the orphans at a provider, tells of them, and removes them only where that was asked for. Pure."""

from collections.abc import Callable
from dataclasses import dataclass

from headwater.deadline import Deadline, outcome
from headwater.errors import HeadwaterError
from headwater.keeping import ID
from headwater.orphans import (
    REMOVABLE,
    YOUNG,
    Done,
    Orphan,
    Report,
    Sighting,
    Sightings,
    Trouble,
    Why,
    following,
    reason,
    too_early,
)
from headwater.ports import Parts
from headwater.provider import Handle, Marked, Removal

REMOVALS = 10
"""At most so many are begun in a run."""
LOOKS = 100
"""At most so often a run asks whether somebody sends: each is a call at the provider."""
LISTING_SHARE = 0.6
"""Of the invocation's time, for the provider's list."""
RESERVE = 5.0
"""Seconds of the invocation that are left to tell what was done."""


def _nobody(_: Orphan) -> None:
    """Is told nothing."""


@dataclass(frozen=True)
class OrphanSearch:
    """Searches at one provider. ``told`` hears of each orphan as soon as it is decided what becomes of it."""

    parts: Parts
    sightings: Sightings
    removes: bool = False
    told: Callable[[Orphan], None] = _nobody

    def run(self, deadline: Deadline, *, dry_run: bool = False) -> Report:
        """Search once. A dry run changes nothing, here or there. Raises what the provider says instead of a list."""
        provider = self.parts.provider
        report = Report(
            provider=provider.name,
            searched_at=self.parts.present(),
            marks=provider.marks,
            dry_run=dry_run,
            removes=self.removes,
        )
        if not provider.marks:
            return report
        in_time = deadline.sooner(deadline.remaining() * (1 - LISTING_SHARE))
        listed = {marked.ref: marked for marked in provider.marked(self.parts.deployment, in_time)}
        return _Run(self, report, deadline).over(list(listed.values()))


class _Run:
    """One search, with what it has come to so far."""

    def __init__(self, search: OrphanSearch, report: Report, deadline: Deadline) -> None:
        self._search = search
        self._parts = search.parts
        self._report = report
        self._moment = self._since = report.searched_at
        self._deadline = deadline.sooner(RESERVE)
        self._known: dict[str, Sighting] = {}
        self._recorded = self._young = self._removals = self._looks = 0
        self._troubles: list[Trouble] = []

    def over(self, listed: list[Marked]) -> Report:
        """First everything is judged, oldest first; then it is decided what to do about the orphans among it."""
        self._since = self._search.sightings.since(self._moment, dry_run=self._report.dry_run)
        self._known = self._search.sightings.known(self._report.provider)
        remembered = len(self._known)
        found: list[tuple[Marked, Orphan]] = []
        unseen = sorted(listed, key=lambda one: one.created_at.timestamp() if one.created_at else 0, reverse=True)
        while unseen and self._deadline.remaining():
            marked = unseen.pop()
            if orphan := self._tried(marked, "judging it", self._judged):
                found.append((marked, orphan))
        came_to = {
            "orphans": [self._decided(marked, orphan) for marked, orphan in found],
            "marked": len(listed),
            "recorded": self._recorded,
            "young": self._young,
            "remembered": remembered,
            "troubles": self._troubles,
            "complete": not unseen,
        }
        return self._report.model_copy(update=came_to)

    def _tried[T](self, marked: Marked, doing: str, work: Callable[[Marked], T]) -> T | None:
        """What came of it; None where it failed, which is noted: one resource stops no other's."""
        done = outcome(lambda: work(marked))
        error = done.exception()
        if error is None:
            return done.result()
        kind = error.code if isinstance(error, HeadwaterError) else type(error).__qualname__
        self._troubles.append(Trouble(ref=marked.ref, doing=doing, error=kind))
        return None

    # -- is it one?

    def _judged(self, marked: Marked) -> Orphan | None:
        if marked.created_at and self._moment - marked.created_at < YOUNG:
            self._young += 1
            return None
        why = self._why(marked)
        if why is None:
            self._recorded += 1
            self._forget(marked)
            return None
        seen = self._seen(marked, why)
        return Orphan(
            ref=marked.ref,
            stream_id=marked.stream_id,
            created_at=marked.created_at,
            why=why,
            sightings=seen.sightings,
            first_seen=seen.first_seen,
        )

    def _why(self, marked: Marked) -> Why | None:
        store = self._parts.store
        why = reason(store.load(marked.stream_id), marked.ref, self._moment)
        if why is None:
            return None
        # Whoever adopts what bears an old mark records it before it is marked anew.
        others = (store.load(stream_id) for stream_id in store.recorded_as(self._report.provider, marked.ref))
        owned = any(other and reason(other, marked.ref, self._moment) is None for other in others)
        return None if owned else why

    def _forget(self, marked: Marked) -> None:
        """What is as its record says is no orphan any more: should it become one again, it is counted anew."""
        known, forget = self._known.get(marked.ref), self._search.sightings.forget
        if known and not self._report.dry_run:
            self._tried(marked, "forgetting it", lambda _: forget(self._report.provider, known))

    def _seen(self, marked: Marked, why: Why) -> Sighting:
        """The sighting as it now stands; one that could not be kept does not count."""
        known, keep = self._known.get(marked.ref), self._search.sightings.keep
        seen = following(known, marked, why, self._moment)
        if seen != known and not self._report.dry_run:
            kept = self._tried(marked, "noting it", lambda _: keep(self._report.provider, seen, known))
            seen = seen if kept else known or seen
        self._known[marked.ref] = seen
        return seen

    # -- and what about it?

    def _decided(self, marked: Marked, orphan: Orphan) -> Orphan:
        update: dict[str, object] = {}
        if self._search.removes or self._report.dry_run:
            told = self._tried(marked, "asking about it", lambda _: self._kept_because(marked, orphan))
            note = "it could not be asked about" if told is None else told
            update = {"done": Done.KEPT, "note": note} if note else self._let_go(marked)
        decided = orphan.model_copy(update=update)
        self._search.told(decided)
        return decided

    def _kept_because(self, marked: Marked, orphan: Orphan) -> str:
        """Why it may not be removed; empty where it may. What is dear to find out comes last."""
        if orphan.why not in REMOVABLE or not ID.fullmatch(marked.stream_id):
            return "only what has no record, or an ended one, is ever removed"
        if marked.created_at is None:
            return "the provider does not say when it was made"
        if early := too_early(marked.created_at, self._known[marked.ref], self._moment):
            return early
        if marked.created_at <= self._since:
            return "its record may be in another table: it is older than the first search with this one"
        if self._removals >= REMOVALS:
            return f"{REMOVALS} a run are removed"
        return self._used(marked)

    def _used(self, marked: Marked) -> str:
        """Whether somebody may have a use for it after all: asked right before it is removed, the record last."""
        if self._looks >= LOOKS or not self._deadline.remaining():
            return "this run had no time left for it"
        self._looks += 1
        connected = self._parts.provider.connected(_handle(marked), self._deadline)
        if connected is None:
            return "it cannot be told whether somebody sends to it"
        if connected:
            return "somebody sends to it"
        return "" if self._why(marked) in REMOVABLE else "it was recorded meanwhile"

    def _let_go(self, marked: Marked) -> dict[str, object]:
        """Remove it, or say that it would be."""
        self._removals += 1
        if self._report.dry_run:
            return {"done": Done.WOULD_BE_REMOVED} if self._search.removes else {"note": "removal is off"}
        removal = self._tried(marked, "removing it", lambda _: self._removed(marked))
        if removal is None:
            return {"done": Done.KEPT, "note": "the provider did not say that it is removed"}
        self._parts.count("OrphanRemoved")
        return {"done": Done.REMOVED, "note": removal.remains}

    def _removed(self, marked: Marked) -> Removal:
        return self._parts.provider.remove(_handle(marked), self._deadline)


def _handle(marked: Marked) -> Handle:
    return Handle(marked.stream_id, marked.ref, marked.notes)
