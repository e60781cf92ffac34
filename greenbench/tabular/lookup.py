"""The lookup: what training with any hyperparameters gives, from recorded trainings.

The mean curve is a Gaussian process through the recorded ones; what another seed makes of it
is resampled from configurations that were trained several times. Both are computed on scales
without bounds, where spread is comparable: the empirical logit of accuracy, the log of loss.
"""

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from greenbench.results import TrialStatus
from greenbench.strategies.dimensions import Dimension
from greenbench.tabular.recording import HELD_OUT, Cost, RecordedTraining, Recording

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]

NOISE_FROM = 8
"""Configurations that the noise of a training comes from, the nearest ones.

Of 3, 5, 8 and all 21, by position, by position over the fitted length scales and by predicted
curve, this made the deviations of a left-out configuration most likely on most cells.
"""

COSTS_FROM = 10
"""Trainings that the cost of one is drawn from, the nearest ones.

Large learning rates were seen to take up to 70% more CPU time in dense networks.
"""

DIVERGED_AMONG = 5
SMALLEST_LOSS = SMALLEST_SPREAD = 1e-8
LENGTH_SCALES = (0.02, 100.0)


@dataclass(frozen=True)
class Replay:
    """What one training will show.

    Attributes
    ----------
    validation_hits, test_hits : ndarray of int64, shape (epochs,)
        Images that are recognised after each epoch. On the test split it is as lucky as its
        weights are, but not as its validation images were.
    train_loss : ndarray of float32, shape (epochs,)
        NaN from the epoch on in which it diverges.
    train, evaluate : Cost
        Of an epoch, and of a validation.
    """

    validation_hits: Counts
    test_hits: Counts
    train_loss: NDArray[np.float32]
    train: Cost
    evaluate: Cost


class Lookup:
    """Predicts trainings from a recording; nothing of its held-out part is looked at.

    Parameters
    ----------
    recording : Recording
        What was trained.
    """

    def __init__(self, recording: Recording) -> None:
        self.recording = recording
        self._validation, self._test = (recording.dataset[k] for k in ("validation", "test"))
        self._epochs = recording.epochs
        fitted = recording.fitted
        self._process = _fit(self._positions(fitted), self._curves(fitted))
        self._scales = self._process.kernel_.get_params()["k1__k2__length_scale"]
        groups = recording.repeated
        self._repeated_at = self._positions([group[0] for group in groups]) / self._scales
        self._deviations = [_deviations(self._curves(group)) for group in groups]
        self._ended = [
            each
            for each in recording.trainings
            if each.status in (TrialStatus.COMPLETED, TrialStatus.DIVERGED)
            and each.part != HELD_OUT
        ]
        self._ended_at = self._positions(self._ended) / self._scales
        self._costs = recording.costs
        self._costs_at = self._positions(recording.costed) / self._scales
        self._has_diverged = any(not each.is_complete for each in self._ended)

    def mean_accuracy(self, hyperparameters: Mapping[str, Any]) -> Floats:
        """Return validation accuracy after each epoch, without the noise of a seed.

        Parameters
        ----------
        hyperparameters : dict
            Inside the recording's space.

        Returns
        -------
        ndarray of float64, shape (epochs,)
            In [0, 1].
        """
        mean = self._mean(self._position(hyperparameters))
        accuracy: Floats = _hits(mean[: self._epochs], self._validation) / self._validation
        return accuracy

    def draw(self, hyperparameters: Mapping[str, Any], seed: int) -> Replay:
        """Return a training; the same one for equal hyperparameters and seed.

        Parameters
        ----------
        hyperparameters : dict
            Inside the recording's space.
        seed : int
            Of the training.
        """
        position = self._position(hyperparameters)
        # A pair of words a position, so that no two configurations share their luck.
        words = position.view(np.uint32).tolist()
        generator = np.random.default_rng([seed % 2**64, *words])
        mean = self._mean(position)
        deviations = self._deviations_near(position)
        deviation = deviations[generator.integers(len(deviations))]
        logit, log_loss = np.split(mean + deviation, [self._epochs])
        kept = self._kept(mean[: self._epochs], deviations[:, : self._epochs])
        test = _share(mean[: self._epochs] + kept * deviation[: self._epochs])
        loss = np.exp(log_loss).astype(np.float32)
        loss[self._diverges_in(position, generator) :] = np.nan
        near = _nearest(self._costs_at, position / self._scales, COSTS_FROM)
        train, evaluate = self._costs[generator.choice(near)]
        return Replay(
            _hits(logit, self._validation),
            generator.binomial(self._test, test),
            loss,
            train,
            evaluate,
        )

    def _mean(self, position: Floats) -> Floats:
        mean: Floats = self._process.predict(position[np.newaxis])[0]
        return mean

    def _deviations_near(self, position: Floats) -> Floats:
        near = _nearest(self._repeated_at, position / self._scales, NOISE_FROM)
        return np.concatenate([self._deviations[index] for index in near])

    def _kept(self, mean: Floats, deviations: Floats) -> Floats:
        """Return which share of a deviation other images will show, too.

        What the weights do, they do to all images; luck with the images of the validation
        split stays there. It has the variance of a proportion.
        """
        share = _share(mean)
        luck = 1 / ((self._validation + 1) * share * (1 - share))
        spread = np.maximum((deviations**2).mean(axis=0), SMALLEST_SPREAD)
        kept: Floats = np.clip(1 - luck / spread, 0, 1)
        return kept

    def _diverges_in(self, position: Floats, generator: np.random.Generator) -> int:
        """Return the epoch in which training diverges; the number of epochs if it does not."""
        if not self._has_diverged:
            return self._epochs
        near = _nearest(self._ended_at, position / self._scales, DIVERGED_AMONG)
        drawn = self._ended[generator.choice(near)].train_loss
        return drawn.index(None) if None in drawn else self._epochs

    def _positions(self, trainings: Sequence[RecordedTraining]) -> Floats:
        return np.array([self._position(each.hyperparameters) for each in trainings])

    def _position(self, hyperparameters: Mapping[str, Any]) -> Floats:
        dimensions = self.recording.dimensions
        return np.array([_position(each, hyperparameters[each.name]) for each in dimensions])

    def _curves(self, trainings: Sequence[RecordedTraining]) -> Floats:
        """Return a row a training: its accuracies, then its losses, without bounds."""
        accuracy = np.array([each.val_score for each in trainings], dtype=float)
        loss = np.array([each.train_loss for each in trainings], dtype=float)
        hits = np.round(accuracy * self._validation)
        logit = np.log((hits + 0.5) / (self._validation - hits + 0.5))
        return np.hstack([logit, np.log(np.maximum(loss, SMALLEST_LOSS))])


