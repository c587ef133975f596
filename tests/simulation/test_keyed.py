"""A provider that knows a create again for some hours, and whose list may be cut: every promise, at every seed."""

import pytest

from tests.simulation.runs import BLOCKS, kept, seldom
from tests.simulation.situations import EVERYWHERE, STEPS

SITUATIONS = EVERYWHERE | {
    "guard held": 100,
    "guard spent": 100,
    "guard spent, it says, for another on its way": 10,
    "generation raised": 50,
    "unknown": 50,
    "list cut": 300,
    "counted: UndecidedCreate": 100,
    "answer: provider-outcome-undecided": 100,
    "removed by somebody else, unsettled": 50,
    "lost: not-at-provider": 20,
}


@pytest.mark.parametrize("number", BLOCKS)
def test_every_promise_is_kept(number: int) -> None:
    kept("keyed", number)


def test_every_situation_comes_about() -> None:
    assert seldom("keyed", (*STEPS, "provider.find", "provider.remove"), SITUATIONS) == {}
