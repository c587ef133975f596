"""A WSGI door in front of a simulated provider: call log, faults on demand, movable clock, control routes.

`Door(app, name, operation_of)` is a WSGI application; `side_by_side(doors)` puts several below `/<name>`;
`serve(app)` runs either on a real socket. Besides the provider's own paths a door answers (JSON in, JSON out;
what is not understood is 400 `{"error": ...}`):

    GET    /_control/health                    {"status": "ok", "doors": [names]}
    GET    /_control/clock                     {"now_ms": n}
    POST   /_control/clock                     {"advance_seconds": n}
    GET    /_control/<name>/calls              the calls, oldest first; ?operation= chooses
    DELETE /_control/<name>/calls
    GET    /_control/<name>/faults             what is still to happen
    POST   /_control/<name>/faults             one fault, see `Fault`
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
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from io import BytesIO
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal
from urllib.parse import parse_qsl

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError, validate_call
from werkzeug.datastructures import EnvironHeaders
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.serving import WSGIRequestHandler, make_server
from werkzeug.wrappers import Request, Response

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

type OperationOf = Callable[[str, str], str]
"""Names the provider's operation from method and path; any name ("unknown") for what is none."""

type Action = Callable[..., Any]
type Kind = Literal["status", "slow", "hang", "lose_answer", "refuse", "reset", "garbage"]

FAULT_HEADER = "x-simulator-fault"
"""On an answer: the provider's simulator itself has failed; its body says how. Kept in `Door.violations`."""

DEPARTURE_HEADER = "x-simulator-departure"
"""On an answer: how it departs from the provider's contract on purpose. Kept in `Call.departure`."""

STOPPING = "door.stopping"
CONTROL = "/_control/"
_OWN_FIELDS: dict[str, set[str]] = {
    "status": {"status", "headers", "body"},
    "slow": {"seconds"},
    "hang": {"carry_out"},
}


class Clock:
    """Milliseconds since the epoch: real time plus an offset that only grows."""

    def __init__(self) -> None:
        self._offset_ms = 0

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000 + self._offset_ms

    def advance(self, seconds: float) -> None:
        """Raises ValueError below 0."""
        if not 0 <= seconds < float("inf"):
            raise ValueError("advance_seconds: must be a number of seconds, 0 or more")
        self._offset_ms += round(seconds * 1000)


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
    fault: Kind | None = None
    carried_out: bool = False
    """The provider was asked. It may have refused."""
    departure: str | None = None
    """How the answer departs from the provider's contract on purpose."""


