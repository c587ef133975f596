"""A call as a REST API hands it to Lambda, who answers it, and the answer. Pure.

Powertools' resolver does all this and much more, for a fifth of a function's start.
"""

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any


@dataclass(frozen=True)
class Answer:
    """What is answered; ``body`` is text."""

    status: int
    body: str
    headers: Mapping[str, str]

    def proxied(self) -> dict[str, Any]:
        """As Lambda hands it to a REST API."""
        headers = {name: [value] for name, value in self.headers.items()}
        return {
            "statusCode": self.status,
            "multiValueHeaders": headers,
            "body": self.body,
            "isBase64Encoded": False,
        }


class Call:
    """One API Gateway proxy event."""

    def __init__(self, event: Mapping[str, Any]) -> None:
        self._event = event
        self.context: Mapping[str, Any] = event["requestContext"]
        self.method: str = event["httpMethod"]
        self.path: str = event["path"]

    @cached_property
    def headers(self) -> dict[str, str]:
        """By lower-case name."""
        return {name.lower(): value for name, value in (self._event.get("headers") or {}).items()}

    @property
    def query(self) -> dict[str, str]:
        """The query's parameters; of one that is given twice, the last."""
        return self._event.get("queryStringParameters") or {}

    @property
    def text(self) -> str:
        """The body; empty where there is none. Raises ``ValueError`` where it is not UTF-8."""
        body: str = self._event.get("body") or ""
        return base64.b64decode(body, validate=True).decode() if self._event.get("isBase64Encoded") else body


type Answerer = Callable[..., Answer]


class Routes:
    """Who answers what. In a path ``<name>`` stands for any one segment, and ``<+>`` at its end for all that follow.

    None is empty. Slashes at a call's end are nothing: API Gateway hands them over as they were sent.
    """

    def __init__(self) -> None:
        self._routes: list[tuple[str, str, Answerer]] = []

    def add(self, method: str, path: str, answerer: Answerer) -> None:
        """Of several that fit a call the first is taken. ``method`` ``*`` is any."""
        self._routes.append((method, path, answerer))

    @property
    def known(self) -> list[tuple[str, str]]:
        """Every method and path."""
        return [(method, path) for method, path, _ in self._routes]

    def find(self, call: Call) -> tuple[Answerer, dict[str, str]] | None:
        """Who answers the call, and what stands in the place of each name; None where nobody does."""
        segments = call.path.rstrip("/").split("/")
        for method, path, answerer in self._routes:
            if method in {call.method, "*"} and (names := _names(path.split("/"), segments)) is not None:
                return answerer, names
        return None


def _names(pattern: list[str], segments: list[str]) -> dict[str, str] | None:
    """What stands in the place of each name; None where the segments are of another form."""
    if pattern[-1] == "<+>":
        pattern = pattern[:-1]
        segments, rest = segments[: len(pattern)], segments[len(pattern) :]
        if not rest or not all(rest):
            return None
    if len(pattern) != len(segments):
        return None
    names = {}
    for word, segment in zip(pattern, segments, strict=True):
        if word.startswith("<") and segment:
            names[word[1:-1]] = segment
        elif word != segment:
            return None
    return names
