"""A provider's queue: what was asked over the bus, what a stream needs, and what must come again."""

import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from headwater.ending import AGAIN_SECONDS
from headwater.errors import (
    ProviderOutcomeUnknown,
    ProviderRejected,
    ProviderSecretInvalid,
    ProviderUnavailable,
)
from headwater.ports import Caller
from headwater.queue import PATIENCE, Inbox
from headwater.requests import BODY_BYTES
from headwater.streams import State, identify
from tests.unit.fakes import (
    ACCOUNT,
    CALLER,
    CANARY,
    CLAIM_SECONDS,
    DEPLOYMENT,
    FakeProvider,
    Harmless,
    Killed,
    Unfindable,
    World,
)

STRANGER_ACCOUNT = "999999999999"


@dataclass
class Context:
    """What Lambda tells of an invocation."""

    seconds: float = 29
    function_name: str = "fake"
    memory_limit_in_mb: int = 512
    invoked_function_arn: str = "arn:aws:lambda:eu-central-1:123456789012:function:fake"
    aws_request_id: str = "invocation-1"

    def get_remaining_time_in_millis(self) -> int:
        return int(self.seconds * 1000)


def envelope(detail_type: str, detail: Any, **rest: Any) -> str:
    """EventBridge's envelope, as a rule puts it into a queue."""
    return json.dumps(
        {
            "version": "0",
            "id": "bus-1",
            "detail-type": detail_type,
            "source": "headwater.requests",
            "account": ACCOUNT,
            "time": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "region": "eu-central-1",
            "resources": [],
            "detail": detail,
            **rest,
        }
    )


def requested(request: Any = None, *, detail: dict[str, Any] | None = None, **data: Any) -> str:
    told = {"provider": "fake", "idempotency_key": "key", "request": {} if request is None else request, **data}
    return envelope("StreamRequested", {"version": 1, "data": told, **(detail or {})})


def attention(stream_id: str, reason: str, **data: Any) -> str:
    detail = {"version": 1, "data": {"provider": "fake", "stream_id": stream_id, "reason": reason, **data}}
    return envelope("StreamAttentionDue", detail, source="headwater")


def batch(*bodies: str) -> dict[str, Any]:
    """An SQS event of these messages, ``m-1`` first."""
    return {
        "Records": [
            {
                "messageId": f"m-{number}",
                "receiptHandle": "handle",
                "body": body,
                "attributes": {
                    "ApproximateReceiveCount": "1",
                    "SentTimestamp": "1763700000000",
                    "SenderId": "events.amazonaws.com",
                    "ApproximateFirstReceiveTimestamp": "1763700000001",
                },
                "messageAttributes": {},
                "md5OfBody": "",
                "eventSource": "aws:sqs",
                "eventSourceARN": "arn:aws:sqs:eu-central-1:123456789012:fake",
                "awsRegion": "eu-central-1",
            }
            for number, body in enumerate(bodies, 1)
        ]
    }


def receive(world: World, *bodies: str) -> list[str]:
    """The ids of the messages that must come again."""
    answer = Inbox(world.parts, world.creation, world.attention).receive(batch(*bodies), Context())
    return [failure["itemIdentifier"] for failure in answer["batchItemFailures"]]


@pytest.fixture
def world() -> World:
    world = World()
    world.clock.moment = datetime.now(UTC)  # the bus tells real times
    return world


# ---- a request


def test_a_request_opens_a_stream(world: World) -> None:
    assert receive(world, requested({"name": "lobby", "options": {"quality": 0.5}})) == []
    record = world.record()
    assert (record.stream.state, record.stream.name, record.origin) == (State.READY, "lobby", "bus")
    assert record.stream.options == {"quality": 0.5}
    assert record.tenant == CALLER.tenant
    assert world.store.events[record.stream.id][0].request_id == "bus-1"
    assert world.kinds() == ["StreamCreated"]


def test_a_request_without_a_key_has_the_bus_event_s_id_for_one(world: World) -> None:
    assert receive(world, requested(idempotency_key=None)) == []
    assert world.record("bus-1").stream.state is State.READY


def test_a_request_that_comes_twice_opens_one_stream(world: World) -> None:
    assert receive(world, requested(), requested()) == []
    assert receive(world, requested()) == []
    assert len(world.provider.alive) == 1
    assert world.kinds() == ["StreamCreated"]


