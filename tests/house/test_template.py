"""The template: named after folders, and with what each kind of resource must have."""

import json
import re
import subprocess
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Any

import pytest

from headwater.catalogue import catalogue
from tests.house.subjects import FUNCTIONS, ROOT, folders, providers
from tests.template import (
    PATH,
    consumer_of,
    default,
    folder_of,
    functions,
    name_of,
    resources,
    target,
    template,
)

KINDS = {
    "AWS::Serverless::Function": r"Function",
    "AWS::Lambda::EventSourceMapping": r"Mapping",
    "AWS::SQS::Queue": r"Queue|DeadLetters",
    "AWS::Events::Rule": r"[A-Z][A-Za-z]+Rule",
    "AWS::SecretsManager::Secret": r"Secret",
}
"""What follows the folder's name in the name of a resource that belongs to one function."""

QUEUES = resources("AWS::SQS::Queue")
RULES = resources("AWS::Events::Rule")
MAPPINGS = resources("AWS::Lambda::EventSourceMapping")
DEAD_LETTERS = {name for name in QUEUES if name.endswith("DeadLetters")}
SHARED_LETTERS = {name for name in DEAD_LETTERS if not name.startswith(tuple(map(name_of, folders())))}


def test_every_folder_has_its_function_and_every_function_its_folder() -> None:
    assert set(functions()) == set(folders())


@pytest.mark.parametrize("folder", folders())
def test_a_function_is_named_after_its_folder_and_entered_by_its_handler(folder: str) -> None:
    assert functions()[folder]["Handler"] == f"{folder}.handler.handler"
    assert folder_of(f"{name_of(folder)}Function") == folder


def owned(kind: str) -> list[tuple[str, str]]:
    return [(name, KINDS[kind]) for name in resources(kind) if name not in SHARED_LETTERS]


@pytest.mark.parametrize(("name", "suffix"), list(chain.from_iterable(map(owned, KINDS))))
def test_a_resource_is_named_after_its_folder_and_its_kind(name: str, suffix: str) -> None:
    owners = "|".join(map(name_of, folders()))
    assert re.fullmatch(rf"({owners})({suffix})", name)


@pytest.mark.parametrize("name", template()["Resources"])
def test_a_name_that_begins_with_a_folder_s_is_of_a_known_kind(name: str) -> None:
    kind = template()["Resources"][name]["Type"]
    if name.startswith(tuple(map(name_of, folders()))):
        assert kind in KINDS


def test_every_parameter_condition_and_resource_is_used() -> None:
    text = PATH.read_text()
    for name in (*template()["Parameters"], *template()["Conditions"]):
        assert len(re.findall(rf"\b{name}\b", text)) > 1, name


@pytest.mark.parametrize("folder", providers())
def test_a_provider_s_block_is_whole(folder: str) -> None:
    name = name_of(folder)
    parts = ("Function", "Queue", "Mapping", "RequestedRule", "AttentionRule")
    assert {f"{name}{part}" for part in parts} <= set(template()["Resources"])


# ---- queues


SOURCES = sorted(target(mapping["EventSourceArn"]) for mapping in MAPPINGS.values())


@pytest.mark.parametrize("queue", [name for name in SOURCES if name in QUEUES])
def test_a_queue_that_feeds_a_function_gives_up_at_last_and_keeps_what_it_gave_up(queue: str) -> None:
    redrive = QUEUES[queue]["RedrivePolicy"]
    assert target(redrive["deadLetterTargetArn"]) in DEAD_LETTERS
    assert 3 <= redrive["maxReceiveCount"] <= 100


@pytest.mark.parametrize("queue", [name for name in SOURCES if name in QUEUES])
def test_a_message_stays_hidden_at_least_six_times_as_long_as_its_function_may_take(queue: str) -> None:
    """So AWS asks: "Configuring an Amazon SQS queue to trigger a Lambda function", in the SQS guide."""
    folder = consumer_of(queue)
    assert folder
    timeout, visible = functions()[folder]["Timeout"], QUEUES[queue]["VisibilityTimeout"]
    assert default(visible) >= 6 * default(timeout)
    if isinstance(timeout, dict):
        longest = template()["Parameters"][timeout["Ref"]]["MaxValue"]
        assert default(visible) >= 6 * longest


@pytest.mark.parametrize("queue", [name for name in QUEUES if name not in DEAD_LETTERS])
def test_a_queue_that_is_no_dead_letter_queue_feeds_a_function(queue: str) -> None:
    assert queue in SOURCES


@pytest.mark.parametrize("queue", sorted(QUEUES))
def test_a_queue_is_encrypted_and_dead_letters_are_kept_as_long_as_can_be(queue: str) -> None:
    assert QUEUES[queue]["SqsManagedSseEnabled"] is True
    if queue in DEAD_LETTERS:
        assert QUEUES[queue]["MessageRetentionPeriod"] == 14 * 86_400


