"""Fakes for unit tests of logic only: no figure of theirs says anything about energy."""

from collections.abc import Callable
from dataclasses import replace

from greenbench.errors import ConfigurationError, EnergyError
from greenbench.results.readings import Component, Provenance, Reading


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
