"""What is written beside the code: sentences where they are needed, reasons for exceptions, and nothing left over."""

import ast
import io
import json
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.house.subjects import FUNCTIONS, ROOT, Module, folders, ids, middle, product, providers, python, texts

# ---- docstrings


@pytest.mark.parametrize("module", python(), ids=ids(python()))
def test_a_module_opens_with_a_sentence(module: Module) -> None:
    if not module.text.strip():
        return
    first = module.docstring.partition("\n\n")[0].replace("\n", " ")
    assert re.match(r"[A-Za-z`0-9].*[.:]$", first), f"{module.where} opens with {first!r}"


HANDLERS = tuple(module for module in product() if module.path.name == "handler.py")


@pytest.mark.parametrize("module", HANDLERS, ids=ids(HANDLERS))
def test_a_handler_opens_with_its_trigger_and_what_comes_of_it(module: Module) -> None:
    assert "→" in module.docstring.partition("\n")[0]


def undocumented(tree: ast.Module) -> Iterator[str]:
    """Public classes and functions that need a docstring and have none; what they are called.

    None is needed where it could only repeat the name: for a class of up to five fields and no methods, and for a
    function of one or two statements. Nor where it is said elsewhere: of a method that a base class describes.
    """
    yield from _undocumented(tree.body, "")


def _undocumented(body: list[ast.stmt], within: str) -> Iterator[str]:
    for node in body:
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            if not ast.get_docstring(node) and not _is_plain(node):
                yield within + node.name
            yield from _undocumented(node.body, f"{within}{node.name}.")
        silent = isinstance(node, ast.FunctionDef) and not ast.get_docstring(node) and len(node.body) > 2
        if isinstance(node, ast.FunctionDef) and silent and not node.name.startswith("_"):
            yield within + node.name


def _is_plain(node: ast.ClassDef) -> bool:
    return len(node.body) <= 5 and all(isinstance(each, ast.AnnAssign | ast.Assign | ast.Pass) for each in node.body)


@pytest.mark.parametrize("module", product(), ids=ids(product()))
def test_what_is_public_says_what_it_is_for(module: Module) -> None:
    assert list(undocumented(module.tree)) == []


def test_what_lacks_a_docstring_is_found() -> None:
    source = """
class Silent:
    def __init__(self): pass
    def long(self):
        a = 1
        b = 2
        return a + b
class Plain:
    a: int
def short(): return 1
def _hidden():
    a = 1
    b = 2
    return a
"""
    assert list(undocumented(ast.parse(source))) == ["Silent", "Silent.long"]


# ---- comments


