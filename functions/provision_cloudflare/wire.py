"""Cloudflare Stream's JSON: what is sent, what is read of the answers, and what its refusals mean."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any

from pydantic import ConfigDict, Field, JsonValue, RootModel, Secret, SecretStr

from headwater import errors
from headwater.errors import Fault, ProviderError
from headwater.http import Answer, Explanation, HeaderText
from headwater.provider import Marked, Order, Resource
from headwater.streams import Access, Frozen, State
from provision_cloudflare.options import HEADWATER_DEPLOYMENT, HEADWATER_ID, CloudflareOptions

SENT_AS = {
    "default_creator": "defaultCreator",
    "delete_recording_after_days": "deleteRecordingAfterDays",
    "prefer_low_latency": "preferLowLatency",
    "allowed_origins": "allowedOrigins",
    "hide_live_viewer_count": "hideLiveViewerCount",
    "require_signed_urls": "requireSignedURLs",
    "timeout_seconds": "timeoutSeconds",
}
"""Our names and Cloudflare's, where they differ."""

KNOWN_AS = {theirs: ours for ours, theirs in SENT_AS.items()}

LIVE = frozenset({"connected", "reconnected", "new_configuration_accepted"})
"""The words for an input that someone sends to (Cloudflare's API reference: `status` of a live input)."""

CONNECTED = LIVE | {"reconnecting"}
OVER = frozenset({"client_disconnect", "ttl_exceeded", "failed_to_connect", "failed_to_reconnect"})
"""All its other words: a broadcast was there and is not any more, or never came about."""

UNUSABLE_CREDENTIAL = frozenset({"6003", "6103", "9106"})
"""Error codes of a credential that Cloudflare cannot read, which it answers with 400 (third-party reports)."""


type AccountId = Annotated[str, Field(min_length=1, max_length=32)]


class _ApiToken(Frozen):
    account_id: AccountId
    api_token: HeaderText

    def headers(self) -> dict[str, SecretStr]:
        return {"Authorization": SecretStr(f"Bearer {self.api_token.get_secret_value()}")}


class _GlobalKey(Frozen):
    account_id: AccountId
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

    def headers(self) -> dict[str, SecretStr]:
        """The authentication headers of the one scheme or the other."""
        return self.root.headers()


# ---- what is sent ----


def idempotency_key(order: Order[CloudflareOptions]) -> str:
    """At most 255 bytes. Cloudflare holds it for 6 hours, and beyond the input's deletion (SDK, `idempotency_key`)."""
    return f"{order.id}-{order.generation}"


def creation(order: Order[CloudflareOptions]) -> dict[str, JsonValue]:
    """The body of a create: what the caller gave, the name, and our marks."""
    given = order.options.model_dump(exclude_unset=True)
    named = {"name": order.name} if order.name else {}
    marks = {HEADWATER_ID: order.id, HEADWATER_DEPLOYMENT: order.deployment}
    return {**_renamed(given), "meta": named | given.pop("meta", {}) | marks}


def _renamed(given: Mapping[str, Any]) -> dict[str, JsonValue]:
    return {
        SENT_AS.get(name, name): _renamed(value) if isinstance(value, dict) else value for name, value in given.items()
    }


# ---- what is answered ----


def refuses(answer: Answer) -> bool:
    """Whether the envelope says no, whatever the status."""
    return _object(answer.body).get("success") is False


def granted(answer: Answer) -> JsonValue:
    """The envelope's ``result``; None where there is none."""
    return _object(answer.body).get("result")


def resource(live_input: JsonValue) -> Resource | None:
    """A live input in our words; None where it is not one: it has no id."""
    found = _object(live_input)
    ref = found.get("uid")
    if not isinstance(ref, str) or not ref:
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
        notes={} if mode is None else {"recording_mode": mode},
    )


@dataclass(frozen=True)
class Listing:
    """What a list shows."""

    inputs: tuple[Mapping[str, JsonValue], ...]
    complete: bool
    """Whether what it does not show certainly is not there."""

    def refs_of(self, stream_id: str) -> list[str]:
        """The ids of the live inputs that bear this stream's mark."""
        return [str(found["uid"]) for found in self.inputs if _mark(found, HEADWATER_ID) == stream_id]

    def marked(self, deployment: str) -> Iterator[Marked]:
        """Those that bear the marks of this deployment and of one of its streams."""
        for found in self.inputs:
            stream_id = _mark(found, HEADWATER_ID)
            if stream_id and _mark(found, HEADWATER_DEPLOYMENT) == deployment:
                yield Marked(str(found["uid"]), stream_id, _moment(found, "created"))


def listing(result: JsonValue) -> Listing:
    """A list of live inputs. Raises ``ValueError`` where it is none.

    It shows about a thousand and cannot be paged: no parameter is documented. ``total`` says how many there are; older
    clients met the list without it, and without the object around it.
    """
    inputs = result if isinstance(result, list) else _object(result).get("liveInputs")
    if not isinstance(inputs, list):
        raise ValueError("no list of live inputs")
    readable = tuple(found for found in map(_object, inputs) if _text(found, "uid"))
    # What cannot be read might be ours.
    return Listing(readable, complete=_total(result) <= len(inputs) == len(readable))


