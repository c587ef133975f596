"""Batch of the table's stream → events on the bus; what the bus did not take comes again."""

import os
import time
from typing import Any

from headwater import aws, telemetry
from publish_events.bus import publish
from publish_events.outbox import Pending, Unpublishable, dead_letter, pending, portions

PAUSES = (0.1, 0.4, 1.6)
"""Seconds before what the bus did not take is offered again, in the same invocation."""
CALL_SECONDS = 12
"""What a call to the bus may take with its repeats: with less left, nothing is offered again."""


class NotPublished(Exception):
    """Some of a batch is not on the bus yet. Lambda repeats the batch; who hears an event twice knows it by its id."""


def handler(event: dict[str, Any], context: Any) -> None:
    """Raises ``NotPublished`` unless the bus took everything that is fit to be published."""
    left = [ready for record in event["Records"] if (ready := _fit(record))]
    for pause in (0, *PAUSES):
        if pause and context.get_remaining_time_in_millis() < CALL_SECONDS * 1000:
            break
        time.sleep(pause)
        left = [each for portion in portions(left) for each in publish(portion)]
        if not left:
            return
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