def test_the_api_and_the_bus_mean_the_same_stream_by_the_same_key(world: World) -> None:
    world.provision(options={"quality": 1})
    assert receive(world, requested({"options": {"quality": 1.0}})) == []
    assert len(world.provider.alive) == 1


def test_the_tenant_is_the_account_that_sent_the_event(world: World) -> None:
    body = json.loads(requested()) | {"account": STRANGER_ACCOUNT}
    assert receive(world, json.dumps(body)) == []
    stream_id = identify(DEPLOYMENT, f"aws:{STRANGER_ACCOUNT}", "fake", "key")
    assert world.store.records[stream_id].tenant == f"aws:{STRANGER_ACCOUNT}"


def test_the_own_account_may_ask_for_another_tenant(world: World) -> None:
    assert receive(world, requested(detail={"tenant": "jwt:abc:user"})) == []
    (record,) = world.store.records.values()
    assert record.tenant == "jwt:abc:user"


def test_a_stranger_may_not_ask_for_another_tenant(world: World) -> None:
    body = json.loads(requested(detail={"tenant": CALLER.tenant})) | {"account": STRANGER_ACCOUNT}
    assert receive(world, json.dumps(body)) == []
    (record,) = world.store.records.values()
    assert record.tenant == f"aws:{STRANGER_ACCOUNT}"


# ---- a request that cannot be had


def failed(world: World, key: str = "key") -> str | None:
    """The reason that is recorded, once, of the request's failure."""
    record = world.record(key)
    assert record.stream.state is State.FAILED
    assert world.kinds(key) == ["StreamFailed"]
    assert world.provider.alive == {}
    return record.stream.state_reason


def test_an_invalid_request_fails_and_is_announced(world: World) -> None:
    assert receive(world, requested({"name": "", "options": {"nope": 1}})) == []
    assert failed(world) == "invalid-request"
    assert world.provider.calls == []


@pytest.mark.parametrize(
    "detail",
    [
        {"version": 2, "data": {"provider": "fake"}},
        {"version": 1, "data": {"provider": "fake", "more": 1}},
        {"version": 1, "data": {"provider": "fake", "idempotency_key": ""}},
        {"version": 1, "data": {"provider": "fake", "idempotency_key": "k" * 256}},
        {"version": 1, "data": {"provider": "fake", "idempotency_key": "\u00e9"}},
        {"version": 1, "data": {"provider": "fake", "request": "text"}},
        {"version": 1, "data": {"provider": "fake", "deadline": "soon"}},
        {"version": 1, "data": {"provider": "fake"}, "tenant": ""},
    ],
)
def test_what_is_not_of_the_schema_fails_under_the_bus_event_s_id(world: World, detail: dict[str, Any]) -> None:
    assert receive(world, envelope("StreamRequested", detail)) == []
    assert failed(world, "bus-1") == "invalid-request"


def test_a_secret_may_not_travel_over_the_bus(world: World, log: io.StringIO) -> None:
    assert receive(world, requested({"options": {"camera_url": f"{CANARY}url"}})) == []
    assert failed(world) == "invalid-request"
    record = world.record()
    assert CANARY not in f"{record!r}{world.store.timeline(record.stream.id)}{log.getvalue()}"
    assert record.request_secrets is None


def test_a_request_is_no_longer_worth_it_after_its_deadline(world: World) -> None:
    passed = (datetime.now(UTC) - timedelta(seconds=1)).isoformat()
    assert receive(world, requested(deadline=passed)) == []
    assert failed(world) == "invalid-request"
    assert world.provider.calls == []


def test_a_request_without_a_deadline_is_worth_it_for_an_hour(world: World) -> None:
    old = (datetime.now(UTC) - PATIENCE - timedelta(seconds=2)).isoformat()
    assert receive(world, json.dumps(json.loads(requested()) | {"time": old})) == []
    assert failed(world) == "invalid-request"
    nearly = (datetime.now(UTC) - PATIENCE + timedelta(seconds=60)).isoformat()
    assert receive(world, json.dumps(json.loads(requested(idempotency_key="k2")) | {"time": nearly})) == []
    assert world.record("k2").stream.state is State.READY


