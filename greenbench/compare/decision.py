"""The smallest size that is as good as the best, but for a tolerance, with the proof of it."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from greenbench.compare.noninferiority import (
    FEWEST_FOR_TEST,
    SLACK,
    Floats,
    p_values,
    share_blocks,
)

TOLERANCE = 0.01
CONFIDENCE = 0.95
PAIRED = "paired"

Size = tuple[str, float, Sequence[float]]
Blocks = Mapping[str, Sequence[Hashable | None]]
"""The block of each gain of a size, by its name; None for a gain without any."""


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
    is_paired : bool
        Whether all sizes were compared within repeats that met the same data.
    look : int
        Which look at these repeats it was.
    level : float
        Of its tests: p up to it proves a size.
    design : str or None
        Of the run; see `greenbench.results.looks`.
    """

    choice: str | None
    p: float | None
    descriptive: str
    reason: str | None
    tolerance: float
    confidence: float
    candidates: tuple[Candidate, ...]
    is_paired: bool = False
    look: int = 1
    level: float = 1 - CONFIDENCE
    design: str | None = None

    @property
    def is_proven(self) -> bool:
        """Whether there is a choice."""
        return self.choice is not None


def decide(
    sizes: Sequence[Size],
    *,
    tolerance: float = TOLERANCE,
    confidence: float = CONFIDENCE,
    blocks: Blocks | None = None,
    test_samples: int | None = None,
) -> Decision:
    """Return the smallest size whose score is within a tolerance of the best.

    Non-inferiority, tested over repeats; see `greenbench.compare.noninferiority.p_values`. To
    suppose only that the size of the largest mean is the best would not do: noise often picks
    another.

    Where most samples of two sizes share a block, the test of these is a paired t test of their
    differences, otherwise Welch's of independent samples; both are one-sided.

    Parameters
    ----------
    sizes : sequence of (str, float, sequence of float)
        Name, median energy, and the gains (see `greenbench.tasks.Score.gain`; of accuracies they
        are these) of at least one repeat; in any order.
    tolerance : float
        In the gains' unit; of an accuracy, of 1.
    confidence : float
        Of the proof, in (0, 1).
    blocks : mapping of str to sequence, optional
        The block of each gain, in their order: what decides the data that a repeat meets.
    test_samples : int, optional
        As `greenbench.compare.noninferiority.p_values` takes it.
    """
    ordered = sorted(sizes, key=lambda size: (size[1], size[0]))
    names = [name for name, _, _ in ordered]
    gains = [np.asarray(repeats, dtype=float) for _, _, repeats in ordered]
    medians = [np.median(repeats) for repeats in gains]
    described = next(i for i, m in enumerate(medians) if m >= max(medians) - tolerance - SLACK)
    reason = _why_no_test(names, gains)
    table = by_block(ordered, blocks)
    ps: Sequence[float | None] = [None] * len(names)
    if reason is None:
        ps = p_values(table, tolerance, test_samples=test_samples).tolist()
    is_paired = reason is None and bool(share_blocks(table).all())
    chosen = next((i for i, p in enumerate(ps) if p is not None and p <= 1 - confidence), None)
    p = ps[described]
    if p is not None and (chosen is None or described < chosen):
        reason = _why_not_proven(gains, p, is_paired=is_paired)
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
        is_paired=is_paired,
    )


def by_block(sizes: Sequence[Size], blocks: Blocks | None = None) -> Floats:
    """Return the gains, a size a row and a block a column; NaN where a size has none."""
    columns: dict[Hashable, int] = {}
    found = []
    for size, (name, _, repeats) in enumerate(sizes):
        own = (blocks or {}).get(name, ())
        # What has no block, or shares it with another repeat of its size, has one of its own.
        keys = [None if block is None else (block,) for block in own] or [None] * len(repeats)
        for place, (gain, key) in enumerate(zip(repeats, keys, strict=True)):
            is_first = key is not None and key not in keys[:place]
            column = columns.setdefault(key if is_first else (size, place, ()), len(columns))
            found.append((size, column, float(gain)))
    table = np.full((len(sizes), len(columns)), np.nan)
    for size, column, gain in found:
        table[size, column] = gain
    return table


def _why_no_test(names: Sequence[str], gains: Sequence[Floats]) -> str | None:
    if len(names) == 1:
        return f"{names[0]} is the only size: there is none to compare it with"
    for name, repeats in zip(names, gains, strict=True):
        if len(repeats) < FEWEST_FOR_TEST:
            return f"{len(repeats)} repeat of {name}: a test needs {FEWEST_FOR_TEST} or more"
    return None


def _why_not_proven(gains: Sequence[Floats], p: float, *, is_paired: bool) -> str:
    fewest, most = min(map(len, gains)), max(map(len, gains))
    repeats = f"{fewest}" if fewest == most else f"{fewest} to {most}"
    how = f", {PAIRED}," if is_paired else ""
    return f"{repeats} repeats{how} don't prove it (p = {p:.3g})"
