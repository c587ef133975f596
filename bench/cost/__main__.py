"""``python -m bench.cost``: dollars per thousand streams, and of the stack when idle. See ``--help``."""

import argparse
import sys
from dataclasses import fields
from pathlib import Path

from bench.cost import report
from bench.cost.furnishing import world
from bench.cost.idle import idle, metrics_of_methods, quiet
from bench.cost.lives import WAYS, measured
from bench.cost.reckoning import Assumptions
from bench.cost.stack import Stack
from bench.cost.timings import timing

DOCUMENT = Path(__file__).parents[2] / "docs" / "cost.md"
OF_TEMPLATE = {"memory_mb", "architecture", "log_days"}
"""Assumptions that are none: the template says so."""


def main() -> None:
    """Measure, reckon, print; with ``--write`` into the document as well."""
    parser = argparse.ArgumentParser("python -m bench.cost", description=__doc__)
    parser.add_argument("--write", action="store_true", help="put the tables into docs/cost.md")
    parser.add_argument("--alarms", action="store_true", help="with the alarms that a topic brings")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a parameter of the template, for the idle stack",
    )
    for one in fields(Assumptions):
        if one.name not in OF_TEMPLATE:
            parser.add_argument(f"--{one.name.replace('_', '-')}", type=float, default=one.default)
    asked = vars(parser.parse_args())
    write, alarms, given = asked.pop("write"), asked.pop("alarms"), dict(one.split("=", 1) for one in asked.pop("set"))
    text = tables(Stack(given | ({"AlarmTopicArn": "topic"} if alarms else {})), asked)
    sys.stdout.write(text)
    if write:
        DOCUMENT.write_text(report.placed(DOCUMENT.read_text(), text))


def tables(stack: Stack, asked: dict[str, float]) -> str:
    """All that is printed."""
    given = of_template(stack, asked)
    with world() as made:
        lives = [measured(made, way) for way in WAYS]
    runs = quiet()
    found = timing(lives, stack.functions())
    items = idle(stack, runs, given, found)
    return report.whole(given, found, [one.life for one in lives], items, metrics_of_methods(stack))


def of_template(stack: Stack, asked: dict[str, float]) -> Assumptions:
    """The assumptions, with what the template says. Raises ``LookupError`` where its functions differ."""
    functions = stack.functions().values()
    memories = {int(stack.value(one["MemorySize"])) for one in functions}
    [architectures] = {tuple(map(stack.value, one["Architectures"])) for one in functions}
    [logs] = stack.of_type("AWS::Logs::LogGroup").values()
    if len(memories) > 1:
        raise LookupError("functions of different memories are not known here")
    return Assumptions(
        memory_mb=memories.pop(), architecture=architectures[0], log_days=logs["RetentionInDays"], **asked
    )


if __name__ == "__main__":
    main()
