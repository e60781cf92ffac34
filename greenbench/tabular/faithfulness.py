"""Faithfulness: how far replayed trainings are from real ones that nothing was fitted to."""

import warnings
from dataclasses import dataclass

import numpy as np

from greenbench.tabular.lookup import Lookup

DRAWS = 200
PERCENT = 100.0


@dataclass(frozen=True)
class Faithfulness:
    """Predictions against the held-out trainings of a recording, after each epoch.

    Attributes
    ----------
    error : tuple of float
        Mean absolute error of the predicted mean curve, in points of accuracy.
    noise : tuple of float
        How far one training is from the mean over seeds, on average, in points: no
        prediction of a single training can be nearer.
    rank_correlation : tuple of float
        Spearman's, of predicted and real accuracies; NaN where all are equal.
    best_real : tuple of float
        Best accuracy among the held-out trainings.
    best_replayed : tuple of float
        The same of replays of these, noise included; median over many seeds.
    """

    error: tuple[float, ...]
    noise: tuple[float, ...]
    rank_correlation: tuple[float, ...]
    best_real: tuple[float, ...]
    best_replayed: tuple[float, ...]


def faithfulness(lookup: Lookup) -> Faithfulness:
    """Compare a lookup with what its recording held out.

    Parameters
    ----------
    lookup : Lookup
        Fitted to the rest.
    """
    from scipy.stats import ConstantInputWarning, spearmanr  # noqa: PLC0415

    recording = lookup.recording
    held_out = recording.held_out
    real = np.array([each.val_score for each in held_out], dtype=float)
    predicted = np.array([lookup.mean_accuracy(each.hyperparameters) for each in held_out])
    with warnings.catch_warnings():
        # Where nothing was learned yet, all accuracies may be equal, and their ranks unknown.
        warnings.simplefilter("ignore", ConstantInputWarning)
        ranks = [spearmanr(*pair).statistic for pair in zip(predicted.T, real.T, strict=True)]
    replayed = [
        [lookup.draw(each.hyperparameters, seed).validation_hits for each in held_out]
        for seed in range(DRAWS)
    ]
    best = np.median(np.max(replayed, axis=1), axis=0) / recording.dataset["validation"]
    return Faithfulness(
        error=tuple((np.abs(predicted - real).mean(axis=0) * PERCENT).tolist()),
        noise=tuple((_noise(lookup) * PERCENT).tolist()),
        rank_correlation=tuple(float(rank) for rank in ranks),
        best_real=tuple(real.max(axis=0).tolist()),
        best_replayed=tuple(best.tolist()),
    )


def _noise(lookup: Lookup) -> "np.ndarray[tuple[int], np.dtype[np.float64]]":
    deviations = []
    for group in lookup.recording.repeated:
        curves = np.array([each.val_score for each in group], dtype=float)
        scale = np.sqrt(len(group) / (len(group) - 1))
        deviations.extend(np.abs(curves - curves.mean(axis=0)) * scale)
    mean: np.ndarray[tuple[int], np.dtype[np.float64]] = np.mean(deviations, axis=0)
    return mean
