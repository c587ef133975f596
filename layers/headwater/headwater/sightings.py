"""The table's items of orphans: one for each that was seen, for some days."""

from contextlib import suppress
from datetime import datetime
from typing import TYPE_CHECKING, Any

from headwater.attributes import Item, from_attributes, to_attributes
from headwater.orphans import Sighting

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


_SEARCHED = {"pk": "ORPHANS", "sk": "SEARCHED"}


class TableSightings:
    """See ``orphans.Sightings``; in the table of the records, ``client`` with deadlines and retries of its own."""

    def __init__(self, client: "DynamoDBClient", name: str) -> None:
        self._client = client
        self._name = name

    def known(self, provider: str) -> dict[str, Sighting]:
        """See ``orphans.Sightings``: a consistent read."""
        pages = self._client.get_paginator("query").paginate(
            TableName=self._name,
            KeyConditionExpression="pk = :pk",
            ExpressionAttributeValues=to_attributes({":pk": _group(provider)}),
            ConsistentRead=True,
        )
        items = (from_attributes(item) for page in pages for item in page["Items"])
        found = (Sighting.model_validate_json(item["sighting"], extra="ignore") for item in items)
        return {sighting.ref: sighting for sighting in found}

    def keep(self, provider: str, sighting: Sighting, before: Sighting | None) -> bool:
        """See ``orphans.Sightings``."""
        item = {
            **_key(provider, sighting),
            "sighting": sighting.model_dump_json(),
            "last_seen": _text(sighting.last_seen),
            "expires": int(sighting.expires.timestamp()),
        }
        try:
            self._client.put_item(TableName=self._name, Item=to_attributes(item), **_as_it_was(before))
        except self._client.exceptions.ConditionalCheckFailedException:
            return False
        return True

    def forget(self, provider: str, sighting: Sighting) -> None:
        """See ``orphans.Sightings``."""
        key = to_attributes(_key(provider, sighting))
        try:
            self._client.delete_item(TableName=self._name, Key=key, **_as_it_was(sighting))
        except self._client.exceptions.ConditionalCheckFailedException:
            return  # somebody else has just seen it: then that counts

    def since(self, moment: datetime, *, dry_run: bool) -> datetime:
        """See ``orphans.Sightings``. DynamoDB restores into a new table, which brings the other's items along.

        So the item that keeps this says for which table: by when that was made.
        """
        made_at = self._client.describe_table(TableName=self._name)["Table"]["CreationDateTime"].isoformat()
        kept = self._client.get_item(TableName=self._name, Key=to_attributes(_SEARCHED), ConsistentRead=True)
        item = from_attributes(kept.get("Item", {}))
        if item.get("table_made_at") == made_at:
            return datetime.fromisoformat(item["since"])
        if not dry_run:
            self._begin(made_at, moment)
        return moment

    def _begin(self, made_at: str, moment: datetime) -> None:
        item = {**_SEARCHED, "table_made_at": made_at, "since": _text(moment)}
        with suppress(self._client.exceptions.ConditionalCheckFailedException):  # somebody else began just now
            self._client.put_item(
                TableName=self._name,
                Item=to_attributes(item),
                ConditionExpression="attribute_not_exists(pk) OR table_made_at <> :made_at",
                ExpressionAttributeValues=to_attributes({":made_at": made_at}),
            )


def _group(provider: str) -> str:
    return f"ORPHAN#{provider}"


def _key(provider: str, sighting: Sighting) -> Item:
    return {"pk": _group(provider), "sk": sighting.ref}


def _as_it_was(before: Sighting | None) -> dict[str, Any]:
    """That the item is still the one that was read."""
    if before is None:
        return {"ConditionExpression": "attribute_not_exists(pk)"}
    values = to_attributes({":seen": _text(before.last_seen)})
    return {"ConditionExpression": "last_seen = :seen", "ExpressionAttributeValues": values}


def _text(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds")
