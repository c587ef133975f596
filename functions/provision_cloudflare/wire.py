"""Cloudflare Stream's JSON of live inputs: who calls, and what is read of the answers."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated

from pydantic import ConfigDict, Field, JsonValue, RootModel, Secret, SecretStr

from headwater.http import Answer, HeaderText
from headwater.provider import Marked, Order, Resource
from headwater.streams import Access, Frozen, State
from provision_cloudflare import settings
from provision_cloudflare.options import HEADWATER_DEPLOYMENT, HEADWATER_ID, CloudflareOptions
from provision_cloudflare.reading import Object, as_object, moment, text

LIVE = frozenset({"connected", "reconnected", "new_configuration_accepted"})
"""The words for an input that someone sends to (Cloudflare's API reference: `status` of a live input)."""

CONNECTED = LIVE | {"reconnecting"}
OVER = frozenset({"client_disconnect", "ttl_exceeded", "failed_to_connect", "failed_to_reconnect"})
"""All its other words: a broadcast was there and is not any more, or never came about."""

MODE_NOTE = "recording_mode"
"""The note of how it is recorded."""


type AccountId = Annotated[str, Field(min_length=1, max_length=32)]


class _Account(Frozen):
    account_id: AccountId
    webhook_secret: HeaderText | None = None


class _ApiToken(_Account):
    api_token: HeaderText

    def headers(self) -> dict[str, SecretStr]:
        return {"Authorization": SecretStr(f"Bearer {self.api_token.get_secret_value()}")}


class _GlobalKey(_Account):
    email: HeaderText
    global_api_key: HeaderText

    def headers(self) -> dict[str, SecretStr]:
        return {"X-Auth-Email": self.email, "X-Auth-Key": self.global_api_key}


class CloudflareSecret(RootModel[_ApiToken | _GlobalKey]):
    """``{"account_id", "api_token"}`` or ``{"account_id", "email", "global_api_key"}``, and never a mixture.

    The token needs the permission Stream Write. Source: Cloudflare's API reference, "Security" of a live input.
    """

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    @property
    def account_id(self) -> str:
        """At most 32 characters."""
        return self.root.account_id

    @property
    def webhook_secret(self) -> SecretStr | None:
        """What a notification has to bring; None where none is to be believed."""
        return self.root.webhook_secret

    def headers(self) -> dict[str, SecretStr]:
        """The authentication headers of the one scheme or the other."""
        return self.root.headers()


def idempotency_key(order: Order[CloudflareOptions]) -> str:
    """At most 255 bytes. Cloudflare holds it for 6 hours, and beyond the input's deletion (SDK, `idempotency_key`)."""
    return f"{order.id}-{order.generation}"


# ---- what is answered


def granted(answer: Answer) -> JsonValue:
    """The envelope's ``result``; None where there is none."""
    return as_object(answer.body).get("result")


def live_input(answer: Answer) -> Object:
    """The one that an answer is about; empty where it tells none."""
    return as_object(granted(answer))


def resource(found: Object) -> Resource | None:
    """A live input in our words; None where it is not one: it has no id."""
    ref = text(found, "uid")
    if ref is None:
        return None
    word = _status(found.get("status"))
    mode = _mode(found)
    return Resource(
        ref=ref,
        state=State.LIVE if word in LIVE else State.READY,
        provider_status=word,
        ingest=tuple(_accesses(found, "rtmps", "srt", "webRTC", "whip")),
        playback=(
            *_manifests(found, mode),
            *_accesses(found, "rtmpsPlayback", "srtPlayback", "webRTCPlayback", "whep"),
        ),
        notes={} if mode is None else {MODE_NOTE: mode},
        settings=settings.found(found),
        rotated_at=moment(found, "keysRotatedAt"),
    )


@dataclass(frozen=True)
class Listing:
    """What a list shows."""

    inputs: tuple[Object, ...]
    complete: bool
    """Whether what it does not show certainly is not there."""

    def refs_of(self, stream_id: str) -> list[str]:
        """The ids of the live inputs that bear this stream's mark."""
        return [str(found["uid"]) for found in self.inputs if settings.mark(found, HEADWATER_ID) == stream_id]

    def marked(self, deployment: str) -> Iterator[Marked]:
        """Those that bear the marks of this deployment and of one of its streams."""
        for found in self.inputs:
            stream_id = settings.mark(found, HEADWATER_ID)
            if stream_id and settings.mark(found, HEADWATER_DEPLOYMENT) == deployment:
                yield Marked(str(found["uid"]), stream_id, moment(found, "created"))


def listing(result: JsonValue) -> Listing:
    """A list of live inputs. Raises ``ValueError`` where it is none.

    It shows about a thousand and cannot be paged: no parameter is documented. ``total`` says how many there are; older
    clients met the list without it, and without the object around it.
    """
    inputs = result if isinstance(result, list) else as_object(result).get("liveInputs")
    if not isinstance(inputs, list):
        raise ValueError("no list of live inputs")
    readable = tuple(found for found in map(as_object, inputs) if text(found, "uid"))
    # What cannot be read might be ours.
    return Listing(readable, complete=_total(result) <= len(inputs) == len(readable))


def _total(result: JsonValue) -> float:
    """How many there are; infinite where that is not told."""
    total = as_object(result).get("total")
    return total if isinstance(total, int | float) and not isinstance(total, bool) else math.inf


def connected(found: Object) -> bool | None:
    """Whether somebody sends to it. None where its status is not told, or in no word that is documented."""
    if "status" in found and found["status"] is None:
        return False
    word = _status(found.get("status"))
    if word in CONNECTED:
        return True
    return False if word in OVER else None


def _accesses(found: Object, rtmps: str, srt: str, web: str, web_protocol: str) -> list[Access]:
    by_rtmps, by_srt, by_web = as_object(found.get(rtmps)), as_object(found.get(srt)), as_object(found.get(web))
    # Of WebRTC the address is the credential. SRT's address may well be an rtmps one: it is not looked at.
    accesses = [
        Access(protocol="rtmps", url=text(by_rtmps, "url"), secrets=_secrets(by_rtmps, {"stream_key": "streamKey"})),
        Access(
            protocol="srt",
            url=text(by_srt, "url"),
            secrets=_secrets(by_srt, {"stream_id": "streamId", "passphrase": "passphrase"}),
        ),
        Access(protocol=web_protocol, secrets=_secrets(by_web, {"url": "url"})),
    ]
    return [access for access in accesses if access.url or access.secrets]


def _secrets(access: Object, names: Mapping[str, str]) -> dict[str, Secret[JsonValue]]:
    """Those that are there, by our ``names`` for theirs."""
    found = {ours: text(access, theirs) for ours, theirs in names.items()}
    return {name: Secret[JsonValue](secret) for name, secret in found.items() if secret}


def _manifests(found: Object, mode: str | None) -> list[Access]:
    """None where it is not recorded: then it cannot be watched so either, whatever addresses are told."""
    manifests = as_object(found.get("playback")) if mode != "off" else {}
    urls = {protocol: text(manifests, protocol) for protocol in ("hls", "dash")}
    return [Access(protocol=protocol, url=url) for protocol, url in urls.items() if url]


def _mode(found: Object) -> str | None:
    """Of the recording; in 2021 the answer had it in ``live``."""
    return text(as_object(found.get("recording") or found.get("live")), "mode")


def _status(status: JsonValue) -> str | None:
    """Null until the first broadcast, then a word; an object around the word was met by third parties."""
    if isinstance(status, dict):
        status = as_object(status.get("current")).get("state")
    return status if isinstance(status, str) else None
