"""Kinesis Video Streams as a provider, against moto extended, over real HTTP."""

import dataclasses
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cache
from itertools import pairwise
from typing import Any, ClassVar

import pytest
from botocore import exceptions as boto
from botocore.loaders import Loader
from pydantic import TypeAdapter, ValidationError

from headwater import aws
from headwater.deadline import Deadline
from headwater.errors import (
    CapabilityNotSupported,
    Effect,
    NameTaken,
    ProviderConflict,
    ProviderError,
    ProviderNotEntitled,
    ProviderOutcomeUnknown,
    ProviderQuotaExceeded,
    ProviderRateLimited,
    ProviderRejected,
    ProviderUnauthorized,
    ProviderUnavailable,
)
from headwater.provider import Handle, Order, Resource, Search, Verb
from headwater.streams import Access, State
from local.door import Door, serve
from local.kinesis_video.models import Settings
from local.kinesis_video.server import kinesis_video
from provision_kinesis_video import search, wire
from provision_kinesis_video.calls import kinesis_video_client
from provision_kinesis_video.options import KinesisVideoOptions
from provision_kinesis_video.provider import KinesisVideo
from tests.providers.provider_contract import (
    ALWAYS,
    BRIEF,
    OURS,
    PATIENT,
    Change,
    ProviderContract,
    Refusal,
    an_order,
    differing,
    failure_of,
    handle,
    lasting_at_most,
    strike,
)

REQUEST_ID = "5a9b1c6e-0000-4000-8000-000000000001"

FULLEST = {
    "stream_name": "lobby_camera-1.main",
    "device_name": "camera.7",
    "media_type": "video/h264,audio/aac",
    "kms_key_id": "alias/lobby",
    "data_retention_in_hours": 24,
    "tags": {"Straße / 通り": "5 a=b@c", "empty": ""},
    "stream_storage_configuration": {"default_storage_tier": "WARM"},
}


def says(exception: str, status: int, error: type[ProviderError], effect: Effect = Effect.NONE) -> Refusal:
    """An exception as the service writes it: its name in a header."""
    headers = {"x-amzn-ErrorType": exception, "x-amzn-RequestId": REQUEST_ID}
    return Refusal(status, error, {"Message": f"{exception}."}, headers, exception, REQUEST_ID, effect)


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[Door, str]]:
    door = kinesis_video()
    with serve(door) as url:
        yield door, url


@pytest.fixture
def door(served: tuple[Door, str]) -> Iterator[Door]:
    door, _ = served
    door.reset()
    door.configure(**dataclasses.asdict(Settings()))
    yield door
    assert door.violations == []


@pytest.fixture
def url(served: tuple[Door, str], door: Door) -> str:
    """With a door that is as new."""
    return served[1]


@pytest.fixture
def provider_at(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], KinesisVideo]]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "any")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "any")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    clients = []

    def at(url: str) -> KinesisVideo:
        clients.append(kinesis_video_client(url))
        return KinesisVideo(clients[-1])

    yield at
    for client in clients:
        client.close()


@pytest.fixture
def provider(provider_at: Callable[[str], KinesisVideo], url: str) -> KinesisVideo:
    return provider_at(url)


@pytest.fixture
def options() -> KinesisVideoOptions:
    return KinesisVideoOptions()


@pytest.fixture
def private_options() -> None:
    """No option is a secret."""


@pytest.fixture
def secret() -> None:
    """The function's role is all there is."""


@pytest.fixture
def order(provider: KinesisVideo, options: KinesisVideoOptions) -> Order[Any]:
    return an_order(provider, options)


@pytest.fixture
def console(door: Door, url: str, provider_at: Callable[[str], KinesisVideo]) -> Iterator[Any]:
    """Somebody else's client."""
    client = kinesis_video_client(url)
    yield client
    client.close()


@pytest.fixture
def somebody_else_s(console: Any, door: Door) -> str:
    """The ARN of a stream that is ready."""
    arn: str = console.create_stream(StreamName="lobby", DeviceName="cam-1", Tags={"site": "north"})["StreamARN"]
    door.clock.advance(1)
    return arn


class TestKinesisVideo(ProviderContract):
    creates, reads, removes = "CreateStream", "DescribeStream", "DeleteStream"
    findable = marks = tells_settings = adopts = True
    hands_out_secrets = False
    changing: ClassVar = {
        "/options/device_name": Change("UpdateStream", {"device_name": "cam-2"}),
        "/options/media_type": Change("UpdateStream", {"media_type": "video/h264"}),
        "/options/data_retention_in_hours": Change("UpdateDataRetention", {"data_retention_in_hours": 24}),
        "/options/tags": Change("TagStream", {"tags": {"site": "north"}}),
        "/options/tags/site": Change("TagStream", {"tags": {"site": "north"}}),
        "/options/stream_storage_configuration/default_storage_tier": Change(
            "UpdateStreamStorageConfiguration", {"stream_storage_configuration": {"default_storage_tier": "WARM"}}
        ),
    }
    settling_seconds = 1.0
    wait_header = None
    says_how_long_to_wait = False
    takes_secret = False
    # Without ResourceInUseException, which is judged by the stream that holds the name: tests of their own.
    refusals = (
        says("AccountStreamLimitExceededException", 400, ProviderQuotaExceeded),
        says("DeviceStreamLimitExceededException", 400, ProviderQuotaExceeded),
        says("InvalidDeviceException", 400, ProviderRejected),
        says("InvalidArgumentException", 400, ProviderRejected),
        says("ClientLimitExceededException", 400, ProviderRateLimited),
        says("TagsPerResourceExceededLimitException", 400, ProviderRejected),
        says("NotAuthorizedException", 401, ProviderUnauthorized),
        says("AccessDeniedException", 401, ProviderUnauthorized),
        # What any AWS service may say: "Common Errors" in the developer guide.
        says("AccessDeniedException", 400, ProviderUnauthorized),
        says("NotAuthorized", 400, ProviderUnauthorized),
        says("IncompleteSignature", 400, ProviderUnauthorized),
        says("InvalidClientTokenId", 403, ProviderUnauthorized),
        says("RequestExpired", 400, ProviderUnauthorized),
        says("SomethingNewAboutKeys", 403, ProviderUnauthorized),
        says("OptInRequired", 403, ProviderNotEntitled),
        says("ThrottlingException", 400, ProviderRateLimited),
        says("ValidationError", 400, ProviderRejected),
        says("InternalFailure", 500, ProviderUnavailable, Effect.UNKNOWN),
        says("ServiceUnavailable", 503, ProviderUnavailable, Effect.UNKNOWN),
        Refusal(502, ProviderUnavailable, "<html>http://somewhere.internal</html>", effect=Effect.UNKNOWN),
        Refusal(400, ProviderRejected, "http://somewhere.internal says no"),
        Refusal(429, ProviderRateLimited),
        Refusal(301, ProviderUnavailable, effect=Effect.UNKNOWN),
    )

    @staticmethod
    def rejection(text: str) -> Refusal:
        return replace(says("InvalidArgumentException", 400, ProviderRejected), body={"Message": text})


# ---- what is asked of the service ----


def test_the_emptiest_order_names_and_tags_the_stream_and_says_no_more(
    provider: KinesisVideo, door: Door, order: Order[Any]
) -> None:
    created = provider.create(order, Deadline(PATIENT))
    name = f"headwater-{order.id}"
    [call] = door.calls()
    assert (call.operation, call.body) == (
        "CreateStream",
        {"StreamName": name, "Tags": {"headwater:stream-id": order.id, "headwater:deployment": OURS}},
    )
    assert created == Resource(
        created.ref, State.PROVISIONING, "CREATING", notes={"arn": created.ref, "stream_name": name}
    )
    assert created.ref.startswith(f"arn:aws:kinesisvideo:eu-central-1:123456789012:stream/{name}/")


def test_the_fullest_order_says_everything(provider: KinesisVideo, door: Door) -> None:
    order = an_order(provider, KinesisVideoOptions.model_validate(FULLEST))
    provider.create(order, Deadline(PATIENT))
    [call] = door.calls()
    assert call.body == {
        "StreamName": "lobby_camera-1.main",
        "DeviceName": "camera.7",
        "MediaType": "video/h264,audio/aac",
        "KmsKeyId": "alias/lobby",
        "DataRetentionInHours": 24,
        "Tags": {
            "Straße / 通り": "5 a=b@c",
            "empty": "",
            "headwater:stream-id": order.id,
            "headwater:deployment": OURS,
        },
        "StreamStorageConfiguration": {"DefaultStorageTier": "WARM"},
    }
    [stream] = door.resources()
    assert stream["DefaultStorageTier"] == "WARM"


def test_zero_hours_are_said(provider: KinesisVideo, door: Door) -> None:
    provider.create(an_order(provider, KinesisVideoOptions(data_retention_in_hours=0)), Deadline(PATIENT))
    assert door.calls()[0].body["DataRetentionInHours"] == 0


def test_as_many_tags_as_are_allowed_are_accepted(provider: KinesisVideo, door: Door) -> None:
    options = KinesisVideoOptions(tags={f"key{number}": "value" for number in range(48)})
    provider.create(an_order(provider, options), Deadline(PATIENT))
    assert len(door.calls()[0].body["Tags"]) == 50


def test_the_service_s_own_limit_of_tags_is_a_fault_in_the_tags(
    provider: KinesisVideo, door: Door, order: Order[Any]
) -> None:
    strike(door, "CreateStream", says("TagsPerResourceExceededLimitException", 400, ProviderRejected))
    error = failure_of(lambda: provider.create(order, Deadline(BRIEF)))
    assert [fault.pointer for fault in error.faults] == ["/options/tags"]


# ---- what is told of a stream ----


def test_a_stream_that_is_ready_tells_its_endpoints(provider: KinesisVideo, door: Door, order: Order[Any]) -> None:
    created = provider.create(order, Deadline(PATIENT))
    creating = provider.read(handle(order, created), Deadline(PATIENT))
    assert creating == created
    assert door.calls("GetDataEndpoint") == []
    door.clock.advance(1)
    ready = provider.read(handle(order, created), Deadline(PATIENT))
    assert ready
    assert (ready.state, ready.provider_status, ready.ref) == (State.READY, "ACTIVE", created.ref)
    assert [call.body for call in door.calls("GetDataEndpoint")] == [
        {"StreamARN": created.ref, "APIName": "PUT_MEDIA"},
        {"StreamARN": created.ref, "APIName": "GET_MEDIA"},
    ]
    endpoints = [call.response["DataEndpoint"] for call in door.calls("GetDataEndpoint")]
    assert ready.ingest == (Access(protocol="kinesis-video", url=endpoints[0]),)
    assert ready.playback == (Access(protocol="kinesis-video", url=endpoints[1]),)


