"""Virtual time, tasks that take turns at their calls, and calls that can go wrong in every way that there is."""

import heapq
import random
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from itertools import count
from math import inf
from typing import Any

from greenlet import getcurrent, greenlet

from headwater.deadline import Deadline

BEGINNING = datetime(2026, 3, 1, 12, tzinfo=UTC)
INVOCATION = 30.0
"""How long a worker lives at most, unless it is frozen."""
ANSWER_MARGIN = 0.5
SKEW = 300.0
"""How wrong a clock is at most."""

type Action = Callable[[], object]


class Killed(BaseException):
    """What a worker sees when it ends: nothing of its own runs after it."""


class Fate(StrEnum):
    """What becomes of a call."""

    DONE = "done"
    REFUSED = "refused"
    """Nothing was done, and that is told."""
    LOST = "answer lost"
    """It was done, and its caller is told that nobody knows."""
    SWALLOWED = "request lost"
    """It was not done, and its caller is told that nobody knows."""
    LATE = "landed late"
    """It is done after its caller was told that nobody knows."""
    KILLED_BEFORE = "killed before"
    """Its caller dies while it is on its way; it may be done all the same, at once or later, or never."""
    KILLED_AFTER = "killed after"
    """Its caller dies after it was done, before the answer."""
    FROZEN = "frozen"
    """Its caller is stopped for longer than it should live, and then goes on with the answer as if nothing had been."""


@dataclass(frozen=True)
class Failures:
    """How one kind of call fails: what is raised where it was refused, and where nobody knows what it did."""

    refused: Callable[[random.Random], Exception]
    unknown: Callable[[random.Random], Exception]
    told: tuple[type[Exception], ...]
    """What the work itself may raise as its answer. Anything else is a fault of the simulation or a promise broken."""


@dataclass
class Outcome:
    """What a call's work came to, once it has landed."""

    value: Any = None
    error: Exception | None = None


@dataclass(frozen=True)
class Course:
    """How a call goes. ``lands`` is infinite where its request never does."""

    lands: float
    answer: float
    dies: float
    unknown: bool
    """Whether its caller, if it lives, is told that nobody knows."""


class Task(greenlet):
    """Somebody who acts: a worker with a life that ends, or a client. ``result`` is what it returned, if it did."""

    def __init__(self, kernel: "Kernel", name: str, role: str, body: Callable[["Task"], Any], dies_at: float) -> None:
        super().__init__(self._live, kernel.hub)
        self.name = name
        self.role = role
        self.begun = kernel.now
        self.dies_at = dies_at
        self.skew = 0.0
        """Seconds by which its clock is wrong."""
        self.result: Any = None
        self.over = False
        self.killed = False
        self.troubled = False
        """Whether any of its calls went wrong, or it was killed."""
        self.ended: list[Action] = []
        self._body = body

    def _live(self) -> None:
        try:
            self.result = self._body(self)
        except Killed:
            self.killed = self.troubled = True
        finally:
            self.over = True
        for action in self.ended:
            action()


type Targets = dict[tuple[str, int], Fate]
"""What becomes of the n-th call of a name."""


@dataclass
class Chaos:
    """How rough a run is. Rates are per call."""

    refused: float = 0
    lost: float = 0
    killed: float = 0
    slow: float = 0
    """Share of the ways of calls that take seconds."""
    stalled: float = 0
    """Share of the ways of calls that take up to all of an invocation."""
    targets: Targets = field(default_factory=dict)
    skewed: float = 0
    """Share of workers whose clocks are wrong by minutes."""


