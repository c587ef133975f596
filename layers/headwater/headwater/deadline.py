"""How long there is left to act."""

import time
from collections.abc import Callable


class Deadline:
    """A moment after which an answer would come too late. Seconds, on a clock that never steps back."""

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._at = clock() + seconds

    def remaining(self) -> float:
        """Seconds left; 0 when it has passed, never below."""
        return max(0.0, self._at - self._clock())

    def sooner(self, margin: float) -> "Deadline":
        """This deadline less ``margin`` seconds, so that what must follow still has time."""
        return Deadline(self.remaining() - margin, self._clock)
