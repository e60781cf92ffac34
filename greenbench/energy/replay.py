"""The replay meter: reads a recorded or scripted trace; for tests and simulation alone."""

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

from greenbench.energy.trace import Trace, load_traces
from greenbench.errors import EnergyError
from greenbench.results.readings import Component, Reading


class ReplayMeter:
    """Reads what a trace says was used since the first window of this process.

    Parameters
    ----------
    path : str
        A CSV file. Its columns are ``time_s`` and, for each component, power (``cpu_w``) or
        the reading of an energy counter (``cpu_j``). A cell may be empty. Lines before the
        header may say ``# provenance: counter`` (without it, figures are estimated) and
        ``# cpu_j wraps at: 262143.3``.
    clock : callable
        Seconds.

    Raises
    ------
    ConfigurationError
        If the file cannot be read as a trace.
    """

    name = "replay"
    _began: ClassVar[dict[Path, float]] = {}
    """By trace, for all meters of the process: each must replay the same moment."""

    def __init__(self, path: str, clock: Callable[[], float] = time.perf_counter) -> None:
        self._path = Path(path).absolute()
        self._clock = clock
        self._traces, provenance = load_traces(self._path)
        source = f"replay of {self._path.name}, which is not this machine's energy"
        self._components = {name: Component(None, provenance, source) for name in self._traces}
        self._opened_s: float | None = None

    def begin_window(self) -> None:
        """Remember the moment."""
        if self._opened_s is not None:
            raise EnergyError("replay windows do not nest; end the open one first")
        now = self._clock()
        self._opened_s = now - self._began.setdefault(self._path, now)

    def end_window(self) -> Reading:
        """Return what the trace holds between the two moments."""
        if self._opened_s is None:
            raise EnergyError("no replay window is open; begin one first")
        start_s, self._opened_s = self._opened_s, None
        end_s = self._clock() - self._began[self._path]
        return Reading(
            end_s - start_s,
            {
                name: _component(part, self._traces[name], start_s, end_s)
                for name, part in self._components.items()
            },
        )

    def describe(self) -> dict[str, Component]:
        """Return the components of the trace."""
        return dict(self._components)

    def close(self) -> None:
        """Forget an open window."""
        self._opened_s = None


def _component(part: Component, trace: Trace, start_s: float, end_s: float) -> Component:
    energy_j = trace.energy_j(start_s, end_s)
    if energy_j is None:
        if not len(trace.start_s):
            return part.unknown("the trace holds no reading of it")
        where = f"between {start_s:.1f} and {end_s:.1f} s"
        return part.unknown(f"the trace has {trace.gap} {where}, or ends")
    return replace(part, energy_j=energy_j)
