"""A caller of the API: signs each call as AWS's own tools do."""

import json
from collections.abc import Mapping
from typing import Any

import httpx
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials


class SignedClient:
    """Calls the API below ``api_url`` with one caller's keys. 40 s for an answer: API Gateway's 29 and some."""

    def __init__(self, api_url: str, region: str, access_key: str, secret_key: str) -> None:
        self._api_url = api_url
        self._signer = SigV4Auth(Credentials(access_key, secret_key), "execute-api", region)
        self._client = httpx.Client(timeout=40)

    def call(
        self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None
    ) -> httpx.Response:
        """The answer. ``body`` is sent as JSON, or as it is where it is text."""
        return self._client.send(self.signed(method, path, body, headers))

    def signed(
        self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None
    ) -> httpx.Request:
        """The call as it would be sent now; its signature is good for some minutes."""
        text = body if isinstance(body, str | None) else json.dumps(body)
        request = AWSRequest(method, self._api_url + path, data=text, headers=dict(headers or {}))
        self._signer.add_auth(request)
        return self._client.build_request(method, self._api_url + path, content=text, headers=dict(request.headers))

    def create(self, provider: str, key: str, body: Any = None) -> httpx.Response:
        """Open a stream."""
        return self.call("POST", f"/streams/{provider}", body or {}, {"Idempotency-Key": key})

    def close(self) -> None:
        """Let go of its connections."""
        self._client.close()
