"""What was reckoned, as tables that read well on a terminal and in a document."""

from collections.abc import Iterable, Sequence

from bench.cost.idle import Item
from bench.cost.lives import Life
from bench.cost.prices import Usage, prices, summed, times
from bench.cost.reckoning import Assumptions, Timing, of_life

BEGIN, END = "<!-- made by `make cost` -->", "<!-- until here -->"
TARGET = 4.0
"""Dollars a month that the stack may cost when idle, without alarms."""
NUMBERS = {
    "invocations": "lambda_requests",
    "API calls": "api_requests",
    "write units": "table_writes",
    "read units": "table_reads",
    "key requests": "key_requests",
    "events": "bus_events",
    "queue requests": "queue_requests",
}
"""Of what a stream is told how much it uses."""


def whole(
    given: Assumptions, timing: Timing, lives: Sequence[Life], items: Sequence[Item], by_method: Sequence[str]
) -> str:
    """Everything, in order."""
    billed = {life.way.name: of_life(life, given, timing) for life in lives}
    parts = [
        told(given, timing),
        "### Dollars per thousand streams\n\n" + per_thousand(billed),
        "### What one stream uses\n\n" + counted(billed, given),
        "### When idle, dollars a month\n\n" + by_item(items),
        "### While in use, dollars a month\n\n" + in_use(lives, by_method),
    ]
    return "\n".join(parts)


def told(given: Assumptions, timing: Timing) -> str:
    """What the figures rest on."""
    table = prices()
    doubtful = sorted({one.service for one in table.prices.values() if one.certainty == "from memory"})
    return (
        f"Prices of {table.region}, table of {table.day}, no free tier; from memory in part: {', '.join(doubtful)}.\n"
        f"Functions of {given.memory_mb} MB on {given.architecture}, so that processor time is stretched"
        f" {given.stretch:.2f} times. Waiting: {given.provider_ms:g} ms for each call to a provider and"
        f" {given.aws_ms:g} ms for each to AWS.\n"
        f"Cold starts: {given.cold_share:.0%} of invocations. Traced: {given.traced:.0%}.\n"
        f"Durations {timing.source}.\n"
    )


def per_thousand(billed: dict[str, Usage]) -> str:
    """A line for each way to have a stream, a column for each service."""
    table = prices()
    dollars = {name: table.by_service(times(1000, usage)) for name, usage in billed.items()}
    services = sorted({service for each in dollars.values() for service in each}, key=lambda one: -_sum(dollars, one))
    rows = [
        [name, *(f"{each.get(one, 0):.3f}" for one in services), f"{sum(each.values()):.3f}"]
        for name, each in dollars.items()
    ]
    return markdown(["", *services, "together"], rows)


def counted(billed: dict[str, Usage], given: Assumptions) -> str:
    """A line for each way, a column for each thing that is counted."""
    rows = []
    for name, usage in billed.items():
        amounts = [f"{usage.get(of, 0):.4g}" for of in NUMBERS.values()]
        rows.append([name, *amounts, f"{usage[given.gb_seconds] / given.memory_mb * 1024:.2f} s"])
    return markdown(["", *NUMBERS, "of functions"], rows)


def by_item(items: Iterable[Item]) -> str:
    """A line for each item, dearest first, and their sum."""
    table = prices()
    lines = sorted(((table.dollars(item.usage), item) for item in items), key=lambda one: -one[0])
    rows = [[item.name, f"{dollars:.3f}", item.why] for dollars, item in lines]
    total = sum(dollars for dollars, _ in lines)
    rows.append(["**together**", f"**{total:.2f}**", f"target: at most {TARGET:.2f} without alarms"])
    return markdown(["", "a month", "how it comes about"], rows)


def in_use(lives: Sequence[Life], by_method: Sequence[str]) -> str:
    """What is paid for by the month as soon as there are streams in each hour of it, however many."""
    names = sorted({name for life in lives for one in life.invocations for name in one.metrics})
    called = sorted({method for life in lives for method in life.methods})
    names += [f"{metric} of {method}" for method in called for metric in by_method]
    each = prices().dollars({"metric_months": 1})
    rows = [[name, f"{each:.2f}"] for name in names]
    rows.append(["**together**", f"**{each * len(names):.2f}**"])
    return markdown(["custom metric", "a month"], rows)


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table: the first column and those of words to the left, numbers to the right."""
    widths = [max(len(row[at]) for row in (head, *rows)) for at in range(len(head))]
    right = [at > 0 and all(_is_number(row[at]) for row in rows) for at in range(len(head))]
    rule = ["-" * (width - 1) + ":" if number else "-" * width for width, number in zip(widths, right, strict=True)]

    def line(cells: Sequence[str]) -> str:
        padded = (
            cell.rjust(width) if number else cell.ljust(width)
            for cell, width, number in zip(cells, widths, right, strict=True)
        )
        return f"| {' | '.join(padded)} |\n"

    return "".join(map(line, [head, rule, *rows]))


def placed(document: str, text: str) -> str:
    """A document with the text between its marks. Raises ``ValueError`` where they are missing."""
    before, _, rest = document.partition(BEGIN)
    _, found, after = rest.partition(END)
    if not found:
        raise ValueError(f"there is no {BEGIN} … {END}")
    return f"{before}{BEGIN}\n\n{text}\n{END}{after}"


def _is_number(cell: str) -> bool:
    return cell.strip("*").removesuffix(" s").replace(".", "").replace("e+0", "").replace("e-0", "").isdigit()


def _sum(dollars: dict[str, dict[str, float]], service: str) -> float:
    return summed(dollars.values()).get(service, 0)
