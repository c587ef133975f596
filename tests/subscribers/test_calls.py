"""What a create, a replay and a read call: the real handlers, each call to AWS as botocore sends it, and each provider.

AWS is moto in this process; the providers are the simulated ones, over HTTP.
"""

import json
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module, reload
from typing import Any

import pytest
from botocore import handlers

from headwater import aws
from headwater.breaker import Settings
from headwater.circuits import CIRCUITS
from headwater.provider_function import ProviderFunction
from local.door import Door, serve
from local.kinesis_video.server import kinesis_video
from local.simulators import Simulators, simulators
from local.simulators.secrets import SECRETS
from tests.contract.promises import request
from tests.stack.ways import CLOUDFLARE, KINESIS_VIDEO, OVERSHOOT, OVERSHOOT_V02, PYANNOTE, Way, each, secretive
from tests.subscribers.conftest import ACCOUNT
from tests.subscribers.days import CONTEXT
from tests.subscribers.fakes import sqs_batch

SECRETIVE = CAMERA, OFFER, ROOM = secretive("caller")
"""Here the request itself holds secrets."""
OPEN = (KINESIS_VIDEO, CAMERA, ROOM)
"""Nothing secret opens these: who may call Kinesis Video may send; of the others Overshoot itself fetches the video."""
USUAL = (CLOUDFLARE, KINESIS_VIDEO, OVERSHOOT, OVERSHOOT_V02, PYANNOTE)
EVERY = (*USUAL, *SECRETIVE)
CLAIM, SETTLE, READ = "dynamodb.PutItem", "dynamodb.TransactWriteItems", "dynamodb.GetItem"
SEAL, UNSEAL = "kms.Encrypt", "kms.Decrypt"
SECRET = "secretsmanager.GetSecretValue"
ENVIRONMENT = {
    "DEPLOYMENT_ID": "test-eu-central-1-123456789012",
    "ACCOUNT_ID": ACCOUNT,
    "CLAIM_MARGIN_SECONDS": "5",
    "LANDING_SECONDS": "20",
    "DEFAULT_LIFETIME_SECONDS": "0",
    "DUE_SHARDS": "16",
    "LIFETIME_CEILING_SECONDS": "0",
    "REMOVE_ORPHANS": "false",
    "PROVIDER_LEASE_SECONDS": "300",
    "PROVIDER_V02_LEASE_SECONDS": "45",
}

type Json = dict[str, Any]


class Wire:
    """Every request to AWS in the order in which they were sent, those that were repeated too."""

    def __init__(self) -> None:
        self.sent: list[str] = []
        self.circuits = 0
        """Reads of a provider's circuit, which are counted for themselves."""

    def note(self, request: Any, event_name: str, **_: Any) -> None:
        service, operation = event_name.split(".")[1:3]
        if service == "kinesis-video":
            return  # its simulator tells
        if operation == "GetItem" and json.loads(request.body)["Key"]["pk"]["S"] == CIRCUITS:
            self.circuits += 1
            return
        self.sent.append(f"{service.replace('-', '')}.{operation}")


@dataclass(frozen=True)
class Told:
    """What came of a call to the API, and what it took: calls to AWS and to the provider."""

    status: int
    body: Json
    aws: list[str]
    provider: list[str]


class Function:
    """One provider's function, cold, and what it calls."""

    def __init__(self, way: Way, door: Door, wire: Wire) -> None:
        self.way, self.door, self.wire = way, door, wire
        self._folder = f"provision_{way.provider.replace('-', '_')}"
        _forget()
        self._handler: ProviderFunction = reload(import_module(f"{self._folder}.handler")).handler
        self._event = request(f"{self._folder}/create.json")

    def create(self, key: str) -> Told:
        return self._asked("POST", self._event["path"], key, json.dumps(self.way.body()))

    def read(self, stream: Json, below: str = "", *, refresh: bool = False) -> Told:
        return self._asked("GET", stream["href"] + below, refresh=refresh)

    def post(self, stream: Json, below: str) -> Told:
        return self._asked("POST", stream["href"] + below)

    def delete(self, stream: Json) -> Told:
        return self._asked("DELETE", stream["href"])

    def attend(self, stream: Json) -> Told:
        """The sweep has found that it is due."""
        data = {"provider": self.way.provider, "stream_id": stream["id"], "reason": "due"}
        envelope = {"id": "event-1", "account": ACCOUNT, "time": stream["created_at"]}
        command = {**envelope, "detail-type": "StreamAttentionDue", "detail": {"version": 1, "data": data}}
        return self._told(sqs_batch(command))

    def _asked(self, method: str, path: str, key: str = "", body: str | None = None, *, refresh: bool = False) -> Told:
        headers = {"Idempotency-Key": key} if key else {}
        query = {"refresh": "true"} if refresh else None
        asked: Json = {
            "httpMethod": method,
            "path": path,
            "body": body,
            "headers": headers,
            "multiValueHeaders": {name: [value] for name, value in headers.items()},
            "queryStringParameters": query,
            "multiValueQueryStringParameters": query and {"refresh": ["true"]},
        }
        return self._told(self._event | asked)

    def _told(self, event: Json) -> Told:
        sent, called = len(self.wire.sent), len(self.door.calls())
        answer = self._handler(event, CONTEXT)
        calls = [call.operation for call in self.door.calls()[called:]]
        body = json.loads(answer.get("body") or "{}")
        return Told(answer.get("statusCode", 0), body, self.wire.sent[sent:], calls)


