"""A meter whose readings know which of their components count."""

from dataclasses import replace

from greenbench.energy.meter import Meter
from greenbench.results.readings import Component, Reading
from greenbench.results.scope import Names


class ScopedMeter:
    """A meter that tells each reading its scope, so that no sum of them can forget it.

    Parameters
    ----------
    meter : Meter
        Reads.
    scope : tuple of str or None
        As `greenbench.results.scope.names_in` gives it.
    """

    def __init__(self, meter: Meter, scope: Names | None) -> None:
        self.name = meter.name
        self._meter = meter
        self._scope = scope

    def begin_window(self) -> None:
        """Start measuring."""
        self._meter.begin_window()

    def end_window(self) -> Reading:
        """Return what was read, with its scope."""
        return replace(self._meter.end_window(), scope=self._scope)

    def describe(self) -> dict[str, Component]:
        """Return the components that the meter reads, those beside the headline, too."""
        return self._meter.describe()

    def close(self) -> None:
        """Stop the meter's background work."""
        self._meter.close()
