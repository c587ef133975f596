"""Cloudflare Stream live inputs: https://api.cloudflare.com/client/v4.

Where the provider says nothing, the choice is the one that forgives a client least, and is said beside it."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from secrets import token_hex
from typing import Any, ClassVar, Literal, override

from werkzeug.wrappers import Request

from local.door import Clock
from local.simulators import secrets
from local.simulators.base import Account, Answer, Api, Ask, Quota, Refused, bearer, door_of, iso
from local.simulators.contract import Contract, Operation
from local.simulators.secrets import canary

KEY_HELD_MS = 6 * 3600 * 1000
"""How long an Idempotency-Key is held, from the creation of the input (the provider's SDK text)."""

HOST = "customer-sim.example.net"
RECORDING = {
    "mode": "off",
    "requireSignedURLs": False,
    "allowedOrigins": [],
    "timeoutSeconds": 0,
    "hideLiveViewerCount": False,
}

type Status = Literal[
    "connected",
    "reconnected",
    "reconnecting",
    "client_disconnect",
    "ttl_exceeded",
    "failed_to_connect",
    "failed_to_reconnect",
    "new_configuration_accepted",
]
ON_AIR = {"connected", "reconnected", "reconnecting", "new_configuration_accepted"}

type Event = Literal["connected", "disconnected", "errored"]


@dataclass
class Settings:
    list_window: int = 1000
    """How many inputs a list shows, oldest first, so that what was made last is what is missing."""
    replay_has_secrets: bool = True
    """Whether a create under a used key answers with the secrets, which the provider does not say."""
    rotation_has_secrets: bool = True
    """Whether an exchange of keys answers with the new ones, as the contract has it."""
    terse_recording: bool = False
    """Answers as the prose page has it: no origins are null, and the timeout is left out."""
    live_block: bool = False
    """Answers with the `live` block of 2021 instead of `recording`: a departure from the contract."""
    calls_per_five_minutes: int = 1200
    outputs_per_input: int = 50


@dataclass
class LiveInput:
    uid: str
    created_ms: int
    modified_ms: int
    settings: dict[str, Any]
    access: dict[str, Any]
    status: Any = None
    rotated_ms: int | None = None
    outputs: dict[str, dict[str, Any]] = field(default_factory=dict)


class Cloudflare(Api):
    contract: ClassVar = Contract("cloudflare-stream.yaml")
    prefix: ClassVar = "/client/v4"
    misfit_status: ClassVar = 400

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock)
        self.settings = Settings()
        self.inputs: dict[str, LiveInput] = {}
        self.keys: dict[str, tuple[str, int]] = {}
        self.quota = Quota(clock, 300)
        self.door = door_of("cloudflare", clock, [self], self.settings, [self.set_status, self.make_older])

    @property
    def operations(self) -> Mapping[str, Callable[[Ask], Answer]]:
        return {
            "listLiveInputs": lambda _: self._listed(),
            "createLiveInput": self.create,
            "getLiveInput": lambda ask: self._shown(self._input(ask)),
            "updateLiveInput": lambda ask: self._changed(self._input(ask), ask.body),
            "deleteLiveInput": self.delete,
            "enableLiveInput": lambda ask: self._changed(self._input(ask), {"enabled": True}),
            "disableLiveInput": lambda ask: self._changed(self._input(ask), {"enabled": False}),
            "rotateLiveInputKeys": self.rotate,
            "listOutputs": lambda ask: _granted(list(self._input(ask).outputs.values())),
            "createOutput": self.create_output,
            "updateOutput": self.switch_output,
            "deleteOutput": self.delete_output,
        }

    # ---- who may ----

    def admit(self, request: Request, operation: Operation, path: Mapping[str, str]) -> Account:
        account = _account(request)
        if not self.quota.take(self.settings.calls_per_five_minutes):
            wait = str(self.quota.resets_in())
            raise Refused(429, "too many calls", headers={"Retry-After": wait})
        if path["account_id"] != account.name:
            raise Refused(404, "no such account")
        if not operation.permissions & account.permissions:
            raise Refused(403, "the credential lacks the permission")
        return account

    @override
    def usual_headers(self, request: Request) -> Mapping[str, str]:
        limit = self.settings.calls_per_five_minutes
        return {
            "Ratelimit": f'"default";r={self.quota.left(limit)};t={self.quota.resets_in()}',
            "Ratelimit-Policy": f'"default";q={limit};w={self.quota.seconds}',
        }

    def failure(self, refused: Refused) -> Any:
        code = {400: 1001, 401: 10000, 403: 10000, 404: 1004, 409: 1009, 429: 971}.get(refused.status, 1000)
        errors = [
            {"code": code, "message": misfit.what, "source": {"pointer": _pointer(misfit.where)}}
            for misfit in refused.misfits
        ]
        errors = errors or [{"code": code, "message": refused.message}]
        return {"success": False, "errors": errors, "messages": [], "result": None}

    # ---- live inputs ----

    def create(self, ask: Ask) -> Answer:
        key = ask.request.headers.get("Idempotency-Key")
        now = self.clock.now_ms()
        held = self.keys.get(key or "")
        if held and now < held[1] + KEY_HELD_MS:
            return self._repeated(held[0])
        settings = _merged({"recording": RECORDING, "meta": {}, "enabled": True}, ask.body)
        made = LiveInput(token_hex(16), now, now, settings, {})
        made.access = _access(made.uid)
        self.inputs[made.uid] = made
        if key:
            self.keys[key] = (made.uid, now)
        return self._shown(made)

    def _repeated(self, uid: str) -> Answer:
        """The provider does not say what a replay answers, nor what another body does: the input as it is."""
        if uid not in self.inputs:
            raise Refused(409, "the key belongs to an input that has been deleted")
        return self._shown(self.inputs[uid], secrets=self.settings.replay_has_secrets)

    def _listed(self) -> Answer:
        shown = [_summary(found) for found in self.inputs.values()][: self.settings.list_window]
        return _granted({"liveInputs": shown, "range": len(self.inputs), "total": len(self.inputs)})

    def delete(self, ask: Ask) -> Answer:
        del self.inputs[self._input(ask).uid]
        return Answer(200)

    def rotate(self, ask: Ask) -> Answer:
        found = self._input(ask)
        found.access = _access(found.uid)
        found.rotated_ms = found.modified_ms = self.clock.now_ms()
        if _word(found.status) in ON_AIR:
            found.status = "client_disconnect"
        return self._shown(found, secrets=self.settings.rotation_has_secrets)

    def _changed(self, found: LiveInput, changes: Mapping[str, Any]) -> Answer:
        found.settings = _merged(found.settings, changes)
        found.modified_ms = self.clock.now_ms()
        return self._shown(found)

    def _input(self, ask: Ask) -> LiveInput:
        try:
            return self.inputs[ask.path["live_input_identifier"]]
        except KeyError:
            raise Refused(404, "no such live input") from None

    def _shown(self, found: LiveInput, *, secrets: bool = True) -> Answer:
        body = _whole(found)
        if not secrets:
            body = {name: told for name, told in body.items() if name not in found.access}
        if self.settings.terse_recording:
            body["recording"] = _terse(body["recording"])
        if not self.settings.live_block:
            return _granted(body)
        recording = body.pop("recording")
        body["live"] = {name: recording[name] for name in ("mode", "requireSignedURLs", "allowedOrigins")}
        return _granted(body, departure="live instead of recording")

    # ---- outputs ----

    def create_output(self, ask: Ask) -> Answer:
        outputs = self._input(ask).outputs
        if len(outputs) >= self.settings.outputs_per_input:
            raise Refused(400, "the input has as many outputs as it may")
        uid = token_hex(16)
        outputs[uid] = {"uid": uid, "enabled": True} | ask.body
        return _granted(outputs[uid])

    def switch_output(self, ask: Ask) -> Answer:
        output = self._output(ask)
        output.update(ask.body)
        return _granted(output)

    def delete_output(self, ask: Ask) -> Answer:
        del self._input(ask).outputs[self._output(ask)["uid"]]
        return Answer(200)

    def _output(self, ask: Ask) -> dict[str, Any]:
        try:
            return self._input(ask).outputs[ask.path["output_identifier"]]
        except KeyError:
            raise Refused(404, "no such output") from None

    # ---- for tests ----

    def set_status(self, uid: str, status: Status | None, as_object: bool = False) -> None:
        """What a broadcast does to the input. `as_object` gives the form that third parties have seen.

        Raises LookupError for an unknown input."""
        with self.lock:
            now = iso(self.clock.now_ms())
            current = {"state": status, "statusEnteredAt": now, "statusLastSeen": now, "reason": "simulated"}
            self.inputs[uid].status = {"current": current, "history": []} if as_object else status

    def make_older(self, uid: str, seconds: float) -> None:
        """The input was made so much earlier. Raises LookupError for an unknown input."""
        with self.lock:
            self.inputs[uid].created_ms -= round(seconds * 1000)

    def alive(self) -> list[dict[str, Any]]:
        return [{**_summary(found), "outputs": len(found.outputs)} for found in self.inputs.values()]

    def forget(self) -> None:
        self.inputs.clear()
        self.keys.clear()
        self.quota = Quota(self.clock, self.quota.seconds)


