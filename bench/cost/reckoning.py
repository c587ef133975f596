"""From what was measured to what is billed. Pure: counts and durations in, usage and dollars out."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from bench.cost.lives import CREATE, MONTH_SECONDS, Life
from bench.cost.prices import Usage, summed
from bench.cost.world import Invocation

FULL_CPU_MB = 1769
"""A function of so much memory has one vCPU to itself, one of less its share: "Configure Lambda function memory"."""
LOG_EVENT_BYTES = 26
"""What CloudWatch Logs counts for each line besides its text."""
PLATFORM_LINES = (
    "START RequestId: 99c1b2ca-a001-5be1-8b3a-05f18701018c Version: $LATEST",
    "END RequestId: 99c1b2ca-a001-5be1-8b3a-05f18701018c",
    "REPORT RequestId: 99c1b2ca-a001-5be1-8b3a-05f18701018c\tDuration: 412.34 ms\tBilled Duration: 413 ms\t"
    "Memory Size: 512 MB\tMax Memory Used: 98 MB\t\nXRAY TraceId: 1-6920a4d2-5be1a0018b3a05f18701018c\t"
    "SegmentId: 05f18701018c8b3a\tSampled: true\t",
)
"""What Lambda itself logs of an invocation."""
DAY = 86_400


@dataclass(frozen=True)
class Start:
    """What a cold start takes. ``init_ms`` at full speed; ``first_cpu_ms``: processor time of the first invocation."""

    init_ms: float
    first_cpu_ms: float


@dataclass(frozen=True)
class Assumptions:
    """What is not measured here. Milliseconds for waiting; shares from 0 to 1."""

    memory_mb: int = 512
    architecture: str = "arm64"
    provider_ms: float = 300
    """Of one call to a provider, there and back."""
    aws_ms: float = 5
    """Of one call to AWS."""
    cold_share: float = 0.05
    """Of the invocations, those that start a new environment."""
    traced: float = 1.0
    """Of the requests, those that X-Ray records: the first of each second, and 5 % of the others."""
    cpu_factor: float = 1.0
    """How much longer one of Lambda's vCPUs takes than this machine's processor."""
    log_days: float = 30

    @property
    def stretch(self) -> float:
        """By how much the share of a vCPU draws out what only needs the processor."""
        return self.cpu_factor * max(1.0, FULL_CPU_MB / self.memory_mb)

    @property
    def gb_seconds(self) -> str:
        """The name that their price goes by."""
        return f"lambda_gb_seconds_{self.architecture}"


@dataclass(frozen=True)
class Timing:
    """Processor times that were measured elsewhere: in the stead of one's own, by function or by what it was for."""

    source: str
    creates: Mapping[str, float] = field(default_factory=dict)
    starts: Mapping[str, Start] = field(default_factory=dict)


def of_invocation(one: Invocation, given: Assumptions, timing: Timing) -> Usage:
    """What one invocation is billed, its calls included; its cold start by how often there is one."""
    cpu_ms = timing.creates.get(one.function, one.cpu_ms) if one.label == CREATE else one.cpu_ms
    waited = one.provider_calls * given.provider_ms + one.aws_calls * given.aws_ms
    warm = math.ceil(cpu_ms * given.stretch + waited)
    start = timing.starts.get(one.function)
    cold = 0.0 if start is None else start.init_ms + max(0.0, start.first_cpu_ms - cpu_ms) * given.stretch
    seconds = (warm + cold * given.cold_share) / 1000
    own = {"lambda_requests": 1, given.gb_seconds: seconds * given.memory_mb / 1024}
    return summed([one.usage, own, logged(one, PLATFORM_LINES, given)])


def logged(one: Invocation, more: Sequence[str], given: Assumptions) -> Usage:
    """What an invocation's lines, and more, cost to take in and to keep."""
    told = one.log_bytes + sum(len(line.encode()) for line in more)
    gigabytes = (told + LOG_EVENT_BYTES * (one.log_lines + len(more))) / 1e9
    return {"log_gb": gigabytes, "log_gb_months": gigabytes * given.log_days * DAY / MONTH_SECONDS}


def of_life(life: Life, given: Assumptions, timing: Timing) -> Usage:
    """What one stream is billed for."""
    kept = dict.fromkeys(("table_gb_months", "table_backup_gb_months"), life.table_gb_months)
    own = [one for one in life.invocations if one.function != "sweep"]
    # It runs every minute anyway: a stream adds what it does about that.
    swept = [summed([one.usage, logged(one, (), given)]) for one in life.invocations if one.function == "sweep"]
    invoked = [of_invocation(one, given, timing) for one in own]
    return summed([life.between, kept, *swept, *invoked, {"traces": given.traced * len(own)}])
