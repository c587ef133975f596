"""The one door to secrets: a provider's own, and those that a stream is opened with."""

import json
import os
from collections.abc import Callable, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError
from pydantic import JsonValue, TypeAdapter, ValidationError

from headwater import aws
from headwater.errors import ProviderSecretInvalid, ProviderSecretUnavailable
from headwater.records import Record
from headwater.requests import faults_of

if TYPE_CHECKING:
    from mypy_boto3_kms import KMSClient

SECRET_SECONDS = 300
ABSENT = frozenset({"ResourceNotFoundException", "AccessDeniedException", "InvalidRequestException"})
"""What Secrets Manager answers where there is no such secret, none for us, or one that is being deleted."""
_NONCE = 12


class KmsVault:
    """Envelope encryption: a fresh data key for each sealing, AES-GCM under it, all bound to the stream's identity.

    Laid out as two bytes of length, the encrypted data key, twelve bytes of nonce, the ciphertext.
    """

    def __init__(self, client: "KMSClient", key_id: str, deployment: str) -> None:
        self._client = client
        self._key_id = key_id
        self._deployment = deployment

    def seal(self, record: Record, plain: bytes) -> bytes:
        """See ``ports.Vault``. One KMS call."""
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        context = self._context(record)
        key = self._client.generate_data_key(KeyId=self._key_id, KeySpec="AES_256", EncryptionContext=context)
        wrapped, nonce = key["CiphertextBlob"], os.urandom(_NONCE)
        sealed = AESGCM(key["Plaintext"]).encrypt(nonce, plain, _bound(context))
        return len(wrapped).to_bytes(2, "big") + wrapped + nonce + sealed

    def unseal(self, record: Record, sealed: bytes) -> bytes:
        """See ``ports.Vault``. One KMS call. Raises cryptography's ``InvalidTag`` on what was tampered with."""
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        context, end = self._context(record), 2 + int.from_bytes(sealed[:2], "big")
        key = self._client.decrypt(KeyId=self._key_id, CiphertextBlob=sealed[2:end], EncryptionContext=context)[
            "Plaintext"
        ]
        return AESGCM(key).decrypt(sealed[end : end + _NONCE], sealed[end + _NONCE :], _bound(context))

    def _context(self, record: Record) -> Mapping[str, str]:
        return {"deployment": self._deployment, "tenant": record.tenant, "stream": record.stream.id}


def _bound(context: Mapping[str, str]) -> bytes:
    return "\n".join(f"{name}={value}" for name, value in sorted(context.items())).encode()


def provider_secret[S](secret_type: type[S], arn: str) -> Callable[[bool], S]:
    """Reads the provider's secret as ``secret_type``, from a cache of five minutes; told True, anew.

    What it returns raises ``ProviderSecretInvalid``, which names the secret and the fields and never a value, and
    ``ProviderSecretUnavailable`` where Secrets Manager does not answer.
    """
    adapter: TypeAdapter[S] = TypeAdapter(secret_type)

    def read(fresh: bool = False) -> S:
        text = _secret_text(arn, fresh)
        try:
            return adapter.validate_json(text)
        except ValidationError as error:
            faults = tuple(faults_of(error, _members(text)))
        if not fresh:
            return read(fresh=True)  # whoever mended it need not wait for the cache
        detail = f"The secret {arn} is malformed: {'; '.join(f'{f.pointer or "/"}: {f.detail}' for f in faults)}."
        raise ProviderSecretInvalid(detail, faults=faults)

    return read


def _members(text: str) -> JsonValue:
    """The secret's members, for pointers into it; None where it is no JSON."""
    try:
        members: JsonValue = json.loads(text)
    except ValueError:
        return None
    return members


def _secret_text(arn: str, fresh: bool) -> str:
    from aws_lambda_powertools.utilities.parameters.exceptions import GetParameterError

    try:
        return str(_secrets().get(arn, max_age=SECRET_SECONDS, force_fetch=fresh))
    except GetParameterError as error:
        cause = error.__cause__ or error.__context__
        if not isinstance(cause, ClientError) or cause.response["Error"]["Code"] not in ABSENT:
            raise ProviderSecretUnavailable(f"The secret {arn} cannot be read just now.") from None
        # Its text is the AWS error's, which is the operator's to read in CloudTrail; ours says what to do.
        raise ProviderSecretInvalid(f"The secret {arn} has no value, or this function may not read it.") from None


@cache
def _secrets() -> Any:
    from aws_lambda_powertools.utilities.parameters import SecretsProvider

    return SecretsProvider(boto3_client=aws.client("secretsmanager"))
