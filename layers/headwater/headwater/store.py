"""The table: one item for a stream with all that is kept of it, one for each of its events."""

import hashlib
import json
import zlib
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from headwater.attributes import Item, from_attributes, to_attributes
from headwater.events import Happened
from headwater.ports import Stale
from headwater.records import Record
from headwater.streams import Stream, milliseconds, now

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

SHARDS = 8
"""Of each tenant's streams in the index that lists them: a page reads them all."""
DUE_SHARDS = 16
"""Of the index of what is due, unless a deployment says otherwise: a sweep reads them all, every minute."""
EVENT_DAYS = 30
LISTED = frozenset(
    {
        *("id", "provider", "provider_ref", "name", "state", "state_reason", "provider_status", "metadata"),
        *("version", "created_at", "updated_at", "expires_at", "href"),
    }
)
"""What ``GET /streams`` shows of a stream."""
SEALED = ("request_secrets", "sealed_credentials")
"""What of a record is an attribute of its own, as the bytes that it is, and no part of the document."""

_ABSENT = "attribute_not_exists(pk) OR expires <= :now"
"""Time to live is for storage only: what it has not removed yet is in nobody's way."""


class Table:
    """The DynamoDB table as the workflows see it; ``client`` with deadlines and retries of its own.

    What has expired by ``clock`` is not there any more. ``due_shards`` may become more at any time, and never fewer.
    """

    def __init__(
        self, client: "DynamoDBClient", name: str, clock: Callable[[], datetime] = now, due_shards: int = DUE_SHARDS
    ) -> None:
        self._client = client
        self._name = name
        self._clock = clock
        self._due_shards = due_shards

    def claim(self, record: Record) -> Record | None:
        """See ``ports.Store``. One write; where it is refused, the answer brings the record that is there."""
        try:
            self._client.put_item(
                TableName=self._name,
                Item=to_attributes(stream_item(record, self._due_shards)),
                ConditionExpression=_ABSENT,
                ExpressionAttributeValues=to_attributes({":now": self._epoch()}),
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
            )
        except self._client.exceptions.ConditionalCheckFailedException as refused:
            # ReturnValuesOnConditionCheckFailure brings it; botocore's stubs do not know.
            existing: Any = refused.response
            return record_of(from_attributes(existing["Item"]))
        except self._client.exceptions.TransactionConflictException:
            if found := self.load(record.stream.id):
                return found
            raise
        return None

    def load(self, stream_id: str) -> Record | None:
        """See ``ports.Store``: a consistent read."""
        answer = self._client.get_item(
            TableName=self._name,
            Key=to_attributes({"pk": f"STREAM#{stream_id}", "sk": "STREAM"}),
            ConsistentRead=True,
        )
        item = from_attributes(answer.get("Item", {}))
        expires = item.get("expires")
        gone = not item or (expires is not None and expires <= self._epoch())
        return None if gone else record_of(item)

    def recorded_as(self, provider: str, ref: str) -> list[str]:
        """See ``ports.Store``. Few have had one resource: one page has them all."""
        answer = self._client.query(
            TableName=self._name,
            IndexName="by_provider_ref",
            KeyConditionExpression="provider_ref = :ref",
            ExpressionAttributeValues=to_attributes({":ref": f"{provider}#{ref}"}),
        )
        return [str(from_attributes(item)["pk"]).removeprefix("STREAM#") for item in answer["Items"]]

    def timeline(self, stream_id: str) -> list[dict[str, Any]]:
        """See ``ports.Store``."""
        pages = self._client.get_paginator("query").paginate(
            TableName=self._name,
            KeyConditionExpression="pk = :pk AND begins_with(sk, :event)",
            ExpressionAttributeValues=to_attributes({":pk": f"STREAM#{stream_id}", ":event": "EVENT#"}),
        )
        items = (from_attributes(item) for page in pages for item in page["Items"])
        moment = self._epoch()
        alive = (item for item in items if item["expires"] > moment)
        return [{"type": item["type"], **json.loads(item["detail"])} for item in alive]

    def update(self, record: Record, event: Happened | None = None) -> Record:
        """See ``ports.Store``."""
        condition = {"ConditionExpression": "revision = :revision"}
        values = {":revision": record.revision}
        return self._replace(record, condition, values, event)

    def settle(self, record: Record, event: Happened) -> Record:
        """See ``ports.Store``."""
        condition = {
            "ConditionExpression": "#claim.#attempt = :attempt AND revision = :revision",
            "ExpressionAttributeNames": {"#claim": "claim", "#attempt": "attempt"},
        }
        values = {":attempt": record.attempt, ":revision": record.revision}
        return self._replace(record, condition, values, event)

    def _replace(self, record: Record, condition: dict[str, Any], values: Item, event: Happened | None) -> Record:
        after = record.model_copy(update={"revision": record.revision + 1})
        conditional = {**condition, "ExpressionAttributeValues": to_attributes(values)}
        item = to_attributes(stream_item(after, self._due_shards))
        put: dict[str, Any] = {"TableName": self._name, "Item": item, **conditional}
        try:
            if event:
                self._transact([{"Put": put}, {"Put": self._event_put(event)}])
            else:
                self._client.put_item(**put)
        except ClientError as error:
            if _refused(error):
                raise Stale from None
            raise
        return after

    def _transact(self, writes: list[Any]) -> None:
        # The token makes a repetition of these very writes harmless: they name the stream, attempt and revision.
        token = hashlib.sha256(repr(writes).encode()).hexdigest()[:36]
        self._client.transact_write_items(TransactItems=writes, ClientRequestToken=token)

    def _event_put(self, event: Happened) -> dict[str, Any]:
        return {
            "TableName": self._name,
            "Item": to_attributes(event_item(event)),
            "ConditionExpression": _ABSENT,
            "ExpressionAttributeValues": to_attributes({":now": self._epoch()}),
        }

    def _epoch(self) -> int:
        return int(self._clock().timestamp())


