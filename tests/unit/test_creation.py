"""One key, one stream; one stream, one event: whatever dies and whenever."""

import json
from datetime import timedelta
from typing import Any

import pytest

from headwater.deadline import Deadline
from headwater.errors import (
    CallerError,
    CapabilityNotSupported,
    CreateUndecided,
    CreationInProgress,
    Effect,
    GuardSpent,
    HeadwaterError,
    IdempotencyKeyReused,
    InvalidRequest,
    NameTaken,
    ProviderError,
    ProviderOutcomeUnknown,
    ProviderRejected,
    ProviderSecretInvalid,
    ProviderUnavailable,
    StreamEnded,
    Upstream,
)
from headwater.ports import Caller, Stale
from headwater.records import Record
from headwater.sealing import unseal_options
from headwater.streams import State, href, identify
from tests.unit.fakes import (
    CALLER,
    CANARY,
    CLAIM_SECONDS,
    DEPLOYMENT,
    INVOCATION_SECONDS,
    STRANGER,
    FakeProvider,
    Harmless,
    Killed,
    Unfindable,
    World,
)
from tests.unit.test_errors import leaves

LANDING = 20
ORPHAN_SECONDS = LANDING + Unfindable.lives_on
SECRET_OPTIONS = {
    "quality": 0.5,
    "camera_url": f"{CANARY}rtsp://user:word@camera",
    "headers": {"x-token": f"{CANARY}header"},
}


OF_GUARDS = (GuardSpent, CreateUndecided)
PROVIDER_ERRORS: list[type[ProviderError]] = [
    kind for kind in leaves(ProviderError) if issubclass(kind, ProviderError) and not issubclass(kind, OF_GUARDS)
]
TRANSIENT = [kind for kind in PROVIDER_ERRORS if kind.transient]
FINAL = [kind for kind in PROVIDER_ERRORS if not kind.transient]
ANY_PROVIDER = pytest.mark.parametrize("provider", [FakeProvider, Unfindable, Harmless])
UNGUARDED = pytest.mark.parametrize("provider", [Unfindable, Harmless])


def retry_after(error: HeadwaterError) -> float:
    assert error.retry_after is not None
    return error.retry_after


# ---- a key that is new


@ANY_PROVIDER
def test_a_new_key_makes_one_stream_and_one_event(provider: type[FakeProvider]) -> None:
    world = World(provider())
    opened = world.provision(name="lobby", metadata={"customer": "42"}, options={"quality": 0.5})
    assert not opened.replayed
    assert list(world.provider.alive) == ["ref-1"]
    assert world.kinds() == ["StreamCreated"]
    stream = opened.stream
    assert (stream.state, stream.provider, stream.provider_ref) == (State.READY, "fake", "ref-1")
    assert (stream.name, stream.metadata, stream.options) == ("lobby", {"customer": "42"}, {"quality": 0.5})
    assert (stream.version, stream.provider_status, stream.state_reason) == (1, "fine", None)
    assert stream.created_at == stream.updated_at == world.clock()
    assert stream.href == href("fake", stream.id)


def test_what_is_answered_is_what_is_recorded_and_announced() -> None:
    world = World()
    opened = world.provision(name="lobby")
    assert world.record().stream == opened.stream
    (event,) = world.store.events[opened.stream.id]
    assert event.data.stream == opened.stream
    assert (event.tenant, event.request_id, event.sequence) == (CALLER.tenant, CALLER.request_id, 1)


def test_a_settled_record_is_not_claimed_and_keeps_what_later_calls_need() -> None:
    world = World()
    world.provision()
    record = world.record()
    assert record.claim is None
    assert record.due_at is None
    assert record.expires is None
    assert record.handle.notes == {"region": "here"}


def test_the_id_is_derived_from_deployment_tenant_provider_and_key() -> None:
    world = World()
    ids = {
        world.id_of("a"),
        world.id_of("b"),
        world.id_of("a", STRANGER),
        World(Unfindable()).id_of("a"),
    }
    assert world.provision("a").stream.id in ids
    assert len(ids) == 3  # the provider's name is the same
    assert all(each.startswith("str_") and each == each.lower() for each in ids)


def test_a_stranger_with_the_same_key_has_a_stream_of_their_own() -> None:
    world = World()
    mine, theirs = world.provision(), world.provision(caller=STRANGER)
    assert mine.stream.id != theirs.stream.id
    assert len(world.provider.alive) == 2


def test_the_stream_is_claimed_before_the_provider_is_called() -> None:
    world = World()
    seen: list[Record] = []
    world.provider.meanwhile("create", lambda: seen.append(world.record()))
    world.provision(name="lobby")
    (claimed,) = seen
    assert claimed.claim
    assert claimed.claim.attempt == claimed.attempt == 1
    assert claimed.claim.until == claimed.claim.free_at == world.clock() + timedelta(seconds=CLAIM_SECONDS)
    assert claimed.stream.state is State.PROVISIONING
    assert claimed.stream.name == "lobby"
    assert claimed.due_at == claimed.claim.free_at + timedelta(seconds=2)  # a client's own retry may come before


def test_a_dead_worker_s_unfindable_resource_is_waited_out() -> None:
    world = World(Unfindable())
    seen: list[Record] = []
    world.provider.meanwhile("create", lambda: seen.append(world.record()))
    world.provision()
    assert seen[0].claim
    assert seen[0].claim.free_at - seen[0].claim.until == timedelta(seconds=ORPHAN_SECONDS)


