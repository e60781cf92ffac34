"""Idle power: what the hardware uses while nothing trains, where a meter measures it."""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from greenbench.energy.counters import Counters
from greenbench.energy.meter import Meter
from greenbench.errors import EnergyError
from greenbench.results.readings import Component, Reading

STEADY_SHARE = 0.02
"""By how much power may differ between the parts of what is called steady."""
LONGEST_PAUSE_S = 5.0
"""How long is waited for power to be steady, at most."""
PARTS = 3
LEAST_SHARE = 0.9
"""Of the seconds that are asked for, how many readings must cover: the last tick is a while ago."""
LONGEST_STEP_S = 1.0


@dataclass(frozen=True)
class IdlePower:
    """Idle power of the components that are measured.

    Attributes
    ----------
    power_w : mapping of str to float
        By component; of those that could be read.
    unsteady : sequence of str
        Those of them whose power had not settled when the time was up.
    """

    power_w: Mapping[str, float] = field(default_factory=dict)
    unsteady: Sequence[str] = ()

    @property
    def words(self) -> str:
        """All components, and which were not steady."""
        parts = (f"{name} {watts:.4g} W" for name, watts in sorted(self.power_w.items()))
        restless = f" ({' and '.join(self.unsteady)} not steady yet)" if self.unsteady else ""
        return ", ".join(parts) + restless


@dataclass(frozen=True)
class Trace:
    """Readings of one device.

    Attributes
    ----------
    times_s : sequence of float, shape (n,)
        When they were taken, rising.
    energy_j : sequence of float, shape (n,)
        Joules until then.
    """

    times_s: Sequence[float]
    energy_j: Sequence[float]


def measures(meter: Meter, counters: Counters | None = None) -> bool:
    """Return whether any component is measured; idle power of a model means nothing."""
    read = {**meter.describe(), **(counters.describe() if counters else {})}
    return any(part.provenance.is_measured for part in read.values())


def parts_w(traces: Sequence[Trace], seconds: float) -> list[float] | None:
    """Return the mean power of each third of the last seconds, in W.

    Parameters
    ----------
    traces : sequence of Trace
        One a device, whose powers are added.
    seconds : float
        Before the last reading of each.

    Returns
    -------
    list of float or None
        None if the readings do not reach back as far.
    """
    powers = np.zeros(PARTS)
    for trace in traces:
        times_s = trace.times_s
        covered_s = min(times_s[-1] - times_s[0], seconds) if len(times_s) else 0.0
        if covered_s < LEAST_SHARE * seconds:
            return None
        edges_s = np.linspace(times_s[-1] - covered_s, times_s[-1], PARTS + 1)
        powers += np.diff(np.interp(edges_s, times_s, trace.energy_j)) * PARTS / covered_s
    return [float(each) for each in powers] if traces else None


def is_steady(parts: Sequence[float], share: float = STEADY_SHARE) -> bool:
    """Return whether powers, in W, agree within a share of their mean.

    After a load, a GPU was seen to use 149 W for two seconds, and 123.7, 123.6 and 123.4 W in
    the three that followed.
    """
    return max(parts) - min(parts) <= share * sum(parts) / len(parts)


def measure_idle(
    meter: Meter,
    seconds: float,
    sleep: Callable[[float], None] = time.sleep,
    ticks: Callable[[float], Mapping[str, Sequence[Any]]] | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> IdlePower:
    """Return the idle power of each measured component, over the first seconds that are steady.

    Power takes a while to settle after a load. So windows follow one another until the last
    `seconds` of them are steady, for `LONGEST_PAUSE_S` longer at most; their mean is returned.

    Parameters
    ----------
    meter : Meter
        Without an open window.
    seconds : float
        What idle power is the mean of.
    sleep : callable
        Waits.
    ticks : callable, optional
        Returns the readings of counters since a moment, by component and device, each with the
        attributes of a `Trace`. They replace the meter's, whose windows end between two ticks.
    clock : callable
        Seconds, on the clock of `ticks`.
    """
    if not seconds > 0:
        return IdlePower()
    began_s = clock()
    readings: list[Reading] = []
    step_s = min(seconds / PARTS, LONGEST_STEP_S)
    steps = math.ceil(seconds / step_s - 1e-6)
    found = IdlePower()
    for number in range(1, steps + int(LONGEST_PAUSE_S / step_s) + 1):
        meter.begin_window()
        sleep(step_s)
        readings.append(meter.end_window())
        if number >= steps:
            found = _found(readings, seconds, _ticks(ticks, began_s))
            if not found.unsteady:
                break
    return found


def drift(before: Mapping[str, float], after: Mapping[str, float]) -> float | None:
    """Return the largest share by which a component's idle power changed; None if unknown."""
    shares = [abs(after[n] - w) / w for n, w in before.items() if n in after and w > 0]
    return max(shares, default=None)


def _ticks(
    ticks: Callable[[float], Mapping[str, Sequence[Any]]] | None, since_s: float
) -> Mapping[str, Sequence[Any]]:
    # Where the counters fail, the meter's windows have something to say all the same.
    with suppress(EnergyError):
        return ticks(since_s) if ticks else {}
    return {}


def _found(
    readings: Sequence[Reading], seconds: float, ticks: Mapping[str, Sequence[Any]]
) -> IdlePower:
    """Return what the last seconds of windows, or of the counters' ticks in them, say."""
    whole = sum(readings[1:], start=readings[0]).judged
    power_w, unsteady = {}, []
    # A counter may be read of what the meter does not find.
    for name in {**whole.components, **ticks}:
        part = whole.components.get(name)
        parts = parts_w(ticks[name], seconds) if name in ticks else None
        share = STEADY_SHARE
        if parts is None and part and part.provenance.is_measured and part.energy_j is not None:
            parts = parts_w([_windows(readings, name)], seconds)
            share += _edge_share(part, seconds)
        if parts is None:
            continue
        power_w[name] = sum(parts) / len(parts)
        if not is_steady(parts, share):
            unsteady.append(name)
    return IdlePower(power_w, unsteady)


def _windows(readings: Sequence[Reading], name: str) -> Trace:
    times_s = np.cumsum([0.0, *(each.duration_s for each in readings)])
    joules = [each.components[name].energy_j or 0.0 for each in readings]
    return Trace(times_s.tolist(), np.cumsum([0.0, *joules]).tolist())


def _edge_share(part: Component, seconds: float) -> float:
    """Return by how much parts of windows may differ since they end between two ticks."""
    return (part.tick_s or 0.0) * PARTS / seconds