def test_a_request_s_deadline_is_of_real_time(world: World) -> None:
    world.moved = timedelta(days=40)
    later = (datetime.now(UTC) + timedelta(seconds=60)).isoformat()
    assert receive(world, requested(deadline=later)) == []
    assert world.record().stream.state is State.READY


def test_a_request_larger_than_a_body_may_be_is_refused(world: World) -> None:
    """Its event would be too large to be published."""
    metadata = {str(each): "\U0001f408" * 1024 for each in range(50)}
    assert len(json.dumps(metadata, ensure_ascii=False).encode()) > BODY_BYTES
    assert receive(world, requested({"metadata": metadata})) == []
    assert failed(world) == "invalid-request"


def test_a_request_of_any_depth_is_refused_and_does_not_come_again(world: World) -> None:
    deep = '{"options": {"labels": ' + "[" * 2000 + "]" * 2000 + "}}"
    assert receive(world, requested("DEEP").replace('"DEEP"', deep)) == []


def test_a_refusal_by_the_provider_is_recorded_and_does_not_come_again(world: World) -> None:
    world.provider.fail("create", ProviderRejected("no"))
    assert receive(world, requested()) == []
    assert failed(world) == "provider-rejected"


def test_a_key_that_was_used_for_another_request_does_not_come_again(world: World) -> None:
    receive(world, requested())
    assert receive(world, requested({"name": "another"})) == []
    assert world.kinds() == ["StreamCreated"]


def test_a_stream_that_is_over_is_not_opened_again(world: World) -> None:
    receive(world, requested())
    stream = world.record().stream
    world.store.touch(stream.id, stream=stream.model_copy(update={"state": State.ENDED}), ended_at=world.clock())
    assert receive(world, requested()) == []
    assert world.provider.calls == ["create"]


# ---- what comes again


@pytest.mark.parametrize("error", [ProviderUnavailable("later"), ProviderSecretInvalid("bad"), RuntimeError("bug")])
def test_what_may_succeed_later_comes_again(world: World, error: Exception) -> None:
    world.provider.fail("create", error)
    assert receive(world, requested()) == ["m-1"]
    assert world.kinds() == []


def test_only_the_message_that_failed_comes_again(world: World) -> None:
    world.provider.fail("create", ProviderUnavailable("later"))
    bodies = [requested(idempotency_key=f"key-{number}") for number in range(1, 4)]
    assert receive(world, *bodies) == ["m-1"]
    assert len(world.provider.alive) == 2


def test_what_comes_again_is_done(world: World) -> None:
    world.provider.fail("create", ProviderUnavailable("later"))
    assert receive(world, requested()) == ["m-1"]
    assert receive(world, requested()) == []
    assert world.kinds() == ["StreamCreated"]


def test_while_another_worker_is_at_it_the_message_comes_again(world: World) -> None:
    world.provider.fail("create", Killed())
    with pytest.raises(Killed):
        receive(world, requested())
    assert receive(world, requested()) == ["m-1"]
    world.clock.advance(CLAIM_SECONDS)
    assert receive(world, requested()) == []
    assert world.kinds() == ["StreamCreated"]


def test_a_request_whose_deadline_passes_between_two_attempts_has_failed(world: World) -> None:
    world.provider.fail("create", ProviderUnavailable("later"))
    assert receive(world, requested()) == ["m-1"]
    passed = datetime.now(UTC) - timedelta(seconds=1)
    world.store.touch(world.id_of(), try_until=passed)  # as if it had been its deadline from the beginning
    assert receive(world, requested(deadline=passed.isoformat())) == []
    record = world.record()
    assert (record.claim, record.stream.state) == (None, State.FAILED)
    assert world.kinds() == ["StreamFailed"]


def doubtful(provider: FakeProvider) -> World:
    world = World(provider)
    world.clock.moment = datetime.now(UTC)
    world.provider.fail("create", ProviderOutcomeUnknown("silence"), times=2)
    return world


def test_a_doubt_that_can_be_waited_out_comes_again() -> None:
    world = doubtful(Unfindable())
    assert receive(world, requested()) == ["m-1"]
    assert receive(world, requested()) == ["m-1"]
    assert world.provider.count("create") == 1