def test_nothing_is_looked_for_under_a_new_key() -> None:
    world = World()
    world.provision()
    assert world.provider.calls == ["create"]


def test_the_provider_is_told_the_name_the_options_and_the_id() -> None:
    world = World()
    world.provision(name="lobby", options=SECRET_OPTIONS)
    (order,) = world.provider.orders
    assert (order.id, order.name, order.generation) == (world.id_of(), "lobby", 1)
    assert order.options == world.wanted(options=SECRET_OPTIONS).options


def test_a_provider_leaves_time_to_record_what_it_did() -> None:
    world = World()
    world.provision()
    assert world.provider.time_given == [INVOCATION_SECONDS - world.parts.settle_reserve]


def test_a_stream_that_is_still_being_made_at_the_provider_is_settled_and_announced() -> None:
    world = World()
    world.provider.state, world.provider.provider_status = State.PROVISIONING, "CREATING"
    stream = world.provision().stream
    assert (stream.state, stream.provider_status) == (State.PROVISIONING, "CREATING")
    assert world.record().claim is None
    assert world.kinds() == ["StreamCreated"]
    assert world.provision().replayed


# ---- lifetimes and leases


def test_a_stream_without_lease_or_lifetime_does_not_expire() -> None:
    stream = World().provision().stream
    assert stream.lease is None
    assert stream.expires_at is None


def test_a_lifetime_counts_from_the_creation() -> None:
    world = World()
    assert world.provision(max_lifetime_seconds=90).stream.expires_at == world.clock() + timedelta(seconds=90)


def test_a_lease_is_the_provider_s_and_is_held_for_an_hour_unless_told_otherwise() -> None:
    world = World(Unfindable())
    stream = world.provision().stream
    assert stream.lease
    assert (stream.lease.ttl_seconds, stream.lease.beat) == (300, 0)
    assert stream.lease.renewed_at == world.clock()
    assert stream.lease.expires_at == world.clock() + timedelta(seconds=300)
    assert stream.expires_at == world.clock() + timedelta(seconds=3600)


def test_a_leased_stream_s_own_lifetime_goes_before_the_hour() -> None:
    world = World(Unfindable())
    assert world.provision(max_lifetime_seconds=60).stream.expires_at == world.clock() + timedelta(seconds=60)


def test_a_stream_that_took_long_to_make_is_not_over_when_it_is_made() -> None:
    world = World()
    world.provider.fail("create", Killed())
    with pytest.raises(Killed):
        world.provision(max_lifetime_seconds=60)
    world.clock.advance(3600)
    expires_at = world.provision(max_lifetime_seconds=60).stream.expires_at
    assert expires_at
    assert expires_at > world.clock()


# ---- secrets


def test_secrets_are_answered_once_made_and_shown_nowhere_else() -> None:
    world = World()
    opened = world.provision(options=SECRET_OPTIONS)
    revealed = json.dumps(opened.credentials.revealed())
    assert world.provider.secret_of("ref-1") in revealed
    assert opened.stream.options == {"quality": 0.5, "camera_url": "***", "headers": {"x-token": "***"}}
    shown = f"{opened!r}{world.record()!r}{world.record().model_dump_json()}{world.store.timeline(opened.stream.id)}"
    assert CANARY not in shown
    assert CANARY.encode() not in world.store.sealed[opened.stream.id]


def test_a_request_s_secrets_are_sealed_while_it_is_claimed_and_gone_once_settled() -> None:
    world = World()
    claimed: list[Record] = []
    world.provider.meanwhile("create", lambda: claimed.append(world.record()))
    world.provision(options=SECRET_OPTIONS)
    assert claimed[0].request_secrets
    assert CANARY.encode() not in claimed[0].request_secrets
    whole = unseal_options(world.vault, claimed[0], world.provider.options_type)
    assert whole == world.wanted(options=SECRET_OPTIONS).options
    assert world.record().request_secrets is None


def test_a_request_s_secrets_are_gone_once_it_has_failed() -> None:
    world = World()
    world.provider.fail("create", ProviderRejected("no"))
    with pytest.raises(ProviderRejected):
        world.provision(options=SECRET_OPTIONS)
    assert world.record().request_secrets is None


def test_a_request_s_secrets_are_kept_while_it_may_be_taken_up_again() -> None:
    world = World()
    world.provider.fail("create", ProviderUnavailable("later"))
    with pytest.raises(ProviderUnavailable):
        world.provision(options=SECRET_OPTIONS)
    record = world.record()
    assert unseal_options(world.vault, record, world.provider.options_type).camera_url.get_secret_value()


def test_where_there_is_nothing_to_hide_nothing_is_sealed() -> None:
    world = World()
    world.provider.has_secrets = False
    opened = world.provision()
    assert world.vault.seals == 0
    assert world.store.sealed == {}
    assert opened.credentials.revealed()["playback"] == [{"protocol": "whep", "url": "https://out.example/ref-1"}]
    assert world.provision().credentials == opened.credentials


# ---- a key that was used: each row of the table


