"""A function's process as Lambda runs it with SnapStart, on commands: initialised, asked to serve, halted, restored.

``python restoring.py``, in the environment of the function. It reads commands from standard input, a line of JSON each,
and answers each with one. A restore is a fork: any number of environments go on from one state.
"""

import gc
import json
import os
import random
import sys
import uuid
from collections.abc import Callable, Iterator
from importlib import import_module
from secrets import token_hex
from types import SimpleNamespace
from typing import Any

import psutil
from snapshot_restore_py import get_after_restore, get_before_snapshot

SECRET = "-".join(("canary", ""))
"""What each secret of a test begins with. It stands nowhere else, not even here in one piece."""
CONTEXT = SimpleNamespace(get_remaining_time_in_millis=lambda: 20_000, aws_request_id="1")

type Told = dict[str, Any]


def main() -> None:
    commands: dict[str, Callable[..., Told]] = {one.__name__: one for one in (init, create, look, halt, restore)}
    for line in sys.stdin:
        command = json.loads(line)
        told = {"of": command["do"], **commands[command.pop("do")](**command)}
        answer = json.dumps(told)
        del line, command, told  # they may hold what is searched for next
        print(answer, flush=True)
        del answer


def init(function: str) -> Told:
    """What Lambda does once: the handler's module is imported."""
    import_module(f"{function}.handler")
    return {}


def create(function: str, event: Told) -> Told:
    handler = import_module(f"{function}.handler").handler
    answer = handler(event, CONTEXT)
    return {"status": answer["statusCode"]}


def look() -> Told:
    """Each secret that anything in this process leads to, and how many of its sockets are open."""
    gc.unfreeze()  # what a function's preparation has set aside is to be searched as well
    gc.collect()
    return {"secrets": sorted(set(texts())), "sockets": len(psutil.Process().net_connections("tcp"))}


def halt() -> Told:
    """What the runtime does before a snapshot: ``awslambdaric.lambda_runtime_hooks_runner``."""
    hooks = get_before_snapshot()
    while hooks:
        hook, arguments, named = hooks.pop()
        hook(*arguments, **named)
    return {}


def restore(function: str, event: Told) -> Told:
    """A call that is served in an environment of its own, which goes on from this state; and the dice that it rolls."""
    reading, writing = os.pipe()
    dice_were = random.getstate()
    if not os.fork():
        random.setstate(dice_were)  # Python has others in a fork, and knows of no snapshot
        for hook, arguments, named in get_after_restore():
            hook(*arguments, **named)
        dice = {"random": random.random(), "token": token_hex(8), "uuid": str(uuid.uuid4())}  # noqa: S311  # as is
        os.write(writing, json.dumps({**create(function, event), **dice}).encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as told:
        answer: Told = json.loads(told.read())
    os.wait()
    return answer


def texts() -> Iterator[str]:
    seen: set[int] = set()
    waiting = gc.get_objects()
    while waiting:
        one = waiting.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        if isinstance(one, bytes | bytearray):
            one = bytes(one).decode(errors="replace")
        if isinstance(one, str):
            if SECRET in one and one != SECRET:
                yield one[one.index(SECRET) :][:80]
        else:
            waiting += gc.get_referents(one)


if __name__ == "__main__":
    main()
