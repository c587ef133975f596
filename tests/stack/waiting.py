"""Waiting for what must come: by looking again, never for a fixed time."""

import time
from collections.abc import Callable

LOOK_AGAIN_SECONDS = 0.1
WELL_BEFORE = 27
"""Seconds in which whoever calls must be answered: API Gateway's 29, less what a cold start may take of them here."""


def eventually[T](look: Callable[[], T], is_so: Callable[[T], bool], seconds: float = 30) -> T:
    """What ``look`` sees once it ``is_so``. Raises ``AssertionError`` with the last look after ``seconds``."""
    deadline = time.monotonic() + seconds
    while not is_so(seen := look()):
        assert time.monotonic() < deadline, f"not within {seconds} s; last seen: {seen!r}"
        time.sleep(LOOK_AGAIN_SECONDS)
    return seen
