"""The functions of an earlier revision, built by its own build, to be measured in the same run."""

import io
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

from bench.subjects import BEFORE, Subject, ours
from local.cloud import ROOT
from local.steps import step

BUILD = "from local.cloud import build; build()"
"""Every revision's own way, whatever its layers are built like."""
ENVIRONMENTS = (".venv", ".venv-deploy")


def before(revision: str, folder: Path) -> list[Subject]:
    """Those of the revision, which is put below ``folder``. Raises ``SystemExit`` where there is no such one."""
    home = folder / _commit(revision)
    if not home.exists():
        home.mkdir(parents=True)
        archive = subprocess.run([git(), "archive", home.name], cwd=ROOT, check=True, capture_output=True).stdout
        with tarfile.open(fileobj=io.BytesIO(archive)) as files:
            files.extractall(home, filter="data")
        for name in ENVIRONMENTS:
            (home / name).symlink_to(ROOT / name)
    with step(f"building {revision}, if it never was"):
        environment = {**os.environ, "PYTHONPATH": str(home)}
        built = subprocess.run(
            [sys.executable, "-c", BUILD], cwd=home, env=environment, check=False, capture_output=True, text=True
        )
    if built.returncode:
        raise SystemExit(f"{revision} could not be built:\n{built.stderr[-3000:]}")
    return ours(home / ".local" / "build", home, BEFORE)


def git() -> str:
    """The program. Raises ``SystemExit`` where there is none."""
    found = shutil.which("git")
    if not found:
        raise SystemExit("an earlier revision is taken from git, which is not installed here")
    return found


def _commit(revision: str) -> str:
    """In full."""
    asked = [git(), "rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}"]
    told = subprocess.run(asked, cwd=ROOT, check=False, capture_output=True, text=True)
    if told.returncode:
        raise SystemExit(f"there is no revision {revision}")
    return told.stdout.strip()
