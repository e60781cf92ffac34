"""A real MLflow server on loopback, in a process of its own: to start one takes many seconds."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from random import SystemRandom


@dataclass(frozen=True)
class Server:
    """Where a server listens, and the database behind it."""

    port: int
    database: str

    def url(self, credentials: str = "") -> str:
        """Return its address, with credentials such as ``ada:secret@``."""
        return f"http://{credentials}127.0.0.1:{self.port}"


@contextmanager
def mlflow_server_in(folder: Path) -> Iterator[Server]:
    """Yield a server whose database and log are in a folder."""
    port, log = free_port(), folder / "server.log"
    server = Server(port, f"sqlite:///{folder / 'server.db'}")
    command = [sys.executable, "-m", "mlflow", "server", "--workers", "1"]
    command += ["--backend-store-uri", server.database]
    command += ["--host", "127.0.0.1", "--port", str(port)]
    # Whatever MLflow is told here by the person who runs the tests is not for this server.
    others = {name: text for name, text in os.environ.items() if not name.startswith("MLFLOW_")}
    with (
        log.open("w") as output,
        subprocess.Popen(
            command,
            cwd=folder,
            env={**others, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
            stdout=output,
            stderr=output,
            start_new_session=True,
        ) as process,
    ):
        try:
            deadline = time.monotonic() + 300
            while "Application startup complete" not in log.read_text():
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < deadline, log.read_text()
                time.sleep(0.1)
            yield server
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)


def free_port() -> int:
    """Return a port of loopback that nobody listens at.

    It is none of those that systems give who asks for any: a connection of a neighbour's might have
    it before a server does that takes seconds to start, or to start again.
    """
    draw = SystemRandom()
    while True:
        port = draw.randrange(10_000, 32_768)
        with socket.socket() as tried, suppress(OSError):
            tried.bind(("127.0.0.1", port))
            return port
