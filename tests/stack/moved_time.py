"""A deployment of its own whose time is moved, and all that sees what time brings about there."""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from local.cloud import Cloud
from tests.stack.bus import Requester, Subscriber
from tests.stack.callers import Api
from tests.stack.doors import BusinessClock, Door
from tests.stack.environments import deployed_function
from tests.stack.storage import Storage
from tests.stack.waiting import eventually
from tests.stack.ways import Way

Json = dict[str, Any]

HOUR, DAY = 3600, 86_400
DEFAULT_LIFETIME, CEILING = 2 * HOUR, DAY
"""Seconds; of the streams there."""


@dataclass(frozen=True)
class MovedTime:
    """That deployment. Nobody sweeps there unasked; delays of messages are real, so that no beat comes by itself soon.

    Whatever is opened there grows old with the rest: who opens it has it end, too.
    """

    cloud: Cloud
    api: Api
    subscriber: Subscriber
    requester: Requester
    storage: Storage
    doors: dict[str, Door]
    clock: BusinessClock

    def open(self, way: Way, key: str, **body: Any) -> Json:
        """What the create answered."""
        answer = self.api.create(way.provider, f"{key} {way.name}", way.body(**body))
        assert answer.status_code == 201, answer.text
        made: Json = answer.json()
        return made

    def later(self, seconds: float) -> None:
        """Move time on, and sweep once: what is due by then is asked for."""
        self.clock.advance(seconds)
        self.sweep()

    def sweep(self) -> None:
        """As the schedule does each minute."""
        name = deployed_function(self.cloud, "Sweep")["FunctionName"]
        answer = self.cloud.client("lambda").invoke(FunctionName=name, Payload=b"{}")
        assert "FunctionError" not in answer, answer["Payload"].read()

    def heard(self, streams: Iterable[Json]) -> None:
        """Wait until their beats are set: one that is set late finds that time has moved, and beats beside a sweep."""
        for stream in streams:
            self.subscriber.await_events(stream["id"], "StreamCreated")
        sqs = self.cloud.client("sqs")
        [url] = [url for url in sqs.list_queues()["QueueUrls"] if "RenewLeasesQueue" in url]
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]

        def waiting() -> list[str]:
            counted: Json = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
            return [counted[name] for name in names]

        eventually(waiting, lambda counts: counts == ["0", "0"])

    def kinds(self, stream: Json) -> list[str]:
        """What has been told of a stream so far, in the order in which it happened."""
        told = [event for event in self.subscriber.events(stream["id"]) if "sequence" in event["detail"]]  # no command
        events = {event["detail"]["sequence"]: event["detail-type"] for event in told}
        return [events[sequence] for sequence in sorted(events)]


def side_by_side[K, T](work: Callable[[K], T], each: Iterable[K]) -> dict[K, T]:
    """What ``work`` gives for each of them, all at once."""
    keys = list(each)
    with ThreadPoolExecutor(len(keys)) as pool:
        return dict(zip(keys, pool.map(work, keys), strict=True))