def killed_while_creating(world: World, *, carried_out: bool = True, **body: Any) -> None:
    """A first worker dies at the provider."""
    world.provider.fail("create", Killed(), carried_out=carried_out)
    with pytest.raises(Killed):
        world.provision(**body)


def test_while_another_worker_is_at_it_the_answer_is_409() -> None:
    world = World()
    killed_while_creating(world)
    world.clock.advance(4.5)
    with pytest.raises(CreationInProgress) as caught:
        world.provision()
    assert caught.value.retry_after == 30
    assert world.provider.calls == ["create"]


def test_while_the_worker_may_live_nobody_is_told_to_wait_for_what_it_might_leave() -> None:
    world = World(Unfindable())
    killed_while_creating(world)
    waits = []
    for seconds in (4.5, 30.0):
        world.clock.advance(seconds)
        with pytest.raises(CreationInProgress) as caught:
            world.provision()
        waits.append(retry_after(caught.value))
    assert waits == [30, ORPHAN_SECONDS]


def test_who_comes_while_the_provider_is_called_is_answered_409() -> None:
    world = World()
    errors: list[CreationInProgress] = []

    def second() -> None:
        with pytest.raises(CreationInProgress) as caught:
            world.provision()
        errors.append(caught.value)

    world.provider.meanwhile("create", second)
    assert not world.provision().replayed
    assert len(errors) == 1
    assert len(world.provider.alive) == 1


def test_a_passed_claim_is_taken_over_and_what_was_made_is_found() -> None:
    world = World()
    killed_while_creating(world)
    world.clock.advance(CLAIM_SECONDS)
    opened = world.provision()
    assert not opened.replayed
    assert world.provider.calls == ["create", "find"]
    assert list(world.provider.alive) == ["ref-1"]
    assert world.record().attempt == 2
    assert world.kinds() == ["StreamCreated"]
    assert world.provider.secret_of("ref-1") in json.dumps(opened.credentials.revealed())


def test_a_passed_claim_that_made_nothing_is_taken_over_and_made() -> None:
    world = World()
    killed_while_creating(world, carried_out=False)
    world.clock.advance(CLAIM_SECONDS)
    assert world.provision().stream.state is State.READY
    assert world.provider.calls == ["create", "find", "create"]
    assert world.kinds() == ["StreamCreated"]


def test_a_claim_is_not_taken_over_a_moment_too_soon() -> None:
    world = World()
    killed_while_creating(world)
    world.clock.advance(CLAIM_SECONDS - 0.001)
    with pytest.raises(CreationInProgress) as caught:
        world.provision()
    assert caught.value.retry_after == 1


def test_a_taken_over_claim_is_as_long_as_a_first() -> None:
    world = World()
    killed_while_creating(world)
    world.clock.advance(CLAIM_SECONDS)
    world.provider.fail("find", Killed())
    with pytest.raises(Killed):
        world.provision()
    claim = world.record().claim
    assert claim
    assert (claim.attempt, claim.until) == (2, world.clock() + timedelta(seconds=CLAIM_SECONDS))


def test_of_two_that_take_over_only_one_goes_on() -> None:
    world = World()
    killed_while_creating(world)
    world.clock.advance(CLAIM_SECONDS)
    winners: list[object] = []
    world.store.meanwhile("update", lambda: winners.append(world.provision()))
    with pytest.raises(CreationInProgress) as caught:
        world.provision()
    assert caught.value.retry_after == 1
    assert len(winners) == 1
    assert len(world.provider.alive) == 1
    assert world.kinds() == ["StreamCreated"]


@ANY_PROVIDER
def test_a_released_claim_is_taken_over_at_once(provider: type[FakeProvider]) -> None:
    world = World(provider())
    world.provider.fail("create", ProviderUnavailable("later"))
    with pytest.raises(ProviderUnavailable):
        world.provision()
    assert world.provision().stream.state is State.READY
    assert len(world.provider.alive) == 1
    assert world.kinds() == ["StreamCreated"]


def test_while_the_outcome_is_unknown_the_answer_is_409_with_what_is_left_to_wait() -> None:
    world = World(Unfindable())
    world.provider.fail("create", ProviderOutcomeUnknown("silence"), carried_out=True)
    with pytest.raises(ProviderOutcomeUnknown):
        world.provision()
    world.clock.advance(100)
    with pytest.raises(CreationInProgress) as caught:
        world.provision()
    assert caught.value.retry_after == ORPHAN_SECONDS - 100
    assert world.record().stream.state is State.UNKNOWN


@ANY_PROVIDER
def test_a_settled_stream_is_answered_again_with_its_credentials(provider: type[FakeProvider]) -> None:
    world = World(provider())
    first = world.provision(options=SECRET_OPTIONS)
    world.clock.advance(3 * 86_400)
    again = world.provision(options=SECRET_OPTIONS)
    assert again.replayed
    assert (again.stream, again.credentials) == (first.stream, first.credentials)
    assert world.provider.calls == ["create"]
    assert world.kinds() == ["StreamCreated"]


@pytest.mark.parametrize("state", [State.ENDING, State.ENDED, State.LOST])
def test_a_stream_that_is_over_is_never_made_again(state: State) -> None:
    world = World()
    stream = world.provision().stream
    over = stream.model_copy(update={"state": state, "state_reason": "because"})
    world.store.touch(stream.id, stream=over, ended_at=world.clock())
    with pytest.raises(StreamEnded) as caught:
        world.provision()
    assert caught.value.problem("r")["reason"] == "because"
    assert world.provider.calls == ["create"]


