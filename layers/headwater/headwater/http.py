"""One HTTP client for providers: a deadline on every call, one retry loop, and nothing secret in what it raises."""

import email.utils
import math
import ssl
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import cache
from json import loads
from threading import Event
from typing import Annotated, Any

import httpx
from pydantic import AfterValidator, JsonValue, SecretStr

from headwater import errors, snapshot
from headwater.aws import ROOTS
from headwater.deadline import Deadline, within
from headwater.errors import Effect, Fault, ProviderError, Upstream
from headwater.events import FAULTS
from headwater.requests import MASK
from headwater.retry import with_retries

CONNECT_SECONDS = 5.0
ANSWER_SECONDS = 10.0
SHORTEST_KEY = 8
"""Characters; what is shorter is a word like Bearer."""


def _is_header_text(secret: SecretStr) -> SecretStr:
    value = secret.get_secret_value()
    if not (value.isascii() and value.isprintable() and value.strip() == value != ""):
        raise ValueError("must be printable ASCII, not empty, without blanks around it")
    return secret


type HeaderText = Annotated[SecretStr, AfterValidator(_is_header_text)]
"""A secret that can be sent as the value of a header."""

HEADERS = {"User-Agent": "headwater", "Accept": "application/json", "Accept-Encoding": "identity"}
LONGEST_MESSAGE = 500
"""Characters of a provider's words that are passed on."""
ANSWER_BYTES = 4_000_000
"""Far above the longest answer there is: a list of a thousand live inputs."""

OPTIONS = "/options"
"""Where a provider's options stand in our request."""

REFUSALS: dict[int, type[ProviderError]] = {
    401: errors.ProviderUnauthorized,
    402: errors.ProviderPaymentRequired,
    403: errors.ProviderNotEntitled,
    409: errors.ProviderConflict,
    408: errors.ProviderUnavailable,
    425: errors.ProviderUnavailable,
    429: errors.ProviderRateLimited,
}
"""What a refusal's status means unless the provider says otherwise: any other 4xx is a rejection."""


@dataclass(frozen=True)
class Explanation:
    """What a provider's error body says, read leniently by its ``wire`` module. ``faults`` point into our options."""

    code: str | None = None
    message: str | None = None
    request_id: str | None = None
    faults: tuple[Fault, ...] = ()
    kind: type[ProviderError] | None = None
    """What this refusal means at this provider, where the status alone would be read wrongly."""
    effect: Effect | None = None
    """What the call may have done, where the status alone would be read wrongly."""
    retry_after: float | None = None
    """Seconds to wait, where the provider says so elsewhere than in ``Retry-After`` (which is preferred)."""


@dataclass(frozen=True)
class Answer:
    """A provider's answer. ``body`` is the parsed JSON; None where there is none or it is not JSON."""

    status: int
    headers: Mapping[str, str]
    body: JsonValue


type Authorize = Callable[[bool], Mapping[str, SecretStr]]
"""Gives the authentication headers; told True, it reads the secret anew first."""
type Explain = Callable[[Answer], Explanation]


