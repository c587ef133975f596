"""Runs of the simulation, by kind and seed: what happened, and which promise was broken, if any."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from tests.simulation.kernel import Fate
from tests.simulation.promises import Broken
from tests.simulation.world import World

BLOCK = 125
"""Seeds to a test."""
BLOCKS = range(24)
"""Of each kind of provider: 3,000 seeds."""
AT_LEAST = 3
"""How often everything that can befall a call must have befallen each."""


@dataclass(frozen=True)
class Run:
    """What one seed came to."""

    kind: str
    seed: int
    broken: str | None
    seen: Counter[str]
    trace: list[tuple[float, str, str]]

    @classmethod
    def of(cls, kind: str, seed: int) -> "Run":
        """The run of this seed: always the same."""
        world = World(kind, seed)
        broken = None
        try:
            world.run()
        except Broken as promise:
            broken = str(promise)
        except Exception as error:  # noqa: BLE001  # whatever it is, it must be told with the seed that brought it about
            broken = f"something unforeseen: {error!r}"
        return cls(kind, seed, broken, world.kernel.seen, world.kernel.trace)

    @property
    def lines(self) -> list[str]:
        """The trace, a line for each step: seconds since the beginning, who, what."""
        return [f"{moment:11.3f}  {who:<18} {what}" for moment, who, what in self.trace]


@cache
def block(kind: str, number: int) -> tuple[Counter[str], list[str]]:
    """The seeds of one block: how often each thing was seen, and which promises were broken at which seed."""
    seen: Counter[str] = Counter()
    broken = []
    for seed in range(number * BLOCK, (number + 1) * BLOCK):
        run = Run.of(kind, seed)
        seen += run.seen
        if run.broken:
            broken.append(f"{kind} {seed}: {run.broken}. See it: make simulate RUN='{kind} {seed}'")
    return seen, broken


def kept(kind: str, number: int) -> None:
    """Fails with every seed of the block at which a promise was broken."""
    _, broken = block(kind, number)
    assert not broken, "\n".join(["", *broken])


def seldom(kind: str, steps: tuple[str, ...], situations: Mapping[str, int]) -> dict[str, int]:
    """What was seen too seldom over all seeds, with how often it was: an end of a call, or a situation."""
    wanted = {f"{fate}: {step}": AT_LEAST for step in steps for fate in Fate if fate not in {Fate.DONE, Fate.FROZEN}}
    wanted |= {f"late landing: {step}": AT_LEAST for step in steps} | {"frozen: provider.create": 5} | dict(situations)
    seen: Counter[str] = Counter()
    for number in BLOCKS:
        seen += block(kind, number)[0]
    return {name: seen[name] for name, times in wanted.items() if seen[name] < times}
