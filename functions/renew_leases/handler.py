"""StreamCreated, or a delayed message of our own → StreamAttentionDue, and the next delayed message."""

import json
from typing import Any

from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord

from headwater import telemetry
from renew_leases.steps import carry_out, come_again_soon, step_for


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """SQS batch → its partial answer."""
    processor = BatchProcessor(EventType.SQS, raise_on_entire_batch_failure=False)
    return dict(process_partial_response(event, _one, processor, context=context))


def _one(record: SQSRecord) -> None:
    try:
        step = step_for(json.loads(record.body))
        if step:
            carry_out(step)
    except Exception as error:
        telemetry.exception("beat failed", error=error)
        come_again_soon(record.receipt_handle)
        raise
