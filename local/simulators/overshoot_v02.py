"""Overshoot v0.2 streams (deprecated by the provider): https://api.overshoot.ai/v0.2."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from secrets import token_hex
from typing import Any, ClassVar, Literal, override
from uuid import uuid4

from werkzeug.wrappers import Request

from local.door import Clock
from local.simulators.base import Answer, Ask, Refused, iso
from local.simulators.contract import Contract, Misfit
from local.simulators.overshoot_common import OvershootApi, Team, room
from local.simulators.secrets import canary

CENTS_PER_SECOND = 0.05
"""Made up: the provider's prices are elsewhere."""

TOKENS_PER_SECOND = 128

type State = Literal["pending", "active", "idle"]


@dataclass
class Stream:
    id: str
    owner: str
    source: str
    created_ms: int
    charged_ms: int
    expires_ms: int
    inference: dict[str, Any]
    request_id: str | None
    state: State = "pending"
    closed: bool = False
    updated_ms: int = 0
    settings_id: str = field(default_factory=lambda: f"cfg-{token_hex(4)}")


class V02(OvershootApi):
    contract: ClassVar = Contract("overshoot-v0.2.yaml")
    prefix: ClassVar = "/v0.2"

    def __init__(self, clock: Clock, team: Team) -> None:
        super().__init__(clock, team)
        self.streams: dict[str, Stream] = {}

    @property
    def operations(self) -> Mapping[str, Callable[[Ask], Answer]]:
        return {
            "createStream": self.create,
            "closeStream": self.close,
            "keepStreamAlive": self.keep_alive,
            "getStreamInfo": lambda ask: Answer(200, self._info(self._running(ask))),
            "changePrompt": self.change_prompt,
            "spectateStream": self.spectate,
        }

    @override
    def usual_headers(self, request: Request) -> Mapping[str, str]:
        return {}

    def failure(self, refused: Refused) -> Any:
        details = [{"loc": list(misfit.where), "msg": misfit.what} for misfit in refused.misfits]
        body = {"error": refused.message, "request_id": f"req-{token_hex(4)}"}
        return {**body, "details": details} if details else body

    def create(self, ask: Ask) -> Answer:
        _check(ask.body)
        source = _source(ask.body)
        self._require_room(ask.account.name)
        now, lease = self.clock.now_ms(), self.team.settings.v02_lease_seconds
        note = (ask.body.get("client") or {}).get("request_id")
        inference = {"backend": "overshoot", "output_schema_json": None} | ask.body["inference"]
        expires = now + lease * 1000
        made = Stream(str(uuid4()), ask.account.name, source, now, now, expires, inference, note)
        made.updated_ms = now
        self.streams[made.id] = made
        return Answer(201, {"stream_id": made.id, "lease": {"ttl_seconds": lease}, **_access(source)})

    def _require_room(self, owner: str) -> None:
        running = [stream for stream in self.streams.values() if self._runs(stream)]
        if sum(stream.owner == owner for stream in running) >= self.team.settings.v02_streams_at_once:
            raise Refused(429, "as many streams as the key may have")

    def keep_alive(self, ask: Ask) -> Answer:
        stream = self._running(ask)
        seconds, cost = self._charge(ask, stream)
        lease = self.team.settings.v02_lease_seconds
        stream.expires_ms = self.clock.now_ms() + lease * 1000
        token = room("livekit-token")["token"] if stream.source == "native" else None
        renewed = {
            "status": "ok",
            "stream_id": stream.id,
            "ttl_seconds": lease,
            "credits_remaining_cents": int(ask.account.credits_cents),
            "cost_cents": cost,
            "seconds_charged": seconds,
            "livekit_token": token,
            "state": stream.state,
        }
        return Answer(200, renewed)

    def _charge(self, ask: Ask, stream: Stream) -> tuple[float, float]:
        """The time since the last charge, in seconds, and its price in cents."""
        now = self.clock.now_ms()
        seconds = (now - stream.charged_ms) / 1000
        stream.charged_ms = now
        ask.account.credits_cents -= seconds * CENTS_PER_SECOND
        return seconds, seconds * CENTS_PER_SECOND

    def close(self, ask: Ask) -> Answer:
        """204 for one that was closed before; a passed lease is taken for that too, which is not stated."""
        stream = self._owned(ask)
        if not self._runs(stream):
            return Answer(204)
        self._charge(ask, stream)
        stream.closed = True
        return Answer(200, {"status": "ok"})

    def change_prompt(self, ask: Ask) -> Answer:
        stream = self._running(ask)
        stream.inference["prompt"] = ask.body["prompt"]
        stream.updated_ms = self.clock.now_ms()
        shown = ("prompt", "backend", "model", "output_schema_json")
        settings = {
            "id": stream.settings_id,
            "stream_id": stream.id,
            **{name: stream.inference[name] for name in shown},
            "created_at": iso(stream.created_ms),
            "updated_at": iso(stream.updated_ms),
        }
        return Answer(200, settings)

    def spectate(self, ask: Ask) -> Answer:
        if self._running(ask).source != "native":
            raise Refused(400, "only streams with a native source can be watched")
        return Answer(200, {"livekit": room("viewer-token")})

    def _info(self, stream: Stream) -> dict[str, Any]:
        """No frame ever comes: nothing here takes video."""
        none = ("fps", "frame_width", "frame_height", "effective_width", "effective_height")
        counters = ("inferences_completed", "inferences_failed", "last_inference_latency_seconds")
        return {
            "stream_id": stream.id,
            "source_type": stream.source,
            "state": stream.state,
            "uptime_seconds": (self.clock.now_ms() - stream.created_ms) / 1000,
            **dict.fromkeys((*none, *counters), 0),
        }

    def _runs(self, stream: Stream) -> bool:
        return not stream.closed and self.clock.now_ms() < stream.expires_ms

    def _owned(self, ask: Ask) -> Stream:
        stream = self.streams.get(ask.path["stream_id"])
        if stream is None or stream.owner != ask.account.name:
            raise Refused(404, "no such stream")
        return stream

    def _running(self, ask: Ask) -> Stream:
        stream = self._owned(ask)
        if not self._runs(stream):
            raise Refused(404, "the stream is over")
        return stream

    def set_state(self, stream_id: str, state: State) -> None:
        """What a publisher's coming and going does. Raises LookupError for an unknown stream."""
        self.streams[stream_id].state = state

    def alive(self) -> list[dict[str, Any]]:
        return [
            {
                "api": "v0.2",
                "id": stream.id,
                "owner": stream.owner,
                "source": stream.source,
                "state": stream.state,
                "request_id": stream.request_id,
                "created_at_ms": stream.created_ms,
                "expires_at_ms": stream.expires_ms,
            }
            for stream in self.streams.values()
            if self._runs(stream)
        ]

    def drop_streams(self) -> None:
        self.streams.clear()


