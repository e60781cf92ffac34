"""The runner: asks, trains, measures and tells, for one repeat of one case."""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from greenbench import registry
from greenbench.architectures import Native, Spec, build_architecture
from greenbench.backends import Backend, BuildRequest, TrainableModel
from greenbench.backends.base import OutOfMemoryError, adam_options, sample_order
from greenbench.cases import Case
from greenbench.datasets import Dataset, LoadContext
from greenbench.energy.carbon import CarbonIntensity
from greenbench.energy.ledger import Ledger
from greenbench.energy.meter import Meter
from greenbench.errors import (
    DatasetError,
    GreenbenchError,
    SearchExhaustedError,
)
from greenbench.journal import Journal
from greenbench.results import (
    Account,
    CaseResult,
    Costs,
    Epoch,
    Trial,
    TrialStatus,
    find_incumbent,
)
from greenbench.strategies import Strategy

WARM_UP_BATCHES = 5
EVENT_INTERVAL_S = 1.0

Emit = Callable[[str, Mapping[str, Any]], None]


@dataclass(frozen=True)
class Bench:
    """What a runner works with; one a worker process.

    Attributes
    ----------
    backend : Backend
        Trains.
    meter : Meter
        Reads energy.
    intensity : CarbonIntensity
        Turns energy into emissions.
    environment : mapping
        Recorded with each result.
    data_dir : pathlib.Path
        Local image files.
    emit : callable
        Told of progress, outside measured windows where it can be.
    clock : callable
        Seconds since 1970-01-01 UTC.
    """

    backend: Backend
    meter: Meter
    intensity: CarbonIntensity
    environment: Mapping[str, str]
    data_dir: Path
    emit: Emit
    clock: Callable[[], float] = time.time


def run_repeat(bench: Bench, case: Case, repeat: int, suite: str, journal: Journal) -> CaseResult:
    """Run one repeat of a case, or what its journal says is left of it.

    Parameters
    ----------
    bench : Bench
        What to work with.
    case : Case
        The definition.
    repeat : int
        Which repeat, from 0.
    suite : str
        Recorded with the result.
    journal : Journal
        Finished trials are read from it and appended to it.

    Returns
    -------
    CaseResult
        Already in the journal.
    """
    state = journal.read()
    dataset = _load_dataset(case, repeat, bench.data_dir)
    bench.backend.load(dataset)
    architecture = build_architecture(
        case.architecture,
        dataset.image_shape,
        dataset.classes,
        size=case.size,
        options=dict(case.architecture_options),
    )
    parameters, train_flops = _warm_up(bench.backend, architecture, case, dataset)
    search = _Search(_Job(bench, case, repeat, journal, architecture, len(dataset.train)))
    journal.start(search.started_at)
    found = search.run(list(state.trials))
    result = CaseResult(
        case=case,
        repeat=repeat,
        suite=suite,
        trials=tuple(found.trials),
        test_accuracy=found.test_accuracy,
        account=found.account,
        costs=_costs(parameters, train_flops, found.trials),
        emissions=_emissions(found.account, bench.intensity),
        environment=bench.environment,
        dataset=_describe_dataset(dataset),
        wall_s=found.wall_s,
        interruptions=state.starts,
        started_at=state.started_at or search.started_at,
    )
    journal.finish(result)
    return result


@dataclass(frozen=True)
class _Job:
    """What a search is about."""

    bench: Bench
    case: Case
    repeat: int
    journal: Journal
    architecture: Spec | Native
    train_size: int


@dataclass(frozen=True)
class _Found:
    """What a search gave."""

    trials: list[Trial]
    test_accuracy: float | None
    account: Account
    wall_s: float


