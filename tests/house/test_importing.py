"""Importing costs nothing: no environment is read, no client made, no socket opened, no package more is loaded."""

import json
import re
import subprocess
import sys
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

import pytest

from tests.house.subjects import FUNCTIONS, LAYER, ROOT, folders, product

PINNED: dict[str, list[str]] = json.loads(Path(__file__).with_name("imports.json").read_text())
"""The third-party packages that are loaded with each function: its cold start pays for them."""


@cache
def hidden() -> list[str]:
    """The packages that are installed to develop with, and that Lambda has not."""
    pins = sorted((ROOT / "layers" / "dependencies").glob("requirements*.txt"))
    lines = [line for path in pins for line in path.read_text().splitlines()]
    pinned = {_normal(line.partition("==")[0]) for line in lines if "==" in line}
    found = packages_distributions().items()
    return sorted(name for name, owners in found if not pinned & {_normal(owner) for owner in owners})


def _normal(name: str) -> str:
    """As PEP 503 compares the names of distributions, extras left out."""
    return re.sub(r"[-_.]+", "-", name.partition("[")[0]).strip().lower()


def test_what_is_installed_to_develop_with_is_hidden_and_what_lambda_has_is_not() -> None:
    assert {"pytest", "moto", "mypy"} <= set(hidden())
    assert not {"pydantic", "boto3", "botocore", "httpx", "jwt", "cryptography"} & set(hidden())


def imported(mode: str, *modules: str, folders: tuple[Path, ...] = (FUNCTIONS, LAYER)) -> Any:
    """What came of importing these in an empty environment."""
    program = Path(__file__).with_name("importing.py")
    arguments = [sys.executable, "-I", str(program), mode, ":".join(map(str, folders)), ":".join(hidden()), *modules]
    done = subprocess.run(arguments, env={}, capture_output=True, text=True, check=False)  # noqa: S603  # ours
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_importing_any_module_does_nothing() -> None:
    modules = [module.name for module in product()]
    assert len(modules) > 40
    did = [what for what in imported("did", *modules) if not what.startswith("headwater/cold_start.py:")]
    assert did == []  # that one looks whether it is in Lambda


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("import os; x = 'PATH' in os.environ", "reads the environment"),
        ("import os; x = os.environ.get('PATH')", "reads the environment"),
        ("import os; x = os.getenv('PATH')", "reads the environment"),
        ("from os import environ; x = 'PATH' in environ", "reads the environment"),
        ("import boto3; x = boto3.client('sqs', region_name='eu-central-1')", "makes a boto3.session.Session"),
        ("import httpx; x = httpx.Client()", "makes a httpx.Client"),
        ("import socket; x = socket.socket(); x.close()", "raises socket.__new__"),
        ("from aws_lambda_powertools import Logger; x = Logger()", "reads the environment"),
    ],
)
def test_a_module_that_does_something_is_found(tmp_path: Path, line: str, what: str) -> None:
    folder = tmp_path / "planted"
    folder.mkdir()
    (folder / "__init__.py").touch()
    (folder / "busy.py").write_text(f"{line}\n")
    found = imported("did", "planted.busy", folders=(tmp_path,))
    assert f"planted/busy.py:1 {what}" in found


def test_a_module_that_waits_until_it_is_called_is_not_found(tmp_path: Path) -> None:
    (tmp_path / "calm.py").write_text(
        "import os, boto3, httpx\ndef f():\n    return os.environ, boto3.client, httpx.Client()\n"
    )
    assert imported("did", "calm", folders=(tmp_path,)) == []


def test_the_pins_are_of_the_functions_that_there_are() -> None:
    assert set(PINNED) == set(folders())


@pytest.mark.parametrize("folder", folders())
def test_a_function_loads_no_other_packages_than_it_did(folder: str) -> None:
    found = imported("loaded", f"{folder}.handler")
    assert found == PINNED.get(folder), f"if it is worth its cold start, write into imports.json: {json.dumps(found)}"
