"""By when a counter has counted what segments ask for: late, and after a transient of power.

A counter publishes what it has integrated up to some moment before its tick: its lag. And power
does not follow work at once: clocks, voltage regulators and filters take 20 to 150 ms.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

# Widths in ticks. What is much shorter than a tick cannot be seen, and does little harm.
RAMPS = (0.25, 0.5, 0.75, 1.0, 1.5, 2.0)
DECAYS = (0.1, 0.2, 0.35, 0.6, 1.0, 1.5)


@dataclass(frozen=True)
class Transient:
    """How power follows a step in what is asked for.

    Attributes
    ----------
    kind : str
        ``"none"`` (at once), ``"ramp"`` (in a straight line) or ``"decay"`` (exponentially).
    width_s : float
        How long the ramp takes, or the time constant.
    prior : float
        How plausible it is before any tick is seen.
    """

    kind: str
    width_s: float = 0.0
    prior: float = 1.0


def transients(tick_s: float) -> list[Transient]:
    """Return those that are tried, for ticks of a length in seconds; each kind is as plausible."""
    ramps = [Transient("ramp", width * tick_s, 1 / 3 / len(RAMPS)) for width in RAMPS]
    decays = [Transient("decay", width * tick_s, 1 / 3 / len(DECAYS)) for width in DECAYS]
    return [Transient("none", prior=1 / 3), *ramps, *decays]


@dataclass(frozen=True)
class Demand:
    """Power that is asked for: constant in each segment, in one or several columns.

    Attributes
    ----------
    edges_s : array of shape (m + 1,)
        Where segments begin and end; the first begins long before anything is asked.
    power_w : array of shape (m, columns)
        The power in each.
    """

    edges_s: Floats
    power_w: Floats

    def joules(self, times_s: Floats, transient: Transient) -> Floats:
        """Return the joules used since the first edge, less a constant.

        A ramp is a moving mean of the demand, so its joules are a difference of the integral of
        joules. For a decay, power y follows demand u by width × y' = u - y, so that
        joules = ∫u - width × y.
        """
        width = transient.width_s
        if transient.kind == "ramp":
            return (self._twice(times_s) - self._twice(times_s - width)) / width
        at, since = self._segment(times_s)
        joules: Floats = self._once[at] + self.power_w[at] * since
        if transient.kind == "decay":
            before = self._decayed(width)[at] - self.power_w[at]
            joules = joules - width * (self.power_w[at] + before * np.exp(-since / width))
        return joules

    def _segment(self, times_s: Floats) -> tuple[NDArray[np.intp], Floats]:
        found = np.searchsorted(self.edges_s, times_s, "right") - 1
        at = np.clip(found, 0, len(self.power_w) - 1)
        return at, (times_s - self.edges_s[at])[:, None]

    def _twice(self, times_s: Floats) -> Floats:
        at, since = self._segment(times_s)
        twice: Floats = self._integrals[at] + since * (
            self._once[at] + self.power_w[at] * since / 2
        )
        return twice

    @cached_property
    def _once(self) -> Floats:
        return _summed(self.power_w * np.diff(self.edges_s)[:, None])

    @cached_property
    def _integrals(self) -> Floats:
        length = np.diff(self.edges_s)[:, None]
        return _summed(length * (self._once[:-1] + self.power_w * length / 2))

    @cached_property
    def _found(self) -> dict[float, Floats]:
        return {}

    def _decayed(self, width_s: float) -> Floats:
        """Return the power at each edge: y[i + 1] = a y[i] + (1 - a) u[i], solved at once."""
        if width_s in self._found:
            return self._found[width_s]
        from scipy.linalg import solve_banded  # noqa: PLC0415

        kept = np.exp(-np.diff(self.edges_s) / width_s)
        asked = np.vstack([self.power_w[:1], self.power_w * (1 - kept)[:, None]])
        bands = np.vstack([np.ones(kept.size + 1), np.append(-kept, 0.0)])
        self._found[width_s] = solve_banded((1, 0), bands, asked)
        return self._found[width_s]


def _summed(steps: Floats) -> Floats:
    return np.vstack([np.zeros((1, steps.shape[1])), np.cumsum(steps, axis=0)])
