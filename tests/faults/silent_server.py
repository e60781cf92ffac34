"""Servers that take a connection and then never come to an end."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
PERIOD_S = 0.2


class SilentServer:
    """Listens on loopback, and does with each connection what it is told."""

    def __init__(self, behave: Callable[["SilentServer", socket.socket], None]) -> None:
        self._behave = behave
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listening.getsockname()[1])
        self.asked, self.over = threading.Event(), threading.Event()
        self.connections = 0
        self._accepting = threading.Thread(target=self._accept, daemon=True)
        self._accepting.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def close(self) -> None:
        self.over.set()
        with suppress(OSError):
            socket.create_connection(("127.0.0.1", self.port)).close()
        self._accepting.join()
        self._listening.close()

    def _accept(self) -> None:
        while not self.over.is_set():
            connection, _ = self._listening.accept()
            self.connections += 1
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, suppress(OSError):
            self.asked.set()
            self._behave(self, connection)


def mute(server: SilentServer, connection: socket.socket) -> None:
    """Take the request, and say nothing."""
    server.over.wait()


def dripping_head(server: SilentServer, connection: socket.socket) -> None:
    """Send a header that has no end, a byte at a time."""
    connection.sendall(HEAD + b"X-Patience: ")
    _drip(server, connection)


def dripping_body(server: SilentServer, connection: socket.socket) -> None:
    """Send a body that has no end, a byte at a time."""
    connection.sendall(HEAD + b"Content-Length: 1000000\r\n\r\n")
    _drip(server, connection)


def dripping_refusal(server: SilentServer, connection: socket.socket) -> None:
    """Refuse, and give reasons without end."""
    connection.sendall(b"HTTP/1.1 503 Closed\r\nContent-Length: 1000000\r\n\r\n")
    _drip(server, connection)


def patient(server: SilentServer, connection: socket.socket) -> None:
    """Ask for an hour's patience."""
    connection.recv(65536)
    connection.sendall(
        b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 3600\r\nContent-Length: 0\r\n"
        b"Connection: close\r\n\r\n"
    )


def _drip(server: SilentServer, connection: socket.socket) -> None:
    while not server.over.is_set():
        connection.sendall(b" ")
        time.sleep(PERIOD_S)


@contextmanager
def silent_server(
    behave: Callable[[SilentServer, socket.socket], None],
) -> Iterator[SilentServer]:
    """Yield a server that behaves so."""
    server = SilentServer(behave)
    try:
        yield server
    finally:
        server.close()
