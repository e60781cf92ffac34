"""The odometer of replayed work: recorded joules and seconds, and real ones of all else."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

from greenbench.errors import EnergyError
from greenbench.results.readings import Component, Provenance, Reading
from greenbench.tabular.recording import Cost


class Odometer:
    """Sums what replayed work cost when it was recorded, and what other work costs now.

    Between two edges either something is replayed, and costs what was recorded to the last
    joule, or nothing is, and this process's CPU seconds and wall seconds count: a proposal
    costs what it really takes to compute.

    Parameters
    ----------
    cpu_clock, clock : callable
        CPU seconds of this process, and wall seconds.
    """

    def __init__(
        self,
        cpu_clock: Callable[[], float] = time.process_time,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._cpu_clock, self._clock = cpu_clock, clock
        self.total = Cost()
        """Up to the last edge or reading."""

        self._has_replayed = False
        self._counted_to = self._now()
        self.power_w = 0.0
        """Joules of a CPU second, as recorded."""

    def advance(self, cost: Cost) -> None:
        """Add what was recorded."""
        self.total += cost
        self._has_replayed = True

    def edge(self) -> Cost:
        """Return the total at the edge of a window, where replaying ends."""
        self._count()
        self._has_replayed = False
        return self.total

    def read(self) -> Cost:
        """Return the total inside a window; it never goes back."""
        self._count()
        return self.total

    def peek(self) -> Cost:
        """Return what `read` would, and count nothing: what is replayed next takes its place."""
        return self.total if self._has_replayed else self.total + (self._now() - self._counted_to)

    @contextmanager
    def uncounted(self) -> Iterator[None]:
        """Leave out what is computed inside, which real training would not compute."""
        self._count()
        try:
            yield
        finally:
            self._counted_to = self._now()

    def _count(self) -> None:
        now = self._now()
        if not self._has_replayed:
            used = now - self._counted_to
            self.total += replace(used, energy_j=self.power_w * used.cpu_s)
        self._counted_to = now

    def _now(self) -> Cost:
        return Cost(duration_s=self._clock(), cpu_s=self._cpu_clock())


class TabularMeter:
    """Reads an odometer: energy that was recorded elsewhere, and so never measured here.

    Parameters
    ----------
    odometer : Odometer
        May be read by several meters.
    source : callable
        Returns how its joules came about, for people.
    """

    name = "tabular"

    def __init__(self, odometer: Odometer, source: Callable[[], str]) -> None:
        self._odometer = odometer
        self._source = source
        self._began: Cost | None = None

    def begin_window(self) -> None:
        """Remember the total."""
        if self._began is not None:
            raise EnergyError("tabular windows do not nest; end the open one first")
        self._began = self._odometer.edge()

    def end_window(self) -> Reading:
        """Return what was added since `begin_window`."""
        if self._began is None:
            raise EnergyError("no tabular window is open; begin one first")
        used = self._odometer.edge() - self._began
        self._began = None
        components = {
            name: replace(part, energy_j=used.energy_j) for name, part in self.describe().items()
        }
        return Reading(used.duration_s, components)

    def describe(self) -> dict[str, Component]:
        """Return the only component: whatever was recorded counts as the CPU's."""
        return {"cpu": Component(None, Provenance.MODEL, self._source())}

    def close(self) -> None:
        """Forget an open window."""
        self._began = None
