"""What the whole suite has left: what was recorded was told once, what was made is known, and nothing went astray."""

import json
from collections import Counter
from typing import Any

import pytest

from local.cloud import STAGE, Cloud
from tests.stack.bus import Subscriber
from tests.stack.callers import Api
from tests.stack.doors import CREATES, Door
from tests.stack.storage import Storage
from tests.stack.waiting import eventually

Json = dict[str, Any]


@pytest.fixture(scope="module", autouse=True)
def something_was_done(api: Api, subscriber: Subscriber) -> None:
    """Also where this file is run alone."""
    for provider in CREATES:
        stream = api.create(provider, "afterwards").json()
        api.delete(stream["href"])
        subscriber.await_events(stream["id"], "StreamDeleted")


def recorded(storage: Storage) -> Counter[str]:
    """The ids of all events in the table."""
    details = (json.loads(item["detail"]["S"]) for item in storage.items() if item["sk"]["S"].startswith("EVENT#"))
    return Counter(detail["event_id"] for detail in details)


def carried(subscriber: Subscriber) -> Counter[str]:
    """The ids of all events that a subscriber received. A command of ours to ourselves has none."""
    details = (event["detail"] for event in list(subscriber.received))
    return Counter(detail["event_id"] for detail in details if "event_id" in detail)


def test_every_recorded_event_was_carried_once_and_no_other(storage: Storage, subscriber: Subscriber) -> None:
    def look() -> Counter[str]:
        subscriber.receive()
        return carried(subscriber)

    # A lease may end, and that be told, just now.
    assert eventually(look, lambda seen: seen == recorded(storage))


def test_no_stream_was_created_twice(subscriber: Subscriber) -> None:
    created = [event["detail"]["data"]["stream"] for event in subscriber.received if "Created" in event["detail-type"]]
    assert len(created) > len(CREATES) - 1
    for told in ("id", "provider_ref"):
        assert max(Counter(stream[told] for stream in created).values()) == 1


@pytest.mark.parametrize("provider", CREATES)
def test_a_provider_has_nothing_that_no_record_knows(provider: str, doors: dict[str, Door], storage: Storage) -> None:
    records = [json.loads(item["record"]["S"]) for item in storage.items() if "record" in item]
    assert doors[provider].refs() <= {record["stream"]["provider_ref"] for record in records}


@pytest.mark.parametrize("provider", CREATES)
def test_the_simulators_have_kept_to_the_providers_contracts(provider: str, doors: dict[str, Door]) -> None:
    assert doors[provider].violations() == []


def test_there_are_no_dead_letters(cloud: Cloud) -> None:
    sqs = cloud.client("sqs")
    urls = [url for url in sqs.list_queues(QueueNamePrefix=f"headwater-{STAGE}")["QueueUrls"] if "DeadLetters" in url]
    assert urls
    for url in urls:
        counted = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["ApproximateNumberOfMessages"])
        assert counted["Attributes"]["ApproximateNumberOfMessages"] == "0", url


def test_no_function_met_what_it_did_not_foresee(storage: Storage) -> None:
    """A refusal of IAM's among it, of which a log line tells the kind alone."""
    assert [line for line in storage.log_lines() if '"level":"ERROR"' in line.replace(" ", "")] == []
