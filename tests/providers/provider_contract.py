"""The contract that every provider signs: a subclass of ``ProviderContract`` per kind of options.

A subclass declares how its provider differs, and it (or its module) supplies these fixtures:

    door             the `local.door.Door` in front of the simulated provider, reset for each test
    url              where that server listens, without a trailing slash
    provider_at      makes the provider for a server at a given address: ``provider_at(url)``
    options          the simplest valid options
    private_options  options that hold a secret beginning with ``canary-``; None where no option does
    secret           the `FakeSecret` that ``provider_at`` hands to the provider; None where it takes none
    somebody_else_s  the provider's id of what somebody else made there; only where the provider ``adopts``

    class TestCloudflare(ProviderContract):
        creates, reads, removes = "createLiveInput", "getLiveInput", "deleteLiveInput"
        findable = marks = True
        refusals = (Refusal(402, ProviderPaymentRequired, body={...}, code="1000"), ...)

        @staticmethod
        def rejection(text: str) -> Refusal:
            return Refusal(400, ProviderRejected, body={"errors": [{"code": 1, "message": text}]}, code="1")

Nobody's behaviour is told by a provider's name: what is different is declared.
"""

import json
import re
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, ClassVar
from uuid import uuid4

import pytest
from pydantic import JsonValue, TypeAdapter, ValidationError

from headwater.deadline import Deadline
from headwater.errors import (
    CapabilityNotSupported,
    Effect,
    GuardSpent,
    HeadwaterError,
    ProviderOutcomeUnknown,
    ProviderRateLimited,
    ProviderUnauthorized,
    ProviderUnavailable,
    Upstream,
)
from headwater.provider import AnyProvider, Handle, Options, Order, Resource, Search, Verb
from headwater.simulcast import NewOutput
from headwater.streams import Access, State, identify
from local.door import Call, Door
from local.faults import Kind
from local.simulators.contract import Contract, Misfit

CANARY = "canary-"
"""Begins every secret of a simulator, and every secret in options that a test makes."""

PATIENT = 20.0
"""Seconds: a deadline that matters to no test that passes."""
BRIEF = 0.6
"""Seconds: a deadline for calls that are expected to fail, retries included."""
ALWAYS = 50
"""How often a fault strikes that never ends."""

OURS = "tests-eu-central-1-123456789012"
"""The deployment that these orders are of."""
A_YEAR = 365 * 24 * 3600


@dataclass(frozen=True)
class Refusal:
    """One of the provider's refusals of a create, and what must become of it."""

    status: int
    error: type[HeadwaterError]
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    code: str | None = None
    """The ``upstream.code`` to expect, as is ``request_id``."""
    request_id: str | None = None
    effect: Effect = Effect.NONE

    def __str__(self) -> str:
        return f"{self.status}-{self.error.__name__}" + (f"-{self.code}" if self.code else "")


@dataclass(frozen=True)
class Change:
    """A change that the provider can make: what the order is then, where it differs from the simplest one."""

    operation: str
    """The door's name of the call that makes it."""
    options: Mapping[str, Any] = field(default_factory=dict)
    name: str | None = "lobby camera"


class FakeSecret[S]:
    """A stored secret and what is remembered of it. Called as a provider does, it counts the readings anew."""

    def __init__(self, stored: S, refused: S) -> None:
        self._stored, self._refused, self._remembered = stored, refused, stored
        self.read_anew = 0

    def __call__(self, fresh: bool) -> S:
        if fresh:
            self.read_anew += 1
            self._remembered = self._stored
        return self._remembered

    def go_stale(self) -> None:
        """What is remembered is refused by the provider; what is stored is good."""
        self._remembered = self._refused

    def revoke(self) -> None:
        """What is stored is refused too."""
        self._remembered = self._stored = self._refused


def applies_if(attribute: str) -> pytest.MarkDecorator:
    """A question for those providers alone whose contract declares ``attribute``: conftest asks no other."""
    return pytest.mark.applies(attribute=attribute, wanted=True)


def applies_unless(attribute: str) -> pytest.MarkDecorator:
    """A question for those that do not declare it."""
    return pytest.mark.applies(attribute=attribute, wanted=False)


