"""Items in DynamoDB's typed form, and back, as boto3 has them."""

from decimal import Decimal
from typing import Any

import pytest
from boto3.dynamodb.types import TypeDeserializer, TypeSerializer
from hypothesis import given
from hypothesis import strategies as st

from headwater.attributes import from_attributes, to_attributes

ITEMS = st.recursive(
    st.text() | st.binary() | st.booleans() | st.integers(min_value=-(10**37), max_value=10**37),
    lambda values: st.dictionaries(st.text(), values, max_size=4),
    max_leaves=12,
).filter(lambda value: isinstance(value, dict))


@given(ITEMS)
def test_an_item_comes_back_as_it_went(item: dict[str, Any]) -> None:
    back = from_attributes(to_attributes(item))
    assert back == item
    assert kinds(back) == kinds(item)


@given(ITEMS)
def test_an_item_is_as_boto3_would_have_written_and_read_it(item: dict[str, Any]) -> None:
    written = {name: TypeSerializer().serialize(value) for name, value in item.items()}
    assert plain(written) == to_attributes(item)
    read = {name: TypeDeserializer().deserialize(value) for name, value in written.items()}
    assert read == from_attributes(to_attributes(item))


def kinds(value: Any) -> Any:
    """True is 1 to Python, and another thing to DynamoDB."""
    return {name: kinds(each) for name, each in value.items()} if isinstance(value, dict) else type(value)


def plain(written: Any) -> Any:
    """Bytes as the client takes them too: boto3 wraps them when it reads."""
    return {name: plain(each) for name, each in written.items()} if isinstance(written, dict) else written


class Number(int):
    """A number that has a name."""


def test_a_number_with_a_name_is_its_number() -> None:
    assert to_attributes({"n": Number(7)}) == {"n": {"N": "7"}}


@pytest.mark.parametrize("value", [None, 1.5, Decimal(1), {"a"}, [1], ["a"], (1,), object(), bytearray(b"x")])
def test_what_ours_never_are_is_refused(value: object) -> None:
    with pytest.raises(TypeError, match=f"nothing of ours is a {type(value).__name__}"):
        to_attributes({"x": value})
    with pytest.raises(TypeError):
        to_attributes({"x": {"y": value}})


@pytest.mark.parametrize(
    "typed", [{"NULL": True}, {"L": []}, {"SS": ["a"]}, {"NS": ["1"]}, {"BS": [b"x"]}, {"L": [{"S": "x"}]}]
)
def test_what_nobody_of_us_wrote_is_not_read(typed: dict[str, Any]) -> None:
    [kind] = typed
    with pytest.raises(TypeError, match=f"nothing of ours is of type {kind}"):
        from_attributes({"x": typed})
    with pytest.raises(TypeError):
        from_attributes({"x": {"M": {"y": typed}}})


def test_a_number_with_a_fraction_is_not_read_as_one_without() -> None:
    with pytest.raises(ValueError, match=r"1\.5"):
        from_attributes({"x": {"N": "1.5"}})


def test_a_refused_value_is_not_in_what_is_raised() -> None:
    with pytest.raises(TypeError) as raised:
        to_attributes({"x": ["canary"]})
    assert "canary" not in str(raised.value)