class _Search:
    """The loop of one repeat: ask, train, measure, tell."""

    def __init__(self, job: _Job) -> None:
        self._job = job
        self._bench = job.bench
        self._case = job.case
        self._ledger = Ledger(job.bench.meter)
        self._last_event_at = 0.0
        self.started_at = job.bench.clock()

    def run(self, trials: list[Trial]) -> _Found:
        strategy = self._replayed_strategy(trials)
        best = find_incumbent(trials)
        best_model: TrainableModel | None = None
        account = sum((trial.account for trial in trials), Account())
        opened_at = time.perf_counter() - account.total.duration_s
        self._ledger.open()
        try:
            for index in range(len(trials), self._case.trials):
                try:
                    trial, model = self._run_trial(strategy, index)
                except SearchExhaustedError:
                    break
                trials.append(trial)
                account += trial.account
                if find_incumbent(trials) is trial and model is not None:
                    best, best_model = trial, model
                    self._job.journal.save_checkpoint(model.get_weights())
                self._job.journal.add_trial(trial)
                self._told(trial)
                with self._ledger.phase("search"):
                    strategy.tell(dict(trial.hyperparameters), trial.val_accuracy)
            test_accuracy = self._test(best, best_model)
            account += self._ledger.take()
            return _Found(trials, test_accuracy, account, time.perf_counter() - opened_at)
        finally:
            self._ledger.close()

    def _replayed_strategy(self, trials: list[Trial]) -> Strategy:
        factory = registry.strategies.get(self._case.strategy)
        space = registry.spaces.get(self._case.space)
        seed = self._case.derive_seed(self._job.repeat, "strategy")
        strategy: Strategy = factory(space, trials=self._case.trials, seed=seed)
        for trial in trials:
            strategy.ask()
            strategy.tell(dict(trial.hyperparameters), trial.val_accuracy)
        return strategy

    def _run_trial(self, strategy: Strategy, index: int) -> tuple[Trial, TrainableModel | None]:
        started_at = self._bench.clock()
        with self._ledger.phase("search"):
            hyperparameters = strategy.ask()
        self._bench.emit("trial_started", {"index": index, "hyperparameters": hyperparameters})
        trial = Trial(index, hyperparameters, TrialStatus.COMPLETED, started_at=started_at)
        order_seed = self._case.derive_seed(self._job.repeat, "order", index)
        training = _Training(
            self._case, order_seed, self._job.train_size, self._ledger, self._epoch_done
        )
        model = None
        try:
            model = self._build(index, hyperparameters)
            trial = training.run(self._bench.backend, model, trial)
        except OutOfMemoryError as error:
            trial = training.failed(trial, TrialStatus.OUT_OF_MEMORY, error)
        except GreenbenchError:
            raise
        except Exception as error:
            trial = training.failed(trial, TrialStatus.FAILED, error)
        return replace(trial, account=self._ledger.take()), model

    def _build(self, index: int, hyperparameters: Mapping[str, float | int]) -> TrainableModel:
        seed = self._case.derive_seed(self._job.repeat, "trial", index)
        optimizer = adam_options(hyperparameters)
        return self._bench.backend.build(
            BuildRequest(self._job.architecture, optimizer, self._case.batch_size, seed)
        )

    def _test(self, best: Trial | None, model: TrainableModel | None) -> float | None:
        if best is None:
            return None
        if model is None:
            # The incumbent was trained before the repeat was interrupted.
            model = self._build(best.index, best.hyperparameters)
            model.set_weights(self._job.journal.load_checkpoint())
        with self._ledger.phase("evaluate"):
            return model.evaluate("test")

    def _epoch_done(self, epoch: int) -> None:
        now = time.monotonic()
        if now - self._last_event_at >= EVENT_INTERVAL_S:
            self._last_event_at = now
            self._bench.emit("epoch", {"epoch": epoch})

    def _told(self, trial: Trial) -> None:
        event = {
            "index": trial.index,
            "status": trial.status.value,
            "val_accuracy": trial.val_accuracy,
        }
        self._bench.emit("trial_finished", event)


