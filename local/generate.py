"""``python -m local.generate``, which `make contracts` calls: writes the committed files that follow from the code.

What each provider can do goes into its folder, and the schema of each event under ``events/contracts/``. A schema of a
version that is out is not written where it would break those who hold to it.
"""

import importlib
import inspect
import json
import math
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_protocol_members, override

from pydantic import BaseModel, TypeAdapter
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core.core_schema import WithDefaultSchema

from headwater.changing import OURS
from headwater.events import PUBLISHED, OrphanSearchDue, StreamAttentionDue, StreamRequested
from headwater.provider import AnyProvider, Provider
from local.compatibility import breaks

ROOT = Path(__file__).parent.parent
FUNCTIONS = ROOT / "functions"
CONTRACTS = ROOT / "events" / "contracts"
DIALECT = "https://json-schema.org/draft/2020-12/schema"

SENT: tuple[type[BaseModel], ...] = (*PUBLISHED, StreamAttentionDue, OrphanSearchDue)
"""What we put on the bus."""
TAKEN: tuple[type[BaseModel], ...] = (StreamRequested,)
"""What others put there for us."""


class _Untitled(GenerateJsonSchema):
    """Without a title for each field, which only repeats its name."""

    @override
    def field_title_should_be_set(self, schema: Any) -> bool:
        return False


class _Sent(_Untitled):
    """Of what we send: every field is there, so none has a default."""

    @override
    def field_is_required(self, field: Any, total: bool) -> bool:
        return True

    def default_schema(self, schema: WithDefaultSchema) -> JsonSchemaValue:
        return self.generate_inner(schema["schema"])


def main() -> None:
    """Write what is not as it should be, or say what must not be written."""
    files = generated()
    if broken := list(_broken(files)):
        sys.exit(
            "\n".join([*broken, "Make it a version of its own; or, if nobody has seen it, delete the schema first."])
        )
    for path, text in files.items():
        if not path.exists() or path.read_text() != text:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
            print(f"wrote {path.relative_to(ROOT)}")


def generated() -> dict[Path, str]:
    """Every generated file, with the text that it should have."""
    capable = {folder / "capabilities.json": capabilities(kind) for folder, kind in providers().items()}
    promised = {schema_path(kind): event_schema(kind) for kind in (*SENT, *TAKEN)}
    return {
        path: json.dumps(content, indent=2, ensure_ascii=False) + "\n" for path, content in (capable | promised).items()
    }


def providers() -> dict[Path, type[AnyProvider]]:
    """The class that offers what a provider must, by its folder; found, so that nothing lists providers."""
    return {path.parent: _provider(path.parent.name) for path in sorted(FUNCTIONS.glob("*/provider.py"))}


def _provider(folder: str) -> type[AnyProvider]:
    module = importlib.import_module(f"{folder}.provider")
    offered = get_protocol_members(Provider)
    classes = [kind for _, kind in inspect.getmembers(module, inspect.isclass) if kind.__module__ == module.__name__]
    found: list[Any] = [kind for kind in classes if all(hasattr(kind, name) for name in offered)]
    if len(found) != 1:
        raise LookupError(f"{folder}/provider.py has {len(found)} classes with all of {', '.join(sorted(offered))}")
    provider: type[AnyProvider] = found[0]
    return provider


def capabilities(provider: type[AnyProvider]) -> dict[str, Any]:
    """What ``GET /providers`` tells of a provider. Options that are secrets are ``writeOnly``."""
    return {
        "provider": provider.name,
        "api_version": provider.api_version,
        "verbs": sorted(provider.verbs),
        "changeable": sorted(OURS | provider.changeable),
        "notifies": provider.notifies,
        "idempotency": _idempotency(provider.guard_seconds),
        "finds_orphans": provider.marks,
        "options": TypeAdapter(provider.options_type).json_schema(schema_generator=_Untitled),
    }


def _idempotency(guard_seconds: float) -> dict[str, Any]:
    """For how long the provider itself keeps a repeated create from making a second resource."""
    if guard_seconds in (0, math.inf):
        return {"guard": "always" if guard_seconds else "none", "seconds": None}
    return {"guard": "seconds", "seconds": guard_seconds}


def event_schema(kind: type[BaseModel]) -> dict[str, Any]:
    """The JSON Schema of an event's detail.

    One that we send is open: we may add to it within a version, and who reads it must bear that. One that we take is
    closed, as we are: an unknown member is refused.
    """
    if kind in TAKEN:
        return {"$schema": DIALECT, **kind.model_json_schema(schema_generator=_Untitled)}
    schema = kind.model_json_schema(mode="serialization", schema_generator=_Sent)
    return {"$schema": DIALECT, **_open(schema)}


def _open(node: Any) -> Any:
    if isinstance(node, dict):
        kept = {name: child for name, child in node.items() if (name, child) != ("additionalProperties", False)}
        return {name: _open(child) for name, child in kept.items()}
    return [_open(child) for child in node] if isinstance(node, list) else node


def schema_path(kind: type[BaseModel]) -> Path:
    """Where the schema of an event is: by its name in snake_case, and its version."""
    folder = re.sub(r"(?<!^)(?=[A-Z])", "_", kind.__name__).lower()
    (version,) = kind.model_fields["version"].annotation.__args__  # type: ignore[union-attr] # it is a Literal of one
    return CONTRACTS / folder / f"v{version}.schema.json"


def _broken(files: dict[Path, str]) -> Iterator[str]:
    for kind in (*SENT, *TAKEN):
        path = schema_path(kind)
        if path.exists():
            yield from broken(kind, json.loads(path.read_text()), json.loads(files[path]))


def broken(kind: type[BaseModel], old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """What would break for those who hold to the old schema of an event, in words."""
    return [f"{kind.__name__} {each}" for each in breaks(old, new, taken=kind in TAKEN)]


if __name__ == "__main__":
    main()