def test_endpoints_that_are_noted_are_not_asked_for_again(
    provider: KinesisVideo, door: Door, order: Order[Any]
) -> None:
    created = provider.create(order, Deadline(PATIENT))
    door.clock.advance(1)
    first = provider.read(handle(order, created), Deadline(PATIENT))
    assert first
    door.clear_calls()
    assert provider.read(handle(order, first), Deadline(PATIENT)) == first
    assert door.calls("DescribeStream")
    assert door.calls("GetDataEndpoint") == []


@pytest.mark.parametrize(
    ("status", "state", "reason"),
    [
        ("CREATING", State.PROVISIONING, None),
        ("ACTIVE", State.READY, None),
        ("UPDATING", State.READY, None),
        ("DELETING", State.ENDED, "deleting"),
        ("SOMETHING_NEW", State.READY, None),
    ],
)
def test_each_status_has_its_state(
    provider: KinesisVideo, door: Door, order: Order[Any], status: str, state: State, reason: str | None
) -> None:
    created = provider.create(order, Deadline(PATIENT))
    told = {"StreamARN": created.ref, "StreamName": "lobby", "Status": status}
    door.fault("status", "DescribeStream", status=200, body={"StreamInfo": told})
    read = provider.read(handle(order, created), Deadline(PATIENT))
    assert read
    assert (read.state, read.provider_status, read.state_reason) == (state, status, reason)
    assert bool(read.ingest) == bool(read.playback) == (state is State.READY)


@pytest.mark.parametrize(
    "body",
    [
        {},
        [],
        "[]",
        {"StreamInfo": {}},
        {"StreamInfo": "lobby"},
        {"StreamInfo": ["lobby"]},
        {"StreamInfo": {"StreamARN": 1, "StreamName": None, "Status": []}},
        {"StreamInfo": {"CreationTime": "yesterday", "DataRetentionInHours": "many"}},
    ],
)
def test_a_description_that_tells_too_little_is_the_service_s_failure(
    provider: KinesisVideo, door: Door, order: Order[Any], body: Any
) -> None:
    created = provider.create(order, Deadline(PATIENT))
    door.fault("status", "DescribeStream", status=200, body=body, times=ALWAYS)
    error = failure_of(lambda: provider.read(handle(order, created), Deadline(BRIEF)))
    assert type(error) is ProviderUnavailable


@pytest.mark.parametrize("body", [{}, {"DataEndpoint": ""}, {"DataEndpoint": 1}])
def test_a_missing_endpoint_is_the_service_s_failure(
    provider: KinesisVideo, door: Door, order: Order[Any], body: Any
) -> None:
    created = provider.create(order, Deadline(PATIENT))
    door.clock.advance(1)
    door.fault("status", "GetDataEndpoint", status=200, body=body, times=ALWAYS)
    error = failure_of(lambda: provider.read(handle(order, created), Deadline(BRIEF)))
    assert type(error) is ProviderUnavailable


def test_a_stream_that_goes_while_it_is_read_reads_as_it_then_is(
    provider: KinesisVideo, door: Door, order: Order[Any]
) -> None:
    created = provider.create(order, Deadline(PATIENT))
    door.clock.advance(1)
    strike(door, "GetDataEndpoint", says("ResourceNotFoundException", 404, ProviderRejected), times=1)
    door.fault("status", "DescribeStream", status=404, headers={"x-amzn-ErrorType": wire.NOT_FOUND}, after=1)
    assert provider.read(handle(order, created), Deadline(PATIENT)) is None


def test_a_stream_made_anew_under_the_name_is_another(provider: KinesisVideo, door: Door, order: Order[Any]) -> None:
    first = provider.create(order, Deadline(PATIENT))
    door.clock.advance(1)
    provider.remove(handle(order, first), Deadline(PATIENT))
    door.clock.advance(1)
    second = provider.create(order, Deadline(PATIENT))
    door.clock.advance(1)
    assert second.ref != first.ref
    assert provider.read(handle(order, first), Deadline(PATIENT)) is None
    provider.remove(handle(order, first), Deadline(PATIENT))
    assert [stream["StreamARN"] for stream in door.resources()] == [second.ref]


def test_a_description_of_another_stream_than_was_asked_for_is_not_taken_for_it(
    provider: KinesisVideo, door: Door, order: Order[Any]
) -> None:
    provider.create(order, Deadline(PATIENT))
    [created] = door.resources()
    told = {name: created[name] for name in ("StreamARN", "StreamName", "Status")}
    door.fault("status", "DescribeStream", status=200, body={"StreamInfo": told})
    assert provider.read(Handle(order.id, created["StreamARN"] + "0", {}), Deadline(PATIENT)) is None


# ---- whose stream it is ----


def test_a_create_whose_answer_was_lost_is_adopted(provider: KinesisVideo, door: Door, order: Order[Any]) -> None:
    door.fault("lose_answer", "CreateStream")
    adopted = provider.create(order, Deadline(PATIENT))
    assert [call.operation for call in door.calls()] == [
        "CreateStream",
        "CreateStream",
        "DescribeStream",
        "ListTagsForStream",
    ]
    assert (adopted.state, adopted.provider_status) == (State.PROVISIONING, "CREATING")
    assert adopted.notes == {"arn": adopted.ref, "stream_name": f"headwater-{order.id}"}


def test_our_tag_is_found_on_whatever_page(provider: KinesisVideo, door: Door) -> None:
    door.configure(tags_per_page=1)
    order = an_order(provider, KinesisVideoOptions(tags={"a": "1", "b": "2", "z": "3"}))
    created = provider.create(order, Deadline(PATIENT))
    assert provider.create(order, Deadline(PATIENT)).ref == created.ref
    assert len(door.calls("ListTagsForStream")) == 4
    [listed] = provider.marked(OURS, Deadline(PATIENT))
    assert (listed.ref, listed.stream_id) == (created.ref, order.id)


def test_a_stream_of_the_same_tenant_but_another_order_is_not_adopted(provider: KinesisVideo, door: Door) -> None:
    options = KinesisVideoOptions(stream_name="lobby")
    provider.create(an_order(provider, options), Deadline(PATIENT))
    other = an_order(provider, options)
    error = failure_of(lambda: provider.create(other, Deadline(PATIENT)))
    told = error.upstream
    assert type(error) is NameTaken
    assert (told.status, told.code) == (400, "ResourceInUseException")
    assert told.request_id
    assert provider.find(other, Deadline(PATIENT)) == Search()
    assert len(door.calls("CreateStream")) == 2


@pytest.mark.parametrize("tags", [{}, {f"key{number}": "" for number in range(50)}], ids=["untagged", "tagged"])
def test_a_stream_that_others_made_is_not_adopted(
    provider: KinesisVideo, door: Door, url: str, tags: dict[str, str]
) -> None:
    client = kinesis_video_client(url)
    client.create_stream(StreamName="lobby")
    if tags:
        client.tag_stream(StreamName="lobby", Tags=tags)
    client.close()
    order = an_order(provider, KinesisVideoOptions(stream_name="lobby"))
    assert provider.find(order, Deadline(PATIENT)) == Search()
    assert provider.marked(OURS, Deadline(PATIENT)) == []
    assert type(failure_of(lambda: provider.create(order, Deadline(PATIENT)))) is NameTaken


def test_a_stream_is_not_said_to_be_another_s_on_an_answer_that_is_garbage(
    provider: KinesisVideo, door: Door, order: Order[Any]
) -> None:
    created = provider.create(order, Deadline(PATIENT))
    door.fault("garbage", "ListTagsForStream")
    assert provider.create(order, Deadline(PATIENT)).ref == created.ref


def test_an_answer_without_tags_is_of_a_stream_without_tags(
    provider: KinesisVideo, door: Door, order: Order[Any]
) -> None:
    provider.create(order, Deadline(PATIENT))
    door.fault("status", "ListTagsForStream", status=200, body={})
    assert provider.find(order, Deadline(PATIENT)) == Search()


def test_a_name_that_is_being_freed_is_to_be_waited_for(provider: KinesisVideo, door: Door, order: Order[Any]) -> None:
    created = provider.create(order, Deadline(PATIENT))
    door.clock.advance(1)
    provider.remove(handle(order, created), Deadline(PATIENT))
    assert provider.find(order, Deadline(PATIENT)) == Search()
    error = failure_of(lambda: provider.create(order, Deadline(BRIEF)))
    assert type(error) is ProviderUnavailable
    assert (error.retry_after, error.effect) == (2, Effect.NONE)


def test_a_name_that_is_free_again_is_taken(provider: KinesisVideo, door: Door, order: Order[Any]) -> None:
    strike(door, "CreateStream", says("ResourceInUseException", 400, ProviderConflict), times=1)
    assert provider.create(order, Deadline(PATIENT)).ref == door.resources()[0]["StreamARN"]


def test_a_quota_that_an_earlier_attempt_used_up_is_no_refusal(
    provider: KinesisVideo, door: Door, order: Order[Any]
) -> None:
    door.fault("lose_answer", "CreateStream")
    strike(door, "CreateStream", says("AccountStreamLimitExceededException", 400, ProviderQuotaExceeded))
    assert provider.create(order, Deadline(PATIENT)).ref == door.resources()[0]["StreamARN"]


def test_a_throttled_create_is_repeated(provider: KinesisVideo, door: Door, order: Order[Any]) -> None:
    strike(door, "CreateStream", says("ClientLimitExceededException", 400, ProviderRateLimited), times=1)
    assert provider.create(order, Deadline(PATIENT)).ref
    assert len(door.calls("CreateStream")) == 2


