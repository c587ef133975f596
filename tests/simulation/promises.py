"""What is promised, checked against what is true: the provider's resources, the table, the bus, and every answer.

Written from the promises and not from the code: it knows no workflow, and sees the product from outside alone.
"""

import json
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any

from headwater.creation import Accepted, Opened
from headwater.errors import HeadwaterError, IdempotencyKeyReused, NameTaken, StreamEnded
from headwater.events import Happened
from headwater.provider import Order
from headwater.records import Record
from headwater.streams import State
from tests.simulation.kernel import INVOCATION, SKEW, Kernel, Task, current
from tests.simulation.outside import Made, Outside
from tests.simulation.table import CANARY, Table, opened

ENDS = {"StreamDeleted", "StreamExpired", "StreamLost"}
OVER = {State.ENDED, State.LOST}
FINAL = {
    *("creation-abandoned", "invalid-request", "name-taken"),
    *("provider-rejected", "provider-payment-required", "provider-outcome-unknown"),
}
"""What a stream may fail of. Everything else passes, and nothing fails of what passes."""
GIVEN_UP = {"creation-abandoned", "invalid-request"}
"""What a stream is said to have failed of that nobody wants any more."""
WAITED_FOR = 3600
"""How long after somebody asked a stream may still be created unasked, where nobody says otherwise."""


def _worked_on(record: Record) -> tuple[int, bool]:
    return record.attempt, record.claim is None or record.claim.released


class Broken(BaseException):
    """A promise was broken. No product code may catch it."""


@dataclass
class Asked:
    """Who asked for a stream, as far as that bears on what may be done."""

    last: float = 0.0
    until: float = 0.0
    """The latest deadline that somebody gave."""
    without_waiting: bool = False
    """Whether somebody asked who does not wait for the answer."""
    promised: float = 0.0
    """Until when it is tried for those who were told that it will be made; 0 where nobody was."""
    deletes: int = 0


