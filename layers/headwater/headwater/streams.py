"""A stream: its identity, its states and what is shown of it. Pure."""

import base64
import hashlib
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, TypedDict

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, JsonValue, Secret, with_config

type SecretValue = Secret[JsonValue]


class State(StrEnum):
    """``provisioning → ready ⇄ live → ending → ended``, or one of the three that end otherwise."""

    PROVISIONING = "provisioning"
    READY = "ready"
    LIVE = "live"
    ENDING = "ending"
    ENDED = "ended"
    FAILED = "failed"
    UNKNOWN = "unknown"
    """The outcome of a create cannot be learnt yet."""
    LOST = "lost"
    """The provider no longer has it."""


OVER = frozenset({State.ENDED, State.LOST})
"""States of a settled stream that nothing brings back."""


class Frozen(BaseModel):
    """A value: closed, immutable, and silent about what was wrong with it, which may be a secret."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, defer_build=True)


@with_config(ConfigDict(extra="forbid"))
class Entry(TypedDict):
    """One way into or out of a stream, as anyone may see it who may see the stream."""

    protocol: str
    url: str | None


class Access(Frozen):
    """One way into or out of a stream.

    ``url`` opens nothing by itself. What does (a stream key, a token, a URL that holds either) is in ``secrets``, by
    the name it has in the caller's answer; a secret named ``url`` takes the place of the public one there.
    """

    protocol: str
    url: str | None = None
    secrets: dict[str, SecretValue] = Field(default_factory=dict)

    def public(self) -> Entry:
        """What may be shown to anyone who may see the stream."""
        return {"protocol": self.protocol, "url": self.url}

    def revealed(self) -> dict[str, JsonValue]:
        """The whole of it: only for the answers that exist to hand credentials out, and for sealing."""
        opening = {name: secret.get_secret_value() for name, secret in self.secrets.items()}
        return {"protocol": self.protocol, "url": self.url, **opening}


class Lease(Frozen):
    """A stream that its provider ends unless it is renewed. ``ttl_seconds`` is the provider's returned value."""

    ttl_seconds: int
    expires_at: AwareDatetime
    renewed_at: AwareDatetime
    beat: int = 0
    """How many scheduled renewals were begun."""
    managed: bool = True
    """Whether Headwater renews it; else its caller does, and ends the stream by no longer doing so."""

    @property
    def critical_at(self) -> datetime:
        """When its last third begins: by then three scheduled renewals have failed to come."""
        return self.expires_at - timedelta(seconds=self.ttl_seconds / 3)


class Stream(Frozen):
    """The public view: the same shape from every provider, and never a secret in it."""

    id: str
    provider: str
    provider_ref: str | None = None
    name: str | None = None
    state: State
    state_reason: str | None = None
    """Why it is in this state, where the state alone does not say: an error's code, ``deleted``, ``expired``."""
    provider_status: str | None = None
    """The provider's own word for its state, untouched."""
    metadata: dict[str, str] = Field(default_factory=dict)
    version: int = 0
    created_at: AwareDatetime
    updated_at: AwareDatetime
    expires_at: AwareDatetime | None = None
    lease: Lease | None = None
    ingest: list[Entry] = Field(default_factory=list)
    playback: list[Entry] = Field(default_factory=list)
    options: dict[str, JsonValue] = Field(default_factory=dict)
    drift: list[str] = Field(default_factory=list)
    """What is otherwise at the provider than was asked for: by pointer into a request, sorted."""
    credentials_rotated_at: AwareDatetime | None = None
    """When what opens it was last exchanged; None where that was never."""
    href: str


def identify(deployment: str, tenant: str, provider: str, key: str) -> str:
    """The id that these four always give: a retry names the same stream."""
    digest = hashlib.sha256(length_prefixed(deployment, tenant, provider, key)).digest()
    return "str_" + base64.b32encode(digest).decode().rstrip("=").lower()


def length_prefixed(*parts: str) -> bytes:
    """The parts joined so that no two different lists of parts give the same bytes."""
    encoded: Iterable[bytes] = (part.encode() for part in parts)
    return b"".join(len(part).to_bytes(4, "big") + part for part in encoded)


def href(provider: str, stream_id: str) -> str:
    """Where the stream is, relative to the API's base."""
    return f"/streams/{provider}/{stream_id}"


def now() -> datetime:
    """The present, UTC, in whole milliseconds: what the table and the events keep."""
    moment = datetime.now(UTC)
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


def milliseconds(moment: datetime) -> int:
    """Since the epoch."""
    return round(moment.timestamp() * 1000)


def as_json(model: BaseModel) -> dict[str, Any]:
    """A model as JSON values; what is typed as a secret comes out masked."""
    return model.model_dump(mode="json")
