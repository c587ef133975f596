"""pyannoteAI live streams: https://api.pyannote.ai."""

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, override
from uuid import uuid4

from werkzeug.wrappers import Request

from local.door import Clock
from local.simulators import secrets
from local.simulators.base import Account, Answer, Api, Ask, Quota, Refused, bearer, door_of, iso
from local.simulators.contract import Contract, Operation
from local.simulators.secrets import canary

type Status = Literal["created", "running", "done", "error"]

EVERY = frozenset({"stream:read", "stream:write"})
ACCOUNTS = {
    secrets.SECRETS["pyannote"]["api_key"]: Account("main", EVERY),
    secrets.PYANNOTE_OTHER_TEAM["api_key"]: Account("other", EVERY),
    secrets.PYANNOTE_WITHOUT_PERMISSION["api_key"]: Account("unpermitted"),
    secrets.PYANNOTE_WITHOUT_CREDIT["api_key"]: Account("poor", EVERY, credits_cents=0),
}


@dataclass
class Settings:
    streams_at_once: int = 10
    """Of a team, created or running. What the provider answers to the next is not stated: 429 here."""
    creates_per_minute: int = 100
    gets_per_minute: int = 300
    """Not stated for this call; that of other reading calls."""


@dataclass
class Stream:
    id: str
    owner: str
    status: Status = "created"
    started_ms: int | None = None
    completed_ms: int | None = None


class Pyannote(Api):
    contract: ClassVar = Contract("pyannote-live.yaml")
    misfit_status: ClassVar = 400
    body_may_be_absent: ClassVar = True

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock)
        self.settings = Settings()
        self.streams: dict[str, Stream] = {}
        self.quotas: dict[tuple[str, str], Quota] = defaultdict(lambda: Quota(clock, 60))
        self.door = door_of("pyannote", clock, [self], self.settings, [self.set_status])

    @property
    def operations(self) -> Mapping[str, Callable[[Ask], Answer]]:
        return {"createLiveStream": self.create, "getLiveStream": self.get}

    @override
    def admit(self, request: Request, operation: Operation, path: Mapping[str, str]) -> Account:
        account = _account(request)
        if account is None:
            raise Refused(401, "key missing or unknown")
        if not self._quota(request).take(self._limit(request)):
            raise self._too_many(request)
        if not operation.permissions & account.permissions:
            raise Refused(403, "Streaming is disabled")
        if operation.name == "createLiveStream" and account.credits_cents <= 0:
            raise Refused(402, "no credit is left")
        return account

    def usual_headers(self, request: Request) -> Mapping[str, str]:
        quota, limit = self._quota(request), self._limit(request)
        return {
            "X-RateLimit-Limit": str(limit),
            "X-RateLimit-Remaining": str(quota.left(limit)),
            "X-RateLimit-Reset": str(quota.resets_in()),
        }

    def failure(self, refused: Refused) -> Any:
        if refused.status == 400:
            errors = [{"field": ".".join(m.where), "message": m.what} for m in refused.misfits]
            return {"message": refused.message, "errors": errors}
        return {"requestId": str(uuid4()), "message": refused.message}

    def create(self, ask: Ask) -> Answer:
        alive = [stream for stream in self.streams.values() if _is_alive(stream)]
        if sum(stream.owner == ask.account.name for stream in alive) >= self.settings.streams_at_once:
            raise self._too_many(ask.request)
        made = Stream(str(uuid4()), ask.account.name)
        self.streams[made.id] = made
        url = f"wss://live.example.net/stream?token={canary('pyannote', 'url')}"
        return Answer(200, {"id": made.id, "url": url})

    def get(self, ask: Ask) -> Answer:
        stream = self.streams.get(ask.path["id"])
        if stream is None or stream.owner != ask.account.name:
            raise Refused(404, "no such stream")
        shown: dict[str, Any] = {
            "id": stream.id,
            "status": stream.status,
            "startedAt": iso(stream.started_ms) if stream.started_ms else None,
            "completedAt": iso(stream.completed_ms) if stream.completed_ms else None,
            "input": {},
        }
        return Answer(200, shown)

    def _too_many(self, request: Request) -> Refused:
        wait = str(self._quota(request).resets_in())
        return Refused(429, "too many", headers={"Retry-After": wait})

    def _quota(self, request: Request) -> Quota:
        account = _account(request)
        return self.quotas[account.name if account else "", request.method]

    def _limit(self, request: Request) -> int:
        creates = request.method == "POST"
        return self.settings.creates_per_minute if creates else self.settings.gets_per_minute

    def set_status(self, id: str, status: Status) -> None:
        """What the client of the WebSocket does to the stream. Raises LookupError for an unknown one."""
        with self.lock:
            stream, now = self.streams[id], self.clock.now_ms()
            stream.status = status
            stream.started_ms = None if status == "created" else stream.started_ms or now
            stream.completed_ms = None if _is_alive(stream) else now

    def alive(self) -> list[dict[str, Any]]:
        return [
            {"id": stream.id, "owner": stream.owner, "status": stream.status}
            for stream in self.streams.values()
            if _is_alive(stream)
        ]

    def forget(self) -> None:
        self.streams.clear()
        self.quotas.clear()


def _account(request: Request) -> Account | None:
    return ACCOUNTS.get(bearer(request) or "")


def _is_alive(stream: Stream) -> bool:
    return stream.status in ("created", "running")
