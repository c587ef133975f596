"""What DynamoDB bills for a read or a write, by the rules of its guide."""

from base64 import b64encode
from typing import Any

import pytest

from bench.cost.units import Projection, read_units, size, stored, write_units

INDEX = Projection(frozenset({"due_shard", "due_at"}), frozenset({"pk", "sk"}), frozenset({"provider"}))
"""One whose entries show the provider."""

type Item = dict[str, Any]


def item(size_in_bytes: int, **more: str) -> Item:
    """One of so many bytes: its key and the rest take some."""
    small = {name: {"S": value} for name, value in {"pk": "a", "sk": "b", **more}.items()}
    return {**small, "rest": {"S": "x" * (size_in_bytes - size(small) - len("rest"))}}


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ({"S": "grün"}, 5),
        ({"N": "0"}, 1),
        ({"N": "100"}, 2),
        ({"N": "123"}, 3),
        ({"N": "-123"}, 4),
        ({"N": "1" * 38}, 20),
        ({"B": b64encode(b"12345").decode()}, 5),
        ({"BOOL": True}, 1),
        ({"NULL": True}, 1),
        ({"M": {}}, 3),
        ({"M": {"ab": {"S": "c"}}}, 3 + 1 + 2 + 1),
        ({"L": [{"S": "c"}, {"S": "d"}]}, 3 + 2 * 2),
        ({"SS": ["c", "de"]}, 3),
    ],
)
def test_a_value_is_as_large_as_the_guide_says(typed: Item, expected: int) -> None:
    assert size({"name": typed}) == len("name") + expected


@pytest.mark.parametrize(("size_in_bytes", "units"), [(50, 1), (1024, 1), (1025, 2), (3072, 3), (3073, 4)])
def test_a_write_is_billed_by_the_kilobyte_and_in_a_transaction_twice(size_in_bytes: int, units: int) -> None:
    assert size(item(size_in_bytes)) == size_in_bytes
    assert write_units(None, item(size_in_bytes)) == units
    assert write_units(None, item(size_in_bytes), transactional=True) == 2 * units


def test_a_write_is_billed_by_the_larger_of_what_was_and_what_is() -> None:
    assert write_units(item(5000), item(100)) == 5
    assert write_units(item(100), item(5000)) == 5
    assert write_units(item(5000), None) == 5


def test_what_is_refused_or_does_nothing_is_billed_too() -> None:
    assert write_units(None, None) == 1
    assert write_units(item(2000), item(2000), [INDEX]) == 2


DUE = {"due_shard": "d", "due_at": "1"}


@pytest.mark.parametrize(
    ("before", "after", "units"),
    [
        ({}, {}, 0),
        ({}, {"due_at": "1"}, 0),
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
    assert write_units(item(1500, **before), item(1500, **after), [INDEX]) == 2 + units


def test_an_index_is_no_part_of_a_transaction() -> None:
    after = item(500, due_shard="d", due_at="1")
    assert write_units(None, after, [INDEX], transactional=True) == 2 + 1


@pytest.mark.parametrize(
    ("sizes", "units"), [([], 1), ([0], 1), ([4096], 1), ([4097], 2), ([3000, 3000], 2), ([100] * 40, 1)]
)
def test_a_read_is_billed_by_four_kilobytes_of_all_that_it_went_through(sizes: list[int], units: int) -> None:
    assert read_units(sizes, consistent=True) == units
    assert read_units(sizes, consistent=False) == units / 2
    assert read_units(sizes, consistent=True, transactional=True) == units * 2


def test_what_is_stored_is_the_item_and_its_entries_with_what_each_takes_besides() -> None:
    assert stored(item(500)) == 600
    one = item(500, due_shard="d", due_at="1")
    assert stored(one, [INDEX]) == 600 + size(INDEX.entry(one)) + 100


def test_indexes_are_as_the_template_declares_them() -> None:
    declared = {
        "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
        "GlobalSecondaryIndexes": [
            {"KeySchema": [{"AttributeName": "a"}], "Projection": {"ProjectionType": "KEYS_ONLY"}},
            {"KeySchema": [{"AttributeName": "a"}], "Projection": {"ProjectionType": "ALL"}},
            {
                "KeySchema": [{"AttributeName": "a"}],
                "Projection": {"ProjectionType": "INCLUDE", "NonKeyAttributes": ["b"]},
            },
        ],
    }
    whole = {name: {"S": name} for name in ("pk", "a", "b", "c")}
    entries = [index.entry(whole) for index in Projection.of(declared)]
    assert [sorted(entry or ()) for entry in entries] == [["a", "pk"], ["a", "b", "c", "pk"], ["a", "b", "pk"]]
