"""Scores that are known by name, which people may report."""

import math
from collections.abc import Mapping

from greenbench.errors import ConfigurationError
from greenbench.tasks import ACCURACY, Score

_SHARES = ("f1", "auroc", "precision", "recall", "average_precision", "iou", "mean_iou", "dice")
_LESS_IS_BETTER = ("loss", "mae", "mse", "rmse", "perplexity", "bits_per_token", "error_rate")
_SOURCE = "reported by the training"

KNOWN: Mapping[str, Score] = {
    "accuracy": ACCURACY,
    **{name: Score(name, "share", low=0.0, high=1.0, source=_SOURCE) for name in _SHARES},
    "r2": Score("r2", high=1.0, source=_SOURCE),
    **{
        name: Score(
            name,
            higher_is_better=False,
            low=-math.inf if name == "loss" else 0.0,
            source=_SOURCE,
        )
        for name in _LESS_IS_BETTER
    },
}
"""By name; of any other nobody knows which way is better."""


def named_score(score: str | Score) -> Score:
    """Return a score by its name; one that is given is returned.

    Raises
    ------
    ConfigurationError
        If nobody knows it.
    """
    if isinstance(score, Score):
        return score
    if score not in KNOWN:
        raise ConfigurationError(
            f"score {score!r} is not known; expected one of {', '.join(KNOWN)}, or a "
            f"greenbench.tasks.Score that says which way is better: Score({score!r})"
        )
    return KNOWN[score]
