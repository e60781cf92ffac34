"""Sizes of a family: what each costs and reaches, by itself and beside the others."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from statistics import median
from typing import Any

from greenbench.compare.decision import Decision
from greenbench.compare.doubts import are_apart, doubt_of
from greenbench.compare.front import knee, pareto_front
from greenbench.compare.samples import once_each
from greenbench.compare.stats import Estimate, estimate
from greenbench.tasks import Score
from greenbench.tasks.score_format import scale

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Size:
    """One size of a family.

    Attributes
    ----------
    network : str
        Such as ``simple_cnn.m``.
    case_id : str
        The case that trained it.
    energy_wh, score : Estimate
        Headline energy, over all samples that count, and the score, over repeats: one that is
        run again is no further sample of it.
    train_flops : float or None
        Over all trials, median; None if the table does not say.
    parameters : int or None
        Trainable; None if the table does not say.
    gain_per_wh : float or None
        By how much a Wh more than the next smaller size makes the score better, in its unit
        and of shares in percentage points; None for the smallest.
    is_on_front : bool
        Whether no other size is at least as good for less energy.
    p : float or None
        That its score is not within the tolerance of the best; None if it was not tested.
    uncertainty_wh : float or None
        Half-width of the interval that the ticks of counters leave of one sample's energy,
        median; None where it is not known.
    """

    network: str
    case_id: str
    energy_wh: Estimate
    score: Estimate
    train_flops: float | None
    parameters: int | None
    gain_per_wh: float | None = None
    is_on_front: bool = False
    p: float | None = None
    uncertainty_wh: float | None = None


def cost_the_same(one: Size, other: Size) -> bool:
    """Return whether two energies differ by no more than the ticks of counters leave open."""
    energies = (one.energy_wh.median, other.energy_wh.median)
    return not are_apart(*energies, one.uncertainty_wh, other.uncertainty_wh)


def size_of(rows: Sequence[Row], counted: Sequence[Row]) -> Size:
    """Return a size by itself: `rows` are all its samples, `counted` those whose energy counts."""
    flops = [row["train_flops"] for row in rows if row.get("train_flops") is not None]
    # Where networks are searched, repeats may have found different ones.
    found = {row.get("parameters") for row in rows}
    parameters = found.pop() if len(found) == 1 else None
    return Size(
        network=rows[0]["architecture"],
        case_id=rows[0]["case_id"],
        energy_wh=estimate([row["energy_wh"] for row in counted]),
        score=estimate(scores_of(rows)),
        train_flops=median(flops) if flops else None,
        parameters=None if parameters is None else int(parameters),
        uncertainty_wh=doubt_of(counted),
    )


def scores_of(rows: Sequence[Row]) -> list[float]:
    """Return the score of each repeat, however often it ran."""
    return [row["test_score"] for row in once_each(rows)]


def beside_each_other(sizes: Sequence[Size], decision: Decision, score: Score) -> tuple[Size, ...]:
    """Return sizes with what can only be said of one beside the others."""
    steps = [None, *(_gain_per_wh(*pair, score) for pair in pairwise(sizes))]
    front = pareto_front(*_medians(sizes, score))
    return tuple(
        replace(size, gain_per_wh=step, is_on_front=is_on, p=candidate.p)
        for size, step, is_on, candidate in zip(
            sizes, steps, front, decision.candidates, strict=True
        )
    )


def _medians(sizes: Sequence[Size], score: Score) -> tuple[list[float], list[float]]:
    gains = [score.gain(size.score.median) for size in sizes]
    return [size.energy_wh.median for size in sizes], gains


def knee_of(sizes: Sequence[Size], score: Score) -> int | None:
    """Return the number of the size from which on the score against energy flattens."""
    return knee(*_medians(sizes, score))


def _gain_per_wh(smaller: Size, larger: Size, score: Score) -> float | None:
    energy_wh = larger.energy_wh.median - smaller.energy_wh.median
    if energy_wh <= 0:
        return None
    gained = score.gain(larger.score.median) - score.gain(smaller.score.median)
    return scale(score)[0] * gained / energy_wh
