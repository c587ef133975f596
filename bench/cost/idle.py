"""What the stack costs while nobody has a stream: each resource of the template, and what runs by itself."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from bench.cost.furnishing import world
from bench.cost.prices import Usage, summed, times
from bench.cost.reckoning import Assumptions, Timing, of_invocation
from bench.cost.stack import Stack
from bench.cost.world import Invocation
from tests.template import target

MONTH_MINUTES = 730 * 60
LONG_POLL_SECONDS = 20
POLLERS, FEWEST_POLLERS = 5, 2
"""Lambda reads a quiet queue in so many calls at once; in as few as two where no maximum concurrency is set.
"Configuring scaling behavior for SQS event source mappings", in Lambda's guide."""
TABLE_KEY_SECONDS = 300
"""How long DynamoDB keeps the table's key, for each that calls it: "Encryption at rest: How it works", in its guide."""

METHOD_METRICS = ("4XXError", "5XXError", "Count", "IntegrationLatency", "Latency")
"""Without those of a cache: "Amazon API Gateway dimensions and metrics", in its guide."""
DAY_HOURS = 24

type Json = dict[str, Any]


@dataclass(frozen=True)
class Item:
    """One line of the bill, for a month. ``why`` says how it comes about."""

    name: str
    usage: Usage
    why: str


@dataclass(frozen=True)
class Quiet:
    """What runs by itself, measured: a sweep that finds nothing, one that asks for a search for orphans wherever there
    can be one, and those searches."""

    sweep: Invocation
    searching: Invocation
    searches: tuple[Invocation, ...]
    between: Usage
    metrics: Mapping[str, float]
    """What is told by itself, each with the share of a day's hours in which it is."""


def quiet() -> Quiet:
    """A day of searches on an empty table, and a sweep without one."""
    with world() as made:
        made.searches, told = True, Counter[str]()
        for _ in range(DAY_HOURS):
            made.time.advance(3600)
            made.invocations.clear()
            made.between.clear()
            made.invoke("sweep", "sweep", {})
            made.pass_until(made.now() + 5)
            told.update({name for one in made.invocations for name in one.metrics})
        searching, *searches = made.invocations
        between = summed(made.between)
        made.invocations.clear()
        made.invoke("sweep", "sweep", {})
        [sweep] = made.invocations
    metrics = {name: hours / DAY_HOURS for name, hours in sorted(told.items())}
    return Quiet(sweep, searching, tuple(searches), between, metrics)


def idle(stack: Stack, runs: Quiet, given: Assumptions, timing: Timing) -> list[Item]:
    """All lines of the bill. Raises ``LookupError`` for a resource of a type that is not known here."""
    found = list(_running(stack, runs, given, timing))
    for name, resource in stack.resources().items():
        kind = resource["Type"]
        if kind not in KNOWN:
            raise LookupError(f"nobody has said what {name} costs, an {kind}")
        found += KNOWN[kind](name, resource.get("Properties", {}), stack)
    return found


def _running(stack: Stack, runs: Quiet, given: Assumptions, timing: Timing) -> Iterator[Item]:
    """What the schedule sets off."""
    rates = [
        event["Properties"]["Schedule"]
        for function in stack.functions().values()
        for event in function.get("Events", {}).values()
        if event["Type"] == "Schedule"
    ]
    if rates != ["rate(1 minute)"]:
        raise LookupError(f"how often is {rates} a month?")
    # Whatever runs each minute, or each hour, seldom starts anew: what is warm is billed.
    steady = Timing(timing.source)
    interval = float(stack.value({"Ref": "OrphanSearchInterval"}))
    searched = MONTH_MINUTES / max(1.0, interval) if interval else 0.0
    sweeps = times(MONTH_MINUTES - searched, of_invocation(runs.sweep, given, steady))
    yield Item("sweeps", sweeps, f"{MONTH_MINUTES:,} a month, {len(runs.sweep.operations)} calls each")
    each = summed([of_invocation(one, given, timing) for one in (runs.searching, *runs.searches)])
    more = f"{searched:,.0f} times a month at {len(runs.searches)} providers, cold as often as anything"
    yield Item("searches for orphans", times(searched, summed([each, runs.between])), more)
    invoked = MONTH_MINUTES + searched * len(runs.searches)
    yield Item("traces", {"traces": invoked * given.traced}, "of each sweep and search, as Tracing is Active")
    told = ", ".join(f"{name} in {share:.0%} of hours" for name, share in runs.metrics.items())
    yield Item("metrics", {"metric_months": sum(runs.metrics.values())}, told or "none is told when idle")


