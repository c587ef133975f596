"""A WSGI door in front of a simulated provider: call log, faults on demand, movable clock, control routes.

`Door(app, name, operation_of)` is a WSGI application; `side_by_side(doors)` puts several below `/<name>`;
`serve(app)` runs either on a real socket. Besides the provider's own paths a door answers (JSON in, JSON out;
what is not understood is 400 `{"error": ...}`):

    GET    /_control/health                    {"status": "ok", "doors": [names]}
    GET    /_control/clock                     {"now_ms": n}
    POST   /_control/clock                     {"advance_seconds": n}, for all whose clock has the same file
    GET    /_control/<name>/calls              the calls, oldest first; ?operation= chooses
    DELETE /_control/<name>/calls
    GET    /_control/<name>/faults             what is still to happen
    POST   /_control/<name>/faults             one fault, see `local.faults.Fault`
    DELETE /_control/<name>/faults
    GET    /_control/<name>/resources          what is alive at the provider; no secrets
    GET    /_control/<name>/violations         answers that departed from the contract unasked
    POST   /_control/<name>/reset              forgets resources, calls, faults and violations; settings stay
    GET    /_control/<name>/settings
    POST   /_control/<name>/settings           any of the provider's settings
    POST   /_control/<name>/<action>           the provider's own actions, arguments by name
"""

import itertools
import json
import socket
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from pydantic import TypeAdapter
from werkzeug.datastructures import EnvironHeaders
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.serving import WSGIRequestHandler, make_server
from werkzeug.wrappers import Request, Response

from local.clock import move, moved_ms
from local.control import CONTROL, control
from local.faults import GARBAGE, Fault, Faults, Kind, parsed
from local.killing import NoVictim, Victims, caller, nobody

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

type OperationOf = Callable[[str, str], str]
"""Names the provider's operation from method and path; any name ("unknown") for what is none."""

type Action = Callable[..., Any]
FAULT_HEADER = "x-simulator-fault"
"""On an answer: the provider's simulator itself has failed; its body says how. Kept in `Door.violations`."""

DEPARTURE_HEADER = "x-simulator-departure"
"""On an answer: how it departs from the provider's contract on purpose. Kept in `Call.departure`."""

STOPPING = "door.stopping"


class Clock:
    """Milliseconds since the epoch: real time plus how far it was moved, which only grows.

    Clocks with the same file are moved together, in whatever processes they are; one without is moved alone.
    """

    def __init__(self, file: Path | None = None) -> None:
        """See `local.clock` for the file."""
        self._file = file
        self._moved_ms = 0

    def now_ms(self) -> int:
        ahead = moved_ms(self._file) if self._file else self._moved_ms
        return time.time_ns() // 1_000_000 + ahead

    def advance(self, seconds: float) -> None:
        """Raises ValueError below 0."""
        if not 0 <= seconds < float("inf"):
            raise ValueError("advance_seconds: must be a number of seconds, 0 or more")
        by_ms = round(seconds * 1000)
        if self._file:
            move(self._file, by_ms)
        else:
            self._moved_ms += by_ms


@dataclass
class Call:
    """One call as it came in and what became of it; it is in the log from its arrival on."""

    seq: int
    at: int
    operation: str
    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: Any
    """Parsed JSON, else text; "" when there was none."""
    status: int | None = None
    """None as long as no answer was given, which after some faults is for ever."""
    response: Any = None
    """As `body`; None when the client did not get a whole answer."""
    answered_at: int | None = None
    """As `at`; None where `status` is."""
    fault: Kind | None = None
    carried_out: bool = False
    """The provider was asked. It may have refused."""
    departure: str | None = None
    """How the answer departs from the provider's contract on purpose."""


def _nothing() -> None:
    return None


