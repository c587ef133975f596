"""What is sealed for one stream opens for no other; a provider's secret is remembered, and never shown."""

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError
from botocore.stub import Stubber
from cryptography.exceptions import InvalidTag
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, RootModel, SecretStr

from headwater import aws, vault
from headwater.errors import ProviderSecretInvalid, ProviderSecretUnavailable
from headwater.records import Record
from headwater.vault import KmsVault, provider_secret
from tests.unit.fakes import CANARY, FakeVault, WrongIdentity, a_claimed_record

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient

PLAIN = f"{CANARY}plain".encode()


@pytest.fixture
def record() -> Record:
    return a_claimed_record()


@pytest.fixture
def key_id(cloud: None) -> str:
    return str(aws.client("kms").create_key()["KeyMetadata"]["KeyId"])


@pytest.fixture
def kms_vault(key_id: str) -> KmsVault:
    return KmsVault(aws.client("kms"), key_id, "here")


# ---- sealing


def test_what_is_sealed_can_be_unsealed(kms_vault: KmsVault, record: Record) -> None:
    sealed = kms_vault.seal(record, PLAIN)
    assert PLAIN not in sealed
    assert kms_vault.unseal(record, sealed) == PLAIN


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=20_000))
def test_anything_can_be_sealed(kms_vault: KmsVault, plain: bytes) -> None:
    record = a_claimed_record()
    assert kms_vault.unseal(record, kms_vault.seal(record, plain)) == plain


def test_nothing_is_sealed_twice_alike(kms_vault: KmsVault, record: Record) -> None:
    assert kms_vault.seal(record, PLAIN) != kms_vault.seal(record, PLAIN)


def test_a_record_that_moved_on_still_opens(kms_vault: KmsVault, record: Record) -> None:
    sealed = kms_vault.seal(record, PLAIN)
    later = record.model_copy(update={"revision": 9, "attempt": 3, "claim": None})
    assert kms_vault.unseal(later, sealed) == PLAIN


def test_what_was_sealed_for_another_stream_does_not_open(kms_vault: KmsVault, record: Record) -> None:
    sealed = kms_vault.seal(record, PLAIN)
    with pytest.raises(ClientError):
        kms_vault.unseal(a_claimed_record("another key"), sealed)


def test_what_was_sealed_for_another_tenant_does_not_open(kms_vault: KmsVault, record: Record) -> None:
    sealed = kms_vault.seal(record, PLAIN)
    with pytest.raises(ClientError):
        kms_vault.unseal(record.model_copy(update={"tenant": "aws:999999999999"}), sealed)


def test_what_was_sealed_in_another_deployment_does_not_open(kms_vault: KmsVault, key_id: str, record: Record) -> None:
    sealed = kms_vault.seal(record, PLAIN)
    with pytest.raises(ClientError):
        KmsVault(aws.client("kms"), key_id, "there").unseal(record, sealed)


def test_a_sealed_text_under_another_stream_s_data_key_does_not_open(kms_vault: KmsVault, record: Record) -> None:
    """Whoever may write the table cannot put one stream's text beside another's key."""
    mine, theirs = kms_vault.seal(record, PLAIN), kms_vault.seal(a_claimed_record("another key"), PLAIN)
    start, end = 2 + int.from_bytes(mine[:2], "big"), 2 + int.from_bytes(theirs[:2], "big")
    with pytest.raises(InvalidTag):
        kms_vault.unseal(record, mine[:start] + theirs[end:])


@pytest.mark.parametrize("place", ["nonce", "text", "tag"])
def test_what_was_tampered_with_does_not_open(kms_vault: KmsVault, record: Record, place: str) -> None:
    sealed = bytearray(kms_vault.seal(record, PLAIN))
    start = 2 + int.from_bytes(sealed[:2], "big")
    sealed[{"nonce": start, "text": start + 12, "tag": len(sealed) - 1}[place]] ^= 1
    with pytest.raises(InvalidTag) as caught:
        kms_vault.unseal(record, bytes(sealed))
    assert CANARY not in repr(caught.value)


def test_what_was_cut_off_does_not_open(kms_vault: KmsVault, record: Record) -> None:
    sealed = kms_vault.seal(record, PLAIN)
    with pytest.raises(InvalidTag):
        kms_vault.unseal(record, sealed[:-1])


def test_the_fake_vault_is_bound_as_well(record: Record) -> None:
    fake = FakeVault()
    sealed = fake.seal(record, PLAIN)
    assert fake.unseal(record, sealed) == PLAIN
    assert PLAIN not in sealed
    with pytest.raises(WrongIdentity):
        fake.unseal(a_claimed_record("another key"), sealed)


# ---- a provider's secret


class ProviderSecret(BaseModel, extra="forbid"):
    account: str
    api_key: SecretStr


