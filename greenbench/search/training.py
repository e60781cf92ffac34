"""Training: one trial's epochs, measured."""

import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from greenbench.backends import Backend, TrainableModel
from greenbench.backends.base import NativeModel, OutOfMemoryError, sample_order
from greenbench.cases import Case
from greenbench.datasets import Streamed
from greenbench.energy.ledger import Ledger, Window
from greenbench.errors import (
    GreenbenchError,
    TrialError,
)
from greenbench.results import Trial, TrialStatus
from greenbench.results.journal import Journal
from greenbench.search.course import Course
from greenbench.search.scores import further_metrics
from greenbench.tasks import CLASSIFICATION, Score, Task

Order = NDArray[np.int64]


@dataclass(frozen=True)
class Workplace:
    """What a search trains with, whatever it trains.

    Attributes
    ----------
    ledger : Ledger
        Books energy.
    journal : Journal
        Of the repeat.
    epoch_done : callable
        Told of each epoch.
    """

    ledger: Ledger
    journal: Journal
    epoch_done: Callable[[int], None]


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
    task : Task
        What is learned.
    """

    backend: Backend
    case: Case
    train_size: int
    ledger: Ledger
    min_window_s: float
    epoch_done: Callable[[int], None]
    stream: Streamed | None = None
    task: Task = CLASSIFICATION

    @property
    def score(self) -> Score:
        """What validations give."""
        return self.task.score

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


class Training(Course):
    """One trial of a network that a backend trains.

    Parameters
    ----------
    conditions : Conditions
        Under what it trains.
    trial : Trial
        What is known before; samples seen are added to its own.
    seed : int
        Decides the order of samples.
    build : callable
        Returns a new model.

    Attributes
    ----------
    model : TrainableModel or None
        Stays in memory between calls of `advance`, with the state of its optimiser.
    """

    def __init__(
        self,
        conditions: Conditions,
        trial: Trial,
        seed: int,
        build: Callable[[], TrainableModel],
    ) -> None:
        super().__init__(conditions.case, conditions.score, trial)
        self.model: TrainableModel | None = None
        self._spare: TrainableModel | None = None
        self._conditions = conditions
        self._seed = seed
        self._build = build

    def advance(self, target: int) -> Trial:
        """Train to `target` epochs, and validate; below those of the case, it can go on later."""
        if self.model is None:
            self.model = self._build()
        # Windows of streamed data are as short as their blocks: filling them would read ahead.
        conditions = self._conditions
        if self._spare is None and conditions.min_window_s and conditions.stream is None:
            with conditions.ledger.aside():
                self._spare = self._build()
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

    def is_kept(self, journal: Journal) -> bool:
        """Return False: the model of a paused trial is in memory alone."""
        return False

    def keep(self, journal: Journal) -> None:
        """Save the weights; whoever is tested needs no spare model."""
        assert self.model is not None
        self._spare = None
        journal.save_checkpoint(self.trial.index, self.model.get_weights())

    def take_up(self, journal: Journal) -> None:
        """Have the weights that `keep` saved."""
        self.model = self._build()
        self.model.set_weights(journal.load_checkpoint(self.trial.index))

    def test(self) -> float | None:
        """Return the score on the test split."""
        assert self.model is not None
        with self._conditions.ledger.phase("evaluate"):
            return self.score_of(self.model.evaluate("test"))

    def metrics(self) -> Mapping[str, float]:
        """Return what the task tells besides."""
        return further_metrics(self.model, self._conditions.task, "test")

    @property
    def native(self) -> object | None:
        """The framework's own model, if there is one."""
        return self.model.native() if isinstance(self.model, NativeModel) else None

    def close(self) -> None:
        """Free both models."""
        self.model = self._spare = None

    def order(self, epoch: int) -> Order:
        """Return the samples of an epoch in their order."""
        return sample_order(self._conditions.train_size, self._case.batch_size, self._seed, epoch)

    def end_window(self, window: Window) -> None:
        """Take down how often a window's epochs were trained in it."""
        self._passes = max(self._passes, window.passes)

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
