"""A merge-patch (RFC 7396) of what was asked for: what it comes to, and what of it is other than before. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pydantic import JsonValue, ValidationError

from headwater.errors import Fault, InvalidRequest
from headwater.provider import Options
from headwater.records import Record
from headwater.requests import Body, Terms, escaped, faults_of, plain, split_secrets, validated


@dataclass(frozen=True)
class Patched:
    """What is asked for now; ``changed`` is what is other than before, by pointer into a request."""

    asked: Options | None
    """The options, masks in place of secrets that were not given anew; None where they are not understood any more."""
    name: str | None
    metadata: dict[str, str]
    max_lifetime_seconds: int | None
    options: dict[str, JsonValue]
    """As they may be shown."""
    changed: frozenset[str]


def patched(record: Record, patch: Body, options_type: Any, terms: Terms) -> Patched:
    """What the request of ``record`` becomes. Raises ``InvalidRequest`` with every fault that the patch brings about.

    What was so before, since a secret is masked or this deployment allows less than it did, is not the patch's fault.
    """
    before = request_of(record)
    after = {"metadata": {}, "options": {}} | merged(before, plain(patch))
    after["lease"] = _whole(after.get("lease"))
    changed = frozenset(differing(before, after))
    if faults := tuple(_faults(after, options_type, terms)):
        known = {(fault.pointer, fault.code) for fault in _faults(before, options_type, terms)}
        faults = tuple(f for f in faults if (f.pointer, f.code) not in known or _touches(f.pointer, changed))
    if faults:
        raise InvalidRequest(f"The patch leads to {len(faults)} fault(s).", faults=faults)
    asked = _understood(after["options"], options_type)
    return Patched(
        asked,
        after.get("name"),
        after["metadata"],
        after.get("max_lifetime_seconds"),
        split_secrets(asked)[0] if asked else after["options"],
        changed,
    )


def request_of(record: Record) -> dict[str, Any]:
    """What was asked for, as far as it may be shown."""
    stream = record.stream
    request: dict[str, Any] = {
        "metadata": stream.metadata,
        "options": stream.options,
        "lease": {"managed": record.lease_managed},
    }
    given = {"name": stream.name, "max_lifetime_seconds": record.max_lifetime_seconds}
    return request | {name: value for name, value in given.items() if value is not None}


def merged(target: Any, patch: Any) -> Any:
    """``MergePatch`` of RFC 7396, section 2."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = merged(result.get(name), value)
    return result


def differing(before: JsonValue, after: JsonValue, at: str = "") -> Iterator[str]:
    """Where the two differ: pointers to what is no object in either, or to one that is empty or absent in one."""
    if isinstance(before, dict) and isinstance(after, dict):
        for name in sorted(before.keys() | after.keys()):
            if name in before and name in after:
                yield from differing(before[name], after[name], f"{at}/{escaped(name)}")
            else:
                yield from _leaves((before | after)[name], f"{at}/{escaped(name)}")
    elif not _same(before, after):
        yield at


def _leaves(value: JsonValue, at: str) -> Iterator[str]:
    """Pointers to all that is no object in a value, or is an empty one."""
    if isinstance(value, dict) and value:
        for name in sorted(value):
            yield from _leaves(value[name], f"{at}/{escaped(name)}")
    else:
        yield at


def _same(one: JsonValue, other: JsonValue) -> bool:
    """Whether they are equal in JSON, in which ``true`` is no number."""
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_same, one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_same(one[name], other[name]) for name in one)
    return isinstance(one, bool) == isinstance(other, bool) and one == other


def _whole(lease: Any) -> Any:
    """What is asked for of a lease, what is left out filled in."""
    return {"managed": True} | (lease or {}) if lease is None or isinstance(lease, dict) else lease


def _faults(request: dict[str, Any], options_type: Any, terms: Terms) -> Iterator[Fault]:
    try:
        validated(request, options_type, terms)
    except ValidationError as error:
        yield from faults_of(error, request)


def _understood(options: dict[str, JsonValue], options_type: Any) -> Options | None:
    try:
        request = validated({"options": options}, options_type, Terms())
    except ValidationError:
        return None
    understood: Options = request.options
    return understood


def _touches(pointer: str, changed: frozenset[str]) -> bool:
    """Whether what is changed is there, below it or above it."""
    return any(f"{at}/".startswith(f"{pointer}/") or f"{pointer}/".startswith(f"{at}/") for at in changed)