def _forget() -> None:
    """Whatever the product remembers beside the handler, which is new: clients, secrets."""
    ours = [module for name, module in sys.modules.items() if name.partition(".")[0] == "headwater"]
    for module in ours:
        for value in vars(module).values():
            if forget := getattr(value, "cache_clear", None):
                forget()


@pytest.fixture(scope="module")
def simulated() -> Iterator[Simulators]:
    with simulators() as running:
        yield running


@pytest.fixture
def at_kinesis_video() -> Iterator[tuple[Door, str]]:
    door = kinesis_video()
    with serve(door) as url:
        yield door, url


@pytest.fixture
def wire(monkeypatch: pytest.MonkeyPatch) -> Wire:
    """Put where botocore's own handlers are, before moto's, which answers: every client that is made has it."""
    counted = Wire()
    monkeypatch.setattr(handlers, "BUILTIN_HANDLERS", [("before-send", counted.note), *handlers.BUILTIN_HANDLERS])
    return counted


@pytest.fixture
def function(
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
    wire: Wire,
    table: str,
    simulated: Simulators,
    at_kinesis_video: tuple[Door, str],
) -> Iterator[Function]:
    """Of the way that the test names."""
    way: Way = request.getfixturevalue("way")
    simulated.reset()
    doors = {door.name: door for door in simulated.doors} | {"kinesis-video": at_kinesis_video[0]}
    bases = simulated.bases | {"kinesis-video": at_kinesis_video[1]}
    given: dict[str, str] = ENVIRONMENT | {
        "SEALING_KEY_ID": aws.client("kms").create_key()["KeyMetadata"]["KeyId"],
        "PROVIDER_BASE_URL": bases[way.provider],
        "PROVIDER_V02_BASE_URL": bases["overshoot-v0.2"],
    }
    if way.provider in SECRETS:
        text = json.dumps(SECRETS[way.provider])
        kept = aws.client("secretsmanager").create_secret(Name=f"headwater/test/{way.provider}", SecretString=text)
        given["PROVIDER_SECRET_ARN"] = kept["ARN"]
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    wire.sent.clear()
    yield Function(way, doors[way.provider], wire)
    assert simulated.violations() == []


@pytest.fixture
def warm(function: Function) -> Function:
    """It has created one stream."""
    assert function.create("warms it up").status == 201
    return function


# ---- a create


@each(USUAL)
def test_a_cold_create_reads_the_provider_s_secret_once_and_its_circuit_once(way: Way, function: Function) -> None:
    told = function.create("first")
    assert told.status == 201, told.body
    assert told.aws.count(SECRET) == (1 if way.provider in SECRETS else 0)
    assert Counter(told.aws) - Counter([SECRET]) == Counter(expected_of_a_create(way))
    assert len(told.provider) == 1
    assert function.wire.circuits == 1


def expected_of_a_create(way: Way) -> list[str]:
    """In their order."""
    return [*([SEAL] if way in SECRETIVE else []), CLAIM, *([] if way in OPEN else [SEAL]), SETTLE]


@each(EVERY)
def test_a_create_is_one_provider_call_two_table_writes_and_a_sealing_of_what_is_secret(
    way: Way, warm: Function
) -> None:
    for number in range(3):
        told = warm.create(f"key {number}")
        assert told.status == 201, told.body
        assert told.aws == expected_of_a_create(way)
        assert len(told.provider) == 1, told.provider


@each((CLOUDFLARE, KINESIS_VIDEO))
def test_the_circuit_is_read_every_few_seconds_at_most(way: Way, function: Function) -> None:
    for number in range(10):
        function.create(f"key {number}")
    # Ten creates take less than that, unless the machine is very busy.
    assert 1 <= function.wire.circuits <= 3
    assert Settings().cached == 5


