"""What DynamoDB charges for a read, a write and what it stores, by the rules of its guide."""

from base64 import b64encode
from typing import Any

import pytest

from bench.scale.cloud import declared
from bench.units import TRANSACTED, Index, Key, Layout, read_units, size, write_units

KEYS = {"pk", "sk", "due_shard", "due_at"}
INDEX = Index("due", "due_shard", "due_at", frozenset(KEYS | {"provider"}))
"""One whose entries show the provider."""
PLAIN = Layout(("pk", "sk"))
SHOWING = Layout(("pk", "sk"), (INDEX,))
LAYOUT = Layout(("pk", "sk"), (Index("due", "due_shard", "due_at", frozenset(KEYS)),))
BASE = {"pk": {"S": "STREAM#1"}, "sk": {"S": "STREAM"}}

type Item = dict[str, Any]


def item(size_in_bytes: int, **more: str) -> Item:
    """One of so many bytes: its key and the rest take some."""
    small = {name: {"S": value} for name, value in {"pk": "a", "sk": "b", **more}.items()}
    return {**small, "rest": {"S": "x" * (size_in_bytes - size(small) - len("rest"))}}


def stream(due_at: str | None = None, filling: int = 0) -> Item:
    """One as the product has it, in the index where it is due."""
    keys = {"due_shard": {"S": "DUE#3"}, "due_at": {"S": due_at}} if due_at else {}
    return {**BASE, **keys, "record": {"S": "x" * filling}}


# ---- bytes


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ({"S": "four"}, 4),
        ({"S": "ü"}, 2),
        ({"S": "grün"}, 5),
        ({"N": "0"}, 1),
        ({"N": "7"}, 2),
        ({"N": "100"}, 2),
        ({"N": "123"}, 3),
        ({"N": "-10"}, 3),
        ({"N": "-123"}, 4),
        ({"N": "1795162502"}, 6),
        ({"N": "1" * 38}, 20),
        ({"N": "-0." + "1" * 41}, 21),
        ({"B": b"12345"}, 5),
        ({"B": b64encode(b"12345").decode()}, 5),
        ({"BOOL": True}, 1),
        ({"BOOL": False}, 1),
        ({"NULL": True}, 1),
        ({"M": {}}, 3),
        ({"M": {"ab": {"S": "c"}}}, 3 + 1 + 2 + 1),
        ({"M": {"key": {"S": "ab"}}}, 9),
        ({"L": [{"S": "ab"}]}, 6),
        ({"L": [{"S": "c"}, {"S": "d"}]}, 3 + 2 * 2),
        ({"SS": ["c", "de"]}, 3),
    ],
)
def test_a_value_is_as_large_as_the_guide_says(typed: Item, expected: int) -> None:
    assert size({"name": typed}) == len("name") + expected


def test_a_value_of_a_type_that_nobody_has_is_not_guessed_at() -> None:
    with pytest.raises(ValueError, match="of type NS"):
        size({"name": {"NS": ["1"]}})


def test_what_is_stored_is_the_item_and_its_entries_with_what_each_takes_besides() -> None:
    assert PLAIN.stored(item(500)) == 600
    one = item(500, due_shard="d", due_at="1")
    assert SHOWING.stored(one) == 600 + size(INDEX.entry(one)) + 100


# ---- reads


@pytest.mark.parametrize(
    ("sizes", "units"),
    [
        ([], 1),
        ([0], 1),
        ([4096], 1),
        ([4097], 2),
        ([40_960], 10),
        ([3000, 3000], 2),
        ([100] * 40, 1),
    ],
)
def test_a_read_is_charged_by_four_kilobytes_of_all_that_it_went_through(sizes: list[int], units: int) -> None:
    assert read_units(*sizes, consistent=True) == units
    assert read_units(*sizes, consistent=False) == units / 2
    assert read_units(*sizes, consistent=True, transactional=True) == units * 2


# ---- writes


@pytest.mark.parametrize(("octets", "units"), [(0, 1), (1, 1), (1024, 1), (1025, 2), (4096, 4)])
def test_a_write_costs_a_unit_for_each_kilobyte_begun(octets: int, units: int) -> None:
    assert write_units(octets) == units


@pytest.mark.parametrize(("size_in_bytes", "units"), [(50, 1), (1024, 1), (1025, 2), (3072, 3), (3073, 4)])
def test_an_item_is_charged_by_the_kilobyte_and_in_a_transaction_twice(size_in_bytes: int, units: int) -> None:
    assert size(item(size_in_bytes)) == size_in_bytes
    assert PLAIN.written(None, item(size_in_bytes)).total() == units
    assert PLAIN.written(None, item(size_in_bytes), TRANSACTED).total() == 2 * units


