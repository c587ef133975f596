"""With SnapStart: no secret and no connection is in a snapshot, and whatever goes on from it is an environment anew."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, ClassVar, Self

import boto3
import pytest
import snapshot_restore_py
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.moto_api._internal.models import moto_api_backend
from moto.server import ThreadedMotoServer

from authorize_caller import handler as authorizer
from headwater import snapshot
from local.oidc_issuer import oidc_issuer
from local.simulators import Simulators, secrets, simulators
from tests.contract.promises import request
from tests.template import resources, template
from tests.unit.fakes import ACCOUNT, DEPLOYMENT
from tests.unit.test_authorize_caller import call as authorize
from tests.unit.test_authorize_caller import deploy, refused

ROOT = Path(__file__).parents[2]
TABLE = "streams"
REGION = "eu-central-1"
CLOUDFLARE, KINESIS_VIDEO = "provision_cloudflare", "provision_kinesis_video"


# ---- who forgets what


@pytest.fixture
def hooks() -> Iterator[None]:
    """A process in which nothing was registered; what a test registers is let go of."""

    def forget() -> None:
        snapshot_restore_py.get_before_snapshot().clear()
        snapshot_restore_py.get_after_restore().clear()
        snapshot._renewed.cache_clear()

    forget()
    yield
    forget()


@pytest.fixture
def snapped(hooks: None, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """A snapshot will be taken; called, it is about to be."""
    monkeypatch.setenv("AWS_LAMBDA_INITIALIZATION_TYPE", "snap-start")
    return halt


def halt() -> None:
    registered = snapshot_restore_py.get_before_snapshot()
    while registered:
        hook, arguments, named = registered.pop()
        hook(*arguments, **named)


@pytest.mark.parametrize("kind", [None, "on-demand", "provisioned-concurrency"])
def test_where_no_snapshot_is_taken_nobody_is_to_forget(
    hooks: None, monkeypatch: pytest.MonkeyPatch, kind: str | None
) -> None:
    monkeypatch.delenv("AWS_LAMBDA_INITIALIZATION_TYPE", raising=False)
    if kind:
        monkeypatch.setenv("AWS_LAMBDA_INITIALIZATION_TYPE", kind)
    snapshot.before(lambda: None)
    assert not snapshot.is_taken()
    assert snapshot_restore_py.get_before_snapshot() == snapshot_restore_py.get_after_restore() == []


def test_before_a_snapshot_all_forget_the_last_first(snapped: Callable[[], None]) -> None:
    forgotten: list[int] = []
    for number in range(3):
        snapshot.before(lambda number=number: forgotten.append(number))  # type: ignore[misc] # it is called without
    assert snapshot.is_taken()
    assert forgotten == []
    snapped()
    assert forgotten == [2, 1, 0]


def test_who_cannot_forget_fails_what_is_being_published(snapped: Callable[[], None]) -> None:
    def fails() -> None:
        raise OSError

    snapshot.before(fails)
    with pytest.raises(OSError):  # noqa: PT011  # it has no text
        snapped()


# ---- the authorizer


def test_an_issuer_s_key_that_was_known_before_a_snapshot_is_not_believed_after_it(
    snapped: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The clock of its lifetime stands still meanwhile, for however long."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    authorizer._verifier.cache_clear()
    with oidc_issuer() as issuer:
        deploy(monkeypatch, issuer.url)
        token = issuer.token(sub="acme")
        assert authorize(token)["context"]["tenant"].endswith(":acme")
        issuer.rotate()
        assert authorize(token), "as long as its keys are remembered"
        snapped()
        assert refused(token)
        assert authorize(issuer.token(sub="acme"))
    authorizer._verifier.cache_clear()


# ---- whole functions, in processes of their own


class Endpoint(BaseHTTPRequestHandler):
    """Gives credentials of AWS, as Lambda does beside a process with SnapStart: others each time."""

    given: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        assert self.headers["Authorization"] == "let me in"
        self.given.append(f"canary-aws-key-{len(self.given)}")
        told = {
            "AccessKeyId": self.given[-1],
            "SecretAccessKey": "canary-aws-secret",
            "Token": "canary-aws-token",
            "Expiration": (datetime.now(UTC) + timedelta(hours=6)).isoformat(),
        }
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(told).encode())

    def log_message(self, *_: Any) -> None:
        """Nobody reads it."""


class Kept(BaseHTTPRequestHandler):
    """Stands before a server that ends each connection, and keeps its own, as AWS and the providers do."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    behind = ""

    def do_GET(self) -> None:
        self.do_POST()

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        onward = HTTPConnection(self.behind.removeprefix("http://"))
        with closing(onward):
            onward.request(self.command, self.path, body, dict(self.headers))
            answer = onward.getresponse()
            told = answer.read()
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in ("connection", "content-length", "transfer-encoding"):
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(told)))
        self.end_headers()
        self.wfile.write(told)

    def log_message(self, *_: Any) -> None:
        """Nobody reads it."""


