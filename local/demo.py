"""One stream at each provider, what there is to know of it, and the events as a subscriber received them."""

import json
import textwrap
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from local.client import SignedClient
from local.cloud import CREDENTIALS, Cloud
from local.steps import step

EVENTS_SECONDS = 60


@dataclass(frozen=True)
class Scene:
    """What to ask of one provider."""

    provider: str
    title: str
    body: dict[str, Any]
    otherwise: str
    """What forgetting the stream costs, where it has neither lease nor lifetime."""


SCENES = (
    Scene(
        "cloudflare",
        "Cloudflare Stream",
        {"name": "lobby camera", "options": {"recording": {"mode": "automatic", "timeout_seconds": 10}}},
        "nothing ends it: it stays, and its recordings are billed, until you delete it",
    ),
    Scene(
        "kinesis-video",
        "Kinesis Video Streams",
        {"name": "loading dock", "options": {"data_retention_in_hours": 24, "media_type": "video/h264"}},
        "nothing ends it: it stays, and what it retains is billed, until you delete it",
    ),
    Scene("overshoot", "Overshoot", {"name": "shelf watch", "max_lifetime_seconds": 3600}, ""),
    Scene(
        "pyannote",
        "pyannoteAI",
        {"name": "meeting room"},
        "nothing: the address works once, and the stream ends with its own socket, after 5 h at most",
    ),
)


def demo(cloud: Cloud) -> None:
    """Show the whole way: HTTPS call, stream, event, record."""
    caller = _caller(cloud)
    run = time.strftime("%H%M%S")
    with _subscriber(cloud) as subscriber:
        streams = [_open(caller, scene, f"demo-{run}-{scene.provider}") for scene in SCENES]
        _show_events(subscriber, {stream["id"] for stream in streams})
    _show_records(caller)
    what_next(cloud)


def what_next(cloud: Cloud) -> None:
    """What to try."""
    user = ":".join(CREDENTIALS.values())
    print(
        textwrap.dedent(f"""
        Try next
          Open another:
            curl -s --aws-sigv4 aws:amz:{cloud.region}:execute-api --user {user} \\
              -H 'Idempotency-Key: my-first-stream' -H 'Content-Type: application/json' \\
              -d '{{"name": "front door"}}' \\
              {cloud.api_url}/streams/cloudflare
          Send it twice: the same key gives the same stream. Addresses of everything: .local/stack.json
          Stop all of it: make down""")
    )


def _caller(cloud: Cloud) -> SignedClient:
    return SignedClient(cloud.api_url, cloud.region, *CREDENTIALS.values())


# -- streams


def _open(caller: SignedClient, scene: Scene, key: str) -> dict[str, Any]:
    with step(f"opening a stream at {scene.title}"):
        stream = _answer(caller.create(scene.provider, key, scene.body))
        stream = _until_usable(caller, stream)
    print(f"    id           {stream['id']}")
    print(f"    state        {stream['state']}" + _own_word(stream))
    for label, line in zip(["send to"] + [""] * 9, _ways_in(stream), strict=False):
        print(f"    {label:12} {line}")
    print(f"    if forgotten {_cost_of_forgetting(stream, scene)}\n")
    return stream


def _answer(response: Any) -> dict[str, Any]:
    body: dict[str, Any] = response.json()
    if response.is_error:
        raise RuntimeError(f"the API answered {response.status_code}: {json.dumps(body, indent=2)}")
    return body


def _until_usable(caller: SignedClient, stream: dict[str, Any]) -> dict[str, Any]:
    """The stream once its provider has finished making it; with what its creation alone tells."""
    deadline = time.monotonic() + EVENTS_SECONDS
    while stream["state"] == "provisioning" and time.monotonic() < deadline:
        time.sleep(0.5)
        told = _answer(caller.call("GET", f"{stream['href']}?refresh=true"))
        stream = stream | told
    return stream


def _own_word(stream: dict[str, Any]) -> str:
    word = stream["provider_status"]
    return f"  (the provider says {word})" if word else ""


