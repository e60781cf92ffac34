"""Limits: how long a store is waited for at most, whatever it does meanwhile."""

import threading
from collections.abc import Callable
from contextlib import suppress
from contextvars import copy_context
from functools import wraps
from http.client import HTTPException
from queue import Empty, SimpleQueue
from typing import Any, TypeVar
from urllib.error import HTTPError
from urllib.parse import urlsplit, urlunsplit
from urllib.request import Request, getproxies, proxy_bypass, urlopen

from greenbench.errors import TrackingError
from greenbench.machine.secrets import StoreUri
from greenbench.tracking.uris import is_database, sqlite_path

VARIABLE = "GREENBENCH_STORE_TIMEOUT_S"
SILENT_S = 10.0
"""A server that says nothing for so long is away; MLflow's client is told the same."""
MOST_BYTES = 2**20
ASKED = "/api/2.0/mlflow/experiments/search?max_results=1"

Answer = TypeVar("Answer")


class Limited:
    """An MLflow client each of whose calls ends in time: with an answer, or a `TrackingError`.

    Parameters
    ----------
    client : mlflow.MlflowClient
        Of a store that is reached over a network.
    uri : StoreUri
        Of the store, for the message.
    timeout_s : float
        Most seconds of a call.
    """

    def __init__(self, client: Any, uri: StoreUri, timeout_s: float) -> None:
        self._client, self._uri, self._timeout_s = client, uri, timeout_s

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._client, name)
        if not callable(found):
            return found

        @wraps(found)
        def call(*given: Any, **named: Any) -> Any:
            return within(self._timeout_s, self._uri, lambda: found(*given, **named))

        return call


def within(timeout_s: float, uri: StoreUri, ask: Callable[[], Answer]) -> Answer:
    """Return what `ask` returns, or give up on it.

    The time limits of sockets hold for each read, and a server that sends a byte a second keeps
    them; those of databases and name servers are none. So it is asked in a thread of its own,
    which ends with the process, and Ctrl+C need not wait for it.

    Parameters
    ----------
    timeout_s : float
        Most seconds.
    uri : StoreUri
        Of the store, for the message.
    ask : callable
        Waits for the store.

    Raises
    ------
    TrackingError
        If it took longer.
    """
    outcomes: SimpleQueue[tuple[Answer | None, BaseException | None]] = SimpleQueue()

    def run() -> None:
        try:
            outcomes.put((ask(), None))
        except BaseException as error:
            outcomes.put((None, error))

    threading.Thread(
        target=copy_context().run, args=(run,), name="greenbench store", daemon=True
    ).start()
    try:
        answer, error = outcomes.get(timeout=min(timeout_s, threading.TIMEOUT_MAX))
    except Empty:
        raise TrackingError(
            f"MLflow store {uri} gave no whole answer within {timeout_s:g} s"
            f"{through_proxy(uri)}; see what keeps it, or wait longer: {VARIABLE}"
        ) from None
    if error is not None:
        raise error
    return answer  # type: ignore[return-value]


def check_answers(uri: StoreUri, timeout_s: float) -> None:
    """Find out whether a store over a network says anything at all, without importing MLflow.

    What it says is for MLflow to judge: whether it is there, lets us in, and is well.

    Raises
    ------
    TrackingError
        If it keeps silent, or never comes to an end.
    """
    if uri.is_server:
        within(timeout_s, uri, lambda: _ask(uri))
    elif is_database(uri) and sqlite_path(uri) is None:
        within(timeout_s, uri, lambda: _connect(uri))


def through_proxy(uri: StoreUri) -> str:
    """Return in words which proxy of the environment a server is asked through, if any is."""
    parts = urlsplit(uri.reveal())
    proxy = getproxies().get(parts.scheme)
    if not uri.is_server or proxy is None:
        return ""
    if proxy_bypass(parts.hostname or ""):
        return ""
    return f" through the proxy {StoreUri(proxy)} ({parts.scheme.upper()}_PROXY)"


def _ask(uri: StoreUri) -> None:
    parts = urlsplit(uri.reveal())
    # What the answer is, is of no account: nobody's credentials are needed.
    place = parts.netloc.rpartition("@")[2]
    url = urlunsplit((parts.scheme, place, parts.path.rstrip("/"), "", "")) + ASKED
    try:
        with _opened(url) as answer:
            answer.read(MOST_BYTES)
    except (HTTPException, OSError, ValueError) as error:
        # Of a connection that cannot be made, it is the reason of another error.
        if isinstance(getattr(error, "reason", error), TimeoutError):
            raise TrackingError(
                f"MLflow store {uri} says nothing for {SILENT_S:g} s{through_proxy(uri)}"
            ) from None


def _opened(url: str) -> Any:
    try:
        return urlopen(Request(url), timeout=SILENT_S)
    except HTTPError as refusal:
        # Which is an answer like any other.
        return refusal


def _connect(uri: StoreUri) -> None:
    from sqlalchemy import create_engine  # noqa: PLC0415
    from sqlalchemy.exc import SQLAlchemyError  # noqa: PLC0415

    # MLflow says it better.
    with suppress(SQLAlchemyError, ImportError):
        engine = create_engine(uri.reveal())
        engine.connect().close()
        engine.dispose()
