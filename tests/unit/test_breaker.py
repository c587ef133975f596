"""A provider's circuit, by Powertools' own breaker over a table: when it opens, who is let through, when it closes."""

import inspect
import itertools
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from pydantic import SecretStr

from headwater import aws, breaker
from headwater.attributes import from_attributes, to_attributes
from headwater.breaker import Settings, behind_breaker
from headwater.circuits import CIRCUITS
from headwater.deadline import Deadline
from headwater.errors import (
    CapabilityNotSupported,
    Effect,
    ProviderError,
    ProviderOutcomeUnknown,
    ProviderQuotaExceeded,
    ProviderRateLimited,
    ProviderRejected,
    ProviderSecretUnavailable,
    ProviderUnauthorized,
    ProviderUnavailable,
    Upstream,
)
from headwater.provider import AnyProvider, Handle, Order, Provider, Removal, Search
from headwater.simulcast import NewOutput
from headwater.streams import State, now
from tests.unit.fakes import CANARY, FakeOptions, FakeProvider, notification
from tests.unit.test_api import Service
from tests.unit.test_store import NAME, table_properties

NUMBER = itertools.count()
ALWAYS = 100
PATIENT = 20.0
"""Seconds that the table may take here, where a machine is busy with other things too."""
ORDER = Order("str_1", FakeOptions())
HANDLE = Handle("str_1", "ref-1", {})
AWAY = ProviderUnavailable("fake answered 503.", upstream=Upstream("fake", 503))
SILENT = ProviderUnavailable("fake: it could not be reached.", upstream=Upstream("fake"))


class Calm(FakeProvider):
    """It has no list and no call that ends a stream: neither ever calls anybody."""

    def find(self, order: Order[FakeOptions], deadline: Deadline) -> Search:
        return Search(conclusive=False)

    def remove(self, handle: Handle, deadline: Deadline) -> Removal:
        return Removal("It ends by itself.")


def named[P: FakeProvider](kind: type[P]) -> P:
    """A provider whose failures Powertools has not counted yet: it counts by name, as long as the process lives."""
    made: P = type(kind.__name__, (kind,), {"name": f"fake-{next(NUMBER)}"})()
    return made


class Circuit:
    """A provider behind its breaker, which reads the table at each call; and what the table says of it."""

    def __init__(self, provider: FakeProvider | None = None, client: Any = None, store: float = PATIENT) -> None:
        self.inner = provider or named(FakeProvider)
        self._store = store
        self.dynamodb = aws.client("dynamodb")
        self.key = to_attributes({"pk": CIRCUITS, "sk": self.inner.name})
        self.outer = self.behind(client or self.dynamodb)

    def behind(self, client: Any) -> AnyProvider:
        return behind_breaker(self.inner, client, NAME, Settings(cached=0, store=self._store))

    def create(self, seconds: float = 20) -> BaseException | None:
        """What a create came to; None where it was made."""
        return self.failure(lambda: self.outer.create(ORDER, Deadline(seconds)))

    @staticmethod
    def failure(call: Callable[[], Any]) -> BaseException | None:
        try:
            call()
        except Exception as error:  # noqa: BLE001  # it is looked at
            return error
        return None

    def creates(self, times: int, error: BaseException = AWAY) -> None:
        """So many creates that end with this."""
        self.inner.fail("create", error, times=times)
        for _ in range(times):
            assert self.create() is error

    def open(self) -> None:
        self.creates(5)
        assert self.state == "OPEN"

    def item(self) -> dict[str, Any]:
        return from_attributes(self.dynamodb.get_item(TableName=NAME, Key=self.key).get("Item", {}))

    @property
    def state(self) -> str:
        return str(self.item().get("state", "CLOSED"))

    @property
    def listed(self) -> dict[str, Any]:
        listed: dict[str, Any] = json.loads(self.item()["listed"])
        return listed

    def pass_seconds(self, seconds: int) -> None:
        """The circuit has been open for so much longer."""
        self.dynamodb.update_item(
            TableName=NAME,
            Key=self.key,
            UpdateExpression="SET opened_at = opened_at - :seconds",
            ExpressionAttributeValues=to_attributes({":seconds": seconds}),
        )


@pytest.fixture
def table(cloud: None) -> None:
    aws.client("dynamodb").create_table(TableName=NAME, **table_properties())


