"""What each function's role may do: what it needs, on what is its own, and nothing in the name of somebody else."""

import json
import re
from collections.abc import Callable, Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from botocore import xform_name

from headwater.deadline import Deadline
from headwater.errors import NameTaken
from headwater.provider import Handle, Order, Resource
from headwater.streams import State
from local.door import Door, serve
from local.kinesis_video.server import kinesis_video
from provision_kinesis_video.calls import kinesis_video_client
from provision_kinesis_video.options import KinesisVideoOptions, StreamStorageConfiguration
from provision_kinesis_video.provider import KinesisVideo
from tests.house.subjects import Module, folders, product, providers
from tests.template import PATH, actions, functions, name_of, resources, statements, target, template

POLLING = {
    "sqs": {"ChangeMessageVisibility", "DeleteMessage", "GetQueueAttributes", "ReceiveMessage"},
    "dynamodb": {"DescribeStream", "GetRecords", "GetShardIterator", "ListStreams"},
}
"""What Lambda itself does by the function's role to bring it messages and records."""


def granted(folder: str) -> list[tuple[str, dict[str, Any]]]:
    """Each action of a function's role with its statement."""
    return [(action, statement) for statement in statements(folder) for action in actions(statement)]


EVERY_GRANT = [(folder, action, statement) for folder in folders() for action, statement in granted(folder)]


def test_no_action_is_granted_by_a_pattern() -> None:
    assert [(folder, action) for folder, action, _ in EVERY_GRANT if "*" in action] == []


# ---- resources


@cache
def takes_no_resource(action: str) -> bool:
    """By AWS's own reference of actions, which cfn-lint brings along."""
    found = find_spec("cfnlint")
    assert found
    assert found.origin
    reference = json.loads((Path(found.origin).parent / "data/AdditionalSpecs/Policies.json").read_text())
    service, _, name = action.partition(":")
    return not reference[service]["Actions"][name.lower()].get("Resources")


def test_the_reference_tells_which_actions_take_no_resource() -> None:
    assert takes_no_resource("dynamodb:ListStreams")
    assert not takes_no_resource("dynamodb:GetItem")


@pytest.mark.parametrize("folder", folders())
def test_a_grant_is_for_one_resource_unless_its_action_takes_none(folder: str) -> None:
    for action, statement in granted(folder):
        if statement["Resource"] == "*":
            assert takes_no_resource(action), action


def test_a_grant_for_every_resource_says_on_its_line_why() -> None:
    lines = [line for line in PATH.read_text().splitlines() if re.search(r"Resource: [\"']?\*", line)]
    assert lines
    assert [line for line in lines if not re.search(r"# \w+", line)] == []


def test_only_a_key_s_own_policy_is_for_everything_else() -> None:
    """Statements outside of functions: the key's, the bus's and the queues'."""
    text = json.dumps({name: one for name, one in template()["Resources"].items() if "Function" not in name})
    assert text.count('"Resource": "*"') == 1
    (statement,) = resources("AWS::KMS::Key")["SealingKey"]["KeyPolicy"]["Statement"]
    assert statement["Resource"] == "*"


# ---- who speaks as headwater


SPEAKERS = {folder for folder, action, _ in EVERY_GRANT if action == "events:PutEvents"}


@pytest.mark.parametrize("folder", sorted(SPEAKERS))
def test_who_may_put_events_may_do_so_as_headwater_on_our_bus_only(folder: str) -> None:
    for action, statement in granted(folder):
        if action == "events:PutEvents":
            assert target(statement["Resource"]) == "Bus"
            (condition,) = statement["Condition"].values()
            assert condition == {"events:source": "headwater"}
            assert set(statement["Condition"]) <= {"StringEquals", "StringEqualsIfExists"}


def test_the_bus_refuses_to_hear_anybody_else_speak_as_headwater() -> None:
    statement = resources("AWS::Events::EventBusPolicy")["BusPolicy"]["Statement"]
    assert (statement["Effect"], statement["Principal"], statement["Action"]) == ("Deny", "*", "events:PutEvents")
    assert statement["Condition"]["StringEquals"] == {"events:source": "headwater"}
    exempt = statement["Condition"]["ArnNotLike"]["aws:PrincipalArn"]
    assert {target(arn) for arn in exempt} == {f"{name_of(folder)}FunctionRole" for folder in SPEAKERS}


def test_nobody_speaks_from_the_source_of_those_who_ask() -> None:
    assert [statement for _, _, statement in EVERY_GRANT if "headwater.requests" in json.dumps(statement)] == []


# ---- secrets


@pytest.mark.parametrize("folder", folders())
def test_a_function_reads_its_own_secret_and_no_other(folder: str) -> None:
    own = f"{name_of(folder)}Secret"
    secrets = resources("AWS::SecretsManager::Secret")
    reading = [statement for action, statement in granted(folder) if action.startswith("secretsmanager:")]
    named = functions()[folder].get("Environment", {}).get("Variables", {}).get("PROVIDER_SECRET_ARN")
    if own not in secrets:
        assert (reading, named) == ([], None)
        return
    (statement,) = reading
    assert statement["Action"] == "secretsmanager:GetSecretValue"
    name = secrets[own]["Name"]["Fn::Sub"]
    assert statement["Resource"]["Fn::Sub"].endswith(f":secret:{name}-??????")
    assert name == "headwater/${Stage}/" + folder.removeprefix("provision_").replace("_", "-")
    assert named == {"Ref": own}


