"""The command line. Heavy imports wait until a command needs them."""

import os
import sys
from pathlib import Path
from typing import Any

import click

from greenbench import __version__, registry
from greenbench.cli.best import best
from greenbench.cli.check import check
from greenbench.cli.cluster_script import cluster_script
from greenbench.cli.compare import compare
from greenbench.cli.doctor import doctor
from greenbench.cli.environment import read_settings
from greenbench.cli.gate import gate
from greenbench.cli.init import init
from greenbench.cli.measure import measure
from greenbench.cli.output import Group, emit, say, say_next, show_traceback, take_streams
from greenbench.cli.parts import loading_parts
from greenbench.cli.record import record
from greenbench.cli.report import report
from greenbench.cli.run import run
from greenbench.cli.sessions import sessions
from greenbench.errors import UndeliveredError
from greenbench.machine.places import described
from greenbench.machine.plugins import are_plugins_on, unloaded
from greenbench.machine.surroundings import (
    check_working_folder,
    draw_without_screen,
    provide_home,
    tolerate_warnings,
    wait_for_children,
)
from greenbench.selection import case_ids
from greenbench.settings import Settings as Settings
from greenbench.settings import home_of_nobody
from greenbench.text.programs import strict_json
from greenbench.text.streams import open_closed


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="greenbench")
@click.pass_context
def cli(context: click.Context) -> None:
    """Benchmark the energy of training: run cases, compare them, look at them in MLflow."""
    # A program that we run gets what we got.
    context.obj = dict(os.environ)
    check_working_folder()
    provide_home(os.environ, home_of_nobody(os.environ))
    draw_without_screen(os.environ)
    tolerate_warnings()
    wait_for_children()
    from greenbench.tracking.autologging import forbid_autologging  # noqa: PLC0415

    # Before a plugin turns it on: comparers fit models, too.
    forbid_autologging()
    failures = registry.load_plugins()
    if context.invoked_subcommand != "list":
        for failure in failures:
            say(f"Warning: {failure}", err=True)


cli.add_command(run)
cli.add_command(record)
cli.add_command(best)
cli.add_command(check)
cli.add_command(compare)
cli.add_command(report)
cli.add_command(sessions)
cli.add_command(gate)
cli.add_command(init)
cli.add_command(doctor)
cli.add_command(measure)
cli.add_command(cluster_script)


def main() -> None:
    """Run the command line."""
    open_closed()
    # To the very end: Python prints tracebacks when all else has been left.
    take_streams()
    sys.excepthook = show_traceback
    cli()


@cli.command("list")
@loading_parts
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_command(as_json: bool) -> None:
    """List suites with their cases, parts, and plugins that failed."""
    listed = _listing()
    if as_json:
        emit(strict_json(listed))
        return
    for name, ids in listed["suites"].items():
        say(f"suite {name}: {len(ids)} cases" if isinstance(ids, list) else f"suite {ids}")
        for case_id in ids if isinstance(ids, list) else ():
            say(f"  {case_id}")
    say("")
    for kind, names in listed["parts"].items():
        say(f"{kind}: {', '.join(names)}")
    for failure in registry.load_plugins():
        say(str(failure))
    if not listed["plugins_are_on"]:
        say(unloaded())
    say_next("greenbench run ci")


def _listing() -> dict[str, Any]:
    data_dir = read_settings().data_dir
    suites = {name: _case_ids(name, data_dir) for name in registry.suites.names()}
    parts = {reg.kind: reg.names() for reg in registry.ALL if reg is not registry.suites}
    failures = [
        {"name": failure.name, "target": failure.target, "error": failure.error}
        for failure in registry.load_plugins()
    ]
    return {
        "suites": suites,
        "parts": parts,
        "plugins_are_on": are_plugins_on(),
        "broken_plugins": failures,
    }


def _case_ids(suite: str, data_dir: Path) -> list[str] | str:
    try:
        return case_ids(suite, data_dir)
    except Exception as error:
        return f"{suite} is broken: {described(error)}"


@cli.command()
@click.option("--port", type=click.IntRange(1, 65535), help="Default: 5000, or a free one.")
@click.option("--no-auth", is_flag=True, help="Ask for no password: let in every local user.")
def ui(port: int | None, no_auth: bool) -> None:
    """Start the MLflow UI on the store, on loopback; print its address and a new password."""
    from greenbench.tracking import serve_ui  # noqa: PLC0415

    settings = read_settings()
    sys.exit(serve_ui(settings.tracking_uri, port, say, has_password=not no_auth))


@cli.command()
def sync() -> None:
    """Deliver results and measurements to MLflow that it could not take when they were made.

    Each on its own: what cannot be delivered is said, and the others are; the exit code is 1 then,
    and 2 if the store is away.
    """
    from greenbench.measuring.kept import deliver_kept  # noqa: PLC0415
    from greenbench.running.spool import deliver_all, left_out, syncing  # noqa: PLC0415

    settings = read_settings()
    if left := left_out(settings.journal_dir):
        names = ", ".join(path.name for path in left)
        say(f"left out, as not all of it may be written by you: {names}", err=True)
    waits = f"waiting: another `greenbench sync` delivers what waits in {settings.runs_dir}"
    with syncing(settings.runs_dir, lambda: say(waits, err=True)):
        delivered, errors = deliver_all(settings, lambda message: say(message, err=True))
        is_away = any(not isinstance(error, UndeliveredError) for error in errors)
        measured, more = (0, []) if is_away else deliver_kept(settings)
    errors += more
    for error in errors:
        say(f"Error: {error}", err=True)
    say(f"delivered {delivered} results to {settings.tracking_uri}")
    if measured:
        say(f"delivered {measured} measurements")
    if errors:
        say_next("greenbench sync", "with what is said above mended")
    elif delivered:
        say_next("greenbench report")
    sys.exit(max((error.exit_code for error in errors), default=0))