def _total(result: JsonValue) -> float:
    """How many there are; infinite where that is not told."""
    total = _object(result).get("total")
    return total if isinstance(total, int | float) and not isinstance(total, bool) else math.inf


def _mark(found: Mapping[str, JsonValue], name: str) -> str | None:
    return _text(_object(found.get("meta")), name)


def _moment(found: Mapping[str, JsonValue], name: str) -> datetime | None:
    """None where it is no moment, which a time without its zone is not either."""
    try:
        moment = datetime.fromisoformat(_text(found, name) or "")
    except ValueError:
        return None
    return moment if moment.tzinfo else None


def connected(live_input: JsonValue) -> bool | None:
    """Whether somebody sends to it. None where its status is not told, or in no word that is documented."""
    found = _object(live_input)
    if "status" in found and found["status"] is None:
        return False
    word = _status(found.get("status"))
    if word in CONNECTED:
        return True
    return False if word in OVER else None


def _accesses(found: Mapping[str, JsonValue], rtmps: str, srt: str, web: str, web_protocol: str) -> list[Access]:
    by_rtmps, by_srt, by_web = _object(found.get(rtmps)), _object(found.get(srt)), _object(found.get(web))
    # Of WebRTC the address is the credential. SRT's address may well be an rtmps one: it is not looked at.
    accesses = [
        Access(protocol="rtmps", url=_text(by_rtmps, "url"), secrets=_secrets(by_rtmps, stream_key="streamKey")),
        Access(
            protocol="srt",
            url=_text(by_srt, "url"),
            secrets=_secrets(by_srt, stream_id="streamId", passphrase="passphrase"),  # noqa: S106  # a field's name
        ),
        Access(protocol=web_protocol, secrets=_secrets(by_web, url="url")),
    ]
    return [access for access in accesses if access.url or access.secrets]


def _secrets(access: Mapping[str, JsonValue], **names: str) -> dict[str, Secret[JsonValue]]:
    texts = {ours: _text(access, theirs) for ours, theirs in names.items()}
    return {name: Secret[JsonValue](text) for name, text in texts.items() if text}


def _manifests(found: Mapping[str, JsonValue], mode: str | None) -> list[Access]:
    """None where it is not recorded: then it cannot be watched so either, whatever addresses are told."""
    manifests = _object(found.get("playback")) if mode != "off" else {}
    urls = {protocol: _text(manifests, protocol) for protocol in ("hls", "dash")}
    return [Access(protocol=protocol, url=url) for protocol, url in urls.items() if url]


def _mode(found: Mapping[str, JsonValue]) -> str | None:
    """Of the recording; in 2021 the answer had it in ``live``."""
    return _text(_object(found.get("recording") or found.get("live")), "mode")


def _status(status: JsonValue) -> str | None:
    """Null until the first broadcast, then a word; an object around the word was met by third parties."""
    if isinstance(status, dict):
        status = _object(status.get("current")).get("state")
    return status if isinstance(status, str) else None


# ---- what is refused ----


def explain(answer: Answer) -> Explanation:
    """What an envelope with ``errors`` means."""
    listed = _object(answer.body).get("errors")
    found = [_object(error) for error in listed] if isinstance(listed, list) else []
    codes = [str(error["code"]) for error in found if isinstance(error.get("code"), int)]
    messages = [message for error in found if (message := _text(error, "message"))]
    return Explanation(
        code=codes[0] if codes else None,
        message="; ".join(messages) or None,
        request_id=answer.headers.get("cf-ray"),
        faults=tuple(fault for error in found if (fault := _fault(error))),
        kind=_kind(answer.status, codes),
    )


def _kind(status: int, codes: list[str]) -> type[ProviderError] | None:
    """A 404 that is not of a live input is of the account: the credential does not reach it."""
    if status < 300:
        return errors.ProviderRejected
    if status == 404:
        return errors.ProviderNotEntitled
    if status == 400 and UNUSABLE_CREDENTIAL.intersection(codes):
        return errors.ProviderUnauthorized
    return None


def _fault(error: Mapping[str, JsonValue]) -> Fault | None:
    pointer = _text(_object(error.get("source")), "pointer")
    if not pointer:
        return None
    code = error.get("code")
    detail = _text(error, "message") or "refused by Cloudflare"
    return Fault(_our_pointer(pointer), "provider-rejected" if code is None else str(code), detail)


def _our_pointer(theirs: str) -> str:
    """Where it is in the options. What is in ``meta`` has the caller's names."""
    first, *rest = theirs.lstrip("/").split("/")
    names = [first, *rest] if first == "meta" else [KNOWN_AS.get(name, name) for name in (first, *rest)]
    return "/" + "/".join(names)


def _object(value: JsonValue) -> Mapping[str, JsonValue]:
    return value if isinstance(value, dict) else {}


def _text(found: Mapping[str, JsonValue], name: str) -> str | None:
    value = found.get(name)
    return value if isinstance(value, str) and value else None
