"""What the simulated providers share: the way from a request to an answer, both held to the contract."""

import json
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, ClassVar

from werkzeug.wrappers import Request, Response

from local.door import DEPARTURE_HEADER, FAULT_HEADER, Action, Clock, Door
from local.simulators.contract import Contract, Misfit, Operation

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment


@dataclass
class Account:
    """Who a credential belongs to and what it may do there."""

    name: str
    permissions: frozenset[str] = frozenset()
    credits_cents: float = 100_000.0


@dataclass(frozen=True)
class Ask:
    """A call that the provider has let in: its form is right."""

    account: Account
    path: Mapping[str, str]
    body: Any
    """{} when there was none."""
    request: Request


@dataclass(frozen=True)
class Answer:
    status: int
    body: Any = None
    """JSON; None sends none."""
    headers: Mapping[str, str] = field(default_factory=dict)
    departure: str | None = None
    """How it departs from the contract on purpose; it is not checked then."""


class Refused(Exception):
    """The provider says no. The message must hold nothing of what was sent."""

    def __init__(
        self,
        status: int,
        message: Any,
        *,
        misfits: Sequence[Misfit] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.message = status, message
        self.misfits, self.headers = misfits, headers or {}


class Api(ABC):
    """One provider's HTTP interface as one contract describes it. Calls are carried out one at a time."""

    contract: ClassVar[Contract]
    prefix: ClassVar[str] = ""
    misfit_status: ClassVar[int]
    """What the provider answers to a request of the wrong form."""
    body_may_be_absent: ClassVar[bool] = False

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.lock = threading.RLock()

    @property
    @abstractmethod
    def operations(self) -> Mapping[str, Callable[[Ask], Answer]]:
        """By the contract's operationId: all of them."""

    @abstractmethod
    def admit(self, request: Request, operation: Operation, path: Mapping[str, str]) -> Account:
        """Whose call it is. Raises Refused."""

    @abstractmethod
    def failure(self, refused: Refused) -> Any:
        """The body of a refusal."""

    @abstractmethod
    def alive(self) -> list[dict[str, Any]]:
        """What exists at the provider now, without secrets."""

    @abstractmethod
    def forget(self) -> None:
        """Drops everything that exists."""

    @abstractmethod
    def usual_headers(self, request: Request) -> Mapping[str, str]:
        """Those of every answer."""

    def prepare(self, ask: Ask) -> None:  # noqa: B027  # only a source that has to be opened needs it
        """What is done before the state is touched, and may take time. Raises Refused."""

    def find(self, method: str, path: str) -> tuple[Operation, dict[str, str]] | None:
        if not path.startswith(f"{self.prefix}/"):
            return None
        return self.contract.find(method, path.removeprefix(self.prefix))

    def answer(self, request: Request) -> Response:
        found = self.find(request.method, request.path)
        try:
            if not found:
                raise Refused(404, "no such route")
            answer = self._carried_out(request, *found)
        except Refused as refused:
            answer = Answer(refused.status, self.failure(refused), refused.headers)
        return self._checked(_response(answer, self.usual_headers(request)), found, answer)

    def _carried_out(self, request: Request, operation: Operation, path: Mapping[str, str]) -> Answer:
        with self.lock:
            account = self.admit(request, operation, path)
        body, misfits = self._read(request, operation, path)
        if misfits:
            raise Refused(self.misfit_status, "the request is of the wrong form", misfits=misfits)
        ask = Ask(account, path, body, request)
        self.prepare(ask)
        with self.lock:
            return self.operations[operation.name](ask)

    def _read(self, request: Request, operation: Operation, path: Mapping[str, str]) -> tuple[Any, list[Misfit]]:
        given = {"path": path, "query": request.args.to_dict(), "header": dict(request.headers)}
        misfits = list(self.contract.parameter_misfits(operation, given))
        raw = request.get_data()
        if not raw and ("requestBody" not in operation.description or self._needs_no_body(operation)):
            return {}, misfits
        try:
            body = json.loads(raw)
        except ValueError:
            return {}, [*misfits, Misfit(("body",), "is not JSON")]
        if request.mimetype != "application/json":
            misfits.append(Misfit(("header", "Content-Type"), "is not application/json"))
        if "requestBody" in operation.description:
            misfits += self.contract.body_misfits(operation, body)
        elif body != {}:
            misfits.append(Misfit(("body",), "there should be none"))
        return body, misfits

    def _needs_no_body(self, operation: Operation) -> bool:
        return self.body_may_be_absent or not operation.description["requestBody"]["required"]

    def _checked(self, response: Response, found: tuple[Operation, dict[str, str]] | None, answer: Answer) -> Response:
        if not found or answer.departure:
            return response
        misfits = list(
            self.contract.answer_misfits(found[0], response.status_code, dict(response.headers), response.get_data())
        )
        if misfits:
            return Response("; ".join(map(str, misfits)), 500, {FAULT_HEADER: "contract"})
        return response


def door_of(name: str, clock: Clock, apis: Sequence[Api], settings: Any, actions: Iterable[Action]) -> Door:
    """The provider behind its door."""

    def operation_of(method: str, path: str) -> str:
        found = next(filter(None, (api.find(method, path) for api in apis)), None)
        return found[0].name if found else "unknown"

    def forget() -> None:
        for api in apis:
            with api.lock:
                api.forget()

    def alive() -> list[dict[str, Any]]:
        found = []
        for api in apis:
            with api.lock:
                found += api.alive()
        return found

    return Door(
        _application(apis),
        name,
        operation_of,
        clock=clock,
        resources=alive,
        forget=forget,
        settings=settings,
        actions=actions,
    )


def _application(apis: Sequence[Api]) -> "WSGIApplication":
    def application(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        request = Request(environ)
        for api in apis:
            if request.path.startswith(f"{api.prefix}/"):
                return api.answer(request)(environ, start_response)
        return Response("no such base path", 404)(environ, start_response)

    return application


def _response(answer: Answer, usual: Mapping[str, str]) -> Response:
    response = Response(status=answer.status)
    if answer.body is not None:
        response.data = json.dumps(answer.body)
        response.mimetype = "application/json"
    else:
        response.headers.pop("Content-Type")
    response.headers.update({**usual, **answer.headers})
    if answer.departure:
        response.headers[DEPARTURE_HEADER] = answer.departure
    return response


def bearer(request: Request) -> str | None:
    """The token of `Authorization: Bearer <token>`."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return token if scheme == "Bearer" and token else None


def iso(ms: int) -> str:
    """RFC 3339 in UTC with microseconds, as the providers write it."""
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


@dataclass
class Quota:
    """A fixed window of calls."""

    clock: Clock
    seconds: int
    _began_ms: int = 0
    _used: int = 0

    def take(self, limit: int) -> bool:
        """Counts one call; False when it is one too many."""
        now = self.clock.now_ms()
        if now >= self._began_ms + self.seconds * 1000:
            self._began_ms, self._used = now, 0
        self._used += 1
        return self._used <= limit

    def left(self, limit: int) -> int:
        return max(0, limit - self._used)

    def resets_in(self) -> int:
        """Whole seconds until the window starts anew, rounded up."""
        return max(0, -(-(self._began_ms + self.seconds * 1000 - self.clock.now_ms()) // 1000))
