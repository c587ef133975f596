"""A stream as its provider tells it now: its state, what opens it, and whether it is still what was asked for. Pure."""

from datetime import datetime
from typing import Any

from pydantic import JsonValue, ValidationError

from headwater import events
from headwater.creation import ended
from headwater.deadline import Deadline
from headwater.errors import HeadwaterError, PreconditionFailed, ProviderUnavailable
from headwater.forgotten import forgetting, holds_mask
from headwater.keeping import AT_AN_END, CLOSED, Keeping
from headwater.opening import look_at
from headwater.ports import Caller, Parts
from headwater.provider import Options, Order, Resource
from headwater.records import Record
from headwater.requests import join_secrets
from headwater.streams import Entry, State


class Refreshing:
    """Looks at the streams of one provider."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._keeping = Keeping(parts)

    def refresh(self, caller: Caller, record: Record, deadline: Deadline) -> Record:
        """The record as the provider now tells it. Raises a ``ProviderError`` where it tells nothing."""
        asked_at, half = self._parts.present(), self._keeping.is_being_changed(record)
        resource = self._parts.provider.read(record.handle, self._keeping.in_time(deadline))
        try:
            if resource is None or _let_go(record, resource, asked_at):
                return self._keeping.lost(caller, record)
            return self._note(caller, record, resource, asked_at, half)
        except PreconditionFailed:
            return self._keeping.own(caller, record.stream.id)  # somebody else knows better by now

    def gone(self, caller: Caller, record: Record, deadline: Deadline) -> HeadwaterError:
        """What to say of a stream that the provider did not have when it was to do something with it: that it is over,
        and why, if the provider knows that still. Raises as ``refresh`` does."""
        record = self.refresh(caller, record, deadline)
        if record.stream.state in CLOSED:
            return ended(record)
        name = self._parts.provider.name
        return ProviderUnavailable(f"{name} has the stream, but did not know it just now.")

    def _note(self, caller: Caller, record: Record, resource: Resource, asked_at: datetime, half: bool) -> Record:
        """Write what is new, each kind of news with the event that tells it; that it was looked at comes last.

        Of what is being changed only ``half`` may be seen: its drift and its credentials are nobody else's doing.
        """
        if not half and resource.state not in AT_AN_END:
            record = self._note_credentials(caller, record, resource)
            record = self._note_drift(caller, record, resource)
        return self._note_state(caller, record, resource, asked_at, half)

    def _note_state(self, caller: Caller, record: Record, resource: Resource, asked_at: datetime, half: bool) -> Record:
        seen = seen_as(self._parts, record, resource, asked_at)
        if not half:
            seen = seen.model_copy(update={"changing": {}})
        if seen.stream.state is not record.stream.state:
            return self._keeping.turned(caller, record, seen)
        looked = record.look_at is not None and record.look_at <= asked_at
        kept = (record.stream, record.notes, record.changing)
        if looked or (seen.stream, seen.notes, seen.changing) != kept:
            return self._keeping.write(caller, record, seen)
        return record

    def _note_credentials(self, caller: Caller, record: Record, resource: Resource) -> Record:
        """Somebody exchanged them at the provider: those that are kept open nothing any more."""
        after = self._keeping.told(record, resource)
        if after.sealed_credentials == record.sealed_credentials:
            return record if after is record else self._keeping.write(caller, record, after)
        rotated_at, known = resource.rotated_at or self._parts.present(), record.stream.credentials_rotated_at
        if known and rotated_at < known:
            return record  # what it told is of before
        stream = after.stream.model_copy(update={"credentials_rotated_at": rotated_at})
        after = after.model_copy(update={"stream": stream})
        return self._keeping.write(caller, record, after, events.StreamCredentialsRotated)

    def _note_drift(self, caller: Caller, record: Record, resource: Resource) -> Record:
        fields = drift_of(self._parts, record, resource)
        if fields is None or fields == record.stream.drift:
            return record
        stream = record.stream.model_copy(update={"drift": fields})
        after = record.model_copy(update={"stream": stream})
        return self._keeping.write(caller, record, after, events.StreamDrifted, fields=fields)


def _let_go(record: Record, resource: Resource, asked_at: datetime) -> bool:
    """Whether its provider, which tells of it still, has ended it since its caller no longer held its lease."""
    lease = record.stream.lease
    lapsed = lease is not None and not lease.managed and lease.expires_at <= asked_at
    return lapsed and resource.state is State.ENDED


def seen_as(parts: Parts, record: Record, resource: Resource, asked_at: datetime) -> Record:
    """The record with what was told of its resource when it was asked about then; its state, unless that is no news."""
    update: dict[str, Any] = {**ways_of(resource)}
    state = record.stream.state
    if record.noticed_at is None or record.noticed_at <= asked_at:
        state = resource.state
        # Why it is so was perhaps told by a notice, which a look cannot see again.
        told_before = record.stream.state_reason if state is record.stream.state else None
        update |= {
            "state": state,
            "state_reason": resource.state_reason or told_before,
            "provider_status": resource.provider_status,
        }
    stream = record.stream.model_copy(update=update)
    next_look = look_at(parts, state, stream.lease, asked_at)
    return record.model_copy(
        update={"stream": stream, "told_at": asked_at, "look_at": next_look, "notes": resource.notes}
    )


def ways_of(resource: Resource) -> dict[str, list[Entry]]:
    """The ways into and out of it that were told, for the stream that shows them; those of a side told nothing stay."""
    told = {
        "ingest": [access.public() for access in resource.ingest],
        "playback": [access.public() for access in resource.playback],
    }
    return {name: entries for name, entries in told.items() if entries}


def order_of(parts: Parts, record: Record) -> Order[Options] | None:
    """What is to be at the provider by the record; its secrets cannot be looked at, for they are not kept.

    None where what was asked for is not understood any more: without a secret, or by a later version of the options.
    """
    try:
        options = join_secrets(record.stream.options, {}, parts.provider.options_type)
    except ValidationError:
        return None
    return Order(record.stream.id, forgetting(options), record.stream.name, record.generation, parts.deployment)


def drift_of(parts: Parts, record: Record, resource: Resource) -> list[str] | None:
    """What of what was told is not as the record has it, sorted; None where nothing can be told of that."""
    order = order_of(parts, record) if resource.settings else None
    if order is None:
        return None
    wanted = parts.provider.settings(order)
    found = {
        at
        for at, value in resource.settings.items()
        if at in wanted and wanted[at] != value and not holds_mask(_shown(record, at))
    }
    # What is not told this time has not been mended.
    return sorted(found | {at for at in record.stream.drift if at not in resource.settings})


def _shown(record: Record, at: str) -> JsonValue:
    """What the record shows at a pointer into its request, if that is into its options."""
    here: JsonValue = {"options": record.stream.options}
    for step in at.split("/")[1:]:
        here = here.get(step.replace("~1", "/").replace("~0", "~")) if isinstance(here, dict) else None
    return here