def test_an_adoption_is_ready_if_the_stream_is(provider: KinesisVideo, door: Door, order: Order[Any]) -> None:
    provider.create(order, Deadline(PATIENT))
    door.clock.advance(1)
    adopted = provider.create(order, Deadline(PATIENT))
    assert adopted.state is State.READY
    assert Search(adopted) == provider.find(order, Deadline(PATIENT))


# ---- what nobody has a record of ----


def create_tagged(url: str, *streams: dict[str, str]) -> list[str]:
    """Made by hand with these tags, named after their place; their ARNs."""
    client = kinesis_video_client(url)
    made = []
    for number, tags in enumerate(streams):
        asked: Any = {"StreamName": f"by-hand-{number:02}"} | ({"Tags": tags} if tags else {})
        made.append(client.create_stream(**asked)["StreamARN"])
    client.close()
    return made


def ours(number: int = 1) -> dict[str, str]:
    """Both our tags."""
    return {"headwater:stream-id": f"str_{number}", "headwater:deployment": OURS}


def test_what_lacks_one_of_our_tags_is_not_listed_as_ours(provider: KinesisVideo, url: str) -> None:
    only, *_ = create_tagged(
        url,
        ours(),
        {"headwater:stream-id": "str_2"},
        {"headwater:deployment": OURS},
        ours(4) | {"headwater:deployment": f"{OURS}2"},
        ours(5) | {"headwater:deployment": ""},
        ours(6) | {"headwater:stream-id": ""},
        {},
    )
    assert [(listed.ref, listed.stream_id) for listed in provider.marked(OURS, Deadline(PATIENT))] == [(only, "str_1")]


def test_a_list_is_followed_to_its_last_page(provider: KinesisVideo, door: Door, url: str) -> None:
    made = create_tagged(url, *map(ours, range(5)))
    door.configure(streams_per_page=2)
    assert sorted(listed.ref for listed in provider.marked(OURS, Deadline(PATIENT))) == made
    assert len(door.calls("ListStreams")) == 3


def test_our_tags_are_found_in_whatever_order_they_come(provider: KinesisVideo, door: Door, url: str) -> None:
    [made] = create_tagged(url, {})
    for name, rest in (("headwater:stream-id", {"NextToken": "bmV4dA=="}), ("headwater:deployment", {})):
        body = {"Tags": {name: ours()[name]}, **rest}
        door.fault("status", "ListTagsForStream", status=200, body=body)
    assert [listed.ref for listed in provider.marked(OURS, Deadline(PATIENT))] == [made]


def test_a_stream_that_is_being_deleted_is_not_listed(provider: KinesisVideo, door: Door, order: Order[Any]) -> None:
    created = provider.create(order, Deadline(PATIENT))
    door.clock.advance(1)
    provider.remove(handle(order, created), Deadline(PATIENT))
    assert provider.marked(OURS, Deadline(PATIENT)) == []


def test_a_search_keeps_below_the_service_s_quotas(provider: KinesisVideo, door: Door, url: str) -> None:
    create_tagged(url, *map(ours, range(4)))
    door.configure(tags_per_page=1)
    provider.marked(OURS, Deadline(PATIENT))
    looks: dict[str, list[int]] = {}
    for call in door.calls("ListTagsForStream"):
        looks.setdefault(call.body["StreamARN"], []).append(call.at)
    assert [len(times) for times in looks.values()] == [2, 2, 2, 2]
    assert all(later - earlier >= 200 for earlier, later in looks.values()), "five a second, of one stream"
    every = sorted(time for times in looks.values() for time in times)
    assert min(later - earlier for earlier, later in pairwise(every)) >= 20, "50 a second, of an account"


def test_a_search_ends_in_time_with_what_it_has_found(
    provider: KinesisVideo, door: Door, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "LISTING_PAUSE", 0.2)
    create_tagged(url, *map(ours, range(20)))
    with lasting_at_most(3):
        found = provider.marked(OURS, Deadline(3))
    assert 1 <= len(found) < 20


def test_each_search_has_another_order(provider: KinesisVideo, door: Door, url: str) -> None:
    """Where there is not the time for all, none is always left out."""
    create_tagged(url, *map(ours, range(10)))
    orders = {tuple(listed.ref for listed in provider.marked(OURS, Deadline(PATIENT))) for _ in range(3)}
    assert len(orders) > 1


def test_a_stream_that_cannot_be_looked_at_is_left_to_another_search(
    provider: KinesisVideo, door: Door, url: str
) -> None:
    unreadable, readable = create_tagged(url, ours(1), ours(2))
    door.fault("status", "ListTagsForStream", status=500, containing=unreadable, times=ALWAYS)
    assert [listed.ref for listed in provider.marked(OURS, Deadline(PATIENT))] == [readable]


def test_a_stream_that_goes_during_a_search_is_not_listed(provider: KinesisVideo, door: Door, url: str) -> None:
    gone, there = create_tagged(url, ours(1), ours(2))
    not_found = {"x-amzn-ErrorType": wire.NOT_FOUND}
    door.fault("status", "ListTagsForStream", status=404, headers=not_found, containing=gone)
    assert [listed.ref for listed in provider.marked(OURS, Deadline(PATIENT))] == [there]


def test_a_search_that_is_throttled_leaves_the_calls_to_creates(provider: KinesisVideo, door: Door, url: str) -> None:
    create_tagged(url, *map(ours, range(4)))
    strike(door, "ListTagsForStream", says("ClientLimitExceededException", 400, ProviderRateLimited))
    assert provider.marked(OURS, Deadline(PATIENT)) == []
    assert len(door.calls("ListTagsForStream")) == 2


def test_a_role_that_may_not_look_is_the_operator_s_matter(provider: KinesisVideo, door: Door, url: str) -> None:
    create_tagged(url, ours())
    strike(door, "ListTagsForStream", says("AccessDeniedException", 401, ProviderUnauthorized))
    error = failure_of(lambda: provider.marked(OURS, Deadline(PATIENT)))
    assert type(error) is ProviderUnauthorized


def test_whether_somebody_sends_is_never_known(provider: KinesisVideo, door: Door, order: Order[Any]) -> None:
    created = provider.create(order, Deadline(PATIENT))
    calls = len(door.calls())
    assert provider.connected(handle(order, created), Deadline(PATIENT)) is None
    assert len(door.calls()) == calls


# ---- removing ----


def test_a_removal_is_by_arn(provider: KinesisVideo, door: Door, order: Order[Any]) -> None:
    created = provider.create(order, Deadline(PATIENT))
    door.clock.advance(1)
    door.clear_calls()
    assert provider.remove(handle(order, created), Deadline(PATIENT)).remains is None
    assert [(call.operation, call.body) for call in door.calls()] == [("DeleteStream", {"StreamARN": created.ref})]


def test_a_stream_that_is_being_deleted_is_removed(provider: KinesisVideo, door: Door, order: Order[Any]) -> None:
    created = provider.create(order, Deadline(PATIENT))
    door.clock.advance(1)
    for _ in range(2):
        provider.remove(handle(order, created), Deadline(PATIENT))
    assert [call.status for call in door.calls("DeleteStream")] == [200, 400]
    assert list(door.resources()) == []


def test_a_stream_that_is_still_being_made_cannot_be_removed_yet(
    provider: KinesisVideo, door: Door, order: Order[Any]
) -> None:
    created = provider.create(order, Deadline(PATIENT))
    error = failure_of(lambda: provider.remove(handle(order, created), Deadline(BRIEF)))
    assert (error.retry_after, error.upstream.code) == (2, "ResourceInUseException")
    assert type(error) is ProviderUnavailable


def test_a_removal_waits_until_the_stream_is_made(
    provider: KinesisVideo, door: Door, order: Order[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wire, "BUSY_SECONDS", 0.05)
    door.configure(creating_seconds=0.2)
    created = provider.create(order, Deadline(PATIENT))
    provider.remove(handle(order, created), Deadline(PATIENT))
    assert list(door.resources()) == []
    assert len(door.calls("DeleteStream")) > 1


def test_a_stream_that_is_in_use_for_another_reason_is_a_conflict(
    provider: KinesisVideo, door: Door, order: Order[Any]
) -> None:
    created = provider.create(order, Deadline(PATIENT))
    door.clock.advance(1)
    strike(door, "DeleteStream", says("ResourceInUseException", 400, ProviderConflict))
    error = failure_of(lambda: provider.remove(handle(order, created), Deadline(BRIEF)))
    assert type(error) is ProviderConflict
    assert len(door.calls("DeleteStream")) == 2


def test_a_stream_that_becomes_active_while_it_is_looked_at_is_removed(
    provider: KinesisVideo, door: Door, order: Order[Any]
) -> None:
    created = provider.create(order, Deadline(PATIENT))
    door.clock.advance(1)
    strike(door, "DeleteStream", says("ResourceInUseException", 400, ProviderConflict), times=1)
    provider.remove(handle(order, created), Deadline(PATIENT))
    assert list(door.resources()) == []


def test_a_removal_that_hangs_ends_with_the_deadline(provider: KinesisVideo, door: Door, order: Order[Any]) -> None:
    created = provider.create(order, Deadline(PATIENT))
    door.fault("hang", "DeleteStream", times=ALWAYS)
    with lasting_at_most(BRIEF + TestKinesisVideo.overrun_seconds):
        error = failure_of(lambda: provider.remove(handle(order, created), Deadline(BRIEF)))
    assert type(error) is ProviderOutcomeUnknown
    assert error.effect is Effect.UNKNOWN


# ---- what a stream is set to ----

BARE: dict[str, Any] = {
    "/options/device_name": None,
    "/options/media_type": None,
    "/options/data_retention_in_hours": 0,
    "/options/tags": {},
    "/options/stream_storage_configuration/default_storage_tier": "HOT",
}
"""A stream's that nothing was asked of."""
ID_AT, DEPLOYMENT_AT = "/options/tags/headwater:stream-id", "/options/tags/headwater:deployment"
MORE: Any = {"Operation": "INCREASE_DATA_RETENTION", "DataRetentionChangeInHours": 1}
WARM: Any = {"StreamStorageConfiguration": {"DefaultStorageTier": "WARM"}}


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch, door: Door) -> None:
    """Looks follow each other soon, and so are changes done."""
    monkeypatch.setattr(wire, "BUSY_SECONDS", 0.05)
    door.configure(updating_seconds=0.1)


