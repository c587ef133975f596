"""Puts events on the bus, and reads the answer to each."""

import os

from headwater import aws, telemetry
from publish_events.outbox import Pending


def publish(portion: list[Pending]) -> list[Pending]:
    """Those of a portion that the bus did not take: each entry has an answer of its own."""
    bus = os.environ["BUS_NAME"]
    try:
        answer = aws.client("events").put_events(Entries=[event.entry(bus) for event in portion])
    except Exception as error:  # noqa: BLE001 - whatever it was, the portion must come again, and the others go on
        telemetry.failure("not published", error)
        return portion
    refused = [
        (event, entry["ErrorCode"])
        for event, entry in zip(portion, answer["Entries"], strict=True)
        if "ErrorCode" in entry
    ]
    for _, code in refused:
        telemetry.logger().warning("refused by the bus", extra={"code": code})
    return [event for event, _ in refused]
