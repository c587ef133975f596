"""What is measured: streams that live over counting services, and what runs while there is none."""

from collections import Counter
from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import boto3
import pytest

from bench.cost.__main__ import of_template
from bench.cost.furnishing import world
from bench.cost.idle import KNOWN, Item, Quiet, idle, metrics_of_methods, quiet
from bench.cost.lives import WAYS, Life, Way, lived
from bench.cost.prices import prices, summed
from bench.cost.reckoning import Assumptions, Timing
from bench.cost.report import TARGET
from bench.cost.stack import Stack
from bench.cost.world import World
from tests.template import template

TIMING = Timing("none")
OVERSHOOT = ("provision_overshoot", "overshoot")

type Json = dict[str, Any]


@pytest.fixture(scope="module")
def runs() -> Quiet:
    return quiet()


@pytest.fixture
def made() -> Iterator[World]:
    with world() as one:
        yield one


def way(name: str) -> Way:
    [found] = [each for each in WAYS if each.name == name]
    return found


def operations(life: Life, function: str) -> Counter[str]:
    """The calls of a function, by their names."""
    made = [call.partition(" ")[0] for one in life.invocations if one.function == function for call in one.operations]
    return Counter(made)


def bill(runs: Quiet, **parameters: str) -> dict[str, Item]:
    stack = Stack(parameters)
    return {item.name: item for item in idle(stack, runs, of_template(stack, {}), TIMING)}


# ---- streams


def test_every_provider_s_stream_is_measured() -> None:
    provisioning = {folder for folder in Stack().functions() if folder.startswith("provision_")}
    assert {each.folder for each in WAYS} == provisioning


def test_a_stream_s_calls_are_those_that_are_billed(made: World) -> None:
    life = lived(made, way("overshoot, over within its first lease"))
    usage = summed([life.between, *(one.usage for one in life.invocations)])
    published = [one for one in life.invocations if one.function == "publish_events"]
    assert len(published) == usage["bus_events"] == 2  # created and deleted
    assert usage["api_requests"] == 3
    # The event, and a delayed message, to the queue that leases are renewed by; both are read and deleted.
    assert usage["queue_requests"] == 1 + 1 + 2 * 2
    assert usage["key_requests"] == operations(life, "provision_overshoot")["kms.Encrypt"] > 0
    assert usage["table_writes"] >= 2 + 2 * 3  # a claim; a transaction of two; and as much again to delete it
    assert life.table_gb_months > 0
    assert life.methods == {
        "POST /streams/overshoot",
        "GET /streams/overshoot/{proxy+}",
        "DELETE /streams/overshoot/{proxy+}",
    }


def test_a_write_counts_twice_in_a_transaction_and_once_where_there_is_nothing_to_write(made: World) -> None:
    client: Any = boto3.session.Session().client("dynamodb")
    key: Json = {"pk": {"S": "a"}, "sk": {"S": "b"}}
    client.delete_item(TableName="Table", Key=key)
    put: Json = {"TableName": "Table", "Item": {**key, "provider_ref": {"S": "c"}}}
    client.transact_write_items(TransactItems=[{"Put": put}])
    with pytest.raises(client.exceptions.ConditionalCheckFailedException):
        client.put_item(**put, ConditionExpression="attribute_not_exists(pk)")
    # The entry of the index is written once, and not at all by what was refused.
    assert [call.usage for call in made.cloud.taken()] == [{"table_writes": units} for units in (1, 2 + 1, 1)]


def test_a_lease_is_renewed_for_as_long_as_the_stream_is_there_and_no_longer(made: World) -> None:
    short, lived_on = (lived(made, Way("", *OVERSHOOT, {}, seconds)) for seconds in (350, 950))
    renewals = [sum(one.label == "renew" for one in life.invocations) for life in (short, lived_on)]
    assert renewals == [3, 9]  # every hundred seconds
    assert made.next_at() == float("inf")


def test_in_the_time_that_passes_what_was_cached_is_read_again(made: World) -> None:
    lived(made, Way("", *OVERSHOOT, {}, 60))  # reads both
    life = lived(made, Way("", *OVERSHOOT, {}, 950))
    found = operations(life, "provision_overshoot")
    asked = sum(one.provider_calls > 0 for one in life.invocations)
    circuits = [call for one in life.invocations for call in one.operations if "CIRCUIT" in call]
    assert len(circuits) == asked
    assert 2 <= found["secretsmanager.GetSecretValue"] <= 4  # every five minutes


def test_a_sweep_counts_for_a_stream_by_what_it_does_about_it(made: World) -> None:
    life = lived(made, Way("", "provision_pyannote", "pyannote", {}, 200))
    swept = [one for one in life.invocations if one.function == "sweep"]
    assert swept
    for one in swept:
        assert [call.partition(" ")[0] for call in one.operations] == ["dynamodb.UpdateItem", "events.PutEvents"]


# ---- when idle


