"""`greenbench run`: which cases, how, and what is said while they run."""

import os
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

import click

from greenbench import registry
from greenbench.cases import Case, freeze_options
from greenbench.cases.case import AUTO
from greenbench.cli.clustered import cluster_of, on_cluster, session_of
from greenbench.cli.command import commanding, of_command
from greenbench.cli.output import same_command, say, say_next
from greenbench.cli.parts import loading_parts
from greenbench.cli.reuse import check_reuse, reusing
from greenbench.cli.tables import including
from greenbench.cli.until import Rounds, Until, until_of, warn_of_seen
from greenbench.errors import CaseFailedError, ConfigurationError, GreenbenchError
from greenbench.selection import Selection, parse_options
from greenbench.settings import Scope, Settings

if TYPE_CHECKING:
    from greenbench.cluster.asked import Asked
    from greenbench.running.continuing import Continuation
    from greenbench.running.session import Session
    from greenbench.terminal.progress import Progress

Command = TypeVar("Command", bound=Callable[..., Any])


def _read_lanes(text: str | None) -> int | str | None:
    if text is None or text == AUTO:
        return text
    try:
        return int(text)
    except ValueError:
        raise ConfigurationError(
            f"--batched-trials is {text!r}; expected a whole number above 0, or {AUTO}"
        ) from None


def selecting(command: Command) -> Command:
    """Add the options that say which cases are meant."""
    options = [
        click.argument("suite", required=False),
        click.option("--strategy", "-s", multiple=True, help="Such as bayesian, or bayesian+asha."),
        click.option(
            "--architecture", "-a", multiple=True, help="With or without size: simple_cnn.m."
        ),
        click.option("--backend", "-b", multiple=True, help="Framework; repeatable."),
        click.option("--dataset", "-d", multiple=True, help="Data set; repeatable."),
        click.option("--case", "pattern", help="Glob on case ids: 'bayesian-*-torch-*'."),
        click.option("--trials", type=int, help="Configurations to try in a search."),
        click.option("--epochs", type=int, help="Epochs of a trial."),
        click.option("--batch-size", type=int, help="Samples a step."),
        click.option("--repeats", type=int, help="Times that a case runs, with other seeds."),
        click.option("--validate-every", type=int, help="Epochs between validations."),
        click.option("--space", help="Search space."),
        click.option("--reevaluate", type=int, help="Best ones to train again with new seeds."),
        click.option("--seed", type=int, help="Tells otherwise equal cases apart."),
        click.option("--threads", type=int, help="CPU threads; default: physical cores."),
        click.option("--devices", type=int, help="GPUs, or processes, that share a training."),
        click.option(
            "--batched-trials",
            callback=lambda *given: _read_lanes(given[-1]),
            help="Trials trained as one model, on a GPU, or auto.",
        ),
        click.option("--task", help="What is learned; default: what the data set is for."),
        click.option("--optimizer", help="Such as sgd; default: adam."),
        click.option("--optimizer-option", multiple=True, help="Option of it: name=value."),
        click.option("--schedule", help="Of the learning rate, such as cosine."),
        click.option("--schedule-option", multiple=True, help="Option of it: name=value."),
        click.option("--compute", multiple=True, help="Backend option: name=value."),
        click.option("--set", "settings", multiple=True, help="Architecture option: name=value."),
        click.option("--data", multiple=True, help="Data set option: name=value."),
    ]
    for option in reversed(options):
        command = option(command)
    return command


def selection_of(given: dict[str, Any], settings: Settings) -> Selection:
    """Return what the options of `selecting` ask for."""
    budget_names = (
        "trials", "epochs", "batch_size", "repeats", "validate_every", "space", "seed",
        "reevaluate", "threads", "batched_trials", "task", "devices",
    )  # fmt: skip
    if given["space"] is not None:
        registry.spaces.check(given["space"])
    return Selection(
        suite=given["suite"],
        strategies=given["strategy"],
        networks=given["architecture"],
        backends=given["backend"],
        datasets=given["dataset"],
        pattern=given["pattern"],
        budget={name: given[name] for name in budget_names}
        | {"backend_options": freeze_options(parse_options(given["compute"], "--compute")) or None}
        | _part(given, "optimizer")
        | _part(given, "schedule"),
        architecture_options=parse_options(given["settings"], "--set"),
        dataset_options=parse_options(given["data"], "--data"),
        data_dir=settings.data_dir,
    )


def _part(given: dict[str, Any], field: str) -> dict[str, Any]:
    """Return a part of all cases with its options; those of another are not meant for it."""
    flag = f"--{field}-option"
    options = freeze_options(parse_options(given[f"{field}_option"], flag))
    has_any = options or given[field] is not None
    return {field: given[field], f"{field}_options": options if has_any else None}


