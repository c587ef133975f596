"""Kinesis Video as boto3 meets it over HTTP. No test waits: the clock is moved."""

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from functools import cache, partial
from typing import Any

import boto3
import botocore.session
import httpx
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from werkzeug.test import Client as WsgiClient

from local.door import Clock, Door, serve, side_by_side
from local.kinesis_video.models import Settings
from local.kinesis_video.server import kinesis_video

REGION = "eu-central-1"
SIGNED = (
    "AWS4-HMAC-SHA256 Credential=any/20260101/eu-central-1/kinesisvideo/aws4_request, SignedHeaders=host, Signature=0"
)


@cache
def session() -> Any:
    """One for all tests: it has read botocore's model."""
    return boto3.session.Session()


class StandingClock(Clock):
    """Moves only when it is moved, so that no test depends on how fast the machine is."""

    def __init__(self) -> None:
        super().__init__()
        self._now_ms = super().now_ms()

    def now_ms(self) -> int:
        return self._now_ms

    def advance(self, seconds: float) -> None:
        self._now_ms += round(seconds * 1000)


@dataclass
class Served:
    """A Kinesis Video: each test finds it empty, with its first settings."""

    door: Door
    url: str
    client: Any

    @contextmanager
    def called_by(self, service: str = "kinesisvideo", region: str = REGION, **credentials: str) -> Iterator[Any]:
        keys = {"aws_access_key_id": "any", "aws_secret_access_key": "any"} | credentials
        # Nothing is checked by the caller, so that the server has to.
        config = Config(retries={"total_max_attempts": 1}, parameter_validation=False)
        made = session().client(service, region_name=region, endpoint_url=self.url, config=config, **keys)
        with closing(made) as client:
            yield client

    def described(self, name: str = "lobby") -> dict[str, Any]:
        info: dict[str, Any] = self.client.describe_stream(StreamName=name)["StreamInfo"]
        return info

    def created(self, name: str = "lobby", **options: Any) -> str:
        """The ARN of a stream that is ACTIVE."""
        arn: str = self.client.create_stream(StreamName=name, **options)["StreamARN"]
        self.passes(1)
        return arn

    def passes(self, seconds: float) -> None:
        self.door.clock.advance(seconds)

    def tags(self, name: str = "lobby") -> dict[str, str]:
        """All pages of them."""
        answer = self.client.list_tags_for_stream(StreamName=name)
        tags: dict[str, str] = answer["Tags"]
        while token := answer.get("NextToken"):
            answer = self.client.list_tags_for_stream(StreamName=name, NextToken=token)
            tags |= answer["Tags"]
        return tags

    def control(self, method: str, what: str, **body: Any) -> httpx.Response:
        return httpx.request(method, f"{self.url}/_control/{what}", json=body or None)


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    door = kinesis_video(StandingClock())
    with serve(door) as url:
        served = Served(door, url, None)
        with served.called_by() as served.client:
            yield served


@pytest.fixture
def kvs(served: Served) -> Iterator[Served]:
    served.door.reset()
    served.door.configure(**asdict(Settings()))
    yield served
    assert served.door.violations == []


def refused(call: Callable[[], Any]) -> tuple[str, int]:
    """The exception's name and HTTP code."""
    with pytest.raises(ClientError) as refusal:
        call()
    answer: Any = refusal.value.response
    return answer["Error"]["Code"], answer["ResponseMetadata"]["HTTPStatusCode"]


INVALID = ("InvalidArgumentException", 400)
IN_USE = ("ResourceInUseException", 400)
MISMATCH = ("VersionMismatchException", 400)
NOT_FOUND = ("ResourceNotFoundException", 404)
TOO_MANY_TAGS = ("TagsPerResourceExceededLimitException", 400)


# ---- states and time ----


def test_a_stream_is_creating_until_its_time_has_passed(kvs: Served) -> None:
    kvs.control("POST", "kinesis-video/settings", creating_seconds=10)
    kvs.client.create_stream(StreamName="lobby")
    assert kvs.described()["Status"] == "CREATING"
    kvs.passes(9)
    assert kvs.described()["Status"] == "CREATING"
    kvs.passes(1)
    assert kvs.described()["Status"] == "ACTIVE"


def test_without_settings_a_stream_is_active_after_a_second_and_gone_a_second_after_its_deletion(kvs: Served) -> None:
    arn = kvs.created()
    assert kvs.described()["Status"] == "ACTIVE"
    kvs.client.delete_stream(StreamARN=arn)
    kvs.passes(1)
    assert refused(kvs.described) == NOT_FOUND


