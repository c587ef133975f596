"""What goes into the vault and comes out of it, as JSON. Pure."""

import json
from typing import Any

from pydantic import JsonValue

from headwater.ports import Vault
from headwater.records import Credentials, Record
from headwater.requests import Wanted, join_secrets, split_secrets
from headwater.streams import Access


def seal_credentials(vault: Vault, record: Record, credentials: Credentials) -> bytes | None:
    """The credentials sealed; None where there is nothing to hide, which then costs no call either."""
    if not credentials.secret:
        return None
    plain = {"ingest": _opened(credentials.ingest), "playback": _opened(credentials.playback)}
    return vault.seal(record, json.dumps(plain).encode())


def unseal_credentials(vault: Vault, record: Record) -> Credentials:
    """The record's credentials; where none are kept, which then costs no call either, what the stream shows anyway."""
    sealed = record.sealed_credentials
    plain: dict[str, Any] = {"ingest": record.stream.ingest, "playback": record.stream.playback}
    if sealed:
        plain = json.loads(vault.unseal(record, sealed))
    return Credentials.model_validate(plain)


def _opened(entries: list[Access]) -> list[JsonValue]:
    return [
        {
            "protocol": entry.protocol,
            "url": entry.url,
            "secrets": {k: v.get_secret_value() for k, v in entry.secrets.items()},
        }
        for entry in entries
    ]


def seal_request(vault: Vault, record: Record, wanted: Wanted) -> bytes | None:
    """The secret-typed parts of a request, sealed; None where it has none."""
    secrets = split_secrets(wanted.options)[1]
    return vault.seal(record, json.dumps(secrets).encode()) if secrets else None


def unseal_options(vault: Vault, record: Record, options_type: Any) -> Any:
    """The options of an unsettled record, whole again."""
    sealed = record.request_secrets
    secrets = json.loads(vault.unseal(record, sealed)) if sealed else {}
    return join_secrets(record.stream.options, secrets, options_type)
