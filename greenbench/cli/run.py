"""`greenbench run`: which cases, how, and what is said while they run."""

import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from greenbench.cases import Case
from greenbench.cli.clustered import cluster_of, on_cluster, session_of
from greenbench.cli.command import commanding, of_command
from greenbench.cli.metering import metering, settings_of
from greenbench.cli.output import interruptible, same_command, say, say_next
from greenbench.cli.parts import loading_parts
from greenbench.cli.reuse import check_reuse, reusing
from greenbench.cli.selecting import selecting, selection_of
from greenbench.cli.tables import including
from greenbench.cli.until import Rounds, Until, until_of, warn_of_seen
from greenbench.errors import CaseFailedError, ConfigurationError, GreenbenchError
from greenbench.settings import Settings

if TYPE_CHECKING:
    from greenbench.cluster.asked import Asked
    from greenbench.running.continuing import Continuation
    from greenbench.running.session import Session
    from greenbench.terminal.progress import Progress

CONTRADICTING = (
    ("carbon_intensity", "country"),
    ("fresh", "resume_anyway"),
    ("fresh", "continue_repeats"),
    ("repeats", "continue_repeats"),
    ("repeats", "until_decided"),
    ("continue_repeats", "until_decided"),
)
"""Options, by their names in Python, of which one is meant at most."""


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
@metering
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
    include_disturbed: bool,
    **given: Any,
) -> None:
    """Run a SUITE (default: ci), or a case by its parts; resumes what was interrupted.

    With a SUITE, parts select among its cases: `greenbench run ci -s bayesian`. Without,
    they make cases: `greenbench run -s bayesian -a simple_cnn.m -d mnist`.
    """
    options = click.get_current_context().params
    _check_contradictions(options)
    until = until_of(until_decided, max_wh, max_minutes)
    cluster = cluster_of(given, goes_on=until_decided or continue_repeats is not None)
    check_reuse(options)
    settings = settings_of(given)
    selections = of_command(selection_of(given, settings), given)
    failures = _run_cases(
        settings,
        selections[0].suite_name,
        [case for selection in selections for case in selection.cases()],
        _Way(
            is_fresh=fresh,
            may_mix=resume_anyway,
            reuses=reuse,
            more_repeats=continue_repeats,
            until=until,
            cluster=cluster,
            include_disturbed=include_disturbed,
        ),
    )
    sys.exit(max((error.exit_code for error in failures), default=0))


def _check_contradictions(options: Mapping[str, Any]) -> None:
    for pair in CONTRADICTING:
        if all(options[name] is not None and options[name] is not False for name in pair):
            one, other = (f"--{name.replace('_', '-')}" for name in pair)
            raise ConfigurationError(f"{one} and {other} contradict each other; choose one")


@dataclass(frozen=True)
class _Way:
    """How cases run.

    Attributes
    ----------
    is_fresh, may_mix, reuses : bool
        Whether they start over, go on though conditions have changed, take results over.
    more_repeats : int or None
        How many are added to a run that has ended; None for a run of its own.
    until : Until or None
        What repeats go on for; None if their number is fixed.
    cluster : Asked or None
        Where they run; None for this machine.
    include_disturbed : bool
        Whether disturbed samples count.
    """

    is_fresh: bool
    may_mix: bool
    reuses: bool
    more_repeats: int | None
    until: Until | None
    cluster: "Asked | None"
    include_disturbed: bool


def _run_cases(
    settings: Settings, suite: str, cases: Sequence[Case], way: _Way
) -> list[GreenbenchError]:
    """Run cases and print what came out; return what went wrong."""
    from greenbench.results.looks import UNTIL_DECIDED  # noqa: PLC0415
    from greenbench.terminal.progress import Progress  # noqa: PLC0415

    continued = _continued(settings, suite, cases, way)
    cases = continued.cases if continued else cases
    rounds = _rounds(cases, way)
    if rounds:
        warn_of_seen(settings.journal_dir, rounds.asked)
        cases = rounds.cases
    with interruptible(
        "interrupted: finished trials are kept; the same command resumes", same_command()
    ):
        with (
            Progress(cases, is_open=bool(rounds)) as progress,
            session_of(way.cluster)(
                settings,
                suite,
                cases,
                progress,
                way.is_fresh,
                way.may_mix,
                continues=continued,
                design=UNTIL_DECIDED if rounds else None,
                reuses=way.reuses,
            ) as session,
        ):
            rows, failures = (rounds.run if rounds else _run_repeats)(session, progress)
        _summary(session, cases, rows, include_disturbed=way.include_disturbed)
        if rounds:
            rounds.tell()
        if rows and not session.has_undelivered:
            _print_store(settings, suite)
        is_done = all(isinstance(error, CaseFailedError) for error in failures)
        may_go_on = rounds is not None and rounds.may_go_on
        if is_done and not may_go_on:
            session.finish()
    _say_next(session, rows, suite, way, is_done=is_done, may_go_on=may_go_on)
    return failures


def _rounds(cases: Sequence[Case], way: _Way) -> Rounds | None:
    """Return what runs the repeats, where they go on until it is known what is asked."""
    if way.until is None:
        return None
    from greenbench.running.case_checks import check_cases  # noqa: PLC0415

    check_cases(cases)
    return Rounds.of(way.until, cases, include_disturbed=way.include_disturbed)


def _continued(
    settings: Settings, suite: str, cases: Sequence[Case], way: _Way
) -> "Continuation | None":
    """Return the run that repeats are added to, if any are."""
    if way.more_repeats is None:
        return None
    from greenbench.running.case_checks import check_cases  # noqa: PLC0415
    from greenbench.running.continuing import find  # noqa: PLC0415

    check_cases(cases)
    return find(settings, suite, cases, way.more_repeats, may_mix=way.may_mix)


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


def _say_next(
    session: "Session",
    rows: list[dict[str, Any]],
    suite: str,
    way: _Way,
    *,
    is_done: bool,
    may_go_on: bool,
) -> None:
    """Say which command comes next, now that all repeats have run."""
    if not is_done:
        say_next(same_command(), "with what is said above mended")
    elif may_go_on:
        say_next(same_command(), "with a higher limit goes on from here")
    elif session.has_undelivered:
        say_next("greenbench sync", "when the store is back")
    elif rows:
        from greenbench.terminal.next_step import after_run  # noqa: PLC0415

        say_next(after_run(rows, suite, include_disturbed=way.include_disturbed))


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
