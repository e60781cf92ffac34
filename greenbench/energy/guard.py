"""The guard: turns whatever goes wrong with a meter into an unknown energy with its reason."""

import math
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

from greenbench.energy.meter import Meter
from greenbench.errors import EnergyError
from greenbench.machine.secrets import redact
from greenbench.results.readings import Component, Provenance, Reading

JUMP_S = 1.0
STILL_S = 1.0
CLOCK_SHARE = 0.05
CLOCK_SLACK_S = 0.1


class GuardedMeter:
    """A meter whose failures are recorded instead of raised.

    A trial must not be lost because its energy is. What cannot be believed is unknown: a
    window in which the meter raised, in which a clock jumped, or that lasted longer or shorter
    by the meter's clock than by ours (it may begin and end anywhere in the calls that say so, in
    which a busy machine may keep it); a component that read less than 0 J, no number, more
    than its devices can use, or 0 J in windows that make up a second, or whose figure came
    from nowhere.

    Parameters
    ----------
    meter : Meter
        What to guard.
    monotonic, wall : callable
        Seconds by a clock that never jumps, and by one that may be set.
    """

    def __init__(
        self,
        meter: Meter,
        monotonic: Callable[[], float] = time.perf_counter,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.name = meter.name
        self._meter = meter
        # Asked once: a device that is gone may not even say what it was.
        self._components = meter.describe()
        self._monotonic = monotonic
        self._wall = wall
        self._began: tuple[float, float] | None = None
        self._opened = 0.0
        self._fault: str | None = None
        self._still_s: dict[str, float] = {}
        """By component, the seconds of windows that read 0 J since the last that did not."""

    def begin_window(self) -> None:
        """Start measuring, or remember why it could not be started."""
        if self._began is not None:
            raise EnergyError(f"{self.name} windows do not nest; end the open one first")
        self._began = self._wall(), self._monotonic()
        try:
            self._meter.begin_window()
        except Exception as error:
            self._fault = f"{self.name} could not start a window ({_one_line(error)})"
            with suppress(Exception):
                self._meter.end_window()
        self._opened = self._monotonic()

    def end_window(self) -> Reading:
        """Return what was read, with a reason for each energy that is unknown."""
        if self._began is None:
            raise EnergyError(f"no {self.name} window is open; begin one first")
        (began_wall, began), self._began = self._began, None
        fault, self._fault = self._fault, None
        reading = Reading(0.0, self.describe())
        least_s = self._monotonic() - self._opened
        if fault is None:
            try:
                reading = self._meter.end_window()
            except Exception as error:
                fault = f"{self.name} could not end a window ({_one_line(error)})"
                # Left open, it would cost the next window, too.
                with suppress(Exception):
                    self._meter.end_window()
        duration_s = self._monotonic() - began
        jump_s = self._wall() - began_wall - duration_s
        fault = fault or _clock_fault(reading.duration_s, (least_s, duration_s), jump_s)
        if fault:
            lost = {name: part.unknown(fault) for name, part in reading.components.items()}
            return Reading(duration_s, lost)
        checked = {
            name: self._checked(name, part, duration_s) for name, part in reading.components.items()
        }
        # What is left of a negative duration is within the slack: clocks differ by that much.
        return replace(reading, duration_s=max(reading.duration_s, 0.0), components=checked)

    def describe(self) -> dict[str, Component]:
        """Return the components that the meter reads."""
        return dict(self._components)

    def close(self) -> None:
        """Stop the meter's background work."""
        self._began = self._fault = None
        self._meter.close()

    def _checked(self, name: str, part: Component, duration_s: float) -> Component:
        energy_j = part.energy_j
        if energy_j is None or part.provenance is Provenance.NONE:
            return part.unknown(part.reason or f"{part.source} gave no reading")
        if not math.isfinite(energy_j) or energy_j < 0:
            return part.unknown(f"{part.source} read {energy_j:g} J")
        still_s = 0.0 if energy_j else self._still_s.get(name, 0.0) + duration_s
        self._still_s[name] = still_s
        if still_s >= STILL_S:
            return part.unknown(f"{part.source} read 0 J in {still_s:.1f} s: it stands still")
        excess = part.excess(name, duration_s)
        return part.unknown(excess) if excess else part


def _clock_fault(meter_s: float, own_s: tuple[float, float], jump_s: float) -> str | None:
    if abs(jump_s) > JUMP_S:
        return f"the clock jumped by {jump_s:+.1f} s: it was set, or the machine slept"
    least_s, most_s = own_s
    nearest_s = min(most_s, max(least_s, meter_s))
    # Asked this way round, a duration that is no number is a fault, too.
    if not abs(meter_s - nearest_s) <= max(CLOCK_SLACK_S, CLOCK_SHARE * nearest_s):
        return f"the meter's window lasted {meter_s:.3f} s where {nearest_s:.3f} s passed"
    return None


def _one_line(error: Exception) -> str:
    text = " ".join(redact(str(error)).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
