"""How long there is left to act."""

import time
from collections.abc import Callable
from concurrent.futures import Future
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any


class Deadline:
    """A moment after which an answer would come too late. Seconds, on a clock that never steps back.

    ``killed_in`` is when the process that acts is stopped, where that is later than its answer is worth anything: until
    then it may still be at work.
    """

    def __init__(
        self, seconds: float, clock: Callable[[], float] = time.monotonic, killed_in: float | None = None
    ) -> None:
        self._clock = clock
        begun = clock()
        self._at = begun + seconds
        self._killed_at = begun + (seconds if killed_in is None else killed_in)

    def remaining(self) -> float:
        """Seconds left; 0 when it has passed, never below."""
        return max(0.0, self._at - self._clock())

    def worker_ends(self) -> float:
        """Seconds until nothing here runs any more, never below 0: a claim's holder is alive until then."""
        return max(0.0, self._killed_at - self._clock())

    def sooner(self, margin: float) -> "Deadline":
        """This deadline less ``margin`` seconds, so that what must follow still has time. The worker ends as before."""
        return Deadline(self.remaining() - margin, self._clock, self.worker_ends())


class _Kept:
    """Keeps in ``done`` what a block raises, if it is of this kind, instead of passing it on."""

    def __init__(self, done: Future[Any], kind: type[BaseException]) -> None:
        self._done = done
        self._kind = kind

    def __enter__(self) -> None: ...

    def __exit__(self, _: object, error: BaseException | None, __: object) -> bool:
        if not isinstance(error, self._kind):
            return False
        self._done.set_exception(error)
        return True


def outcome[T](work: Callable[[], T], kind: type[BaseException] = Exception) -> Future[T]:
    """What came of ``work``: its result, or the exception of this kind that it raised."""
    done: Future[T] = Future()
    with _Kept(done, kind):
        done.set_result(work())
    return done


def within[T](seconds: float, work: Callable[[], T]) -> T:
    """What ``work`` returns or raises, or ``TimeoutError`` after ``seconds``, whatever it is doing then.

    It is done by another thread. One that was given up ends with what it waits for, or with the process.
    """
    ended: SimpleQueue[Future[T]] = SimpleQueue()
    _worker().do(lambda: outcome(work, BaseException), ended)
    try:
        return ended.get(timeout=seconds).result()
    except Empty:
        raise TimeoutError from None


class _Worker:
    """A thread that goes from work to work: to start one for each costs more than a call to a provider."""

    def __init__(self) -> None:
        self._asked: SimpleQueue[tuple[Callable[[], Any], SimpleQueue[Any]]] = SimpleQueue()
        self.thread = Thread(target=self._run, name="within", daemon=True)
        self.thread.start()

    def do(self, work: Callable[[], Any], ended: "SimpleQueue[Any]") -> None:
        self._asked.put((work, ended))

    def _run(self) -> None:
        while True:
            work, ended = self._asked.get()
            done = work()
            _IDLE.append(self)
            ended.put(done)
            del work, ended, done  # what was done is nobody's any more: it may hold a secret


_IDLE: list[_Worker] = []


def _worker() -> _Worker:
    """One that has nothing to do; after a fork none of those of before is alive."""
    while _IDLE:
        found = _IDLE.pop()
        if found.thread.is_alive():
            return found
    return _Worker()
