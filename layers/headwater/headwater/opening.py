"""What a stream begins its life with, made or adopted: its state, its lease, its lifetime, when to look at it. Pure."""

from datetime import datetime, timedelta

from headwater.ports import Parts
from headwater.provider import Resource
from headwater.records import LOOK_SECONDS, Credentials, Record
from headwater.streams import Lease, State


def opened(parts: Parts, record: Record, resource: Resource) -> Record:
    """The record of a stream whose resource is there, version and all, as of now."""
    moment = parts.present()
    lease = leased(resource, moment, record.lease_managed)
    credentials = Credentials(ingest=list(resource.ingest), playback=list(resource.playback))
    stream = record.stream.model_copy(
        update={
            "provider_ref": resource.ref,
            "state": resource.state,
            "state_reason": resource.state_reason,
            "provider_status": resource.provider_status,
            "version": record.stream.version + 1,
            "updated_at": moment,
            "expires_at": expires_at(parts, record, lease, moment),
            "lease": lease,
            "ingest": [access.public() for access in resource.ingest],
            "playback": [access.public() for access in resource.playback],
            "credentials_rotated_at": resource.rotated_at,
        }
    )
    settled = {
        "stream": stream,
        "claim": None,
        "notes": resource.notes,
        "request_secrets": None,
        "ended_at": None,
        "opened_at": moment,
        "told_at": moment,
        "look_at": look_at(parts, resource.state, lease, moment),
        "credential_hashes": credentials.hashes(stream.id),
    }
    return record.model_copy(update=settled)


def leased(resource: Resource, moment: datetime, managed: bool) -> Lease | None:
    """The lease that a resource came with, counted from ``moment``."""
    if resource.lease_seconds is None:
        return None
    ends = moment + timedelta(seconds=resource.lease_seconds)
    return Lease(ttl_seconds=resource.lease_seconds, expires_at=ends, renewed_at=moment, managed=managed)


def expires_at(parts: Parts, record: Record, lease: Lease | None, opened_at: datetime) -> datetime | None:
    """When its lifetime ends: after the time that its caller or this deployment gives it; None where it has none."""
    if record.adopted:
        return opened_at + timedelta(seconds=record.max_lifetime_seconds) if record.max_lifetime_seconds else None
    seconds = record.max_lifetime_seconds or parts.default_lifetime
    if seconds is None and lease and lease.managed:
        seconds = parts.leased_lifetime
    bounds = [bound for bound in (seconds, parts.lifetime_ceiling) if bound]
    return opened_at + timedelta(seconds=min(bounds)) if bounds else None


def look_at(parts: Parts, state: State, lease: Lease | None, moment: datetime) -> datetime | None:
    """When to look at it again, if nothing is heard of it; None where its lease tells often enough."""
    if lease and not lease.managed:
        # Whoever holds it says nothing of letting it go.
        return max(lease.expires_at, moment) + timedelta(seconds=LOOK_SECONDS)
    seconds = LOOK_SECONDS if state is State.PROVISIONING else parts.provider.look_seconds
    return None if seconds is None else moment + timedelta(seconds=seconds)
