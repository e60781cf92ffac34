"""One meter, and the counters of one machine, for windows that overlap as they like.

Windows of a meter follow one another and never nest. Those of a program do: a function that is
measured calls another one, and threads know nothing of each other. So the meter is read at each
edge of any window, and what it read between two edges is added to all that were open.
"""

import threading
from collections.abc import Mapping, Sequence

from greenbench.energy.counter_values import Ticks
from greenbench.energy.counters import Counters
from greenbench.energy.meter import Meter
from greenbench.errors import EnergyError
from greenbench.results.readings import Component, Reading


class SharedMeter:
    """A meter that any number of windows read at the same time.

    Parameters
    ----------
    meter : Meter
        Reads; nobody else uses it.
    """

    def __init__(self, meter: Meter) -> None:
        self.name = meter.name
        self._meter = meter
        self._lock = threading.Lock()
        self._open: dict[Tap, Reading] = {}

    def tap(self) -> "Tap":
        """Return a meter whose windows may overlap with those of others."""
        return Tap(self)

    def describe(self) -> dict[str, Component]:
        """Return the components that the meter reads."""
        return self._meter.describe()

    def begin(self, tap: "Tap") -> None:
        """Start a window."""
        with self._lock:
            if tap in self._open:
                raise EnergyError(f"{self.name} windows do not nest; end the open one first")
            self._cut()
            self._open[tap] = Reading(0.0)
            self._meter.begin_window()

    def end(self, tap: "Tap") -> Reading:
        """End a window, and return what was read in it."""
        with self._lock:
            if tap not in self._open:
                raise EnergyError(f"no {self.name} window is open; begin one first")
            self._cut()
            found = self._open.pop(tap)
            if self._open:
                self._meter.begin_window()
        return found

    def drop(self, tap: "Tap") -> None:
        """End a window that nobody asks for."""
        if tap in self._open:
            self.end(tap)

    def close(self) -> None:
        """Stop the meter's background work."""
        with self._lock:
            self._open.clear()
            self._meter.close()

    def _cut(self) -> None:
        if self._open:
            read = self._meter.end_window()
            self._open = {tap: found + read for tap, found in self._open.items()}


class Tap:
    """One window's own view of a `SharedMeter`, as a meter."""

    def __init__(self, shared: SharedMeter) -> None:
        self.name = shared.name
        self._shared = shared

    def begin_window(self) -> None:
        """Start measuring."""
        self._shared.begin(self)

    def end_window(self) -> Reading:
        """Return what was used since then."""
        return self._shared.end(self)

    def describe(self) -> dict[str, Component]:
        """Return the components that the meter reads."""
        return self._shared.describe()

    def close(self) -> None:
        """Forget an open window; the meter goes on for others."""
        self._shared.drop(self)


class SharedCounters:
    """Counters that keep their ticks for all windows that are open.

    Whoever asks for ticks since a moment lets earlier ones be forgotten, which the window around it
    still needs.

    Parameters
    ----------
    counters : Counters
        Give the ticks.

    Attributes
    ----------
    share, pid
        As of `Counters`.
    """

    def __init__(self, counters: Counters) -> None:
        self._counters = counters
        self._lock = threading.Lock()
        self._since: dict[object, float] = {}
        self.pid = counters.pid

    @property
    def share(self) -> float | None:
        """The share of a core that looking at them has taken so far."""
        return self._counters.share

    @share.setter
    def share(self, value: float | None) -> None:
        self._counters.share = value

    def keep(self, window: object, since_s: float) -> None:
        """Keep the ticks since then for a window."""
        with self._lock:
            self._since[window] = since_s

    def let_go(self, window: object) -> None:
        """Forget what only this window needed, when somebody asks next."""
        with self._lock:
            self._since.pop(window, None)

    def describe(self) -> Mapping[str, Component]:
        """Return the components by name."""
        return self._counters.describe()

    def ticks(self, since_s: float) -> Mapping[str, Sequence[Ticks]]:
        """Return the ticks since then, and those before that others need."""
        with self._lock:
            return self._counters.ticks(min([since_s, *self._since.values()]))

    def faults(self, since_s: float) -> Mapping[str, str]:
        """Return why components have no energy since then."""
        with self._lock:
            return self._counters.faults(since_s)

    def close(self) -> None:
        """Stop reading."""
        self._counters.close()
