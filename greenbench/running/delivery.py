"""Delivery: results from the journal into MLflow, while nobody measures, or when it is back.

To log a trial takes MLflow some 10 ms of CPU time, which none of its calls can do for several. So a
case's end waits for it for `BETWEEN_S` at most, however many trials there are, and then the next
repeat is measured. What is left is logged in the following gaps, and at the end of the session. A
thread of its own would log while something is measured, and its joules would be in those figures:
there is one where nothing is measured on this machine.
"""

import json
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from greenbench.errors import GreenbenchError, TrackingError
from greenbench.machine.files import reason, remedy, replacing
from greenbench.machine.secrets import StoreUri
from greenbench.results import CaseResult
from greenbench.results.journal import Journal
from greenbench.running.deliverer import Deliverer
from greenbench.running.outbox import Due, Outbox
from greenbench.running.spool import IDLE_DRIFT, LOCK_LIMIT_S, BusyError, read_drift
from greenbench.settings import STORE_TIMEOUT_S, Settings
from greenbench.tracking.uris import sqlite_path

if TYPE_CHECKING:
    from greenbench.tracking import Store

BETWEEN_S = 0.4
"""Most seconds of logging between two repeats, unless a call takes longer than all before it."""
SILENT_S = 3.0
"""What takes longer at the end is said."""
CLOSE_LIMIT_S = 300.0
"""Most seconds of logging at the end of a session; what is left is for ``greenbench sync``."""


class Notices(Protocol):
    """Shows lines to the user."""

    def notice(self, message: str) -> None:
        """Show one line that the user must see."""


class When(Enum):
    """When results are told to the store, so that what that costs falls into no window."""

    BETWEEN = "between"
    """Some of it after each repeat, before the next one is measured, and the rest at the end."""
    ALWAYS = "always"
    """By a thread, while others measure elsewhere: nothing is measured on this machine."""
    AT_END = "at end"
    """All at the end: others measure on this machine, and nobody here knows when."""


