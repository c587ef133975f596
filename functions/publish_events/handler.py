"""Batch of the table's stream → events on the bus; what the bus did not take comes again."""

import os
from typing import Any

from headwater import aws, telemetry
from publish_events.bus import publish
from publish_events.outbox import Pending, Unpublishable, dead_letter, pending, portions


def handler(event: dict[str, Any], _: Any) -> dict[str, Any]:
    """The sequence numbers that were not published; Lambda repeats the batch from the first of them."""
    events = [ready for record in event["Records"] if (ready := _fit(record))]
    failed = [each.sequence_number for portion in portions(events) for each in publish(portion)]
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
