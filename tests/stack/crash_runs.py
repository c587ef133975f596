"""Carries the cells of the crash matrix out, side by side, and counts what became of each."""

import json
import threading
import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, InvalidStateError, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import groupby
from typing import Any

import httpx

from local.cloud import Cloud
from tests.stack.bus import Requester, Subscriber
from tests.stack.callers import Api
from tests.stack.crash_cells import (
    API,
    ASYNC,
    BUS,
    KILLS,
    LANES,
    PUBLISHED,
    PUBLISHER,
    RETRIES,
    SCHEDULED,
    Cell,
    Lane,
    Outcome,
)
from tests.stack.doors import Door
from tests.stack.environments import deployed_function
from tests.stack.storage import Storage
from tests.stack.waiting import eventually

Json = dict[str, Any]

HIT_SECONDS = 120
"""For so long a fault may wait for its call: a busy machine's cold starts."""
REST_SECONDS = 300
SWEEP_PAUSE = 2.0
LOOK_PAUSE = 0.5
OVER = {"ended", "lost"}


@dataclass
class Trace:
    """What was seen of one cell on its way."""

    cell: Cell
    stream_id: str
    href: str
    begun: float
    """Seconds since the matrix was begun, as is ``ended``."""
    ended: float = 0
    answers: list[int] = field(default_factory=list)
    last: httpx.Response | None = None
    """Of a client that retried until it was told something final."""
    others: set[str] | None = field(default=None, repr=False)
    """In a lane without marks, while nobody else asks there: what had been there before."""
    made: set[str] = field(default_factory=set, repr=False)
    """What has appeared there in such whiles, and by how many calls."""
    creates: int = 0
    settled: tuple[Json, set[str]] | None = field(default=None, repr=False)
    """At a provider with leases: the record when it was seen to be settled, and what was alive then. Leases end."""
    outcome: Outcome | None = None
    record: Json = field(default_factory=dict, repr=False)
    copies: int = 0
    """How often the most frequent of its events was received."""
    wrong: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Place:
    """One deployment and all that looks at it."""

    cloud: Cloud
    api: Api
    subscriber: Subscriber
    requester: Requester
    storage: Storage
    doors: dict[str, Door]
    aws: Door


class Turns:
    """A lock that goes round in the order of asking, so that a client that must be in time is not passed over."""

    def __init__(self) -> None:
        self._asking: deque[threading.Event] = deque()
        self._lock = threading.Lock()

    def __enter__(self) -> None:
        mine = threading.Event()
        with self._lock:
            self._asking.append(mine)
            self._asking[0].set()
        mine.wait()

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._asking.popleft()
            if self._asking:
                self._asking[0].set()


class Lanes:
    """What each provider has of a cell."""

    def __init__(self, doors: dict[str, Door]) -> None:
        self._doors = doors
        self._turns = {name: Turns() for name in LANES}

    @contextmanager
    def watched(self, trace: Trace) -> Iterator[None]:
        """Where streams bear no mark nobody else asks in this lane meanwhile: so what is made is this cell's."""
        lane = trace.cell.lane
        if lane.marked:
            yield
            return
        with self._turns[lane.name]:
            trace.others, calls = set(self._refs(lane)), len(self._creates(lane))
            yield
            self.alive(trace)
            trace.creates += len(self._creates(lane)) - calls
            trace.others = None

    def alive(self, trace: Trace) -> set[str]:
        """What is alive of all that was made for this cell, by name."""
        refs = self._refs(trace.cell.lane)
        if trace.cell.lane.marked:
            return {ref for ref, told in refs.items() if trace.stream_id in told}
        if trace.others is not None:
            trace.made |= refs.keys() - trace.others
        return trace.made & refs.keys()

    def creates(self, trace: Trace) -> int:
        """How many create calls were carried out for this cell."""
        lane = trace.cell.lane
        return sum(trace.stream_id in call for call in self._creates(lane)) if lane.marked else trace.creates

    def killed(self, lane: Lane) -> int:
        """How many create calls' workers died."""
        return sum('"fault": "kill"' in call and '"status": null' in call for call in self._creates(lane))

    def _refs(self, lane: Lane) -> dict[str, str]:
        api = lane.way.path.strip("/")
        found = [one for one in self._doors[lane.provider].resources() if not api or one["api"] == api]
        return {str(one.get("id") or one.get("uid") or one.get("StreamARN")): json.dumps(one) for one in found}

    def _creates(self, lane: Lane) -> list[str]:
        calls = self._doors[lane.provider].creates()
        return [json.dumps(call) for call in calls if call["carried_out"] and call["path"].startswith(lane.way.path)]


