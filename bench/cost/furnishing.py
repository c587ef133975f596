"""The world set up: simulators and services on sockets, an empty table, a key, secrets, and what Lambda would set."""

import json
import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import boto3
from werkzeug.test import Client

from bench.cost.cloud import REGION, Cloud
from bench.cost.stack import PSEUDO, Stack
from bench.cost.world import LOG, World
from bench.units import Layout
from headwater import telemetry
from local.door import Clock, serve
from local.kinesis_video.server import kinesis_video
from local.simulators import Simulators, simulators
from local.simulators.secrets import SECRETS

ACCOUNT = PSEUDO["AWS::AccountId"]
NOT_OURS = ("AWS_PROFILE", "AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE")

type Json = dict[str, Any]


@contextmanager
def world(parameters: Json | None = None) -> Iterator[World]:
    """One with an empty table. The process's environment and AWS clients are its own until the block ends."""
    with ExitStack() as undone, TemporaryDirectory() as folder:
        file = Path(folder) / "clock"
        moving = Clock(file)
        simulated, video = undone.enter_context(simulators(clock=moving)), kinesis_video(moving)
        made = _made(simulated, undone.enter_context(serve(video)), parameters or {}, moving)
        made.doors = [*simulated.doors, video]
        url = undone.enter_context(serve(made.cloud))
        undone.enter_context(_environment(AWS_ENDPOINT_URL=url, CLOCK_FILE=str(file)))
        _furnish(made)
        made.cloud.counting = True
        yield made


def _made(simulated: Simulators, video_url: str, parameters: Json, moving: Clock) -> World:
    bases = {
        "CloudflareBaseUrl": simulated.bases["cloudflare"],
        "KinesisVideoBaseUrl": video_url,
        "OvershootBaseUrl": simulated.bases["overshoot"],
        "OvershootV02BaseUrl": simulated.bases["overshoot-v0.2"],
        "PyannoteBaseUrl": simulated.bases["pyannote"],
    }
    stack = Stack(bases | parameters, REGION)
    layout = Layout.declared(stack.of_type("AWS::DynamoDB::Table")["Table"])
    made = World(stack, Cloud(layout), [], moving)
    made.cloud.hearer = made
    return made


@contextmanager
def _environment(**more: str) -> Iterator[None]:
    """No credentials of whoever measures. What the product made for another environment is made anew in this one."""
    before = dict(os.environ)
    for name in NOT_OURS:
        os.environ.pop(name, None)
    keys = dict.fromkeys(("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"), "testing")
    os.environ.update(keys, AWS_DEFAULT_REGION=REGION, AWS_REGION=REGION, AWS_EC2_METADATA_DISABLED="true")
    os.environ.update(more, MOTO_ACCOUNT_ID=ACCOUNT, POWERTOOLS_LOG_LEVEL="INFO")
    _forget()
    # A logger that was made before leads elsewhere.
    handler: Any = telemetry.logger().registered_handler
    elsewhere = handler.setStream(LOG)
    try:
        yield
    finally:
        handler.setStream(elsewhere or sys.stdout)
        os.environ.clear()
        os.environ.update(before)
        _forget()


def _forget() -> None:
    for name, module in list(sys.modules.items()):
        if name.endswith(".handler"):
            del sys.modules[name]
        elif name.startswith("headwater.") and module is not telemetry:
            for each in list(vars(module).values()):
                if hasattr(each, "cache_clear"):
                    each.cache_clear()


def _furnish(made: World) -> None:
    """What the template declares and the functions need, each under the name that they are told."""
    Client(made.cloud).post("/moto-api/reset")  # moto's memory is the process's
    client = boto3.session.Session().client
    for name, table in made.stack.of_type("AWS::DynamoDB::Table").items():
        parts = ("BillingMode", "AttributeDefinitions", "KeySchema", "GlobalSecondaryIndexes")
        client("dynamodb").create_table(TableName=name, **{part: table[part] for part in parts if part in table})
    names = {"SealingKey": client("kms").create_key()["KeyMetadata"]["KeyId"]}
    for name in made.stack.of_type("AWS::SecretsManager::Secret"):
        names[name] = _secret(client("secretsmanager"), name)

    def name_of(resource: str, _: str | None) -> str:
        queues = made.stack.of_type("AWS::SQS::Queue")
        return (
            f"{os.environ['AWS_ENDPOINT_URL']}/{ACCOUNT}/{resource}"
            if resource in queues
            else names.get(resource, resource)
        )

    made.stack.name_of = name_of


def _secret(client: Any, resource: str) -> str:
    """The ARN of one that holds what the simulated provider accepts that its name tells."""
    [value] = [each for provider, each in SECRETS.items() if provider in resource.lower()]
    arn: str = client.create_secret(Name=resource, SecretString=json.dumps(value))["ARN"]
    return arn
