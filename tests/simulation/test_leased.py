"""A provider that can find nothing and ends what is not renewed: every promise, at every seed."""

import pytest

from tests.simulation.runs import BLOCKS, kept, seldom
from tests.simulation.situations import EVERYWHERE, STEPS

SITUATIONS = EVERYWHERE | {
    "unknown": 50,
    "renewed": 1000,
    "counted: AmbiguousCreate": 300,
    "failed: provider-outcome-unknown": 100,
    "removed by somebody else, unsettled": 30,
    "lost: not-at-provider": 100,
}


@pytest.mark.parametrize("number", BLOCKS)
def test_every_promise_is_kept(number: int) -> None:
    kept("leased", number)


def test_every_situation_comes_about() -> None:
    assert seldom("leased", (*STEPS, "provider.renew", "provider.remove"), SITUATIONS) == {}
