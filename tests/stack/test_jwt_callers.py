"""A deployment whose callers bear tokens: the authorizer on the deployed API, beside one that takes signatures."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from local.cloud import HOME, LocalCloud
from local.oidc_issuer import OidcIssuer, oidc_issuer


@pytest.fixture(scope="module")
def issuer() -> Iterator[OidcIssuer]:
    with oidc_issuer() as issuer:
        yield issuer


@pytest.fixture(scope="module")
def streams_url(issuer: OidcIssuer) -> Iterator[str]:
    """Where a deployment of its own creates streams at the provider that needs no secret of ours."""
    local = LocalCloud(Path(HOME) / "test-jwt")
    try:
        cloud = local.up({"CallerKind": "Jwt", "JwtIssuer": issuer.url})
        yield f"{cloud.api_url}/streams/kinesis-video"
    finally:
        local.down()


def bearing(token: str, key: str = "jwt-1") -> dict[str, str]:
    return {"Authorization": f"Bearer {token}", "Idempotency-Key": key}


def test_a_token_of_the_issuer_opens_a_stream_that_is_its_tenant_s_alone(issuer: OidcIssuer, streams_url: str) -> None:
    mine, theirs = bearing(issuer.token(sub="acme")), bearing(issuer.token(sub="umbrella"))
    opened = httpx.post(streams_url, json={}, headers=mine, timeout=40)
    assert opened.status_code == 201, opened.text
    one = f"{streams_url}/{opened.json()['id']}"
    assert httpx.get(one, headers=mine, timeout=40).status_code == 200
    hidden = httpx.get(one, headers=theirs, timeout=40)
    assert (hidden.status_code, hidden.json()["code"]) == (404, "stream-not-found")
    # The same key of another tenant names another stream.
    other = httpx.post(streams_url, json={}, headers=theirs, timeout=40)
    assert other.status_code == 201
    assert other.json()["id"] != opened.json()["id"]


@pytest.mark.parametrize(
    "headers",
    [{}, {"Authorization": "Bearer not.a.token"}, {"Authorization": "Basic YTpi"}],
    ids=["no token", "no JWT", "another scheme"],
)
def test_without_a_valid_token_nobody_comes_in(streams_url: str, headers: dict[str, str]) -> None:
    refused = httpx.post(streams_url, json={}, headers={"Idempotency-Key": "jwt-2", **headers}, timeout=40)
    assert refused.status_code == 401, refused.text
    assert refused.headers["content-type"] == "application/problem+json"
    assert refused.json()["code"] == "unauthenticated"


def test_a_token_for_another_audience_is_refused(issuer: OidcIssuer, streams_url: str) -> None:
    refused = httpx.post(streams_url, json={}, headers=bearing(issuer.token(sub="acme", aud="another")), timeout=40)
    assert (refused.status_code, refused.json()["code"]) == (401, "unauthenticated")
