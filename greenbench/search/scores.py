"""Scores of models: whether they can be, and what the test tells besides."""

import math

from greenbench.backends import TrainableModel
from greenbench.cases import Case
from greenbench.errors import ScoreError
from greenbench.tasks import ACCURACY, Score, Task


def score_of(value: float, case: Case, score: Score = ACCURACY) -> float | None:
    """Return a score that a model of a case was found to have; None if it is not finite.

    Raises
    ------
    ScoreError
        If it is outside its range.
    """
    # Classes are always finite numbers; whoever finds no share of right ones has miscounted.
    if not math.isfinite(value) and score.reads != "classes":
        return None
    if value not in score:
        article = "an" if score.name[0] in "aeio" else "a"
        raise ScoreError(
            f"{case.id}: backend {case.backend!r} reports {article} {score.name} of {value:.6g}; "
            f"expected {_range(score)}; look at the shapes of outputs and targets"
        )
    return value


def _range(score: Score) -> str:
    if math.isinf(score.low) or math.isinf(score.high):
        return f"at most {score.high:g}" if math.isinf(score.low) else f"at least {score.low:g}"
    return f"{score.low:g} to {score.high:g}"


def further_metrics(model: TrainableModel | None, task: Task, split: str) -> dict[str, float]:
    """Return what a task tells of a model besides its score; what is not finite is left out.

    Parameters
    ----------
    model : TrainableModel or None
        Of a backend that has no other metrics, it tells none.
    task : Task
        What was learned.
    split : str
        Such as ``"test"``.
    """
    measure = getattr(model, "measure", None)
    if measure is None or not task.metrics:
        return {}
    found: dict[str, float] = measure(split)
    return {
        each.name: found[each.name]
        for each in task.metrics
        if each.name in found and math.isfinite(found[each.name])
    }
