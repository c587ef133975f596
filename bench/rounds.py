"""All functions measured in turn, round after round: what the machine does besides hits all of them alike."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from bench.answers import Seen
from bench.certificates import Certificates
from bench.figures import Kind, Row, Spread
from bench.measuring import Timed, instructions, modules, timed
from bench.standins import stand_ins
from bench.subjects import BEFORE, Subject
from bench.unpacked import Unpacked
from local.steps import step

FEWEST = 2
"""Runs under valgrind; as many suffice if they agree."""
MOST = 5
AT_ONCE = 2
"""Functions under valgrind at a time: what runs beside them changes no count."""
TIMES = ("init_ms", "first_ms", "warm_cpu_ms", "memory_mb", "wire_units", "wire_calls")

type Figures = dict[str, dict[str, Spread]]


def kind_of(subject: Subject) -> Kind:
    """What it is to the budgets."""
    if not subject.ours:
        return Kind.PEER
    if subject.name.endswith(BEFORE):
        return Kind.BEFORE
    return Kind.HTTP if subject.by_http else Kind.AWS


def measured(
    subjects: Sequence[Subject], unpacked: Unpacked, certificates: Certificates, rounds: int, instructions_only: bool
) -> list[Row]:
    """A row for each."""
    sizes = {subject.name: unpacked.place(subject).size / 1e6 for subject in subjects}
    found: Figures = {name: {"unzipped_mb": Spread.of([size])} for name, size in sizes.items()}
    if not instructions_only:
        with stand_ins(certificates) as seen:
            _add_modules(subjects, seen, unpacked, found)
            _add_times(subjects, seen, unpacked, found, rounds)
    _add_instructions(subjects, unpacked, certificates, found)
    return [Row(subject.name, kind_of(subject), found[subject.name]) for subject in subjects]


def _add_modules(subjects: Sequence[Subject], seen: Seen, unpacked: Unpacked, found: Figures) -> None:
    with step("counting modules"):
        for subject in subjects:
            found[subject.name]["modules"] = Spread.of([modules(subject, seen, unpacked)])


def _add_times(subjects: Sequence[Subject], seen: Seen, unpacked: Unpacked, found: Figures, rounds: int) -> None:
    runs: dict[str, list[Timed]] = {subject.name: [] for subject in subjects}
    for number in range(rounds):
        with step(f"round {number + 1} of {rounds}: {len(subjects)} functions in turn"):
            for subject in subjects:
                runs[subject.name].append(timed(subject, seen, unpacked))
    for name, took in runs.items():
        found[name] |= {metric: Spread.of(getattr(one, metric) for one in took) for metric in TIMES}


def _add_instructions(
    subjects: Sequence[Subject], unpacked: Unpacked, certificates: Certificates, found: Figures
) -> None:
    def count(subject: Subject) -> None:
        with stand_ins(certificates) as seen:
            for metric, creates in (("init_minstr", 0), ("cold_minstr", 1)):
                found[subject.name][metric] = until_agreed(partial(instructions, subject, seen, unpacked, creates))

    with step(f"counting instructions of {len(subjects)} functions"), ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(count, subjects))


def until_agreed(run: Callable[[], float]) -> Spread:
    """Of ``FEWEST`` runs, or as many more as it takes until all agree, up to ``MOST``."""
    counts = [run() for _ in range(FEWEST)]
    while not Spread.of(counts).agrees and len(counts) < MOST:
        counts.append(run())
    return Spread.of(counts)
