"""Kinesis Video Streams as a provider, against moto extended, over real HTTP."""

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from itertools import pairwise
from typing import Any

import pytest
from botocore import exceptions as boto
from botocore.loaders import Loader
from pydantic import TypeAdapter, ValidationError

from headwater.deadline import Deadline
from headwater.errors import (
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
from headwater.provider import Handle, Order, Resource, Search
from headwater.streams import Access, State
from local.door import Door, serve
from local.kinesis_video.models import Settings
from local.kinesis_video.server import kinesis_video
from provision_kinesis_video import provider as module
from provision_kinesis_video import wire
from provision_kinesis_video.calls import kinesis_video_client
from provision_kinesis_video.options import KinesisVideoOptions
from provision_kinesis_video.provider import KinesisVideo
from tests.providers.provider_contract import (
    ALWAYS,
    BRIEF,
    OURS,
    PATIENT,
    ProviderContract,
    Refusal,
    an_order,
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


class TestKinesisVideo(ProviderContract):
    creates, reads, removes = "CreateStream", "DescribeStream", "DeleteStream"
    findable = marks = True
    hands_out_secrets = False
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
    assert [call.operation for call in door.calls()] == ["DescribeStream"]


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
    monkeypatch.setattr(module, "LISTING_PAUSE", 0.2)
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
    monkeypatch.setattr(module, "BUSY_SECONDS", 0.05)
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
    monkeypatch.setattr("boto3.DEFAULT_SESSION", None)
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
