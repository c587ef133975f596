"""The table's conditional writes, asked of the table itself and of the fake that stands for it elsewhere."""

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from botocore.exceptions import ClientError
from botocore.stub import Stubber

from headwater import aws, events
from headwater.attributes import from_attributes, to_attributes
from headwater.events import Happened, StreamCreated, StreamDeleted, StreamFailed
from headwater.ports import Stale, Store
from headwater.records import Record
from headwater.store import DUE_SHARDS, SEALED, Table, event_item, record_of, shard, stream_item
from headwater.streams import Lease, State, identify, now
from tests.unit.fakes import CALLER, FakeStore, a_claimed_record

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

NAME = "table"
TEMPLATE = Path(__file__).parents[2] / "template.yaml"


class CloudFormation(yaml.SafeLoader):
    """Reads a template, whose functions do not matter here."""


CloudFormation.add_multi_constructor("!", lambda _loader, _suffix, _node: None)


def table_properties() -> dict[str, Any]:
    """The table as the template declares it."""
    template = yaml.load(TEMPLATE.read_text(), CloudFormation)  # noqa: S506  # a SafeLoader
    declared: dict[str, Any] = template["Resources"]["Table"]["Properties"]
    names = ("BillingMode", "AttributeDefinitions", "KeySchema", "GlobalSecondaryIndexes")
    return {name: declared[name] for name in names}


def settled(record: Record, **stream: Any) -> Record:
    """The record as its attempt settles it."""
    version = record.stream.version + 1
    update = {"state": State.READY, "provider_ref": "ref-1", "version": version, **stream}
    return record.model_copy(
        update={"stream": record.stream.model_copy(update=update), "claim": None, "request_secrets": None}
    )


def taken_over(record: Record) -> Record:
    assert record.claim
    claim = record.claim.model_copy(update={"attempt": record.attempt + 1})
    return record.model_copy(update={"attempt": record.attempt + 1, "claim": claim})


def sealing(record: Record, sealed: bytes | None) -> Record:
    """The record with these credentials, sealed."""
    return record.model_copy(update={"sealed_credentials": sealed})


def kept(store: Store, stream_id: str) -> bytes | None:
    """The sealed credentials of a record that is there."""
    record = store.load(stream_id)
    assert record
    return record.sealed_credentials


def told(record: Record, kind: type[Happened] = StreamCreated) -> Happened:
    more = {"problem": events.Problem(code="provider-rejected", detail="no")} if kind is StreamFailed else {}
    return events.happened(kind, record.stream, CALLER.tenant, CALLER.request_id, **more)


def next_version(record: Record, **stream: Any) -> Record:
    update = {"version": record.stream.version + 1, **stream}
    return record.model_copy(update={"stream": record.stream.model_copy(update=update)})


