"""The MLflow UI: started on a store, on loopback, without the parts that run jobs."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path

from filelock import FileLock

from greenbench.errors import ConfigurationError, TrackingError
from greenbench.machine.secrets import StoreUri
from greenbench.tracking.sqlite import may_write
from greenbench.tracking.store import Store
from greenbench.tracking.uris import sqlite_path
from greenbench.tracking.view import charts_path, table_path

DEFAULT_PORT = 5000


def serve_ui(uri: StoreUri, port: int | None, say: Callable[[str], None]) -> int:
    """Run the MLflow UI on a store until it is stopped, and return its exit code.

    Parameters
    ----------
    uri : StoreUri
        The store; of a server, only the address is said.
    port : int or None
        On loopback; None takes 5000, or a free one if that is taken.
    say : callable
        Told the address once it answers.

    Raises
    ------
    ConfigurationError
        If the port is taken.
    TrackingError
        If there is no store yet, or the UI ends before it answers.
    """
    if str(uri).startswith(("http://", "https://")):
        say(f"The store is a server with a UI of its own: {uri}")
        return 0
    store = Store.existing(uri)
    if (database := sqlite_path(uri)) and not may_write(database):
        raise TrackingError(
            f"the store {database} may only be read by this user, and MLflow's UI writes to it; "
            "copy it to a folder of yours, or use `greenbench report`"
        )
    store.seed_views()
    with ExitStack() as stack:
        return _serve(uri, _free_port(port, stack), store.experiments(), say)


def _serve(
    uri: StoreUri, port: int, experiments: Mapping[str, str], say: Callable[[str], None]
) -> int:
    command = [sys.executable, "-m", "mlflow", "ui", "--backend-store-uri", uri.reveal()]
    command += ["--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    environment = {
        **os.environ,
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "PYTHONWARNINGS": "ignore",
    }
    # Being terminated must end the server, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    server = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
    try:
        while not _answers(port):
            if server.poll() is not None:
                raise TrackingError(f"the MLflow UI ended with exit code {server.returncode}")
            time.sleep(0.2)
        say(f"MLflow UI: http://127.0.0.1:{port} (Ctrl+C stops it)")
        for name, experiment_id in experiments.items():
            say(f"  {name}: http://127.0.0.1:{port}{table_path(experiment_id)}")
            if charts := charts_path(experiment_id):
                say(f"  {name}, charts: http://127.0.0.1:{port}{charts}")
        return server.wait()
    except KeyboardInterrupt:
        return 0
    finally:
        server.terminate()
        server.wait()


def _free_port(wanted: int | None, stack: ExitStack) -> int:
    for port in (wanted or DEFAULT_PORT, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                if port:
                    # Another UI may have chosen it, and needs seconds until it listens: its store
                    # would be shown in place of ours.
                    lock = FileLock(Path(tempfile.gettempdir()) / f"greenbench-ui-{port}.lock")
                    stack.enter_context(lock.acquire(timeout=0))
                probe.bind(("127.0.0.1", port))
            except OSError as error:
                if wanted is not None:
                    raise ConfigurationError(
                        f"port {wanted} cannot be used ({error.strerror or 'taken'}); choose "
                        "another, or leave --port out"
                    ) from error
                continue
            return int(probe.getsockname()[1])
    raise ConfigurationError("no free port on loopback")


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex(("127.0.0.1", port)) == 0