def _account(request: Request) -> Account:
    """One scheme, never a mixture. Global keys may do everything."""
    token = bearer(request)
    email, key = request.headers.get("X-Auth-Email"), request.headers.get("X-Auth-Key")
    if "Authorization" in request.headers and (email or key):
        raise Refused(400, "both a token and a global key")
    every = frozenset({"Stream Read", "Stream Write"})
    main, read_only = secrets.SECRETS["cloudflare"], secrets.CLOUDFLARE_READ_ONLY
    legacy = secrets.CLOUDFLARE_GLOBAL_KEY
    if token == main["api_token"]:
        return Account(main["account_id"], every)
    if token == read_only["api_token"]:
        return Account(read_only["account_id"], frozenset({"Stream Read"}))
    if (email, key) == (legacy["email"], legacy["global_api_key"]):
        return Account(legacy["account_id"], every)
    raise Refused(401, "authentication error")


def notification(
    uid: str,
    event: Event,
    updated_at: datetime,
    code: str | None = None,
    video_codec: str = "",
    audio_codec: str = "",
) -> tuple[dict[str, str], str]:
    """The headers and the body with which the provider tells of a live input. `code` and codecs: where it errored."""
    data: dict[str, Any] = {
        "notification_name": "Stream Live Input",
        "input_id": uid,
        "event_type": f"live_input.{event}",
        "updated_at": updated_at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f000Z"),
    }
    if code:
        error = {"code": code, "message": "a made-up text about what was sent"}
        data["live_input_errored"] = {"error": error, "video_codec": video_codec, "audio_codec": audio_codec}
    body = {
        "name": "live inputs",
        "text": "a made-up text about an input",
        "data": data,
        "ts": int(updated_at.timestamp()),
        "account_id": secrets.SECRETS["cloudflare"]["account_id"],
        "policy_id": "a-made-up-policy",
        "policy_name": "live inputs",
        "alert_type": "stream_live_notifications",
        "alert_correlation_id": token_hex(8),
        "alert_event": "a-made-up-event",
    }
    headers = {"Content-Type": "application/json", "cf-webhook-auth": secrets.SECRETS["cloudflare"]["webhook_secret"]}
    return headers, json.dumps(body)