@contextmanager
def serving(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        server.block_on_close = False  # a connection that is kept has a thread of its own
        Thread(target=server.serve_forever).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def kept(url: str) -> AbstractContextManager[str]:
    return serving(type("Here", (Kept,), {"behind": url}))


@pytest.fixture(scope="module")
def running() -> Iterator[Simulators]:
    with simulators() as found:
        yield found


@pytest.fixture(scope="module")
def aws_url() -> Iterator[str]:
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    with kept(f"http://{host}:{port}") as url:
        yield url
    server.stop()


@pytest.fixture(scope="module")
def providers_url(running: Simulators) -> Iterator[str]:
    with kept(running.url) as url:
        yield url


def told() -> dict[str, Any]:
    """What the template tells every function by parameters that are not given."""
    variables = template()["Globals"]["Function"]["Environment"]["Variables"]
    parameters = template()["Parameters"]
    refs = {name: value["Ref"] for name, value in variables.items() if isinstance(value, dict) and "Ref" in value}
    said = {name: value for name, value in variables.items() if isinstance(value, str)}
    return said | {name: parameters[ref]["Default"] for name, ref in refs.items() if ref in parameters}


class Cloud:
    """AWS and the providers, on this machine, and what Lambda would tell a function of them."""

    def __init__(self, aws_url: str, providers_url: str, endpoint_url: str) -> None:
        self._url, self._providers_url, self._endpoint_url = aws_url, providers_url, endpoint_url
        declared = resources("AWS::DynamoDB::Table")["Table"]
        names = ("BillingMode", "AttributeDefinitions", "KeySchema", "GlobalSecondaryIndexes")
        self.client("dynamodb").create_table(TableName=TABLE, **{name: declared[name] for name in names})
        key = self.client("kms").create_key()["KeyMetadata"]["KeyId"]
        made = self.client("secretsmanager").create_secret(Name="cloudflare", SecretString="{}")
        self.secret_arn = made["ARN"]
        self.tell(secrets.SECRETS["cloudflare"])
        self._shared = {
            **{name: str(value) for name, value in told().items()},
            "ACCOUNT_ID": ACCOUNT,
            "BUS_NAME": "bus",
            "DEPLOYMENT_ID": DEPLOYMENT,
            "SEALING_KEY_ID": key,
            "TABLE_NAME": TABLE,
        }

    def client(self, service: str) -> Any:
        make: Any = boto3.client
        return make(service, endpoint_url=self._url, region_name=REGION)

    def tell(self, secret: dict[str, str]) -> None:
        """Let this be the provider's secret from now on."""
        self.client("secretsmanager").put_secret_value(SecretId=self.secret_arn, SecretString=json.dumps(secret))

    def environment(self, folder: str) -> dict[str, str]:
        own = {
            CLOUDFLARE: {
                "PROVIDER_BASE_URL": f"{self._providers_url}/cloudflare/client/v4",
                "PROVIDER_SECRET_ARN": self.secret_arn,
            },
            KINESIS_VIDEO: {"PROVIDER_BASE_URL": self._url},
        }[folder]
        return {
            **self._shared,
            **own,
            "PATH": os.environ["PATH"],
            "PYTHONPATH": os.pathsep.join([str(ROOT / "functions"), str(ROOT / "layers/headwater")]),
            "no_proxy": "127.0.0.1",
            "AWS_LAMBDA_INITIALIZATION_TYPE": "snap-start",
            "AWS_LAMBDA_FUNCTION_NAME": folder,
            "LAMBDA_TASK_ROOT": str(ROOT / "functions"),
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ENDPOINT_URL": self._url,
            "AWS_CONTAINER_CREDENTIALS_FULL_URI": self._endpoint_url,
            "AWS_CONTAINER_AUTHORIZATION_TOKEN": "let me in",
            "POWERTOOLS_LOG_LEVEL": "CRITICAL",
        }


@pytest.fixture
def cloud(aws_url: str, providers_url: str, running: Simulators) -> Iterator[Cloud]:
    assert DEFAULT_ACCOUNT_ID == ACCOUNT
    moto_api_backend.reset()
    running.reset()
    Endpoint.given.clear()
    with serving(Endpoint) as endpoint_url:
        yield Cloud(aws_url, providers_url, endpoint_url)
    assert running.violations() == []


class Function:
    """One function's process; ``tests/unit/restoring.py`` has its commands."""

    def __init__(self, cloud: Cloud, folder: str) -> None:
        self._folder = folder
        self._event = request(f"{folder}/create.json")
        program = [sys.executable, str(ROOT / "tests/unit/restoring.py")]
        streams: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        self._process = subprocess.Popen(program, env=cloud.environment(folder), **streams)  # noqa: S603  # ours

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.__exit__(None, None, None)

    def tell(self, do: str, **more: Any) -> dict[str, Any]:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps({"do": do, **more}) + "\n")
        self._process.stdin.flush()
        for line in self._process.stdout:
            if line.startswith('{"of"'):  # anything else is a metric
                told: dict[str, Any] = json.loads(line)
                return told
        raise AssertionError(f"it ended with {do}")

    def serve(self, do: str, key: str) -> dict[str, Any]:
        body = {"name": key, "options": {"stream_name": key} if self._folder == KINESIS_VIDEO else {}}
        event = self._event | {"body": json.dumps(body)}
        event["headers"] = event["headers"] | {"Idempotency-Key": key}
        event["multiValueHeaders"] = event["multiValueHeaders"] | {"Idempotency-Key": [key]}
        event["requestContext"] = {**event["requestContext"], "requestTimeEpoch": 0}
        return self.tell(do, function=self._folder, event=event)


