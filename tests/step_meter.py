"""A meter whose figures are those of its windows' number, on a machine that nobody else uses."""

import time
from dataclasses import replace

from greenbench.results.readings import Component, Provenance, Reading

STEP_J = 36.0
"""Of a window of the meter: 10 mWh."""


class StepMeter:
    """Reads the same energy in each of its windows, however short."""

    name = "steps"
    joules: float | None = STEP_J

    def __init__(self) -> None:
        self._part = Component(None, Provenance.COUNTER, "step meter")
        self._began_s = 0.0

    def begin_window(self) -> None:
        self._began_s = time.perf_counter()

    def end_window(self) -> Reading:
        part = replace(self._part, energy_j=self.joules)
        if self.joules is None:
            part = self._part.unknown("the step meter is off")
        return Reading(time.perf_counter() - self._began_s, {"cpu": part})

    def describe(self) -> dict[str, Component]:
        return {"cpu": self._part}

    def close(self) -> None:
        pass


class QuietWatch:
    """Sees one CPU second of ours a lap, and nothing of others."""

    def __init__(self, helper: int | None = None) -> None:
        pass

    def lap(self) -> tuple[float, float]:
        return 1.0, 0.0
