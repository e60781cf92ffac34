"""Targets: the score that searches of a block are to reach, and who does for less energy."""

from collections.abc import Callable, Sequence
from itertools import combinations
from statistics import median

from greenbench.compare.anytime import SLACK
from greenbench.compare.blocks import best_in_each, blocks_by, least_in_each
from greenbench.compare.horizons import blocks_of, of_searches
from greenbench.compare.pairs import Pair, compare_together
from greenbench.compare.searches import Search, Searches
from greenbench.compare.tolerance import Tolerance
from greenbench.results.scores import worst_gain

Targets = dict[str, float]
"""The gain to reach in each block in which anything was found."""


def targets_of(searches: Searches, tolerance: Tolerance) -> Targets:
    """Return what searches are to reach: the best of their own block, less the tolerance.

    A split that is easy gives all its searches better scores. If all had one target, luck of the
    split would decide who reaches it.

    Parameters
    ----------
    searches : mapping of str to sequence of Search
        Of all strategies.
    tolerance : Tolerance
        How far below the best is good enough.
    """
    nothing = max(worst_gain(s.score) for found in searches.values() for s in found)
    best = best_in_each(searches)
    return {block: gain - tolerance.of(gain) for block, gain in best.items() if gain > nothing}


def middle_of(searches: Searches, targets: Targets) -> float | None:
    """Return the median target as a score; None without any."""
    score = next(search.score for found in searches.values() for search in found)
    return score.gain(median(targets.values())) if targets else None


def compare_to_target(
    searches: Searches, targets: Targets, against: str | None = None
) -> tuple[Pair, ...]:
    """Test which strategy comes to its target for less energy, in pairs of searches where it can.

    Both searches of a pair are cut where the first of them ends, since nobody knows what it would
    have taken further. Whoever reaches the target until then is before who does not; two that
    don't are level. So under the null hypothesis both are exchangeable, whatever they spent, and
    tests by ranks are exact with the few searches that there are, where the log-rank test is not.

    Parameters
    ----------
    searches : mapping of str to sequence of Search
        Of all strategies; those whose energy counts are tested.
    targets : dict of str to float
        As `targets_of` gives them.
    against : str, optional
        The strategy that is tested against each other; all pairs, if none is named.

    Returns
    -------
    tuple of Pair
        By name; ``larger`` is who comes there for less.
    """
    counted = {name: own for name, found in searches.items() if (own := _counted(found))}
    block_of = blocks_by(searches)

    def reached(search: Search) -> float | None:
        target = targets.get(block_of(search))
        return search.curve.energy_to(target) if search.curve and target is not None else None

    couples = [
        couple for couple in combinations(counted, 2) if against is None or against in couple
    ]
    return of_searches(
        compare_together(
            (
                _cut_together({name: counted[name] for name in couple}, reached)
                for couple in couples
            ),
            blocks_of(counted),
            shares_one=against is not None,
        )
    )


def _cut_together(
    searches: Searches, reached: Callable[[Search], float | None]
) -> tuple[tuple[str, list[float]], tuple[str, list[float]]]:
    """Return how early searches of two strategies reach their targets, as figures to rank."""
    limits = least_in_each(searches, _spent)
    block_of = blocks_by(searches)
    never = -10 * (1 + max(s.curve.total_wh for of in searches.values() for s in of if s.curve))

    def earliness(search: Search) -> float:
        energy, limit = reached(search), limits.get(block_of(search), float("inf"))
        return never if energy is None or energy > limit * (1 + SLACK) else -energy

    one, other = ((name, list(map(earliness, found))) for name, found in searches.items())
    return one, other


def _counted(searches: Sequence[Search]) -> list[Search]:
    return [search for search in searches if search.curve]


def _spent(search: Search) -> float | None:
    # Who trains once, as the control, ends nobody's search.
    return search.curve.total_wh if search.curve and len(search.best) > 1 else None
