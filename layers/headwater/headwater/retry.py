"""The one retry loop for provider calls."""

import random
import time
from collections.abc import Callable

from headwater.deadline import Deadline
from headwater.errors import Effect, ProviderError

ATTEMPTS = 4
FIRST_PAUSE_SECONDS = 0.25


def with_retries[T](
    call: Callable[[], T],
    deadline: Deadline,
    *,
    repeatable: bool,
    attempts: int = ATTEMPTS,
    sleep: Callable[[float], None] = time.sleep,
) -> T:
    """The answer of ``call``, repeated while its failure is transient and a repeat can do no harm.

    ``repeatable`` says that a second execution is harmless: a read, a delete, a guarded create. Without it only what
    provably had no effect is repeated. A provider's ``retry_after`` is honoured; where it does not fit into the
    deadline the failure is raised as it is. At most ``attempts`` calls. Where any of them may have been carried out, so
    may the whole: the error that is raised then says so.
    """
    doubtful = False
    for attempt in range(1, attempts + 1):
        try:
            return call()
        except ProviderError as error:
            doubtful = doubtful or error.effect is Effect.UNKNOWN
            pause = _pause(error, attempt)
            harmless = repeatable or error.effect is Effect.NONE
            if attempt == attempts or not (error.retryable and harmless) or pause >= deadline.remaining():
                error.effect = Effect.UNKNOWN if doubtful else Effect.NONE
                raise
            sleep(pause)
    raise AssertionError("a call either answers or raises")


def _pause(error: ProviderError, attempt: int) -> float:
    """Seconds to wait: what the provider asked for, else exponential with jitter."""
    if error.retry_after is not None:
        return error.retry_after
    jitter = random.uniform(0.5, 1)  # noqa: S311  # jitter is no secret
    return jitter * FIRST_PAUSE_SECONDS * float(2 ** (attempt - 1))
