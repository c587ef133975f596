"""Merge-patches: what RFC 7396 says of them, which faults are theirs, and what they change."""

import copy
import json
from typing import Annotated, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field, JsonValue, Secret, SecretStr

from headwater.errors import CapabilityNotSupported, InvalidRequest
from headwater.forgotten import forgetting, holds_mask
from headwater.patches import Patched, differing, merged, patched
from headwater.provider import Options
from headwater.records import Record
from headwater.requests import DEPTH, Terms
from tests.unit.fakes import FakeOptions, a_claimed_record

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from(["", "a", "***", "~", "/"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "b", "c~/", ""]), inner, max_size=3)
    ),
    max_leaves=12,
)
OBJECT = st.dictionaries(st.sampled_from(["a", "b", "c~/", ""]), JSON, max_size=4)


def merge_patch(target: Any, patch: Any) -> Any:
    """The pseudo-code of RFC 7396, section 2, line by line."""
    if isinstance(patch, dict):
        if not isinstance(target, dict):
            target = {}
        target = dict(target)
        for name, value in patch.items():
            if value is None:
                if name in target:
                    del target[name]
            else:
                target[name] = merge_patch(target.get(name), value)
        return target
    return patch


TABLE: list[tuple[str, str, str]] = [
    ('{"a":"b"}', '{"a":"c"}', '{"a":"c"}'),
    ('{"a":"b"}', '{"b":"c"}', '{"a":"b","b":"c"}'),
    ('{"a":"b"}', '{"a":null}', "{}"),
    ('{"a":"b","b":"c"}', '{"a":null}', '{"b":"c"}'),
    ('{"a":["b"]}', '{"a":"c"}', '{"a":"c"}'),
    ('{"a":"c"}', '{"a":["b"]}', '{"a":["b"]}'),
    ('{"a":{"b":"c"}}', '{"a":{"b":"d","c":null}}', '{"a":{"b":"d"}}'),
    ('{"a":[{"b":"c"}]}', '{"a":[1]}', '{"a":[1]}'),
    ('["a","b"]', '["c","d"]', '["c","d"]'),
    ('{"a":"b"}', '["c"]', '["c"]'),
    ('{"a":"foo"}', "null", "null"),
    ('{"a":"foo"}', '"bar"', '"bar"'),
    ('{"e":null}', '{"a":1}', '{"e":null,"a":1}'),
    ("[1,2]", '{"a":"b","c":null}', '{"a":"b"}'),
    ("{}", '{"a":{"bb":{"ccc":null}}}', '{"a":{"bb":{}}}'),
]
"""RFC 7396, appendix A."""


@pytest.mark.parametrize(("original", "patch", "result"), TABLE)
def test_the_rfc_s_own_examples_come_out_as_it_says(original: str, patch: str, result: str) -> None:
    assert merged(json.loads(original), json.loads(patch)) == json.loads(result)


@given(target=JSON, patch=JSON)
def test_any_patch_of_anything_comes_out_as_by_the_rfc_s_pseudo_code(target: JsonValue, patch: JsonValue) -> None:
    before = copy.deepcopy(target)
    assert json.dumps(merged(target, patch), sort_keys=True) == json.dumps(merge_patch(target, patch), sort_keys=True)
    assert target == before


@given(target=OBJECT, patch=OBJECT)
def test_a_patch_applied_again_changes_nothing(target: dict[str, Any], patch: dict[str, Any]) -> None:
    once = merged(target, patch)
    assert list(differing(once, merged(once, patch))) == []


@given(before=JSON, after=JSON)
def test_what_differs_is_empty_exactly_where_two_are_equal_in_json(before: JsonValue, after: JsonValue) -> None:
    equal = json.dumps(before, sort_keys=True) == json.dumps(after, sort_keys=True)
    assert (list(differing(before, after)) == []) == equal


@given(before=OBJECT, after=OBJECT)
def test_what_differs_is_named_by_pointers_that_lead_there(before: dict[str, Any], after: dict[str, Any]) -> None:
    """Taken from the one into the other, all that is named makes them equal."""
    pointers = list(differing(before, after))
    assert len(set(pointers)) == len(pointers)
    for at in pointers:
        assert resolved(before, at) != resolved(after, at) or ABSENT in {resolved(before, at), resolved(after, at)}


ABSENT = "absent"


def resolved(value: Any, at: str) -> str:
    for step in at.split("/")[1:]:
        name = step.replace("~1", "/").replace("~0", "~")
        if not isinstance(value, dict) or name not in value:
            return ABSENT
        value = value[name]
    return json.dumps(value, sort_keys=True)


