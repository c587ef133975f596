"""Threads of which one runs at a time: who goes on at each step is chosen, so an interleaving can be had again."""

import threading
from collections.abc import Callable, Sequence


class Turns:
    """Runs functions until all have ended. Whatever they share calls ``wait``: a step ends there."""

    def __init__(self, choose: Callable[[Sequence[int]], int]) -> None:
        self._choose = choose
        self._own = threading.local()
        self._stepped = threading.Semaphore(0)
        self._given_up = False

    def run(self, *functions: Callable[[], object]) -> None:
        """Raises what one of them raised."""
        self._go = [threading.Semaphore(0) for _ in functions]
        self._left = set(range(len(functions)))
        self._errors: list[BaseException] = []
        threads = [
            threading.Thread(target=self._thread, args=(number, function), daemon=True)
            for number, function in enumerate(functions)
        ]
        for thread in threads:
            thread.start()
        try:
            while self._left:
                self._go[self._choose(sorted(self._left))].release()
                assert self._stepped.acquire(timeout=60), "a step does not end"
        finally:
            self._given_up = True
            for go in self._go:
                go.release()
            for thread in threads:
                thread.join(60)
        if self._errors:
            raise self._errors[0]

    def wait(self) -> None:
        """Until it is this thread's turn again. Of no effect outside of ``run``."""
        number = getattr(self._own, "number", None)
        if number is not None and not self._given_up:
            self._stepped.release()
            self._go[number].acquire()

    def _thread(self, number: int, function: Callable[[], object]) -> None:
        self._own.number = number
        self._go[number].acquire()
        try:
            function()
        except BaseException as error:  # noqa: BLE001  # whoever runs them hears of it
            self._errors.append(error)
        finally:
            self._left.discard(number)
            self._stepped.release()
