"""Batched training: several new trials as one vectorised model, in windows that they share."""

import math
import time
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from greenbench import registry
from greenbench.backends import Backend
from greenbench.backends.base import BatchingBackend, OutOfMemoryError, TrainableBatch
from greenbench.cases import Case
from greenbench.cases.case import AUTO
from greenbench.errors import ConfigurationError
from greenbench.results import TrialStatus, gain_of
from greenbench.search.configuration import beyond_optimizer
from greenbench.search.training import Conditions, Training

CPU_COST = "up to 2.8 times as much"
"""What the trial of a batch was seen to cost on CPUs, over one that is trained alone."""

NOT_LEARNING = ("grid", "grid_log", "random", "random_log", "sobol")
"""Built-in strategies that do not learn. Advice must not import all that do, to leave them out."""


class BatchTraining:
    """Trials that have not begun, trained equally far as one model.

    A lane that diverges ends, and its share of the model runs idle. What a lane is after the
    training, its `Training` says: it goes on alone.

    Parameters
    ----------
    conditions : Conditions
        Under what they train.
    lanes : sequence of Training
        The trials.
    """

    def __init__(self, conditions: Conditions, lanes: Sequence[Training]) -> None:
        self._conditions = conditions
        self._lanes = lanes

    def advance(self, build: Callable[[], TrainableBatch], target: int) -> None:
        """Train all to `target` epochs, and validate; `build` makes the model.

        Raises
        ------
        OutOfMemoryError
            Which says how many lanes shared the memory.
        """
        try:
            self._advance(build, target)
        except OutOfMemoryError as error:
            raise OutOfMemoryError(
                f"{error}; {len(self._lanes)} trials were trained as one: lower --batched-trials"
            ) from error

    def fail(self, status: TrialStatus, error: Exception) -> None:
        """End all trials as they were when `error` ended the model."""
        for lane in self._lanes:
            if lane.is_finite:
                lane.fail(status, error)
            else:
                lane.diverge()

    def _advance(self, build: Callable[[], TrainableBatch], target: int) -> None:
        batch = build()
        conditions = self._conditions
        spare = None
        if conditions.min_window_s:
            with conditions.ledger.aside():
                spare = build()
        scores: Sequence[float | None] = ()
        for epochs in conditions.intervals(0, target):
            running = self._running()
            with conditions.ledger.phase("train") as window:
                started_s = time.perf_counter()
                self._train(batch, epochs)
                conditions.backend.synchronize()
                if spare is not None and self._running():
                    conditions.fill(window, partial(self._pass, spare, epochs), started_s)
            for lane in running:
                lane.end_window(window)
            if not self._running():
                break
            with conditions.ledger.phase("evaluate"):
                scores = [lane.score_of(each) for lane, each in self._evaluated(batch)]
            for lane, score in zip(self._lanes, scores, strict=True):
                if lane.is_finite:
                    lane.validated(score)
        self._conclude(batch, scores)

    def _evaluated(self, batch: TrainableBatch) -> list[tuple[Training, float]]:
        return list(zip(self._lanes, batch.evaluate("validation").tolist(), strict=True))

    def _conclude(self, batch: TrainableBatch, scores: Sequence[float | None]) -> None:
        best = -math.inf
        for index, lane in enumerate(self._lanes):
            if not lane.is_finite:
                lane.diverge()
                continue
            trial = lane.conclude(scores[index])
            gain = gain_of(trial, self._conditions.score)
            # Of those that are at their end, others can neither go on nor be the incumbent.
            if trial.status is TrialStatus.STOPPED or gain > best:
                lane.model = batch.lane(index)
            best = max(best, gain)

    def _train(self, batch: TrainableBatch, epochs: range) -> None:
        for epoch in epochs:
            orders = self._orders(epoch)
            losses = batch.train_epoch(orders)
            for lane, loss in zip(self._lanes, losses.tolist(), strict=True):
                if lane.is_finite:
                    lane.epoch_trained(epoch, orders.shape[1], loss)
            if not self._running():
                return
            self._conditions.epoch_done(epoch)

    def _pass(self, spare: TrainableBatch, epochs: range) -> None:
        for epoch in epochs:
            spare.train_epoch(self._orders(epoch))

    def _orders(self, epoch: int) -> "np.ndarray[tuple[int, ...], np.dtype[np.int64]]":
        return np.stack([lane.order(epoch) for lane in self._lanes])

    def _running(self) -> list[Training]:
        return [lane for lane in self._lanes if lane.is_finite]


def check_batching(case: Case, backend: Backend) -> None:
    """Check whether a case's trials can be trained in batches, and should be on this device.

    Parameters
    ----------
    case : Case
        Whose trials.
    backend : Backend
        What would train them.

    Raises
    ------
    ConfigurationError
        If the strategy may learn, if the backend cannot batch, or not with such options, or
        if it would cost more energy here.
    """
    if case.batched_trials in {1, AUTO}:
        return
    if obstacle := obstacle_to_batching(case, backend):
        raise ConfigurationError(
            f"batched_trials is {case.batched_trials}, but {'; '.join(obstacle)}, or leave "
            "--batched-trials out"
        )


def obstacle_to_batching(case: Case, backend: Backend) -> tuple[str, str] | None:
    """Return what is against training trials in batches, and what to do; None if nothing is."""
    options = [name for name, _ in case.backend_options if name != "cuda_graphs"]
    if getattr(registry.strategies.get(case.proposer), "learns", True):
        return (
            f"strategy {case.proposer!r} may learn from one trial to the next",
            f"choose one that does not ({', '.join(NOT_LEARNING)})",
        )
    if not isinstance(backend, BatchingBackend):
        return f"backend {case.backend!r} cannot train several models as one", "choose torch"
    if options:
        return (
            f"batches do not take backend options ({', '.join(options)})",
            "leave --compute out",
        )
    if varied := beyond_optimizer(case):
        return (
            f"space {case.space!r} varies {', '.join(varied)}, which trials of a batch share",
            "search options of the optimiser alone",
        )
    if not backend.batches_pay:
        return f"batched trials lose on a CPU, where they cost {CPU_COST}", "use a GPU"
    return None
