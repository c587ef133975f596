"""Batch of the table's stream → events on the bus; what the bus did not take comes again."""

import os
from typing import Any

from headwater import aws, telemetry
from publish_events.outbox import Pending, Unpublishable, dead_letter, pending, portions


def handler(event: dict[str, Any], _: Any) -> dict[str, Any]:
    """The sequence numbers that were not published; Lambda repeats the batch from the first of them."""
    events = [ready for record in event["Records"] if (ready := _fit(record))]
    failed = [each.sequence_number for portion in portions(events) for each in _publish(portion)]
    return {"batchItemFailures": [{"itemIdentifier": number} for number in failed]}


def _fit(record: dict[str, Any]) -> Pending | None:
    """The record's event; one that can never be published is set aside, so that it does not hold up the others."""
    try:
        return pending(record)
    except Unpublishable as error:
        telemetry.logger().error("unpublishable", extra={"reason": str(error)})
        body = dead_letter(record, str(error))
        aws.client("sqs").send_message(QueueUrl=os.environ["DEAD_LETTERS_URL"], MessageBody=body)
        return None


def _publish(portion: list[Pending]) -> list[Pending]:
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
