"""Measures what a cold start and a create cost, ours and others', in one run, and holds the budgets.

Without options: everything, seven rounds; docs/performance.md and docs/performance.json are written. Any option that
narrows the run writes nothing. Ends with 1 where a budget is exceeded.

    python -m bench --only provision_cloudflare boto_min --instructions
"""

import argparse
import os
import platform
import sys
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.before import before
from bench.budgets import Verdict, judged
from bench.certificates import make
from bench.figures import Row
from bench.packages import laid_out
from bench.report import as_json, tables, write
from bench.rounds import measured
from bench.running import missing_tools
from bench.subjects import BEFORE, Subject, ours, peers
from bench.unpacked import Unpacked, nobody_builds
from local.cloud import HOME, ROOT, build

FOLDER = HOME / "bench"
ROUNDS = 7


def options() -> argparse.Namespace:
    """What is asked for."""
    how = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser("python -m bench", description=__doc__, formatter_class=how)
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME", help="these functions alone; writes nothing")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"instead of {ROUNDS}; writes nothing")
    parser.add_argument("--instructions", action="store_true", help="count instructions alone; writes nothing")
    parser.add_argument("--before", metavar="REVISION", help="measure this revision's functions too")
    return parser.parse_args()


def main() -> int:
    """Measure, show, write, judge; how the program ends."""
    asked = options()
    if lacking := missing_tools():
        raise SystemExit("The benchmark needs:\n" + "\n".join(f"  {each}" for each in lacking))
    build()
    made = laid_out(FOLDER / "peers")
    earlier = before(asked.before, FOLDER / "before") if asked.before else []
    with TemporaryDirectory(dir=FOLDER, prefix="run-") as folder:  # beside other runs of the same checkout
        certificates = make(Path(folder) / "certificates")
        unpacked = Unpacked(Path(folder) / "unpacked", made, certificates)
        with nobody_builds():
            subjects = chosen([*ours(), *earlier, *peers(made)], asked.only)
            for subject in subjects:
                unpacked.place(subject)
        rows = measured(subjects, unpacked, certificates, asked.rounds, asked.instructions)
    narrow = bool(asked.only or asked.instructions or asked.rounds != ROUNDS)
    return finish(rows, judged(rows), 0 if asked.instructions else asked.rounds, ROOT / "docs", narrow=narrow)


def chosen(subjects: list[Subject], names: list[str]) -> list[Subject]:
    """Those of these names, with what they were before, or all. Raises ``SystemExit`` for a name that none has."""
    known = {subject.name.removesuffix(BEFORE) for subject in subjects}
    if unknown := set(names) - known:
        raise SystemExit(f"There is no {', '.join(sorted(unknown))}; there are {', '.join(sorted(known))}.")
    return [subject for subject in subjects if not names or subject.name.removesuffix(BEFORE) in names]


def finish(rows: list[Row], verdicts: list[Verdict], rounds: int, docs: Path, *, narrow: bool) -> int:
    """Show the tables, write them where the run was whole; 1 where a budget is exceeded."""
    day, where = datetime.now(UTC).date().isoformat(), machine()
    often = f" in {rounds} round{'s' if rounds > 1 else ''}" if rounds else ""
    shown = tables(rows, verdicts, f"Measured on {day}{often} on {where}.")
    print(f"\n{shown}\n")
    if not narrow:
        write(docs, shown, as_json(rows, day, where, rounds))
    over = [verdict for verdict in verdicts if not verdict.ok]
    print(f"{len(verdicts) - len(over)} of {len(verdicts)} budgets are kept.")
    return 1 if over else 0


def machine() -> str:
    """What it ran on, as far as it matters to a reader."""
    try:
        told = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        told = []
    models = [line.partition(":")[2].strip() for line in told if line.startswith("model name")]
    kind = f"{models[0]} ({platform.machine()})" if models else platform.machine()
    return f"{os.cpu_count()} x {kind}, {platform.system()}, CPython {platform.python_version()}"


if __name__ == "__main__":
    sys.exit(main())
