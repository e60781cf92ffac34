"""Placings: how strategies did over all groups in which they were compared."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from greenbench.compare.control import NO_CONTROL
from greenbench.compare.horizons import Horizon
from greenbench.compare.strategies import Strategies, listed


@dataclass(frozen=True)
class Placing:
    """How one strategy did over all groups.

    Attributes
    ----------
    strategy : str
        Its name.
    groups : int
        Number of groups that it was compared in.
    best_at_equal_energy, best_at_equal_trials : float
        Number of groups in which its median was best; strategies that tie share the group.
    win_rate_at_equal_energy, win_rate_at_equal_trials : float or None
        Mean over the groups that have that answer; None if none has.
    """

    strategy: str
    groups: int
    best_at_equal_energy: float
    best_at_equal_trials: float
    win_rate_at_equal_energy: float | None
    win_rate_at_equal_trials: float | None


@dataclass(frozen=True)
class Summary:
    """The strategies over all groups.

    Attributes
    ----------
    groups, energy_groups : int
        Number of them, and of those with an answer at equal energy.
    placings : tuple of Placing
        By name.
    controlled, unbeaten : int
        Number of groups that have the control, and of those in which no search beats it.
    """

    groups: int
    energy_groups: int
    placings: tuple[Placing, ...]
    controlled: int = 0
    unbeaten: int = 0

    @property
    def sentence(self) -> str:
        """The answer in words: what searching gains at all, then to both questions."""
        if not self.groups:
            return "No group has two strategies to compare."
        if not self.controlled:
            return f"{self._in_words} {NO_CONTROL}"
        return f"{self._of_control} {self._in_words}"

    @property
    def _of_control(self) -> str:
        of = f"{self.controlled} group{'' if self.controlled == 1 else 's'}"
        if self.controlled < self.groups:
            of += f" with this control, of {self.groups}"
        if not self.unbeaten:
            return f"A search finds more than the published defaults in each of {of}."
        return f"No search beats the published defaults in {self.unbeaten} of {of}."

    @property
    def _in_words(self) -> str:
        trials, in_trials = self._leaders("best_at_equal_trials")
        energy, in_energy = self._leaders("best_at_equal_energy")
        at_trials = f"in {in_trials} of {self.groups}"
        groups = "group" if self.groups == 1 else "groups"
        if not self.energy_groups:
            return (
                f"{listed(trials)} {_are(trials)} best {at_trials} {groups} at equal trials; "
                "no group has an answer at equal energy."
            )
        also = "and" if energy == trials else f"and {listed(trials)}"
        return (
            f"{listed(energy)} {_are(energy)} best in {in_energy} of {self.energy_groups} "
            f"{groups} at equal energy {also} {at_trials} at equal trials."
        )

    def _leaders(self, question: str) -> tuple[list[str], str]:
        most = max(getattr(placing, question) for placing in self.placings)
        names = [p.strategy for p in self.placings if math.isclose(getattr(p, question), most)]
        return names, f"{most:.3g}"

    def records(self) -> list[dict[str, Any]]:
        """Return a flat row for each strategy."""
        return [vars(placing).copy() for placing in self.placings]


def summarise(found: Sequence[Strategies]) -> Summary:
    """Return in how many groups each strategy was best, and how often its searches won."""
    at_trials = [answer.equal_trials for answer in found]
    at_energy = [answer.equal_energy for answer in found if answer.equal_energy]
    names = sorted({standing.strategy for answer in found for standing in answer.strategies})
    placings = tuple(
        Placing(
            name,
            sum(name in {f.strategy for f in horizon.found} for horizon in at_trials),
            _times_best(name, at_energy),
            _times_best(name, at_trials),
            _mean_win_rate(name, at_energy),
            _mean_win_rate(name, at_trials),
        )
        for name in names
    )
    controls = [answer.control for answer in found if answer.control]
    unbeaten = sum(not control.is_beaten for control in controls)
    return Summary(len(at_trials), len(at_energy), placings, len(controls), unbeaten)


def _times_best(name: str, horizons: Sequence[Horizon]) -> float:
    return sum((1 / len(horizon.best) for horizon in horizons if name in horizon.best), 0.0)


def _mean_win_rate(name: str, horizons: Sequence[Horizon]) -> float | None:
    rates = [f.win_rate for horizon in horizons for f in horizon.found if f.strategy == name]
    return fmean(rates) if rates else None


def _are(names: Sequence[str]) -> str:
    return "is" if len(names) == 1 else "are each"
