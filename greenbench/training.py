"""Training: one trial's epochs, measured, and the warm-up before a repeat."""

import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from greenbench.architectures import Native, Spec
from greenbench.backends import Backend, BuildRequest, TrainableModel
from greenbench.backends.base import sample_order
from greenbench.cases import Case
from greenbench.datasets import Dataset
from greenbench.energy.ledger import Ledger, Window
from greenbench.results import Epoch, Trial, TrialStatus

Order = NDArray[np.int64]
WARM_UP_BATCHES = 5


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
    """

    backend: Backend
    case: Case
    train_size: int
    ledger: Ledger
    min_window_s: float
    epoch_done: Callable[[int], None]


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
            self._spare = build() if self._conditions.min_window_s else None
        ledger = self._conditions.ledger
        every = self._case.validate_every or self._case.epochs
        done = len(self._epochs)
        while done < target:
            epochs = range(done, min((done // every + 1) * every, target))
            with ledger.phase("train") as window:
                started_s = time.perf_counter()
                is_finite = self._train(self.model, epochs)
                self._conditions.backend.synchronize()
                if is_finite and self._spare is not None:
                    self._fill(window, self._spare, epochs, started_s)
            self._passes = max(self._passes, window.passes)
            if not is_finite:
                return self._finish(TrialStatus.DIVERGED, "the loss is not finite")
            with ledger.phase("evaluate"):
                val_accuracy = self.model.evaluate("validation")
            self._epochs[-1] = replace(self._epochs[-1], val_accuracy=val_accuracy)
            done = len(self._epochs)
        is_whole = done == self._case.epochs
        status = TrialStatus.COMPLETED if is_whole else TrialStatus.STOPPED
        return self._finish(status, None, val_accuracy)

    def fail(self, status: TrialStatus, error: Exception) -> Trial:
        """Return the trial as it was when `error` ended it."""
        text = " ".join(str(error).split()) or type(error).__name__
        return self._finish(status, f"{type(error).__name__}: {text}")

    def _train(self, model: TrainableModel, epochs: range) -> bool:
        for epoch, order in self._orders(epochs):
            loss = model.train_epoch(order)
            self._samples_seen += len(order)
            is_finite = math.isfinite(loss)
            self._epochs.append(Epoch(epoch, loss if is_finite else None))
            if not is_finite:
                return False
            self._conditions.epoch_done(epoch)
        return True

    def _fill(self, window: Window, spare: TrainableModel, epochs: range, started_s: float) -> None:
        """Train the spare model until the window is long enough."""
        while time.perf_counter() - started_s < self._conditions.min_window_s:
            for _, order in self._orders(epochs):
                spare.train_epoch(order)
            self._conditions.backend.synchronize()
            window.passes += 1

    def _orders(self, epochs: range) -> Iterable[tuple[int, Order]]:
        size, batch_size = self._conditions.train_size, self._case.batch_size
        return ((e, sample_order(size, batch_size, self._seed, e)) for e in epochs)

    def _finish(
        self, status: TrialStatus, error: str | None, val_accuracy: float | None = None
    ) -> Trial:
        self.trial = replace(
            self.trial,
            status=status,
            val_accuracy=val_accuracy,
            epochs=tuple(self._epochs),
            samples_seen=self._samples_seen,
            passes=self._passes,
            error=error,
        )
        return self.trial


def warm_up(
    backend: Backend, architecture: Spec | Native, case: Case, dataset: Dataset
) -> tuple[int, int]:
    """Train a throw-away model for a few batches, and count parameters and FLOPs."""
    options = dict(case.backend_options)
    model = backend.build(BuildRequest(architecture, batch_size=case.batch_size, options=options))
    order = sample_order(len(dataset.train), case.batch_size, seed=0, epoch=0)
    model.train_epoch(order[: WARM_UP_BATCHES * case.batch_size])
    model.evaluate("validation")
    flops = model.count_train_flops()
    backend.synchronize()
    return model.parameters, flops