class ProviderContract:
    """What is asked of every provider. Docstrings below an attribute say what to declare."""

    creates: ClassVar[str]
    """The door's name of the operation that creates, as the next two."""
    reads: ClassVar[str]
    removes: ClassVar[Any]
    """None where the provider has no removal: then ``remove`` must call nothing and say what remains."""
    renews: ClassVar[str | None] = None
    findable: ClassVar[bool]
    """Whether ``find`` can find what a lost create made."""
    marks: ClassVar[bool] = False
    """Whether what is made bears the marks of its stream and deployment, and can be listed by them."""
    changing: ClassVar[Mapping[str, Change]] = {}
    """A change for each thing in a request that the provider can change, by pointer into it."""
    tells_settings: ClassVar[bool] = False
    """Whether a read tells how it is set, so that it can be seen whether that is still what was asked for."""
    rotates: ClassVar[str | None] = None
    """The door's name of the operation that exchanges the credentials of these options' streams."""
    adopts: ClassVar[bool] = False
    """Whether what somebody else made can be taken over and marked."""
    simulcasts: ClassVar[bool] = False
    hands_out_secrets: ClassVar[bool] = True
    refusals: ClassVar[tuple[Refusal, ...]]
    """Every documented refusal of a create (a 401 and a rate limit too), and a 500."""
    slow_down: ClassVar[Refusal | None] = None
    """The rate limit, if it is told apart; ``wait_header`` then says how long, where the provider tells it."""
    wait_header: ClassVar[str | None] = "Retry-After"
    contract: ClassVar[Contract | None] = None
    """The provider's published contract, which every call that a test logged must fit, ours as well as its answers."""
    contract_prefix: ClassVar[str] = ""
    """Of the paths in the door's log, which the contract leaves out."""
    settling_seconds: ClassVar[float] = 0.0
    """How far the door's clock has to move until a creation or removal that was accepted is done."""
    overrun_seconds: ClassVar[float] = 0.3
    """How late a call may end whose provider hangs: scheduling only, unless the client cannot be timed per call."""

    says_how_long_to_wait: ClassVar[bool] = True
    """Whether ``slow_down`` can come with ``wait_header``."""
    takes_secret: ClassVar[bool] = True
    """Whether we hold a secret for the provider; False where it trusts the function's own role."""
    takes_private_options: ClassVar[bool] = False
    """Whether an option of its holds a secret of the caller's."""

    @staticmethod
    def rejection(text: str) -> Refusal:
        """The refusal of a request whose options are wrong, in which ``text`` is the provider's message."""
        raise TypeError("each provider's contract says how it rejects a request")

    @pytest.fixture
    def provider(self, provider_at: Callable[[str], AnyProvider], url: str) -> AnyProvider:
        return provider_at(url)

    @pytest.fixture
    def order(self, provider: AnyProvider, options: Options) -> Order[Options]:
        return an_order(provider, options)

    @pytest.fixture(autouse=True)
    def _the_simulator_keeps_to_the_contract(self, door: Door) -> Iterator[None]:
        yield
        assert door.violations == []
        if self.contract:
            assert [str(misfit) for call in door.calls() for misfit in self.misfits(self.contract, call)] == []

    def misfits(self, contract: Contract, call: Call) -> Iterator[Misfit]:
        """Where a logged call departs from the contract. A fault's answer need not fit."""
        found = contract.find(call.method, call.path.removeprefix(self.contract_prefix))
        assert found, f"{call.method} {call.operation} is no operation of the contract"
        operation, path = found
        yield from contract.parameter_misfits(operation, {"path": path, "query": call.query, "header": call.headers})
        if call.body != "":
            yield from contract.body_misfits(operation, call.body)
        if call.carried_out and call.status and not (call.fault or call.departure):
            answer = b"" if call.response == "" else json.dumps(call.response).encode()
            yield from contract.answer_misfits(operation, call.status, {}, answer)

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        if "refusal" in metafunc.fixturenames:
            metafunc.parametrize("refusal", self.refusals, ids=str)
        if "pointer" in metafunc.fixturenames:
            metafunc.parametrize("pointer", self.changing)

    def settled(self, door: Door) -> None:
        """What was asked for is done."""
        door.clock.advance(self.settling_seconds)

    # ---- success ----

    def test_create_makes_one_resource_with_one_call(
        self, provider: AnyProvider, door: Door, order: Order[Any]
    ) -> None:
        resource = provider.create(order, Deadline(PATIENT))
        assert resource.ref
        assert resource.state in {State.READY, State.PROVISIONING}
        assert len(door.calls(self.creates)) == 1
        assert len(door.resources()) == 1

    def test_secrets_are_typed_as_secrets(self, provider: AnyProvider, order: Order[Any]) -> None:
        resource = provider.create(order, Deadline(PATIENT))
        accesses = [*resource.ingest, *resource.playback]
        assert CANARY not in f"{resource!r}{resource}"
        assert CANARY not in json.dumps([access.public() for access in accesses] + [resource.notes])
        assert reveal_a_secret(accesses) == self.hands_out_secrets

    def test_read_tells_the_same_resource(self, provider: AnyProvider, door: Door, order: Order[Any]) -> None:
        created = provider.create(order, Deadline(PATIENT))
        self.settled(door)
        read = provider.read(handle(order, created), Deadline(PATIENT))
        assert read
        assert (read.ref, read.state) == (created.ref, State.READY)
        assert CANARY not in repr(read)

    def test_what_the_provider_no_longer_has_reads_as_none(
        self, provider: AnyProvider, door: Door, order: Order[Any]
    ) -> None:
        created = provider.create(order, Deadline(PATIENT))
        door.reset()
        assert provider.read(handle(order, created), Deadline(PATIENT)) is None

    @applies_if("removes")
    def test_removing_twice_leaves_nothing(self, provider: AnyProvider, door: Door, order: Order[Any]) -> None:
        created = provider.create(order, Deadline(PATIENT))
        self.settled(door)
        for _ in range(2):
            provider.remove(handle(order, created), Deadline(PATIENT))
            self.settled(door)
            assert list(door.resources()) == []
        assert provider.read(handle(order, created), Deadline(PATIENT)) is None

    @applies_unless("removes")
    def test_a_provider_without_removal_is_not_called_and_what_remains_is_said(
        self, provider: AnyProvider, door: Door, order: Order[Any]
    ) -> None:
        created = provider.create(order, Deadline(PATIENT))
        calls = len(door.calls())
        assert provider.remove(handle(order, created), Deadline(PATIENT)).remains
        assert len(door.calls()) == calls

    def test_find_finds_what_create_made_if_the_provider_can_tell(
        self, provider: AnyProvider, door: Door, order: Order[Any]
    ) -> None:
        created = provider.create(order, Deadline(PATIENT))
        self.settled(door)
        search = provider.find(order, Deadline(PATIENT))
        if not self.findable:
            assert search == Search(conclusive=False)
            return
        assert search.resource
        assert search.resource.ref == created.ref
        assert reveal_a_secret([*search.resource.ingest, *search.resource.playback]) == self.hands_out_secrets

    def test_find_finds_what_a_later_generation_made(
        self, provider: AnyProvider, door: Door, order: Order[Any]
    ) -> None:
        created = provider.create(replace(order, generation=2), Deadline(PATIENT))
        found = provider.find(order, Deadline(PATIENT)).resource
        assert (found and found.ref) == (created.ref if self.findable else None)

    def test_find_finds_nothing_of_anyone_else(self, provider: AnyProvider, order: Order[Any]) -> None:
        """And is sure of it only where it could have found something."""
        nothing = Search(conclusive=self.findable)
        assert provider.find(order, Deadline(PATIENT)) == nothing
        provider.create(order, Deadline(PATIENT))
        assert provider.find(an_order(provider, order.options), Deadline(PATIENT)) == nothing

    @applies_if("findable")
    def test_a_search_that_fails_has_not_found_nothing(
        self, provider: AnyProvider, door: Door, order: Order[Any]
    ) -> None:
        provider.create(order, Deadline(PATIENT))
        door.fault("status", "*", status=503, times=ALWAYS)
        error = failure_of(lambda: provider.find(order, Deadline(BRIEF)))
        assert type(error) is ProviderUnavailable
        assert error.effect is Effect.NONE

    def test_the_same_order_twice_is_one_resource_only_where_it_is_guarded(
        self, provider: AnyProvider, door: Door, order: Order[Any]
    ) -> None:
        first = provider.create(order, Deadline(PATIENT))
        second = provider.create(order, Deadline(PATIENT))
        assert (second.ref == first.ref) is guarded(provider)
        assert reveal_a_secret([*second.ingest, *second.playback]) == self.hands_out_secrets
        assert len(door.resources()) == (1 if guarded(provider) else 2)

    def test_a_guard_holds_for_as_long_as_is_said(self, provider: AnyProvider, door: Door, order: Order[Any]) -> None:
        first = provider.create(order, Deadline(PATIENT))
        door.clock.advance(min(provider.guard_seconds, A_YEAR))
        second = provider.create(order, Deadline(PATIENT))
        assert (second.ref == first.ref) is guarded(provider)

    # ---- what nobody has a record of ----

    def test_what_is_declared_here_is_what_the_provider_says(self, provider: AnyProvider) -> None:
        assert provider.marks is self.marks

    @applies_if("marks")
    def test_what_bears_this_deployment_s_marks_is_listed_and_nothing_else(
        self, provider: AnyProvider, door: Door, order: Order[Any]
    ) -> None:
        ours = provider.create(order, Deadline(PATIENT))
        other = replace(an_order(provider, order.options), deployment=f"{OURS}-2")
        provider.create(other, Deadline(PATIENT))
        made_at = datetime.fromtimestamp(door.clock.now_ms() / 1000, UTC)
        [listed] = provider.marked(OURS, Deadline(PATIENT))
        assert (listed.ref, listed.stream_id) == (ours.ref, order.id)
        assert listed.created_at
        assert abs((listed.created_at - made_at).total_seconds()) < 5
        [elsewhere] = provider.marked(other.deployment, Deadline(PATIENT))
        assert elsewhere.stream_id == other.id
        assert provider.marked("", Deadline(PATIENT)) == []

    @applies_if("marks")
    def test_what_is_listed_can_be_asked_about_and_removed(
        self, provider: AnyProvider, door: Door, order: Order[Any]
    ) -> None:
        provider.create(order, Deadline(PATIENT))
        self.settled(door)
        [listed] = provider.marked(OURS, Deadline(PATIENT))
        found = Handle(listed.stream_id, listed.ref, json.loads(json.dumps(listed.notes)))
        assert not provider.connected(found, Deadline(PATIENT))
        provider.remove(found, Deadline(PATIENT))
        self.settled(door)
        assert list(door.resources()) == []
        assert provider.marked(OURS, Deadline(PATIENT)) == []
        assert not provider.connected(found, Deadline(PATIENT))

    @applies_if("marks")
    def test_a_listing_that_fails_is_the_provider_s_failure(
        self, provider: AnyProvider, door: Door, order: Order[Any]
    ) -> None:
        door.fault("status", "*", status=503, times=ALWAYS)
        error = failure_of(lambda: provider.marked(OURS, Deadline(BRIEF)))
        assert type(error) is ProviderUnavailable

    @applies_unless("marks")
    def test_where_nothing_bears_a_mark_nothing_is_called_or_known(
        self, provider: AnyProvider, door: Door, order: Order[Any]
    ) -> None:
        created = provider.create(order, Deadline(PATIENT))
        calls = len(door.calls())
        assert list(provider.marked(OURS, Deadline(PATIENT))) == []
        assert provider.connected(handle(order, created), Deadline(PATIENT)) is None
        assert len(door.calls()) == calls

    @applies_if("renews")
    def test_renewing_keeps_what_there_is(self, provider: AnyProvider, door: Door, order: Order[Any]) -> None:
        created = provider.create(order, Deadline(PATIENT))
        renewed = provider.renew(handle(order, created), Deadline(PATIENT))
        assert renewed
        assert renewed.ref == created.ref
        assert created.lease_seconds
        assert renewed.lease_seconds
        assert self.renews
        assert len(door.calls(self.renews)) == 1

    @applies_if("renews")
    def test_what_the_provider_no_longer_has_cannot_be_renewed(
        self, provider: AnyProvider, door: Door, order: Order[Any]
    ) -> None:
        created = provider.create(order, Deadline(PATIENT))
        door.reset()
        assert provider.renew(handle(order, created), Deadline(PATIENT)) is None

    def test_an_unknown_option_is_refused_and_named(self, provider: AnyProvider, options: Options) -> None:
        asked = options.model_dump(exclude_unset=True) | {"no_such_option": 1}
        with pytest.raises(ValidationError) as refused:
            TypeAdapter(provider.options_type).validate_python(asked)
        assert any("no_such_option" in fault["loc"] for fault in refused.value.errors())

    # ---- how it is set, and changed

    def test_what_is_signed_here_is_what_the_provider_offers(self, provider: AnyProvider) -> None:
        assert all(any(f"{at}/".startswith(f"{one}/") for one in provider.changeable) for at in self.changing)
        assert not self.rotates or Verb.ROTATE in provider.verbs
        assert (Verb.ADOPT in provider.verbs) is self.adopts
        assert (Verb.SIMULCAST in provider.verbs) is self.simulcasts
        if Verb.REPAIR in provider.verbs:
            assert self.tells_settings
            assert provider.changeable

    @applies_if("tells_settings")
    def test_what_was_just_made_is_as_it_was_asked_for(
        self, provider: AnyProvider, door: Door, order: Order[Any]
    ) -> None:
        created = provider.create(order, Deadline(PATIENT))
        self.settled(door)
        read = provider.read(handle(order, created), Deadline(PATIENT))
        assert read
        assert read.settings
        assert read.settings.keys() <= provider.settings(order).keys()
        assert differing(provider.settings(order), read.settings) == []
        assert CANARY not in json.dumps([dict(read.settings), dict(provider.settings(order))])

    @applies_if("changing")
    def test_a_change_is_made_at_what_is_there(
        self, provider: AnyProvider, door: Door, order: Order[Any], pointer: str
    ) -> None:
        created, changed = self.made_and_to_be_changed(provider, door, order, pointer)
        after = provider.change(handle(order, created), changed, frozenset({pointer}), Deadline(PATIENT))
        assert after
        assert after.ref == created.ref
        assert CANARY not in repr(after)
        assert door.calls(self.changing[pointer].operation)
        self.expect_to_be_as(provider, door, created, changed)

    @applies_if("changing")
    def test_a_change_made_twice_comes_to_the_same(
        self, provider: AnyProvider, door: Door, order: Order[Any], pointer: str
    ) -> None:
        created, changed = self.made_and_to_be_changed(provider, door, order, pointer)
        for _ in range(2):
            assert provider.change(handle(order, created), changed, frozenset({pointer}), Deadline(PATIENT))
            self.settled(door)
        assert len(door.resources()) == 1
        self.expect_to_be_as(provider, door, created, changed)

    @applies_if("changing")
    def test_a_change_whose_answer_was_lost_can_be_asked_for_again(
        self, provider: AnyProvider, door: Door, order: Order[Any], pointer: str
    ) -> None:
        created, changed = self.made_and_to_be_changed(provider, door, order, pointer)
        door.fault("lose_answer", self.changing[pointer].operation, times=ALWAYS)
        error = failure_of(
            lambda: provider.change(handle(order, created), changed, frozenset({pointer}), Deadline(BRIEF))
        )
        assert error.retryable
        assert error.effect is Effect.UNKNOWN
        door.clear_faults()
        self.settled(door)
        assert provider.change(handle(order, created), changed, frozenset({pointer}), Deadline(PATIENT))
        self.expect_to_be_as(provider, door, created, changed)

    @applies_if("changing")
    def test_what_the_provider_no_longer_has_cannot_be_changed(
        self, provider: AnyProvider, door: Door, order: Order[Any], pointer: str
    ) -> None:
        created, changed = self.made_and_to_be_changed(provider, door, order, pointer)
        door.reset()
        assert provider.change(handle(order, created), changed, frozenset({pointer}), Deadline(PATIENT)) is None

    @applies_if("changing")
    def test_a_change_that_is_refused_is_an_error_and_changes_nothing(
        self, provider: AnyProvider, door: Door, order: Order[Any], pointer: str
    ) -> None:
        created, changed = self.made_and_to_be_changed(provider, door, order, pointer)
        strike(door, self.changing[pointer].operation, self.rejection("no"))
        error = failure_of(
            lambda: provider.change(handle(order, created), changed, frozenset({pointer}), Deadline(BRIEF))
        )
        assert type(error) is self.rejection("no").error
        door.clear_faults()
        self.expect_to_be_as(provider, door, created, order)

    @applies_if("changing")
    def test_a_change_that_hangs_ends_with_the_deadline(
        self, provider: AnyProvider, door: Door, order: Order[Any], pointer: str
    ) -> None:
        created, changed = self.made_and_to_be_changed(provider, door, order, pointer)
        door.fault("hang", self.changing[pointer].operation, times=ALWAYS)
        with lasting_at_most(BRIEF + self.overrun_seconds):
            error = failure_of(
                lambda: provider.change(handle(order, created), changed, frozenset({pointer}), Deadline(BRIEF))
            )
        assert error.retryable

    def made_and_to_be_changed(
        self, provider: AnyProvider, door: Door, order: Order[Any], pointer: str
    ) -> tuple[Resource, Order[Any]]:
        """A resource that was made by this order, and the order that it is to be brought to."""
        created = provider.create(order, Deadline(PATIENT))
        self.settled(door)
        change = self.changing[pointer]
        options = TypeAdapter(provider.options_type).validate_python(dict(change.options))
        return created, replace(order, options=options, name=change.name)

    def expect_to_be_as(self, provider: AnyProvider, door: Door, created: Resource, order: Order[Any]) -> None:
        """What is there is what this order asks for, as far as the provider tells."""
        self.settled(door)
        read = provider.read(handle(order, created), Deadline(PATIENT))
        assert read
        assert differing(provider.settings(order), read.settings) == []

    # ---- what opens it is exchanged

    @applies_if("rotates")
    def test_rotating_gives_other_secrets_to_the_same_resource(
        self, provider: AnyProvider, door: Door, order: Order[Any]
    ) -> None:
        created = provider.create(order, Deadline(PATIENT))
        self.settled(door)
        rotated = provider.rotate(handle(order, created), False, Deadline(PATIENT))
        assert rotated
        assert rotated.ref == created.ref
        assert CANARY not in repr(rotated)
        assert secrets_in(rotated)
        assert not secrets_in(rotated) & secrets_in(created)
        assert len(door.calls(self.rotates)) == 1
        self.expect_to_open_with(provider, rotated, order)

    @applies_if("rotates")
    def test_a_rotation_whose_answer_is_lost_is_made_again_and_the_last_secrets_count(
        self, provider: AnyProvider, door: Door, order: Order[Any]
    ) -> None:
        created = provider.create(order, Deadline(PATIENT))
        self.settled(door)
        assert self.rotates
        door.fault("lose_answer", self.rotates)
        rotated = provider.rotate(handle(order, created), False, Deadline(PATIENT))
        assert rotated
        assert len(door.calls(self.rotates)) == 2
        self.expect_to_open_with(provider, rotated, order)

    @applies_if("rotates")
    def test_a_rotation_answered_with_garbage_is_not_taken_for_one(
        self, provider: AnyProvider, door: Door, order: Order[Any]
    ) -> None:
        created = provider.create(order, Deadline(PATIENT))
        self.settled(door)
        assert self.rotates
        door.fault("garbage", self.rotates, times=ALWAYS)
        error = failure_of(lambda: provider.rotate(handle(order, created), False, Deadline(BRIEF)))
        assert error.retryable

    @applies_if("rotates")
    def test_a_rotation_that_is_refused_exchanges_nothing(
        self, provider: AnyProvider, door: Door, order: Order[Any]
    ) -> None:
        created = provider.create(order, Deadline(PATIENT))
        self.settled(door)
        assert self.rotates
        strike(door, self.rotates, self.rejection("no"))
        error = failure_of(lambda: provider.rotate(handle(order, created), False, Deadline(BRIEF)))
        assert type(error) is self.rejection("no").error
        self.expect_to_open_with(provider, created, order)

    @applies_if("rotates")
    def test_what_the_provider_no_longer_has_cannot_be_rotated(
        self, provider: AnyProvider, door: Door, order: Order[Any]
    ) -> None:
        created = provider.create(order, Deadline(PATIENT))
        door.reset()
        assert provider.rotate(handle(order, created), False, Deadline(PATIENT)) is None

    @applies_unless("rotates")
    def test_where_nothing_can_be_exchanged_nothing_is_called(
        self, provider: AnyProvider, door: Door, order: Order[Any]
    ) -> None:
        created = provider.create(order, Deadline(PATIENT))
        calls = len(door.calls())
        error = failure_of(lambda: provider.rotate(handle(order, created), True, Deadline(PATIENT)))
        assert type(error) is CapabilityNotSupported
        assert len(door.calls()) == calls

    def expect_to_open_with(self, provider: AnyProvider, expected: Resource, order: Order[Any]) -> None:
        """A read tells these secrets, if it tells any."""
        read = provider.read(handle(order, expected), Deadline(PATIENT))
        assert read
        assert not secrets_in(read) or secrets_in(read) == secrets_in(expected)

    # ---- what somebody else made

    @applies_if("adopts")
    def test_what_somebody_else_made_can_be_taken_over(
        self, provider: AnyProvider, door: Door, somebody_else_s: str
    ) -> None:
        found = provider.adoptable(somebody_else_s, Deadline(PATIENT))
        assert found
        assert (found.stream_id, found.deployment) == (None, None)
        assert CANARY not in repr(found)
        adopted = replace(an_order(provider, found.options), name=found.name)
        its_handle = handle(adopted, found.resource)
        for _ in range(2):
            provider.mark(its_handle, adopted, Deadline(PATIENT))
            self.settled(door)
        [listed] = provider.marked(OURS, Deadline(PATIENT))
        assert (listed.ref, listed.stream_id) == (found.resource.ref, adopted.id)
        self.expect_to_be_as(provider, door, found.resource, adopted)
        again = provider.adoptable(somebody_else_s, Deadline(PATIENT))
        assert again
        assert (again.stream_id, again.deployment) == (adopted.id, OURS)
        assert (again.options, again.name) == (found.options, found.name)

    @applies_if("adopts")
    def test_what_was_taken_over_can_be_removed(self, provider: AnyProvider, door: Door, somebody_else_s: str) -> None:
        found = provider.adoptable(somebody_else_s, Deadline(PATIENT))
        assert found
        provider.remove(handle(an_order(provider, found.options), found.resource), Deadline(PATIENT))
        self.settled(door)
        assert list(door.resources()) == []

    @applies_if("adopts")
    def test_what_we_made_tells_whose_it_is(self, provider: AnyProvider, door: Door, order: Order[Any]) -> None:
        created = provider.create(order, Deadline(PATIENT))
        self.settled(door)
        found = provider.adoptable(created.ref, Deadline(PATIENT))
        assert found
        assert (found.resource.ref, found.stream_id, found.deployment) == (created.ref, order.id, OURS)

    @applies_if("adopts")
    def test_what_is_not_there_cannot_be_taken_over(
        self, provider: AnyProvider, door: Door, somebody_else_s: str
    ) -> None:
        door.reset()
        for ref in (somebody_else_s, "..", ".", "a b", "a/b", "a?b", "", "a" * 1024):
            assert provider.adoptable(ref, Deadline(PATIENT)) is None
        assert {call.method for call in door.calls()} <= {"GET", "POST"}

    @applies_if("adopts")
    def test_a_look_at_somebody_else_s_that_fails_is_the_provider_s_failure(
        self, provider: AnyProvider, door: Door, somebody_else_s: str
    ) -> None:
        door.fault("status", "*", status=503, times=ALWAYS)
        error = failure_of(lambda: provider.adoptable(somebody_else_s, Deadline(BRIEF)))
        assert type(error) is ProviderUnavailable

    @applies_unless("adopts")
    def test_where_nothing_can_be_taken_over_nothing_is_called(
        self, provider: AnyProvider, door: Door, order: Order[Any]
    ) -> None:
        created = handle(order, provider.create(order, Deadline(PATIENT)))
        calls = len(door.calls())
        for call in (
            lambda: provider.adoptable(created.ref, Deadline(PATIENT)),
            lambda: provider.mark(created, order, Deadline(PATIENT)),
        ):
            assert type(failure_of(call)) is CapabilityNotSupported
        assert len(door.calls()) == calls

    @applies_unless("simulcasts")
    def test_where_nothing_is_sent_on_nothing_is_called(
        self, provider: AnyProvider, door: Door, order: Order[Any]
    ) -> None:
        created = handle(order, provider.create(order, Deadline(PATIENT)))
        calls = len(door.calls())
        wanted = NewOutput.model_validate({"url": "rtmp://a.example", "stream_key": "canary-key"})
        for call in (
            lambda: provider.outputs(created, Deadline(PATIENT)),
            lambda: provider.add_output(created, wanted, Deadline(PATIENT)),
            lambda: provider.switch_output(created, "output", True, Deadline(PATIENT)),
            lambda: provider.remove_output(created, "output", Deadline(PATIENT)),
        ):
            assert type(failure_of(call)) is CapabilityNotSupported
        assert len(door.calls()) == calls

    # ---- the provider says no ----

    def test_each_refusal_has_its_own_meaning(
        self, provider: AnyProvider, door: Door, order: Order[Any], refusal: Refusal
    ) -> None:
        strike(door, self.creates, refusal)
        error = failure_of(lambda: provider.create(order, Deadline(BRIEF)))
        assert type(error) is refusal.error
        assert getattr(error, "effect", Effect.NONE) is refusal.effect
        assert error.upstream == Upstream(provider.name, refusal.status, refusal.code, refusal.request_id)
        assert list(door.resources()) == []

    def test_only_a_transient_refusal_that_did_no_harm_is_tried_again(
        self,
        provider: AnyProvider,
        door: Door,
        order: Order[Any],
        refusal: Refusal,
        secret: FakeSecret[Any],
    ) -> None:
        strike(door, self.creates, refusal)
        failure_of(lambda: provider.create(order, Deadline(BRIEF)))
        harmless = guarded(provider) or refusal.effect is Effect.NONE
        # A guard that is spent is so for hours: what to do then is not the retry loop's to decide.
        transient = refusal.error.retryable and refusal.error is not GuardSpent and harmless
        another_secret = refusal.error is ProviderUnauthorized and secret is not None
        assert (len(door.calls(self.creates)) > 1) == (transient or another_secret)

    def test_the_provider_s_words_are_passed_on(self, provider: AnyProvider, door: Door, order: Order[Any]) -> None:
        strike(door, self.creates, self.rejection("the made-up reason"))
        error = failure_of(lambda: provider.create(order, Deadline(BRIEF)))
        assert "the made-up reason" in error.detail + "".join(fault.detail for fault in error.faults)

    @applies_if("takes_private_options")
    def test_the_provider_s_words_are_withheld_where_they_may_repeat_a_secret(
        self, provider: AnyProvider, door: Door, private_options: Options
    ) -> None:
        strike(door, self.creates, self.rejection("cannot use canary-of-the-caller"))
        error = failure_of(lambda: provider.create(an_order(provider, private_options), Deadline(BRIEF)))
        assert type(error) is self.rejection("").error
        assert error.faults == ()

    @applies_if("takes_private_options")
    def test_options_that_hold_secrets_show_none(self, private_options: Options) -> None:
        assert CANARY not in f"{private_options!r}{private_options.model_dump(mode='json')}"

    @applies_if("says_how_long_to_wait")
    def test_a_wait_that_does_not_fit_is_told(self, provider: AnyProvider, door: Door, order: Order[Any]) -> None:
        strike(door, self.creates, self.waiting("30"))
        started = time.monotonic()
        error = failure_of(lambda: provider.create(order, Deadline(BRIEF)))
        assert isinstance(error, ProviderRateLimited)
        assert error.retry_after == 30
        assert time.monotonic() - started < BRIEF
        assert len(door.calls(self.creates)) == 1

    @applies_if("says_how_long_to_wait")
    def test_a_wait_that_fits_is_waited(self, provider: AnyProvider, door: Door, order: Order[Any]) -> None:
        strike(door, self.creates, self.waiting("0.3"), times=1)
        started = time.monotonic()
        assert provider.create(order, Deadline(PATIENT)).ref
        assert time.monotonic() - started >= 0.3
        assert len(door.calls(self.creates)) == 2

    def waiting(self, seconds: str) -> Refusal:
        """The rate limit, with how long to wait."""
        assert self.slow_down
        assert self.wait_header
        return replace(self.slow_down, headers={**self.slow_down.headers, self.wait_header: seconds})

    @applies_if("takes_secret")
    def test_a_secret_that_was_replaced_is_read_anew_once(
        self, provider: AnyProvider, door: Door, order: Order[Any], secret: FakeSecret[Any]
    ) -> None:
        secret.go_stale()
        assert provider.create(order, Deadline(PATIENT)).ref
        assert secret.read_anew == 1
        assert len(door.calls(self.creates)) == 2
        assert len(door.resources()) == 1

    @applies_if("takes_secret")
    def test_a_secret_that_is_refused_again_is_the_operator_s_matter(
        self, provider: AnyProvider, door: Door, order: Order[Any], secret: FakeSecret[Any]
    ) -> None:
        secret.revoke()
        error = failure_of(lambda: provider.create(order, Deadline(PATIENT)))
        assert type(error) is ProviderUnauthorized
        assert error.effect is Effect.NONE
        assert secret.read_anew == 1
        assert len(door.calls(self.creates)) == 2

    @applies_if("takes_secret")
    def test_a_refused_secret_is_not_repeated_in_the_provider_s_words(
        self, provider: AnyProvider, door: Door, order: Order[Any], secret: FakeSecret[Any]
    ) -> None:
        strike(door, self.creates, replace(self.rejection("bad key canary-key"), status=401))
        failure_of(lambda: provider.create(order, Deadline(BRIEF)))

    # ---- the provider fails, or says nothing ----

    @pytest.mark.parametrize("kind", ["lose_answer", "reset"])
    def test_a_create_whose_answer_is_lost_makes_one_resource(
        self, provider: AnyProvider, door: Door, order: Order[Any], kind: Kind
    ) -> None:
        door.fault(kind, self.creates)
        if guarded(provider):
            resource = provider.create(order, Deadline(PATIENT))
            assert reveal_a_secret([*resource.ingest, *resource.playback]) == self.hands_out_secrets
        else:
            self.expect_unknown_outcome(provider, door, order)
        assert len(door.resources()) == 1

    def test_what_a_lost_answer_left_is_found_if_the_provider_can_tell(
        self, provider: AnyProvider, door: Door, order: Order[Any]
    ) -> None:
        door.fault("lose_answer", self.creates, times=ALWAYS)
        self.expect_unknown_outcome(provider, door, order)
        door.clear_faults()
        search = provider.find(order, Deadline(PATIENT))
        assert (search.resource is not None) is self.findable
        assert search.resource or not search.conclusive
        assert len(door.resources()) == 1

    def test_a_create_answered_with_garbage_makes_one_resource(
        self, provider: AnyProvider, door: Door, order: Order[Any]
    ) -> None:
        door.fault("garbage", self.creates, times=ALWAYS)
        self.expect_unknown_outcome(provider, door, order)
        assert len(door.resources()) == 1

    def test_a_create_answered_without_an_id_has_an_unknown_outcome(
        self, provider: AnyProvider, door: Door, order: Order[Any]
    ) -> None:
        door.fault("status", self.creates, status=200, body={}, times=ALWAYS)
        self.expect_unknown_outcome(provider, door, order)

    def test_a_create_that_hangs_ends_with_the_deadline(
        self, provider: AnyProvider, door: Door, order: Order[Any]
    ) -> None:
        door.fault("hang", self.creates, carry_out=True)
        with lasting_at_most(BRIEF + self.overrun_seconds):
            self.expect_unknown_outcome(provider, door, order)
        if guarded(provider):
            provider.create(order, Deadline(PATIENT))
        assert len(door.resources()) == 1

    def expect_unknown_outcome(self, provider: AnyProvider, door: Door, order: Order[Any]) -> None:
        """A create whose outcome is told as unknown, called once unless it is guarded."""
        error = failure_of(lambda: provider.create(order, Deadline(BRIEF)))
        assert isinstance(error, ProviderOutcomeUnknown)
        assert error.effect is Effect.UNKNOWN
        assert error.upstream
        assert error.upstream.provider == provider.name
        assert guarded(provider) or len(door.calls(self.creates)) == 1

    def test_a_read_that_hangs_ends_with_the_deadline(
        self, provider: AnyProvider, door: Door, order: Order[Any]
    ) -> None:
        created = provider.create(order, Deadline(PATIENT))
        door.fault("hang", self.reads, times=ALWAYS)
        with lasting_at_most(BRIEF + self.overrun_seconds):
            error = failure_of(lambda: provider.read(handle(order, created), Deadline(BRIEF)))
        assert error.retryable

    @pytest.mark.parametrize("kind", ["lose_answer", "refuse", "reset"])
    def test_a_read_whose_answer_is_lost_is_repeated(
        self, provider: AnyProvider, door: Door, order: Order[Any], kind: Kind
    ) -> None:
        created = provider.create(order, Deadline(PATIENT))
        door.fault(kind, self.reads)
        read = provider.read(handle(order, created), Deadline(PATIENT))
        assert read
        assert read.ref == created.ref

    def test_a_read_is_repeated_when_the_provider_fails(
        self, provider: AnyProvider, door: Door, order: Order[Any]
    ) -> None:
        created = provider.create(order, Deadline(PATIENT))
        door.fault("status", self.reads, status=503)
        assert provider.read(handle(order, created), Deadline(PATIENT))
        assert len(door.calls(self.reads)) == 2

    def test_a_read_answered_with_garbage_is_the_provider_s_failure(
        self, provider: AnyProvider, door: Door, order: Order[Any]
    ) -> None:
        created = provider.create(order, Deadline(PATIENT))
        door.fault("garbage", self.reads, times=ALWAYS)
        error = failure_of(lambda: provider.read(handle(order, created), Deadline(BRIEF)))
        assert type(error) is ProviderUnavailable

    @applies_if("removes")
    @pytest.mark.parametrize("kind", ["lose_answer", "refuse"])
    def test_a_removal_whose_answer_is_lost_is_repeated(
        self, provider: AnyProvider, door: Door, order: Order[Any], kind: Kind
    ) -> None:
        created = provider.create(order, Deadline(PATIENT))
        self.settled(door)
        door.fault(kind, self.removes)
        provider.remove(handle(order, created), Deadline(PATIENT))
        self.settled(door)
        assert list(door.resources()) == []

    @applies_if("removes")
    def test_a_removal_that_is_refused_is_an_error(self, provider: AnyProvider, door: Door, order: Order[Any]) -> None:
        created = provider.create(order, Deadline(PATIENT))
        self.settled(door)
        strike(door, self.removes, self.rejection("no"))
        error = failure_of(lambda: provider.remove(handle(order, created), Deadline(BRIEF)))
        assert type(error) is self.rejection("no").error
        assert len(door.resources()) == 1

    def test_a_provider_that_is_not_there_has_done_nothing(
        self, provider_at: Callable[[str], AnyProvider], options: Options
    ) -> None:
        with a_closed_port() as nowhere, lasting_at_most(BRIEF + self.overrun_seconds):
            provider = provider_at(nowhere)
            error = failure_of(lambda: provider.create(an_order(provider, options), Deadline(BRIEF)))
        assert type(error) is ProviderUnavailable
        assert error.effect is Effect.NONE
        assert error.upstream == Upstream(provider.name)

    def test_nothing_is_called_when_no_time_is_left(self, provider: AnyProvider, door: Door, order: Order[Any]) -> None:
        error = failure_of(lambda: provider.create(order, Deadline(0)))
        assert type(error) is ProviderUnavailable
        assert error.effect is Effect.NONE
        assert door.calls() == []


