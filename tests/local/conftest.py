"""Fresh simulators for each test, and clients whose every exchange is held to the contracts by openapi-core."""

import ssl
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import httpx
import pytest
from openapi_core import OpenAPI
from openapi_core.testing.requests import MockRequest
from openapi_core.testing.responses import MockResponse

from local.simulators import Simulators, simulators

ROOT = Path(__file__).parents[2]
CONTRACTS = ROOT / "local" / "contracts"


NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""Making httpx read the certificates of the machine costs each client more than its calls."""


@dataclass
class Checked:
    """Makes clients for one served set of simulators."""

    sims: Simulators
    opened: ExitStack

    def client(self, interface: str, headers: dict[str, str]) -> httpx.Client:
        def check(response: httpx.Response) -> None:
            response.read()
            check_exchange(interface, self.sims.bases[interface], response)

        client = httpx.Client(
            base_url=self.sims.bases[interface],
            headers=headers,
            timeout=5,
            event_hooks={"response": [check]},
            verify=NO_TLS,
        )
        return self.opened.enter_context(client)


@pytest.fixture
def sims() -> Iterator[Simulators]:
    with simulators() as running:
        yield running
        assert running.violations() == []


@pytest.fixture
def checked(sims: Simulators) -> Iterator[Checked]:
    with ExitStack() as opened:
        yield Checked(sims, opened)


FILES = {
    "cloudflare": ("cloudflare-stream.yaml", "https://api.cloudflare.com", "/client/v4"),
    "overshoot": ("overshoot-v1beta.yaml", "https://api.overshoot.ai", "/v1beta"),
    "overshoot-v0.2": ("overshoot-v0.2.yaml", "https://api.overshoot.ai", "/v0.2"),
    "pyannote": ("pyannote-live.yaml", "https://api.pyannote.ai", ""),
}


@cache
def described(file: str) -> OpenAPI:
    return OpenAPI.from_file_path(str(CONTRACTS / file))


def check_exchange(interface: str, base: str, response: httpx.Response) -> None:
    """Raises openapi-core's error where an answer departs from the contract, or a granted request does."""
    file, host, prefix = FILES[interface]
    sent = response.request
    content = sent.read()
    request = MockRequest(
        host,
        sent.method,
        prefix + sent.url.copy_with(query=None).path.removeprefix(httpx.URL(base).path),
        args=dict(sent.url.params),
        headers=dict(sent.headers),
        data=content,
        content_type=sent.headers.get("content-type", "application/json"),
    )
    if response.is_success:
        described(file).validate_request(request)
    answered = MockResponse(
        response.content,
        response.status_code,
        headers=dict(response.headers),
        content_type=response.headers.get("content-type", ""),
    )
    described(file).validate_response(request, answered)
