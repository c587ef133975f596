"""Puts our own commands on the bus, and reads the answer to each."""

import os
from collections.abc import Sequence
from itertools import batched

from headwater import aws, telemetry
from headwater.events import SOURCE, OrphanSearchDue, StreamAttentionDue

ENTRIES = 10
"""PutEvents takes no more at once; ten of our commands are far from its 256 kB."""

type Command = StreamAttentionDue | OrphanSearchDue


def send(commands: Sequence[Command]) -> list[Command]:
    """Put them on the bus; those that it did not take, which is logged. One may arrive twice: that is harmless."""
    return [each for batch in batched(commands, ENTRIES, strict=False) for each in _not_taken(batch)]


def _not_taken(batch: tuple[Command, ...]) -> list[Command]:
    """Each entry has an answer of its own; of a call that failed nobody knows, so none of its batch counts as taken."""
    bus = os.environ["BUS_NAME"]
    try:
        answer = aws.client("events").put_events(Entries=[_entry(command, bus) for command in batch])
        answers = list(zip(batch, answer["Entries"], strict=True))
    except Exception as error:  # whatever it was, who sends must hear of it, and the others go on
        telemetry.exception("commands not sent", error=error)
        return list(batch)
    refused = [(command, entry["ErrorCode"]) for command, entry in answers if "ErrorCode" in entry]
    for _, code in refused:
        telemetry.logger().warning("command refused by the bus", extra={"code": code})
    return [command for command, _ in refused]


def _entry(command: Command, bus: str) -> dict[str, str]:
    return {
        "Source": SOURCE,
        "DetailType": type(command).__name__,
        "Detail": command.model_dump_json(),
        "EventBusName": bus,
    }
