"""What both generations of Overshoot share: keys and their credits, settings. Streams they do not share."""

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, override

from werkzeug.wrappers import Request

from local.door import Clock
from local.simulators import secrets
from local.simulators.base import Account, Api, Refused, bearer
from local.simulators.contract import Operation
from local.simulators.secrets import canary

type Owner = Literal["main", "other", "poor"]
type Region = Literal["us-west1", "us-central1"]


@dataclass
class Settings:
    lease_seconds: int = 300
    """Of v1beta. Given to a stream at its creation and at each renewal."""
    v02_lease_seconds: int = 45
    lookup_seconds: int = 600
    """v1beta: how long an ended stream is still answered. The provider says only that it is short."""
    opening_seconds: float = 0.0
    """v1beta: how long opening a source takes, in real time. The provider says up to some 15 s."""
    region: Region = "us-west1"
    """v1beta: the region that answers a call without a hint."""
    v02_streams_at_once: int = 5


class Team:
    """The keys, and what is left to pay with."""

    def __init__(self) -> None:
        self.settings = Settings()
        self.accounts: dict[str, Account] = {}
        self.refill()

    def refill(self) -> None:
        self.accounts = {
            secrets.SECRETS["overshoot"]["api_key"]: Account("main"),
            secrets.OVERSHOOT_OTHER_OWNER["api_key"]: Account("other"),
            secrets.OVERSHOOT_WITHOUT_CREDITS["api_key"]: Account("poor", credits_cents=0),
        }

    def set_credits(self, owner: Owner, cents: float) -> None:
        """Of one key. At 0 creation and renewal give 402."""
        for account in self.accounts.values():
            if account.name == owner:
                account.credits_cents = cents


class OvershootApi(Api):
    misfit_status: ClassVar = 422

    def __init__(self, clock: Clock, team: Team) -> None:
        super().__init__(clock)
        self.team = team

    @override
    def admit(self, request: Request, operation: Operation, path: Mapping[str, str]) -> Account:
        account = self.team.accounts.get(bearer(request) or "")
        if account is None:
            raise Refused(401, "key missing or unknown")
        if operation.name in ("createStream", "keepStreamAlive") and account.credits_cents <= 0:
            raise Refused(402, "no credits are left")
        return account

    def forget(self) -> None:
        self.drop_streams()
        self.team.refill()

    @abstractmethod
    def drop_streams(self) -> None:
        """All of them, without a trace."""


def room(what: str) -> dict[str, Any]:
    """A LiveKit room to enter; the address is no secret, the token is."""
    return {"url": "wss://room.example.net", "token": canary("overshoot", what)}
