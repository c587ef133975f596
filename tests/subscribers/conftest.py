"""What the functions downstream of the table and the bus stand on: AWS in this process, and what Lambda would set."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from moto import mock_aws

from headwater import aws, telemetry
from tests.template import resources

ACCOUNT = "123456789012"
NAMES = {"TABLE_NAME": "table", "BUS_NAME": "bus", "DEAD_LETTERS_URL": "dead-letters", "DUE_SHARDS": "16"}


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No credentials of whoever runs the tests, and nothing of theirs to be reached."""
    for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL", "AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("MOTO_ACCOUNT_ID", ACCOUNT)
    for name, value in NAMES.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def ahead(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[float], None]:
    """Has business time be so many seconds ahead of real time."""
    file = tmp_path / "clock"
    monkeypatch.setenv("CLOCK_FILE", str(file))
    return lambda seconds: _hold(file, seconds)


def _hold(file: Path, seconds: float) -> None:
    file.write_text(str(round(seconds * 1000)))


class _StandardOutput:
    """Wherever it leads just now: a logger keeps the one that there was when it was made."""

    def write(self, text: str) -> None:
        sys.stdout.write(text)

    def flush(self) -> None:
        sys.stdout.flush()


@pytest.fixture(autouse=True)
def logged(environment: None) -> None:
    """What is logged is on standard output, where ``capsys`` sees it."""
    handler = telemetry.logger().registered_handler
    assert hasattr(handler, "setStream")
    handler.setStream(_StandardOutput())


@pytest.fixture
def cloud(environment: None) -> Iterator[None]:
    """AWS, in this process; the clients of the product are made anew in it."""
    with mock_aws():
        _forget()
        yield
    _forget()


def _forget(client: Any = aws.client, session: Any = aws.session) -> None:
    """By the real ones: a test may have put another in their place."""
    client.cache_clear()
    session.cache_clear()


@pytest.fixture
def table(cloud: None) -> str:
    """The table as the template declares it."""
    declared = resources("AWS::DynamoDB::Table")["Table"]
    names = ("BillingMode", "AttributeDefinitions", "KeySchema", "GlobalSecondaryIndexes")
    aws.client("dynamodb").create_table(TableName="table", **{name: declared[name] for name in names})
    return "table"


@pytest.fixture
def heard(cloud: None) -> str:
    """The address of a queue that gets everything that is put on the bus."""
    events, sqs = aws.client("events"), aws.client("sqs")
    url: str = sqs.create_queue(QueueName="heard")["QueueUrl"]
    events.create_event_bus(Name="bus")
    events.put_rule(Name="all", EventBusName="bus", EventPattern='{"source": [{"prefix": ""}]}')
    arn = f"arn:aws:sqs:eu-central-1:{ACCOUNT}:heard"
    events.put_targets(Rule="all", EventBusName="bus", Targets=[{"Id": "queue", "Arn": arn}])
    return url


@pytest.fixture
def clients(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Clients to be used in the stead of AWS's, by service."""
    instead: dict[str, Any] = {}
    real = aws.client

    def client(service: Any) -> Any:
        return instead.get(service) or real(service)

    monkeypatch.setattr(aws, "client", client)
    return instead
