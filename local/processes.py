"""Programs that run in the background until they are told to stop."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

INTERRUPTIONS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
READY_SECONDS = 60
STOP_SECONDS = 10


@dataclass(frozen=True)
class Program:
    """What to run, and the address that answers once it is ready."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    health: str


@dataclass(frozen=True)
class Running:
    """A program that was started, in a process group of its own, which its children share."""

    name: str
    pid: int
    executable: str

    def alive(self) -> bool:
        """Whether anything of its group still runs; a number that was given to another program since does not count."""
        command = ["ps", "-axww", "-o", "pgid=,stat=,command="]
        told = subprocess.run(command, capture_output=True, text=True, check=False).stdout
        ours = str(Path(self.executable).parent)
        rows = (line.split(maxsplit=2) for line in told.splitlines())
        return any(
            row[0] == str(self.pid) and not row[1].startswith("Z") and ours in row[2] for row in rows if len(row) == 3
        )


class Background:
    """The programs of one folder: what runs is written down there, with a log for each."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "processes.json"
        self._logs = folder / "logs"
        self._children: list[subprocess.Popen[bytes]] = []

    def running(self) -> list[Running]:
        """Those that were started here and still run."""
        if not self._file.exists():
            return []
        started = (Running(**one) for one in json.loads(self._file.read_text()))
        return [one for one in started if one.alive()]

    def start(self, programs: Sequence[Program]) -> None:
        """Start them and wait until each answers. Raises ``RuntimeError`` with its log's end where one does not."""
        self._logs.mkdir(parents=True, exist_ok=True)
        started = [self._spawn(program) for program in programs]
        for program, process in zip(programs, started, strict=True):
            self._await(program, process)

    def stop(self) -> list[str]:
        """End everything that was started here, children included; the names of what had been running."""
        running = self.running()
        for one in running:
            _signal(one, signal.SIGTERM)
        deadline = time.monotonic() + STOP_SECONDS
        while any(one.alive() for one in running) and time.monotonic() < deadline:
            time.sleep(0.05)
        for one in running:
            # Once more for its whole group: what a program leaves behind must not outlive it.
            _signal(one, signal.SIGKILL)
        for child in self._children:
            child.wait(STOP_SECONDS)
        self._file.unlink(missing_ok=True)
        return [one.name for one in running]

    def _spawn(self, program: Program) -> "subprocess.Popen[bytes]":
        with (self._logs / f"{program.name}.log").open("wb") as log, uninterrupted():
            process = subprocess.Popen(
                program.command,
                env=dict(program.environment),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            self._children.append(process)
            self._write_down(Running(program.name, process.pid, program.command[0]))
        return process

    def _write_down(self, one: Running) -> None:
        known = json.loads(self._file.read_text()) if self._file.exists() else []
        whole = self._file.with_suffix(".new")  # at no moment, not even an interrupted one, is the file half of it
        whole.write_text(json.dumps([*known, asdict(one)], indent=2))
        whole.replace(self._file)

    def _await(self, program: Program, process: "subprocess.Popen[bytes]") -> None:
        deadline = time.monotonic() + READY_SECONDS
        while not _answers(program.health):
            if process.poll() is not None or time.monotonic() > deadline:
                log = (self._logs / f"{program.name}.log").read_text(errors="replace")
                raise RuntimeError(f"{program.name} did not start; its log ends:\n{log[-2000:]}")
            time.sleep(0.05)


def run(command: Sequence[str], folder: Path, environment: Mapping[str, str], log: Path) -> int:
    """Run a program in ``folder`` until it ends; its exit code. Interrupted, end it."""
    process: subprocess.Popen[bytes] | None = None
    try:
        with log.open("wb") as out, uninterrupted():
            process = subprocess.Popen(command, cwd=folder, env=dict(environment), stdout=out, stderr=subprocess.STDOUT)
        return process.wait()
    finally:
        if process and process.poll() is None:
            process.kill()
            process.wait()


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Hold interruptions back until the block ends: what was started must be written down, or nobody stops it.

    Signals reach the main thread only, and there only may their handlers be changed.
    """
    held: list[int] = []
    before: dict[signal.Signals, Any] = {}
    if threading.current_thread() is threading.main_thread():
        # A child does not inherit these handlers, as it would a blocked signal.
        before = {number: signal.signal(number, lambda number, _: held.append(number)) for number in INTERRUPTIONS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for one in dict.fromkeys(held):
            signal.raise_signal(one)


def _signal(one: Running, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(one.pid, number)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=1):  # noqa: S310  # an address of our own, on this machine
            return True
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False


def free_ports(count: int) -> Iterator[int]:
    """Ports of 127.0.0.1 on which nobody listens now, all different."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        yield from [int(one.getsockname()[1]) for one in sockets]
    finally:
        for one in sockets:
            one.close()