def comments(module: Module) -> Iterator[tuple[int, str]]:
    for token in tokenize.generate_tokens(io.StringIO(module.text).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string


EXCEPTION = re.compile(r"#\s*(type:\s*ignore|noqa)\b")
WITH_REASON = re.compile(r"# type: ignore\[[a-z-]+(, ?[a-z-]+)*\] +# \S+|# noqa: [A-Z]+\d+(, ?[A-Z]+\d+)* +# \S+")


@pytest.mark.parametrize("module", python(), ids=ids(python()))
def test_an_exception_from_a_rule_is_a_narrow_one_and_has_its_reason_on_its_line(module: Module) -> None:
    bare = [
        f"{line}: {text}" for line, text in comments(module) if EXCEPTION.search(text) and not WITH_REASON.search(text)
    ]
    assert bare == []


@pytest.mark.parametrize("text", ["# noqa", "# noqa: S101", "# type: ignore", "# type: ignore[attr-defined]"])
def test_an_exception_without_a_reason_is_found(text: str) -> None:
    assert EXCEPTION.search(text)
    assert not WITH_REASON.search(text)


LEFT_OVER = ("TO" + "DO", "FIX" + "ME", "NotImplemented" + "Error", "X" + "XX")


@pytest.mark.parametrize("word", LEFT_OVER)
def test_nothing_is_left_to_be_done(word: str) -> None:
    assert holding(rf"\b{word}\b") == set()


def holding(pattern: str, paths: tuple[Path, ...] = texts()) -> set[str]:
    """The files that something is in."""
    found = re.compile(pattern)
    return {str(path.relative_to(ROOT)) for path in paths if found.search(path.read_text())}


def test_the_files_that_are_searched_are_all_that_there_are() -> None:
    names = {str(path.relative_to(ROOT)) for path in texts()}
    assert {"template.yaml", "Makefile", "README.md", ".ci/run", "tests/house/test_words.py"} <= names
    assert not any(name.startswith((".venv", ".local", ".aws-sam", ".git/")) for name in names)


# ---- machines and hosts


def test_no_path_of_somebody_s_machine_is_in_a_file() -> None:
    homes = "|".join(("home", "Users", "root", "workspace", "work", "mnt", "private"))
    assert holding(rf"(?<![\w.}}$)\]/*-])/(?:{homes})/[\w.-]+") == set()


REQUIREMENTS = tuple(path for path in texts() if path.match("requirements*.txt") or path.parent.name == "requirements")
PINS = tuple(path for path in REQUIREMENTS if path.suffix == ".txt")


def test_there_are_pins_for_everything_that_is_asked_for() -> None:
    asked = {path.stem for path in REQUIREMENTS if path.suffix == ".in"}
    assert asked - {"runtime", "jwt"} == {path.stem for path in PINS if path.parent.name == "requirements"}
    layers = ROOT / "layers" / "dependencies"
    assert {layers / "requirements.txt", layers / "requirements-jwt.txt"} <= set(PINS)


@pytest.mark.parametrize("path", REQUIREMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_requirements_name_no_index_and_no_address(path: Path) -> None:
    options = [
        line for line in path.read_text().splitlines() if re.match(r"\s*(-i|-f|--[a-z-]*(index|links|host))", line)
    ]
    assert options == []
    assert "://" not in path.read_text()


@pytest.mark.parametrize("path", PINS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_pin_is_of_one_version_and_has_hashes(path: Path) -> None:
    for entry in entries(path.read_text()):
        assert re.match(
            r"[A-Za-z0-9._-]+(\[[a-z0-9,-]+\])?==[\w.!+]+( ;.*)? (--hash=sha256:[0-9a-f]{64} ?)+$", entry
        ), entry


def entries(text: str) -> list[str]:
    """The requirements of a file, each on one line, comments left out."""
    lines = [line for line in text.splitlines() if line.strip() and not line.strip().startswith("#")]
    return [" ".join(entry.split()) for entry in "\n".join(lines).replace("\\\n", " ").splitlines()]


def test_a_pin_without_a_hash_is_found() -> None:
    assert entries("a==1 \\\n    --hash=sha256:b\n# c\nd==2\n") == ["a==1 --hash=sha256:b", "d==2"]


def test_no_registry_s_host_is_in_a_file() -> None:
    hosts = (r"py[p]i\.org", r"python[h]osted\.org", "j[f]rog", "arti[f]actory", "code[a]rtifact")
    assert holding("|".join(hosts)) == set()


# ---- providers


def squeezed(text: str) -> str:
    """Without what tells one spelling of a name from another."""
    return re.sub(r"[\s_-]", "", text).lower()


def names() -> dict[str, str]:
    """What each provider may be called, squeezed, by its folder."""
    return {folder: squeezed(folder.removeprefix("provision_")) for folder in providers()}


def naming(paths: Iterator[Path]) -> dict[str, list[str]]:
    """Which providers each file names."""
    found = {str(path.relative_to(ROOT)): squeezed(path.read_text()) for path in paths}
    named = {where: [name for name in names().values() if name in text] for where, text in found.items()}
    return {where: providers for where, providers in named.items() if providers}


def test_the_shared_middle_names_no_provider() -> None:
    assert naming(module.path for module in middle()) == {}
    # What is called of an SDK is, like what is installed, the sum of what all functions need.
    layers = naming(path for path in texts() if "layers" in path.relative_to(ROOT).parts)
    assert layers.keys() <= {"layers/dependencies/operations.json"}


@pytest.mark.parametrize("folder", folders())
def test_a_function_names_no_provider_but_its_own(folder: str) -> None:
    own = names().get(folder)
    named = naming(path for path in texts() if FUNCTIONS / folder in path.parents)
    assert {where for where, found in named.items() if set(found) - {own}} == set()


def test_nothing_that_is_for_all_providers_lists_them() -> None:
    """Not the commands, not the generator, not the tools: a provider more changes none of them."""
    common = [ROOT / "Makefile", ROOT / "samconfig.toml", ROOT / ".ci" / "run", ROOT / "local" / "generate.py"]
    assert naming(iter([*common, *sorted((ROOT / "tools").glob("*.py"))])) == {}


def test_the_template_names_a_provider_in_its_own_parts_only() -> None:
    """Its block, its parameters, and the policies of the bus and the queues; nothing that all functions share."""
    shared = (ROOT / "template.yaml").read_text().partition("\nGlobals:")[2].partition("\n  KeepStreamsPolicy:")[0]
    assert [name for name in names().values() if name in squeezed(shared)] == []


@pytest.mark.parametrize("folder", providers())
def test_a_provider_s_folder_has_what_every_provider_s_has(folder: str) -> None:
    files = {"__init__.py", "handler.py", "options.py", "provider.py", "wire.py", "README.md", "capabilities.json"}
    assert files <= {path.name for path in (FUNCTIONS / folder).iterdir()}
    name = json.loads((FUNCTIONS / folder / "capabilities.json").read_text())["provider"]
    assert folder == "provision_" + name.replace("-", "_")
    assert (ROOT / "tests" / "providers" / f"test_{name.replace('-', '_')}.py").exists()
