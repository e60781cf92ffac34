"""Whether cases can work, before anything runs, and whether a repeat of one did."""

from collections.abc import Sequence

from greenbench import registry
from greenbench.architectures.base import check_arguments, check_data
from greenbench.backends.takes import check_case_taken
from greenbench.cases import Case
from greenbench.errors import CaseFailedError, ConfigurationError
from greenbench.results import CaseResult
from greenbench.schedulers import make_scheduler
from greenbench.search.configuration import configure, space_of
from greenbench.search.sharing import check_sharing
from greenbench.tasks import check_loss, find_task
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
        make_scheduler(case)
        if training := registry.training_of(case):
            check_fidelity(case, training)
        configure(case, {})
        if case.task is not None:
            check_loss(find_task(case.task), case.backend)
        check_arguments(case.architecture, case.size, dict(case.architecture_options))
        check_data(case.architecture, case.dataset)
        space_of(case)
        check_sharing(case)
        # A command says here what it lacks.
        registry.training_of(case)
        if case.id in seen:
            raise ConfigurationError(f"case {case.id} is listed twice; remove one of them")
        seen.add(case.id)
