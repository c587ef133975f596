"""What Lambda's first event would otherwise wait for: done while a function starts, when the processor is a whole one.

A handler imports this before anything else of ours. In Lambda the garbage collector then rests until the function is
prepared, as nothing that is imported is garbage: to search it for some takes a twentieth of a start. Elsewhere nothing
happens.
"""

import gc
import os
from collections.abc import Callable

IN_LAMBDA = "LAMBDA_TASK_ROOT" in os.environ

if IN_LAMBDA:
    gc.disable()


def prepare(work: Callable[[], object]) -> None:
    """Do ``work``, in Lambda. What fails is left to the first event, which has somebody to be answered."""
    if not IN_LAMBDA:
        return
    try:
        work()
    except Exception as error:
        from headwater import telemetry

        telemetry.exception("not prepared", error=error)
    gc.freeze()
    gc.enable()
