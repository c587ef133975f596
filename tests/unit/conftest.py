"""What every unit test stands on: an environment of dummies, and AWS in this process where asked for."""

import io
from collections.abc import Iterator

import pytest

from headwater import aws, provider_secret, telemetry
from tests.unit.fakes import ACCOUNT


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """What Lambda would set, and no credentials of whoever runs the tests."""
    for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL", "AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("POWERTOOLS_SERVICE_NAME", "unit")
    monkeypatch.setenv("POWERTOOLS_METRICS_NAMESPACE", "Headwater")
    monkeypatch.setenv("MOTO_ACCOUNT_ID", ACCOUNT)


@pytest.fixture
def cloud(environment: None) -> Iterator[None]:
    """AWS, in this process; what the product remembers between calls is forgotten before and after."""
    from moto import mock_aws

    def forget() -> None:
        aws.client.cache_clear()
        aws.session.cache_clear()
        provider_secret._texts.cache_clear()

    forget()
    with mock_aws():
        yield
    forget()


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """Everything that is logged during the test, as it would be written."""
    written = io.StringIO()
    handler = telemetry.logger().registered_handler
    assert hasattr(handler, "setStream")
    before = handler.setStream(written)
    yield written
    handler.setStream(before)
