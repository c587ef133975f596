"""The calling process dies of SIGKILL: how it is found, and which processes may be killed at all."""

import contextlib
import socket
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import psutil

type Victims = Callable[[], Iterable[psutil.Process]]
"""The processes that may be killed, as of now."""


class NoVictim(Exception):
    """The caller is none of the processes that may be killed."""


def nobody() -> Iterable[psutil.Process]:
    """For a door that kills no one."""
    return ()


KILLABLE_BELOW = "a fault may kill the processes below the one that listens on this port; else none"
"""Of an argument with a port for `descendants_of`."""


def descendants_of(port: int | None) -> Victims:
    """The processes below the one that listens on this port of this machine, and never that one itself.

    Without a port nobody."""
    if port is None:
        return nobody

    def victims() -> Iterable[psutil.Process]:
        told = {pid for pid, one in _connections() if one.status == psutil.CONN_LISTEN and one.laddr.port == port}
        return {child for pid in told if pid for child in _children(pid) if child.pid not in told}

    return victims


def caller(connection: socket.socket, victims: Victims) -> psutil.Process:
    """The process at the other end. Raises NoVictim where it is not one of `victims`."""
    here, there = connection.getsockname(), connection.getpeername()
    told = {pid for pid, one in _connections() if (one.laddr, one.raddr) == (there, here)}
    for process in victims():
        if process.pid in told:
            return process
    raise NoVictim("the caller is not a process that may be killed")


def _connections() -> Iterator[tuple[int | None, Any]]:
    """Each with its process, those of other users perhaps without.

    In one look at all: one at each process takes seconds on a busy machine, and the caller, who waits, may give up.
    """
    try:
        yield from ((one.pid, one) for one in psutil.net_connections("tcp"))
    except psutil.AccessDenied:  # macOS lets only root look at all
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):  # it has ended, or is another user's
                yield from ((process.pid, one) for one in process.net_connections("tcp"))


def _children(pid: int) -> list[psutil.Process]:
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []
