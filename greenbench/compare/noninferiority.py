"""Non-inferiority: how sure it is that sizes are as good as the best, for many experiments at once.

Whatever decides a single experiment is what simulations of thousands ask: all leading axes of the
gains are experiments.
"""

import numpy as np
from numpy.typing import NDArray
from scipy import special

# Exactly the tolerance less is within it, whatever rounding makes of the difference; and
# repeats without noise are compared by a test that has hardly any left.
SLACK = 1e-9
LEAST_NOISE = 1e-3 * SLACK
# Shares are rounded: so little less than a whole number of samples is one.
LEAST_OF_ONE = 1e-6
FEWEST_FOR_TEST = 2
MOST_ALIKE = 0.7
"""The highest correlation of two sizes over repeats that a few of them are trusted to show."""

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


def p_values(
    gains: Floats,
    tolerance: Floats | float,
    *,
    in_blocks: bool = True,
    test_samples: int | None = None,
) -> Floats:
    """Return p of each size: that it is further below the best than the tolerance.

    For each size in turn, suppose that it is the best, and test each other against it, less the
    tolerance: those of less energy in descending order until one fails, which needs no
    correction; those of more energy with Bonferroni's; where there are both, each at half of the
    error. A size is proven if it passes whichever is the best. As one of the suppositions is
    true, all that are proven are within the tolerance at once at the stated confidence
    (partitioning: Finner and Strassburger 2002).

    Parameters
    ----------
    gains : array of float, shape (..., sizes, blocks)
        More is better; sizes by energy, least first; NaN where a size has none of a block, and
        at least two of each.
    tolerance : float, or array of float that broadcasts to (..., sizes, sizes)
        In the gains' unit.
    in_blocks : bool
        Whether the gains of a block met the same data; otherwise their order says nothing.
    test_samples : int, optional
        Of which each gain is the share that was right; None where gains are no such shares, or
        nobody knows it.

    Returns
    -------
    array of float, shape (..., sizes)
        Corrected for the number of sizes.
    """
    found = pairs(gains, tolerance, in_blocks=in_blocks)
    if test_samples is None:
        return _corrected(np.maximum(found, _least_of_equals(gains)))
    return _corrected(np.maximum(found, _least_of_shares(gains, tolerance, test_samples)))


def pairs(gains: Floats, tolerance: Floats | float, *, in_blocks: bool = True) -> Floats:
    """Return p of each size (row) against each other (column) less the tolerance, uncorrected.

    Parameters
    ----------
    gains, tolerance, in_blocks
        See `p_values`.

    Returns
    -------
    array of float, shape (..., sizes, sizes)
    """
    found = welch(gains, tolerance)
    return np.where(share_blocks(gains), paired(gains, tolerance), found) if in_blocks else found


def share_blocks(gains: Floats) -> Bools:
    """Return which two sizes are tested in pairs: most samples of both have a partner.

    Parameters
    ----------
    gains : array of float, shape (..., sizes, blocks)
        See `p_values`.

    Returns
    -------
    array of bool, shape (..., sizes, sizes)
        Two pairs or more, and at least half of the samples of either.
    """
    there = (~np.isnan(gains)).astype(float)
    shared = there @ np.swapaxes(there, -1, -2)
    own = there.sum(axis=-1)
    most = np.maximum(own[..., :, None], own[..., None, :])
    return np.asarray((shared >= FEWEST_FOR_TEST) & (2 * shared >= most))


def paired(gains: Floats, tolerance: Floats | float) -> Floats:
    """Return p of each size (row) against each other (column) less the tolerance, in pairs.

    One-sided t tests of the differences within blocks. A few differences are often equal by
    chance, above all where scores are coarse. So no standard deviation of differences counts as
    smaller than half a step of the scores, the least by which two of an experiment differ; nor
    than what is left where the median size's standard deviation correlates by `MOST_ALIKE`.

    Parameters
    ----------
    gains : array of float, shape (..., sizes, blocks)
        See `p_values`.
    tolerance : float, or array of float
        See `p_values`.

    Returns
    -------
    array of float, shape (..., sizes, sizes)
        NaN where fewer than two blocks are shared.
    """
    sizes = gains.shape[-2]
    usual = np.median(_moments(gains)[2], axis=-1) * np.sqrt(2 * (1 - MOST_ALIKE))
    least = np.maximum(usual, np.maximum(_step(gains) / 2, LEAST_NOISE))[..., None, None]
    # One column after the other, as all at once would not fit in memory.
    moments = [_moments(gains - gains[..., other, None, :]) for other in range(sizes)]
    n, mean, deviation = (np.stack(each, axis=-1) for each in zip(*moments, strict=True))
    with np.errstate(invalid="ignore", divide="ignore"):
        t = (mean + tolerance + SLACK) / (np.maximum(deviation, least) / np.sqrt(n))
        return np.asarray(special.stdtr(n - 1, -t))