GOOD = {"account": "a-1", "api_key": f"{CANARY}one"}


@pytest.fixture
def secrets(cloud: None) -> "SecretsManagerClient":
    client: SecretsManagerClient = aws.client("secretsmanager")
    return client


def stored(secrets: "SecretsManagerClient", value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return secrets.create_secret(Name="headwater/unit/fake", SecretString=text)["ARN"]


def refused(arn: str) -> ProviderSecretInvalid:
    """The error of reading it, whose whole chain shows no value."""
    with pytest.raises(ProviderSecretInvalid) as caught:
        provider_secret(ProviderSecret, arn)(False)
    for error in chain(caught.value):
        assert CANARY not in f"{error} {error!r} {error.args}"
    assert CANARY not in json.dumps(caught.value.problem("r"))
    return caught.value


def chain(error: BaseException | None) -> Iterator[BaseException]:
    while error:
        yield error
        error = error.__cause__ or error.__context__


def test_a_secret_is_read_as_its_type(secrets: "SecretsManagerClient") -> None:
    secret = provider_secret(ProviderSecret, stored(secrets, GOOD))(False)
    assert secret.account == "a-1"
    assert secret.api_key.get_secret_value() == f"{CANARY}one"
    assert CANARY not in repr(secret)


def test_a_secret_is_remembered_and_read_anew_when_told(secrets: "SecretsManagerClient") -> None:
    arn = stored(secrets, GOOD)
    read = provider_secret(ProviderSecret, arn)
    read(False)
    secrets.put_secret_value(SecretId=arn, SecretString=json.dumps({**GOOD, "api_key": f"{CANARY}two"}))
    assert read(False).api_key.get_secret_value() == f"{CANARY}one"
    assert read(True).api_key.get_secret_value() == f"{CANARY}two"
    assert read(False).api_key.get_secret_value() == f"{CANARY}two"


def test_a_secret_is_remembered_for_five_minutes(secrets: "SecretsManagerClient") -> None:
    assert vault.SECRET_SECONDS == 300


def test_nothing_is_read_before_it_is_needed(cloud: None) -> None:
    provider_secret(ProviderSecret, "arn:no-such")
    assert vault._secrets.cache_info().currsize == 0


def test_a_secret_that_is_not_there_is_named(secrets: "SecretsManagerClient") -> None:
    arn = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:none-AbCdEf"
    assert arn in refused(arn).detail


@pytest.mark.parametrize(
    ("value", "pointer"),
    [
        ({"account": "a-1"}, "/api_key"),
        ({"account": 5, "api_key": f"{CANARY}x"}, "/account"),
        ({"account": "a-1", "api_key": [f"{CANARY}x"]}, "/api_key"),
        ({"account": "a-1", "api_key": f"{CANARY}x", "more": f"{CANARY}y"}, "/more"),
        (f"{CANARY}just the key", ""),
        (f'{{"account": "a-1", "api_key": "{CANARY}x"', ""),
        ([f"{CANARY}x"], ""),
    ],
)
def test_a_malformed_secret_is_told_by_its_fields_and_never_its_values(
    secrets: "SecretsManagerClient", value: Any, pointer: str
) -> None:
    error = refused(stored(secrets, value))
    assert [fault.pointer for fault in error.faults] == [pointer]


def test_a_malformed_secret_that_was_mended_is_read(secrets: "SecretsManagerClient") -> None:
    arn = stored(secrets, {"account": "a-1"})
    refused(arn)
    secrets.put_secret_value(SecretId=arn, SecretString=json.dumps(GOOD))
    assert provider_secret(ProviderSecret, arn)(True).account == "a-1"


@pytest.mark.parametrize("code", ["ThrottlingException", "InternalServiceError", "DecryptionFailure"])
def test_a_secret_that_cannot_be_read_just_now_is_not_called_missing(code: str, cloud: None) -> None:
    client = aws.client("secretsmanager")
    with Stubber(client) as stub:
        stub.add_client_error("get_secret_value", code)
        with pytest.raises(ProviderSecretUnavailable):
            provider_secret(ProviderSecret, "arn:some")(True)


class EitherKind(RootModel[ProviderSecret | int]):
    pass


def test_a_secret_that_was_mended_is_read_at_once(secrets: "SecretsManagerClient") -> None:
    arn = secrets.create_secret(Name="mended", SecretString="{}")["ARN"]
    read = provider_secret(EitherKind, arn)
    with pytest.raises(ProviderSecretInvalid) as caught:
        read(False)
    assert all(not fault.pointer.startswith("/ProviderSecret") for fault in caught.value.faults)
    secrets.put_secret_value(SecretId=arn, SecretString=json.dumps(7))
    assert read(False).root == 7
