"""Starting and stopping the whole cloud as `make up` and `make down` do, in a folder of the test's own."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from local.client import SignedClient
from local.cloud import CREDENTIALS, ROOT, Cloud, LocalCloud, build
from local.processes import free_ports

PROGRAM = """
import sys
from pathlib import Path
from local import __main__ as commands
from local.cloud import LocalCloud
commands.LocalCloud = lambda: LocalCloud(Path(sys.argv[2]))
commands.COMMANDS[sys.argv[1]]()
"""
"""The command itself, for another folder."""
PORTS = ("EMULATOR_PORT", "SIMULATORS_PORT", "KINESIS_VIDEO_PORT")
LOCALHOST = {"0100007F", "00000000000000000000000001000000", "0000000000000000FFFF00000100007F"}
"""127.0.0.1, ::1, and the former as the latter's kind of address, as /proc tells them."""
LISTENING = "0A"


@dataclass(frozen=True)
class Command:
    """`python -m local <name>`, in a session of its own as a terminal would start it."""

    folder: Path
    environment: dict[str, str]

    def start(self, name: str) -> "subprocess.Popen[str]":
        plain = {key: value for key, value in os.environ.items() if key not in PORTS}
        return subprocess.Popen(  # noqa: S603  # our own program
            [sys.executable, "-c", PROGRAM, name, str(self.folder)],
            cwd=ROOT,
            env={**plain, "PYTHONPATH": str(ROOT), **self.environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def run(self, name: str) -> str:
        """What it says. Raises ``AssertionError`` where it fails."""
        with self.start(name) as process:
            said, _ = process.communicate(timeout=300)
        assert process.returncode == 0, said
        return said

    def groups(self) -> set[int]:
        """The process group of each program that was started."""
        file = self.folder / "processes.json"
        return {one["pid"] for one in json.loads(file.read_text())} if file.exists() else set()


@pytest.fixture
def command(tmp_path: Path) -> Iterator[Command]:
    build()  # shared by all folders, and not what is looked at here
    command = Command(tmp_path / "cloud", {})
    yield command
    command.run("down")
    for pid in alive(set(), command.folder):  # of a test that failed
        os.kill(pid, signal.SIGKILL)


def ps(columns: str) -> list[str]:
    """A line for each process of this machine."""
    command = ["ps", "-eww", "-o", columns]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()  # noqa: S603  # as it says


def alive(groups: set[int], folder: Path) -> list[int]:
    """The processes that still run: of these groups, or with a file of this folder open, written down or not."""
    split = (line.split() for line in ps("pid=,pgid=,stat="))
    return [
        int(pid)
        for pid, group, state in split
        if not state.startswith("Z") and (int(group) in groups or any(within(folder, file) for file in files(int(pid))))
    ]


def within(folder: Path, file: str) -> bool:
    return file.startswith(f"{folder}/")


def wait_for(is_so: Callable[[], bool], process: "subprocess.Popen[str]", seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not is_so():
        assert process.poll() is None, process.stdout.read() if process.stdout else ""
        assert time.monotonic() < deadline
        time.sleep(0.005)  # a moment is over soon


# ---- interrupted ----


def starting(command: Command) -> bool:
    """The second program is being started, and not written down yet."""
    return (command.folder / "logs" / "simulators.log").exists()


def deploying(command: Command) -> bool:
    return (command.folder / "deploy.log").exists()


@pytest.mark.parametrize("moment", [starting, deploying], ids=lambda moment: str(moment.__name__))
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda how: str(how.name))
def test_a_start_that_is_interrupted_leaves_nothing_running(
    how: signal.Signals, moment: Callable[[Command], bool], command: Command
) -> None:
    with command.start("up") as process:
        wait_for(lambda: moment(command), process)
        groups = {*command.groups(), process.pid}
        # A terminal's Ctrl-C reaches every process of the session's foreground; a kill, the one that it names.
        (os.killpg if how is signal.SIGINT else os.kill)(process.pid, how)
        said, _ = process.communicate(timeout=60)
    assert process.returncode != 0
    assert "Interrupted; stopped" in said
    assert alive(groups, command.folder) == []
    assert not (command.folder / "stack.json").exists()


def test_a_second_interruption_does_not_stop_the_stopping(command: Command) -> None:
    with command.start("up") as process:
        wait_for(lambda: deploying(command), process)
        groups = {*command.groups(), process.pid}
        while process.poll() is None:
            os.killpg(process.pid, signal.SIGINT)
            time.sleep(0.005)  # a moment is over soon
        said, _ = process.communicate(timeout=60)
    assert "Interrupted; stopped emulator" in said
    assert alive(groups, command.folder) == []


def test_a_start_that_fails_leaves_nothing_running(command: Command) -> None:
    """Here since somebody else has the port."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        command.environment["KINESIS_VIDEO_PORT"] = str(taken.getsockname()[1])
        with command.start("up") as process:
            wait_for(lambda: starting(command), process)
            groups = command.groups()
            said, _ = process.communicate(timeout=120)
        command.environment.clear()
    assert process.returncode != 0
    assert "kinesis-video did not start" in said
    assert alive(groups, command.folder) == []


# ---- stopped ----


def test_to_stop_what_does_not_run_is_no_fault(command: Command) -> None:
    assert command.run("down") == "Nothing was running.\n"


# ---- up ----


def test_it_listens_where_it_is_told_and_to_this_machine_alone_until_it_is_stopped(command: Command) -> None:
    ports = dict(zip(PORTS, map(str, free_ports(len(PORTS))), strict=True))
    command.environment.update(ports)
    command.run("up")
    cloud = Cloud(**json.loads((command.folder / "stack.json").read_text()))
    told = (cloud.aws_endpoint_url, cloud.simulators_url, cloud.kinesis_video_url)
    assert told == tuple(f"http://127.0.0.1:{port}" for port in ports.values())
    # A function's process listens too; by now it is there.
    assert opened(cloud)["state"] == "ready"
    groups = command.groups()
    listening = set(listeners(groups))
    assert {port for _, port in listening} >= set(map(int, ports.values()))
    assert {address for address, _ in listening} <= LOCALHOST

    # With nothing changed a second start starts and deploys nothing.
    said = command.run("up")
    assert "starting" not in said
    assert "deploying" not in said
    assert command.groups() == groups

    assert command.run("down") == "Stopped emulator, simulators, kinesis-video.\n"
    assert alive(groups, command.folder) == []
    with pytest.raises(httpx.ConnectError):
        httpx.get(cloud.simulators_url)


def test_with_a_door_before_aws_every_function_goes_through_it_and_can_be_killed_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in PORTS:
        monkeypatch.delenv(name, raising=False)
    local = LocalCloud(tmp_path / "cloud", aws_door=True)
    try:
        cloud = local.up()
        assert opened(cloud)["state"] == "ready"
        door, provider = f"{cloud.aws_door_url}/_control/aws", f"{cloud.simulators_url}/_control/cloudflare"
        assert {"dynamodb.TransactWriteItems", "kms.Encrypt"} <= operations(door)
        for control, operation in ((door, "dynamodb.PutItem"), (provider, "createLiveInput")):
            fault = {"kind": "kill", "operation": operation}
            httpx.post(f"{control}/faults", json=fault).raise_for_status()
            assert created(cloud).status_code == 502
            assert created(cloud).status_code == 201
        assert local.up() == cloud
    finally:
        stopped = local.down()
    assert stopped == ["emulator", "simulators", "kinesis-video", "aws-door"]


def operations(door: str) -> set[str]:
    """Those that were called there."""
    return {call["operation"] for call in httpx.get(f"{door}/calls").json()}


def opened(cloud: Cloud) -> dict[str, Any]:
    answer = created(cloud)
    assert answer.status_code == 201, answer.text
    stream: dict[str, Any] = answer.json()
    return stream


def created(cloud: Cloud) -> httpx.Response:
    """The answer to the create of another stream."""
    caller = SignedClient(cloud.api_url, cloud.region, *CREDENTIALS.values())
    try:
        return caller.create("cloudflare", str(uuid4()))
    finally:
        caller.close()


def listeners(groups: set[int]) -> Iterator[tuple[str, int]]:
    """Address and port of every socket on which a process of these groups listens, UDP included."""
    inodes = {inode for pid in pids(groups) for inode in sockets(pid)}
    for protocol, states in (("tcp", {LISTENING}), ("tcp6", {LISTENING}), ("udp", {"07"}), ("udp6", {"07"})):
        for line in Path(f"/proc/net/{protocol}").read_text().splitlines()[1:]:
            fields = line.split()
            address, port = fields[1].split(":")
            if fields[3] in states and fields[9] in inodes:
                yield address, int(port, 16)


def pids(groups: set[int]) -> Iterator[int]:
    for line in ps("pgid=,pid="):
        group, pid = map(int, line.split())
        if group in groups:
            yield pid


def sockets(pid: int) -> Iterator[str]:
    """The inodes of a process's sockets."""
    for file in files(pid):
        if file.startswith("socket:["):
            yield file.removeprefix("socket:[").removesuffix("]")


def files(pid: int) -> Iterator[str]:
    """What a process has open; nothing of one that has just ended."""
    try:
        opened = list(Path(f"/proc/{pid}/fd").iterdir())
    except OSError:
        return
    for one in opened:
        with contextlib.suppress(OSError):
            yield str(one.readlink())
