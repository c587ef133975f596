"""Whether a create did its whole job: nothing is won by doing less. Pure."""

import base64
import json
import zlib
from collections.abc import Iterator
from contextlib import suppress
from itertools import chain
from typing import Any

from bench.answers import Seen

SEALING = ("Encrypt", "GenerateDataKey")


class NotDone(Exception):
    """A create was answered that did less than its job."""


def require_done(name: str, ours: bool, seen: Seen, answer: dict[str, Any]) -> None:
    """The answer, the provider's resource, the record and the event of one create are all there; else ``NotDone``.

    Ours write the event with the record, in one transaction, and seal what the provider gave; the others put the event
    on the bus.
    """
    for said in chain(_answered(seen, answer), _recorded(seen), _announced(seen) if ours else _put(seen)):
        raise NotDone(f"{name}: {said}")


def _answered(seen: Seen, answer: dict[str, Any]) -> Iterator[str]:
    if seen.strange:
        yield f"asked for {seen.strange}"
    if len(seen.made) != 1:
        yield f"made {len(seen.made)} at the provider"
    if answer.get("statusCode") != 201:
        yield f"answered {answer}"
    body = answer.get("body", "")
    if not (body and json.loads(body).get("id")):
        yield "answered no id"
    if any(secret not in body for secret in seen.handed):
        yield "answered no credentials"


def _recorded(seen: Seen) -> Iterator[str]:
    recorded = [key for key in seen.items if key[0].startswith("STREAM#") and key[1] == "STREAM"]
    if len(recorded) != 1:
        yield f"recorded {len(recorded)} streams"
    elif seen.made[0] not in json.dumps(seen.items[recorded[0]]):
        yield "recorded a stream without the provider's name for it"


def _put(seen: Seen) -> Iterator[str]:
    if len(seen.events) != 1:
        yield f"put {len(seen.events)} events"


def _announced(seen: Seen) -> Iterator[str]:
    events = [key for key in seen.items if key[0].startswith("STREAM#") and key[1].startswith("EVENT#")]
    if len(events) != 1:
        yield f"wrote {len(events)} events"
    elif not any({events[0], (events[0][0], "STREAM")} <= keys for keys in seen.together):
        yield "wrote the event without the record"
    if seen.handed and not any(seen.calls[operation] for operation in SEALING):
        yield "sealed nothing"
    told = b"\n".join(text for item in seen.items.values() for text in _texts(item))
    if any(secret.encode() in told for secret in seen.handed):
        yield "wrote credentials in plain text"


def _texts(value: Any) -> Iterator[bytes]:
    """Whatever a reader of the table could see: binary attributes are also read as they are, and unpacked."""
    match value:
        case {"B": str(text)}:
            plain = base64.b64decode(text)
            yield plain
            with suppress(zlib.error):
                yield zlib.decompress(plain)
        case dict():
            yield json.dumps(value).encode()
            for each in value.values():
                yield from _texts(each)
        case list():
            for each in value:
                yield from _texts(each)
