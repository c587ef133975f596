"""Each rule in the template lets through what its function is there for, and nothing else.

Patterns are matched by moto's matcher: it knows all of EventBridge's filters, which a small one of ours would not.
"""

import json
from base64 import b64encode
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import pytest
from moto.events.models import EventPattern
from pydantic import BaseModel

from headwater.attributes import to_attributes
from headwater.events import (
    PUBLISHED,
    OrphanSearchDue,
    StreamAttentionDue,
    StreamCreated,
    StreamRequested,
    happened,
)
from headwater.store import event_item, stream_item
from headwater.streams import Stream
from local.generate import providers
from tests.contract.promises import EVENTS, Json, example, on_the_bus
from tests.template import consumer_of, resources, target
from tests.unit.fakes import a_claimed_record

PROVIDERS = {folder.name: provider.name for folder, provider in providers().items()}

SUBSCRIBED: dict[str, set[type[BaseModel]]] = {"renew_leases": {StreamCreated}}
"""What each function downstream of the bus is there for. A provider's function is found by itself."""

RULES = resources("AWS::Events::Rule")


def matches(pattern: Json, event: Json) -> bool:
    return EventPattern(json.dumps(pattern), pattern).matches_event(event)  # type: ignore[arg-type] # a plain dict


def consumers(rule: Json) -> set[str]:
    found = {consumer_of(target(each["Arn"])) for each in rule["Targets"]}
    return {folder for folder in found if folder}


def delivered(event: Json) -> dict[str, int]:
    """How often an event reaches each function."""
    counts: dict[str, int] = defaultdict(int)
    for rule in RULES.values():
        if matches(rule["EventPattern"], event):
            for folder in consumers(rule):
                counts[folder] += 1
    return dict(counts)


def for_provider(kind: type[BaseModel], provider: str) -> Json:
    """The example, but of another provider."""
    detail = example(kind)
    data = detail["data"]
    told = data.get("stream", data)
    told["provider"] = provider
    return detail


def every_event() -> Iterator[tuple[type[BaseModel], str, Json]]:
    """Each event for each provider, and for one that there is not."""
    for kind in EVENTS:
        for provider in (*PROVIDERS.values(), "somebody-else"):
            yield kind, provider, on_the_bus(kind, for_provider(kind, provider))


def due(kind: type[BaseModel], provider: str) -> dict[str, int]:
    """To which functions an event is to go, once each."""
    commanded = {folder for folder, name in PROVIDERS.items() if name == provider}
    wanted = commanded if kind in {StreamRequested, StreamAttentionDue, OrphanSearchDue} else set()
    return dict.fromkeys(wanted | {folder for folder, kinds in SUBSCRIBED.items() if kind in kinds}, 1)


def test_every_rule_leads_to_a_function_that_says_what_it_is_there_for() -> None:
    for name, rule in RULES.items():
        assert consumers(rule), f"{name} leads to no function"
        assert consumers(rule) <= PROVIDERS.keys() | SUBSCRIBED.keys(), f"say in SUBSCRIBED what {name} is for"
    assert {folder for rule in RULES.values() for folder in consumers(rule)} == PROVIDERS.keys() | SUBSCRIBED.keys()


@pytest.mark.parametrize(("kind", "provider", "event"), list(every_event()))
def test_an_event_goes_once_to_each_function_that_is_there_for_it(
    kind: type[BaseModel], provider: str, event: Json
) -> None:
    assert delivered(event) == due(kind, provider)


@pytest.mark.parametrize("kind", EVENTS)
@pytest.mark.parametrize(
    "change",
    [
        {"source": "headwater.forged"},
        {"source": "aws.events"},
        {"source": "HEADWATER"},
        {"detail-type": "StreamInvented"},
    ],
    ids=str,
)
def test_what_is_not_from_whom_it_should_be_or_not_known_goes_nowhere(kind: type[BaseModel], change: Json) -> None:
    assert delivered(on_the_bus(kind, example(kind)) | change) == {}


@pytest.mark.parametrize("kind", EVENTS)
@pytest.mark.parametrize("version", [0, 2, "1", None])
def test_another_version_goes_nowhere(kind: type[BaseModel], version: Any) -> None:
    assert delivered(on_the_bus(kind, {**example(kind), "version": version})) == {}


@pytest.mark.parametrize("kind", EVENTS)
def test_an_event_from_the_other_of_our_two_sources_goes_nowhere(kind: type[BaseModel]) -> None:
    other = {"headwater": "headwater.requests", "headwater.requests": "headwater"}
    event = on_the_bus(kind, example(kind))
    assert delivered({**event, "source": other[event["source"]]}) == {}


@pytest.mark.parametrize("kind", EVENTS)
def test_what_we_add_later_changes_nothing_about_who_hears_it(kind: type[BaseModel]) -> None:
    event = on_the_bus(kind, {**example(kind), "added_later": True})
    assert delivered(event) == delivered(on_the_bus(kind, example(kind)))


# ---- from the table to the publisher


@pytest.fixture
def filters() -> list[Json]:
    mapping = resources("AWS::Lambda::EventSourceMapping")["PublishEventsMapping"]
    return [json.loads(each["Pattern"]) for each in mapping["FilterCriteria"]["Filters"]]


def change(name: str, item: dict[str, Any]) -> Json:
    """As Lambda is told of it; bytes are in base64 there."""
    plain = {key: b64encode(value).decode() if isinstance(value, bytes) else value for key, value in item.items()}
    image = to_attributes(plain)
    keys = {key: image[key] for key in ("pk", "sk")}
    return {"eventName": name, "dynamodb": {"Keys": keys, "NewImage": image, "SequenceNumber": "1"}}


@pytest.mark.parametrize("kind", PUBLISHED)
def test_the_publisher_sees_an_event_that_was_recorded_and_not_its_removal(filters: list[Json], kind: Any) -> None:
    item = event_item(kind.model_validate(example(kind), strict=False))
    # One may be written over another whose time is over, and that time to live has not removed yet.
    for name in ("INSERT", "MODIFY"):
        assert any(matches(each, change(name, item)) for each in filters)
    assert not any(matches(each, change("REMOVE", item)) for each in filters)


def test_the_publisher_sees_no_record_and_so_no_credentials(filters: list[Json]) -> None:
    record = a_claimed_record().model_copy(update={"sealed_credentials": b"sealed"})
    items = [stream_item(record), *({"pk": "STREAM#1", "sk": sk} for sk in ("STREAM", "AN EVENT#"))]
    for name in ("INSERT", "MODIFY"):
        assert not any(matches(each, change(name, item)) for each in filters for item in items)


# ---- the matcher


def test_the_matcher_tells_a_match_from_a_miss() -> None:
    pattern = {"source": ["a"], "detail": {"version": [1], "data": {"provider": ["x"]}}}
    event = {"source": "a", "detail": {"version": 1, "data": {"provider": "x"}}}
    assert matches(pattern, event)
    for miss in ({"source": "b"}, {"detail": {"version": 1}}, {"detail": {"version": 1, "data": {"provider": "xy"}}}):
        assert not matches(pattern, event | miss)


def test_a_stream_as_it_is_recorded_is_what_the_rules_look_into() -> None:
    """The examples are of the models; this is what is written, through the very same calls."""
    stream = Stream.model_validate(example(StreamCreated)["data"]["stream"], strict=False)
    event = happened(StreamCreated, stream, "aws:1", "request")
    detail = json.loads(event_item(event)["detail"])
    assert delivered(on_the_bus(StreamCreated, detail)) == due(StreamCreated, stream.provider)
