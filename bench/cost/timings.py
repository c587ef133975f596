"""How long functions take: as `make bench` found, else as measured here."""

import json
import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from bench.cost.lives import CREATE, Measured
from bench.cost.reckoning import Start, Timing

FILE = Path(__file__).parents[2] / "docs" / "performance.json"
"""Written by `make bench`: functions → name → figure → its median, in milliseconds."""
LOADING = """
import importlib, sys, time
begun = time.process_time()
importlib.import_module(sys.argv[1])
print((time.process_time() - begun) * 1000)
"""


def timing(measured: Iterable[Measured], folders: Iterable[str], file: Path = FILE) -> Timing:
    """By the benchmark where it has measured a function, else by this process: its first life, and modules loaded anew
    in a process of their own."""
    told: dict[str, Any] = json.loads(file.read_text())["functions"] if file.exists() else {}
    firsts: dict[str, float] = {}
    for each in measured:
        for (function, label), cpu_ms in each.firsts.items():
            if label == CREATE or not function.startswith("provision_"):
                firsts.setdefault(function, cpu_ms)
    starts, creates = {}, {}
    for folder in folders:
        if folder in told:
            starts[folder] = Start(_median(told[folder], "init_ms"), _median(told[folder], "first_ms"))
            creates[folder] = _median(told[folder], "warm_cpu_ms")
        else:
            starts[folder] = Start(_loading_ms(f"{folder}.handler"), firsts.get(folder, 0.0))
    elsewhere = f"of {', '.join(sorted(creates))} by {file.name}; of all else " if creates else ""
    return Timing(f"{elsewhere}measured in this run, in processor time", creates, starts)


def _median(figures: dict[str, Any], name: str) -> float:
    return float(figures[name]["median"])


def _loading_ms(module: str) -> float:
    """Processor time of importing a handler in a fresh interpreter."""
    command = [sys.executable, "-c", LOADING, module]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(command, env=environment, capture_output=True, check=True, text=True)
    return float(done.stdout)
