"""Short enough to be read: a handler on one screen, functions of at most 40 lines, files of at most 300."""

import ast

import pytest

from tests.house.subjects import Module, ids, product

HANDLER_LINES = 40
FUNCTION_LINES = 40
FILE_LINES = 300

HANDLERS = tuple(module for module in product() if module.path.name == "handler.py")


@pytest.mark.parametrize("module", HANDLERS, ids=ids(HANDLERS))
def test_a_handler_fits_on_one_screen(module: Module) -> None:
    assert len(module.text.splitlines()) <= HANDLER_LINES


@pytest.mark.parametrize("module", product(), ids=ids(product()))
def test_a_file_is_short(module: Module) -> None:
    assert len(module.text.splitlines()) <= FILE_LINES


@pytest.mark.parametrize("module", product(), ids=ids(product()))
def test_a_function_is_short(module: Module) -> None:
    long = {
        node.name: node.end_lineno - node.lineno + 1
        for node in ast.walk(module.tree)
        if isinstance(node, ast.FunctionDef) and node.end_lineno and node.end_lineno - node.lineno >= FUNCTION_LINES
    }
    assert long == {}
