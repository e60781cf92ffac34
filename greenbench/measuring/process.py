"""One open window of this process, and what it is measured with."""

import os
import time
from collections.abc import Callable

from greenbench.energy.gpu_states import GpuWatch
from greenbench.energy.host import HostWatch, StopWatch
from greenbench.energy.ledger import Ledger
from greenbench.measuring.asked import ACTIVE, Log
from greenbench.measuring.desk import the_desk
from greenbench.measuring.logbook import Entry, place_now
from greenbench.measuring.measurement import FAILED, FINISHED, Measurement
from greenbench.results.account import Account
from greenbench.results.marks import energy_marks
from greenbench.settings import Settings


class Measuring:
    """A window, from its opening to its measurement.

    Parameters
    ----------
    settings : Settings
        Which meter, lock and store.
    log : bool or "active"
        Where it is logged; see `greenbench.measuring.window.measure`.
    say : callable
        Told while it has to wait for the machine.
    idle_s : float
        For how long idle power is measured before.

    Attributes
    ----------
    pid : int
        Number of the process that it was opened in.
    """

    def __init__(
        self, settings: Settings, log: Log, say: Callable[[str], None], idle_s: float = 0.0
    ) -> None:
        self.pid = os.getpid()
        self._settings, self._log = settings, log
        self._desk = the_desk()
        self._instruments = self._desk.enter(settings, say)
        self._stops = StopWatch()
        try:
            self._idle_w = dict(self._instruments.measure_idle(idle_s).power_w)
            counters = self._instruments.counters
            self._ledger = Ledger(
                self._instruments.meter.tap(),
                HostWatch(counters.pid if counters else None),
                self._stops,
                counters,
                self._instruments.habits,
            )
            self._place = place_now()
        except BaseException:
            self._desk.leave(None)
            raise

    def begin(self) -> None:
        """Start to measure."""
        try:
            self._gpus = GpuWatch(self._instruments.gpus)
            self._stops.start()
            if self._instruments.counters:
                self._instruments.counters.keep(self, time.perf_counter())
            self._started_at = time.time()
            self._ledger.open()
        except BaseException:
            self._let_go()
            self._desk.leave(None)
            raise

    def end(self, name: str, *, has_failed: bool, is_logged: bool = True) -> Measurement:
        """Stop, log what was measured if it is asked for, and return it.

        Parameters
        ----------
        name : str
            What was measured.
        has_failed : bool
            Whether it ended with an error.
        is_logged : bool
            Whether there is time for that.
        """
        entry = None
        try:
            try:
                self._ledger.close()
                account = self._ledger.whole()
            finally:
                self._let_go()
            measurement = self._measurement(name, account, has_failed=has_failed)
            if self._log and is_logged:
                place = place_now() or self._place
                may_make = self._log != ACTIVE
                entry = Entry(measurement, self._settings, place, may_make=may_make)
        finally:
            self._desk.leave(entry)
        return measurement

    def _let_go(self) -> None:
        self._stops.close()
        if self._instruments.counters:
            self._instruments.counters.let_go(self)

    def _measurement(self, name: str, account: Account, *, has_failed: bool) -> Measurement:
        found = self._instruments
        gpus = self._gpus.end()
        marks = energy_marks(account, found.environment, gpus)
        return Measurement(
            name=name,
            reading=account.total,
            marks=tuple(mark for mark, applies in marks.items() if applies),
            started_at=self._started_at,
            intensity_g_per_kwh=found.intensity.g_per_kwh,
            emissions_source=found.intensity.source,
            environment=found.environment,
            idle_w=self._idle_w,
            gpus=gpus,
            status=FAILED if has_failed else FINISHED,
        )