@pytest.mark.parametrize(
    ("before", "after", "pointers"),
    [
        ({"a": 1}, {"a": 1.0}, []),
        ({"a": 1}, {"a": True}, ["/a"]),
        ({"a": [1]}, {"a": [True]}, ["/a"]),
        ({"a": [{"b": 0}]}, {"a": [{"b": False}]}, ["/a"]),
        ({"a": {"b": 1, "c": 2}}, {"a": {"b": 1, "c": 3}}, ["/a/c"]),
        ({}, {"a": {"b": 1, "c": {"d": 2}}}, ["/a/b", "/a/c/d"]),
        ({"a": {"b": 1}}, {}, ["/a/b"]),
        ({"a": {"b": 1}}, {"a": 2}, ["/a"]),
        ({}, {"a": {}}, ["/a"]),
        ({"a/b~": 1}, {}, ["/a~1b~0"]),
    ],
)
def test_each_difference_is_named_where_it_is(before: JsonValue, after: JsonValue, pointers: list[str]) -> None:
    assert list(differing(before, after)) == pointers


# ---- of a request


def record_of(**request: Any) -> Record:
    """What is recorded of a request, settled."""
    record = a_claimed_record()
    stream = record.stream.model_copy(
        update={
            "name": request.get("name"),
            "metadata": request.get("metadata", {}),
            "options": request.get("options", {}),
        }
    )
    rest = {name: value for name, value in request.items() if name in {"max_lifetime_seconds", "lease_managed"}}
    return record.model_copy(update={"stream": stream, "claim": None} | rest)


def patched_of(record: Record, patch: dict[str, Any], terms: Terms = Terms()) -> Patched:  # noqa: B008  # a value
    return patched(record, patch, FakeOptions, terms)


def faults(record: Record, patch: dict[str, Any], terms: Terms = Terms()) -> list[str]:  # noqa: B008  # a value
    with pytest.raises(InvalidRequest) as caught:
        patched_of(record, patch, terms)
    return sorted(fault.pointer for fault in caught.value.faults)


def test_a_patch_comes_to_a_whole_request() -> None:
    record = record_of(name="a", metadata={"x": "1", "y": "2"}, options={"quality": 0.5, "tags": {"t": "1"}})
    patch = {"name": "b", "metadata": {"x": None, "z": "3"}, "options": {"tags": {"t": "2"}, "labels": ["l"]}}
    result = patched_of(record, patch)
    assert (result.name, result.metadata) == ("b", {"y": "2", "z": "3"})
    assert result.options == {"quality": 0.5, "tags": {"t": "2"}, "labels": ["l"]}
    assert isinstance(result.asked, FakeOptions)
    assert result.asked.quality == 0.5
    assert result.changed == {"/name", "/metadata/x", "/metadata/z", "/options/tags/t", "/options/labels"}


def test_what_is_taken_away_is_as_if_it_had_never_been_asked_for() -> None:
    record = record_of(name="a", metadata={"x": "1"}, options={"quality": 0.5}, max_lifetime_seconds=60)
    result = patched_of(record, {"name": None, "metadata": None, "options": None, "max_lifetime_seconds": None})
    assert (result.name, result.metadata, result.options, result.max_lifetime_seconds) == (None, {}, {}, None)


@pytest.mark.parametrize(
    "patch",
    [
        {},
        {"name": "a"},
        {"metadata": {"x": "1"}},
        {"metadata": {}},
        {"options": {"quality": 0.5, "camera_url": "***"}},
        {"lease": {"managed": True}},
        {"lease": {}},
        {"lease": None},
        {"max_lifetime_seconds": None, "metadata": {"unknown": None}},
    ],
)
def test_a_patch_that_asks_for_what_is_there_changes_nothing(patch: dict[str, Any]) -> None:
    record = record_of(name="a", metadata={"x": "1"}, options={"quality": 0.5, "camera_url": "***"})
    assert patched_of(record, patch).changed == frozenset()


def test_who_holds_the_lease_is_part_of_what_was_asked_for() -> None:
    alone = record_of(lease_managed=False)
    assert patched_of(alone, {"lease": {"managed": False}}).changed == frozenset()
    assert patched_of(alone, {"lease": None}).changed == {"/lease/managed"}
    assert patched_of(record_of(), {"lease": {"managed": False}}).changed == {"/lease/managed"}


def test_all_faults_of_a_patch_are_told_at_once() -> None:
    patch = {
        "name": "",
        "metadata": {"x": 1},
        "max_lifetime_seconds": 5,
        "lease": {"managed": "yes"},
        "unheard": 1,
        "options": {"quality": "high", "nope": 1},
    }
    pointers = ["/lease/managed", "/max_lifetime_seconds", "/metadata/x", "/name", "/options/nope", "/options/quality"]
    assert faults(record_of(), patch) == [*pointers, "/unheard"]


