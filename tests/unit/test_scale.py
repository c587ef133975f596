"""What grows with the table, and what is full first, is reckoned as it is counted; and the tables say it."""

import json
import os
from collections import Counter
from collections.abc import Iterator

import pytest

from bench.scale import model, report, saturation
from bench.scale.cloud import ACCOUNT, TABLE, environment
from bench.scale.filling import FEW, TENANT, others, put
from bench.scale.lives import Life, Load, from_json
from bench.scale.system import WAYS, System, system
from bench.units import Key, write_units
from headwater import aws
from headwater.store import DUE_SHARDS, SHARDS, shard
from headwater.streams import identify
from tests.template import default, template

LEASED = next(way for way in WAYS if way.name == "overshoot v1beta")


# ---- counted, by the real functions


@pytest.fixture(scope="module")
def standing() -> Iterator[System]:
    with system() as running:
        yield running


CREATES = 24


@pytest.mark.parametrize("name", ["overshoot v1beta", "cloudflare", "kinesis-video"])
def test_the_model_s_busiest_keys_are_those_of_a_run_of_creates(standing: System, name: str) -> None:
    way = next(way for way in WAYS if way.name == name)
    standing.create(way, "the-first")
    with standing.cloud.counting.counted() as one:
        standing.create(way, "one")
    units = {index: one.written(index) for index in ("", "due", "by_tenant", "by_provider_ref")}
    with standing.cloud.counting.counted() as run:
        ids = [standing.create(way, f"key-{number}") for number in range(CREATES)]
    for busy, shards in zip(model.busiest(units, CREATES), (SHARDS, DUE_SHARDS), strict=True):
        counted = {key.value: count for key, count in run.write_units.items() if key.of == busy.kind}
        # The model spreads evenly what the ids spread by chance: each shard has its streams' part of the whole.
        spread = Counter(shard(stream_id, shards) for stream_id in ids)
        assert {int(value.rpartition("#")[2]): count for value, count in counted.items()} == {
            number: streams * busy.units_a_stream for number, streams in spread.items()
        }
        assert sum(counted.values()) == busy.writes * busy.keys
    own = {key: count for key, count in run.write_units.items() if key.of in {"", "by_provider_ref"}}
    assert max(own.values()) <= max(units[""], units["by_provider_ref"])
    assert len(own) == 2 * CREATES, "no other key of the table is written"


def test_a_create_reads_nothing_and_its_transaction_counts_twice(standing: System) -> None:
    with standing.cloud.counting.counted() as counted:
        standing.create(LEASED, "among-many")
    assert counted.items_read == 0
    assert counted.calls["dynamodb.PutItem"] == counted.calls["dynamodb.TransactWriteItems"] == 1
    assert counted.table_calls - counted.calls["dynamodb.GetItem"] == 2, "nothing else, but for the circuit's read"
    settled = 2 * sum(write_units(counted.sizes[kind]) for kind in ("STREAM", "EVENT"))
    assert settled < counted.written("") <= settled + write_units(counted.sizes["STREAM"])


def test_a_write_that_is_refused_costs_what_it_was_refused_for_and_no_index(standing: System) -> None:
    standing.create(LEASED, "once")
    with standing.cloud.counting.counted() as counted, pytest.raises(RuntimeError, match="overshoot v1beta"):
        standing.create(LEASED, "once")
    assert counted.calls["dynamodb.PutItem"] == 1
    assert list(counted.write_units.values()) == [write_units(counted.sizes["STREAM"])]
    assert {key.of for key in counted.write_units} == {""}


def test_a_write_that_is_refused_for_there_being_nothing_costs_its_key_a_unit(standing: System) -> None:
    client, key = aws.client("dynamodb"), {"pk": {"S": "STREAM#none"}, "sk": {"S": "STREAM"}}
    with standing.cloud.counting.counted() as counted, pytest.raises(client.exceptions.ConditionalCheckFailedException):
        client.delete_item(TableName=TABLE, Key=key, ConditionExpression="attribute_exists(pk)")
    assert counted.write_units == {Key("", "STREAM#none"): 1}


def test_the_template_tells_every_function_of_the_shards() -> None:
    assert template()["Globals"]["Function"]["Environment"]["Variables"]["DUE_SHARDS"] == {"Ref": "DueShards"}
    assert default({"Ref": "DueShards"}) == DUE_SHARDS


def test_a_deployment_s_shards_are_those_that_are_written_and_swept_and_those_of_before_too(standing: System) -> None:
    standing.cloud.empty()
    before = standing.create(LEASED, "of-sixteen")
    with environment({"DUE_SHARDS": "64"}):
        raised = System(standing.cloud, standing.simulated, standing.kinesis, standing.kinesis_url, standing.clock)
        numbers = (number for number in range(100) if shard(identified(f"raised-{number}"), 64) >= DUE_SHARDS)
        with standing.cloud.counting.counted() as counted:
            after = raised.create(LEASED, f"raised-{next(numbers)}")
        assert {key.value for key in counted.write_units if key.of == "due"} == {f"DUE#{shard(after, 64)}"}
        standing.clock.advance(250)
        assert raised.sweep()["streams"] == len({before, after})


