"""Strategies against each other, at equal trials and at equal energy: two different questions."""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from greenbench.compare.anytime import (
    Anytime,
    Band,
    Horizon,
    Search,
    Searches,
    band,
    cut_at_energy,
    cut_at_trials,
    estimate_of,
    read_searches,
)
from greenbench.compare.comparable import ENERGY, check_agree
from greenbench.compare.stats import Estimate
from greenbench.compare.units import with_unit
from greenbench.errors import NotComparableError, UnknownNameError

Row = Mapping[str, Any]

TOLERANCE = 0.01
OWN_GROUP = ("architecture", "backend", "setting")
"""What greenbench's own searches must share; the setting begins with the data set."""

INPUTS = ("strategy", "energy_wh", "val_accuracy")
APART = ("dataset", "network", "model", "architecture", "backend")
DEFINITION = {"setting": "setting", "case_hash": "definition"}


@dataclass(frozen=True)
class Standing:
    """The searches of one strategy, each to its own end.

    Attributes
    ----------
    strategy : str
        Its name.
    searches, counted : int
        Number of them, and of those whose energy counts.
    trials, failed_trials : int
        Over all searches; the energy of failed trials counts.
    final_accuracy : Estimate
        Best validation accuracy of a search, in [0, 1]; 0 if no trial completed.
    best_accuracy : float
        The best of all searches.
    energy_wh : Estimate or None
        Of a search; None if the energy of none counts, as are the figures below.
    energy_to_target_wh : float or None
        Median over the searches, of which those that never reach the target come last; None
        if at least half of them don't.
    hit_rate : float or None
        Share of searches that reach the target.
    area : float or None
        Normalised area under the best-so-far curve, median over the searches: the mean best
        accuracy between the longest first trial of all searches and the limit of equal energy;
        None where that is empty.
    curve : Band or None
        Best-so-far accuracy over cumulative energy.
    """

    strategy: str
    searches: int
    counted: int
    trials: int
    failed_trials: int
    final_accuracy: Estimate
    best_accuracy: float
    energy_wh: Estimate | None = None
    energy_to_target_wh: float | None = None
    hit_rate: float | None = None
    area: float | None = None
    curve: Band | None = None


@dataclass(frozen=True)
class Strategies:
    """The strategies of one group.

    Attributes
    ----------
    group : dict of str to str
        What the searches have in common.
    provenance : str or None
        Of the energy figures, if known.
    tolerance : float
        How far below the best accuracy the target is.
    target : float or None
        Accuracy to reach: the best of any search, less the tolerance; None if no trial completed.
    strategies : tuple of Standing
        By name.
    equal_trials : Horizon
        Cut at the fewest trials of any search of several trials.
    equal_energy : Horizon or None
        Cut at the least energy of any search of several trials.
    reason : str or None
        Why the question of equal energy has no answer.
    left_out : tuple of str
        Searches whose energy does not count, and why.
    """

    group: dict[str, str]
    provenance: str | None
    tolerance: float
    target: float | None
    strategies: tuple[Standing, ...]
    equal_trials: Horizon
    equal_energy: Horizon | None
    reason: str | None
    left_out: tuple[str, ...]

    @property
    def sentence(self) -> str:
        """The answer in words, to both questions."""
        if self.target is None:
            return "No trial of any strategy completed."
        trials, energy = self.equal_trials, self.equal_energy
        at_trials = f"t equal trials ({trials.limit:.0f}) {trials.ranking}"
        if energy is None:
            return f"A{at_trials}; {trials.verdict}; not at equal energy: {self.reason}."
        verdict = energy.verdict
        if verdict != trials.verdict:
            verdict = f"at equal energy {verdict}, at equal trials {trials.verdict}"
        return (
            f"At equal energy ({with_unit(energy.limit)}) {energy.ranking}; a{at_trials}; "
            f"{self._to_target}; {verdict}."
        )

    @property
    def _to_target(self) -> str:
        points = f"{100 * self.tolerance:.3g}"
        comes = f"within {points} point{'' if points == '1' else 's'} of the best"
        reaching = sorted(
            (s.energy_to_target_wh, s.strategy)
            for s in self.strategies
            if s.energy_to_target_wh is not None
        )
        whose = " whose energy counts" if any(s.counted == 0 for s in self.strategies) else ""
        if not reaching:
            return f"no strategy{whose} comes {comes} in most of its searches"
        least_wh, first = reaching[0]
        words = f"{first} comes {comes} for {with_unit(least_wh)}"
        if len(reaching) > 1:
            next_wh, second = reaching[1]
            return f"{words}, {least_wh / next_wh:.0%} of {second}'s" if next_wh else words
        rivals = [s for s in self.strategies if s.strategy != first]
        how = " in most of its searches" if any(s.hit_rate for s in rivals) else ""
        return f"{words}, which no other{whose} does{how}"

    def records(self) -> list[dict[str, Any]]:
        """Return a flat row for each strategy."""
        return [{**self.group, **self._record(standing)} for standing in self.strategies]

    def _record(self, standing: Standing) -> dict[str, Any]:
        record: dict[str, Any] = {}
        for name, value in vars(standing).items():
            if name != "curve":
                record |= _flat(name, value)
        record |= {"target": self.target, "energy_provenance": self.provenance}
        for name, horizon in (("trials", self.equal_trials), ("wh", self.equal_energy)):
            found = horizon.found if horizon else ()
            one = next((f for f in found if f.strategy == standing.strategy), None)
            record |= {
                f"equal_{name}": horizon.limit if horizon else None,
                **_flat(f"accuracy_at_equal_{name}", one and one.accuracy),
                f"win_rate_at_equal_{name}": one and one.win_rate,
            }
        return record


