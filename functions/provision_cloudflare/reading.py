"""Reads JSON that may be anything: what is not as described is as if it were not there. Pure."""

from collections.abc import Mapping
from datetime import datetime

from pydantic import JsonValue

type Object = Mapping[str, JsonValue]


def as_object(value: JsonValue) -> Object:
    """Empty where it is none."""
    return value if isinstance(value, dict) else {}


def text(found: Object, name: str) -> str | None:
    """None where it is no text, or an empty one."""
    value = found.get(name)
    return value if isinstance(value, str) and value else None


def moment(found: Object, name: str) -> datetime | None:
    """None where it is no moment, which a time without its zone is not either."""
    try:
        told = datetime.fromisoformat(text(found, name) or "")
    except ValueError:
        return None
    return told if told.tzinfo else None