class StoreContract:
    """What the workflows rely on. A subclass gives the fixtures ``store`` and ``forget``."""

    @pytest.fixture
    def store(self) -> Store:
        raise TypeError("a subclass gives the store")

    @pytest.fixture
    def forget(self) -> Callable[[str], None]:
        raise TypeError("a subclass says how the stream's record alone is removed, as time to live may")

    @pytest.fixture
    def claimed(self, store: Store) -> Record:
        record = a_claimed_record()
        assert store.claim(record) is None
        return record

    @pytest.fixture
    def standing(self, store: Store, claimed: Record) -> Record:
        """A settled record with credentials and one event."""
        after = sealing(settled(claimed), b"sealed \x00\xff")
        return store.settle(after, told(after))

    # claim

    def test_a_claim_of_a_new_id_is_granted_and_kept_whole(self, store: Store) -> None:
        record = a_claimed_record()
        assert store.claim(record) is None
        assert store.load(record.stream.id) == record

    def test_a_claim_of_a_used_id_is_refused_with_what_is_there(self, store: Store, claimed: Record) -> None:
        another = claimed.model_copy(update={"fingerprint": "another"})
        assert store.claim(another) == claimed
        assert store.load(claimed.stream.id) == claimed

    def test_a_claim_of_a_settled_id_is_refused_with_what_is_there(self, store: Store, standing: Record) -> None:
        assert store.claim(a_claimed_record()) == standing

    def test_claims_of_two_ids_do_not_meet(self, store: Store, claimed: Record) -> None:
        assert store.claim(a_claimed_record("another key")) is None

    # what a resource is recorded as

    def test_a_resource_s_stream_is_found_by_it(self, store: Store, standing: Record) -> None:
        assert store.recorded_as("fake", "ref-1") == [standing.stream.id]

    def test_another_s_resource_of_the_same_id_is_another(self, store: Store, standing: Record) -> None:
        assert store.recorded_as("another", "ref-1") == []
        assert store.recorded_as("fake", "ref-11") == []

    def test_all_that_a_resource_was_recorded_as_are_found(self, store: Store, standing: Record) -> None:
        second = a_claimed_record("second")
        store.claim(second)
        after = settled(second)
        store.settle(after, told(after))
        assert sorted(store.recorded_as("fake", "ref-1")) == sorted([standing.stream.id, after.stream.id])

    def test_what_is_being_created_has_no_resource_yet(self, store: Store, claimed: Record) -> None:
        assert store.recorded_as("fake", "ref-1") == []

    # load

    def test_what_is_not_there_is_none(self, store: Store) -> None:
        assert store.load("str_none") is None
        assert store.timeline("str_none") == []

    def test_a_settled_record_is_kept_whole(self, store: Store, claimed: Record) -> None:
        moment = now()
        lease = Lease(ttl_seconds=45, expires_at=moment, renewed_at=moment, beat=3)
        ingest = [{"protocol": "whip", "url": None}]
        after = settled(claimed, lease=lease, expires_at=moment, ingest=ingest, provider_status="ok")
        after = after.model_copy(update={"notes": {"arn": "a:b", "n": 1.5, "x": None}, "ambiguous_creates": 2})
        written = store.settle(after, told(after))
        assert store.load(claimed.stream.id) == written == after.model_copy(update={"revision": 2})

    def test_a_record_whose_time_is_over_is_not_read(self, store: Store, standing: Record) -> None:
        store.update(standing.model_copy(update={"ended_at": now() - timedelta(days=30, seconds=2)}))
        assert store.load(standing.stream.id) is None

    def test_a_record_whose_time_is_not_over_is_read(self, store: Store, standing: Record) -> None:
        store.update(standing.model_copy(update={"ended_at": now() - timedelta(days=29, hours=23)}))
        assert store.load(standing.stream.id)

    def test_a_key_is_free_again_when_its_record_s_time_is_over(self, store: Store, standing: Record) -> None:
        store.update(standing.model_copy(update={"ended_at": now() - timedelta(days=30, seconds=2)}))
        again = a_claimed_record()
        assert store.claim(again) is None
        assert store.load(again.stream.id) == again

    # update

    def test_an_update_of_the_revision_that_is_there_replaces_it(self, store: Store, claimed: Record) -> None:
        written = store.update(taken_over(claimed))
        assert written.revision == claimed.revision + 1
        assert store.load(claimed.stream.id) == written

    def test_an_update_of_another_revision_is_refused(self, store: Store, claimed: Record) -> None:
        first = store.update(taken_over(claimed))
        with pytest.raises(Stale):
            store.update(taken_over(claimed))
        assert store.load(claimed.stream.id) == first

    def test_an_update_of_what_is_not_there_is_refused(self, store: Store) -> None:
        record = a_claimed_record()
        with pytest.raises(Stale):
            store.update(record)
        assert store.load(record.stream.id) is None

    def test_updates_follow_each_other(self, store: Store, claimed: Record) -> None:
        record = claimed
        for _ in range(3):
            record = store.update(taken_over(record))
        assert (record.revision, record.attempt) == (4, 4)

    def test_an_update_writes_its_event_and_keeps_the_credentials(self, store: Store, standing: Record) -> None:
        after = next_version(standing, state=State.LIVE)
        written = store.update(after, told(after, StreamDeleted))
        assert written.sealed_credentials == b"sealed \x00\xff"
        assert store.load(standing.stream.id) == written
        assert [event["type"] for event in store.timeline(standing.stream.id)] == ["StreamCreated", "StreamDeleted"]
        assert kept(store, standing.stream.id) == b"sealed \x00\xff"

    def test_an_update_without_an_event_keeps_the_credentials(self, store: Store, standing: Record) -> None:
        assert store.update(standing).sealed_credentials == b"sealed \x00\xff"
        assert kept(store, standing.stream.id) == b"sealed \x00\xff"

    def test_an_update_replaces_credentials(self, store: Store, standing: Record) -> None:
        written = store.update(sealing(standing, b"new"))
        assert store.load(standing.stream.id) == written
        assert written.sealed_credentials == b"new"
        assert len(store.timeline(standing.stream.id)) == 1

    @pytest.mark.parametrize("with_event", [False, True])
    def test_an_update_removes_credentials(self, store: Store, standing: Record, with_event: bool) -> None:
        after = sealing(next_version(standing) if with_event else standing, None)
        store.update(after, told(after, StreamDeleted) if with_event else None)
        assert kept(store, standing.stream.id) is None

    def test_whoever_read_before_credentials_were_removed_does_not_bring_them_back(
        self, store: Store, standing: Record
    ) -> None:
        written = store.update(sealing(standing, None))
        for event in (None, told(next_version(standing), StreamDeleted)):
            with pytest.raises(Stale):
                store.update(standing, event)
        assert store.load(standing.stream.id) == written
        assert written.sealed_credentials is None

    def test_whoever_read_before_credentials_were_replaced_does_not_bring_the_old_ones_back(
        self, store: Store, standing: Record
    ) -> None:
        store.update(sealing(standing, b"new"))
        with pytest.raises(Stale):
            store.update(next_version(standing, name="hall"))
        assert kept(store, standing.stream.id) == b"new"

    def test_a_refused_update_writes_nothing(self, store: Store, standing: Record) -> None:
        stale = next_version(standing.model_copy(update={"revision": 1}))
        with pytest.raises(Stale):
            store.update(sealing(stale, b"other"), told(stale, StreamDeleted))
        assert store.load(standing.stream.id) == standing
        assert len(store.timeline(standing.stream.id)) == 1
        assert kept(store, standing.stream.id) == b"sealed \x00\xff"

    def test_an_event_is_never_overwritten(self, store: Store, standing: Record) -> None:
        with pytest.raises(Stale):
            store.update(standing, told(standing, StreamDeleted))
        assert [event["type"] for event in store.timeline(standing.stream.id)] == ["StreamCreated"]
        assert store.load(standing.stream.id) == standing

    # settle

    def test_the_attempt_that_holds_the_claim_settles(self, store: Store, claimed: Record) -> None:
        after = sealing(settled(claimed), b"sealed")
        written = store.settle(after, told(after))
        assert store.load(claimed.stream.id) == written
        assert written.sealed_credentials == b"sealed"
        assert [event["type"] for event in store.timeline(claimed.stream.id)] == ["StreamCreated"]

    def test_an_attempt_that_was_taken_over_does_not_settle(self, store: Store, claimed: Record) -> None:
        other = store.update(taken_over(claimed))
        after = settled(claimed)
        with pytest.raises(Stale):
            store.settle(sealing(after, b"sealed"), told(after))
        assert store.load(claimed.stream.id) == other
        assert kept(store, claimed.stream.id) is None
        assert store.timeline(claimed.stream.id) == []

    def test_an_attempt_that_knows_the_revision_but_not_the_claim_does_not_settle(
        self, store: Store, claimed: Record
    ) -> None:
        other = store.update(taken_over(claimed))
        after = settled(claimed).model_copy(update={"revision": other.revision})
        with pytest.raises(Stale):
            store.settle(after, told(after))
        assert store.load(claimed.stream.id) == other

    def test_an_attempt_that_has_the_claim_but_not_the_latest_revision_does_not_settle(
        self, store: Store, claimed: Record
    ) -> None:
        noted = store.update(claimed.model_copy(update={"ambiguous_creates": 1}))
        after = settled(claimed)
        with pytest.raises(Stale):
            store.settle(after, told(after))
        assert store.load(claimed.stream.id) == noted

    def test_what_is_settled_is_not_settled_again(self, store: Store, standing: Record) -> None:
        after = next_version(standing)
        with pytest.raises(Stale):
            store.settle(sealing(after, b"other"), told(after))
        assert store.load(standing.stream.id) == standing
        assert kept(store, standing.stream.id) == b"sealed \x00\xff"

    def test_what_is_not_there_is_not_settled(self, store: Store) -> None:
        after = settled(a_claimed_record())
        with pytest.raises(Stale):
            store.settle(after, told(after))
        assert store.load(after.stream.id) is None

    def test_a_failure_is_settled_without_credentials(self, store: Store, claimed: Record) -> None:
        after = settled(claimed, state=State.FAILED, provider_ref=None)
        store.settle(after, told(after, StreamFailed))
        assert kept(store, claimed.stream.id) is None

    # the timeline

    def test_the_timeline_tells_the_events_as_published_oldest_first(self, store: Store, standing: Record) -> None:
        record, published = standing, [told(standing)]
        for _ in range(11):
            record = next_version(record)
            published.append(told(record, StreamDeleted))
            record = store.update(record, published[-1])
        timeline = store.timeline(standing.stream.id)
        assert [event["sequence"] for event in timeline] == list(range(1, 13))
        assert timeline == [
            {"type": type(event).__name__, **json.loads(event.model_dump_json())} for event in published
        ]

    def test_the_timeline_is_of_one_stream(self, store: Store, standing: Record) -> None:
        assert store.timeline(identify("d", "t", "p", "k")) == []

    def test_an_event_whose_time_is_over_is_not_told(self, store: Store, claimed: Record) -> None:
        old = settled(claimed, updated_at=now() - timedelta(days=30, seconds=2))
        record = store.settle(old, told(old))
        record = next_version(record, updated_at=now())
        store.update(record, told(record, StreamDeleted))
        assert [event["type"] for event in store.timeline(claimed.stream.id)] == ["StreamDeleted"]

    def test_an_event_whose_time_is_over_is_in_nobody_s_way(
        self, store: Store, claimed: Record, forget: Callable[[str], None]
    ) -> None:
        """Time to live removes items in any order and days late: the record may be gone before its events."""
        old = settled(claimed, updated_at=now() - timedelta(days=31))
        store.settle(old, told(old))
        forget(claimed.stream.id)
        again = a_claimed_record()
        assert store.claim(again) is None
        after = settled(again)
        store.settle(after, told(after))
        assert [event["type"] for event in store.timeline(claimed.stream.id)] == ["StreamCreated"]


