"""Checks requests and answers against a provider's OpenAPI description under `local/contracts/`."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator, FormatChecker, ValidationError
from jsonschema.exceptions import best_match

FOLDER = Path(__file__).parent.parent / "contracts"


@dataclass(frozen=True)
class Misfit:
    """Where something departs from the contract, and how; without the value, which may be a secret."""

    where: tuple[str, ...]
    """Begins with body, path, query or header."""
    what: str

    def __str__(self) -> str:
        return f"{'/'.join(self.where)}: {self.what}"


@dataclass(frozen=True)
class Operation:
    name: str
    method: str
    pattern: re.Pattern[str]
    description: Mapping[str, Any]
    parameters: tuple[Mapping[str, Any], ...]

    @property
    def permissions(self) -> frozenset[str]:
        """One of these suffices."""
        return frozenset(self.description.get("x-permissions", ()))


class Contract:
    """One description, read when first asked."""

    def __init__(self, file: str) -> None:
        self.path = FOLDER / file
        self._validators: dict[str, Draft202012Validator] = {}

    @cached_property
    def document(self) -> dict[str, Any]:
        """With every schema closed that has properties: a simulator makes up no fields."""
        document: dict[str, Any] = yaml.safe_load(self.path.read_text())
        _close(document["components"]["schemas"])
        return document

    @cached_property
    def operations(self) -> dict[str, Operation]:
        return {operation.name: operation for operation in self._operations()}

    def _operations(self) -> Iterator[Operation]:
        for template, item in self.document["paths"].items():
            pattern = re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", template))
            shared = item.get("parameters", [])
            for method, description in item.items():
                if method != "parameters":
                    own = [self.resolved(node) for node in shared + description.get("parameters", [])]
                    name = description["operationId"]
                    yield Operation(name, method.upper(), pattern, description, tuple(own))

    def find(self, method: str, path: str) -> tuple[Operation, dict[str, str]] | None:
        """The operation of a call and its path's parameters."""
        for operation in self.operations.values():
            found = operation.pattern.fullmatch(path)
            if found and operation.method == method:
                return operation, found.groupdict()
        return None

    def parameter_misfits(self, operation: Operation, given: Mapping[str, Mapping[str, str]]) -> Iterator[Misfit]:
        """`given` by place: path, query and header (names in any case). Unknown query names are misfits."""
        known = {(node["in"], node["name"].lower()): node for node in operation.parameters}
        for place, values in given.items():
            for name, text in values.items():
                node = known.get((place, name.lower()))
                if node is not None:
                    yield from self._text_misfits(node["schema"], text, (place, name))
                elif place == "query":
                    yield Misfit((place, name), "unknown parameter")

    def body_misfits(self, operation: Operation, body: Any) -> Iterator[Misfit]:
        schema = operation.description["requestBody"]["content"]["application/json"]["schema"]
        yield from self._misfits(schema, body, ("body",))

    def answer_misfits(
        self, operation: Operation, status: int, headers: Mapping[str, str], body: bytes
    ) -> Iterator[Misfit]:
        responses = operation.description["responses"]
        node = responses.get(str(status)) or responses.get(f"{status // 100}XX")
        if node is None:
            yield Misfit(("status",), f"{status} is not among those of {operation.name}")
            return
        response = self.resolved(node)
        for name, header in response.get("headers", {}).items():
            if name in headers:
                schema = self.resolved(header)["schema"]
                yield from self._text_misfits(schema, headers[name], ("header", name))
        if "content" in response:
            schema = response["content"]["application/json"]["schema"]
            yield from self._misfits(schema, json.loads(body or b"null"), ("body",))
        elif body and status < 400:
            yield Misfit(("body",), "there should be none")

    def resolved(self, node: Mapping[str, Any]) -> Mapping[str, Any]:
        while "$ref" in node:
            found: Any = self.document
            for step in node["$ref"].removeprefix("#/").split("/"):
                found = found[step]
            node = found
        return node

    def _text_misfits(self, schema: Mapping[str, Any], text: str, where: tuple[str, ...]) -> Iterator[Misfit]:
        yield from self._misfits(schema, _cast(text, self.resolved(schema).get("type")), where)

    def _misfits(self, schema: Mapping[str, Any], value: Any, where: tuple[str, ...]) -> Iterator[Misfit]:
        for error in self._validator(schema).iter_errors(value):
            deepest = best_match([error]) or error
            yield Misfit((*where, *map(str, deepest.absolute_path)), _said(deepest))

    def _validator(self, schema: Mapping[str, Any]) -> Draft202012Validator:
        key = json.dumps(schema)
        if key not in self._validators:
            whole = {**schema, "components": self.document["components"]}
            self._validators[key] = Draft202012Validator(whole, format_checker=FormatChecker())
        return self._validators[key]


def _close(node: Any) -> None:
    if isinstance(node, dict):
        if isinstance(node.get("properties"), dict):
            node["additionalProperties"] = node.get("additionalProperties") is True
        for child in node.values():
            _close(child)
    if isinstance(node, list):
        for child in node:
            _close(child)


def _cast(text: str, kind: str | None) -> Any:
    """Parameters and headers travel as text."""
    if kind == "boolean":
        return {"true": True, "false": False}.get(text, text)
    return int(text) if kind == "integer" and re.fullmatch(r"-?\d{1,15}", text) else text


def _said(error: ValidationError) -> str:
    """jsonschema's own text quotes the value."""
    rule: Any = error.validator_value
    given: Any = error.instance
    if error.validator == "additionalProperties" and isinstance(error.schema, dict):
        return f"unknown: {', '.join(sorted(given.keys() - error.schema.get('properties', {}).keys()))}"
    if error.validator == "required":
        return f"missing: {', '.join(sorted(set(rule) - given.keys()))}"
    shown = f" {rule}" if isinstance(rule, str | int | float | list) else ""
    return f"does not fit {error.validator}{shown}"
