"""Overshoot v1beta streams: https://api.overshoot.ai/v1beta."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any, ClassVar, Literal
from urllib.parse import urlsplit
from uuid import uuid4

from werkzeug.wrappers import Request

from local.door import Clock, pause
from local.simulators.base import Answer, Ask, Refused
from local.simulators.contract import Contract
from local.simulators.overshoot_common import OvershootApi, Team, room

REGION = "X-Overshoot-Region"


@dataclass
class Stream:
    id: str
    owner: str
    region: str
    kind: str
    created_ms: int
    expires_ms: int
    ttl_seconds: int
    ended_ms: int | None = None
    end_reason: str | None = None
    first_frame_ms: int | None = None

    def end(self, at_ms: int, reason: str) -> None:
        if self.ended_ms is None:
            self.ended_ms, self.end_reason = at_ms, reason


class V1Beta(OvershootApi):
    contract: ClassVar = Contract("overshoot-v1beta.yaml")
    prefix: ClassVar = "/v1beta"

    def __init__(self, clock: Clock, team: Team) -> None:
        super().__init__(clock, team)
        self.streams: dict[str, Stream] = {}

    @property
    def operations(self) -> Mapping[str, Callable[[Ask], Answer]]:
        return {
            "createStream": self.create,
            "getStream": lambda ask: Answer(200, _status(self._known(ask))),
            "deleteStream": self.delete,
            "keepStreamAlive": self.keep_alive,
            "createViewerToken": self.viewer_token,
        }

    def usual_headers(self, request: Request) -> Mapping[str, str]:
        return {REGION: self._region(request)}

    def failure(self, refused: Refused) -> Any:
        if not refused.misfits:
            return {"detail": refused.message}
        details = [{"loc": list(m.where), "msg": m.what, "type": "form"} for m in refused.misfits]
        return {"error": "validation_error", "message": refused.message, "details": details}

    def prepare(self, ask: Ask) -> None:
        """Opens the source, which is the slow part of a creation. The answer never repeats its address."""
        if "source" in ask.body:
            host = urlsplit(ask.body["source"]["url"]).hostname or ""
            if not _is_public(host):
                raise Refused(422, "the host of the source is not public")
            pause(ask.request.environ, self.team.settings.opening_seconds)
            if "unreachable" in host:
                raise Refused(422, "the source could not be opened")

    def create(self, ask: Ask) -> Answer:
        kind = ask.body.get("source", {}).get("type", "livekit")
        now, lease = self.clock.now_ms(), self.team.settings.lease_seconds
        region = self._region(ask.request)
        made = Stream(str(uuid4()), ask.account.name, region, kind, now, now + lease * 1000, lease)
        self.streams[made.id] = made
        return Answer(201, {**_lease(made), "state": "active", "source": {"type": kind}})

    def keep_alive(self, ask: Ask) -> Answer:
        stream = self._active(ask)
        now, stream.ttl_seconds = self.clock.now_ms(), self.team.settings.lease_seconds
        stream.expires_ms = now + stream.ttl_seconds * 1000
        return Answer(200, {**_lease(stream), "stream_time_ms": now - stream.created_ms})

    def delete(self, ask: Ask) -> Answer:
        stream = self._known(ask)
        stream.end(self.clock.now_ms(), "deleted")
        return Answer(200, {"id": stream.id, "deleted": True})

    def viewer_token(self, ask: Ask) -> Answer:
        view = {"type": "livekit", **room("viewer-token"), "expires_in_seconds": 300}
        return Answer(200, {"id": self._active(ask).id, "view": view})

    def _region(self, request: Request) -> str:
        """The region that answers: the hint's, else the nearest."""
        hint = request.headers.get(REGION)
        return hint if hint in ("us-west1", "us-central1") else self.team.settings.region

    def _known(self, ask: Ask) -> Stream:
        """Alive, or ended not long ago."""
        stream = self.streams.get(ask.path["stream_id"])
        now = self.clock.now_ms()
        if stream is None or stream.owner != ask.account.name:
            raise Refused(404, "no such stream")
        if now >= stream.expires_ms:
            stream.end(stream.expires_ms, "expired")
        if stream.ended_ms is not None and now >= stream.ended_ms + self.team.settings.lookup_seconds * 1000:
            raise Refused(404, "no such stream")
        self._require_region(ask.request, stream)
        return stream

    def _require_region(self, request: Request, stream: Stream) -> None:
        if self._region(request) != stream.region:
            detail = {
                "error": "region_error",
                "expected_region": stream.region,
                "requested_region": request.headers.get(REGION),
            }
            raise Refused(409, detail)

    def _active(self, ask: Ask) -> Stream:
        stream = self._known(ask)
        if stream.ended_ms is not None:
            raise Refused(404, "the stream has ended")
        return stream

    def send_frame(self, stream_id: str) -> None:
        """What a publisher does. Only the first is kept. Raises LookupError for an unknown stream."""
        stream = self.streams[stream_id]
        stream.first_frame_ms = stream.first_frame_ms or self.clock.now_ms()

    def end_stream(self, stream_id: str, reason: Literal["expired", "deleted", "reaped"]) -> None:
        """What the provider does by itself. Raises LookupError for an unknown stream."""
        self.streams[stream_id].end(self.clock.now_ms(), reason)

    def alive(self) -> list[dict[str, Any]]:
        now = self.clock.now_ms()
        return [
            {
                "api": "v1beta",
                "id": stream.id,
                "owner": stream.owner,
                "region": stream.region,
                "source": stream.kind,
                "created_at_ms": stream.created_ms,
                "expires_at_ms": stream.expires_ms,
            }
            for stream in self.streams.values()
            if stream.ended_ms is None and now < stream.expires_ms
        ]

    def drop_streams(self) -> None:
        self.streams.clear()


def _is_public(host: str) -> bool:
    """Names are taken for public unless they say otherwise: nothing is looked up."""
    try:
        return ip_address(host).is_global
    except ValueError:
        return bool(host) and not f".{host}".endswith((".localhost", ".local", ".internal"))


def _lease(stream: Stream) -> dict[str, Any]:
    """A new publish token each time; none where the server pulls the video."""
    publish = {"type": "livekit", **room("publish-token")} if stream.kind == "livekit" else None
    return {
        "id": stream.id,
        "publish": publish,
        "expires_at_ms": stream.expires_ms,
        "ttl_seconds": stream.ttl_seconds,
    }


def _status(stream: Stream) -> dict[str, Any]:
    """Of frames only the first is known: nothing here takes video."""
    ended = stream.ended_ms is not None
    return {
        "id": stream.id,
        "state": "ended" if ended else "active",
        "source": {"type": stream.kind},
        "last_pull": None,
        "stream_time_ms": 0,
        "first_frame_at_ms": stream.first_frame_ms,
        "last_frame_at_ms": None,
        "last_frame_index": None,
        "first_available_frame_at_ms": None,
        "first_available_frame_index": None,
        "created_at_ms": stream.created_ms,
        "recent_fps": None,
        "retained_frame_count": None,
        "evicted_frame_count": None,
        "expires_at_ms": None if ended else stream.expires_ms,
        "ttl_seconds": None if ended else stream.ttl_seconds,
        "ended_at_ms": stream.ended_ms,
        "end_reason": stream.end_reason,
        "audio": False,
    }
