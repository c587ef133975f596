"""The table of prices, and what an amount of each comes to."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import date
from functools import cache
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

FILE = Path(__file__).with_name("prices.json")

type Usage = Mapping[str, float]
"""How much of each thing that has a price, by the names of the table of prices."""


class Price(BaseModel):
    """Dollars for so many of something. ``known``: the day of the source, or else that on which it was read."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    service: str
    what: str
    usd: float = Field(gt=0)
    per: int = Field(ge=1)
    source: str = Field(min_length=10)
    known: date
    certainty: Literal["read", "second-hand", "from memory"]


class Prices(BaseModel):
    """The whole of it. No free tier is in it: an account has one for all that it runs."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    region: str
    day: date = Field(alias="date")
    currency: Literal["USD"]
    certainties: dict[str, str]
    prices: dict[str, Price]

    def dollars(self, usage: Usage) -> float:
        """What it comes to. Raises ``KeyError`` for what has no price."""
        return sum(self.dollars_of(name, amount) for name, amount in usage.items())

    def dollars_of(self, name: str, amount: float) -> float:
        """The same of one thing."""
        price = self.prices[name]
        return amount * price.usd / price.per

    def by_service(self, usage: Usage) -> dict[str, float]:
        """The dollars by service."""
        found: dict[str, float] = defaultdict(float)
        for name, amount in usage.items():
            found[self.prices[name].service] += self.dollars_of(name, amount)
        return dict(found)


def summed(several: Iterable[Usage]) -> dict[str, float]:
    """All of it together."""
    total: dict[str, float] = defaultdict(float)
    for usage in several:
        for name, amount in usage.items():
            total[name] += amount
    return dict(total)


def times(number: float, usage: Usage) -> dict[str, float]:
    """So often as much."""
    return {name: amount * number for name, amount in usage.items()}


@cache
def prices() -> Prices:
    """The table in ``prices.json``."""
    return Prices.model_validate_json(FILE.read_text())
