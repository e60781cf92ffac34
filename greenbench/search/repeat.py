"""The runner: one repeat of one case, from its data set to its result."""

from contextlib import suppress
from functools import partial
from typing import Any

from greenbench import registry
from greenbench.backends import Backend
from greenbench.backends.base import NotingBackend, ReplayingBackend
from greenbench.backends.process_state import seed_process
from greenbench.cases import Case
from greenbench.cases.case import SPLIT
from greenbench.energy.calibration import calibrate
from greenbench.energy.carbon import CarbonIntensity
from greenbench.energy.gpu_states import GpuWatch
from greenbench.errors import ArchitectureError, ChangedError, GreenbenchError
from greenbench.machine.secrets import redact
from greenbench.results import CaseResult, find_incumbent
from greenbench.results.account import Account
from greenbench.results.journal import Journal
from greenbench.search.basis import Basis, check_basis, data_basis
from greenbench.search.bench import Bench
from greenbench.search.lanes import Lanes
from greenbench.search.loading import load_own
from greenbench.search.own_subject import OwnSubject
from greenbench.search.search import Found, Job, Search
from greenbench.search.subject import Subject, load_subject
from greenbench.search.warming import ModelCosts


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
    state = journal.read()
    # For whatever draws without a seed of its own, such as a strategy.
    seed_process(case.derive_seed(repeat, "process"))
    subject = subject_of(bench, case, repeat)
    # Before anything is trained: a strategy may refuse its space.
    search = Search(Job(subject, journal))
    model = subject.warm_up()
    lanes = subject.lanes()
    bench.backend.synchronize()
    basis = _check_basis(subject, journal, model)
    started_at = bench.clock()
    journal.start(started_at, basis)
    watch = GpuWatch(bench.gpus, host_lock=bench.host_lock)
    found = search.run(state.history, lanes.count)
    gpus = watch.end()
    incumbent = find_incumbent(found.trials, subject.task.score)
    costs = subject.costs(model, found.trials, incumbent)
    _keep_if_intact(subject, journal)
    result = _result(
        subject,
        found,
        suite=suite,
        costs=costs,
        dataset=subject.describe(basis),
        interruptions=state.starts,
        started_at=state.started_at or started_at,
        prior=search.prior,
        gpus=gpus,
        compute_notes=_compute_notes(bench.backend, lanes),
        training_source=basis.get("training_source"),
        split_seed=_split_seed(bench, case, repeat),
    )
    # Before the result: whoever reads that finds the model, if there is one.
    _keep_model(bench, found, journal)
    journal.finish(result)
    return result


def subject_of(bench: Bench, case: Case, repeat: int) -> Subject:
    """Return what the trials of a repeat have in common, loaded and checked."""
    if training := registry.training_of(case):
        return OwnSubject(bench, case, repeat, training)
    return load_subject(bench, case, repeat)


def prepare(bench: Bench, case: Case, repeat: int) -> None:
    """Bring the device into the state that a repeat leaves it in, before idle power is measured.

    Its context is open then, the data are there, and it is warm. What fails is told when the
    repeat runs.
    """
    with suppress(Exception):
        # Here, not in a repeat, whose draws must not depend on how often it was warmed up.
        exercise = partial(calibrate, bench.counters, bench.habits) if bench.counters else None
        subject_of(bench, case, repeat).warm_up(exercise)


def _split_seed(bench: Bench, case: Case, repeat: int) -> int | None:
    """Return what the split and the order of samples were drawn by; None if nobody knows it."""
    # Replays draw neither, and what was taken up after a change may have drawn both otherwise.
    is_drawn = not bench.mixed and not isinstance(bench.backend, ReplayingBackend)
    return case.derive_seed(repeat, SPLIT) if is_drawn else None


def _keep_model(bench: Bench, found: Found, journal: Journal) -> None:
    if bench.keep is None or found.model is None:
        return
    try:
        bench.keep(found.model, journal.model)
    except GreenbenchError as error:
        # The result counts all the same.
        bench.emit("warning", {"message": f"{journal.path.stem}: {error}"})


def _keep_if_intact(subject: Subject, journal: Journal) -> None:
    try:
        subject.check_intact()
    except (ArchitectureError, ChangedError):
        journal.discard()
        raise


def _result(subject: Subject, found: Found, **known: Any) -> CaseResult:
    """Return what a search gave, and what is known of its repeat besides."""
    bench, task = subject.bench, subject.task
    return CaseResult(
        **known,
        case=subject.case,
        repeat=subject.repeat,
        task=task.name,
        score=task.score,
        metrics=found.metrics,
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
        control_j=bench.machine_state.energy_j if bench.machine_state else None,
        control_s=bench.machine_state.cpu_s if bench.machine_state else None,
        look=bench.look,
        design=bench.design,
        conditions=bench.conditions,
    )


def _compute_notes(backend: Backend, lanes: Lanes) -> tuple[str, ...]:
    notes = backend.notes if isinstance(backend, NotingBackend) else ()
    return tuple(redact(note) for note in (lanes.note, *notes) if note)


def data_of(bench: Bench, case: Case, repeat: int) -> Basis:
    """Return what a repeat's figures would rest on of its data; nothing if it cannot be loaded."""
    try:
        if training := registry.training_of(case):
            return OwnSubject(bench, case, repeat, training).basis()
        return data_basis(load_own(bench, case, repeat).dataset)
    except GreenbenchError:
        # Whoever runs it is told why.
        return {}


def _check_basis(subject: Subject, journal: Journal, model: ModelCosts) -> Basis:
    bench, case = subject.bench, subject.case
    basis = {
        **subject.basis(),
        "parameters": model.parameters,
        "train_flops_per_sample": model.train_flops_per_sample,
        "device": bench.environment.get("device"),
    }
    if bench.mixed:
        return basis
    return check_basis(case, journal, basis, subject.content_of)


def _emissions(account: Account, intensity: CarbonIntensity) -> dict[str, Any]:
    energy_j = account.total.energy_j
    return {
        "g_co2e": None if energy_j is None else intensity.emissions_g(energy_j),
        "intensity_g_per_kwh": intensity.g_per_kwh,
        "source": intensity.source,
    }