def test_a_write_is_charged_by_the_larger_of_before_and_after() -> None:
    assert PLAIN.written(item(5000), item(100)).total() == 5
    assert PLAIN.written(item(100), item(5000)).total() == 5
    assert PLAIN.written(item(5000), None).total() == 5


def test_units_fall_to_the_partition_key_that_is_written_and_in_a_transaction_twice() -> None:
    assert LAYOUT.written(stream(filling=3000), stream(), 2) == {Key("", "STREAM#1"): 6}
    assert LAYOUT.written(None, stream(filling=10)) == {Key("", "STREAM#1"): 1}


def test_what_is_refused_or_does_nothing_is_charged_too() -> None:
    assert SHOWING.written(None, None, key=BASE) == {Key("", "STREAM#1"): 1}
    assert SHOWING.written(None, None, TRANSACTED, key=BASE) == {Key("", "STREAM#1"): 2}
    assert SHOWING.written(item(2000), item(2000)).total() == 2
    with pytest.raises(KeyError, match="pk"):
        SHOWING.written(None, None)


# ---- indexes

DUE = {"due_shard": "d", "due_at": "1"}


@pytest.mark.parametrize(
    ("before", "after", "units"),
    [
        ({}, {}, 0),
        ({}, {"due_at": "1"}, 0),
        ({}, {"due_shard": "d"}, 0),
        ({}, DUE, 1),
        (DUE, {}, 1),
        (DUE, DUE, 0),
        (DUE, {**DUE, "due_at": "2"}, 2),
        (DUE, {**DUE, "provider": "p"}, 1),
        (DUE, {**DUE, "unseen": "p"}, 0),
        ({}, {**DUE, "provider": "p" * 1024}, 2),
    ],
)
def test_an_index_is_written_where_its_entry_changes(before: dict[str, str], after: dict[str, str], units: int) -> None:
    assert SHOWING.written(item(1500, **before), item(1500, **after)).total() == 2 + units


@pytest.mark.parametrize(
    ("before", "after", "units"),
    [
        (None, "2026-01-01", 1),
        ("2026-01-01", None, 1),
        ("2026-01-01", "2026-01-02", 2),
        ("2026-01-01", "2026-01-01", 0),
        (None, None, 0),
    ],
)
def test_an_index_is_charged_where_its_entry_changes_and_twice_where_it_moves(
    before: str | None, after: str | None, units: int
) -> None:
    written = LAYOUT.written(stream(before), stream(after, filling=50))
    assert written[Key("due", "DUE#3")] == units


def test_an_entry_that_moves_to_another_partition_is_charged_to_both() -> None:
    before, after = item(500, **DUE), item(500, due_shard="e", due_at="1")
    assert SHOWING.written(before, after) == {Key("", "a"): 1, Key("due", "d"): 1, Key("due", "e"): 1}


def test_an_index_whose_projected_attribute_changes_is_charged_once() -> None:
    layout = Layout(("pk", "sk"), (Index("due", "due_shard", "due_at", frozenset({"due_shard", "due_at", "swept"})),))
    before = stream("2026-01-01")
    assert layout.written(before, {**before, "swept": {"N": "1"}})[Key("due", "DUE#3")] == 1


def test_an_index_is_no_part_of_a_transaction() -> None:
    assert SHOWING.written(None, item(500, **DUE), TRANSACTED).total() == 2 + 1


def test_indexes_are_as_the_template_declares_them() -> None:
    table = {
        "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
        "GlobalSecondaryIndexes": [
            {"IndexName": name, "KeySchema": [{"AttributeName": "a"}], "Projection": projection}
            for name, projection in {
                "keys": {"ProjectionType": "KEYS_ONLY"},
                "whole": {"ProjectionType": "ALL"},
                "some": {"ProjectionType": "INCLUDE", "NonKeyAttributes": ["b"]},
            }.items()
        ],
    }
    layout, whole = Layout.declared(table), {name: {"S": name} for name in ("pk", "a", "b", "c")}
    entries = {index.name: sorted(index.entry(whole) or ()) for index in layout.indexes}
    assert entries == {"keys": ["a", "pk"], "whole": ["a", "b", "c", "pk"], "some": ["a", "b", "pk"]}


def test_what_is_due_has_nothing_that_changes_with_every_write() -> None:
    """A beat that is recorded before its provider is called changes nothing but the record and its revision."""
    layout, before = Layout.declared(declared()), stream("2026-01-01")
    written = layout.written(
        {**before, "revision": {"N": "1"}}, {**before, "revision": {"N": "2"}, "record": {"S": "y"}}
    )
    assert {key.of for key in written} == {""}
