"""How long there is left, for the answer and for the process that works at it."""

from headwater.deadline import Deadline


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
