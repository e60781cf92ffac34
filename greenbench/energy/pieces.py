"""Pieces: what a ledger's windows were, and what counters say of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import hypot

import numpy as np

from greenbench.energy.counter_values import Floats

ASIDE, READING = "aside", "reading"
"""What no phase has: what happens besides the case, and what reading the meter takes. What power
they have is told as for ``other``: the host works, and the device waits."""


@dataclass(frozen=True)
class Piece:
    """A window that ended.

    Attributes
    ----------
    phase : str
        What it is booked to; `ASIDE` or `READING` if to nothing.
    began_s, ended_s : float
        Seconds by the clock of the ticks.
    passes : int
        How often the work was done in it.
    """

    phase: str
    began_s: float
    ended_s: float
    passes: int

    @property
    def is_booked(self) -> bool:
        """Whether a phase has it."""
        return self.phase not in (ASIDE, READING)

    @property
    def kind(self) -> str:
        """The phase whose power it has."""
        return self.phase if self.is_booked else "other"


@dataclass(frozen=True)
class Estimate:
    """What the counters of one component say of some pieces.

    Attributes
    ----------
    energy_j, uncertainty_j : array of shape (pieces,)
        Joules of each piece, all passes, and the half-widths of their 95% intervals.
    phase_uncertainty_j : mapping of str to float
        By phase, all passes.
    total_uncertainty_j, booked_uncertainty_j : float
        Of their sum, and of the sum of those that phases have.
    booked_with : mapping of str to str
        A phase without a figure of its own, and the one that holds its joules.
    tick_s : float
        Seconds between two ticks.
    """

    energy_j: Floats
    uncertainty_j: Floats
    phase_uncertainty_j: Mapping[str, float]
    total_uncertainty_j: float
    booked_uncertainty_j: float
    booked_with: Mapping[str, str]
    tick_s: float

    def __add__(self, other: "Estimate") -> "Estimate":
        mine, others = self.phase_uncertainty_j, other.phase_uncertainty_j
        return Estimate(
            self.energy_j + other.energy_j,
            np.hypot(self.uncertainty_j, other.uncertainty_j),
            {
                phase: hypot(mine.get(phase, 0.0), others.get(phase, 0.0))
                for phase in {**mine, **others}
            },
            hypot(self.total_uncertainty_j, other.total_uncertainty_j),
            hypot(self.booked_uncertainty_j, other.booked_uncertainty_j),
            {**self.booked_with, **other.booked_with},
            max(self.tick_s, other.tick_s),
        )
