"""A tenant's streams across providers: newest first, each once, whatever the limit; and what providers can do."""

import base64
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from browse_streams.handler import _api, handler
from browse_streams.listing import LIMIT_DEFAULT, LIMIT_MAX, Listing, Page, Query, query
from headwater import aws, events
from headwater.attributes import from_attributes, to_attributes
from headwater.breaker import Settings, behind_breaker
from headwater.catalogue import catalogue
from headwater.changing import OURS
from headwater.circuits import CIRCUITS
from headwater.deadline import Deadline
from headwater.errors import InvalidRequest, ProviderUnavailable, Upstream
from headwater.provider import EVERYWHERE, Order, Resource
from headwater.records import Record
from headwater.store import LISTED, Table, shard, stream_item
from headwater.streams import State, Stream, href, identify
from local.generate import FUNCTIONS
from tests.unit.fakes import FakeOptions, FakeProvider, a_claimed_record

BEGIN = datetime(2026, 11, 20, 8, tzinfo=UTC)
TENANT, OTHER = "aws:123456789012", "aws:999999999999"
PROVIDERS = ("fake-one", "fake-two")
STATES = (State.READY, State.LIVE, State.ENDED)


def a_record(number: int, second: int = 0, provider: str = "fake-one", state: State = State.READY) -> Record:
    """A settled record; ``number`` makes it another stream."""
    stream_id = identify("unit", TENANT, provider, str(number))
    moment = BEGIN + timedelta(seconds=second)
    stream = Stream(
        id=stream_id,
        provider=provider,
        name=f"camera {number}",
        state=state,
        version=1,
        created_at=moment,
        updated_at=moment,
        href=href(provider, stream_id),
        options={"quality": 1},
    )
    return Record(stream=stream, tenant=TENANT, fingerprint="f")


class FakeIndex:
    """The index by tenant, as DynamoDB's ``query`` shows it. A test below holds it to moto's."""

    def __init__(self, records: list[Record]) -> None:
        self._items = [stream_item(record) for record in records]
        self.read = 0
        """How many items were looked at."""

    def query(self, **asked: Any) -> dict[str, Any]:
        values = from_attributes(asked["ExpressionAttributeValues"])
        mine = [item for item in self._items if item.get("tenant_shard") == values[":shard"]]
        if "AND created_id < :after" in asked["KeyConditionExpression"]:
            mine = [item for item in mine if item["created_id"] < values[":after"]]
        mine.sort(key=lambda item: str(item["created_id"]), reverse=not asked["ScanIndexForward"])
        page = mine[: asked["Limit"]]
        self.read += len(page)
        more: dict[str, Any] = {"LastEvaluatedKey": {}} if len(page) == asked["Limit"] else {}
        return {"Items": [to_attributes(_projected(item)) for item in page], **more}


def _projected(item: dict[str, Any]) -> dict[str, Any]:
    names = ("pk", "sk", "tenant_shard", "created_id", "listed", "provider", "state")
    return {name: item[name] for name in names}


def pages(index: Any, asked: Query) -> list[Page]:
    """Page after page, as a caller asks for them, by the cursor that each brings."""
    found = [Listing(index, "table").page(asked)]
    while cursor := found[-1].cursor:
        found.append(Listing(index, "table").page(replace(asked, after=asked.position(cursor))))
        assert len(found) < 500, "it does not end"
    return found


def listed(found: list[Page]) -> list[str]:
    return [stream["id"] for page in found for stream in page.streams]


def newest_first(records: list[Record]) -> list[str]:
    streams = [record.stream for record in records]
    return [stream.id for stream in sorted(streams, key=lambda each: (each.created_at, each.id), reverse=True)]


RECORDS = st.lists(st.tuples(st.integers(0, 20), st.sampled_from(PROVIDERS), st.sampled_from(STATES)), max_size=60).map(
    lambda drawn: [a_record(number, *each) for number, each in enumerate(drawn)]
)


