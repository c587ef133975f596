"""``python -m bench.scale``: measures, and writes the tables of docs/scale.md and docs/scale.json.

``--sizes 100 1000`` measures other tables than those up to a million streams and writes nothing; ``--anew`` measures
nothing and writes the tables by what docs/scale.json holds.
"""

import argparse
import json
import os
import sys
import time
from contextlib import redirect_stdout
from datetime import UTC, datetime
from typing import Any

from bench.scale import growth, lives, report


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="bench.scale", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--sizes", type=int, nargs="+", metavar="STREAMS", help="measure these, and write nothing")
    parser.add_argument("--anew", action="store_true", help="write the tables by what was measured before")
    arguments = parser.parse_args()
    if arguments.anew:
        report.write(json.loads((report.DOCS / "scale.json").read_text()))
        return
    measured = measure(tuple(arguments.sizes or growth.SIZES))
    for name, table in report.tables(measured).items():
        print(f"\n{name}\n\n{table}")
    if not arguments.sizes:
        report.write(measured)
        print("\nwritten to docs/scale.md and docs/scale.json")


def measure(sizes: tuple[int, ...]) -> dict[str, Any]:
    """Everything, as ``docs/scale.json`` keeps it."""
    begun, here = time.monotonic(), sys.stdout

    def told(text: str) -> None:
        print(f"▸ {text} ({time.monotonic() - begun:.0f} s)", file=here, flush=True)

    found = []
    with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere):  # the functions tell their metrics there
        for life in lives.lives():
            told(f"{life.way}: a life of {life.seconds:,} s")
            found.append(lives.as_json(life))
        points = [growth.as_json(point) for point in growth.growth(sizes, told)]
    return {"measured": datetime.now(UTC).date().isoformat(), "lives": found, "growth": points}


if __name__ == "__main__":
    main()
