"""Send recorded events to the bus again: ``python -m tools.republish STACK SINCE``, with your AWS credentials.

The publisher itself sends them, as if the table's stream had brought them: nobody else may speak as headwater.
"""

import json
import sys
from collections.abc import Iterator
from datetime import datetime
from itertools import batched
from typing import Any

import boto3

AT_ONCE = 50
"""Events an invocation: at most 200 kB each, but far less as a rule, and an invocation takes 6 MB."""


def main(stack: str, since: str) -> None:
    """Republish what happened in ``stack`` from ``since`` (ISO 8601, with its zone) on."""
    moment = datetime.fromisoformat(since)
    if moment.tzinfo is None:
        sys.exit("SINCE needs its zone, for example 2026-11-20T08:00:00Z")
    table, publisher = (_physical(stack, name) for name in ("Table", "PublishEventsFunction"))
    sent = 0
    for images in batched(_events(table, moment), AT_ONCE, strict=False):
        _publish(publisher, images)
        sent += len(images)
        print(f"{sent} events", flush=True)
    print(f"Sent {sent} events of {stack} again.")


def _physical(stack: str, name: str) -> str:
    cloudformation = boto3.client("cloudformation")
    resource = cloudformation.describe_stack_resource(StackName=stack, LogicalResourceId=name)
    return str(resource["StackResourceDetail"]["PhysicalResourceId"])


def _events(table: str, since: datetime) -> Iterator[dict[str, Any]]:
    """The event items, as the table's stream would show them; in no order, which ``sequence`` restores."""
    pages = (
        boto3.client("dynamodb")
        .get_paginator("scan")
        .paginate(
            TableName=table,
            FilterExpression="begins_with(sk, :event)",
            ExpressionAttributeValues={":event": {"S": "EVENT#"}},
        )
    )
    for page in pages:
        for image in page["Items"]:
            if datetime.fromisoformat(json.loads(image["detail"]["S"])["occurred_at"]) >= since:
                yield image


def _publish(publisher: str, images: tuple[dict[str, Any], ...]) -> None:
    records = [
        {"eventName": "INSERT", "dynamodb": {"SequenceNumber": str(number), "NewImage": image}}
        for number, image in enumerate(images)
    ]
    answer = boto3.client("lambda").invoke(FunctionName=publisher, Payload=json.dumps({"Records": records}).encode())
    if answer.get("FunctionError"):
        sys.exit(
            "The bus did not take all of them; the publisher's log says why. Run it again: a repetition is harmless."
        )


if __name__ == "__main__":
    main(*sys.argv[1:])
