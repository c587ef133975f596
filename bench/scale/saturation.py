"""What is full first: each limit, what a life takes of it, and at how many creates a minute it is reached. Pure.

Every limit names its source and how sure it is: ``read`` in a stored copy of the page, ``memory``, or ``ours``.
Limits of AWS are defaults of eu-central-1, where regions differ. Marks such as [C: KVL] are of the facts about
providers that this was built from: certain, and read where.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from bench.scale.lives import Life, Load
from bench.scale.model import PARTITION_WRITES
from headwater.store import DUE_SHARDS, SHARDS
from sweep.pace import MOST

type Certainty = Literal["read", "memory", "ours"]
type Demand = Callable[[Life], float]
"""What one life takes of a limit that is counted per second; of one that is counted at a time, times seconds."""


@dataclass(frozen=True)
class Assumed:
    """What an invocation waits for and works, in seconds. Nothing local can tell it; nothing else is assumed."""

    provider_call: float = 0.3
    aws_call: float = 0.008
    cpu: float = 0.010
    """Of a warm invocation, at a whole virtual processor."""
    memory_mb: int = 512

    @property
    def working(self) -> float:
        """Seconds of an invocation's own work, at the part of a processor that its memory buys."""
        return self.cpu / (self.memory_mb / WHOLE_PROCESSOR_MB)


WHOLE_PROCESSOR_MB = 1769
"""Lambda gives a whole virtual processor at so much memory: "Configure Lambda function memory"."""
ASSUMED = Assumed()


@dataclass(frozen=True)
class Limit:
    """One of them. ``unit`` is what it counts; ``more`` how there is more of it, or what to set."""

    name: str
    limit: float
    unit: str
    demand: Demand
    source: str
    certainty: Certainty
    more: str

    def creates_a_minute(self, life: Life) -> float:
        """At which it is full, every stream living as long as this one; infinite where it takes nothing of it."""
        demand = self.demand(life)
        return 60 * self.limit / demand if demand else float("inf")


# ---- what a life takes


def busy(load: Load, assumed: Assumed = ASSUMED) -> float:
    """Seconds that all its invocations last together."""
    aws = sum(count for name, count in load.calls.items() if name not in {"provider", "events.Entries"})
    waiting = load.calls.get("provider", 0) * assumed.provider_call + aws * assumed.aws_call
    return waiting + sum(load.invocations.values()) * assumed.working


def queued(life: Life, assumed: Assumed = ASSUMED) -> float:
    """Seconds that its provider's function is busy with what came by its queue: all but the create."""
    invocations = life.whole.invocations.get(life.provider, 0) - life.opened.invocations.get(life.provider, 0)
    calls = life.whole.calls.get("provider", 0) - life.opened.calls.get("provider", 0)
    return calls * assumed.provider_call + invocations * (3 * assumed.aws_call + assumed.working)


def _calls(service: str) -> Demand:
    return lambda life: sum(count for name, count in life.whole.calls.items() if name.startswith(f"{service}."))


def _units(index: str) -> Demand:
    return lambda life: life.whole.units[index]


def _invocations(life: Life) -> float:
    return sum(life.whole.invocations.values())


def _one(_: Life) -> float:
    return 1


# ---- the limits


def ours(stage_rate: float, concurrency: float, due_shards: int = DUE_SHARDS) -> tuple[Limit, ...]:
    """What this stack sets for itself, by its template and its code."""
    return (
        Limit(
            "stage throttle", stage_rate, "requests/s", _one, "template.yaml, `ThrottlingRateLimit`", "ours", "raise it"
        ),
        Limit(
            "a provider's queue",
            concurrency,
            "at a time",
            queued,
            "template.yaml, `ProviderConcurrency`",
            "ours",
            "`ProviderConcurrency`, up to 1,000",
        ),
        Limit(
            "sweep",
            MOST / 60,
            "streams/s",
            lambda life: life.whole.due,
            "`sweep/pace.py`, `MOST` a minute",
            "ours",
            "`MOST`, and the function's memory: a run has 30 s",
        ),
        Limit(
            "a shard of `due`",
            PARTITION_WRITES * due_shards,
            "units/s",
            _units("due"),
            "Best practices for designing and using partition keys effectively",
            "read",
            "`DueShards`",
        ),
        Limit(
            "a shard of one tenant's",
            PARTITION_WRITES * SHARDS,
            "units/s",
            _units("by_tenant"),
            "the same",
            "read",
            "`store.SHARDS`; a page reads each",
        ),
    )


