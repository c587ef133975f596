"""Which records of the table's stream go to the bus, and in what portions."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from headwater.events import DETAIL_BYTES, PUBLISHED, SOURCE

ENTRIES = 10
"""PutEvents takes no more at once."""
REQUEST_BYTES = 200_000
"""PutEvents takes 256 kB at once, counted with names and times; this leaves room for them."""

KINDS = {kind.__name__: kind for kind in PUBLISHED}


@dataclass(frozen=True)
class Pending:
    """One event on its way out."""

    kind: str
    detail: str

    def entry(self, bus: str) -> dict[str, Any]:
        """As PutEvents takes it."""
        return {"Source": SOURCE, "DetailType": self.kind, "Detail": self.detail, "EventBusName": bus}


class Unpublishable(Exception):
    """A record that will never be fit to publish: no event that we promised, or not of its schema."""


def pending(record: dict[str, Any]) -> Pending:
    """The event in a stream record, checked against what subscribers were promised. Raises ``Unpublishable``."""
    try:
        image = record["dynamodb"]["NewImage"]
        kind = image["type"]["S"]
        # Of what it was promised and no more; during a deployment, whoever wrote it may already know more than we do.
        promised = KINDS[kind].model_validate_json(image["detail"]["S"], extra="ignore")
        event = Pending(kind, promised.model_dump_json())
    except (KeyError, TypeError):
        raise Unpublishable("not an event of ours") from None
    except ValidationError as error:
        places = sorted({".".join(map(str, each["loc"])) for each in error.errors(include_input=False)})
        raise Unpublishable(f"not of its schema at {', '.join(places)}") from None
    if len(event.detail.encode()) > DETAIL_BYTES:
        raise Unpublishable("larger than a detail may be")
    return event


def portions(events: list[Pending]) -> Iterator[list[Pending]]:
    """The events in order, in portions that PutEvents takes."""
    portion: list[Pending] = []
    size = 0
    for event in events:
        weight = len(event.detail.encode())
        if portion and (len(portion) == ENTRIES or size + weight > REQUEST_BYTES):
            yield portion
            portion, size = [], 0
        portion.append(event)
        size += weight
    if portion:
        yield portion


def dead_letter(record: dict[str, Any], reason: str) -> str:
    """What is kept of a record that cannot be published: where it is, not what is in it."""
    keys = record.get("dynamodb", {}).get("Keys", {})
    return json.dumps({"reason": reason, "keys": keys, "event_id": record.get("eventID")})
