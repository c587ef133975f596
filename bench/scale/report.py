"""The tables of ``docs/scale.md``, from what was measured: one for each question."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from bench.scale import model, saturation
from bench.scale.growth import DUE, Point
from bench.scale.lives import Life, from_json
from headwater.store import DUE_SHARDS, SHARDS
from tests.template import resources, template

DOCS = Path(__file__).parents[2] / "docs"
RATES = (10, 1_000, 100_000)
"""Creates a minute."""
STREAMS = 1_000
"""Creates a second, at which no key is to be hot."""
MODELLED = 1_000_000

NEVER = "never"

type Row = Iterable[Any]


def write(measured: dict[str, Any], docs: Path = DOCS) -> None:
    """Put each table in its place in ``scale.md``, and what was measured into ``scale.json``."""
    page = docs / "scale.md"
    text = page.read_text()
    for name, table in tables(measured).items():
        text = replaced(text, name, table)
    page.write_text(text)
    (docs / "scale.json").write_text(json.dumps(measured, indent=1) + "\n")


def replaced(text: str, name: str, table: str) -> str:
    """The text with the table between its marks. Raises ``ValueError`` where they are not there, once each."""
    begin, end = f"<!-- {name}: written by make scale -->", f"<!-- {name} ends -->"
    if text.count(begin) != 1 or text.count(end) != 1:
        raise ValueError(f"scale.md has no place for {name}")
    before, _, rest = text.partition(begin)
    return f"{before}{begin}\n\n{table}\n\n{end}{rest.partition(end)[2]}"


def tables(measured: dict[str, Any]) -> dict[str, str]:
    """Each table by its name."""
    points = [Point(**point) for point in measured["growth"]]
    lives = [from_json(life) for life in measured["lives"]]
    return {
        "growth": growth(points),
        "pages": pages(points),
        "model": modelled(points),
        "sizes": sizes(lives),
        "keys": keys(lives),
        "shards": shards(lives),
        "limits": limits(lives),
        "rates": rates(lives),
        "sources": sources(lives),
    }


def table(head: Row, rows: Iterable[Row]) -> str:
    """In Markdown: the first column to the left, the others to the right."""
    names = [str(each) for each in head]
    lines = [names, ["---", *["---:"] * (len(names) - 1)], *([str(each) for each in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def number(value: float) -> str:
    """With separators; a share or a half with what it needs, and nothing for what is without end."""
    if value == float("inf"):
        return NEVER
    if value > 1_000_000:
        return "over a million"
    return f"{value:,.0f}" if value >= 20 or value == int(value) else f"{value:,.1f}"


# ---- what grows


def _by_what(points: list[Point]) -> dict[str, list[Point]]:
    found: dict[str, list[Point]] = {}
    for point in points:
        found.setdefault(point.what, []).append(point)
    return found


def growth(points: list[Point]) -> str:
    """Calls of the table and of the bus, and items read, by size."""
    streams = sorted({point.streams for point in points})
    rows = []
    for what, found in _by_what(points).items():
        if "page" not in what and "same" not in what:
            cells = [f"{p.queries + p.gets + p.writes} · {p.put_events} · {p.items_read}" for p in found]
            rows.append([what, *cells])
    shown = [
        [f"the first page of 20, {p[0].what.removeprefix('a page of ')}", *map(_page, p)] for p in _pages(points)[:1]
    ]
    return table(["calls of the table · calls of the bus · items read", *map(number, streams)], rows + shown)


def _pages(points: list[Point]) -> list[list[Point]]:
    return [found for what, found in _by_what(points).items() if what.startswith(("a page", "the same"))]


def _page(point: Point) -> str:
    return f"{point.queries} · {point.put_events} · {point.items_read}"


def pages(points: list[Point]) -> str:
    """Items read and streams shown, by size."""
    streams = sorted({point.streams for point in points})
    rows = [
        [found[0].what, *(f"{p.items_read} → {p.shown}{' …' if p.cursor else ''}" for p in found)]
        for found in _pages(points)
    ]
    return table(["items read → streams shown (…: there is a cursor)", *map(number, streams)], rows)


def modelled(points: list[Point]) -> str:
    """The formulas beside what was measured, and where they lead."""
    largest = max(point.streams for point in points)
    last = {point.what: point for point in points if point.streams == largest}
    swept, idle = last[f"a sweep that finds {DUE} due"], last["a sweep that finds nothing due"]
    one, hundred = last["a page of one tenant with half of them"], last["the same, of 100"]
    beyond, far = largest // 2, MODELLED // 2
    rows = [
        _against("a sweep, nothing due", idle, model.sweep(0), model.sweep(0)),
        _against(f"a sweep, {DUE} due", swept, model.sweep(DUE), model.sweep(DUE)),
        _against("a page of 20", one, model.page(20, beyond), model.page(20, far)),
        _against("a page of 100", hundred, model.page(100, beyond), model.page(100, far)),
    ]
    head = "queries · items read · read units"
    return table([head, f"measured, {number(largest)}", "model, as many", f"model, {number(MODELLED)}"], rows)


def _against(what: str, point: Point, same: Any, far: Any) -> Row:
    cells = [f"{each.queries} · {each.items_read} · {number(each.read_units)}" for each in (point, same, far)]
    return [what, *cells]


# ---- what is busy


def sizes(lives: list[Life]) -> str:
    """Bytes and units, by way."""
    rows = [
        [
            life.way,
            *(number(life.sizes[kind]) for kind in ("STREAM", "EVENT", "by_tenant", "due", "by_provider_ref")),
            *(life.opened.units[index] for index in ("", "by_tenant", "due", "by_provider_ref")),
            *(life.whole.units[index] for index in ("", "by_tenant", "due")),
        ]
        for life in lives
    ]
    head = ["", "stream, B", "event, B", "`by_tenant`, B", "`due`, B", "`by_provider_ref`, B"]
    create = ["create: table", "`by_tenant`", "`due`", "`by_provider_ref`"]
    return table([*head, *create, "life: table", "`by_tenant`", "`due`"], rows)


def keys(lives: list[Life]) -> str:
    """The busiest key of each kind, in units a second, at the rate that none is to be hot at."""
    rows = []
    for life in lives:
        for part, load in (("creates alone", life.opened), (f"lives of {life.seconds:,} s", life.whole)):
            tenant, due = model.busiest(load.units, STREAMS)
            shards = max(DUE_SHARDS, model.due_shards_for(load.units["due"], STREAMS))
            enough = model.busiest(load.units, STREAMS, shards)[1]
            own = load.units[""] if load is life.opened else "as above"
            rows.append([f"{life.way}, {part}", own, *map(_busy, (tenant, due, enough)), shards])
    head = ["units a second", "a stream's own items", f"`by_tenant`, {SHARDS} shards", f"`due`, {DUE_SHARDS} shards"]
    return table([*head, "`due`, with enough", "which are"], rows)


def _busy(busy: model.Busy) -> str:
    return f"**{number(busy.writes)}**" if busy.share > 1 else number(busy.writes)


def shards(lives: list[Life]) -> str:
    """How many of ``due`` it takes, by rate."""
    rows = [
        [life.way, *(model.due_shards_for(life.whole.units["due"], streams) for streams in (1, 10, 100, STREAMS))]
        for life in lives
    ]
    return table(["`DueShards` for so many creates a second, all the time", "1", "10", "100", number(STREAMS)], rows)


# ---- what is full first


def _ours() -> tuple[saturation.Limit, ...]:
    settings = resources("AWS::Serverless::Api")["Api"]["MethodSettings"][0]
    concurrency = template()["Parameters"]["ProviderConcurrency"]["Default"]
    return saturation.ours(float(settings["ThrottlingRateLimit"]), float(concurrency))


def _all(life: Life) -> tuple[saturation.Limit, ...]:
    return (*saturation.PROVIDERS[life.way], *_ours(), *saturation.AWS)


def limits(lives: list[Life]) -> str:
    """At how many creates a minute each is full, by way."""
    rows: list[Row] = []
    own = {limit.name for life in lives for limit in saturation.PROVIDERS[life.way]}
    for name in sorted(own):
        found = [{limit.name: limit for limit in saturation.PROVIDERS[life.way]}.get(name) for life in lives]
        each = [number(one.creates_a_minute(life)) if one else NEVER for one, life in zip(found, lives, strict=True)]
        rows.append([f"the provider's: {name}", *each])
    rows += [
        [limit.name, *(number(limit.creates_a_minute(life)) for life in lives)] for limit in (*_ours(), *saturation.AWS)
    ]
    return table(["full at so many creates a minute", *(life.way for life in lives)], rows)


def rates(lives: list[Life]) -> str:
    """What is full at each rate, first things first."""
    rows = [[life.way, *(_full(life, rate) for rate in RATES)] for life in lives]
    return table(["creates a minute", *map(number, RATES)], rows)


def _full(life: Life, rate: int) -> str:
    names = {id(limit) for limit in saturation.PROVIDERS[life.way]}
    full = saturation.full(life, _all(life), rate)
    return ", ".join(f"*{each.name}*" if id(each) in names else each.name for each in full) or "nothing"


def sources(lives: list[Life]) -> str:
    """Every limit with where it is from."""
    rows: Iterator[Row] = (
        [limit.name, number(limit.limit), limit.unit, limit.source, limit.certainty, limit.more]
        for limit in (*_ours(), *saturation.AWS)
    )
    own: Iterator[Row] = (
        [f"{life.way}: {each.name}", number(each.limit), each.unit, each.source, each.certainty, each.more]
        for life in lives
        for each in saturation.PROVIDERS[life.way]
    )
    return table(["limit", "default", "of", "source", "known by", "for more"], [*rows, *own])
