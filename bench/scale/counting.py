"""Counts what clients of AWS ask for: calls, items read, and the units of each partition key that is touched."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from bench.units import TRANSACTED, Attributes, Key, Layout, read_units, size

WRITES = {"Put": "Item", "Update": "Key", "Delete": "Key"}
"""What names the item in each part of a transaction."""

type Request = dict[str, Any]


@dataclass
class Counted:
    """What was asked for since somebody began to count. Units are DynamoDB's."""

    calls: Counter[str] = field(default_factory=Counter)
    """By service and operation, such as ``dynamodb.Query``; refused ones too."""
    items_read: int = 0
    """Items that DynamoDB went through, whether it answered with them or not."""
    read_units: dict[str, float] = field(default_factory=dict)
    """By index; the table's own under the empty name."""
    write_units: Counter[Key] = field(default_factory=Counter)
    entries: int = 0
    """Events that were put on the bus."""
    sizes: dict[str, int] = field(default_factory=dict)
    """The largest item of each kind, in bytes: by the first word of its sort key, and by index."""

    @property
    def table_calls(self) -> int:
        return sum(count for name, count in self.calls.items() if name.startswith("dynamodb."))

    def written(self, index: str) -> int:
        """Units of an index's writes; of the table's own with an empty name."""
        return sum(units for key, units in self.write_units.items() if key.of == index)


class Counting:
    """Listens to clients as they call. ``peek`` is a client of the same table to which nobody listens."""

    def __init__(self, layout: Layout, peek: Any, table: str) -> None:
        self._layout = layout
        self._peek = peek
        self._table = table
        self._counted = Counted()
        self._heard: list[tuple[str, Request]] = []

    def listen_to(self, client: Any) -> None:
        """From now on, for as long as the client lives."""
        name = client.meta.service_model.service_id.hyphenize()
        client.meta.events.register_first(f"before-parameter-build.{name}", self._before)
        client.meta.events.register_last(f"after-call.{name}", self._after)

    @contextmanager
    def counted(self) -> Iterator[Counted]:
        """What is asked for within the block."""
        before, self._counted = self._counted, Counted()
        try:
            yield self._counted
        finally:
            self._counted = before

    def taken(self) -> list[tuple[str, Request]]:
        """The requests that were granted since the last time, by service and operation, in order."""
        heard, self._heard = self._heard, []
        return heard

    def _before(self, params: Request, model: Any, context: Request, **_: Any) -> None:
        name = f"{model.service_model.service_name}.{model.name}"
        context["asked"] = name, params
        self._counted.calls[name] += 1
        self._counted.entries += len(params.get("Entries", ()))
        if model.service_model.service_name == "dynamodb":
            context["images"] = [(key, self._item(key), times) for key, times in self._targets(model.name, params)]

    def _after(self, http_response: Any, parsed: Request, model: Any, context: Request, **_: Any) -> None:
        name, params = context["asked"]
        if http_response.status_code < 300:
            self._heard.append((name, params))
        if model.service_model.service_name == "dynamodb":
            self._read(model.name, params, parsed)
            self._written(context["images"], refused=http_response.status_code >= 300)

    def _targets(self, operation: str, params: Request) -> Iterator[tuple[Attributes, int]]:
        if operation in {"PutItem", "UpdateItem", "DeleteItem"}:
            yield self._key(params.get("Item") or params["Key"]), 1
        for part in params.get("TransactItems", ()):
            for kind, asked in part.items():
                yield self._key(asked[WRITES[kind]]), TRANSACTED

    def _key(self, item: Attributes) -> Attributes:
        return {name: item[name] for name in self._layout.keys}

    def _item(self, key: Attributes) -> Attributes | None:
        found: Attributes | None = self._peek.get_item(TableName=self._table, Key=key).get("Item")
        return found

    def _read(self, operation: str, params: Request, parsed: Request) -> None:
        if operation not in {"GetItem", "Query"} or "Error" in parsed:
            return
        items = parsed.get("Items") or [parsed[name] for name in ("Item",) if name in parsed]
        self._counted.items_read += parsed.get("ScannedCount", len(items))
        units = read_units(*map(size, items), consistent=params.get("ConsistentRead", False))
        index, read = params.get("IndexName", ""), self._counted.read_units
        read[index] = read.get(index, 0) + units

    def _written(self, images: list[tuple[Attributes, Attributes | None, int]], *, refused: bool) -> None:
        for key, old, times in images:
            # Where a condition was not met it is as it was, and costs what it would cost to write it.
            new = self._item(key)
            if old or new or refused:
                self._counted.write_units += self._layout.written(old, new, times, key=key)
            if some := new or old:
                self._measure(some)

    def _measure(self, item: Attributes) -> None:
        kind = item[self._layout.keys[1]]["S"].partition("#")[0]
        found = {kind: item, **{index.name: index.entry(item) for index in self._layout.indexes}}
        for name, each in found.items():
            if each:
                self._counted.sizes[name] = max(size(each), self._counted.sizes.get(name, 0))
