"""The JSON of Overshoot v0.2 (providers' own docs: OpenAPI of v0.2)."""

from dataclasses import replace

from pydantic import JsonValue, Secret

from headwater.errors import Fault, ProviderQuotaExceeded
from headwater.http import ANSWER_SECONDS, Answer, Explanation
from headwater.provider import Handle, Order, Resource
from headwater.streams import Access, SecretValue, State
from provision_overshoot.options import V02, V02Options
from provision_overshoot.wire import faults, members, request_body, room, stream_path, text, ttl_seconds

LEASE_SECONDS = 45
"""How long a stream lives unless renewed, where an answer does not say (providers' own docs: OpenAPI of v0.2)."""

ROOM_NOTE = "livekit_url"
"""Where the room's address is kept: a keepalive tells a new token, but not the address again."""


def creation(order: Order[V02Options]) -> dict[str, JsonValue]:
    """The request, marked with our id unless the caller marked it: what an operator can ask the provider about."""
    body = request_body(order.options)
    return body | {"client": {"request_id": order.id} | members(body.get("client"))}


def patience(options: V02Options) -> float:
    """How long the answer to a create may take, in seconds."""
    return ANSWER_SECONDS


def status_path(ref: str) -> str:
    """A page of the stream's own: there is no plain GET of a stream."""
    return stream_path(ref, "info")


def headers(handle: Handle) -> dict[str, str]:
    """None: there are no regions."""
    return {}


def created(answer: Answer) -> Resource | None:
    """The stream that was made; None where the answer names none. It tells no state."""
    told = members(answer.body)
    ref = text(told, "stream_id")
    if not ref:
        return None
    url, token = text(told.get("livekit"), "url"), text(told.get("livekit"), "token")
    notes: dict[str, JsonValue] = {"api_version": V02}
    if url:
        notes[ROOM_NOTE] = url
    return Resource(
        ref=ref,
        state=State.READY,
        ingest=_webrtc(told) + room(url, token),
        lease_seconds=ttl_seconds(told.get("lease")) or LEASE_SECONDS,
        notes=notes,
    )


def _webrtc(told: dict[str, JsonValue]) -> tuple[Access, ...]:
    """The answer to an offer, with the TURN servers as they were given: their members' names are not documented."""
    answer, turn_servers = text(told.get("webrtc"), "sdp"), told.get("turn_servers")
    told_secrets = {"sdp_answer": answer, "turn_servers": turn_servers}
    secrets: dict[str, SecretValue] = {name: Secret[JsonValue](value) for name, value in told_secrets.items() if value}
    return (Access(protocol="webrtc", secrets=secrets),) if secrets else ()


def found(answer: Answer, handle: Handle) -> Resource | None:
    """The stream as it is; None where the answer does not tell."""
    status = text(answer.body, "state")
    return Resource(handle.ref, _state(status), status, notes=handle.notes) if status else None


def renewed(answer: Answer, handle: Handle) -> Resource | None:
    """The stream with its new token, if it has a room; None where the answer does not tell."""
    if not text(answer.body, "stream_id"):
        return None
    status, url = text(answer.body, "state"), text(handle.notes, ROOM_NOTE)
    return Resource(
        ref=handle.ref,
        state=_state(status),
        provider_status=status,
        ingest=room(url, text(answer.body, "livekit_token")) if url else (),
        lease_seconds=ttl_seconds(answer.body) or LEASE_SECONDS,
        notes=handle.notes,
    )


def has_token(handle: Handle) -> bool:
    """Whether it has a room of the provider's: then, and only then, a keepalive brings a token."""
    return ROOM_NOTE in handle.notes


def prompt_path(ref: str) -> str:
    """Where a stream's prompt is changed."""
    return stream_path(ref, "config", "prompt")


def changed(answer: Answer, handle: Handle) -> Resource | None:
    """The stream with its prompt changed; None where the answer does not tell. READY: it does not say who sends."""
    told = text(answer.body, "stream_id")
    return Resource(handle.ref, State.READY, notes=handle.notes) if told else None


def _state(status: str | None) -> State:
    """``pending`` (nobody sent yet), ``active``, ``idle`` (nobody sends now)."""
    return State.LIVE if status == "active" else State.READY


def explain(answer: Answer) -> Explanation:
    """``{error, request_id?, details?}``; the provider's SDK copes with ``message`` as well. ``error`` is prose.

    A 429 is the limit of five streams at once per key: another call does not help, another stream's end does.
    """
    body = members(answer.body)
    return Explanation(
        message=text(body, "error") or text(body, "message"),
        request_id=text(body, "request_id"),
        faults=tuple(map(_in_its_place, faults(body.get("details")))),
        kind=ProviderQuotaExceeded if answer.status == 429 else None,
    )


def _in_its_place(fault: Fault) -> Fault:
    """The prompt stands at the top of the request that changes it, and nowhere near there in ours."""
    return replace(fault, pointer="/inference/prompt") if fault.pointer == "/prompt" else fault
