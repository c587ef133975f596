"""What API Gateway is told of a caller who may pass."""

from typing import Any


def allow(tenant: str, method: str) -> dict[str, Any]:
    """Lets the tenant call the whole stage of ``method``, an ARN: API Gateway reuses the answer for other routes."""
    api, stage, _ = method.split("/", 2)
    statement = {"Action": "execute-api:Invoke", "Effect": "Allow", "Resource": f"{api}/{stage}/*"}
    return {
        "principalId": tenant,
        "policyDocument": {"Version": "2012-10-17", "Statement": [statement]},
        "context": {"tenant": tenant},
    }