@click.command()
@loading_parts
@selecting
@commanding
@click.option("--fresh", is_flag=True, help="Start over instead of resuming.")
@reusing
@click.option(
    "--resume-anyway",
    is_flag=True,
    help="Resume though code, data or settings have changed; results are marked as mixed.",
)
@click.option(
    "--continue-repeats",
    type=int,
    metavar="N",
    help="Add N repeats with new seeds to the last finished run of the same cases.",
)
@click.option(
    "--until-decided",
    is_flag=True,
    help="Repeat until the best size or strategy is known; leave out what is not.",
)
@click.option("--max-wh", type=float, metavar="WH", help="Energy that may take, in all.")
@click.option("--max-minutes", type=float, metavar="MINUTES", help="Time that may take, in all.")
@click.option("--carbon-intensity", type=float, help="Your own figure, in g CO2e/kWh.")
@click.option("--country", help="Country mix, by ISO code of three letters.")
@click.option("--trial-timeout", type=float, help="Seconds after which a trial is stopped.")
@click.option("--meter", help="Such as 'codecarbon,zeus': the first counts, others bear witness.")
@click.option("--headline", metavar="SCOPE", help=f"What counts: {', '.join(Scope)}.")
@click.option(
    "--min-window", type=float, help="Seconds that training is repeated for inside its window."
)
@click.option(
    "--idle",
    type=float,
    metavar="SECONDS",
    help="For how long idle power is measured before and after; 0 leaves it out; default: 3.",
)
@click.option(
    "--cool-down",
    is_flag=True,
    help="Before each repeat, wait until the GPU is as cool as before the first one.",
)
@click.option(
    "--keep-models",
    is_flag=True,
    default=None,
    help="Log each search's best model to MLflow; takes seconds a repeat, and its size.",
)
@on_cluster
@including
def run(
    *,
    fresh: bool,
    reuse: bool,
    resume_anyway: bool,
    continue_repeats: int | None,
    until_decided: bool,
    max_wh: float | None,
    max_minutes: float | None,
    carbon_intensity: float | None,
    country: str | None,
    trial_timeout: float | None,
    meter: str | None,
    headline: str | None,
    min_window: float | None,
    idle: float | None,
    cool_down: bool,
    keep_models: bool | None,
    include_disturbed: bool,
    **given: Any,
) -> None:
    """Run a SUITE (default: ci), or a case by its parts; resumes what was interrupted.

    With a SUITE, parts select among its cases: `greenbench run ci -s bayesian`. Without,
    they make cases: `greenbench run -s bayesian -a simple_cnn.m -d mnist`.
    """
    if carbon_intensity is not None and country is not None:
        raise ConfigurationError(
            "--carbon-intensity and --country contradict each other; choose one"
        )
    if fresh and resume_anyway:
        raise ConfigurationError("--fresh and --resume-anyway contradict each other; choose one")
    for name, is_given in (("--fresh", fresh), ("--repeats", given["repeats"] is not None)):
        if is_given and continue_repeats is not None:
            raise ConfigurationError(
                f"{name} and --continue-repeats contradict each other; choose one"
            )
    until = until_of(
        until_decided,
        max_wh,
        max_minutes,
        repeats=given["repeats"],
        continue_repeats=continue_repeats,
    )
    goes_on = until_decided or continue_repeats is not None
    cluster = cluster_of(given, goes_on=goes_on)
    check_reuse(click.get_current_context().params)
    settings = Settings.from_environment(
        os.environ,
        carbon_g_per_kwh=carbon_intensity,
        country=country,
        trial_timeout_s=trial_timeout,
        meter=meter,
        headline=headline,
        min_window_s=min_window,
        idle_s=idle,
        cool_down=cool_down,
        keep_models=keep_models,
    )
    selections = of_command(selection_of(given, settings), given)
    failures = _run_cases(
        settings,
        selections[0].suite_name,
        [case for selection in selections for case in selection.cases()],
        is_fresh=fresh,
        may_mix=resume_anyway,
        more_repeats=continue_repeats,
        include_disturbed=include_disturbed,
        until=until,
        cluster=cluster,
        reuses=reuse,
    )
    sys.exit(max((error.exit_code for error in failures), default=0))


