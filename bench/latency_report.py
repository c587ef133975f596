"""Event latency as a table, with what the emulator and AWS each add. Pure."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

BEGIN, END = "<!-- latency -->", "<!-- /latency -->"


@dataclass(frozen=True)
class Journey:
    """One event's moments on its way, in milliseconds of one machine's clock."""

    recorded: int
    """What the event itself says: ``occurred_at``, set before the sealing and the settling transaction."""
    committed: int
    """When the answer to the settling transaction came back to the function."""
    invoked: int
    """The publisher, with the record."""
    published: int
    """When its PutEvents began."""
    queued: int
    """When the subscriber's queue had it."""
    received: int
    """When the subscriber had it."""


@dataclass(frozen=True)
class Arrival:
    """As much of it as can be told where many are under way."""

    recorded: int
    queued: int


type Part = tuple[str, Callable[[Journey], int]]
PARTS: tuple[Part, ...] = (
    ("**commit → in the subscriber's queue**", lambda way: way.queued - way.committed),
    ("of it: commit → publisher invoked", lambda way: way.invoked - way.committed),
    ("of it: publisher invoked → its PutEvents", lambda way: way.published - way.invoked),
    ("of it: PutEvents → in the queue", lambda way: way.queued - way.published),
    ("besides: in the queue → the subscriber has it", lambda way: way.received - way.queued),
    ("`occurred_at` → in the queue", lambda way: way.queued - way.recorded),
)


def percentile(values: Sequence[int], share: float) -> int:
    """The least of the values that this share of them does not exceed. Raises ``ValueError`` without values."""
    if not values:
        raise ValueError("nothing was measured")
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


def table(alone: Sequence[Journey], crowded: Sequence[Arrival], callers: int) -> str:
    """The figures. ``crowded``: the arrivals where so many callers created at once."""
    rows = [(name, [measure(way) for way in alone]) for name, measure in PARTS]
    rows.append((f"the same with {callers} callers at once", [one.queued - one.recorded for one in crowded]))
    lines = ["| Milliseconds | p50 | p99 | most |", "| --- | ---: | ---: | ---: |"]
    for name, values in rows:
        lines.append(f"| {name} | {percentile(values, 0.5)} | {percentile(values, 0.99)} | {max(values)} |")
    return "\n".join(lines)


def section(machine: str, alone: Sequence[Journey], crowded: Sequence[Arrival], callers: int) -> str:
    """All that stands between the marks. ``machine``: when and where it was measured."""
    counts = f"{len(alone)} creates one at a time, then {len(crowded)} by {callers} callers at once"
    told = f"`make latency`, {machine}.\nLocal stack, all warm: {counts}, at Cloudflare's simulator."
    return f"## From commit to subscriber\n\n{told}\n\n{table(alone, crowded, callers)}\n\n{EXPLAINED}"


def placed(text: str, content: str) -> str:
    """The document with what is between the marks replaced; at its end where it has none.

    Raises ``ValueError`` where the marks are not a pair.
    """
    framed = f"{BEGIN}\n\n{content}\n\n{END}"
    if BEGIN not in text and END not in text:
        return f"{text.rstrip()}\n\n{framed}\n"
    if text.count(BEGIN) != 1 or text.count(END) != 1 or text.index(BEGIN) > text.index(END):
        raise ValueError(f"the document needs {BEGIN!r} and, after it, {END!r}, once each")
    return text.partition(BEGIN)[0] + framed + text.partition(END)[2]


EXPLAINED = """\
The commit is taken as the moment at which the answer to the settling transaction came back to the function, as seen at
the door before AWS: the commit itself was earlier by less than that call took. The event's own `occurred_at` is set
before the sealing and the transaction, so what is counted from it is never too short; the create's answer comes too
late for a beginning, some events are in the queue before it. When the publisher was invoked is told by its REPORT line;
when the event was in the queue, by the message's SentTimestamp.

What of it is the emulator's polling (read in ministack 1.5.33):

- A write to the table wakes the one thread that polls all mappings (`lambda_svc._poll_loop`). Where the wake before
  brought nothing it sleeps 50 ms first (`_ESM_IDLE_WAKE_GAP_SECONDS`); a wake that it missed waits 1 s at most.
- That thread itself carries out the publisher, and for a function that logs nothing waits 50 ms for its first line
  (`lambda_runtime._drain_stderr_bounded`). The event is out by then; the next one waits for it, hence the last row.
- PutEvents gives the event to each rule's target before it answers. There is no batching window.
- A long poll of a queue looks every 100 ms (`sqs._act_receive_message`): all of "besides". A function behind a queue
  does not wait for that, since a message in a queue wakes the thread above.

On AWS, on paper, it is instead:

- commit → publisher invoked: up to 250 ms, 125 on average, and the reading: Lambda polls each shard 4 times a second
  (Lambda Developer Guide, "Using AWS Lambda with Amazon DynamoDB"). Seen: p50 213 ms, p99 552 ms (L. van Donkersgoed,
  "Serverless Messaging: Latency Compared", eu-west-1, September 2022).
- publisher invoked → its PutEvents: as above, once it is warm. A cold one adds its start to the first event after a
  pause.
- PutEvents → a function behind a rule: p50 148 ms, p99 387 ms (the same author, update of February 2023); p90 80 ms at
  Amazon Key (AWS Architecture Blog, "Mastering millisecond latency and millions of events", February 2026).
- besides, a queue between rule and function: p50 16 ms, p99 105 ms (the same author).

So half of all events should reach a function behind a rule within some 0.4 s of their commit (213 + 148 ms and the
publisher), and nearly all within 1 s (552 + 387 ms, were both slow at once).

Nothing in the template makes events wait. `PublishEventsMapping` has no `MaximumBatchingWindowInSeconds`, which is 0
(Lambda Developer Guide, "Lambda parameters for Amazon DynamoDB event source mappings"): the publisher is invoked as
soon as a poll finds a record. Nor have the queues' mappings. Its `ParallelizationFactor` is 1: of a shard, one batch at
a time, of up to 100 events, which are ten calls of PutEvents one after the other. That bounds how many events a shard
passes on in a second, not how long one takes that is alone. A greater factor keeps the order of each item only, and
each event is an item: later events of a stream could overtake earlier ones. `IteratorAge`, for which there is an alarm,
says when that is worth its price."""
