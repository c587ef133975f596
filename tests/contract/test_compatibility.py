"""Which changes of a contract break those who hold to it, and which do not."""

from typing import Any

import pytest

from local.compatibility import Schema, breaks

TEXT, NUMBER, NOTHING = {"type": "string"}, {"type": "integer"}, {"type": "null"}


def thing(required: list[str] | None = None, *, closed: bool = False, **properties: Any) -> Schema:
    closing = {"additionalProperties": False} if closed else {}
    return {"type": "object", "properties": properties, "required": required or [], **closing}


def either(*kinds: Schema) -> Schema:
    return {"anyOf": list(kinds)}


def values(*names: str) -> Schema:
    return {"enum": list(names), "type": "string"}


SAME = [
    thing(a=TEXT),
    thing(["a"], a=either(TEXT, NOTHING), b={"type": "array", "items": thing(c=NUMBER)}),
    thing(a=values("x", "y"), b={"const": 1}, c={"type": "object", "additionalProperties": TEXT}, d={}),
    {"$defs": {"A": thing(a=TEXT)}, **thing(a={"$ref": "#/$defs/A"})},
]


@pytest.mark.parametrize("schema", SAME)
@pytest.mark.parametrize("taken", [True, False])
def test_what_did_not_change_breaks_nothing(schema: Schema, taken: bool) -> None:
    assert breaks(schema, schema, taken=taken) == []


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (thing(a=TEXT, b=TEXT), thing(a=TEXT), "/b: was removed"),
        (thing(a=thing(b=TEXT)), thing(a=thing()), "/a/b: was removed"),
        (thing(a=TEXT), thing(a=NUMBER), "/a: was string, and is now integer"),
        (thing(a=TEXT), thing(a=either(TEXT, NOTHING)), "/a: was string, and is now null or string"),
        (thing(a=NUMBER), thing(a={}), "/a: was integer, and is now anything"),
        (thing(["a"], a=TEXT), thing(a=TEXT), "/a: is no longer always there"),
        (thing(a=values("x", "y")), thing(a=values("x")), "/a: y is no longer one of its values"),
        (thing(a=values("x")), thing(a=values("x", "y")), "/a: y is a new one of its values"),
        (thing(a=values("x")), thing(a=TEXT), "/a: its values were x, and are now free"),
        (thing(a={**TEXT, "format": "date-time"}), thing(a=TEXT), "/a: its format is another"),
        (thing(a={"type": "array", "items": TEXT}), thing(a={"type": "array", "items": NUMBER}), "/a/*: was string"),
        (
            thing(a={"type": "object", "additionalProperties": TEXT}),
            thing(a={"type": "object", "additionalProperties": NUMBER}),
            "/a/*: was string",
        ),
    ],
)
def test_of_what_we_send_nothing_that_was_promised_goes_or_becomes_another(old: Schema, new: Schema, said: str) -> None:
    (broken,) = breaks(old, new, taken=False)
    assert broken.startswith(said)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (thing(a=TEXT), thing(a=TEXT, b=TEXT)),
        (thing(a=TEXT), thing(["b"], a=TEXT, b=TEXT)),
        (thing(a=TEXT), thing(["a"], a=TEXT)),
        (thing(a=either(TEXT, NOTHING)), thing(a=TEXT)),
        (thing(a=TEXT), thing(a={**TEXT, "format": "date-time"})),
        (thing(a={}), thing(a=NUMBER)),
    ],
)
def test_of_what_we_send_there_may_be_more_and_it_may_be_narrower(old: Schema, new: Schema) -> None:
    assert breaks(old, new, taken=False) == []


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (thing(a=TEXT, b=TEXT), thing(a=TEXT, closed=True), "/b: was removed"),
        (thing(a=TEXT), thing(a=NUMBER), "/a: was string, and is now integer"),
        (thing(a=either(TEXT, NOTHING)), thing(a=TEXT), "/a: was null or string, and is now string"),
        (thing(a={}), thing(a=NUMBER), "/a: was anything, and is now integer"),
        (thing(a=TEXT), thing(["a"], a=TEXT), "/a: is now required"),
        (thing(), thing(["b"], b=TEXT), "/b: is now required"),
        (thing(a=values("x", "y")), thing(a=values("x")), "/a: y is no longer one of its values"),
        (thing(a=TEXT), thing(a=values("x")), "/a: its values were free, and are now x"),
        (thing(a=TEXT), thing(a={**TEXT, "pattern": "^x"}), "/a: its pattern is another"),
        (thing(a=TEXT), thing(a={**TEXT, "maxLength": 9}), "/a: its maxLength is another"),
        (thing(a={**NUMBER, "minimum": 1}), thing(a={**NUMBER, "minimum": 2}), "/a: its minimum is another"),
        (thing(a=TEXT), thing(a=TEXT, closed=True), "/: unknown members were accepted, and are now refused"),
    ],
)
def test_of_what_we_take_nothing_that_was_accepted_is_refused(old: Schema, new: Schema, said: str) -> None:
    assert any(broken.startswith(said) for broken in breaks(old, new, taken=True))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (thing(a=TEXT, closed=True), thing(a=TEXT, b=TEXT, closed=True)),
        (thing(["a"], a=TEXT), thing(a=TEXT)),
        (thing(a=TEXT), thing(a=either(TEXT, NOTHING))),
        (thing(a=values("x")), thing(a=values("x", "y"))),
        (thing(a=values("x")), thing(a=TEXT)),
        (thing(a={**TEXT, "maxLength": 9}), thing(a={**TEXT, "maxLength": 10})),
        (thing(a=TEXT, closed=True), thing(a=TEXT)),
        (thing(a=NUMBER), thing(a={})),
    ],
)
def test_of_what_we_take_more_may_be_accepted(old: Schema, new: Schema) -> None:
    assert breaks(old, new, taken=True) == []


def test_alternatives_that_constants_mark_are_told_apart() -> None:
    cat, dog = thing(["kind"], kind={"const": "cat"}), thing(["kind"], kind={"const": "dog"})
    assert breaks(either(cat, dog), either(cat), taken=True)
    assert breaks(either(cat), either(cat, dog), taken=True) == []
    assert breaks(either(cat), either(cat, dog), taken=False)
