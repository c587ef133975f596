"""What somebody else made at a provider is taken into the record, so that a team can begin with what it has. Pure.

It is recorded first and marked then: what bears our mark without a record counts as an orphan, and may be removed.
"""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from headwater import events
from headwater.claims import Claims, same_worker
from headwater.creation import Opened, ended
from headwater.deadline import Deadline
from headwater.errors import (
    AdoptionNotAllowed,
    AlreadyRecorded,
    CreationInProgress,
    NotAtProvider,
)
from headwater.keeping import CLOSED, Keeping
from headwater.opening import opened
from headwater.ports import Caller, Parts, Stale
from headwater.provider import Adoptable, Options, Order, Verb
from headwater.records import Credentials, Record
from headwater.requests import MetadataKey, MetadataValue, split_secrets
from headwater.sealing import seal_credentials
from headwater.streams import OVER, State, Stream, href, identify

NO_REQUEST = ""
"""The fingerprint of what nobody asked us to create: there is nothing to resume."""
PRINCIPALS = "aws:"
"""Tenants that are AWS accounts begin so, and the operator decides which of them may call at all. Whoever bears a token
is somebody's customer, and owns nothing there."""


class AdoptRequest(BaseModel):
    """Which resource, and what is to be known of it. Without a name, it has the one that the provider knows."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, hide_input_in_errors=True, defer_build=True)

    provider_ref: Annotated[str, Field(min_length=1, max_length=1024)]
    name: Annotated[str, Field(min_length=1, max_length=256)] | None = None
    metadata: Annotated[dict[MetadataKey, MetadataValue], Field(max_length=50)] = Field(default_factory=dict)


class Adoption:
    """Takes what is at one provider into the record."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._keeping = Keeping(parts)
        self._claims = Claims(parts)

    def adopt(self, caller: Caller, asked: AdoptRequest, deadline: Deadline) -> Opened:
        """The stream of this resource: recorded now, or by this caller before.

        It stays until somebody ends it: no default and no ceiling of this deployment's is put on what was there
        before. Raises ``CapabilityNotSupported``, ``AdoptionNotAllowed``, ``NotAtProvider``, and ``AlreadyRecorded``
        where it belongs to somebody else's stream, to one that we made, or to another deployment.
        """
        self._keeping.require(Verb.ADOPT)
        if not caller.tenant.startswith(PRINCIPALS):
            raise AdoptionNotAllowed("What is in the account is not for its customers to take.")
        found = self._found(asked.provider_ref, deadline)
        existing = self._parts.store.load(self._id_of(found.resource.ref))
        if existing and _stands(existing) and not self._is_abandoned(existing):
            return self._again(caller, existing, found, deadline)
        if self._require_nobody_s(found) or existing:
            found = self._found(found.resource.ref, deadline)  # whoever had it may have ended it just now
        record = self._claimed(self._record(caller, asked, found, existing, deadline), existing)
        settled, credentials = self._settled(caller, record, found)
        self._mark(settled, found, deadline)
        return Opened(settled.stream, credentials, replayed=False)

    def _found(self, ref: str, deadline: Deadline) -> Adoptable[Options]:
        """What is there, and is to stay. Raises ``NotAtProvider``."""
        found = self._parts.provider.adoptable(ref, self._keeping.in_time(deadline))
        if found is None or found.resource.state in CLOSED:
            raise NotAtProvider(f"{self._parts.provider.name} has nothing of this id.")
        return found

    def _id_of(self, ref: str) -> str:
        """One for each resource, whoever adopts it."""
        return identify(self._parts.deployment, "", self._parts.provider.name, ref)

    def _again(self, caller: Caller, record: Record, found: Adoptable[Options], deadline: Deadline) -> Opened:
        if record.tenant != caller.tenant:
            raise AlreadyRecorded("It was adopted by somebody else.")
        self._keeping.require_settled(record)
        if record.stream.state is State.ENDING:
            raise ended(record)
        self._require_ours(found)
        self._mark(record, found, deadline)
        return Opened(record.stream, self._keeping.credentials(record), replayed=True)

    def _is_abandoned(self, record: Record) -> bool:
        """Whether whoever was about to adopt it died over it."""
        return record.claim is not None and record.claim.until <= self._parts.clock()

    def _require_nobody_s(self, found: Adoptable[Options]) -> bool:
        """Whether another stream had it once. Raises ``AlreadyRecorded`` where one has it: by its mark, or, should that
        be gone, by our records. An adoption that somebody died over is none that stands in the way of another."""
        self._require_ours(found)
        name, ref = self._parts.provider.name, found.resource.ref
        ids = {*self._parts.store.recorded_as(name, ref), *([found.stream_id] if found.stream_id else [])}
        others = [self._parts.store.load(stream_id) for stream_id in ids - {self._id_of(ref)}]
        if any(record and _stands(record) for record in others):
            raise AlreadyRecorded("It belongs to a stream of this deployment.")
        return any(others)

    def _require_ours(self, found: Adoptable[Options]) -> None:
        """Raises ``AlreadyRecorded`` where it bears another deployment's mark."""
        if found.deployment not in {None, self._parts.deployment}:
            raise AlreadyRecorded("It bears the mark of another deployment.")

    def _claimed(self, record: Record, existing: Record | None) -> Record:
        """The record of an adoption that is under way: should we die, sweep closes it, and nothing is lost."""
        if existing:
            return self._claims.write(record)
        raced = self._parts.store.claim(record)
        if raced and not same_worker(raced, record):
            raise CreationInProgress("Another request adopts it just now.", retry_after=1)
        return record

    def _record(
        self,
        caller: Caller,
        asked: AdoptRequest,
        found: Adoptable[Options],
        existing: Record | None,
        deadline: Deadline,
    ) -> Record:
        moment, attempt = self._parts.present(), existing.attempt + 1 if existing else 1
        claim = self._claims.turn(attempt, deadline.worker_ends())
        provider, stream_id = self._parts.provider.name, self._id_of(found.resource.ref)
        before = existing.stream if existing else None
        stream = Stream(
            id=stream_id,
            provider=provider,
            name=asked.name or found.name,
            state=State.PROVISIONING,
            metadata=asked.metadata,
            version=before.version if before else 0,
            created_at=before.created_at if before else moment,
            updated_at=moment,
            options=split_secrets(found.options)[0],
            href=href(provider, stream_id),
        )
        return Record(
            stream=stream,
            tenant=caller.tenant,
            fingerprint=NO_REQUEST,
            adopted=True,
            revision=existing.revision if existing else 1,
            attempt=attempt,
            claim=claim,
            request_id=caller.request_id,
            try_until=claim.until,
        )

    def _settled(self, caller: Caller, record: Record, found: Adoptable[Options]) -> tuple[Record, Credentials]:
        resource = found.resource
        settled = opened(self._parts, record, resource)
        credentials = Credentials(ingest=list(resource.ingest), playback=list(resource.playback))
        sealed = seal_credentials(self._parts.vault, settled, credentials)
        settled = settled.model_copy(update={"sealed_credentials": sealed})
        event = events.happened(events.StreamAdopted, settled.stream, caller.tenant, caller.request_id)
        try:
            return self._parts.store.settle(settled, event), credentials
        except Stale:
            raise CreationInProgress("Another request adopts it just now.", retry_after=1) from None

    def _mark(self, record: Record, found: Adoptable[Options], deadline: Deadline) -> None:
        if (found.stream_id, found.deployment) != (record.stream.id, self._parts.deployment):
            order = Order(record.stream.id, found.options, record.stream.name, deployment=self._parts.deployment)
            self._parts.provider.mark(record.handle, order, self._keeping.in_time(deadline))


def _stands(record: Record) -> bool:
    """Whether it is of a stream that is there, or is being made."""
    return record.stream.state not in OVER | {State.FAILED}
