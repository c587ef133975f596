"""``python -m local up | down | demo``: what the Makefile calls."""

import signal
import sys
from collections.abc import Callable
from typing import Never

from local.cloud import LocalCloud
from local.demo import demo, what_next
from local.processes import INTERRUPTIONS


def up() -> None:
    """Start and deploy; interrupted, leave nothing running."""
    _or_nothing(lambda: what_next(LocalCloud().up()))


def down() -> None:
    """Stop everything."""
    stopped = LocalCloud().down()
    print(f"Stopped {', '.join(stopped)}." if stopped else "Nothing was running.")


def show() -> None:
    """Start, deploy and show; interrupted, leave nothing running."""
    _or_nothing(lambda: demo(LocalCloud().up()))


def _or_nothing(work: Callable[[], None]) -> None:
    """Do it whole; interrupted or failed, leave nothing running."""
    for number in INTERRUPTIONS:
        signal.signal(number, _interrupt)
    try:
        work()
    except BaseException as error:
        for number in INTERRUPTIONS:
            signal.signal(number, signal.SIG_IGN)  # an impatient second one would leave half of it running
        stopped = LocalCloud().down()
        if isinstance(error, KeyboardInterrupt):
            sys.exit(f"\nInterrupted; stopped {', '.join(stopped) or 'nothing'}.")
        if isinstance(error, RuntimeError):
            sys.exit(f"\n{error}")
        raise


def _interrupt(*_: object) -> Never:
    raise KeyboardInterrupt


COMMANDS = {"up": up, "down": down, "demo": show}

if __name__ == "__main__":
    COMMANDS[sys.argv[1]]()
