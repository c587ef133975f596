"""Whether providers are called at present, or left alone because they are away."""

import json
import math
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from headwater import telemetry
from headwater.attributes import from_attributes, to_attributes
from headwater.circuits import CIRCUITS, CLOSED

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


def with_circuits(providers: Iterable[dict[str, Any]], client: "DynamoDBClient", table: str) -> list[dict[str, Any]]:
    """Each provider with its ``circuit``; None where the table could not be read, which is no reason not to answer."""
    try:
        known = _read(client, table)
    except (BotoCoreError, ClientError) as error:
        telemetry.exception("circuits not known", error=error)
        return [{**one, "circuit": None} for one in providers]
    return [{**one, "circuit": known.get(one["provider"], CLOSED)} for one in providers]


def _read(client: "DynamoDBClient", table: str) -> dict[str, Any]:
    """Few and small: there is one for each provider, so one page has them all."""
    answer = client.query(
        TableName=table,
        IndexName="by_tenant",
        KeyConditionExpression="tenant_shard = :circuits",
        ExpressionAttributeValues=to_attributes({":circuits": CIRCUITS}),
    )
    items = [from_attributes(item) for item in answer["Items"]]
    # Time to live may not have removed yet what nobody has written to for an hour.
    alive = [item for item in items if item.get("expires", math.inf) > time.time()]
    return {item["sk"]: json.loads(item["listed"]) for item in alive}