class Matrix:
    """Begins the cells of each lane one after the other, and follows all of them at once."""

    def __init__(self, place: Place, cells: Sequence[Cell]) -> None:
        self._place = place
        self._lanes = Lanes(place.doors)
        self._stop = threading.Event()
        self._done: dict[Cell, Future[Trace]] = {cell: Future() for cell in cells}
        self._pool = ThreadPoolExecutor(len(cells) + 10, "crash")
        self._events: dict[str, list[Json]] = defaultdict(list)
        """What happened to each stream, as often as that was received."""
        self._begun_at = time.monotonic()
        self.swept_at: float | None = None
        """When this began to have sweeps run beside those of the schedule, in seconds since the matrix was begun."""
        self.later: list[Trace] = []
        """Of cells that were carried out elsewhere, for the table."""
        self.refs_before = {provider: door.refs() for provider, door in place.doors.items()}

    def __enter__(self) -> "Matrix":
        queues: dict[str, list[Cell]] = defaultdict(list)
        for cell in self._done:
            # All have one publisher, which is to die once for each: or those of other lanes would wait too long.
            queues["publisher" if cell.step in PUBLISHER else cell.lane.name].append(cell)
        for cells in queues.values():
            self._pool.submit(self._carried_on, partial(self._begin_all, cells))
        self._pool.submit(self._carried_on, self._listen)
        self._pool.submit(self._carried_on, self._sweep)
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for done in self._done.values():
            done.cancel()
        self._pool.shutdown(cancel_futures=True)

    def trace(self, cell: Cell) -> Trace:
        """What became of the cell, as soon as it has come to rest."""
        return self._done[cell].result(HIT_SECONDS + 2 * REST_SECONDS)

    def traces(self) -> list[Trace]:
        """Of all cells."""
        return [self.trace(cell) for cell in self._done]

    def done(self) -> list[Trace]:
        """Of those that have come to rest so far."""
        return [done.result() for done in self._done.values() if done.done() and not done.exception()] + self.later

    def count(self, trace: Trace, settled: tuple[Json, set[str]] | None = None) -> Outcome:
        """What there is of it now; of its record and at its provider as it was ``settled``, if that is given."""
        record, alive = settled or (self._record(trace), self._lanes.alive(trace))
        events = {event["detail"]["event_id"]: event["detail-type"] for event in self._events[trace.stream_id]}
        kinds = Counter(events.values())
        return Outcome(
            record=self._state(record, alive),
            created=kinds["StreamCreated"],
            failed=kinds["StreamFailed"],
            creates=self._lanes.creates(trace),
            alive=len(alive),
            ambiguous=record["ambiguous_creates"] if record else 0,
        )

    # -- in the background

    def _carried_on(self, work: Callable[[], None]) -> None:
        """Without it no cell would come to rest: what it trips over is what the tests are told at once."""
        try:
            work()
        except BaseException as error:  # noqa: BLE001  # it is raised in each cell's own test
            self._stop.set()
            for done in self._done.values():
                with suppress(InvalidStateError):
                    done.set_exception(error)

    def _listen(self) -> None:
        seen, subscriber = 0, self._place.subscriber
        while not self._stop.is_set():
            subscriber.receive()
            for event in subscriber.received[seen:]:
                seen += 1
                if "event_id" in event["detail"]:  # a command has none
                    self._events[event["detail"]["data"]["stream"]["id"]].append(event)

    def _sweep(self) -> None:
        """Once no client is left that would find its stream otherwise than its dead worker has left it."""
        waited_for = [cell for cell in self._done if cell == SCHEDULED or (cell.after == RETRIES and cell.doubtful)]
        for cell in waited_for:
            while not self._done[cell].done():
                if self._stop.wait(LOOK_PAUSE):
                    return
        functions = self._place.cloud.client("lambda")
        sweep = deployed_function(self._place.cloud, "Sweep")["FunctionName"]
        self.swept_at = self._now()
        while not self._stop.wait(SWEEP_PAUSE):
            functions.invoke(FunctionName=sweep, Payload=json.dumps({"detail-type": "Scheduled Event"}))

    # -- a cell

    def _begin_all(self, cells: Sequence[Cell]) -> None:
        for cell in cells:
            if self._stop.is_set():
                return
            if cell.by != API and not cell.lane.marked:
                # What its queue makes bears no mark: so it goes when nobody else asks there.
                self._wait_for([other for other in cells if other.by == API and other.after == RETRIES])
                self._attempt(cell, partial(self._alone, cell))
            elif trace := self._attempt(cell, partial(self._begun, cell)):
                following = self._pool.submit(self._attempt, cell, partial(self._followed, trace))
                if cell.step in PUBLISHER:
                    following.result()

    def _wait_for(self, cells: Sequence[Cell]) -> None:
        for cell in cells:
            while not self._done[cell].done() and not self._stop.wait(LOOK_PAUSE):
                pass

    def _attempt(self, cell: Cell, work: Callable[[], Trace]) -> Trace | None:
        """What ``work`` gives; what it trips over is the cell's outcome, and the others go on."""
        try:
            trace = work()
        except BaseException as error:  # noqa: BLE001  # it is raised in the cell's own test
            self._done[cell].set_exception(error)
            return None
        if trace.ended:
            self._done[cell].set_result(trace)
        return trace

    def _alone(self, cell: Cell) -> Trace:
        trace = self._trace(cell)
        with self._lanes.watched(trace):
            self._asked(trace)
            self._hit(trace)
            self._rested(trace)
        return self._counted(trace)

    def _begun(self, cell: Cell) -> Trace:
        trace = self._trace(cell)
        with self._lanes.watched(trace):
            self._asked(trace)
        self._hit(trace)
        return trace

    def _followed(self, trace: Trace) -> Trace:
        if trace.cell.after == RETRIES:
            self._at_rest(trace)  # as it is before its client comes back
            self._retried(trace)
        self._rested(trace)
        return self._counted(trace)

    def _trace(self, cell: Cell) -> Trace:
        provider, key = cell.lane.provider, cell.key
        return Trace(cell, self._place.api.id_of(provider, key), self._place.api.href_of(provider, key), self._now())

    def _asked(self, trace: Trace) -> None:
        """The first request for it, whose worker dies."""
        cell = trace.cell
        fault = KILLS[cell.step].fault(cell.lane, trace.stream_id)
        self._door(cell).fault("kill", times=cell.deaths, **fault)
        self._ask(trace)
        if cell.first_status is not None and trace.answers != [cell.first_status]:
            trace.wrong.append(f"the first answer was {trace.answers[0]}")

    def _hit(self, trace: Trace) -> None:
        """Wait until its worker is dead. Raises ``AssertionError`` where none dies."""
        fault = KILLS[trace.cell.step].fault(trace.cell.lane, trace.stream_id)
        door = self._door(trace.cell)
        eventually(lambda: [one for one in door.faults() if fault.items() <= one.items()], _nothing, HIT_SECONDS)

    def _door(self, cell: Cell) -> Door:
        """Where its worker dies."""
        return self._place.aws if KILLS[cell.step].door == "aws" else self._place.doors[cell.lane.provider]

    def _ask(self, trace: Trace) -> httpx.Response | None:
        cell, place = trace.cell, self._place
        body = cell.lane.way.body(name="crash")
        if cell.by == BUS:
            place.requester.ask(cell.lane.provider, body, idempotency_key=cell.key)
            return None
        headers = {"Idempotency-Key": cell.key} | ({"Prefer": "respond-async"} if cell.by == ASYNC else {})
        answer = place.api.call("POST", f"/streams/{cell.lane.provider}", body, headers)
        trace.answers.append(answer.status_code)
        return answer

    def _retried(self, trace: Trace) -> None:
        """Come back when it is told to, until the answer is no such invitation."""
        until = time.monotonic() + REST_SECONDS
        wait = 1.0
        while time.monotonic() < until and not self._stop.wait(wait):
            with self._lanes.watched(trace):
                trace.last = answer = self._ask(trace)
            assert answer is not None
            if not (answer.status_code >= 500 or answer.json().get("retryable")):
                return
            wait = float(answer.headers.get("retry-after", 1))

    def _rested(self, trace: Trace) -> None:
        """Nobody has anything to do for it any more."""
        until = time.monotonic() + REST_SECONDS
        while not self._at_rest(trace) and time.monotonic() < until:
            if self._stop.wait(LOOK_PAUSE):
                raise RuntimeError("the matrix was stopped")

    def _at_rest(self, trace: Trace) -> bool:
        """Whether there is nothing more to come. Of a stream with a lease it is noted how it was settled."""
        if trace.cell.makes_nothing:
            return True
        events = self._events[trace.stream_id]
        if not events and not trace.cell.lane.leased:
            return False
        record = self._record(trace)
        if record is None or record["claim"]:
            return False
        if trace.cell.lane.leased and trace.settled is None:
            trace.settled = (record, self._lanes.alive(trace))
        sequences = Counter(event["detail"]["sequence"] for event in events)
        if trace.cell.step == PUBLISHED and sequences[1] < 2:
            return False  # the publisher that died is to come again
        version: int = record["stream"]["version"]
        return len(sequences) >= version

    def _counted(self, trace: Trace) -> Trace:
        trace.outcome = self.count(trace, trace.settled)
        trace.record = self._record(trace) or {}
        self._check(trace)
        trace.ended = self._now()
        if trace.cell.lane.leased and trace.outcome.record == "alive":
            # Its lease would be held from now on, which only keeps this machine busy.
            answer = self._place.api.delete(trace.href)
            if not answer.is_success:
                trace.wrong.append(f"it could not be ended: {answer.text}")
        return trace

    def _check(self, trace: Trace) -> None:
        """What must hold of every cell, whatever may become of it."""
        wrong, record, events = trace.wrong, trace.record, self._events[trace.stream_id]
        contents: dict[str, set[str]] = {}
        for event in events:
            told = json.dumps([event["detail-type"], event["detail"]], sort_keys=True)
            contents.setdefault(event["detail"]["event_id"], set()).add(told)
        wrong += [f"{event_id} has {len(told)} contents" for event_id, told in contents.items() if len(told) > 1]
        received = sorted({event["detail"]["sequence"] for event in events})
        recorded = list(range(1, record["stream"]["version"] + 1)) if record else []
        if received != recorded:
            wrong.append(f"events {received} were received for a record of {recorded}")
        refs = {ref for event in events if (ref := event["detail"]["data"]["stream"]["provider_ref"])}
        if refs != ({record["stream"]["provider_ref"]} - {None} if record else set()):
            wrong.append(f"the events tell of {refs}")
        trace.copies = max(Counter(event["detail"]["event_id"] for event in events).values(), default=0)
        if trace.cell.step == PUBLISHED and trace.copies < 2:
            wrong.append("its event came once, so its publisher did not die")
        if trace.last is not None:
            self._check_answer(trace, trace.last)

    def _check_answer(self, trace: Trace, answer: httpx.Response) -> None:
        """A client that was told so has its stream, with all that opens it."""
        body = answer.json()
        settled = trace.cell.step in {"after the settle", *PUBLISHER}
        if (trace.record["stream"]["state"], answer.status_code) == ("lost", 410):
            return  # this machine was too busy to hold its lease until its client came back
        if answer.status_code not in ({200} if settled else {200, 201}):
            trace.wrong.append(f"the client was told {answer.status_code} {body.get('code')}")
        elif body["provider_ref"] != trace.record["stream"]["provider_ref"]:
            trace.wrong.append("the client was told of another resource than the recorded one")
        elif trace.cell.lane.name != "kinesis-video" and not body["credentials"]["ingest"]:
            trace.wrong.append("the client was given no credentials")

    def _state(self, record: Json | None, alive: set[str]) -> str:
        if record is None:
            return "none"
        stream = record["stream"]
        if record["claim"]:
            return f"claimed, {stream['state']}"
        if stream["provider_ref"] is None or stream["state"] in OVER:
            return str(stream["state"])
        return "alive" if stream["provider_ref"] in alive else f"{stream['state']}, but not there"

    def _now(self) -> float:
        return time.monotonic() - self._begun_at

    def _record(self, trace: Trace) -> Json | None:
        return self._place.storage.found(trace.stream_id)


def table(traces: Sequence[Trace]) -> list[str]:
    """A line for each cell."""
    head = ("cell", "answers", "record", "created", "failed", "creates", "alive", "doubt", "copies", "from s", "to s")
    rows: list[tuple[str, ...]] = [head]
    for trace in traces:
        one = trace.outcome or Outcome("unknown", 0, 0, 0, 0, 0)
        answers = " ".join(str(status) for status, _ in groupby(trace.answers)) or "-"
        counts = (one.created, one.failed, one.creates, one.alive, one.ambiguous, trace.copies)
        rows.append((str(trace.cell), answers, one.record, *map(str, counts), *map(_whole, (trace.begun, trace.ended))))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _nothing(left: list[Json]) -> bool:
    return not left


def _whole(seconds: float) -> str:
    return str(round(seconds))
