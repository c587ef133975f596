"""Streams asked for over the bus: what ``headwater.requests`` may ask, and what becomes of it."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.stack.bus import Requester, Subscriber
from tests.stack.callers import Api
from tests.stack.doors import Door
from tests.stack.waiting import eventually
from tests.stack.ways import (
    CLOUDFLARE,
    KINESIS_VIDEO,
    OVERSHOOT,
    OVERSHOOT_V02,
    PROVIDERS,
    PYANNOTE,
    Way,
    each,
    secretive,
)

Json = dict[str, Any]

CLIP = {"clip_length_seconds": 2, "delay_seconds": 2, "target_fps": 6}
REQUESTS: dict[Way, Json] = {
    CLOUDFLARE: {"name": "gate", "options": {"recording": {"mode": "off"}}},
    KINESIS_VIDEO: {"name": "dock", "metadata": {"bay": "7"}},
    OVERSHOOT: {"name": "shelf", "max_lifetime_seconds": 600},
    OVERSHOOT_V02: OVERSHOOT_V02.asking(processing=CLIP).body(name="door"),
    PYANNOTE: {"name": "meeting"},
}
"""What is asked for in each way."""
SECRETIVE = secretive("bus")
OTHER_TENANT = "jwt:somebody-else"


@pytest.fixture(params=REQUESTS, ids=lambda way: way.name)
def asked(request: pytest.FixtureRequest) -> tuple[str, str, Json]:
    """The key, the provider and the request."""
    way: Way = request.param
    return f"bus-{way.name}", way.provider, REQUESTS[way]


@pytest.fixture
def tidy(api: Api) -> Iterator[list[str]]:
    """Deletes what a test puts on it."""
    hrefs: list[str] = []
    yield hrefs
    for href in hrefs:
        assert api.delete(href).is_success


def test_a_request_on_the_bus_opens_a_stream_and_a_repeated_one_opens_no_second(
    asked: tuple[str, str, Json],
    requester: Requester,
    subscriber: Subscriber,
    api: Api,
    doors: dict[str, Door],
    tidy: list[str],
) -> None:
    key, provider, request = asked
    before = doors[provider].refs()
    asked_by = {requester.ask(provider, request, idempotency_key=key) for _ in range(2)}
    [created] = subscriber.await_events(api.id_of(provider, key), "StreamCreated")
    stream = created["detail"]["data"]["stream"]
    tidy.append(stream["href"])
    assert stream["name"] == request["name"]
    assert created["detail"]["tenant"] == api.tenant
    assert created["detail"]["request_id"] in asked_by

    # The API gives the credentials to whoever has the key and knows the request; which is a third repetition.
    replayed = api.create(provider, key, request)
    assert (replayed.status_code, replayed.json()["provider_ref"]) == (200, stream["provider_ref"])
    # What was asked later has been done by now, and so has the second message.
    sentinel = f"{key}-after"
    requester.ask(provider, request, idempotency_key=sentinel)
    [after] = subscriber.await_events(api.id_of(provider, sentinel), "StreamCreated")
    tidy.append(after["detail"]["data"]["stream"]["href"])
    assert len(doors[provider].refs() - before) == 2
    assert len(subscriber.events(stream["id"], "StreamCreated")) == 1


def test_without_a_key_the_bus_event_s_own_id_is_the_key(
    requester: Requester, subscriber: Subscriber, api: Api, tidy: list[str]
) -> None:
    event_id = requester.ask("cloudflare", {"name": "keyless"})
    [created] = subscriber.await_events(api.id_of("cloudflare", event_id), "StreamCreated")
    tidy.append(created["detail"]["data"]["stream"]["href"])
    assert created["detail"]["request_id"] == event_id


def failed(subscriber: Subscriber, api: Api, provider: str, key: str) -> Json:
    """The record of a request that failed, once that was announced."""
    [event] = subscriber.await_events(api.id_of(provider, key), "StreamFailed")
    record: Json = api.read(api.href_of(provider, key)).json()
    assert event["detail"]["data"]["stream"] == record
    assert record["state"] == "failed"
    return record


@pytest.mark.parametrize("provider", PROVIDERS)
def test_an_invalid_request_becomes_a_failed_record_and_is_announced(
    provider: str, requester: Requester, subscriber: Subscriber, api: Api, doors: dict[str, Door]
) -> None:
    creates = len(doors[provider].creates())
    requester.ask(provider, {"options": {"colour": "red"}}, idempotency_key="bus-invalid")
    assert failed(subscriber, api, provider, "bus-invalid")["state_reason"] == "invalid-request"
    assert len(doors[provider].creates()) == creates


def test_an_event_that_is_not_of_its_schema_is_announced_as_failed_under_its_own_id(
    requester: Requester, subscriber: Subscriber, api: Api
) -> None:
    event_id = requester.ask("pyannote", {}, idempotency_key="bus-odd", colour="red")
    assert failed(subscriber, api, "pyannote", event_id)["state_reason"] == "invalid-request"


def test_a_request_whose_deadline_has_passed_opens_nothing(
    requester: Requester, subscriber: Subscriber, api: Api, doors: dict[str, Door]
) -> None:
    creates = len(doors["pyannote"].creates())
    late = (datetime.now(UTC) - timedelta(seconds=1)).isoformat()
    requester.ask("pyannote", {}, idempotency_key="bus-late", deadline=late)
    assert failed(subscriber, api, "pyannote", "bus-late")["state_reason"] == "invalid-request"
    assert len(doors["pyannote"].creates()) == creates


@each(SECRETIVE)
def test_a_secret_over_the_bus_is_refused(
    way: Way, requester: Requester, subscriber: Subscriber, api: Api, doors: dict[str, Door]
) -> None:
    creates = len(doors["overshoot"].creates())
    requester.ask(way.provider, way.body(), idempotency_key=f"bus-secret-{way.name}")
    record = failed(subscriber, api, way.provider, f"bus-secret-{way.name}")
    assert (record["state_reason"], record["options"]) == ("invalid-request", {})
    assert len(doors["overshoot"].creates()) == creates


def test_the_same_key_opens_the_stream_once_the_request_is_right(
    requester: Requester, subscriber: Subscriber, api: Api, tidy: list[str]
) -> None:
    requester.ask("cloudflare", {"options": {"colour": "red"}}, idempotency_key="bus-mended")
    failed(subscriber, api, "cloudflare", "bus-mended")
    requester.ask("cloudflare", {"options": {}}, idempotency_key="bus-mended")
    [created] = subscriber.await_events(api.id_of("cloudflare", "bus-mended"), "StreamCreated")
    tidy.append(created["detail"]["data"]["stream"]["href"])
    assert created["detail"]["sequence"] == 2


@pytest.mark.parametrize(
    ("provider", "version"), [("cloudflare", 2), ("vimeo", 1)], ids=["unknown version", "unknown provider"]
)
def test_what_no_rule_matches_does_nothing(
    provider: str, version: int, requester: Requester, subscriber: Subscriber, api: Api, tidy: list[str]
) -> None:
    requester.ask(provider, {}, version=version, idempotency_key="bus-unmatched")
    # What was asked later has been done by now.
    requester.ask("cloudflare", {}, idempotency_key=f"bus-beside-{version}")
    beside = api.id_of("cloudflare", f"bus-beside-{version}")
    [created] = subscriber.await_events(beside, "StreamCreated")
    tidy.append(created["detail"]["data"]["stream"]["href"])
    for known in PROVIDERS:
        assert api.read(api.href_of(known, "bus-unmatched")).status_code == 404


def test_a_tenant_named_in_the_request_owns_the_stream_and_nobody_else_sees_it(
    requester: Requester, subscriber: Subscriber, api: Api
) -> None:
    requester.ask("pyannote", {"name": "theirs"}, idempotency_key="bus-tenant", tenant=OTHER_TENANT)
    theirs = api.id_of("pyannote", "bus-tenant", OTHER_TENANT)
    [created] = subscriber.await_events(theirs, "StreamCreated")
    assert created["detail"]["tenant"] == OTHER_TENANT
    assert api.read(api.href_of("pyannote", "bus-tenant", OTHER_TENANT)).status_code == 404
    assert theirs not in {stream["id"] for stream in api.streams(limit=100).json()["streams"]}


def test_a_request_that_fails_for_a_while_is_tried_again(
    requester: Requester, subscriber: Subscriber, api: Api, doors: dict[str, Door]
) -> None:
    """Not at once: the message becomes visible again after six times the function's timeout. So only that it waits."""
    doors["pyannote"].fault("status", status=429, headers={"Retry-After": "60"})
    requester.ask("pyannote", {}, idempotency_key="bus-later")
    stream_id = api.id_of("pyannote", "bus-later")
    href = api.href_of("pyannote", "bus-later")
    waiting = eventually(lambda: api.read(href), lambda answer: answer.status_code == 200)
    assert waiting.json()["state"] == "provisioning"
    assert subscriber.events(stream_id) == []
    # Whoever does not want to wait for that asks by the API, with the same key.
    opened = eventually(lambda: api.create("pyannote", "bus-later"), lambda answer: answer.status_code != 409)
    assert opened.status_code == 201
    subscriber.await_events(stream_id, "StreamCreated")
