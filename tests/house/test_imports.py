"""Who may import whom: functions the shared middle, never back and never sideways."""

import sys

import pytest

from tests.house.subjects import LAYER, Module, folders, ids, middle, product, python

OURS = {"local", "tools", "tests"}
PURE_PACKAGES = {"pydantic", "pydantic_core", "headwater"}

ADAPTERS = {
    "headwater.answers",
    "headwater.api",
    "headwater.aws",
    "headwater.breaker",
    "headwater.circuit",
    "headwater.clock",
    "headwater.cold_start",
    "headwater.commands",
    "headwater.http",
    "headwater.late_credentials",
    "headwater.orphan_reports",
    "headwater.provider_function",
    "headwater.provider_secret",
    "headwater.queue",
    "headwater.rare_routes",
    "headwater.sightings",
    "headwater.snapshot",
    "headwater.store",
    "headwater.telemetry",
    "headwater.vault",
    "headwater.wiring",
}
"""The modules of the middle that know the outside: AWS, Lambda, HTTP. Any other is pure, a new one too."""

BY_NAME = {module.name: module for module in middle()}


def packages(module: Module) -> set[str]:
    """The packages that are neither Python's nor typing's."""
    tops = {name.partition(".")[0] for name in module.imports}
    return {top for top in tops if top not in sys.stdlib_module_names}


def of_the_middle(module: Module) -> set[str]:
    return {name for name in module.imports if name in BY_NAME and name != "headwater"}


def sideways(module: Module) -> set[str]:
    """What it imports that is not its own, the middle's or a package's."""
    return packages(module) & ({*folders(), *OURS} - {module.package})


@pytest.mark.parametrize("module", product(), ids=ids(product()))
def test_a_function_imports_no_other_and_the_middle_none(module: Module) -> None:
    assert sideways(module) == set()


PURE = tuple(module for module in middle() if module.name not in ADAPTERS)


@pytest.mark.parametrize("module", PURE, ids=ids(PURE))
def test_what_is_pure_imports_pydantic_python_and_what_is_pure(module: Module) -> None:
    assert packages(module) <= PURE_PACKAGES
    assert of_the_middle(module) & ADAPTERS == set()


def test_what_says_that_it_is_pure_is_pure() -> None:
    assert {module.name for module in middle() if " Pure" in module.docstring} & ADAPTERS == set()
    for module in product():
        if module not in middle() and " Pure" in module.docstring:
            assert packages(module) <= {*PURE_PACKAGES, module.package}


@pytest.mark.parametrize("name", sorted(ADAPTERS))
def test_an_adapter_is_there_and_could_not_be_pure(name: str) -> None:
    module = BY_NAME[name]
    assert packages(module) - PURE_PACKAGES or of_the_middle(module) & ADAPTERS or "os" in module.imports


@pytest.mark.parametrize("module", middle(), ids=ids(middle()))
def test_the_middle_is_one_package_without_sub_packages(module: Module) -> None:
    assert module.path.parent == LAYER / "headwater"


DOORS = (
    *("local.simulators", "local.kinesis_video", "local.aws_door"),
    *("local.door", "local.control", "local.faults", "local.clock"),
)
SIMULATED = tuple(m for m in python() if m.name.startswith(DOORS))


@pytest.mark.parametrize("module", SIMULATED, ids=ids(SIMULATED))
def test_a_simulator_knows_nothing_of_the_product(module: Module) -> None:
    assert packages(module) & {"headwater", *folders()} == set()


NARROW = {"aws_lambda_powertools"}
"""Their packages import all their siblings; the module that is needed costs a fraction."""


@pytest.mark.parametrize("module", product(), ids=ids(product()))
def test_a_large_package_is_imported_by_the_module_that_is_needed(module: Module) -> None:
    at_runtime = {name for name in module.imports if name in NARROW}
    only_for_types = "if TYPE_CHECKING:" in module.text
    assert not at_runtime or only_for_types
