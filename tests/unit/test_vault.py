"""What is sealed for one stream opens for no other; a provider's secret is remembered, and never shown."""

import json
import random
import tracemalloc
import zlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError
from botocore.stub import Stubber
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, RootModel, SecretStr

from headwater import aws
from headwater.errors import ProviderSecretInvalid, ProviderSecretUnavailable
from headwater.provider_secret import SECRET_SECONDS, _texts, provider_secret
from headwater.records import Record
from headwater.vault import PLAIN_BYTES, KmsVault, SealBroken
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


# ---- in parts


def laid_out(sealed: bytes) -> list[bytes]:
    """What KMS answered, part by part."""
    parts, rest = [], sealed[2:]
    while rest:
        size = 2 + int.from_bytes(rest[:2], "big")
        parts.append(rest[2:size])
        rest = rest[size:]
    assert len(parts) == sealed[1]
    return parts


def put_together(parts: list[bytes], count: int | None = None) -> bytes:
    lengths = (len(part).to_bytes(2, "big") + part for part in parts)
    return bytes([1, len(parts) if count is None else count]) + b"".join(lengths)


def incompressible(size: int) -> bytes:
    return random.Random(size).randbytes(size)  # noqa: S311  # it need not be unguessable


@pytest.fixture
def calls(kms_vault: KmsVault) -> list[tuple[str, dict[str, Any]]]:
    """What KMS is asked from now on."""
    asked: list[tuple[str, dict[str, Any]]] = []
    aws.client("kms").meta.events.register(
        "provide-client-params.kms.*", lambda params, model, **_: asked.append((model.name, dict(params)))
    )
    return asked


@pytest.mark.parametrize(("size", "parts"), [(0, 1), (4000, 1), (4200, 2), (8300, 3), (40_000, 10)])
def test_each_four_kilobytes_of_what_is_compressed_are_one_call(
    kms_vault: KmsVault, record: Record, calls: list[tuple[str, dict[str, Any]]], size: int, parts: int
) -> None:
    plain = incompressible(size)
    sealed = kms_vault.seal(record, plain)
    assert kms_vault.unseal(record, sealed) == plain
    assert [name for name, _ in calls] == ["Encrypt"] * parts + ["Decrypt"] * parts
    told = [params["EncryptionContext"] for _, params in calls]
    assert told[:parts] == told[parts:]
    assert [context["part"] for context in told[:parts]] == [f"{n}/{parts}" for n in range(1, parts + 1)]
    assert all(len(params["Plaintext"]) <= 4096 for name, params in calls if name == "Encrypt")


def test_what_can_be_compressed_is_one_call_however_long(
    kms_vault: KmsVault, record: Record, calls: list[tuple[str, dict[str, Any]]]
) -> None:
    sealed = kms_vault.seal(record, b"a=candidate:1 1 udp 2122260223 192.0.2.1 50000 typ host\r\n" * 300)
    assert len(calls) == 1
    assert len(sealed) < 1000


def test_a_key_is_asked_with_the_stream_s_identity_and_nothing_secret(
    kms_vault: KmsVault, record: Record, calls: list[tuple[str, dict[str, Any]]]
) -> None:
    kms_vault.seal(record, PLAIN)
    [(_, params)] = calls
    assert params["EncryptionContext"] == {
        "deployment": "here",
        "tenant": record.tenant,
        "stream": record.stream.id,
        "part": "1/1",
    }


def test_parts_are_opened_in_their_order_and_number_only(kms_vault: KmsVault, record: Record) -> None:
    parts = laid_out(kms_vault.seal(record, incompressible(9000)))
    assert len(parts) == 3
    one, two, three = parts
    another = laid_out(kms_vault.seal(record, incompressible(3000)))
    for wrong in (
        [one, three, two],
        [one, two],
        [one],
        [three],
        [*parts, three],
        [*parts, *another],
        [one, one, three],
    ):
        with pytest.raises(ClientError):
            kms_vault.unseal(record, put_together(wrong))
    with pytest.raises(SealBroken):
        kms_vault.unseal(record, put_together([one, two], count=3))


def test_parts_of_two_sealings_of_one_stream_cannot_be_exchanged(kms_vault: KmsVault, record: Record) -> None:
    """Whoever may write the table cannot put the end of yesterday's credentials to the beginning of today's."""
    mine = laid_out(kms_vault.seal(record, incompressible(9000)))
    theirs = laid_out(kms_vault.seal(record, incompressible(9000)))
    for place in range(3):
        mixed = [*mine[:place], theirs[place], *mine[place + 1 :]]
        with pytest.raises(ClientError):
            kms_vault.unseal(record, put_together(mixed))


