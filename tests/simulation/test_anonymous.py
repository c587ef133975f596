"""A provider that can find nothing and remove nothing, and whose lost ones do no harm: every promise, at every seed."""

import pytest

from tests.simulation.runs import BLOCKS, kept, seldom
from tests.simulation.situations import EVERYWHERE, STEPS

SITUATIONS = EVERYWHERE | {
    "unknown": 50,
    "counted: AmbiguousCreate": 300,
    "failed: provider-outcome-unknown": 200,
}


@pytest.mark.parametrize("number", BLOCKS)
def test_every_promise_is_kept(number: int) -> None:
    kept("anonymous", number)


def test_every_situation_comes_about() -> None:
    assert seldom("anonymous", STEPS, SITUATIONS) == {}