def made(provider: KinesisVideo, door: Door, **options: Any) -> tuple[Order[Any], Handle]:
    """A stream that is ready, whose endpoints are noted; nothing of it is in the log."""
    order = an_order(provider, KinesisVideoOptions.model_validate(options))
    created = provider.create(order, Deadline(PATIENT))
    door.clock.advance(1)
    ready = provider.read(handle(order, created), Deadline(PATIENT))
    assert ready
    door.clear_calls()
    return order, handle(order, ready)


def found_at(provider: KinesisVideo, of: Handle) -> dict[str, Any]:
    """What a stream is told to be set to."""
    read = provider.read(of, Deadline(PATIENT))
    assert read
    return dict(read.settings)


def asking(order: Order[Any], **options: Any) -> Order[Any]:
    """The order with other options."""
    return replace(order, options=KinesisVideoOptions.model_validate(order.options.model_dump() | options))


def versioned(door: Door) -> list[tuple[str, dict[str, Any]]]:
    """The calls that changed a stream, without which stream it was and of which version."""
    changes = [call for call in door.calls() if call.operation.startswith(("Update", "Tag", "Untag"))]
    common = {"StreamARN", "CurrentVersion"}
    return [(call.operation, {k: v for k, v in call.body.items() if k not in common}) for call in changes]


def retention(door: Door) -> int:
    [stream] = door.resources()
    hours: int = stream["DataRetentionInHours"]
    return hours


@pytest.mark.parametrize("options", [{}, FULLEST], ids=["emptiest", "fullest"])
def test_a_stream_that_nobody_touched_is_set_to_what_was_asked_for(
    provider: KinesisVideo, door: Door, options: dict[str, Any]
) -> None:
    order, of = made(provider, door, **options)
    assert found_at(provider, of) == provider.settings(order)
    assert provider.settings(an_order(provider, KinesisVideoOptions())).items() >= BARE.items()


def test_a_look_at_a_stream_asks_for_each_of_its_settings_once(provider: KinesisVideo, door: Door) -> None:
    _, of = made(provider, door)
    found_at(provider, of)
    assert [(call.operation, call.body) for call in door.calls()] == [
        ("DescribeStream", {"StreamARN": of.ref}),
        ("ListTagsForStream", {"StreamARN": of.ref}),
        ("DescribeStreamStorageConfiguration", {"StreamARN": of.ref}),
    ]


def version_of(console: Any, of: Handle) -> dict[str, str]:
    return {"StreamARN": of.ref, "CurrentVersion": console.describe_stream(StreamARN=of.ref)["StreamInfo"]["Version"]}


@pytest.mark.parametrize(
    ("by_hand", "fields"),
    [
        (lambda at, of: at.update_stream(**version_of(at, of), DeviceName="x"), ["/options/device_name"]),
        (lambda at, of: at.update_stream(**version_of(at, of), MediaType="a/b"), ["/options/media_type"]),
        (
            lambda at, of: at.update_data_retention(**version_of(at, of), **MORE),
            ["/options/data_retention_in_hours"],
        ),
        (
            lambda at, of: at.update_stream_storage_configuration(**version_of(at, of), **WARM),
            ["/options/stream_storage_configuration/default_storage_tier"],
        ),
        (lambda at, of: at.tag_stream(StreamARN=of.ref, Tags={"site": "south"}), ["/options/tags"]),
        (lambda at, of: at.tag_stream(StreamARN=of.ref, Tags={"new": ""}), ["/options/tags"]),
        (lambda at, of: at.untag_stream(StreamARN=of.ref, TagKeyList=["site"]), ["/options/tags"]),
        (lambda at, of: at.untag_stream(StreamARN=of.ref, TagKeyList=["headwater:stream-id"]), [ID_AT]),
        (lambda at, of: at.tag_stream(StreamARN=of.ref, Tags={"headwater:deployment": "other"}), [DEPLOYMENT_AT]),
        (lambda at, of: at.tag_stream(StreamARN=of.ref, Tags={"aws:cloudformation:stack-id": "s"}), []),
        (lambda at, of: at.tag_stream(StreamARN=of.ref, Tags={"headwater:other": "reserved"}), []),
    ],
)
def test_what_somebody_else_changes_is_told_by_name_and_repaired(
    provider: KinesisVideo, door: Door, console: Any, quick: None, by_hand: Callable[..., Any], fields: list[str]
) -> None:
    asked = {"tags": {"site": "north"}, "data_retention_in_hours": 5, "device_name": "cam", "media_type": "video/h264"}
    order, of = made(provider, door, **asked)
    by_hand(console, of)
    door.clock.advance(1)
    assert differing(provider.settings(order), found_at(provider, of)) == fields
    if fields:
        assert provider.change(of, order, frozenset(fields), Deadline(PATIENT))
        door.clock.advance(1)
        assert differing(provider.settings(order), found_at(provider, of)) == []


@pytest.mark.parametrize("status", ["CREATING", "UPDATING"])
def test_of_a_stream_on_its_way_no_settings_are_told(
    provider: KinesisVideo, door: Door, console: Any, status: str
) -> None:
    order = an_order(provider, KinesisVideoOptions())
    created = provider.create(order, Deadline(PATIENT))
    if status == "UPDATING":
        door.clock.advance(1)
        console.update_data_retention(**version_of(console, handle(order, created)), **MORE)
    door.clear_calls()
    read = provider.read(handle(order, created), Deadline(PATIENT))
    assert read
    assert (read.provider_status, read.settings) == (status, {})
    assert {call.operation for call in door.calls()} <= {"DescribeStream", "GetDataEndpoint"}


def test_what_a_description_leaves_out_is_the_service_s_default(provider: KinesisVideo, door: Door) -> None:
    order, of = made(provider, door)
    told = {"StreamARN": of.ref, "StreamName": of.notes["stream_name"], "Status": "ACTIVE"}
    door.fault("status", "DescribeStream", status=200, body={"StreamInfo": told})
    door.fault("status", "DescribeStreamStorageConfiguration", status=200, body={})
    assert found_at(provider, of) == provider.settings(order)


def test_all_pages_of_tags_are_told_at_less_than_five_calls_a_second(provider: KinesisVideo, door: Door) -> None:
    tags = {f"key{number}": str(number) for number in range(5)}
    _, of = made(provider, door, tags=tags)
    door.configure(tags_per_page=1)
    assert found_at(provider, of)["/options/tags"] == tags
    times = [call.at for call in door.calls("ListTagsForStream")]
    assert len(times) == 7
    assert min(later - earlier for earlier, later in pairwise(times)) >= 200


@pytest.mark.parametrize("exception", ["AccessDeniedException", "NotAuthorizedException"])
@pytest.mark.parametrize(
    ("operation", "hidden"),
    [
        ("ListTagsForStream", {"/options/tags", ID_AT, DEPLOYMENT_AT}),
        (
            "DescribeStreamStorageConfiguration",
            {"/options/stream_storage_configuration/default_storage_tier"},
        ),
    ],
)
def test_what_the_role_may_not_see_is_not_told_and_the_rest_is(
    provider: KinesisVideo, door: Door, exception: str, operation: str, hidden: set[str]
) -> None:
    order, of = made(provider, door)
    strike(door, operation, says(exception, 401, ProviderUnauthorized))
    wanted = provider.settings(order)
    assert found_at(provider, of) == {at: value for at, value in wanted.items() if at not in hidden}
    assert len(door.calls(operation)) == 1


def test_settings_that_cannot_be_had_just_now_are_not_passed_over(provider: KinesisVideo, door: Door) -> None:
    order, of = made(provider, door)
    door.fault("status", "ListTagsForStream", status=500)
    door.fault("garbage", "DescribeStreamStorageConfiguration")
    assert found_at(provider, of) == provider.settings(order)
    door.fault("status", "ListTagsForStream", status=500, times=ALWAYS)
    assert type(failure_of(lambda: provider.read(of, Deadline(BRIEF)))) is ProviderUnavailable


@pytest.mark.parametrize("operation", ["ListTagsForStream", "DescribeStreamStorageConfiguration"])
def test_a_stream_that_goes_while_its_settings_are_asked_for_is_gone(
    provider: KinesisVideo, door: Door, quick: None, operation: str
) -> None:
    _, of = made(provider, door)
    not_found = {"x-amzn-ErrorType": wire.NOT_FOUND}
    door.fault("status", operation, status=404, headers=not_found)
    door.fault("status", "DescribeStream", status=404, headers=not_found, after=1)
    assert provider.read(of, Deadline(PATIENT)) is None


def test_what_is_made_or_found_needs_no_settings(provider: KinesisVideo, door: Door) -> None:
    order, _ = made(provider, door)
    assert provider.create(order, Deadline(PATIENT)).settings == {}
    found = provider.find(order, Deadline(PATIENT)).resource
    assert found
    assert found.settings == {}
    assert door.calls("DescribeStreamStorageConfiguration") == []


# ---- changing ----


