"""An OpenID Connect issuer on this machine: it publishes its keys over HTTP and signs whatever it is asked to.

    with oidc_issuer() as issuer:
        issuer.url                                  # the JwtIssuer of a local deployment
        issuer.token(sub="acme", aud="headwater")   # what a caller bears

Its private keys are the same in every issuer of a process, as RSA keys take long to make; they open nothing.
"""

import json
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, cast

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import get_default_algorithms

CONFIGURATION = "/.well-known/openid-configuration"
KEYS = "/keys"

type PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey


@cache
def private_key(algorithm: str, serial: int, bits: int = 2048) -> PrivateKey:  # noqa: ARG001  # tells keys apart
    """The key that a JWS algorithm signs with; ``bits`` are an RSA key's."""
    match algorithm:
        case "ES256":
            return ec.generate_private_key(ec.SECP256R1())
        case "ES384":
            return ec.generate_private_key(ec.SECP384R1())
        case "ES512":
            return ec.generate_private_key(ec.SECP521R1())
        case "EdDSA":
            return ed25519.Ed25519PrivateKey.generate()
        case _:
            return rsa.generate_private_key(public_exponent=65537, key_size=bits)


@dataclass(frozen=True)
class SigningKey:
    """One of the issuer's keys."""

    kid: str
    algorithm: str
    private: PrivateKey

    @property
    def public(self) -> dict[str, Any]:
        """What is published of it, as RFC 7517 has it."""
        described: dict[str, Any] = get_default_algorithms()[self.algorithm].to_jwk(
            self.private.public_key(), as_dict=True
        )
        return {**described, "kid": self.kid, "alg": self.algorithm, "use": "sig"}


@dataclass(frozen=True)
class Answer:
    """What is answered instead of a document. With ``pause``, each byte of the body comes so many seconds after the
    one before."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    pause: float = 0


class OidcIssuer:
    """Its documents may be changed at any time; ``answers``, by path, come in their stead."""

    def __init__(self, url: str, algorithm: str) -> None:
        self.url = url
        self.asked: list[str] = []
        """The paths that were asked for, oldest first."""
        self.answers: dict[str, Answer] = {}
        self.configuration: dict[str, Any] = {
            "issuer": url,
            "jwks_uri": url + KEYS,
            "response_types_supported": ["id_token"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
        }
        self.keys: list[SigningKey] = []
        self.published: list[dict[str, Any]] = []
        self.add_key(algorithm)

    def add_key(self, algorithm: str = "RS256", bits: int = 2048) -> SigningKey:
        """Makes one more key, publishes it, and signs with it from now on."""
        serial = len(self.keys)
        key = SigningKey(f"{algorithm}-{serial}", algorithm, private_key(algorithm, serial, bits))
        self.keys.append(key)
        self.published.append(key.public)
        return key

    def rotate(self, algorithm: str = "RS256") -> SigningKey:
        """As ``add_key``, and no longer publishes the others."""
        self.published.clear()
        return self.add_key(algorithm)

    def token(
        self,
        *,
        key: SigningKey | None = None,
        headers: Mapping[str, Any] | None = None,
        lifetime: float = 300,
        **claims: Any,
    ) -> str:
        """A signed token of ``lifetime`` seconds: sub ``somebody``, aud ``headwater`` unless ``claims`` say otherwise.

        A claim of None, and a header of None, is left out. Signed with ``key``, else the newest.
        """
        key = key or self.keys[-1]
        now = int(time.time())
        usual = {"iss": self.url, "sub": "somebody", "aud": "headwater", "iat": now, "exp": now + lifetime}
        return jwt.api_jws.encode(
            json.dumps(_given({**usual, **claims})).encode(),
            cast(Any, key.private),  # PyJWT has names of its own for the same types
            key.algorithm,
            _given({"kid": key.kid, **(headers or {})}),
        )

    def answer(self, path: str) -> Answer:
        """What is answered to a GET of a path, which is counted."""
        self.asked.append(path)
        documents = {CONFIGURATION: self.configuration, KEYS: {"keys": self.published}}
        if path in self.answers:
            return self.answers[path]
        if path not in documents:
            return Answer(404)
        return Answer(200, {"Content-Type": "application/json"}, json.dumps(documents[path]).encode())


@contextmanager
def oidc_issuer(port: int = 0, algorithm: str = "RS256") -> Iterator[OidcIssuer]:
    """An issuer on 127.0.0.1 until the block ends; port 0 takes a free one. Pauses under way are cut short then."""
    with ThreadingHTTPServer(("127.0.0.1", port), BaseHTTPRequestHandler) as server:
        stopping = threading.Event()
        issuer = OidcIssuer(f"http://127.0.0.1:{server.server_port}", algorithm)
        server.RequestHandlerClass = cast(Any, lambda *args: _Handler(*args, issuer=issuer, stopping=stopping))
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield issuer
        finally:
            stopping.set()
            server.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    def __init__(self, *args: Any, issuer: OidcIssuer, stopping: threading.Event) -> None:
        self._issuer = issuer
        self._stopping = stopping
        super().__init__(*args)

    def do_GET(self) -> None:
        answer = self._issuer.answer(self.path)
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        try:
            self._send(answer)
        except ConnectionError:  # the client has gone away
            self.close_connection = True

    def _send(self, answer: Answer) -> None:
        if not answer.pause:
            self.wfile.write(answer.body)
            return
        for byte in answer.body:
            if self._stopping.wait(answer.pause):
                return
            self.wfile.write(bytes([byte]))

    def log_message(self, *_: Any) -> None:
        """Nothing: what was asked is in ``OidcIssuer.asked``."""


def _given(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}