class TestFakeStore(StoreContract):
    @pytest.fixture
    def store(self) -> FakeStore:
        return FakeStore()

    @pytest.fixture
    def forget(self, store: FakeStore) -> Callable[[str], None]:
        def remove(stream_id: str) -> None:
            del store.records[stream_id]

        return remove


@pytest.fixture
def client(cloud: None) -> "DynamoDBClient":
    client: DynamoDBClient = aws.client("dynamodb")
    client.create_table(TableName=NAME, **table_properties())
    return client


@pytest.fixture
def table(client: "DynamoDBClient") -> Table:
    return Table(client, NAME)


def items(client: "DynamoDBClient") -> dict[str, dict[str, Any]]:
    """Everything in the table, by sort key."""
    scanned = client.scan(TableName=NAME)["Items"]
    return {item["sk"]: item for item in map(from_attributes, scanned)}


def key_of(record: Record, sort: str = "STREAM") -> Any:
    return to_attributes({"pk": f"STREAM#{record.stream.id}", "sk": sort})


class TestTable(StoreContract):
    @pytest.fixture
    def store(self, table: Table) -> Table:
        return table

    @pytest.fixture
    def forget(self, client: "DynamoDBClient") -> Callable[[str], None]:
        def remove(stream_id: str) -> None:
            client.delete_item(TableName=NAME, Key=to_attributes({"pk": f"STREAM#{stream_id}", "sk": "STREAM"}))

        return remove

    def test_a_claim_is_found_by_when_it_is_due_and_is_not_listed(self, table: Table, client: "DynamoDBClient") -> None:
        record = a_claimed_record()
        table.claim(record)
        item = items(client)["STREAM"]
        assert record.claim
        assert item["claim"]["attempt"] == 1
        assert item["due_shard"] == f"DUE#{shard(record.stream.id, DUE_SHARDS)}"
        assert record.due_at
        assert item["due_at"] == record.due_at.isoformat(timespec="milliseconds")
        assert "tenant_shard" not in item
        assert "provider_ref" not in item
        assert bytes(item["request_secrets"]) == record.request_secrets
        assert "expires" not in item

    def test_a_settling_writes_two_items_at_once(self, table: Table, client: "DynamoDBClient") -> None:
        record = a_claimed_record()
        table.claim(record)
        after = sealing(settled(record), b"sealed")
        event = told(after)
        table.settle(after, event)
        written = items(client)
        assert set(written) == {"STREAM", "EVENT#0000000001"}
        assert {item["pk"] for item in written.values()} == {f"STREAM#{record.stream.id}"}
        assert written["EVENT#0000000001"]["detail"] == event.model_dump_json()
        assert written["EVENT#0000000001"]["type"] == "StreamCreated"
        assert bytes(written["STREAM"]["sealed_credentials"]) == b"sealed"
        assert b"sealed" not in repr(written["EVENT#0000000001"]).encode()
        for gone in ("claim", "due_at", "due_shard", "request_secrets"):
            assert gone not in written["STREAM"]

    def test_a_settled_stream_is_listed_by_its_tenant_and_found_by_its_ref(
        self, table: Table, client: "DynamoDBClient"
    ) -> None:
        record = a_claimed_record()
        table.claim(record)
        after = settled(record, ingest=[{"protocol": "whip", "url": "https://long.example"}])
        after = sealing(after, b"sealed")
        table.settle(after, told(after))
        item = items(client)["STREAM"]
        assert item["tenant_shard"] == f"{record.tenant}#{shard(record.stream.id)}"
        assert item["created_id"].endswith(f"#{record.stream.id}")
        assert item["provider_ref"] == "fake#ref-1"
        listed = json.loads(item["listed"])
        assert (listed["id"], listed["state"], listed["name"]) == (record.stream.id, "ready", "lobby camera")
        assert "ingest" not in listed
        for index, name in (("by_tenant", "tenant_shard"), ("by_provider_ref", "provider_ref")):
            found = client.query(
                TableName=NAME,
                IndexName=index,
                KeyConditionExpression="#k = :v",
                ExpressionAttributeNames={"#k": name},
                ExpressionAttributeValues=to_attributes({":v": item[name]}),
            )
            assert found["Count"] == 1
            assert "sealed_credentials" not in found["Items"][0]

    def test_no_index_has_what_is_sealed(self, table: Table, client: "DynamoDBClient") -> None:
        record = sealing(a_claimed_record(), b"sealed")
        table.claim(record)
        after = sealing(settled(record), b"sealed").model_copy(update={"look_at": now()})
        table.settle(after, told(after))
        indexes = client.describe_table(TableName=NAME)["Table"]["GlobalSecondaryIndexes"]
        assert len(indexes) == 3
        for index in indexes:
            [item] = client.scan(TableName=NAME, IndexName=index["IndexName"])["Items"]
            assert not set(SEALED) & set(item), index["IndexName"]

    def test_credentials_that_are_removed_are_not_in_the_item_any_more(
        self, table: Table, client: "DynamoDBClient"
    ) -> None:
        record = a_claimed_record()
        table.claim(record)
        after = sealing(settled(record), b"sealed")
        standing = table.settle(after, told(after))
        table.update(sealing(standing, None))
        assert "sealed_credentials" not in items(client)["STREAM"]

    def test_an_event_is_kept_for_thirty_days_and_an_ended_record_too(
        self, table: Table, client: "DynamoDBClient"
    ) -> None:
        record = a_claimed_record()
        table.claim(record)
        after = settled(record, state=State.ENDED).model_copy(update={"ended_at": record.stream.created_at})
        table.settle(after, told(after))
        in_thirty_days = int((record.stream.created_at + timedelta(days=30)).timestamp())
        written = items(client)
        assert written["STREAM"]["expires"] == in_thirty_days
        assert written["EVENT#0000000001"]["expires"] == in_thirty_days

    def test_two_writers_of_one_revision_never_share_a_client_token(
        self, table: Table, client: "DynamoDBClient"
    ) -> None:
        """DynamoDB answers a token that it knows with another request by a validation error, not by a refusal."""
        tokens: list[str] = []
        client.meta.events.register(
            "provide-client-params.dynamodb.TransactWriteItems",
            lambda params, **_: tokens.append(params["ClientRequestToken"]),
        )
        record = a_claimed_record()
        table.claim(record)
        after = settled(record)
        standing = table.settle(after, told(after))
        mine, theirs = next_version(standing, state=State.LIVE), next_version(standing, state=State.ENDED)
        table.update(mine, told(mine, StreamDeleted))
        with pytest.raises(Stale):
            table.update(theirs, told(theirs, StreamDeleted))
        assert len(set(tokens)) == len(tokens) == 3

    def test_the_same_settling_has_the_same_token_however_often_it_is_sent(
        self, table: Table, client: "DynamoDBClient"
    ) -> None:
        tokens: list[str] = []
        client.meta.events.register(
            "provide-client-params.dynamodb.TransactWriteItems",
            lambda params, **_: tokens.append(params["ClientRequestToken"]),
        )
        moment = now()
        table = Table(client, NAME, lambda: moment)  # it is part of what is sent
        after = settled(a_claimed_record())
        for _ in range(2):
            with pytest.raises(Stale):
                table.settle(after, told(after))
        assert len(tokens) == 2
        assert len(set(tokens)) == 1
        assert all(1 <= len(token) <= 36 for token in tokens)


