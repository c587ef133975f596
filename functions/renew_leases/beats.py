"""When to look after a stream again, and what to ask for then. Pure.

A lease has nine parts. After three it is to be renewed, and a part later we look whether that came through: if so, it
has nine parts again; if not, we ask anew, at the end of this part and of each further one. So three renewals may fail,
and the fourth is asked for as the last third begins.
"""

import math
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal

from pydantic import AwareDatetime, BaseModel

LONGEST_DELAY = 900
"""SQS delays a message by at most 15 minutes, and by whole seconds."""
PARTS = 9
THIRD = 3
"""So many parts."""
EXPIRE_AGAIN = 60
"""Seconds after which the end is asked for again: the provider may be away just now."""


class LeaseSeen(BaseModel):
    """What we use of a lease."""

    ttl_seconds: int
    renewed_at: AwareDatetime
    beat: int = 0
    """How many scheduled renewals were begun."""
    managed: bool = True

    @property
    def part(self) -> timedelta:
        """How long one of its parts is."""
        return timedelta(seconds=self.ttl_seconds / PARTS)

    @property
    def renew_at(self) -> datetime:
        """When to renew it."""
        return self.renewed_at + THIRD * self.part

    @property
    def ends_at(self) -> datetime:
        """When it is over unless it is renewed."""
        return self.renewed_at + PARTS * self.part


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
    """A message to ourselves: look after this stream now. ``number`` is of the last renewal that its sender knew of."""

    stream_id: str
    provider: str
    number: int = 0
    asked_at: AwareDatetime | None = None
    """When that was."""


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
    """What to do at ``beat`` about a stream that is still there, as it is recorded now."""
    if stream.expires_at and stream.expires_at <= now:
        return Step(beat, "expire", EXPIRE_AGAIN)
    ask_at = _ask_at(beat, stream.lease)
    if stream.lease is None or ask_at is None or ask_at > now:
        return _rest(beat, stream, now)
    begun = stream.lease.beat
    if begun > beat.number:
        # Of a copy of this message, or of whoever sweeps: it is given its time as if it were ours.
        return _rest(beat.model_copy(update={"number": begun, "asked_at": now}), stream, now)
    # One that was asked for and not begun is the same one: whichever message comes first begins it.
    asked = beat.model_copy(update={"number": begun + 1, "asked_at": now})
    return replace(_rest(asked, stream, now), reason="renew")


def _ask_at(beat: Beat, lease: LeaseSeen | None) -> datetime | None:
    """When to ask for its renewal; None where there is none to ask for."""
    if lease is None or not lease.managed:
        return None
    if beat.asked_at is None or beat.asked_at < lease.renew_at:
        return lease.renew_at  # whatever was asked for before came through
    if beat.asked_at >= lease.ends_at:
        return beat.asked_at + THIRD * lease.part  # only to learn that it is over
    # At a part's end, however late the last message came: being late does not add up.
    return lease.renew_at + math.ceil((beat.asked_at - lease.renew_at) / lease.part + 0.5) * lease.part


def _rest(beat: Beat, stream: StreamSeen, now: datetime) -> Step:
    """Come again when the next thing is due, or before, where SQS cannot wait so long."""
    due = [moment for moment in (_ask_at(beat, stream.lease), stream.expires_at) if moment]
    if not due:
        return Step(beat, None, None)
    seconds = max(0, min((min(due) - now).total_seconds(), LONGEST_DELAY))
    return Step(beat, None, math.ceil(seconds))
