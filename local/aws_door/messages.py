"""HTTP/1.1 requests and answers as the bytes that they were sent in."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from io import BufferedIOBase

from werkzeug.wrappers import Response

LONGEST_LINE = 65_536
"""Bytes."""
_BODILESS = {204, 304}


@dataclass(frozen=True)
class Message:
    """A request or an answer. `head` ends with its empty line; a chunked `body` still has its chunks' frames."""

    head: bytes
    body: bytes = b""

    @cached_property
    def start(self) -> list[str]:
        """The first line's words: method, target and version, or version, status and reason."""
        return [*self.head.split(b"\r\n", 1)[0].decode("latin-1").split(" ", 2), "", ""]

    @cached_property
    def headers(self) -> dict[str, str]:
        """By lower-case name; of several with one name the last."""
        lines = self.head.decode("latin-1").split("\r\n")[1:]
        pairs = (line.partition(":") for line in lines if ":" in line)
        return {name.strip().lower(): value.strip() for name, _, value in pairs}

    @property
    def method(self) -> str:
        return self.start[0]

    @property
    def target(self) -> str:
        """Path and query, as they were sent."""
        return self.start[1]

    @property
    def status(self) -> int:
        return int(self.start[1])

    @property
    def raw(self) -> bytes:
        return self.head + self.body

    @property
    def ends_connection(self) -> bool:
        """Whether the sender sends no more after it."""
        connection = self.headers.get("connection", "").lower()
        return "close" in connection or ("HTTP/1.0" in self.start and "keep-alive" not in connection)

    def with_body(self, body: bytes, **headers: str) -> "Message":
        """The same with another body, and with more headers; an underscore in a name is a hyphen."""
        head = re.sub(rb"(?im)^(content-length|transfer-encoding):.*\r\n", b"", self.head)
        more = {"content-length": str(len(body)), **{name.replace("_", "-"): text for name, text in headers.items()}}
        lines = "".join(f"{name}: {text}\r\n" for name, text in more.items())
        return Message(head[:-2] + lines.encode("latin-1") + b"\r\n", body)


def made_of(response: Response) -> Message:
    """An answer of our own."""
    body = response.get_data()
    response.content_length = len(body)
    lines = [f"HTTP/1.1 {response.status}", *(f"{name}: {text}" for name, text in response.headers)]
    return Message("\r\n".join([*lines, "", ""]).encode("latin-1"), body)


def read_request(stream: BufferedIOBase, answer: BufferedIOBase) -> Message | None:
    """The next one; None where there is none. One that asks whether it may send its body is told so on `answer`."""
    head = _head(stream)
    if head is None:
        return None
    bare = Message(head)
    if bare.headers.get("expect", "").lower() == "100-continue":
        answer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    framed = bare.headers.keys() & {"content-length", "transfer-encoding"}
    return Message(head, _body(stream, bare)) if framed else bare


def read_answer(stream: BufferedIOBase, method: str) -> Message | None:
    """The one to a request of this method; None where the connection ended before it."""
    while (head := _head(stream)) is not None:
        bare = Message(head)
        if bare.status >= 200:  # what comes before is no answer yet
            bodiless = method == "HEAD" or bare.status in _BODILESS
            return bare if bodiless else Message(head, _body(stream, bare))
    return None


def _head(stream: BufferedIOBase) -> bytes | None:
    lines = []
    while (line := stream.readline(LONGEST_LINE)) not in (b"", b"\r\n"):
        lines.append(line)
    return b"".join([*lines, line]) if line and lines else None


def _body(stream: BufferedIOBase, bare: Message) -> bytes:
    """Raises ConnectionError where it does not come whole."""
    if "chunked" in bare.headers.get("transfer-encoding", "").lower():
        return b"".join(_chunks(stream))
    if "content-length" in bare.headers:
        return _whole(stream, int(bare.headers["content-length"]))
    return stream.read()


def _chunks(stream: BufferedIOBase) -> Iterator[bytes]:
    size = 1
    while size:
        line = stream.readline(LONGEST_LINE)
        size = int(line.split(b";")[0] or b"0", 16)
        yield line
        if size:
            yield _whole(stream, size + 2)
    while (line := stream.readline(LONGEST_LINE)) not in (b"", b"\r\n"):
        yield line
    yield line


def _whole(stream: BufferedIOBase, size: int) -> bytes:
    body = stream.read(size)
    if len(body) < size:
        raise ConnectionError("the connection ended within a body")
    return body
