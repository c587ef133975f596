"""How a stream is answered over the API."""

from headwater.api import Api, reply
from headwater.creation import Opened
from headwater.routes import Answer
from headwater.streams import Stream, as_json

PRIVATE = {"Cache-Control": "no-store"}


def stream_answer(stream: Stream) -> Answer:
    """The stream as it is recorded."""
    return reply(200, as_json(stream), tag(stream))


def opened_answer(api: Api, opened: Opened) -> Answer:
    """A stream with all that opens it: new, or, on a replay, the one that was opened before."""
    stream = opened.stream
    headers = {"Location": api.location(stream.href), **PRIVATE, **tag(stream)}
    if opened.replayed:
        headers["Idempotency-Replayed"] = "true"
    body = as_json(stream) | {"credentials": opened.credentials.revealed()}
    return reply(200 if opened.replayed else 201, body, headers)


def tag(stream: Stream) -> dict[str, str]:
    """Its version, for ``If-Match``."""
    return {"ETag": f'"{stream.version}"'}
