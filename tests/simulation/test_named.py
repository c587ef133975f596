"""A provider whose names are unique, and free once deleted: every promise, at every seed."""

import pytest

from tests.simulation.runs import BLOCKS, kept, seldom
from tests.simulation.situations import EVERYWHERE, STEPS

SITUATIONS = (
    EVERYWHERE
    | {
        "answer: name-taken": 50,
        "taken, it seems, by another": 20,
        "failed: name-taken": 50,
        "removed by somebody else, unsettled": 30,
        "lost: not-at-provider": 50,
        "made after the end": 1,
    }
    | {"unknown": 0}
)


@pytest.mark.parametrize("number", BLOCKS)
def test_every_promise_is_kept(number: int) -> None:
    kept("named", number)


def test_every_situation_comes_about() -> None:
    assert seldom("named", (*STEPS, "provider.find", "provider.remove"), SITUATIONS) == {}