def _run_cases(
    settings: Settings,
    suite: str,
    cases: Sequence[Case],
    *,
    is_fresh: bool,
    may_mix: bool,
    more_repeats: int | None,
    include_disturbed: bool,
    until: Until | None = None,
    cluster: "Asked | None" = None,
    reuses: bool = False,
) -> list[GreenbenchError]:
    """Run cases and print what came out; return what went wrong."""
    from greenbench.results.looks import UNTIL_DECIDED  # noqa: PLC0415
    from greenbench.terminal.progress import Progress  # noqa: PLC0415

    continued = _continued(settings, suite, cases, more_repeats, may_mix=may_mix)
    cases = continued.cases if continued else cases
    rounds = _rounds(until, cases, include_disturbed=include_disturbed)
    if rounds:
        warn_of_seen(settings.journal_dir, rounds.asked)
    cases = rounds.cases if rounds else cases
    try:
        with (
            Progress(cases, is_open=bool(rounds)) as progress,
            session_of(cluster)(
                settings,
                suite,
                cases,
                progress,
                is_fresh,
                may_mix,
                continues=continued,
                design=UNTIL_DECIDED if rounds else None,
                reuses=reuses,
            ) as session,
        ):
            rows, failures = (rounds.run if rounds else _run_repeats)(session, progress)
        _summary(session, cases, rows, include_disturbed=include_disturbed)
        if rounds:
            rounds.tell()
        if rows and not session.has_undelivered:
            _print_store(settings, suite)
        is_done = all(isinstance(error, CaseFailedError) for error in failures)
        may_go_on = rounds is not None and rounds.may_go_on
        if is_done and not may_go_on:
            session.finish()
    except KeyboardInterrupt:
        say("interrupted: finished trials are kept; the same command resumes", err=True)
        say_next(same_command())
        sys.exit(130)
    if not is_done:
        say_next(same_command(), "with what is said above mended")
    elif may_go_on:
        say_next(same_command(), "with a higher limit goes on from here")
    elif session.has_undelivered:
        say_next("greenbench sync", "when the store is back")
    elif rows:
        from greenbench.terminal.next_step import after_run  # noqa: PLC0415

        say_next(after_run(rows, suite, include_disturbed=include_disturbed))
    return failures


def _rounds(
    until: Until | None, cases: Sequence[Case], *, include_disturbed: bool
) -> Rounds | None:
    """Return what runs the repeats, where they go on until it is known what is asked."""
    if until is None:
        return None
    from greenbench.running.case_checks import check_cases  # noqa: PLC0415

    check_cases(cases)
    return Rounds.of(until, cases, include_disturbed=include_disturbed)


def _continued(
    settings: Settings,
    suite: str,
    cases: Sequence[Case],
    more_repeats: int | None,
    *,
    may_mix: bool,
) -> "Continuation | None":
    """Return the run that repeats are added to, if any are."""
    if more_repeats is None:
        return None
    from greenbench.running.case_checks import check_cases  # noqa: PLC0415
    from greenbench.running.continuing import find  # noqa: PLC0415

    check_cases(cases)
    return find(settings, suite, cases, more_repeats, may_mix=may_mix)


def _summary(
    session: "Session",
    cases: Sequence[Case],
    rows: list[dict[str, Any]],
    *,
    include_disturbed: bool,
) -> None:
    """Print what came out, in the order of the cases."""
    from greenbench.results.heat import mark_hot  # noqa: PLC0415
    from greenbench.results.marks import mark_drift  # noqa: PLC0415

    # SciPy, which it needs, would keep the first trial waiting.
    from greenbench.terminal import print_summary  # noqa: PLC0415

    # They ran in random order.
    places = {case.id: place for place, case in enumerate(cases)}
    rows.sort(key=lambda row: places[row["case_id"]])
    for row in rows:
        mark_drift(row, session.drift_of(row))
    mark_hot(rows)
    print_summary(rows, include_disturbed=include_disturbed)


def _run_repeats(
    session: "Session", progress: "Progress"
) -> tuple[list[dict[str, Any]], list[GreenbenchError]]:
    """Run and deliver all repeats; return their rows, and what went wrong, which is said at once.

    Results, with all their trials, would fill the memory of a long run.
    """
    from greenbench.results.table import to_row  # noqa: PLC0415
    from greenbench.running.repeats import outcomes  # noqa: PLC0415

    rows: list[dict[str, Any]] = []
    failures: list[GreenbenchError] = []
    for outcome in outcomes(session, progress):
        if isinstance(outcome, GreenbenchError):
            failures.append(outcome)
        else:
            rows.append(to_row(outcome))
    return rows, failures


def _print_store(settings: Settings, suite: str) -> None:
    say(f"MLflow store: {settings.tracking_uri}; look at it with `greenbench ui`")
    if charts := _charts_url(settings, suite):
        say(f"charts, in that UI: {charts}")


def _charts_url(settings: Settings, suite: str) -> str | None:
    from greenbench.tracking import Store  # noqa: PLC0415

    # Charts are an extra: a run that is complete must not fail for them.
    with suppress(GreenbenchError):
        store = Store.existing(settings.tracking_uri, timeout_s=settings.store_timeout_s)
        return store.charts_url(suite)
    return None
