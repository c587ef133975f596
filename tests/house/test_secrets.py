"""What is a secret is typed as one, in our models as in the providers' contracts, and an error does not show it."""

import importlib
import inspect
import json
import re
from collections.abc import Iterator
from functools import cache
from typing import Annotated, Any, TypeAliasType, get_args, get_origin

import pytest
from pydantic import BaseModel, Secret, SecretStr

from headwater.provider import Options
from local.simulators.contract import FOLDER, Contract
from tests.house.subjects import FUNCTIONS, product, providers

NAMED_AS_SECRET = re.compile(r"(^|_)(token|key|password|passphrase|sdp|credentials?|secrets?)$")

OPENS_NOTHING = {"idempotency_key"}
"""Named as a secret is, and none."""


@cache
def models() -> tuple[type[BaseModel], ...]:
    """Every model of the product."""
    found: dict[str, type[BaseModel]] = {}
    for module in product():
        for _, kind in inspect.getmembers(importlib.import_module(module.name), inspect.isclass):
            parametrized = "[" in kind.__qualname__
            if issubclass(kind, BaseModel) and kind.__module__ == module.name and not parametrized:
                found[f"{module.name}.{kind.__qualname__}"] = kind
    return tuple(found.values())


def parts(annotation: Any) -> Iterator[Any]:
    """The types that an annotation is made of, down to the models."""
    if isinstance(annotation, TypeAliasType):
        yield from parts(annotation.__value__)
    elif get_origin(annotation) is Annotated:
        yield from parts(get_args(annotation)[0])
    elif get_args(annotation) and not _is_secret(annotation):
        for each in get_args(annotation):
            yield from parts(each)
    else:
        yield annotation


def _is_secret(annotation: Any) -> bool:
    kind = get_origin(annotation) or annotation
    return inspect.isclass(kind) and issubclass(kind, Secret | SecretStr)


def is_secret(annotation: Any) -> bool:
    """Whether a field's value, or each member of it, is typed as a secret; or is sealed, which are bytes."""
    kept = [each for each in parts(annotation) if each not in (type(None), str) or annotation is str]
    return any(_is_secret(each) or each is bytes for each in kept)


def holds_secrets(annotation: Any) -> bool:
    """Whether a secret may be somewhere in it: typed as one, or in what may be anything."""
    for each in parts(annotation):
        if _is_secret(each) or each is Any:
            return True
        if inspect.isclass(each) and issubclass(each, BaseModel) and any(map(holds_secrets, _annotations(each))):
            return True
    return False


def _annotations(model: type[BaseModel]) -> list[Any]:
    return [field.annotation for field in model.model_fields.values()]


def fields() -> list[tuple[str, Any]]:
    named = [
        (f"{model.__module__}.{model.__qualname__}.{name}", field.annotation)
        for model in models()
        for name, field in model.model_fields.items()
        if NAMED_AS_SECRET.search(name) and name not in OPENS_NOTHING
    ]
    return sorted(named, key=lambda each: each[0])


@pytest.mark.parametrize(("name", "annotation"), fields())
def test_a_field_that_is_named_as_a_secret_is_typed_as_one(name: str, annotation: Any) -> None:
    assert is_secret(annotation), name


def test_there_are_fields_that_are_named_as_secrets_in_each_place_that_has_any() -> None:
    places = {name.split(".")[0] for name, _ in fields()}
    assert {"headwater", "provision_cloudflare", "provision_overshoot", "provision_pyannote"} <= places


HOLDING = tuple(model for model in models() if any(map(holds_secrets, _annotations(model))))


@pytest.mark.parametrize("model", HOLDING, ids=lambda model: f"{model.__module__}.{model.__qualname__}")
def test_a_model_that_may_hold_secrets_does_not_show_them_in_its_errors(model: type[BaseModel]) -> None:
    """The outermost model decides, and each may be that."""
    assert model.model_config.get("hide_input_in_errors") is True


def test_models_that_may_hold_secrets_are_found() -> None:
    names = {model.__name__ for model in HOLDING}
    assert {"Access", "Credentials", "CloudflareSecret", "V1betaOptions", "RtspSource", "RequestData"} <= names
    assert "Lease" not in names


# ---- the providers' contracts


type Place = tuple[str, ...]


def leaves(schema: Any, resolve: Any, at: Place = ()) -> Iterator[tuple[Place, dict[str, Any]]]:
    """Each value that a schema describes, with its place; what a constant ``type`` marks is told apart by it."""
    node = resolve(schema)
    for several in ("anyOf", "oneOf", "allOf"):
        for each in node.get(several, ()):
            yield from leaves(each, resolve, at)
    properties = node.get("properties", {})
    mark = resolve(properties.get("type", {})).get("const")
    for name, inner in properties.items():
        snake = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()
        yield from leaves(inner, resolve, (*at, *([f"({mark})"] if mark else []), snake))
    for several in ("items", "additionalProperties"):
        if isinstance(node.get(several), dict) and at:
            yield from leaves(node[several], resolve, (*at, "*"))
    if at and not properties:
        yield at, node


def asked_by_contract(file: str) -> dict[Place, bool]:
    """Whether each value of a create's request is a secret, by the provider's contract."""
    contract = Contract(file)
    posts = [operation for operation in contract.operations.values() if operation.method == "POST"]
    create = min(posts, key=lambda operation: len(operation.pattern.pattern))
    schema = create.description["requestBody"]["content"]["application/json"]["schema"]
    return {place: bool(node.get("x-secret")) for place, node in leaves(schema, contract.resolved)}


def asked_by_us(folder: str) -> dict[Place, bool]:
    """Whether each value of the options is a secret, as callers are told."""
    options = json.loads((FUNCTIONS / folder / "capabilities.json").read_text())["options"]

    def resolved(node: Any) -> Any:
        while "$ref" in node:
            node = options["$defs"][node["$ref"].removeprefix("#/$defs/")]
        return node

    return {place: bool(node.get("writeOnly")) for place, node in leaves(options, resolved)}


def contracts(folder: str) -> list[str]:
    name = json.loads((FUNCTIONS / folder / "capabilities.json").read_text())["provider"]
    return sorted(path.name for path in FOLDER.glob(f"{name}*.yaml"))


DESCRIBED = [folder for folder in providers() if contracts(folder)]


@pytest.mark.parametrize("folder", DESCRIBED)
def test_an_option_is_a_secret_exactly_where_the_provider_s_contract_says_so(folder: str) -> None:
    theirs: dict[Place, bool] = {}
    for file in contracts(folder):
        theirs |= asked_by_contract(file)
    ours = asked_by_us(folder)
    assert {place for place, secret in ours.items() if secret} == {place for place, secret in theirs.items() if secret}


def test_every_contract_belongs_to_a_provider_and_some_of_them_ask_for_secrets() -> None:
    files = [file for folder in providers() for file in contracts(folder)]
    assert sorted(files) == sorted(path.name for path in FOLDER.glob("*.yaml"))
    secret = {place for file in files for place, secret in asked_by_contract(file).items() if secret}
    assert {("source", "(rtsp)", "url"), ("source", "(livekit)", "token"), ("webrtc", "(offer)", "sdp")} <= secret


def test_options_are_closed_and_take_nothing_for_something_else() -> None:
    for model in models():
        if issubclass(model, Options):
            assert model.model_config.get("extra") == "forbid"
            assert model.model_config.get("strict") is True
