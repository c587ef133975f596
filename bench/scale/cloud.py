"""AWS in this process, with every call counted: all by moto, or the table by the emulator, which holds more."""

import asyncio
import importlib
import json
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any
from unittest.mock import patch

import boto3
from botocore.awsrequest import AWSResponse
from moto import mock_aws

from bench.scale.counting import Counting
from bench.units import Layout
from headwater import aws
from headwater.store import DUE_SHARDS
from local.simulators.secrets import SECRETS
from tests.template import resources

ACCOUNT = "123456789012"
REGION = "eu-central-1"
TABLE = "table"
EMULATOR = Path(__file__).parents[2] / ".venv-emulator" / "lib" / "python3.13" / "site-packages"
SERVICES = ("dynamodb", "events", "kms", "secretsmanager", "sqs")
FUNCTION = {
    "ACCOUNT_ID": ACCOUNT,
    "AWS_LAMBDA_FUNCTION_NAME": "function",
    "BUS_NAME": "bus",
    "CLAIM_MARGIN_SECONDS": "5",
    "DEAD_LETTERS_URL": "dead-letters",
    "DEFAULT_LIFETIME_SECONDS": "0",
    "DEPLOYMENT_ID": "scale",
    "DUE_SHARDS": str(DUE_SHARDS),
    "LANDING_SECONDS": "20",
    "LIFETIME_CEILING_SECONDS": "0",
    "ORPHAN_SEARCH_MINUTES": "0",
    "POWERTOOLS_LOG_LEVEL": os.environ.get("POWERTOOLS_LOG_LEVEL", "CRITICAL"),
    "POWERTOOLS_METRICS_DISABLED": "true",
    "REMOVE_ORPHANS": "false",
    "TABLE_NAME": TABLE,
}
"""What the template gives every function, as it stands here."""
PLAIN = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_DEFAULT_REGION": REGION,
    "AWS_REGION": REGION,
    "AWS_EC2_METADATA_DISABLED": "true",
    "MOTO_ACCOUNT_ID": ACCOUNT,
}
NOT_OURS = ("AWS_PROFILE", "AWS_ENDPOINT_URL", "AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE", "AWS_SESSION_TOKEN")


@dataclass
class Cloud:
    """What stands here. ``counting`` hears all that the product's clients ask for."""

    counting: Counting
    peek: Any
    """A client of the table that nobody listens to."""
    emulator: Any = None
    """The emulator's module of the table, where that is what holds it."""

    def empty(self) -> None:
        """The table is as it was made."""
        self.peek.delete_table(TableName=TABLE)
        self.peek.create_table(TableName=TABLE, **declared())


def declared() -> dict[str, Any]:
    """The table as the template declares it, less what no read or write is about."""
    whole = resources("AWS::DynamoDB::Table")["Table"]
    return {
        name: whole[name] for name in ("BillingMode", "AttributeDefinitions", "KeySchema", "GlobalSecondaryIndexes")
    }


@contextmanager
def cloud(emulated: bool = False) -> Iterator[Cloud]:
    """Everything that the functions need of AWS, until the block ends. The environment is put back then."""
    kept = {name: value for name, value in os.environ.items() if name not in NOT_OURS}
    with patch.dict(os.environ, {**kept, **PLAIN, **FUNCTION}, clear=True), mock_aws():
        _forget()
        emulator = _emulator() if emulated else None
        # One whose answers are read as they are: bytes and texts, no number of boto3's own.
        peek = boto3.session.Session().client("dynamodb")
        counting = Counting(Layout.declared(declared()), peek, TABLE)
        clients: list[Any] = [aws.client(service) for service in SERVICES]
        if emulator:
            for client in (peek, clients[0]):
                client.meta.events.register_first("before-send.dynamodb", _answered_by(emulator))
        peek.create_table(TableName=TABLE, **declared())
        _furnish()
        for client in clients:
            counting.listen_to(client)
        try:
            yield Cloud(counting, peek, emulator)
        finally:
            peek.delete_table(TableName=TABLE)
            _forget()


def _forget() -> None:
    aws.client.cache_clear()
    aws.session.cache_clear()


def _furnish() -> None:
    """The bus, the key, the secrets and the queue, by clients that nobody listens to."""
    session = boto3.session.Session()
    session.client("events").create_event_bus(Name="bus")
    os.environ["SEALING_KEY_ID"] = session.client("kms").create_key()["KeyMetadata"]["Arn"]
    os.environ["QUEUE_URL"] = session.client("sqs").create_queue(QueueName="beats")["QueueUrl"]
    for provider, secret in SECRETS.items():
        session.client("secretsmanager").create_secret(Name=provider, SecretString=json.dumps(secret))


def _emulator() -> Any:
    """The table's module of the emulator, which is in an environment of its own: nothing else there is imported."""
    if not EMULATOR.is_dir():
        raise SystemExit("The emulator is not installed; run make scale, which installs it.")
    sys.path.append(str(EMULATOR))
    try:
        return importlib.import_module("ministack.services.dynamodb")
    finally:
        sys.path.remove(str(EMULATOR))


def _answered_by(emulator: Any) -> Any:
    """Answers a client's requests by the emulator, in this process."""

    def answer(request: Any, **_: Any) -> AWSResponse:
        headers = {name.lower(): _text(value) for name, value in request.headers.items()}
        asked = emulator.handle_request("POST", "/", headers, request.body or b"", {})
        status, told, body = asyncio.run(asked)
        raw = body if isinstance(body, bytes) else body.encode()
        return AWSResponse(request.url, status, told, _Raw(raw))

    return answer


class _Raw(BytesIO):
    """As botocore reads an answer."""

    def stream(self, **_: Any) -> Iterator[bytes]:
        while chunk := self.read():
            yield chunk


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


@contextmanager
def environment(more: Mapping[str, str]) -> Iterator[None]:
    """What one function is given besides."""
    with patch.dict(os.environ, more):
        yield
