"""The calling process dies of SIGKILL: how it is found, and which processes may be killed at all."""

import socket
from collections.abc import Callable, Iterable, Sequence
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
        listeners = [process for process in psutil.process_iter() if _listens(process, port)]
        below = {child for listener in listeners for child in _children(listener)}
        return below - set(listeners)

    return victims


def caller(connection: socket.socket, victims: Victims) -> psutil.Process:
    """The process at the other end. Raises NoVictim where it is not one of `victims`."""
    here, there = connection.getsockname(), connection.getpeername()
    for process in victims():
        if any((one.laddr, one.raddr) == (there, here) for one in _connections(process)):
            return process
    raise NoVictim("the caller is not a process that may be killed")


def _listens(process: psutil.Process, port: int) -> bool:
    return any(one.status == psutil.CONN_LISTEN and one.laddr.port == port for one in _connections(process))


def _connections(process: psutil.Process) -> Sequence[Any]:
    """None of a process that has ended, or is another user's."""
    try:
        return process.net_connections("tcp")
    except psutil.Error:
        return []


def _children(process: psutil.Process) -> list[psutil.Process]:
    try:
        return process.children(recursive=True)
    except psutil.NoSuchProcess:
        return []
