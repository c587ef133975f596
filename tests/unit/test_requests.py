"""What a caller may ask, how all that is wrong with it is told at once, and what tells one request from another."""

import json
from decimal import Decimal
from typing import Annotated, Any, Literal

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from pydantic import Field, JsonValue, Secret, SecretStr, ValidationError

from headwater.errors import InvalidRequest, MalformedBody
from headwater.provider import Options
from headwater.requests import fingerprint, join_secrets, parse, read_json, split_secrets
from tests.unit.fakes import CANARY, FakeOptions


class Camera(Options):
    kind: Literal["camera"]
    url: SecretStr


class Room(Options):
    kind: Literal["room"]
    token: SecretStr
    seats: int = 1


class Tagged(Options):
    source: Annotated[Camera | Room, Field(discriminator="kind")] | None = None
    sources: list[Annotated[Camera | Room, Field(discriminator="kind")]] = []  # noqa: RUF012  # a pydantic field
    size: int | str | None = None


class Nested(Options):
    """Secrets wherever they can stand."""

    word: SecretStr | None = None
    document: Secret[JsonValue] | None = None
    by_name: dict[str, SecretStr] = {}  # noqa: RUF012  # a pydantic field
    by_names: dict[str, dict[str, SecretStr]] = {}  # noqa: RUF012  # a pydantic field
    listed: list[SecretStr | int] = []  # noqa: RUF012  # a pydantic field
    plain: dict[str, JsonValue] = {}  # noqa: RUF012  # a pydantic field


class Narrower(Options):
    word: Annotated[SecretStr, Field(max_length=3)]


def faults(body: object, options_type: Any = FakeOptions) -> dict[str, str]:
    """The pointer and the code of everything that is wrong with it."""
    with pytest.raises(InvalidRequest) as caught:
        parse(json.dumps(body), options_type)
    assert CANARY not in f"{caught.value}{caught.value.problem('r')}"
    return {fault.pointer: fault.code for fault in caught.value.faults}


# ---- what may be asked


def test_an_empty_object_asks_for_a_stream() -> None:
    wanted = parse("{}", FakeOptions)
    assert (wanted.common.name, wanted.common.metadata, wanted.common.max_lifetime_seconds) == (None, {}, None)
    assert wanted.options == FakeOptions()
    assert wanted.public_options == {}


def test_what_is_asked_is_read() -> None:
    body = {"name": "lobby", "metadata": {"a": "b"}, "max_lifetime_seconds": 60, "options": {"quality": 1}}
    wanted = parse(json.dumps(body), FakeOptions)
    assert (wanted.common.name, wanted.common.metadata) == ("lobby", {"a": "b"})
    assert wanted.common.max_lifetime_seconds == 60
    assert wanted.options == FakeOptions(quality=1)


def test_the_public_options_are_those_that_were_given_with_secrets_masked() -> None:
    given_ = {"camera_url": f"{CANARY}url", "headers": {"x": f"{CANARY}x"}, "labels": ["a"]}
    wanted = parse(json.dumps({"options": given_}), FakeOptions)
    assert wanted.public_options == {"camera_url": "***", "headers": {"x": "***"}, "labels": ["a"]}
    assert CANARY not in repr(wanted)


@pytest.mark.parametrize(
    "body",
    [
        {"name": "n" * 256},
        {"name": "Größe 猫 \U0001f408"},
        {"metadata": {"k" * 128: "v" * 1024}},
        {"metadata": {str(each): "" for each in range(50)}},
        {"max_lifetime_seconds": 60},
        {"max_lifetime_seconds": 30 * 86_400},
    ],
)
def test_what_is_at_a_bound_is_allowed(body: dict[str, Any]) -> None:
    assert parse(json.dumps(body), FakeOptions)


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"name": ""}, "/name"),
        ({"name": "n" * 257}, "/name"),
        ({"name": 5}, "/name"),
        ({"metadata": {"k" * 129: "v"}}, f"/metadata/{'k' * 129}"),
        ({"metadata": {"": "v"}}, "/metadata/"),
        ({"metadata": {"k": "v" * 1025}}, "/metadata/k"),
        ({"metadata": {"k": 1}}, "/metadata/k"),
        ({"metadata": {str(each): "" for each in range(51)}}, "/metadata"),
        ({"metadata": None}, "/metadata"),
        ({"max_lifetime_seconds": 59}, "/max_lifetime_seconds"),
        ({"max_lifetime_seconds": 30 * 86_400 + 1}, "/max_lifetime_seconds"),
        ({"max_lifetime_seconds": 60.5}, "/max_lifetime_seconds"),
        ({"max_lifetime_seconds": "60"}, "/max_lifetime_seconds"),
        ({"max_lifetime_seconds": True}, "/max_lifetime_seconds"),
        ({"options": None}, "/options"),
        ({"options": []}, "/options"),
        ({"unknown": 1}, "/unknown"),
        ({"options": {"unknown": 1}}, "/options/unknown"),
        ({"options": {"quality": "1"}}, "/options/quality"),
        ({"options": {"labels": ["a", 2]}}, "/options/labels/1"),
        ({"options": {"camera_url": 5}}, "/options/camera_url"),
        ({"options": {"headers": {"x": 5}}}, "/options/headers/x"),
    ],
)
def test_what_is_wrong_is_told_with_where_it_is(body: dict[str, Any], pointer: str) -> None:
    assert list(faults(body)) == [pointer]


def test_all_that_is_wrong_is_told_at_once() -> None:
    told = faults({"name": "", "metadata": {"k": 1}, "more": 1, "options": {"quality": "1", "nope": 2, "labels": [3]}})
    assert told == {
        "/name": "string_too_short",
        "/metadata/k": "string_type",
        "/more": "extra_forbidden",
        "/options/quality": "float_type",
        "/options/nope": "extra_forbidden",
        "/options/labels/0": "string_type",
    }


def test_a_pointer_is_escaped_as_in_rfc_6901() -> None:
    assert list(faults({"options": {"headers": {"a/b~c": 5}}})) == ["/options/headers/a~1b~0c"]
    assert list(faults({"a/b~c": 5})) == ["/a~1b~0c"]


def test_a_pointer_into_a_tagged_union_points_into_the_body() -> None:
    assert list(faults({"options": {"source": {"kind": "room"}}}, Tagged)) == ["/options/source/token"]
    wrong = {"sources": [{"kind": "camera", "url": "u"}, {"kind": "room", "token": "t", "seats": "2"}]}
    assert list(faults({"options": wrong}, Tagged)) == ["/options/sources/1/seats"]


def test_a_pointer_into_a_union_of_values_points_into_the_body() -> None:
    assert set(faults({"options": {"size": [1]}}, Tagged)) == {"/options/size"}
    assert set(faults({"options": {"size": {"a": 1}}}, Tagged)) == {"/options/size"}


def test_no_fault_shows_a_value_that_was_sent() -> None:
    faults({"options": {"camera_url": [f"{CANARY}url"], "quality": f"{CANARY}q"}, "name": [CANARY]})
    faults({"options": {"source": {"kind": f"{CANARY}kind", "token": "t"}}}, Tagged)


def test_the_exception_that_was_validated_away_is_not_dragged_along() -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse(json.dumps({"options": {"camera_url": [f"{CANARY}url"]}}), FakeOptions)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__
    assert CANARY not in str(caught.value.__context__)


# ---- what is no request at all


@pytest.mark.parametrize(
    "body",
    ["", " ", "nope", "{", '{"name": "a"} x', "[]", "null", '"text"', "1", "{'name': 'a'}", '{"name": "a",}'],
)
def test_what_is_not_a_json_object_is_malformed(body: str) -> None:
    with pytest.raises(MalformedBody):
        parse(body, FakeOptions)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "01", "1e99999999999999999999", "9" * 5000])
def test_what_is_no_json_number_is_malformed(number: str) -> None:
    with pytest.raises(MalformedBody):
        parse(f'{{"options": {{"quality": {number}}}}}', FakeOptions)


def test_a_number_that_no_float_holds_is_a_fault() -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse('{"options": {"quality": 1e400}}', FakeOptions)
    assert [fault.pointer for fault in caught.value.faults] == ["/options/quality"]


@pytest.mark.parametrize(
    "body",
    [
        '{"name": "a", "name": "a"}',
        '{"metadata": {"a": "1", "a": "2"}}',
        '{"options": {"labels": [{"x": 1, "x": 1}]}}',
        '{"name": "a", "n\\u0061me": "b"}',
    ],
)
def test_a_member_that_is_there_twice_is_malformed(body: str) -> None:
    with pytest.raises(MalformedBody):
        parse(body, FakeOptions)