def test_a_deleted_stream_is_deleting_for_a_settable_time_and_then_gone(kvs: Served) -> None:
    kvs.door.configure(deleting_seconds=60)
    kvs.client.delete_stream(StreamARN=kvs.created())
    kvs.passes(59)
    assert kvs.described()["Status"] == "DELETING"
    kvs.passes(1)
    assert refused(kvs.described) == NOT_FOUND
    assert kvs.client.list_streams()["StreamInfoList"] == []


def test_a_stream_that_is_not_active_can_be_neither_changed_nor_deleted(kvs: Served) -> None:
    kvs.door.configure(creating_seconds=60, updating_seconds=60, deleting_seconds=60)
    arn = kvs.client.create_stream(StreamName="lobby")["StreamARN"]

    def changes() -> list[Callable[[], Any]]:
        own = {"StreamARN": arn, "CurrentVersion": kvs.described()["Version"]}
        tier = {"DefaultStorageTier": "WARM"}
        more = {"Operation": "INCREASE_DATA_RETENTION", "DataRetentionChangeInHours": 1}
        return [
            lambda: kvs.client.update_stream(**own, MediaType="video/h264"),
            lambda: kvs.client.update_data_retention(**own, **more),
            lambda: kvs.client.update_stream_storage_configuration(**own, StreamStorageConfiguration=tier),
            lambda: kvs.client.delete_stream(StreamARN=arn),
        ]

    update, *_, delete = changes()
    assert {refused(change) for change in changes()} == {IN_USE}, "while CREATING"
    kvs.passes(60)
    update()
    assert kvs.described()["Status"] == "UPDATING"
    assert {refused(change) for change in changes()} == {IN_USE}, "while UPDATING"
    kvs.passes(60)
    delete()
    assert {refused(change) for change in changes()} == {IN_USE}, "while DELETING"


def test_a_name_is_taken_until_its_stream_is_gone(kvs: Served) -> None:
    arn = kvs.client.create_stream(StreamName="lobby")["StreamARN"]
    again = partial(kvs.client.create_stream, StreamName="lobby")
    assert refused(again) == IN_USE
    kvs.passes(1)
    assert refused(again) == IN_USE
    kvs.client.delete_stream(StreamARN=arn)
    assert refused(again) == IN_USE
    kvs.passes(1)
    assert again()["StreamARN"] != arn


