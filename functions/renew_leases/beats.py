"""When to look after a stream again, and what to ask for then. Pure."""

import math
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal

from pydantic import AwareDatetime, BaseModel

LONGEST_DELAY = 900
"""SQS delays a message by at most 15 minutes."""
SHARE = 4
"""A lease is renewed after a quarter of its time, so that two renewals may fail and the third still comes in time."""


class LeaseSeen(BaseModel):
    """What we use of a lease."""

    ttl_seconds: int


class StreamSeen(BaseModel):
    """What we use of a stream."""

    id: str
    provider: str
    lease: LeaseSeen | None = None
    expires_at: AwareDatetime | None = None


class CreatedData(BaseModel):
    stream: StreamSeen


class CreatedDetail(BaseModel):
    """What we use of ``StreamCreated``."""

    data: CreatedData


class Beat(BaseModel):
    """A message to ourselves: look after this stream now. ``number`` counts the renewals asked for."""

    stream_id: str
    provider: str
    number: int = 0
    renew_at: AwareDatetime | None = None


@dataclass(frozen=True)
class Step:
    """What to do at a beat: ask for ``reason``, if any, and come again after ``delay`` seconds, if ever."""

    beat: Beat
    reason: Literal["renew", "expire"] | None
    delay: int | None


def first(stream: StreamSeen, now: datetime) -> Step:
    """What to do about a stream that was just created."""
    return _rest(Beat(stream_id=stream.id, provider=stream.provider), stream, now)


def following(beat: Beat, stream: StreamSeen, now: datetime) -> Step:
    """What to do at ``beat`` about a stream that is still there."""
    if stream.expires_at and stream.expires_at <= now:
        # Come again until the record says that it is over: the provider may be away just now.
        return Step(beat, "expire", 60)
    if stream.lease and (beat.renew_at is None or beat.renew_at <= now):
        renewing = beat.model_copy(update={"number": beat.number + 1, "renew_at": None})
        return replace(_rest(renewing, stream, now), reason="renew")
    return _rest(beat, stream, now)


def _rest(beat: Beat, stream: StreamSeen, now: datetime) -> Step:
    """Come again when the next thing is due, or before, where SQS cannot wait so long."""
    renew_at = beat.renew_at
    if stream.lease and renew_at is None:
        renew_at = now + timedelta(seconds=stream.lease.ttl_seconds / SHARE)
    due = [moment for moment in (renew_at, stream.expires_at) if moment]
    if not due:
        return Step(beat, None, None)
    seconds = max(0, min((min(due) - now).total_seconds(), LONGEST_DELAY))
    return Step(beat.model_copy(update={"renew_at": renew_at}), None, math.ceil(seconds))