def identified(key: str) -> str:
    """The id of a stream that is opened with this key."""
    return identify(os.environ["DEPLOYMENT_ID"], f"aws:{ACCOUNT}", LEASED.provider, key)


@pytest.mark.parametrize(
    ("tenant", "asked"),
    [
        (TENANT, {}),
        (TENANT, {"limit": "5"}),
        (TENANT, {"provider": FEW}),
        (TENANT, {"state": "live"}),
        ("aws:000000000003", {"limit": "5"}),
    ],
)
def test_a_page_reads_at_most_its_limit_of_each_shard_whatever_it_shows(
    full: System, tenant: str, asked: dict[str, str]
) -> None:
    most, shown = SHARDS * int(asked.get("limit", 20)), 0
    cursor: str | None = ""
    while cursor is not None:
        with full.cloud.counting.counted() as counted:
            page = full.page(tenant, **asked, **({"cursor": cursor} if cursor else {}))
        assert counted.items_read <= most
        assert dict(counted.calls) == {"dynamodb.Query": SHARDS}
        shown, cursor = shown + len(page["streams"]), page["cursor"]
    mine = [item for item in STREAMS if item["tenant_shard"].startswith(f"{tenant}#")]
    wanted = {name: value for name, value in asked.items() if name != "limit"}
    assert shown == sum(wanted.items() <= item.items() for item in mine)


STREAMS = list(others(300, 5))


@pytest.fixture(scope="module")
def full(standing: System) -> System:
    standing.cloud.empty()
    put(standing.cloud, STREAMS)
    return standing


# ---- the model


def test_shards_are_spread_evenly_by_real_ids() -> None:
    ids = [identify("scale", "aws:1", "fake", str(number)) for number in range(20_000)]
    for shards in (SHARDS, DUE_SHARDS, 128):
        spread = Counter(shard(stream_id, shards) for stream_id in ids)
        assert max(spread.values()) < 1.3 * len(ids) / shards


@pytest.mark.parametrize("beyond", [0, 1, 50, 1_000, 1_000_000, 1_000_000_000])
def test_a_page_reads_a_bounded_number_of_items_however_many_there_are(beyond: int) -> None:
    page = model.page(100, beyond)
    assert page.queries == SHARDS
    assert page.items_read == min(beyond, SHARDS * 100)


