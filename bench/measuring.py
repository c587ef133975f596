"""What a function takes: time, CPU, memory, instructions, modules."""

import re
import time
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.answers import Seen
from bench.running import running
from bench.subjects import Subject
from bench.unpacked import Unpacked

WARM = 40
"""Creates after the first whose CPU is counted."""
VALGRIND = ("valgrind", "--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null")


@dataclass(frozen=True)
class Timed:
    """Milliseconds, and megabytes of resident memory at most. What begins with ``wire`` is of one warm create."""

    init_ms: float
    first_ms: float
    warm_cpu_ms: float
    memory_mb: float
    wire_units: int
    wire_calls: int


def timed(subject: Subject, seen: Seen, unpacked: Unpacked) -> Timed:
    """A start, a first create, and ``WARM`` more."""
    with running(subject, seen, unpacked) as one:
        first = one.create("first")
        before = _cpu_seconds(one.process.pid)
        for number in range(WARM):
            one.create(f"warm-{number}")
        cpu = _cpu_seconds(one.process.pid) - before
        memory = _peak_bytes(one.process.pid)
        return Timed(one.init * 1000, first * 1000, cpu * 1000 / WARM, memory / 1e6, seen.wire_units, seen.wire_calls)


def _cpu_seconds(pid: int) -> float:
    """What a process used, of all its threads; the clock of another process, as clock_getcpuclockid(3) numbers it."""
    return time.clock_gettime((~pid << 3) | 2)


def _peak_bytes(pid: int) -> int:
    """Of resident memory, at its highest."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    if not found:
        raise RuntimeError("the kernel tells no peak of memory")
    return int(found[1]) * 1024


def instructions(subject: Subject, seen: Seen, unpacked: Unpacked, creates: int) -> float:
    """Millions of the start and so many creates, and of the end, which is the same for all."""
    with TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        with running(subject, seen, unpacked, (*VALGRIND, f"--log-file={log}")) as one:
            for number in range(creates):
                one.create(f"counted-{number}")
        found = re.search(r"I\s+refs:\s+([\d,]+)", log.read_text())
        if not found:
            raise RuntimeError(f"valgrind told nothing:\n{log.read_text()[-500:]}")
        return int(found[1].replace(",", "")) / 1e6


def modules(subject: Subject, seen: Seen, unpacked: Unpacked) -> int:
    """How many modules are imported until the first create is answered, Python's own included."""
    with running(subject, seen, unpacked, PYTHONPROFILEIMPORTTIME="1") as one:
        one.create("first")
        one.log.seek(0)
        told = [line for line in one.log if line.startswith(b"import time:")]
        return len(told) - 1  # the first is the heading
