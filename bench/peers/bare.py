"""API call → nothing: what the runtime alone costs."""

from typing import Any


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    return {"statusCode": 201, "body": "{}"}