def _word(status: Any) -> Any:
    """The status, in whichever form it is."""
    return status["current"]["state"] if isinstance(status, dict) else status


def _terse(recording: Mapping[str, Any]) -> dict[str, Any]:
    told = {name: value for name, value in recording.items() if name != "timeoutSeconds"}
    return {**told, "allowedOrigins": told["allowedOrigins"] or None}


def _merged(old: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Members of the top level are merged; a `recording` is taken whole, which is not said to be otherwise."""
    new = {**old, **changes}
    new["recording"] = {**RECORDING, **new["recording"]} if "recording" in changes else old["recording"]
    if new.get("preferLowLatency") and new["recording"]["mode"] != "automatic":
        raise Refused(400, "preferLowLatency needs recording.mode automatic")
    return new


def _access(uid: str) -> dict[str, Any]:
    def rtmps(what: str) -> dict[str, str]:
        return {"url": "rtmps://ingest.example.net:443/live/", "streamKey": canary("cloudflare", what)}

    def srt(what: str, stream_id: str) -> dict[str, str]:
        secret = canary("cloudflare", what)
        return {"url": "srt://ingest.example.net:778", "streamId": stream_id, "passphrase": secret}

    def web(what: str, last: str) -> dict[str, str]:
        return {"url": f"https://{HOST}/{canary('cloudflare', what)}/webRTC/{last}"}

    return {
        "rtmps": rtmps("rtmps"),
        "rtmpsPlayback": rtmps("rtmps-playback"),
        "srt": srt("srt", uid),
        "srtPlayback": srt("srt-playback", f"play{uid}"),
        "webRTC": web("webrtc", "publish"),
        "webRTCPlayback": web("webrtc-playback", "play"),
    }


def _whole(found: LiveInput) -> dict[str, Any]:
    rotated = {"keysRotatedAt": iso(found.rotated_ms)} if found.rotated_ms else {}
    manifest = f"https://{HOST}/{found.uid}/manifest/video"
    return {
        **_summary(found),
        **rotated,
        "status": found.status,
        "recording": dict(found.settings["recording"]),
        "preferLowLatency": found.settings.get("preferLowLatency", False),
        "playback": {"hls": f"{manifest}.m3u8", "dash": f"{manifest}.mpd"},
        **found.access,
    }


def _summary(found: LiveInput) -> dict[str, Any]:
    return {
        "uid": found.uid,
        "created": iso(found.created_ms),
        "modified": iso(found.modified_ms),
        "meta": found.settings["meta"],
        "enabled": found.settings["enabled"],
        "deleteRecordingAfterDays": found.settings.get("deleteRecordingAfterDays"),
    }


def _granted(result: Any, departure: str | None = None) -> Answer:
    body = {"success": True, "errors": [], "messages": [], "result": result}
    return Answer(200, body, departure=departure)


def _pointer(where: tuple[str, ...]) -> str:
    return "".join(f"/{step}" for step in (where[1:] if where[0] == "body" else where))
