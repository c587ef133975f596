"""Runs one seed again and prints every step: ``python -m tests.simulation <kind> <seed>``."""

import sys

from tests.simulation.outside import KINDS
from tests.simulation.runs import Run


def main(arguments: list[str]) -> int:
    """Exit code 1 where a promise was broken."""
    if len(arguments) != 2 or arguments[0] not in KINDS or not arguments[1].isdigit():
        print(f"usage: python -m tests.simulation {'|'.join(KINDS)} <seed>", file=sys.stderr)
        return 2
    run = Run.of(arguments[0], int(arguments[1]))
    print("\n".join(run.lines))
    print(run.broken or "every promise was kept")
    return 1 if run.broken else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
