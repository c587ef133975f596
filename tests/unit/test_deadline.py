"""How long there is left, for the answer and for the process that works at it."""

import gc
import os
import threading
import time
import weakref
from collections.abc import Callable, Iterator

import pytest

from headwater import deadline as module
from headwater.deadline import Deadline, outcome, within


class Clock:
    """Seconds that pass when they are told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_what_is_left_shrinks_and_is_never_below_nothing() -> None:
    clock = Clock()
    deadline = Deadline(10, clock)
    clock.now += 4
    assert deadline.remaining() == 6
    clock.now += 60
    assert deadline.remaining() == 0


def test_a_worker_ends_with_its_deadline_where_nothing_else_is_known() -> None:
    clock = Clock()
    deadline = Deadline(10, clock)
    clock.now += 4
    assert deadline.worker_ends() == 6
    clock.now += 60
    assert deadline.worker_ends() == 0


def test_a_worker_may_outlive_its_answer() -> None:
    clock = Clock()
    deadline = Deadline(10, clock, killed_in=29)
    clock.now += 12
    assert (deadline.remaining(), deadline.worker_ends()) == (0, 17)


def test_a_sooner_deadline_leaves_its_margin() -> None:
    clock = Clock()
    sooner = Deadline(10, clock).sooner(3)
    clock.now += 1
    assert sooner.remaining() == 6


def test_a_sooner_deadline_ends_no_worker_sooner() -> None:
    clock = Clock()
    deadline = Deadline(10, clock)
    clock.now += 2
    assert deadline.sooner(3).worker_ends() == 8
    assert Deadline(10, clock, killed_in=29).sooner(3).sooner(3).worker_ends() == 29
    assert deadline.sooner(60).remaining() == 0


# ---- within


@pytest.fixture
def nobody_idle() -> Iterator[None]:
    """Whatever threads there are from other tests, they are left alone."""
    before = module._IDLE[:]
    module._IDLE.clear()
    yield
    module._IDLE.extend(before)


class Busy:
    """Work that goes on until it is let go; it tells who does it."""

    def __init__(self) -> None:
        self.begun, self._over, self.ended = threading.Event(), threading.Event(), threading.Event()

    def __call__(self) -> None:
        self.thread = threading.get_ident()
        self.begun.set()
        self._over.wait(30)
        self.ended.set()

    def let_go(self) -> None:
        self._over.set()
        assert self.ended.wait(30)
        wait_until(lambda: self.thread in {each.thread.ident for each in module._IDLE})


def wait_until(it_is_so: Callable[[], object]) -> None:
    """Half a minute at most."""
    pause, ends = threading.Event(), time.monotonic() + 30
    while not it_is_so():
        assert time.monotonic() < ends, "it did not become so"
        pause.wait(0.01)


def given_up() -> Busy:
    busy = Busy()
    with pytest.raises(TimeoutError):
        within(0.01, busy)
    assert busy.begun.wait(30)
    return busy


def test_what_is_done_in_time_is_returned() -> None:
    assert within(30, lambda: 7) == 7


@pytest.mark.parametrize("error", [ValueError("x"), TimeoutError("its own"), KeyboardInterrupt(), SystemExit(3)])
def test_what_is_raised_passes_as_it_is(error: BaseException) -> None:
    def fails() -> None:
        raise error

    with pytest.raises(type(error)) as raised:
        within(30, fails)
    assert raised.value is error
    assert within(30, lambda: 7) == 7, "the thread goes on"


def test_one_thread_does_one_work_after_another(nobody_idle: None) -> None:
    threads = {within(30, threading.get_ident) for _ in range(20)}
    assert len(threads) == 1
    assert threads != {threading.get_ident()}
    assert len(module._IDLE) == 1


def test_a_thread_that_was_given_up_is_not_waited_for_and_used_again_once_it_ends(nobody_idle: None) -> None:
    busy = given_up()
    other = within(30, threading.get_ident)
    assert other != busy.thread
    assert within(30, threading.get_ident) == other
    busy.let_go()
    assert {each.thread.ident for each in module._IDLE} == {other, busy.thread}
    second = given_up()
    assert within(30, threading.get_ident) in {other, busy.thread} - {second.thread}
    second.let_go()
    assert len(module._IDLE) == 2


def test_what_comes_after_it_was_given_up_is_nobody_s(nobody_idle: None) -> None:
    """Not the next one's, who asks the same thread."""
    first = Busy()
    with pytest.raises(TimeoutError):
        within(0.01, first)
    first.let_go()
    assert within(30, lambda: "mine") == "mine"


def test_works_at_the_same_time_are_done_by_threads_of_their_own(nobody_idle: None) -> None:
    meeting = threading.Barrier(3, timeout=30)

    def work() -> int:
        meeting.wait()
        return threading.get_ident()

    done: list[int] = []
    callers = [threading.Thread(target=lambda: done.append(within(30, work))) for _ in range(3)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert len(set(done)) == 3
    assert len(module._IDLE) == 3


class Held:
    """Something that may hold a secret."""


def test_nothing_of_what_was_done_is_kept(nobody_idle: None) -> None:
    made = weakref.WeakSet[Held]()

    def works() -> Callable[[], Held]:
        """A work that holds something, and makes something."""
        made.add(given := Held())

        def work() -> Held:
            made.add(result := Held())
            assert given
            return result

        return work

    def fails() -> None:
        made.add(given := Held())
        raise ValueError(given)

    work = works()
    held = within(30, work)
    with pytest.raises(ValueError, match="Held"):
        within(30, fails)
    assert len(made) >= 2
    del work, held
    wait_until(lambda: (gc.collect(), not made)[1])
    assert len(module._IDLE) == 1, "the thread is there, and waits"


def test_a_fork_has_threads_of_its_own(nobody_idle: None) -> None:
    within(30, threading.get_ident)
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        try:
            os.write(writing, str(within(10, lambda: 7)).encode())
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as told:
        assert told.read() == "7"
    os.waitpid(child, 0)
    assert within(30, lambda: 8) == 8


def test_an_outcome_is_a_result_or_the_exception_of_the_kind_that_is_asked_for() -> None:
    def fails() -> None:
        raise KeyboardInterrupt

    assert outcome(lambda: 7).result() == 7
    assert isinstance(outcome(fails, BaseException).exception(), KeyboardInterrupt)
    with pytest.raises(KeyboardInterrupt):
        outcome(fails)