EACH = pytest.mark.parametrize("folder", [CLOUDFLARE, KINESIS_VIDEO])


@EACH
def test_a_function_that_is_initialised_has_asked_nobody_for_anything(
    cloud: Cloud, running: Simulators, folder: str
) -> None:
    with Function(cloud, folder) as function:
        function.tell("init", function=folder)
        assert function.tell("look") == {"of": "look", "secrets": [], "sockets": 0}
    assert Endpoint.given == []
    assert [call for door in running.doors for call in door.calls()] == []


@EACH
def test_whatever_a_function_did_no_secret_and_no_connection_is_left_for_a_snapshot(cloud: Cloud, folder: str) -> None:
    with Function(cloud, folder) as function:
        function.tell("init", function=folder)
        assert function.serve("create", "warm")["status"] == 201
        before = function.tell("look")
        assert before["secrets"], "what is looked for can be found"
        assert before["sockets"] > 0
        function.tell("halt")
        assert function.tell("look") == {"of": "look", "secrets": [], "sockets": 0}


@EACH
def test_two_environments_that_go_on_from_one_snapshot_are_two(cloud: Cloud, folder: str) -> None:
    with Function(cloud, folder) as function:
        function.tell("init", function=folder)
        function.serve("create", "warm")
        function.tell("halt")
        first, second = (function.serve("restore", key) for key in ("first", "second"))
    assert (first["status"], second["status"]) == (201, 201)
    for dice in ("random", "token", "uuid"):
        assert first[dice] != second[dice], dice
    assert len(Endpoint.given) == 3, "each fetched credentials of AWS for itself"


def test_what_goes_on_from_a_snapshot_reads_the_secret_that_there_is_then(cloud: Cloud, running: Simulators) -> None:
    with Function(cloud, CLOUDFLARE) as function:
        function.tell("init", function=CLOUDFLARE)
        function.serve("create", "warm")
        function.tell("halt")
        cloud.tell(secrets.CLOUDFLARE_GLOBAL_KEY)
        running.cloudflare.door.clear_calls()
        assert function.serve("restore", "later")["status"] == 201
    used = {call.headers.get("x-auth-key") for call in running.cloudflare.door.calls()}
    assert used == {secrets.CLOUDFLARE_GLOBAL_KEY["global_api_key"]}