def _free(_: str, __: Json, ___: Stack) -> list[Item]:
    return []


def _secret(name: str, _: Json, __: Stack) -> list[Item]:
    return [Item(f"secret {name}", {"secret_months": 1}, "a month")]


def _key(name: str, _: Json, __: Stack) -> list[Item]:
    return [
        Item(
            f"key {name}", {"key_months": 1}, "in its first year; after the first and the second rotation one more each"
        )
    ]


def _table(name: str, properties: Json, _: Stack) -> list[Item]:
    if properties.get("BillingMode") != "PAY_PER_REQUEST":
        raise LookupError(f"{name} is not billed by request")
    if not properties.get("SSESpecification", {}).get("SSEEnabled"):
        return []
    calls = MONTH_MINUTES * 60 / TABLE_KEY_SECONDS
    return [Item(f"key of {name}", {"key_requests": calls}, "DynamoDB asks for AWS's key every five minutes")]


def _mapping(name: str, properties: Json, stack: Stack) -> list[Item]:
    if target(properties["EventSourceArn"]) not in stack.of_type("AWS::SQS::Queue"):
        return []  # Lambda's reads of a table's stream are free
    if "ProvisionedPollerConfig" in properties:
        raise LookupError(f"what the pollers of {name} cost is not known here")
    pollers = POLLERS if "MaximumConcurrency" in properties.get("ScalingConfig", {}) else FEWEST_POLLERS
    polls = MONTH_MINUTES * 60 / LONG_POLL_SECONDS * pollers
    why = f"{pollers} pollers of {LONG_POLL_SECONDS} s"
    return [Item(f"polling for {name}", {"queue_requests": polls}, why)]


def _alarm(name: str, properties: Json, _: Stack) -> list[Item]:
    """By the metrics that it looks at; one that asks a question looks at each that answers, which is one at least."""
    looked_at = [one for one in properties.get("Metrics", [{}]) if "MetricStat" in one or "Metrics" not in properties]
    return [Item(f"alarm {name}", {"alarm_months": max(1, len(looked_at))}, "metrics that it looks at")]


def _function(name: str, properties: Json, stack: Stack) -> list[Item]:
    whole = stack.functions()[properties["Handler"].partition(".")[0]]
    if dear := {"ProvisionedConcurrencyConfig", "FileSystemConfigs", "EphemeralStorage"} & whole.keys():
        raise LookupError(f"what {', '.join(sorted(dear))} of {name} costs is not known here")
    snapshots = stack.value(whole.get("SnapStart")) or {}
    if stack.value(snapshots.get("ApplyOn", "None")) == "None":
        return []
    kept = stack.value(whole["MemorySize"]) / 1024 * MONTH_MINUTES * 60
    return [Item(f"snapshot of {name}", {"snapshot_gb_seconds": kept}, "kept for one published version, by SnapStart")]


def _api(name: str, properties: Json, _: Stack) -> list[Item]:
    if properties.get("CacheClusterEnabled"):
        raise LookupError(f"what the cache of {name} costs is not known here")
    return []  # a request is paid for


def metrics_of_methods(stack: Stack) -> tuple[str, ...]:
    """The metrics that API Gateway tells of each method that is called, at a price; none unless asked for."""
    settings = [one for api in stack.of_type("AWS::Serverless::Api").values() for one in api.get("MethodSettings", ())]
    return METHOD_METRICS if any(one.get("MetricsEnabled") for one in settings) else ()


KNOWN: dict[str, Callable[[str, Json, Stack], list[Item]]] = {
    "AWS::CloudWatch::Alarm": _alarm,
    "AWS::DynamoDB::Table": _table,
    "AWS::Events::EventBus": _free,  # an event is paid for, a bus is not
    "AWS::Events::EventBusPolicy": _free,
    "AWS::Events::Rule": _free,  # nor a rule, on what is put on the bus by its own account
    "AWS::IAM::ManagedPolicy": _free,
    "AWS::KMS::Key": _key,
    "AWS::Lambda::EventSourceMapping": _mapping,
    "AWS::Logs::LogGroup": _free,  # what is written is paid for by who writes it
    "AWS::SQS::Queue": _free,  # a request is paid for, a queue is not
    "AWS::SQS::QueuePolicy": _free,
    "AWS::SecretsManager::Secret": _secret,
    "AWS::Serverless::Api": _api,
    "AWS::Serverless::Function": _function,
    "AWS::Serverless::LayerVersion": _free,  # far below the 75 GB that an account may keep
}
"""What each type of resource costs while it is there."""
