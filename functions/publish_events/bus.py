"""Puts events on the bus, reads the answer to each, and offers again what it did not take."""

import os
import time
from collections.abc import Callable

from headwater import aws, telemetry
from publish_events.outbox import Pending, portions

PAUSES = (0.1, 0.4, 1.6)
"""Seconds before what the bus did not take is offered again, in the same invocation."""
CALL_SECONDS = 12
"""What a call to the bus may take with its repeats: with less left, nothing is offered again."""


def publish(events: list[Pending], seconds_left: Callable[[], float]) -> list[Pending]:
    """Those that the bus did not take, however often it was asked; in portions, in order."""
    left = _offered(events)
    for pause in PAUSES:
        if not left or seconds_left() < CALL_SECONDS:
            break
        time.sleep(pause)
        left = _offered(left)
    return left


def _offered(events: list[Pending]) -> list[Pending]:
    return [each for portion in portions(events) for each in _not_taken(portion)]


def _not_taken(portion: list[Pending]) -> list[Pending]:
    """Each entry has an answer of its own."""
    bus = os.environ["BUS_NAME"]
    try:
        answer = aws.client("events").put_events(Entries=[event.entry(bus) for event in portion])
        answers = list(zip(portion, answer["Entries"], strict=True))
    except Exception as error:  # whatever it was, the portion must come again, and the others go on
        telemetry.exception("not published", error=error)
        return portion
    refused = [(event, entry["ErrorCode"]) for event, entry in answers if "ErrorCode" in entry]
    for _, code in refused:
        telemetry.logger().warning("refused by the bus", extra={"code": code})
    return [event for event, _ in refused]
