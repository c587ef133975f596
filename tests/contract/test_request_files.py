"""The events to invoke functions with by hand do what their names say, so that they do not rot.

A provider's are given to what its function is made of, with a provider that offers the same and calls nobody.
"""

import json
import re
from datetime import timedelta
from functools import cache
from types import SimpleNamespace
from typing import Any

import pytest

from authorize_caller.policy import allow
from authorize_caller.tokens import bearer
from browse_streams.catalogue import catalogue
from browse_streams.listing import query
from headwater.api import Api
from headwater.ports import Parts
from headwater.provider_function import ProviderFunction
from headwater.streams import State
from local.cloud import ACCOUNT, REGION, STAGE
from local.generate import ROOT, providers
from publish_events.outbox import pending
from renew_leases.beats import Beat, CreatedDetail
from tests.contract.promises import Json, request, request_files
from tests.template import functions, template
from tests.unit.fakes import FakeClock, FakeProvider, FakeStore, FakeVault

CONTEXT = SimpleNamespace(get_remaining_time_in_millis=lambda: 29_000, aws_request_id="1")
FILES = request_files()
BY_PROVIDER = {folder.name: provider for folder, provider in providers().items()}


def files(folder: str) -> list[str]:
    return [name for name in FILES if name.startswith(f"{folder}/")]


def of_providers(name: str) -> list[str]:
    """The files of one name in the folders of providers."""
    return [file for file in FILES if file.split("/")[0] in BY_PROVIDER and file.endswith(f"/{name}.json")]


@cache
def api_routes() -> dict[str, set[tuple[str, str]]]:
    """Method and path of each call that a function answers."""
    events = {folder: each.get("Events", {}).values() for folder, each in functions().items()}
    return {
        folder: {(one["Properties"]["Method"], one["Properties"]["Path"]) for one in all_ if one["Type"] == "Api"}
        for folder, all_ in events.items()
    }


class World:
    """A provider's function as it is deployed to this machine, over fakes."""

    def __init__(self, folder: str) -> None:
        real = BY_PROVIDER[folder]
        same = {"name": real.name, "options_type": real.options_type, "verbs": real.verbs, "lease_seconds": 300}
        self.provider = type("Same", (FakeProvider,), same)()
        self.clock = FakeClock()
        self.store = FakeStore(self.clock)
        self.function = ProviderFunction(lambda: self.provider)
        deployment = f"{STAGE}-{REGION}-{ACCOUNT}"
        self.function.parts = Parts(self.provider, self.store, FakeVault(), deployment, ACCOUNT, self.clock)

    def invoke(self, name: str) -> Json:
        return self.function(request(name), CONTEXT)


def opened(file: str) -> World:
    """The world after the ``create`` beside a file."""
    folder = file.split("/", maxsplit=1)[0]
    world = World(folder)
    assert world.invoke(f"{folder}/create.json")["statusCode"] == 201
    return world


def test_every_function_has_events_to_invoke_it_with_and_they_are_all_of_functions() -> None:
    assert {name.split("/")[0] for name in FILES} == set(functions())


def test_the_readme_s_command_names_what_there_is() -> None:
    readme = (ROOT / "events" / "README.md").read_text()
    for name in re.findall(r"events/requests/(\S+\.json)", readme):
        assert name in FILES
    for function in re.findall(r"invoke ([A-Z]\w+)", readme):
        assert function in template()["Resources"]


@pytest.mark.parametrize("name", [name for name in FILES if "httpMethod" in request(name)])
def test_an_api_call_comes_by_a_route_of_its_function(name: str) -> None:
    event = request(name)
    folder = name.split("/", maxsplit=1)[0]
    assert (event["httpMethod"], event["resource"]) in api_routes()[folder]
    path = event["resource"]
    for parameter, value in (event["pathParameters"] or {}).items():
        path = re.sub(rf"\{{{parameter}\+?\}}", value, path)
    assert path == event["path"]
    assert event["requestContext"]["path"] == f"/v1{path}"


# ---- providers


@pytest.mark.parametrize("file", of_providers("create"))
def test_create_opens_a_stream_and_again_gives_the_same(file: str) -> None:
    world = opened(file)
    assert world.invoke(file)["statusCode"] == 200
    assert len(world.provider.alive) == 1


@pytest.mark.parametrize("file", [*of_providers("read"), *of_providers("credentials"), *of_providers("timeline")])
def test_what_is_asked_about_the_stream_is_answered(file: str) -> None:
    answer = opened(file).invoke(file)
    assert answer["statusCode"] == 200
    assert json.loads(answer["body"])["id"] in request(file)["path"]


