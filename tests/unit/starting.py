"""``python starting.py FUNCTION HIDDEN LATE < events``: a function starts as in Lambda, and is called.

In a process of its own, as what is imported once is not imported again. ``HIDDEN``, joined by colons, are packages that
are installed here and not in Lambda; ``LATE``, variables that are not there before the first call. A line of input is
an event, a line of output JSON: of what came of the start, then of each call.
"""

import gc
import json
import os
import sys
from importlib import import_module
from importlib.abc import MetaPathFinder
from types import SimpleNamespace
from typing import Any

FUNCTION = sys.argv[1]
HIDDEN = frozenset(sys.argv[2].split(":"))
LATE = {name: os.environ.pop(name) for name in sys.argv[3].split(":") if name}
CONTEXT = SimpleNamespace(get_remaining_time_in_millis=lambda: 20_000, aws_request_id="1")

type Told = dict[str, Any]


class Watch(MetaPathFinder):
    """Hides what is hidden, and notes which modules of ours are searched while garbage is."""

    def __init__(self) -> None:
        self.swept: list[str] = []
        self.called: list[str] = []
        sys.meta_path.insert(0, self)
        sys.addaudithook(self._hear)

    def find_spec(self, fullname: str, path: Any, target: Any = None) -> None:
        top = fullname.partition(".")[0]
        if top in HIDDEN:
            raise ModuleNotFoundError(f"{fullname} is not there in Lambda", name=fullname)
        if gc.isenabled() and top in {FUNCTION, "headwater"}:
            self.swept.append(fullname)

    def _hear(self, event: str, told: tuple[Any, ...]) -> None:
        if event in {"socket.connect", "socket.getaddrinfo"}:
            self.called.append(str(told[1:]))


def main() -> None:
    watch = Watch()
    handler = import_module(f"{FUNCTION}.handler").handler
    tell({"collects": gc.isenabled(), "frozen": gc.get_freeze_count(), "swept": watch.swept, "called": watch.called})
    os.environ.update(LATE)
    for line in sys.stdin:
        answer = handler(json.loads(line), CONTEXT)
        tell({"status": answer["statusCode"], "called": watch.called})


def tell(told: Told) -> None:
    """This, and what is loaded and made by now."""
    names = list(sys.modules)
    installed = {name for name in names if "site-packages" in (getattr(sys.modules[name], "__file__", None) or "")}
    told["ours"] = sorted(name for name in names if name.partition(".")[0] in {FUNCTION, "headwater"})
    told["packages"] = sorted({name.partition(".")[0] for name in installed})
    told["clients"] = clients()
    told["models"] = sorted(built())
    print(json.dumps({"told": told}), flush=True)


def clients() -> list[str]:
    """Of what services there are clients, with which there is one more for each more that there is."""
    gc.unfreeze()  # what a function's preparation has set aside is to be looked at as well
    from botocore.client import BaseClient

    made = [one for one in gc.get_objects() if isinstance(one, BaseClient)]
    return sorted(str(one.meta.service_model.service_name) for one in made)


def built() -> set[str]:
    """Our models that are built: pydantic puts that off."""
    from pydantic import BaseModel

    waiting, found = [BaseModel], set()
    while waiting:
        model = waiting.pop()
        waiting += model.__subclasses__()
        if model.__pydantic_complete__:
            found.add(model.__qualname__)
    return found


if __name__ == "__main__":
    main()
