"""Fakes for unit tests of logic only: no figure of theirs says anything about energy."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from greenbench.energy.counter_values import Ticks
from greenbench.errors import ConfigurationError, EnergyError
from greenbench.results.readings import Component, Provenance, Reading

STEPS = 100
"""Of the sum that stands for the integral over a tick."""


class FakeClock:
    """Seconds that pass only when told to; for unit tests of logic only.

    Examples
    --------
    >>> clock = FakeClock()
    >>> clock.advance(2.0)
    >>> clock.now(), clock()
    (2.0, 2.0)
    """

    def __init__(self) -> None:
        self._now_s = 0.0

    def now(self) -> float:
        """Return the seconds that have passed so far."""
        return self._now_s

    __call__ = now

    def advance(self, seconds: float) -> None:
        """Let time pass.

        Raises
        ------
        ConfigurationError
            If `seconds` is negative: the clock never goes back.
        """
        if seconds < 0:
            raise ConfigurationError(f"the clock cannot go back by {-seconds} s")
        self._now_s += seconds


class FakeMeter:
    """Reads a constant power over the seconds of a clock; for unit tests of logic only.

    It calls its figures a counter's, lest tests miss what is done with measured energy.

    Parameters
    ----------
    clock : callable
        Returns seconds; usually a `FakeClock`.
    power_w : float
        Power of the only component, ``cpu``.
    """

    name = "fake"

    def __init__(self, clock: Callable[[], float], power_w: float = 10.0) -> None:
        self._clock = clock
        self._power_w = power_w
        self._component = Component(None, Provenance.COUNTER, "fake meter")
        self._began_s: float | None = None

    def begin_window(self) -> None:
        """Remember the time; windows do not nest."""
        if self._began_s is not None:
            raise EnergyError("windows do not nest; end the open one first")
        self._began_s = self._clock()

    def end_window(self) -> Reading:
        """Return the power times the seconds since `begin_window`."""
        if self._began_s is None:
            raise EnergyError("no window is open; begin one first")
        elapsed_s = self._clock() - self._began_s
        self._began_s = None
        energy_j = self._power_w * elapsed_s
        return Reading(elapsed_s, {"cpu": replace(self._component, energy_j=energy_j)})

    def describe(self) -> dict[str, Component]:
        """Return the only component."""
        return {"cpu": self._component}

    def close(self) -> None:
        """Forget an open window."""
        self._began_s = None


class FakeCounters:
    """Counts a power that is a function of time, in ticks; for unit tests of logic only.

    Parameters
    ----------
    clock : callable
        Returns seconds; usually a `FakeClock`.
    power_w : callable
        Power by the seconds of the clock.
    tick_s : float
        Seconds between two ticks.
    component : str
        What it counts.
    began_s : float
        When it had counted nothing.

    Attributes
    ----------
    fault : str or None
        Why nothing can be read from now on.
    still_s : float
        When it stops advancing.
    share : float
        Of a core that it takes: none.
    pid : None
        No process but this one looks.

    Examples
    --------
    >>> clock = FakeClock()
    >>> counters = FakeCounters(clock, lambda s: 100.0, tick_s=0.25)
    >>> clock.advance(0.6)
    >>> counters.ticks(0.0)["gpu"][0].energy_j.tolist()
    [0.0, 25.0, 50.0]
    """

    def __init__(
        self,
        clock: Callable[[], float],
        power_w: Callable[[float], float],
        tick_s: float = 0.1,
        component: str = "gpu",
        began_s: float = 0.0,
    ) -> None:
        self._clock = clock
        self._power_w = power_w
        self._tick_s = tick_s
        self._component = component
        self._began_s = began_s
        self._ticks_j = [0.0]
        self.fault: str | None = None
        self.still_s = float("inf")
        self.share: float | None = 0.0
        self.pid: int | None = None

    def describe(self) -> Mapping[str, Component]:
        """Return the only component."""
        part = Component(None, Provenance.COUNTER, "fake counter", tick_s=self._tick_s)
        return {self._component: part}

    def ticks(self, since_s: float) -> Mapping[str, Sequence[Ticks]]:
        """Return the ticks from the last before `since_s` on.

        Raises
        ------
        EnergyError
            If there is a fault.
        """
        if self.fault is not None:
            raise EnergyError(self.fault)
        while self._tick_at(len(self._ticks_j)) <= self._clock():
            self._ticks_j.append(self._ticks_j[-1] + self._next_j())
        times_s = np.array([self._tick_at(index) for index in range(len(self._ticks_j))])
        first = max(int(np.searchsorted(times_s, since_s, "right")) - 1, 0)
        return {self._component: [Ticks(times_s[first:], np.array(self._ticks_j[first:]))]}

    def faults(self, since_s: float) -> Mapping[str, str]:
        """Return none: whatever is wrong with it, `ticks` raises."""
        return {}

    def close(self) -> None:
        """Do nothing."""

    def _tick_at(self, index: int) -> float:
        return self._began_s + index * self._tick_s

    def _next_j(self) -> float:
        began_s = self._tick_at(len(self._ticks_j) - 1)
        step_s = self._tick_s / STEPS
        middles = (began_s + (index + 0.5) * step_s for index in range(STEPS))
        return sum(self._power_w(s) * step_s for s in middles if s < self.still_s)
