"""``python -m local up | down | demo``: what the Makefile calls."""

import signal
import sys
from collections.abc import Callable
from typing import Never

from local.cloud import LocalCloud
from local.demo import demo, what_next


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
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        work()
    except KeyboardInterrupt:
        stopped = LocalCloud().down()
        sys.exit(f"\nInterrupted; stopped {', '.join(stopped) or 'nothing'}.")
    except RuntimeError as error:
        LocalCloud().down()
        sys.exit(f"\n{error}")


def _interrupt(*_: object) -> Never:
    raise KeyboardInterrupt


COMMANDS = {"up": up, "down": down, "demo": show}

if __name__ == "__main__":
    COMMANDS[sys.argv[1]]()
