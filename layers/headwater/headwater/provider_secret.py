"""A provider's own secret, from Secrets Manager."""

import json
import time
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError
from pydantic import BaseModel, JsonValue, SecretStr, ValidationError

from headwater import aws, snapshot
from headwater.errors import ProviderSecretInvalid, ProviderSecretUnavailable
from headwater.requests import faults_of

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient

SECRET_SECONDS = 300
ABSENT = frozenset({"ResourceNotFoundException", "AccessDeniedException", "InvalidRequestException"})
"""What Secrets Manager answers where there is no such secret, none for us, or one that is being deleted."""


class _Texts:
    """What was read, for ``SECRET_SECONDS`` by the clock on the wall: the other one stops while a snapshot lies."""

    def __init__(self, client: "SecretsManagerClient") -> None:
        self._client = client
        self._read: dict[str, tuple[float, SecretStr]] = {}
        snapshot.before(self._read.clear)

    def get(self, arn: str, fresh: bool) -> str:
        read_at, text = self._read.get(arn, (0.0, None))
        if text is None or fresh or not 0 <= time.time() - read_at < SECRET_SECONDS:
            answer = self._client.get_secret_value(SecretId=arn)
            text = SecretStr(answer.get("SecretString", ""))
            self._read[arn] = time.time(), text
        return text.get_secret_value()


def provider_secret[S: BaseModel](secret_type: type[S], arn: str) -> Callable[[bool], S]:
    """Reads the provider's secret as ``secret_type``, from a cache of five minutes; told True, anew.

    What it returns raises ``ProviderSecretInvalid``, which names the secret and the fields and never a value, and
    ``ProviderSecretUnavailable`` where Secrets Manager does not answer.
    """
    texts = _texts()

    def read(fresh: bool = False) -> S:
        text = _secret_text(texts, arn, fresh)
        try:
            return secret_type.model_validate_json(text)
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


def _secret_text(texts: _Texts, arn: str, fresh: bool) -> str:
    try:
        return texts.get(arn, fresh)
    except ClientError as error:
        absent = error.response["Error"]["Code"] in ABSENT
    except BotoCoreError:
        absent = False
    if not absent:
        raise ProviderSecretUnavailable(f"The secret {arn} cannot be read just now.")
    # Its text is the AWS error's, which is the operator's to read in CloudTrail; ours says what to do.
    raise ProviderSecretInvalid(f"The secret {arn} has no value, or this function may not read it.")


@cache
def _texts() -> _Texts:
    return _Texts(aws.client("secretsmanager"))