def test_a_stream_that_failed_at_the_provider_is_over() -> None:
    world = World()
    stream = world.provision().stream
    world.store.touch(stream.id, stream=stream.model_copy(update={"state": State.FAILED}))
    with pytest.raises(StreamEnded):
        world.provision()
    assert world.provider.calls == ["create"]


def failed(world: World, **body: Any) -> None:
    world.provider.fail("create", ProviderRejected("no"))
    with pytest.raises(ProviderRejected):
        world.provision(**body)


def test_a_failed_key_gets_a_new_attempt() -> None:
    world = World()
    failed(world)
    opened = world.provision()
    assert not opened.replayed
    assert opened.stream.state is State.READY
    assert opened.stream.state_reason is None
    assert opened.stream.version == 2
    assert world.kinds() == ["StreamFailed", "StreamCreated"]
    assert len(world.provider.alive) == 1


def test_a_failed_key_s_fingerprint_is_replaced_by_the_new_request_s() -> None:
    world = World()
    failed(world, options={"quality": 1})
    opened = world.provision(options={"quality": 2})
    assert opened.stream.options == {"quality": 2.0}
    assert world.record().fingerprint == world.wanted(options={"quality": 2}).fingerprint
    assert world.provision(options={"quality": 2}).replayed
    with pytest.raises(IdempotencyKeyReused):
        world.provision(options={"quality": 1})


def test_a_failed_key_s_new_request_is_recorded_whole() -> None:
    world = World()
    failed(world, name="old", metadata={"customer": "1"}, max_lifetime_seconds=60)
    stream = world.provision(name="new", metadata={"customer": "2"}).stream
    assert (stream.name, stream.metadata, stream.expires_at) == ("new", {"customer": "2"}, None)
    assert world.provider.orders[-1].name == "new"


def test_a_failed_key_s_new_lifetime_begins_with_the_new_attempt() -> None:
    world = World()
    failed(world)
    world.clock.advance(86_400)
    expires_at = world.provision(max_lifetime_seconds=3600).stream.expires_at
    assert expires_at == world.clock() + timedelta(seconds=3600)


def test_a_failed_key_that_is_tried_again_is_not_forgotten_meanwhile() -> None:
    world = World()
    failed(world)
    world.provider.fail("find", Killed())
    with pytest.raises(Killed):
        world.provision()
    assert world.record().expires is None


def test_a_failed_key_is_forgotten_after_thirty_days() -> None:
    world = World()
    failed(world)
    assert world.record().expires == world.clock() + timedelta(days=30)


def settled(world: World) -> None:
    world.provision()


def unknown(world: World) -> None:
    world.provider.fail("create", ProviderOutcomeUnknown("silence"))
    with pytest.raises(ProviderOutcomeUnknown):
        world.provision()


def ended(world: World) -> None:
    stream = world.provision().stream
    world.store.touch(stream.id, stream=stream.model_copy(update={"state": State.ENDED}), ended_at=world.clock())


@pytest.mark.parametrize("before", [killed_while_creating, settled, unknown, ended])
def test_a_used_key_is_not_for_another_request(before: Any) -> None:
    world = World(Unfindable())
    before(world)
    calls = list(world.provider.calls)
    world.clock.advance(10_000)
    with pytest.raises(IdempotencyKeyReused):
        world.provision(name="another")
    assert world.provider.calls == calls


# ---- the provider says no


@ANY_PROVIDER
@pytest.mark.parametrize("kind", [*FINAL, NameTaken, CapabilityNotSupported, InvalidRequest])
def test_a_refusal_is_answered_recorded_and_announced(
    provider: type[FakeProvider], kind: type[ProviderError | CallerError]
) -> None:
    world = World(provider())
    refusal = kind("no", upstream=Upstream("fake", 400))
    world.provider.fail("create", refusal)
    with pytest.raises(kind) as caught:
        world.provision()
    assert caught.value is refusal
    record = world.record()
    assert (record.stream.state, record.stream.state_reason, record.claim) == (State.FAILED, kind.code, None)
    assert record.stream.version == 1
    assert world.kinds() == ["StreamFailed"]
    assert world.provider.alive == {}


@ANY_PROVIDER
@pytest.mark.parametrize("kind", [*TRANSIENT, ProviderSecretInvalid])
def test_a_transient_failure_that_did_nothing_is_answered_and_announced_to_nobody(
    provider: type[FakeProvider], kind: type[HeadwaterError]
) -> None:
    world = World(provider())
    extra: dict[str, Any] = {"effect": Effect.NONE} if issubclass(kind, ProviderError) else {}
    failure = kind("later", retry_after=7, **extra)
    world.provider.fail("create", failure)
    with pytest.raises(kind) as caught:
        world.provision()
    assert caught.value is failure
    assert caught.value.retry_after == 7
    record = world.record()
    assert record.claim
    assert record.claim.released
    assert record.claim.free_at == world.clock()
    assert record.stream.state is State.PROVISIONING
    assert record.ambiguous_creates == 0
    assert world.kinds() == []
    assert world.provision().stream.version == 1