@pytest.mark.parametrize("depth", [10, 500, 1_000, 3_000, 30_000])
@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}")])
def test_a_body_of_any_depth_is_refused_as_the_caller_s(depth: int, opening: str, closing: str) -> None:
    body = '{"options": {"labels": ' + opening * depth + "1" + closing * depth + "}}"
    assert kind_of_failure(body) in {"InvalidRequest", "MalformedBody"}


def kind_of_failure(body: str) -> str:
    """The name alone: pytest takes minutes to show a traceback of thousands of frames."""
    try:
        parse(body, FakeOptions)
    except (InvalidRequest, MalformedBody, RecursionError) as error:
        return type(error).__name__
    return "none"


@pytest.mark.parametrize("body", ['{"name": "\\ud800"}', '{"\\ud800": 1}', '{"metadata": {"\\udc00": "x"}}'])
def test_half_a_character_is_refused(body: str) -> None:
    with pytest.raises((InvalidRequest, MalformedBody)) as caught:
        parse(body, FakeOptions)
    json.dumps(caught.value.problem("r")).encode()


# ---- the fingerprint


def print_of(body: str) -> str:
    return fingerprint(read_json(body))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ('{"a": 1, "b": 2}', '{ "b":2,\n"a":1 }'),
        ('{"a": {"x": 1, "y": [1, 2]}}', '{"a": {"y": [1, 2], "x": 1}}'),
        ('{"a": 1}', '{"a": 1.0}'),
        ('{"a": 1}', '{"a": 1e0}'),
        ('{"a": 1}', '{"a": 10E-1}'),
        ('{"a": 100}', '{"a": 1.00e2}'),
        ('{"a": 0.1}', '{"a": 0.10}'),
        ('{"a": 0}', '{"a": 0.000}'),
        ('{"a": 0}', '{"a": 0e7}'),
        ('{"a": 0}', '{"a": -0.0}'),
        ('{"a": "\\u00e9\\ud83d\\ude00"}', '{"a": "é😀"}'),
        ('{"\\u0061": "\\/"}', '{"a": "/"}'),
        (f'{{"a": {"9" * 40}}}', f'{{"a": {"9" * 40}.0}}'),
    ],
)
def test_the_same_request_in_another_form_has_the_same_fingerprint(one: str, other: str) -> None:
    assert print_of(one) == print_of(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ('{"a": 1}', '{"a": 2}'),
        ('{"a": 1}', '{"a": "1"}'),
        ('{"a": 1}', '{"a": true}'),
        ('{"a": 0}', '{"a": false}'),
        ('{"a": 0}', '{"a": null}'),
        ('{"a": null}', "{}"),
        ('{"a": []}', '{"a": {}}'),
        ('{"a": [1, 2]}', '{"a": [2, 1]}'),
        ('{"a": [1, 2]}', '{"a": [[1], 2]}'),
        ('{"a": 9007199254740993}', '{"a": 9007199254740992}'),
        ('{"a": 0.1}', '{"a": 0.1000000000000000055511151231257827}'),
        (f'{{"a": {"9" * 4000}}}', f'{{"a": {"9" * 3999}8}}'),
        ('{"a": "é"}', '{"a": "e\\u0301"}'),
        ('{"a": ""}', '{"a": " "}'),
        ('{"a": "A"}', '{"a": "a"}'),
        ('{"a": 1}', '{"a": {"number": "1"}}'),
        ('{"a": 1}', '{"a": "{\\"number\\": \\"1\\"}"}'),
        ("{}", '{"options": {}}'),
    ],
)
def test_another_request_has_another_fingerprint(one: str, other: str) -> None:
    assert print_of(one) != print_of(other)


def test_a_fingerprint_is_of_what_was_sent_and_not_of_what_the_model_made_of_it() -> None:
    """A deployment that changes a default must not turn a replay into a conflict."""
    body = '{"name": "lobby", "options": {"quality": 0.50, "labels": ["a", "é"]}}'
    assert parse(body, FakeOptions).fingerprint == print_of(body)
    assert parse('{"options": {"labels": []}}', FakeOptions).fingerprint != parse("{}", FakeOptions).fingerprint


def test_a_fingerprint_stays_what_it_is() -> None:
    """It is kept with each stream, and compared with that of the next deployment."""
    body = '{"options": {"b": [1.50, true, null, "é"], "a": {}}, "name": "lobby", "max_lifetime_seconds": 6e2}'
    assert print_of(body) == "c9d722c3872be6cff99968c1a6e5dd1af85b84bedb58b3e9c1f5d3e26c83052e"
    assert print_of("{}") == "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"


