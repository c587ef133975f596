"""What a careful author checks by hand of a create, without a library."""

import json
from typing import Any

FIELDS = {"name", "metadata", "max_lifetime_seconds", "options"}


def read(event: dict[str, Any]) -> tuple[str, str, dict[str, Any]]:
    """The tenant, the key and the request. Raises ``ValueError``."""
    key = event["headers"].get("Idempotency-Key") or ""
    if not 1 <= len(key) <= 255:
        raise ValueError("an Idempotency-Key has 1 to 255 characters")
    body = json.loads(event["body"] or "{}")
    if not isinstance(body, dict) or body.keys() - FIELDS:
        raise ValueError("unknown fields")
    name, options = body.get("name"), body.get("options", {})
    if not (name is None or isinstance(name, str)) or not isinstance(options, dict):
        raise ValueError("fields of the wrong type")
    return f"aws:{event['requestContext']['identity']['accountId']}", key, body
