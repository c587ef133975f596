"""The authorizer, asked as API Gateway asks it, and an issuer of real keys that it reads over real HTTP."""

import base64
import hashlib
import hmac
import io
import json
import logging
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jwt.warnings import InsecureKeyLengthWarning

from authorize_caller import handler as function
from authorize_caller.errors import IssuerUnavailable, Misconfigured, TokenRefused
from authorize_caller.issuer import IssuerKeys, believable
from authorize_caller.tokens import TENANT_CHARACTERS, Token, Verifier, bearer
from headwater import telemetry
from local.oidc_issuer import CONFIGURATION, KEYS, Answer, OidcIssuer, oidc_issuer

METHOD = "arn:aws:execute-api:eu-central-1:123456789012:a1b2c3d4e5/v1/POST/streams/cloudflare"
MOMENT = 0.3
"""Seconds that an issuer is given where it must not answer."""
PATIENCE = 10.0
"""Seconds that a test waits for what must happen; far more than it takes."""


@pytest.fixture(autouse=True)
def _fresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A process that has verified nothing yet, and that reaches this machine without a proxy."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    function._verifier.cache_clear()
    yield
    function._verifier.cache_clear()


@pytest.fixture
def issuer() -> Iterator[OidcIssuer]:
    with oidc_issuer() as running:
        yield running


@pytest.fixture
def authorize(issuer: OidcIssuer, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], dict[str, Any]]:
    """The deployed function, which trusts ``issuer``."""
    deploy(monkeypatch, issuer.url)
    return call


@pytest.fixture
def logged() -> Iterator[Callable[[], list[dict[str, Any]]]]:
    """Reads what was logged meanwhile, as it is written."""
    logger = telemetry.logger()
    buffer = io.StringIO()
    handler = logging.StreamHandler(buffer)
    handler.setFormatter(logger.registered_formatter)
    logger.addHandler(handler)
    yield lambda: [json.loads(line) for line in buffer.getvalue().splitlines()]
    logging.getLogger(logger.service).removeHandler(handler)


def deploy(monkeypatch: pytest.MonkeyPatch, url: str, audience: str = "headwater", claim: str = "sub") -> None:
    monkeypatch.setenv("JWT_ISSUER", url)
    monkeypatch.setenv("JWT_AUDIENCE", audience)
    monkeypatch.setenv("JWT_TENANT_CLAIM", claim)


def call(token: str) -> dict[str, Any]:
    event = {"type": "TOKEN", "authorizationToken": f"Bearer {token}", "methodArn": METHOD}
    return function.handler(event, None)


def refused(token: str) -> bool:
    """Whether API Gateway would answer 401: the message is exactly the word that it knows."""
    try:
        call(token)
    except Exception as error:  # noqa: BLE001  # the very kind of error is what API Gateway does not look at
        return str(error) == "Unauthorized"
    return False


def fails(token: str) -> bool:
    """Whether API Gateway would answer 500."""
    try:
        call(token)
    except Exception as error:  # noqa: BLE001  # as above
        return str(error) != "Unauthorized"
    return False


def tenant_of(issuer: OidcIssuer, claim: str) -> str:
    return f"jwt:{hashlib.sha256(issuer.url.encode()).hexdigest()[:16]}:{claim}"


def encoded(part: Any) -> str:
    content = part if isinstance(part, bytes) else json.dumps(part).encode()
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def forged(header: Any, claims: Any, signature: bytes = b"") -> str:
    return ".".join(map(encoded, (header, claims, signature)))


def claims_of(token: str) -> dict[str, Any]:
    claims: dict[str, Any] = json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))
    return claims


def verifier(issuer: OidcIssuer, **limits: float) -> Verifier:
    return Verifier(IssuerKeys(issuer.url, **limits), "headwater", "sub")