# ---- the key again


@each(EVERY)
def test_a_replay_is_one_refused_write_that_reads_and_one_unsealing(way: Way, warm: Function) -> None:
    made = warm.create("again")
    for _ in range(2):
        told = warm.create("again")
        assert (told.status, told.body) == (200, made.body)
        # The request's own secrets are sealed before anybody can know that the key was used.
        assert told.aws == [*([SEAL] if way in SECRETIVE else []), CLAIM, *([] if way in OPEN else [UNSEAL])]
        assert told.provider == []


# ---- reads


@each(USUAL)
def test_a_read_is_one_read(way: Way, warm: Function) -> None:
    stream = warm.create("read").body
    told = warm.read(stream)
    assert told.status == 200
    assert told.body == {name: value for name, value in stream.items() if name != "credentials"}
    assert (told.aws, told.provider) == ([READ], [])


@each(USUAL)
def test_credentials_are_one_read_and_one_unsealing(way: Way, warm: Function) -> None:
    stream = warm.create("credentials").body
    told = warm.read(stream, "/credentials")
    assert (told.status, told.body) == (200, {"id": stream["id"], **stream["credentials"]})
    assert (told.aws, told.provider) == ([READ] if way in OPEN else [READ, UNSEAL], [])


@each((CLOUDFLARE, OVERSHOOT, PYANNOTE))
def test_a_delete_unseals_nothing_and_leaves_no_credentials(way: Way, warm: Function) -> None:
    stream = warm.create("delete").body
    told = warm.delete(stream)
    assert told.status in {200, 204}
    assert told.aws == [READ, CLAIM, SETTLE]
    assert len(told.provider) <= 1
    key = {"pk": {"S": f"STREAM#{stream['id']}"}, "sk": {"S": "STREAM"}}
    assert "sealed_credentials" not in aws.client("dynamodb").get_item(TableName="table", Key=key)["Item"]


@each((OVERSHOOT, OVERSHOOT_V02))
def test_a_renewal_is_one_provider_call_one_read_and_one_write(way: Way, warm: Function) -> None:
    stream = warm.create("keepalive").body
    told = warm.post(stream, "/keepalive")
    assert told.status == 200, told.body
    assert len(told.provider) == 1
    # With it comes a new token, which takes the old one's place among what is kept.
    assert told.aws == [READ, UNSEAL, SEAL, CLAIM]


@each((KINESIS_VIDEO,))
def test_the_life_of_a_stream_without_secrets_asks_kms_for_nothing(way: Way, warm: Function) -> None:
    stream = warm.create("life").body
    warm.door.clock.advance(10)
    for told in (
        warm.create("life"),
        warm.read(stream, refresh=True),
        warm.read(stream, "/credentials", refresh=True),
        warm.delete(stream),
    ):
        assert told.status in {200, 204}
    assert [call for call in warm.wire.sent if call.startswith("kms.")] == []


# ---- Kinesis Video's endpoints


def endpoints_asked_for(told: Told) -> int:
    return told.provider.count("GetDataEndpoint")


@each((KINESIS_VIDEO,))
def test_endpoints_are_fetched_once_with_the_first_read_that_finds_it_active_and_kept(way: Way, warm: Function) -> None:
    stream = warm.create("endpoints").body
    assert endpoints_asked_for(warm.read(stream, refresh=True)) == 0
    warm.door.clock.advance(10)
    first = warm.read(stream, refresh=True)
    assert first.body["state"] == "ready"
    assert endpoints_asked_for(first) == 2
    credentials = warm.read(stream, "/credentials")
    assert (credentials.aws, credentials.provider) == ([READ], [])
    assert credentials.body["ingest"] == first.body["ingest"] != []
    for later in (
        warm.read(stream, refresh=True),
        warm.read(stream, "/credentials", refresh=True),
        warm.create("endpoints"),
        warm.read(stream),
    ):
        assert later.status == 200
        assert endpoints_asked_for(later) == 0
        assert UNSEAL not in later.aws


@each((KINESIS_VIDEO,))
def test_endpoints_that_the_sweep_had_fetched_are_not_fetched_again(
    way: Way, warm: Function, ahead: Callable[[float], None]
) -> None:
    stream = warm.create("swept").body
    warm.door.clock.advance(10)
    ahead(60)
    assert endpoints_asked_for(warm.attend(stream)) == 2
    assert warm.read(stream).body["state"] == "ready"
    assert endpoints_asked_for(warm.read(stream, refresh=True)) == 0
    told = warm.read(stream, "/credentials")
    assert told.body["playback"]
    assert (told.aws, told.provider) == ([READ], [])