@pytest.fixture
def circuit(table: None) -> Circuit:
    return Circuit()


# ---- what is passed on


def test_what_the_provider_is_and_says_without_being_called_is_its_own(circuit: Circuit) -> None:
    inner, outer = circuit.inner, circuit.outer
    declared = [name for name in Provider.__annotations__ if not name.startswith("_")]
    assert {"name", "verbs", "changeable", "look_seconds", "notifies"} <= set(declared)
    for name in declared:
        assert getattr(outer, name) is getattr(inner, name)
    assert outer.orphan_seconds(FakeOptions()) == inner.orphan_seconds(FakeOptions())
    assert outer.settings(ORDER) == inner.settings(ORDER)


def test_a_notification_is_read_while_it_is_open(circuit: Circuit) -> None:
    """The provider calls: it is there."""
    circuit.open()
    assert circuit.outer.notice(*notification("ref-1", State.LIVE, now()))


# ---- open


def test_a_provider_that_is_away_is_left_alone(circuit: Circuit) -> None:
    circuit.creates(4)
    assert circuit.state == "CLOSED"
    circuit.creates(1)
    assert circuit.state == "OPEN"
    before = list(circuit.inner.calls)
    error = circuit.create()
    assert type(error) is ProviderUnavailable
    assert (error.effect, error.status, error.retryable) == (Effect.NONE, 503, True)
    assert error.retry_after == pytest.approx(30, abs=3)
    assert circuit.inner.calls == before


MEMBERS = {
    name: list(inspect.signature(it).parameters) for name, it in inspect.getmembers(Provider, inspect.isfunction)
}
CALLS = [name for name, parameters in MEMBERS.items() if parameters[-1] == "deadline"]


@pytest.mark.parametrize("name", CALLS)
def test_no_call_is_made_while_it_is_open_but_one_that_holds_on_to_a_stream(name: str, circuit: Circuit) -> None:
    circuit.open()
    told: dict[str, Any] = {
        "order": ORDER,
        "handle": HANDLE,
        "deployment": "unit",
        "changed": frozenset({"/name"}),
        "force": False,
        "ref": "ref-1",
        "wanted": NewOutput(url=SecretStr("rtmp://live.example"), stream_key=SecretStr("key")),
        "output_id": "out-1",
        "enabled": True,
    }
    given = [told[parameter] for parameter in MEMBERS[name][1:-1]]
    before = len(circuit.inner.calls)
    error = circuit.failure(lambda: getattr(circuit.outer, name)(*given, Deadline(20)))
    assert (error is None) == (name == "renew")
    assert len(circuit.inner.calls) - before == (name == "renew")


def test_a_lease_is_renewed_or_not_whatever_the_circuit_says_of_others(circuit: Circuit) -> None:
    circuit.open()
    circuit.inner.fail("renew", SILENT)
    assert circuit.failure(lambda: circuit.outer.renew(HANDLE, Deadline(20))) is SILENT
    assert circuit.inner.count("renew") == 1
    assert circuit.state == "OPEN"


def test_another_environment_reads_that_it_is_open(circuit: Circuit) -> None:
    circuit.open()
    calls = len(circuit.inner.calls)
    circuit.outer = circuit.behind(circuit.dynamodb)
    assert isinstance(circuit.create(), ProviderUnavailable)
    assert len(circuit.inner.calls) == calls


def test_what_is_kept_is_listed_and_expires_by_the_table_s_time_to_live(circuit: Circuit) -> None:
    before = int(time.time())
    circuit.open()
    item = circuit.item()
    assert (item["pk"], item["sk"], item["tenant_shard"]) == (CIRCUITS, circuit.inner.name, CIRCUITS)
    assert before + 3600 <= item["expires"] <= before + 3700
    assert circuit.listed["state"] == "open"
    assert circuit.listed["since"].endswith("Z")


def test_that_it_opens_is_counted_and_logged(circuit: Circuit, capsys: pytest.CaptureFixture[str], log: Any) -> None:
    circuit.open()
    counted = [line for line in map(json.loads, capsys.readouterr().out.splitlines()) if "CircuitOpened" in line]
    assert [(line["provider"], line["CircuitOpened"]) for line in counted] == [(circuit.inner.name, [1.0])]
    (line,) = [json.loads(each) for each in log.getvalue().splitlines()]
    assert (line["level"], line["provider"], line["from"], line["to"]) == (
        *("WARNING", circuit.inner.name),
        *("CLOSED", "OPEN"),
    )