@pytest.mark.parametrize("file", of_providers("keepalive"))
def test_keepalive_renews_the_lease(file: str) -> None:
    world = opened(file)
    assert world.invoke(file)["statusCode"] == 200
    assert world.provider.count("renew") == 1


@pytest.mark.parametrize("file", of_providers("delete"))
def test_delete_ends_the_stream(file: str) -> None:
    world = opened(file)
    assert world.invoke(file)["statusCode"] == 204
    assert world.provider.alive == {}


@pytest.mark.parametrize("file", of_providers("stream_requested"))
def test_a_requested_stream_is_opened_from_the_queue(file: str) -> None:
    world = World(file.split("/", maxsplit=1)[0])
    assert world.invoke(file) == {"batchItemFailures": []}
    assert [record.stream.state for record in world.store.records.values()] == [State.READY]


@pytest.mark.parametrize("file", of_providers("renewal_due"))
def test_a_renewal_that_is_due_is_done_once(file: str) -> None:
    world = opened(file)
    for _ in range(2):
        assert world.invoke(file) == {"batchItemFailures": []}
    assert world.provider.count("renew") == 1


@pytest.mark.parametrize("file", of_providers("expiry_due"))
def test_a_stream_whose_time_is_over_is_ended(file: str) -> None:
    world = opened(file)
    assert world.invoke(file) == {"batchItemFailures": []}
    assert world.provider.alive, "its time is not over yet"
    world.clock.advance(timedelta(hours=1).total_seconds())
    assert world.invoke(file) == {"batchItemFailures": []}
    assert world.provider.alive == {}


def test_the_events_of_a_provider_are_those_that_it_can_answer() -> None:
    everywhere = {"create", "read", "credentials", "timeline", "delete", "stream_requested", "expiry_due"}
    for folder, provider in BY_PROVIDER.items():
        leased = {"keepalive", "renewal_due"} if "keepalive" in provider.verbs else set()
        assert {name.split("/")[1].removesuffix(".json") for name in files(folder)} == everywhere | leased


# ---- the others


def test_browse_streams_understands_its_calls() -> None:
    listing = request("browse_streams/list.json")
    asked = query(_caller(listing), listing["queryStringParameters"], frozenset(catalogue()))
    assert asked.provider in catalogue()
    unknown = request("browse_streams/unknown_provider.json")["pathParameters"]["provider"]
    assert unknown not in catalogue()
    assert len(files("browse_streams")) == 3


def _caller(event: Json) -> str:
    api = Api()
    api.routes.get(event["resource"])(lambda: {"tenant": api.caller.tenant})
    told: dict[str, str] = json.loads(api.answer(event, CONTEXT)["body"])
    return told["tenant"]


@pytest.mark.parametrize("name", files("publish_events"))
def test_publish_events_finds_what_is_to_be_published(name: str) -> None:
    assert [pending(record).kind for record in request(name)["Records"]] == ["StreamCreated"]


def test_renew_leases_understands_its_messages() -> None:
    def bodies(name: str) -> list[Any]:
        return [json.loads(record["body"]) for record in request(f"renew_leases/{name}.json")["Records"]]

    (created,), (beat,) = bodies("stream_created"), bodies("beat")
    assert CreatedDetail.model_validate(created["detail"]).data.stream.lease
    assert Beat.model_validate(beat).number == 1
    assert len(files("renew_leases")) == 2


@pytest.mark.parametrize("name", files("sweep"))
def test_sweep_s_is_what_its_schedule_sends(name: str) -> None:
    (schedule,) = functions()["sweep"]["Events"]
    event = request(name)
    assert (event["source"], event["detail-type"]) == ("aws.events", "Scheduled Event")
    (rule,) = event["resources"]
    assert f"SweepFunction{schedule}" in rule


@pytest.mark.parametrize("name", files("authorize_caller"))
def test_authorize_caller_finds_a_token_and_what_is_called(name: str) -> None:
    event = request(name)
    settings = template()["Resources"]["Api"]["Properties"]["Auth"]["Authorizers"]["Jwt"]
    assert event["type"] == settings["FunctionPayloadType"]
    assert re.fullmatch(settings["Identity"]["ValidationExpression"], event["authorizationToken"])
    assert bearer(event["authorizationToken"]).reveal()
    (statement,) = allow("jwt:1:x", event["methodArn"])["policyDocument"]["Statement"]
    assert statement["Resource"].endswith("/v1/*")
