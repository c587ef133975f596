"""A provider behind a circuit breaker: while it is away it is left alone, and every function of it knows."""

import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from functools import cached_property, partial
from types import MethodType
from typing import TYPE_CHECKING, Any, cast

from headwater import telemetry
from headwater.attributes import from_attributes, to_attributes
from headwater.circuits import CIRCUITS, STANDS_AT
from headwater.deadline import Deadline, outcome, within
from headwater.errors import HeadwaterError, ProviderOutcomeUnknown, ProviderUnavailable
from headwater.provider import AnyProvider

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

    from headwater.circuit import Circuit


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
    store: float = 1.0
    """What the table may take of a call's time. A circuit that cannot be read counts as closed."""


SHORTEST_WAIT = 2.0
"""Seconds. Who had less to answer in, and did not, need not be away."""
NEVER_REFUSED = frozenset({"renew"})
"""What holds on to a stream that is there: its lease would be over before the circuit tries again."""


def behind_breaker(
    provider: AnyProvider, client: "DynamoDBClient", table: str, settings: Settings | None = None
) -> AnyProvider:
    """``provider``, called through its circuit, whose state is in the table.

    While that is open a call raises ``ProviderUnavailable`` without being made. What a call that is made returns or
    raises is passed on as it is.
    """
    return cast("AnyProvider", _Breaker(provider, client, table, settings or Settings()))


class _Breaker:
    """Stands for its provider. A method that is given a deadline is a call; everything else is as the provider has it.

    Calls are told apart from what only looks like one, and never asks how long there is. As long as the circuit is
    closed and no call fails, it is only looked at: what counts failures is imported and used from the first one on.
    """

    def __init__(self, provider: AnyProvider, client: "DynamoDBClient", table: str, settings: Settings) -> None:
        self._provider = provider
        self._client = client
        self._table = table
        self._settings = settings
        self._closed_until = 0.0
        self._calm = True

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._provider, name)
        return partial(self._through, attribute) if isinstance(attribute, MethodType) else attribute

    def _through(self, method: MethodType, *arguments: Any) -> Any:
        given = [_Watched(each) if isinstance(each, Deadline) else each for each in arguments]
        watched = next((each for each in given if isinstance(each, _Watched)), None)
        call = partial(method, *given)
        if watched is None:
            return call()
        if self._calm and self._is_closed():
            ended = outcome(call)
            if not isinstance(_sign(ended.exception(), watched), _Away):
                return ended.result()
            return self._counted(lambda: ended, watched, refusable=False)
        return self._counted(lambda: outcome(call), watched, refusable=method.__name__ not in NEVER_REFUSED)

    def _counted(self, call: Callable[[], Future[Any]], watched: "_Watched", *, refusable: bool) -> Any:
        """What the call came to, of which the circuit knows; where that is open, it is refused if it is refusable."""
        self._calm = False
        ended: Future[Any] | None = None

        def attempt() -> None:
            nonlocal ended
            ended = call()
            if sign := _sign(ended.exception(), watched):
                raise sign

        refused, opened_at = False, None
        try:
            opened_at = self._circuit.run(attempt)
            refused = ended is None
        except (_Away, _Unknown):
            pass  # the circuit's own affair: who called hears what the call came to
        except Exception as error:  # whatever the circuit trips over, its provider is called
            telemetry.exception("circuit not known", error=error)
        if refused and refusable:
            raise self._refused(opened_at)
        return (ended or call()).result()

    def _is_closed(self) -> bool:
        """By what was read in the last seconds. A circuit that cannot be read counts as closed, until the next call."""
        left = self._closed_until - time.time()
        if 0 < left <= self._settings.cached:
            return True
        key = to_attributes({"pk": CIRCUITS, "sk": self._provider.name})
        read = partial(self._client.get_item, TableName=self._table, Key=key)
        try:
            item = from_attributes(within(self._settings.store, read).get("Item", {}))
        except Exception as error:
            telemetry.exception("circuit not known", error=error)
            return True
        if item.get(STANDS_AT, "CLOSED") != "CLOSED":
            return False
        self._closed_until = time.time() + self._settings.cached
        return True

    @cached_property
    def _circuit(self) -> "Circuit":
        from headwater.circuit import Circuit

        return Circuit(self._provider.name, self._client, self._table, self._settings, _Away)

    def _refused(self, opened_at: int | None) -> ProviderUnavailable:
        left = 0 if opened_at is None else opened_at + self._settings.recovery - time.time()
        # While it is half open, one call is under way: what comes of it is soon known.
        return ProviderUnavailable(
            f"{self._provider.name} was away for several calls in a row and is left alone for a while.",
            retry_after=max(1.0, left),
        )


class _Away(Exception):
    """The call's sign that its provider is away."""


class _Unknown(Exception):
    """The call's sign that it tells nothing of its provider."""


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
