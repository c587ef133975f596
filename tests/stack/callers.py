"""A caller of the deployed API, who keeps every answer for whoever looks through them for secrets."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import httpx

from headwater.streams import href, identify
from local.client import SignedClient
from local.cloud import STAGE, Cloud
from tests.stack.waiting import eventually
from tests.stack.ways import Way

Json = dict[str, Any]

HAND_OUT = (
    ("POST", "/streams/[^/]+"),  # a create's answer, or a replay's
    ("POST", "/streams/[^/]+/adopt"),
    ("GET", "/streams/[^/]+/[^/]+/credentials([?]refresh=true)?"),
    ("POST", "/streams/[^/]+/[^/]+/credentials/rotate([?]force=true)?"),
)
"""The calls whose answers exist to hand out credentials."""


@dataclass(frozen=True)
class Exchange:
    """One call and its answer."""

    method: str
    path: str
    sent: str
    """The body; of a call that is not signed, what it proves itself by too."""
    answer: httpx.Response

    @property
    def hands_out_credentials(self) -> bool:
        """Whether this is one of the answers that exist to do so."""
        return self.answer.is_success and any(
            self.method == method and re.fullmatch(path, self.path) for method, path in HAND_OUT
        )

    @property
    def is_problem(self) -> bool:
        return str(self.answer.headers.get("content-type")).startswith("application/problem+json")

    @property
    def received(self) -> str:
        """The whole answer: headers and body."""
        return "\n".join([*(f"{name}: {value}" for name, value in self.answer.headers.items()), self.answer.text])


class Api:
    """The API as one IAM user calls it. Every method gives the answer as it came."""

    def __init__(self, cloud: Cloud, access_key: str, secret_key: str) -> None:
        self._api_url = cloud.api_url
        self._client = SignedClient(cloud.api_url, cloud.region, access_key, secret_key)
        self.tenant = f"aws:{cloud.account}"
        self._deployment = f"{STAGE}-{cloud.region}-{cloud.account}"
        self.exchanges: list[Exchange] = []

    def call(
        self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None
    ) -> httpx.Response:
        """``body`` is sent as JSON, or as it is where it is text."""
        answer = self._client.call(method, path, body, headers)
        self.exchanges.append(Exchange(method, path, body if isinstance(body, str) else json.dumps(body), answer))
        return answer

    def signed_create(self, provider: str, key: str, body: Any = None) -> httpx.Request:
        """To be sent otherwise than by us."""
        return self._client.signed("POST", f"/streams/{provider}", body or {}, {"Idempotency-Key": key})

    def create(self, provider: str, key: str, body: Any = None) -> httpx.Response:
        return self.call("POST", f"/streams/{provider}", body or {}, {"Idempotency-Key": key})

    def opened(self, way: Way, key: str, **more: Any) -> Json:
        """A new stream, once its provider has made it. Raises ``AssertionError`` where it is not."""
        answer = self.create(way.provider, key, way.body(**more))
        assert answer.status_code == 201, answer.text
        href = answer.json()["href"]
        ready = eventually(lambda: self.read(href, refresh=True), lambda told: told.json()["state"] != "provisioning")
        stream: Json = ready.json()
        return stream

    def read(self, href: str, *, refresh: bool = False) -> httpx.Response:
        return self.call("GET", href + ("?refresh=true" if refresh else ""))

    def delete(self, href: str) -> httpx.Response:
        return self.call("DELETE", href)

    def change(self, href: str, patch: Any, *, if_match: str | None = None) -> httpx.Response:
        return self.call("PATCH", href, patch, {} if if_match is None else {"If-Match": if_match})

    def repair(self, href: str) -> httpx.Response:
        return self.call("POST", f"{href}/repair")

    def adopt(self, provider: str, ref: str, **more: Any) -> httpx.Response:
        return self.call("POST", f"/streams/{provider}/adopt", {"provider_ref": ref, **more})

    def credentials(self, href: str, *, refresh: bool = False) -> httpx.Response:
        return self.call("GET", f"{href}/credentials" + ("?refresh=true" if refresh else ""))

    def rotate(self, href: str, *, force: bool = False) -> httpx.Response:
        return self.call("POST", f"{href}/credentials/rotate" + ("?force=true" if force else ""))

    def outputs(self, href: str) -> httpx.Response:
        return self.call("GET", f"{href}/outputs")

    def add_output(self, href: str, url: str, stream_key: str, **more: Any) -> httpx.Response:
        return self.call("POST", f"{href}/outputs", {"url": url, "stream_key": stream_key, **more})

    def switch_output(self, href: str, output_id: str, enabled: bool) -> httpx.Response:
        return self.call("PATCH", f"{href}/outputs/{output_id}", {"enabled": enabled})

    def remove_output(self, href: str, output_id: str) -> httpx.Response:
        return self.call("DELETE", f"{href}/outputs/{output_id}")

    def keep_alive(self, href: str) -> httpx.Response:
        return self.call("POST", f"{href}/keepalive")

    def timeline(self, href: str) -> httpx.Response:
        return self.call("GET", f"{href}/events")

    def notify(self, provider: str, body: str, headers: Mapping[str, str]) -> httpx.Response:
        """As the provider itself, which signs nothing."""
        path = f"/notifications/{provider}"
        raw = {name.encode(): value.encode() for name, value in headers.items()}
        answer = httpx.post(self._api_url + path, content=body, headers=raw, timeout=40)
        sent = "\n".join([*(f"{name}: {value}" for name, value in headers.items()), body])
        self.exchanges.append(Exchange("POST", path, sent, answer))
        return answer

    def streams(self, **query: str | int) -> httpx.Response:
        return self.call("GET", "/streams" + (f"?{urlencode(query)}" if query else ""))

    def providers(self) -> httpx.Response:
        return self.call("GET", "/providers")

    def id_of(self, provider: str, key: str, tenant: str | None = None) -> str:
        """The id that the stream of a key has, made or not."""
        return identify(self._deployment, tenant or self.tenant, provider, key)

    def href_of(self, provider: str, key: str, tenant: str | None = None) -> str:
        return href(provider, self.id_of(provider, key, tenant))

    def close(self) -> None:
        self._client.close()


def new_caller(cloud: Cloud, name: str, allowed: bool = True) -> Api:
    """An IAM user who may call the API and nothing else, or not even that."""
    iam = cloud.client("iam")
    iam.create_user(UserName=name)
    api_id, stage = cloud.api_url.split("/")[-2:]
    invoke = {
        "Effect": "Allow" if allowed else "Deny",
        "Action": "execute-api:Invoke",
        "Resource": f"arn:aws:execute-api:{cloud.region}:{cloud.account}:{api_id}/{stage}/*",
    }
    document = json.dumps({"Version": "2012-10-17", "Statement": [invoke]})
    iam.put_user_policy(UserName=name, PolicyName="invoke", PolicyDocument=document)
    key = iam.create_access_key(UserName=name)["AccessKey"]
    return Api(cloud, key["AccessKeyId"], key["SecretAccessKey"])
