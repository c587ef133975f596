"""A provider's own secret: read when it is needed, remembered for a while, and shown to nobody."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from pydantic import BaseModel, SecretStr

from headwater import aws, provider_secret
from headwater.errors import ProviderSecretInvalid, ProviderSecretUnavailable
from headwater.provider_secret import SECRET_SECONDS
from tests.unit.fakes import CANARY


class Key(BaseModel):
    """A provider's secret."""

    api_key: SecretStr


class Wall:
    """A clock on the wall, which somebody sets."""

    now = 1_700_000_000.0

    def time(self) -> float:
        return self.now


@pytest.fixture
def wall(monkeypatch: pytest.MonkeyPatch) -> Wall:
    clock = Wall()
    monkeypatch.setattr(provider_secret, "time", clock)
    return clock


class Secret:
    """One in Secrets Manager; how often it was read."""

    def __init__(self) -> None:
        self._client = aws.client("secretsmanager")
        self.arn = self._client.create_secret(Name="fake", SecretString="{}")["ARN"]
        self.reads = 0
        self._client.meta.events.register("before-call.secretsmanager.GetSecretValue", self._count)
        self.read = provider_secret.provider_secret(Key, self.arn)
        self.say("first")

    def say(self, key: str) -> None:
        self.put(json.dumps({"api_key": f"{CANARY}{key}"}))

    def put(self, text: str) -> None:
        self._client.put_secret_value(SecretId=self.arn, SecretString=text)

    def _count(self, **_: Any) -> None:
        self.reads += 1

    def key(self, fresh: bool = False) -> str:
        return self.read(fresh).api_key.get_secret_value().removeprefix(CANARY)


@pytest.fixture
def secret(cloud: None, wall: Wall) -> Secret:
    return Secret()


def test_nothing_is_read_before_it_is_asked_for(secret: Secret) -> None:
    assert secret.reads == 0


def test_it_is_remembered_for_five_minutes_by_the_clock_on_the_wall(secret: Secret, wall: Wall) -> None:
    assert SECRET_SECONDS == 300
    assert secret.key() == "first"
    secret.say("second")
    for seconds in (0, 1, 298.5):
        wall.now += seconds
        assert (secret.key(), secret.reads) == ("first", 1)
    wall.now += 0.5
    assert (secret.key(), secret.reads) == ("second", 2)
    wall.now += 299
    assert secret.reads == 2


def test_who_asks_for_it_anew_gets_it_anew_and_the_next_one_too(secret: Secret) -> None:
    secret.key()
    secret.say("second")
    assert (secret.key(fresh=True), secret.reads) == ("second", 2)
    assert (secret.key(), secret.reads) == ("second", 2)


def test_a_clock_that_is_set_back_has_it_read_anew(secret: Secret, wall: Wall) -> None:
    secret.key()
    secret.say("second")
    wall.now -= 3600
    assert (secret.key(), secret.reads) == ("second", 2)
    assert (secret.key(), secret.reads) == ("second", 2)


def test_two_secrets_are_two(secret: Secret) -> None:
    other = aws.client("secretsmanager").create_secret(Name="other", SecretString='{"api_key": "other"}')["ARN"]
    assert secret.key() == "first"
    assert provider_secret.provider_secret(Key, other)(False).api_key.get_secret_value() == "other"


def test_a_secret_that_was_mended_need_not_wait(secret: Secret) -> None:
    secret.put('{"api_kay": 1}')
    with pytest.raises(ProviderSecretInvalid, match="api_key"):
        secret.key()
    secret.say("mended")
    assert secret.key() == "mended"


@pytest.mark.parametrize("text", ["no json", "[]", '{"api_key": ["%s"]}', '{"api_key": 7, "x": "%s"}', "{}", '"%s"'])
def test_what_is_wrong_with_it_is_told_without_its_text(secret: Secret, text: str) -> None:
    secret.put(text.replace("%s", f"{CANARY}words"))
    with pytest.raises(ProviderSecretInvalid) as raised:
        secret.key()
    chain: list[BaseException] = [raised.value]
    while following := chain[-1].__cause__ or chain[-1].__context__:
        chain.append(following)
    told = "".join(f"{error}{error!r}{vars(error)}" for error in chain)
    assert secret.arn in told
    assert CANARY not in told


def test_what_is_remembered_shows_itself_to_nobody(secret: Secret) -> None:
    secret.key()
    texts = provider_secret._texts()
    shown = f"{texts!r}{vars(texts)}{texts._read}"
    assert secret.arn in shown
    assert CANARY not in shown


@pytest.mark.parametrize(
    ("break_it", "kind"),
    [
        (lambda secret: aws.client("secretsmanager").delete_secret(SecretId=secret.arn), ProviderSecretInvalid),
        (
            lambda secret: aws.client("secretsmanager").delete_secret(
                SecretId=secret.arn, ForceDeleteWithoutRecovery=True
            ),
            ProviderSecretInvalid,
        ),
        (lambda secret: secret._client.meta.events.register("before-call.*.*", away), ProviderSecretUnavailable),
    ],
)
def test_a_secret_that_is_not_there_is_told_from_one_that_cannot_be_read(
    secret: Secret, break_it: Callable[[Secret], object], kind: type[Exception]
) -> None:
    break_it(secret)
    with pytest.raises(kind, match=secret.arn):
        secret.key()


def away(**_: Any) -> None:
    from botocore.exceptions import EndpointConnectionError

    raise EndpointConnectionError(endpoint_url="https://secretsmanager")


def test_one_that_is_remembered_is_not_missed_while_secrets_manager_is_away(secret: Secret) -> None:
    secret.key()
    secret._client.meta.events.register("before-call.*.*", away)
    assert secret.key() == "first"
    with pytest.raises(ProviderSecretUnavailable):
        secret.key(fresh=True)
    assert secret.key() == "first"
