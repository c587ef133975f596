"""The control routes of doors: what went through them and what is to go wrong, JSON in, JSON out."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError, validate_call
from werkzeug.wrappers import Request, Response

if TYPE_CHECKING:
    from local.door import Doorkeeper

CONTROL = "/_control/"


class NoSuchRoute(Exception):
    """No such control route."""


def _json(value: Any, status: int = 200) -> Response:
    return Response(json.dumps(value), status, content_type="application/json")


def control(request: Request, doors: "Sequence[Doorkeeper]") -> Response:
    """Answers a request whose path begins with CONTROL; `local.door` says what there is."""
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


def _at_all(doors: "Sequence[Doorkeeper]", request: Request, what: str) -> Any:
    clock = doors[0].clock
    match request.method, what:
        case "GET", "health":
            return {"status": "ok", "doors": [door.name for door in doors]}
        case "POST", "clock":
            clock.advance(_seconds(**_body(request)))
            return {"now_ms": clock.now_ms()}
        case "GET", "clock":
            return {"now_ms": clock.now_ms()}
    raise NoSuchRoute


@validate_call
def _seconds(*, advance_seconds: float) -> float:
    return advance_seconds


def _at_door(door: "Doorkeeper", request: Request, what: str) -> Any:  # noqa: PLR0911  # one return for each route
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
