"""Call with a bearer token → the policy that lets its tenant in; 401 for a bad token, 500 for a silent issuer."""

import os
from functools import cache
from typing import Any

from authorize_caller.errors import AuthorizationError, TokenRefused
from authorize_caller.issuer import IssuerKeys
from authorize_caller.policy import allow
from authorize_caller.tokens import Verifier, bearer
from headwater import snapshot, telemetry


def handler(event: dict[str, Any], _: Any) -> dict[str, Any]:
    """A TOKEN authorizer's event → its answer. What is raised has no cause or context, which could hold the token."""
    failure: Exception
    try:
        tenant = _verifier().tenant(bearer(event["authorizationToken"]))
    except TokenRefused as refused:
        telemetry.logger().info("refused", extra={"reason": str(refused)})
        failure = Exception("Unauthorized")  # this very text is what API Gateway answers 401 to
    except AuthorizationError as error:
        telemetry.exception(str(error), error=error)
        failure = Exception(str(error))
    except Exception as error:  # whatever it was, its text may hold the token
        telemetry.exception("unforeseen", error=error)
        failure = Exception("The token could not be checked.")
    else:
        return allow(tenant, event["methodArn"])
    raise failure


@cache
def _verifier() -> Verifier:
    keys = IssuerKeys(os.environ["JWT_ISSUER"])
    snapshot.before(keys.forget)
    return Verifier(keys, os.environ["JWT_AUDIENCE"], os.environ["JWT_TENANT_CLAIM"])
