"""The providers' own consoles: what somebody with an account there does past Headwater."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import boto3
import httpx

from local.cloud import CREDENTIALS, Cloud
from local.simulators.secrets import SECRETS

if TYPE_CHECKING:
    from mypy_boto3_kinesisvideo import KinesisVideoClient

Json = dict[str, Any]


class CloudflareConsole:
    """Live inputs in Cloudflare's own words. Every method raises ``AssertionError`` where Cloudflare refuses."""

    def __init__(self, client: httpx.Client) -> None:
        self._client = client

    def make(self, **settings: Any) -> Json:
        """A new live input, keys and all."""
        return self._ask("POST", "", settings)

    def shown(self, uid: str) -> Json:
        return self._ask("GET", f"/{uid}")

    def change(self, uid: str, **settings: Any) -> Json:
        return self._ask("PUT", f"/{uid}", settings)

    def rotate(self, uid: str) -> Json:
        return self._ask("POST", f"/{uid}/rotate_keys")

    def add_output(self, uid: str, url: str, stream_key: str) -> Json:
        return self._ask("POST", f"/{uid}/outputs", {"url": url, "streamKey": stream_key})

    def remove(self, uid: str) -> None:
        self._told("DELETE", f"/{uid}")

    def outputs(self, uid: str) -> list[Json]:
        outputs: list[Json] = self._told("GET", f"/{uid}/outputs")
        return outputs

    def _ask(self, method: str, path: str, body: Json | None = None) -> Json:
        told: Json = self._told(method, path, body)
        return told

    def _told(self, method: str, path: str, body: Json | None = None) -> Any:
        answer = self._client.request(method, f"/live_inputs{path}", json=body)
        assert answer.is_success, answer.text
        return answer.json()["result"] if answer.content else None


@contextmanager
def cloudflare_console(cloud: Cloud) -> Iterator[CloudflareConsole]:
    secret = SECRETS["cloudflare"]
    base_url = f"{cloud.simulators_url}/cloudflare/client/v4/accounts/{secret['account_id']}/stream"
    headers = {"Authorization": f"Bearer {secret['api_token']}"}
    with httpx.Client(base_url=base_url, headers=headers, timeout=10) as client:
        yield CloudflareConsole(client)


def kinesis_video_console(cloud: Cloud) -> "KinesisVideoClient":
    """AWS's own client."""
    return boto3.client(
        "kinesisvideo",
        endpoint_url=cloud.kinesis_video_url,
        region_name=cloud.region,
        aws_access_key_id=CREDENTIALS["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
    )


def keys_in(live_input: Json) -> set[str]:
    """All that opens a live input, as Cloudflare shows it."""
    by_key = {live_input[way]["streamKey"] for way in ("rtmps", "rtmpsPlayback")}
    by_passphrase = {live_input[way]["passphrase"] for way in ("srt", "srtPlayback")}
    return by_key | by_passphrase | {live_input[way]["url"] for way in ("webRTC", "webRTCPlayback")}
