"""The events that we promise, and the commands that we take, by version. Pure."""

from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from headwater.errors import HeadwaterError
from headwater.streams import Frozen, State, Stream, milliseconds

SOURCE = "headwater"
"""Ours alone: the bus refuses it to others."""
REQUEST_SOURCE = "headwater.requests"
"""Of whoever asks for a stream over the bus."""

DETAIL_BYTES = 200_000
FAULTS = 100
"""How many faults of a request an event names; its ``detail`` says how many there were."""


class StreamData(Frozen):
    """What an event is about: the public view, as it was recorded in the same transaction."""

    stream: Stream


class StateData(StreamData):
    previous_state: State


class ChangeData(StreamData):
    """``changed`` is what is other than before, by pointer into a request."""

    changed: list[str]


class DriftData(StreamData):
    """``fields`` is what is otherwise at the provider than asked for, by pointer into a request; none: nothing is."""

    fields: list[str]


class Wrong(Frozen):
    """One thing that was wrong with a request; see ``errors.Fault``."""

    pointer: str
    code: str
    detail: str


class Problem(Frozen):
    """Why a stream could not be created, as a caller of the API is told it."""

    code: str
    detail: str
    errors: list[Wrong] = Field(default_factory=list)


class FailureData(StreamData):
    """The stream that was not to be, and why."""

    problem: Problem


class Happened(Frozen):
    """The detail of every event. ``sequence`` is the stream's version: it lets a projection drop what is stale."""

    version: Literal[1] = 1
    event_id: str
    sequence: int
    tenant: str
    occurred_at: AwareDatetime
    request_id: str
    """Of the API call, or the id of the bus event, that brought it about."""
    data: StreamData


class StreamCreated(Happened):
    """A stream was recorded, and its resource exists at the provider."""


class StreamStateChanged(Happened):
    """The provider tells another state than the one that was recorded."""

    data: StateData


class StreamUpdated(Happened):
    """A stream was changed because somebody asked, at its provider too where that is concerned."""

    data: ChangeData


class StreamCredentialsRotated(Happened):
    """What opens a stream was exchanged: by us because somebody asked, or by somebody else at the provider.

    The new secrets are at ``/credentials``. A renewed lease may bring a new token too, and is not worth an event.
    """


class StreamDrifted(Happened):
    """What the provider has is not, or no longer, what was asked for. Nothing was repaired."""

    data: DriftData


class StreamAdopted(Happened):
    """A resource that somebody else had made at the provider was recorded as a stream."""


class StreamDeleted(Happened):
    """A stream was ended because somebody asked."""


class StreamExpired(Happened):
    """A stream was ended because its lifetime was over."""


class StreamFailed(Happened):
    """A stream could not be created; ``state_reason`` has the problem's code."""

    data: FailureData


class StreamLost(Happened):
    """The provider no longer has a stream that should be alive."""


class AttentionData(Frozen):
    """Which stream, and what for."""

    provider: str
    stream_id: str
    reason: Literal["renew", "expire", "due"]
    """``due``: whatever the record says is due, such as what a dead attempt left."""
    beat: int | None = None


class StreamAttentionDue(Frozen):
    """A command of ours: something that a stream needs now, from the function of its provider."""

    version: Literal[1] = 1
    data: AttentionData


class SearchData(Frozen):
    """Where to search."""

    provider: str


class OrphanSearchDue(Frozen):
    """A command of ours to the function of a provider: look for resources that bear our mark and have no record."""

    version: Literal[1] = 1
    data: SearchData


class RequestData(BaseModel):
    """``request`` is a body of ``POST /streams/{provider}``, checked as one; it may hold no secret."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, defer_build=True)

    provider: str
    idempotency_key: Annotated[str, Field(min_length=1, max_length=255, pattern=r"^[ -~]+$")] | None = None
    """Without one, the bus event's own id is the key."""
    deadline: AwareDatetime | None = None
    """After it nothing is begun any more. Without one: an hour after the event."""
    request: dict[str, Any] = Field(default_factory=dict)


class StreamRequested(BaseModel):
    """A command to us over the bus: open a stream. ``tenant`` counts only from the stack's own account."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, defer_build=True)

    version: Literal[1]
    tenant: Annotated[str, Field(min_length=1, max_length=256)] | None = None
    data: RequestData


PUBLISHED: tuple[type[Happened], ...] = (
    StreamCreated,
    StreamAdopted,
    StreamUpdated,
    StreamStateChanged,
    StreamCredentialsRotated,
    StreamDrifted,
    StreamDeleted,
    StreamExpired,
    StreamFailed,
    StreamLost,
)
"""What subscribers can rely on; each has its schema and an example under ``events/contracts/``."""


def event_id(stream: Stream) -> str:
    """The same however often the event is sent."""
    return f"{stream.id}:{milliseconds(stream.created_at)}:{stream.version}"


def happened[E: Happened](kind: type[E], stream: Stream, tenant: str, request_id: str, **more: Any) -> E:
    """The event that tells of ``stream`` as it now stands; ``more`` is what its kind's data has beside the stream."""
    return kind.model_validate(
        {
            "event_id": event_id(stream),
            "sequence": stream.version,
            "tenant": tenant,
            "occurred_at": stream.updated_at,
            "request_id": request_id,
            "data": {"stream": stream, **more},
        }
    )


def problem(error: HeadwaterError) -> Problem:
    """Why it failed, for the event that tells so."""
    errors = [Wrong(pointer=fault.pointer, code=fault.code, detail=fault.detail) for fault in error.faults]
    return Problem(code=error.code, detail=error.detail, errors=errors[:FAULTS])
