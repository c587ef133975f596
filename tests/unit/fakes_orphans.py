"""A provider that lists what bears our mark, a memory for what was seen there, and a world with both."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from headwater.deadline import Deadline
from headwater.orphan_search import OrphanSearch
from headwater.orphans import Orphan, Report, Sighting
from headwater.provider import Handle, Marked, Removal
from tests.unit.fakes import DEPLOYMENT, FakeProvider, Scripted, World, whole_invocation

HOUR = 3600.0
DAY = 24 * HOUR


@dataclass
class Shelved:
    """A resource at the provider. ``deployment`` None: it bears no mark."""

    stream_id: str
    deployment: str | None
    created_at: datetime | None
    connected: bool | None = False


class MarkingProvider(FakeProvider):
    """Its resources are on a shelf, with what they are marked with."""

    marks = True

    def __init__(self) -> None:
        super().__init__()
        self.shelf: dict[str, Shelved] = {}
        self.asked_for: list[str] = []

    def marked(self, deployment: str, deadline: Deadline) -> Sequence[Marked]:
        self._called("marked", deadline)

        def work() -> Sequence[Marked]:
            mine = ((ref, one) for ref, one in self.shelf.items() if one.deployment == deployment)
            return [Marked(ref, one.stream_id, one.created_at, {"region": ref}) for ref, one in mine]

        return self._script.play("marked", work)

    def connected(self, handle: Handle, deadline: Deadline) -> bool | None:
        self._called("connected", deadline)
        self.asked_for.append(handle.ref)
        return self._script.play("connected", lambda: self.shelf[handle.ref].connected)

    def remove(self, handle: Handle, deadline: Deadline) -> Removal:
        self._called("remove", deadline)
        assert handle.notes == {"region": handle.ref}

        def work() -> Removal:
            self.shelf.pop(handle.ref, None)
            return Removal(self.remains)

        return self._script.play("remove", work)


class FakeSightings(Scripted):
    """Keeps sightings under the conditions that the table's writes have."""

    def __init__(self, searched_since: datetime | None = None) -> None:
        super().__init__()
        self.searched_since = searched_since
        self.kept: dict[tuple[str, str], Sighting] = {}
        self.writes = 0

    def known(self, provider: str) -> dict[str, Sighting]:
        return self._script.play("known", lambda: {ref: one for (of, ref), one in self.kept.items() if of == provider})

    def keep(self, provider: str, sighting: Sighting, before: Sighting | None) -> bool:
        def work() -> bool:
            as_it_was = self._last_seen(provider, sighting.ref) == (before.last_seen if before else None)
            if as_it_was:
                self.writes += 1
                self.kept[provider, sighting.ref] = sighting
            return as_it_was

        return self._script.play("keep", work, interrupt_first=True)

    def forget(self, provider: str, sighting: Sighting) -> None:
        if self._last_seen(provider, sighting.ref) == sighting.last_seen:
            self.writes += 1
            del self.kept[provider, sighting.ref]

    def since(self, moment: datetime, *, dry_run: bool) -> datetime:
        since = self.searched_since or moment
        if not dry_run:
            self.searched_since = since
        return since

    def _last_seen(self, provider: str, ref: str) -> datetime | None:
        kept = self.kept.get((provider, ref))
        return kept.last_seen if kept else None


class Orphanage(World):
    """A world whose provider marks, and where things were put that nobody has recorded."""

    provider: MarkingProvider

    def __init__(self) -> None:
        super().__init__(MarkingProvider())
        self.sightings = FakeSightings(searched_since=datetime(2025, 1, 1, tzinfo=UTC))
        self.told: list[Orphan] = []

    def put(
        self, key: str, deployment: str | None = DEPLOYMENT, *, age: float | None = 0, connected: bool | None = False
    ) -> str:
        """A resource marked with the id of the key's stream; its ref. ``age`` in seconds."""
        created_at = None if age is None else self.clock() - timedelta(seconds=age)
        self.provider.shelf[f"ref-of-{key}"] = Shelved(self.id_of(key), deployment, created_at, connected)
        return f"ref-of-{key}"

    def stand(self, key: str) -> str:
        """A stream, recorded, whose resource bears its mark; the ref."""
        ref = self.provision(key).stream.provider_ref
        assert ref
        self.provider.shelf[ref] = Shelved(self.id_of(key), DEPLOYMENT, self.clock())
        return ref

    def lose_records(self) -> None:
        """The table is restored, as a new one, to how it was before all of them."""
        self.store.records.clear()
        self.sightings.kept.clear()
        self.sightings.searched_since = None

    def search(self, *, removes: bool = False, dry_run: bool = False) -> Report:
        search = OrphanSearch(self.parts, self.sightings, removes, self.told.append)
        return search.run(whole_invocation(), dry_run=dry_run)

    def search_for(self, seconds: float, *, removes: bool = False) -> Report:
        """Once now and at every hour for so long; the last report."""
        report = self.search(removes=removes)
        for _ in range(int(seconds / HOUR)):
            self.clock.advance(HOUR)
            report = self.search(removes=removes)
        return report
