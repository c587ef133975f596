"""The shared contract: explained like any test, and asked of those providers to whom a question applies."""

import pytest

pytest.register_assert_rewrite("tests.providers.provider_contract")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "applies(attribute, wanted): what a provider's contract must declare")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Drop the questions that do not apply: a skip would look like something left undone."""
    items[:] = [item for item in items if all(_applies(item, mark) for mark in item.iter_markers("applies"))]


def _applies(item: pytest.Item, mark: pytest.Mark) -> bool:
    contract = item.getparent(pytest.Class)
    declared = getattr(contract.obj if contract else None, mark.kwargs["attribute"], None)
    return bool(declared) is mark.kwargs["wanted"]
