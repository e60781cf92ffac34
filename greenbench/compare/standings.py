"""Standings: what the searches of each strategy found, and what their energy went into."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median
from typing import Any

from greenbench.compare.anytime import Band, band
from greenbench.compare.blocks import blocks_by
from greenbench.compare.doubts import middle
from greenbench.compare.horizons import Horizon, as_score, estimate_of, judged_by
from greenbench.compare.reaching import reaching
from greenbench.compare.searches import Search, Searches
from greenbench.compare.stats import Estimate
from greenbench.results import TrialStatus
from greenbench.results.chronology import spending
from greenbench.tasks import Score

Figure = Callable[[Search], float | None]


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
        Median over the searches, after Kaplan and Meier (see `greenbench.compare.reaching`): a
        search that never reaches its target is known to need more than it spent; None if
        their curve does not fall below a half.
    energy_to_target_above_wh : float or None
        Where that is None since it is censored: what it is above, the median with a search
        that never reaches the target counted as if it did so at its end.
    energy_to_target_low_wh, energy_to_target_high_wh : float or None
        95% interval of that median, from 6 searches on; None without one, and the upper end
        where the searches do not bound it.
    hit_rate : float or None
        Share of searches that reach the target.
    area : float or None
        Normalised area under the best-so-far curve, median over the searches: the mean best
        score between the longest first trial of a block and its limit of equal energy; None
        where that is empty.
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
    failed_searches : int
        Those without a completed trial.
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
    energy_to_target_low_wh: float | None = None
    energy_to_target_high_wh: float | None = None
    failed_searches: int = 0


def standings(
    searches: Searches, targets: Mapping[str, float], equal_energy: Horizon | None
) -> tuple[Standing, ...]:
    """Return how each strategy did, by name.

    Parameters
    ----------
    searches : mapping of str to sequence of Search
        Of all strategies.
    targets : mapping of str to float
        Gain to reach in each block in which anything was found.
    equal_energy : Horizon or None
        Where areas end.
    """
    block_of = blocks_by(searches)
    firsts: dict[str, float] = {}
    for search in (each for found in searches.values() for each in found):
        if search.curve:
            first = float(search.curve.energy_wh[0])
            firsts[block_of(search)] = max(first, firsts.get(block_of(search), first))

    def area_of(search: Search) -> float | None:
        if search.curve is None or equal_energy is None:
            return None
        return search.curve.mean_gain(firsts[block_of(search)], equal_energy.limit_of(search))

    def reached(search: Search) -> float | None:
        target = targets.get(block_of(search))
        return None if target is None or search.curve is None else search.curve.energy_to(target)

    found = (_standing(name, searches[name], reached, area_of) for name in searches)
    # Of no target it cannot be said how far away it is.
    return tuple(
        each if targets else replace(each, energy_to_target_above_wh=None) for each in found
    )


def _standing(name: str, searches: Sequence[Search], reached: Figure, area_of: Figure) -> Standing:
    finals = [float(search.best[-1]) for search in searches]
    rows = [row for search in searches for row in search.rows]
    proposed = [row["val_score"] for row in rows if row.get("reevaluates") is None]
    counted, score = [s for s in searches if s.curve], judged_by({name: searches})
    return Standing(
        strategy=name,
        searches=len(searches),
        counted=len(counted),
        trials=len(proposed),
        failed_trials=proposed.count(None),
        final_score=as_score(estimate_of(finals), score),
        best_score=score.gain(max(finals)),
        reevaluations=len(rows) - len(proposed),
        failed_searches=sum(not search.has_completed for search in searches),
        **_accounts(searches),
        **_energies(counted, reached, area_of, score) if counted else {},
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
    counted: Sequence[Search], reached: Figure, area_of: Figure, score: Score
) -> dict[str, Any]:
    curves = [search.curve for search in counted if search.curve]
    spent = [curve.total_wh for curve in curves]
    goes_on = [len(search.best) > 1 for search in counted]
    to_target = reaching(list(map(reached, counted)), spent, goes_on)
    areas = [area for search in counted if (area := area_of(search)) is not None]
    return {
        "energy_wh": estimate_of(spent),
        "energy_to_target_wh": to_target.median,
        "energy_to_target_above_wh": to_target.above,
        "energy_to_target_low_wh": to_target.low,
        "energy_to_target_high_wh": to_target.high,
        "hit_rate": to_target.hit_rate,
        "area": score.gain(median(areas)) if areas else None,
        "curve": band(curves, score),
    }
