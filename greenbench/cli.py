"""The command line. Heavy imports wait until a command needs them."""

import json
import os
import shutil
import sys
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import click
from click.formatting import wrap_text

from greenbench import __version__, registry
from greenbench.cases import Case
from greenbench.errors import CaseFailedError, ConfigurationError, GreenbenchError
from greenbench.selection import Selection, parse_options, parse_pairs
from greenbench.settings import Settings

NARROWEST = 80

Command = TypeVar("Command", bound=Callable[..., Any])


class _Group(click.Group):
    """Turns greenbench's errors into one line and an exit code."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except GreenbenchError as error:
            click.echo(f"Error: {error}", err=True)
            ctx.exit(error.exit_code)


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="greenbench")
def cli() -> None:
    """Benchmark the energy of training: run cases, compare them, look at them in MLflow."""
    registry.load_plugins()


def main() -> None:
    """Run the command line."""
    cli()


@cli.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_command(as_json: bool) -> None:
    """List suites with their cases, parts, and plugins that failed."""
    listed = _listing()
    if as_json:
        click.echo(json.dumps(listed, indent=2))
        return
    for name, ids in listed["suites"].items():
        click.echo(f"suite {name}: {len(ids)} cases" if isinstance(ids, list) else f"suite {ids}")
        for case_id in ids if isinstance(ids, list) else ():
            click.echo(f"  {case_id}")
    click.echo()
    for kind, names in listed["parts"].items():
        click.echo(f"{kind}: {', '.join(names)}")
    for failure in listed["broken_plugins"]:
        click.echo(f"broken plugin {failure['name']} ({failure['target']}): {failure['error']}")


def _listing() -> dict[str, Any]:
    suites = {name: _case_ids(name) for name in registry.suites.names()}
    parts = {reg.kind: reg.names() for reg in registry.ALL if reg is not registry.suites}
    failures = [vars(failure) for failure in registry.load_plugins()]
    return {"suites": suites, "parts": parts, "broken_plugins": failures}


def _case_ids(suite: str) -> list[str] | str:
    try:
        return [case.id for case in registry.suites.get(suite)()]
    except Exception as error:
        return f"{suite} is broken: {type(error).__name__}: {error}"


def _selecting(command: Command) -> Command:
    options = [
        click.argument("suite", required=False),
        click.option("--strategy", "-s", multiple=True, help="Search strategy; repeatable."),
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
        click.option("--seed", type=int, help="Tells otherwise equal cases apart."),
        click.option("--set", "settings", multiple=True, help="Architecture option: name=value."),
        click.option("--data", multiple=True, help="Data set option: name=value."),
    ]
    for option in reversed(options):
        command = option(command)
    return command


def _selection(given: dict[str, Any]) -> Selection:
    budget_names = (
        "trials", "epochs", "batch_size", "repeats", "validate_every", "space", "seed",
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
        budget={name: given[name] for name in budget_names},
        architecture_options=parse_options(given["settings"], "--set"),
        dataset_options=parse_options(given["data"], "--data"),
    )


_including = click.option(
    "--include-disturbed", is_flag=True, help="Count samples that other processes disturbed."
)


@cli.command()
@_selecting
@click.option("--fresh", is_flag=True, help="Start over instead of resuming.")
@click.option("--carbon-intensity", type=float, help="Your own figure, in g CO2e/kWh.")
@click.option("--country", help="Country mix, by ISO code of three letters.")
@click.option("--threads", type=click.IntRange(min=1), help="CPU threads of a worker.")
@click.option("--trial-timeout", type=float, help="Seconds after which a trial is stopped.")
@click.option("--meter", help="Such as 'codecarbon,zeus': the first counts, others bear witness.")
@click.option(
    "--min-window", type=float, help="Seconds that training is repeated for inside its window."
)
@_including
def run(
    *,
    fresh: bool,
    carbon_intensity: float | None,
    country: str | None,
    threads: int | None,
    trial_timeout: float | None,
    meter: str | None,
    min_window: float | None,
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
    selection = _selection(given)
    settings = Settings.from_environment(
        os.environ,
        carbon_g_per_kwh=carbon_intensity,
        country=country,
        threads=threads,
        trial_timeout_s=trial_timeout,
        meter=meter,
        min_window_s=min_window,
    )
    failures = _run_cases(
        settings,
        selection.suite_name,
        selection.cases(),
        is_fresh=fresh,
        include_disturbed=include_disturbed,
    )
    sys.exit(max((error.exit_code for error in failures), default=0))


def _run_cases(
    settings: Settings,
    suite: str,
    cases: Sequence[Case],
    *,
    is_fresh: bool,
    include_disturbed: bool,
) -> list[GreenbenchError]:
    from greenbench.marks import mark_drift  # noqa: PLC0415
    from greenbench.progress import Progress  # noqa: PLC0415
    from greenbench.session import Session, check_completed  # noqa: PLC0415
    from greenbench.table import to_row  # noqa: PLC0415
    from greenbench.terminal import print_summary  # noqa: PLC0415

    rows, failures = [], []
    places = {case.id: place for place, case in enumerate(cases)}
    hopeless: set[Case] = set()
    try:
        with (
            Progress(cases) as progress,
            Session(settings, suite, cases, progress, is_fresh) as session,
        ):
            for case, repeat in session.repeats():
                if case in hopeless:
                    continue
                try:
                    result = session.run_repeat(case, repeat)
                    session.deliver(result)
                    rows.append(to_row(result))
                    check_completed(result)
                except GreenbenchError as error:
                    failures.append(error)
                    progress.notice(f"Error: {error}")
                    if isinstance(error, ConfigurationError):
                        # Another seed would not help, and one line says it.
                        hopeless.add(case)
                        progress.case_dropped(case)
            if all(isinstance(error, CaseFailedError) for error in failures):
                session.finish()
    except KeyboardInterrupt:
        click.echo("interrupted: finished trials are kept; the same command resumes", err=True)
        sys.exit(130)
    # They ran in random order.
    rows.sort(key=lambda row: places[row["case_id"]])
    for row in rows:
        mark_drift(row, session.idle_drift)
    print_summary(rows, include_disturbed=include_disturbed)
    if rows and not session.has_undelivered:
        click.echo(f"MLflow store: {_shown_uri(settings)}; look at it with `greenbench ui`")
    return failures


def _shown_uri(settings: Settings) -> str:
    from greenbench.tracking import redact  # noqa: PLC0415

    return redact(settings.tracking_uri)


@cli.command()
@click.argument("question", type=click.Choice(["returns"]), default="returns")
@click.option("--suite", help="Only results of this suite.")
@click.option("--all-sessions", is_flag=True, help="Not only the latest run of each suite.")
@click.option("--where", multiple=True, help="Only rows with column=value, such as host=….")
@_including
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def compare(
    *,
    question: str,
    suite: str | None,
    all_sessions: bool,
    where: tuple[str, ...],
    include_disturbed: bool,
    as_json: bool,
) -> None:
    """Answer a QUESTION from the store: returns (which size should I train?)."""
    from dataclasses import asdict  # noqa: PLC0415

    from greenbench.compare.returns import compare_returns  # noqa: PLC0415
    from greenbench.compare.rows import select  # noqa: PLC0415
    from greenbench.terminal import mark_lines, print_returns, provenance_lines  # noqa: PLC0415
    from greenbench.tracking import Store  # noqa: PLC0415

    settings = Settings.from_environment(os.environ)
    stored = Store.existing(settings.tracking_uri).read_rows(suite)
    rows = select(stored, parse_pairs(where, "--where"), only_latest=not all_sessions)
    found = compare_returns(rows, include_disturbed=include_disturbed)
    if not found:
        raise ConfigurationError(
            f"no family with two sizes or more among {len(rows)} results in "
            f"{_shown_uri(settings)}; run one with `greenbench run scaling`"
        )
    if as_json:
        answers = [{"sentence": r.sentence, **asdict(r)} for r in found]
        click.echo(json.dumps({"question": question, "answers": answers}, indent=2))
        return
    print_returns(found)
    for line in mark_lines(rows, include_disturbed=include_disturbed) + provenance_lines(rows):
        click.echo(line)


@cli.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def doctor(as_json: bool) -> None:
    """Say what this machine measures and what it estimates, and how to measure more."""
    from greenbench.doctor import examine  # noqa: PLC0415

    findings = examine(Settings.from_environment(os.environ))
    if as_json:
        click.echo(json.dumps(findings, indent=2))
        return
    width = max(shutil.get_terminal_size().columns, NARROWEST)
    for name, text in findings.items():
        for i, line in enumerate(text if isinstance(text, list) else [text]):
            label = f"{'' if i else name:<18}"
            # A command is for copying: it must stay on one line.
            is_command = line.startswith("$ ")
            click.echo(
                label + line if is_command else wrap_text(line, width, label, " " * len(label))
            )


@cli.command()
@click.option("--port", type=click.IntRange(1, 65535), help="Default: 5000, or a free one.")
def ui(port: int | None) -> None:
    """Start the MLflow UI on the store, on loopback, and print its address."""
    from greenbench.tracking import serve_ui  # noqa: PLC0415

    settings = Settings.from_environment(os.environ)
    sys.exit(serve_ui(settings.tracking_uri, port, click.echo))


@cli.command()
def sync() -> None:
    """Deliver results to MLflow that it could not take when they were made."""
    from greenbench.delivery import deliver_all  # noqa: PLC0415

    settings = Settings.from_environment(os.environ)
    delivered, errors = deliver_all(settings)
    for error in errors:
        click.echo(f"Error: {error}", err=True)
    click.echo(f"delivered {delivered} results to {_shown_uri(settings)}")
    sys.exit(max((error.exit_code for error in errors), default=0))
