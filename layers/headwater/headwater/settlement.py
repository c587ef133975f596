"""How an attempt ends: settled with its stream, settled as failed, or released. Pure over its ports."""

from datetime import datetime, timedelta

from headwater import events
from headwater.deadline import Deadline
from headwater.errors import CreationInProgress, HeadwaterError
from headwater.opening import opened
from headwater.ports import Caller, Parts, Stale
from headwater.provider import Resource
from headwater.records import Credentials, Record
from headwater.sealing import seal_credentials
from headwater.streams import State

WRITES = 3
"""How often a write is tried that met another transaction."""
PUNCTUAL = 30
"""Seconds by which a client may come later than it was told before somebody else goes on in its place."""


class Superseded(Exception):
    """The claim is no longer this attempt's. ``ours`` is what it would have recorded, ``recorded`` what is there."""

    def __init__(self, ours: Record, recorded: Record | None) -> None:
        super().__init__("another attempt has the claim")
        self.ours = ours
        self.recorded = recorded


class Settlement:
    """Ends the attempts of one provider."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def made(
        self, caller: Caller, record: Record, resource: Resource, deadline: Deadline
    ) -> tuple[Record, Credentials]:
        """Record the stream, its sealed credentials and its event in one transaction. Raises ``Superseded``."""
        credentials = Credentials(ingest=list(resource.ingest), playback=list(resource.playback))
        ours = self._sealed(record, opened(self._parts, record, resource), credentials, deadline)
        event = events.happened(events.StreamCreated, ours.stream, caller.tenant, caller.request_id)
        for _ in range(WRITES):
            try:
                self._parts.store.settle(ours, event)
            except Stale:
                recorded = self._parts.store.load(ours.stream.id)
                if recorded and recorded.attempt == ours.attempt and not recorded.claim:
                    break  # our own write, its answer lost
                if recorded is None or recorded.attempt != ours.attempt:
                    raise Superseded(ours, recorded) from None
                # Somebody has noted something on our claim: it is ours still.
                noted = {"revision": recorded.revision, "ambiguous_creates": recorded.ambiguous_creates}
                ours = ours.model_copy(update=noted)
            else:
                break
        else:
            raise CreationInProgress("The stream could not be recorded for other writes.", retry_after=1)
        return ours, credentials

    def _sealed(self, record: Record, ours: Record, credentials: Credentials, deadline: Deadline) -> Record:
        try:
            sealed = seal_credentials(self._parts.vault, ours, credentials)
        except Exception:
            # Without its secrets it is of no use to anyone, and where there is no guard nobody would find it again.
            if not self._parts.provider.guard_seconds and self._parts.provider.remove(ours.handle, deadline).remains:
                self._parts.count("AmbiguousCreate")
                record = record.model_copy(update={"ambiguous_creates": record.ambiguous_creates + 1})
            self.released(record, self._parts.clock(), State.PROVISIONING)
            raise
        return ours.model_copy(update={"sealed_credentials": sealed})

    def failed(self, caller: Caller, record: Record, error: HeadwaterError) -> HeadwaterError:
        """Record that nothing was made, and announce it; the error to answer with."""
        moment = self._parts.present()
        stream = record.stream.model_copy(
            update={
                "state": State.FAILED,
                "state_reason": error.code,
                "version": record.stream.version + 1,
                "updated_at": moment,
            }
        )
        failed = record.model_copy(
            update={"stream": stream, "claim": None, "ended_at": moment, "request_secrets": None}
        )
        problem = events.problem(error)
        event = events.happened(events.StreamFailed, stream, caller.tenant, caller.request_id, problem=problem)
        try:
            self._parts.store.settle(failed, event)
        except Stale:
            return CreationInProgress("Another request with this key took over.", retry_after=1)
        error.settled = True
        return error

    def released(self, record: Record, free_at: datetime, state: State, retry_after: float | None = None) -> None:
        """Let go of the claim, so that a client told to come back, perhaps after a while, is not met by our shadow."""
        try:
            self.let_go(record, free_at, state, retry_after)
        except Stale:
            return  # another attempt has taken over meanwhile: it is not ours to release

    def let_go(self, record: Record, free_at: datetime, state: State, retry_after: float | None = None) -> None:
        """Mark a claimed record as worked on by nobody, and free for the next attempt then. Raises ``Stale``."""
        if not record.claim:
            return
        moment = self._parts.clock()
        wait = None if retry_after is None else min(retry_after, self._parts.patience) + PUNCTUAL
        expected_at = None if wait is None else moment + timedelta(seconds=wait)
        update = {
            "until": min(moment, record.claim.until),
            "free_at": free_at,
            "released": True,
            "expected_at": expected_at,
        }
        claim = record.claim.model_copy(update=update)
        stream = record.stream.model_copy(update={"state": state})
        self._parts.store.update(record.model_copy(update={"claim": claim, "stream": stream}))