class ProviderClient:
    """Calls one provider. ``base_url`` without a trailing slash. Reused between calls, so that connections are."""

    def __init__(
        self,
        provider: str,
        base_url: str,
        authorize: Authorize,
        explain: Explain,
        refuses: Callable[[Answer], bool] = lambda _: False,
    ) -> None:
        self._provider = provider
        self._base_url = base_url.rstrip("/")
        self._authorize = authorize
        self._explain = explain
        self._refuses = refuses
        self._client = _new_client()
        snapshot.before(self._begin_anew)

    def _begin_anew(self) -> None:
        """By new connections; the TLS context, which is what is dear, stays."""
        self._client.close()
        self._client = _new_client()

    def call(
        self,
        method: str,
        path: str,
        deadline: Deadline,
        *,
        repeatable: bool,
        json: JsonValue = None,
        headers: Mapping[str, str] | None = None,
        seconds: float = ANSWER_SECONDS,
        private: bool = False,
    ) -> Answer:
        """The provider's answer below 400; anything else is raised as the ``ProviderError`` that it means.

        ``path`` is appended to the base address and must be quoted. ``json`` None sends no body. ``seconds`` bounds one
        answer, the deadline bounds them all. ``repeatable``: see ``with_retries``. ``private`` says that the request
        holds a secret of the caller's, so the provider's own words, which may repeat it, are not passed on.
        A 401 is tried once more with the secret read anew.
        """

        def once(fresh: bool = False) -> Answer:
            secret = {name: value.get_secret_value() for name, value in self._authorize(fresh).items()}
            answer = self._exchange(method, path, deadline, json, {**(headers or {}), **secret}, seconds)
            if answer.status >= 300 or self._refuses(answer):
                raise self._refusal(answer, method, private, secret.values())
            return answer

        def twice_if_unauthorized() -> Answer:
            try:
                return once()
            except errors.ProviderUnauthorized:
                return once(fresh=True)

        return with_retries(twice_if_unauthorized, deadline, repeatable=repeatable)

    def _exchange(
        self,
        method: str,
        path: str,
        deadline: Deadline,
        json: JsonValue,
        headers: Mapping[str, str],
        seconds: float,
    ) -> Answer:
        patience = min(seconds, deadline.remaining())
        if patience <= 0:
            raise self._silence(errors.ProviderUnavailable, Effect.NONE, "there was no time left to call it")
        timeout = httpx.Timeout(patience, connect=min(CONNECT_SECONDS, patience))
        given_up = Event()
        how: dict[str, Any] = {"headers": headers, "timeout": timeout, "extensions": {"trace": _sent_unless(given_up)}}

        def exchange() -> Answer:
            with self._client.stream(method, self._base_url + path, json=json, **how) as response:
                return Answer(response.status_code, response.headers, _read(response))

        try:
            # httpx bounds each read and write alone, and looking up a name not at all.
            return within(patience, exchange)
        # An exception's text holds the URL, and so may its cause: neither leaves this function.
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout):
            failure = self._silence(errors.ProviderUnavailable, Effect.NONE, "it could not be reached")
        except (httpx.LocalProtocolError, httpx.UnsupportedProtocol, httpx.InvalidURL, UnicodeError):
            failure = self._silence(errors.ProviderUnavailable, Effect.NONE, "the call to it cannot be put together")
        except (httpx.TransportError, TimeoutError):
            failure = self._no_answer(method, "it did not answer in time")
        except httpx.HTTPError:
            failure = self._no_answer(method, "its answer was unreadable")
        finally:
            given_up.set()
        raise failure

    def _no_answer(self, method: str, what: str) -> ProviderError:
        """To look at something leaves nothing in doubt; to do something does."""
        if method == "GET":
            return self._silence(errors.ProviderUnavailable, Effect.NONE, what)
        return self._silence(errors.ProviderOutcomeUnknown, Effect.UNKNOWN, what)

    def _silence(self, kind: type[ProviderError], effect: Effect, what: str) -> ProviderError:
        return kind(f"{self._provider}: {what}.", effect=effect, upstream=Upstream(self._provider))

    def _refusal(self, answer: Answer, method: str, private: bool, secret: Collection[str]) -> ProviderError:
        told = self._explain(answer)
        kind = told.kind or _meaning(answer.status)
        effect = told.effect or _effect(answer.status, method)
        wait = retry_after(answer.headers)
        # A key that was refused may be one that we no longer hold and could not mask.
        quiet = private or kind is errors.ProviderUnauthorized
        message = None if quiet else _masked(told.message, secret)
        faults = () if quiet else tuple(_of_our_request(fault, secret) for fault in told.faults[:FAULTS])
        detail = f"{self._provider} answered {answer.status}" + (f": {message}" if message else ".")
        return kind(
            detail,
            effect=effect,
            retry_after=(told.retry_after if wait is None else wait) if kind.retryable else None,
            faults=faults,
            upstream=Upstream(
                self._provider, answer.status, _masked(told.code, secret), _masked(told.request_id, secret)
            ),
        )


def _sent_unless(given_up: Event) -> Callable[[str, Any], None]:
    """Told of each step of an exchange, it ends one that nobody waits for any more before anything is sent."""

    def notice(step: str, _: Any) -> None:
        if given_up.is_set() and step.startswith("http11.send_request"):
            raise TimeoutError

    return notice


def _of_our_request(fault: Fault, secret: Collection[str]) -> Fault:
    return Fault(OPTIONS + fault.pointer, fault.code, _masked(fault.detail, secret) or "")


def _masked(message: str | None, secret: Collection[str]) -> str | None:
    """The provider's words without the key that we sent, which they may repeat."""
    for word in " ".join(secret).split():
        message = message.replace(word, MASK) if message and len(word) >= SHORTEST_KEY else message
    return message[:LONGEST_MESSAGE] if message else None


def _new_client() -> httpx.Client:
    return httpx.Client(verify=_trust(), follow_redirects=False, headers=HEADERS)


@cache
def _trust() -> ssl.SSLContext:
    """Certificates are verified, by one context for all clients: to read certifi's bundle of roots takes 0.1 s.

    The build lays the same roots out as a directory (``openssl rehash``), of which a handshake reads the one it needs.
    """
    directory = ROOTS / "hashed"
    return ssl.create_default_context(capath=directory) if directory.is_dir() else httpx.create_ssl_context()


def _meaning(status: int) -> type[ProviderError]:
    if status >= 500 or status < 400:
        return errors.ProviderUnavailable
    return REFUSALS.get(status, errors.ProviderRejected)


def _effect(status: int, method: str) -> Effect:
    """A 5xx, or a gateway's 408, may come after the work was done, unless nothing was asked to be done."""
    return Effect.UNKNOWN if (status >= 500 or status == 408) and method != "GET" else Effect.NONE


def _read(response: httpx.Response) -> JsonValue:
    """The body as JSON; None where it is not. We asked for it uncompressed: ``Accept-Encoding: identity``."""
    content = bytearray()
    for chunk in response.iter_raw():
        content += chunk
        if len(content) > ANSWER_BYTES:
            raise httpx.ReadError("the answer does not end", request=response.request)
    try:
        body: JsonValue = loads(content)
    except (ValueError, RecursionError):
        return None
    return body


def retry_after(headers: Mapping[str, Any]) -> float | None:
    """Seconds to wait by ``Retry-After`` (RFC 9110: seconds or a date); None where it is absent or unreadable."""
    value = headers.get("retry-after")
    if value is None:
        return None
    try:
        seconds = float(value)
        return max(0.0, seconds) if math.isfinite(seconds) else None
    except ValueError:
        pass
    try:
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    except ValueError:
        return None
