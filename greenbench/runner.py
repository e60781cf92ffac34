"""The runner: asks, trains, measures and tells, for one repeat of one case."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from greenbench import registry
from greenbench.architectures import Native, Spec, build_architecture
from greenbench.backends import Backend, BuildRequest, TrainableModel
from greenbench.backends.base import OutOfMemoryError, adam_options
from greenbench.cases import Case
from greenbench.datasets import Dataset, LoadContext
from greenbench.energy.carbon import CarbonIntensity
from greenbench.energy.host import HostWatch, peak_memory_bytes, reset_peak_memory
from greenbench.energy.ledger import Ledger
from greenbench.energy.meter import Meter
from greenbench.energy.reconcile import reconcile
from greenbench.errors import (
    DatasetError,
    GreenbenchError,
    SearchExhaustedError,
)
from greenbench.journal import Journal
from greenbench.readings import Account
from greenbench.results import CaseResult, Costs, Reconciliation, Trial, TrialStatus, find_incumbent
from greenbench.strategies import Strategy
from greenbench.training import Conditions, Training, warm_up

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
    control : Meter
        Another meter of the same kind: reads one window around all of a repeat.
    intensity : CarbonIntensity
        Turns energy into emissions.
    environment : mapping
        Recorded with each result.
    data_dir : pathlib.Path
        Local image files.
    emit : callable
        Told of progress, outside measured windows where it can be.
    min_window_s : float
        Shortest training window; see `Conditions`.
    idle_w : mapping of str to float
        Idle power by component, where it was measured before the suite.
    clock : callable
        Seconds since 1970-01-01 UTC.
    """

    backend: Backend
    meter: Meter
    control: Meter
    intensity: CarbonIntensity
    environment: Mapping[str, str]
    data_dir: Path
    emit: Emit
    min_window_s: float = 0.0
    idle_w: Mapping[str, float] = field(default_factory=dict)
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
    parameters, train_flops = warm_up(bench.backend, architecture, case, dataset)
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
        reconciliation=found.reconciliation,
        idle_w=bench.idle_w,
        peak_memory_bytes=found.peak_memory_bytes,
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
    reconciliation: Reconciliation
    peak_memory_bytes: int | None


class _Search:
    """The loop of one repeat: ask, train, measure, tell."""

    def __init__(self, job: _Job) -> None:
        self._job = job
        self._bench = job.bench
        self._case = job.case
        self._ledger = Ledger(job.bench.meter, HostWatch())
        self._conditions = Conditions(
            job.bench.backend,
            job.case,
            job.train_size,
            self._ledger,
            job.bench.min_window_s,
            self._epoch_done,
        )
        self._last_event_at = 0.0
        self.started_at = job.bench.clock()

    def run(self, trials: list[Trial]) -> _Found:
        strategy = self._replayed_strategy(trials)
        account = sum((trial.account for trial in trials), Account())
        has_peak = reset_peak_memory()
        opened_at = time.perf_counter() - account.total.duration_s
        control = self._bench.control
        control.begin_window()
        try:
            self._ledger.open()
            try:
                test_accuracy = self._search(strategy, trials)
                account = sum((trial.account for trial in trials), Account())
                account += self._ledger.take()
            finally:
                self._ledger.close()
        finally:
            whole = control.end_window()
        return _Found(
            trials,
            test_accuracy,
            account,
            time.perf_counter() - opened_at,
            reconcile(self._ledger.measured, whole),
            peak_memory_bytes() if has_peak else None,
        )

    def _search(self, strategy: Strategy, trials: list[Trial]) -> float | None:
        """Run the trials that are left, appending each; return the incumbent's test accuracy."""
        best = find_incumbent(trials)
        best_model: TrainableModel | None = None
        for index in range(len(trials), self._case.trials):
            try:
                trial, model = self._run_trial(strategy, index)
            except SearchExhaustedError:
                break
            trials.append(trial)
            if find_incumbent(trials) is trial and model is not None:
                best, best_model = trial, model
                self._job.journal.save_checkpoint(model.get_weights())
            self._job.journal.add_trial(trial)
            self._told(trial)
            with self._ledger.phase("search"):
                strategy.tell(dict(trial.hyperparameters), trial.val_accuracy)
        return self._test(best, best_model)

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
        training = Training(self._conditions, order_seed)
        model = None
        try:
            trial, model = training.run(lambda: self._build(index, hyperparameters), trial)
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
