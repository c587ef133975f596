"""The table, its stream and its index, and the vault, as the workflows see them: every write is atomic."""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from random import Random
from typing import Any, Protocol

from headwater.events import Happened
from headwater.ports import Stale
from headwater.records import Record
from headwater.streams import length_prefixed
from tests.simulation.kernel import Failures, Kernel, current

CANARY = "canary-"
"""Begins every secret here: what holds it shows a secret."""


class Away(Exception):
    """A service of AWS did not answer, or refused for the moment."""


def _away(_: Random) -> Exception:
    return Away()


FAILURES = Failures(_away, _away, (Stale,))
"""Of the table, the vault and the bus."""


@dataclass(frozen=True)
class Row:
    """A stream's item. ``due_at`` is an attribute of its own: the sweep moves it without writing the record."""

    record: Record
    due_at: datetime | None
    swept: int = 0


class Watcher(Protocol):
    """Who looks at every write as it is done."""

    def written(self, before: Record | None, after: Record, event: Happened | None) -> None:
        """A record was replaced, and the event, if any, logged in the same transaction."""


class Table:
    """``ports.Store``. Its public members are the truth, for the model and the other parts of the world."""

    def __init__(self, kernel: Kernel, conflicts: float) -> None:
        self.rows: dict[str, Row] = {}
        self.log: defaultdict[str, list[Happened]] = defaultdict(list)
        """The events of each stream, in the order of their writes."""
        self.watchers: list[Watcher] = []
        self._kernel = kernel
        self._conflicts = conflicts
        """How often a write meets another transaction at the same item, as DynamoDB counts it."""

    # -- the port

    def claim(self, record: Record) -> Record | None:
        def work() -> Record | None:
            kept = self._kept(record.stream.id)
            if kept is None:
                self._put(None, record, None)
            return kept

        return self._kernel.call("store.claim", work, FAILURES, repeated=True)

    def load(self, stream_id: str) -> Record | None:
        return self._kernel.call("store.load", lambda: self._kept(stream_id), FAILURES)

    def update(self, record: Record, event: Happened | None = None) -> Record:
        def work() -> Record:
            return self._replace(record, True, event)

        return self._kernel.call("store.update", self._once(work, event), FAILURES, repeated=True)

    def settle(self, record: Record, event: Happened) -> Record:
        def work() -> Record:
            kept = self._kept(record.stream.id)
            holder = kept.claim.attempt if kept and kept.claim else None
            if holder != record.attempt and kept and kept.attempt != record.attempt:
                self._kernel.seen["superseded"] += 1
            return self._replace(record, holder == record.attempt, event)

        return self._kernel.call("store.settle", self._once(work, event), FAILURES, repeated=True)

    def recorded_as(self, provider: str, ref: str) -> list[str]:
        """None: nothing is adopted here."""
        return []

    def timeline(self, stream_id: str) -> list[dict[str, Any]]:
        """Nothing: the model reads the log itself."""
        return []

    # -- the index

    def due(self, moment: datetime) -> list[tuple[str, Row]]:
        """What is due, oldest first."""
        due = [(row.due_at, stream_id, row) for stream_id, row in self.rows.items() if row.due_at]
        return [
            (stream_id, row) for due_at, stream_id, row in sorted(due, key=lambda each: each[:2]) if due_at <= moment
        ]

    def move_on(self, stream_id: str, seen: datetime | None, later: datetime) -> bool:
        """Have it due again ``later``, if it is due as it was ``seen``."""
        row = self.rows[stream_id]
        if row.due_at != seen:
            return False
        self.rows[stream_id] = replace(row, due_at=later, swept=row.swept + 1)
        return True

    # -- how it is done

    def _kept(self, stream_id: str) -> Record | None:
        row = self.rows.get(stream_id)
        return row.record if row else None

    def _once(self, work: Callable[[], Record], event: Happened | None) -> Callable[[], Record]:
        """A transaction that is sent again under its token has the answer of the first; another write has not."""
        done: list[Record] = []
        task = current()

        def once() -> Record:
            if done and event:
                return done[0]
            if not self._kernel.healed and self._conflicts and self._kernel.rng.random() < self._conflicts:
                self._kernel.seen["conflict"] += 1
                self._kernel.troubles["store.conflict"] += 1
                task.troubled = True
                raise Stale
            done.append(work())
            return done[0]

        return once

    def _replace(self, record: Record, allowed: bool, event: Happened | None) -> Record:
        kept = self._kept(record.stream.id)
        told = event is not None and any(each.sequence == event.sequence for each in self.log[record.stream.id])
        if not allowed or kept is None or kept.revision != record.revision or told:
            raise Stale
        after = record.model_copy(update={"revision": record.revision + 1})
        self._put(kept, after, event)
        return after

    def _put(self, before: Record | None, after: Record, event: Happened | None) -> None:
        stream_id = after.stream.id
        self.rows[stream_id] = Row(after, after.due_at)
        if event:
            self.log[stream_id].append(event)
        for watcher in self.watchers:
            watcher.written(before, after, event)


class WrongIdentity(Exception):
    """What was sealed for one stream does not open for another."""


class SimulatedVault:
    """Seals so that nothing of what it sealed can be read in it, bound to the record's tenant and id."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel

    def seal(self, record: Record, plain: bytes) -> bytes:
        return self._kernel.call("vault.seal", lambda: _identity(record) + plain[::-1], FAILURES)

    def unseal(self, record: Record, sealed: bytes) -> bytes:
        return self._kernel.call("vault.unseal", lambda: opened(record, sealed), FAILURES)


def opened(record: Record, sealed: bytes) -> bytes:
    """What was sealed for this record."""
    identity = _identity(record)
    if not sealed.startswith(identity):
        raise WrongIdentity
    return sealed.removeprefix(identity)[::-1]


def _identity(record: Record) -> bytes:
    return length_prefixed(record.tenant, record.stream.id)