# ---- what counts


@pytest.mark.parametrize(
    "error",
    [
        AWAY,
        SILENT,
        ProviderOutcomeUnknown("it did not answer in time", upstream=Upstream("fake")),
        ProviderOutcomeUnknown("fake answered 500.", upstream=Upstream("fake", 500)),
    ],
)
def test_what_says_that_a_provider_is_away(error: ProviderError, circuit: Circuit) -> None:
    circuit.creates(5, error)
    assert circuit.state == "OPEN"


@pytest.mark.parametrize(
    "error",
    [
        ProviderRejected("fake answered 422.", upstream=Upstream("fake", 422)),
        ProviderRateLimited("fake answered 429.", retry_after=240, upstream=Upstream("fake", 429)),
        ProviderUnauthorized("fake answered 401.", upstream=Upstream("fake", 401)),
        ProviderUnavailable("a stream of this name is being deleted", upstream=Upstream("fake", 400)),
        ProviderUnavailable("fake answered 408.", upstream=Upstream("fake", 408)),
        ProviderOutcomeUnknown("its answer names no stream", upstream=Upstream("fake", 200)),
        ProviderQuotaExceeded("fake answered 503: the account is full", upstream=Upstream("fake", 503)),
        CapabilityNotSupported("there is no such thing"),
        ProviderUnauthorized("the secret is of another account"),
        ProviderUnauthorized("there are no credentials for it", upstream=Upstream("fake")),
        ProviderSecretUnavailable("the secret cannot be read"),
        RuntimeError("a defect"),
    ],
)
def test_what_says_no_such_thing(error: Exception, circuit: Circuit) -> None:
    circuit.creates(12, error)
    assert circuit.state == "CLOSED"
    assert circuit.create() is None


def test_a_provider_that_had_no_time_to_answer_in_is_not_away(circuit: Circuit) -> None:
    circuit.inner.fail("create", SILENT, times=12)
    assert [circuit.create(seconds=seconds) for seconds in [0, 1.5] * 6] == [SILENT] * 12
    assert circuit.state == "CLOSED"


@pytest.mark.parametrize("answer", [None, ProviderRejected("fake answered 422.", upstream=Upstream("fake", 422))])
def test_an_answer_begins_the_count_anew(answer: Exception | None, circuit: Circuit) -> None:
    for _ in range(3):
        circuit.creates(4)
        if answer:
            circuit.inner.fail("create", answer)
        assert circuit.create() is answer
    assert circuit.state == "CLOSED"


def test_what_calls_nobody_is_no_answer(table: None) -> None:
    circuit = Circuit(named(Calm))
    for _ in range(5):
        assert not circuit.outer.find(ORDER, Deadline(20)).resource
        assert circuit.outer.remove(HANDLE, Deadline(20)).remains
        circuit.creates(1)
    assert circuit.state == "OPEN"


# ---- tried again


def test_after_a_while_one_call_is_let_through_and_closes_it_if_it_is_answered(circuit: Circuit) -> None:
    circuit.open()
    circuit.pass_seconds(25)
    assert isinstance(circuit.create(), ProviderUnavailable)
    circuit.pass_seconds(10)
    assert circuit.create() is None
    assert (circuit.state, circuit.listed) == ("CLOSED", {"state": "closed", "since": None})
    circuit.creates(4)
    assert circuit.state == "CLOSED"


def test_a_refusal_is_an_answer_too(circuit: Circuit) -> None:
    circuit.open()
    circuit.pass_seconds(31)
    circuit.creates(1, ProviderRateLimited("fake answered 429.", upstream=Upstream("fake", 429)))
    assert circuit.state == "CLOSED"


def test_what_calls_nobody_does_not_close_it(table: None) -> None:
    circuit = Circuit(named(Calm))
    circuit.open()
    circuit.pass_seconds(31)
    assert circuit.outer.remove(HANDLE, Deadline(20)).remains
    assert circuit.listed["state"] == "half-open"
    assert circuit.create() is None
    assert circuit.state == "CLOSED"