@pytest.mark.parametrize("folder", folders())
def test_only_a_provider_s_function_seals_and_unseals(folder: str) -> None:
    kms = {action for action, _ in granted(folder) if action.startswith("kms:")}
    assert kms == ({"kms:Decrypt", "kms:Encrypt"} if folder in providers() else set())


def test_the_sweep_sees_what_is_due_by_its_index_and_no_item_itself() -> None:
    grants = {action: statement["Resource"] for action, statement in granted("sweep") if action.startswith("dynamodb:")}
    assert set(grants) == {"dynamodb:Query", "dynamodb:UpdateItem"}
    assert grants["dynamodb:Query"]["Fn::Sub"] == "${Table.Arn}/index/due"


@pytest.mark.parametrize("folder", folders())
def test_a_function_takes_from_its_own_queue_only(folder: str) -> None:
    for action, statement in granted(folder):
        if action.removeprefix("sqs:") in POLLING["sqs"]:
            assert target(statement["Resource"]) == f"{name_of(folder)}Queue"


# ---- no more than is used


def used(folder: str) -> str:
    """The text of all of the product that a function imports, now or later."""
    by_name = {module.name: module for module in product()}
    found: dict[str, Module] = {}
    wanted = [f"{folder}.handler"]
    while wanted:
        name = wanted.pop()
        if name in by_name and name not in found:
            found[name] = by_name[name]
            wanted += found[name].imports
    return "\n".join(module.text for module in found.values())


VERBS = {"PutItem": '"Put":'}
"""How DynamoDB's transactions, which need the same grants, say it."""


@pytest.mark.parametrize("folder", folders())
def test_a_grant_is_for_a_call_that_the_function_makes(folder: str) -> None:
    text = used(folder)
    for action, _ in granted(folder):
        service, _, name = action.partition(":")
        if name in POLLING.get(service, ()) or service in {"kinesisvideo", "secretsmanager"}:
            continue  # Lambda's own, or asked about elsewhere in this file
        call = xform_name(name)
        forms = {f".{call}(", f'get_paginator("{call}")', VERBS.get(name, f".{call}(")}
        assert any(form in text for form in forms), action


# ---- Kinesis Video, which no emulator guards


@pytest.fixture
def at_kinesis_video(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Door, KinesisVideo]]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "any")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    door = kinesis_video()
    door.configure(updating_seconds=0)
    with serve(door) as url:
        client = kinesis_video_client(url)
        yield door, KinesisVideo(client)
        client.close()


def patient() -> Deadline:
    return Deadline(10)


def an_order(stream_id: str, **options: Any) -> Order[KinesisVideoOptions]:
    return Order(stream_id, KinesisVideoOptions(stream_name="dock", **options), deployment="ours")


def handle(resource: Resource) -> Handle:
    return Handle("str_1", resource.ref, resource.notes)


def a_life(provider: KinesisVideo, pass_seconds: Callable[[float], None]) -> None:
    """Everything that can happen to a stream: made, made again, found, listed, read at both times, changed, taken over,
    removed."""
    order = an_order("str_1", tags={"site": "north"})
    made = provider.create(order, patient())
    assert provider.create(order, patient()).ref == made.ref
    found = provider.find(order, patient()).resource
    assert found
    assert [one.ref for one in provider.marked("ours", patient())] == [made.ref]
    pass_seconds(5)
    ready = provider.read(handle(found), patient())
    assert ready
    assert ready.state is State.READY
    with pytest.raises(NameTaken):
        provider.create(an_order("str_2"), patient())
    other = an_order(
        "str_1",
        device_name="crane",
        data_retention_in_hours=1,
        tags={"place": "quay"},
        stream_storage_configuration=StreamStorageConfiguration(default_storage_tier="WARM"),
    )
    for one in ("device_name", "data_retention_in_hours", "tags", "stream_storage_configuration"):
        assert provider.change(handle(ready), other, frozenset({f"/options/{one}"}), patient())
    taken_over = provider.adoptable("dock", patient())
    assert taken_over
    provider.mark(handle(taken_over.resource), other, patient())
    provider.remove(handle(ready), patient())
    pass_seconds(5)
    assert provider.read(handle(ready), patient()) is None


def test_the_role_may_do_at_kinesis_video_what_a_stream_s_life_needs_and_no_more(
    at_kinesis_video: tuple[Door, KinesisVideo],
) -> None:
    door, provider = at_kinesis_video
    a_life(provider, door.clock.advance)
    needed = {f"kinesisvideo:{call.operation}" for call in door.calls()}
    if any("Tags" in call.body for call in door.calls() if call.operation == "CreateStream"):
        needed.add("kinesisvideo:TagStream")  # tags given at creation need it
    (folder,) = (folder for folder in providers() if any(a.startswith("kinesisvideo:") for a, _ in granted(folder)))
    assert {action for action, _ in granted(folder) if action.startswith("kinesisvideo:")} == needed


def test_a_stream_s_life_has_every_call_that_the_function_can_make(
    at_kinesis_video: tuple[Door, KinesisVideo],
) -> None:
    door, provider = at_kinesis_video
    a_life(provider, door.clock.advance)
    made = {xform_name(call.operation) for call in door.calls()}
    assert set(re.findall(r"_client\.([a-z_]+)\(", used("provision_kinesis_video"))) & operations() == made


def operations() -> set[str]:
    client = kinesis_video_client("http://127.0.0.1:9")
    try:
        return {xform_name(name) for name in client.meta.service_model.operation_names}
    finally:
        client.close()
