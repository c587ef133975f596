"""The simulated providers' doors, by their control routes."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import httpx

from local.cloud import Cloud

Json = dict[str, Any]

CREATES = {
    "cloudflare": "createLiveInput",
    "kinesis-video": "CreateStream",
    "overshoot": "createStream",
    "pyannote": "createLiveStream",
}
"""Each provider's operation that makes a stream."""

GONE: Json = {
    "status": 404,
    "headers": {"x-amzn-ErrorType": "ResourceNotFoundException"},
    "body": {"success": False, "errors": [{"code": 1004, "message": "no such live input"}], "messages": []},
}
"""What says at each provider that a resource is not there: by its words at Kinesis Video and at Cloudflare, where the
status alone may be anybody's, and by the status at the others."""


@dataclass(frozen=True)
class Door:
    """One provider's: what it was called with, and what is to go wrong there."""

    name: str
    client: httpx.Client

    def calls(self, operation: str | None = None) -> list[Json]:
        """Oldest first; see ``local.door.Call``."""
        query = {"operation": operation} if operation else {}
        calls: list[Json] = self._ask("GET", "calls", params=query)
        return calls

    def about(self, ref: str) -> list[Json]:
        """The calls that name one resource, but for its lease's renewals: they may come at any time."""
        calls = [call for call in self.calls() if ref in json.dumps([call["path"], call["body"]])]
        return [call for call in calls if call["operation"] != "keepStreamAlive"]

    def resource(self, ref: str) -> Json:
        """One that is alive there. Raises ``ValueError`` where there is none."""
        [found] = [one for one in self.resources() if _name(one) == ref]
        return found

    def creates(self) -> list[Json]:
        """The calls that were to make a stream."""
        return self.calls(CREATES[self.name])

    def resources(self) -> list[Json]:
        """What is alive there."""
        resources: list[Json] = self._ask("GET", "resources")
        return resources

    def refs(self) -> set[str]:
        """What is alive there, by the name that we keep as ``provider_ref``."""
        return {_name(one) for one in self.resources()}

    def fault(self, kind: str, operation: str | None = None, **fields: Any) -> None:
        """See ``local.faults.Fault``; without an operation, of the create."""
        self._ask("POST", "faults", json={"kind": kind, "operation": operation or CREATES[self.name], **fields})

    def lose(self, ref: str, times: int = 1) -> None:
        """Answer the next calls about a resource as if it were not there any more."""
        self.fault("status", "*", containing=ref, times=times, **GONE)

    def faults(self) -> list[Json]:
        """What is still to go wrong."""
        faults: list[Json] = self._ask("GET", "faults")
        return faults

    def act(self, action: str, **arguments: Any) -> None:
        """An action of the provider's own."""
        self._ask("POST", action, json=arguments)

    def heal(self) -> None:
        """No more faults."""
        self._ask("DELETE", "faults")

    @contextmanager
    def set(self, **settings: Any) -> Iterator[None]:
        """Other settings until the block ends."""
        before = self._ask("GET", "settings")
        self._ask("POST", "settings", json=settings)
        try:
            yield
        finally:
            self._ask("POST", "settings", json={name: before[name] for name in settings})

    def violations(self) -> list[str]:
        """Answers in which the simulator departed from the provider's contract unasked."""
        violations: list[str] = self._ask("GET", "violations")
        return violations

    def _ask(self, method: str, what: str, **rest: Any) -> Any:
        answer = self.client.request(method, f"/_control/{self.name}/{what}", **rest)
        assert answer.is_success, answer.text
        return answer.json()


def _name(resource: Json) -> str:
    return str(resource.get("id") or resource.get("uid") or resource.get("StreamARN"))


@dataclass(frozen=True)
class BusinessClock:
    """The time by which streams live and end, of the functions and of all providers; claims keep real time.

    It never goes back, and all that share this cloud share it: what is under way there grows old with it.
    """

    cloud: Cloud

    def now(self) -> datetime:
        return self._told(httpx.get(self._url, timeout=10))

    def advance(self, seconds: float) -> datetime:
        """Move it on; what it shows then."""
        return self._told(httpx.post(self._url, json={"advance_seconds": seconds}, timeout=10))

    @property
    def _url(self) -> str:
        return f"{self.cloud.simulators_url}/_control/clock"

    @staticmethod
    def _told(answer: httpx.Response) -> datetime:
        assert answer.is_success, answer.text
        return datetime.fromtimestamp(answer.json()["now_ms"] / 1000, UTC)


@contextmanager
def doors_of(cloud: Cloud) -> Iterator[dict[str, Door]]:
    """By provider."""
    with (
        httpx.Client(base_url=cloud.simulators_url, timeout=10) as simulators,
        httpx.Client(base_url=cloud.kinesis_video_url, timeout=10) as kinesis_video,
    ):
        yield {name: Door(name, kinesis_video if name == "kinesis-video" else simulators) for name in CREATES}


@contextmanager
def aws_door_of(cloud: Cloud) -> Iterator[Door]:
    """The one before AWS, of a cloud that has it."""
    assert cloud.aws_door_url
    # Each call on a connection of its own: many threads ask at once, and pools were seen to close what is in use.
    single = httpx.Limits(max_keepalive_connections=0)
    with httpx.Client(base_url=cloud.aws_door_url, timeout=30, limits=single) as client:
        yield Door("aws", client)