class TestABearerIsLetIn:
    def test_a_valid_token_lets_its_tenant_call_the_whole_stage(self, authorize: Any, issuer: OidcIssuer) -> None:
        assert authorize(issuer.token(sub="acme")) == {
            "principalId": tenant_of(issuer, "acme"),
            "policyDocument": {
                "Version": "2012-10-17",
                "Statement": [
                    {
                        "Action": "execute-api:Invoke",
                        "Effect": "Allow",
                        "Resource": "arn:aws:execute-api:eu-central-1:123456789012:a1b2c3d4e5/v1/*",
                    }
                ],
            },
            "context": {"tenant": tenant_of(issuer, "acme")},
        }

    @pytest.mark.parametrize(
        "algorithm", ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA"]
    )
    def test_each_asymmetric_algorithm_is_understood(self, authorize: Any, issuer: OidcIssuer, algorithm: str) -> None:
        issuer.add_key(algorithm)
        assert authorize(issuer.token(sub="acme"))["principalId"] == tenant_of(issuer, "acme")

    def test_an_rsa_key_that_declares_no_algorithm_is_for_rs256(self, authorize: Any, issuer: OidcIssuer) -> None:
        del issuer.published[0]["alg"]
        assert authorize(issuer.token())

    def test_one_audience_of_several_is_enough(self, authorize: Any, issuer: OidcIssuer) -> None:
        assert authorize(issuer.token(aud=["elsewhere", "headwater"]))

    def test_the_tenant_is_the_claim_that_the_deployment_names(
        self, issuer: OidcIssuer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        deploy(monkeypatch, issuer.url, claim="https://example.com/team")
        claims: dict[str, Any] = {"https://example.com/team": "blue"}
        answer = call(issuer.token(**claims))
        assert answer["context"] == {"tenant": tenant_of(issuer, "blue")}

    def test_the_longest_tenant_is_let_in(self, authorize: Any, issuer: OidcIssuer) -> None:
        longest = "ü" * TENANT_CHARACTERS
        assert authorize(issuer.token(sub=longest))["context"]["tenant"] == tenant_of(issuer, longest)

    def test_two_issuers_same_claim_is_two_tenants(self, issuer: OidcIssuer) -> None:
        with oidc_issuer() as other:
            assert verifier(issuer).tenant(Token(issuer.token())) != verifier(other).tenant(Token(other.token()))

    @pytest.mark.parametrize("claim", ["exp", "nbf", "iat"])
    def test_clocks_may_differ_by_seconds(self, authorize: Any, issuer: OidcIssuer, claim: str) -> None:
        wrong_by = -10 if claim == "exp" else 10
        claims: dict[str, Any] = {claim: time.time() + wrong_by}
        assert authorize(issuer.token(**claims))

    def test_an_issuer_whose_name_ends_in_a_slash_is_found(
        self, issuer: OidcIssuer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        slashed = issuer.url + "/"
        issuer.configuration["issuer"] = slashed
        deploy(monkeypatch, slashed)
        assert call(issuer.token(iss=slashed))
        assert refused(issuer.token())

    @pytest.mark.parametrize("name", ["/realms/ours", "/realms/ours/"])
    def test_so_is_one_that_is_not_alone_at_its_host(self, issuer: OidcIssuer, name: str) -> None:
        realm = issuer.url + name
        configuration = json.dumps({"issuer": realm, "jwks_uri": issuer.url + KEYS}).encode()
        issuer.answers["/realms/ours" + CONFIGURATION] = Answer(body=configuration)
        assert Verifier(IssuerKeys(realm), "headwater", "sub").tenant(Token(issuer.token(iss=realm)))


class TestATokenIsRefused:
    @pytest.mark.parametrize(
        "claims",
        [
            {"lifetime": -31},
            {"exp": None},
            {"exp": "soon"},
            {"exp": [1]},
            {"exp": float("inf")},
            {"iss": None},
            {"iss": "https://issuer.example"},
            {"iss": ["https://issuer.example"]},
            {"aud": None},
            {"aud": ""},
            {"aud": []},
            {"aud": "elsewhere"},
            {"aud": "headwater "},
            {"aud": [{"headwater": 1}]},
            {"sub": None},
            {"sub": ""},
            {"sub": 42},
            {"sub": "x" * (TENANT_CHARACTERS + 1)},
            {"sub": "two\nlines"},
            {"sub": "half \ud800"},
        ],
        ids=repr,
    )
    @pytest.mark.usefixtures("authorize")
    def test_whose_claims_are_wrong(self, issuer: OidcIssuer, claims: dict[str, Any]) -> None:
        assert refused(issuer.token(**claims))

    @pytest.mark.usefixtures("authorize")
    @pytest.mark.parametrize("claim", ["nbf", "iat"])
    def test_that_is_not_valid_yet(self, issuer: OidcIssuer, claim: str) -> None:
        claims: dict[str, Any] = {claim: time.time() + 60}
        assert refused(issuer.token(**claims))

    @pytest.mark.parametrize("tenant", [None, "", 42, ["acme"], {"name": "acme"}, True])
    def test_whose_tenant_is_no_name(self, issuer: OidcIssuer, monkeypatch: pytest.MonkeyPatch, tenant: Any) -> None:
        deploy(monkeypatch, issuer.url, claim="team")
        assert refused(issuer.token(team=tenant))

    @pytest.mark.usefixtures("authorize")
    def test_that_another_issuer_of_the_same_key_id_signed(self, issuer: OidcIssuer) -> None:
        stranger = issuer.add_key()
        issuer.published.pop()
        assert refused(issuer.token(key=stranger, headers={"kid": issuer.keys[0].kid}))

    @pytest.mark.usefixtures("authorize")
    @pytest.mark.parametrize("part", [0, 1, 2])
    def test_that_was_changed(self, issuer: OidcIssuer, part: int) -> None:
        parts, others = (issuer.token(sub=name).split(".") for name in ("acme", "other"))
        parts[part] = others[part] if part else encoded({"alg": "RS384", "kid": issuer.keys[0].kid})
        assert refused(".".join(parts))

    @pytest.mark.usefixtures("authorize")
    @pytest.mark.parametrize("algorithm", ["none", "None", "NONE", "", None, ["RS256"], 256])
    def test_that_is_not_signed(self, issuer: OidcIssuer, algorithm: Any) -> None:
        header = {"alg": algorithm, "kid": issuer.keys[0].kid}
        assert refused(forged(header, claims_of(issuer.token())))

    @pytest.mark.usefixtures("authorize")
    @pytest.mark.parametrize("form", [PublicFormat.SubjectPublicKeyInfo, PublicFormat.PKCS1])
    def test_that_was_signed_with_the_public_key_as_a_shared_secret(
        self, issuer: OidcIssuer, form: PublicFormat
    ) -> None:
        public = issuer.keys[0].private.public_key().public_bytes(Encoding.PEM, form)
        start = f"{encoded({'alg': 'HS256', 'kid': issuer.keys[0].kid})}.{issuer.token().split('.')[1]}"
        signature = hmac.digest(public, start.encode(), "sha256")
        assert refused(f"{start}.{encoded(signature)}")

    @pytest.mark.usefixtures("authorize")
    def test_that_was_signed_with_a_shared_secret_that_the_issuer_publishes(self, issuer: OidcIssuer) -> None:
        secret = b"s" * 32
        issuer.published.append({"kty": "oct", "alg": "HS256", "kid": "shared", "k": encoded(secret)})
        start = f"{encoded({'alg': 'HS256', 'kid': 'shared'})}.{issuer.token().split('.')[1]}"
        assert refused(f"{start}.{encoded(hmac.digest(secret, start.encode(), 'sha256'))}")

    @pytest.mark.usefixtures("authorize")
    def test_that_brings_its_own_key(self, issuer: OidcIssuer) -> None:
        stranger = issuer.add_key()
        issuer.published.pop()
        asked = {"jwk": stranger.public, "jku": issuer.url + "/elsewhere", "x5u": issuer.url + "/elsewhere"}
        assert refused(issuer.token(key=stranger, headers=asked))
        assert "/elsewhere" not in issuer.asked

    @pytest.mark.usefixtures("authorize")
    def test_whose_algorithm_is_not_its_keys(self, issuer: OidcIssuer) -> None:
        assert refused(issuer.token(headers={"alg": "PS256"}))

    @pytest.mark.usefixtures("authorize")
    def test_whose_curve_is_not_among_ours(self, issuer: OidcIssuer) -> None:
        issuer.add_key("ES512")
        assert refused(issuer.token())

    @pytest.mark.usefixtures("authorize")
    def test_whose_key_is_too_short(self, issuer: OidcIssuer) -> None:
        issuer.add_key(bits=1024)
        with pytest.warns(InsecureKeyLengthWarning):
            token = issuer.token()
        assert refused(token)

    @pytest.mark.usefixtures("authorize")
    def test_whose_key_is_for_encryption(self, issuer: OidcIssuer) -> None:
        issuer.add_key()
        issuer.published[-1]["use"] = "enc"
        assert refused(issuer.token())

    @pytest.mark.usefixtures("authorize")
    @pytest.mark.parametrize("kid", [None, "", 7, ["RS256-0"]])
    def test_that_names_no_key(self, issuer: OidcIssuer, kid: Any) -> None:
        token = issuer.token()
        assert refused(".".join([encoded({"alg": "RS256", "kid": kid}), *token.split(".")[1:]]))
        assert refused(issuer.token(headers={"kid": None}))

    @pytest.mark.usefixtures("authorize")
    def test_with_a_critical_header_that_nobody_here_knows(self, issuer: OidcIssuer) -> None:
        assert refused(issuer.token(headers={"crit": ["exotic"], "exotic": 1}))

    @pytest.mark.usefixtures("authorize")
    @pytest.mark.parametrize(
        "text",
        [
            "",
            " ",
            "x",
            "a.b",
            "a.b.c",
            "a.b.c.d",
            "..",
            "é.é.é",
            forged([], {}),
            forged("RS256", {}),
            forged(b"[" * 7000, {}),
            forged({"alg": "RS256", "kid": "RS256-0"}, b"[" * 7000),
            forged({"alg": "RS256", "kid": "RS256-0"}, []),
        ],
        ids=lambda text: text[:20],
    )
    def test_that_is_none(self, text: str) -> None:
        assert refused(text)

    @pytest.mark.usefixtures("authorize")
    @settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(data=st.data())
    def test_with_any_character_changed(self, issuer: OidcIssuer, data: st.DataObject) -> None:
        token = issuer.token()
        at = data.draw(st.integers(0, len(token) - 1))
        character = data.draw(st.characters(min_codepoint=33, max_codepoint=126).filter(lambda c: c != token[at]))
        assert refused(token[:at] + character + token[at + 1 :])

    @pytest.mark.parametrize("text", ["", "Bearer", "Basic dTpw", "Token a.b.c", "Bearer é"])
    def test_that_no_bearer_bears(self, text: str) -> None:
        with pytest.raises(TokenRefused):
            bearer(text).reveal()

    @pytest.mark.usefixtures("authorize")
    def test_and_the_log_says_why(self, issuer: OidcIssuer, logged: Callable[[], list[dict[str, Any]]]) -> None:
        assert refused(issuer.token(lifetime=-60))
        assert refused(issuer.token(aud="elsewhere"))
        assert [(line["level"], line["message"], line["reason"]) for line in logged()] == [
            ("INFO", "refused", "ExpiredSignatureError"),
            ("INFO", "refused", "InvalidAudienceError"),
        ]


class TestTheIssuerIsSeldomAsked:
    def test_once_for_many_tokens(self, authorize: Any, issuer: OidcIssuer) -> None:
        for name in ("acme", "other", "acme"):
            authorize(issuer.token(sub=name))
        assert issuer.asked == [CONFIGURATION, KEYS]

    @pytest.mark.usefixtures("authorize")
    def test_not_at_all_for_what_could_never_pass(self, issuer: OidcIssuer) -> None:
        for header in ({"alg": "none", "kid": "x"}, {"alg": "HS256", "kid": "x"}, {"alg": "RS256"}):
            assert refused(forged(header, {}))
        assert issuer.asked == []

    def test_invented_key_ids_have_it_asked_once_more(self, authorize: Any, issuer: OidcIssuer) -> None:
        authorize(issuer.token())
        for n in range(50):
            assert refused(issuer.token(headers={"kid": f"invented-{n}"}))
        assert issuer.asked.count(KEYS) == 2

    def test_invented_key_ids_do_not_hammer_one_that_fails(self, issuer: OidcIssuer) -> None:
        checking = verifier(issuer, retry=0)
        checking.tenant(Token(issuer.token()))
        issuer.answers[CONFIGURATION] = Answer(503)
        for n in range(50):
            with pytest.raises(IssuerUnavailable):
                checking.tenant(Token(issuer.token(headers={"kid": f"invented-{n}"})))
        assert issuer.asked.count(CONFIGURATION) == 2
        assert checking.tenant(Token(issuer.token()))

    def test_a_rotated_key_is_found_at_once(self, authorize: Any, issuer: OidcIssuer) -> None:
        retired = issuer.token()
        authorize(retired)
        issuer.rotate()
        assert authorize(issuer.token())
        assert refused(retired)

    def test_a_second_rotation_waits_for_the_cooldown(self, issuer: OidcIssuer) -> None:
        checking = verifier(issuer, cooldown=MOMENT)
        for _ in range(2):
            checking.tenant(Token(issuer.token()))
            issuer.rotate()
        until(lambda: believes(checking, Token(issuer.token())))
        assert issuer.asked.count(KEYS) == 3

    def test_keys_are_read_anew_when_they_are_old(self, issuer: OidcIssuer) -> None:
        checking = verifier(issuer, lifespan=MOMENT)
        token = Token(issuer.token())
        checking.tenant(token)
        issuer.rotate()
        until(lambda: not believes(checking, token))  # a withdrawn key does not outlive the cache
        assert issuer.asked.count(KEYS) >= 2

    def test_known_keys_outlive_a_short_failure(self, authorize: Any, issuer: OidcIssuer) -> None:
        authorize(issuer.token())
        issuer.answers[CONFIGURATION] = issuer.answers[KEYS] = Answer(500)
        assert authorize(issuer.token())


class TestASilentIssuerIsNotTheCallersFault:
    def test_one_that_is_not_there(self, issuer: OidcIssuer, monkeypatch: pytest.MonkeyPatch) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            deploy(monkeypatch, f"http://127.0.0.1:{taken.getsockname()[1]}")
        assert fails(issuer.token())

    def test_one_that_never_answers(self, issuer: OidcIssuer) -> None:
        with socket.create_server(("127.0.0.1", 0)) as silent:
            keys = IssuerKeys(f"http://127.0.0.1:{silent.getsockname()[1]}", seconds=MOMENT)
            began = time.monotonic()
            with pytest.raises(IssuerUnavailable):
                keys.find("any")
        assert time.monotonic() - began < PATIENCE / 2

    def test_one_that_does_not_speak_http(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as other, ThreadPoolExecutor(1) as answering:
            answering.submit(speak_gibberish, other)
            with pytest.raises(IssuerUnavailable):
                IssuerKeys(f"http://127.0.0.1:{other.getsockname()[1]}").find("any")

    @pytest.mark.parametrize("path", [CONFIGURATION, KEYS])
    def test_one_that_drips(self, issuer: OidcIssuer, path: str) -> None:
        issuer.answers[path] = Answer(body=b" " * 1000, pause=MOMENT / 10)
        began = time.monotonic()
        with pytest.raises(IssuerUnavailable):
            IssuerKeys(issuer.url, seconds=MOMENT).find("any")
        assert time.monotonic() - began < PATIENCE / 2

    @pytest.mark.usefixtures("authorize")
    @pytest.mark.parametrize("path", [CONFIGURATION, KEYS])
    @pytest.mark.parametrize(
        "answer",
        [
            Answer(500),
            Answer(404, body=b"{}"),
            Answer(204),
            Answer(302, {"Location": "/elsewhere"}),
            Answer(body=b"<html>"),
            Answer(body=b"\xff\xfe"),
            Answer(body=b"[]"),
        ],
        ids=lambda answer: f"{answer.status} {answer.body[:8]!r}",
    )
    def test_one_that_answers_nonsense(self, issuer: OidcIssuer, path: str, answer: Answer) -> None:
        issuer.answers[path] = answer
        assert fails(issuer.token())
        assert "/elsewhere" not in issuer.asked
        with pytest.raises(IssuerUnavailable):
            IssuerKeys(issuer.url).find("any")

    @pytest.mark.usefixtures("authorize")
    def test_one_that_answers_too_much(self, issuer: OidcIssuer) -> None:
        issuer.published[0]["padding"] = "x" * 1_000_000
        assert fails(issuer.token())

    @pytest.mark.usefixtures("authorize")
    @pytest.mark.parametrize(
        "published", [[], [{}], ["RS256-0"], [{"kty": "RSA"}], [{"kty": "oct", "k": "c2VjcmV0", "use": "enc"}]]
    )
    def test_one_that_publishes_no_key_of_use(self, issuer: OidcIssuer, published: list[Any]) -> None:
        token = issuer.token()
        issuer.published[:] = published
        assert fails(token)

    @pytest.mark.usefixtures("authorize")
    def test_the_log_says_what_and_where(self, issuer: OidcIssuer, logged: Callable[[], list[dict[str, Any]]]) -> None:
        issuer.answers[KEYS] = Answer(503)
        assert fails(issuer.token())
        (line,) = logged()
        assert (line["level"], line["message"], line["error"]) == (
            "ERROR",
            "The issuer answered 503.",
            "IssuerUnavailable",
        )

    def test_it_is_asked_again_soon(self, issuer: OidcIssuer) -> None:
        checking = verifier(issuer, retry=3 * MOMENT, cooldown=60)
        token = Token(issuer.token())
        issuer.answers[CONFIGURATION] = Answer(503)
        for _ in range(5):
            with pytest.raises(IssuerUnavailable):
                checking.tenant(token)
        assert issuer.asked == [CONFIGURATION]
        issuer.answers.clear()
        until(lambda: believes(checking, token))
        assert issuer.asked == [CONFIGURATION, CONFIGURATION, KEYS]


class TestNothingIsBelievedThatAnybodyCouldHaveWritten:
    @pytest.mark.parametrize(
        "address",
        [
            "",
            "issuer.example",
            "http://issuer.example",
            "http://localhost:1",
            "http://127.0.0.1.issuer.example",
            "http://127.0.0.1@issuer.example",
            "file:///etc/issuer",
            "https://",
        ],
    )
    def test_an_issuer_is_https(self, issuer: OidcIssuer, monkeypatch: pytest.MonkeyPatch, address: str) -> None:
        with pytest.raises(Misconfigured):
            IssuerKeys(address)
        deploy(monkeypatch, address)
        assert fails(issuer.token(iss=address))

    @pytest.mark.parametrize("address", [None, 7, "", "/keys", "http://keys.example/keys", "http://localhost/keys"])
    def test_so_are_its_keys(self, issuer: OidcIssuer, address: Any) -> None:
        issuer.configuration["jwks_uri"] = address
        with pytest.raises(Misconfigured):
            IssuerKeys(issuer.url).find("any")
        assert issuer.asked == [CONFIGURATION]

    @pytest.mark.usefixtures("authorize")
    def test_its_keys_are_not_in_a_file(self, issuer: OidcIssuer, tmp_path: Path) -> None:
        keys = json.dumps({"keys": issuer.published})
        (tmp_path / "keys").write_text(keys)
        for address in ((tmp_path / "keys").as_uri(), f"data:application/json,{keys}"):
            issuer.configuration["jwks_uri"] = address
            function._verifier.cache_clear()
            assert fails(issuer.token())

    def test_an_issuer_elsewhere_has_no_keys_on_this_machine(self) -> None:
        assert not believable("http://127.0.0.1/keys", local=False)

    @pytest.mark.usefixtures("authorize")
    @pytest.mark.parametrize("name", [None, "https://issuer.example", ["http://127.0.0.1"]])
    def test_its_configuration_names_itself(self, issuer: OidcIssuer, name: Any) -> None:
        issuer.configuration["issuer"] = name
        assert fails(issuer.token())
        assert issuer.asked == [CONFIGURATION]

    @pytest.mark.parametrize(("audience", "claim"), [("", "sub"), ("headwater", "")])
    def test_a_deployment_names_audience_and_claim(
        self, issuer: OidcIssuer, monkeypatch: pytest.MonkeyPatch, audience: str, claim: str
    ) -> None:
        deploy(monkeypatch, issuer.url, audience, claim)
        assert fails(issuer.token(aud=audience or None))


class TestTheTokenIsShownNowhere:
    CANARY = "canary-tenant-5d0f"

    def spoilt(self, issuer: OidcIssuer) -> Iterator[str]:
        """Tokens that fail in every way there is."""
        good = issuer.token(sub=self.CANARY)
        yield from (
            issuer.token(sub=self.CANARY, **claims) for claims in ({"lifetime": -99}, {"aud": "x"}, {"iss": "x"})
        )
        yield issuer.token(sub=self.CANARY, headers={"kid": self.CANARY})
        yield issuer.token(sub=self.CANARY * 20)
        yield forged({"alg": self.CANARY, "kid": self.CANARY}, {})
        yield forged(self.CANARY.encode(), {})
        yield from (good[:-9], good + "A", good.replace(".", self.CANARY), good.split(".")[1])

    def test_a_refusal_has_no_cause_and_no_context(self, authorize: Any, issuer: OidcIssuer) -> None:
        for token in self.spoilt(issuer):
            with pytest.raises(Exception, match=r"^Unauthorized$") as caught:
                authorize(token)
            assert (caught.value.__cause__, caught.value.__context__) == (None, None)
            assert type(caught.value) is Exception

    def test_nor_has_the_verifiers_own(self, issuer: OidcIssuer) -> None:
        checking = verifier(issuer)
        for token in self.spoilt(issuer):
            with pytest.raises(TokenRefused) as caught:
                checking.tenant(Token(token))
            assert (caught.value.__cause__, caught.value.__context__) == (None, None)
            assert self.CANARY not in str(caught.value)

    def test_a_failure_has_none_either(self, authorize: Any, issuer: OidcIssuer) -> None:
        issuer.answers[KEYS] = Answer(503)
        for token in self.spoilt(issuer):
            with pytest.raises(Exception, match=r"Unauthorized|The issuer") as caught:
                authorize(token)
            assert (caught.value.__cause__, caught.value.__context__) == (None, None)

    def test_an_unforeseen_failure_tells_nothing_of_it(
        self, issuer: OidcIssuer, monkeypatch: pytest.MonkeyPatch, logged: Callable[[], list[dict[str, Any]]]
    ) -> None:
        token = issuer.token()
        with pytest.raises(Exception, match=r"^The token could not be checked\.$") as caught:
            function.handler({"authorizationToken": {token: token}, "methodArn": METHOD}, None)
        assert caught.value.__context__ is None
        assert logged()[0]["message"] == "unforeseen"
        assert token not in json.dumps(logged())

    def test_it_does_not_show_itself(self, issuer: OidcIssuer) -> None:
        token = issuer.token()
        assert token not in f"{bearer('Bearer ' + token)!r} {bearer('Bearer ' + token)}"

    def test_nothing_that_a_process_writes_holds_any_of_it(self, issuer: OidcIssuer) -> None:
        tokens = [issuer.token(sub=self.CANARY), *self.spoilt(issuer)]
        written = in_a_process(PROGRAM, issuer, tokens)
        assert "refused" in written
        assert "The issuer could not be reached" in written
        assert self.CANARY not in written
        for part in {part for token in tokens for part in token.split(".") if len(part) > 8}:
            assert part[:12] not in written


class TestTheFunctionStartsLightly:
    def test_importing_reads_no_environment_and_loads_nothing_heavy(self) -> None:
        program = (
            "import sys, authorize_caller.handler; "
            "print(*({'boto3', 'pydantic', 'httpx', 'aws_lambda_powertools'} & set(sys.modules)))"
        )
        assert in_a_process(program).strip() == ""


PROGRAM = """
import json, os, sys, traceback
from authorize_caller import handler as function

def run(tokens):
    for token in tokens:
        try:
            function.handler({"authorizationToken": f"Bearer {token}", "methodArn": "arn:x:y/v1/GET/z"}, None)
        except Exception:
            traceback.print_exc()

tokens = json.load(sys.stdin)
run(tokens)
function._verifier.cache_clear()
os.environ["JWT_ISSUER"] = "http://127.0.0.1:9"
run(tokens)
"""


def in_a_process(program: str, issuer: OidcIssuer | None = None, tokens: list[str] | None = None) -> str:
    """All that a process of its own writes, whose environment is the function's and whose input is ``tokens``."""
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(sys.path), "no_proxy": "127.0.0.1"}
    if issuer:
        deployed = {"JWT_ISSUER": issuer.url, "JWT_AUDIENCE": "headwater", "JWT_TENANT_CLAIM": "sub"}
        environment.update(deployed, POWERTOOLS_LOG_LEVEL="DEBUG")
    finished = subprocess.run(  # noqa: S603  # this very interpreter, with a program of this file
        [sys.executable, "-c", program],
        env=environment,
        input=json.dumps(tokens),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return finished.stdout + finished.stderr


def speak_gibberish(listening: socket.socket) -> None:
    """Answers the first to call."""
    listening.settimeout(PATIENCE)
    called, _ = listening.accept()
    with called:
        called.recv(65_536)
        called.sendall(b"220 smtp.example ESMTP\r\n")


def believes(checking: Verifier, token: Token) -> bool:
    try:
        return bool(checking.tenant(token))
    except (IssuerUnavailable, TokenRefused):
        return False


def until(happened: Callable[[], bool]) -> None:
    """Waits for it."""
    end = time.monotonic() + PATIENCE
    while not happened():
        assert time.monotonic() < end
        time.sleep(0.02)
