"""Days that pass in seconds: the real functions around one clock that jumps from message to message.

Real are `renew_leases`, the function of Overshoot from its queue down to its calls over HTTP, and the simulated
provider, whose clock is the same as theirs. The table, the vault, the bus and the queues are fakes with state: with
moto's table a day would take minutes.
"""

import contextlib
import heapq
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count, pairwise
from types import SimpleNamespace
from typing import Any

from pydantic import JsonValue

from headwater import clock
from headwater.attributes import to_attributes
from headwater.deadline import Deadline
from headwater.errors import StreamEnded
from headwater.ports import Parts
from headwater.provider_function import ProviderFunction
from headwater.records import Record
from headwater.requests import parse
from headwater.rotation import Rotation
from headwater.store import stream_item
from headwater.streams import Stream
from local.door import Call, Door
from local.simulators import Simulators
from local.simulators.secrets import SECRETS
from provision_overshoot.provider import Overshoot
from provision_overshoot.wire import OvershootSecret
from renew_leases.handler import handler
from tests.subscribers.fakes import sqs_batch
from tests.unit.fakes import ACCOUNT, CALLER, DEPLOYMENT, FakeStore, FakeVault

HOP = 0.5
"""Seconds, simulated: what the bus, a queue or the outbox takes to pass a message on."""
VISIBILITY = 180
"""Seconds, simulated, after which a message that a function failed at comes again."""
LEASES = {"v1beta": 300, "v0.2": 45}
V02 = {
    "api_version": "v0.2",
    "processing": {"interval_seconds": 2.5},
    "inference": {"prompt": "Is the door open?", "model": "a-model"},
}
CONTEXT = SimpleNamespace(get_remaining_time_in_millis=lambda: 29_000)

type Message = dict[str, Any]


@dataclass(frozen=True)
class Renewal:
    """One that the provider granted, and how much of the lease was left then, in parts of it."""

    at: datetime
    left: float


