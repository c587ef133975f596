"""From counts and durations to dollars, on made-up ones; and what the table of prices holds."""

import json
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from bench.cost import report
from bench.cost.cloud import CHUNK_BYTES, chunks
from bench.cost.idle import Item
from bench.cost.lives import WAYS, Life, Measured
from bench.cost.prices import FILE, Prices, prices, summed, times
from bench.cost.reckoning import PLATFORM_LINES, Assumptions, Start, Timing, of_invocation, of_life
from bench.cost.timings import timing
from bench.cost.world import Invocation

ONE = Invocation("provision_some", "due", 10, {"table_writes": 3}, 2, 1, 1, 100, frozenset())
PLAIN = Assumptions(memory_mb=1769, architecture="arm64", provider_ms=300, aws_ms=5, cold_share=0)
GB = 1769 / 1024
NONE = Timing("none")


def seconds(one: Invocation, given: Assumptions, timing: Timing = NONE) -> float:
    """That it is billed for."""
    return of_invocation(one, given, timing)[given.gb_seconds] / given.memory_mb * 1024


def life(*invocations: Invocation, **between: float) -> Life:
    return Life(WAYS[0], invocations, between, table_gb_months=0.5)


# ---- prices


@pytest.mark.parametrize("name", prices().prices)
def test_a_price_says_from_where_and_of_when_it_is(name: str) -> None:
    price = prices().prices[name]
    assert "pricing" in price.source
    assert date(2024, 1, 1) < price.known <= prices().day <= date(2026, 11, 21)
    assert price.certainty in prices().certainties


@pytest.mark.parametrize("missing", ["source", "known", "certainty", "usd", "per"])
def test_a_price_that_does_not_say_so_is_no_price(missing: str) -> None:
    table: dict[str, Any] = json.loads(FILE.read_text())
    del table["prices"]["api_requests"][missing]
    with pytest.raises(ValidationError):
        Prices.model_validate(table)


def test_dollars_are_by_the_thing_and_by_its_service() -> None:
    usage = {"table_writes": 2_000_000, "table_reads": 8_000_000, "secret_months": 3}
    assert prices().dollars(usage) == pytest.approx(1.25 + 1.00 + 1.20)
    assert prices().by_service(usage) == pytest.approx({"DynamoDB": 2.25, "Secrets Manager": 1.20})
    with pytest.raises(KeyError):
        prices().dollars({"something": 1})


def test_amounts_add_up() -> None:
    assert summed([{"a": 1, "b": 0.5}, {"b": 0.5}]) == {"a": 1, "b": 1}
    assert times(3, {"a": 0.5}) == {"a": 1.5}


# ---- invocations


def test_a_function_is_billed_for_its_processor_and_for_what_it_waits_to_the_millisecond() -> None:
    assert seconds(ONE, PLAIN) == pytest.approx(0.010 + 0.300 + 2 * 0.005)
    assert seconds(replace(ONE, cpu_ms=10.2), PLAIN) == pytest.approx(0.321)
    assert of_invocation(ONE, PLAIN, NONE)[PLAIN.gb_seconds] == pytest.approx(0.320 * GB)


def test_less_memory_draws_out_the_processor_s_time_alone_and_more_does_not_shorten_it() -> None:
    assert seconds(ONE, replace(PLAIN, memory_mb=512)) == pytest.approx(0.345)  # 10 ms * 1769 / 512 and 310 ms
    assert seconds(ONE, replace(PLAIN, memory_mb=3538)) == pytest.approx(0.320)
    assert seconds(ONE, replace(PLAIN, cpu_factor=2)) == pytest.approx(0.330)


def test_a_cold_start_is_billed_as_often_as_there_is_one_its_init_at_full_speed() -> None:
    started = Timing("none", starts={"provision_some": Start(init_ms=400, first_cpu_ms=110)})
    given = replace(PLAIN, cold_share=0.1, cpu_factor=2)
    assert seconds(ONE, given, started) == pytest.approx(0.330 + 0.1 * (0.400 + 2 * 0.100))


def test_a_create_takes_as_long_as_the_benchmark_says_and_nothing_else_does() -> None:
    elsewhere = Timing("none", creates={"provision_some": 50})
    assert seconds(replace(ONE, label="POST"), PLAIN, elsewhere) == pytest.approx(0.360)
    assert seconds(replace(ONE, label="POST keepalive"), PLAIN, elsewhere) == pytest.approx(0.320)


