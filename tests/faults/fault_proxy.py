"""A proxy in front of an MLflow server that does harm to one request, or to a few in a row."""

import select
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPResponse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

PATIENT_S = 400.0
"""How long a client is waited for that gives up after a second."""
AN_HOUR = "3600"

Answer = tuple[int, dict[str, str], bytes]


class FaultProxy(ThreadingHTTPServer):
    """Forwards to a server on loopback; the requests `first` to `last` of a fault are harmed."""

    daemon_threads = True

    def __init__(self, port: int) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.behind = port
        self.requests: list[str] = []
        self.fault, self.harmed = "", range(0)
        self._counting, self._busy = threading.Lock(), 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def harm(self, fault: str = "", first: int = 0, times: int = 0) -> None:
        """Count from 1 again, and do harm to some requests from the `first` on."""
        self.requests, self.fault = [], fault
        self.harmed = range(first, first + (times or TIMES.get(fault, 1)))

    def settle(self) -> None:
        """Wait until late requests have been forwarded, too."""
        while self._busy:
            time.sleep(0.01)

    def begin(self, request: str) -> str:
        with self._counting:
            self._busy += 1
            self.requests.append(request)
            return self.fault if len(self.requests) in self.harmed else ""

    def end(self) -> None:
        with self._counting:
            self._busy -= 1

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of clients that went away."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Or each answer's body would wait 40 ms for the client to confirm its head.
    disable_nagle_algorithm = True
    server: FaultProxy

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        fault = self.server.begin(f"{self.command} {self.path.partition('?')[0]}")
        try:
            if fault:
                FAULTS[fault](self, body)
            else:
                self.answer(*self.forward(body))
        finally:
            self.server.end()

    do_POST = do_PUT = do_PATCH = do_DELETE = do_GET  # noqa: N815

    def forward(self, body: bytes) -> Answer:
        connection = HTTPConnection("127.0.0.1", self.server.behind)
        kept = {k: v for k, v in self.headers.items() if k.lower() not in ("host", "connection")}
        try:
            connection.request(self.command, self.path, body, kept)
            found: HTTPResponse = connection.getresponse()
            return found.status, {"Content-Type": found.headers["Content-Type"]}, found.read()
        finally:
            connection.close()

    def answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(status)
        for name, value in ({"Content-Length": str(len(body))} | headers).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def hang_up(self) -> None:
        self.close_connection = True

    def reset(self) -> None:
        self.close_connection = True
        option = struct.pack("ii", 1, 0)
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, option)
        self.connection.close()

    def wait_until_left(self) -> None:
        """Wait until the client has given up."""
        select.select([self.connection], [], [], PATIENT_S)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


def _instead(status: int, body: bytes, **headers: str) -> Callable[[_Handler, bytes], None]:
    """Answer without asking the server."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda handler, _: handler.answer(status, named, body)


def _after(status: int, body: bytes, **headers: str) -> Callable[[_Handler, bytes], None]:
    """Let the server do it, and answer otherwise."""

    def harm(handler: _Handler, asked: bytes) -> None:
        handler.forward(asked)
        _instead(status, body, **headers)(handler, asked)

    return harm


def _lost(handler: _Handler, body: bytes) -> None:
    handler.forward(body)
    handler.hang_up()


def _late(handler: _Handler, body: bytes) -> None:
    handler.wait_until_left()
    # Until it has asked again, if it does.
    time.sleep(0.2)
    handler.forward(body)
    handler.hang_up()


def _slow(handler: _Handler, body: bytes) -> None:
    handler.forward(body)
    handler.wait_until_left()
    handler.hang_up()


def _twice(which: int) -> Callable[[_Handler, bytes], None]:
    def harm(handler: _Handler, body: bytes) -> None:
        handler.answer(*[handler.forward(body) for _ in range(2)][which])

    return harm


def _truncated(handler: _Handler, body: bytes) -> None:
    status, headers, whole = handler.forward(body)
    headers["Content-Length"] = str(len(whole))
    handler.answer(status, headers, whole[: len(whole) // 2])
    handler.hang_up()


PAGE = b"<html><body>Please sign in</body></html>"
FAULTS: dict[str, Callable[[_Handler, bytes], None]] = {
    "dropped": lambda handler, _: handler.hang_up(),
    "reset": lambda handler, _: handler.reset(),
    "lost answer": _lost,
    "two lost answers": _lost,
    "late": _late,
    "slow": _slow,
    "doubled, first answer": _twice(0),
    "doubled, second answer": _twice(1),
    "429": _instead(429, b"too many"),
    "429 for an hour": _instead(429, b"too many", Retry_After=AN_HOUR),
    "429 after": _after(429, b"too many", Retry_After=AN_HOUR),
    "500": _instead(500, b"oops"),
    "500 after": _after(500, b"oops"),
    "502 after": _after(502, b"bad gateway"),
    "503 for an hour": _instead(503, b"closed", Retry_After=AN_HOUR),
    "garbage": _instead(200, PAGE),
    "garbage after": _after(200, PAGE),
    "truncated": _truncated,
    "empty": _instead(200, b""),
    "empty after": _after(200, b""),
    "empty object": _instead(200, b"{}"),
    "redirect": _instead(302, b"", Location="/elsewhere"),
    "redirect after": _after(302, b"", Location="/elsewhere"),
}
TIMES = {"two lost answers": 2}
"""How many requests in a row are harmed, if it is more than one."""
KINDS: dict[str, tuple[str, ...]] = {
    "dropped": ("dropped", "reset"),
    "lost": ("lost answer", "two lost answers"),
    "delayed": ("late", "slow"),
    "doubled": ("doubled, first answer", "doubled, second answer"),
    "429": ("429", "429 for an hour", "429 after"),
    "5xx": ("500", "500 after", "502 after", "503 for an hour"),
    "garbage": ("garbage", "garbage after", "truncated", "empty", "empty after", "empty object"),
    "redirected": ("redirect", "redirect after"),
}


@contextmanager
def proxied(port: int) -> Iterator[FaultProxy]:
    """Yield a proxy in front of the server on a port of loopback."""
    with FaultProxy(port) as proxy:
        serving = threading.Thread(target=proxy.serve_forever, args=(0.01,), daemon=True)
        serving.start()
        try:
            yield proxy
        finally:
            proxy.shutdown()
            serving.join()
