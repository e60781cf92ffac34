"""The smallest size that is as good as the best, but for a tolerance, with the proof of it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import ttest_ind_from_stats

TOLERANCE = 0.01
CONFIDENCE = 0.95
FEWEST_FOR_TEST = 2
# Exactly the tolerance less is within it, whatever rounding makes of the difference; and
# repeats without noise are compared by a test that has hardly any left.
SLACK = 1e-9
LEAST_NOISE = 1e-3 * SLACK

Floats = NDArray[np.float64]
Size = tuple[str, float, Sequence[float]]


@dataclass(frozen=True)
class Candidate:
    """One size, tested against all others.

    Attributes
    ----------
    name : str
        Of the size.
    n : int
        Number of repeats.
    p : float or None
        Of the hypothesis that this size is further below the best than the tolerance,
        corrected for the number of sizes; None where no test can be made.
    """

    name: str
    n: int
    p: float | None


@dataclass(frozen=True)
class Decision:
    """Which size to train.

    Attributes
    ----------
    choice : str or None
        The size of least energy that is proven to be within the tolerance of the best; None
        if none is.
    p : float or None
        Of the choice.
    descriptive : str
        The size of least energy whose median score is within the tolerance of the best
        median, proven or not.
    reason : str or None
        Why nothing is proven, or why `descriptive` is not if it has less energy than the
        choice.
    tolerance : float
        In the score's unit; of an accuracy, of 1.
    confidence : float
        Of all such experiments, at most the rest choose a size that is truly further below the
        best than the tolerance.
    candidates : tuple of Candidate
        By energy, least first.
    """

    choice: str | None
    p: float | None
    descriptive: str
    reason: str | None
    tolerance: float
    confidence: float
    candidates: tuple[Candidate, ...]

    @property
    def is_proven(self) -> bool:
        """Whether there is a choice."""
        return self.choice is not None


def decide(
    sizes: Sequence[Size], *, tolerance: float = TOLERANCE, confidence: float = CONFIDENCE
) -> Decision:
    """Return the smallest size whose score is within a tolerance of the best.

    Non-inferiority, tested over repeats. For each size in turn, suppose that it is the best,
    and test each other against it, less the tolerance: those of less energy in descending order
    until one fails, which needs no correction; those of more energy with Bonferroni's; where
    there are both, each at half of the error. A size is proven if it passes whichever is the
    best. As one of the suppositions is true, all that are proven are within the tolerance at
    once at the stated confidence (partitioning: Finner and Strassburger 2002). To suppose only
    that the size of the largest mean is the best would not do: noise often picks another.

    The tests are Welch's, one-sided. No size's standard deviation counts as smaller than the
    median of all sizes': a few repeats often agree by chance, above all where noise is skewed
    or scores are coarse, and then Welch's test errs more often than it says.

    Parameters
    ----------
    sizes : sequence of (str, float, sequence of float)
        Name, median energy, and the gains (see `greenbench.tasks.Score.gain`; of accuracies they
        are these) of at least one repeat; in any order.
    tolerance : float
        In the gains' unit; of an accuracy, of 1.
    confidence : float
        Of the proof, in (0, 1).
    """
    ordered = sorted(sizes, key=lambda size: (size[1], size[0]))
    names = [name for name, _, _ in ordered]
    gains = [np.asarray(repeats, dtype=float) for _, _, repeats in ordered]
    medians = [np.median(repeats) for repeats in gains]
    described = next(i for i, m in enumerate(medians) if m >= max(medians) - tolerance - SLACK)
    reason = _why_no_test(names, gains)
    ps = [None] * len(names) if reason else _ps(gains, tolerance)
    chosen = next((i for i, p in enumerate(ps) if p is not None and p <= 1 - confidence), None)
    p = ps[described]
    if p is not None and (chosen is None or described < chosen):
        reason = _why_not_proven(gains, p)
    return Decision(
        choice=None if chosen is None else names[chosen],
        p=None if chosen is None else ps[chosen],
        descriptive=names[described],
        reason=reason,
        tolerance=tolerance,
        confidence=confidence,
        candidates=tuple(
            Candidate(name, len(repeats), p)
            for name, repeats, p in zip(names, gains, ps, strict=True)
        ),
    )


def _why_no_test(names: Sequence[str], gains: Sequence[Floats]) -> str | None:
    if len(names) == 1:
        return f"{names[0]} is the only size: there is none to compare it with"
    for name, repeats in zip(names, gains, strict=True):
        if len(repeats) < FEWEST_FOR_TEST:
            return f"{len(repeats)} repeat of {name}: a test needs {FEWEST_FOR_TEST} or more"
    return None


def _why_not_proven(gains: Sequence[Floats], p: float) -> str:
    fewest, most = min(map(len, gains)), max(map(len, gains))
    repeats = f"{fewest}" if fewest == most else f"{fewest} to {most}"
    return f"{repeats} repeats don't prove it (p = {p:.3g})"


def _ps(gains: Sequence[Floats], tolerance: float) -> list[float]:
    """Return p of each size, corrected for their number; sizes come by energy, least first."""
    pairs = _pairs(gains, tolerance)
    corrected = np.zeros_like(pairs)
    for best in range(len(pairs)):
        smaller, larger = pairs[:best, best], pairs[best + 1 :, best]
        ways = 2 if smaller.size and larger.size else 1
        corrected[:best, best] = ways * np.maximum.accumulate(smaller[::-1])[::-1]
        corrected[best + 1 :, best] = ways * larger.size * larger
    return [min(float(p), 1.0) for p in corrected.max(axis=1)]


def _pairs(gains: Sequence[Floats], tolerance: float) -> Floats:
    """Return p of each size (row) against each other (column) less the tolerance."""
    n = np.array([len(repeats) for repeats in gains])
    mean = np.array([repeats.mean() for repeats in gains])
    deviation = np.array([repeats.std(ddof=1) for repeats in gains])
    deviation = np.maximum(deviation, max(float(np.median(deviation)), LEAST_NOISE))
    one, other = (slice(None), None), (None, slice(None))
    found = ttest_ind_from_stats(
        mean[one] + tolerance + SLACK,
        deviation[one],
        n[one],
        mean[other],
        deviation[other],
        n[other],
        equal_var=False,
        alternative="greater",
    )
    return np.asarray(found.pvalue)
