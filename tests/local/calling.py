"""Real processes that call a door and may die of it."""

import subprocess
import sys
from collections.abc import Iterable

import psutil

CALL = """
import http.client, sys
from urllib.parse import urlsplit
to = urlsplit(sys.argv[1])
connection = http.client.HTTPConnection(to.netloc, timeout=10)
connection.request("POST", to.path, sys.argv[2])
answer = connection.getresponse()
print(answer.status, answer.getheader("x-simulator-fault"), answer.read().decode())
"""


def called(url: str, body: str = "") -> "subprocess.CompletedProcess[str]":
    """A process that posts once, says what it was answered and ends, or dies of it."""
    return subprocess.run(  # noqa: S603  # this interpreter
        [sys.executable, "-c", CALL, url, body], capture_output=True, text=True, timeout=20, check=False
    )


def children() -> Iterable[psutil.Process]:
    """Of this test: those that a door may kill."""
    return psutil.Process().children()