def test_the_architecture_has_its_own_price() -> None:
    usage = of_invocation(ONE, replace(PLAIN, architecture="x86_64"), NONE)
    assert "lambda_gb_seconds_x86_64" in usage
    assert "lambda_gb_seconds_arm64" not in usage


def test_what_lambda_logs_is_counted_with_what_the_function_logs() -> None:
    lines = sum(map(len, PLATFORM_LINES)) + 26 * (len(PLATFORM_LINES) + 1)
    assert of_invocation(ONE, PLAIN, NONE)["log_gb"] == pytest.approx((100 + lines) / 1e9)


def test_a_stream_is_all_its_invocations_and_what_happened_between_them() -> None:
    usage = of_life(life(ONE, ONE, queue_requests=3), PLAIN, NONE)
    assert (usage["lambda_requests"], usage["table_writes"], usage["queue_requests"]) == (2, 6, 3)
    assert (usage["table_gb_months"], usage["table_backup_gb_months"]) == (0.5, 0.5)
    assert of_life(life(ONE, ONE), replace(PLAIN, traced=0.5), NONE)["traces"] == 1


def test_a_stream_adds_to_a_sweep_what_the_sweep_does_for_it_and_not_the_sweep() -> None:
    swept = replace(ONE, function="sweep", usage={"table_writes": 5, "bus_events": 1})
    usage = of_life(life(swept), PLAIN, NONE)
    assert (usage["table_writes"], usage["bus_events"]) == (5, 1)
    assert not {"lambda_requests", PLAIN.gb_seconds} & usage.keys()
    assert usage["traces"] == 0
    assert usage["log_gb"] == pytest.approx((100 + 26) / 1e9)


@pytest.mark.parametrize(("size", "counted"), [(0, 1), (CHUNK_BYTES, 1), (CHUNK_BYTES + 1, 2), (200_000, 4)])
def test_a_message_counts_by_sixty_four_kilobytes(size: int, counted: int) -> None:
    assert chunks(size) == counted


# ---- durations


def test_durations_are_the_benchmark_s_where_it_has_them(tmp_path: Path) -> None:
    figures = {name: {"median": value} for name, value in {"init_ms": 300, "first_ms": 40, "warm_cpu_ms": 7}.items()}
    file = tmp_path / "performance.json"
    file.write_text(json.dumps({"functions": {"provision_cloudflare": figures}}))
    own = Measured(life(), {("sweep", "sweep"): 33.0})
    found = timing([own], ["provision_cloudflare", "sweep"], file)
    assert found.creates == {"provision_cloudflare": 7}
    assert found.starts["provision_cloudflare"] == Start(300, 40)
    assert found.starts["sweep"].first_cpu_ms == 33
    assert found.starts["sweep"].init_ms > 0
    assert "performance.json" in found.source
    assert "performance.json" not in timing([own], [], tmp_path / "none").source


# ---- tables


def test_a_table_is_of_even_columns_numbers_to_the_right() -> None:
    assert report.markdown(["", "n"], [["a", "1.50"], ["bcd", "12.00"]]).splitlines() == [
        "|     |     n |",
        "| --- | ----: |",
        "| a   |  1.50 |",
        "| bcd | 12.00 |",
    ]


def test_items_are_told_dearest_first_and_summed() -> None:
    text = report.by_item([Item("small", {"alarm_months": 1}, "one"), Item("large", {"secret_months": 3}, "three")])
    assert [line.split("|")[1].strip() for line in text.splitlines()[2:]] == ["large", "small", "**together**"]
    assert "**1.30**" in text


def test_a_metric_is_paid_for_once_however_many_streams_tell_it_and_a_method_s_only_where_they_are_on() -> None:
    told = life(replace(ONE, function=WAYS[0].folder, label="GET", metrics=frozenset({"Counted of some"})))
    assert "**0.30**" in report.in_use([told, told], ())
    assert "**0.90**" in report.in_use([told, told], ("Count", "Latency"))


def test_a_document_keeps_what_is_around_the_tables() -> None:
    document = f"before\n{report.BEGIN}\nold\n{report.END}\nafter\n"
    assert report.placed(document, "new") == f"before\n{report.BEGIN}\n\nnew\n{report.END}\nafter\n"
    with pytest.raises(ValueError, match="there is no"):
        report.placed("no marks", "new")