def welch(gains: Floats, tolerance: Floats | float) -> Floats:
    """Return p of each size (row) against each other (column) less the tolerance, by Welch's test.

    No size's standard deviation counts as smaller than the median of all sizes': a few repeats
    often agree by chance, above all where noise is skewed or scores are coarse. Of two repeats,
    even Welch's degrees of freedom are chance: the fewest that there can be count instead (which
    holds whatever the variances are: Mickey and Brown 1966), and half a step of the scores at
    least, as in pairs.

    Parameters
    ----------
    gains : array of float, shape (..., sizes, blocks)
        See `p_values`; which block it is says nothing.
    tolerance : float, or array of float
        See `p_values`.

    Returns
    -------
    array of float, shape (..., sizes, sizes)
    """
    n, mean, deviation = _moments(gains)
    usual = np.median(deviation, axis=-1, keepdims=True)
    deviation = np.maximum(deviation, np.maximum(usual, LEAST_NOISE))[..., None]
    is_least = _fewer(gains) == FEWEST_FOR_TEST
    step = np.where(is_least, _step(gains)[..., None, None] / 2, 0.0)
    own = np.maximum(deviation, step) ** 2 / n[..., None]
    # Of the size of the row in each pair; that of the column's is the other way round.
    others = np.swapaxes(own, -1, -2)
    per_freedom = own**2 / (n[..., None] - 1)
    freedom = (own + others) ** 2 / (per_freedom + np.swapaxes(per_freedom, -1, -2))
    freedom = np.where(is_least, FEWEST_FOR_TEST - 1, freedom)
    ahead = mean[..., :, None] - mean[..., None, :] + tolerance + SLACK
    return np.asarray(special.stdtr(freedom, -ahead / np.sqrt(own + others)))


def _moments(values: Floats) -> tuple[Floats, Floats, Floats]:
    """Return number, mean and standard deviation (n - 1) of what is there, over the last axis."""
    there = ~np.isnan(values)
    n = there.sum(axis=-1).astype(float)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.where(there, values, 0.0).sum(axis=-1) / n
        squares = np.where(there, values - mean[..., None], 0.0) ** 2
        return n, mean, np.sqrt(squares.sum(axis=-1) / (n - 1))


def _least_of_equals(gains: Floats) -> Floats:
    """Return the least p of each pair where all gains of an experiment are one: a sign test's.

    Near the top of a score, and with few test samples, repeats agree by chance: then nothing shows
    how noisy they are, and not even the step of the scores. 0 where two gains differ.
    """
    return np.asarray(np.where(_step(gains)[..., None, None] == 0, 0.5 ** _fewer(gains), 0.0))


def _least_of_shares(gains: Floats, tolerance: Floats | float, test_samples: int) -> Floats:
    """Return the least p that shares of so many test samples can give.

    A size that is further below another than the tolerance gets at least that share of test
    samples wrong which the other gets right. If it is never the other way round, the number of
    these is binomial: how often are they as few as was seen? Nobody can be surer, however few
    repeats happen to differ.
    """
    mean = _moments(gains)[1]
    tested = _fewer(gains) * test_samples
    lost = np.floor((mean[..., None, :] - mean[..., :, None]) * tested + LEAST_OF_ONE)
    found = special.bdtr(np.clip(lost, 0, tested), tested, np.clip(tolerance, 0, 1))
    return np.where(lost < 0, 0.0, found)


def _fewer(gains: Floats) -> NDArray[np.int64]:
    """Return how many gains of each two sizes the one has that has fewer."""
    n = (~np.isnan(gains)).sum(axis=-1)
    fewer: NDArray[np.int64] = np.minimum(n[..., :, None], n[..., None, :])
    return fewer


def _step(gains: Floats) -> Floats:
    """Return the least by which two gains of an experiment differ; 0 if none do."""
    flat = np.sort(gains.reshape(*gains.shape[:-2], -1), axis=-1)
    steps = np.diff(flat, axis=-1)
    least: Floats = np.where(steps > SLACK, steps, np.inf).min(axis=-1, initial=np.inf)
    return np.where(np.isfinite(least), least, 0.0)


def _corrected(found: Floats) -> Floats:
    """Return p of each size, corrected for their number, of the p of each against each other."""
    corrected = np.zeros_like(found)
    sizes = found.shape[-1]
    for best in range(sizes):
        smaller, larger = found[..., :best, best], found[..., best + 1 :, best]
        number = sizes - best - 1
        ways = 2 if best and number else 1
        down = np.maximum.accumulate(smaller[..., ::-1], axis=-1)[..., ::-1]
        corrected[..., :best, best] = ways * down
        corrected[..., best + 1 :, best] = ways * number * larger
    return np.asarray(np.minimum(corrected.max(axis=-1), 1.0))
