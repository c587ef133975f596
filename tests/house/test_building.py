"""What is built: every function and layer by its makefile, and of botocore's data just what is called."""

import ast
import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from botocore import xform_name
from botocore.session import Session

from tests.house.subjects import FUNCTIONS, LAYER, ROOT, Module, folders, middle, product
from tests.template import functions, name_of, resources, template

DEPENDENCIES = ROOT / "layers" / "dependencies"
LAYERS = resources("AWS::Serverless::LayerVersion")
CLIENT = re.compile(r"(?:.*\.)?_?client(?:\('(?P<service>\w+)'\))?")
"""What a client is called, and how one is asked for."""
ANY_CLIENT = {"can_paginate", "close", "exceptions", "get_paginator", "meta"}
"""What every client has beside its operations."""
BY_OTHERS = {("dynamodb", "UpdateItem"), ("dynamodb", "PutItem"), ("dynamodb", "GetItem")}
"""What Powertools' circuit breaker calls on our client: see ``headwater.circuit``."""


def metadata(name: str) -> dict[str, Any]:
    found: dict[str, Any] = template()["Resources"][name].get("Metadata", {})
    return found


@pytest.mark.parametrize("name", [*(f"{name_of(folder)}Function" for folder in folders()), *LAYERS])
def test_whatever_is_built_is_built_by_a_makefile(name: str) -> None:
    """SAM's own way compiles nothing."""
    assert metadata(name)["BuildMethod"] == "makefile"


def targets(makefile: Path) -> set[str]:
    lines = makefile.read_text().splitlines()
    return {target for line in lines if re.match(r"build-[\w% -]+:", line) for target in line.partition(":")[0].split()}


def test_every_makefile_has_a_target_for_what_is_built_by_it() -> None:
    assert {one["CodeUri"] for one in functions().values()} == {"functions/"}
    assert targets(FUNCTIONS / "Makefile") == {"build-%"}
    assert targets(LAYER / "Makefile") == {"build-HeadwaterLayer"}
    assert targets(DEPENDENCIES / "Makefile") == {f"build-{name}" for name in LAYERS if name != "HeadwaterLayer"}
    for name, layer in LAYERS.items():
        assert (ROOT / layer["ContentUri"] / "Makefile").exists(), name


@pytest.mark.parametrize("folder", [FUNCTIONS, LAYER])
def test_what_is_built_of_ours_is_compiled_and_never_compared_with_its_source(folder: Path) -> None:
    assert "compileall -q --invalidation-mode unchecked-hash" in (folder / "Makefile").read_text()


def test_packages_are_installed_for_the_architecture_that_runs_them() -> None:
    architectures = template()["Parameters"]["Architecture"]["AllowedValues"]
    wheels = {"arm64": "aarch64", "x86_64": "x86_64"}
    assert set(architectures) == set(wheels)
    for architecture, wheel in wheels.items():
        platforms = (DEPENDENCIES / architecture / "platforms.txt").read_text().split()
        assert platforms
        assert all(re.fullmatch(rf"manylinux(2014|_2_\d+)_{wheel}", each) for each in platforms)
    for name, layer in LAYERS.items():
        assert metadata(name)["BuildArchitecture"] == {"Ref": "Architecture"}
        assert layer["CompatibleArchitectures"] == [{"Ref": "Architecture"}]
        if layer["ContentUri"] == "layers/dependencies/":
            folder = metadata(name)["WorkingDirectory"]["Fn::Sub"]
            assert folder == "layers/dependencies/${Architecture}"


def test_the_authorizer_alone_has_what_verifies_tokens() -> None:
    shared = template()["Globals"]["Function"]["Layers"]
    assert shared == [{"Ref": "HeadwaterLayer"}, {"Ref": "DependenciesLayer"}]
    own = resources("AWS::Serverless::Function")
    more = {name: one["Layers"] for name, one in own.items() if "Layers" in one}
    assert more == {"AuthorizeCallerFunction": [{"Ref": "JwtLayer"}]}
    verifying = {module.package for module in product() if module.imports & {"jwt", "cryptography"}}
    assert verifying == {"authorize_caller"}


def pins(file: str) -> dict[str, str]:
    lines = (DEPENDENCIES / file).read_text().splitlines()
    return {found[1]: found[2] for line in lines if (found := re.match(r"([\w.-]+)(?:\[.*\])?==(\S+)", line))}


def test_what_two_layers_have_is_the_same() -> None:
    """They lie over each other in one folder."""
    shared, own = pins("requirements.txt"), pins("requirements-jwt.txt")
    assert "pyjwt" in own
    assert not {"pyjwt", "cryptography"} & set(shared)
    assert {name: shared[name] for name in own if name in shared} == {name: own[name] for name in own if name in shared}


# ---- botocore's operations


@cache
def called() -> frozenset[tuple[str, str]]:
    """Every operation that a client is called for, and every one whose pages are turned; with its service."""
    return frozenset(found for module in product() for found in _called(module))


def _called(module: Module) -> Iterator[tuple[str, str]]:
    for node in ast.walk(module.tree):
        if not (isinstance(node, ast.Attribute) and (client := CLIENT.fullmatch(ast.unparse(node.value)))):
            continue
        service = client["service"] or _service(module)
        if service is None:
            assert node.attr not in _methods(), f"{module.where}:{node.lineno} says not of what service its client is"
        elif node.attr not in ANY_CLIENT:
            yield _operation(service, node.attr)
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "get_paginator":
            [name], service = node.args, _service(module)
            assert isinstance(name, ast.Constant), "which one is to be read here"
            assert service
            yield _operation(service, str(name.value))


def _service(module: Module) -> str | None:
    """Of which AWS service a module's one client is, by its type."""
    found = {name.split(".")[0].removeprefix("mypy_boto3_") for name in module.imports if "mypy_boto3_" in name}
    assert len(found) <= 1, module.where
    return next(iter(found), None)


@cache
def _methods() -> frozenset[str]:
    """How operations of any service whose data are kept are called."""
    told = json.loads((DEPENDENCIES / "operations.json").read_text())
    return frozenset(xform_name(name) for service in told for name in _names(service))


@cache
def _operation(service: str, method: str) -> tuple[str, str]:
    [operation] = [each for each in _names(service) if xform_name(each) == method]
    return service, operation


@cache
def _names(service: str) -> tuple[str, ...]:
    return tuple(Session().get_service_model(service).operation_names)


def test_of_botocore_s_data_just_what_is_called_is_kept() -> None:
    told = json.loads((DEPENDENCIES / "operations.json").read_text())
    kept = {(service, operation) for service, operations in told.items() for operation in operations}
    wanted = called() | BY_OTHERS
    assert wanted - kept == set(), "a call to these fails in Lambda"
    assert kept - wanted == set(), "nobody calls these"


def test_operations_are_written_in_order_and_once() -> None:
    told = json.loads((DEPENDENCIES / "operations.json").read_text())
    assert list(told) == sorted(told)
    for operations in told.values():
        assert operations == sorted(set(operations))


def test_a_client_is_of_a_service_whose_data_are_kept() -> None:
    """``aws.client`` says of which there may be one."""
    told = set(json.loads((DEPENDENCIES / "operations.json").read_text()))
    [aws] = [module for module in middle() if module.name == "headwater.aws"]
    named = re.search(r"type Service = Literal\[(.+)\]", aws.text)
    assert named
    assert set(re.findall(r'"(\w+)"', named[1])) == told - {"kinesisvideo"}