@pytest.mark.parametrize("part", ["name", "metadata", "options", "lease", "max_lifetime_seconds"])
def test_a_part_of_another_type_is_a_fault(part: str) -> None:
    assert faults(record_of(), {part: [1]})[0].startswith(f"/{part}")


def test_the_ceiling_binds_a_patch() -> None:
    assert faults(record_of(), {"max_lifetime_seconds": 601}, Terms(600)) == ["/max_lifetime_seconds"]
    assert patched_of(record_of(), {"max_lifetime_seconds": 600}, Terms(600)).max_lifetime_seconds == 600


def test_what_was_allowed_once_is_no_fault_of_a_patch_of_something_else() -> None:
    """A deployment that allows less than it did has not made its streams unchangeable."""
    record = record_of(max_lifetime_seconds=7200, options={"quality": 0.5})
    result = patched_of(record, {"metadata": {"a": "b"}, "options": {"quality": 0.6}}, Terms(600))
    assert result.max_lifetime_seconds == 7200
    assert result.asked == FakeOptions(quality=0.6)
    assert faults(record, {"max_lifetime_seconds": 7100}, Terms(600)) == ["/max_lifetime_seconds"]


def test_what_an_earlier_version_understood_is_no_fault_of_a_patch_of_something_else() -> None:
    record = record_of(options={"quality": "of an earlier version", "labels": ["a"]})
    result = patched_of(record, {"metadata": {"a": "b"}})
    assert (result.asked, result.options) == (None, record.stream.options)
    assert result.changed == {"/metadata/a"}
    assert faults(record, {"options": {"quality": "otherwise"}}) == ["/options/quality"]
    assert patched_of(record, {"options": {"quality": 0.5}}).asked == FakeOptions(quality=0.5, labels=["a"])


class Camera(Options):
    """Of it a mask is no value."""

    url: Annotated[SecretStr, Field(min_length=5)]
    zoom: int = 0


def test_a_secret_of_which_only_the_mask_is_left_is_no_fault() -> None:
    record = record_of(options={"url": "***"})
    result = patched(record, {"name": "a"}, Camera, Terms())
    assert (result.asked, result.options, sorted(result.changed)) == (None, {"url": "***"}, ["/name"])
    given_anew = patched(record, {"options": {"url": "rtsp://a"}}, Camera, Terms())
    assert (given_anew.options, sorted(given_anew.changed)) == ({"url": "***"}, ["/options/url"])
    assert given_anew.asked is not None


def test_a_mask_that_is_given_as_a_secret_is_a_fault() -> None:
    with pytest.raises(InvalidRequest):
        patched(record_of(), {"options": {"url": "***"}}, Camera, Terms())


def test_a_patch_is_walked_as_any_request() -> None:
    deep: dict[str, Any] = {}
    for _ in range(DEPTH + 1):
        deep = {"a": deep}
    with pytest.raises(InvalidRequest):
        patched_of(record_of(), deep)


# ---- secrets that are not kept


def test_a_secret_that_is_not_kept_cannot_be_looked_at() -> None:
    options = FakeOptions.model_validate({"camera_url": "***", "headers": {"a": "***", "b": "kept"}, "quality": 0.5})
    forgot = forgetting(options)
    assert forgot.quality == 0.5
    assert forgot.camera_url
    assert forgot.headers
    assert forgot.headers["b"].get_secret_value() == "kept"
    for gone in (forgot.camera_url, forgot.headers["a"]):
        with pytest.raises(CapabilityNotSupported):
            gone.get_secret_value()
    assert forgot.model_dump(exclude_unset=True).keys() == options.model_dump(exclude_unset=True).keys()


def test_any_kind_of_secret_is_forgotten_wherever_it_is() -> None:
    class Inner(Options):
        value: Secret[JsonValue] = Secret[JsonValue]("***")

    class Outer(Options):
        several: list[Inner] = []  # noqa: RUF012  # a pydantic field: it is copied for each model
        one: Inner | None = None

    forgot = forgetting(Outer.model_validate({"several": [{"value": "***"}], "one": {"value": {"a": 1}}}))
    with pytest.raises(CapabilityNotSupported):
        forgot.several[0].value.get_secret_value()
    assert forgot.one
    assert forgot.one.value.get_secret_value() == {"a": 1}


def test_a_mask_is_seen_wherever_it_is() -> None:
    assert holds_mask({"a": [{"b": "***"}]})
    assert not holds_mask({"a": [{"b": "**"}], "c": None, "d": 1})
