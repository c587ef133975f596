"""One deployed system for the whole suite, apart from a user's own, and taken down whatever happens."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from local.cloud import HOME, Cloud, LocalCloud
from tests.stack.bus import Requester, Subscriber, subscribed
from tests.stack.callers import Api, new_caller
from tests.stack.consoles import CloudflareConsole, cloudflare_console, kinesis_video_console
from tests.stack.doors import BusinessClock, Door, doors_of
from tests.stack.moved_time import CEILING, DEFAULT_LIFETIME, MovedTime
from tests.stack.storage import Storage

if TYPE_CHECKING:
    from mypy_boto3_kinesisvideo import KinesisVideoClient

ORDER = {
    "test_a_thousand_requests": -2,
    "test_secrets": -1,
    "test_concurrency": -1,
    "test_drift": 1,
    "test_leaks": 2,
    "test_afterwards": 3,
    "test_republish": 4,
}
"""First what needs the whole machine, and a cloud of its own, while there is no other. Then what ends functions'
environments: the emulator may lose a message that comes to one just then. Last what opens
a hundred streams, which whoever lists them must page through, what looks through all that the others have left behind,
and what sends it all again. Between them the order is free."""
MANY = 100_000
PORTS = ("EMULATOR_PORT", "SIMULATORS_PORT", "KINESIS_VIDEO_PORT")
SHORT_LEASE = 20
"""Seconds; of Overshoot in the cloud where workers die."""
SHORT_TIMES = {
    "FunctionTimeout": "10",
    "QueueVisibility": "60",
    "ClaimMargin": "1",
    "Landing": "1",
    "OvershootLease": str(SHORT_LEASE),
    "OvershootV02Lease": str(SHORT_LEASE),
    "OrphanSearchInterval": "0",
    "ProviderConcurrency": "2",  # a sweep finds dozens at once; each that is worked on starts an environment
}
LIMITED_LIFETIMES = {
    "DefaultLifetime": str(DEFAULT_LIFETIME),
    "LifetimeCeiling": str(CEILING),
    "FunctionTimeout": "15",  # who waits for a provider that is away waits for no longer
}
TOLD = pytest.StashKey[list[str]]()
"""Lines for the end of the run."""


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    for line in config.stash.get(TOLD, []):
        terminalreporter.write_line(line)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: ORDER.get(item.path.stem, 0))


@pytest.fixture(scope="session")
def folder() -> Path:
    """Where this copy of the cloud keeps its files."""
    return HOME / "test"


@pytest.fixture(scope="session")
def cloud(folder: Path) -> Iterator[Cloud]:
    """On free ports, whatever ports a user has chosen for a copy of their own; built as ``make up`` builds.

    Nobody sweeps there but who says so: a sweep between two steps of a test would do what the second is about.
    """
    with deployed(LocalCloud(folder), {}) as running:
        stop_sweeping(running)
        yield running


def stop_sweeping(cloud: Cloud) -> None:
    """Switch the schedule of ``sweep`` off."""
    events = cloud.client("events")
    scheduled = [rule["Name"] for rule in events.list_rules()["Rules"] if rule.get("ScheduleExpression")]
    assert scheduled
    for name in scheduled:
        events.disable_rule(Name=name)


@pytest.fixture(scope="session")
def crash_cloud() -> Iterator[Cloud]:
    """Another one, behind the AWS door, where claims and Overshoot's leases last for seconds."""
    with deployed(LocalCloud(HOME / "crash", aws_door=True), SHORT_TIMES) as running, doors_of(running) as doors:
        settings = {"lease_seconds": SHORT_LEASE, "v02_lease_seconds": SHORT_LEASE}
        with doors["overshoot"].set(**settings), roomy(doors):
            yield running


@pytest.fixture(scope="session")
def moved_time() -> Iterator[MovedTime]:
    """A third one, the only one whose time is moved: all that is under way in a cloud grows old with it."""
    with (
        deployed(LocalCloud(HOME / "time"), LIMITED_LIFETIMES) as running,
        doors_of(running) as doors,
        roomy(doors),
        subscribed(running, "moved-time") as subscriber,
    ):
        stop_sweeping(running)
        api = new_caller(running, "moved-time")
        rest = (Requester(running), Storage(running), doors, BusinessClock(running))
        yield MovedTime(running, api, subscriber, *rest)
        api.close()


@contextmanager
def deployed(local: LocalCloud, parameters: Mapping[str, str]) -> Iterator[Cloud]:
    """``local``, up until the block ends."""
    local.down()  # what a run that was killed has left
    try:
        with pytest.MonkeyPatch.context() as environment:
            for name in PORTS:
                environment.delenv(name, raising=False)
            running = local.up(parameters)
        yield running
    finally:
        local.down()


@contextmanager
def roomy(doors: dict[str, Door]) -> Iterator[None]:
    """The providers have room for all the streams of this suite until the block ends."""
    with (
        doors["cloudflare"].set(calls_per_five_minutes=MANY),
        doors["overshoot"].set(v02_streams_at_once=MANY),
        doors["pyannote"].set(streams_at_once=MANY, creates_per_minute=MANY, gets_per_minute=MANY),
    ):
        yield


@pytest.fixture(scope="session")
def subscriber(cloud: Cloud) -> Iterator[Subscriber]:
    with subscribed(cloud, "everything") as listening:
        yield listening


@pytest.fixture(scope="session")
def api(cloud: Cloud, subscriber: Subscriber, doors: dict[str, Door]) -> Iterator[Api]:
    """A caller who may call the API and nothing else. Nobody calls before the subscriber listens."""
    caller = new_caller(cloud, "caller")
    yield caller
    caller.close()


@pytest.fixture(scope="session")
def requester(cloud: Cloud, subscriber: Subscriber, doors: dict[str, Door]) -> Requester:
    """Asks over the bus, once the subscriber listens."""
    return Requester(cloud)


@pytest.fixture(scope="session")
def doors(cloud: Cloud) -> Iterator[dict[str, Door]]:
    """Of providers that have room for all the streams of this suite."""
    with doors_of(cloud) as all_doors, roomy(all_doors):
        yield all_doors


@pytest.fixture(scope="session")
def cloudflare(cloud: Cloud) -> Iterator[CloudflareConsole]:
    """Its console."""
    with cloudflare_console(cloud) as console:
        yield console


@pytest.fixture(scope="session")
def kinesis_video(cloud: Cloud) -> "KinesisVideoClient":
    """Its console."""
    return kinesis_video_console(cloud)


@pytest.fixture(scope="session")
def clock(cloud: Cloud) -> BusinessClock:
    return BusinessClock(cloud)


@pytest.fixture(scope="session")
def storage(cloud: Cloud) -> Storage:
    return Storage(cloud)
