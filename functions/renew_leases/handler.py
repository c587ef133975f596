"""StreamCreated, or a delayed message of our own → StreamAttentionDue, and the next delayed message."""

import json
import os
from datetime import UTC, datetime
from typing import Any

from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord

from headwater import aws, telemetry
from headwater.events import SOURCE, AttentionData, StreamAttentionDue
from headwater.streams import OVER, State
from headwater.wiring import table
from renew_leases.beats import Beat, CreatedDetail, Step, StreamSeen, first, following


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """SQS batch → its partial answer."""
    processor = BatchProcessor(EventType.SQS, raise_on_entire_batch_failure=False)
    return dict(process_partial_response(event, _one, processor, context=context))


def _one(record: SQSRecord) -> None:
    try:
        step = _step(json.loads(record.body))
        if step:
            _carry_out(step)
    except Exception as error:
        telemetry.failure("beat failed", error)
        raise


def _step(message: dict[str, Any]) -> Step | None:
    """What is to be done; nothing for a stream that is over."""
    if "detail-type" in message:
        return first(CreatedDetail.model_validate(message["detail"]).data.stream, datetime.now(UTC))
    beat = Beat.model_validate(message)
    stream = _alive(beat.stream_id)
    return following(beat, stream, datetime.now(UTC)) if stream else None


def _alive(stream_id: str) -> StreamSeen | None:
    """The stream as it is recorded now; None where it is over: that stops the beat."""
    record = table().load(stream_id)
    if record is None or record.stream.state in OVER | {State.FAILED}:
        return None
    return StreamSeen.model_validate(record.stream.model_dump())


def _carry_out(step: Step) -> None:
    """Ask first, then see to the next beat: a message that is repeated asks again, which does nothing twice."""
    beat = step.beat
    if step.reason:
        data = AttentionData(
            provider=beat.provider,
            stream_id=beat.stream_id,
            reason=step.reason,
            beat=beat.number if step.reason == "renew" else None,
        )
        _ask(StreamAttentionDue(data=data))
    if step.delay is not None:
        aws.client("sqs").send_message(
            QueueUrl=os.environ["QUEUE_URL"], MessageBody=beat.model_dump_json(), DelaySeconds=step.delay
        )


def _ask(command: StreamAttentionDue) -> None:
    entry = {
        "Source": SOURCE,
        "DetailType": "StreamAttentionDue",
        "Detail": command.model_dump_json(),
        "EventBusName": os.environ["BUS_NAME"],
    }
    answer = aws.client("events").put_events(Entries=[entry])
    if answer["FailedEntryCount"]:
        raise RuntimeError(f"the bus refused the command: {answer['Entries'][0].get('ErrorCode')}")