def test_a_doubt_that_has_become_a_failure_does_not_come_again() -> None:
    world = doubtful(Harmless())
    assert receive(world, requested()) == ["m-1"]
    assert receive(world, requested()) == []
    assert failed(world) == "provider-outcome-unknown"


def test_a_failure_for_doubt_is_announced_once_however_often_its_message_comes() -> None:
    world = doubtful(Harmless())
    world.provider.fail("create", ProviderOutcomeUnknown("silence"), times=9)
    for _ in range(5):
        if not receive(world, requested()):
            break
    assert world.kinds() == ["StreamFailed"]


@pytest.mark.parametrize("body", ["", "no JSON", "[]", "{}", '{"detail-type": "StreamRequested"}'])
def test_a_message_that_cannot_be_read_is_kept_for_the_dead_letters(world: World, body: str) -> None:
    assert receive(world, body) == ["m-1"]


def test_an_attention_that_cannot_be_read_is_kept_for_the_dead_letters(world: World) -> None:
    assert receive(world, attention("str_x", "no-such-reason")) == ["m-1"]


def test_nothing_that_is_logged_shows_a_value(world: World, log: io.StringIO) -> None:
    world.provider.fail("create", RuntimeError(f"at https://u:{CANARY}p@host"))
    receive(world, requested(), requested({"name": [CANARY]}), f'{{"no": "{CANARY}"}}', CANARY)
    assert CANARY not in log.getvalue()
    assert "RuntimeError" in log.getvalue()


# ---- what a stream needs


@pytest.fixture
def standing() -> World:
    """A leased stream of a minute."""
    world = World(Unfindable())
    world.provision(max_lifetime_seconds=60)
    world.provider.calls.clear()
    return world


def test_a_stream_is_renewed_when_that_is_due(standing: World) -> None:
    standing.clock.advance(30)
    assert receive(standing, attention(standing.id_of(), "renew", beat=1)) == []
    lease = standing.record().stream.lease
    assert lease
    assert (lease.beat, lease.renewed_at) == (1, standing.clock())


def test_a_stream_is_ended_when_its_lifetime_is_over(standing: World) -> None:
    standing.clock.advance(60)
    assert receive(standing, attention(standing.id_of(), "expire")) == []
    assert standing.kinds() == ["StreamCreated", "StreamExpired"]
    assert standing.store.events[standing.id_of()][-1].request_id == "bus-1"


def test_an_ending_that_the_provider_could_not_do_is_recorded_and_due_again(standing: World) -> None:
    standing.clock.advance(60)
    standing.provider.fail("remove", ProviderUnavailable("later"))
    assert receive(standing, attention(standing.id_of(), "expire")) == []
    assert standing.record().stream.state is State.ENDING
    assert standing.record().due_at == standing.clock() + timedelta(seconds=AGAIN_SECONDS)
    assert receive(standing, attention(standing.id_of(), "due")) == []
    assert standing.kinds() == ["StreamCreated", "StreamExpired"]


def test_an_ending_that_the_provider_refuses_does_not_come_again_by_the_queue(standing: World) -> None:
    standing.clock.advance(60)
    standing.provider.fail("remove", ProviderRejected("no"))
    assert receive(standing, attention(standing.id_of(), "expire")) == []
    assert standing.record().stream.state is State.ENDING


def lost(world: World) -> None:
    world.provider.alive.clear()


def over(world: World) -> None:
    stream = world.record().stream
    world.store.touch(stream.id, stream=stream.model_copy(update={"state": State.ENDED}))


def gone(world: World) -> None:
    world.store.records.clear()


@pytest.mark.parametrize("change", [lost, over, gone])
def test_an_attention_that_finds_nothing_to_do_does_not_come_again(
    standing: World, change: Callable[[World], None]
) -> None:
    change(standing)
    assert receive(standing, attention(standing.id_of(), "renew", beat=1)) == []


def test_a_command_may_be_for_any_tenant_s_stream() -> None:
    world = World(Unfindable())
    caller = Caller("jwt:abc:user", "req-1")
    stream_id = world.provision(caller=caller).stream.id
    assert receive(world, attention(stream_id, "renew", beat=1)) == []
    assert world.provider.count("renew") == 1
