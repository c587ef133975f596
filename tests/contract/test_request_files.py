"""The events to invoke functions with by hand do what their names say, so that they do not rot.

A provider's are given to what its function is made of, with a provider that offers the same and calls nobody.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from authorize_caller.policy import allow
from authorize_caller.tokens import bearer
from browse_streams.listing import query
from headwater.api import Api, reply
from headwater.catalogue import catalogue
from headwater.provider import EVERYWHERE, Notice, Verb
from headwater.streams import State
from local.generate import FUNCTIONS, ROOT
from provision_cloudflare.provider import Cloudflare
from provision_cloudflare.wire import CloudflareSecret
from publish_events.outbox import pending
from renew_leases.beats import Beat, CreatedDetail
from tests.contract.functions import BY_FOLDER, CONTEXT, World, api_routes
from tests.contract.promises import Json, request, request_files
from tests.template import functions, template

FILES = request_files()


def files(folder: str) -> list[str]:
    return [name for name in FILES if name.startswith(f"{folder}/")]


def of_providers(name: str) -> list[str]:
    """The files of one name in the folders of providers."""
    return [file for file in FILES if file.split("/")[0] in BY_FOLDER and file.endswith(f"/{name}.json")]


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


@pytest.mark.parametrize("file", of_providers("due"))
def test_what_is_due_by_the_record_is_done_once(file: str) -> None:
    """A lease is renewed, a stream looked at or ended: whatever comes first."""
    world = opened(file)

    def done() -> list[str]:
        return [each for each in world.provider.calls if each in {"renew", "read", "remove"}]

    assert world.invoke(file) == {"batchItemFailures": []}
    assert done() == []
    due_at = world.record.due_at
    assert due_at
    world.clock.advance((due_at - world.clock()).total_seconds())
    for _ in range(2):
        assert world.invoke(file) == {"batchItemFailures": []}
    assert len(done()) == 1


@pytest.mark.parametrize("file", of_providers("change"))
def test_change_changes_the_stream_and_says_what(file: str) -> None:
    world = opened(file)
    before = world.record.stream
    changed = json.loads(world.invoke(file)["body"])
    assert changed["name"] not in {None, before.name}
    assert changed["metadata"] not in ({}, before.metadata)
    assert changed["version"] == before.version + 1
    assert world.store.kinds(before.id)[1:] == ["StreamUpdated"]


@pytest.mark.parametrize("file", of_providers("repair"))
def test_repair_leaves_a_stream_that_is_as_it_was_asked_for(file: str) -> None:
    world = opened(file)
    assert world.invoke(file)["statusCode"] == 200
    assert (world.provider.count("read"), world.provider.count("change")) == (1, 0)


@pytest.mark.parametrize("file", of_providers("rotate"))
def test_rotate_exchanges_what_opens_the_stream(file: str) -> None:
    world = opened(file)
    before = json.loads(world.invoke(file.replace("rotate", "credentials"))["body"])
    after = json.loads(world.invoke(file)["body"])
    assert after.keys() == before.keys()
    assert after["ingest"] != before["ingest"]
    assert json.loads(world.invoke(file.replace("rotate", "credentials"))["body"]) == after


@pytest.mark.parametrize("file", of_providers("adopt"))
def test_adopt_takes_into_the_record_what_is_there(file: str) -> None:
    world, asked = World(file.split("/", maxsplit=1)[0]), json.loads(request(file)["body"])
    assert world.invoke(file)["statusCode"] == 404
    world.provider.place(asked["provider_ref"])
    assert world.invoke(file)["statusCode"] == 201
    assert (world.record.stream.provider_ref, world.record.stream.name) == (asked["provider_ref"], asked["name"])


@pytest.mark.parametrize("file", of_providers("add_output"))
def test_an_output_that_was_added_is_among_the_outputs(file: str) -> None:
    world = opened(file)
    added = world.invoke(file)
    assert added["statusCode"] == 201
    listed = json.loads(world.invoke(file.replace("add_output", "outputs"))["body"])
    assert listed["outputs"] == [json.loads(added["body"])]
    assert json.loads(request(file)["body"])["stream_key"] not in json.dumps(listed)


@pytest.mark.parametrize("file", of_providers("notification"))
def test_a_notification_is_heard_by_its_secret_and_moves_the_state(file: str) -> None:
    """Its provider reads it, and the stream that it is of is the one that is there."""
    world, event = opened(file), request(file)
    kept = CloudflareSecret.model_validate(
        {"account_id": "a", "api_token": "t", "webhook_secret": event["headers"]["cf-webhook-auth"]}
    )
    real = Cloudflare("http://127.0.0.1:1", lambda _: kept)

    def notice(headers: Mapping[str, str], body: str) -> Notice | None:
        told = real.notice(headers, body)
        return told and replace(told, ref=world.record.handle.ref)

    world.provider.notice = notice  # type: ignore[method-assign] # the fake has no words of its own for it
    assert world.invoke(file)["statusCode"] == 204
    assert world.record.stream.state is State.LIVE
    kept = kept.model_validate({"account_id": "a", "api_token": "t", "webhook_secret": "another"})
    assert world.invoke(file)["statusCode"] == 401


ONLY_WITH = {
    Verb.KEEPALIVE: {"keepalive", "renewal_due"},
    Verb.ROTATE: {"rotate"},
    Verb.REPAIR: {"repair"},
    Verb.ADOPT: {"adopt"},
    Verb.SIMULCAST: {"outputs", "add_output"},
}
"""The files that are there where a provider has the verb. Those of the others are everywhere."""


def test_the_events_of_a_provider_are_those_that_it_can_answer() -> None:
    everywhere = {
        "create",
        "read",
        "credentials",
        "timeline",
        "change",
        "delete",
        "stream_requested",
        "expiry_due",
        "due",
    }
    assert {*EVERYWHERE, *ONLY_WITH} == set(Verb)
    for folder, provider in BY_FOLDER.items():
        able = set().union(*(names for verb, names in ONLY_WITH.items() if verb in provider.verbs))
        notified = {"notification"} if provider.notifies else set()
        found = {name.split("/")[1].removesuffix(".json") for name in files(folder)}
        assert found == everywhere | able | notified, folder


# ---- the others


def test_browse_streams_understands_its_calls() -> None:
    listing = request("browse_streams/list.json")
    asked = query(_caller(listing), listing["queryStringParameters"], frozenset(catalogue(FUNCTIONS)))
    assert asked.provider in catalogue(FUNCTIONS)
    unknown = request("browse_streams/unknown_provider.json")["pathParameters"]["provider"]
    assert unknown not in catalogue(FUNCTIONS)
    assert len(files("browse_streams")) == 3


def _caller(event: Json) -> str:
    api = Api()
    api.routes.add("GET", event["resource"], lambda: reply(200, {"tenant": api.caller.tenant}))
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