class Doorkeeper:
    """Logs the calls and has the faults of one door. What its control routes do are methods here.

    Safe to use from any thread."""

    def __init__(
        self,
        name: str,
        *,
        clock: Clock | None = None,
        resources: Callable[[], Sequence[Mapping[str, Any]]] = tuple,
        forget: Callable[[], None] = _nothing,
        settings: Any = None,
        actions: Iterable[Action] = (),
        victims: Victims = nobody,
        batches: Collection[str] = (),
        keep: int | None = None,
    ) -> None:
        """`settings` is a mutable dataclass instance: its fields are what may be set. `forget` drops the
        provider's resources. `actions` are typed functions, reached by their names, arguments by name in
        JSON; what they return is answered as JSON, their ValueError and LookupError as 400. A fault may kill
        no other processes than `victims`. `batches` are the operations that are answered entry by entry.
        The log holds the last `keep` calls."""
        self.name = name
        self.clock = clock or Clock()
        self.resources = resources
        self.settings = settings
        self.violations: list[str] = []
        self.actions = {action.__name__: action for action in actions}
        self.victims = victims
        self._forget = forget
        self._batches = batches
        self._calls: deque[Call] = deque(maxlen=keep)
        self._faults = Faults()
        self._seq = itertools.count(1)
        self._lock = threading.Lock()

    def calls(self, operation: str | None = None) -> list[Call]:
        """Copies, oldest first, calls still under way included."""
        with self._lock:
            return [replace(call) for call in self._calls if operation in (None, call.operation)]

    def clear_calls(self) -> None:
        with self._lock:
            self._calls.clear()

    def fault(self, kind: Kind, operation: str = "*", **fields: Any) -> Fault:
        """Adds a fault. Raises ValueError (pydantic's) naming each field that does not fit `Fault`."""
        fault = parsed(kind=kind, operation=operation, **fields)
        if kind == "refuse_entries" and operation not in self._batches:
            raise ValueError(f"operation: refuse_entries is for {', '.join(self._batches) or 'none here'}")
        self._faults.add(fault)
        return fault

    def faults(self) -> list[Fault]:
        return self._faults.waiting()

    def clear_faults(self) -> None:
        self._faults.clear()

    def configure(self, **values: Any) -> None:
        """Sets settings, all or none. Raises ValueError for an unknown name or a value of the wrong type."""
        known = asdict(self.settings) if self.settings is not None else {}
        if unknown := sorted(values.keys() - known.keys()):
            raise ValueError(f"unknown settings: {', '.join(unknown)}; known: {', '.join(known) or 'none'}")
        checked = TypeAdapter(type(self.settings)).validate_python(known | values)
        for name in values:
            setattr(self.settings, name, getattr(checked, name))

    def reset(self) -> None:
        """Forgets resources, calls, faults and violations. Settings and clock stay."""
        self._forget()
        self.clear_calls()
        self.clear_faults()
        self.violations.clear()

    def arrived(self, operation: str, method: str, path: str, **rest: Any) -> Call:
        """A call that begins, logged. `rest` are other fields of `Call`."""
        fields = {"query": {}, "headers": {}, "body": "", **rest}
        call = Call(next(self._seq), self.clock.now_ms(), operation, method, path, **fields)
        with self._lock:
            self._calls.append(call)
        return call

    def due(self, call: Call, text: str) -> Fault | None:
        """The fault that is to happen to this call, whose words are `text`."""
        fault = self._faults.due(call.operation, text)
        call.fault = fault.kind if fault else None
        return fault

    def answered(self, call: Call, status: int, response: Any = None) -> None:
        with self._lock:
            call.status, call.response, call.answered_at = status, response, self.clock.now_ms()


