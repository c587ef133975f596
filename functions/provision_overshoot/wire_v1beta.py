"""The JSON of Overshoot v1beta (providers' own docs: OpenAPI of v1beta, and its pages on streams and errors)."""

from pydantic import JsonValue

from headwater.errors import Effect
from headwater.http import ANSWER_SECONDS, Answer, Explanation
from headwater.provider import Handle, Order, Resource
from headwater.streams import Access, State
from provision_overshoot.options import V1BETA, V1betaOptions
from provision_overshoot.wire import faults, members, request_body, room, stream_path, text, ttl_seconds, word

LEASE_SECONDS = 300
"""How long a stream lives unless renewed, where an answer does not say (providers' own docs: streams)."""

SOURCE_SECONDS = 22.0
"""How long to wait for a create with a source: the provider tries to open it for up to 15 s before it answers
(providers' own docs: camera sources)."""

DRAINING_SECONDS = 1.0
"""How long to wait after a 503: the first of the waits that the provider asks for (its docs: best practices)."""

REGION_HEADER = "X-Overshoot-Region"
"""Which region answered; as a hint on a request, which one is meant. A stream is known in its own region only."""

PULLED = ("rtsp", "hls")
SOURCE_NOTE = "source"
"""Where it is kept that the provider pulls the video, and how. Of older streams it is not known."""


def creation(order: Order[V1betaOptions]) -> dict[str, JsonValue]:
    """The source, or nothing at all."""
    return request_body(order.options)


def patience(options: V1betaOptions) -> float:
    """How long the answer to a create may take, in seconds."""
    return SOURCE_SECONDS if options.source else ANSWER_SECONDS


def status_path(ref: str) -> str:
    """The stream itself."""
    return stream_path(ref)


def headers(handle: Handle) -> dict[str, str]:
    """What leads a call to the stream's region, if that is known."""
    region = handle.notes.get("region")
    return {REGION_HEADER: region} if isinstance(region, str) else {}


def created(answer: Answer) -> Resource | None:
    """The stream that was made; None where the answer names none."""
    ref, status = text(answer.body, "id"), text(answer.body, "state")
    if not ref:
        return None
    notes: dict[str, JsonValue] = {"api_version": V1BETA}
    pulled = _pulled(answer.body)
    if pulled:
        notes[SOURCE_NOTE] = pulled[0].protocol
    if region := answer.headers.get(REGION_HEADER):
        notes["region"] = region
    return Resource(
        ref=ref,
        state=_state(status, live=False),
        provider_status=status,
        ingest=_publish(answer.body) or pulled,
        lease_seconds=ttl_seconds(answer.body) or LEASE_SECONDS,
        notes=notes,
    )


def found(answer: Answer, handle: Handle) -> Resource | None:
    """The stream as it is; None where the answer does not tell. No token is told again."""
    status = text(answer.body, "state")
    if not status:
        return None
    told = members(answer.body)
    return Resource(
        ref=handle.ref,
        state=_state(status, live=told.get("first_frame_at_ms") is not None),
        provider_status=status,
        lease_seconds=ttl_seconds(told),
        notes=handle.notes,
        state_reason=text(told, "end_reason"),
    )


def renewed(answer: Answer, handle: Handle) -> Resource | None:
    """The stream with its new token; None where the answer does not tell. READY: it does not say who sends."""
    if not text(answer.body, "id"):
        return None
    return Resource(
        ref=handle.ref,
        state=State.READY,
        ingest=_publish(answer.body),
        lease_seconds=ttl_seconds(answer.body) or LEASE_SECONDS,
        notes=handle.notes,
    )


def has_token(handle: Handle) -> bool:
    """Whether there is a room of the provider's, for all that is known: a keepalive then brings a token."""
    return SOURCE_NOTE not in handle.notes


def _state(status: str | None, *, live: bool) -> State:
    """``active`` and ``ended`` are all the words there are; ``live``: whether a frame has arrived."""
    if status == "ended":
        return State.ENDED
    return State.LIVE if live else State.READY


def _publish(body: JsonValue) -> tuple[Access, ...]:
    publish = members(body).get("publish")
    return room(text(publish, "url"), text(publish, "token"))


def _pulled(body: JsonValue) -> tuple[Access, ...]:
    """How the provider gets the video of a stream that it pulls; from where is the caller's secret."""
    source = text(members(body).get("source"), "type")
    return (Access(protocol=source),) if source in PULLED else ()


def explain(answer: Answer) -> Explanation:
    """``{detail: text}``, ``{detail: {error, ...}}`` or ``{error, message, details}``.

    A 503 says that the server is draining and did nothing: the one answer after which the provider lets a create be
    repeated (its docs: best practices).
    """
    body = members(answer.body)
    draining = answer.status == 503
    return Explanation(
        code=word(body.get("error")) or word(members(body.get("detail")).get("error")),
        message=text(body, "detail") or text(body, "message"),
        faults=faults(body.get("details")),
        effect=Effect.NONE if draining else None,
        retry_after=DRAINING_SECONDS if draining else None,
    )
