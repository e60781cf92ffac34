"""`greenbench report`: everything in one HTML file."""

from pathlib import Path
from typing import Any

import click

from greenbench.cli.environment import read_settings
from greenbench.cli.output import say, say_next
from greenbench.cli.tables import Wanted, read_tables, selecting_rows, tolerating
from greenbench.errors import ConfigurationError


@click.command()
@selecting_rows
@click.option(
    "--output", "-o", type=click.Path(path_type=Path), help="Folder; default: mlruns/report."
)
@tolerating("is good enough")
@click.option("--no-log", is_flag=True, help="Do not log it to MLflow.")
def report(*, output: Path | None, tolerance: float, no_log: bool, **given: Any) -> None:
    """Write one HTML file with verdicts, figures and tables, and log it to MLflow.

    Of the store, or of FILES that `pytest --benchmark-json` wrote.
    """
    from greenbench.compare.samples import again_note, shared_note  # noqa: PLC0415
    from greenbench.reports import find, write_report  # noqa: PLC0415
    from greenbench.terminal import mark_lines, provenance_lines  # noqa: PLC0415
    from greenbench.tracking import Store  # noqa: PLC0415

    wanted = Wanted(**given)
    settings = read_settings()
    tables = read_tables(wanted, with_trials=True)
    if tables.is_foreign:
        raise ConfigurationError(
            f"{wanted.source}: a report needs results of greenbench; of a CSV, "
            "`greenbench compare` answers one question at a time"
        )
    uri, timeout_s = settings.tracking_uri, settings.store_timeout_s
    store = None if wanted.files else Store.existing(uri, timeout_s=timeout_s)
    environments = store.environments({str(row["host"]) for row in tables.rows}) if store else {}
    findings = find(
        tables.rows,
        tables.trials,
        environments,
        tolerance=tolerance,
        include_disturbed=wanted.include_disturbed,
    )
    notes = mark_lines(findings.rows, include_disturbed=wanted.include_disturbed)
    notes += provenance_lines(findings.rows)
    own = (again_note(findings.rows), shared_note(findings.rows))
    notes += [*tables.notes, *filter(None, own)]
    folder = output or settings.runs_dir / "report"
    written = write_report(findings, folder, notes)
    say(f"report: {folder / written[0]}")
    if store is not None and not no_log:
        say(f"in the UI (`greenbench ui`): {store.log_report(folder, written)}")
        say_next("greenbench ui")