@given(RECORDS, st.integers(1, 70))
def test_every_stream_is_listed_once_and_newest_first_whatever_the_limit(records: list[Record], limit: int) -> None:
    found = pages(FakeIndex(records), Query(TENANT, limit=limit))
    assert listed(found) == newest_first(records)
    assert all(len(page.streams) <= limit for page in found)


@given(RECORDS, st.integers(1, 20), st.sampled_from([None, *PROVIDERS]), st.sampled_from([None, *STATES]))
def test_a_filter_leaves_out_what_it_should_and_nothing_else(
    records: list[Record], limit: int, provider: str | None, state: State | None
) -> None:
    found = pages(FakeIndex(records), Query(TENANT, provider, state, limit))
    wanted = [
        record
        for record in records
        if provider in {None, record.stream.provider} and state in {None, record.stream.state}
    ]
    assert listed(found) == newest_first(wanted)


@given(RECORDS, st.integers(1, 20))
def test_what_a_page_reads_is_bounded_though_nothing_fits_the_filter(records: list[Record], limit: int) -> None:
    index = FakeIndex(records)
    asked = Query(TENANT, provider="nobody", limit=limit)
    page = Listing(index, "table").page(asked)  # type: ignore[arg-type] # the fake has what is used
    assert page.streams == []
    assert index.read <= 8 * limit
    assert listed(pages(index, asked)) == []


@given(RECORDS, st.integers(1, 20))
def test_a_stream_that_is_opened_meanwhile_doubles_and_hides_nothing(records: list[Record], limit: int) -> None:
    asked = Query(TENANT, limit=limit)
    page = Listing(FakeIndex(records), "table").page(asked)  # type: ignore[arg-type] # the fake has what is used
    newer = [a_record(1000 + number, 100) for number in range(10)]
    index = FakeIndex(records + newer)
    rest = pages(index, replace(asked, after=asked.position(page.cursor))) if page.cursor else []
    assert listed([page, *rest]) == newest_first(records)


# ---- cursors

QUERIES = st.builds(Query, st.sampled_from([TENANT, OTHER]), st.sampled_from([None, *PROVIDERS]))


@given(QUERIES, st.text())
def test_a_cursor_tells_its_own_query_where_it_was(asked: Query, after: str) -> None:
    assert asked.position(asked.cursor(after)) == after
    assert replace(asked, limit=7).position(asked.cursor(after)) == after


@given(QUERIES, QUERIES)
def test_a_cursor_is_of_no_use_to_another_tenant_or_query(one: Query, another: Query) -> None:
    if one == another:
        return
    with pytest.raises(ValueError, match="another query's"):
        another.position(one.cursor("2026"))


