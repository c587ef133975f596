"""The one retry loop for provider calls."""

import random
import time
from collections.abc import Callable

from headwater.deadline import Deadline
from headwater.errors import Effect, HeadwaterError, ProviderError, ProviderOutcomeUnknown

ATTEMPTS = 4
FIRST_PAUSE_SECONDS = 0.25
SHORTEST_TRY = 0.25
"""Seconds; a repeat that has less would only make of a clear refusal an answer that did not come."""


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
    may the whole: the error that is raised then says so. One that cannot say so becomes a ``ProviderOutcomeUnknown``: a
    name that is taken may be so by the very resource that an earlier call made.
    """
    doubt: ProviderError | None = None
    for attempt in range(1, attempts + 1):
        try:
            return call()
        except ProviderError as error:
            doubt = error if error.effect is Effect.UNKNOWN else doubt
            pause = _pause(error, attempt)
            harmless = repeatable or error.effect is Effect.NONE
            in_time = pause + SHORTEST_TRY < deadline.remaining()
            if attempt == attempts or not (error.retryable and harmless and in_time):
                error.effect = Effect.UNKNOWN if doubt else Effect.NONE
                raise
            sleep(pause)
        except HeadwaterError as error:
            if doubt is None:
                raise
            told = "An earlier call may have been carried out, and its repetition tells nothing of that"
            upstream = error.upstream or doubt.upstream
            raise ProviderOutcomeUnknown(f"{told}: {error.detail}", upstream=upstream) from None
    raise AssertionError("a call either answers or raises")


def _pause(error: ProviderError, attempt: int) -> float:
    """Seconds to wait: what the provider asked for, else exponential with jitter."""
    if error.retry_after is not None:
        return error.retry_after
    jitter = random.SystemRandom().uniform(0.5, 1)
    return jitter * FIRST_PAUSE_SECONDS * float(2 ** (attempt - 1))
