"""The ledger: books every joule of a case to a phase."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Protocol

from greenbench.energy.bookings import Bookings
from greenbench.energy.counters import Counters
from greenbench.energy.habits import Habits
from greenbench.energy.meter import Meter
from greenbench.energy.pieces import ASIDE, READING
from greenbench.errors import EnergyError
from greenbench.results.account import PHASES, Account
from greenbench.results.readings import Reading

Lap = tuple[float | None, float | None]


class Watch(Protocol):
    """Tells whose CPU time it was, as `greenbench.energy.host.HostWatch` does."""

    def lap(self) -> Lap:
        """Return CPU seconds since the last lap: of this process, and of all others."""


class Stops(Protocol):
    """Tells when the process did not run, as `greenbench.energy.host.StopWatch` does."""

    def lap_s(self) -> float:
        """Return the seconds since the last lap in which it was stopped, or the machine slept."""


@dataclass
class Window:
    """An open window of a phase.

    Attributes
    ----------
    passes : int
        How often the work was done in it; one pass of them is booked.
    """

    passes: int = 1


class Ledger:
    """Account of one case, fed by one meter.

    From `open` to `close` exactly one window is open at any moment: what is not inside a
    `phase` is booked to ``other``, so that the phases cover the case without overlap. Two things
    are left out, since the case would not need them: what reading the meter takes, and what
    happens `aside`.

    Parameters
    ----------
    meter : Meter
        What reads the energy.
    watch : Watch, optional
        Adds CPU seconds, of this process and of others, to each window.
    stops : Stops, optional
        Adds the seconds of each window in which the process did not run.
    counters : Counters, optional
        Where they have a component, its joules are those of their ticks, not the meter's.
    habits : Habits, optional
        What earlier ledgers of the process learned of them; none by default.
    clock, pause : callable
        Seconds by the clock of the counters, and what lets them pass.

    Examples
    --------
    >>> from greenbench.testing import FakeClock, FakeMeter
    >>> clock = FakeClock()
    >>> ledger = Ledger(FakeMeter(clock, power_w=10.0))
    >>> ledger.open()
    >>> with ledger.phase("train"):
    ...     clock.advance(2.0)
    >>> ledger.close()
    >>> ledger.take().energy_j("train")
    20.0
    """

    def __init__(
        self,
        meter: Meter,
        watch: Watch | None = None,
        stops: Stops | None = None,
        counters: Counters | None = None,
        habits: Habits | None = None,
        *,
        clock: Callable[[], float] = time.perf_counter,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self._meter = meter
        self._watch = watch
        self._stops = stops
        self._phase: str | None = None
        self._clock = clock
        self._bookings = Bookings(counters, clock, pause, habits) if counters else None
        self._account = Account()
        self._whole = Account()
        self._measured = Reading(0.0)
        self._settled: tuple[Account, Reading] | None = None

    def open(self) -> None:
        """Start the account; time from here on is booked."""
        if self._stops is not None:
            self._stops.lap_s()
        self._begin("other")
        self._lap()
        if self._bookings is not None:
            self._bookings.open(self._clock())

    @contextmanager
    def phase(self, name: str) -> Iterator[Window]:
        """Book what happens inside to `name`, unless it is `aside`; phases do not nest."""
        if name not in PHASES:
            raise EnergyError(f"unknown phase {name!r}; known: {', '.join(PHASES)}")
        if self._phase == ASIDE:
            # No part of what nobody has is somebody's.
            yield Window()
            return
        if self._phase != "other":
            raise EnergyError(f"phase {name!r} cannot start inside phase {self._phase!r}")
        self._switch(name)
        window = Window()
        try:
            yield window
        finally:
            self._switch("other", window.passes)

    def turn(self, phase: str | None) -> None:
        """Book to a phase from now on, or to none: for whoever goes from one into the next.

        Parameters
        ----------
        phase : str, optional
            None ends the one that is open.
        """
        phase = phase or "other"
        if phase not in PHASES:
            raise EnergyError(f"unknown phase {phase!r}; known: {', '.join(PHASES)}")
        if self._phase not in (phase, ASIDE):
            self._switch(phase)

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Book what happens inside to no phase: the measurement needs it, and not the case."""
        if self._phase != "other":
            raise EnergyError(f"nothing is left out inside phase {self._phase!r}")
        self._switch(ASIDE)
        try:
            yield
        finally:
            self._switch("other")

    def rename(self, phase: str) -> None:
        """Book the window that is open to another phase: it turned out to be that."""
        if phase not in PHASES:
            raise EnergyError(f"unknown phase {phase!r}; known: {', '.join(PHASES)}")
        if self._phase is None:
            raise EnergyError("the ledger is not open")
        self._phase = phase

    def take(self) -> Account:
        """Return what was booked since the last call, and start over from zero.

        Of counters it is what their last tick tells. Nobody waits for the next one: what it
        corrects is in `whole`.
        """
        account = self._told(stays=False)
        self._account = Account()
        return account

    def so_far(self) -> Account:
        """Return what `take` would return, and leave it there."""
        return self._told(stays=True)

    def _told(self, *, stays: bool) -> Account:
        """Return what was booked until now; sharing out ticks takes a while that nobody has."""
        phase = self._phase
        if phase is not None:
            self._switch(ASIDE if self._bookings else phase)
        account = self._account
        if self._bookings is None:
            return account
        try:
            return self._bookings.taken(account, stays=stays)
        finally:
            if phase is not None:
                self._switch(phase)

    def close(self) -> None:
        """End the account; safe to call twice."""
        if self._phase is not None:
            phase, at_s, lap = self._phase, self._clock(), self._lap()
            self._book(phase, self._meter.end_window(), lap)
            self._phase = None
            self._note(phase, at_s)

    def whole(self) -> Account:
        """Return what was booked in all windows, once the ledger is closed.

        With counters it may take two of their ticks, and is better known than the sum of what
        was taken: that was told when each was taken.
        """
        return self._final()[0]

    @property
    def measured(self) -> Reading:
        """Everything since `open`, all passes of the work included, and what is left out."""
        return self._final()[1]

    def _final(self) -> tuple[Account, Reading]:
        if self._bookings is None or self._phase is not None:
            return self._whole, self._measured
        if self._settled is None:
            self._settled = self._bookings.settled(self._whole, self._measured)
        return self._settled

    def _switch(self, phase: str, passes: int = 1) -> None:
        if self._phase is None:
            raise EnergyError("the ledger is not open")
        ended, at_s, lap = self._phase, self._clock(), self._lap()
        reading = self._meter.end_window()
        # Before the books are kept: what that takes would be in no window.
        self._begin(phase)
        self._book(ended, reading, lap, passes)
        self._note(ended, at_s, passes)
        # Its CPU time is nobody's either.
        self._lap()
        self._note(READING, self._clock())

    def _note(self, phase: str, at_s: float, passes: int = 1) -> None:
        if self._bookings is not None:
            self._bookings.end(phase, at_s, passes)

    def _begin(self, phase: str) -> None:
        self._meter.begin_window()
        self._phase = phase

    def _lap(self) -> Lap:
        return self._watch.lap() if self._watch else (None, None)

    def _book(self, phase: str, reading: Reading, lap: Lap, passes: int = 1) -> None:
        cpu_s, other_cpu_s = lap
        stopped_s = self._stops.lap_s() if self._stops else 0.0
        reading = replace(reading, cpu_s=cpu_s, other_cpu_s=other_cpu_s, stopped_s=stopped_s)
        self._measured += reading
        if phase == ASIDE:
            return
        booked = Account({phase: reading * (1 / passes) if passes > 1 else reading})
        self._account += booked
        self._whole += booked
