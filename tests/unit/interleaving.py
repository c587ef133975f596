"""Workers that stop before each of their calls, so that every way in which two can meet, or one can die, is tried."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count

from greenlet import getcurrent, greenlet

from tests.unit.fakes import Killed, World

MANY = 60
"""Calls that no worker here makes: one that does goes round in circles."""


@dataclass(frozen=True)
class Outcome:
    """What came of a worker."""

    value: object = None
    error: Exception | None = None


@dataclass(frozen=True)
class Met[W: World]:
    """Two workers have met: how far each was when the other went on, what came of them, and the world since."""

    world: W
    first: Outcome
    second: Outcome
    label: str


class Worker:
    """Does its work call by call."""

    def __init__(self, work: Callable[[], object]) -> None:
        self._work = work
        self._thread = greenlet(self._run)
        self.outcome = Outcome()

    @property
    def done(self) -> bool:
        return bool(self._thread.dead)

    def advance(self, steps: int) -> None:
        """Go on until so many calls further it is about to make the next one, or is done."""
        for _ in range(steps):
            if not self.done:
                self._thread.switch()

    def finish(self) -> Outcome:
        """Go on until it is done."""
        self.advance(MANY)
        assert self.done, "it goes round in circles"
        return self.outcome

    def _run(self) -> None:
        try:
            self.outcome = Outcome(value=self._work())
        except Exception as error:  # noqa: BLE001  # it is looked at
            self.outcome = Outcome(error=error)


def every_meeting[W: World](
    make: Callable[[], W], first: Callable[[W], object], second: Callable[[W], object]
) -> Iterator[Met[W]]:
    """Each way in which the two can meet with two changes between them, whichever of them comes first."""
    yield from _meetings(make, first, second, "first, second")
    for met in _meetings(make, second, first, "second, first"):
        yield Met(met.world, met.second, met.first, met.label)


def _meetings[W: World](
    make: Callable[[], W], one: Callable[[W], object], other: Callable[[W], object], order: str
) -> Iterator[Met[W]]:
    for before in count():
        for between in count(1):
            world = make()
            _stop_before_calls(world)
            workers = Worker(lambda world=world: one(world)), Worker(lambda world=world: other(world))  # type: ignore[misc] # mypy cannot tell a default's type
            workers[0].advance(before)
            if workers[0].done:
                return
            workers[1].advance(between)
            through = workers[1].done
            outcomes = workers[0].finish(), workers[1].finish()
            _go_on(world)
            yield Met(world, *outcomes, f"{order}: {before}, then {between}")
            if through:
                break


def every_death[W: World](make: Callable[[], W], work: Callable[[W], object]) -> Iterator[tuple[W, str]]:
    """The world after a worker died before each of its calls."""
    for number in count(1):
        world = make()
        calls = _die_before_call(world, number)
        try:
            work(world)
        except Killed:
            _go_on(world)
            yield world, f"it died before call {number}, which was {calls[-1]}"
            continue
        return


def _stop_before_calls(world: World) -> None:
    main = getcurrent()

    def stop(_: str) -> None:
        if getcurrent() is not main:
            main.switch()

    world.store.before = world.provider.before = stop


def _die_before_call(world: World, number: int) -> list[str]:
    calls: list[str] = []

    def die(call: str) -> None:
        calls.append(call)
        if len(calls) == number:
            raise Killed

    world.store.before = world.provider.before = die
    return calls


def _go_on(world: World) -> None:
    world.store.before = world.provider.before = lambda _: None
