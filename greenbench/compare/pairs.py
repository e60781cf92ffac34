"""Pairs of groups, each tested by ranks, with an effect size and corrected for their number."""

import gc
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import comb

from scipy.stats import mannwhitneyu
from statsmodels.stats.multitest import multipletests

ALPHA = 0.05

Group = tuple[str, Sequence[float]]


@dataclass(frozen=True)
class Pair:
    """Two groups of samples against each other.

    Attributes
    ----------
    one, other : str
        Names of the groups.
    n_one, n_other : int
        Numbers of samples.
    a12 : float
        Vargha and Delaney's effect size (2000): the chance that a sample of `one` is larger
        than one of `other`, ties counted half.
    p : float or None
        Of the two-sided Mann-Whitney test, Holm-corrected over all pairs that were tested
        together; None if it was not made.
    reason : str or None
        Why it was not made.
    """

    one: str
    other: str
    n_one: int
    n_other: int
    a12: float
    p: float | None
    reason: str | None = None

    @property
    def is_significant(self) -> bool:
        """Whether the groups differ at 5%, over all pairs."""
        return self.p is not None and self.p < ALPHA


def compare_pairs(groups: Mapping[str, Sequence[float]]) -> tuple[Pair, ...]:
    """Test each pair of groups.

    Parameters
    ----------
    groups : mapping of str to sequence of float
        Name to at least one sample.

    Returns
    -------
    tuple of Pair
        Without p where so few samples cannot reach 5% after the correction, whatever they
        are: that is not a finding of no difference.
    """
    return compare_together(combinations(groups.items(), 2))


def compare_together(couples: Iterable[tuple[Group, Group]]) -> tuple[Pair, ...]:
    """Test some pairs of groups as one family, as `compare_pairs` does all pairs.

    Parameters
    ----------
    couples : iterable of pairs of groups
        A group is its name and at least one sample.
    """
    couples = list(couples)
    pairs, tested = [], []
    for (one, first), (other, second) in couples:
        n_one, n_other = len(first), len(second)
        found = mannwhitneyu(first, second)
        a12 = float(found.statistic) / (n_one * n_other)
        # The two most extreme of all equally likely orders.
        least_p = 2 / comb(n_one + n_other, n_one) * len(couples)
        reason = None
        if least_p >= ALPHA:
            reason = (
                f"{n_one} and {n_other} samples cannot reach {ALPHA:.0%} over {len(couples)} "
                f"pair{'s' if len(couples) > 1 else ''}"
            )
        else:
            tested.append(float(found.pvalue))
        pairs.append(Pair(one, other, n_one, n_other, a12, None, reason))
    corrected = iter(_holm(tested))
    return tuple(
        pair if pair.reason else Pair(**{**vars(pair), "p": float(next(corrected))})
        for pair in pairs
    )


def _holm(p_values: Sequence[float]) -> Sequence[float]:
    if not p_values:
        return ()
    # statsmodels collects garbage at each call, which takes 0.1 s beside a large table.
    gc.freeze()
    try:
        return [float(p) for p in multipletests(p_values, method="holm")[1]]
    finally:
        gc.unfreeze()
