"""A minute has passed → a command for each stream that is due, and for each search for orphans."""

import os
from dataclasses import asdict
from datetime import timedelta
from typing import Any

from headwater import aws
from headwater.deadline import Deadline
from headwater.streams import now
from sweep.catalogue import searchable
from sweep.index import Index
from sweep.steps import Sweep

MARGIN_SECONDS = 20
"""What a run leaves of its invocation for the calls that are still to come: each may take 12 s with its repeats."""


def handler(_: dict[str, Any], context: Any) -> dict[str, int]:
    """What the run came to. Raises where something was left undone, so that the invocation counts as failed."""
    deadline = Deadline(context.get_remaining_time_in_millis() / 1000 - MARGIN_SECONDS)
    index = Index(aws.client("dynamodb"), os.environ["TABLE_NAME"])
    interval = timedelta(minutes=float(os.environ["ORPHAN_SEARCH_MINUTES"]))
    return asdict(Sweep(index, now, deadline).run(searchable() if interval else (), interval))
