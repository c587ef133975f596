"""Each function as Lambda unpacks it: its code as the task, its layers together below /opt."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.certificates import Certificates
from bench.packages import RUNTIME
from bench.subjects import Subject
from bench.trust import trusting
from local.cloud import HOME


@dataclass(frozen=True)
class Place:
    """Where a function is."""

    task: Path
    opt: Path
    runtime: Path
    size: int
    """Bytes of its code and layers."""


@contextmanager
def nobody_builds() -> Iterator[None]:
    """Nothing is built anew until the block ends: who builds takes this lock."""
    with (HOME / "build.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


class Unpacked:
    """Below ``folder``, which is empty. What several functions share is unpacked once."""

    def __init__(self, folder: Path, laid_out: Path, certificates: Certificates) -> None:
        self.certificates = certificates
        self._folder = folder
        self._runtime = laid_out / RUNTIME
        self._places: dict[tuple[Path, ...], Path] = {}
        self._sizes: dict[Path, int] = {}

    def place(self, subject: Subject) -> Place:
        """Where the function is, unpacked now if it never was."""
        task, opt = self._of((subject.code,)), self._of(subject.layers)
        return Place(task, opt, self._runtime, self._size(task) + self._size(opt))

    def _size(self, folder: Path) -> int:
        if folder not in self._sizes:
            files = (path for path in folder.rglob("*") if path.is_file())
            self._sizes[folder] = sum(path.stat().st_size for path in files)
        return self._sizes[folder]

    def _of(self, folders: tuple[Path, ...]) -> Path:
        if folders not in self._places:
            target = self._folder / str(len(self._places))
            target.mkdir(parents=True)
            self._places[folders] = trusting(list(folders), self.certificates.authority, target)
        return self._places[folders]
