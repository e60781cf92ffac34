"""The deliverer: a thread that works off an outbox, and tries again while the store is away."""

import threading

from greenbench.running.outbox import Due, Outbox
from greenbench.running.spool import LOCK_LIMIT_S

PAUSES_S = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0)
"""Between tries of a store that is away; the last one for as long as it lasts."""
TRIES_AT_END = 3
"""How many pauses a store that is away is waited for when all else is over."""


class Deliverer:
    """Delivers while others measure on other machines.

    Parameters
    ----------
    outbox : Outbox
        What waits; nobody else works it off.
    """

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox
        self._changed = threading.Condition()
        self._is_closing = self._is_over = False
        self._thread: threading.Thread | None = None

    def add(self, due: Due) -> None:
        """Hand over a result, and return at once."""
        with self._changed:
            self._outbox.add(due)
            if self._thread is None:
                self._is_closing = self._is_over = False
                # It ends with the process: what waits is in the journal.
                self._thread = threading.Thread(
                    target=self._run, name="greenbench deliverer", daemon=True
                )
                self._thread.start()
            self._changed.notify_all()

    def close(self, limit_s: float) -> None:
        """Wait until all is delivered, for `limit_s` seconds at most, and end the thread."""
        if self._thread is None:
            return
        with self._changed:
            self._is_closing, self._is_over = True, not limit_s
            self._changed.notify_all()
        self._thread.join(min(limit_s, threading.TIMEOUT_MAX))
        with self._changed:
            # Not in the middle of a call, which has a limit of its own.
            self._is_over = True
            self._changed.notify_all()
        self._thread = None

    def stop(self) -> None:
        """End the thread as soon as the call that is under way is over, and wait for that."""
        if (thread := self._thread) is not None:
            self.close(0.0)
            thread.join()

    def _run(self) -> None:
        tried = 0
        while not self._is_over:
            with self._changed:
                self._changed.wait_for(lambda: self._outbox or self._is_closing)
            before, is_closing = len(self._outbox), self._is_closing
            # Who is at the same run is tried again later, as a store that is away: whoever stops
            # us must not wait for him.
            self._outbox.work(lambda: self._is_over, LOCK_LIMIT_S if is_closing else 0.0)
            if not self._outbox:
                tried = 0
                if is_closing:
                    return
                continue
            tried = tried + 1 if len(self._outbox) >= before else 1
            if is_closing and tried > TRIES_AT_END:
                return
            tried = self._pause(tried, is_closing)

    def _pause(self, tried: int, is_closing: bool) -> int:
        """Wait for a store that is away; return how often it was tried, anew when all is over."""
        pause_s = PAUSES_S[min(tried, len(PAUSES_S)) - 1]
        with self._changed:
            self._changed.wait_for(lambda: self._is_over or self._is_closing != is_closing, pause_s)
        return tried if self._is_closing == is_closing else 0