def _fit(positions: Floats, curves: Floats):  # type: ignore[no-untyped-def]
    from sklearn.exceptions import ConvergenceWarning  # noqa: PLC0415
    from sklearn.gaussian_process import GaussianProcessRegressor  # noqa: PLC0415
    from sklearn.gaussian_process.kernels import (  # noqa: PLC0415
        ConstantKernel,
        Matern,
        WhiteKernel,
    )

    scales = np.full(positions.shape[1], 0.5)
    kernel = ConstantKernel() * Matern(scales, LENGTH_SCALES, nu=1.5) + WhiteKernel(0.1)
    process = GaussianProcessRegressor(kernel, normalize_y=True)
    with warnings.catch_warnings():
        # A dimension that makes no difference has its length scale at the upper bound.
        warnings.simplefilter("ignore", ConvergenceWarning)
        return process.fit(positions, curves)


def _position(dimension: Dimension, value: float) -> float:
    if dimension.prior == "log":
        return math.log(value / dimension.low) / math.log(dimension.high / dimension.low)
    return (value - dimension.low) / (dimension.high - dimension.low)


def _deviations(curves: Floats) -> Floats:
    """Return how the curves of one configuration differ from their mean, spread unbiased."""
    count = len(curves)
    deviations: Floats = (curves - curves.mean(axis=0)) * math.sqrt(count / (count - 1))
    return deviations


def _nearest(positions: Floats, position: Floats, count: int) -> NDArray[np.intp]:
    distances = ((positions - position) ** 2).sum(axis=1)
    return np.argsort(distances, kind="stable")[:count]


def _share(logit: Floats) -> Floats:
    share: Floats = 1 / (1 + np.exp(-logit))
    return share


def _hits(logit: Floats, images: int) -> Counts:
    """Return the number of images whose empirical logit is nearest."""
    hits = np.round((images + 1) * _share(logit) - 0.5)
    return np.clip(hits, 0, images).astype(np.int64)
