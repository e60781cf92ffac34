"""Whether cases can work, before anything runs, and whether a repeat of one did."""

from collections.abc import Sequence
from pathlib import Path

from greenbench import registry
from greenbench.architectures.base import check_arguments, check_data, check_outputs
from greenbench.backends.known import check_native, check_optimizer, check_options
from greenbench.backends.takes import check_case_taken
from greenbench.cases import Case
from greenbench.datasets import LoadContext, loaders
from greenbench.datasets.loaders import held_by
from greenbench.errors import CaseFailedError, ConfigurationError
from greenbench.results import CaseResult
from greenbench.results.marks import REPLAYING
from greenbench.schedulers import make_scheduler
from greenbench.search.configuration import configure, first_values, space_of
from greenbench.search.sharing import check_sharing
from greenbench.tasks import check_loss, find_task
from greenbench.tasks.known import check_targets
from greenbench.trainings import check_fidelity


def check_completed(result: CaseResult) -> None:
    """Raise `CaseFailedError` if no trial of a repeat completed, with the reasons."""
    if result.incumbent is None:
        reasons = sorted({trial.error for trial in result.trials if trial.error})
        raise CaseFailedError(
            f"{result.case.id}: no trial of repeat {result.repeat} completed: {'; '.join(reasons)}"
        )


def check_cases(cases: Sequence[Case]) -> None:
    """Raise `ConfigurationError` if there are no cases, one cannot work, or an id repeats."""
    if not cases:
        raise ConfigurationError("no case selected; `greenbench list` shows all")
    seen: set[str] = set()
    for case in cases:
        registry.check_case(case)
        check_case_taken(case)
        _check_backend(case)
        make_scheduler(case)
        if training := registry.training_of(case):
            check_fidelity(case, training)
        configure(case, {})
        if case.task is not None:
            check_loss(find_task(case.task), case.backend)
        check_arguments(case.architecture, case.size, dict(case.architecture_options))
        space_of(case)
        if case.backend != registry.OWN:
            _check_data(case)
            _check_network(case)
        check_sharing(case)
        # A command says here what it lacks.
        registry.training_of(case)
        if case.id in seen:
            raise ConfigurationError(f"case {case.id} is listed twice; remove one of them")
        seen.add(case.id)


def check_loading(cases: Sequence[Case], data_dir: Path) -> None:
    """Refuse data of which their loaders say that they cannot be loaded on this machine.

    Parameters
    ----------
    cases : sequence of Case
        Which `check_cases` does not refuse.
    data_dir : pathlib.Path
        Folder with local files.
    """
    for case in cases:
        if case.backend != registry.OWN and not _is_replayed(case):
            options = configure(case, first_values(case)).dataset_options
            loaders.check_values(case.dataset, LoadContext(case.seed, data_dir), options)


def _check_backend(case: Case) -> None:
    """Refuse what a backend of ours is known not to train; its framework is not imported."""
    if case.backend in (registry.OWN, *REPLAYING) or registry.backends.place(case.backend):
        return
    check_options(case.backend, dict(case.backend_options))
    check_optimizer(case.backend, case.optimizer)
    written_for = getattr(registry.architectures.get(case.architecture), "native_backend", None)
    if written_for:
        check_native(case.backend, case.architecture, written_for)


def _check_network(case: Case) -> None:
    """Refuse a network that is known not to learn a case's task or data."""
    check_data(case.architecture, case.dataset)
    if task := case.task or held_by(case.dataset).task:
        check_outputs(case.architecture, task)


def _check_data(case: Case) -> None:
    """Refuse data without targets for a case's task, and options that their loader lacks."""
    if case.task is not None:
        check_targets(case.task, case.dataset)
    if not _is_replayed(case):
        load = registry.datasets.get(case.dataset)
        loaders.check_options(
            case.dataset, load, configure(case, first_values(case)).dataset_options
        )


def _is_replayed(case: Case) -> bool:
    """Return whether nothing is loaded and trained; torch is not imported to know it."""
    return case.backend in REPLAYING or hasattr(registry.backends.loaded(case.backend), "open")
