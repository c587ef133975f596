"""What is done while a function starts, in processes of their own: all that a first call needs, and no call."""

import gc
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib import util
from pathlib import Path
from types import ModuleType
from typing import Any

import boto3
import certifi
import pytest
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.server import ThreadedMotoServer

from headwater import cold_start
from local.simulators import Simulators, simulators
from local.simulators.secrets import SECRETS
from tests.contract.promises import request
from tests.house.subjects import FUNCTIONS, LAYER, ROOT, providers
from tests.house.test_importing import hidden
from tests.template import functions, name_of, resources, template
from tests.unit.fakes import ACCOUNT, DEPLOYMENT

REGION = "eu-central-1"
PREPARED = (*providers(), "browse_streams")
EACH = pytest.mark.parametrize("folder", PREPARED)
PINNED: dict[str, dict[str, list[str]]] = json.loads((ROOT / "tests/house/first_calls.json").read_text())
"""The third-party packages that are loaded when a function has started, and those that its first call adds."""
BEFORE_IT_IS_OFF = {"headwater", "headwater.cold_start"}


def built_with(name: str) -> ModuleType:
    """A module of the layers' build."""
    spec = util.spec_from_file_location(name, ROOT / "layers" / "dependencies" / f"{name}.py")
    assert spec
    assert spec.loader
    made = util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


@pytest.fixture(scope="module")
def layers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ours, beside the roots that the build lays out."""
    folder = tmp_path_factory.mktemp("layers")
    (folder / "headwater").symlink_to(LAYER / "headwater")
    built_with("roots").lay_out(Path(certifi.where()), folder / "roots")
    return folder


@dataclass
class Cloud:
    """AWS and the providers on this machine, and what the template would tell a function of them."""

    url: str
    simulated: Simulators
    layers: Path

    def __post_init__(self) -> None:
        declared = resources("AWS::DynamoDB::Table")["Table"]
        names = ("BillingMode", "AttributeDefinitions", "KeySchema", "GlobalSecondaryIndexes")
        self.client("dynamodb").create_table(TableName="streams", **{name: declared[name] for name in names})
        self._key = self.client("kms").create_key()["KeyMetadata"]["Arn"]
        self._bases = {**self.simulated.bases, "kinesis-video": self.url}

    def client(self, service: str) -> Any:
        make: Any = boto3.client
        return make(service, endpoint_url=self.url, region_name=REGION)

    def environment(self, folder: str) -> dict[str, str]:
        given = {**template()["Globals"]["Function"], **functions()[folder]}["Environment"]["Variables"]
        names = {**template()["Globals"]["Function"]["Environment"]["Variables"], **given}
        return {name: self._value(name, value, folder) for name, value in names.items()} | {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": os.pathsep.join([str(FUNCTIONS), str(self.layers)]),
            "no_proxy": "127.0.0.1",
            "AWS_LAMBDA_FUNCTION_NAME": folder,
            "LAMBDA_TASK_ROOT": str(FUNCTIONS),
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ENDPOINT_URL": self.url,
            **dict.fromkeys(("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"), "testing"),
        }

    def _value(self, name: str, value: Any, folder: str) -> str:
        provider = folder.removeprefix("provision_").replace("_", "-")
        match name:
            case "PROVIDER_BASE_URL":
                return self._bases[provider]
            case "PROVIDER_V02_BASE_URL":
                return self._bases[f"{provider}-v0.2"]
            case "PROVIDER_SECRET_ARN":
                return self._secret(provider)
        named = {
            "ACCOUNT_ID": ACCOUNT,
            "BUS_NAME": "bus",
            "DEPLOYMENT_ID": DEPLOYMENT,
            "SEALING_KEY_ID": self._key,
            "TABLE_NAME": "streams",
        }
        return named.get(name) or str(
            value if isinstance(value, str) else template()["Parameters"][value["Ref"]]["Default"]
        )

    def _secret(self, provider: str) -> str:
        secrets = self.client("secretsmanager")
        found = {each["Name"]: each["ARN"] for each in secrets.list_secrets()["SecretList"]}
        if provider in found:
            return str(found[provider])
        return str(secrets.create_secret(Name=provider, SecretString=json.dumps(SECRETS[provider]))["ARN"])


@pytest.fixture(scope="module")
def cloud(layers: Path) -> Iterator[Cloud]:
    assert DEFAULT_ACCOUNT_ID == ACCOUNT
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    with simulators() as simulated, pytest.MonkeyPatch.context() as patch:
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            patch.setenv(name, "testing")
        yield Cloud(f"http://{host}:{port}", simulated, layers)
        assert simulated.violations() == []
    server.stop()


@dataclass(frozen=True)
class Started:
    """What came of a start and of the calls that followed, and the lines of the log."""

    start: dict[str, Any]
    calls: list[dict[str, Any]]
    log: list[dict[str, Any]]


def event(folder: str, key: str) -> str:
    """A first call: a create, or a list."""
    if folder not in providers():
        return json.dumps(request(f"{folder}/list.json"))
    asked = request(f"{folder}/create.json")
    asked["headers"] |= {"Idempotency-Key": key}
    asked["requestContext"]["requestTimeEpoch"] = 0
    if "stream_name" in asked["body"]:
        body = json.loads(asked["body"])
        asked["body"] = json.dumps(body | {"options": body["options"] | {"stream_name": key}})
    return json.dumps(asked)


def started(environment: dict[str, str], folder: str, *keys: str, late: tuple[str, ...] = ()) -> Started:
    program = [sys.executable, "-P", str(Path(__file__).with_name("starting.py"))]
    arguments = [*program, folder, ":".join(hidden()), ":".join(late)]
    asked = "".join(event(folder, key) + "\n" for key in keys)
    done = subprocess.run(arguments, env=environment, input=asked, capture_output=True, text=True, check=False)  # noqa: S603  # ours
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    start, *calls = [line["told"] for line in lines if "told" in line]
    return Started(start, calls, [line for line in lines if "told" not in line])


@pytest.fixture(scope="module")
def first(cloud: Cloud) -> Any:
    """Each function's start and its first two calls, once."""
    return cache(lambda folder: started(cloud.environment(folder), folder, f"{folder}-1", f"{folder}-2"))


