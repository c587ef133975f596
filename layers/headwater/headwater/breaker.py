"""A provider behind a circuit breaker: while it is away it is left alone, and every function of it knows."""

import json
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from types import MethodType
from typing import TYPE_CHECKING, Any, cast

from aws_lambda_powertools.utilities.circuit_breaker import (
    CircuitBreakerConfig,
    CircuitBreakerOpenError,
    CircuitInfo,
    CircuitState,
    CircuitTransition,
    circuit_breaker,
)
from aws_lambda_powertools.utilities.circuit_breaker.persistence import (
    CircuitBreakerDynamoDBPersistence,
    CircuitStateRecord,
)

from headwater import telemetry
from headwater.circuits import CIRCUITS, shown
from headwater.deadline import Deadline, outcome, within
from headwater.errors import HeadwaterError, ProviderOutcomeUnknown, ProviderUnavailable
from headwater.provider import AnyProvider
from headwater.store import to_attributes

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


@dataclass(frozen=True)
class Settings:
    """When a circuit opens, and when its provider is tried again. Seconds."""

    failures: int = 5
    """So many calls in a row, in one execution environment, each repeated already as far as it may be: no hiccup. And
    where calls hang, it is over in two minutes."""
    recovery: int = 30
    """For so long nobody calls. Few providers are well again sooner, and few callers wait for longer."""
    cached: int = 5
    """For so long an environment believes what it read: so many seconds between reads, and until the last one stops."""


SHORTEST_WAIT = 2.0
"""Seconds. Who had less to answer in, and did not, need not be away."""
STORE_SECONDS = 1.0
"""What the table may take of a call's time. A circuit that cannot be read counts as closed."""
NEVER_REFUSED = frozenset({"renew"})
"""What holds on to a stream that is there: its lease would be over before the circuit tries again."""


def behind_breaker(
    provider: AnyProvider, client: "DynamoDBClient", table: str, settings: Settings | None = None
) -> AnyProvider:
    """``provider``, called through its circuit, whose state is in the table.

    While that is open a call raises ``ProviderUnavailable`` without being made. What a call that is made returns or
    raises is passed on as it is.
    """
    return cast("AnyProvider", _Breaker(provider, _Circuits(client, table), settings or Settings()))


class _Breaker:
    """Stands for its provider. A method that is given a deadline is a call; everything else is as the provider has it.

    Calls are told apart from what only looks like one, and never asks how long there is.
    """

    def __init__(self, provider: AnyProvider, circuits: "_Circuits", settings: Settings) -> None:
        self._provider = provider
        self._settings = settings
        guard = circuit_breaker(
            name=provider.name,
            persistence_store=circuits,
            on_transition=self._changed,
            config=CircuitBreakerConfig(
                failure_threshold=settings.failures,
                recovery_timeout=settings.recovery,
                success_threshold=1,
                handled_exceptions=_Away,
                local_cache_max_age=settings.cached,
            ),
        )
        self._guarded: Callable[[Callable[[], None]], None] = guard(_run)

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._provider, name)
        return partial(self._through, attribute) if isinstance(attribute, MethodType) else attribute

    def _through(self, method: MethodType, *arguments: Any) -> Any:
        given = [_Watched(each) if isinstance(each, Deadline) else each for each in arguments]
        watched = next((each for each in given if isinstance(each, _Watched)), None)
        call = partial(method, *given)
        if watched is None:
            return call()
        ended: Future[Any] | None = None

        def attempt() -> None:
            nonlocal ended
            ended = outcome(call)
            if sign := _sign(ended.exception(), watched):
                raise sign

        try:
            self._guarded(attempt)
        except CircuitBreakerOpenError as refusal:
            if method.__name__ not in NEVER_REFUSED:
                raise self._refused(refusal.circuit) from None
        except (_Away, _Unknown):
            pass  # the circuit's own affair: who called hears what the call came to
        except Exception as error:  # whatever the circuit trips over, its provider is called
            telemetry.exception("circuit not known", error=error)
        return ended.result() if ended else call()

    def _refused(self, circuit: CircuitInfo | None) -> ProviderUnavailable:
        opened_at = circuit.opened_at if circuit else None
        left = 0 if opened_at is None else opened_at + self._settings.recovery - time.time()
        # While it is half open, one call is under way: what comes of it is soon known.
        return ProviderUnavailable(
            f"{self._provider.name} was away for several calls in a row and is left alone for a while.",
            retry_after=max(1.0, left),
        )

    def _changed(self, transition: CircuitTransition) -> None:
        provider, state = transition.circuit_name, transition.to_state
        told = {"provider": provider, "from": str(transition.from_state), "to": str(state)}
        telemetry.logger().warning("circuit", extra=told)
        if state is CircuitState.OPEN:
            telemetry.count("CircuitOpened", provider)


class _Away(Exception):
    """The call's sign that its provider is away."""


class _Unknown(Exception):
    """The call's sign that it tells nothing of its provider."""


def _run(attempt: Callable[[], None]) -> None:
    """The provider is there, unless this raises."""
    attempt()


def _sign(error: BaseException | None, watched: "_Watched") -> Exception | None:
    """What a call says of its provider; None where it answered, be it a refusal.

    ``ProviderRateLimited`` is an answer: who asks to slow down is there, says itself for how long, and may mean one
    kind of call alone.
    """
    if watched.given is None:
        return _Unknown()  # nobody was called
    if error is None:
        return None
    upstream = error.upstream if isinstance(error, HeadwaterError) else None
    if upstream is None:
        return _Unknown()  # of our own making
    failing = isinstance(error, ProviderUnavailable | ProviderOutcomeUnknown)
    if upstream.status is None:
        return _Away() if failing and watched.given >= SHORTEST_WAIT else _Unknown()
    return _Away() if failing and upstream.status >= 500 else None


class _Watched(Deadline):
    """A deadline that knows how much time there was when it was first asked for: whoever calls anybody asks."""

    def __init__(self, deadline: Deadline) -> None:
        super().__init__(deadline.remaining(), killed_in=deadline.worker_ends())
        self.given: float | None = None

    def remaining(self) -> float:
        left = super().remaining()
        if self.given is None:
            self.given = left
        return left


class _Circuits(CircuitBreakerDynamoDBPersistence):
    """Powertools' items in our table; in the index of what is listed too, with what is shown of them."""

    def __init__(self, client: "DynamoDBClient", table: str) -> None:
        super().__init__(
            table_name=table,
            key_attr="pk",
            sort_key_attr="sk",
            static_pk_value=CIRCUITS,
            expiry_attr="expires",
            boto3_client=client,
        )

    def _record_to_item(self, record: CircuitStateRecord) -> dict[str, Any]:
        listed = json.dumps(shown(record.state, record.opened_at))
        keys = {"tenant_shard": CIRCUITS, "created_id": record.name, "listed": listed}
        return {**super()._record_to_item(record), **to_attributes(keys)}

    def _get_record(self, name: str) -> CircuitStateRecord | None:
        return within(STORE_SECONDS, partial(super()._get_record, name))

    def _put_record(
        self, record: CircuitStateRecord, condition: str | None = None, expected_opened_at: int | None = None
    ) -> None:
        within(STORE_SECONDS, partial(super()._put_record, record, condition, expected_opened_at))

    def _update_record(self, record: CircuitStateRecord) -> None:
        """Powertools changes what is there, with the same outcome: this writes what is listed as well."""
        self._put_record(record)