@pytest.fixture
def impatient_threads() -> Iterator[None]:
    """Threads take turns all the time, so that what is not guarded meets in the middle."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


@pytest.mark.usefixtures("impatient_threads")
def test_of_simultaneous_creates_of_one_name_exactly_one_succeeds(kvs: Served) -> None:
    """Without sockets, which would keep the calls apart."""
    callers, names = 4, 40
    kvs.door.configure(creates_per_second=callers * names)  # time stands still
    together = threading.Barrier(callers)

    def create_all(_: int) -> list[int]:
        client, statuses = WsgiClient(kvs.door), []
        for name in range(names):
            together.wait(timeout=10)
            answer = client.post("/createStream", json={"StreamName": f"cam-{name}"}, headers={"Authorization": SIGNED})
            statuses.append(answer.status_code)
        return statuses

    with ThreadPoolExecutor(callers) as pool:
        outcomes = list(pool.map(create_all, range(callers)))
    assert [sorted(of_one_name) for of_one_name in zip(*outcomes, strict=True)] == [[200, 400, 400, 400]] * names


# ---- what names a stream ----


def test_the_arn_ends_in_the_creation_time_by_the_clock(kvs: Served) -> None:
    kvs.passes(86_400)
    created_ms = kvs.door.clock.now_ms()
    arn = kvs.created()
    assert arn.rpartition("/")[2] == str(created_ms)
    assert round(kvs.described()["CreationTime"].timestamp() * 1000) == created_ms


def test_a_stream_made_again_has_another_arn_and_the_old_one_finds_and_deletes_nothing(kvs: Served) -> None:
    kvs.door.configure(creating_seconds=0, deleting_seconds=0)
    old = kvs.client.create_stream(StreamName="lobby")["StreamARN"]
    kvs.client.delete_stream(StreamARN=old)
    new = kvs.client.create_stream(StreamName="lobby")["StreamARN"]
    assert old != new
    assert refused(lambda: kvs.client.delete_stream(StreamARN=old)) == NOT_FOUND
    assert refused(lambda: kvs.client.describe_stream(StreamARN=old)) == NOT_FOUND
    assert refused(lambda: kvs.client.describe_stream(StreamName="lobby", StreamARN=old)) == NOT_FOUND
    assert kvs.client.describe_stream(StreamARN=new)["StreamInfo"]["Status"] == "ACTIVE"


def test_description_shows_what_was_asked_for_and_neither_tags_nor_tier(kvs: Served) -> None:
    options = {"DeviceName": "cam-1", "MediaType": "video/h264,audio/aac", "KmsKeyId": "alias/ours"}
    arn = kvs.created(**options, DataRetentionInHours=24, Tags={"a": "b"})
    info = kvs.described()
    del info["CreationTime"], info["Version"]
    named = {"StreamName": "lobby", "StreamARN": arn, "Status": "ACTIVE", "DataRetentionInHours": 24}
    assert info == options | named


def test_without_options_the_key_is_the_services_own_and_nothing_is_retained(kvs: Served) -> None:
    kvs.created()
    info = kvs.described()
    assert info["KmsKeyId"].endswith(":alias/aws/kinesisvideo")
    assert info["DataRetentionInHours"] == 0


def test_a_data_endpoint_is_given_until_the_stream_is_deleted(kvs: Served) -> None:
    def endpoint(api: str) -> str:
        return str(kvs.client.get_data_endpoint(StreamName="lobby", APIName=api)["DataEndpoint"])

    arn = kvs.created()
    assert re.fullmatch(rf"https://s-\w+\.kinesisvideo\.{REGION}\.amazonaws\.com", endpoint("PUT_MEDIA"))
    assert endpoint("GET_CLIP").startswith("https://b-")
    kvs.client.delete_stream(StreamARN=arn)
    assert refused(lambda: endpoint("PUT_MEDIA")) == NOT_FOUND


# ---- changes and versions ----


def test_each_change_gives_another_version_and_passes_through_updating(kvs: Served) -> None:
    kvs.created()
    versions = [kvs.described()["Version"]]
    changes: list[tuple[Callable[..., Any], dict[str, Any]]] = [
        (kvs.client.update_stream, {"DeviceName": "cam-2", "MediaType": "audio/aac"}),
        (
            kvs.client.update_data_retention,
            {"Operation": "INCREASE_DATA_RETENTION", "DataRetentionChangeInHours": 5},
        ),
        (
            kvs.client.update_stream_storage_configuration,
            {"StreamStorageConfiguration": {"DefaultStorageTier": "WARM"}},
        ),
    ]
    for change, what in changes:
        change(StreamName="lobby", CurrentVersion=versions[-1], **what)
        assert kvs.described()["Status"] == "UPDATING"
        kvs.passes(1)
        assert kvs.described()["Status"] == "ACTIVE"
        versions.append(kvs.described()["Version"])
    assert len(set(versions)) == 4
    info = kvs.described()
    assert (info["DeviceName"], info["MediaType"], info["DataRetentionInHours"]) == ("cam-2", "audio/aac", 5)


def test_a_change_can_be_made_to_show_only_when_it_is_done(kvs: Served) -> None:
    kvs.door.configure(changes_show_when_done=True)
    kvs.created(DataRetentionInHours=1)
    before = kvs.described()
    more = {"Operation": "INCREASE_DATA_RETENTION", "DataRetentionChangeInHours": 2}
    kvs.client.update_data_retention(StreamName="lobby", CurrentVersion=before["Version"], **more)
    under_way = kvs.described()
    assert (under_way["Status"], under_way["DataRetentionInHours"]) == ("UPDATING", 1)
    assert under_way["Version"] != before["Version"]
    kvs.passes(1)
    done = kvs.described()
    assert (done["Status"], done["DataRetentionInHours"]) == ("ACTIVE", 3)
    assert done["Version"] == under_way["Version"]


def test_an_update_leaves_alone_what_it_does_not_name(kvs: Served) -> None:
    kvs.created(DeviceName="cam-1", MediaType="video/h264")
    kvs.client.update_stream(StreamName="lobby", CurrentVersion=kvs.described()["Version"], MediaType="audio/aac")
    assert (kvs.described()["DeviceName"], kvs.described()["MediaType"]) == ("cam-1", "audio/aac")


def test_another_version_than_the_current_is_refused_by_every_change_and_by_deletion(kvs: Served) -> None:
    arn = kvs.created()
    stale = {"StreamARN": arn, "CurrentVersion": "another"}
    more = {"Operation": "INCREASE_DATA_RETENTION", "DataRetentionChangeInHours": 1}
    tier = {"DefaultStorageTier": "WARM"}
    assert refused(lambda: kvs.client.update_stream(**stale, DeviceName="x")) == MISMATCH
    assert refused(lambda: kvs.client.update_data_retention(**stale, **more)) == MISMATCH
    assert (
        refused(lambda: kvs.client.update_stream_storage_configuration(**stale, StreamStorageConfiguration=tier))
        == MISMATCH
    )
    assert refused(lambda: kvs.client.delete_stream(**stale)) == MISMATCH
    kvs.client.delete_stream(StreamARN=arn, CurrentVersion=kvs.described()["Version"])


def test_a_retention_change_repeated_after_a_lost_answer_is_a_mismatch_and_not_a_second_change(kvs: Served) -> None:
    kvs.created(DataRetentionInHours=10)
    change = {
        "StreamName": "lobby",
        "CurrentVersion": kvs.described()["Version"],
        "Operation": "DECREASE_DATA_RETENTION",
        "DataRetentionChangeInHours": 4,
    }
    kvs.client.update_data_retention(**change)
    assert refused(lambda: kvs.client.update_data_retention(**change)) == MISMATCH, "while UPDATING"
    kvs.passes(1)
    assert refused(lambda: kvs.client.update_data_retention(**change)) == MISMATCH
    assert kvs.described()["DataRetentionInHours"] == 6


@pytest.mark.parametrize(
    ("start", "operation", "by", "end"),
    [
        (0, "INCREASE", 87_600, 87_600),
        (1, "DECREASE", 1, 0),
        (1, "INCREASE", 87_600, None),
        (1, "DECREASE", 2, None),
    ],
)
def test_retention_is_changed_by_a_difference_and_stays_within_0_and_87600_hours(
    kvs: Served, start: int, operation: str, by: int, end: int | None
) -> None:
    kvs.created(DataRetentionInHours=start)
    own = {"StreamName": "lobby", "CurrentVersion": kvs.described()["Version"]}
    how = {"Operation": f"{operation}_DATA_RETENTION", "DataRetentionChangeInHours": by}
    change = partial(kvs.client.update_data_retention, **own, **how)
    if end is None:
        assert refused(change) == INVALID
    else:
        change()
    assert kvs.described()["DataRetentionInHours"] == (start if end is None else end)


def test_a_stream_is_hot_unless_asked_otherwise_and_the_tier_can_be_changed(kvs: Served) -> None:
    def tier(name: str) -> str:
        answer = kvs.client.describe_stream_storage_configuration(StreamName=name)
        assert answer["StreamARN"] == kvs.described(name)["StreamARN"]
        return str(answer["StreamStorageConfiguration"]["DefaultStorageTier"])

    kvs.created("hot")
    kvs.created("warm", StreamStorageConfiguration={"DefaultStorageTier": "WARM"})
    assert (tier("hot"), tier("warm")) == ("HOT", "WARM")
    version = kvs.described("warm")["Version"]
    kvs.client.update_stream_storage_configuration(
        StreamName="warm", CurrentVersion=version, StreamStorageConfiguration={"DefaultStorageTier": "HOT"}
    )
    assert tier("warm") == "HOT"


# ---- tags ----


def test_tags_are_added_replaced_and_removed(kvs: Served) -> None:
    arn = kvs.created(Tags={"a": "1", "b": "2"})
    kvs.client.tag_stream(StreamARN=arn, Tags={"b": "3", "c": ""})
    assert kvs.tags() == {"a": "1", "b": "3", "c": ""}
    kvs.client.untag_stream(StreamName="lobby", TagKeyList=["a", "never there"])
    assert kvs.tags() == {"b": "3", "c": ""}


def test_a_stream_created_without_tags_can_be_tagged(kvs: Served) -> None:
    kvs.client.create_stream(StreamName="lobby")
    assert kvs.tags() == {}
    kvs.client.tag_stream(StreamName="lobby", Tags={"a": "1"})
    assert kvs.tags() == {"a": "1"}


def test_tagging_does_not_change_the_version(kvs: Served) -> None:
    kvs.created()
    version = kvs.described()["Version"]
    kvs.client.tag_stream(StreamName="lobby", Tags={"a": "1"})
    assert kvs.described()["Version"] == version


def test_tags_come_in_pages_of_a_settable_size(kvs: Served) -> None:
    tags = {f"key-{number:02}": str(number) for number in range(7)}
    kvs.created(Tags=tags)
    assert "NextToken" not in kvs.client.list_tags_for_stream(StreamName="lobby")
    kvs.door.configure(tags_per_page=3)
    first = kvs.client.list_tags_for_stream(StreamName="lobby")
    assert list(first["Tags"]) == ["key-00", "key-01", "key-02"]
    assert re.fullmatch("[a-zA-Z0-9+/=]+", first["NextToken"])
    assert kvs.tags() == tags
    assert len(kvs.door.calls("ListTagsForStream")) == 2 + 3


def test_more_than_50_tags_in_all_are_too_many(kvs: Served) -> None:
    many = {f"key-{number}": "" for number in range(51)}
    assert refused(lambda: kvs.client.create_stream(StreamName="lobby", Tags=many)) == TOO_MANY_TAGS
    many.popitem()
    kvs.created(Tags=many)
    assert refused(lambda: kvs.client.tag_stream(StreamName="lobby", Tags={"one more": ""})) == TOO_MANY_TAGS
    kvs.client.tag_stream(StreamName="lobby", Tags={"key-0": "replaced"})
    assert kvs.tags() == many | {"key-0": "replaced"}


def test_letters_numbers_and_spaces_of_any_script_are_good_in_tags(kvs: Served) -> None:
    tags = {"Straße №".replace("№", "٣"): "東京\u00a0Ⅷ", "a_.:/=+-@ ": "-"}
    kvs.created(Tags=tags)
    assert kvs.tags() == tags


# ---- lists ----


def test_streams_are_listed_in_pages_and_by_the_beginning_of_their_name(kvs: Served) -> None:
    for name in ("cam-b", "door", "cam-c", "cam-a"):
        kvs.created(name)
    pages = kvs.client.get_paginator("list_streams").paginate(
        StreamNameCondition={"ComparisonOperator": "BEGINS_WITH", "ComparisonValue": "cam-"},
        PaginationConfig={"PageSize": 2},
    )
    assert [[info["StreamName"] for info in page["StreamInfoList"]] for page in pages] == [
        ["cam-a", "cam-b"],
        ["cam-c"],
    ]
    everything = kvs.client.list_streams()
    assert len(everything["StreamInfoList"]) == 4
    assert "NextToken" not in everything


def test_a_page_may_hold_fewer_streams_than_were_asked_for(kvs: Served) -> None:
    for name in ("a", "b", "c"):
        kvs.created(name)
    kvs.door.configure(streams_per_page=2)
    first = kvs.client.list_streams(MaxResults=3)
    rest = kvs.client.list_streams(MaxResults=3, NextToken=first["NextToken"])
    assert [[info["StreamName"] for info in page["StreamInfoList"]] for page in (first, rest)] == [["a", "b"], ["c"]]
    assert "NextToken" not in rest


def test_a_page_that_ends_with_the_last_stream_gives_no_token(kvs: Served) -> None:
    kvs.created("a")
    kvs.created("b")
    assert "NextToken" not in kvs.client.list_streams(MaxResults=2)


def test_a_stream_deleted_between_two_pages_makes_none_of_the_others_missing(kvs: Served) -> None:
    arn, *_ = [kvs.created(name) for name in ("a", "b", "c")]
    token = kvs.client.list_streams(MaxResults=1)["NextToken"]
    kvs.client.delete_stream(StreamARN=arn)
    kvs.passes(1)
    rest = kvs.client.list_streams(NextToken=token)["StreamInfoList"]
    assert [info["StreamName"] for info in rest] == ["b", "c"]


# ---- what is refused ----

GOOD_ARN = f"arn:aws:kinesisvideo:{REGION}:123456789012:stream/lobby/1"


@pytest.mark.parametrize(
    ("operation", "request_"),
    [
        ("create_stream", {}),
        ("create_stream", {"StreamName": ""}),
        ("create_stream", {"StreamName": 7}),
        ("create_stream", {"StreamName": "two words"}),
        ("create_stream", {"StreamName": "line\n"}),
        ("create_stream", {"StreamName": "café"}),
        ("create_stream", {"StreamName": "x" * 257}),
        ("create_stream", {"StreamName": "x", "DeviceName": "a/b"}),
        ("create_stream", {"StreamName": "x", "DeviceName": "d" * 129}),
        ("create_stream", {"StreamName": "x", "MediaType": "video"}),
        ("create_stream", {"StreamName": "x", "MediaType": "video/h264, audio/aac"}),
        ("create_stream", {"StreamName": "x", "MediaType": "vidéo/h264"}),
        ("create_stream", {"StreamName": "x", "MediaType": "v/" + "x" * 127}),
        ("create_stream", {"StreamName": "x", "KmsKeyId": ""}),
        ("create_stream", {"StreamName": "x", "KmsKeyId": "k" * 2049}),
        ("create_stream", {"StreamName": "x", "DataRetentionInHours": -1}),
        ("create_stream", {"StreamName": "x", "DataRetentionInHours": 87_601}),
        ("create_stream", {"StreamName": "x", "DataRetentionInHours": True}),
        ("create_stream", {"StreamName": "x", "Tags": {}}),
        ("create_stream", {"StreamName": "x", "Tags": {"": "v"}}),
        ("create_stream", {"StreamName": "x", "Tags": {"k" * 129: "v"}}),
        ("create_stream", {"StreamName": "x", "Tags": {"k": "v" * 257}}),
        ("create_stream", {"StreamName": "x", "Tags": {"k": "a&b"}}),
        ("create_stream", {"StreamName": "x", "Tags": {"k": "☃"}}),
        ("create_stream", {"StreamName": "x", "Tags": {"k": "a\u0301"}}),
        ("create_stream", {"StreamName": "x", "Tags": {"k": "line\n"}}),
        ("create_stream", {"StreamName": "x", "StreamStorageConfiguration": {}}),
        ("create_stream", {"StreamName": "x", "StreamStorageConfiguration": {"DefaultStorageTier": "COLD"}}),
        ("describe_stream", {}),
        ("describe_stream", {"StreamARN": "lobby"}),
        ("describe_stream", {"StreamARN": GOOD_ARN + "x"}),
        ("describe_stream", {"StreamARN": GOOD_ARN.replace("lobby", "x" * 1000)}),
        ("delete_stream", {}),
        ("delete_stream", {"StreamARN": GOOD_ARN, "CurrentVersion": "a-b"}),
        ("delete_stream", {"StreamARN": GOOD_ARN, "CurrentVersion": "v" * 65}),
        ("update_stream", {"StreamName": "lobby"}),
        ("update_stream", {"CurrentVersion": "v"}),
        ("update_data_retention", {"StreamName": "lobby", "CurrentVersion": "v"}),
        (
            "update_data_retention",
            {"StreamName": "lobby", "CurrentVersion": "v", "Operation": "SET", "DataRetentionChangeInHours": 1},
        ),
        (
            "update_data_retention",
            {
                "StreamName": "lobby",
                "CurrentVersion": "v",
                "Operation": "INCREASE_DATA_RETENTION",
                "DataRetentionChangeInHours": 0,
            },
        ),
        ("list_streams", {"MaxResults": 0}),
        ("list_streams", {"MaxResults": 10_001}),
        ("list_streams", {"NextToken": "?"}),
        ("list_streams", {"NextToken": "notours"}),
        ("list_streams", {"StreamNameCondition": {"ComparisonOperator": "ENDS_WITH", "ComparisonValue": "x"}}),
        ("get_data_endpoint", {"StreamName": "lobby"}),
        ("get_data_endpoint", {"StreamName": "lobby", "APIName": "PUT"}),
        ("tag_stream", {"StreamName": "lobby", "Tags": {}}),
        ("untag_stream", {"StreamName": "lobby", "TagKeyList": []}),
        ("untag_stream", {"StreamName": "lobby", "TagKeyList": ["k"] * 51}),
        ("untag_stream", {"StreamName": "lobby", "TagKeyList": ["a&b"]}),
        ("list_tags_for_stream", {}),
        ("describe_stream_storage_configuration", {}),
        ("update_stream_storage_configuration", {"StreamName": "lobby", "CurrentVersion": "v"}),
    ],
)
def test_what_the_model_does_not_allow_is_an_invalid_argument(
    kvs: Served, operation: str, request_: dict[str, Any]
) -> None:
    kvs.created()
    assert refused(lambda: getattr(kvs.client, operation)(**request_)) == INVALID
    assert len(kvs.door.resources()) == 1


@pytest.mark.parametrize(
    "options",
    [
        {"StreamName": "x" * 256, "DeviceName": "d" * 128, "DataRetentionInHours": 87_600},
        {"StreamName": "a.B_9-", "MediaType": "video/h264,audio/x-m4a+x", "KmsKeyId": "schlüssel"},
        {"StreamName": "x", "Tags": {"k" * 128: "v" * 256}, "DeviceName": None},
    ],
)
def test_the_limits_themselves_are_allowed(kvs: Served, options: dict[str, Any]) -> None:
    kvs.created(options.pop("StreamName"), **options)


def test_everything_wrong_with_a_request_is_said_at_once(kvs: Served) -> None:
    with pytest.raises(ClientError) as refusal:
        kvs.client.create_stream(StreamName="a b", MediaType="video", Tags={"a&": "b"})
    message = str(refusal.value)
    assert "3 validation errors detected" in message
    assert all(f"'{name}'" in message for name in ("StreamName", "MediaType", "Tags.key"))


def test_a_body_that_is_not_json_is_an_invalid_argument(kvs: Served) -> None:
    answer = httpx.post(f"{kvs.url}/createStream", content="{", headers={"Authorization": SIGNED})
    assert answer.status_code == 400
    assert answer.headers["x-amzn-ErrorType"] == "InvalidArgumentException"


def test_unknown_streams_are_not_found_by_any_operation(kvs: Served) -> None:
    own = {"StreamName": "nowhere"}
    change = own | {"CurrentVersion": "v"}
    more = {"Operation": "INCREASE_DATA_RETENTION", "DataRetentionChangeInHours": 1}
    tier = {"DefaultStorageTier": "WARM"}
    calls: list[Callable[[], Any]] = [
        lambda: kvs.client.describe_stream(**own),
        lambda: kvs.client.get_data_endpoint(**own, APIName="PUT_MEDIA"),
        lambda: kvs.client.tag_stream(**own, Tags={"a": "b"}),
        lambda: kvs.client.untag_stream(**own, TagKeyList=["a"]),
        lambda: kvs.client.list_tags_for_stream(**own),
        lambda: kvs.client.describe_stream_storage_configuration(**own),
        lambda: kvs.client.update_stream(**change),
        lambda: kvs.client.update_data_retention(**change, **more),
        lambda: kvs.client.update_stream_storage_configuration(**change, StreamStorageConfiguration=tier),
        lambda: kvs.client.delete_stream(StreamARN=GOOD_ARN),
    ]
    assert [refused(call) for call in calls] == [NOT_FOUND] * len(calls)


def test_the_account_has_a_settable_limit_of_streams_in_each_region(kvs: Served) -> None:
    kvs.door.configure(stream_limit=1)
    arn = kvs.created("first")
    second = partial(kvs.client.create_stream, StreamName="second")
    assert refused(second) == ("AccountStreamLimitExceededException", 400)
    assert refused(lambda: kvs.client.create_stream(StreamName="first")) == IN_USE
    with kvs.called_by(region="us-east-1") as elsewhere:
        elsewhere.create_stream(StreamName="second")
    kvs.client.delete_stream(StreamARN=arn)
    kvs.passes(1)
    second()


def test_of_each_second_s_creates_only_so_many_are_carried_out(kvs: Served) -> None:
    kvs.door.configure(creates_per_second=2)
    for name in ("first", "second"):
        kvs.client.create_stream(StreamName=name)
    third = partial(kvs.client.create_stream, StreamName="third")
    assert refused(third) == ("ClientLimitExceededException", 400)
    kvs.passes(1)
    third()


def test_a_refusal_is_named_in_a_header_and_explained_in_the_body(kvs: Served) -> None:
    answer = httpx.post(f"{kvs.url}/describeStream", json={"StreamName": "nowhere"}, headers={"Authorization": SIGNED})
    assert answer.status_code == 404
    assert answer.headers["x-amzn-ErrorType"] == "ResourceNotFoundException"
    assert answer.json() == {"Message": "The requested stream is not found or not active."}


# ---- on demand ----


def documented(operation: str) -> list[tuple[str, int]]:
    model = botocore.session.get_session().get_service_model("kinesisvideo")
    shapes = model.operation_model(operation).error_shapes
    return [(shape.name, shape.metadata["error"]["httpStatusCode"]) for shape in shapes]


def test_every_documented_refusal_of_a_create_can_be_had_on_demand(kvs: Served) -> None:
    assert len(documented("CreateStream")) == 7
    for name, status in documented("CreateStream"):
        made = kvs.control("POST", "kinesis-video/raise_exception", exception=name, operation="CreateStream")
        assert made.status_code == 200
        assert refused(lambda: kvs.client.create_stream(StreamName="lobby")) == (name, status)
    assert kvs.door.resources() == []
    assert kvs.created()


@pytest.mark.parametrize("exception", ["NotAuthorizedException", "AccessDeniedException"])
def test_missing_rights_are_a_401(kvs: Served, exception: str) -> None:
    kvs.control("POST", "kinesis-video/raise_exception", exception=exception, operation="DescribeStream", times=2)
    assert refused(kvs.described) == (exception, 401)
    assert refused(kvs.described) == (exception, 401)
    assert refused(kvs.described) == NOT_FOUND


def test_an_exception_that_is_not_documented_cannot_be_raised(kvs: Served) -> None:
    answer = kvs.control("POST", "kinesis-video/raise_exception", exception="Oops")
    assert answer.status_code == 400
    assert "InvalidDeviceException" in answer.json()["error"]


def test_a_create_whose_answer_was_lost_is_in_use_when_botocore_repeats_it(kvs: Served) -> None:
    kvs.door.fault("lose_answer", "CreateStream")
    keys = {"aws_access_key_id": "any", "aws_secret_access_key": "any"}
    with closing(session().client("kinesisvideo", region_name=REGION, endpoint_url=kvs.url, **keys)) as client:
        assert refused(lambda: client.create_stream(StreamName="lobby")) == IN_USE
    lost, repeated = kvs.door.calls("CreateStream")
    assert (lost.fault, lost.status, lost.carried_out) == ("lose_answer", None, True)
    assert (repeated.fault, repeated.status) == (None, 400)
    assert len(kvs.door.resources()) == 1


def test_settings_of_the_wrong_kind_are_refused(kvs: Served) -> None:
    for wrong in ({"creating_seconds": -1}, {"tags_per_page": 0}, {"speed": 1}):
        assert kvs.control("POST", "kinesis-video/settings", **wrong).status_code == 400


# ---- log, resources, accounts ----


def test_calls_are_logged_under_the_apis_names(kvs: Served) -> None:
    kvs.created(Tags={"a": "b"})
    kvs.tags()
    refused(lambda: kvs.described("nowhere"))
    log = kvs.control("GET", "kinesis-video/calls").json()
    assert [(call["operation"], call["status"]) for call in log] == [
        ("CreateStream", 200),
        ("ListTagsForStream", 200),
        ("DescribeStream", 404),
    ]
    assert log[0]["body"] == {"StreamName": "lobby", "Tags": {"a": "b"}}
    assert f"/{REGION}/kinesisvideo/" in log[0]["headers"]["authorization"]


def test_the_resources_are_the_streams_that_are_not_being_deleted(kvs: Served) -> None:
    arn = kvs.created(Tags={"a": "b"})
    kvs.created("door")
    kvs.client.delete_stream(StreamARN=kvs.described("door")["StreamARN"])
    (alive,) = kvs.control("GET", "kinesis-video/resources").json()
    assert (alive["StreamARN"], alive["Status"], alive["Tags"]) == (arn, "ACTIVE", {"a": "b"})
    assert (alive["Region"], alive["Account"], alive["DefaultStorageTier"]) == (REGION, arn.split(":")[4], "HOT")


def test_a_reset_forgets_every_stream(kvs: Served) -> None:
    kvs.created()
    kvs.control("POST", "kinesis-video/reset")
    assert kvs.door.resources() == []
    assert refused(kvs.described) == NOT_FOUND
    kvs.created()


def test_any_credentials_are_good_and_regions_are_apart(kvs: Served) -> None:
    arn = kvs.created()
    with kvs.called_by(aws_access_key_id="AKIAIOSFODNN7EXAMPLE", aws_session_token="any") as other_key:
        assert other_key.describe_stream(StreamName="lobby")["StreamInfo"]["StreamARN"] == arn
    with kvs.called_by(region="us-west-2") as elsewhere:
        assert elsewhere.list_streams()["StreamInfoList"] == []
        assert ":us-west-2:" in elsewhere.create_stream(StreamName="lobby")["StreamARN"]
    assert ":123456789012:" in arn, "moto's default account"


def test_keys_of_another_account_reach_that_accounts_streams(kvs: Served) -> None:
    kvs.created()
    with kvs.called_by("sts") as sts:
        role = sts.assume_role(RoleArn="arn:aws:iam::222222222222:role/camera", RoleSessionName="test")
    keys = {
        "aws_access_key_id": role["Credentials"]["AccessKeyId"],
        "aws_secret_access_key": role["Credentials"]["SecretAccessKey"],
        "aws_session_token": role["Credentials"]["SessionToken"],
    }
    with kvs.called_by(**keys) as other:
        assert other.list_streams()["StreamInfoList"] == []
        assert ":222222222222:stream/lobby/" in other.create_stream(StreamName="lobby")["StreamARN"]
    assert {stream["Account"] for stream in kvs.door.resources()} == {"123456789012", "222222222222"}


def test_below_a_prefix_and_beside_other_doors_it_runs_by_their_clock() -> None:
    clock = Clock()
    door = kinesis_video(clock)
    with serve(side_by_side([door])) as url:
        below = Served(door, f"{url}/kinesis-video", None)
        with below.called_by() as below.client:
            below.client.create_stream(StreamName="lobby")
            clock.advance(1)
            assert below.described()["Status"] == "ACTIVE"
    assert door.violations == []


# ---- the process ----


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_process_says_one_line_serves_and_ends_on_a_signal(number: signal.Signals) -> None:
    command = [sys.executable, "-m", "local.kinesis_video", "--port", "0"]
    paths = os.pathsep.join(path for path in sys.path if path)
    with subprocess.Popen(  # noqa: S603  # our own module
        command, env=os.environ | {"PYTHONPATH": paths}, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        try:
            assert process.stdout is not None
            ready = process.stdout.readline()
            found = re.fullmatch(r"kinesis-video ready at (http://127\.0\.0\.1:\d+)\n", ready)
            assert found, ready
            answer = httpx.post(f"{found[1]}/listStreams", json={}, headers={"Authorization": SIGNED})
            assert answer.json() == {"StreamInfoList": []}
            process.send_signal(number)
            said, complained = process.communicate(timeout=10)
        finally:
            process.kill()
    assert (process.returncode, said, complained) == (0, "", "")