@dataclass(frozen=True)
class Fault:
    """Something to go wrong with the next matching calls. Where several match, the oldest is taken.

    status       answered with `status`, `headers` and `body` (JSON or text); nothing is carried out
    slow         carried out after `seconds` of real time
    hang         no answer until the client goes away or the server stops; `carry_out`: the work is done first
    lose_answer  carried out, then closed without a byte
    refuse       closed without a byte, nothing carried out
    reset        carried out, headers and half the body sent, then closed (an answer without body stays whole)
    garbage      carried out, then 200 with a body that is not JSON

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

    def __post_init__(self) -> None:
        own = _OWN_FIELDS.get(self.kind, set())
        for name in ("status", "headers", "body", "seconds", "carry_out"):
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


def _nothing() -> None:
    return None


class Door:
    """Stands before `app`. What the control routes do are methods here too. Safe to use from any thread."""

    def __init__(
        self,
        app: "WSGIApplication",
        name: str,
        operation_of: OperationOf,
        *,
        clock: Clock | None = None,
        resources: Callable[[], Sequence[Mapping[str, Any]]] = tuple,
        forget: Callable[[], None] = _nothing,
        settings: Any = None,
        actions: Iterable[Action] = (),
    ) -> None:
        """`settings` is a mutable dataclass instance: its fields are what may be set. `forget` drops the
        provider's resources. `actions` are typed functions, reached by their names, arguments by name in
        JSON; what they return is answered as JSON, their ValueError and LookupError as 400."""
        self.app, self.name, self.operation_of = app, name, operation_of
        self.clock = clock or Clock()
        self.resources = resources
        self.settings = settings
        self.violations: list[str] = []
        self.actions = {action.__name__: action for action in actions}
        self._forget = forget
        self._calls: list[Call] = []
        self._faults: list[Fault] = []
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
        fault = TypeAdapter(Fault).validate_python({"kind": kind, "operation": operation, **fields})
        with self._lock:
            self._faults.append(fault)
        return fault

    def faults(self) -> list[Fault]:
        with self._lock:
            return list(self._faults)

    def clear_faults(self) -> None:
        with self._lock:
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

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        if environ["PATH_INFO"].startswith(CONTROL):
            return _control(Request(environ), [self])(environ, start_response)
        raw = Request(environ).get_data()
        environ["wsgi.input"] = BytesIO(raw)
        environ["CONTENT_LENGTH"] = str(len(raw))
        call = self._arrived(environ, raw)
        fault = self._due(call, raw)
        call.fault = fault.kind if fault else None
        response = self._disturbed(fault, environ, call) if fault else self._carry_out(environ, call)
        self._answered(call, response)
        return response(environ, start_response)

    def _arrived(self, environ: "WSGIEnvironment", raw: bytes) -> Call:
        method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
        call = Call(
            seq=next(self._seq),
            at=self.clock.now_ms(),
            operation=self.operation_of(method, path),
            method=method,
            path=path,
            query=dict(parse_qsl(environ.get("QUERY_STRING", ""), keep_blank_values=True)),
            headers={name.lower(): value for name, value in EnvironHeaders(environ)},
            body=_parsed(raw),
        )
        with self._lock:
            self._calls.append(call)
        return call

    def _due(self, call: Call, raw: bytes) -> Fault | None:
        text = "\n".join([call.path, *call.headers.values(), raw.decode(errors="replace")])
        with self._lock:
            for index, fault in enumerate(self._faults):
                if fault.hits(call.operation, text):
                    left = fault.used()
                    self._faults[index : index + 1] = [left] if left else []
                    return None if fault.after else fault
        return None

    def _carry_out(self, environ: "WSGIEnvironment", call: Call) -> Response:
        call.carried_out = True
        try:
            response = Response.from_app(self.app, environ, buffered=True)
        except Exception:  # noqa: BLE001 - whatever the provider trips over has to reach the tests
            response = Response(traceback.format_exc(), 500, {FAULT_HEADER: "exception"})
        if FAULT_HEADER in response.headers:
            self.violations.append(f"{call.operation}: {response.get_data(as_text=True)}")
        call.departure = response.headers.get(DEPARTURE_HEADER)
        return response

    def _disturbed(self, fault: Fault, environ: "WSGIEnvironment", call: Call) -> Response:
        if fault.kind == "status":
            return _made_up(fault)
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
            return Response("{this is not JSON", 200, content_type="application/json")
        if fault.kind == "reset":
            body = response.get_data()
            response.response = _half(body, environ)
            response.content_length = len(body)
        return response

    def _answered(self, call: Call, response: Response) -> None:
        parsed = None if call.fault == "reset" else _parsed(response.get_data())
        with self._lock:
            call.status, call.response = response.status_code, parsed


def side_by_side(doors: Sequence[Door]) -> "WSGIApplication":
    """One application with each door's provider below `/<name>`, and the control routes of all."""

    def outside(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        if environ["PATH_INFO"].startswith(CONTROL):
            return _control(Request(environ), doors)(environ, start_response)
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
        if _client_has_left(environ["werkzeug.socket"]):
            break
    return _close(environ)


def _client_has_left(connection: socket.socket) -> bool:
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


def _made_up(fault: Fault) -> Response:
    if isinstance(fault.body, str) or fault.body is None:
        response = Response(fault.body or "", fault.status)
    else:
        response = Response(json.dumps(fault.body), fault.status, content_type="application/json")
    response.headers.update(fault.headers or {})
    return response


def _parsed(raw: bytes) -> Any:
    try:
        return json.loads(raw)
    except ValueError:
        return raw.decode(errors="replace")


# ---- control routes ----


class NoSuchRoute(Exception):
    """No such control route."""


def _json(value: Any, status: int = 200) -> Response:
    return Response(json.dumps(value), status, content_type="application/json")


def _control(request: Request, doors: Sequence[Door]) -> Response:
    first, _, what = request.path.removeprefix(CONTROL).partition("/")
    named = {door.name: door for door in doors}
    try:
        if first in named:
            return _json(_at_door(named[first], request, what))
        return _json(_at_all(doors, request, f"{first}/{what}".rstrip("/")))
    except ValidationError as error:
        return _json({"error": _said(error)}, 400)
    except (ValueError, LookupError) as error:
        return _json({"error": str(error)}, 400)
    except NoSuchRoute:
        return _json({"error": f"no control route {request.method} {request.path}"}, 404)


def _said(error: ValidationError) -> str:
    """Without the values that were sent: they may be keys."""
    return "; ".join(".".join(map(str, item["loc"])) + ": " + item["msg"] for item in error.errors())


def _body(request: Request) -> dict[str, Any]:
    raw = request.get_data()
    try:
        body = json.loads(raw) if raw else {}
    except ValueError:
        raise ValueError("the body is not JSON") from None
    if not isinstance(body, dict):
        raise ValueError("the body is not a JSON object")
    return body


def _at_all(doors: Sequence[Door], request: Request, what: str) -> Any:
    clock = doors[0].clock
    match request.method, what:
        case "GET", "health":
            return {"status": "ok", "doors": [door.name for door in doors]}
        case "POST", "clock":
            return _advance(clock, **_body(request))
        case "GET", "clock":
            return {"now_ms": clock.now_ms()}
    raise NoSuchRoute


@validate_call(config={"arbitrary_types_allowed": True})
def _advance(clock: Clock, *, advance_seconds: float) -> dict[str, int]:
    clock.advance(advance_seconds)
    return {"now_ms": clock.now_ms()}


def _at_door(door: Door, request: Request, what: str) -> Any:  # noqa: PLR0911 - one return for each route
    match request.method, what:
        case "GET", "calls":
            return [asdict(call) for call in door.calls(request.args.get("operation"))]
        case "DELETE", "calls":
            return door.clear_calls()
        case "GET", "faults":
            return [asdict(fault) for fault in door.faults()]
        case "POST", "faults":
            return asdict(door.fault(**_with_kind(_body(request))))
        case "DELETE", "faults":
            return door.clear_faults()
        case "GET", "resources":
            return list(door.resources())
        case "GET", "violations":
            return door.violations
        case "POST", "reset":
            return door.reset()
        case "POST", "settings":
            door.configure(**_body(request))
            return asdict(door.settings)
        case "GET", "settings":
            return asdict(door.settings) if door.settings is not None else {}
        case "POST", action if action in door.actions:
            return validate_call(door.actions[action])(**_body(request))
    raise NoSuchRoute


def _with_kind(fields: dict[str, Any]) -> dict[str, Any]:
    if "kind" not in fields:
        raise ValueError("kind: missing")
    return fields
