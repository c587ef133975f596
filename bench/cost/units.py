"""What DynamoDB bills for a read or a write, by the sizes of the items. Pure.

The rules are those of its developer guide: "DynamoDB read and write operations", "DynamoDB item sizes and formats", and
"Using global secondary indexes".
"""

import math
from base64 import b64decode
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Self

WRITE_BYTES = 1024
READ_BYTES = 4096
NUMBER_BYTES = 21
"""A number is never larger."""
STORED_BYTES = 100
"""What each item and each entry of an index takes in storage besides itself."""

type Attributes = Mapping[str, Any]
"""An item in DynamoDB's typed form, as it travels: binaries are base64."""


@dataclass(frozen=True)
class Projection:
    """An index: its keys, the table's, and what it shows besides; ``shown`` None for everything."""

    keys: frozenset[str]
    table_keys: frozenset[str]
    shown: frozenset[str] | None

    @classmethod
    def of(cls, table: Mapping[str, Any]) -> tuple[Self, ...]:
        """The indexes of a table, by its properties in a template."""
        own = _names(table["KeySchema"])
        return tuple(cls._one(index, own) for index in table.get("GlobalSecondaryIndexes", ()))

    @classmethod
    def _one(cls, index: Mapping[str, Any], own: frozenset[str]) -> Self:
        projection = index["Projection"]
        shown = None if projection["ProjectionType"] == "ALL" else frozenset(projection.get("NonKeyAttributes", ()))
        return cls(_names(index["KeySchema"]), own, shown)

    def entry(self, item: Attributes | None) -> Attributes | None:
        """What the index has of an item; None of one without its keys."""
        if item is None or not self.keys <= item.keys():
            return None
        if self.shown is None:
            return item
        return {name: item[name] for name in self.keys | self.table_keys | self.shown if name in item}

    def writes(self, before: Attributes | None, after: Attributes | None) -> int:
        """Units of bringing the index up to date: none where nothing changed in it, two deeds where a key did."""
        old, new = self.entry(before), self.entry(after)
        if old == new:
            return 0
        if old is None or new is None:
            return written(size(old or new))
        if any(old[name] != new[name] for name in self.keys):
            return written(size(old)) + written(size(new))
        return written(max(size(old), size(new)))


def _names(schema: Iterable[Mapping[str, str]]) -> frozenset[str]:
    return frozenset(key["AttributeName"] for key in schema)


def write_units(
    before: Attributes | None,
    after: Attributes | None,
    indexes: Iterable[Projection] = (),
    *,
    transactional: bool = False,
) -> int:
    """Of putting, changing or deleting an item: by the larger of both, and twice that in a transaction.

    An index is not part of the transaction. One that was refused by its condition has ``after`` as ``before``.
    """
    own = written(max(size(before), size(after))) * (2 if transactional else 1)
    return own + sum(index.writes(before, after) for index in indexes)


def read_units(sizes: Iterable[int], *, consistent: bool, transactional: bool = False) -> float:
    """Of reading items in one call; nothing that is found costs as much as something small."""
    units = max(1, math.ceil(sum(sizes) / READ_BYTES))
    if transactional:
        return units * 2
    return float(units) if consistent else units / 2


def written(item_bytes: int) -> int:
    """Units of writing so much once."""
    return max(1, math.ceil(item_bytes / WRITE_BYTES))


def size(item: Attributes | None) -> int:
    """Bytes of an item: its names and values."""
    return sum(len(name.encode()) + _value(value) for name, value in (item or {}).items())


def stored(item: Attributes, indexes: Iterable[Projection] = ()) -> int:
    """Bytes that an item is billed for as long as it is there, its entries in indexes included."""
    entries = [entry for index in indexes if (entry := index.entry(item)) is not None]
    return sum(size(each) + STORED_BYTES for each in [item, *entries])


def _value(typed: Mapping[str, Any]) -> int:
    [(kind, value)] = typed.items()
    return _SIZES[kind](value)


def _number(text: str) -> int:
    digits = text.lstrip("-").replace(".", "").strip("0")
    return min(NUMBER_BYTES, math.ceil(len(digits) / 2) + 1 + text.startswith("-"))


_SIZES: dict[str, Callable[[Any], int]] = {
    "S": lambda text: len(text.encode()),
    "N": _number,
    "B": lambda text: len(b64decode(text)),
    "BOOL": lambda _: 1,
    "NULL": lambda _: 1,
    "M": lambda members: 3 + len(members) + size(members),
    "L": lambda members: 3 + sum(1 + _value(each) for each in members),
    "SS": lambda texts: sum(len(text.encode()) for text in texts),
}
"""By DynamoDB's names of types."""
