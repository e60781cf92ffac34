"""A bench on which nothing is measured."""

import time
from dataclasses import dataclass, field
from pathlib import Path

from greenbench.backends import Backend
from greenbench.energy.carbon import CarbonIntensity
from greenbench.results.readings import Component, Reading
from greenbench.search.bench import Bench, Emit


@dataclass
class NoMeter:
    """Stands where a meter would: windows are opened and closed, and nothing is read."""

    name: str = "none"
    _open_since_s: float = field(default=0.0)

    def begin_window(self) -> None:
        """Note the time."""
        self._open_since_s = time.perf_counter()

    def end_window(self) -> Reading:
        """Return the duration."""
        return Reading(time.perf_counter() - self._open_since_s)

    def describe(self) -> dict[str, Component]:
        """Return nothing."""
        return {}

    def close(self) -> None:
        """Nothing runs."""


def unmeasured(backend: Backend, data_dir: Path, emit: Emit) -> Bench:
    """Return a bench without meters."""
    unused = CarbonIntensity(0.0, "nothing is measured")
    return Bench(backend, NoMeter(), NoMeter(), unused, {}, data_dir, emit)