@pytest.mark.parametrize("kind", PROVIDER_ERRORS)
@pytest.mark.parametrize("carried_out", [True, False])
def test_an_unknown_outcome_at_a_guarded_provider_is_settled_by_the_next_attempt(
    kind: type[ProviderError], carried_out: bool
) -> None:
    world = World()
    world.provider.fail("create", kind("silence", effect=Effect.UNKNOWN), carried_out=carried_out)
    with pytest.raises(kind):
        world.provision()
    assert world.kinds() == []
    opened = world.provision()
    assert opened.stream.provider_ref == "ref-1"
    assert list(world.provider.alive) == ["ref-1"]
    assert world.kinds() == ["StreamCreated"]
    assert world.record().ambiguous_creates == 0


@pytest.mark.parametrize("kind", PROVIDER_ERRORS)
def test_an_unknown_outcome_at_an_unfindable_one_is_waited_out(kind: type[ProviderError]) -> None:
    world = World(Unfindable())
    upstream = Upstream("fake", 504)
    world.provider.fail("create", kind("silence", effect=Effect.UNKNOWN, upstream=upstream), carried_out=True)
    with pytest.raises(ProviderOutcomeUnknown) as caught:
        world.provision()
    assert caught.value.retry_after == ORPHAN_SECONDS
    assert caught.value.upstream == upstream
    assert world.record().stream.state is State.UNKNOWN
    assert world.record().ambiguous_creates == 1
    assert world.kinds() == []
    world.clock.advance(ORPHAN_SECONDS)
    world.provider.alive.clear()  # its lease is over
    opened = world.provision()
    assert opened.stream.state is State.READY
    assert list(world.provider.alive) == ["ref-2"]
    assert world.kinds() == ["StreamCreated"]


def test_however_often_it_stays_unknown_the_unfindable_is_waited_out_each_time() -> None:
    world = World(Unfindable())
    for attempt in range(1, 5):
        world.provider.fail("create", ProviderOutcomeUnknown("silence"))
        with pytest.raises(ProviderOutcomeUnknown) as caught:
            world.provision()
        assert caught.value.retry_after == ORPHAN_SECONDS
        assert world.record().ambiguous_creates == attempt
        world.clock.advance(ORPHAN_SECONDS)
    assert world.kinds() == []


def in_doubt(world: World) -> ProviderOutcomeUnknown:
    world.provider.fail("create", ProviderOutcomeUnknown("silence"), carried_out=True)
    with pytest.raises(ProviderOutcomeUnknown) as caught:
        world.provision()
    return caught.value


def test_where_a_lost_one_is_harmless_one_more_create_is_tried() -> None:
    world = World(Harmless())
    error = in_doubt(world)
    assert error.retry_after == 1
    assert world.record().ambiguous_creates == 1
    assert world.provision().stream.provider_ref == "ref-2"
    assert world.kinds() == ["StreamCreated"]


def test_where_a_lost_one_is_harmless_a_second_doubt_is_a_failure() -> None:
    world = World(Harmless())
    in_doubt(world)
    in_doubt(world)
    record = world.record()
    assert (record.stream.state, record.stream.state_reason) == (State.FAILED, "provider-outcome-unknown")
    assert record.ambiguous_creates == 2
    assert world.kinds() == ["StreamFailed"]


def test_a_key_that_failed_for_doubt_gets_a_new_attempt_as_any_that_failed() -> None:
    world = World(Harmless())
    in_doubt(world)
    in_doubt(world)
    assert world.provision().stream.state is State.READY
    assert world.kinds() == ["StreamFailed", "StreamCreated"]


def test_a_refusal_after_a_doubt_is_a_refusal() -> None:
    world = World(Harmless())
    in_doubt(world)
    failed(world)
    assert world.record().stream.state_reason == "provider-rejected"


# ---- a worker dies


def test_at_a_guarded_provider_no_death_leaves_a_doubt() -> None:
    world = World()
    killed_while_creating(world)
    for _ in range(5):
        world.clock.advance(CLAIM_SECONDS)
        world.provider.fail("find", Killed())
        with pytest.raises(Killed):
            world.provision()
    world.clock.advance(CLAIM_SECONDS)
    assert world.provision().stream.provider_ref == "ref-1"
    assert world.record().ambiguous_creates == 0
    assert len(world.provider.alive) == 1


def test_a_death_at_an_unfindable_provider_is_waited_out_from_when_its_worker_is_dead() -> None:
    world = World(Unfindable())
    killed_while_creating(world)
    world.clock.advance(CLAIM_SECONDS + ORPHAN_SECONDS - 1)
    with pytest.raises(CreationInProgress) as caught:
        world.provision()
    assert caught.value.retry_after == 1
    world.clock.advance(1)
    world.provision()
    assert world.record().ambiguous_creates == 1


def test_a_death_counts_as_a_doubt_where_doubts_are_counted() -> None:
    world = World(Harmless())
    killed_while_creating(world)
    world.clock.advance(CLAIM_SECONDS)
    killed_while_creating(world)
    world.clock.advance(CLAIM_SECONDS)
    with pytest.raises(ProviderOutcomeUnknown):
        world.provision()
    assert world.provider.count("create") == 2
    assert world.record().stream.state is State.FAILED
    assert world.kinds() == ["StreamFailed"]