def _check(body: Mapping[str, Any]) -> None:
    """What the provider asks for beyond the schema."""
    processing = body["processing"]
    mode, interval = "frame", processing.get("interval_seconds")
    if interval is None:
        mode, interval = "clip", processing["delay_seconds"]
    if body.get("mode") not in (None, mode):
        raise _misfit("mode", f"processing says {mode}")
    tokens = body["inference"].get("max_output_tokens")
    if tokens is not None and tokens > TOKENS_PER_SECOND * interval:
        raise _misfit("inference", "max_output_tokens above 128 for each second of the interval")


def _misfit(name: str, what: str) -> Refused:
    return Refused(422, "the request is of the wrong form", misfits=[Misfit(("body", name), what)])


def _source(body: Mapping[str, Any]) -> str:
    source, older = body.get("source"), body.get("webrtc")
    if source and older:
        raise Refused(400, "source or webrtc, not both")
    if older:
        return "webrtc"
    kind: str = source["type"] if source else "native"
    return kind


def _access(source: str) -> dict[str, Any]:
    """What a client needs to publish; nothing where the video comes from the caller's own room."""
    webrtc = {"type": "answer", "sdp": _sdp()} if source == "webrtc" else None
    return {
        "webrtc": webrtc,
        "turn_servers": [_turn_server()] if webrtc else None,
        "livekit": room("livekit-token") if source == "native" else None,
    }


def _sdp() -> str:
    lines = [
        "v=0",
        f"o=- {uuid4().int % 10**12} 2 IN IP4 192.0.2.1",
        "s=-",
        "t=0 0",
        "m=video 9 UDP/TLS/RTP/SAVPF 96",
        "c=IN IP4 192.0.2.1",
        f"a=ice-ufrag:{token_hex(2)}",
        f"a=ice-pwd:{canary('overshoot', 'ice-pwd')}",
        "a=setup:active",
        "a=mid:0",
        "a=recvonly",
        "a=rtpmap:96 H264/90000",
    ]
    return "\r\n".join(lines) + "\r\n"


def _turn_server() -> dict[str, str]:
    return {
        "urls": "turn:turn.example.net:3478",
        "username": canary("overshoot", "turn-username"),
        "credential": canary("overshoot", "turn-credential"),
    }
