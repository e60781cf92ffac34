"""Horizons: searches of several strategies, cut at the same cost in each block, and tested."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from math import hypot, isfinite, isinf
from statistics import median

import numpy as np

from greenbench.compare.blocks import InBlock, blocks_by, in_blocks, least_in_each
from greenbench.compare.pairs import Blocks, Pair, compare_pairs
from greenbench.compare.searches import Search, Searches
from greenbench.compare.stats import Estimate, estimate
from greenbench.results.scores import worst_gain
from greenbench.tasks import ACCURACY, Score
from greenbench.tasks.score_format import said


@dataclass(frozen=True)
class Found:
    """What the searches of one strategy had found when all of a block were cut at one limit.

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
    """The searches of several strategies, those of a block all cut at the same cost.

    Attributes
    ----------
    limit : float
        Number of trials, or Wh; the median of the blocks'.
    found : tuple of Found
        Best median first.
    pairs : tuple of Pair
        Each two strategies, or one against each other, tested by ranks over their searches.
    judged_by : Score
        What its scores are.
    is_open : bool
        Whether one strategy may not be above the next one of the ranking, as far as the ticks of
        counters tell how much energy each search had taken.
    limits : tuple of InBlock
        That of each block; empty where searches are not known to share any, and have one limit.
    """

    limit: float
    found: tuple[Found, ...]
    pairs: tuple[Pair, ...]
    judged_by: Score = ACCURACY
    is_open: bool = False
    limits: tuple[InBlock, ...] = ()

    def limit_of(self, search: Search) -> float:
        """Return where a search is cut."""
        return self._by_block.get(search.block, self.limit)

    @cached_property
    def _by_block(self) -> dict[str | None, float]:
        return {each.block: each.value for each in self.limits}

    def said(self, words: Callable[[float], str]) -> str:
        """Return the limit in words, with its range where blocks have limits of their own."""
        values = [each.value for each in self.limits] or [self.limit]
        least, most = words(min(values)), words(max(values))
        each = "" if least == most else f", by repeat {least} to {most}"
        return words(self.limit) + each

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


def cut_at_trials(searches: Searches, against: str | None = None) -> Horizon:
    """Cut the searches of each block at the fewest trials of any that has several.

    Parameters
    ----------
    searches : mapping of str to sequence of Search
        At least one of each strategy; see `that_found` for those that count.
    against : str, optional
        The strategy that is tested against each other; all pairs, if none is named.
    """
    searches = that_found(searches)
    limits = _limits(searches, lambda search: len(search.best))
    if not limits:
        limits = dict.fromkeys(map(blocks_by(searches), _all(searches)), 1)

    # A scheduler has started so many trials then; each counts as it ended.
    def found_by(search: Search, limit: float) -> float:
        return float(search.best[: int(limit)][-1])

    return _cut(limits, searches, found_by, against)


def cut_at_energy(searches: Searches, against: str | None = None) -> Horizon | None:
    """Cut the searches of each block at the least energy of any of several trials, if there is one.

    Parameters
    ----------
    searches : mapping of str to sequence of Search
        Those whose energy counts, at least one of each strategy; see `that_found` for those of
        them that count.
    against : str, optional
        The strategy that is tested against each other; all pairs, if none is named.
    """
    searches = that_found(searches)
    limits = _limits(searches, lambda s: s.curve.total_wh if s.curve else None)
    if not limits:
        return None
    found = _cut(limits, searches, gain_at, against)
    return replace(found, is_open=_is_open(found, searches))


def that_found(searches: Searches) -> Searches:
    """Leave out searches without a completed trial, but of strategies that have no others.

    They say nothing of what a strategy finds for an energy, and to count them as the worst score
    that there is would let a crash decide.
    """
    return {
        name: [search for search in found if search.has_completed] or found
        for name, found in searches.items()
    }


def _limits(searches: Searches, cost_of: Callable[[Search], float | None]) -> dict[str, float]:
    """Return the limit of each block; that of a search that found nothing only where all are so."""
    nobody = not any(search.has_completed for search in _all(searches))
    return least_in_each(
        searches,
        lambda s: cost_of(s) if len(s.best) > 1 and (s.has_completed or nobody) else None,
    )


def _all(searches: Searches) -> list[Search]:
    return [search for found in searches.values() for search in found]


def _is_open(horizon: Horizon, searches: Searches) -> bool:
    def ends(search: Search) -> bool:
        return search.curve is not None and search.curve.total_wh == horizon.limit_of(search)

    block_of = blocks_by(searches)
    own_wh: dict[str, float] = {}
    for search in filter(ends, _all(searches)):
        left_open = search.uncertainty_wh or 0.0
        own_wh[block_of(search)] = min(left_open, own_wh.get(block_of(search), left_open))

    def shift(search: Search, sign: int) -> float:
        # All of a search whose end is the limit is within it.
        if ends(search):
            return 0.0
        return sign * hypot(own_wh.get(block_of(search), 0.0), search.uncertainty_wh or 0.0)

    def found_by(strategy: str, sign: int) -> float:
        """Return its median if its searches had come less far, or farther, than was read."""
        return median(
            gain_at(search, horizon.limit_of(search) + shift(search, sign))
            for search in searches[strategy]
        )

    return any(
        found_by(one.strategy, 0) > found_by(other.strategy, 0)
        and found_by(one.strategy, -1) <= found_by(other.strategy, 1)
        for one, other in pairwise(horizon.found)
    )


def gain_at(search: Search, limit_wh: float) -> float:
    """Return what a search whose energy counts has found at an energy."""
    return float(search.curve.gain_at(limit_wh)) if search.curve else worst_gain(search.score)


def above(pair: Pair) -> str:
    """Return in words which of two strategies finds more, and how sure that is."""
    lower = pair.other if pair.larger == pair.one else pair.one
    how = ", paired" if pair.is_paired else ""
    return f"{pair.larger} above {lower} (p = {pair.p:.2g}{how})"


def _cut(
    limits: Mapping[str, float],
    searches: Searches,
    found_by: Callable[[Search, float], float],
    against: str | None,
) -> Horizon:
    block_of = blocks_by(searches)
    gains = {
        name: [found_by(search, limits[block_of(search)]) for search in found]
        for name, found in searches.items()
    }
    pairs = of_searches(compare_pairs(to_rank(gains), blocks_of(searches), against))
    score = judged_by(searches)
    medians = {name: estimate_of(values) for name, values in gains.items()}
    found = [
        Found(
            name,
            as_score(medians[name], score),
            score.gain(max(gains[name])),
            _win_rate(name, gains),
        )
        for name in sorted(gains, key=lambda name: (-medians[name].median, name))
    ]
    limit = median(limits.values())
    return Horizon(limit, tuple(found), pairs, score, limits=in_blocks(limits))


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


def _win_rate(name: str, gains: Mapping[str, Sequence[float]]) -> float:
    own = np.asarray(gains[name])[:, None]
    others = np.concatenate([values for other, values in gains.items() if other != name])
    return float(np.mean((own > others) + (own == others) / 2))