@pytest.mark.parametrize(
    ("options", "changed", "calls"),
    [
        (
            {"device_name": "cam-2"},
            {"/options/device_name"},
            [("UpdateStream", {"DeviceName": "cam-2", "MediaType": "video/h264"})],
        ),
        (
            {"media_type": "audio/aac"},
            {"/options/media_type"},
            [("UpdateStream", {"DeviceName": "cam-1", "MediaType": "audio/aac"})],
        ),
        (
            {"device_name": "cam-2", "media_type": "audio/aac"},
            {"/options/device_name", "/options/media_type"},
            [("UpdateStream", {"DeviceName": "cam-2", "MediaType": "audio/aac"})],
        ),
        (
            {"data_retention_in_hours": 24},
            {"/options/data_retention_in_hours"},
            [
                (
                    "UpdateDataRetention",
                    {"Operation": "INCREASE_DATA_RETENTION", "DataRetentionChangeInHours": 14},
                )
            ],
        ),
        (
            {"data_retention_in_hours": 9},
            {"/options/data_retention_in_hours"},
            [("UpdateDataRetention", {"Operation": "DECREASE_DATA_RETENTION", "DataRetentionChangeInHours": 1})],
        ),
        (
            {"data_retention_in_hours": None},
            {"/options/data_retention_in_hours"},
            [("UpdateDataRetention", {"Operation": "DECREASE_DATA_RETENTION", "DataRetentionChangeInHours": 10})],
        ),
        (
            {"data_retention_in_hours": 87_600},
            {"/options/data_retention_in_hours"},
            [
                (
                    "UpdateDataRetention",
                    {"Operation": "INCREASE_DATA_RETENTION", "DataRetentionChangeInHours": 87_590},
                )
            ],
        ),
        (
            {"stream_storage_configuration": {"default_storage_tier": "WARM"}},
            {"/options/stream_storage_configuration/default_storage_tier"},
            [("UpdateStreamStorageConfiguration", WARM)],
        ),
        (
            {"stream_storage_configuration": {"default_storage_tier": "WARM"}},
            {"/options/stream_storage_configuration"},
            [("UpdateStreamStorageConfiguration", WARM)],
        ),
        ({"tags": {"site": "south"}}, {"/options/tags/site"}, [("TagStream", {"Tags": {"site": "south"}})]),
        ({"tags": None}, {"/options/tags/site"}, [("UntagStream", {"TagKeyList": ["site"]})]),
        (
            {"tags": {"a/b": "new"}},
            {"/options/tags/site", "/options/tags/a~1b"},
            [("UntagStream", {"TagKeyList": ["site"]}), ("TagStream", {"Tags": {"a/b": "new"}})],
        ),
    ],
)
def test_a_change_is_what_is_different_and_nothing_else(
    provider: KinesisVideo,
    door: Door,
    quick: None,
    options: dict[str, Any],
    changed: set[str],
    calls: list[Any],
) -> None:
    before = {"device_name": "cam-1", "media_type": "video/h264", "data_retention_in_hours": 10}
    order, of = made(provider, door, **before, tags={"site": "north"})
    wanted = asking(order, **options)
    for _ in range(2):  # carried out twice it comes to the same
        assert provider.change(of, wanted, frozenset(changed), Deadline(PATIENT))
    assert versioned(door) == calls
    door.clock.advance(1)
    assert found_at(provider, of) == provider.settings(wanted)


def everything(provider: KinesisVideo, door: Door) -> tuple[Order[Any], Handle, frozenset[str]]:
    """A stream of which all is to be changed that can be."""
    before = {"device_name": "cam-1", "data_retention_in_hours": 10, "tags": {"a": "1", "b": "2"}}
    order, of = made(provider, door, **before)
    after = asking(
        order,
        device_name="cam-2",
        media_type="audio/aac",
        data_retention_in_hours=30,
        tags={"b": "3", "c": ""},
        stream_storage_configuration={"default_storage_tier": "WARM"},
    )
    return after, of, provider.changeable


IN_THIS_ORDER = [
    ("UntagStream", {"TagKeyList": ["a"]}),
    ("TagStream", {"Tags": {"b": "3", "c": ""}}),
    ("UpdateStream", {"DeviceName": "cam-2", "MediaType": "audio/aac"}),
    ("UpdateDataRetention", {"Operation": "INCREASE_DATA_RETENTION", "DataRetentionChangeInHours": 20}),
    ("UpdateStreamStorageConfiguration", WARM),
]


def test_everything_is_changed_one_call_after_another_each_of_a_version_just_read(
    provider: KinesisVideo, door: Door, quick: None
) -> None:
    order, of, changed = everything(provider, door)
    resource = provider.change(of, order, changed, Deadline(PATIENT))
    assert resource
    assert (resource.ref, resource.state, resource.notes) == (of.ref, State.READY, of.notes)
    assert resource.ingest
    assert versioned(door) == IN_THIS_ORDER
    versions = [call.body["CurrentVersion"] for call in door.calls() if "CurrentVersion" in call.body]
    assert len(set(versions)) == 3
    assert len(door.calls("ListTagsForStream")) == 1
    assert [call.status for call in door.calls() if call.status != 200] == []
    door.clock.advance(1)
    assert found_at(provider, of) == provider.settings(order)


def test_a_change_keeps_below_five_calls_a_second_of_each_kind(provider: KinesisVideo, door: Door) -> None:
    order, of, changed = everything(provider, door)
    assert provider.change(of, order, changed, Deadline(PATIENT))
    assert versioned(door) == IN_THIS_ORDER
    for operation in {call.operation for call in door.calls()}:
        times = [call.at for call in door.calls(operation)]
        assert all(later - earlier > 1000 for earlier, later in zip(times, times[4:], strict=False)), operation


def test_a_change_can_show_only_when_it_is_done(provider: KinesisVideo, door: Door, quick: None) -> None:
    """Which of the two ways the service has is not documented."""
    door.configure(changes_show_when_done=True)
    order, of, changed = everything(provider, door)
    assert provider.change(of, order, changed, Deadline(PATIENT))
    assert versioned(door) == IN_THIS_ORDER
    assert found_at(provider, of) == provider.settings(order)


def test_what_is_not_pointed_at_is_left_as_it_is(provider: KinesisVideo, door: Door, console: Any, quick: None) -> None:
    """Drift is repaired only when that is asked for."""
    order, of = made(provider, door, device_name="cam-1", tags={"a": "1"}, data_retention_in_hours=10)
    console.update_stream(**version_of(console, of), DeviceName="theirs", MediaType="audio/theirs")
    door.clock.advance(1)
    console.update_stream_storage_configuration(**version_of(console, of), **WARM)
    console.tag_stream(StreamARN=of.ref, Tags={"theirs": "yes", "headwater:deployment": "theirs"})
    door.clock.advance(1)
    changed = frozenset({"/options/data_retention_in_hours", "/options/tags/b"})
    wanted = asking(order, data_retention_in_hours=11, tags={"a": "1", "b": "2"})
    assert provider.change(of, wanted, changed, Deadline(PATIENT))
    assert provider.change(of, asking(order, media_type="a/b"), frozenset({"/options/media_type"}), Deadline(PATIENT))
    [stream] = door.resources()
    assert (stream["DeviceName"], stream["MediaType"]) == ("theirs", "a/b")
    assert (stream["DataRetentionInHours"], stream["DefaultStorageTier"]) == (11, "WARM")
    own = {"headwater:stream-id": order.id, "headwater:deployment": "theirs"}
    assert stream["Tags"] == {"a": "1", "b": "2", "theirs": "yes"} | own


def test_all_tags_are_brought_to_what_was_asked_for_but_those_that_nobody_can_ask_for(
    provider: KinesisVideo, door: Door, console: Any
) -> None:
    order, of = made(provider, door, tags={"a": "1", "b": "2"})
    reserved = {"aws:stack": "s", "AWS:Other": "s", "headwater:other": "o"}
    console.tag_stream(StreamARN=of.ref, Tags={"a": "theirs", "theirs": "yes", **reserved})
    console.untag_stream(StreamARN=of.ref, TagKeyList=["b", "headwater:deployment", "headwater:stream-id"])
    assert provider.change(of, order, frozenset({"/options/tags"}), Deadline(PATIENT))
    [stream] = door.resources()
    own = {"headwater:stream-id": order.id, "headwater:deployment": OURS}
    assert stream["Tags"] == {"a": "1", "b": "2"} | own | reserved


def test_as_many_tags_as_there_can_be_are_exchanged_for_as_many(provider: KinesisVideo, door: Door) -> None:
    order, of = made(provider, door, tags={f"old{number}": "" for number in range(48)})
    wanted = asking(order, tags={f"new{number}": "" for number in range(48)})
    assert provider.change(of, wanted, frozenset({"/options/tags"}), Deadline(PATIENT))
    assert found_at(provider, of) == provider.settings(wanted)


@pytest.mark.parametrize("named", [{"device_name"}, {"media_type"}, {"device_name", "media_type"}])
def test_what_cannot_be_taken_away_is_refused_with_nothing_called(
    provider: KinesisVideo, door: Door, named: set[str]
) -> None:
    order, of = made(provider, door, device_name="cam-1", media_type="video/h264")
    wanted = asking(order, tags={"a": "1"}, **dict.fromkeys(named))
    changed = frozenset({"/options/tags/a", *(f"/options/{name}" for name in named)})
    with pytest.raises(CapabilityNotSupported) as refused:
        provider.change(of, wanted, changed, Deadline(PATIENT))
    assert [fault.pointer for fault in refused.value.faults] == [f"/options/{name}" for name in sorted(named)]
    assert door.calls() == []


def test_what_can_be_changed_is_said_beforehand(provider: KinesisVideo) -> None:
    fixed = {"/options/stream_name", "/options/kms_key_id"}
    assert provider.changeable == {f"/options/{name}" for name in KinesisVideoOptions.model_fields} - fixed
    assert {Verb.UPDATE, Verb.REPAIR, Verb.ADOPT} <= provider.verbs
    assert not {Verb.KEEPALIVE, Verb.ROTATE, Verb.SIMULCAST} & provider.verbs
    assert provider.look_seconds == 6 * 3600


# ---- a change whose answer is lost, late or refused

LOST: list[dict[str, Any]] = [
    {"kind": "lose_answer"},
    {"kind": "garbage"},
    {"kind": "hang", "carry_out": True},
    {"kind": "hang"},
    {"kind": "refuse"},
    {"kind": "status", "status": 500},
    {"kind": "status", "status": 503},
]


@pytest.fixture
def impatient(url: str, provider_at: Callable[[str], KinesisVideo]) -> Iterator[KinesisVideo]:
    """It waits a fifth of a second for each answer."""
    client = kinesis_video_client(url, answer_seconds=0.2)
    yield KinesisVideo(client)
    client.close()


@pytest.mark.parametrize("fault", LOST, ids=str)
@pytest.mark.parametrize("show_when_done", [False, True])
@pytest.mark.parametrize(("before", "after"), [(10, 34), (10, 3)])
def test_a_retention_is_never_changed_twice(
    impatient: KinesisVideo, door: Door, quick: None, fault: Any, show_when_done: bool, before: int, after: int
) -> None:
    door.configure(changes_show_when_done=show_when_done)
    order, of = made(impatient, door, data_retention_in_hours=before)
    door.fault(operation="UpdateDataRetention", **fault)
    wanted = asking(order, data_retention_in_hours=after)
    assert impatient.change(of, wanted, frozenset({"/options/data_retention_in_hours"}), Deadline(PATIENT))
    door.clock.advance(1)
    assert retention(door) == after
    carried_out = [call for call in door.calls("UpdateDataRetention") if call.carried_out and call.status != 400]
    assert len(carried_out) == 1