def test_a_handled_doubt_is_counted_once() -> None:
    world = World(Harmless())
    in_doubt(world)
    world.clock.advance(1000)
    world.provision()
    assert world.record().ambiguous_creates == 1


@ANY_PROVIDER
def test_a_failure_nobody_foresaw_is_a_death(provider: type[FakeProvider]) -> None:
    world = World(provider())
    world.provider.fail("create", RuntimeError("bug"), carried_out=True)
    with pytest.raises(RuntimeError):
        world.provision()
    claim = world.record().claim
    assert claim
    assert not claim.released
    assert claim.until > world.clock()


@ANY_PROVIDER
@pytest.mark.parametrize("carried_out", [True, False])
def test_a_worker_that_dies_while_settling_leaves_one_stream_and_one_event(
    provider: type[FakeProvider], carried_out: bool
) -> None:
    world = World(provider())
    world.store.fail("settle", Killed(), carried_out=carried_out)
    with pytest.raises(Killed):
        world.provision()
    world.clock.advance(CLAIM_SECONDS + ORPHAN_SECONDS)
    if world.provider.lives_on:
        world.provider.alive.clear()  # its lease is over
    opened = world.provision()
    assert opened.replayed == carried_out
    assert world.kinds() == ["StreamCreated"]
    recorded = world.record().stream.provider_ref
    assert recorded == opened.stream.provider_ref
    if world.provider.guard_seconds:
        assert list(world.provider.alive) == [recorded]


@ANY_PROVIDER
def test_a_worker_that_dies_before_the_provider_is_called_leaves_a_claim_to_take_over(
    provider: type[FakeProvider],
) -> None:
    world = World(provider())
    world.store.fail("claim", Killed(), carried_out=True)
    with pytest.raises(Killed):
        world.provision()
    world.clock.advance(CLAIM_SECONDS + ORPHAN_SECONDS)
    assert world.provision().stream.provider_ref == "ref-1"
    assert world.kinds() == ["StreamCreated"]


# ---- the settling is refused


@ANY_PROVIDER
def test_our_own_settling_whose_answer_was_lost_is_a_success(provider: type[FakeProvider]) -> None:
    world = World(provider())
    world.store.fail("settle", Stale(), carried_out=True)
    opened = world.provision()
    assert not opened.replayed
    assert list(world.provider.alive) == ["ref-1"]
    assert world.provider.calls == ["create"]
    assert world.kinds() == ["StreamCreated"]
    assert world.provider.secret_of("ref-1") in json.dumps(opened.credentials.revealed())


def overtaken(world: World) -> None:
    """While a worker is at the provider its claim passes, and another attempt settles the stream."""

    def other() -> None:
        world.clock.advance(CLAIM_SECONDS + ORPHAN_SECONDS)
        world.provision()

    world.provider.meanwhile("create", other)


def test_overtaken_at_a_guarded_provider_nothing_is_deleted_and_the_other_s_is_replayed() -> None:
    world = World()
    overtaken(world)
    opened = world.provision()
    assert opened.replayed
    assert list(world.provider.alive) == ["ref-1"]
    assert world.provider.count("remove") == 0
    assert world.kinds() == ["StreamCreated"]


@UNGUARDED
def test_overtaken_at_an_unguarded_one_ours_is_deleted_and_the_other_s_is_replayed(
    provider: type[FakeProvider],
) -> None:
    world = World(provider())
    overtaken(world)
    opened = world.provision()
    assert opened.replayed
    assert list(world.provider.alive) == [opened.stream.provider_ref] == [world.record().stream.provider_ref]
    assert world.provider.count("remove") == 1
    assert world.kinds() == ["StreamCreated"]
    assert world.provider.secret_of(str(opened.stream.provider_ref)) in json.dumps(opened.credentials.revealed())


def claimed_by_another(world: World) -> None:
    """While a worker is at the provider its claim passes, and another worker takes it over and dies."""

    def other() -> None:
        world.clock.advance(CLAIM_SECONDS + ORPHAN_SECONDS)
        world.provider.fail("find", Killed())
        with pytest.raises(Killed):
            world.provision()

    world.provider.meanwhile("create", other)


def test_while_another_has_the_claim_a_guarded_provider_s_resource_is_left_to_it() -> None:
    world = World()
    claimed_by_another(world)
    with pytest.raises(CreationInProgress):
        world.provision()
    assert list(world.provider.alive) == ["ref-1"]
    world.clock.advance(CLAIM_SECONDS)
    assert world.provision().stream.provider_ref == "ref-1"
    assert list(world.provider.alive) == ["ref-1"]
    assert world.kinds() == ["StreamCreated"]


@UNGUARDED
def test_while_another_has_the_claim_an_unguarded_provider_s_resource_is_deleted(provider: type[FakeProvider]) -> None:
    world = World(provider())
    claimed_by_another(world)
    with pytest.raises(CreationInProgress):
        world.provision()
    assert world.provider.alive == {}
    assert world.kinds() == []


@UNGUARDED
def test_the_recorded_resource_is_never_deleted(provider: type[FakeProvider]) -> None:
    world = World(provider())

    def other() -> None:
        record = world.record()
        stream = record.stream.model_copy(update={"provider_ref": "ref-1", "state": State.READY})
        world.store.touch(record.stream.id, stream=stream, claim=None, attempt=2)

    world.provider.meanwhile("create", other)
    assert world.provision().replayed
    assert list(world.provider.alive) == ["ref-1"]