def compare_strategies(
    trials: Iterable[Row],
    *,
    group: Sequence[str],
    tolerance: float = TOLERANCE,
    include_disturbed: bool = False,
) -> list[Strategies]:
    """Compare the strategies of every group that has at least two.

    Parameters
    ----------
    trials : iterable of mapping
        A row a trial, in the order in which they ran, such as
        `greenbench.table.to_trial_rows` gives them: ``strategy``, ``energy_wh`` (None if
        unknown) and ``val_accuracy`` (in [0, 1]; None if the trial failed). Columns
        ``session`` and ``repeat`` tell the searches of a strategy apart, ``trial`` orders
        theirs, and ``marks`` says which are disturbed; each may be lacking.
    group : sequence of str
        Columns whose values trials must share to be compared; `OWN_GROUP` for greenbench's
        own. The number of trials does not count as a difference of ``setting``.
    tolerance : float
        The target is so much below the best accuracy that any strategy of the group found.
    include_disturbed : bool
        Whether the energy of disturbed searches counts.

    Returns
    -------
    list of Strategies
        By group.

    Raises
    ------
    NotComparableError
        If the trials of one group, or their energies, must not be put side by side; the
        message names what differs.
    UnknownNameError, ConfigurationError
        If a column is missing, or holds what is not a figure.
    """
    rows = list(trials)
    for column in (*INPUTS, *group):
        if rows and column not in rows[0]:
            raise UnknownNameError("column", column, rows[0])
    groups: dict[tuple[str, ...], list[Row]] = {}
    for row in rows:
        groups.setdefault(tuple(_shared(row, column) for column in group), []).append(row)
    return [
        _compare(dict(zip(group, key, strict=True)), members, tolerance, include_disturbed)
        for key, members in sorted(groups.items())
        if len({row["strategy"] for row in members}) > 1
    ]


def _shared(row: Row, column: str) -> str:
    """Return what trials of one group share; ``default`` has one trial, whatever the others."""
    text = str(row[column])
    return re.sub(r"\+trials\d+(?=\+|$)", "", text) if column == "setting" else text


