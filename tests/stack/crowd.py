"""Calls that are under way all at once: each on a connection of its own, and all complete at the same moment."""

import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http.client import HTTPConnection
from typing import Any

import httpx

from tests.stack.callers import Api, Exchange

Json = dict[str, Any]

ANSWER_SECONDS = 120
"""Fifty new environments at once take two cores their time."""


@dataclass(frozen=True)
class Reply:
    """An answer, with the moments, of one clock, at which its call was complete and it was whole."""

    answer: httpx.Response
    sent_at: float
    answered_at: float

    @property
    def status(self) -> int:
        return self.answer.status_code

    @property
    def body(self) -> Json:
        body: Json = self.answer.json()
        return body


def all_at_once(api: Api, requests: Sequence[httpx.Request]) -> list[Reply]:
    """The answers, in the order of the calls. The last byte of each is held back until all others have been sent."""
    gate = threading.Barrier(len(requests))

    def make(request: httpx.Request) -> Reply:
        url = request.url
        connection = HTTPConnection(url.host, url.port, timeout=ANSWER_SECONDS)
        try:
            connection.putrequest(request.method, url.raw_path.decode(), skip_host=True, skip_accept_encoding=True)
            for name, value in request.headers.items():
                connection.putheader(name, value)
            connection.endheaders(request.content[:-1])
            gate.wait(ANSWER_SECONDS)
            connection.send(request.content[-1:])
            sent_at = time.monotonic()
            answer = connection.getresponse()
            text = answer.read()
        finally:
            connection.close()
        whole = httpx.Response(answer.status, headers=answer.getheaders(), content=text)
        path = url.path[url.path.index("/streams") :]
        api.exchanges.append(Exchange(request.method, path, request.content.decode(), whole))
        return Reply(whole, sent_at, time.monotonic())

    with ThreadPoolExecutor(len(requests)) as pool:
        return list(pool.map(make, requests))
