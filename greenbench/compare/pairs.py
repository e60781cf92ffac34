"""Pairs of groups, each tested by ranks, with an effect size and corrected for their number."""

import gc
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import combinations
from math import comb

import numpy as np
from numpy.typing import NDArray

ALPHA = 0.05
MANN_WHITNEY, WILCOXON = "mann-whitney", "wilcoxon"
EXACT_UP_TO = 50
# Differences that are equal in decimals differ in their last digits.
DECIMALS = 12

Group = tuple[str, Sequence[float]]
Blocks = Mapping[str, Sequence[Hashable | None]]
"""What each sample of a group shares with one of every other, such as its seed, if anything."""


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
        Of the two-sided test, corrected over all pairs that were tested together; None if it
        was not made.
    reason : str or None
        Why it was not made.
    test : str
        ``"mann-whitney"``, or ``"wilcoxon"`` where samples were compared in pairs.
    n_pairs : int or None
        Number of those pairs.
    rank_biserial : float or None
        Effect size of the pairs (Kerby 2014), from -1 to 1, above 0 if `one` is larger: the
        ranks of differences in its favour less those against it, as a share of all.
    level : float
        That p must be below: less than 5% where the same samples are looked at again and again.
    """

    one: str
    other: str
    n_one: int
    n_other: int
    a12: float
    p: float | None
    reason: str | None = None
    test: str = MANN_WHITNEY
    n_pairs: int | None = None
    rank_biserial: float | None = None
    level: float = ALPHA

    @property
    def is_significant(self) -> bool:
        """Whether the groups differ at the level, over all pairs."""
        return self.p is not None and self.p < self.level

    @property
    def is_paired(self) -> bool:
        """Whether samples were compared in pairs."""
        return self.test == WILCOXON

    @property
    def larger(self) -> str:
        """The group of larger samples, as the test sees them."""
        effect = self.a12 - 1 / 2 if self.rank_biserial is None else self.rank_biserial
        return self.one if effect > 0 else self.other


def compare_pairs(
    groups: Mapping[str, Sequence[float]],
    blocks: Blocks | None = None,
    against: str | None = None,
) -> tuple[Pair, ...]:
    """Test each pair of groups, or one group against each other.

    Parameters
    ----------
    groups : mapping of str to sequence of float
        Name to at least one sample.
    blocks : mapping of str to sequence, optional
        Name to the block of each sample; see `compare_together`.
    against : str, optional
        The group that was chosen, before there were samples, to be compared with each other.

    Returns
    -------
    tuple of Pair
        Without p where so few samples cannot reach 5% after the correction, whatever they
        are: that is not a finding of no difference.
    """
    if against is None:
        return compare_together(combinations(groups.items(), 2), blocks)
    others = [(name, samples) for name, samples in groups.items() if name != against]
    couples = [((against, groups[against]), other) for other in others]
    return compare_together(couples, blocks, shares_one=True)


def compare_together(
    couples: Iterable[tuple[Group, Group]],
    blocks: Blocks | None = None,
    *,
    shares_one: bool = False,
) -> tuple[Pair, ...]:
    """Test some pairs of groups as one family, as `compare_pairs` does all pairs.

    Where most samples of both groups have a partner of the same block, these are tested in
    pairs (Wilcoxon's signed ranks), otherwise all as independent samples (Mann-Whitney).

    Parameters
    ----------
    couples : iterable of pairs of groups
        A group is its name and at least one sample.
    blocks : mapping of str to sequence, optional
        Name to the block of each sample, no block twice; None for a sample without any.
    shares_one : bool
        Whether all couples have one group in common, chosen before there were samples. They are
        then corrected after Hommel (1988) instead of Holm: that one group is above all others
        takes no correction.
    """
    couples = list(couples)
    made = []
    for (one, first), (other, second) in couples:
        pair = _tested(one, first, other, second, blocks or {})
        made.append(_unless_hopeless(pair, len(couples), shares_one=shares_one))
    tested = [pair.p for pair in made if pair.p is not None]
    corrected = iter(_corrected(tested, "hommel" if shares_one else "holm"))
    return tuple(pair if pair.p is None else replace(pair, p=next(corrected)) for pair in made)


def floor_of(
    n: int,
    couples: int = 1,
    *,
    n_other: int | None = None,
    paired: bool = True,
    shares_one: bool = False,
) -> float:
    """Return the least p that a design can reach, whatever comes out.

    What cannot get below 5% can prove nothing, and is not tested.

    Parameters
    ----------
    n : int
        Number of pairs of samples, such as repeats; without pairs, samples of each group.
    couples : int
        Number of pairs of groups that are tested together: of k strategies k(k − 1)/2, or k − 1
        against one of them.
    n_other : int, optional
        Without pairs, samples of the other group, if they are not as many.
    paired : bool
        Whether samples are compared in pairs.
    shares_one : bool
        Whether one group, chosen beforehand, is compared with each other; the least p is then
        that of its being above (or below) all of them.

    Returns
    -------
    float
        At most 1.

    Examples
    --------
    Six repeats prove one difference, but none of three strategies among each other:

    >>> floor_of(6), floor_of(6, couples=3)
    (0.03125, 0.09375)
    >>> floor_of(6, couples=2, shares_one=True)
    0.03125
    """
    # All signs equal, of all equally likely signs; or the two most extreme of all orders.
    uncorrected = 2 / 2**n if paired else 2 / comb(n + (n_other or n), n)
    return min(1.0, uncorrected * (1 if shares_one else couples))


def _unless_hopeless(pair: Pair, couples: int, *, shares_one: bool) -> Pair:
    """Return a pair without p where its samples cannot reach 5%."""
    n = pair.n_one if pair.n_pairs is None else pair.n_pairs
    least = floor_of(n, couples, n_other=pair.n_other, paired=pair.is_paired, shares_one=shares_one)
    if least < ALPHA:
        return pair
    samples = f"{n} paired" if pair.is_paired else f"{pair.n_one} and {pair.n_other}"
    reason = (
        f"{samples} samples cannot reach {ALPHA:.0%} over {couples} "
        f"pair{'s' if couples > 1 else ''}"
    )
    return replace(pair, p=None, reason=reason)


def _tested(
    one: str, first: Sequence[float], other: str, second: Sequence[float], blocks: Blocks
) -> Pair:
    """Return a pair with its uncorrected p."""
    from scipy.stats import mannwhitneyu, rankdata  # noqa: PLC0415

    n_one, n_other = len(first), len(second)
    above = rankdata([*first, *second])[:n_one].sum() - n_one * (n_one + 1) / 2
    pair = Pair(one, other, n_one, n_other, float(above) / (n_one * n_other), None)
    differences = _differences(
        dict(zip(blocks.get(one, ()), first, strict=False)),
        dict(zip(blocks.get(other, ()), second, strict=False)),
    )
    n_pairs = len(differences)
    if 2 * n_pairs < max(n_one, n_other):
        return replace(pair, p=float(mannwhitneyu(first, second).pvalue))
    p, rank_biserial = signed_ranks(differences)
    return replace(pair, p=p, test=WILCOXON, n_pairs=n_pairs, rank_biserial=rank_biserial)


def _differences(
    first: Mapping[Hashable | None, float], second: Mapping[Hashable | None, float]
) -> NDArray[np.float64]:
    shared = [block for block in first if block is not None and block in second]
    return np.round([first[block] - second[block] for block in shared], DECIMALS)


def signed_ranks(differences: Sequence[float] | NDArray[np.float64]) -> tuple[float, float]:
    """Return the two-sided p of Wilcoxon's signed-rank test, and the rank-biserial correlation.

    Differences of zero are ranked and then dropped (Pratt 1959). Up to 50 differences p is
    exact given the ties: SciPy takes a second for 13 of them, and approximates more.

    Parameters
    ----------
    differences : sequence of float
        At least one.
    """
    from scipy.stats import rankdata, wilcoxon  # noqa: PLC0415

    values = np.asarray(differences, dtype=float)
    # Ranks of ties are halves.
    ranks = np.rint(2 * rankdata(np.abs(values)))[values != 0].astype(int)
    is_above = values[values != 0] > 0
    if not len(ranks):
        return 1.0, 0.0
    above = int(ranks[is_above].sum())
    effect = (2 * above - int(ranks.sum())) / int(ranks.sum())
    if len(values) > EXACT_UP_TO:
        return float(wilcoxon(values, zero_method="pratt").pvalue), effect
    chances = _chances(tuple(sorted(ranks.tolist())))
    return min(1.0, 2 * float(min(chances[: above + 1].sum(), chances[above:].sum()))), effect


@lru_cache(maxsize=256)
def _chances(ranks: tuple[int, ...]) -> NDArray[np.float64]:
    """Return how likely each sum of those ranks is that are above, if all signs are."""
    chances = np.ones(1)
    for rank in ranks:
        chances = (np.pad(chances, (rank, 0)) + np.pad(chances, (0, rank))) / 2
    return chances


def holm(p_values: Sequence[float]) -> Sequence[float]:
    """Return p values of one family after Holm's correction (1979), in their order.

    Parameters
    ----------
    p_values : sequence of float
        Of all tests that were made together.
    """
    return _corrected(p_values, "holm")


def _corrected(p_values: Sequence[float], method: str) -> Sequence[float]:
    if not p_values:
        return ()
    from statsmodels.stats.multitest import multipletests  # noqa: PLC0415

    # statsmodels collects garbage at each call, which takes 0.1 s beside a large table.
    gc.freeze()
    try:
        return [float(p) for p in multipletests(p_values, method=method)[1]]
    finally:
        gc.unfreeze()
