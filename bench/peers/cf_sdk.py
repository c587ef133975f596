"""API call → live input, record, event; with Cloudflare's own SDK and boto3."""

import json
import os
from functools import cache
from typing import Any

import boto3
from botocore.config import Config
from cloudflare import Cloudflare

from .asked import read

CONFIG = Config(connect_timeout=1, read_timeout=2, retries={"mode": "standard", "total_max_attempts": 3})
SECRETS = boto3.client("secretsmanager", config=CONFIG)
TABLE = boto3.client("dynamodb", config=CONFIG)
BUS = boto3.client("events", config=CONFIG)


@cache
def secret() -> dict[str, str]:
    told = SECRETS.get_secret_value(SecretId=os.environ["PROVIDER_SECRET_ARN"])
    found: dict[str, str] = json.loads(told["SecretString"])
    return found


@cache
def cloudflare() -> Cloudflare:
    return Cloudflare(api_token=secret()["api_token"], base_url=os.environ["PROVIDER_BASE_URL"], timeout=10)


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    tenant, key, body = read(event)
    meta = {"name": body.get("name")}
    made = cloudflare().stream.live_inputs.create(
        account_id=secret()["account_id"], meta=meta, idempotency_key=key, **body.get("options", {})
    )
    if made is None or made.rtmps is None:
        raise RuntimeError("nothing was made")
    record = json.dumps({"name": body.get("name"), "ref": made.uid, "tenant": tenant})
    TABLE.put_item(
        TableName=os.environ["TABLE_NAME"],
        Item={"pk": {"S": f"STREAM#{made.uid}"}, "sk": {"S": "STREAM"}, "record": {"S": record}},
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
    return {"statusCode": 201, "body": json.dumps({"id": made.uid, "credentials": made.rtmps.to_dict()})}