class Door(Doorkeeper):
    """Stands before `app`."""

    def __init__(self, app: "WSGIApplication", name: str, operation_of: OperationOf, **rest: Any) -> None:
        """`rest` are the named arguments of `Doorkeeper`."""
        super().__init__(name, **rest)
        self.app, self.operation_of = app, operation_of

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        if environ["PATH_INFO"].startswith(CONTROL):
            return control(Request(environ), [self])(environ, start_response)
        raw = Request(environ).get_data()
        environ["wsgi.input"] = BytesIO(raw)
        environ["CONTENT_LENGTH"] = str(len(raw))
        call = self._logged(environ, raw)
        words = [call.path, *call.headers.values(), raw.decode(errors="replace")]
        fault = self.due(call, "\n".join(words))
        response = self._disturbed(fault, environ, call) if fault else self._carry_out(environ, call)
        self.answered(call, response.status_code, None if call.fault == "reset" else _parsed(response.get_data()))
        return response(environ, start_response)

    def _logged(self, environ: "WSGIEnvironment", raw: bytes) -> Call:
        method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
        return self.arrived(
            self.operation_of(method, path),
            method,
            path,
            query=dict(parse_qsl(environ.get("QUERY_STRING", ""), keep_blank_values=True)),
            headers={name.lower(): value for name, value in EnvironHeaders(environ)},
            body=_parsed(raw),
        )

    def _carry_out(self, environ: "WSGIEnvironment", call: Call) -> Response:
        call.carried_out = True
        try:
            response = Response.from_app(self.app, environ, buffered=True)
        except Exception:  # noqa: BLE001  # whatever the provider trips over has to reach the tests
            response = Response(traceback.format_exc(), 500, {FAULT_HEADER: "exception"})
        if FAULT_HEADER in response.headers:
            self.violations.append(f"{call.operation}: {response.get_data(as_text=True)}")
        call.departure = response.headers.get(DEPARTURE_HEADER)
        return response

    def _disturbed(self, fault: Fault, environ: "WSGIEnvironment", call: Call) -> Response:
        if fault.kind == "status":
            return fault.answer()
        if fault.kind == "kill":
            return self._kill(fault, environ, call)
        if fault.kind == "refuse":
            _close(environ)
        if fault.kind == "hang" and not fault.carry_out:
            _hang(environ)
        if fault.kind == "slow":
            pause(environ, fault.seconds or 0)
        response = self._carry_out(environ, call)
        if fault.kind == "hang":
            _hang(environ)
        if fault.kind == "lose_answer":
            _close(environ)
        if fault.kind == "garbage":
            return Response(GARBAGE, 200, content_type="application/json")
        if fault.kind == "reset":
            body = response.get_data()
            response.response = _half(body, environ)
            response.content_length = len(body)
        return response

    def _kill(self, fault: Fault, environ: "WSGIEnvironment", call: Call) -> Response:
        try:
            victim = caller(environ["werkzeug.socket"], self.victims)
        except NoVictim as reason:
            return spared(reason)
        if fault.carry_out:
            self._carry_out(environ, call)
        victim.kill()
        return _close(environ)


def spared(reason: NoVictim) -> Response:
    """What a caller is told that was to be killed and may not be."""
    return Response(str(reason), 500, {FAULT_HEADER: "kill"})


def side_by_side(doors: Sequence[Door]) -> "WSGIApplication":
    """One application with each door's provider below `/<name>`, and the control routes of all."""

    def outside(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        if environ["PATH_INFO"].startswith(CONTROL):
            return control(Request(environ), doors)(environ, start_response)
        return Response("no provider here", 404)(environ, start_response)

    return DispatcherMiddleware(outside, {f"/{door.name}": door for door in doors})


class _Quiet(WSGIRequestHandler):
    """Writes no request lines: they may carry keys."""

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Nothing."""


@contextmanager
def serve(app: "WSGIApplication", port: int = 0, host: str = "127.0.0.1") -> Iterator[str]:
    """Serves `app` in threads until the block ends; yields the base URL. Port 0 takes a free one.

    Calls under way do not hold up the end: hanging ones are let go. A taken port ends the process
    (SystemExit)."""
    stopping = threading.Event()

    def stamped(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        environ[STOPPING] = stopping
        return app(environ, start_response)

    server = make_server(host, port, stamped, threaded=True, request_handler=_Quiet)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"http://{host}:{server.port}"
    finally:
        stopping.set()
        server.shutdown()
        thread.join()


# ---- what faults do to the socket ----


def pause(environ: "WSGIEnvironment", seconds: float) -> None:
    """Waits that long in real time, or until the server stops."""
    _stopping(environ).wait(seconds)


def _stopping(environ: "WSGIEnvironment") -> threading.Event:
    event: threading.Event = environ.get(STOPPING) or threading.Event()
    return event


def _close(environ: "WSGIEnvironment") -> Response:
    """Ends the connection with nothing (more) sent; werkzeug takes it for a client that left."""
    connection: socket.socket | None = environ.get("werkzeug.socket")
    if connection:
        connection.shutdown(socket.SHUT_RDWR)
    raise ConnectionAbortedError("closed by a fault on demand")


def _hang(environ: "WSGIEnvironment") -> Response:
    stopping = _stopping(environ)
    while not stopping.wait(0.05):
        if peer_has_left(environ["werkzeug.socket"]):
            break
    return _close(environ)


def peer_has_left(connection: socket.socket) -> bool:
    """Whether the other side has ended the connection."""
    try:
        return connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True


def _half(body: bytes, environ: "WSGIEnvironment") -> Iterator[bytes]:
    if body:
        yield body[: len(body) // 2]
        _close(environ)


def _parsed(raw: bytes) -> Any:
    try:
        return json.loads(raw)
    except ValueError:
        return raw.decode(errors="replace")
