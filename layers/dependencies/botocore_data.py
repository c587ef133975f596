"""botocore's data cut to the operations that are called: 25 MB and a quarter of a second less."""

import gzip
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

type Json = dict[str, Any]

KEPT = ("endpoint-rule-set-1", "paginators-1", "service-2", "service-2.sdk-extras")
"""Of a service; its examples and waiters are for others."""


def slim(data: Path, operations: dict[str, list[str]]) -> None:
    """Leave of botocore's ``data`` what these operations, by service, need. Raises ``KeyError`` on an unknown one."""
    for service in [path for path in data.iterdir() if path.is_dir()]:
        versions = sorted(service.iterdir())
        for version in versions:
            if service.name not in operations or version != versions[-1]:
                shutil.rmtree(version)
        if service.name in operations:
            _slim_service(versions[-1], operations[service.name])
        else:
            service.rmdir()
    endpoints = json.loads((data / "endpoints.json").read_text())
    hosts = {_endpoint_prefix(data / service) for service in operations}
    for partition in endpoints["partitions"]:
        partition["services"] = {name: told for name, told in partition["services"].items() if name in hosts}
    _write(data / "endpoints.json", endpoints)


def _slim_service(folder: Path, operations: list[str]) -> None:
    for file in list(folder.iterdir()):
        name = file.name.removesuffix(".gz").removesuffix(".json")
        told = json.loads(gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes())
        file.unlink()
        if name not in KEPT:
            continue
        if name == "service-2":
            told = _of_operations(told, operations)
        elif name == "paginators-1":
            told["pagination"] = {name: how for name, how in told["pagination"].items() if name in operations}
        _write(folder / f"{name}.json", told)


def _of_operations(model: Json, operations: list[str]) -> Json:
    """The model with these operations and the shapes that they reach, without its documentation."""
    kept = {name: model["operations"][name] for name in operations}
    reached: set[str] = set()
    left = list(_shapes_in(list(kept.values())))
    while left:
        name = left.pop()
        if name not in reached:
            reached.add(name)
            left += _shapes_in(model["shapes"][name])
    shapes = {name: shape for name, shape in model["shapes"].items() if name in reached}
    slim: Json = _undocumented({**model, "operations": kept, "shapes": shapes})
    return slim


def _shapes_in(part: Any) -> Iterator[str]:
    """Every shape that a part of a model refers to."""
    if isinstance(part, list):
        for each in part:
            yield from _shapes_in(each)
    elif isinstance(part, dict):
        for name, each in part.items():
            if name == "shape" and isinstance(each, str):
                yield each
            else:
                yield from _shapes_in(each)


def _undocumented(part: Any) -> Any:
    """Documentation is text; a member that is called so is not."""
    if isinstance(part, list):
        return [_undocumented(each) for each in part]
    if isinstance(part, dict):
        return {
            name: _undocumented(each)
            for name, each in part.items()
            if not (name == "documentation" and isinstance(each, str))
        }
    return part


def _endpoint_prefix(service: Path) -> str:
    model = json.loads(next(service.glob("*/service-2.json")).read_text())
    return str(model["metadata"]["endpointPrefix"])


def _write(file: Path, told: Json) -> None:
    file.write_text(json.dumps(told, separators=(",", ":")))