@pytest.mark.parametrize("fault", LOST, ids=str)
@pytest.mark.parametrize("operation", [operation for operation, _ in IN_THIS_ORDER])
def test_a_lost_answer_to_any_call_of_a_change_is_found_out_about(
    impatient: KinesisVideo, door: Door, quick: None, fault: Any, operation: str
) -> None:
    order, of, changed = everything(impatient, door)
    door.fault(operation=operation, **fault)
    assert impatient.change(of, order, changed, Deadline(PATIENT))
    door.clock.advance(1)
    assert found_at(impatient, of) == impatient.settings(order)


def test_a_call_that_lands_after_the_next_one_changes_nothing(impatient: KinesisVideo, door: Door, quick: None) -> None:
    """It was given up, and nothing had come of it when the stream was looked at again."""
    door.configure(updating_seconds=0)
    order, of = made(impatient, door, data_retention_in_hours=10)
    door.fault("slow", "UpdateDataRetention", seconds=0.6)
    wanted = asking(order, data_retention_in_hours=34)
    assert impatient.change(of, wanted, frozenset({"/options/data_retention_in_hours"}), Deadline(PATIENT))
    until(lambda: all(call.carried_out for call in door.calls("UpdateDataRetention")))
    until(lambda: all(call.status for call in door.calls("UpdateDataRetention")))
    late, timely = door.calls("UpdateDataRetention")
    assert (late.status, timely.status) == (400, 200)
    assert late.body == timely.body
    assert retention(door) == 34


def until(holds: Callable[[], bool]) -> None:
    """Wait for it, ten seconds at most."""
    give_up_at = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < give_up_at
        time.sleep(0.01)


def test_a_change_that_is_asked_for_again_after_its_answer_was_lost_for_good_doubles_nothing(
    impatient: KinesisVideo, door: Door, quick: None
) -> None:
    order, of = made(impatient, door, data_retention_in_hours=10)
    wanted, changed = asking(order, data_retention_in_hours=34), frozenset({"/options/data_retention_in_hours"})
    door.fault("hang", "UpdateDataRetention", carry_out=True)
    door.fault("status", "DescribeStream", status=500, after=1, times=ALWAYS)
    error = failure_of(lambda: impatient.change(of, wanted, changed, Deadline(BRIEF)))
    assert (error.effect, error.retryable) == (Effect.UNKNOWN, True)
    door.clear_faults()
    assert impatient.change(of, wanted, changed, Deadline(PATIENT))
    door.clock.advance(1)
    assert retention(door) == 34


def test_a_version_that_is_no_longer_the_stream_s_is_read_again_and_the_difference_with_it(
    provider: KinesisVideo, door: Door, console: Any, quick: None
) -> None:
    order, of = made(provider, door, data_retention_in_hours=10)
    stale = console.describe_stream(StreamARN=of.ref)["StreamInfo"]
    stale["CreationTime"] = stale["CreationTime"].timestamp()
    console.update_data_retention(**version_of(console, of), **MORE)
    door.clock.advance(1)
    door.clear_calls()
    door.fault("status", "DescribeStream", status=200, body={"StreamInfo": stale})
    wanted = asking(order, data_retention_in_hours=34)
    assert provider.change(of, wanted, frozenset({"/options/data_retention_in_hours"}), Deadline(PATIENT))
    calls = door.calls("UpdateDataRetention")
    assert [(call.status, call.body["DataRetentionChangeInHours"]) for call in calls] == [(400, 24), (200, 23)]
    assert retention(door) == 34


def test_two_changes_at_once_come_to_one_of_them(provider: KinesisVideo, door: Door, quick: None) -> None:
    order, of = made(provider, door, data_retention_in_hours=10)
    hours, changed = [20, 30, 40], frozenset({"/options/data_retention_in_hours"})
    with ThreadPoolExecutor(len(hours)) as pool:
        changes = [
            pool.submit(provider.change, of, asking(order, data_retention_in_hours=each), changed, Deadline(PATIENT))
            for each in hours
        ]
        assert all(change.result() for change in changes)
    assert retention(door) in hours


@pytest.mark.parametrize(
    "exception", ["ResourceInUseException", "VersionMismatchException", "ClientLimitExceededException"]
)
def test_what_is_in_use_or_of_another_version_or_throttled_is_tried_again(
    provider: KinesisVideo, door: Door, quick: None, exception: str
) -> None:
    order, of, changed = everything(provider, door)
    for operation in ("UpdateStream", "UpdateDataRetention", "UpdateStreamStorageConfiguration"):
        strike(door, operation, says(exception, 400, ProviderConflict), times=2)
    assert provider.change(of, order, changed, Deadline(PATIENT))
    door.clock.advance(1)
    assert found_at(provider, of) == provider.settings(order)


@pytest.mark.parametrize("status", ["CREATING", "UPDATING"])
def test_a_stream_on_its_way_is_waited_for(
    provider: KinesisVideo, door: Door, console: Any, quick: None, status: str
) -> None:
    door.configure(creating_seconds=0.3, updating_seconds=0.3)
    order = an_order(provider, KinesisVideoOptions())
    of = handle(order, provider.create(order, Deadline(PATIENT)))
    if status == "UPDATING":
        door.clock.advance(1)
        console.update_stream(**version_of(console, of), DeviceName="theirs")
    wanted = asking(order, data_retention_in_hours=34)
    assert provider.change(of, wanted, frozenset({"/options/data_retention_in_hours"}), Deadline(PATIENT))
    assert [call.status for call in door.calls("UpdateDataRetention")] == [200]
    assert retention(door) == 34


def test_a_stream_that_stays_busy_is_told_to_come_back_to(provider: KinesisVideo, door: Door, console: Any) -> None:
    order, of = made(provider, door)
    door.configure(updating_seconds=60)
    console.update_data_retention(**version_of(console, of), **MORE)
    wanted = asking(order, data_retention_in_hours=34)
    with lasting_at_most(BRIEF):
        error = failure_of(
            lambda: provider.change(of, wanted, frozenset({"/options/data_retention_in_hours"}), Deadline(BRIEF))
        )
    assert type(error) is ProviderUnavailable
    assert (error.retry_after, error.effect) == (2, Effect.NONE)
    assert versioned(door)[1:] == []


def test_a_change_that_is_half_done_when_time_runs_out_says_so_and_is_finished_later(
    provider: KinesisVideo, door: Door
) -> None:
    door.configure(updating_seconds=60)
    order, of, changed = everything(provider, door)
    error = failure_of(lambda: provider.change(of, order, changed, Deadline(BRIEF)))
    assert type(error) is ProviderUnavailable
    assert (error.retry_after, error.effect) == (2, Effect.UNKNOWN)
    assert versioned(door) == IN_THIS_ORDER[:3]
    door.configure(updating_seconds=0.1)
    door.clock.advance(60)
    assert provider.change(of, order, changed, Deadline(PATIENT))
    assert versioned(door) == IN_THIS_ORDER


def test_a_conflict_that_lasts_is_told_with_what_the_service_said(
    provider: KinesisVideo, door: Door, quick: None
) -> None:
    order, of = made(provider, door)
    strike(door, "UpdateDataRetention", says("VersionMismatchException", 400, ProviderConflict))
    wanted = asking(order, data_retention_in_hours=34)
    error = failure_of(
        lambda: provider.change(of, wanted, frozenset({"/options/data_retention_in_hours"}), Deadline(BRIEF))
    )
    assert (error.effect, error.upstream.code) == (Effect.NONE, "VersionMismatchException")
    assert type(error) is ProviderUnavailable


@pytest.mark.parametrize(
    ("operation", "exception", "meaning", "effect"),
    [
        ("UntagStream", "InvalidArgumentException", ProviderRejected, Effect.NONE),
        ("UpdateStream", "InvalidArgumentException", ProviderRejected, Effect.UNKNOWN),
        ("TagStream", "TagsPerResourceExceededLimitException", ProviderRejected, Effect.UNKNOWN),
    ],
)
def test_a_refusal_says_whether_something_was_changed_before(
    provider: KinesisVideo, door: Door, operation: str, exception: str, meaning: Any, effect: Effect
) -> None:
    order, of, changed = everything(provider, door)
    strike(door, operation, says(exception, 400, meaning))
    error = failure_of(lambda: provider.change(of, order, changed, Deadline(PATIENT)))
    assert type(error) is meaning
    assert (error.effect, error.upstream.code) == (effect, exception)
    assert len(door.calls(operation)) == 1


def test_a_role_that_may_not_change_is_the_operator_s_matter(provider: KinesisVideo, door: Door) -> None:
    order, of, changed = everything(provider, door)
    strike(door, "UntagStream", says("AccessDeniedException", 401, ProviderUnauthorized))
    assert type(failure_of(lambda: provider.change(of, order, changed, Deadline(PATIENT)))) is ProviderUnauthorized


def test_a_description_without_a_version_changes_nothing(provider: KinesisVideo, door: Door, quick: None) -> None:
    order, of = made(provider, door)
    told = {"StreamARN": of.ref, "StreamName": of.notes["stream_name"], "Status": "ACTIVE"}
    door.fault("status", "DescribeStream", status=200, body={"StreamInfo": told}, times=ALWAYS)
    wanted, changed = asking(order, data_retention_in_hours=34), frozenset({"/options/data_retention_in_hours"})
    error = failure_of(lambda: provider.change(of, wanted, changed, Deadline(BRIEF)))
    assert error.effect is Effect.NONE
    assert type(error) is ProviderUnavailable
    assert versioned(door) == []


@pytest.mark.parametrize("going", ["never there", "gone", "deleting"])
def test_a_stream_that_is_gone_or_going_is_not_changed(
    provider: KinesisVideo, door: Door, console: Any, going: str
) -> None:
    order, of, changed = everything(provider, door)
    if going == "never there":
        of = Handle(of.id, of.ref + "0", {})
    else:
        console.delete_stream(StreamARN=of.ref)
        door.clock.advance(1 if going == "gone" else 0)
    assert provider.change(of, order, changed, Deadline(PATIENT)) is None
    assert versioned(door) == []