def guarded(provider: AnyProvider) -> bool:
    """Whether a create that is repeated at once can make no second resource."""
    return provider.guard_seconds > 0


def an_order[O: Options](provider: AnyProvider, options: O) -> Order[O]:
    """An order that nobody gave before."""
    stream_id = identify(OURS, "aws:123456789012", provider.name, uuid4().hex)
    return Order(stream_id, options, name="lobby camera", deployment=OURS)


def handle(order: Order[Any], resource: Resource) -> Handle:
    """What the middle keeps of a resource, as it comes back from the table: through JSON."""
    return Handle(order.id, resource.ref, json.loads(json.dumps(resource.notes)))


def reveal_a_secret(accesses: list[Access]) -> bool:
    """Whether a secret of the provider's comes out of the one door for secrets."""
    return CANARY in json.dumps([access.revealed() for access in accesses])


def differing(wanted: Mapping[str, JsonValue], found: Mapping[str, JsonValue]) -> list[str]:
    """What of what was found is not as wanted, sorted."""
    return sorted(at for at, value in found.items() if at in wanted and wanted[at] != value)


def secrets_in(resource: Resource) -> set[str]:
    """Those that the simulator made, all of which a rotation exchanges."""
    revealed = [access.revealed() for access in (*resource.ingest, *resource.playback)]
    return {str(value) for entry in revealed for value in entry.values() if CANARY in str(value)}