@EACH
def test_nothing_of_ours_is_imported_while_garbage_is_searched_for(first: Any, folder: str) -> None:
    package = {folder, f"{folder}.handler"}
    assert set(first(folder).start["swept"]) <= package | BEFORE_IT_IS_OFF


@EACH
def test_then_what_is_there_is_set_aside_and_garbage_is_searched_for(first: Any, folder: str) -> None:
    start = first(folder).start
    assert start["collects"]
    assert start["frozen"] > 10_000


@EACH
def test_a_start_calls_nobody(first: Any, folder: str) -> None:
    assert first(folder).start["called"] == []
    assert first(folder).calls[0]["called"], "a call can be heard"


@EACH
def test_a_first_call_imports_nothing_more_of_ours_and_makes_no_client(first: Any, folder: str) -> None:
    start, call = first(folder).start, first(folder).calls[0]
    assert call["status"] == (200 if folder == "browse_streams" else 201)
    assert set(call["ours"]) - set(start["ours"]) == set()
    assert call["clients"] == start["clients"]
    assert len(set(call["clients"])) == len(call["clients"])


@EACH
def test_a_first_call_builds_no_model_but_what_one_provider_alone_needs(first: Any, folder: str) -> None:
    """Its secret's, and a lease's where it gives one: a few fields each."""
    start, call = first(folder).start, first(folder).calls[0]
    own = {name_of(folder).removeprefix("Provision") + "Secret", "Lease"}
    assert set(call["models"]) - set(start["models"]) <= own


def test_the_pins_are_of_the_functions_that_prepare_themselves() -> None:
    assert set(PINNED) == set(PREPARED)


@EACH
def test_a_function_loads_no_other_packages_in_its_first_call_than_it_did(first: Any, folder: str) -> None:
    start, call = set(first(folder).start["packages"]), set(first(folder).calls[0]["packages"])
    found = {"started": sorted(start), "first call": sorted(call - start)}
    assert found == PINNED.get(folder), f"if it is worth it, write into first_calls.json: {json.dumps(found)}"


# ---- what fails


@EACH
def test_a_start_that_fails_is_logged_and_the_first_call_is_answered(cloud: Cloud, folder: str) -> None:
    come = started(cloud.environment(folder), folder, f"{folder}-late", late=("TABLE_NAME",))
    assert come.start["collects"]
    assert come.start["frozen"] > 10_000
    assert come.calls[0]["status"] in {200, 201}
    [line] = [line for line in come.log if line.get("level") == "ERROR"]
    assert (line["message"], line["error"]) == ("not prepared", "KeyError")
    assert "TABLE_NAME" not in json.dumps(line)


# ---- elsewhere


def test_elsewhere_than_in_lambda_nothing_is_prepared(cloud: Cloud) -> None:
    environment = cloud.environment(PREPARED[0])
    del environment["LAMBDA_TASK_ROOT"]
    come = started(environment, PREPARED[0], "elsewhere")
    assert (come.start["collects"], come.start["frozen"], come.start["clients"]) == (True, 0, [])
    assert set(come.start["swept"]) >= {"headwater.provider_function"}
    assert come.calls[0]["status"] == 201


def test_in_this_process_it_does_nothing() -> None:
    done: list[int] = []
    cold_start.prepare(lambda: done.append(1))
    assert done == []
    assert (gc.isenabled(), gc.get_freeze_count()) == (True, 0)
