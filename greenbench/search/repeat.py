"""The runner: one repeat of one case, from its data set to its result."""

import inspect
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from functools import partial
from typing import Any

from greenbench import registry
from greenbench.architectures import Native, Spec, build_architecture
from greenbench.backends import Backend, ReplayingBackend
from greenbench.backends.base import NotingBackend
from greenbench.backends.process_state import seed_process, state_kept
from greenbench.cases import Case
from greenbench.datasets import Dataset, LoadContext
from greenbench.energy.carbon import CarbonIntensity
from greenbench.energy.gpu_states import GpuWatch
from greenbench.errors import ArchitectureError, DatasetError, GreenbenchError
from greenbench.machine.places import at, calling
from greenbench.machine.secrets import redact
from greenbench.results import CaseResult, Costs, Trial
from greenbench.results.account import Account
from greenbench.results.journal import Journal
from greenbench.search.basis import Basis, check_basis, data_basis
from greenbench.search.batch_training import check_batching
from greenbench.search.bench import Bench
from greenbench.search.intact import Intact
from greenbench.search.lanes import Lanes, choose_lanes
from greenbench.search.search import Found, Job, Search
from greenbench.search.training import ModelCosts, warm_up


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

    Raises
    ------
    ChangedError
        If it would rest on something else than the case's repeats so far.
    """
    check_batching(case, bench.backend)
    state = journal.read()
    # For whatever draws without a seed of its own, such as a strategy.
    seed_process(case.derive_seed(repeat, "process"))
    dataset = _load_dataset(bench, case, repeat)
    bench.backend.load(dataset)
    intact = Intact(bench.backend, dataset)
    architecture = _build_architecture(case, dataset)
    # Before anything is trained: a strategy may refuse its space.
    search = Search(Job(bench, case, repeat, journal, architecture, len(dataset.train)))
    model = warm_up(bench.backend, architecture, case, dataset)
    lanes = choose_lanes(
        bench.backend,
        architecture,
        case,
        len(dataset.train),
        has_spare=bench.min_window_s > 0,
    )
    bench.backend.synchronize()
    basis = _check_basis(bench, case, journal, {**data_basis(dataset), **_model_basis(model)})
    started_at = bench.clock()
    journal.start(started_at, basis)
    watch = GpuWatch(bench.gpus)
    found = search.run(state.history, lanes.count)
    gpus = watch.end()
    _keep_if_intact(intact, case, journal)
    result = _result(
        bench,
        found,
        case=case,
        repeat=repeat,
        suite=suite,
        costs=_costs(model, found.trials),
        dataset=_describe_dataset(dataset, basis),
        interruptions=state.starts,
        started_at=state.started_at or started_at,
        prior=search.prior,
        gpus=gpus,
        compute_notes=_compute_notes(bench.backend, lanes),
    )
    journal.finish(result)
    return result


def prepare(bench: Bench, case: Case, repeat: int) -> None:
    """Bring the device into the state that a repeat leaves it in, before idle power is measured.

    Its context is open then, the data are there, and it is warm. What fails is told when the
    repeat runs.
    """
    with suppress(Exception):
        check_batching(case, bench.backend)
        dataset = _load_dataset(bench, case, repeat)
        bench.backend.load(dataset)
        warm_up(bench.backend, _build_architecture(case, dataset), case, dataset)


def _keep_if_intact(intact: Intact, case: Case, journal: Journal) -> None:
    try:
        intact.check(case.architecture)
    except ArchitectureError:
        journal.discard()
        raise


def _result(bench: Bench, found: Found, **known: Any) -> CaseResult:
    """Return what a search gave, and what is known of its repeat besides."""
    return CaseResult(
        **known,
        trials=tuple(found.trials),
        test_score=found.test_score,
        account=found.account,
        emissions=_emissions(found.account, bench.intensity),
        environment=bench.environment,
        wall_s=found.wall_s,
        reconciliation=found.reconciliation,
        idle_w=bench.idle_w,
        peak_memory_bytes=found.peak_memory_bytes,
        mixed=tuple(bench.mixed),
    )


def _compute_notes(backend: Backend, lanes: Lanes) -> tuple[str, ...]:
    notes = backend.notes if isinstance(backend, NotingBackend) else ()
    return tuple(redact(note) for note in (lanes.note, *notes) if note)


def _build_architecture(case: Case, dataset: Dataset) -> Spec | Native:
    with state_kept(f"architecture {case.architecture!r}"):
        return build_architecture(
            case.architecture,
            dataset.image_shape,
            dataset.classes,
            size=case.size,
            options=dict(case.architecture_options),
        )


def data_of(bench: Bench, case: Case, repeat: int) -> Basis:
    """Return what a repeat's figures would rest on of its data; nothing if it cannot be loaded."""
    try:
        return data_basis(_load_dataset(bench, case, repeat))
    except GreenbenchError:
        # Whoever runs it is told why.
        return {}


def _model_basis(model: ModelCosts) -> Basis:
    return {
        "parameters": model.parameters,
        "train_flops_per_sample": model.train_flops_per_sample,
    }


def _check_basis(bench: Bench, case: Case, journal: Journal, figures: Basis) -> Basis:
    basis = {**figures, "device": bench.environment.get("device")}
    if bench.mixed:
        return basis
    return check_basis(case, journal, basis, partial(_load_dataset, bench, case))


def _load_dataset(bench: Bench, case: Case, repeat: int) -> Dataset:
    if isinstance(bench.backend, ReplayingBackend):
        return bench.backend.open(case)
    load = registry.datasets.get(case.dataset)
    context = LoadContext(seed=case.derive_seed(repeat, "split"), data_dir=bench.data_dir)
    options = dict(case.dataset_options)
    name = f"dataset {case.dataset!r}"
    try:
        inspect.signature(load).bind(context, **options)
    except TypeError as error:
        raise DatasetError(f"{name} does not take {options}: {error}{at(load)}") from error
    with calling(name, load, DatasetError), state_kept(name):
        dataset: Dataset = load(context, **options)
    if not isinstance(dataset, Dataset):
        raise DatasetError(
            f"{name} returned {type(dataset).__name__}; expected a Dataset{at(load)}"
        )
    try:
        dataset.check()
    except DatasetError as error:
        raise DatasetError(f"{error}{at(load)}") from error
    return dataset


def _describe_dataset(dataset: Dataset, basis: Basis) -> dict[str, Any]:
    return {
        "name": dataset.name,
        "digest": dataset.digest,
        "content": basis["content"],
        "source": redact(dataset.source),
        "shape": list(dataset.input_shape),
        "classes": dataset.classes,
        "train": len(dataset.train),
        "validation": len(dataset.validation),
        "test": len(dataset.test),
        "notes": [redact(note) for note in dataset.notes],
    }


def _costs(model: ModelCosts, trials: Sequence[Trial]) -> Costs:
    samples = sum(trial.samples_seen for trial in trials)
    flops = model.train_flops_per_sample
    return Costs(
        **asdict(model),
        train_flops=None if flops is None else flops * samples,
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
