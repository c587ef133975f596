"""The circuit of one provider, kept by Powertools in our table: imported once a call has failed, or one is open."""

import json
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools.utilities.circuit_breaker import (
    CircuitBreakerConfig,
    CircuitBreakerOpenError,
    CircuitState,
    CircuitTransition,
    circuit_breaker,
)
from aws_lambda_powertools.utilities.circuit_breaker.persistence import (
    CircuitBreakerDynamoDBPersistence,
    CircuitStateRecord,
)

from headwater import telemetry
from headwater.attributes import to_attributes
from headwater.breaker import Settings
from headwater.circuits import CIRCUITS, STANDS_AT, shown
from headwater.deadline import within

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


class Circuit:
    """Counts calls that fail in a row, opens, tries one call again, and closes. Logs and counts each change."""

    def __init__(
        self, provider: str, client: "DynamoDBClient", table: str, settings: Settings, away: type[Exception]
    ) -> None:
        """``away`` is raised by a call whose provider is away; anything else that it raises counts for nothing."""
        guard = circuit_breaker(
            name=provider,
            persistence_store=_Circuits(client, table, settings.store),
            on_transition=_changed,
            config=CircuitBreakerConfig(
                failure_threshold=settings.failures,
                recovery_timeout=settings.recovery,
                success_threshold=1,
                handled_exceptions=away,
                local_cache_max_age=settings.cached,
            ),
        )
        self._guarded: Callable[[Callable[[], None]], None] = guard(_run)

    def run(self, attempt: Callable[[], None]) -> int | None:
        """Make the attempt, unless the circuit is open: then since when, in seconds of the epoch, where that is known.

        Raises what the attempt raises.
        """
        try:
            self._guarded(attempt)
        except CircuitBreakerOpenError as refusal:
            return refusal.circuit.opened_at if refusal.circuit else None
        return None


def _run(attempt: Callable[[], None]) -> None:
    """The provider is there, unless this raises."""
    attempt()


def _changed(transition: CircuitTransition) -> None:
    provider, state = transition.circuit_name, transition.to_state
    told = {"provider": provider, "from": str(transition.from_state), "to": str(state)}
    telemetry.logger().warning("circuit", extra=told)
    if state is CircuitState.OPEN:
        telemetry.count("CircuitOpened", provider)


class _Circuits(CircuitBreakerDynamoDBPersistence):
    """Powertools' items in our table; in the index of what is listed too, with what is shown of them."""

    def __init__(self, client: "DynamoDBClient", table: str, seconds: float) -> None:
        """``seconds`` is what each of its calls may take."""
        self._seconds = seconds
        super().__init__(
            table_name=table,
            key_attr="pk",
            sort_key_attr="sk",
            static_pk_value=CIRCUITS,
            state_attr=STANDS_AT,
            expiry_attr="expires",
            boto3_client=client,
        )

    def _record_to_item(self, record: CircuitStateRecord) -> dict[str, Any]:
        listed = json.dumps(shown(record.state, record.opened_at))
        keys = {"tenant_shard": CIRCUITS, "created_id": record.name, "listed": listed}
        return {**super()._record_to_item(record), **to_attributes(keys)}

    def _get_record(self, name: str) -> CircuitStateRecord | None:
        return within(self._seconds, partial(super()._get_record, name))

    def _put_record(
        self, record: CircuitStateRecord, condition: str | None = None, expected_opened_at: int | None = None
    ) -> None:
        within(self._seconds, partial(super()._put_record, record, condition, expected_opened_at))

    def _update_record(self, record: CircuitStateRecord) -> None:
        """Powertools changes what is there, with the same outcome: this writes what is listed as well."""
        self._put_record(record)
