"""One run: whatever is due is moved on, and asked for by whoever moved it, as far as the run's bounds reach."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import batched, chain

from headwater import telemetry
from headwater.commands import ENTRIES, Command, send
from headwater.deadline import Deadline
from sweep.index import Index
from sweep.pace import MOST, Item, attention, interleaved, pause, search


class Incomplete(Exception):
    """A run that left undone what it should have done. The log has each cause, and the next run tries again."""


@dataclass(frozen=True)
class Swept:
    """How many streams and searches a run asked for. ``backlog``: about how many streams are due still."""

    streams: int
    searches: int
    backlog: int


class Sweep:
    """A run. Two at once ask for nothing twice, and what one that is cut short leaves is due still."""

    def __init__(self, index: Index, clock: Callable[[], datetime], deadline: Deadline) -> None:
        self._index = index
        self._clock = clock
        self._deadline = deadline
        self._begun = clock()
        self._streams: Counter[str] = Counter()
        self._searches = 0
        self._failures = 0
        self._cut_short = False

    def run(self, searched: Sequence[str], interval: timedelta) -> Swept:
        """Ask for every stream that is due; and at each of the providers ``searched``, every ``interval``, for orphans.

        Raises ``Incomplete`` in the end where a shard, an item or a command failed: all the others are done then.
        """
        # By the ten, as they are moved on: where the run is killed, no more than these wait for nothing.
        for batch in batched(chain(self._due_searches(searched, interval), self._due_streams()), ENTRIES, strict=False):
            self._send(batch)
        for provider, streams in self._streams.items():
            telemetry.count("SweepFound", provider, streams)
        backlog = self._backlog() if self._cut_short else 0
        if self._failures:
            raise Incomplete(f"{self._failures} of a run's steps failed")
        return Swept(self._streams.total(), self._searches, backlog)

    def _send(self, batch: Sequence[Command]) -> None:
        """What is not taken is due again, once the pause is over that it was moved on by."""
        for command in send(batch):
            self._failures += 1
            telemetry.count("CommandNotTaken", command.data.provider)

    def _due_searches(self, providers: Sequence[str], interval: timedelta) -> Iterator[Command]:
        for provider in providers:
            try:
                won = self._index.begin_search(provider, self._begun, self._begun + interval)
            except Exception as error:  # whatever it was, the others go on
                self._failures += 1
                telemetry.exception("search not begun", error=error, provider=provider)
                continue
            if won:
                self._searches += 1
                yield search(provider)

    def _due_streams(self) -> Iterator[Command]:
        for item in interleaved(map(self._shard, range(self._index.shards))):
            if self._streams.total() == MOST or not self._deadline.remaining():
                self._cut_short = True
                return
            if command := self._moved_on(item):
                yield command

    def _shard(self, shard: int) -> Iterator[Item]:
        try:
            yield from self._index.due(shard, self._begun)
        except Exception as error:  # whatever it was, the other shards go on
            self._failures += 1
            telemetry.exception("shard not read", error=error, shard=str(shard))

    def _moved_on(self, item: Item) -> Command | None:
        """The command for a stream, if it is this run that moved it on."""
        try:
            if not self._index.move_on(item, self._clock() + pause(item)):
                return None
            command = attention(item)
        except Exception as error:  # whatever is the matter with it, the others go on
            self._failures += 1
            telemetry.exception("passed over", error=error, pk=item["pk"])
            return None
        self._streams[command.data.provider] += 1
        return command

    def _backlog(self) -> int:
        backlog = sum(self._index.count(shard, self._begun) for shard in range(self._index.shards))
        telemetry.gauge("SweepBacklog", backlog)
        return backlog
