"""The file by which business time is moved: how far it is ahead of real time, for all processes that are told of it.

It holds whole milliseconds as text and only grows; as long as there is none, business time is real time. The functions
read it too, by a module of their own.
"""

import fcntl
import os
from pathlib import Path

CLOCK_FILE = "CLOCK_FILE"
"""The environment variable that names it."""


def shared_file() -> Path | None:
    """The file that this process was told of, if it was."""
    named = os.environ.get(CLOCK_FILE)
    return Path(named) if named else None


def moved_ms(file: Path) -> int:
    """How far business time is ahead."""
    try:
        return int(file.read_text())
    except FileNotFoundError:
        return 0


def move(file: Path, by_ms: int) -> None:
    """Move it on. From any thread and process: no move is lost, and nobody ever reads half a number."""
    with file.with_name(f"{file.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        whole = file.with_name(f"{file.name}.new")
        whole.write_text(str(moved_ms(file) + by_ms))
        whole.replace(file)