def test_the_stack_costs_no_more_than_it_should_when_idle(runs: Quiet) -> None:
    items = bill(runs)
    assert prices().dollars(summed(item.usage for item in items.values())) <= TARGET
    assert sum(item.usage.get("secret_months", 0) for item in items.values()) == 3
    assert items["key SealingKey"].usage == {"key_months": 1}


def test_a_sweep_of_nothing_asks_for_nothing_and_tells_nothing(runs: Quiet) -> None:
    assert not runs.sweep.metrics
    assert not {"bus_events", "key_requests", "secret_requests"} & runs.sweep.usage.keys()
    assert runs.sweep.provider_calls == 0


def test_each_provider_that_can_be_searched_is_and_tells_of_it_once_a_day(runs: Quiet) -> None:
    searched = {one.function for one in runs.searches}
    assert len(searched) == len(runs.searches) == len(runs.metrics) > 0
    assert set(runs.metrics.values()) == {1 / 24}


def test_without_searches_there_are_none_on_the_bill(runs: Quiet) -> None:
    assert bill(runs, OrphanSearchInterval="0")["searches for orphans"].usage.get("lambda_requests", 0) == 0
    assert bill(runs, OrphanSearchInterval="30")["searches for orphans"].usage["lambda_requests"] == 1460 * 3


def test_a_queue_is_polled_by_as_many_as_its_mapping_has(runs: Quiet) -> None:
    items = bill(runs)
    a_month = 730 * 3600 / 20
    assert items["polling for ProvisionPyannoteMapping"].usage == {"queue_requests": 5 * a_month}
    assert items["polling for RenewLeasesMapping"].usage == {"queue_requests": 2 * a_month}
    assert "polling for PublishEventsMapping" not in items


def test_alarms_are_on_the_bill_where_there_are_any_by_the_metrics_they_look_at(runs: Quiet) -> None:
    assert not [name for name in bill(runs) if name.startswith("alarm")]
    items = bill(runs, AlarmTopicArn="topic")
    assert items["alarm DeadLettersAlarm"].usage == {"alarm_months": 3}
    assert items["alarm OutboxAgeAlarm"].usage == {"alarm_months": 1}
    assert items["alarm OrphansAlarm"].usage == {"alarm_months": 1}


def test_every_type_of_resource_in_the_template_is_known_by_what_it_costs() -> None:
    assert {one["Type"] for one in template()["Resources"].values()} <= KNOWN.keys()


def test_a_resource_of_another_type_is_on_nobody_s_bill_until_somebody_says_what_it_costs(
    runs: Quiet, monkeypatch: pytest.MonkeyPatch
) -> None:
    changed = deepcopy(template())
    changed["Resources"]["Gateway"] = {"Type": "AWS::EC2::NatGateway"}
    monkeypatch.setattr("bench.cost.stack.template", lambda: changed)
    with pytest.raises(LookupError, match="nobody has said what Gateway costs"):
        bill(runs)


@pytest.mark.parametrize(
    ("resource", "change"),
    [
        ("Api", {"CacheClusterEnabled": True}),
        ("SweepFunction", {"EphemeralStorage": {"Size": 1024}}),
        ("Table", {"BillingMode": "PROVISIONED"}),
        ("RenewLeasesMapping", {"ProvisionedPollerConfig": {"MinimumPollers": 2}}),
    ],
)
def test_what_would_cost_besides_is_not_passed_over(
    runs: Quiet, monkeypatch: pytest.MonkeyPatch, resource: str, change: dict[str, object]
) -> None:
    changed = deepcopy(template())
    changed["Resources"][resource]["Properties"] |= change
    monkeypatch.setattr("bench.cost.stack.template", lambda: changed)
    with pytest.raises(LookupError):
        bill(runs)


def test_a_snapshot_is_paid_for_as_long_as_it_is_kept(runs: Quiet, monkeypatch: pytest.MonkeyPatch) -> None:
    changed = deepcopy(template())
    changed["Resources"]["SweepFunction"]["Properties"]["SnapStart"] = {"ApplyOn": "PublishedVersions"}
    monkeypatch.setattr("bench.cost.stack.template", lambda: changed)
    assert bill(runs)["snapshot of SweepFunction"].usage == {"snapshot_gb_seconds": 0.5 * 730 * 3600}


def test_no_method_of_the_api_has_metrics_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Five each are paid for; the alarm is of the whole API, whose metrics are free."""
    assert metrics_of_methods(Stack()) == ()
    changed = deepcopy(template())
    changed["Resources"]["Api"]["Properties"]["MethodSettings"][0]["MetricsEnabled"] = True
    monkeypatch.setattr("bench.cost.stack.template", lambda: changed)
    assert len(metrics_of_methods(Stack())) == 5


def test_what_the_template_says_is_not_assumed() -> None:
    given = of_template(Stack({"Architecture": "x86_64"}), {"cold_share": 0.5})
    assert given == Assumptions(memory_mb=512, architecture="x86_64", log_days=30, cold_share=0.5)
