"""What the rules of the house are about, found anew at each run: nothing here lists a file."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

ROOT = Path(__file__).parents[2]
FUNCTIONS = ROOT / "functions"
LAYER = ROOT / "layers" / "headwater"
SOURCES = ("functions", "layers", "bench", "local", "tools", "tests")
BINARY = {".png", ".pyc", ".zip"}


@dataclass(frozen=True)
class Module:
    """One Python file."""

    path: Path
    name: str
    """As it is imported."""

    @property
    def where(self) -> str:
        return str(self.path.relative_to(ROOT))

    @property
    def package(self) -> str:
        return self.name.partition(".")[0]

    @cached_property
    def text(self) -> str:
        return self.path.read_text()

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text)

    @property
    def docstring(self) -> str:
        return ast.get_docstring(self.tree) or ""

    @cached_property
    def imports(self) -> frozenset[str]:
        """Every module that it imports, wherever in it, in full."""
        return frozenset(_imported(self.tree))


def _imported(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        if isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@cache
def folders() -> tuple[str, ...]:
    """The Lambda functions."""
    return tuple(sorted(path.parent.name for path in FUNCTIONS.glob("*/__init__.py")))


@cache
def providers() -> tuple[str, ...]:
    """Those that provision."""
    return tuple(folder for folder in folders() if (FUNCTIONS / folder / "provider.py").exists())


@cache
def middle() -> tuple[Module, ...]:
    """The shared middle."""
    return _modules(LAYER)


@cache
def product() -> tuple[Module, ...]:
    """What runs in Lambda: the functions and the shared middle."""
    return _modules(FUNCTIONS) + middle()


@cache
def python() -> tuple[Module, ...]:
    """All Python that there is."""
    return product() + tuple(module for folder in SOURCES[2:] for module in _modules(ROOT, ROOT / folder))


def _modules(root: Path, within: Path | None = None) -> tuple[Module, ...]:
    paths = sorted(path for path in (within or root).rglob("*.py") if "__pycache__" not in path.parts)
    return tuple(Module(path, _name(path.relative_to(root))) for path in paths)


def _name(path: Path) -> str:
    return ".".join(path.with_suffix("").parts).removesuffix(".__init__")


@cache
def texts() -> tuple[Path, ...]:
    """Every file of the repository that a person may read; what begins with a dot is made or installed."""
    return tuple(sorted(_texts(ROOT)))


def _texts(folder: Path) -> Iterator[Path]:
    for path in folder.iterdir():
        made = path.name == "__pycache__" or (path.name.startswith(".") and path.name not in {".ci", ".gitignore"})
        if path.is_dir() and not made:
            yield from _texts(path)
        elif path.is_file() and not made and path.suffix not in BINARY:
            yield path


def ids(modules: tuple[Module, ...]) -> list[str]:
    """What the tests of these are called."""
    return [module.where for module in modules]
