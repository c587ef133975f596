"""Faults on demand: what may go wrong with a call, and what is still to go wrong."""

import json
import threading
from dataclasses import dataclass, replace
from typing import Annotated, Any, ClassVar, Literal

from pydantic import ConfigDict, Field, TypeAdapter
from werkzeug.wrappers import Response

type Kind = Literal["status", "slow", "hang", "lose_answer", "refuse", "reset", "garbage", "kill", "refuse_entries"]

_OWN_FIELDS: dict[str, set[str]] = {
    "status": {"status", "headers", "body"},
    "slow": {"seconds"},
    "hang": {"carry_out"},
    "kill": {"carry_out"},
    "refuse_entries": {"which"},
}


@dataclass(frozen=True)
class Fault:
    """Something to go wrong with the next matching calls. Where several match, the oldest is taken.

    status          answered with `status`, `headers` and `body` (JSON or text); nothing is carried out
    slow            carried out after `seconds` of real time
    hang            no answer until the client goes away or the server stops; `carry_out`: the work is done first
    lose_answer     carried out, then closed without a byte
    refuse          closed without a byte, nothing carried out
    reset           carried out, headers and half the body sent, then closed (an answer without body stays whole)
    garbage         carried out, then 200 with a body that is not JSON
    kill            the calling process dies of SIGKILL; `carry_out`: the work is done first. Where the caller is
                    none that the door may kill, 500 is answered with FAULT_HEADER and nothing is carried out
    refuse_entries  of a batch call: 200, but of its entries the first, the third and so on failed, or, where
                    `which` is "all", every one; the others are carried out

    `operation` is a name or "*"; `containing` limits it to calls with that text in the path, a header's value
    or the body, so that tests can run side by side; the first `after` matching calls pass; the next `times`
    are hit.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    kind: Kind
    operation: str = "*"
    containing: str = ""
    after: Annotated[int, Field(ge=0)] = 0
    times: Annotated[int, Field(ge=1)] = 1
    status: Annotated[int, Field(ge=200, le=599)] | None = None
    headers: dict[str, str] | None = None
    body: Any = None
    seconds: Annotated[float, Field(ge=0, le=600)] | None = None
    carry_out: bool | None = None
    which: Literal["alternate", "all"] | None = None

    def __post_init__(self) -> None:
        own = _OWN_FIELDS.get(self.kind, set())
        for name in ("status", "headers", "body", "seconds", "carry_out", "which"):
            if getattr(self, name) is not None and name not in own:
                raise ValueError(f"a fault of kind {self.kind} has no {name}")
        needed = {"status": "status", "slow": "seconds"}.get(self.kind)
        if needed and getattr(self, needed) is None:
            raise ValueError(f"a fault of kind {self.kind} needs {needed}")

    def hits(self, operation: str, text: str) -> bool:
        return self.operation in ("*", operation) and self.containing in text

    def used(self) -> "Fault | None":
        """What is left of it after one matching call; None when nothing is."""
        if self.after:
            return replace(self, after=self.after - 1)
        return replace(self, times=self.times - 1) if self.times > 1 else None

    def answer(self) -> Response:
        """Of a fault of kind status."""
        if isinstance(self.body, str) or self.body is None:
            response = Response(self.body or "", self.status)
        else:
            response = Response(json.dumps(self.body), self.status, content_type="application/json")
        response.headers.update(self.headers or {})
        return response


class Faults:
    """Those of one door that are still to happen. Safe to use from any thread."""

    def __init__(self) -> None:
        self._waiting: list[Fault] = []
        self._lock = threading.Lock()

    def add(self, fault: Fault) -> None:
        with self._lock:
            self._waiting.append(fault)

    def waiting(self) -> list[Fault]:
        with self._lock:
            return list(self._waiting)

    def clear(self) -> None:
        with self._lock:
            self._waiting.clear()

    def due(self, operation: str, text: str) -> Fault | None:
        """What is to happen to this call, which counts as one matching call."""
        with self._lock:
            for index, fault in enumerate(self._waiting):
                if fault.hits(operation, text):
                    left = fault.used()
                    self._waiting[index : index + 1] = [left] if left else []
                    return None if fault.after else fault
        return None


def parsed(**fields: Any) -> Fault:
    """Raises ValueError (pydantic's) naming each field that does not fit `Fault`."""
    return TypeAdapter(Fault).validate_python(fields)


GARBAGE = "{this is not JSON"
"""The body of an answer that a fault of kind garbage has spoilt."""