AWS = (
    Limit(
        "API Gateway",
        10_000,
        "requests/s",
        _one,
        "Amazon API Gateway quotas",
        "read",
        "a quota request",
    ),
    Limit(
        "Lambda concurrency",
        1_000,
        "at a time",
        lambda life: busy(life.whole),
        "Lambda quotas",
        "read",
        "a quota request; it grows by 1,000 per function every 10 s at most",
    ),
    Limit(
        "Lambda invocations",
        10_000,
        "requests/s",
        _invocations,
        "Lambda quotas: 10 a second for each of the concurrency",
        "read",
        "grows with the concurrency",
    ),
    Limit(
        "new table",
        4_000,
        "units/s",
        _units(""),
        "On-demand capacity mode: initial throughput, doubled within 30 minutes of each peak",
        "read",
        "warm throughput, before the day",
    ),
    Limit(
        "table",
        40_000,
        "units/s",
        _units(""),
        "Quotas in Amazon DynamoDB: throughput default quotas, per table",
        "read",
        "a quota request",
    ),
    Limit(
        "index `due`",
        40_000,
        "units/s",
        _units("due"),
        "the same, per index",
        "memory",
        "a quota request",
    ),
    Limit(
        "PutEvents",
        2_400,
        "requests/s",
        lambda life: life.whole.calls.get("events.PutEvents", 0),
        "Amazon EventBridge quotas (us-east-1, us-west-2, eu-west-1: 10,000)",
        "read",
        "a quota request",
    ),
    Limit(
        "bus invocations",
        4_500,
        "requests/s",
        lambda life: life.whole.calls.get("events.Entries", 0),
        "Amazon EventBridge quotas (us-east-1, us-west-2, eu-west-1: 18,750); beyond, they come late",
        "read",
        "a quota request",
    ),
    Limit(
        "KMS",
        20_000,
        "requests/s",
        _calls("kms"),
        "AWS KMS request quotas, symmetric (us-east-1, us-west-2, eu-west-1: 100,000)",
        "memory",
        "a quota request",
    ),
    Limit(
        "Secrets Manager",
        10_000,
        "requests/s",
        lambda life: busy(life.whole) / 300,
        "AWS Secrets Manager quotas; every warm environment reads once in 300 s",
        "read",
        "not adjustable",
    ),
    Limit(
        "SQS to `renew_leases`",
        1_250,
        "at a time",
        lambda life: life.whole.invocations.get("renew_leases", 0) * (3 * ASSUMED.aws_call + ASSUMED.working),
        "Configuring scaling behavior for SQS event source mappings",
        "read",
        "provisioned mode; batches of ten are not counted on here",
    ),
)


def _held(life: Life) -> float:
    """Streams that are there at a time, for each a second."""
    return life.seconds


def _provider_calls(life: Life) -> float:
    return life.whole.calls.get("provider", 0)


PROVIDERS: dict[str, tuple[Limit, ...]] = {
    "cloudflare": (
        Limit("its API", 4, "calls/s", _provider_calls, "1,200 in 5 minutes [C: CFDOC]", "read", "ask Cloudflare"),
    ),
    "kinesis-video": (
        Limit("CreateStream", 50, "calls/s", _one, "[C: KVL]", "read", "a quota request"),
        Limit("streams", 10_000, "at a time", _held, "per account and region [C: KVL]", "read", "a quota request"),
    ),
    "overshoot v1beta": (),
    "overshoot v0.2": (Limit("streams", 5, "at a time", _held, "per key [C: OV02]", "read", "ask Overshoot"),),
    "pyannote": (
        Limit("its API", 100 / 60, "creates/s", _one, "100 a minute [C: PYS]", "read", "Enterprise: 500 a minute"),
        Limit("streams", 10, "at a time", _held, "per team [C: PYS, PYD]", "read", "ask pyannoteAI"),
    ),
}
"""By way of opening. Of Overshoot's v1beta no number is known: whatever it is, it is not counted here."""


def full(life: Life, limits: tuple[Limit, ...], creates_a_minute: float) -> list[Limit]:
    """Which of them are reached at that rate, the first to be full first."""
    reached = [limit for limit in limits if limit.creates_a_minute(life) < creates_a_minute]
    return sorted(reached, key=lambda limit: limit.creates_a_minute(life))
