"""API call → live input, record, event; the usual Powertools stack: validating resolver, Tracer, idempotency."""

import json
import os
from http import HTTPStatus
from typing import Annotated, Any

import boto3
import httpx
from aws_lambda_powertools import Logger, Metrics, Tracer
from aws_lambda_powertools.event_handler import APIGatewayRestResolver
from aws_lambda_powertools.event_handler.api_gateway import Response
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities import parameters
from aws_lambda_powertools.utilities.idempotency import (
    DynamoDBPersistenceLayer,
    IdempotencyConfig,
    idempotent_function,
)
from pydantic import BaseModel, ConfigDict, Field

logger, metrics, tracer = Logger(service="bench"), Metrics(namespace="bench", service="bench"), Tracer(service="bench")
app = APIGatewayRestResolver(enable_validation=True)
table, bus, web = boto3.client("dynamodb"), boto3.client("events"), httpx.Client(timeout=10)
kept = DynamoDBPersistenceLayer(table_name=os.environ["TABLE_NAME"])
config = IdempotencyConfig(event_key_jmespath="key")


class Request(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: Annotated[str, Field(max_length=256)] | None = None
    metadata: dict[str, str] = {}
    options: dict[str, Any] = {}


@tracer.capture_method
@idempotent_function(  # type: ignore[untyped-decorator] # the package gives it no types
    data_keyword_argument="asked", persistence_store=kept, config=config
)
def create(asked: dict[str, Any]) -> dict[str, Any]:
    secret = json.loads(parameters.get_secret(os.environ["PROVIDER_SECRET_ARN"], max_age=300))
    answer = web.post(
        f"{os.environ['PROVIDER_BASE_URL']}/accounts/{secret['account_id']}/stream/live_inputs",
        json={"meta": {"name": asked["name"]}, **asked["options"]},
        headers={"Authorization": f"Bearer {secret['api_token']}"},
    )
    answer.raise_for_status()
    made = answer.json()["result"]
    record = json.dumps({"name": asked["name"], "ref": made["uid"], "tenant": asked["tenant"]})
    item = {"pk": {"S": f"STREAM#{made['uid']}"}, "sk": {"S": "STREAM"}, "record": {"S": record}}
    table.put_item(TableName=os.environ["TABLE_NAME"], Item=item, ConditionExpression="attribute_not_exists(pk)")
    told = bus.put_events(
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
    metrics.add_metric(name="StreamProvisioned", unit=MetricUnit.Count, value=1)
    return {"id": made["uid"], "credentials": made["rtmps"]}


@app.post("/streams/cloudflare")
def post(request: Request) -> Response[dict[str, Any]]:
    event = app.current_event
    tenant = event.request_context.identity.account_id
    asked = {"key": event.headers["Idempotency-Key"], "tenant": tenant, **request.model_dump()}
    return Response(HTTPStatus.CREATED, "application/json", create(asked=asked))


@logger.inject_lambda_context
@tracer.capture_lambda_handler
@metrics.log_metrics
def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    return app.resolve(event, context)
