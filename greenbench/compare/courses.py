"""The course of a family whose run looks again and again, from its rows."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from statistics import median
from typing import Any

import numpy as np

from greenbench.compare.decision import Blocks, Candidate, Decision, Size, by_block, decide
from greenbench.compare.designs import Compared, compare_designs, truth_of
from greenbench.compare.noninferiority import FEWEST_FOR_TEST
from greenbench.compare.samples import block_of, describe_samples, once_each
from greenbench.compare.tolerance import Tolerance
from greenbench.compare.until import Course, look_again, looked
from greenbench.results.looks import LEVEL, LOOKS, UNTIL_DECIDED, Look, latest_look
from greenbench.tasks import ACCURACY, Score

EXPERIMENTS = 300
"""That are simulated to say what a fixed design would have taken."""
MOST_TESTED = 10**9
"""Test samples; no split has more."""

Row = Mapping[str, Any]
Members = Mapping[str, Sequence[Row]]
"""The rows of each size of a family."""


def follow(
    members: Members,
    score: Score,
    allowed: Tolerance,
    *,
    include_disturbed: bool = False,
    repeats: int | None = None,
) -> Course:
    """Return the course of a family, look after look, as its run went.

    What it says depends on the rows alone: a run that is resumed, and whoever compares its results
    later, come to the same.

    Parameters
    ----------
    members : mapping of str to sequence of row
        Each size's results.
    score : Score
        What their scores are.
    allowed : Tolerance
        How far below the best is good enough.
    include_disturbed : bool
        Whether the energy of disturbed samples counts.
    repeats : int, optional
        That are there; by default as many as the rows tell.
    """
    there = [int(row["repeat"]) + 1 for rows in members.values() for row in rows]
    course, tested = Course(), _tested(members, score)
    most = max(there, default=0) if repeats is None else repeats
    while course.looks < len(LOOKS) and LOOKS[course.looks] <= most and not course.is_settled:
        repeats = LOOKS[course.looks]
        sizes, blocks = _sizes_at(members, repeats, course, score, include_disturbed)
        if not sizes:
            break
        tolerance = allowed.of(max(median(gains) for _, _, gains in sizes))
        course = look_again(course, sizes, tolerance, blocks=blocks, test_samples=tested)
    return course


def decide_looked(
    sizes: Sequence[Size],
    members: Members,
    score: Score,
    allowed: Tolerance,
    *,
    blocks: Blocks | None = None,
    include_disturbed: bool = False,
) -> Decision:
    """Return which of some sizes to train, at the level that this look at their results has.

    Parameters
    ----------
    sizes : sequence of (str, float, sequence of float)
        As `greenbench.compare.decision.decide` takes them, with all their results.
    members, score, allowed, include_disturbed
        As `follow` takes them.
    blocks : mapping of str to sequence, optional
        As `decide` takes them.
    """
    asked = partial(
        decide,
        sizes,
        tolerance=allowed.of(max(median(gains) for _, _, gains in sizes)),
        blocks=blocks,
        test_samples=_tested(members, score),
    )
    look = latest_look(row for rows in members.values() for row in rows)
    if look.design != UNTIL_DECIDED:
        return looked(asked(confidence=1 - look.level), look)
    course = follow(members, score, allowed, include_disturbed=include_disturbed)
    found = course.decision
    if found is None:
        found = asked(confidence=1 - LEVEL)
        why = f"the first look is after {LOOKS[0]} repeats"
        found = looked(replace(found, choice=None, p=None, reason=why), Look(1, UNTIL_DECIDED))
    by_name = {candidate.name: candidate for candidate in found.candidates}
    ordered = sorted(sizes, key=lambda size: (size[1], size[0]))
    all_of = [by_name.get(n, Candidate(n, len(gains), None)) for n, _, gains in ordered]
    return replace(found, candidates=tuple(all_of))


def estimate_fixed(
    members: Members, course: Course, score: Score, allowed: Tolerance, *, include_disturbed: bool
) -> tuple[float, Compared] | None:
    """Return the energy of a repeat of all sizes, and what fixed repeats of equal power take.

    An estimate: experiments are simulated in which all is as it was seen. None where too little
    was.

    Parameters
    ----------
    members, score, allowed, include_disturbed
        As `follow` takes them.
    course : Course
        What `follow` returned.
    """
    sizes, blocks = _sizes_at(members, course.repeats, course, score, include_disturbed)
    known = [len(gains) for _, _, gains in sizes]
    if len(known) <= 1 or min(known) < FEWEST_FOR_TEST:
        return None
    ordered = sorted(sizes, key=lambda size: (size[1], size[0]))
    tolerance = allowed.of(max(median(gains) for _, _, gains in sizes))
    truth = truth_of(by_block(ordered, blocks), tolerance)
    if not truth.noise > 0:
        return None
    costs = [energy_wh for _, energy_wh, _ in ordered]
    rng = np.random.default_rng(0)
    return sum(costs), compare_designs(truth, costs, EXPERIMENTS, rng)


def _sizes_at(
    members: Members, repeats: int, course: Course, score: Score, include_disturbed: bool
) -> tuple[list[Size], Blocks]:
    """Return what a look has of each size; one of which no energy or no score is known is none."""
    sizes: list[Size] = []
    blocks = {}
    for network, rows in members.items():
        within = min(repeats, course.dropped.get(network, repeats))
        there = [row for row in rows if int(row["repeat"]) < within]
        scored = once_each(there)
        if scored and math.isfinite(energy_wh := _energy(there, include_disturbed)):
            gains = [score.gain(row["test_score"]) for row in scored]
            sizes.append((network, energy_wh, gains))
            blocks[network] = [*map(block_of, scored)]
    return sizes, blocks


def _tested(members: Members, score: Score) -> int | None:
    """Return of how many test samples a score is the share that was right, if it is one.

    None where it is no such share, or where a row does not tell, as those of older versions.
    """
    told = [row.get("test_samples") for rows in members.values() for row in rows]
    # In somebody else's table, a column of that name may hold anything.
    known = [
        int(each) for each in told if isinstance(each, int | float) and 1 <= each <= MOST_TESTED
    ]
    is_share = score.name == ACCURACY.name and len(known) == len(told)
    return min(known, default=None) if is_share else None


def _energy(rows: Sequence[Row], include_disturbed: bool) -> float:
    """Return the median energy of samples that count; of all that are known, if none does."""
    counted = describe_samples(rows, include_disturbed=include_disturbed).counted
    known = [row["energy_wh"] for row in counted or rows if row["energy_wh"] is not None]
    return median(known) if known else math.inf