@dataclass
class Kernel:
    """The hub of all tasks. Everything that happens, happens in the order of one heap, by one random generator."""

    rng: random.Random
    chaos: Chaos = field(default_factory=Chaos)
    now: float = 0.0
    healed: bool = False
    """From then on nothing goes wrong any more."""
    trace: list[tuple[float, str, str]] = field(default_factory=list)
    seen: Counter[str] = field(default_factory=Counter)
    on_their_way: defaultdict[Any, int] = field(default_factory=lambda: defaultdict(int))
    """How many requests of a tag were sent and have not landed yet."""
    troubles: Counter[str] = field(default_factory=Counter)
    """Calls that went wrong, by their names."""
    landing: float = 20.0
    """How long a request may be on its way after whoever sent it has died or given up."""
    unpunctual: bool = False
    """Whether somebody acted after its time, or by a wrong clock: what only clocks keep apart may then have met."""

    def __post_init__(self) -> None:
        self.hub = getcurrent()
        self._heap: list[tuple[float, int, Action]] = []
        self._order = count()
        self._alive: dict[Task, None] = {}
        self._calls: Counter[str] = Counter()

    # -- time

    def clock(self) -> datetime:
        """The present as whoever acts just now has it, in whole milliseconds as the product's own clock."""
        acting = getcurrent()
        skew = acting.skew if isinstance(acting, Task) else 0
        return BEGINNING + timedelta(milliseconds=int((self.now + skew) * 1000))

    def since(self, moment: datetime) -> float:
        """``moment`` as seconds of this run."""
        return (moment - BEGINNING).total_seconds()

    def at(self, moment: float, action: Action) -> None:
        heapq.heappush(self._heap, (max(moment, self.now), next(self._order), action))

    def run(self, until: Callable[[], bool], limit: float = inf) -> None:
        """Let everything happen until ``until``, or until nothing is left that happens before ``limit``."""
        while self._heap and self._heap[0][0] <= limit and not until():
            self.now, _, action = heapq.heappop(self._heap)
            action()

    def end(self) -> None:
        """Nobody acts any more."""
        for task in list(self._alive):
            if task:  # it has begun, and is not over
                task.ended.clear()
                task.throw(Killed)

    # -- tasks

    def spawn(
        self, name: str, role: str, body: Callable[[Task], Any], *, lifetime: float = inf, after: float = 0.0
    ) -> Task:
        """Somebody who begins to act ``after`` seconds from now."""
        begins = self.now + after
        task = Task(self, name, role, body, begins + lifetime)

        def begin() -> None:
            task.begun = self.now
            self.note(task, "begins")
            task.switch()

        self._alive[task] = None
        task.ended.append(lambda: self._alive.pop(task, None))
        self.at(begins, begin)
        return task

    def worker(self, name: str, role: str, body: Callable[[Task, Deadline], Any], after: float = 0.0) -> Task:
        """An invocation: it is killed when its time is over."""

        def work(task: Task) -> Any:
            task.dies_at = self.now + INVOCATION
            return body(task, Deadline(INVOCATION - ANSWER_MARGIN, lambda: self.now, INVOCATION))

        task = self.spawn(name, role, work, lifetime=INVOCATION, after=after)
        if not self.healed and self.rng.random() < self.chaos.skewed:
            task.skew = self.rng.uniform(-SKEW, SKEW)
            self.unpunctual = True
            self.note(task, f"has a clock that is wrong by {task.skew:.0f} s")
        return task

    def pause(self, seconds: float) -> None:
        """The task that acts just now does nothing for so long."""
        task = current()
        self._sleep(task, self.now + seconds)

    def join(self, task: Task, patience: float = inf) -> bool:
        """Wait for a task's end, ``patience`` seconds at most; whether it came."""
        waiting, woken = current(), False

        def wake() -> None:
            nonlocal woken
            if not woken and not waiting.dead:
                woken = True
                waiting.switch()

        if not task.over:
            task.ended.append(lambda: self.at(self.now, wake))
            if patience < inf:
                self.at(self.now + patience, wake)
            self.hub.switch()
        return task.over

    def kill(self, task: Task) -> None:
        if not task.dead:
            if self.now >= task.begun + INVOCATION:
                self.seen["killed at its timeout"] += 1
            self.note(task, "KILLED")
            task.throw(Killed)

    def note(self, who: Task | str, text: str) -> None:
        self.trace.append((self.now, who if isinstance(who, str) else who.name, text))

    # -- calls

    def call[T](
        self,
        name: str,
        work: Callable[[], T],
        failures: Failures,
        *,
        patience: float = inf,
        tag: Any = None,
        repeated: bool = False,
    ) -> T:
        """What ``work`` comes to, done elsewhere: a way there, its effect, a way back, and all that can befall each.

        ``patience`` is how long its caller waits. ``tag`` is counted in ``on_their_way``. ``repeated`` says that
        whoever sends it tries again by itself where the answer is lost, and has the second answer for the first.
        """
        task, fate = current(), self._fate(name)
        course = self._course(task, fate, patience)
        outcome: Outcome | None = None

        def land() -> None:
            nonlocal outcome
            self.on_their_way[tag] -= 1
            self.unpunctual = self.unpunctual or self.now > task.begun + INVOCATION + self.landing
            if fate is not Fate.REFUSED:
                outcome = self._done(work, failures)
                late = " (late)" if task.over or self.now > course.answer else ""
                self.note(task, f"{name}{late}{_told(outcome)}")

        self._count(task, name, fate, course)
        if course.lands < inf:
            self.on_their_way[tag] += 1
            self.at(course.lands, land)
        elif fate is Fate.SWALLOWED:
            self._come_to_nothing(tag)
        self._sleep(task, course.answer, course.dies)
        self.unpunctual = self.unpunctual or self.now > task.begun + INVOCATION
        if fate is Fate.REFUSED:
            raise self._told_error(task, name, fate, failures.refused)
        if course.unknown and repeated and self.rng.random() < 0.6:
            outcome = self._done(work, failures)
            self.note(task, f"{name}, repeated{_told(outcome)}")
        elif course.unknown or outcome is None:
            raise self._told_error(task, name, fate, failures.unknown)
        if outcome.error:
            raise outcome.error
        value: T = outcome.value
        return value

    def _come_to_nothing(self, tag: Any) -> None:
        """A request is under way for a while, and then nothing was done."""

        def end() -> None:
            self.on_their_way[tag] -= 1

        self.on_their_way[tag] += 1
        self.at(self.now + self.rng.uniform(0, self.landing), end)

    def _course(self, task: Task, fate: Fate, patience: float) -> Course:
        """When a call's request lands, and when its caller has the answer, or dies."""
        there, back = self._way(), self._way()
        lands, answer, dies = self.now + there, self.now + there + back, task.dies_at
        match fate:
            case Fate.KILLED_BEFORE:
                dies = min(dies, self.now + self.rng.random() * there)
            case Fate.KILLED_AFTER:
                dies = min(dies, lands + self.rng.random() * back)
            case Fate.FROZEN:
                answer, patience = lands + self.rng.choice([40, 50, 90, 200]), inf
                dies = task.dies_at = answer + self.rng.uniform(5, INVOCATION)
        unknown = fate in {Fate.LOST, Fate.SWALLOWED, Fate.LATE}
        if answer > self.now + patience:
            answer, unknown = self.now + patience, True
            lands = min(lands, answer + self.landing)
        if dies <= answer:
            lands = self._fall(lands, dies)
        elif fate is Fate.SWALLOWED:
            lands = inf
        elif fate is Fate.LATE:
            lands = answer + self.rng.uniform(0, self.landing)
        return Course(lands, answer, dies, unknown)

    def _told_error(self, task: Task, name: str, fate: Fate, kind: Callable[[random.Random], Exception]) -> Exception:
        error = kind(self.rng)
        self.note(task, f"{name} {fate if fate is not Fate.DONE else 'too slow'}: {type(error).__name__}")
        return error

    def _done(self, work: Callable[[], Any], failures: Failures) -> Outcome:
        try:
            return Outcome(work())
        except failures.told as error:
            return Outcome(error=error)

    def _fall(self, lands: float, dies: float) -> float:
        """When the request of one who dies lands: as it would have, later, or never."""
        if lands <= dies:
            return lands
        end = self.rng.random()
        if end < 0.3:
            return inf
        return min(lands, dies + self.landing) if end < 0.5 else dies + self.rng.uniform(0, self.landing)

    def _fate(self, name: str) -> Fate:
        if self.healed:
            return Fate.DONE
        self._calls[name] += 1
        if aimed := self.chaos.targets.get((name, self._calls[name])):
            return aimed
        dice = self.rng.random()
        for fates, rate in (
            ((Fate.REFUSED,), self.chaos.refused),
            ((Fate.LOST, Fate.SWALLOWED, Fate.LATE), self.chaos.lost),
            ((Fate.KILLED_BEFORE, Fate.KILLED_AFTER), self.chaos.killed),
        ):
            if dice < rate:
                return fates[int(dice / rate * len(fates))]
            dice -= rate
        return Fate.DONE

    def _count(self, task: Task, name: str, fate: Fate, course: Course) -> None:
        dies = course.dies <= course.answer
        if fate is not Fate.DONE or course.unknown:
            task.troubled = True
        if course.unknown or dies or fate is Fate.REFUSED:
            self.troubles[name] += 1
        if fate is not Fate.DONE:
            self.seen[f"{fate}: {name}"] += 1
        if min(course.dies, course.answer) < course.lands < inf:
            self.seen[f"late landing: {name}"] += 1

    def _way(self) -> float:
        dice = self.rng.random()
        if self.healed or dice >= self.chaos.slow + self.chaos.stalled:
            return 0.01 + 0.1 * self.rng.random()
        return self.rng.uniform(0, 4 if dice < self.chaos.slow else 35)

    def _sleep(self, task: Task, wakes: float, dies: float = inf) -> None:
        dies = min(dies, task.dies_at)
        if dies <= wakes:
            self.at(dies, lambda: self.kill(task))
        else:
            self.at(wakes, task.switch)
        self.hub.switch()


def current() -> Task:
    """Who acts just now."""
    task = getcurrent()
    assert isinstance(task, Task)
    return task


def _told(outcome: Outcome) -> str:
    return f": {type(outcome.error).__name__}" if outcome.error else ""
