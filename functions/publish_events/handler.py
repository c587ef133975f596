"""Batch of the table's stream → events on the bus; what the bus did not take comes again."""

import os
from typing import Any

from headwater import aws, telemetry
from publish_events.bus import publish
from publish_events.outbox import Pending, Unpublishable, dead_letter, pending


class NotPublished(Exception):
    """Some of a batch is not on the bus yet. Lambda repeats the batch; who hears an event twice knows it by its id."""


def handler(event: dict[str, Any], context: Any) -> None:
    """Raises ``NotPublished`` unless the bus took everything that is fit to be published."""
    events = [ready for record in event["Records"] if (ready := _fit(record))]
    if left := publish(events, lambda: context.get_remaining_time_in_millis() / 1000):
        raise NotPublished(f"{len(left)} events are not published yet")


def _fit(record: dict[str, Any]) -> Pending | None:
    """The record's event; one that can never be published is set aside, so that it does not hold up the others."""
    try:
        return pending(record)
    except Unpublishable as error:
        telemetry.logger().error("unpublishable", extra={"reason": str(error)})
        body = dead_letter(record, str(error))
        aws.client("sqs").send_message(QueueUrl=os.environ["DEAD_LETTERS_URL"], MessageBody=body)
        return None
