"""Sizes that are trained until it is known which to train: what each look says, and who goes on.

It works on arrays, so that simulations run the same code as a run does; `sizes_at` are its rows.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import sqrt

import numpy as np
from scipy.special import ndtri

from greenbench.compare.decision import Blocks, Candidate, Decision, Size, by_block, decide
from greenbench.compare.noninferiority import Bools, Floats, p_values, pairs
from greenbench.results.looks import CONFIDENCE, LEVEL, LOOKS, OUT, UNTIL_DECIDED, Look

UNLIKELY = 0.2
"""p of being within the tolerance, below which a smaller size keeps no run waiting."""
HOPE = -float(ndtri(0.05))
"""By how many standard errors the truth may be better than what was seen, for the futility."""


@dataclass(frozen=True)
class Judged:
    """What one look says of sizes, least energy first.

    Attributes
    ----------
    p : array of float, shape (..., sizes)
        That a size is further below the best than the tolerance, corrected for their number.
    is_proven : array of bool, shape (..., sizes)
        Whether a size is within the tolerance of the best.
    is_open : array of bool, shape (..., sizes)
        Whether it is not proven, and may be within the tolerance.
    is_out : array of bool, shape (..., sizes)
        Whether it is shown to be further below the best than the tolerance.
    is_beaten : array of bool, shape (..., sizes)
        Whether it is shown not to be the best.
    within : array of float, shape (..., sizes, sizes)
        p of each size (row) against each other (column) less the tolerance, uncorrected.
    """

    p: Floats
    is_proven: Bools
    is_open: Bools
    is_out: Bools
    is_beaten: Bools
    within: Floats

    def droppable(self, is_proven: Bools) -> Bools:
        """Return which sizes need no further repeat, given which are proven by now.

        One that is out is not the best, and none to name. Nor is one that costs more than a
        proven size and is not the best. To drop the best errs as seldom as `OUT` says.
        """
        costs_more = np.cumsum(is_proven, axis=-1) > is_proven
        return np.asarray((self.is_out | (costs_more & self.is_beaten)) & ~is_proven)

    def is_settled(self, is_proven: Bools) -> Bools:
        """Return whether a size is proven, and none of less energy may do as well."""
        costs_less = np.cumsum(is_proven, axis=-1) == 0
        return np.asarray(is_proven.any(axis=-1) & ~(costs_less & self.is_open).any(axis=-1))


def judge(
    gains: Floats,
    tolerance: Floats | float,
    *,
    in_blocks: bool = True,
    test_samples: int | None = None,
) -> Judged:
    """Return what one look of `LOOKS` says of at least two sizes.

    Parameters
    ----------
    gains, tolerance, in_blocks, test_samples
        As `greenbench.compare.noninferiority.p_values` takes them.
    """
    others = gains.shape[-2] - 1
    within = pairs(gains, tolerance, in_blocks=in_blocks)
    equal = pairs(gains, 0.0, in_blocks=in_blocks)
    # The other side of the same test: that it is further below.
    below = 1 - within.max(axis=-1)
    p = p_values(gains, tolerance, in_blocks=in_blocks, test_samples=test_samples)
    return Judged(
        p,
        p <= LEVEL,
        (p > LEVEL) & (below > UNLIKELY),
        others * below <= OUT,
        others * (1 - equal.max(axis=-1)) <= OUT,
        within,
    )


@dataclass(frozen=True)
class Course:
    """A family's way through its looks.

    Attributes
    ----------
    looks : int
        That were made.
    dropped : mapping of str to int
        Sizes that are trained no further, and the repeats that they have.
    proven : mapping of str to float
        Sizes that a look has proven to be within the tolerance, and p.
    decision : Decision or None
        What is known now; None before the first look.
    is_settled : bool
        Whether a size is proven, and none of less energy may do as well.
    within : array of float or None
        p of each pair of sizes that goes on; see `judge`.
    """

    looks: int = 0
    dropped: Mapping[str, int] = field(default_factory=dict)
    proven: Mapping[str, float] = field(default_factory=dict)
    decision: Decision | None = None
    is_settled: bool = False
    within: Floats | None = None

    @property
    def repeats(self) -> int:
        """How many repeats the last look had."""
        return LOOKS[self.looks - 1] if self.looks else 0

    def is_within_reach(self, repeats: int) -> bool:
        """Return whether so many repeats may settle it, if the truth is as good as it can be.

        No size is named for that, so that no error probability is spent.
        """
        if self.within is None or repeats <= self.repeats:
            return repeats > self.repeats
        seen = -ndtri(np.clip(self.within, 1e-300, 1.0))
        np.fill_diagonal(seen, np.inf)
        then = (seen.min(axis=-1) + HOPE) * sqrt(repeats / self.repeats)
        return bool((then >= -ndtri(LEVEL)).any())


def look_again(
    course: Course,
    sizes: Sequence[Size],
    tolerance: float,
    *,
    blocks: Blocks | None = None,
    test_samples: int | None = None,
) -> Course:
    """Return the course with a further look.

    Parameters
    ----------
    course : Course
        So far, not settled.
    sizes : sequence of (str, float, sequence of float)
        All sizes, as `greenbench.compare.decision.decide` takes them.
    tolerance : float
        In the gains' unit.
    blocks, test_samples
        As `decide` takes them.
    """
    repeats = LOOKS[course.looks]
    going = sorted((s for s in sizes if s[0] not in course.dropped), key=lambda s: (s[1], s[0]))
    names = [name for name, _, _ in going]
    found = decide(
        going,
        tolerance=tolerance,
        confidence=1 - LEVEL,
        blocks=blocks,
        test_samples=test_samples,
    )
    proven, dropped, within = dict(course.proven), dict(course.dropped), None
    # If all others are out, it is what is asked for.
    is_settled = len(going) == 1 and bool(dropped)
    if is_settled:
        proven.setdefault(names[0], 0.0)
    elif all(candidate.p is not None for candidate in found.candidates):
        judged = judge(by_block(going, blocks), tolerance, test_samples=test_samples)
        within = judged.within
        for name, p in zip(names, judged.p.tolist(), strict=True):
            if p <= LEVEL:
                proven.setdefault(name, p)
        by_now = np.array([name in proven for name in names])
        is_settled = bool(judged.is_settled(by_now))
        is_dropped = judged.droppable(by_now).tolist()
        dropped |= {name: repeats for name, gone in zip(names, is_dropped, strict=True) if gone}
    decision = _all_of(found, sizes, proven, Look(course.looks + 1, UNTIL_DECIDED))
    return Course(course.looks + 1, dropped, proven, decision, is_settled, within)


def _all_of(
    found: Decision, sizes: Sequence[Size], proven: Mapping[str, float], look: Look
) -> Decision:
    """Return a decision among those that go on as one among all sizes."""
    ordered = sorted(sizes, key=lambda size: (size[1], size[0]))
    names = [name for name, _, _ in ordered]
    going = {candidate.name: candidate for candidate in found.candidates}
    choice = next((name for name in names if name in proven), None)
    candidates = [
        # One that is dropped is shown not to be what is asked for.
        replace(going[name], p=proven.get(name, going[name].p))
        if name in going
        else Candidate(name, len(gains), proven.get(name, 1.0))
        for name, _, gains in ordered
    ]
    is_smallest = choice and names.index(choice) <= names.index(found.descriptive)
    return looked(
        replace(
            found,
            choice=choice,
            p=None if choice is None else proven[choice],
            reason=None if is_smallest else found.reason,
            candidates=tuple(candidates),
        ),
        look,
    )


def looked(decision: Decision, look: Look) -> Decision:
    """Return a decision that was made at the level of a look, with what must be said of that."""
    reason = decision.reason
    if reason and reason.endswith(")") and look.number:
        reason = f"{reason[:-1]}; look {look.number} needs {look.level:g} or less)"
    return replace(
        decision,
        confidence=CONFIDENCE,
        reason=reason,
        look=max(look.number, 1),
        level=look.level,
        design=look.design,
    )
