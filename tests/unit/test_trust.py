"""Whom our calls trust: Amazon's roots, and everybody's, of which a handshake reads the one it needs."""

import json
import ssl
from collections.abc import Iterator
from pathlib import Path

import botocore
import certifi
import pytest

from headwater import aws, http
from headwater.deadline import Deadline
from headwater.errors import ProviderUnavailable
from headwater.http import Answer, Explanation, ProviderClient
from tests.unit.authorities import Authority, common_name
from tests.unit.test_cold_start import built_with

roots = built_with("roots")


@pytest.fixture
def built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """What the build lays out beside the packages, at a place where it can be changed."""
    folder = tmp_path / "roots"
    roots.lay_out(Path(certifi.where()), folder)
    monkeypatch.setattr(aws, "ROOTS", folder)
    monkeypatch.setattr(http, "ROOTS", folder)
    monkeypatch.delenv("AWS_CA_BUNDLE", raising=False)
    http._trust.cache_clear()
    yield folder
    http._trust.cache_clear()


# ---- AWS


def regions() -> dict[str, str]:
    """The partition of each region that botocore knows of."""
    told = json.loads((Path(botocore.__file__).parent / "data" / "partitions.json").read_text())["partitions"]
    return {region: one["id"] for one in told for region in one["regions"] if not region.endswith("-global")}


def test_in_commercial_regions_amazon_s_roots_alone_are_trusted(built: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    partitions = set()
    for region, partition in regions().items():
        monkeypatch.setenv("AWS_REGION", region)
        partitions.add(partition)
        assert aws.trusted() == (str(built / "amazon.pem") if partition == "aws" else None), region
    assert {"aws", "aws-cn", "aws-us-gov", "aws-iso", "aws-iso-b", "aws-eusc"} <= partitions


def test_the_file_that_an_operator_names_goes_before(built: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_REGION", "eu-central-1")
    monkeypatch.setenv("AWS_CA_BUNDLE", certifi.where())
    assert aws.trusted() is None


def test_where_nothing_was_built_botocore_chooses(built: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_REGION", "eu-central-1")
    (built / "amazon.pem").unlink()
    assert aws.trusted() is None


def test_a_client_trusts_amazon_s_five_roots(built: Path, cloud: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_REGION", "eu-central-1")
    verify = aws.client("dynamodb")._endpoint.http_session._verify
    assert verify == str(built / "amazon.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(verify)
    assert len(context.get_ca_certs()) == 5


# ---- providers


def asked(url: str) -> Answer:
    client = ProviderClient("fake", url, lambda _: {}, lambda _: Explanation())
    try:
        return client.call("GET", "/", Deadline(20), repeatable=False)
    finally:
        client._client.close()


@pytest.fixture
def stranger() -> Authority:
    return Authority(common_name("A stranger"))


@pytest.mark.parametrize("beside", ["roots", "nothing"])
def test_a_server_that_a_stranger_vouches_for_is_not_talked_to(
    built: Path, stranger: Authority, tmp_path: Path, beside: str
) -> None:
    if beside == "nothing":
        (built / "hashed").rename(built / "elsewhere")
    with stranger.serving(tmp_path) as url, pytest.raises(ProviderUnavailable, match="could not be reached"):
        asked(url)


def test_one_that_is_vouched_for_by_a_root_of_the_directory_is(
    built: Path, stranger: Authority, tmp_path: Path
) -> None:
    roots.add(built / "hashed", [stranger.pem])
    with stranger.serving(tmp_path) as url:
        assert asked(url).status == 200


def test_a_certificate_for_another_name_is_none(built: Path, stranger: Authority, tmp_path: Path) -> None:
    roots.add(built / "hashed", [stranger.pem])
    with stranger.serving(tmp_path) as url, pytest.raises(ProviderUnavailable):
        asked(url.replace("127.0.0.1", "localhost"))


def test_no_certificate_is_read_before_a_handshake_needs_it(built: Path) -> None:
    context = http._trust()
    assert context.get_ca_certs() == []
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert http._trust() is context, "one for all"
