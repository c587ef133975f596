"""Which processes a fault may kill: those below the one that listens on a port."""

import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import IO

import psutil
import pytest

from local.killing import NoVictim, Victims, caller, descendants_of, nobody

CALLER = """
import socket, sys
with socket.create_connection(("127.0.0.1", int(sys.argv[1])), 10) as connection:
    sys.stdin.readline()
"""
EMULATOR = """
import socket, subprocess, sys
with socket.create_server(("127.0.0.1", 0)) as listening:
    worker = subprocess.Popen([sys.executable, "-c", sys.argv[1], sys.argv[2]], stdin=subprocess.PIPE)
    calling = socket.create_connection(("127.0.0.1", int(sys.argv[2])), 10) if sys.argv[3] else None
    print(listening.getsockname()[1], worker.pid, flush=True)
    sys.stdin.readline()
    worker.communicate(b"\\n")
    if calling:
        calling.close()
"""
"""Listens, has a worker that calls, and may call too."""


@dataclass(frozen=True)
class Emulator:
    port: int
    worker: int


@pytest.fixture
def listening() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(10)
        yield listening


@contextmanager
def running(code: str, *arguments: str) -> Iterator[IO[str]]:
    """What the program says. It is to end when its input ends."""
    command = [sys.executable, "-c", code, *arguments]
    with subprocess.Popen(  # noqa: S603  # this interpreter
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        yield process.stdout
        process.communicate("\n", timeout=10)


@contextmanager
def emulator(listening: socket.socket, calls: bool = False) -> Iterator[Emulator]:
    port = str(listening.getsockname()[1])
    with running(EMULATOR, CALLER, port, "calls" if calls else "") as said:
        yield Emulator(*map(int, said.readline().split()))


def callers(listening: socket.socket, victims: Victims, count: int) -> list[int | None]:
    """The process behind each of so many connections, None for one that may not be killed."""
    found: list[int | None] = []
    for _ in range(count):
        connection, _address = listening.accept()
        with closing(connection):
            try:
                found.append(caller(connection, victims).pid)
            except NoVictim:
                found.append(None)
    return found


def test_a_worker_of_the_emulator_may_be_killed(listening: socket.socket) -> None:
    with emulator(listening) as running:
        assert callers(listening, descendants_of(running.port), 1) == [running.worker]


def test_the_emulator_itself_never(listening: socket.socket) -> None:
    with emulator(listening, calls=True) as running:
        found = callers(listening, descendants_of(running.port), 2)
        assert sorted(found, key=str) == sorted([running.worker, None], key=str)


def test_a_stranger_never(listening: socket.socket) -> None:
    port = str(listening.getsockname()[1])
    with emulator(listening) as running_, running(CALLER, port):
        found = callers(listening, descendants_of(running_.port), 2)
        assert sorted(found, key=str) == sorted([running_.worker, None], key=str)


def test_where_nobody_listens_or_no_port_is_given_nobody_may_be_killed() -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    assert list(descendants_of(port)()) == []
    assert descendants_of(None) is nobody
    assert list(nobody()) == []


def test_of_processes_that_have_ended_none_is_found(listening: socket.socket) -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        ended = psutil.Process(process.pid)
        process.wait(10)
    port = listening.getsockname()[1]
    with running(CALLER, str(port)):
        assert callers(listening, lambda: [ended], 1) == [None]


FORKED = """
import os, socket, sys
with socket.create_server(("127.0.0.1", 0)) as listening:
    if os.fork() == 0:
        with socket.create_connection(("127.0.0.1", int(sys.argv[1])), 10) as connection:
            connection.recv(1)
        os._exit(0)
    print(listening.getsockname()[1], flush=True)
    sys.stdin.readline()
"""


def test_a_process_below_that_listens_there_too_is_the_emulator_as_well(listening: socket.socket) -> None:
    with running(FORKED, str(listening.getsockname()[1])) as said:
        assert callers(listening, descendants_of(int(said.readline())), 1) == [None]
