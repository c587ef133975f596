"""A minute has passed → a command for each stream that is due, and for each search for orphans."""

import os
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import Any

from headwater import aws
from headwater.catalogue import catalogue
from headwater.clock import present
from headwater.deadline import Deadline
from sweep.index import Index
from sweep.steps import Sweep

FUNCTIONS = Path(__file__).parent.parent
MARGIN_SECONDS = 20
"""What a run leaves of its invocation for the calls that are still to come: each may take 12 s with its repeats."""


def handler(_: dict[str, Any], context: Any) -> dict[str, int]:
    """What the run came to. Raises where something was left undone, so that the invocation counts as failed."""
    deadline = Deadline(context.get_remaining_time_in_millis() / 1000 - MARGIN_SECONDS)
    index = Index(aws.client("dynamodb"), os.environ["TABLE_NAME"], int(os.environ["DUE_SHARDS"]))
    interval = timedelta(minutes=float(os.environ["ORPHAN_SEARCH_MINUTES"]))
    # Claims are due by real time, which business time is never behind: none is missed. One that looks due too early
    # does no harm, as its provider's function looks at it by real time.
    return asdict(Sweep(index, present, deadline).run(searchable() if interval else (), interval))


def searchable() -> tuple[str, ...]:
    """The providers that can be searched for orphans."""
    return tuple(name for name, one in catalogue(FUNCTIONS).items() if one.get("finds_orphans"))
