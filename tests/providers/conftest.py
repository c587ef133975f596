"""The shared contract's own assertions are explained like any test's."""

import pytest

pytest.register_assert_rewrite("tests.providers.provider_contract")
