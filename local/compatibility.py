"""What in a contract's change would break those who hold to it, in words: its JSON Schema before and after."""

from collections.abc import Iterator, Mapping
from typing import Any

type Schema = Mapping[str, Any]

LOWER = ("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties")
UPPER = ("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties")
ANYTHING = "anything"


def breaks(old: Schema, new: Schema, *, taken: bool) -> list[str]:
    """Each break, with its place. Empty where the change may stay within the version.

    ``taken`` is a contract that others write by: whatever was accepted must be accepted still. Any other is one that
    others read by: whatever is sent now must be what was promised, and nothing that was promised may stay away.
    """
    return list(_Change(old, new, taken).breaks(old, new, ""))


class _Change:
    """Two schemas, each with the definitions that it refers to."""

    def __init__(self, old: Schema, new: Schema, taken: bool) -> None:
        self._old, self._new = _named(old), _named(new)
        self._taken = taken

    def breaks(self, old: Schema, new: Schema, at: str) -> Iterator[str]:
        before = {_kind(each): each for each in _alternatives(old, self._old)}
        after = {_kind(each): each for each in _alternatives(new, self._new)}
        wide, narrow = (after, before) if self._taken else (before, after)
        strange = narrow.keys() - wide.keys() if ANYTHING not in wide else set()
        if strange:
            yield f"{at or '/'}: was {_listed(before)}, and is now {_listed(after)}"
        for kind in sorted(before.keys() & after.keys()):
            yield from self._value(before[kind], after[kind], at)

    def _value(self, old: Schema, new: Schema, at: str) -> Iterator[str]:
        wide, narrow = (new, old) if self._taken else (old, new)
        yield from self._values(old, new, at)
        yield from _limits(wide, narrow, at)
        yield from self._members(old, new, at)
        for inner in ("items", "additionalProperties"):
            if isinstance(old.get(inner), Mapping) and isinstance(new.get(inner), Mapping):
                yield from self.breaks(old[inner], new[inner], f"{at}/*")

    def _values(self, old: Schema, new: Schema, at: str) -> Iterator[str]:
        """Of an enumeration: none may go; one that is sent may not be new either, since a reader knows them all."""
        before, after = _enumerated(old), _enumerated(new)
        if before is None and after is None:
            return
        if before is None or after is None:
            if (before is None) == self._taken:
                yield f"{at or '/'}: its values were {_told(before)}, and are now {_told(after)}"
            return
        for value in sorted(before - after):
            yield f"{at or '/'}: {value} is no longer one of its values"
        for value in sorted(after - before) if not self._taken else ():
            yield f"{at or '/'}: {value} is a new one of its values, and its readers know the old ones"

    def _members(self, old: Schema, new: Schema, at: str) -> Iterator[str]:
        before, after = old.get("properties", {}), new.get("properties", {})
        for name in before.keys() - after.keys():
            if not self._taken or new.get("additionalProperties") is False:
                yield f"{at}/{name}: was removed"
        for name in before.keys() & after.keys():
            yield from self.breaks(before[name], after[name], f"{at}/{name}")
        first, then = set(old.get("required", ())), set(new.get("required", ()))
        for name in sorted((then - first if self._taken else first - then) & after.keys()):
            yield f"{at}/{name}: is now required" if self._taken else f"{at}/{name}: is no longer always there"
        if self._taken and new.get("additionalProperties") is False and old.get("additionalProperties") is not False:
            yield f"{at or '/'}: unknown members were accepted, and are now refused"


def _named(schema: Schema) -> Schema:
    definitions: Schema = schema.get("$defs", {})
    return definitions


def _alternatives(schema: Schema, definitions: Schema) -> Iterator[Schema]:
    while "$ref" in schema:
        schema = definitions[schema["$ref"].removeprefix("#/$defs/")]
    either = schema.get("anyOf") or schema.get("oneOf")
    if not either:
        yield schema
    for each in either or ():
        yield from _alternatives(each, definitions)


def _kind(schema: Schema) -> str:
    """What tells one alternative from another: the type; of objects also the constants that mark them."""
    kind = str(schema.get("type") or (_type_of(schema) if "enum" in schema or "const" in schema else ANYTHING))
    marks = {name: node["const"] for name, node in schema.get("properties", {}).items() if "const" in node}
    return f"{kind} with {marks}" if marks and "version" not in marks else kind


def _type_of(schema: Schema) -> str:
    """The type of what an enumeration without one has."""
    value = schema.get("const", (schema.get("enum") or [None])[0])
    return {str: "string", bool: "boolean", int: "integer", float: "number"}.get(type(value), "null")


def _listed(kinds: Mapping[str, Schema]) -> str:
    return " or ".join(sorted(kinds))


def _enumerated(schema: Schema) -> set[str] | None:
    if "const" in schema:
        return {str(schema["const"])}
    return {str(value) for value in schema["enum"]} if "enum" in schema else None


def _told(values: set[str] | None) -> str:
    return "free" if values is None else ", ".join(sorted(values))


def _limits(wide: Schema, narrow: Schema, at: str) -> Iterator[str]:
    """What the one that must allow more forbids, and the other does not."""
    for name in ("format", "pattern"):
        if name in wide and wide[name] != narrow.get(name):
            yield f"{at or '/'}: its {name} is another"
    for name in LOWER:
        if name in wide and wide[name] > narrow.get(name, float("-inf")):
            yield f"{at or '/'}: its {name} is another"
    for name in UPPER:
        if name in wide and wide[name] < narrow.get(name, float("inf")):
            yield f"{at or '/'}: its {name} is another"