def _ways_in(stream: dict[str, Any]) -> Iterator[str]:
    """Each address, and which secrets go with it: their names, never their values."""
    with_secrets = {entry["protocol"]: entry for entry in stream["credentials"]["ingest"]}
    for entry in stream["ingest"]:
        secrets = sorted(with_secrets.get(entry["protocol"], {}).keys() - {"protocol", "url"})
        address = entry["url"] or "(the address is the secret)"
        also = f"  + {', '.join(secrets)}" if secrets else ""
        yield f"{entry['protocol']:13} {address}{also}"


def _cost_of_forgetting(stream: dict[str, Any], scene: Scene) -> str:
    lease = stream["lease"]
    if not lease:
        return scene.otherwise
    return (
        f"a lease of {lease['ttl_seconds']} s, billed while it runs: Headwater renews it"
        f" until {stream['expires_at'][11:19]} UTC, then ends the stream"
    )


# -- events


@dataclass(frozen=True)
class Subscriber:
    """A queue of our own behind a rule of our own on the bus, as any subscriber would have it."""

    sqs: Any
    url: str

    def receive(self) -> Iterator[dict[str, Any]]:
        """The events that have arrived; waits up to 2 s for one."""
        answer = self.sqs.receive_message(QueueUrl=self.url, MaxNumberOfMessages=10, WaitTimeSeconds=2)
        for message in answer.get("Messages", []):
            self.sqs.delete_message(QueueUrl=self.url, ReceiptHandle=message["ReceiptHandle"])
            yield json.loads(message["Body"])


@contextmanager
def _subscriber(cloud: Cloud) -> Iterator[Subscriber]:
    sqs, events, name = cloud.client("sqs"), cloud.client("events"), "demo-subscriber"
    url = sqs.create_queue(QueueName=name)["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    allow = {
        "Effect": "Allow",
        "Principal": {"Service": "events.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": arn,
    }
    sqs.set_queue_attributes(
        QueueUrl=url, Attributes={"Policy": json.dumps({"Version": "2012-10-17", "Statement": [allow]})}
    )
    pattern = {"source": ["headwater"], "detail-type": ["StreamCreated"]}
    events.put_rule(Name=name, EventBusName=cloud.bus, EventPattern=json.dumps(pattern))
    events.put_targets(Rule=name, EventBusName=cloud.bus, Targets=[{"Id": "queue", "Arn": arn}])
    try:
        yield Subscriber(sqs, url)
    finally:
        events.remove_targets(Rule=name, EventBusName=cloud.bus, Ids=["queue"])
        events.delete_rule(Name=name, EventBusName=cloud.bus)
        sqs.delete_queue(QueueUrl=url)


def _show_events(subscriber: Subscriber, awaited: set[str]) -> None:
    received: dict[str, dict[str, Any]] = {}
    deadline = time.monotonic() + EVENTS_SECONDS
    with step("waiting for the events, as a subscriber on the bus"):
        while not awaited <= received.keys() and time.monotonic() < deadline:
            for event in subscriber.receive():
                received[event["detail"]["data"]["stream"]["id"]] = event
    missing = awaited - received.keys()
    if missing:
        raise RuntimeError(f"no StreamCreated arrived for {', '.join(sorted(missing))}")
    for event in received.values():
        detail, stream = event["detail"], event["detail"]["data"]["stream"]
        print(f"    {event['detail-type']} v{detail['version']}  {stream['provider']:14} {stream['name']}")
        print(f"      event_id {detail['event_id']}")
    print()


def _show_records(caller: SignedClient) -> None:
    with step("GET /streams: what is recorded, newest first"):
        page = _answer(caller.call("GET", "/streams?limit=10"))
    for stream in page["streams"]:
        print(
            f"    {stream['created_at'][:19]}Z  {stream['provider']:14} {stream['state']:13}"
            f" v{stream['version']}  {stream['name'] or '-'}"
        )
