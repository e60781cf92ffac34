"""Standings: what the searches of each strategy found, and what their energy went into."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from greenbench.compare.anytime import Anytime, Band, band
from greenbench.compare.doubts import middle
from greenbench.compare.horizons import Horizon, as_score, estimate_of, judged_by
from greenbench.compare.searches import Search, Searches
from greenbench.compare.stats import Estimate
from greenbench.results import TrialStatus
from greenbench.results.chronology import spending
from greenbench.tasks import Score


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
        Over all searches, re-evaluations left out; the energy of failed trials counts.
    final_score : Estimate
        Best validation score of a search; the worst that there is, of an accuracy 0, if no
        trial completed.
    best_score : float
        The best of all searches.
    energy_wh : Estimate or None
        Of a search; None if the energy of none counts, as are the figures below.
    energy_to_target_wh : float or None
        Median over the searches, of which those that never reach the target come last; None
        if at least half of them don't.
    energy_to_target_above_wh : float or None
        Where that is None since it is censored: what it is above, the median with a search
        that never reaches the target counted as if it did so at its end.
    hit_rate : float or None
        Share of searches that reach the target.
    area : float or None
        Normalised area under the best-so-far curve, median over the searches: the mean best
        score between the longest first trial of all searches and the limit of equal energy;
        None where that is empty.
    curve : Band or None
        Best-so-far score over cumulative energy.
    prior : str or None
        How its proposals are spread, ``"uniform"`` or ``"log"``; None if results don't say.
    stopped_trials : int or None
        Trials that a scheduler never took up again; None if the table does not say.
    reevaluations : int
        Trainings of a configuration again, after the searches.
    proposal_share : float or None
        Share of a search's energy spent on proposals, median; None if unknown.
    wasted_share : float or None
        Share of it spent on trials that were never the incumbent, median.
    optimism : float or None
        By how much validation looks better than the test of the incumbent, median; None if
        unknown.
    uncertainty_wh : float or None
        Half-width of the interval that the ticks of counters leave of a search's energy, median;
        None where it is not known. That of a part of it, such as the energy to the target, is as
        wide: it has two open edges, as the whole has.
    """

    strategy: str
    searches: int
    counted: int
    trials: int
    failed_trials: int
    final_score: Estimate
    best_score: float
    energy_wh: Estimate | None = None
    energy_to_target_wh: float | None = None
    energy_to_target_above_wh: float | None = None
    hit_rate: float | None = None
    area: float | None = None
    curve: Band | None = None
    prior: str | None = None
    stopped_trials: int | None = None
    reevaluations: int = 0
    proposal_share: float | None = None
    wasted_share: float | None = None
    optimism: float | None = None
    uncertainty_wh: float | None = None


def standings(
    searches: Searches, target: float | None, equal_energy: Horizon | None
) -> tuple[Standing, ...]:
    """Return how each strategy did, by name.

    Parameters
    ----------
    searches : mapping of str to sequence of Search
        Of all strategies.
    target : float or None
        Gain to reach, if anything was found.
    equal_energy : Horizon or None
        Where the area ends.
    """
    firsts = [float(c.energy_wh[0]) for found in searches.values() for c in _curves(found)]
    interval = (max(firsts), equal_energy.limit) if equal_energy else (0.0, 0.0)
    return tuple(_standing(name, searches[name], target, interval) for name in searches)


def _standing(
    name: str, searches: Sequence[Search], target: float | None, interval: tuple[float, float]
) -> Standing:
    finals = [float(search.best[-1]) for search in searches]
    rows = [row for search in searches for row in search.rows]
    proposed = [row["val_score"] for row in rows if row.get("reevaluates") is None]
    curves, score = _curves(searches), judged_by({name: searches})
    return Standing(
        strategy=name,
        searches=len(searches),
        counted=len(curves),
        trials=len(proposed),
        failed_trials=proposed.count(None),
        final_score=as_score(estimate_of(finals), score),
        best_score=score.gain(max(finals)),
        reevaluations=len(rows) - len(proposed),
        **_accounts(searches),
        **_energies(curves, target, interval, score) if curves else {},
    )


def _accounts(searches: Sequence[Search]) -> dict[str, Any]:
    rows = [row for search in searches for row in search.rows]
    priors = sorted({str(prior) for row in rows if (prior := row.get("prior")) is not None})
    statuses = [status for row in rows if (status := row.get("status")) is not None]
    spent = [spending(search.rows) for search in searches if search.curve]
    return {
        "prior": " and ".join(priors) or None,
        "stopped_trials": statuses.count(TrialStatus.STOPPED) if statuses else None,
        "proposal_share": middle(each.proposal_share for each in spent),
        "wasted_share": middle(each.wasted_share for each in spent),
        "optimism": middle(search.rows[0].get("optimism") for search in searches),
        "uncertainty_wh": middle(s.uncertainty_wh for s in searches if s.curve),
    }


def _energies(
    curves: Sequence[Anytime], target: float | None, interval: tuple[float, float], score: Score
) -> dict[str, Any]:
    reached = [None if target is None else curve.energy_to(target) for curve in curves]
    to_target = median(math.inf if energy is None else energy for energy in reached)
    at_least = median(
        curve.total_wh if energy is None else energy
        for curve, energy in zip(curves, reached, strict=True)
    )
    is_censored = not math.isfinite(to_target)
    areas = [area for c in curves if (area := c.mean_gain(*interval)) is not None]
    return {
        "energy_wh": estimate_of([curve.total_wh for curve in curves]),
        "energy_to_target_wh": None if is_censored else to_target,
        "energy_to_target_above_wh": at_least if is_censored and target is not None else None,
        "hit_rate": 1 - reached.count(None) / len(reached),
        "area": score.gain(median(areas)) if areas else None,
        "curve": band(curves, score),
    }


def _curves(searches: Sequence[Search]) -> list[Anytime]:
    return [search.curve for search in searches if search.curve]
