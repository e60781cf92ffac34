"""`greenbench.run`: cases from Python, in a script or a notebook, as the command runs them."""

import os
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from greenbench import registry
from greenbench.cases import Case
from greenbench.cases.spelling import spelled_once
from greenbench.errors import ConfigurationError, GreenbenchError, RunFailedError
from greenbench.integrations.results import Results
from greenbench.machine.surroundings import check_working_folder
from greenbench.results import CaseResult
from greenbench.running.parts import stop_import
from greenbench.running.repeats import outcomes
from greenbench.running.session import Session
from greenbench.selection import ADHOC_SUITE
from greenbench.settings import Settings, unread
from greenbench.terminal.progress import Progress

__all__ = ["Results", "run"]


def run(
    cases: Case | Iterable[Case],
    *further: Case,
    repeats: int | None = None,
    suite: str = ADHOC_SUITE,
    fresh: bool = False,
    resume_anyway: bool = False,
    progress: bool = False,
    tracking_uri: str | None = None,
    threads: int | None = None,
    meter: str | None = None,
    headline: str | None = None,
    carbon_intensity: float | None = None,
    country: str | None = None,
    trial_timeout: float | None = None,
    min_window: float | None = None,
    idle: float | None = None,
    cool_down: bool = False,
    keep_models: bool | None = None,
) -> Results:
    """Run cases as ``greenbench run`` does: in worker processes, one measurement at a time.

    What is interrupted, also by Ctrl+C or a notebook's stop button, is gone on with by the same
    call. Results are in MLflow, too. A script needs no ``if __name__ == "__main__"``: where it
    registers parts itself, workers run it up to this call.

    Parameters
    ----------
    cases : Case or iterable of Case
        What to run.
    *further : Case
        More of them.
    repeats : int, optional
        Of each case, instead of its own number.
    suite : str
        Under which results are kept.
    fresh : bool
        Whether to start over instead of resuming.
    resume_anyway : bool
        Whether to resume though code, data or settings have changed; results are marked.
    progress : bool
        Whether to show trials and the time left. What must be seen, such as a wait for the host
        lock, goes to standard error all the same.
    tracking_uri : str, optional
        MLflow store; default: ``MLFLOW_TRACKING_URI``, or ``mlruns/mlflow.db``.
    threads, meter, headline, carbon_intensity, country, trial_timeout, min_window, idle, \
    cool_down, keep_models
        As the command's options; unset ones are taken from the environment.

    Returns
    -------
    Results
        One `CaseResult` for each repeat.

    Raises
    ------
    GreenbenchError
        If something cannot work, before anything runs; or after all other cases have run, if one
        has failed.
    RunFailedError
        If one has failed, and others gave results.
    """
    stop_import()
    check_working_folder()
    if carbon_intensity is not None and country is not None:
        raise ConfigurationError("carbon_intensity and country contradict each other; choose one")
    if fresh and resume_anyway:
        raise ConfigurationError("fresh and resume_anyway contradict each other; choose one")
    settings = Settings.from_environment(
        os.environ,
        tracking_uri=tracking_uri,
        threads=threads,
        meter=meter,
        headline=headline,
        carbon_g_per_kwh=carbon_intensity,
        country=country,
        trial_timeout_s=trial_timeout,
        min_window_s=min_window,
        idle_s=idle,
        cool_down=cool_down,
        keep_models=keep_models,
    )
    registry.load_plugins()
    asked = _asked(cases, further, repeats, settings)
    listener = Progress(asked) if progress else _Quiet(asked)
    with listener:
        for line in unread(os.environ):
            listener.notice(line)
        return _run(Session(settings, suite, asked, listener, fresh, resume_anyway), listener)


class _Quiet(Progress):
    """Shows what the user must see, and no progress."""

    def __enter__(self) -> "_Quiet":
        return self

    def repeat_started(
        self, case: Case, repeat: int, done_trials: int, revision: str | None = None
    ) -> None:
        """Show nothing."""

    def event(self, kind: str, values: Mapping[str, Any]) -> None:
        """Show warnings alone."""
        if kind == "warning":
            super().event(kind, values)

    def repeat_finished(self, result: CaseResult | None) -> None:
        """Show nothing."""


def _asked(
    cases: Case | Iterable[Case], further: Iterable[Case], repeats: int | None, settings: Settings
) -> list[Case]:
    if isinstance(cases, str) or not isinstance(cases, Case | Iterable):
        cases = [cases]
    listed = [*([cases] if isinstance(cases, Case) else cases), *further]
    for case in listed:
        if not isinstance(case, Case):
            raise ConfigurationError(
                f"greenbench.run got {case!r}; expected greenbench.Case(...), or a list of them"
            )
    if repeats is not None:
        listed = [replace(case, repeats=repeats) for case in listed]
    return [spelled_once(case, settings.data_dir) for case in listed]


def _run(session: Session, listener: Progress) -> Results:
    results: list[CaseResult] = []
    errors: list[GreenbenchError] = []
    with session:
        for outcome in outcomes(session, listener):
            if isinstance(outcome, GreenbenchError):
                errors.append(outcome)
            else:
                results.append(outcome)
    # They ran in random order.
    places = {case.id: place for place, case in enumerate(session.cases)}
    results.sort(key=lambda result: (places[result.case.id], result.repeat))
    found = Results(results, session.idle_drift)
    if errors:
        raise (errors[0] if not results else RunFailedError(errors, found)).with_traceback(None)
    session.finish()
    return found
