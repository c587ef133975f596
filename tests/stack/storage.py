"""What the deployed system keeps, as it is kept: seen with the root's keys, past every function."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from local.cloud import Cloud

Json = dict[str, Any]


PORTION = 10_000
"""Log lines in an answer: the most that CloudWatch gives, and so the emulator."""


class Storage:
    """The table and the logs."""

    def __init__(self, cloud: Cloud) -> None:
        self._dynamodb = cloud.client("dynamodb")
        self._logs = cloud.client("logs")
        self._table = cloud.table

    def items(self) -> list[Json]:
        """Every item in DynamoDB's typed form, sealed parts as the bytes that they are."""
        pages = self._dynamodb.get_paginator("scan").paginate(TableName=self._table, ConsistentRead=True)
        return [item for page in pages for item in page["Items"]]

    def keys(self) -> set[tuple[str, str]]:
        """Of every item."""
        return {(item["pk"]["S"], item["sk"]["S"]) for item in self.items()}

    def record(self, stream_id: str) -> Json:
        """The record, parsed. Raises ``AssertionError`` where there is none."""
        record = self.found(stream_id)
        assert record is not None, f"no record of {stream_id}"
        return record

    def found(self, stream_id: str) -> Json | None:
        """The record, parsed, if there is one."""
        item = self.item(stream_id)
        record: Json | None = json.loads(item["record"]["S"]) if item else None
        return record

    def item(self, stream_id: str) -> Json | None:
        """The record's item as it is kept, if there is one."""
        key = {"pk": {"S": f"STREAM#{stream_id}"}, "sk": {"S": "STREAM"}}
        item: Json | None = self._dynamodb.get_item(TableName=self._table, Key=key, ConsistentRead=True).get("Item")
        return item

    def change_record(self, stream_id: str, change: Callable[[Json], None]) -> None:
        """Let the record tell something else: that a time is over, for one."""
        record = self.record(stream_id)
        change(record)
        self._dynamodb.update_item(
            TableName=self._table,
            Key={"pk": {"S": f"STREAM#{stream_id}"}, "sk": {"S": "STREAM"}},
            UpdateExpression="SET #record = :record",
            ExpressionAttributeNames={"#record": "record"},
            ExpressionAttributeValues={":record": {"S": json.dumps(record)}},
        )

    @contextmanager
    def without_record(self, stream_id: str) -> Iterator[None]:
        """The stream's record is lost until the block ends; its events and credentials stay."""
        key = {"pk": {"S": f"STREAM#{stream_id}"}, "sk": {"S": "STREAM"}}
        lost = self._dynamodb.delete_item(TableName=self._table, Key=key, ReturnValues="ALL_OLD")["Attributes"]
        try:
            yield
        finally:
            self._dynamodb.put_item(TableName=self._table, Item=lost)

    def log_lines(self) -> Iterator[str]:
        """Everything in every log group."""
        for group in self._logs.describe_log_groups()["logGroups"]:
            yield from self._lines_of(group["logGroupName"])

    def _lines_of(self, group: str) -> Iterator[str]:
        """The emulator gives the first of them and no token to go on: so by time, each portion from the last's end."""
        begin, before = 0, set[str]()
        while True:
            events = self._logs.filter_log_events(logGroupName=group, startTime=begin, limit=PORTION)["events"]
            yield from (event["message"] for event in events if event["message"] not in before)
            if len(events) < PORTION:
                return
            end = events[-1]["timestamp"]
            assert end > begin, "more at one moment than can be asked for"
            begin, before = end, {event["message"] for event in events if event["timestamp"] == end}