@given(st.text())
@example(base64.urlsafe_b64encode(b"[" * 5000).decode())
@example(base64.urlsafe_b64encode(b"7").decode())
@example(base64.urlsafe_b64encode(b'{"a": 1, "b": 2}').decode())
def test_whatever_is_no_cursor_is_refused_with_its_place(text: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        query(TENANT, {"cursor": text}, frozenset(PROVIDERS))
    assert [fault.pointer for fault in refused.value.faults] == ["/cursor"]


def test_every_fault_of_a_query_is_told_at_once() -> None:
    wrong = {"provider": "nobody", "state": "happy", "limit": "0", "cursor": "x", "colour": "red"}
    with pytest.raises(InvalidRequest) as refused:
        query(TENANT, wrong, frozenset(PROVIDERS))
    assert {fault.pointer for fault in refused.value.faults} == {f"/{name}" for name in wrong}


@pytest.mark.parametrize("limit", ["0", "-1", "101", "1.5", "ten", ""])
def test_a_limit_is_a_number_from_1_to_100(limit: str) -> None:
    with pytest.raises(InvalidRequest):
        query(TENANT, {"limit": limit}, frozenset(PROVIDERS))


def test_a_query_without_parameters_is_for_twenty_of_everything() -> None:
    assert query(TENANT, {}, frozenset(PROVIDERS)) == Query(TENANT, None, None, LIMIT_DEFAULT, None)
    assert query(TENANT, {"limit": "100"}, frozenset(PROVIDERS)).limit == LIMIT_MAX


# ---- in the table


def put(table: str, records: list[Record]) -> None:
    client = aws.client("dynamodb")
    for record in records:
        client.put_item(TableName=table, Item=to_attributes(stream_item(record)))


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(RECORDS, st.integers(1, 20))
def test_the_fake_index_is_as_the_table_s(table: str, records: list[Record], limit: int) -> None:
    client = aws.client("dynamodb")
    put(table, records)
    asked = Query(TENANT, limit=limit)
    assert listed(pages(client, asked)) == listed(pages(FakeIndex(records), asked))
    for record in records:
        item = stream_item(record)
        client.delete_item(TableName=table, Key=to_attributes({"pk": item["pk"], "sk": item["sk"]}))


def test_the_streams_of_a_test_are_in_several_shards() -> None:
    assert len({shard(a_record(number).stream.id) for number in range(60)}) == 8


CONTEXT = SimpleNamespace(get_remaining_time_in_millis=lambda: 29_000)


@pytest.fixture
def listing(table: str) -> str:
    """The table, with the function's clients made anew."""
    _api.cache_clear()
    return table


def call(path: str = "/streams", method: str = "GET", account: str = TENANT, **parameters: str) -> dict[str, Any]:
    event = {
        "resource": path,
        "path": path,
        "httpMethod": method,
        "headers": {},
        "queryStringParameters": parameters or None,
        "body": None,
        "isBase64Encoded": False,
        "requestContext": {
            "requestId": "request",
            "identity": {"accountId": account.removeprefix("aws:")},
            "path": f"/v1{path}",
            "domainName": "api.example",
        },
    }
    answer = handler(event, CONTEXT)
    return {"status": answer["statusCode"], **json.loads(answer["body"])}


def test_a_caller_pages_through_its_streams(listing: str) -> None:
    records = [a_record(number, number, "cloudflare") for number in range(7)]
    put(listing, records)
    found, cursor = [], None
    while True:
        page = call(limit="3", **({"cursor": cursor} if cursor else {}))
        assert page["status"] == 200
        found += [stream["id"] for stream in page["streams"]]
        if not (cursor := page["cursor"]):
            break
    assert found == newest_first(records)


def test_a_listed_stream_is_shown_without_what_is_not_for_lists(listing: str) -> None:
    put(listing, [a_record(1, provider="cloudflare")])
    (shown,) = call()["streams"]
    assert set(shown) == LISTED
    assert shown["href"] == f"/streams/cloudflare/{shown['id']}"


def test_another_tenant_s_streams_are_not_shown_and_its_cursor_is_refused(listing: str) -> None:
    put(listing, [a_record(number, number, "cloudflare") for number in range(5)])
    assert call(account=OTHER)["streams"] == []
    cursor = call(limit="2")["cursor"]
    assert call(account=OTHER, cursor=cursor)["status"] == 422
    assert call(cursor=cursor, provider="cloudflare")["status"] == 422
    assert call(cursor=cursor, limit="1")["status"] == 200


def test_a_stream_is_listed_once_it_is_settled_and_stays_when_it_is_over(listing: str) -> None:
    store = Table(aws.client("dynamodb"), listing)
    claimed = a_claimed_record(tenant=TENANT)
    assert store.claim(claimed) is None
    assert call()["streams"] == []
    stream = claimed.stream.model_copy(update={"state": State.READY, "version": 1, "provider_ref": "ref-1"})
    settled = claimed.model_copy(update={"stream": stream, "claim": None, "request_secrets": None})
    event = events.happened(events.StreamCreated, stream, TENANT, "request")
    written = store.settle(settled, event)
    assert [each["state"] for each in call()["streams"]] == ["ready"]
    over = written.model_copy(update={"stream": stream.model_copy(update={"state": State.ENDED})})
    store.update(over)
    assert [each["state"] for each in call(state="ended")["streams"]] == ["ended"]
    assert call(state="ready")["streams"] == []


def test_an_ended_stream_is_listed_for_thirty_days_of_business_time(
    listing: str, ahead: Callable[[float], None]
) -> None:
    ended = a_record(1, provider="cloudflare", state=State.ENDED).model_copy(update={"ended_at": datetime.now(UTC)})
    put(listing, [ended])
    ahead(30 * 86_400 - 60)
    assert [each["id"] for each in call()["streams"]] == [ended.stream.id]
    ahead(30 * 86_400)
    assert call()["streams"] == []


def test_a_circuit_is_known_by_real_time(listing: str, ahead: Callable[[float], None]) -> None:
    provider = behind_breaker(Away(), aws.client("dynamodb"), listing)
    for _ in range(Settings().failures):
        with pytest.raises(ProviderUnavailable):
            provider.create(Order("str_1", FakeOptions()), Deadline(20))
    ahead(30 * 86_400)
    assert circuits_told()["cloudflare"]["state"] == "open"


def test_what_providers_can_do_is_told(listing: str) -> None:
    told = call("/providers")
    closed = {"state": "closed", "since": None}
    assert {each["provider"]: each for each in told["providers"]} == {
        name: {**one, "circuit": closed} for name, one in catalogue(FUNCTIONS).items()
    }


def test_what_of_a_stream_can_be_changed_is_told_beforehand(listing: str) -> None:
    for each in call("/providers")["providers"]:
        assert set(each["changeable"]) >= OURS, each["provider"]
        assert set(each["verbs"]) >= EVERYWHERE
        assert each["notifies"] in {True, False}


def circuits_told() -> dict[str, Any]:
    answer = call("/providers")
    assert answer["status"] == 200
    return {each["provider"]: each["circuit"] for each in answer["providers"]}


class Away(FakeProvider):
    name: ClassVar[str] = "cloudflare"

    def create(self, order: Order[Any], deadline: Deadline) -> Resource:
        deadline.remaining()
        raise ProviderUnavailable("it could not be reached", upstream=Upstream(self.name))


def test_whose_circuit_is_open_is_told_and_since_when(listing: str) -> None:
    provider = behind_breaker(Away(), aws.client("dynamodb"), listing)
    begun = datetime.now(UTC).replace(microsecond=0)
    for _ in range(Settings().failures):
        with pytest.raises(ProviderUnavailable):
            provider.create(Order("str_1", FakeOptions()), Deadline(20))
    circuit = circuits_told().pop("cloudflare")
    assert circuit["state"] == "open"
    assert begun <= datetime.fromisoformat(circuit["since"]) <= datetime.now(UTC)
    assert {each["state"] for name, each in circuits_told().items() if name != "cloudflare"} == {"closed"}
    assert call()["streams"] == []


def test_a_circuit_that_nobody_has_written_to_for_long_is_closed(listing: str) -> None:
    listed = {"state": "open", "since": "2026-01-01T00:00:00Z"}
    item = {"pk": CIRCUITS, "sk": "pyannote", "tenant_shard": CIRCUITS, "created_id": "pyannote", "expires": 1}
    aws.client("dynamodb").put_item(TableName=listing, Item=to_attributes(item | {"listed": json.dumps(listed)}))
    assert circuits_told()["pyannote"]["state"] == "closed"


def test_providers_are_told_though_their_circuits_cannot_be_read(listing: str) -> None:
    aws.client("dynamodb").delete_table(TableName=listing)
    assert set(circuits_told()) == set(catalogue(FUNCTIONS))
    assert set(circuits_told().values()) == {None}


@pytest.mark.parametrize("method", ["GET", "POST", "PATCH", "PUT", "DELETE"])
@pytest.mark.parametrize("path", ["/streams/nobody", "/streams/nobody/str_1", "/streams/nobody/str_1/credentials"])
def test_an_unknown_provider_is_told_so_and_which_there_are(listing: str, method: str, path: str) -> None:
    answer = call(path, method)
    assert (answer["status"], answer["code"]) == (404, "provider-unknown")
    assert all(provider in answer["detail"] for provider in catalogue(FUNCTIONS))


def test_another_address_is_told_that_nothing_is_there(listing: str) -> None:
    assert call("/nowhere")["code"] == "route-not-found"