def _compare(
    group: dict[str, str], rows: Sequence[Row], tolerance: float, include_disturbed: bool
) -> Strategies:
    where = ", ".join(group.values()) or "all trials"
    _check_apart(where, rows, group)
    _check_definitions(where, rows, group)
    searches = read_searches(rows, include_disturbed=include_disturbed)
    everything = [search for found in searches.values() for search in found]
    counted = [row for search in everything if search.curve for row in search.rows]
    check_agree(where, counted, ENERGY)
    best = max(float(search.best[-1]) for search in everything)
    target = best - tolerance if best > 0 else None
    equal_energy, reason = _equal_energy(searches)
    return Strategies(
        group=group,
        provenance=next((str(p) for r in counted if (p := r.get("energy_provenance"))), None),
        tolerance=tolerance,
        target=target,
        strategies=_standings(searches, target, equal_energy),
        equal_trials=cut_at_trials(searches),
        equal_energy=equal_energy,
        reason=reason,
        left_out=tuple(f"{s.name}: {s.reason}" for s in everything if s.reason),
    )


def _check_apart(where: str, rows: Sequence[Row], group: Mapping[str, str]) -> None:
    for column in APART:
        values = sorted({str(row[column]) for row in rows if column in row})
        if len(values) > 1 and column not in group:
            raise NotComparableError(
                f"{where}: trials differ in {column} ({', '.join(values)}) and are not compared; "
                f"answer for each with `--group {column}`, or select one with "
                f"`--where {column}={values[0]}`"
            )


def _check_definitions(where: str, rows: Sequence[Row], group: Mapping[str, str]) -> None:
    """Refuse what `_shared` made one: a strategy with several numbers of trials."""
    if "setting" in group:
        for name in sorted({str(row["strategy"]) for row in rows}):
            own = [row for row in rows if str(row["strategy"]) == name]
            check_agree(f"{where}: {name}", own, DEFINITION)


def _equal_energy(searches: Searches) -> tuple[Horizon | None, str | None]:
    """Return the answer, or why there is none."""
    curves = {name: found for name, of in searches.items() if (found := _curves(of))}
    if len(curves) <= 1:
        others = [name for name in searches if name not in curves]
        why = sorted({s.reason for name in others for s in searches[name] if s.reason})
        return None, f"no energy of {listed(others)} counts ({', '.join(why)})"
    horizon = cut_at_energy(curves)
    return horizon, None if horizon else "no search has more than one trial"


def _curves(searches: Sequence[Search]) -> list[Anytime]:
    return [search.curve for search in searches if search.curve]


def _standings(
    searches: Searches, target: float | None, equal_energy: Horizon | None
) -> tuple[Standing, ...]:
    firsts = [float(c.energy_wh[0]) for found in searches.values() for c in _curves(found)]
    interval = (max(firsts), equal_energy.limit) if equal_energy else (0.0, 0.0)
    return tuple(_standing(name, searches[name], target, interval) for name in searches)


def _standing(
    name: str, searches: Sequence[Search], target: float | None, interval: tuple[float, float]
) -> Standing:
    finals = [float(search.best[-1]) for search in searches]
    accuracies = [row["val_accuracy"] for search in searches for row in search.rows]
    curves = _curves(searches)
    return Standing(
        strategy=name,
        searches=len(searches),
        counted=len(curves),
        trials=len(accuracies),
        failed_trials=accuracies.count(None),
        final_accuracy=estimate_of(finals),
        best_accuracy=max(finals),
        **_energies(curves, target, interval) if curves else {},
    )


def _energies(
    curves: Sequence[Anytime], target: float | None, interval: tuple[float, float]
) -> dict[str, Any]:
    reached = [None if target is None else curve.energy_to(target) for curve in curves]
    to_target = median(math.inf if energy is None else energy for energy in reached)
    areas = [area for c in curves if (area := c.mean_accuracy(*interval)) is not None]
    return {
        "energy_wh": estimate_of([curve.total_wh for curve in curves]),
        "energy_to_target_wh": to_target if math.isfinite(to_target) else None,
        "hit_rate": 1 - reached.count(None) / len(reached),
        "area": median(areas) if areas else None,
        "curve": band(curves),
    }


def listed(names: Sequence[str]) -> str:
    """Return names as a reader says them: one, two and three."""
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))


def _flat(name: str, value: Any) -> dict[str, Any]:
    if isinstance(value, Estimate):
        return {name: value.median, f"{name}_low": value.low, f"{name}_high": value.high}
    return {name: value}