def test_if_the_provider_is_still_away_it_opens_for_as_long_again(
    circuit: Circuit, capsys: pytest.CaptureFixture[str]
) -> None:
    circuit.open()
    circuit.pass_seconds(31)
    before = circuit.item()["opened_at"]
    circuit.creates(1)
    assert circuit.state == "OPEN"
    assert circuit.item()["opened_at"] > before + 29
    calls = len(circuit.inner.calls)
    assert isinstance(circuit.create(), ProviderUnavailable)
    assert len(circuit.inner.calls) == calls
    assert capsys.readouterr().out.count('"CircuitOpened":') == 2


def test_while_one_tries_the_others_wait(circuit: Circuit) -> None:
    circuit.open()
    circuit.pass_seconds(31)
    seen: list[Any] = []

    def another_worker() -> None:
        def work() -> None:
            seen.extend([circuit.create(), circuit.listed["state"]])

        worker = threading.Thread(target=work)
        worker.start()
        worker.join()

    circuit.inner.meanwhile("create", another_worker)
    assert circuit.create() is None
    error, state = seen
    assert (type(error), error.retry_after, state) == (ProviderUnavailable, 1, "half-open")
    assert circuit.state == "CLOSED"


# ---- the table is away


class Failing:
    """DynamoDB's client, of which some operations fail, or take longer than anybody waits."""

    def __init__(self, *operations: str, hang: threading.Event | None = None) -> None:
        self._operations = operations
        self._hang = hang
        self._client = aws.client("dynamodb")
        self.meta = self._client.meta

    def __getattr__(self, name: str) -> Any:
        return self._fail if name in self._operations else getattr(self._client, name)

    def _fail(self, **_: Any) -> None:
        if self._hang:
            self._hang.wait(30)
        raise ConnectionError("the table is away")


def test_a_table_that_cannot_be_read_is_in_nobody_s_way(table: None) -> None:
    circuit = Circuit()
    circuit.open()
    circuit.outer = circuit.behind(Failing("get_item"))
    assert circuit.create() is None


def test_a_circuit_that_cannot_be_written_does_not_change_what_is_raised(
    table: None, caplog: pytest.LogCaptureFixture
) -> None:
    circuit = Circuit(client=Failing("put_item"))
    circuit.creates(7, ProviderUnavailable(f"{CANARY}words", upstream=Upstream("fake", 500)))
    assert circuit.state == "CLOSED"
    assert "the table is away" in caplog.text
    assert CANARY not in caplog.text


def test_if_nobody_can_be_chosen_to_try_whoever_comes_tries(circuit: Circuit, log: Any) -> None:
    circuit.open()
    circuit.pass_seconds(31)
    circuit.outer = circuit.behind(Failing("put_item"))
    assert circuit.create() is None
    assert "ConnectionError" in log.getvalue()
    circuit.creates(1)


def test_a_table_that_hangs_takes_little_of_the_call_s_time(table: None) -> None:
    assert Settings().store == 1
    over = threading.Event()
    try:
        circuit = Circuit(client=Failing("get_item", hang=over), store=0.05)
        assert circuit.create() is None
        assert circuit.inner.time_given[0] > 15
    finally:
        over.set()


# ---- while all is well it is only looked at


class Shelf:
    """A table that holds one circuit: it counts who reads, and may be away."""

    def __init__(self, state: str = "CLOSED") -> None:
        self.reads = 0
        self.state = state
        self.away = False

    def get_item(self, **_: Any) -> dict[str, Any]:
        self.reads += 1
        if self.away:
            raise ConnectionError("the table is away")
        return {"Item": to_attributes({"state": self.state})}


class Wall:
    """A clock on the wall, which somebody sets."""

    def __init__(self) -> None:
        self.now = 1_700_000_000.0

    def time(self) -> float:
        return self.now


@pytest.fixture
def wall(monkeypatch: pytest.MonkeyPatch) -> Wall:
    clock = Wall()
    monkeypatch.setattr(breaker, "time", clock)
    return clock


def looked_at(shelf: Shelf, cached: int = 5) -> AnyProvider:
    client: Any = shelf
    return behind_breaker(named(FakeProvider), client, NAME, Settings(cached=cached))