@pytest.mark.parametrize(
    ("operation", "pointer"),
    [
        ("ListTagsForStream", "/options/tags"),
        ("UntagStream", "/options/tags/a"),
        ("TagStream", "/options/tags/b"),
        ("UpdateStream", "/options/media_type"),
        ("UpdateDataRetention", "/options/data_retention_in_hours"),
        ("UpdateStreamStorageConfiguration", "/options/stream_storage_configuration"),
        ("DescribeStreamStorageConfiguration", "/options/stream_storage_configuration"),
    ],
)
def test_a_stream_that_goes_during_a_change_is_gone(
    provider: KinesisVideo, door: Door, quick: None, operation: str, pointer: str
) -> None:
    order, of, _ = everything(provider, door)
    not_found = {"x-amzn-ErrorType": wire.NOT_FOUND}
    door.fault("status", operation, status=404, headers=not_found)
    door.fault("status", "DescribeStream", status=404, headers=not_found, after=1, times=ALWAYS)
    assert provider.change(of, order, frozenset({pointer}), Deadline(PATIENT)) is None
    assert [call.status for call in door.calls(operation)][:1] == [404]
    assert [call for call in versioned(door) if call[0] != operation] == []


# ---- adopting ----


def test_what_somebody_else_made_is_found_by_arn_and_by_name_and_told_as_it_would_be_asked_for(
    provider: KinesisVideo, door: Door, console: Any
) -> None:
    options: dict[str, Any] = FULLEST | {"kms_key_id": "arn:aws:kms:eu-central-1:123456789012:key/1234abcd"}
    arn = console.create_stream(
        StreamName=options["stream_name"],
        DeviceName=options["device_name"],
        MediaType=options["media_type"],
        KmsKeyId=options["kms_key_id"],
        DataRetentionInHours=options["data_retention_in_hours"],
        Tags=options["tags"],
        **WARM,
    )["StreamARN"]
    door.clock.advance(1)
    door.configure(tags_per_page=1)
    for ref in (arn, options["stream_name"]):
        found = provider.adoptable(ref, Deadline(PATIENT))
        assert found
        assert found.options == KinesisVideoOptions.model_validate(options)
        assert (found.name, found.stream_id, found.deployment) == (None, None, None)
        assert (found.resource.ref, found.resource.state) == (arn, State.READY)
        assert found.resource.ingest
        assert found.resource.notes.items() >= {"arn": arn, "stream_name": options["stream_name"]}.items()


def test_of_a_stream_that_nothing_was_asked_of_only_the_name_is_told(
    provider: KinesisVideo, door: Door, console: Any
) -> None:
    console.create_stream(StreamName="lobby")
    found = provider.adoptable("lobby", Deadline(PATIENT))
    assert found
    assert found.options.model_dump(exclude_unset=True) == {"stream_name": "lobby"}
    assert found.resource.state is State.PROVISIONING


def test_what_is_adopted_has_not_drifted_once_it_is_marked(provider: KinesisVideo, door: Door, console: Any) -> None:
    tags = {"site": "north", "aws:stack": "s", "headwater:other": "reserved"}
    arn = console.create_stream(StreamName="lobby", DataRetentionInHours=3, Tags=tags, **WARM)["StreamARN"]
    door.clock.advance(1)
    found = provider.adoptable(arn, Deadline(PATIENT))
    assert found
    assert found.options.tags == {"site": "north"}
    order = an_order(provider, found.options)
    of = handle(order, found.resource)
    assert differing(provider.settings(order), found_at(provider, of)) == sorted([ID_AT, DEPLOYMENT_AT])
    for _ in range(2):
        provider.mark(of, order, Deadline(PATIENT))
    assert differing(provider.settings(order), found_at(provider, of)) == []
    marked = provider.adoptable(arn, Deadline(PATIENT))
    assert marked
    assert (marked.stream_id, marked.deployment) == (order.id, OURS)
    assert marked.options == found.options
    [stream] = door.resources()
    own = {"headwater:stream-id": order.id, "headwater:deployment": OURS}
    assert stream["Tags"] == tags | own
    assert [call.body for call in door.calls("TagStream")] == [{"StreamARN": arn, "Tags": own}] * 2


@pytest.mark.parametrize("kind", ["lose_answer", "refuse"])
def test_marks_whose_answer_is_lost_are_put_on_again(provider: KinesisVideo, door: Door, kind: Any) -> None:
    order, of = made(provider, door)
    door.fault(kind, "TagStream")
    provider.mark(of, order, Deadline(PATIENT))
    assert len(door.calls("TagStream")) == 2


def test_what_cannot_be_marked_is_said(provider: KinesisVideo, door: Door) -> None:
    order, of = made(provider, door)
    gone = Handle(of.id, of.ref + "0", {})
    assert type(failure_of(lambda: provider.mark(gone, order, Deadline(BRIEF)))) is ProviderRejected


@pytest.mark.parametrize("tags", [48, 49, 50])
def test_a_stream_whose_tags_leave_no_room_for_ours_is_refused_before_it_is_recorded(
    provider: KinesisVideo, door: Door, console: Any, tags: int
) -> None:
    arn = console.create_stream(StreamName="lobby", Tags={f"key{number}": "" for number in range(tags)})["StreamARN"]
    if tags == 48:
        found = provider.adoptable(arn, Deadline(PATIENT))
        assert found
        provider.mark(
            handle(an_order(provider, found.options), found.resource),
            an_order(provider, found.options),
            Deadline(PATIENT),
        )
        assert provider.adoptable(arn, Deadline(PATIENT))
        return
    error = failure_of(lambda: provider.adoptable(arn, Deadline(PATIENT)))
    assert type(error) is ProviderRejected
    assert [fault.pointer for fault in error.faults] == ["/provider_ref"]


ELSEWHERE = "arn:aws:kinesisvideo:us-east-1:222222222222:stream/lobby/1600000000000"


def test_what_is_not_there_or_going_cannot_be_adopted(provider: KinesisVideo, door: Door, console: Any) -> None:
    arn = console.create_stream(StreamName="lobby")["StreamARN"]
    door.clock.advance(1)
    console.delete_stream(StreamARN=arn)
    for ref in ("lobby", arn, "nowhere", ELSEWHERE):
        assert provider.adoptable(ref, Deadline(PATIENT)) is None


def test_an_arn_of_another_account_is_refused_by_the_service(provider: KinesisVideo, door: Door) -> None:
    strike(door, "DescribeStream", says("AccessDeniedException", 401, ProviderUnauthorized))
    assert type(failure_of(lambda: provider.adoptable(ELSEWHERE, Deadline(PATIENT)))) is ProviderUnauthorized


@pytest.mark.parametrize(
    "ref",
    [
        "",
        "two words",
        "lobby\n",
        "straße",
        "x" * 257,
        "arn:aws:kinesisvideo",
        "arn:aws:s3:::bucket",
        ELSEWHERE.replace("stream/", "channel/"),
        ELSEWHERE + "x",
        ELSEWHERE + "\n",
        ELSEWHERE.replace("lobby", "x" * 1000),
        ELSEWHERE.replace("222222222222", "٢٢٢"),
    ],
)
def test_what_can_be_neither_an_arn_nor_a_name_is_not_asked_about(provider: KinesisVideo, door: Door, ref: str) -> None:
    assert provider.adoptable(ref, Deadline(PATIENT)) is None
    assert door.calls() == []


@pytest.mark.parametrize("operation", ["ListTagsForStream", "DescribeStreamStorageConfiguration"])
def test_a_stream_of_which_the_role_may_not_see_everything_is_not_adopted(
    provider: KinesisVideo, door: Door, console: Any, operation: str
) -> None:
    """Its marks, or what it costs, would not be known."""
    console.create_stream(StreamName="lobby")
    strike(door, operation, says("AccessDeniedException", 401, ProviderUnauthorized))
    assert type(failure_of(lambda: provider.adoptable("lobby", Deadline(PATIENT)))) is ProviderUnauthorized


@pytest.mark.parametrize("operation", ["ListTagsForStream", "DescribeStreamStorageConfiguration", "GetDataEndpoint"])
def test_a_stream_that_goes_while_it_is_looked_at_is_not_adopted(
    provider: KinesisVideo, door: Door, console: Any, quick: None, operation: str
) -> None:
    console.create_stream(StreamName="lobby")
    door.clock.advance(1)
    not_found = {"x-amzn-ErrorType": wire.NOT_FOUND}
    door.fault("status", operation, status=404, headers=not_found)
    door.fault("status", "DescribeStream", status=404, headers=not_found, after=1)
    assert provider.adoptable("lobby", Deadline(PATIENT)) is None


@pytest.mark.parametrize("kind", ["lose_answer", "garbage"])
@pytest.mark.parametrize(
    "operation", ["DescribeStream", "ListTagsForStream", "DescribeStreamStorageConfiguration", "GetDataEndpoint"]
)
def test_a_look_at_what_may_be_adopted_is_repeated(
    provider: KinesisVideo, door: Door, console: Any, kind: Any, operation: str
) -> None:
    console.create_stream(StreamName="lobby", Tags={"headwater:stream-id": "str_x"})
    door.clock.advance(1)
    door.fault(kind, operation)
    found = provider.adoptable("lobby", Deadline(PATIENT))
    assert found
    assert found.stream_id == "str_x"


@pytest.mark.parametrize(
    ("key", "told"),
    [
        (None, None),
        ("alias/aws/kinesisvideo", None),
        ("arn:aws:kms:eu-central-1:123456789012:alias/aws/kinesisvideo", None),
        ("alias/ours", "alias/ours"),
        ("arn:aws:kms:eu-central-1:123456789012:key/1234", "arn:aws:kms:eu-central-1:123456789012:key/1234"),
    ],
)
def test_the_service_s_own_key_is_nothing_to_ask_for(
    provider: KinesisVideo, door: Door, console: Any, key: str | None, told: str | None
) -> None:
    asked: Any = {"KmsKeyId": key} if key else {}
    console.create_stream(StreamName="lobby", **asked)
    found = provider.adoptable("lobby", Deadline(PATIENT))
    assert found
    assert found.options.kms_key_id == told


