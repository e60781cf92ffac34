"""Training: one trial's epochs, measured."""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from greenbench.backends import Backend, TrainableModel
from greenbench.backends.base import OutOfMemoryError, sample_order
from greenbench.cases import Case
from greenbench.datasets import Streamed
from greenbench.energy.ledger import Ledger, Window
from greenbench.errors import (
    GreenbenchError,
    TrialError,
)
from greenbench.machine.places import described
from greenbench.results import Epoch, Trial, TrialStatus
from greenbench.search.scores import score_of
from greenbench.tasks import ACCURACY, Score

Order = NDArray[np.int64]


@dataclass(frozen=True)
class Conditions:
    """Under what trials are trained; the same for all trials of a repeat.

    Attributes
    ----------
    backend : Backend
        Trains.
    case : Case
        Epochs, batch size, validations.
    train_size : int
        Samples of the training split.
    ledger : Ledger
        Books energy.
    min_window_s : float
        A training window that is shorter is filled with further passes of the same epochs,
        by a spare model, and their mean is booked. 0 leaves windows as they are.
    epoch_done : callable
        Told of each epoch.
    stream : Streamed or None
        The training split, where memory does not hold it: it is read block by block.
    score : Score
        What validations give.
    """

    backend: Backend
    case: Case
    train_size: int
    ledger: Ledger
    min_window_s: float
    epoch_done: Callable[[int], None]
    stream: Streamed | None = None
    score: Score = ACCURACY

    def intervals(self, done: int, target: int) -> Iterator[range]:
        """Yield the epochs between validations, from those that are done to `target`."""
        every = self.case.validate_every or self.case.epochs
        while done < target:
            epochs = range(done, min((done // every + 1) * every, target))
            yield epochs
            done = epochs.stop

    def fill(self, window: Window, train_again: Callable[[], None], started_s: float) -> None:
        """Train again until the window is long enough."""
        while time.perf_counter() - started_s < self.min_window_s:
            train_again()
            self.backend.synchronize()
            window.passes += 1


class Training:
    """One trial in training: its model, how far it is, and what is known if it breaks off.

    Parameters
    ----------
    conditions : Conditions
        Under what it trains.
    trial : Trial
        What is known before; samples seen are added to its own.
    seed : int
        Decides the order of samples.

    Attributes
    ----------
    trial : Trial
        With the outcome so far.
    model : TrainableModel or None
        Stays in memory between calls of `advance`, with the state of its optimiser.
    """

    def __init__(self, conditions: Conditions, trial: Trial, seed: int) -> None:
        self.trial = trial
        self.model: TrainableModel | None = None
        self._spare: TrainableModel | None = None
        self._conditions = conditions
        self._case = conditions.case
        self._seed = seed
        self._epochs: list[Epoch] = []
        self._samples_seen = trial.samples_seen
        self._passes = 1
        self._has_lost_score = False

    def advance(self, build: Callable[[], TrainableModel], target: int) -> Trial:
        """Train to `target` epochs, and validate; `build` makes the model at the start.

        Parameters
        ----------
        build : callable
            Returns a new model.
        target : int
            Epochs; below those of the case, the trial can go on later.
        """
        if self.model is None:
            self.model = build()
        # Windows of streamed data are as short as their blocks: filling them would read ahead.
        is_filled = self._conditions.min_window_s and self._conditions.stream is None
        if self._spare is None and is_filled:
            self._spare = build()
        conditions = self._conditions
        val_score: float | None = None
        for epochs in conditions.intervals(len(self._epochs), target):
            is_held = conditions.stream is None
            window = self._train_held(epochs) if is_held else self._train_streamed(epochs)
            self.end_window(window)
            if not self.is_finite:
                return self.diverge()
            with conditions.ledger.phase("evaluate"):
                val_score = self.score_of(self.model.evaluate("validation"))
            self.validated(val_score)
            if not self.is_finite:
                return self.diverge()
        return self.conclude(val_score)

    @property
    def epochs(self) -> int:
        """How far it is trained at most."""
        return self._case.epochs

    @property
    def is_finite(self) -> bool:
        """Whether the loss and the score were finite so far."""
        has_loss = not self._epochs or self._epochs[-1].train_loss is not None
        return has_loss and not self._has_lost_score

    def order(self, epoch: int) -> Order:
        """Return the samples of an epoch in their order."""
        return sample_order(self._conditions.train_size, self._case.batch_size, self._seed, epoch)

    def epoch_trained(self, epoch: int, samples: int, loss: float) -> None:
        """Take down an epoch with its mean loss."""
        self._samples_seen += samples
        self._epochs.append(Epoch(epoch, loss if math.isfinite(loss) else None))

    def end_window(self, window: Window) -> None:
        """Take down how often a window's epochs were trained in it."""
        self._passes = max(self._passes, window.passes)

    def score_of(self, value: float) -> float | None:
        """Return `score_of` of a value that a model was found to have."""
        return score_of(value, self._case, self._conditions.score)

    def validated(self, val_score: float | None) -> None:
        """Take down the score after the last epoch; None if it is not finite."""
        self._has_lost_score |= val_score is None
        self._epochs[-1] = replace(self._epochs[-1], val_score=val_score)

    def conclude(self, val_score: float | None) -> Trial:
        """Return the trial as it is at its target, with its last score."""
        is_whole = len(self._epochs) == self._case.epochs
        status = TrialStatus.COMPLETED if is_whole else TrialStatus.STOPPED
        return self._finish(status, None, val_score)

    def diverge(self) -> Trial:
        """Return the trial as one whose loss, or score, is not finite."""
        what = self._conditions.score.name if self._has_lost_score else "loss"
        return self._finish(TrialStatus.DIVERGED, f"the {what} is not finite")

    def fail(self, status: TrialStatus, error: Exception) -> Trial:
        """Return the trial as it was when `error` ended it."""
        return self._finish(status, described(error))

    def _train_held(self, epochs: range) -> Window:
        """Train on samples in memory, in one window."""
        assert self.model is not None
        conditions = self._conditions
        with conditions.ledger.phase("train") as window:
            started_s = time.perf_counter()
            self._train(self.model, epochs)
            conditions.backend.synchronize()
            if self.is_finite and self._spare is not None:
                conditions.fill(window, partial(self._pass, self._spare, epochs), started_s)
        return window

    def _train_streamed(self, epochs: range) -> Window:
        """Train on samples that are read block by block, in windows of their own."""
        assert self.model is not None
        for epoch in epochs:
            order = self.order(epoch)
            loss = train_on_blocks(self._conditions, self.model, order)
            self.epoch_trained(epoch, len(order), loss)
            if not self.is_finite:
                break
            self._conditions.epoch_done(epoch)
        return Window()

    def _train(self, model: TrainableModel, epochs: range) -> None:
        for epoch in epochs:
            order = self.order(epoch)
            self.epoch_trained(epoch, len(order), model.train_epoch(order))
            if not self.is_finite:
                return
            self._conditions.epoch_done(epoch)

    def _pass(self, spare: TrainableModel, epochs: range) -> None:
        for epoch in epochs:
            spare.train_epoch(self.order(epoch))

    def _finish(
        self, status: TrialStatus, error: str | None, val_score: float | None = None
    ) -> Trial:
        self.trial = replace(
            self.trial,
            status=status,
            val_score=val_score,
            epochs=tuple(self._epochs),
            samples_seen=self._samples_seen,
            passes=self._passes,
            error=error,
        )
        return self.trial


def train_on_blocks(conditions: Conditions, model: TrainableModel, order: Order) -> float:
    """Train on an epoch of streamed samples; what reading them takes is booked to ``load``.

    Returns
    -------
    float
        The mean loss a sample; not finite as soon as that of a block is not.
    """
    assert conditions.stream is not None
    total = 0.0
    for block in conditions.stream.blocks(order, conditions.case.batch_size):
        with conditions.ledger.phase("load"):
            conditions.stream.prefetch(block)
        with conditions.ledger.phase("train"):
            total += model.train_epoch(block) * len(block)
            conditions.backend.synchronize()
        if not math.isfinite(total):
            break
    return total / len(order)


def attempt(train: Callable[[], object], fail: Callable[[TrialStatus, Exception], object]) -> None:
    """Call `train`; hand its errors to `fail`, but for those that end the search.

    Parameters
    ----------
    train : callable
        Trains.
    fail : callable
        Takes down why a training ended, such as `Training.fail`.

    Raises
    ------
    GreenbenchError
        What no other trial would survive either.
    """
    try:
        train()
    except OutOfMemoryError as error:
        fail(TrialStatus.OUT_OF_MEMORY, error)
    except TrialError as error:
        fail(TrialStatus.FAILED, error)
    except GreenbenchError:
        raise
    except Exception as error:
        fail(TrialStatus.FAILED, error)
