"""What a message asks for by the record as it is now, and how that is done."""

import contextlib
import os
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from headwater import aws
from headwater.clock import present
from headwater.commands import send
from headwater.events import AttentionData, StreamAttentionDue
from headwater.streams import OVER, State
from headwater.wiring import table
from renew_leases.beats import Beat, CreatedDetail, Step, StreamSeen, first, following

AGAIN_SECONDS = 3
"""With 100 deliveries before it is a dead letter, a message of ours outlasts five minutes of trouble."""
QUIET = OVER | {State.ENDING, State.FAILED}
"""States of a stream that nobody holds any more: who removes what is ending, and whoever sweeps, see to the rest."""


def step_for(message: dict[str, Any]) -> Step | None:
    """What is to be done; nothing for a stream that is over."""
    if "detail-type" in message:
        return first(CreatedDetail.model_validate(message["detail"]).data.stream, present())
    beat = Beat.model_validate(message)
    stream = _alive(beat.stream_id)
    return following(beat, stream, present()) if stream else None


def _alive(stream_id: str) -> StreamSeen | None:
    """The stream as it is recorded now; None where it is over, or is to be: that stops the beat."""
    record = table().load(stream_id)
    if record is None or record.stream.state in QUIET:
        return None
    return StreamSeen.model_validate(record.stream.model_dump())


def carry_out(step: Step) -> None:
    """Ask first, then see to the next beat: a message that is repeated asks again, which does nothing twice."""
    beat = step.beat
    if step.reason:
        data = AttentionData(
            provider=beat.provider,
            stream_id=beat.stream_id,
            reason=step.reason,
            beat=beat.number if step.reason == "renew" else None,
        )
        if send([StreamAttentionDue(data=data)]):
            raise RuntimeError("the bus did not take the command")
    if step.delay is not None:
        aws.client("sqs").send_message(
            QueueUrl=os.environ["QUEUE_URL"], MessageBody=beat.model_dump_json(), DelaySeconds=step.delay
        )


def come_again_soon(receipt_handle: str) -> None:
    """Have a message that failed delivered again at once: a lease does not wait for the queue's visibility timeout."""
    with contextlib.suppress(BotoCoreError, ClientError):
        aws.client("sqs").change_message_visibility(
            QueueUrl=os.environ["QUEUE_URL"], ReceiptHandle=receipt_handle, VisibilityTimeout=AGAIN_SECONDS
        )
