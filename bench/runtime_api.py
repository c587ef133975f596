"""The Lambda service as a function's runtime client sees it: events out, answers in, one function at a time."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from queue import SimpleQueue
from typing import Any
from uuid import uuid4

from bench.built import ACCOUNT, REGION

Json = dict[str, Any]
TIMEOUT_MS = 600_000
"""How long an invocation may take: valgrind is some fifty times slower than the machine."""
TRACE = "Root=1-69200000-0123456789abcdef01234567;Parent=0123456789abcdef;Sampled=1"
"""A function that is called rarely has each of its calls traced, since the first of every second is."""


class Failed(Exception):
    """The function raised, or could not be imported."""


@dataclass
class RuntimeApi:
    """One function's: ``asked`` has the time of each of its requests for an event."""

    address: str = ""
    asked: "SimpleQueue[float]" = field(default_factory=SimpleQueue)
    _events: "SimpleQueue[Json]" = field(default_factory=SimpleQueue)
    _answers: "SimpleQueue[Json | Failed]" = field(default_factory=SimpleQueue)

    def ready(self, seconds: float) -> float:
        """When the function asked for its next event. Raises ``Empty`` where it does not, ``Failed`` if it cannot."""
        asked = self.asked.get(timeout=seconds)
        if asked < 0:
            raise Failed("it could not be started, or ended")
        return asked

    def ended(self) -> None:
        """The function's process is over: nobody need wait for it."""
        self._answers.put(Failed("it ended"))
        self.asked.put(-1)

    def invoke(self, event: Json, seconds: float = TIMEOUT_MS / 1000) -> tuple[Json, float]:
        """The function's answer, and how long that took, in seconds. Raises ``Failed``."""
        begun = time.perf_counter()
        self._events.put(event)
        answer = self._answers.get(timeout=seconds)
        if isinstance(answer, Failed):
            raise answer
        return answer, time.perf_counter() - begun


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: Any) -> None:
        """A function that was stopped left its connection."""


@contextmanager
def runtime_api() -> Iterator[RuntimeApi]:
    """Served on 127.0.0.1 until the block ends."""
    api = RuntimeApi()
    server = _Server(("127.0.0.1", 0), _handler(api))
    api.address = f"127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield api
    finally:
        server.shutdown()
        server.server_close()


def _handler(api: RuntimeApi) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            api.asked.put(time.perf_counter())
            self._answer(200, _about_an_event(), json.dumps(api._events.get()).encode())

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if self.path.endswith("/response"):
                api._answers.put(json.loads(body))
            elif self.path.endswith("/error"):
                api._answers.put(Failed(body.decode(errors="replace")[:3000]))
                api.asked.put(-1)
            self._answer(202, {}, b"")

        def _answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Nothing is logged."""

    return Handler


def _about_an_event() -> dict[str, str]:
    """What the service tells beside it."""
    return {
        "Lambda-Runtime-Aws-Request-Id": str(uuid4()),
        "Lambda-Runtime-Deadline-Ms": str(int(time.time() * 1000) + TIMEOUT_MS),
        "Lambda-Runtime-Trace-Id": TRACE,
        "Lambda-Runtime-Invoked-Function-Arn": f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:bench",
        "Content-Type": "application/json",
    }