def test_a_sweep_reads_what_is_due_and_asks_each_shard_at_least_once() -> None:
    assert model.sweep(0) == model.Swept(DUE_SHARDS, 0, DUE_SHARDS / 2, 0, 0)
    assert model.sweep(1000, shards=2).queries == 2 * (500 // 100 + 1)
    with pytest.raises(ValueError, match="at most"):
        model.sweep(1001)


def test_enough_shards_keep_a_partition_below_what_it_takes() -> None:
    for units in (3, 76, 428):
        shards = model.due_shards_for(units, 1000)
        busiest = model.busiest({"due": units}, 1000, shards)[1]
        assert busiest.share <= 0.8
        assert shards == 8 or model.busiest({"due": units}, 1000, shards // 2)[1].share > 0.8


def test_the_busiest_key_tells_how_many_streams_it_takes() -> None:
    [tenant, due] = model.busiest({"by_tenant": 2, "due": 4}, 1000, due_shards=16, tenant_shards=8)
    assert (tenant.writes, tenant.share, tenant.most_streams) == (250, 0.25, 4000)
    assert (due.writes, due.share, due.most_streams) == (250, 0.25, 4000)


def test_a_circuit_is_read_far_less_than_a_partition_allows() -> None:
    assert model.breaker_reads(1000) == 100
    assert model.breaker_reads(10_000) < model.PARTITION_READS


# ---- what is full first


def a_life(**calls: int) -> Life:
    opened = Load(units={"": 10, "due": 3, "by_tenant": 1, "by_provider_ref": 1}, invocations={"fake": 1})
    whole = Load(
        units={"": 20, "due": 6, "by_tenant": 3, "by_provider_ref": 1},
        calls={"provider": 2, **calls},
        invocations={"fake": 2},
        due=1,
    )
    sizes = {"STREAM": 3000, "EVENT": 1000, "by_tenant": 700, "due": 150, "by_provider_ref": 130}
    return Life("pyannote", "fake", 600, opened, whole, sizes)


def limit(name: str) -> saturation.Limit:
    every = {each.name: each for each in (*saturation.ours(100, 10), *saturation.AWS)}
    return every[name]


def test_a_limit_is_full_where_the_lives_of_a_minute_take_all_of_it() -> None:
    assert limit("table").creates_a_minute(a_life()) == 60 * 40_000 / 20
    assert limit("stage throttle").creates_a_minute(a_life()) == 6000
    assert limit("sweep").creates_a_minute(a_life()) == pytest.approx(1000)
    assert limit("KMS").creates_a_minute(a_life()) == float("inf")
    assert limit("KMS").creates_a_minute(a_life(**{"kms.Encrypt": 2})) == 60 * 20_000 / 2


def test_concurrency_is_what_invocations_wait_and_work() -> None:
    assumed = saturation.Assumed(provider_call=0.3, aws_call=0.01, cpu=0.01, memory_mb=1769)
    load = Load(calls={"provider": 2, "dynamodb.PutItem": 3, "events.Entries": 9}, invocations={"fake": 2})
    assert saturation.busy(load, assumed) == pytest.approx(0.6 + 0.03 + 0.02)
    assert saturation.queued(a_life(), assumed) == pytest.approx(2 * 0.3 + 3 * 0.01 + 0.01)


def test_a_smaller_function_works_for_longer() -> None:
    assert saturation.Assumed(memory_mb=512).working == pytest.approx(saturation.Assumed(memory_mb=1024).working * 2)


def test_a_stream_held_for_an_hour_counts_for_an_hour() -> None:
    [_, streams] = saturation.PROVIDERS["pyannote"]
    assert streams.creates_a_minute(a_life()) == 60 * 10 / 600


def test_what_is_full_is_told_first_things_first() -> None:
    every = (*saturation.ours(100, 10), *saturation.AWS)
    full = saturation.full(a_life(), every, 100_000)
    reached = [each.creates_a_minute(a_life()) for each in full]
    assert reached == sorted(reached)
    assert all(rate < 100_000 for rate in reached)
    assert saturation.full(a_life(), every, 1) == []


def test_every_limit_says_where_it_is_from_and_how_there_is_more_of_it() -> None:
    for each in (
        *saturation.ours(100, 10),
        *saturation.AWS,
        *(one for two in saturation.PROVIDERS.values() for one in two),
    ):
        assert each.source
        assert each.more
        assert each.certainty in {"read", "memory", "ours"}


def test_every_way_to_open_a_stream_has_its_provider_s_limits() -> None:
    assert set(saturation.PROVIDERS) == {way.name for way in WAYS}


# ---- the tables


def test_a_table_takes_the_place_of_the_last_and_of_nothing_else() -> None:
    marks = "<!-- keys: written by make scale -->{}<!-- keys ends -->"
    text = f"before\n{marks.format(' old ')}\nafter"
    once = report.replaced(text, "keys", "| new |")
    assert once == f"before\n{marks.format('\n\n| new |\n\n')}\nafter"
    assert report.replaced(once, "keys", "| new |") == once
    with pytest.raises(ValueError, match="no place for sizes"):
        report.replaced(text, "sizes", "")


def test_the_page_has_what_was_measured() -> None:
    """Whoever changes a formula, a limit or a bound writes the tables anew."""
    measured = json.loads((report.DOCS / "scale.json").read_text())
    text = (report.DOCS / "scale.md").read_text()
    for name, table in report.tables(measured).items():
        assert report.replaced(text, name, table) == text, f"{name} is not as measured: python -m bench.scale --anew"


def test_what_was_measured_is_flat() -> None:
    """By the last run: what a table holds changes neither calls nor items read, save for pages that were short."""
    points = json.loads((report.DOCS / "scale.json").read_text())["growth"]
    assert {point["streams"] for point in points} >= {100, 1_000, 10_000, 100_000}
    for what in {point["what"] for point in points}:
        found = sorted((p for p in points if p["what"] == what), key=lambda point: int(point["streams"]))
        calls = {(p["queries"], p["gets"], p["writes"], p["put_events"]) for p in found}
        assert len(calls) == 1, what
        most = SHARDS * (100 if what == "the same, of 100" else 20)
        assert all(p["items_read"] <= most for p in found), what
        assert found[-1]["items_read"] == found[-2]["items_read"] or "thousand tenants" in what, what


def test_no_key_is_hot_at_a_thousand_creates_a_second() -> None:
    """By the last run: with the shards that there are, for creates; with enough of them, for whole lives."""
    for kept in json.loads((report.DOCS / "scale.json").read_text())["lives"]:
        life = from_json(kept)
        assert all(busy.share < 1 for busy in model.busiest(life.opened.units, 1000)), life.way
        shards = model.due_shards_for(life.whole.units["due"], 1000)
        assert all(busy.share < 1 for busy in model.busiest(life.whole.units, 1000, shards)), life.way
        assert shards <= 1024, "as many as the parameter takes"
