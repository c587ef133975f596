"""What invokes a function, as API Gateway and Lambda hand it over, and what patterns and log lines say."""

import json
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

from moto.events.models import EventPattern

from bench.cost.cloud import REGION
from bench.cost.stack import PSEUDO

ACCOUNT = PSEUDO["AWS::AccountId"]

type Json = dict[str, Any]


def api_event(method: str, path: str, body: Json | None, key: str, number: int) -> Json:
    """An API call as API Gateway hands it over; a create has a key."""
    headers = {"Host": "api.example.org", "Content-Type": "application/json"}
    if key:
        headers["Idempotency-Key"] = key
    context = {
        "accountId": ACCOUNT,
        "domainName": "api.example.org",
        "identity": {"accountId": ACCOUNT},
        "path": f"/v1{path}",
        "requestId": f"request-{number}",
        "requestTimeEpoch": time.time_ns() // 1_000_000,
        "stage": "v1",
    }
    return {
        "resource": path,
        "path": path,
        "httpMethod": method,
        "headers": headers,
        "multiValueHeaders": {name: [value] for name, value in headers.items()},
        "queryStringParameters": None,
        "multiValueQueryStringParameters": None,
        "pathParameters": None,
        "requestContext": context,
        "body": None if body is None else json.dumps(body),
        "isBase64Encoded": False,
    }


def matches(pattern: Json, event: Json) -> bool:
    """Whether an event, or a record, is what a pattern of EventBridge's asks for."""
    return bool(EventPattern(json.dumps(pattern), pattern).matches_event(event))  # type: ignore[arg-type] # a plain dict


def metrics_of(line: str) -> Iterator[str]:
    """Each metric that a line of the log tells in CloudWatch's embedded format: its name, and what it is of."""
    if '"_aws"' not in line:
        return
    told = json.loads(line)
    for directive in told["_aws"]["CloudWatchMetrics"]:
        for dimensions in directive["Dimensions"]:
            of = ", ".join(f"{name} {told[name]}" for name in dimensions if name != "service")
            yield from (f"{metric['Name']} of {of}" for metric in directive["Metrics"])


def context(function: str, number: int) -> Any:
    """What Lambda hands over besides."""
    return SimpleNamespace(
        get_remaining_time_in_millis=lambda: 29_000,
        function_name=function,
        memory_limit_in_mb=512,
        invoked_function_arn=f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{function}",
        aws_request_id=f"invocation-{number}",
    )