class Delivery:
    """Brings results to MLflow; what it does not take the journal keeps for ``sync``.

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
    when : When
        When there is time for it.
    clock : callable
        Returns seconds that never go back.
    """

    def __init__(
        self,
        tracking_uri: StoreUri,
        listener: Notices,
        timeout_s: float = STORE_TIMEOUT_S,
        away: TrackingError | None = None,
        *,
        when: When = When.BETWEEN,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._uri = tracking_uri
        self._listener = listener
        self._timeout_s = timeout_s
        self._when, self._clock = when, clock
        self._store: Store | None = None
        self._is_away = self._has_refused = False
        self._said: set[str] = set()
        self._outbox = Outbox(self._opened, self._refused, self._say_once)
        self._deliverer = Deliverer(self._outbox) if when is When.ALWAYS else None
        if away is not None:
            self._fail(away)
            return
        try:
            # Importing MLflow takes seconds: they pass while the workers import, too, and
            # nothing is measured. A store that is yet to be made would take more of them.
            self._store = _store_class().prepare(tracking_uri, listener.notice, timeout_s=timeout_s)
        except TrackingError as error:
            self._fail(error)

    @property
    def has_failed(self) -> bool:
        """Whether results are left in the journal, or the store is away."""
        return self._is_away or self._has_refused or bool(self._outbox)

    def deliver(self, journal: Journal, result: CaseResult, *, may_exist: bool) -> None:
        """Hand over a result, and log of what waits as much as there is time for now.

        Parameters
        ----------
        journal : Journal
            Holds the result, and is marked once MLflow has it. It is read when its turn comes:
            what waits takes no memory.
        result : CaseResult
            The same.
        may_exist : bool
            Whether an earlier, interrupted attempt may have logged it, or some of it.
        """
        due = Due(f"{result.case.id}, repeat {result.repeat}", journal, may_exist)
        if self._deliverer:
            self._deliverer.add(due)
        elif not self._is_away:
            self._outbox.add(due)
            if self._when is When.BETWEEN:
                self._work(BETWEEN_S, 0.0)

    def put_off(self) -> None:
        """Log nothing more before the end: from now on, something is measured on this machine."""
        if self._deliverer:
            self._deliverer.stop()
            self._deliverer, self._when = None, When.AT_END
            # It may be back by then.
            self._is_away = False

    def close(self, limit_s: float = CLOSE_LIMIT_S) -> None:
        """Log what waits; what cannot be in time is left in the journal.

        Parameters
        ----------
        limit_s : float
            Most seconds for that; 0 if somebody wants to leave at once.
        """
        if self._deliverer:
            self._deliverer.close(limit_s)
            # It may have been back.
            self._is_away = self._is_away and bool(self._outbox)
        elif limit_s:
            self._work(min(limit_s, SILENT_S), LOCK_LIMIT_S)
            if self._outbox and not self._is_away and limit_s > SILENT_S:
                self._listener.notice(
                    f"delivering what is left to MLflow ({_counted(self._outbox)}); Ctrl+C leaves "
                    "it in the journal"
                )
                self._work(limit_s - SILENT_S, LOCK_LIMIT_S)
        if self._outbox and limit_s and not self._is_away:
            self._listener.notice(
                f"MLflow store {self._uri} did not take {_counted(self._outbox)} within "
                f"{limit_s:g} s"
            )

    def deliver_idle_drift(
        self, folder: Path, suite: str, drift: float, first: Mapping[str, int] | None = None
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
        first : mapping of str to int, optional
            By a case's hash, the first repeat that was measured in this session, if not all were.
        """
        note = folder / IDLE_DRIFT
        try:
            with replacing(note) as file:
                noted = {"suite": suite, "drift": drift, "first": dict(first or {})}
                file.write(json.dumps(noted).encode())
        except OSError as error:
            self._listener.notice(
                f"{note} cannot be written ({reason(error)}): if MLflow cannot be told by how much "
                f"idle power changed, that is lost; {remedy(error)}"
            )
        self._log_drift(folder, suite, drift, first=first or {})

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

    def _log_drift(
        self,
        folder: Path,
        suite: str,
        drift: float,
        since_s: float = 0.0,
        first: Mapping[str, int] | None = None,
    ) -> None:
        # It is told to each result of the session.
        self.close()
        if self._is_away:
            return
        try:
            self._opened().log_idle_drift(suite, folder.name, drift, since_s, first)
        except TrackingError as error:
            self._fail(error)

    def _work(self, seconds: float, lock_limit_s: float) -> None:
        if self._is_away:
            return
        last, longest_s = self._clock(), 0.0
        end = last + seconds

        def is_over() -> bool:
            # A busy machine makes each call longer, and who waits for it waits for the last, too.
            nonlocal last, longest_s
            now = self._clock()
            last, longest_s = now, max(longest_s, now - last)
            return now + longest_s >= end

        self._outbox.work(is_over, lock_limit_s)

    def _opened(self) -> "Store":
        if self._store is None:
            say = self._listener.notice
            self._store = _store_class()(self._uri, say, timeout_s=self._timeout_s)
        return self._store

    def _refused(self, name: str, error: GreenbenchError) -> bool:
        """Say what failed, and return whether others may go all the same."""
        from greenbench.tracking.attempts import is_late  # noqa: PLC0415

        # Who is busy with a run says nothing of the store, which may not have been opened.
        is_busy = isinstance(error, BusyError)
        if not is_busy and (self._store is None or is_late(error) or not self._store.answers()):
            # A thread tries again and again, and says it once.
            if not self._is_away:
                self._fail(error)
            return False
        self._has_refused = True
        self._say(error, f"{name}: ")
        return True

    def _fail(self, error: GreenbenchError) -> None:
        self._is_away = True
        self._say(error)

    def _say(self, error: GreenbenchError, of: str = "") -> None:
        # Of a store without room, one line says it.
        if str(error) not in self._said:
            self._said.add(str(error))
            self._listener.notice(
                f"{of}{error}; results are kept in the journal, and the run goes on"
            )

    def _say_once(self, message: str) -> None:
        if message not in self._said:
            self._said.add(message)
            self._listener.notice(message)


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


def _counted(outbox: Outbox) -> str:
    return "1 result" if len(outbox) == 1 else f"{len(outbox)} results"


def _store_class() -> "type[Store]":
    from greenbench.tracking import Store  # noqa: PLC0415

    return Store
