"""Why a caller is not let in, sorted by who can act on it.

AuthorizationError
├── TokenRefused         401  the caller gets a new token
├── IssuerUnavailable    500  nobody: the same call may pass later
└── Misconfigured        500  whoever runs this deployment, or the issuer

API Gateway makes the answers; their texts are ours, never a token's, and go to the log only.
"""


class AuthorizationError(Exception):
    """Base of every failure. Its text may be logged."""


class TokenRefused(AuthorizationError):
    """Something is wrong with the token."""


class IssuerUnavailable(AuthorizationError):
    """The issuer's keys cannot be had, so nothing is known about the token."""


class Misconfigured(AuthorizationError):
    """The deployment's parameters, or what the issuer publishes about itself, cannot be right."""