def test_a_tier_that_is_not_known_here_is_left_out_and_then_told_as_drift(
    provider: KinesisVideo, door: Door, console: Any
) -> None:
    arn = console.create_stream(StreamName="lobby")["StreamARN"]
    door.clock.advance(1)
    cold = {"StreamStorageConfiguration": {"DefaultStorageTier": "COLD"}}
    door.fault("status", "DescribeStreamStorageConfiguration", status=200, body=cold, times=2)
    found = provider.adoptable(arn, Deadline(PATIENT))
    assert found
    assert found.options.stream_storage_configuration is None
    order = an_order(provider, found.options)
    fields = differing(provider.settings(order), found_at(provider, handle(order, found.resource)))
    assert "/options/stream_storage_configuration/default_storage_tier" in fields


# ---- the client ----


def test_a_client_tries_once_and_waits_a_while(provider_at: Callable[[str], KinesisVideo]) -> None:
    client = kinesis_video_client("http://127.0.0.1:1", connect_seconds=1, answer_seconds=2)
    config: Any = client.meta.config
    assert config.retries["total_max_attempts"] == 1
    assert (config.connect_timeout, config.read_timeout) == (1, 2)
    client.close()


def test_the_client_s_own_patience_holds_where_the_deadline_is_far(
    provider_at: Callable[[str], KinesisVideo], door: Door, url: str
) -> None:
    provider_at(url)
    client = kinesis_video_client(url, answer_seconds=0.1)
    door.fault("hang", "DescribeStream", times=ALWAYS)
    provider = KinesisVideo(client)
    with lasting_at_most(4):
        error = failure_of(lambda: provider.read(Handle("any", "arn:any", {}), Deadline(PATIENT)))
    assert type(error) is ProviderUnavailable
    assert len(door.calls("DescribeStream")) == 4
    client.close()


def test_without_an_address_the_environment_tells_it(
    provider_at: Callable[[str], KinesisVideo], monkeypatch: pytest.MonkeyPatch
) -> None:
    for endpoint in ("http://127.0.0.1:2", None):
        if endpoint:
            monkeypatch.setenv("AWS_ENDPOINT_URL_KINESIS_VIDEO", endpoint)
        else:
            monkeypatch.delenv("AWS_ENDPOINT_URL_KINESIS_VIDEO")
        client = kinesis_video_client(None)
        assert client.meta.endpoint_url == (endpoint or "https://kinesisvideo.eu-central-1.amazonaws.com")
        client.close()


def test_a_role_without_credentials_is_the_operator_s_matter(
    provider: KinesisVideo, door: Door, order: Order[Any], monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")
    monkeypatch.setattr(aws, "session", cache(aws.session.__wrapped__))  # one that has not found any
    client = kinesis_video_client(url)
    error = failure_of(lambda: KinesisVideo(client).create(order, Deadline(PATIENT)))
    assert type(error) is ProviderUnauthorized
    assert door.calls() == []
    client.close()


WHERE = "https://kinesisvideo.eu-central-1.amazonaws.com/createStream"


@pytest.mark.parametrize(
    ("silence", "changing", "looking"),
    [
        (boto.EndpointConnectionError(endpoint_url=WHERE), (ProviderUnavailable, Effect.NONE), ProviderUnavailable),
        (boto.ConnectTimeoutError(endpoint_url=WHERE), (ProviderUnavailable, Effect.NONE), ProviderUnavailable),
        (
            boto.ReadTimeoutError(endpoint_url=WHERE),
            (ProviderOutcomeUnknown, Effect.UNKNOWN),
            ProviderUnavailable,
        ),
        (
            boto.ConnectionClosedError(endpoint_url=WHERE),
            (ProviderOutcomeUnknown, Effect.UNKNOWN),
            ProviderUnavailable,
        ),
        (boto.HTTPClientError(error=WHERE), (ProviderOutcomeUnknown, Effect.UNKNOWN), ProviderUnavailable),
        (
            boto.SSLError(endpoint_url=WHERE, error=OSError("bad record")),
            (ProviderUnavailable, Effect.UNKNOWN),
            ProviderUnavailable,
        ),
        (
            boto.ProxyConnectionError(proxy_url=WHERE),
            (ProviderUnavailable, Effect.UNKNOWN),
            ProviderUnavailable,
        ),
        (boto.NoCredentialsError(), (ProviderUnauthorized, Effect.NONE), ProviderUnauthorized),
        (
            boto.CredentialRetrievalError(provider="container-role", error_msg=WHERE),
            (ProviderUnauthorized, Effect.NONE),
            ProviderUnauthorized,
        ),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_each_silence_has_its_own_meaning(
    silence: boto.BotoCoreError, changing: tuple[type[ProviderError], Effect], looking: type[ProviderError]
) -> None:
    changed, looked = wire.silence(silence, changes=True), wire.silence(silence, changes=False)
    assert (type(changed), changed.effect) == changing
    assert (type(looked), looked.effect) == (looking, Effect.NONE)
    assert "amazonaws" not in f"{changed.problem('')}{looked.problem('')}"


# ---- options ----


def faults(**options: Any) -> dict[tuple[Any, ...], str]:
    """Where the options are refused, and the kind of each fault."""
    with pytest.raises(ValidationError) as refused:
        KinesisVideoOptions.model_validate(options)
    return {fault["loc"]: fault["type"] for fault in refused.value.errors()}


def test_all_faults_are_told_at_once() -> None:
    assert faults(
        stream_name="lobby camera",
        device_name="",
        media_type="video/h264, audio/aac",
        kms_key_id="two\nlines",
        data_retention_in_hours=87_601,
        tags={"aws:mine": "no", "fine": "tab\there"},
        stream_storage_configuration={"default_storage_tier": "COLD"},
        no_such_option=1,
    ) == {
        ("stream_name",): "string_pattern_mismatch",
        ("device_name",): "string_too_short",
        ("media_type",): "string_pattern_mismatch",
        ("kms_key_id",): "string_pattern_mismatch",
        ("data_retention_in_hours",): "less_than_equal",
        ("tags", "aws:mine", "[key]"): "value_error",
        ("tags", "fine"): "value_error",
        ("stream_storage_configuration", "default_storage_tier"): "literal_error",
        ("no_such_option",): "extra_forbidden",
    }


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("stream_name", ""),
        ("stream_name", "a" * 257),
        ("stream_name", "lobby\n"),
        ("stream_name", "straße"),
        ("device_name", "a" * 129),
        ("device_name", "a/b"),
        ("media_type", "video"),
        ("media_type", "video/h264,"),
        ("media_type", "vidéo/h264"),
        ("media_type", "video/h264\n"),
        ("media_type", "a/" + "b" * 127),
        ("kms_key_id", ""),
        ("kms_key_id", "a" * 2049),
        ("kms_key_id", "key\u2028"),
        ("data_retention_in_hours", -1),
        ("data_retention_in_hours", 1.5),
        ("data_retention_in_hours", "24"),
        ("data_retention_in_hours", True),
        ("tags", {"": "value"}),
        ("tags", {"k" * 129: "value"}),
        ("tags", {"key": "v" * 257}),
        ("tags", {"key": "semi;colon"}),
        ("tags", {"semi;colon": "value"}),
        ("tags", {"emoji\N{GRINNING FACE}": "value"}),
        ("tags", {"AWS:key": "value"}),
        ("tags", {"headwater:stream-id": "str_other"}),
        ("tags", {"headwater:deployment": "other"}),
        ("tags", {"key": None}),
        ("tags", {f"key{number}": "" for number in range(49)}),
        ("tags", {f"key{number}": "" for number in range(50)}),
        ("stream_storage_configuration", {}),
        ("stream_storage_configuration", {"default_storage_tier": "hot"}),
    ],
)
def test_what_the_service_would_refuse_is_refused_before_it_is_called(field: str, value: Any) -> None:
    [(where, *_)] = faults(**{field: value})
    assert where == field


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("stream_name", "a" * 256),
        ("device_name", "A-1_b.c"),
        ("media_type", "video/h264"),
        ("media_type", "application/vnd.x+json,audio/L16"),
        ("kms_key_id", "arn:aws:kms:eu-central-1:123456789012:key/1234abcd"),
        ("data_retention_in_hours", 87_600),
        ("tags", {}),
        ("tags", {"k" * 128: "v" * 256}),
        ("tags", {"ключ": "né\u00a0à ½ _.:/=+-@"}),
        ("tags", {"awsome": "aws:value"}),
    ],
)
def test_what_the_service_allows_is_sent(provider: KinesisVideo, door: Door, field: str, value: Any) -> None:
    options = KinesisVideoOptions.model_validate({field: value})
    assert provider.create(an_order(provider, options), Deadline(PATIENT)).ref
    assert door.calls("CreateStream")[0].status == 200


@cache
def service_model() -> dict[str, Any]:
    shapes: dict[str, Any] = Loader().load_service_model("kinesisvideo", "service-2")["shapes"]
    return shapes


@pytest.mark.parametrize(
    ("field", "shape"),
    [
        ("stream_name", "StreamName"),
        ("device_name", "DeviceName"),
        ("media_type", "MediaType"),
        ("kms_key_id", "KmsKeyId"),
    ],
)
def test_lengths_are_those_of_the_service_s_model(field: str, shape: str) -> None:
    schema = KinesisVideoOptions.model_json_schema()["properties"][field]["anyOf"][0]
    told = service_model()[shape]
    assert (schema["minLength"], schema["maxLength"]) == (told["min"], told["max"])


def test_every_field_of_the_request_is_an_option() -> None:
    asked = wire.creation(Order("str_any", KinesisVideoOptions.model_validate(FULLEST)))
    assert asked.keys() == service_model()["CreateStreamInput"]["members"].keys()
    assert FULLEST.keys() == KinesisVideoOptions.model_fields.keys()


def test_every_documented_exception_of_a_create_is_told_apart() -> None:
    documented = {
        error["shape"]
        for error in Loader().load_service_model("kinesisvideo", "service-2")["operations"]["CreateStream"]["errors"]
    }
    assert len(documented) == 7
    assert documented <= wire.MEANINGS.keys()


def test_every_option_is_described() -> None:
    schema = TypeAdapter(KinesisVideo.options_type).json_schema()
    assert all(field["description"] for field in schema["properties"].values())