@pytest.mark.parametrize("queue", sorted(DEAD_LETTERS))
def test_dead_letters_raise_an_alarm(queue: str) -> None:
    metrics = resources("AWS::CloudWatch::Alarm")["DeadLettersAlarm"]["Metrics"]
    watched = [one["MetricStat"]["Metric"]["Dimensions"] for one in metrics if "MetricStat" in one]
    assert queue in {target(dimension["Value"]) for dimensions in watched for dimension in dimensions}


@pytest.mark.parametrize("name", sorted(MAPPINGS))
def test_a_mapping_loses_nothing(name: str) -> None:
    """A queue's tells which messages failed; a stream's fails as a whole, and is repeated until its records expire."""
    mapping = MAPPINGS[name]
    assert ("FunctionResponseTypes" in mapping) != ("StartingPosition" in mapping)
    assert mapping.get("FunctionResponseTypes", ["ReportBatchItemFailures"]) == ["ReportBatchItemFailures"]
    source = target(mapping["EventSourceArn"])
    if source not in QUEUES:
        assert target(mapping["DestinationConfig"]["OnFailure"]["Destination"]) in DEAD_LETTERS
        assert mapping["BisectBatchOnFunctionError"] is True
        assert mapping["StartingPosition"] == "TRIM_HORIZON"


@pytest.mark.parametrize("name", sorted(RULES))
def test_a_rule_is_on_our_bus_and_each_target_has_dead_letters(name: str) -> None:
    rule = RULES[name]
    assert target(rule["EventBusName"]) == "Bus"
    assert rule["Targets"]
    for each in rule["Targets"]:
        assert target(each["DeadLetterConfig"]["Arn"]) in DEAD_LETTERS


@pytest.mark.parametrize("name", sorted(RULES))
def test_a_rule_says_from_whom_what_and_of_which_version(name: str) -> None:
    pattern = RULES[name]["EventPattern"]
    assert pattern["source"] in (["headwater"], ["headwater.requests"])
    assert len(set(pattern["detail-type"])) == len(pattern["detail-type"]) > 0
    assert pattern["detail"]["version"] == [1]


def schedules(folder: str) -> list[str]:
    events = functions()[folder].get("Events", {}).values()
    return [each["Properties"]["Schedule"] for each in events if each["Type"] == "Schedule"]


@pytest.mark.parametrize("folder", [folder for folder in folders() if schedules(folder)])
def test_what_comes_by_a_schedule_is_over_when_it_comes_again_and_is_not_repeated_before(folder: str) -> None:
    assert schedules(folder) == ["rate(1 minute)"]
    assert functions()[folder]["Timeout"] < 60
    assert functions()[folder]["EventInvokeConfig"]["MaximumRetryAttempts"] == 0


def test_the_bus_may_send_to_each_queue_that_a_rule_leads_to_and_to_no_other() -> None:
    (policy,) = resources("AWS::SQS::QueuePolicy").values()
    (statement,) = policy["PolicyDocument"]["Statement"]
    each_target = [one for rule in RULES.values() for one in rule["Targets"]]
    reached = {target(one["Arn"]) for one in each_target} | {
        target(one["DeadLetterConfig"]["Arn"]) for one in each_target
    }
    assert {target(queue) for queue in policy["Queues"]} == reached
    assert {target(arn) for arn in statement["Resource"]} == reached


# ---- the API


def routes(folder: str) -> set[tuple[str, str]]:
    events = functions()[folder].get("Events", {}).values()
    return {(each["Properties"]["Method"], each["Properties"]["Path"]) for each in events if each["Type"] == "Api"}


METHODS = {"GET", "POST", "PATCH", "DELETE"}
"""Of what is below a provider's name."""


def provider_of(folder: str) -> str:
    return folder.removeprefix("provision_").replace("_", "-")


def notified(folder: str) -> set[tuple[str, str]]:
    """The route by which a provider tells of its streams, if it does."""
    provider = provider_of(folder)
    return {("POST", f"/notifications/{provider}")} if catalogue(FUNCTIONS)[provider]["notifies"] else set()


@pytest.mark.parametrize("folder", providers())
def test_a_provider_s_routes_are_below_its_own_name_and_where_it_notifies(folder: str) -> None:
    root = f"/streams/{provider_of(folder)}"
    below = {(method, f"{root}/{{proxy+}}") for method in METHODS}
    assert routes(folder) == {("POST", root)} | below | notified(folder)


def test_a_provider_that_there_is_not_is_told_so_whatever_is_asked_of_it() -> None:
    unknown = {(method, "/streams/{provider}/{proxy+}") for method in METHODS} | {("POST", "/streams/{provider}")}
    assert unknown <= routes("browse_streams")