class _Training:
    """One trial's epochs, and what is known of them if it breaks off."""

    def __init__(
        self,
        case: Case,
        seed: int,
        train_size: int,
        ledger: Ledger,
        epoch_done: Callable[[int], None],
    ) -> None:
        self._case = case
        self._seed = seed
        self._train_size = train_size
        self._ledger = ledger
        self._epoch_done = epoch_done
        self._epochs: list[Epoch] = []
        self._samples_seen = 0

    def run(self, backend: Backend, model: TrainableModel, trial: Trial) -> Trial:
        epochs = range(self._case.epochs)
        every = self._case.validate_every or self._case.epochs
        val_accuracy = None
        for first in epochs[::every]:
            with self._ledger.phase("train"):
                is_finite = self._train(model, epochs[first : first + every])
                backend.synchronize()
            if not is_finite:
                return self._finished(trial, TrialStatus.DIVERGED, "the loss is not finite")
            with self._ledger.phase("evaluate"):
                val_accuracy = model.evaluate("validation")
            self._epochs[-1] = replace(self._epochs[-1], val_accuracy=val_accuracy)
        return replace(
            self._finished(trial, TrialStatus.COMPLETED, None), val_accuracy=val_accuracy
        )

    def failed(self, trial: Trial, status: TrialStatus, error: Exception) -> Trial:
        text = " ".join(str(error).split()) or type(error).__name__
        return self._finished(trial, status, f"{type(error).__name__}: {text}")

    def _train(self, model: TrainableModel, epochs: range) -> bool:
        for epoch in epochs:
            order = sample_order(self._train_size, self._case.batch_size, self._seed, epoch)
            loss = model.train_epoch(order)
            self._samples_seen += len(order)
            is_finite = math.isfinite(loss)
            self._epochs.append(Epoch(epoch, loss if is_finite else None))
            if not is_finite:
                return False
            self._epoch_done(epoch)
        return True

    def _finished(self, trial: Trial, status: TrialStatus, error: str | None) -> Trial:
        return replace(
            trial,
            status=status,
            epochs=tuple(self._epochs),
            samples_seen=self._samples_seen,
            error=error,
        )


def _warm_up(
    backend: Backend, architecture: Spec | Native, case: Case, dataset: Dataset
) -> tuple[int, int]:
    """Train a throw-away model for a few batches, and count parameters and FLOPs."""
    model = backend.build(BuildRequest(architecture, batch_size=case.batch_size))
    order = sample_order(len(dataset.train), case.batch_size, seed=0, epoch=0)
    model.train_epoch(order[: WARM_UP_BATCHES * case.batch_size])
    model.evaluate("validation")
    flops = model.count_train_flops()
    backend.synchronize()
    return model.parameters, flops


def _load_dataset(case: Case, repeat: int, data_dir: Path) -> Dataset:
    load = registry.datasets.get(case.dataset)
    context = LoadContext(seed=case.derive_seed(repeat, "split"), data_dir=data_dir)
    options = dict(case.dataset_options)
    try:
        dataset: Dataset = load(context, **options)
    except TypeError as error:
        if "argument" not in str(error):
            raise
        raise DatasetError(f"dataset {case.dataset!r} does not take {options}: {error}") from error
    return dataset


def _describe_dataset(dataset: Dataset) -> dict[str, Any]:
    return {
        "name": dataset.name,
        "digest": dataset.digest,
        "source": dataset.source,
        "shape": list(dataset.image_shape),
        "classes": dataset.classes,
        "train": len(dataset.train),
        "validation": len(dataset.validation),
        "test": len(dataset.test),
    }


def _costs(parameters: int, train_flops: int, trials: Sequence[Trial]) -> Costs:
    samples = sum(trial.samples_seen for trial in trials)
    return Costs(
        parameters=parameters,
        train_flops_per_sample=train_flops,
        train_flops=train_flops * samples,
        samples_seen=samples,
        epochs=sum(len(trial.epochs) for trial in trials),
        trials=len(trials),
    )


def _emissions(account: Account, intensity: CarbonIntensity) -> dict[str, Any]:
    energy_j = account.total.energy_j
    return {
        "g_co2e": None if energy_j is None else intensity.emissions_g(energy_j),
        "intensity_g_per_kwh": intensity.g_per_kwh,
        "source": intensity.source,
    }