def strike(door: Door, operation: str, refusal: Refusal, times: int = ALWAYS) -> None:
    """The provider refuses the next ``times`` calls."""
    headers = dict(refusal.headers)
    door.fault("status", operation, status=refusal.status, headers=headers, body=refusal.body, times=times)


def failure_of(call: Callable[[], object]) -> Any:
    """The error that the call raises, in which nothing shows a secret or where the provider is."""
    with pytest.raises(HeadwaterError) as caught:
        call()
    for text in everything_told_by(caught.value):
        assert CANARY not in text
        assert not re.search(r"127\.0\.0\.1|localhost|\w://", text)
    return caught.value


def everything_told_by(error: BaseException | None) -> Iterator[str]:
    """What it and all that it stems from would write into a log or an answer."""
    while error:
        yield f"{error} {error!r} {getattr(error, '__notes__', '')}"
        if isinstance(error, HeadwaterError):
            yield json.dumps(error.problem("req-1"))
        if error.__cause__ is not error.__context__:
            yield from everything_told_by(error.__cause__)
        error = error.__context__


@contextmanager
def lasting_at_most(seconds: float) -> Iterator[None]:
    started = time.monotonic()
    yield
    assert time.monotonic() - started < seconds


@contextmanager
def a_closed_port() -> Iterator[str]:
    """An address that refuses connections for as long as the block lasts."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"
