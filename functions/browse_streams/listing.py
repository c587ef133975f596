"""A tenant's streams, newest first, a page at a time."""

import base64
import hashlib
import heapq
import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from headwater.attributes import from_attributes, to_attributes
from headwater.clock import present
from headwater.errors import Fault, InvalidRequest
from headwater.store import SHARDS
from headwater.streams import State

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

LIMIT_DEFAULT = 20
LIMIT_MAX = 100
PARAMETERS = frozenset({"provider", "state", "cursor", "limit"})


@dataclass(frozen=True)
class Query:
    """What a caller asked for; ``after`` is where the last page ended."""

    tenant: str
    provider: str | None = None
    state: str | None = None
    limit: int = LIMIT_DEFAULT
    after: str | None = None

    def cursor(self, after: str) -> str:
        """An opaque word for where this query's page ended; of no use to another tenant or another query."""
        return base64.urlsafe_b64encode(json.dumps([after, self._seal]).encode()).decode().rstrip("=")

    def position(self, cursor: str) -> str:
        """Where the page ended. Raises ``ValueError`` on a cursor that is not of this query."""
        after, seal = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        if seal != self._seal or not isinstance(after, str):
            raise ValueError("another query's cursor")
        return after

    @property
    def _seal(self) -> str:
        of = json.dumps([self.tenant, self.provider, self.state])
        return hashlib.sha256(of.encode()).hexdigest()[:16]


def query(tenant: str, parameters: dict[str, str], providers: frozenset[str]) -> Query:
    """The query in a call's parameters. Raises ``InvalidRequest`` with every fault in them."""
    faults = [
        Fault(f"/{name}", "unknown_parameter", "There is no such parameter.")
        for name in sorted(parameters.keys() - PARAMETERS)
    ]
    provider, state, limit = parameters.get("provider"), parameters.get("state"), LIMIT_DEFAULT
    if provider is not None and provider not in providers:
        faults.append(Fault("/provider", "provider_unknown", f"It is one of {', '.join(sorted(providers))}."))
    if state is not None and state not in set(State):
        faults.append(Fault("/state", "state_unknown", f"It is one of {', '.join(State)}."))
    try:
        limit = int(parameters.get("limit", LIMIT_DEFAULT))
    except ValueError:
        limit = 0
    if not 1 <= limit <= LIMIT_MAX:
        faults.append(Fault("/limit", "out_of_range", f"It is a whole number from 1 to {LIMIT_MAX}."))
    asked = Query(tenant, provider, state, limit)
    after = None
    if "cursor" in parameters:
        try:
            after = asked.position(parameters["cursor"])
        except (ValueError, TypeError):
            faults.append(Fault("/cursor", "cursor_invalid", "It is not a cursor of this query."))
    if faults:
        raise InvalidRequest(f"The query has {len(faults)} fault(s).", faults=tuple(faults))
    return Query(tenant, provider, state, limit, after)


@dataclass(frozen=True)
class Page:
    streams: list[dict[str, Any]]
    cursor: str | None


class Listing:
    """Reads the index by tenant, whose shards it merges."""

    def __init__(self, client: "DynamoDBClient", table: str) -> None:
        self._client = client
        self._table = table

    def page(self, asked: Query) -> Page:
        """At most ``limit`` streams; it may be short, even empty, and still have a cursor: what is read is bounded."""
        shards = [self._shard(asked, number) for number in range(SHARDS)]
        # Beyond the last one read of a shard that has more, the merged order is not known.
        horizon = max((items[-1]["created_id"] for items, more in shards if more), default="")
        merged = heapq.merge(*(items for items, _ in shards), key=lambda item: item["created_id"], reverse=True)
        found: list[dict[str, Any]] = []
        last = horizon
        moment = present().timestamp()
        for item in merged:
            if item["created_id"] < horizon or len(found) == asked.limit:
                return Page(found, asked.cursor(last))
            last = item["created_id"]
            if self._matches(asked, item, moment):
                found.append(json.loads(item["listed"]))
        return Page(found, asked.cursor(horizon) if horizon else None)

    def _shard(self, asked: Query, number: int) -> tuple[list[dict[str, Any]], bool]:
        """The newest of one shard beyond the cursor, and whether there may be more."""
        values = {":shard": f"{asked.tenant}#{number}"}
        condition = "tenant_shard = :shard"
        if asked.after:
            values[":after"] = asked.after
            condition += " AND created_id < :after"
        answer = self._client.query(
            TableName=self._table,
            IndexName="by_tenant",
            KeyConditionExpression=condition,
            ExpressionAttributeValues=to_attributes(values),
            ScanIndexForward=False,
            Limit=asked.limit,
        )
        return [from_attributes(item) for item in answer["Items"]], "LastEvaluatedKey" in answer

    @staticmethod
    def _matches(asked: Query, item: dict[str, Any], moment: float) -> bool:
        if item.get("expires", math.inf) <= moment:
            return False  # time to live has not removed it yet
        return asked.provider in {None, item["provider"]} and asked.state in {None, item["state"]}