class Day:
    """Everything that a leased stream meets in its life. ``clients`` takes what stands for AWS."""

    def __init__(self, simulated: Simulators, clients: dict[str, Any]) -> None:
        self.simulated = simulated
        self.store, self.delivered = FakeStore(clock.present), 0
        secret = OvershootSecret.model_validate(SECRETS["overshoot"])
        bases = {"v1beta": simulated.bases["overshoot"], "v0.2": simulated.bases["overshoot-v0.2"]}
        provider = Overshoot(bases, lambda _: secret, LEASES)
        self.function = ProviderFunction(lambda: provider)
        self.function.parts = Parts(provider, self.store, FakeVault(), DEPLOYMENT, ACCOUNT, moved=clock.moved)
        self._messages: list[tuple[datetime, int, Callable[[Message], None], Message]] = []
        self._number = count(1)
        clients |= {"sqs": _Queue(self), "events": _Bus(self), "dynamodb": _Table(self.store)}

    @property
    def door(self) -> Door:
        return self.simulated.overshoot.door

    # -- what callers do

    def open(self, key: str, **body: Any) -> Stream:
        """A new stream, whose ``StreamCreated`` is on its way."""
        terms = self.function.parts.terms
        wanted = parse(json.dumps(body), self.function.parts.provider.options_type, terms)
        stream = self.function.creation.provision(CALLER, key, wanted, Deadline(24)).stream
        [created] = self.store.events[stream.id]
        event = {"detail-type": "StreamCreated", "source": "headwater", "detail": json.loads(created.model_dump_json())}
        self.send(self._to_renew_leases, event, 2 * HOP)
        return stream

    def delete(self, stream: Stream) -> None:
        self.function.ending.remove(CALLER, stream.id, Deadline(24))

    def keep_alive(self, stream: Stream) -> None:
        self.function.lifecycle.keep_alive(CALLER, stream.id, Deadline(24))

    def look_at(self, stream: Stream) -> None:
        with contextlib.suppress(StreamEnded):
            self.function.lifecycle.read(CALLER, stream.id, True, Deadline(24))

    def rotate(self, stream: Stream) -> None:
        Rotation(self.function.parts).rotate(CALLER, stream.id, False, Deadline(24))

    def token(self, stream: Stream) -> JsonValue:
        """What opens the stream, as its caller is told."""
        [entry] = self.function.lifecycle.credentials(CALLER, stream.id, False, Deadline(24)).ingest
        return entry.revealed()["token"]

    def end_at_the_provider(self, stream: Stream) -> None:
        """Behind our back."""
        self.function.parts.provider.remove(self.record(stream).handle, Deadline(24))

    def sweep(self) -> int:
        """What is due is asked for; how many streams that were."""
        due = [record for record in self.store.records.values() if record.due_at and record.due_at <= clock.present()]
        for record in due:
            data = {"provider": "overshoot", "stream_id": record.stream.id, "reason": "due"}
            self.command({"version": 1, "data": data})
        return len(due)

    # -- how time passes

    def send(self, to: Callable[[Message], None], body: Message, delay: float) -> None:
        """A message that arrives so many simulated seconds later."""
        due = clock.present() + timedelta(seconds=delay)
        heapq.heappush(self._messages, (due, next(self._number), to, body))

    def lose_messages(self) -> None:
        """All that are under way."""
        self._messages.clear()

    def command(self, detail: Message) -> None:
        """The bus brings the provider's function a command."""
        envelope = {"id": f"event-{next(self._number)}", "account": ACCOUNT, "time": clock.present().isoformat()}
        self.send(self._to_overshoot, {**envelope, "detail-type": "StreamAttentionDue", "detail": detail}, HOP)

    def pass_until(self, moment: datetime) -> None:
        """Deliver whatever arrives until then, each when it does."""
        while self._messages and self._messages[0][0] <= moment:
            due, _, to, body = heapq.heappop(self._messages)
            self._advance_to(due)
            self.delivered += 1
            to(body)
        self._advance_to(moment)

    def pass_seconds(self, seconds: float) -> None:
        self.pass_until(clock.present() + timedelta(seconds=seconds))

    def _advance_to(self, moment: datetime) -> None:
        self.simulated.clock.advance(max(0.0, (moment - clock.present()).total_seconds()))

    def _to_renew_leases(self, body: Message) -> None:
        assert handler(sqs_batch(body), None) == {"batchItemFailures": []}

    def _to_overshoot(self, envelope: Message) -> None:
        if self.function(sqs_batch(envelope), CONTEXT)["batchItemFailures"]:
            self.send(self._to_overshoot, envelope, VISIBILITY)

    def later(self, body: Message, delay: float) -> None:
        """A delayed message of ``renew_leases`` to itself."""
        self.send(self._to_renew_leases, body, delay + HOP)

    # -- what came of it

    def record(self, stream: Stream) -> Record:
        return self.store.records[stream.id]

    def kinds(self, stream: Stream) -> list[str]:
        return self.store.kinds(stream.id)

    def told(self, stream: Stream, kind: str) -> datetime:
        """When the one event of this kind was recorded."""
        [event] = [event for event in self.store.timeline(stream.id) if event["type"] == kind]
        return datetime.fromisoformat(event["occurred_at"])

    def alive(self) -> set[str | None]:
        """What exists at the provider."""
        return {each["id"] for each in self.door.resources()}

    def under_way(self) -> int:
        """How many messages have not arrived yet."""
        return len(self._messages)

    def keepalives(self, stream: Stream) -> list[Call]:
        return [call for call in self.door.calls("keepStreamAlive") if f"/{stream.provider_ref}/" in call.path]

    def told_token(self, stream: Stream) -> JsonValue:
        """That which the provider told last."""
        answer = self.keepalives(stream)[-1].response
        token: JsonValue = answer["livekit_token"] if "livekit_token" in answer else answer["publish"]["token"]
        return token

    def renewals(self, stream: Stream) -> list[Renewal]:
        """Those that were granted, as the provider knows them."""
        assert stream.lease
        granted = [call.at for call in self.keepalives(stream) if call.status == 200]
        moments = [datetime.fromtimestamp(at / 1000, UTC) for at in granted]
        lease = timedelta(seconds=stream.lease.ttl_seconds)
        return [Renewal(at, 1 - (at - before) / lease) for before, at in pairwise([stream.lease.renewed_at, *moments])]


class _Queue:
    """The queue of ``renew_leases``, as SQS's client."""

    def __init__(self, day: Day) -> None:
        self._day = day

    def send_message(self, MessageBody: str, DelaySeconds: int, **_: str) -> Message:  # noqa: N803  # boto3's names
        assert 0 <= DelaySeconds <= 900
        self._day.later(json.loads(MessageBody), DelaySeconds)
        return {}


class _Bus:
    """The bus, as EventBridge's client."""

    def __init__(self, day: Day) -> None:
        self._day = day

    def put_events(self, Entries: list[Message]) -> Message:  # noqa: N803  # boto3's name
        for entry in Entries:
            assert entry["DetailType"] == "StreamAttentionDue"
            self._day.command(json.loads(entry["Detail"]))
        return {"Entries": [{"EventId": "1"} for _ in Entries]}


class _Table:
    """The records, as DynamoDB's client reads them."""

    def __init__(self, store: FakeStore) -> None:
        self._store = store

    def get_item(self, Key: Message, **_: Any) -> Message:  # noqa: N803  # boto3's name
        record = self._store.load(Key["pk"]["S"].removeprefix("STREAM#"))
        return {"Item": to_attributes(stream_item(record))} if record else {}
