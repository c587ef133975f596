"""What Cloudflare tells by itself of its live inputs: one Notifications webhook for the account.

Source: Cloudflare's documentation, "Receive live webhooks" of Stream. Pure, save for what it is asked to compare.
"""

import hmac
import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime

from pydantic import SecretStr

from headwater.errors import MalformedBody, NotificationRefused
from headwater.provider import Notice
from headwater.streams import State
from provision_cloudflare.reading import Object, as_object, moment, text

HEADER = "cf-webhook-auth"
"""Bears the shared secret itself: there is no signature and no time."""

STATES = {
    "live_input.connected": State.LIVE,
    "live_input.disconnected": State.READY,
    "live_input.errored": State.READY,
}

REASONS = {
    "ERR_UNSUPPORTED_VIDEO_CODEC": "The video codec{video} is not supported: send H.264.",
    "ERR_UNSUPPORTED_AUDIO_CODEC": "The audio codec{audio} is not supported: send AAC.",
    "ERR_GOP_OUT_OF_RANGE": "The key frames come too seldom or too often: send a closed GOP of 2 to 10 seconds.",
    "ERR_STORAGE_QUOTA_EXHAUSTED": "The account's storage is used up: recordings have to be deleted, or storage added.",
}
"""For whoever sends. Bounds of what can be sent: the same documentation, "Start a live stream"."""

REFUSED = "Cloudflare does not accept what is sent{code}."
CODE = re.compile("[A-Z_]{1,64}")
CODEC = re.compile("[A-Za-z0-9._-]{1,32}")


def require_secret(headers: Mapping[str, str], secret: SecretStr | None) -> None:
    """Raises ``NotificationRefused`` unless the call brings the secret that is kept. ``headers`` in lower case."""
    brought = headers.get(HEADER, "").encode(errors="surrogatepass")
    kept = secret.get_secret_value().encode() if secret else b""
    if not hmac.compare_digest(brought, kept) or not kept:
        raise NotificationRefused(f"{HEADER} does not hold the secret that was agreed on.")


def notice(body: str) -> Notice | None:
    """What a notification tells; None where it is of no live input, as the message is that tests the destination.

    Raises ``MalformedBody``.
    """
    told = _read(body)
    data = as_object(told.get("data"))
    ref, event = text(data, "input_id"), text(data, "event_type") or ""
    state, at = STATES.get(event), moment(data, "updated_at") or _sent_at(told)
    if ref is None or state is None or at is None:
        return None
    word = event.rpartition(".")[2]
    return Notice(ref, at, state, word, _reason(data) if word == "errored" else None)


def _read(body: str) -> Object:
    try:
        told = json.loads(body)
    except (ValueError, RecursionError):
        raise MalformedBody("The body is not JSON.") from None
    if not isinstance(told, dict):
        raise MalformedBody("The body is JSON, but not an object.")
    return told


def _sent_at(told: Object) -> datetime | None:
    """``ts``: seconds since the epoch, or a time in words."""
    seconds = told.get("ts")
    if not isinstance(seconds, int | float):
        return moment(told, "ts")
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return None


def _reason(data: Object) -> str:
    """What is wrong, in one sentence of ours: the provider's own may hold anything."""
    wrong = as_object(data.get("live_input_errored"))
    code = text(as_object(wrong.get("error")), "code") or ""
    video, audio = (_shown(text(wrong, name), CODEC) for name in ("video_codec", "audio_codec"))
    return REASONS.get(code, REFUSED).format(video=video, audio=audio, code=_shown(code, CODE))


def _shown(word: str | None, shape: re.Pattern[str]) -> str:
    """In brackets, if it looks like what it should be."""
    return f" ({word})" if word and shape.fullmatch(word) else ""
