"""Idle power: what the hardware uses while nothing trains, where a meter measures it."""

import time
from collections.abc import Callable, Mapping

from greenbench.energy.meter import Meter
from greenbench.readings import Reading

DRIFT = 0.05


def measures(meter: Meter) -> bool:
    """Return whether a meter measures any component; idle power of a model means nothing."""
    return any(part.provenance.is_measured for part in meter.describe().values())


def measure_idle_w(
    meter: Meter, seconds: float, sleep: Callable[[float], None] = time.sleep
) -> dict[str, float]:
    """Return the idle power of each measured component, in W, over one window.

    Parameters
    ----------
    meter : Meter
        Without an open window.
    seconds : float
        Length of the window.
    sleep : callable
        Waits.
    """
    meter.begin_window()
    sleep(seconds)
    reading = meter.end_window()
    return {
        name: part.energy_j / reading.duration_s
        for name, part in reading.components.items()
        if part.provenance.is_measured and part.energy_j is not None and reading.duration_s > 0
    }


def drift(before: Mapping[str, float], after: Mapping[str, float]) -> float | None:
    """Return the largest share by which a component's idle power changed; None if unknown."""
    shares = [abs(after[n] - w) / w for n, w in before.items() if n in after and w > 0]
    return max(shares, default=None)


def net_j(reading: Reading, idle_w: Mapping[str, float]) -> float | None:
    """Return the headline joules above idle power; None unless all of them are measured.

    Idle power is never taken from a modelled figure: the model has an idle power of its own.
    """
    parts = {n: part for n, part in reading.components.items() if part in reading.headline}
    if not parts or not all(p.provenance.is_measured and n in idle_w for n, p in parts.items()):
        return None
    energy_j = reading.energy_j
    if energy_j is None:
        return None
    return energy_j - sum(idle_w[name] for name in parts) * reading.duration_s