@UNGUARDED
def test_overtaken_by_a_failure_ours_is_deleted_before_a_new_attempt(provider: type[FakeProvider]) -> None:
    world = World(provider())

    def other() -> None:
        world.clock.advance(CLAIM_SECONDS + ORPHAN_SECONDS)
        failed(world)

    world.provider.meanwhile("create", other)
    opened = world.provision()
    assert list(world.provider.alive) == [opened.stream.provider_ref]
    assert world.kinds() == ["StreamFailed", "StreamCreated"]


@UNGUARDED
def test_a_settling_whose_record_is_gone_leaves_nothing_at_the_provider(provider: type[FakeProvider]) -> None:
    world = World(provider())
    world.provider.meanwhile("create", world.store.records.clear)
    with pytest.raises(CreationInProgress):
        world.provision()
    assert world.provider.alive == {}


def test_a_failure_that_was_overtaken_is_not_recorded() -> None:
    world = World()

    def other() -> None:
        world.clock.advance(CLAIM_SECONDS)
        world.provision()

    world.store.meanwhile("settle", other)
    world.provider.fail("create", ProviderRejected("no"))
    with pytest.raises(CreationInProgress) as caught:
        world.provision()
    assert caught.value.retry_after == 1
    assert world.kinds() == ["StreamCreated"]
    assert world.provision().replayed


def test_a_release_that_was_overtaken_changes_nothing() -> None:
    world = World()

    def other() -> None:
        world.clock.advance(CLAIM_SECONDS)
        world.provision()

    world.store.meanwhile("update", other)
    world.provider.fail("create", ProviderUnavailable("later"))
    with pytest.raises(ProviderUnavailable):
        world.provision()
    assert world.record().claim is None
    assert world.kinds() == ["StreamCreated"]


# ---- what the bus asked and cannot be had


def test_a_refused_bus_request_is_recorded_and_announced() -> None:
    world = World()
    world.creation.refuse(CALLER, "key", InvalidRequest("no"))
    record = world.record()
    assert (record.stream.state, record.stream.state_reason) == (State.FAILED, "invalid-request")
    assert (record.stream.name, record.origin, record.claim) == (None, "bus", None)
    assert world.kinds() == ["StreamFailed"]
    assert world.provider.calls == []


def test_a_refused_bus_request_that_comes_again_is_announced_once() -> None:
    world = World()
    for _ in range(2):
        world.creation.refuse(CALLER, "key", InvalidRequest("no"))
    assert world.kinds() == ["StreamFailed"]


def test_a_refusal_leaves_a_stream_of_its_key_alone() -> None:
    world = World()
    stream = world.provision().stream
    world.creation.refuse(CALLER, "key", InvalidRequest("no"))
    assert world.record().stream == stream
    assert world.kinds() == ["StreamCreated"]


def test_a_refusal_whose_worker_died_is_announced_when_it_comes_again() -> None:
    world = World()
    world.store.fail("settle", Killed())
    with pytest.raises(Killed):
        world.creation.refuse(CALLER, "key", InvalidRequest("no"))
    world.clock.advance(3600)
    world.creation.refuse(CALLER, "key", InvalidRequest("no"))
    assert world.record().stream.state is State.FAILED
    assert world.kinds() == ["StreamFailed"]


def test_a_refused_key_can_be_used_for_a_valid_request() -> None:
    world = World()
    world.creation.refuse(CALLER, "key", InvalidRequest("no"))
    assert world.provision(name="lobby").stream.state is State.READY
    assert world.kinds() == ["StreamFailed", "StreamCreated"]


def test_every_event_of_a_stream_has_an_id_and_sequence_of_its_own() -> None:
    world = World()
    failed(world)
    failed(world)
    world.provision()
    events = world.store.events[world.id_of()]
    assert [event.sequence for event in events] == [1, 2, 3]
    assert len({event.event_id for event in events}) == 3
    assert all(event.event_id.startswith(f"{world.id_of()}:") for event in events)


def test_the_event_tells_who_brought_it_about() -> None:
    world = World()
    world.provider.fail("create", ProviderUnavailable("later"))
    with pytest.raises(ProviderUnavailable):
        world.provision(caller=Caller(CALLER.tenant, "first"))
    world.provision(caller=Caller(CALLER.tenant, "second"))
    assert world.store.events[world.id_of()][0].request_id == "second"


def test_another_deployment_names_other_streams() -> None:
    world = World()
    assert identify("another", CALLER.tenant, "fake", "key") != world.id_of()
    assert identify(DEPLOYMENT, "ab", "c", "key") != identify(DEPLOYMENT, "a", "bc", "key")


# ---- a settle that met another write, or could not be sealed


@ANY_PROVIDER
def test_a_settle_that_met_another_transaction_but_no_attempt_is_settled(provider: type[FakeProvider]) -> None:
    world = World(provider())
    world.store.fail("settle", Stale())
    assert world.provision().stream.provider_ref == "ref-1"
    assert (list(world.provider.alive), world.kinds()) == (["ref-1"], ["StreamCreated"])


