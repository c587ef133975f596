"""The issuer's public keys: where they are published, and how seldom they are asked for."""

import json
import urllib.error
import urllib.request
from functools import cache
from http.client import HTTPException, HTTPResponse
from typing import Any
from urllib.parse import urlsplit

from jwt import PyJWK, PyJWKClient, PyJWKSet, PyJWTError
from jwt.exceptions import PyJWKClientError

from authorize_caller.errors import AuthorizationError, IssuerUnavailable, Misconfigured
from headwater.deadline import Deadline

CALL_SECONDS = 3.0
LIFESPAN_SECONDS = 300.0
COOLDOWN_SECONDS = 10.0
RETRY_SECONDS = 1.0
ANSWER_BYTES = 1_000_000
"""Far above the longest key set there is."""
LOCAL = "127.0.0.1"


class IssuerKeys(PyJWKClient):
    """The keys that an OIDC issuer signs with, found by OpenID Connect Discovery 1.0, section 4.

    They are kept ``lifespan`` seconds. A key id that is not among them has them fetched anew, but not within
    ``cooldown`` seconds of the last time it did, nor of a failure to: nobody makes us hammer the issuer by inventing
    key ids. While there are none at all, a failed fetch is repeated after ``retry`` seconds. A fetch is two calls,
    each given ``seconds``. Raises ``Misconfigured`` unless the issuer is https, or http on this very machine.
    """

    def __init__(
        self,
        issuer: str,
        *,
        seconds: float = CALL_SECONDS,
        lifespan: float = LIFESPAN_SECONDS,
        cooldown: float = COOLDOWN_SECONDS,
        retry: float = RETRY_SECONDS,
    ) -> None:
        if not believable(issuer, local=True):
            raise Misconfigured("The issuer's address is not https.")
        configuration = f"{issuer.rstrip('/')}/.well-known/openid-configuration"
        super().__init__(configuration, lifespan=lifespan, timeout=seconds, cooldown_duration=cooldown)
        self.issuer = issuer
        self._retry = retry
        self._rest = Deadline(0)

    def find(self, kid: str) -> PyJWK | None:
        """The key of this id. Raises ``IssuerUnavailable``, ``Misconfigured``."""
        try:
            return self.get_signing_key(kid)
        except PyJWKClientError:  # there are keys, or `fetch_data` had raised: this id is none of theirs
            return None

    def fetch_data(self) -> PyJWKSet:
        """In the library's stead, which reads any amount for any time, and does not rest after a failure."""
        if self._rest.remaining():
            raise IssuerUnavailable("The issuer failed a moment ago.")
        try:
            return self._published()
        except AuthorizationError:
            known = self.jwk_set_cache and self.jwk_set_cache.get()
            self._rest = Deadline(self.cooldown_duration if known else self._retry)
            raise

    def forget(self) -> None:
        """As if nothing had been fetched: its lifetimes are of a clock that stops while a snapshot lies."""
        if self.jwk_set_cache:
            self.jwk_set_cache.put(None)
        self._last_successful_fetch = None
        self._rest = Deadline(0)

    def _published(self) -> PyJWKSet:
        document = read_json(self._keys_address(), self.timeout)
        try:
            published = PyJWKSet.from_dict(document)
        except PyJWTError:
            raise IssuerUnavailable("The issuer publishes no key that can be used.") from None
        if not any(key.key_id and key.public_key_use in (None, "sig") for key in published):
            raise IssuerUnavailable("The issuer publishes no key that signs and has an id.")
        return published

    def _keys_address(self) -> str:
        configuration = read_json(self.uri, self.timeout)
        if configuration.get("issuer") != self.issuer:  # section 4.3: it must be the same to the letter
            raise Misconfigured("The issuer's configuration names another issuer.")
        address = configuration.get("jwks_uri")
        if not isinstance(address, str) or not believable(address, local=urlsplit(self.issuer).hostname == LOCAL):
            raise Misconfigured("The issuer's configuration gives no https address for its keys.")
        return address


def read_json(address: str, seconds: float) -> dict[str, Any]:
    """The object that is published at an address. No redirect is followed. Raises ``IssuerUnavailable``."""
    deadline = Deadline(seconds)
    try:
        with _opener().open(address, timeout=seconds) as response:
            document = json.loads(_content(response, deadline))
    except urllib.error.HTTPError as refusal:
        refusal.close()
        problem = f"answered {refusal.code}"
    except (OSError, HTTPException):
        problem = "could not be reached, or did not answer in time"
    except ValueError:
        problem = "did not answer with JSON"
    else:
        if isinstance(document, dict):
            return document
        problem = "did not answer with a JSON object"
    raise IssuerUnavailable(f"The issuer {problem}.")


def _content(response: HTTPResponse, deadline: Deadline) -> bytes:
    """The whole body. The socket's timeout bounds each read alone, so a dripping answer is bounded here."""
    content = bytearray()
    while chunk := response.read1(65_536):
        content += chunk
        if len(content) > ANSWER_BYTES or not deadline.remaining():
            raise TimeoutError("the answer does not end")
    return bytes(content)


def believable(address: str, *, local: bool) -> bool:
    """Whether nobody can have changed what is read there: TLS, or a machine that asks itself."""
    parts = urlsplit(address)
    itself = local and parts.scheme == "http" and parts.hostname == LOCAL
    return bool(parts.hostname) and (parts.scheme == "https" or itself)


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Takes a redirect for a refusal: it could lead away from https."""

    def redirect_request(self, *_: Any) -> None:
        return None


@cache
def _opener() -> urllib.request.OpenerDirector:
    """The process's one, as each reads the machine's certificates anew. PyJWT has loaded urllib: it costs nothing."""
    return urllib.request.build_opener(_NoRedirect)
