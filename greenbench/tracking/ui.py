"""The MLflow UI: started on a store, for one user, without the parts that run jobs."""

import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from http.client import HTTPConnection, HTTPException
from importlib.util import find_spec
from pathlib import Path
from subprocess import DEVNULL, Popen, TimeoutExpired
from tempfile import TemporaryDirectory

from greenbench.errors import ConfigurationError, TrackingError
from greenbench.machine.processes import GroupLeader
from greenbench.machine.secrets import StoreUri
from greenbench.tracking.sqlite import may_write
from greenbench.tracking.store import Store
from greenbench.tracking.ui_access import Access, command, environment
from greenbench.tracking.uris import check_uri, sqlite_path
from greenbench.tracking.view import charts_path, table_path

DEFAULT_PORT = 5000
HOST = "127.0.0.1"
BACKLOG = 128
START_TIMEOUT_S = 300.0
ANSWER_TIMEOUT_S = 10.0
STOP_TIMEOUT_S = 2.0
UNAUTHORIZED = 401


def serve_ui(
    uri: StoreUri, port: int | None, say: Callable[[str], None], *, has_password: bool = True
) -> int:
    """Run the MLflow UI on a store until it is stopped, and return its exit code.

    Parameters
    ----------
    uri : StoreUri
        The store; of a server, only the address is said.
    port : int or None
        On loopback; None takes 5000, or a free one if that is taken.
    say : callable
        Told the address, and how to get in, once it answers.
    has_password : bool
        Whether it lets in only those who know a password that is made for it.

    Raises
    ------
    ConfigurationError
        If the store is none that MLflow takes, the port is taken, or there can be no password.
    TrackingError
        If there is no store yet, or the UI ends before it answers, or does not answer.
    """
    check_uri(uri)
    if uri.is_server:
        say(f"The store is a server with a UI of its own: {uri}")
        return 0
    if has_password and find_spec("flask_wtf") is None:
        raise ConfigurationError(
            "MLflow cannot ask for a password without Flask-WTF: pip install 'mlflow[auth]', or do "
            "without a password: --no-auth"
        )
    store = Store.existing(uri)
    if (database := sqlite_path(uri)) and not may_write(database):
        raise TrackingError(
            f"the store {database} may only be read by this user, and MLflow's UI writes to it; "
            "copy it to a folder of yours, or use `greenbench report`"
        )
    store.seed_views()
    for number in (signal.SIGTERM, signal.SIGHUP):
        # Being terminated must end the server, too, and remove the password.
        signal.signal(number, lambda *_: sys.exit(0))
    try:
        with ExitStack() as stack:
            listener = stack.enter_context(_listen(port))
            access = _make_access(stack) if has_password else None
            server = stack.enter_context(_started(uri, listener, access))
            address = f"http://{HOST}:{listener.getsockname()[1]}"
            # The server has it: with it closed here, nobody is kept waiting once that has ended.
            listener.close()
            _wait_until_it_answers(server, address, access)
            _announce(address, access, store.experiments(), say)
            return server.wait()
    except KeyboardInterrupt:
        return 0


def _listen(wanted: int | None) -> socket.socket:
    """Take the port, so that nobody else can answer there, even before the server does."""
    for port in (wanted or DEFAULT_PORT, 0):
        listener = socket.socket()
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((HOST, port))
            listener.listen(BACKLOG)
        except OSError as error:
            listener.close()
            if wanted is not None:
                raise ConfigurationError(
                    f"port {wanted} cannot be used ({error.strerror}); choose another, or leave "
                    "--port out"
                ) from error
            continue
        return listener
    raise ConfigurationError("no free port on loopback")


def _make_access(stack: ExitStack) -> Access:
    try:
        folder = stack.enter_context(TemporaryDirectory(prefix="greenbench-ui-"))
        return Access.make(Path(folder))
    except OSError as error:
        raise ConfigurationError(
            f"the UI's password cannot be kept in a temporary folder ({error.strerror}); set "
            "TMPDIR to a folder that you may write, or do without: --no-auth"
        ) from error


@contextmanager
def _started(
    uri: StoreUri, listener: socket.socket, access: Access | None
) -> Iterator[GroupLeader]:
    process = Popen(
        command(listener.getsockname(), access),
        env=environment(uri, access),
        # As inetd does: it is the one file that MLflow passes on to its own children.
        stdin=listener.fileno(),
        stdout=DEVNULL,
        start_new_session=True,
    )
    server = GroupLeader(process)
    try:
        yield server
    finally:
        server.signal(signal.SIGTERM)
        with suppress(TimeoutExpired):
            server.wait(STOP_TIMEOUT_S)
        server.signal()
        server.wait()


def _wait_until_it_answers(server: GroupLeader, address: str, access: Access | None) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    headers = access.headers if access else {}
    while _status(address, headers) is None:
        if (code := server.poll()) is not None:
            raise TrackingError(f"the MLflow UI ended with exit code {code}")
        if time.monotonic() > deadline:
            raise TrackingError(f"the MLflow UI did not answer within {START_TIMEOUT_S:g} s")
        time.sleep(0.1)
    if access and (status := _status(address, {})) != UNAUTHORIZED:
        raise TrackingError(
            f"the MLflow UI answers {status} to whoever has no password, where {UNAUTHORIZED} is "
            "expected; it was stopped: upgrade MLflow, or do without: --no-auth"
        )


def _status(address: str, headers: Mapping[str, str]) -> int | None:
    """Return the status of an answer, None for no answer."""
    connection = HTTPConnection(address.removeprefix("http://"), timeout=ANSWER_TIMEOUT_S)
    try:
        connection.request("GET", "/version", headers=dict(headers))
        return connection.getresponse().status
    except (OSError, HTTPException):
        return None
    finally:
        connection.close()


def _announce(
    address: str,
    access: Access | None,
    experiments: Mapping[str, str],
    say: Callable[[str], None],
) -> None:
    say(f"MLflow UI: {address} (Ctrl+C stops it)")
    if access:
        say(f"  user {access.user}, password {access.password} (of this UI alone, until it stops)")
    else:
        say(
            "  without a password (--no-auth): everybody with an account on this machine can "
            "change and delete what is in the store, and read your files through it"
        )
    for name, experiment_id in experiments.items():
        say(f"  {name}: {address}{table_path(experiment_id)}")
        if charts := charts_path(experiment_id):
            say(f"  {name}, charts: {address}{charts}")