@ANY_PROVIDER
def test_a_settle_whose_answer_was_lost_is_known_again(provider: type[FakeProvider]) -> None:
    world = World(provider())
    world.store.fail("settle", Stale(), carried_out=True)
    assert not world.provision().replayed
    assert (list(world.provider.alive), world.kinds()) == (["ref-1"], ["StreamCreated"])


@UNGUARDED
def test_what_cannot_be_sealed_is_not_left_where_nobody_would_find_it(provider: type[FakeProvider]) -> None:
    world = World(provider())
    world.vault.away = True
    with pytest.raises(ConnectionError):
        world.provision()
    assert world.provider.alive == {}
    world.vault.away = False
    assert world.provision().stream.state is State.READY
    assert len(world.provider.alive) == 1


# ---- a bus request that nobody waits for any more


LATE = InvalidRequest("The deadline has passed.")


BUS_SECONDS = 30
"""Until the deadline of a request over the bus."""


def ask_over_the_bus(world: World) -> None:
    until = world.clock() + timedelta(seconds=BUS_SECONDS)
    world.creation.provision(CALLER, "key", world.wanted(), Deadline(INVOCATION_SECONDS), "bus", until)


def give_up(world: World, **body: Any) -> None:
    world.creation.give_up(CALLER, "key", world.wanted(**body), Deadline(INVOCATION_SECONDS), LATE)


def give_up_for_good(world: World) -> None:
    with pytest.raises(InvalidRequest) as told:
        give_up(world)
    assert told.value.settled


def test_what_an_earlier_attempt_made_is_settled_although_it_is_late() -> None:
    world = World()
    world.provider.fail("create", ProviderOutcomeUnknown("silence"), carried_out=True)
    with pytest.raises(ProviderOutcomeUnknown):
        ask_over_the_bus(world)
    world.clock.advance(BUS_SECONDS)
    give_up(world)
    assert (world.record().stream.state, world.kinds()) == (State.READY, ["StreamCreated"])
    assert list(world.provider.alive) == [world.record().stream.provider_ref]


def test_a_late_request_that_made_nothing_has_failed() -> None:
    world = World()
    give_up_for_good(world)
    give_up(world)
    assert (world.record().stream.state, world.kinds()) == (State.FAILED, ["StreamFailed"])
    assert world.provider.alive == {}


def test_a_late_request_leaves_another_s_unfinished_one_alone() -> None:
    world = World()
    world.provider.fail("create", ProviderUnavailable("later"))
    with pytest.raises(ProviderUnavailable):
        world.provision()
    before = world.record()
    give_up(world, name="another")
    world.creation.refuse(CALLER, "key", LATE)
    assert world.record() == before
    assert world.kinds() == []


def test_while_an_earlier_attempt_may_be_at_it_nothing_is_given_up() -> None:
    world = World()
    world.provider.fail("create", Killed())
    with pytest.raises(Killed):
        ask_over_the_bus(world)
    world.clock.advance(BUS_SECONDS)
    with pytest.raises(CreationInProgress):
        give_up(world)
    assert world.kinds() == []


# ---- business time, by which streams live, may be ahead of the real time by which workers do


def test_a_stream_is_made_and_lives_by_business_time() -> None:
    world = World(Unfindable())
    world.moved = timedelta(days=40)
    stream, present = world.provision(max_lifetime_seconds=60).stream, world.clock() + world.moved
    assert stream.created_at == stream.updated_at == present
    assert stream.expires_at == present + timedelta(seconds=60)
    assert stream.lease
    assert (stream.lease.renewed_at, stream.lease.expires_at) == (present, present + timedelta(seconds=300))
    [event] = world.store.events[stream.id]
    assert event.occurred_at == present


def test_a_stream_that_failed_ended_by_business_time() -> None:
    world = World()
    world.moved = timedelta(days=40)
    failed(world)
    present = world.clock() + world.moved
    assert (world.record().ended_at, world.record().stream.updated_at) == (present, present)
    [event] = world.store.events[world.id_of()]
    assert event.occurred_at == present


@ANY_PROVIDER
def test_business_time_frees_no_claim(provider: type[FakeProvider]) -> None:
    world = World(provider())
    killed_while_creating(world)
    before = world.record()
    world.moved = timedelta(days=20)
    with pytest.raises(CreationInProgress) as told_who_waits:
        world.provision()
    with pytest.raises(CreationInProgress) as told_who_does_not:
        world.creation.accept(CALLER, "key", world.wanted())
    assert told_who_waits.value.retry_after == told_who_does_not.value.retry_after == CLAIM_SECONDS
    assert world.record() == before


@ANY_PROVIDER
def test_business_time_keeps_no_claim(provider: type[FakeProvider]) -> None:
    world = World(provider())
    world.moved = timedelta(days=20)
    killed_while_creating(world)
    world.moved = timedelta(0)
    world.clock.advance(CLAIM_SECONDS + ORPHAN_SECONDS)
    assert world.provision().stream.state is State.READY


def test_business_time_is_not_waited_by_for_what_a_lost_answer_left() -> None:
    world = World(Unfindable())
    world.moved = timedelta(days=20)
    unknown(world)
    assert world.record().claim
    assert world.record().due_at == world.clock() + timedelta(seconds=ORPHAN_SECONDS + 2)
    world.moved = timedelta(days=40)
    with pytest.raises(CreationInProgress):
        world.provision()