class TestRefusals:
    """What DynamoDB may answer, and what it means."""

    @pytest.fixture
    def stubbed(self) -> "tuple[Table, Stubber]":
        aws.client.cache_clear()
        aws.session.cache_clear()
        client = aws.client("dynamodb")
        return Table(client, NAME), Stubber(client)

    @pytest.mark.parametrize("reason", ["ConditionalCheckFailed", "TransactionConflict"])
    def test_a_transaction_that_met_another_is_stale(self, stubbed: "tuple[Table, Stubber]", reason: str) -> None:
        table, stub = stubbed
        reasons = {"CancellationReasons": [{"Code": "None"}, {"Code": reason}]}
        stub.add_client_error("transact_write_items", "TransactionCanceledException", modeled_fields=reasons)
        after = settled(a_claimed_record())
        with stub, pytest.raises(Stale):
            table.settle(after, told(after))

    @pytest.mark.parametrize("code", ["ConditionalCheckFailedException", "TransactionConflictException"])
    def test_a_single_write_that_met_another_is_stale(self, stubbed: "tuple[Table, Stubber]", code: str) -> None:
        table, stub = stubbed
        stub.add_client_error("put_item", code)
        with stub, pytest.raises(Stale):
            table.update(a_claimed_record())

    def test_a_claim_that_met_a_transaction_is_answered_with_what_is_there(
        self, stubbed: "tuple[Table, Stubber]"
    ) -> None:
        table, stub = stubbed
        record = a_claimed_record()
        stub.add_client_error("put_item", "TransactionConflictException")
        stub.add_response("get_item", {"Item": to_attributes(stream_item(record))})
        with stub:
            assert table.claim(record) == record

    def test_a_transaction_that_was_too_many_is_not_stale(self, stubbed: "tuple[Table, Stubber]") -> None:
        table, stub = stubbed
        reasons = {"CancellationReasons": [{"Code": "ThrottlingError"}, {"Code": "None"}]}
        stub.add_client_error("transact_write_items", "TransactionCanceledException", modeled_fields=reasons)
        after = settled(a_claimed_record())
        with stub, pytest.raises(ClientError):
            table.settle(after, told(after))

    def test_any_other_error_is_not_stale(self, stubbed: "tuple[Table, Stubber]") -> None:
        table, stub = stubbed
        stub.add_client_error("put_item", "AccessDeniedException")
        with stub, pytest.raises(ClientError):
            table.update(a_claimed_record())


def test_an_item_of_a_record_holds_no_secret_outside_its_sealed_parts() -> None:
    record = sealing(a_claimed_record(), b"sealed credentials")
    item = stream_item(record)
    assert not set(SEALED) & set(json.loads(item["record"]))
    assert {name: item[name] for name in SEALED} == {name: getattr(record, name) for name in SEALED}
    assert record_of(item) == record


def test_a_record_shows_nothing_of_what_is_sealed_in_it() -> None:
    record = sealing(a_claimed_record(), b"sealed credentials")
    shown = f"{record!r} {record} {record.model_dump()} {record.model_dump_json()}"
    for name in SEALED:
        assert name not in shown
    assert "sealed" not in shown


def test_an_event_item_holds_exactly_what_is_published() -> None:
    after = settled(a_claimed_record())
    event = told(after)
    item = event_item(event)
    assert item["detail"] == event.model_dump_json()
    assert item["sk"] == "EVENT#0000000001"


def test_a_shard_is_the_same_for_ever() -> None:
    assert [shard(f"str_{each}") for each in "abcdef"] == [shard(f"str_{each}") for each in "abcdef"]
    assert {shard(identify("d", "t", "p", str(each))) for each in range(200)} == set(range(8))
