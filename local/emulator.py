"""Starts the AWS emulator, whose functions then start as Lambda's do: `emulator.py FOLDER`, run by its own Python.

By itself it unpacks code and layers anew for each environment, and starts as many at once as are asked for: fifty
starve each other, and every call that is under way. Lambda has code and layers in one read-only place, and so have the
functions here, below FOLDER; and only a few start at a time.
"""

import contextlib
import hashlib
import os
import shutil
import sys
import threading
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from tempfile import mkdtemp
from types import SimpleNamespace
from typing import Any, Self

KEPT_SECONDS = 7 * 86_400
"""After so long without being used, what was unpacked is removed."""


class Places:
    """Where what zip files hold is kept unpacked. Safe to use from any thread and process."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        folder.mkdir(parents=True, exist_ok=True)
        for place in folder.iterdir():
            with contextlib.suppress(FileNotFoundError):  # another emulator was quicker
                if place.stat().st_mtime < time.time() - KEPT_SECONDS:
                    shutil.rmtree(place, ignore_errors=True)

    def of(self, archive: Path) -> Path:
        """Where the archive's content is, unpacked now if it never was."""
        with archive.open("rb") as file:
            place = self._folder / hashlib.file_digest(file, "sha256").hexdigest()
        with self._lock:
            if not place.exists():
                self._unpack(archive, place)
        os.utime(place)
        return place

    def _unpack(self, archive: Path, place: Path) -> None:
        half = Path(mkdtemp(dir=self._folder))
        with zipfile.ZipFile(archive) as packed:
            packed.extractall(half)
        with contextlib.suppress(OSError):  # another emulator was quicker
            half.rename(place)
        shutil.rmtree(half, ignore_errors=True)


def linked(places: Places) -> type:
    """As much of `zipfile.ZipFile` as the emulator uses for an environment; links stand for what is unpacked."""

    class LinkedZip:
        def __init__(self, archive: str) -> None:
            self._place = places.of(Path(archive))

        def __enter__(self) -> Self:
            return self

        def __exit__(self, *_: object) -> None:
            """Nothing is open."""

        def namelist(self) -> list[str]:
            return os.listdir(self._place)

        def extractall(self, folder: str) -> None:
            for name in self.namelist():
                (Path(folder) / name).symlink_to(self._place / name)

    return LinkedZip


def few_at_a_time(start: Callable[[Any], None]) -> Callable[[Any], None]:
    """`start`, waiting while all processors are at it already."""
    turns = threading.Semaphore(os.cpu_count() or 1)

    def started(worker: Any) -> None:
        with turns:
            start(worker)

    return started


def main() -> None:
    from ministack import app
    from ministack.core import lambda_runtime

    lambda_runtime.zipfile = SimpleNamespace(
        ZipFile=linked(Places(Path(sys.argv.pop(1)))),
        BadZipFile=zipfile.BadZipFile,
        LargeFileError=zipfile.LargeZipFile,  # as it is called there, wrongly
    )
    lambda_runtime.Worker._spawn = few_at_a_time(lambda_runtime.Worker._spawn)
    app.main()


if __name__ == "__main__":
    main()
