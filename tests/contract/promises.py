"""What the tests of this folder have in common: the files that promise something, and events made of them."""

import json
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel

from local.generate import ROOT, SENT, TAKEN, schema_path

EVENTS: tuple[type[BaseModel], ...] = (*SENT, *TAKEN)
BY_NAME = {kind.__name__: kind for kind in EVENTS}
ACCOUNT = "123456789012"

type Json = dict[str, Any]


def schema(kind: type[BaseModel]) -> Json:
    """As it is in the file."""
    read: Json = json.loads(schema_path(kind).read_text())
    return read


def example(kind: type[BaseModel]) -> Json:
    """As it is in the file."""
    path = schema_path(kind)
    read: Json = json.loads(path.with_name(path.name.replace("schema", "example")).read_text())
    return read


def on_the_bus(kind: type[BaseModel], detail: Json, source: str | None = None) -> Json:
    """A detail in EventBridge's envelope."""
    return {
        "version": "0",
        "id": "6a7e8feb-b491-4cf7-a9f1-bf3703467718",
        "detail-type": kind.__name__,
        "source": source or ("headwater.requests" if kind in TAKEN else "headwater"),
        "account": ACCOUNT,
        "time": "2026-11-20T08:15:05Z",
        "region": "eu-central-1",
        "resources": [],
        "detail": detail,
    }


def with_unknown_members(value: Any) -> Any:
    """The same with a member more in each object, as a later producer may send it."""
    if isinstance(value, dict):
        return {name: with_unknown_members(member) for name, member in value.items()} | {"added_later": {"by": "us"}}
    return [with_unknown_members(member) for member in value] if isinstance(value, list) else value


def with_one_unknown_member(value: Json) -> Iterator[tuple[str, Json]]:
    """For each object in it the same with a member more there, and where that is."""
    yield "", {**value, "added_later": 1}
    for name, member in value.items():
        if isinstance(member, dict):
            for at, changed in with_one_unknown_member(member):
                yield f"/{name}{at}", {**value, name: changed}
        if isinstance(member, list):
            for index, item in enumerate(member):
                if isinstance(item, dict):
                    for at, changed in with_one_unknown_member(item):
                        yield f"/{name}/{index}{at}", {**value, name: [*member[:index], changed, *member[index + 1 :]]}


def request_files() -> list[str]:
    """The events to invoke functions with, by folder and name."""
    folder = ROOT / "events" / "requests"
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*.json"))


def request(name: str) -> Json:
    """One of them."""
    read: Json = json.loads((ROOT / "events" / "requests" / name).read_text())
    return read
