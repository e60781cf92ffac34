"""Accounts: readings booked to phases."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from greenbench.results.readings import Component, Reading

PHASES = ("load", "train", "evaluate", "save", "test", "search", "idle", "other")


@dataclass(frozen=True)
class Account:
    """Energy booked to phases; the phases sum to the total.

    Attributes
    ----------
    phases : dict of str to Reading
        One of `PHASES` each; absent ones saw none.
    uncertainty_j : dict of str to float
        By component, the uncertainty of the total where it is known better than by adding up
        that of phases: what one of two neighbours gets too much of a tick, the other lacks, so
        that such errors cancel in the total.
    """

    phases: Mapping[str, Reading] = field(default_factory=dict)
    uncertainty_j: Mapping[str, float] = field(default_factory=dict)

    def __add__(self, other: "Account") -> "Account":
        merged = dict(self.phases)
        for phase, reading in other.phases.items():
            merged[phase] = merged[phase] + reading if phase in merged else reading
        if not self.uncertainty_j and not other.uncertainty_j:
            return Account(merged)
        return Account(merged, _uncertainties(self.total + other.total))

    def __mul__(self, share: float) -> "Account":
        return Account(
            {phase: reading * share for phase, reading in self.phases.items()},
            {name: known_j * share for name, known_j in self.uncertainty_j.items()},
        )

    @property
    def total(self) -> Reading:
        """Sum over all phases."""
        total = sum(self.phases.values(), Reading(0.0))
        parts = {name: self._summed(name, part) for name, part in total.components.items()}
        return replace(total, components=parts)

    def _summed(self, name: str, part: Component) -> Component:
        """Return the sum of a component with what is known of it better than of its phases.

        What was shared out of ticks is known as finely as most of it: a pass of a long window is,
        however short.
        """
        if part.energy_j is None:
            return part
        if name in self.uncertainty_j:
            part = replace(part, uncertainty_j=self.uncertainty_j[name])
        if part.uncertainty_j is None:
            return part
        mostly = max(
            (reading.components[name] for reading in self.phases.values()),
            key=lambda each: each.energy_j or 0.0,
        )
        return replace(part, tick_s=mostly.tick_s)

    def energy_j(self, phase: str) -> float | None:
        """Joules of one phase; 0 if it never ran, None if unknown."""
        reading = self.phases.get(phase)
        return 0.0 if reading is None else reading.energy_j

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Account":
        """Rebuild an account from its `dataclasses.asdict` form."""
        phases = values["phases"]
        return cls(
            {phase: Reading.from_dict(reading) for phase, reading in phases.items()},
            values.get("uncertainty_j", {}),
        )


def _uncertainties(reading: Reading) -> dict[str, float]:
    parts = reading.components.items()
    return {name: part.uncertainty_j for name, part in parts if part.uncertainty_j is not None}
