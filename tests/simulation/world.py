"""One run: the product's workflows in a world of clients, queues, a sweep, a publisher and an outsider, by one seed."""

import json
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from itertools import count
from typing import Any

from headwater.attention import Attention
from headwater.creation import Creation, Opened
from headwater.deadline import Deadline
from headwater.ending import Ending
from headwater.errors import CallerError, HeadwaterError, InvalidRequest, ProviderError
from headwater.events import AttentionData, Happened
from headwater.lifecycle import Lifecycle
from headwater.ports import Caller, Parts
from headwater.records import Record
from headwater.requests import Wanted, parse
from headwater.streams import identify
from tests.simulation.kernel import BEGINNING, Kernel, Task
from tests.simulation.outside import KINDS, SimulatedOptions
from tests.simulation.promises import OVER, Promises
from tests.simulation.seeds import NAMED_FOR, Client, planned
from tests.simulation.table import FAILURES, Away, SimulatedVault, Table

TENANT, DEPLOYMENT = "aws:123456789012", "simulation"
DAY = 86_400.0
VISIBILITY = 180.0
"""When a message comes again whose worker did not say that it was done."""
RECEIVES = 4
"""How often a message is delivered before it is set aside."""
LIFETIME = 130
"""How long a leased stream is held."""
BEAT = 0.4
"""Of its lease, between renewals."""
PERSISTENT = 9
"""How often somebody asks who will have an answer, once nothing goes wrong any more."""


@cache
def wanted(body: str) -> Wanted:
    """The request in this body."""
    return parse(body, SimulatedOptions)


@dataclass(frozen=True)
class Request:
    """What one worker is asked to do: make a stream of this key."""

    key: str
    stream_id: str
    wanted: Wanted
    caller: Caller


