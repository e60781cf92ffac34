"""Horizons: searches of several strategies, all cut at the same cost, and tested there."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from math import hypot, isfinite, isinf
from statistics import median

from greenbench.compare.pairs import Blocks, Pair, compare_pairs
from greenbench.compare.searches import Search, Searches
from greenbench.compare.stats import Estimate, estimate
from greenbench.results.scores import worst_gain
from greenbench.tasks import ACCURACY, Score
from greenbench.tasks.score_format import said


@dataclass(frozen=True)
class Found:
    """What the searches of one strategy had found when all searches were cut at one limit.

    Attributes
    ----------
    strategy : str
        Its name.
    score : Estimate
        Best validation score of a search; the worst that there is (of an accuracy 0, else
        perhaps infinite) if no trial had completed.
    best : float
        The best of all its searches.
    win_rate : float
        Share of all pairs of one of its searches with one of another strategy that it wins,
        ties counted half.
    """

    strategy: str
    score: Estimate
    best: float
    win_rate: float


@dataclass(frozen=True)
class Horizon:
    """The searches of several strategies, all cut at the same cost.

    Attributes
    ----------
    limit : float
        Number of trials, or Wh.
    found : tuple of Found
        Best median first.
    pairs : tuple of Pair
        Each two strategies, tested by ranks over their searches.
    judged_by : Score
        What its scores are.
    is_open : bool
        Whether one strategy may not be above the next one of the ranking, as far as the ticks of
        counters tell how much energy each search had taken.
    """

    limit: float
    found: tuple[Found, ...]
    pairs: tuple[Pair, ...]
    judged_by: Score = ACCURACY
    is_open: bool = False

    @property
    def best(self) -> tuple[str, ...]:
        """The strategies of the best median."""
        best = self.found[0].score.median
        return tuple(found.strategy for found in self.found if found.score.median == best)

    @property
    def ranking(self) -> str:
        """What each strategy finds, in words, best first."""
        first, *others = (
            (found.strategy, finds(self.judged_by, found.score.median)) for found in self.found
        )
        return ", ".join([" finds ".join(first), *map(" ".join, others)])

    @property
    def doubt(self) -> str:
        """What is to be said behind the ranking, if anything."""
        return ", an order that ticks of counters leave open" if self.is_open else ""

    @property
    def verdict(self) -> str:
        """What the tests say, in words."""
        tested = [pair for pair in self.pairs if pair.p is not None]
        if not tested:
            return f"not tested: {self.pairs[0].reason}"
        better = [above(pair) for pair in tested if pair.is_significant]
        if better:
            return f"significant: {', '.join(better)}"
        are_paired = all(pair.is_paired for pair in tested)
        return f"no difference is significant{' (paired)' if are_paired else ''}"


def finds(score: Score, found: float) -> str:
    """Return what was found, in words."""
    return said(score, found) if score.gain(found) > worst_gain(score) else "nothing"


def estimate_of(values: Sequence[float]) -> Estimate:
    """Return the median of searches with its range or interval.

    Of searches that found nothing, where that has no figure, there is neither.
    """
    ordered = sorted(values)
    if ordered and isinf(ordered[0]):
        return Estimate(median(ordered), None, None, len(ordered))
    return estimate(ordered)


def as_score(gains: Estimate, score: Score) -> Estimate:
    """Return an estimate of gains as one of scores."""
    if score.higher_is_better:
        return gains
    low, high = (None if end is None else score.gain(end) for end in (gains.high, gains.low))
    return replace(gains, median=score.gain(gains.median), low=low, high=high)


def cut_at_trials(searches: Searches) -> Horizon:
    """Cut all searches at the fewest trials of any that has several."""
    numbers = [len(search.best) for found in searches.values() for search in found]
    limit = min((number for number in numbers if number > 1), default=1)
    # A scheduler has started so many trials then; each counts as it ended.
    return _cut(limit, searches, lambda search: float(search.best[:limit][-1]))


def cut_at_energy(searches: Searches) -> Horizon | None:
    """Cut all searches at the least energy of any of several trials, if there is one.

    Parameters
    ----------
    searches : mapping of str to sequence of Search
        Those whose energy counts, at least one of each strategy.
    """
    everything = [search for found in searches.values() for search in found]
    totals = [s.curve.total_wh for s in everything if s.curve and len(s.best) > 1]
    if not totals:
        return None
    limit = min(totals)
    found = _cut(limit, searches, lambda s: gain_at(s, limit))
    return replace(found, is_open=_is_open(found, searches))


def _is_open(horizon: Horizon, searches: Searches) -> bool:
    limit = horizon.limit
    everything = [search for found in searches.values() for search in found]
    own_wh = min(s.uncertainty_wh or 0.0 for s in everything if _ends_at(s, limit))

    def found_by(strategy: str, sign: int) -> float:
        """Return its median if its searches had come less far, or farther, than was read."""
        shifts = [
            # All of a search whose end is the limit is within it.
            0.0 if _ends_at(s, limit) else sign * hypot(own_wh, s.uncertainty_wh or 0.0)
            for s in searches[strategy]
        ]
        each = zip(searches[strategy], shifts, strict=True)
        return median(gain_at(s, limit + shift) for s, shift in each)

    return any(
        found_by(one.strategy, 0) > found_by(other.strategy, 0)
        and found_by(one.strategy, -1) <= found_by(other.strategy, 1)
        for one, other in pairwise(horizon.found)
    )


def _ends_at(search: Search, limit_wh: float) -> bool:
    return search.curve is not None and search.curve.total_wh == limit_wh


def gain_at(search: Search, limit_wh: float) -> float:
    """Return what a search whose energy counts has found at an energy."""
    return float(search.curve.gain_at(limit_wh)) if search.curve else worst_gain(search.score)


def above(pair: Pair) -> str:
    """Return in words which of two strategies finds more, and how sure that is."""
    lower = pair.other if pair.larger == pair.one else pair.one
    how = ", paired" if pair.is_paired else ""
    return f"{pair.larger} above {lower} (p = {pair.p:.2g}{how})"


def _cut(limit: float, searches: Searches, found_by: Callable[[Search], float]) -> Horizon:
    gains = {name: list(map(found_by, found)) for name, found in searches.items()}
    pairs = of_searches(compare_pairs(to_rank(gains), blocks_of(searches)))
    score = judged_by(searches)
    medians = {name: estimate_of(values) for name, values in gains.items()}
    found = [
        Found(
            name,
            as_score(medians[name], score),
            score.gain(max(gains[name])),
            _win_rate(name, pairs),
        )
        for name in sorted(gains, key=lambda name: (-medians[name].median, name))
    ]
    return Horizon(limit, tuple(found), pairs, score)


def to_rank(gains: Mapping[str, Sequence[float]]) -> dict[str, list[float]]:
    """Return gains to test by ranks: what found nothing is finite, and far below all others."""
    known = [gain for values in gains.values() for gain in values if isfinite(gain)]
    least, most = (min(known), max(known)) if known else (0.0, 0.0)
    nothing = least - 10 * (most - least + 1)
    return {
        name: [gain if isfinite(gain) else nothing for gain in values]
        for name, values in gains.items()
    }


def judged_by(searches: Searches) -> Score:
    """Return the score that all searches share."""
    return next((search.score for found in searches.values() for search in found), ACCURACY)


def blocks_of(searches: Searches) -> Blocks:
    """Return what searches share with those of other strategies, by strategy."""
    return {name: [search.block for search in found] for name, found in searches.items()}


def of_searches(pairs: Sequence[Pair]) -> tuple[Pair, ...]:
    """Return pairs whose reasons call samples searches."""
    return tuple(
        replace(pair, reason=pair.reason and pair.reason.replace("samples", "searches"))
        for pair in pairs
    )


def _win_rate(name: str, pairs: Sequence[Pair]) -> float:
    # A12 is the share of pairs that the first one wins, ties counted half.
    wins = [
        (pair.a12 if pair.one == name else 1 - pair.a12, pair.n_one * pair.n_other)
        for pair in pairs
        if name in (pair.one, pair.other)
    ]
    return sum(share * number for share, number in wins) / sum(number for _, number in wins)