def test_no_route_is_without_an_authorizer_but_those_by_which_providers_notify() -> None:
    without = set()
    for function in functions().values():
        for event in function.get("Events", {}).values():
            if "Auth" in event["Properties"]:
                assert event["Properties"]["Auth"] == {"Authorizer": "NONE"}
                without.add((event["Properties"]["Method"], event["Properties"]["Path"]))
    assert without == set().union(*map(notified, providers()))
    assert template()["Resources"]["Api"]["Properties"]["Auth"]["DefaultAuthorizer"] == {"Ref": "CallerKind"}


@cache
def deployed_api(caller_kind: str) -> dict[str, Any]:
    """The API's description that SAM deploys, its code being anywhere."""
    anywhere = {"CodeUri": "s3://bucket/key", "ContentUri": "s3://bucket/key"}
    found = json.loads(json.dumps(template()))
    for one in (*found["Resources"].values(), found["Globals"]["Function"]):
        place = one.get("Properties", one)
        place |= {name: uri for name, uri in anywhere.items() if name in place}
    asked = json.dumps({"template": found, "parameters": {"CallerKind": caller_kind}})
    command = [ROOT / ".venv-deploy" / "bin" / "python", Path(__file__).with_name("transform.py")]
    made = subprocess.run(command, input=asked, capture_output=True, check=True, text=True).stdout  # noqa: S603  # ours
    api: dict[str, Any] = json.loads(made)["Resources"]["Api"]["Properties"]["Body"]
    return api


@pytest.mark.parametrize("caller_kind", template()["Parameters"]["CallerKind"]["AllowedValues"])
def test_what_is_deployed_lets_in_nobody_unknown_but_where_providers_notify(caller_kind: str) -> None:
    """By what SAM makes of it: a default authorizer that is a parameter must neither be lost nor be everywhere."""
    api, open_to_all = deployed_api(caller_kind), set()
    assert "NONE" not in api["components"]["securitySchemes"], "a requirement that nothing defines is none"
    for path, methods in api["paths"].items():
        for method, call in methods.items():
            assert call["security"] in ([{caller_kind: []}], [{"NONE": []}]), path
            if call["security"] == [{"NONE": []}]:
                open_to_all.add((method.upper(), path))
    assert open_to_all == set().union(*map(notified, providers()))
    assert sum(map(len, api["paths"].values())) == sum(len(routes(folder)) for folder in folders())


@pytest.mark.parametrize("kind", template()["Resources"]["Api"]["Properties"]["GatewayResponses"])
def test_a_gateway_s_own_answer_is_a_problem_like_ours(kind: str) -> None:
    answer = template()["Resources"]["Api"]["Properties"]["GatewayResponses"][kind]
    assert answer["ResponseParameters"]["Headers"]["Content-Type"] == "'application/problem+json'"
    filled = re.sub(r'"?\$context\.[\w.]+"?', '"x"', answer["ResponseTemplates"]["application/json"])
    problem: dict[str, Any] = json.loads(filled)
    assert set(problem) == {"type", "title", "status", "code", "detail", "request_id", "retryable", "errors"}
    assert problem["status"] == int(answer["StatusCode"])
    assert problem["type"] == f"urn:headwater:problem:{problem['code']}"


# ---- environment


@pytest.mark.parametrize("folder", folders())
def test_an_environment_variable_says_what_it_holds_in_the_same_words_everywhere(folder: str) -> None:
    for name in functions()[folder].get("Environment", {}).get("Variables", {}):
        assert re.fullmatch(r"[A-Z][A-Z0-9]+(_[A-Z0-9]+)+", name)


@pytest.mark.parametrize(
    ("parameter", "variable"),
    [("DefaultLifetime", "DEFAULT_LIFETIME_SECONDS"), ("LifetimeCeiling", "LIFETIME_CEILING_SECONDS")],
)
def test_a_stage_s_lifetimes_are_none_unless_it_is_given_some_and_the_same_for_every_function(
    parameter: str, variable: str
) -> None:
    assert (default({"Ref": parameter}), template()["Parameters"][parameter]["MinValue"]) == (0, 0)
    for folder in folders():
        assert functions()[folder]["Environment"]["Variables"].get(variable, {"Ref": parameter}) == {"Ref": parameter}
    assert template()["Globals"]["Function"]["Environment"]["Variables"][variable] == {"Ref": parameter}


def test_no_function_is_told_of_a_clock_that_could_be_moved() -> None:
    """Whoever moves business time does so where the system is tried out: the emulator's functions inherit the file."""
    assert "CLOCK_FILE" not in PATH.read_text()


def test_no_alarm_is_of_one_function_but_the_publisher_s_age() -> None:
    """They watch outcomes, so a provider more adds none."""
    owners = tuple(map(name_of, folders()))
    assert not any(name.startswith(owners) for name in resources("AWS::CloudWatch::Alarm"))


def test_what_holds_data_survives_its_stack() -> None:
    for name in ("Table", "SealingKey"):
        resource = template()["Resources"][name]
        assert resource["DeletionPolicy"] == "RetainExceptOnCreate"
        assert resource["UpdateReplacePolicy"] == "Retain"