class World:
    """Everything of one run."""

    def __init__(self, kind: str, seed: int) -> None:
        rng = random.Random(f"{kind} {seed}")  # noqa: S311  # it is to be foreseen
        self.plan = plan = planned(kind, rng)
        self.kernel = kernel = Kernel(rng, plan.chaos, landing=plan.landing)
        self.table = Table(kernel, plan.conflicts)
        self.outside = KINDS[kind](kernel, plan.manners)
        self.promises = Promises(kernel, self.table, self.outside)
        self.outside.witness = self.promises
        self.table.watchers += [self.promises, self]
        self.parts = Parts(
            self.outside,
            self.table,
            SimulatedVault(kernel),
            DEPLOYMENT,
            "123456789012",
            kernel.clock,
            count=self._count,
            call_for=self._send,
            landing=plan.landing,
            leased_lifetime=LIFETIME,
        )
        self.creation = Creation(self.parts)
        self.lifecycle = Lifecycle(self.parts)
        self.ending = Ending(self.parts)
        self.attention = Attention(self.parts, self.lifecycle)
        self._numbers = count(1)
        self._clients = 0
        self._ticks: set[int] = set()
        self._published: dict[str, int] = {}
        self._publishing: set[str] = set()

    # -- the run

    def run(self) -> None:
        """Let it all happen, then heal, then check. Raises ``Broken``."""
        try:
            self._set_out()
            self.kernel.run(lambda: self._clients == 0)
            self._heal()
            self._settle_down()
            self._ask_once_more()
            self._settle_down()
        finally:
            self.kernel.end()

    def _set_out(self) -> None:
        for key, clients in self.plan.clients.items():
            for client in clients:
                self._begin(key, client)
        for moment in self.plan.outsiders:
            self.kernel.at(moment, self._remove_something)
        if self.plan.foreign:
            taken, free = self.plan.foreign
            self.kernel.at(taken, lambda: self.outside.take_name("door"))
            self.kernel.at(free, self.outside.foreign.clear)

    def _heal(self) -> None:
        self.kernel.healed = True
        self.kernel.at(self.kernel.now + NAMED_FOR, self.outside.foreign.clear)
        self.kernel.note("WORLD", "nothing goes wrong any more")
        for row in self.table.rows.values():
            if row.due_at:
                self._sweep_at(self.kernel.since(row.due_at))

    def _settle_down(self) -> None:
        begun = {stream_id: row.record.attempt for stream_id, row in self.table.rows.items()}
        self.kernel.run(lambda: self._hopeless(begun), self.kernel.now + DAY)
        self.kernel.note("WORLD", "all is quiet")
        self.promises.quiet()

    def _hopeless(self, begun: dict[str, int]) -> bool:
        """Whether all that is left to be done is to look again for what nobody can find."""
        if not self.outside.manners.cut_for_good or self._publishing:
            return False
        records = [row.record for row in self.table.rows.values()]
        undecidable = [record for record in records if self.promises.undecidable(record)]
        settled = all(record in undecidable or not (record.claim or record.due_at) for record in records)
        return settled and any(record.attempt > begun.get(record.stream.id, 0) + 1 for record in undecidable)

    # -- who asks

    def _begin(self, key: str, client: Client) -> None:
        name = f"client-{next(self._numbers)}"
        self._clients += 1
        task = self.kernel.spawn(name, "client", lambda _: self._live(key, client), after=client.begins)
        task.ended.append(self._one_less)

    def _one_less(self) -> None:
        self._clients -= 1

    def _live(self, key: str, client: Client) -> None:
        if client.way in {"bus", "nonsense"}:
            self._put_request(key, client)
            self.kernel.pause(self.kernel.rng.uniform(1, 60))
        opened = self._insist(key, client, client.tries) if client.way != "nonsense" else None
        if not isinstance(opened, Opened):
            return
        for doing in client.then:
            self.kernel.pause(self.kernel.rng.choice([0.1, 3, 60]))
            match doing:
                case "again":
                    self._insist(key, client, 1)
                case "delete":
                    self._delete(opened.stream.id)
                case "refresh":
                    self._refresh(opened.stream.id)

    def _insist(self, key: str, client: Client, tries: int) -> object:
        """The last answer of so many tries; None where it was not heard."""
        answer: object = None
        for _ in range(tries):
            worker = self._ask(key, client)
            heard = self.kernel.join(worker, client.patience)
            answer = worker.result if heard else None
            if isinstance(answer, Opened):
                return answer
            if isinstance(answer, HeadwaterError) and not answer.retryable:
                return answer
            told = answer.retry_after if isinstance(answer, HeadwaterError) else None
            self.kernel.pause(max(1, told or self.kernel.rng.uniform(1, 4)))
        return answer

    def _ask(self, key: str, client: Client) -> Task:
        request = self._request(key, client.body)
        asked = self.promises.asked[request.stream_id]
        asked.last = self.kernel.now
        if client.way == "async":
            asked.without_waiting = True
            return self._worker(
                "accept", "api", request, lambda _: self.creation.accept(request.caller, key, request.wanted)
            )
        return self._worker(
            "create",
            "api",
            request,
            lambda deadline: self.creation.provision(request.caller, key, request.wanted, deadline),
        )

    def _request(self, key: str, body: dict[str, Any]) -> Request:
        stream_id = identify(DEPLOYMENT, TENANT, self.outside.name, key)
        caller = Caller(TENANT, f"request-{next(self._numbers)}")
        request = Request(key, stream_id, wanted(json.dumps(body)), caller)
        self.promises.bodies.add(request.wanted.fingerprint)
        return request

    def _worker(self, name: str, role: str, request: Request, work: Callable[[Deadline], object]) -> Task:
        """An invocation that answers ``work``'s outcome; its errors are answers too."""

        def body(task: Task, deadline: Deadline) -> object:
            answer: object
            try:
                answer = work(deadline)
            except (HeadwaterError, Away) as error:
                answer = error
            self.promises.answered(task, request.stream_id, request.wanted.fingerprint, answer)
            self.promises.worker_ended(task)
            self.kernel.note(task, f"answers {_words(answer)}")
            return answer

        return self.kernel.worker(f"{name}-{next(self._numbers)}", role, body)

    def _delete(self, stream_id: str) -> None:
        self.promises.asked[stream_id].deletes += 1
        self._once("delete", lambda caller, deadline: self.ending.remove(caller, stream_id, deadline))

    def _refresh(self, stream_id: str) -> None:
        self._once("refresh", lambda caller, deadline: self.lifecycle.read(caller, stream_id, True, deadline))

    def _once(self, name: str, work: Callable[[Caller, Deadline], object]) -> None:
        caller = Caller(TENANT, f"request-{next(self._numbers)}")

        def body(task: Task, deadline: Deadline) -> object:
            try:
                return work(caller, deadline)
            except (HeadwaterError, Away) as error:
                self.kernel.note(task, f"answers {_words(error)}")
                return error

        self.kernel.join(self.kernel.worker(f"{name}-{next(self._numbers)}", "api", body), 29)

    def _ask_once_more(self) -> None:
        """Whoever comes again for every key, as often as told, has an answer in the end, and it is the right one."""
        for key, clients in self.plan.clients.items():
            stream_id = identify(DEPLOYMENT, TENANT, self.outside.name, key)
            row = self.table.rows.get(stream_id)
            bodies = [client.body for client in clients if client.way != "nonsense"]
            asked = [body for body in bodies if row and wanted(json.dumps(body)).fingerprint == row.record.fingerprint]
            client = Client(0, "api", (asked or bodies)[0], PERSISTENT, 60, ())
            before = row.record if row else None
            self.kernel.spawn(f"client-{next(self._numbers)}", "client", self._persistent(key, client, before))
            self._clients += 1
        self.kernel.run(lambda: self._clients == 0, self.kernel.now + DAY)

    def _persistent(self, key: str, client: Client, before: Record | None) -> Callable[[Task], None]:
        def live(_: Task) -> None:
            answer = self._insist(key, client, PERSISTENT)
            self.promises.answered_at_last(before, answer)
            self._clients -= 1

        return live

    # -- the bus and the queues

    def _put_request(self, key: str, client: Client) -> None:
        request = self._request(key, client.body)
        if client.way == "nonsense":
            self._deliver(lambda: self._refuse(request))
            return
        latest = self.kernel.now + client.deadline
        asked = self.promises.asked[request.stream_id]
        asked.last, asked.until, asked.without_waiting = self.kernel.now, max(asked.until, latest), True
        self._deliver(lambda: self._requested(request, latest))

    def _requested(self, request: Request, latest: float) -> Task:
        def work(deadline: Deadline) -> object:
            caller, key, asked = request.caller, request.key, request.wanted
            if self.kernel.now > latest:
                self.creation.give_up(caller, key, asked, deadline, InvalidRequest("Its deadline has passed."))
                return None
            until = BEGINNING + timedelta(seconds=latest)
            return self.creation.provision(caller, key, asked, deadline, "bus", until)

        return self._worker("request", "bus", request, work)

    def _refuse(self, request: Request) -> Task:
        def work(_: Deadline) -> None:
            self.creation.refuse(request.caller, request.key, InvalidRequest("It is no request."))

        return self._worker("refuse", "bus", request, work)

    def _send(self, data: AttentionData) -> None:
        """Put a command on the bus; where that fails, nobody hears of it."""
        try:
            self.kernel.call("bus.send", lambda: self._deliver(lambda: self._attend(data)), FAILURES)
        except Away:
            return

    def _deliver(self, work: Callable[[], Task]) -> None:
        """A message: at least once, perhaps late, perhaps twice; again where it was not done with."""
        rng = self.kernel.rng
        self.kernel.at(self.kernel.now + rng.uniform(0.02, 1), lambda: self._receive(work, 1))
        if not self.kernel.healed and rng.random() < self.plan.twice:
            self.kernel.seen["message delivered twice"] += 1
            self.kernel.at(self.kernel.now + rng.choice([0.03, 5, 60, 400]), lambda: self._receive(work, 1))

    def _receive(self, work: Callable[[], Task], times: int) -> None:
        task = work()

        def ended() -> None:
            if (task.killed or _again(task.result)) and times < RECEIVES:
                self.kernel.seen["message received again"] += 1
                self.kernel.at(self.kernel.now + VISIBILITY, lambda: self._receive(work, times + 1))

        task.ended.append(ended)

    def _attend(self, data: AttentionData) -> Task:
        def body(task: Task, deadline: Deadline) -> object:
            try:
                self.attention.attend(data, f"command-{task.name}", deadline)
            except (HeadwaterError, Away) as error:
                self.kernel.note(task, f"raises {_words(error)}")
                settled = data.reason == "due" and isinstance(error, HeadwaterError)
                self.promises.worker_ended(task)
                return None if settled else error
            self.promises.worker_ended(task)
            return None

        return self.kernel.worker(f"attend-{data.reason}-{next(self._numbers)}", "attention", body)

    # -- the sweep

    def _sweep_at(self, moment: float) -> None:
        minute = int(max(moment, self.kernel.now) // 60) + 1
        if minute not in self._ticks:
            self._ticks.add(minute)
            self.kernel.at(minute * 60.0, lambda: self._tick(minute))

    def _tick(self, minute: int) -> None:
        self._ticks.discard(minute)
        if not (self.plan.sweeping or self.kernel.healed) or not self.table.due(self.kernel.clock()):
            return
        self._sweep_at(self.kernel.now + 1)
        self.kernel.worker(f"sweep-{next(self._numbers)}", "sweep", self._sweep)
        if not self.kernel.healed and self.kernel.rng.random() < self.plan.twice:
            self.kernel.seen["two sweeps at once"] += 1
            self.kernel.worker(f"sweep-{next(self._numbers)}", "sweep", self._sweep)

    def _sweep(self, task: Task, deadline: Deadline) -> None:
        try:
            due = self.kernel.call("sweep.query", lambda: self.table.due(self.kernel.clock()), FAILURES)
        except Away:
            return
        for stream_id, row in due:
            later = self.kernel.clock() + timedelta(seconds=min(3600, 60 * 2**row.swept))
            with _pass_over():
                move_on = self._moved_on(stream_id, row.due_at, later)
                won = self.kernel.call("sweep.move_on", move_on, FAILURES, repeated=True)
                if won and (self.kernel.healed or self.kernel.rng.random() >= self.plan.lost):
                    self._send(AttentionData(provider=self.outside.name, stream_id=stream_id, reason="due"))

    def _moved_on(self, stream_id: str, seen: datetime | None, later: datetime) -> Callable[[], bool]:
        def move_on() -> bool:
            moved = self.table.move_on(stream_id, seen, later)
            if moved:
                self.kernel.seen["swept"] += 1
                self._sweep_at(self.kernel.since(later))
            return moved

        return move_on

    # -- what is written is published; what is published is kept alive

    def written(self, before: Record | None, after: Record, event: Happened | None) -> None:
        """Watches the table as its stream and its index do."""
        if after.due_at:
            self._sweep_at(self.kernel.since(after.due_at))
        if event and after.stream.id not in self._publishing:
            self._publish_in(after.stream.id, self.kernel.rng.uniform(0.05, 1))

    def _publish_in(self, stream_id: str, seconds: float) -> None:
        self._publishing.add(stream_id)
        self.kernel.at(self.kernel.now + seconds, lambda: self._publish(stream_id))

    def _publish(self, stream_id: str) -> None:
        """The next event of the stream. It goes to the bus again where whoever put it there died before it said so."""
        log, done = self.table.log[stream_id], self._published.get(stream_id, 0)
        dice = 1.0 if self.kernel.healed else self.kernel.rng.random()
        if dice < self.plan.chaos.refused:
            self._publish_in(stream_id, self.kernel.rng.uniform(1, 30))
            return
        event = log[done]
        self.promises.put_on_bus(event)
        if dice < self.plan.chaos.refused + self.plan.chaos.lost + self.plan.chaos.killed:
            self.kernel.seen["published twice"] += 1
            self._publish_in(stream_id, self.kernel.rng.uniform(1, 30))
            return
        self._published[stream_id] = done + 1
        self._publishing.discard(stream_id)
        if type(event).__name__ == "StreamCreated":
            self._keep(event)
        if done + 1 < len(log):
            self._publish_in(stream_id, 0.05)

    def _keep(self, event: Happened) -> None:
        stream = event.data.stream
        if stream.lease:
            self._beat_in(stream.lease.ttl_seconds * BEAT, stream.id, 1)
        if stream.expires_at:
            self._expire_at(self.kernel.since(stream.expires_at), stream.id)

    def _beat_in(self, seconds: float, stream_id: str, number: int) -> None:
        def beat() -> None:
            record = self.table.rows[stream_id].record
            if record.stream.state in OVER or record.stream.lease is None:
                return
            self._beat_in(seconds, stream_id, number + 1)
            self._tell(AttentionData(provider=self.outside.name, stream_id=stream_id, reason="renew", beat=number))

        self.kernel.at(self.kernel.now + seconds, beat)

    def _expire_at(self, moment: float, stream_id: str) -> None:
        data = AttentionData(provider=self.outside.name, stream_id=stream_id, reason="expire")
        for each in (moment + 0.5, moment - 20):
            if each > moment or self.kernel.rng.random() < self.plan.twice:
                self.kernel.at(each, lambda: self._tell(data))

    def _tell(self, data: AttentionData) -> None:
        if self.kernel.healed or self.kernel.rng.random() >= self.plan.lost:
            self._deliver(lambda: self._attend(data))

    # -- others

    def _remove_something(self) -> None:
        alive = [made for made in self.outside.resources.values() if self.outside.alive(made)]
        if alive:
            made = self.kernel.rng.choice(alive)
            row = self.table.rows.get(made.order_id)
            self.kernel.seen["removed by somebody else" + (", unsettled" if row and row.record.claim else "")] += 1
            self.outside.taken_away(made.ref)

    def _count(self, metric: str) -> None:
        self.promises.counted[metric] += 1
        self.kernel.seen[f"counted: {metric}"] += 1


@contextmanager
def _pass_over() -> Iterator[None]:
    """One that cannot be seen to does not keep the others waiting."""
    try:
        yield
    except Away:
        return


def _again(answer: object) -> bool:
    """Whether a message whose worker answered so is delivered again."""
    if isinstance(answer, ProviderError):
        return answer.transient and not answer.settled
    if isinstance(answer, CallerError):
        return answer.retryable
    return isinstance(answer, Away)


def _words(answer: object) -> str:
    if isinstance(answer, HeadwaterError):
        wait = f", come again in {answer.retry_after:.0f} s" if answer.retry_after else ""
        return f"{answer.code}{wait}{', settled' if answer.settled else ''}"
    if isinstance(answer, Opened):
        return f"{'replay' if answer.replayed else 'new'}: {answer.stream.provider_ref}"
    return type(answer).__name__