def _refused(error: ClientError) -> bool:
    """Whether a condition was not met, or another transaction was at the same item, which comes to the same."""
    if error.response["Error"]["Code"] in {"ConditionalCheckFailedException", "TransactionConflictException"}:
        return True
    told: Any = error.response  # botocore's stubs do not know of these reasons
    reasons: list[dict[str, str]] = told.get("CancellationReasons", [])
    return any(reason.get("Code") in {"ConditionalCheckFailed", "TransactionConflict"} for reason in reasons)


def shard(stream_id: str, shards: int = SHARDS) -> int:
    """Which of so many shards an id falls into; the same for ever."""
    return zlib.crc32(stream_id.encode()) % shards


def stream_item(record: Record, due_shards: int = DUE_SHARDS) -> Item:
    """The record as an item: the keys of its indexes and what is sealed as attributes, the rest as one JSON document.

    No index projects what is sealed. An item has at most 400 kB, of which sealed credentials take half a kB or so.
    """
    stream = record.stream
    item: Item = {
        "pk": f"STREAM#{stream.id}",
        "sk": "STREAM",
        "record": record.model_dump_json(),
        "revision": record.revision,
        "state": stream.state.value,
        "provider": stream.provider,
        **{name: getattr(record, name) for name in SEALED},
        "expires": int(record.expires.timestamp()) if record.expires else None,
        **_index_keys(record, due_shards),
    }
    if record.claim:
        item["claim"] = {"attempt": record.claim.attempt, "until": milliseconds(record.claim.until)}
    return {name: value for name, value in item.items() if value is not None}


def _index_keys(record: Record, due_shards: int) -> Item:
    stream, keys = record.stream, {}
    if not record.claim:
        keys["tenant_shard"] = f"{record.tenant}#{shard(stream.id)}"
        keys["created_id"] = f"{stream.created_at.isoformat(timespec='milliseconds')}#{stream.id}"
        keys["listed"] = stream.model_dump_json(include=set(LISTED))
    if stream.provider_ref:
        keys["provider_ref"] = f"{stream.provider}#{stream.provider_ref}"
    if record.due_at:
        keys["due_shard"] = f"DUE#{shard(stream.id, due_shards)}"
        keys["due_at"] = record.due_at.isoformat(timespec="milliseconds")
    return keys


def event_item(event: Happened) -> Item:
    """The event as an item: exactly the detail that is published, for thirty days."""
    stream: Stream = event.data.stream
    return {
        "pk": f"STREAM#{stream.id}",
        "sk": f"EVENT#{event.sequence:010}",
        "type": type(event).__name__,
        "detail": event.model_dump_json(),
        "expires": int((event.occurred_at + timedelta(days=EVENT_DAYS)).timestamp()),
    }


def record_of(item: Item) -> Record:
    """The record that ``stream_item`` laid out."""
    record = Record.model_validate_json(item["record"], extra="ignore")
    return record.model_copy(update={name: bytes(item[name]) if name in item else None for name in SEALED})