@dataclass
class Promises:
    """Watches one run. Raises ``Broken`` at the very step at which a promise is."""

    kernel: Kernel
    table: Table
    outside: Outside
    asked: defaultdict[str, Asked] = field(default_factory=lambda: defaultdict(Asked))
    bodies: set[str] = field(default_factory=set)
    """The fingerprints of every request that was one."""
    delivered: list[tuple[str, Happened]] = field(default_factory=list)
    """What the bus was given, in order, with the type of each."""
    counted: Counter[str] = field(default_factory=Counter)
    """The product's own metrics."""
    created_at: dict[str, float] = field(default_factory=dict)
    """When each stream's StreamCreated was written."""
    ending_at: dict[str, float] = field(default_factory=dict)
    """When somebody first began to end each stream."""
    over_at: dict[str, float] = field(default_factory=dict)
    worked_on_at: dict[str, float] = field(default_factory=dict)
    """When somebody last began to work on each stream, or ended."""
    ambiguous: int = 0
    """How many creates the records have counted as ambiguous."""
    failed_at: defaultdict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    """When each stream has failed, after each of which its key begins anew."""
    made_for: Counter[tuple[str, int]] = field(default_factory=Counter)
    """How much was made of a stream between two failures, by when it was asked for."""
    begun_in: dict[tuple[Task, str], int] = field(default_factory=dict)
    """How often the stream had failed when a worker asked for it to be made."""
    create_asked_at: dict[tuple[Task, str], float] = field(default_factory=dict)
    fingerprints: defaultdict[str, list[tuple[float, str, bool]]] = field(default_factory=lambda: defaultdict(list))
    """Of each stream's record since when, and whether it had failed."""

    # -- at the provider

    def asked_to_create(self, order: Order[Any]) -> None:
        task, asked = current(), self.asked[order.id]
        created = self.created_at.get(order.id)
        self._require(created is None or task.begun <= created, "a settled key is never created anew")
        self.begun_in[task, order.id] = len(self.failed_at[order.id])
        self.create_asked_at[task, order.id] = self.kernel.now
        record = self._record(order.id)
        self._require(record is not None, "nothing is created that was not claimed")
        assert record
        self._require(record.fingerprint in self.bodies, "what was refused as no request makes nothing")
        self._require(
            order.generation <= record.generation, "a generation is recorded before anything is made under it"
        )
        if task.role == "attention":
            latest = max(asked.last + WAITED_FOR, asked.until) + INVOCATION + 2 * SKEW
            self._require(self.kernel.now <= latest, "nothing is created unasked when nobody waits for it any more")
            waited_for = asked.without_waiting or bool(self.outside.guard_seconds)
            self._require(waited_for, "nothing is created for a caller who is gone where a second could be made")

    def made(self, resource: Made) -> None:
        alive = self.outside.alive_of(resource.order_id)
        begun_in = (resource.order_id, self.begun_in[resource.maker, resource.order_id])
        self.made_for[begun_in] += 1
        match self.outside.name:
            case "keyed" | "named":
                self._require(len(alive) <= 1, "one key never has two live resources")
            case "leased":
                # It is by their clocks that these are kept apart.
                self._require(
                    len(alive) <= 1 or self.kernel.unpunctual, "a lost one's lease is waited out before another is made"
                )
            case "anonymous":
                self._require(
                    self.made_for[begun_in] <= 2, "at most one deliberate retry where a lost one cannot be found"
                )

    def to_be_removed(self, resource: Made) -> None:
        record, asked = self._record(resource.order_id), self.asked[resource.order_id]
        recorded = record is not None and record.stream.provider_ref == resource.ref
        if not recorded:
            self._require(not self.outside.guard_seconds, "what can be found again is adopted, not removed")
            return
        assert record
        expires_at = record.stream.expires_at
        expired = (
            expires_at is not None and self.kernel.since(expires_at) <= self.kernel.now + SKEW * self.kernel.unpunctual
        )
        self._require(bool(asked.deletes) or expired, "a recorded stream is removed only when asked, or at its end")

    def to_be_renewed(self, resource: Made) -> None:
        record = self._record(resource.order_id)
        recorded = record is not None and record.stream.provider_ref == resource.ref
        self._require(recorded, "only what is recorded is kept alive")

    # -- in the table

    def written(self, before: Record | None, after: Record, event: Happened | None) -> None:
        stream, log = after.stream, self.table.log[after.stream.id]
        if before and _worked_on(before) != _worked_on(after):
            self.worked_on_at[stream.id] = self.kernel.now
        kinds = [type(each).__name__ for each in log]
        if event:
            self._announced(after, event, kinds)
        sequences = [each.sequence for each in log]
        self._require(sequences == list(range(1, len(log) + 1)), "versions are contiguous from 1")
        self._require(stream.version == len(log), "the version rises by one with every event, and only with one")
        self._require(CANARY not in after.model_dump_json(), "no secret is kept in clear")
        self.ambiguous += max(0, after.ambiguous_creates - (before.ambiguous_creates if before else 0))
        self.fingerprints[stream.id].append((self.kernel.now, after.fingerprint, stream.state is State.FAILED))
        if stream.state in {State.ENDING, *OVER}:
            self.ending_at.setdefault(stream.id, self.kernel.now)
        if not after.claim:
            self._settled(after, kinds)
        self._tell_apart(before, after)

    def _announced(self, record: Record, event: Happened, kinds: list[str]) -> None:
        stream_id, kind, earlier = record.stream.id, kinds[-1], kinds[:-1]
        alive, over = "StreamCreated" in earlier, bool(ENDS & set(earlier)) or stream_id in self.over_at
        self._require(not over, f"{kind} after the end")
        self._require(event.data.stream == record.stream, "an event tells the stream as it was recorded with it")
        match kind:
            case "StreamCreated":
                self._require(not alive, "one stream, one StreamCreated")
                self._require(record.claim is None, "StreamCreated is of a settled stream")
                self.created_at[stream_id] = self.kernel.now
                self._require_real(record)
            case "StreamFailed":
                self._require(not alive and record.stream.state is State.FAILED, "only what was not made has failed")
                self.failed_at[stream_id].append(self.kernel.now)
                self._require(record.stream.state_reason in FINAL, f"nothing fails of {record.stream.state_reason}")
                self._require_given_up(record)
            case _:
                self._require(alive, f"{kind} of what was never created")
        if record.stream.state in OVER:
            self.over_at[stream_id] = self.kernel.now

    def _require_given_up(self, record: Record) -> None:
        """Nothing that was accepted is given up before its time."""
        asked = self.asked[record.stream.id]
        promised, asked.promised = asked.promised, 0
        # Where a lost one's lease is waited out, that is all that an unknown outcome can be the end of.
        unwanted = GIVEN_UP | ({"provider-outcome-unknown"} if self.outside.name == "leased" else set())
        if record.stream.state_reason in unwanted:
            early = 2 * SKEW * self.kernel.unpunctual
            self._require(self.kernel.now >= promised - early, "what was accepted is not given up before its time")

    def _require_real(self, record: Record) -> None:
        made = self.outside.resources.get(record.stream.provider_ref or "")
        self._require(made is not None and made.order_id == record.stream.id, "what is recorded is the key's own")
        assert made
        there = self.outside.alive(made) or made.gone == "somebody else" or made.ends_at <= self.kernel.now
        self._require(there, "what is recorded was not removed by us")

    def _settled(self, record: Record, kinds: list[str]) -> None:
        stream = record.stream
        self._require(record.request_secrets is None, "the request's secrets are gone once it is settled")
        kept = record.sealed_credentials
        if stream.state is State.FAILED:
            self._require(kinds[-1:] == ["StreamFailed"], "what failed is announced as failed")
        elif stream.state in OVER:
            self._require(kinds[-1] in {*ENDS, "StreamStateChanged"}, "an end is announced")
            self._require(kept is None, "nothing opens a stream that is over")
        else:
            self._require("StreamCreated" in kinds, "what is recorded is announced")
            self._require(kept is not None and self._opens(record, kept), "a stream is recorded with what opens it")

    def _opens(self, record: Record, sealed: bytes) -> bool:
        plain = json.loads(opened(record, sealed))
        secret: str = plain["ingest"][0]["secrets"]["stream_key"]
        return secret == CANARY + (record.stream.provider_ref or "") and CANARY.encode() not in sealed

    def _tell_apart(self, before: Record | None, after: Record) -> None:
        """Count what happened, so that a run that shows nothing is seen to show nothing."""
        seen = self.kernel.seen
        if before is None:
            return
        if after.attempt > before.attempt:
            seen["begun anew" if before.stream.state is State.FAILED else "taken over"] += 1
        if after.generation > before.generation:
            seen["generation raised"] += 1
        if after.stream.state is not before.stream.state:
            reason = f": {after.stream.state_reason}" if after.stream.state_reason else ""
            seen[f"{after.stream.state}{reason}"] += 1
        if (
            after.stream.lease
            and before.stream.lease
            and after.stream.lease.expires_at > before.stream.lease.expires_at
        ):
            seen["renewed"] += 1

    # -- what is answered

    def answered(self, task: Task, stream_id: str, fingerprint: str, answer: object) -> None:
        """The product answers a create of this body; whether it arrives is another matter."""
        match answer:
            case Opened():
                self._require(answer.stream.id == stream_id, "one key, one id")
                self._opened(task, answer)
                known = self.fingerprints[stream_id]
                self._require(
                    any(each == fingerprint for _, each, _ in known), "a success is of the body that was sent"
                )
                created = self.created_at[stream_id]
                at_settle = [each for moment, each, _ in known if moment <= created][-1]
                self._require(at_settle == fingerprint, "another body is never answered with the stream")
                self.kernel.seen["replayed" if answer.replayed else "opened"] += 1
            case Accepted():
                self._require(answer.stream.id == stream_id, "one key, one id")
                self._require(self._record(stream_id) is not None, "what is accepted is recorded")
                self._accepted(task, stream_id)
                self.kernel.seen["accepted again" if answer.again else "accepted"] += 1
            case HeadwaterError():
                self._refused(task, stream_id, fingerprint, answer)

    def _accepted(self, task: Task, stream_id: str) -> None:
        """It will be made for whoever was told so: it is tried for an hour or, where somebody was at it, as before."""
        record = self._record(stream_id)
        if record is None or record.claim is None or record.try_until is None:
            return
        failed_meanwhile = any(moment >= task.begun for moment in self.failed_at[stream_id])
        self._require(record.origin != "api" or failed_meanwhile, "nothing is accepted that is made for one who waits")
        promised, until = self.kernel.since(record.try_until), self.kernel.since(record.claim.until)
        worked_on = not record.claim.released and until > task.begun
        changed_hands = self.worked_on_at.get(stream_id, -1) >= task.begun
        if not changed_hands and not self.kernel.unpunctual:
            long = promised > until if worked_on else promised > task.begun + WAITED_FOR - 0.01
            self._require(long, "what is accepted is tried for an hour, or for longer than whoever is at it lives")
        asked = self.asked[stream_id]
        asked.promised = max(asked.promised, promised)
        self.kernel.seen["accepted while it is made"] += worked_on

    def _opened(self, task: Task, answer: Opened) -> None:
        stream = answer.stream
        created, ending = self.created_at.get(stream.id), self.ending_at.get(stream.id)
        self._require(created is not None, "a success is of a stream that was recorded")
        self._require(ending is None or task.begun <= ending, "after its end a key is never answered with the stream")
        recorded = self.table.log[stream.id]
        refs = {each.data.stream.provider_ref for each in recorded if type(each).__name__ == "StreamCreated"}
        self._require(refs == {stream.provider_ref}, "one key, one resource, in every answer")
        told = [each for each in answer.credentials.ingest if each.secrets]
        secrets = [each.secrets["stream_key"].get_secret_value() for each in told]
        self._require(secrets == [f"{CANARY}{stream.provider_ref}"], "a success has the credentials of its resource")

    def _refused(self, task: Task, stream_id: str, fingerprint: str, error: HeadwaterError) -> None:
        self.kernel.seen[f"answer: {error.code}"] += 1
        self._require(CANARY not in json.dumps(error.problem("r"), default=str), "no secret is in an error")
        if isinstance(error, IdempotencyKeyReused):
            others = [each for _, each, failed in self.fingerprints[stream_id] if each != fingerprint and not failed]
            self._require(bool(others), "only another body is refused as another")
        if isinstance(error, StreamEnded):
            # A message over the bus that comes again is told so of what has failed.
            failed = bool(self.failed_at[stream_id]) and task.role == "bus"
            self._require(stream_id in self.ending_at or failed, "only what is over is answered as over")
        if error.code == "creation-in-progress":
            self._require(bool(error.retry_after and error.retry_after >= 1), "who shall come again is told when")
            self.kernel.seen["not accepted: a caller who waits has it made"] += task.name.startswith("accept")
        if error.settled:
            kinds = [type(each).__name__ for each in self.table.log[stream_id]]
            self._require("StreamFailed" in kinds, "what is answered as failed is recorded as failed")

    def answered_at_last(self, before: Record | None, answer: object) -> None:
        """What somebody was told who came again as often as told to, when nothing went wrong any more."""
        if before and not before.claim and before.stream.state not in {State.FAILED, *OVER}:
            self._require(isinstance(answer, Opened | StreamEnded), f"a key that is used is answered, not {answer!r}")
        now = self._record(before.stream.id) if before else None
        if now and self.undecidable(now):
            return
        had = isinstance(answer, Opened | StreamEnded | NameTaken)
        self._require(had, f"who comes again as told has an answer in the end, not {answer!r}")

    def worker_ended(self, task: Task) -> None:
        """Whoever lives to give an answer, undisturbed, leaves nothing of its making beside the record."""
        if task.troubled or self.outside.guard_seconds or self.outside.name == "anonymous":
            return
        for made in self.outside.resources.values():
            if made.maker is task and self.outside.alive(made):
                record = self._record(made.order_id)
                recorded = record is not None and record.stream.provider_ref == made.ref
                moved_on = record is not None and record.attempt > 1
                self._require(recorded or not moved_on, "what was superseded is removed where it could not be found")

    # -- on the bus

    def put_on_bus(self, event: Happened) -> None:
        stream_id = event.data.stream.id
        self._require(event in self.table.log[stream_id], "nothing is announced that was not recorded")
        self.delivered.append((type(event).__name__, event))

    # -- when all is quiet

    def quiet(self) -> None:
        """Nothing is due any more, or only what can never be decided."""
        for stream_id, row in self.table.rows.items():
            self._require(self._is_final(row.record), f"nothing is left claimed for ever: {stream_id[:8]}")
            self._left_at_the_provider(stream_id, row.record)
        for made in self.outside.resources.values():
            self._require(made.order_id in self.table.rows, "nothing is made without a record")
        self._announced_once()
        self._counted()

    def _is_final(self, record: Record) -> bool:
        if record.claim is None:
            return record.stream.state not in {State.PROVISIONING, State.ENDING}
        return self.undecidable(record)

    def undecidable(self, record: Record) -> bool:
        """Whether nobody can find out what became of it: the list is cut for good, and nothing else tells."""
        told = record.stream.state is State.UNKNOWN
        return told and self.outside.name == "keyed" and self.outside.manners.cut_for_good

    def _left_at_the_provider(self, stream_id: str, record: Record) -> None:
        settled_alive = not record.claim and record.stream.state not in {State.FAILED, *OVER}
        recorded = record.stream.provider_ref if settled_alive else None
        existing = self.outside.alive_of(stream_id)
        alive = [made.ref for made in existing if made.ref == recorded or not self._came_after_the_end(made)]
        if self.outside.name == "anonymous":
            return
        if record.claim:
            self._require(len(alive) <= 1, "one key never has two live resources")
            return
        waited_out = self.outside.name != "leased" or not self.kernel.unpunctual
        self._require(
            set(alive) <= {recorded} or not waited_out, f"no live resource without its record ({record.stream.state})"
        )
        # A removal whose answer is lost is for whoever asked for it to ask again.
        if recorded and not self.asked[stream_id].deletes:
            there = recorded in alive or self.outside.resources[recorded].gone == "somebody else"
            self._require(there, "what is recorded as alive is there")

    def _came_after_the_end(self, made: Made) -> bool:
        """Whether a request made it that was on its way when its stream, or who had its name, was removed already.

        No record can keep a provider from that, nor wait out by a wrong clock what may be on its way before it says
        that a stream has failed: the search for orphans finds it.
        """
        resources = self.outside.resources.values()
        others = [each for each in resources if made.order_id == each.order_id or made.name == each.name]
        removed = [each.gone_at for each in others]
        failed = self.failed_at[made.order_id] if self.kernel.unpunctual else []
        begun = made.maker.begun if self.kernel.unpunctual else self.create_asked_at[made.maker, made.order_id]
        late = any(begun <= end <= made.made_at for end in [*removed, *failed])
        self.kernel.seen["made after the end"] += late
        return late

    def _announced_once(self) -> None:
        by_id: dict[str, str] = {}
        for kind, event in self.delivered:
            content = f"{kind} {event.model_dump_json()}"
            self._require(by_id.setdefault(event.event_id, content) == content, "an event_id has one content")
            self._require(CANARY not in content, "no secret is announced")
        recorded = [event for log in self.table.log.values() for event in log]
        self._require({event.event_id for event in recorded} == set(by_id), "every recorded event is announced")
        self._require(len(by_id) == len(recorded), "no two events share an event_id")
        for stream_id, log in self.table.log.items():
            mine = [event.sequence for _, event in self.delivered if event.data.stream.id == stream_id]
            self._require(list(dict.fromkeys(mine)) == [event.sequence for event in log], "events come in order")

    def _counted(self) -> None:
        metric = self.counted["AmbiguousCreate"]
        if self.outside.guard_seconds:
            self._require(metric == self.ambiguous == 0, "nothing is ambiguous where it can be found")
            return
        made = [made for made in self.outside.resources.values() if made.gone is None]
        recorded = {
            event.data.stream.provider_ref
            for log in self.table.log.values()
            for event in log
            if type(event).__name__ == "StreamCreated"
        }
        lost = sum(each.ref not in recorded for each in made)
        self._require(
            lost <= self.ambiguous, f"every ambiguous create is counted: {lost} lost, {self.ambiguous} counted"
        )
        slack = sum(self.kernel.troubles[name] for name in ("store.update", "store.settle", "store.conflict"))
        slack += self.kernel.unpunctual
        self._require(abs(metric - self.ambiguous) <= slack, f"counted {metric} times, recorded {self.ambiguous} times")

    # --

    def _record(self, stream_id: str) -> Record | None:
        row = self.table.rows.get(stream_id)
        return row.record if row else None

    def _require(self, kept: bool, promise: str) -> None:
        if not kept:
            self.kernel.note("PROMISE", f"broken: {promise}")
            raise Broken(promise)