@pytest.mark.parametrize("place", [4, 50, -1])
def test_what_was_tampered_with_does_not_open(kms_vault: KmsVault, record: Record, place: int) -> None:
    sealed = bytearray(kms_vault.seal(record, PLAIN))
    sealed[place] ^= 1
    with pytest.raises(ClientError) as caught:
        kms_vault.unseal(record, bytes(sealed))
    assert CANARY not in repr(caught.value)


@pytest.mark.parametrize(
    "kept", [b"", b"\x01", b"\x01\x00", b"\x01\x01", b"\x01\x01\x00", b"\x01\x01\x00\x00", b"\x02"]
)
def test_what_is_no_sealed_parts_is_not_shown_to_kms(
    kms_vault: KmsVault, record: Record, calls: list[tuple[str, dict[str, Any]]], kept: bytes
) -> None:
    with pytest.raises(SealBroken):
        kms_vault.unseal(record, kept)
    assert calls == []


def test_what_was_sealed_in_another_way_is_not_known(kms_vault: KmsVault, record: Record) -> None:
    sealed = kms_vault.seal(record, PLAIN)
    with pytest.raises(SealBroken):
        kms_vault.unseal(record, b"\x02" + sealed[1:])


def test_what_was_cut_off_does_not_open(kms_vault: KmsVault, record: Record) -> None:
    sealed = kms_vault.seal(record, PLAIN)
    with pytest.raises(ClientError):
        kms_vault.unseal(record, sealed[:-1])


# ---- bounds


def sealed_by_hand(key_id: str, record: Record, plain: bytes) -> bytes:
    """As one who has the key but not our program might seal it: one part, whatever it is."""
    context = {"deployment": "here", "tenant": record.tenant, "stream": record.stream.id, "part": "1/1"}
    answer = aws.client("kms").encrypt(KeyId=key_id, Plaintext=plain, EncryptionContext=context)
    return put_together([answer["CiphertextBlob"]])


def test_what_unsealing_comes_to_is_bounded(kms_vault: KmsVault, key_id: str, record: Record) -> None:
    assert kms_vault.unseal(record, sealed_by_hand(key_id, record, zlib.compress(PLAIN))) == PLAIN
    bomb = zlib.compress(bytes(PLAIN_BYTES + 1), 9)
    assert len(bomb) < 4096
    with pytest.raises(SealBroken):
        kms_vault.unseal(record, sealed_by_hand(key_id, record, bomb))


def test_no_more_than_the_bound_is_unpacked(kms_vault: KmsVault, key_id: str, record: Record) -> None:
    bomb = zlib.compress(bytes(4 * PLAIN_BYTES), 9)
    sealed = sealed_by_hand(key_id, record, bomb)
    tracemalloc.start()
    try:
        with pytest.raises(SealBroken):
            kms_vault.unseal(record, sealed)
        assert tracemalloc.get_traced_memory()[1] < 3 * PLAIN_BYTES
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("packed", [b"not compressed", zlib.compress(PLAIN)[:-1], zlib.compress(PLAIN) + b"more"])
def test_what_is_not_whole_is_not_given_out(kms_vault: KmsVault, key_id: str, record: Record, packed: bytes) -> None:
    with pytest.raises(SealBroken) as caught:
        kms_vault.unseal(record, sealed_by_hand(key_id, record, packed))
    assert CANARY not in repr(caught.value)


def test_as_much_can_be_sealed_as_can_be_unsealed(kms_vault: KmsVault, record: Record) -> None:
    most = bytes(PLAIN_BYTES)
    assert kms_vault.unseal(record, kms_vault.seal(record, most)) == most
    with pytest.raises(ValueError, match="no more than"):
        kms_vault.seal(record, bytes(PLAIN_BYTES + 1))


def test_the_most_that_can_be_sealed_has_no_more_parts_than_can_be_counted() -> None:
    assert len(zlib.compress(incompressible(PLAIN_BYTES))) <= 255 * 4096


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
    assert SECRET_SECONDS == 300


def test_nothing_is_read_before_it_is_needed(cloud: None) -> None:
    provider_secret(ProviderSecret, "arn:no-such")
    assert _texts()._read == {}


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
