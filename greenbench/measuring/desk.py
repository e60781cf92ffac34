"""What the windows of a process share: host lock, instruments, and what is to be logged."""

import atexit
import logging
import os
import threading
from collections.abc import Callable
from contextlib import ExitStack

from greenbench.energy.hostlock import host_lock
from greenbench.measuring.instruments import Instruments, open_instruments
from greenbench.measuring.logbook import Entry, Logbook
from greenbench.settings import Settings

Say = Callable[[str], None]

_log = logging.getLogger(__name__)


class Desk:
    """Holds the machine while any window of this process is open.

    Instruments stay open from the first window to the end of the process: to open them takes up
    to a second. What was measured is logged when no window is open, lest one measure the logging.

    Attributes
    ----------
    logbook : Logbook
        Where measurements go.
    """

    def __init__(self) -> None:
        self.logbook = Logbook()
        self._turn = threading.RLock()
        self._open = 0
        self._stack = ExitStack()
        self._instruments: Instruments | None = None
        self._key: tuple[object, ...] | None = None
        self._entries: list[Entry] = []

    def enter(self, settings: Settings, say: Say) -> Instruments:
        """Open a window: wait for the machine if this process does not hold it.

        Parameters
        ----------
        settings : Settings
            Which meter, and where the lock is; of windows that overlap, those of the first count.
        say : callable
            Told while it has to wait.

        Raises
        ------
        GreenbenchError
            If the lock, the meter or another setting cannot be used.
        """
        with self._turn:
            if self._open == 0:
                self._take(settings, say)
            self._open += 1
            assert self._instruments is not None  # just taken
            return self._instruments

    def leave(self, entry: Entry | None) -> None:
        """Close a window; the last one lets others measure, and logs what all have found."""
        with self._turn:
            if entry is not None:
                self._entries.append(entry)
            self._open -= 1
            if self._open:
                return
            self._stack.close()
            entries, self._entries = self._entries, []
        self.logbook.write(entries)

    def close(self) -> None:
        """Stop all background work."""
        with self._turn:
            if self._instruments is not None:
                self._instruments.close()
            self._instruments = self._key = None

    def _take(self, settings: Settings, say: Say) -> None:
        with ExitStack() as stack:
            stack.enter_context(host_lock(settings.host_lock, say))
            key = (
                settings.meter, settings.headline, settings.carbon_g_per_kwh, settings.country,
            )  # fmt: skip
            if key != self._key:
                self.close()
                self._instruments = open_instruments(settings)
                self._key = key
            self._stack = stack.pop_all()


def the_desk() -> Desk:
    """Return the one of this process."""
    global _desk  # noqa: PLW0603
    if _desk is None:
        _desk = Desk()
        atexit.register(_close)
    return _desk


_desk: Desk | None = None


def _close() -> None:
    if _desk is not None:
        _desk.close()


def _forget() -> None:
    """Let a forked child begin anew: threads and windows are its parent's."""
    global _desk  # noqa: PLW0603
    _desk = None


os.register_at_fork(after_in_child=_forget)
