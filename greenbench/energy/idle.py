"""Idle power: what the hardware uses while nothing trains, where a meter measures it."""

import time
from collections.abc import Callable, Mapping

from greenbench.energy.meter import Meter


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
    reading = meter.end_window().judged
    return {
        name: part.energy_j / reading.duration_s
        for name, part in reading.components.items()
        if part.provenance.is_measured and part.energy_j is not None and reading.duration_s > 0
    }


def drift(before: Mapping[str, float], after: Mapping[str, float]) -> float | None:
    """Return the largest share by which a component's idle power changed; None if unknown."""
    shares = [abs(after[n] - w) / w for n, w in before.items() if n in after and w > 0]
    return max(shares, default=None)
