"""What runs beside our functions, laid out as Lambda finds it: the runtime client, and each peer with its packages.

Laid out once, from the environment of the benchmark; again when a pin or a peer changed.
"""

import hashlib
import json
import os
import re
import shutil
import subprocess
from contextlib import suppress
from pathlib import Path
from tempfile import mkdtemp

from local.cloud import ROOT
from local.steps import step

PYTHON = ROOT / ".venv-bench" / "bin" / "python"
HERE = Path(__file__).parent
RUNTIME = "runtime"
"""The folder of what Lambda itself brings."""
PLAIN = "plain"
"""The folder of the functions as a plain build leaves them: without bytecode."""
BUILT = "built"
"""The folder of the same functions with bytecode that nobody checks, as the strict comparison wants them."""

PEERS: dict[str, tuple[str, ...]] = {
    "bare": (),
    "raw": (),
    "boto_min": ("boto3", "httpx"),
    "cf_sdk": ("boto3", "cloudflare"),
    "cookbook": ("aws-lambda-powertools", "aws-xray-sdk", "boto3", "httpx", "pydantic"),
}
"""Each peer, and what its author asks for."""

FILES = """
import json, sys
from importlib.metadata import distribution
from pip._vendor.packaging.requirements import Requirement
told, left = {}, json.loads(sys.argv[1])
while left:
    name = left.pop()
    if name.lower() not in told:
        one = distribution(name)
        told[name.lower()] = [[str(file), str(file.locate())] for file in one.files or []]
        asked = map(Requirement, one.requires or [])
        left += [each.name for each in asked if not each.marker or each.marker.evaluate({"extra": ""})]
print(json.dumps(told))
"""
"""Tells the files of distributions, and of all that they require without being asked for an extra."""


def laid_out(folder: Path) -> Path:
    """Where everything is laid out, below ``folder``."""
    place = folder / _digest()
    if place.exists():
        return place
    folder.mkdir(parents=True, exist_ok=True)
    half = Path(mkdtemp(dir=folder))
    with step("laying out the peers and their packages"):
        _copy(["awslambdaric"], half / RUNTIME)
        for peer, packages in PEERS.items():
            _copy(list(packages), half / PLAIN / peer)
            _copy_code(peer, half / PLAIN / peer / "peers")
        shutil.copytree(half / PLAIN, half / BUILT)
        for compiled in (half / RUNTIME, half / BUILT):
            _compile(compiled)
    with suppress(OSError):  # another run was quicker
        half.rename(place)
    shutil.rmtree(half, ignore_errors=True)
    return place


def _digest() -> str:
    """What decides about what is laid out."""
    digest = hashlib.sha256()
    for path in (Path(__file__), *sorted((HERE / "peers").glob("*.py")), ROOT / "requirements" / "bench.txt"):
        digest.update(path.read_bytes() if path.exists() else b"")
    return digest.hexdigest()[:16]


def _copy(distributions: list[str], target: Path) -> None:
    """Their files, save for scripts and bytecode: those are the installation's."""
    asked = [str(PYTHON), "-c", FILES, json.dumps(distributions)]
    told: dict[str, list[tuple[str, str]]] = json.loads(subprocess.run(asked, check=True, capture_output=True).stdout)
    target.mkdir(parents=True, exist_ok=True)
    for files in told.values():
        for name, source in files:
            if not name.endswith(".pyc") and ".." not in Path(name).parts:
                place = target / name
                place.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(source, place)


def _copy_code(peer: str, target: Path) -> None:
    """The peer's own modules."""
    target.mkdir(parents=True)
    code = (HERE / "peers" / f"{peer}.py").read_text()
    needed = re.findall(r"^from \.(\w+) import", code, re.MULTILINE)
    for name in ("__init__", peer, *needed):
        shutil.copy2(HERE / "peers" / f"{name}.py", target)


def _compile(folder: Path) -> None:
    """Bytecode beside every module, which is never checked against it. By the interpreter that will run it."""
    how = ("-q", "-j", str(os.cpu_count()), "--invalidation-mode", "unchecked-hash")
    subprocess.run([str(PYTHON), "-m", "compileall", *how, str(folder)], check=False, stdout=subprocess.DEVNULL)
