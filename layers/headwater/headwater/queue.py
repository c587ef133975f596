"""A provider's queue: what was asked over the bus, and what its streams need now."""

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from headwater import telemetry
from headwater.api import deadline_of
from headwater.attention import Attention
from headwater.creation import Creation
from headwater.deadline import Deadline
from headwater.errors import (
    CallerError,
    Fault,
    HeadwaterError,
    InvalidRequest,
    ProviderError,
)
from headwater.events import AttentionData, RequestData, StreamAttentionDue, StreamRequested
from headwater.ports import Caller, Parts
from headwater.requests import BODY_BYTES, check, faults_of, split_secrets

PATIENCE = timedelta(hours=1)
"""How long after a bus request its stream is still worth opening, where it does not say."""


class Envelope(BaseModel):
    """What we use of EventBridge's envelope."""

    model_config = ConfigDict(hide_input_in_errors=True)

    id: str
    account: str
    time: AwareDatetime
    detail_type: str = Field(alias="detail-type")
    detail: dict[str, Any]


class Inbox:
    """Takes a batch apart; a message that must come again is reported, and only that one."""

    def __init__(self, parts: Parts, creation: Creation, attention: Attention) -> None:
        self._parts = parts
        self._creation = creation
        self._attention = attention

    def receive(self, event: dict[str, Any], context: Any) -> dict[str, Any]:
        """SQS batch → its partial answer. A failed message becomes visible again, and in the end a dead letter."""
        deadline = deadline_of(context)
        processor = BatchProcessor(EventType.SQS, raise_on_entire_batch_failure=False)
        answer = process_partial_response(event, lambda record: self._one(record, deadline), processor, context=context)
        return dict(answer)

    def _one(self, record: SQSRecord, deadline: Deadline) -> None:
        try:
            self._take(record.body, deadline)
        except HeadwaterError as error:
            told = {"code": error.code, "detail": error.detail, "message_id": record.message_id}
            if _final(error):
                telemetry.logger().info("refused", extra=told)
                return
            telemetry.logger().warning("again later", extra=told)
            raise
        except Exception as error:
            telemetry.exception("unforeseen", error=error)
            raise

    def _take(self, body: str, deadline: Deadline) -> None:
        envelope = Envelope.model_validate(json.loads(body, parse_float=Decimal))
        if envelope.detail_type == "StreamAttentionDue":
            # Read narrowly: during a deployment its sender may already know more than we do.
            command = StreamAttentionDue.model_validate(envelope.detail, extra="ignore")
            self._attend(command.data, envelope.id, deadline)
        elif envelope.detail_type == "OrphanSearchDue":
            from headwater.orphan_reports import search

            search(self._parts, deadline)
        else:
            self._requested(envelope, deadline)

    def _attend(self, data: AttentionData, request_id: str, deadline: Deadline) -> None:
        try:
            self._attention.attend(data, request_id, deadline)
        except HeadwaterError as error:
            if data.reason != "due":
                raise
            # It is recorded by then, and due again when the record says so: not by the queue's clock as well.
            told = {"code": error.code, "stream_id": data.stream_id}
            telemetry.logger().info("attended to", extra=told)

    def _requested(self, envelope: Envelope, deadline: Deadline) -> None:
        tenant = f"aws:{envelope.account}"
        try:
            asked = StreamRequested.model_validate(envelope.detail)
        except ValidationError as error:
            refused = InvalidRequest("The StreamRequested event is not of its schema.", faults=tuple(faults_of(error)))
            self._creation.refuse(Caller(tenant, envelope.id), envelope.id, refused)
            return
        own = envelope.account == self._parts.account
        caller = Caller(asked.tenant if own and asked.tenant else tenant, envelope.id)
        self._open(caller, asked.data, envelope, deadline)

    def _open(self, caller: Caller, asked: RequestData, envelope: Envelope, deadline: Deadline) -> None:
        key = asked.idempotency_key or envelope.id
        latest = asked.deadline or envelope.time + PATIENCE
        try:
            request = _raw(envelope)
            if len(json.dumps(request, default=str, ensure_ascii=False).encode(errors="replace")) > BODY_BYTES:
                raise InvalidRequest(f"A request has at most {BODY_BYTES} bytes.")
            wanted = check(request, self._parts.provider.options_type, self._parts.terms)
            if split_secrets(wanted.options)[1]:
                raise InvalidRequest("A secret may not travel over the bus: open this stream by the API.")
        except CallerError as error:
            self._creation.refuse(caller, key, error)
            return
        # By real time: a deadline is of the clock of whoever asks, and the envelope's time of the bus's.
        if datetime.now(UTC) > latest:
            late = InvalidRequest("The deadline of this request has passed.", faults=(_LATE,))
            self._creation.give_up(caller, key, wanted, deadline, late)
            return
        self._creation.provision(caller, key, wanted, deadline, origin="bus", until=latest)


def _final(error: HeadwaterError) -> bool:
    """Whether to try again would change nothing; what was refused is recorded and announced by then."""
    if error.settled:
        return True
    if isinstance(error, ProviderError):
        return not error.transient
    return isinstance(error, CallerError) and not error.retryable


_LATE = Fault("/data/deadline", "deadline_passed", "The deadline has passed.")


def _raw(envelope: Envelope) -> dict[str, Any]:
    """The request as it was sent: with exact numbers, for its fingerprint."""
    request: dict[str, Any] = envelope.detail["data"].get("request", {})
    return request
