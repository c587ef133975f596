"""What a JWT must be to be believed, and the tenant that it speaks for."""

import hashlib
from typing import Any

import jwt

from authorize_caller.errors import Misconfigured, TokenRefused
from authorize_caller.issuer import IssuerKeys

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA")
"""Asymmetric ones only: with a shared secret, or none, whoever can check a token could make one."""
LEEWAY_SECONDS = 30
TENANT_CHARACTERS = 128


class Token:
    """A bearer's token. It shows itself nowhere but where it is revealed."""

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        return self._text

    def __repr__(self) -> str:
        return "Token(***)"


def bearer(authorization: str) -> Token:
    """The token of ``Authorization: Bearer <token>``. Raises ``TokenRefused``."""
    scheme, _, token = authorization.partition(" ")
    if scheme.lower() != "bearer" or not token or not token.isascii():
        raise TokenRefused("There is no bearer token.")
    return Token(token)


class Verifier:
    """Believes the tokens of one issuer for one audience. Raises ``Misconfigured`` where a name is empty."""

    def __init__(self, keys: IssuerKeys, audience: str, tenant_claim: str) -> None:
        if not audience or not tenant_claim:
            raise Misconfigured("The audience or the tenant claim is empty.")
        self._keys = keys
        self._audience = audience
        self._tenant_claim = tenant_claim

    def tenant(self, token: Token) -> str:
        """``jwt:<16 hex digits of the issuer's SHA-256>:<claim>``, the claim being 1 to 128 printable characters.

        Raises ``TokenRefused``, ``IssuerUnavailable``, ``Misconfigured``. No exception's text, cause or context holds
        anything of the token, so PyJWT's never leave this class.
        """
        claim = self._claims(token)[self._tenant_claim]
        if not (isinstance(claim, str) and 0 < len(claim) <= TENANT_CHARACTERS and claim.isprintable()):
            raise TokenRefused(f"The tenant claim is not 1 to {TENANT_CHARACTERS} printable characters.")
        digest = hashlib.sha256(self._keys.issuer.encode()).hexdigest()
        return f"jwt:{digest[:16]}:{claim}"

    def _claims(self, token: Token) -> dict[str, Any]:
        key = self._keys.find(self._key_id(token))
        if key is None:
            raise TokenRefused("The issuer has no such key.")
        try:
            return jwt.decode(
                token.reveal(),
                key,  # with its own algorithm, which the token's must equal: the token chooses nothing
                ALGORITHMS,
                {
                    "require": ["exp", "iss", "aud", self._tenant_claim],
                    "enforce_minimum_key_length": True,
                },
                audience=self._audience,
                issuer=self._keys.issuer,
                leeway=LEEWAY_SECONDS,
            )
        except jwt.PyJWTError as error:
            reason = type(error).__name__
        raise TokenRefused(reason)

    def _key_id(self, token: Token) -> str:
        """The id of the key that is said to have signed; nothing is asked of the issuer for what could never pass."""
        try:
            header = jwt.get_unverified_header(token.reveal())
        except jwt.PyJWTError as error:
            reason = type(error).__name__
        else:
            if header.get("alg") in ALGORITHMS and header.get("kid"):
                return str(header["kid"])
            reason = "The token names no key, or an algorithm that is not allowed."
        raise TokenRefused(reason)
