"""API Gateway plumbing: who calls, with which key and body, and problem+json for every failure."""

import json
import math
import re
import time
from collections.abc import Mapping
from typing import Any

from headwater import telemetry
from headwater.deadline import Deadline
from headwater.errors import (
    BodyTooLarge,
    HeadwaterError,
    IdempotencyKeyInvalid,
    IdempotencyKeyMissing,
    InternalError,
    MalformedBody,
    RouteNotFound,
    Unauthenticated,
)
from headwater.ports import Caller
from headwater.requests import BODY_BYTES, KEY_CHARACTERS
from headwater.routes import Answer, Call, Routes

ANSWER_MARGIN_SECONDS = 0.5
"""What is left of an invocation to hand the answer over."""
GATEWAY_SECONDS = 29
"""How long API Gateway waits from when the call reached it: with a cold start, which no invocation's time counts."""
OLDEST_SECONDS = 15
"""A start takes at most 10 s, so no call is older than this when it gets here: a clock differs."""
LONGEST_SECONDS = 86_400
RETRY_SECONDS = 2
"""When to come back where nobody knows better: not every provider says."""

TAG = re.compile('"[0-9]{1,9}"')


class Api:
    """Routes whose every answer, refusals included, is of this API's form. ``call`` is the one at hand."""

    call: Call
    deadline: Deadline
    """How long there is to answer it."""

    def __init__(self) -> None:
        self.routes = Routes()

    def answer(self, event: dict[str, Any], context: Any) -> dict[str, Any]:
        """The proxy answer to one API Gateway event."""
        self.call, self.deadline = Call(event), deadline_of(context, event)
        return self._answer().proxied()

    def _answer(self) -> Answer:
        found = self.routes.find(self.call)
        if found is None:
            return self._refused(RouteNotFound(f"There is no {self.call.method} at this address."))
        answerer, names = found
        try:
            return answerer(**names)
        except HeadwaterError as error:
            return self._refused(error)
        except Exception as error:
            telemetry.exception("unforeseen", error=error)
            return self._refused(
                InternalError("Something failed on our side; it has been logged under the request_id.")
            )

    @property
    def request_id(self) -> str:
        return str(self.call.context["requestId"])

    @property
    def caller(self) -> Caller:
        """Who calls: the JWT's tenant where a token authorizer spoke, else the account that signed."""
        context = self.call.context
        tenant = (context.get("authorizer") or {}).get("tenant")
        account = context["identity"].get("accountId")
        if not (tenant or account):
            raise Unauthenticated("The call came in without a caller.")
        return Caller(tenant or f"aws:{account}", self.request_id)

    @property
    def idempotency_key(self) -> str:
        """The create's key. Raises ``IdempotencyKeyMissing``, ``IdempotencyKeyInvalid``."""
        key = self.call.headers.get("idempotency-key") or ""
        if not key.strip():
            raise IdempotencyKeyMissing("Send an Idempotency-Key header: one new key for each stream you want.")
        if len(key) > KEY_CHARACTERS or not (key.isascii() and key.isprintable()):
            raise IdempotencyKeyInvalid(f"An Idempotency-Key has 1 to {KEY_CHARACTERS} printable ASCII characters.")
        return key

    def prefers(self, preference: str) -> bool:
        """Whether the caller sent this preference (RFC 7240), which is a token without a value."""
        sent = (self.call.headers.get("prefer") or "").split(",")
        return preference in {one.split(";")[0].strip().lower() for one in sent}

    def asks(self, parameter: str) -> bool:
        """Whether a parameter of the query is ``true``."""
        return self.call.query.get(parameter) == "true"

    @property
    def if_match(self) -> frozenset[int] | None:
        """The versions that ``If-Match`` (RFC 9110) names; None where any will do. A weak tag matches none."""
        sent = self.call.headers.get("if-match")
        if sent is None or sent.strip() == "*":
            return None
        tags = (one.strip() for one in sent.split(","))
        return frozenset(int(tag[1:-1]) for tag in tags if TAG.fullmatch(tag))

    @property
    def body(self) -> str:
        """The body's text; an absent one is an empty object. Raises ``BodyTooLarge``, ``MalformedBody``."""
        try:
            body = self.call.text or "{}"
        except ValueError:
            raise MalformedBody("The body is not UTF-8.") from None
        if len(body.encode()) > BODY_BYTES:
            raise BodyTooLarge(f"A body has at most {BODY_BYTES} bytes.")
        return body

    def location(self, href: str) -> str:
        """``href`` as an absolute address, by the name and stage that this call came in through."""
        context = self.call.context
        base = (context.get("path") or "").removesuffix(self.call.path)
        host = context.get("domainName") or self.call.headers.get("host")
        return f"https://{host}{base}{href}"

    def _refused(self, error: HeadwaterError) -> Answer:
        headers = {}
        if error.retryable:
            wait = RETRY_SECONDS if error.retry_after is None else error.retry_after
            headers["Retry-After"] = str(max(1, math.ceil(min(wait, LONGEST_SECONDS))))
        telemetry.logger().info(
            "refused", extra={"code": error.code, "status": error.status, "request_id": self.request_id}
        )
        problem = error.problem(self.request_id)
        return reply(error.status, problem, headers, content_type="application/problem+json")


def deadline_of(context: Any, event: Mapping[str, Any] | None = None) -> Deadline:
    """When this invocation must have answered: before it is killed, and before API Gateway, if it calls, gives up."""
    killed_in = context.get_remaining_time_in_millis() / 1000
    waited_for = min(killed_in, _gateway_waits(event)) if event else killed_in
    return Deadline(waited_for - ANSWER_MARGIN_SECONDS, killed_in=killed_in)


def _gateway_waits(event: Mapping[str, Any]) -> float:
    """Seconds; without end where the call does not say when it came, or by a clock that cannot be ours."""
    arrived = event["requestContext"].get("requestTimeEpoch") or math.inf
    age = time.time() - arrived / 1000  # below 0 it bounds nothing: no invocation is longer than the gateway's wait
    return GATEWAY_SECONDS - age if age <= OLDEST_SECONDS else math.inf


def reply(
    status: int,
    body: Mapping[str, Any] | None = None,
    headers: Mapping[str, str] | None = None,
    content_type: str = "application/json",
) -> Answer:
    """A JSON answer; without a body, an empty one."""
    text = "" if body is None else json.dumps(body, separators=(",", ":"))
    return Answer(status, text, {"Content-Type": content_type, **(headers or {})})