NUMBERS = st.decimals(allow_nan=False, allow_infinity=False, places=6) | st.integers()
SCALARS = st.none() | st.booleans() | NUMBERS | st.text()
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3), max_leaves=8
)
BODIES = st.dictionaries(st.text(), VALUES, max_size=4)


def told_apart(value: Any) -> Any:
    """A value that equals another's exactly where both are the same JSON."""
    if isinstance(value, dict):
        return ("object", frozenset((key, told_apart(member)) for key, member in value.items()))
    if isinstance(value, list):
        return ("array", tuple(told_apart(member) for member in value))
    if isinstance(value, bool) or value is None:
        return ("constant", str(value))
    return ("number", Decimal(value)) if isinstance(value, int | Decimal) else ("text", value)


def reversed_order(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: reversed_order(value[key]) for key in reversed(value)}
    return [reversed_order(each) for each in value] if isinstance(value, list) else value


@given(BODIES)
def test_the_order_of_members_never_matters(body: dict[str, Any]) -> None:
    assert fingerprint(body) == fingerprint(reversed_order(body))


@given(BODIES, BODIES)
def test_different_bodies_are_never_taken_for_one(one: dict[str, Any], other: dict[str, Any]) -> None:
    assume(told_apart(one) != told_apart(other))
    assert fingerprint(one) != fingerprint(other)


@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**30), max_value=10**30))
def test_the_form_of_a_number_never_matters(number: Decimal) -> None:
    assume(number)
    forms = {str(number), f"{number:E}", f"{number:f}", f"{number.normalize():E}" if number == +number else str(number)}
    assert len({print_of(f'{{"a": {form}}}') for form in forms}) == 1


# ---- secrets apart from the rest


SECRET_OPTIONS = st.fixed_dictionaries(
    {},
    optional={
        "word": st.text(),
        "document": st.recursive(
            st.text() | st.booleans() | st.integers(),
            lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(), inner, max_size=2),
            max_leaves=4,
        ),
        "by_name": st.dictionaries(st.text(), st.text(), max_size=3),
        "by_names": st.dictionaries(st.text(), st.dictionaries(st.text(), st.text(), max_size=2), max_size=2),
        "listed": st.lists(st.text() | st.integers(), max_size=3),
        "plain": st.dictionaries(st.text(), st.text() | st.integers() | st.none(), max_size=2),
    },
)


@given(SECRET_OPTIONS)
def test_what_is_taken_apart_can_be_joined_again(given_options: dict[str, Any]) -> None:
    options = Nested.model_validate(given_options)
    public, secrets = split_secrets(options)
    stored = json.loads(json.dumps(secrets))
    joined = join_secrets(json.loads(json.dumps(public)), stored, Nested)
    assert joined == options
    assert joined.model_fields_set == options.model_fields_set


def test_what_looks_like_a_mask_is_left_alone() -> None:
    options = Nested.model_validate({"plain": {"a": "***"}, "word": "***"})
    public, secrets = split_secrets(options)
    assert join_secrets(public, secrets, Nested) == options


def test_names_with_a_slash_do_not_mix_up_two_secrets() -> None:
    options = Nested.model_validate({"by_names": {"a/b": {"c": "one"}, "a": {"b/c": "two"}}})
    public, secrets = split_secrets(options)
    assert len(secrets) == 2
    assert join_secrets(public, secrets, Nested) == options


def test_no_secret_is_left_in_the_public_part() -> None:
    given_ = {"word": CANARY, "document": {"a": [CANARY]}, "by_name": {"x": CANARY}, "listed": [1, CANARY]}
    public, secrets = split_secrets(Nested.model_validate(given_))
    assert CANARY not in json.dumps(public)
    assert set(secrets) == {"/word", "/document", "/by_name/x", "/listed/1"}


def test_what_was_not_given_is_not_shown() -> None:
    assert split_secrets(Nested.model_validate({"word": "w"}))[0] == {"word": "***"}


def test_options_that_no_longer_fit_show_no_secret() -> None:
    public, secrets = split_secrets(Nested.model_validate({"word": f"{CANARY}long"}))
    with pytest.raises(ValidationError) as caught:
        join_secrets(public, secrets, Narrower)
    assert CANARY not in str(caught.value)
