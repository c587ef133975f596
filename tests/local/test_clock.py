"""One movable clock for whoever is told of its file: the simulators, Kinesis Video and the functions."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path

import httpx
import pytest

from headwater import clock as product
from local.clock import CLOCK_FILE, moved_ms
from local.cloud import LocalCloud
from local.door import Clock
from tests.local.conftest import NO_TLS, ROOT
from tests.local.test_cloud import PORTS, opened

HOUR_MS = 3_600_000


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "clock"


def ahead_ms(clock: Clock) -> int:
    """How far it is ahead of real time, but for what passes between the two looks."""
    return clock.now_ms() - time.time_ns() // 1_000_000


def test_clocks_of_one_file_are_moved_together(file: Path) -> None:
    one, other = Clock(file), Clock(file)
    one.advance(3600)
    assert abs(ahead_ms(other) - HOUR_MS) < 1000
    other.advance(1800.5)
    assert abs(ahead_ms(one) - 1.5 * HOUR_MS) < 1000
    assert moved_ms(file) == 1.5 * HOUR_MS + 500


def test_a_clock_that_is_made_later_shows_what_the_others_show(file: Path) -> None:
    Clock(file).advance(3600)
    assert abs(ahead_ms(Clock(file)) - HOUR_MS) < 1000


def test_clocks_of_no_file_or_another_one_are_moved_alone(file: Path) -> None:
    others = [Clock(), Clock(), Clock(file.with_name("another"))]
    Clock(file).advance(3600)
    others[0].advance(7200)
    assert abs(ahead_ms(others[0]) - 2 * HOUR_MS) < 1000
    assert all(abs(ahead_ms(each)) < 1000 for each in others[1:])


@pytest.mark.parametrize("seconds", [-1, float("inf"), float("nan")])
def test_a_shared_clock_never_goes_back_either(file: Path, seconds: float) -> None:
    with pytest.raises(ValueError, match="advance_seconds"):
        Clock(file).advance(seconds)
    assert not file.exists()


MOVING = """
import sys
from pathlib import Path
from local.door import Clock
clock = Clock(Path(sys.argv[1]))
print("ready", flush=True)
sys.stdin.readline()
for _ in range(300):
    clock.advance(0.001)
"""


def test_processes_that_move_it_at_once_lose_no_move_and_whoever_looks_sees_it_grow(file: Path) -> None:
    command = [sys.executable, "-c", MOVING, str(file)]
    movers = [
        subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)  # noqa: S603  # ours
        for _ in range(3)
    ]
    try:
        for each in movers:
            assert each.stdout is not None
            assert each.stdout.readline() == "ready\n"
        for each in movers:
            assert each.stdin is not None
            each.stdin.write("go\n")
            each.stdin.flush()
        seen = [0]
        while any(each.poll() is None for each in movers):
            seen.append(moved_ms(file))
    finally:
        for each in movers:
            each.kill()
            each.communicate()
    assert [each.returncode for each in movers] == [0, 0, 0]
    assert seen == sorted(seen)
    assert moved_ms(file) == 900


def test_the_functions_see_what_the_doors_have_moved(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CLOCK_FILE, str(file))
    assert product.moved() == timedelta(0)
    Clock(file).advance(90.25)
    assert product.moved() == timedelta(seconds=90.25)
    assert abs(product.present().timestamp() * 1000 - Clock(file).now_ms()) < 1000


@contextmanager
def running(module: str, **environment: str) -> Iterator[httpx.Client]:
    """The program's control routes."""
    command = [sys.executable, "-m", module, "--port", "0"]
    paths = os.pathsep.join(path for path in sys.path if path)
    plain = {name: value for name, value in os.environ.items() if name != CLOCK_FILE}
    with subprocess.Popen(  # noqa: S603  # this interpreter and our own module
        command, cwd=ROOT, env=plain | {"PYTHONPATH": paths} | environment, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            url = process.stdout.readline().split()[-1]
            with httpx.Client(base_url=f"{url}/_control", verify=NO_TLS) as control:
                yield control
        finally:
            process.send_signal(signal.SIGTERM)


def test_to_move_it_at_one_program_moves_it_at_the_other(file: Path) -> None:
    told = {CLOCK_FILE: str(file)}
    with running("local.simulators", **told) as simulators, running("local.kinesis_video", **told) as kinesis_video:
        for at, ahead in ((simulators, HOUR_MS), (kinesis_video, 2 * HOUR_MS)):
            at.post("/clock", json={"advance_seconds": 3600}).raise_for_status()
            for each in (simulators, kinesis_video):
                shown = each.get("/clock").json()["now_ms"]
                assert abs(shown - time.time() * 1000 - ahead) < 5000
            assert moved_ms(file) == ahead


def test_a_program_that_is_told_of_no_file_has_a_clock_of_its_own(file: Path) -> None:
    with running("local.simulators") as alone:
        Clock(file).advance(3600)
        assert abs(alone.get("/clock").json()["now_ms"] - time.time() * 1000) < 5000
        assert alone.post("/clock", json={"advance_seconds": 60}).is_success
    assert moved_ms(file) == HOUR_MS


def test_a_deployment_s_functions_and_providers_are_moved_together_and_the_next_one_begins_in_the_present(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in PORTS:
        monkeypatch.delenv(name, raising=False)
    local = LocalCloud(tmp_path / "cloud")
    try:
        cloud = local.up()
        controls = [f"{url}/_control" for url in (cloud.simulators_url, cloud.kinesis_video_url)]
        before = opened(cloud)
        for control in controls:
            httpx.post(f"{control}/clock", json={"advance_seconds": 1800}).raise_for_status()
        after = opened(cloud)  # by an environment that was there before
        apart = datetime.fromisoformat(after["created_at"]) - datetime.fromisoformat(before["created_at"])
        assert 0 <= (apart - timedelta(hours=1)).total_seconds() < 60
        calls = httpx.get(f"{controls[0]}/cloudflare/calls", params={"operation": "createLiveInput"}).json()
        assert 0 <= calls[1]["at"] - calls[0]["at"] - HOUR_MS < 60_000
        assert local.up() == cloud
        assert moved_ms(tmp_path / "cloud" / "clock") == HOUR_MS
    finally:
        local.down()
    assert not (tmp_path / "cloud" / "clock").exists()
