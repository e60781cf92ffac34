"""Several meters over the same windows: the first counts, the others bear witness."""

from collections.abc import Sequence
from dataclasses import replace

from greenbench.energy.meter import Meter
from greenbench.results.readings import Component, Reading


class PairedMeter:
    """Runs further meters inside the windows of the first.

    Parameters
    ----------
    first : Meter
        Its energy is the headline.
    witnesses : sequence of Meter
        What they read is kept beside it, by their names.
    """

    def __init__(self, first: Meter, witnesses: Sequence[Meter]) -> None:
        self.name = ",".join(meter.name for meter in (first, *witnesses))
        self._first = first
        self._witnesses = witnesses

    def begin_window(self) -> None:
        """Start all, the first one first."""
        self._first.begin_window()
        for meter in self._witnesses:
            meter.begin_window()

    def end_window(self) -> Reading:
        """End all, the first one last; return its reading with those of the others."""
        seen = {m.name: m.end_window().components for m in reversed(self._witnesses)}
        return replace(self._first.end_window(), witnesses=seen)

    def describe(self) -> dict[str, Component]:
        """Return the components of the first meter."""
        return self._first.describe()

    def close(self) -> None:
        """Stop all."""
        for meter in (self._first, *self._witnesses):
            meter.close()
