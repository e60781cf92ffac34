"""Delivery: results from the journal into MLflow, at once or when the store is back."""

import json
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from greenbench.errors import TrackingError
from greenbench.machine.files import reason, remedy, replacing
from greenbench.machine.secrets import StoreUri
from greenbench.results import CaseResult
from greenbench.results.journal import Journal
from greenbench.running.spool import IDLE_DRIFT, read_drift, turn
from greenbench.settings import STORE_TIMEOUT_S, Settings
from greenbench.tracking.uris import sqlite_path

if TYPE_CHECKING:
    from greenbench.tracking import Store


class Notices(Protocol):
    """Shows lines to the user."""

    def notice(self, message: str) -> None:
        """Show one line that the user must see."""


class Delivery:
    """Brings results to MLflow; after a failure the journal keeps them for ``sync``.

    Parameters
    ----------
    tracking_uri : StoreUri
        Where to.
    listener : Notices
        Is told of the first failure.
    timeout_s : float
        Most seconds that one answer of the store is waited for.
    away : TrackingError or None
        Why the store is not even asked, as `silence` found out.
    """

    def __init__(
        self,
        tracking_uri: StoreUri,
        listener: Notices,
        timeout_s: float = STORE_TIMEOUT_S,
        away: TrackingError | None = None,
    ) -> None:
        self._uri = tracking_uri
        self._listener = listener
        self._timeout_s = timeout_s
        self._store: Store | None = None
        self.has_failed = False
        if away is not None:
            self._fail(away)
            return
        try:
            # Importing MLflow takes seconds: they pass while the workers import, too, and
            # nothing is measured. A store that is yet to be made would take more of them.
            self._store = _store_class().prepare(tracking_uri, listener.notice, timeout_s=timeout_s)
        except TrackingError as error:
            self._fail(error)

    def deliver(self, journal: Journal, result: CaseResult, *, may_exist: bool) -> bool:
        """Log a result unless it is there; return whether MLflow has it.

        Parameters
        ----------
        journal : Journal
            Marked once MLflow has the result.
        result : CaseResult
            What to log.
        may_exist : bool
            Whether an earlier, interrupted attempt may have logged it.
        """
        if self.has_failed:
            return False
        from greenbench.tracking import session_key  # noqa: PLC0415

        try:
            with turn(journal.path.parent):
                state = journal.read()
                if not state.is_delivered:
                    may_exist |= state.is_attempted
                    key = session_key(journal.path)
                    store = self._opened()
                    store.log_model(
                        store.log_result(result, key, may_exist=may_exist), journal.model
                    )
                    journal.mark_delivered()
                    journal.drop_model()
        except TrackingError as error:
            self._fail(error)
            return False
        return True

    def deliver_idle_drift(
        self, folder: Path, suite: str, drift: float, since_s: float = 0.0
    ) -> None:
        """Log by how much idle power changed, with the results of a session.

        Parameters
        ----------
        folder : pathlib.Path
            The session's; holds the figure until MLflow has it.
        suite : str
            Whose results.
        drift : float
            Share of the idle power before.
        since_s : float
            Earlier results, seconds since 1970-01-01 UTC, were measured at another time.
        """
        note = folder / IDLE_DRIFT
        try:
            with replacing(note) as file:
                noted = {"suite": suite, "drift": drift, "since_s": since_s}
                file.write(json.dumps(noted).encode())
        except OSError as error:
            self._listener.notice(
                f"{note} cannot be written ({reason(error)}): if MLflow cannot be told by how much "
                f"idle power changed, that is lost; {remedy(error)}"
            )
        self._log_drift(folder, suite, drift, since_s)

    def deliver_noted_drift(self, folder: Path) -> float | None:
        """Log what a session has noted that was interrupted at its end; return it.

        Parameters
        ----------
        folder : pathlib.Path
            The session's.
        """
        note = read_drift(folder / IDLE_DRIFT)
        if note is None:
            return None
        self._log_drift(folder, *note)
        return note[1]

    def forget_drift(self, folder: Path) -> None:
        """Drop what a session has noted, once MLflow and the user were told."""
        if not self.has_failed:
            # What cannot be removed is delivered once more, which changes nothing.
            with suppress(OSError):
                (folder / IDLE_DRIFT).unlink(missing_ok=True)

    def _log_drift(self, folder: Path, suite: str, drift: float, since_s: float) -> None:
        if self.has_failed:
            return
        try:
            self._opened().log_idle_drift(suite, folder.name, drift, since_s)
        except TrackingError as error:
            self._fail(error)

    def _opened(self) -> "Store":
        if self._store is None:
            say = self._listener.notice
            self._store = _store_class()(self._uri, say, timeout_s=self._timeout_s)
        return self._store

    def _fail(self, error: TrackingError) -> None:
        self.has_failed = True
        self._listener.notice(f"{error}; results are kept in the journal, and the run goes on")


def silence(settings: Settings) -> TrackingError | None:
    """Return that a store over a network says nothing; None if it does, or is no such store.

    Whoever waits for it must hold no lock: others measure meanwhile.
    """
    if sqlite_path(settings.tracking_uri) is not None:
        return None
    from greenbench.tracking.limits import check_answers  # noqa: PLC0415

    try:
        check_answers(settings.tracking_uri, settings.store_timeout_s)
    except TrackingError as error:
        return error
    return None


def _store_class() -> "type[Store]":
    from greenbench.tracking import Store  # noqa: PLC0415

    return Store
