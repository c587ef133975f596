"""What DynamoDB charges for: the bytes of an item, and the units of a read or a write of it and its indexes. Pure.

Sources: "DynamoDB item sizes and formats" and "DynamoDB read and write operations" (units), "Managing throughput for
global secondary indexes" (what a write costs an index), "Managing complex workflows with DynamoDB transactions"
(twice); all in the developer guide.
"""

from base64 import b64decode
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

WRITE_BYTES = 1024
READ_BYTES = 4096
NUMBER_BYTES = 21
"""A number is never larger."""
STORED_BYTES = 100
"""What each item and each entry of an index takes in storage besides itself."""
TRANSACTED = 2
"""Units of the table's own write in a transaction. Of its indexes' no source says so: they count once."""

type Attributes = Mapping[str, Any]
"""An item in DynamoDB's typed form; binaries as bytes, or as the base64 text that they travel as."""


class Key(NamedTuple):
    """One partition key: of the table (``of`` is empty) or of an index. It is what may become hot."""

    of: str
    value: str


@dataclass(frozen=True)
class Index:
    """A secondary index. ``projected`` are its own keys, the table's, and what it has beside them; None: everything."""

    name: str
    partition: str
    sort: str | None
    projected: frozenset[str] | None

    def entry(self, item: Attributes | None) -> dict[str, Any] | None:
        """What the index has of the item; None where it is not in it."""
        if item is None or self.partition not in item or (self.sort and self.sort not in item):
            return None
        return {name: value for name, value in item.items() if self.projected is None or name in self.projected}


@dataclass(frozen=True)
class Layout:
    """A table as it was declared. ``keys`` are its partition key and its sort key."""

    keys: tuple[str, ...]
    indexes: tuple[Index, ...] = ()

    @classmethod
    def declared(cls, table: Mapping[str, Any]) -> "Layout":
        """By the properties of ``AWS::DynamoDB::Table``."""
        keys = _names(table["KeySchema"])
        return cls(keys, tuple(_index(each, keys) for each in table.get("GlobalSecondaryIndexes", ())))

    def written(
        self, old: Attributes | None, new: Attributes | None, times: int = 1, *, key: Attributes | None = None
    ) -> Counter[Key]:
        """Units of replacing ``old`` by ``new``, by the partition key that they fall to; ``times`` for the table's.

        A write that was refused has ``new`` as ``old`` and costs no index anything. ``key`` is asked for where there
        was no item and is none: ``KeyError`` without it.
        """
        some = old or new or key or {}
        largest = max(size(old), size(new))
        units = Counter({Key("", some[self.keys[0]]["S"]): write_units(largest) * times})
        for index in self.indexes:
            for value, amount in _rewritten(index, index.entry(old), index.entry(new)):
                units[Key(index.name, value)] += amount
        return units

    def stored(self, item: Attributes) -> int:
        """Bytes that an item is billed for as long as it is there, its entries in indexes included."""
        entries = [entry for index in self.indexes if (entry := index.entry(item)) is not None]
        return sum(size(each) + STORED_BYTES for each in (item, *entries))


def _names(schema: Iterable[Mapping[str, str]]) -> tuple[str, ...]:
    return tuple(each["AttributeName"] for each in schema)


def _index(declared: Mapping[str, Any], keys: tuple[str, ...]) -> Index:
    partition, *sort = _names(declared["KeySchema"])
    projection = declared["Projection"]
    shown = frozenset({*keys, partition, *sort, *projection.get("NonKeyAttributes", ())})
    everything = projection["ProjectionType"] == "ALL"
    return Index(declared["IndexName"], partition, sort[0] if sort else None, None if everything else shown)


def _rewritten(index: Index, old: Attributes | None, new: Attributes | None) -> Iterator[tuple[str, int]]:
    """What a write costs an index: nothing where its entry stays as it is, two writes where the entry's key changes."""
    if old == new:
        return
    keys = [name for name in (index.partition, index.sort) if name]
    if old and new and all(old[name] == new[name] for name in keys):
        yield new[index.partition]["S"], write_units(max(size(old), size(new)))
        return
    for entry in (old, new):
        if entry:
            yield entry[index.partition]["S"], write_units(size(entry))


def write_units(octets: int) -> int:
    """Of one write: one for each kB that was begun, and at least one."""
    return max(1, -(-octets // WRITE_BYTES))


def read_units(*octets: int, consistent: bool, transactional: bool = False) -> float:
    """Of one read of items of these bytes: one for each 4 kB of them all that were begun, and at least one.

    Half of that where it may lag, twice in a transaction.
    """
    units = max(1, -(-sum(octets) // READ_BYTES))
    if transactional:
        return float(units * TRANSACTED)
    return float(units) if consistent else units / 2


def size(item: Attributes | None) -> int:
    """Bytes, names included; none of what is not there. Raises ``ValueError`` at a type that nothing here is of."""
    return sum(len(name.encode()) + _value(value) for name, value in (item or {}).items())


def _value(typed: Mapping[str, Any]) -> int:
    ((kind, value),) = typed.items()
    match kind:
        case "S":
            return len(value.encode())
        case "B":
            return len(b64decode(value) if isinstance(value, str) else bytes(value))
        case "N":
            return _number(str(value))
        case "L" | "M":
            return 3 + len(value) + (size(value) if kind == "M" else sum(map(_value, value)))
        case "SS":
            return sum(len(each.encode()) for each in value)
        case "BOOL" | "NULL":
            return 1
    raise ValueError(f"no attribute of ours is of type {kind}")


def _number(text: str) -> int:
    """A byte for each two digits without leading and trailing zeros, one more, and one for a sign."""
    digits = text.lstrip("-").replace(".", "").strip("0")
    return min(NUMBER_BYTES, 1 + -(-len(digits) // 2) + text.startswith("-"))
