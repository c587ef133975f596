"""The door on a real socket."""

import contextlib
import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

from local.aws_door.door import AwsDoor, Closed, Upstream
from local.aws_door.messages import read_request
from local.killing import Victims, nobody


@dataclass(frozen=True)
class Served:
    url: str
    door: AwsDoor


class _Server(socketserver.ThreadingTCPServer):
    """A thread for each connection, which is kept until either side ends it."""

    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, port: int, door: AwsDoor, upstream: tuple[str, int]) -> None:
        super().__init__(("127.0.0.1", port), _Connection)
        self.door, self.upstream = door, upstream
        self.open: set[socket.socket] = set()

    def close_all(self) -> None:
        for connection in list(self.open):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


class _Connection(socketserver.StreamRequestHandler):
    disable_nagle_algorithm = True
    server: _Server

    def handle(self) -> None:
        self.server.open.add(self.connection)
        # A client may go away at any time; that is no fault of ours.
        with Upstream(*self.server.upstream) as upstream, contextlib.suppress(OSError):
            while self._answered_one(upstream):
                pass

    def finish(self) -> None:
        self.server.open.discard(self.connection)
        super().finish()

    def _answered_one(self, upstream: Upstream) -> bool:
        """Whether another request may follow."""
        request = read_request(self.rfile, self.wfile)
        if request is None:
            return False
        try:
            answer = self.server.door.answer(request, self.connection, upstream)
        except Closed as closed:
            self.wfile.write(closed.last)
            return False
        self.wfile.write(answer.raw)
        return not (request.ends_connection or answer.ends_connection)


@contextmanager
def aws_door(upstream: str, port: int = 0, victims: Victims = nobody) -> Iterator[Served]:
    """Serves on 127.0.0.1 until the block ends. `upstream` is the emulator's URL; port 0 takes a free one."""
    to = urlsplit(upstream)
    door = AwsDoor(victims)
    with _Server(port, door, (to.hostname or "127.0.0.1", to.port or 80)) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield Served(f"http://127.0.0.1:{server.server_address[1]}", door)
        finally:
            door.stopping.set()
            server.shutdown()
            server.close_all()
            thread.join()
