"""What subscribers and those who ask for streams were promised: fresh, unbroken, exemplified and kept closed."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_protocol_members

import pytest
from jsonschema import Draft202012Validator, FormatChecker
from pydantic import BaseModel, ValidationError

from headwater.catalogue import catalogue
from headwater.events import (
    PUBLISHED,
    Happened,
    StreamAdopted,
    StreamCredentialsRotated,
    StreamDrifted,
    StreamUpdated,
)
from headwater.provider import EVERYWHERE, Provider, Verb
from headwater.requests import parse
from headwater.streams import State, milliseconds
from local.generate import CONTRACTS, FUNCTIONS, ROOT, SENT, TAKEN, broken, generated, main, providers, schema_path
from tests.contract.promises import EVENTS, Json, example, schema, with_one_unknown_member

GENERATED = generated()


@pytest.mark.parametrize("path", GENERATED, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_generated_file_is_what_the_code_says(path: Path) -> None:
    assert path.exists(), "run `make contracts`"
    assert path.read_text() == GENERATED[path], "run `make contracts`"


def test_nothing_is_promised_that_the_code_does_not_know() -> None:
    examples = {schema_path(kind).with_name(schema_path(kind).name.replace("schema", "example")) for kind in EVENTS}
    assert {path for path in CONTRACTS.rglob("*") if path.is_file()} == {*map(schema_path, EVENTS), *examples}


def test_the_catalogue_tells_what_was_generated() -> None:
    told = catalogue(FUNCTIONS)
    assert set(told) == {provider.name for provider in providers().values()}
    for folder, provider in providers().items():
        assert told[provider.name] == json.loads(GENERATED[folder / "capabilities.json"])
        Draft202012Validator.check_schema(told[provider.name]["options"])


OFFERED = {
    Verb.KEEPALIVE: {"renew"},
    Verb.ROTATE: {"rotate"},
    Verb.REPAIR: {"settings", "change"},
    Verb.ADOPT: {"adoptable", "mark"},
    Verb.SIMULCAST: {"outputs", "add_output", "switch_output", "remove_output"},
}
"""What a provider must answer by itself to have a verb. Those that all have need nothing more."""


@pytest.mark.parametrize("provider", providers().values(), ids=lambda provider: provider.name)
def test_a_provider_says_that_it_can_what_it_answers_by_itself_and_nothing_else(provider: type[Provider[Any]]) -> None:
    own = {
        name for name in get_protocol_members(Provider) if getattr(provider, name) is not getattr(Provider, name, None)
    }
    assert {*EVERYWHERE, *OFFERED} == set(Verb)
    assert {verb for verb, methods in OFFERED.items() if methods <= own} | EVERYWHERE == provider.verbs
    assert ("change" in own) == bool(provider.changeable)
    assert ("notice" in own) == provider.notifies
    assert ("marked" in own) == provider.marks


@pytest.mark.parametrize("told", catalogue(FUNCTIONS).values(), ids=lambda told: str(told["provider"]))
def test_what_can_be_changed_is_in_what_can_be_asked_for(told: Json) -> None:
    common: Json = {"name": {}, "metadata": {}, "max_lifetime_seconds": {}}
    request = {"properties": common | {"options": told["options"]}}
    for at in told["changeable"]:
        assert is_in(request, at.split("/")[1:], told["options"].get("$defs", {})), at


def is_in(node: Json, steps: list[str], definitions: Json) -> bool:
    """Whether a schema, or one of its alternatives, has a member there."""
    if not steps:
        return True
    if "$ref" in node:
        return is_in(definitions[node["$ref"].removeprefix("#/$defs/")], steps, definitions)
    alternatives = [*node.get("anyOf", []), *node.get("oneOf", [])]
    member = node.get("properties", {}).get(steps[0])
    deeper = member is not None and is_in(member, steps[1:], definitions)
    return deeper or any(is_in(each, steps, definitions) for each in alternatives)


# ---- a version stays what it is


@pytest.mark.parametrize("kind", EVENTS)
def test_the_code_breaks_nothing_that_is_out(kind: type[BaseModel]) -> None:
    assert broken(kind, schema(kind), json.loads(GENERATED[schema_path(kind)])) == []


def test_a_schema_that_would_break_what_is_out_is_not_written(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    kind = PUBLISHED[0]
    out = schema(kind)
    out["$defs"]["Stream"]["properties"]["colour"] = {"type": "string"}
    path = tmp_path / "v1.schema.json"
    path.write_text(json.dumps(out))
    fresh = GENERATED[schema_path(kind)]
    monkeypatch.setattr("local.generate.SENT", (kind,))
    monkeypatch.setattr("local.generate.TAKEN", ())
    monkeypatch.setattr("local.generate.schema_path", lambda _: path)
    monkeypatch.setattr("local.generate.generated", lambda: {path: fresh})
    with pytest.raises(SystemExit, match=f"{kind.__name__} /data/stream/colour: was removed"):
        main()
    assert json.loads(path.read_text()) == out


# ---- examples


@pytest.mark.parametrize("kind", EVENTS)
def test_an_example_is_of_its_schema_and_of_its_model(kind: type[BaseModel]) -> None:
    Draft202012Validator.check_schema(schema(kind))
    validator = Draft202012Validator(schema(kind), format_checker=FormatChecker())
    assert [error.message for error in validator.iter_errors(example(kind))] == []
    kind.model_validate_json(json.dumps(example(kind)))


@pytest.mark.parametrize("kind", SENT)
def test_an_example_of_what_we_send_leaves_out_nothing(kind: type[BaseModel]) -> None:
    assert json.loads(kind.model_validate_json(json.dumps(example(kind))).model_dump_json()) == example(kind)


@pytest.mark.parametrize("kind", PUBLISHED)
def test_an_example_agrees_with_itself(kind: type[Happened]) -> None:
    event = kind.model_validate_json(json.dumps(example(kind)))
    stream = event.data.stream
    assert event.event_id == f"{stream.id}:{milliseconds(stream.created_at)}:{stream.version}"
    assert (event.sequence, event.occurred_at) == (stream.version, stream.updated_at)
    assert stream.href == f"/streams/{stream.provider}/{stream.id}"
    assert stream.provider in catalogue(FUNCTIONS)


def test_the_examples_show_the_states_that_their_events_tell_of() -> None:
    told = {kind.__name__: example(kind)["data"]["stream"]["state"] for kind in PUBLISHED}
    ends = {"StreamDeleted": State.ENDED, "StreamExpired": State.ENDED, "StreamLost": State.LOST}
    assert {name: told[name] for name in (*ends, "StreamFailed")} == {**ends, "StreamFailed": State.FAILED}
    assert told["StreamCreated"] in {State.PROVISIONING, State.READY, State.LIVE}


def test_the_examples_of_a_stream_s_life_show_what_they_tell_of() -> None:
    updated, drifted, rotated, adopted = (
        example(kind)["data"] for kind in (StreamUpdated, StreamDrifted, StreamCredentialsRotated, StreamAdopted)
    )
    able = catalogue(FUNCTIONS)[updated["stream"]["provider"]]["changeable"]
    assert all(at.startswith(tuple(able)) for at in updated["changed"])
    assert drifted["fields"] == drifted["stream"]["drift"] != []
    assert rotated["stream"]["credentials_rotated_at"] <= rotated["stream"]["updated_at"]
    assert (adopted["stream"]["version"], adopted["stream"]["expires_at"]) == (1, None)
    for told, verb in ((drifted, Verb.REPAIR), (rotated, Verb.ROTATE), (adopted, Verb.ADOPT)):
        assert verb in catalogue(FUNCTIONS)[told["stream"]["provider"]]["verbs"]


@pytest.mark.parametrize("kind", PUBLISHED)
def test_an_example_s_options_are_its_provider_s(kind: type[Happened]) -> None:
    stream = example(kind)["data"]["stream"]
    validator = Draft202012Validator(catalogue(FUNCTIONS)[stream["provider"]]["options"])
    masked = [error for error in validator.iter_errors(stream["options"]) if "***" not in str(error.instance)]
    assert masked == []


@pytest.mark.parametrize("kind", TAKEN)
def test_an_example_of_what_we_take_asks_its_provider_for_what_it_has(kind: type[BaseModel]) -> None:
    data = example(kind)["data"]
    (provider,) = (each for each in providers().values() if each.name == data["provider"])
    assert parse(json.dumps(data["request"]), provider.options_type).common.name


# ---- closed


def models_in(kind: Any) -> Iterator[Any]:
    """The types that a model is made of."""
    core = getattr(kind, "__pydantic_core_schema__", {})
    yield from _closable(core)


def _closable(node: Any) -> Iterator[Any]:
    if isinstance(node, dict):
        if node.get("type") in {"model", "typed-dict"}:
            yield node["cls"], (node.get("config") or {}).get("extra_fields_behavior")
        for name, child in node.items():
            if name not in {"metadata", "cls"}:
                yield from _closable(child)
    if isinstance(node, list | tuple):
        for child in node:
            yield from _closable(child)


@pytest.mark.parametrize("kind", EVENTS)
def test_what_is_sent_and_what_is_asked_for_is_closed_at_every_depth(kind: type[BaseModel]) -> None:
    found = dict(models_in(kind))
    assert kind in found
    assert {model.__name__ for model, extra in found.items() if extra != "forbid"} == set()


FREE = ("/data/stream/metadata", "/data/stream/options", "/data/request")
"""Where whoever asked for the stream chooses the members."""


@pytest.mark.parametrize("kind", EVENTS)
def test_an_unknown_member_is_refused_wherever_it_is(kind: type[BaseModel]) -> None:
    places = [(at, changed) for at, changed in with_one_unknown_member(example(kind)) if not at.startswith(FREE)]
    assert len(places) > 1
    for _, changed in places:
        with pytest.raises(ValidationError, match="extra_forbidden"):
            kind.model_validate_json(json.dumps(changed))


def test_what_we_send_is_promised_open_and_what_we_take_is_closed() -> None:
    def objects(node: Any) -> Iterator[Json]:
        if isinstance(node, dict):
            if "properties" in node:
                yield node
            for child in node.values():
                yield from objects(child)

    for kind in SENT:
        assert all("additionalProperties" not in node for node in objects(schema(kind)))
    for kind in TAKEN:
        assert all(node["additionalProperties"] is False for node in objects(schema(kind)))
