"""API call → live input, record, event; with http.client and a hand-made SigV4."""

import datetime
import hashlib
import hmac
import http.client
import json
import os
import ssl
from functools import cache
from typing import Any
from urllib.parse import urlsplit

from .asked import read

REGION = os.environ["AWS_REGION"]
TLS = ssl.create_default_context(cafile=os.environ["SSL_CERT_FILE"])
AWS = urlsplit(os.environ["AWS_ENDPOINT_URL"])
PROVIDER = urlsplit(os.environ["PROVIDER_BASE_URL"])


@cache
def connection(host: str) -> http.client.HTTPSConnection:
    return http.client.HTTPSConnection(host, timeout=10, context=TLS)


def aws(service: str, target: str, body: dict[str, Any]) -> Any:
    payload = json.dumps(body).encode()
    stamp = datetime.datetime.now(datetime.UTC).strftime("%Y%m%dT%H%M%SZ")
    day = stamp[:8]
    headers = {
        "content-type": "application/x-amz-json-1.1",
        "host": AWS.netloc,
        "x-amz-date": stamp,
        "x-amz-security-token": os.environ["AWS_SESSION_TOKEN"],
        "x-amz-target": target,
    }
    signed = ";".join(headers)
    canonical = "\n".join(
        [
            *("POST", "/", ""),
            *(f"{name}:{value}" for name, value in headers.items()),
            *("", signed, hashlib.sha256(payload).hexdigest()),
        ]
    )
    scope = f"{day}/{REGION}/{service}/aws4_request"
    to_sign = "\n".join(["AWS4-HMAC-SHA256", stamp, scope, hashlib.sha256(canonical.encode()).hexdigest()])
    key = b"AWS4" + os.environ["AWS_SECRET_ACCESS_KEY"].encode()
    for part in (day, REGION, service, "aws4_request"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    signature = hmac.new(key, to_sign.encode(), hashlib.sha256).hexdigest()
    credential = f"{os.environ['AWS_ACCESS_KEY_ID']}/{scope}"
    headers["authorization"] = (
        f"AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders={signed}, Signature={signature}"
    )
    return call(AWS.netloc, "POST", "/", payload, headers)


def call(host: str, method: str, path: str, body: bytes, headers: dict[str, str]) -> Any:
    link = connection(host)
    link.request(method, path, body, headers)
    answer = link.getresponse()
    text = answer.read()
    if answer.status >= 300:
        raise RuntimeError(answer.status)
    return json.loads(text)


@cache
def secret() -> dict[str, str]:
    told = aws("secretsmanager", "secretsmanager.GetSecretValue", {"SecretId": os.environ["PROVIDER_SECRET_ARN"]})
    found: dict[str, str] = json.loads(told["SecretString"])
    return found


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    tenant, key, body = read(event)
    path = f"{PROVIDER.path}/accounts/{secret()['account_id']}/stream/live_inputs"
    headers = {
        "Authorization": f"Bearer {secret()['api_token']}",
        "Content-Type": "application/json",
        "Idempotency-Key": key,
    }
    sent = json.dumps({"meta": {"name": body.get("name")}, **body.get("options", {})}).encode()
    made = call(PROVIDER.netloc, "POST", path, sent, headers)["result"]
    record = json.dumps({"name": body.get("name"), "ref": made["uid"], "tenant": tenant})
    item = {"pk": {"S": f"STREAM#{made['uid']}"}, "sk": {"S": "STREAM"}, "record": {"S": record}}
    put = {"TableName": os.environ["TABLE_NAME"], "Item": item, "ConditionExpression": "attribute_not_exists(pk)"}
    aws("dynamodb", "DynamoDB_20120810.PutItem", put)
    entry = {"Source": "bench", "DetailType": "StreamCreated", "Detail": record, "EventBusName": os.environ["BUS_NAME"]}
    if aws("events", "AWSEvents.PutEvents", {"Entries": [entry]})["FailedEntryCount"]:
        raise RuntimeError("the bus refused it")
    return {"statusCode": 201, "body": json.dumps({"id": made["uid"], "credentials": made["rtmps"]})}
