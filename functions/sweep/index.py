"""What the table knows of what is due: read by its sparse index, moved on by conditional writes."""

from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Any

from headwater.attributes import from_attributes, to_attributes
from headwater.store import DUE_SHARDS
from sweep.pace import MOST, Item

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

PAGE = 100
"""Items a query, at most."""
LEAST_PAGE = 10
"""And at least, of however many shards."""


class Index:
    """The index ``due``. What it says is a hint, as it may lag; the conditional write on the item decides."""

    def __init__(self, client: "DynamoDBClient", table: str, shards: int = DUE_SHARDS) -> None:
        self._client = client
        self._table = table
        self.shards = shards
        # However many are due, a run that takes as many as it may of all shards has read about twice that.
        self._page = min(PAGE, max(LEAST_PAGE, 2 * MOST // shards))

    def due(self, shard: int, moment: datetime) -> Iterator[Item]:
        """What is due in a shard at ``moment``, oldest first, read page by page as it is taken."""
        query = {**self._query(shard, moment), "Limit": self._page}
        while True:
            page = self._client.query(**query)
            yield from map(from_attributes, page["Items"])
            if "LastEvaluatedKey" not in page:
                return
            query["ExclusiveStartKey"] = page["LastEvaluatedKey"]

    def count(self, shard: int, moment: datetime) -> int:
        """How many are due in a shard, as far as one read tells: of several thousand at least these."""
        return self._client.query(**self._query(shard, moment), Select="COUNT")["Count"]

    def move_on(self, item: Item, later: datetime) -> bool:
        """Have the item due again ``later``; False where it is no longer as it was seen: somebody else saw to it."""
        return self._write(
            {name: item[name] for name in ("pk", "sk")},
            update="SET due_at = :later, swept = if_not_exists(swept, :zero) + :one",
            condition="due_at = :seen",
            values={":later": _text(later), ":seen": item["due_at"], ":zero": 0, ":one": 1},
        )

    def begin_search(self, provider: str, moment: datetime, following: datetime) -> bool:
        """Whether a search for orphans is due at ``moment``; then the next one is at ``following``."""
        return self._write(
            {"pk": "SWEEP", "sk": f"ORPHANS#{provider}"},
            update="SET next_at = :following",
            condition="attribute_not_exists(next_at) OR next_at <= :now",
            values={":following": _text(following), ":now": _text(moment)},
        )

    def _query(self, shard: int, moment: datetime) -> dict[str, Any]:
        return {
            "TableName": self._table,
            "IndexName": "due",
            "KeyConditionExpression": "due_shard = :shard AND due_at <= :now",
            "ExpressionAttributeValues": to_attributes({":shard": f"DUE#{shard}", ":now": _text(moment)}),
        }

    def _write(self, key: Item, *, update: str, condition: str, values: Item) -> bool:
        try:
            self._client.update_item(
                TableName=self._table,
                Key=to_attributes(key),
                UpdateExpression=update,
                ConditionExpression=condition,
                ExpressionAttributeValues=to_attributes(values),
            )
        except (
            self._client.exceptions.ConditionalCheckFailedException,
            self._client.exceptions.TransactionConflictException,  # somebody writes the record just now
        ):
            return False
        return True


def _text(moment: datetime) -> str:
    """As ``store`` writes it, so that texts are in the order of time."""
    return moment.isoformat(timespec="milliseconds")
