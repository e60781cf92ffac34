"""Metrics by name: scikit-learn's, which is imported here alone among tasks, and late.

Each takes what it reads and what is right, and returns None where the data leave it undefined.
Those that every classifier has are computed here, to the same figures: scikit-learn, with SciPy's
statistics, takes a worker more than a second to import.
"""

import math
import warnings
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax, xlogy

from greenbench.tasks.score import Score

Array = NDArray[Any]
MANY_CLASSES = 5
"""With no more classes, one of the five likeliest is always right."""
TWO_CLASSES = 2
ROUNDING = 1e-9


def measured(
    scores: Iterable[Score], reads: str, values: Array | float, targets: Array
) -> dict[str, float]:
    """Return those of `scores` that are computed from what is given, by name.

    One that cannot be computed from values that are not finite is not a number itself.

    Parameters
    ----------
    scores : iterable of Score
        Whose names are in `METRICS`.
    reads : str
        What `values` are; see `Score.reads`.
    values : ndarray or float
        Classes, outputs or the mean loss.
    targets : ndarray
        What is right.
    """
    wanted = [each for each in scores if each.reads == reads]
    if reads == "outputs" and not np.isfinite(values).all():
        return {each.name: math.nan for each in wanted}
    found: dict[str, float] = {}
    for each in wanted:
        value = METRICS[each.name](values, targets)
        if value is not None:
            found[each.name] = _inside(float(value), each)
    return found


def _inside(value: float, score: Score) -> float:
    """Return a value moved into its range where rounding alone took it out."""
    for end in (score.low, score.high):
        if value not in score and abs(value - end) <= ROUNDING:
            return end
    return value


def _scikit_learn(name: str, targets: Array, values: Array, **options: Any) -> float:
    from sklearn import metrics  # noqa: PLC0415
    from sklearn.exceptions import UndefinedMetricWarning  # noqa: PLC0415

    with warnings.catch_warnings():
        # Of a class that nothing was taken for; its share is 0, as it should be.
        warnings.simplefilter("ignore", UndefinedMetricWarning)
        return float(getattr(metrics, name)(targets, values, **options))


def _accuracy(classes: Array, targets: Array) -> float:
    return float(np.mean(classes == targets))


def _f1_macro(outputs: Array, targets: Array) -> float:
    chosen, classes = outputs.argmax(axis=1), outputs.shape[1]
    right = targets.astype(np.int64)
    both = np.bincount(right, minlength=classes) + np.bincount(chosen, minlength=classes)
    hits = np.bincount(right[chosen == right], minlength=classes)
    # Of classes that no sample has, and none was taken for, nothing is known.
    return float(np.mean(2.0 * hits[both > 0] / both[both > 0]))


def _top_5(outputs: Array, targets: Array) -> float | None:
    classes = outputs.shape[1]
    if classes <= MANY_CLASSES:
        return None
    likeliest = np.argsort(outputs, axis=1, kind="stable")[:, -MANY_CLASSES:]
    return float(np.mean((likeliest == targets[:, None]).any(axis=1)))


def _log_loss(outputs: Array, targets: Array) -> float:
    shares = softmax(outputs.astype(np.float64), axis=1)
    right = shares[np.arange(len(shares)), targets.astype(np.int64)]
    least = np.finfo(np.float64).eps
    return float(-np.mean(xlogy(1.0, np.clip(right, least, 1 - least))))


def _auroc(outputs: Array, targets: Array) -> float | None:
    if outputs.shape[1] != TWO_CLASSES or len(np.unique(targets)) != TWO_CLASSES:
        return None
    margins = outputs[:, 1].astype(np.float64) - outputs[:, 0]
    return _scikit_learn("roc_auc_score", targets, margins)


def _f1_micro(outputs: Array, targets: Array) -> float:
    chosen = (outputs > 0).astype(np.int64)
    right = targets.astype(np.int64)
    return _scikit_learn("f1_score", right, chosen, average="micro", zero_division=0.0)


def _of_labels(name: str) -> Callable[[Array, Array], float | None]:
    """Return the mean over the labels that some samples have, and others have not."""

    def mean(outputs: Array, targets: Array) -> float | None:
        right = targets.astype(np.int64)
        known = (right.min(axis=0) == 0) & (right.max(axis=0) == 1)
        if not known.any():
            return None
        return _scikit_learn(name, right[:, known], outputs[:, known], average="macro")

    return mean


def _of_numbers(name: str) -> Callable[[Array, Array], float]:
    def compute(outputs: Array, targets: Array) -> float:
        # In 64 bits: squares of large numbers have no room in 32. One number a sample may be
        # of shape (n,) or (n, 1), which must not be broadcast.
        right = np.asarray(targets, np.float64).reshape(len(targets), -1)
        given = np.asarray(outputs, np.float64).reshape(right.shape)
        return _scikit_learn(name, right, given)

    return compute


def _miou(classes: Array, targets: Array) -> float:
    # Each pair of classes once, weighted by its pixels: pixel by pixel scikit-learn takes 15 to 50
    # times as long.
    count = int(max(targets.max(), classes.max())) + 1
    pixels = np.bincount((targets.astype(np.int64) * count + classes).ravel())
    pairs = np.flatnonzero(pixels)
    right, chosen, weights = pairs // count, pairs % count, pixels[pairs]
    return _scikit_learn("jaccard_score", right, chosen, average="macro", sample_weight=weights)


def _bits(loss: float, targets: Array) -> float:
    return float(loss) / math.log(2)


def _perplexity(loss: float, targets: Array) -> float:
    try:
        return math.exp(loss)
    except OverflowError:
        return math.inf


METRICS: Mapping[str, Callable[[Any, Array], float | None]] = {
    "accuracy": _accuracy,
    "top_5": _top_5,
    "f1_macro": _f1_macro,
    "log_loss": _log_loss,
    "auroc": _auroc,
    "f1_micro": _f1_micro,
    "average_precision": _of_labels("average_precision_score"),
    "auroc_macro": _of_labels("roc_auc_score"),
    "r2": _of_numbers("r2_score"),
    "mae": _of_numbers("mean_absolute_error"),
    "rmse": _of_numbers("root_mean_squared_error"),
    "miou": _miou,
    "pixel_accuracy": _accuracy,
    "bits_per_token": _bits,
    "perplexity": _perplexity,
}
