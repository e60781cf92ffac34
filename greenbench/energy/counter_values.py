"""The values of a counter, and when it had them.

Whoever reads counters needs no more: what computes with them imports for a second.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Ticks:
    """Readings of one counter of one device.

    Attributes
    ----------
    times_s : array of shape (n,)
        Seconds at which each new value was first seen, just after its tick; they rise.
    energy_j : array of shape (n,)
        The values: joules since any moment, wrap-around undone; they never fall.
    within_s : array of shape (n,), optional
        How far off each time may be, in seconds; by default only what is left of the ticks tells.
    """

    times_s: Floats
    energy_j: Floats
    within_s: Floats | None = None
