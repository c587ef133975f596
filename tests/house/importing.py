"""``python importing.py loaded|did FOLDERS HIDDEN MODULE…``: imports modules, and prints as JSON what came of it.

It runs in a process of its own, as what is imported once is not imported again. What is in ``FOLDERS``, joined by
colons, is the product. ``HIDDEN``, joined by colons, are packages that are installed here and not in Lambda.
"""

import builtins
import importlib
import json
import os
import sys
from collections.abc import Callable, Iterator, MutableMapping
from importlib.abc import MetaPathFinder
from types import FrameType
from typing import Any

FOLDERS = sys.argv[2].split(":")
HIDDEN = frozenset(sys.argv[3].split(":"))
MODULES = sys.argv[4:]


def main() -> None:
    sys.path[:0] = FOLDERS
    sys.meta_path.insert(0, Absent())
    print(json.dumps({"loaded": loaded, "did": did}[sys.argv[1]]()))


class Absent(MetaPathFinder):
    """Finds that what is hidden is not there."""

    def find_spec(self, fullname: str, path: Any, target: Any = None) -> None:
        if fullname in HIDDEN:
            raise ModuleNotFoundError(f"{fullname} is not there in Lambda", name=fullname)


def loaded() -> list[str]:
    """The third-party packages that are loaded when the modules are."""
    before = set(sys.modules)
    for name in MODULES:
        importlib.import_module(name)
    new = [module for name, module in list(sys.modules.items()) if name not in before]
    installed = [module for module in new if "site-packages" in (getattr(module, "__file__", None) or "")]
    return sorted({module.__name__.partition(".")[0] for module in installed})


def did() -> list[str]:
    """What the modules did while they were imported that they should not: each with its place."""
    found: list[str] = []
    watch(found)
    for name in MODULES:
        importlib.import_module(name)
    return sorted(set(found))


def watch(found: list[str]) -> None:
    """Note reads of the environment, clients that are made, and sockets."""

    def note(what: str) -> None:
        if place := ours():
            found.append(f"{place} {what}")

    watched: Any = Environment(os.environ, lambda: note("reads the environment"))
    os.environ = watched  # noqa: B003  # it is not to be cleared but to be watched
    import boto3.session
    import botocore.session
    import httpx

    for kind in (boto3.session.Session, botocore.session.Session, httpx.Client, httpx.AsyncClient):
        made: Any = noting(kind.__init__, note, f"makes a {kind.__module__}.{kind.__name__}")
        kind.__init__ = made  # type: ignore[method-assign] # that is how it is watched

    def hook(event: str, _: Any) -> None:
        if event.startswith(("socket.", "subprocess.", "urllib.")):
            note(f"raises {event}")

    sys.addaudithook(hook)


def noting(real: Callable[..., None], note: Callable[[str], None], what: str) -> Callable[..., None]:
    def instead(*args: Any, **kwargs: Any) -> None:
        note(what)
        real(*args, **kwargs)

    return instead


def ours() -> str | None:
    """The place of the product at which this came about; None where a package did it by itself when it was imported.

    Or when a model was made: pydantic reads settings of its own then.
    """
    frame: FrameType | None = sys._getframe(1)
    while frame:
        file = frame.f_code.co_filename
        if file.startswith("<frozen importlib") or "/site-packages/pydantic/" in file:
            return None
        if any(file.startswith(folder) for folder in FOLDERS):
            return f"{os.path.basename(os.path.dirname(file))}/{os.path.basename(file)}:{frame.f_lineno}"
        frame = frame.f_back
    return None


class Environment(MutableMapping[str, str]):
    """The environment, which tells when it is read."""

    def __init__(self, real: MutableMapping[str, str], told: Callable[[], None]) -> None:
        self._real = real
        self._told = told

    def __getitem__(self, name: str) -> str:
        self._told()
        return self._real[name]

    def __iter__(self) -> Iterator[str]:
        self._told()
        return iter(self._real)

    def __len__(self) -> int:
        return builtins.len(self._real)

    def __setitem__(self, name: str, value: str) -> None:
        self._real[name] = value

    def __delitem__(self, name: str) -> None:
        del self._real[name]

    def copy(self) -> dict[str, str]:
        return dict(self)


if __name__ == "__main__":
    main()