def test_a_circuit_is_read_once_in_so_many_seconds(wall: Wall) -> None:
    shelf = Shelf()
    outer = looked_at(shelf)
    for seconds, reads in [(0, 1), (0, 1), (4.5, 1), (0.4, 1), (0.1, 2), (4.9, 2), (60, 3)]:
        wall.now += seconds
        outer.create(ORDER, Deadline(20))
        assert shelf.reads == reads


def test_who_does_not_call_does_not_look(wall: Wall) -> None:
    shelf = Shelf()
    outer = looked_at(shelf)
    outer.settings(ORDER)
    assert shelf.reads == 0


def test_a_clock_that_is_set_back_does_not_keep_the_look_for_ever(wall: Wall) -> None:
    shelf = Shelf()
    outer = looked_at(shelf)
    outer.create(ORDER, Deadline(20))
    wall.now -= 3600
    outer.create(ORDER, Deadline(20))
    assert shelf.reads == 2
    outer.create(ORDER, Deadline(20))
    assert shelf.reads == 2


def test_a_table_that_cannot_be_read_is_asked_again_by_the_next_call(wall: Wall) -> None:
    shelf = Shelf()
    outer = looked_at(shelf)
    shelf.away = True
    for reads in (1, 2, 3):
        outer.create(ORDER, Deadline(20))
        assert shelf.reads == reads
    shelf.away = False
    for _ in range(3):
        outer.create(ORDER, Deadline(20))
        assert shelf.reads == 4


@pytest.mark.parametrize("failures", [1, 2, 5])
def test_the_first_failure_counts_too(table: None, failures: int) -> None:
    circuit = Circuit()
    circuit.outer = behind_breaker(circuit.inner, circuit.dynamodb, NAME, Settings(failures=failures, cached=0))
    circuit.creates(failures - 1)
    assert circuit.state == "CLOSED"
    circuit.creates(1)
    assert circuit.state == "OPEN"
    assert circuit.inner.count("create") == failures


def test_a_circuit_that_opens_meanwhile_is_seen_by_the_next_look(circuit: Circuit, wall: Wall) -> None:
    wall.now = time.time()
    quiet = named(FakeProvider)
    quiet.__class__.name = circuit.inner.name
    elsewhere = behind_breaker(quiet, circuit.dynamodb, NAME, Settings(cached=5))
    elsewhere.create(ORDER, Deadline(20))
    circuit.open()
    elsewhere.create(ORDER, Deadline(20))
    wall.now += 5
    with pytest.raises(ProviderUnavailable, match="left alone"):
        elsewhere.create(ORDER, Deadline(20))
    assert quiet.count("create") == 2


WATCHING = """
import sys
from tests.unit.test_breaker import AWAY, ORDER, Circuit, Deadline, Shelf, looked_at

def loaded():
    return any("circuit_breaker" in name for name in sys.modules)

outer = looked_at(Shelf())
outer.create(ORDER, Deadline(20))
before = loaded()
outer._provider.fail("create", AWAY)
assert Circuit.failure(lambda: outer.create(ORDER, Deadline(20))) is AWAY
print(before, loaded())
"""


def test_what_counts_failures_is_imported_from_the_first_one_on() -> None:
    """In a process of its own: in this one it is imported."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    program = [sys.executable, "-c", WATCHING]
    done = subprocess.run(program, env=environment, capture_output=True, text=True, check=False)  # noqa: S603  # ours
    assert (done.stdout.splitlines() or [done.stderr])[-1] == "False True"


# ---- in a create


def test_a_create_at_an_open_circuit_lets_its_claim_go_and_says_when_to_come_back(table: None) -> None:
    service = Service(named(FakeProvider))
    circuit = Circuit(service.provider)
    service.function.parts = replace(service.parts, provider=circuit.outer)
    root = f"/streams/{service.provider.name}"
    circuit.open()
    made = service.provider.count("create")
    answer = service.call("POST", root, body="{}", headers={"Idempotency-Key": "key"})
    problem = answer.problem(503, "provider-unavailable")
    assert problem["retryable"]
    assert 25 <= int(answer.headers["retry-after"]) <= 30
    (record,) = service.store.records.values()
    assert record.claim
    assert record.claim.until <= service.clock()
    circuit.pass_seconds(31)
    assert service.call("POST", root, body="{}", headers={"Idempotency-Key": "key"}).status == 201
    assert service.provider.count("create") == made + 1
