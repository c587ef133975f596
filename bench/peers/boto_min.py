"""API call → live input, record, event; the least that a careful person writes with boto3 and httpx."""

import json
import os
from functools import cache
from typing import Any

import boto3
import httpx
from botocore.config import Config

from .asked import read

CONFIG = Config(connect_timeout=1, read_timeout=2, retries={"mode": "standard", "total_max_attempts": 3})
SECRETS = boto3.client("secretsmanager", config=CONFIG)
TABLE = boto3.client("dynamodb", config=CONFIG)
BUS = boto3.client("events", config=CONFIG)
HTTP = httpx.Client(timeout=10)


@cache
def secret() -> dict[str, str]:
    told = SECRETS.get_secret_value(SecretId=os.environ["PROVIDER_SECRET_ARN"])
    found: dict[str, str] = json.loads(told["SecretString"])
    return found


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    tenant, key, body = read(event)
    answer = HTTP.post(
        f"{os.environ['PROVIDER_BASE_URL']}/accounts/{secret()['account_id']}/stream/live_inputs",
        json={"meta": {"name": body.get("name")}, **body.get("options", {})},
        headers={"Authorization": f"Bearer {secret()['api_token']}", "Idempotency-Key": key},
    )
    answer.raise_for_status()
    made = answer.json()["result"]
    record = json.dumps({"name": body.get("name"), "ref": made["uid"], "tenant": tenant})
    TABLE.put_item(
        TableName=os.environ["TABLE_NAME"],
        Item={"pk": {"S": f"STREAM#{made['uid']}"}, "sk": {"S": "STREAM"}, "record": {"S": record}},
        ConditionExpression="attribute_not_exists(pk)",
    )
    told = BUS.put_events(
        Entries=[
            {
                "Source": "bench",
                "DetailType": "StreamCreated",
                "Detail": record,
                "EventBusName": os.environ["BUS_NAME"],
            }
        ]
    )
    if told["FailedEntryCount"]:
        raise RuntimeError("the bus refused it")
    return {"statusCode": 201, "body": json.dumps({"id": made["uid"], "credentials": made["rtmps"]})}
