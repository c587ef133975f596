"""pyannoteAI's JSON: what is read of the answers, and what its refusals mean."""

import time
from collections.abc import Mapping

from pydantic import ConfigDict, JsonValue, Secret, SecretStr

from headwater.errors import Fault
from headwater.http import Answer, Explanation, HeaderText
from headwater.provider import Resource
from headwater.streams import Access, Frozen, State

STATES = {"created": State.READY, "running": State.LIVE, "done": State.ENDED, "error": State.FAILED}
"""By pyannoteAI's own words (its API reference: `status` of a live stream)."""

EPOCH = 1_000_000_000
"""``X-RateLimit-Reset`` above this is a moment, else seconds from now: the provider's pages differ."""


class PyannoteSecret(Frozen):
    """``{"api_key"}``: a team's key with the permissions stream:write and stream:read. Its form is not checked."""

    model_config = ConfigDict(hide_input_in_errors=True)

    api_key: HeaderText

    def headers(self) -> dict[str, SecretStr]:
        """The authentication header."""
        return {"Authorization": SecretStr(f"Bearer {self.api_key.get_secret_value()}")}


def created(body: JsonValue) -> Resource | None:
    """What a create made; None where the answer lacks the id or the address, which is given only once."""
    ref, url = _text(body, "id"), _text(body, "url")
    if not (ref and url):
        return None
    # The token is in the query: the whole address is the credential.
    ingest = Access(protocol="websocket", secrets={"url": Secret[JsonValue](url)})
    return Resource(ref=ref, state=State.READY, ingest=(ingest,))


def found(body: JsonValue) -> Resource | None:
    """A live stream as it is, never with its address; None where the answer is not one."""
    ref, status = _text(body, "id"), _text(body, "status")
    if not ref:
        return None
    state = STATES.get(status or "") or _state_by_times(body)
    over = state in {State.ENDED, State.FAILED}
    return Resource(ref=ref, state=state, provider_status=status, state_reason=status if over else None)


def _state_by_times(body: JsonValue) -> State:
    """The state where the status is absent, which its schema allows, or a new word."""
    if _text(body, "completedAt"):
        return State.ENDED
    return State.LIVE if _text(body, "startedAt") else State.READY


def explain(answer: Answer) -> Explanation:
    """What a refusal says. There are no error codes: the status is all that there is to go by."""
    return Explanation(
        message=_text(answer.body, "message"),
        request_id=_text(answer.body, "requestId"),
        faults=tuple(_faults(answer.body)),
        retry_after=_until_reset(answer.headers),
    )


def _faults(body: JsonValue) -> list[Fault]:
    listed = body.get("errors") if isinstance(body, dict) else None
    errors = listed if isinstance(listed, list) else []
    said = [(_text(error, "field"), _text(error, "message")) for error in errors]
    return [Fault(_pointer(field), "provider-rejected", message or "refused") for field, message in said if field]


def _pointer(field: str) -> str:
    return "/" + field.replace("~", "~0").replace("/", "~1").replace(".", "/")


def _until_reset(headers: Mapping[str, str]) -> float | None:
    """Seconds by ``X-RateLimit-Reset``: newer pages count seconds until the reset, an older one gives an epoch."""
    try:
        reset = float(headers.get("x-ratelimit-reset", ""))
    except ValueError:
        return None
    return max(0.0, reset - time.time() if reset > EPOCH else reset)


def _text(body: JsonValue, name: str) -> str | None:
    value = body.get(name) if isinstance(body, dict) else None
    return value if isinstance(value, str) and value else None
