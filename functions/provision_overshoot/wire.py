"""What both of Overshoot's APIs have in common: the stored secret, request bodies, and how their answers are read."""

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict, JsonValue, Secret, SecretStr

from headwater.errors import Fault
from headwater.http import HeaderText
from headwater.provider import Options
from headwater.streams import Access, Frozen

WORD = re.compile(r"[a-z]+(_[a-z]+)*")
"""What an error code looks like. Anything else in its place may be prose, which may repeat what was sent."""


class OvershootSecret(Frozen):
    """The provider's secret as Secrets Manager keeps it: ``{"api_key": "..."}``, for both APIs."""

    model_config = ConfigDict(hide_input_in_errors=True)

    api_key: HeaderText

    def headers(self) -> dict[str, SecretStr]:
        """What authenticates a call."""
        return {"Authorization": SecretStr(f"Bearer {self.api_key.get_secret_value()}")}


# ---- requests ----


def request_body(options: Options) -> dict[str, JsonValue]:
    """The provider's request, secrets in clear: our names are its names. What is None is left out."""
    return {name: part for name, part in _clear(options).items() if name != "api_version"}


def _clear(model: BaseModel) -> dict[str, JsonValue]:
    return {name: _clear_part(part) for name, part in model if part is not None}


def _clear_part(part: Any) -> JsonValue:
    if isinstance(part, BaseModel):
        return _clear(part)
    value: JsonValue = part.get_secret_value() if isinstance(part, SecretStr) else part
    return value


def holds_secrets(part: Any) -> bool:
    """Whether options, or a part of them, hold a secret of the caller's."""
    if isinstance(part, BaseModel):
        return any(holds_secrets(member) for _, member in part)
    return isinstance(part, SecretStr)


def stream_path(ref: str, *rest: str) -> str:
    """The path of a stream, or of something below it."""
    return "/".join(["/streams", quote(ref, safe=""), *rest])


# ---- answers ----


def members(body: JsonValue) -> dict[str, JsonValue]:
    """The object that ``body`` is, else an empty one."""
    return body if isinstance(body, dict) else {}


def text(body: JsonValue, name: str) -> str | None:
    """A member that is a text; None where there is none."""
    value = members(body).get(name)
    return value if isinstance(value, str) and value else None


def word(value: JsonValue) -> str | None:
    """An error code, if it is one."""
    return value if isinstance(value, str) and WORD.fullmatch(value) else None


def ttl_seconds(body: JsonValue) -> int | None:
    """How long the lease is by an answer, which is what counts; None where it is not told."""
    ttl = members(body).get("ttl_seconds")
    return int(ttl) if isinstance(ttl, int | float) and 1 <= ttl < float("inf") else None


def room(url: str | None, token: str | None) -> tuple[Access, ...]:
    """The LiveKit room to publish to. Its address opens nothing without the token."""
    return (Access(protocol="livekit", url=url, secrets={"token": Secret[JsonValue](token)}),) if token else ()


def faults(details: JsonValue) -> tuple[Fault, ...]:
    """What is wrong with a request, from ``[{loc, msg, type?}]``; only what points into its body."""
    return tuple(_faults(details if isinstance(details, list) else []))


def _faults(details: list[JsonValue]) -> Iterator[Fault]:
    for each in details:
        where, what = members(each).get("loc"), text(each, "msg")
        if isinstance(where, list) and where[:1] == ["body"] and what:
            yield Fault(_pointer(where[1:]), word(members(each).get("type")) or "rejected", what)


def _pointer(steps: list[JsonValue]) -> str:
    return "".join("/" + str(step).replace("~", "~0").replace("/", "~1") for step in steps)
