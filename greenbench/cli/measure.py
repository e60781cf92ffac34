"""`greenbench measure`: what a program uses, whichever it is."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from greenbench.cli.environment import read_settings
from greenbench.cli.output import emit, interruptible, say
from greenbench.cli.tables import including
from greenbench.errors import ConfigurationError, OverBudgetError, UndecidedBudgetError
from greenbench.machine.files import reason, remedy, replacing
from greenbench.settings import Scope, Settings
from greenbench.text.programs import strict_json

if TYPE_CHECKING:
    from greenbench.measuring import Measurement

STANDARD_OUTPUT = "-"


@click.command(context_settings={"allow_interspersed_args": False})
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
@click.option("--name", help="Of the measurement; default: that of the program or script.")
@click.option("--max-wh", type=float, help="Budget in Wh: exit code 1 if it takes more.")
@click.option(
    "--json", "json_file", metavar="FILE", help="Write JSON; - for standard output, at the end."
)
@click.option("--no-mlflow", is_flag=True, help="Do not log it to MLflow.")
@click.option("--meter", help="Such as 'codecarbon,zeus': the first counts, others bear witness.")
@click.option("--headline", metavar="SCOPE", help=f"What counts: {', '.join(Scope)}.")
@click.option("--country", help="Country mix, by ISO code of three letters.")
@click.option(
    "--idle",
    "idle_s",
    type=float,
    default=0.0,
    metavar="SECONDS",
    help="For how long idle power is measured before, for net energy; default: 0.",
)
@including
@click.pass_context
def measure(
    context: click.Context,
    *,
    command: tuple[str, ...],
    name: str | None,
    max_wh: float | None,
    json_file: str | None,
    no_mlflow: bool,
    meter: str | None,
    headline: str | None,
    country: str | None,
    idle_s: float,
    include_disturbed: bool,
) -> None:
    """Run a COMMAND, and say what it used: `greenbench measure -- python train.py`.

    It runs as your shell would run it, and its exit code becomes ours. What it used is said on
    standard error, when it has ended. Energy is all that the machine used meanwhile.
    """
    from greenbench.measuring.asked import check_max_wh, check_name, name_of_command  # noqa: PLC0415

    settings = read_settings(meter=meter, headline=headline, country=country, idle_s=idle_s)
    name = check_name(name_of_command(command) if name is None else name)
    max_wh = check_max_wh(max_wh)
    _check_output(json_file)
    with interruptible("interrupted"):
        found, code = _run(settings, command, name, context.obj or os.environ)
        for line in found.lines():
            say(line, err=True)
        _write(json_file, found)
        if not no_mlflow:
            # It takes MLflow seconds, in which the answer can be read.
            _log(settings, found)
    if max_wh is not None and code:
        say(f"the budget is not judged: {name} ended with exit code {code}", err=True)
    elif max_wh is not None:
        code = _judged(found, max_wh, include_disturbed=include_disturbed)
    sys.exit(code)


def _run(
    settings: Settings, command: tuple[str, ...], name: str, environment: Mapping[str, str]
) -> "tuple[Measurement, int]":
    from greenbench.measuring.program import measure_program  # noqa: PLC0415

    return measure_program(settings, command, name, environment, lambda line: say(line, err=True))


def _log(settings: Settings, found: "Measurement") -> None:
    from greenbench.measuring.logbook import Entry, Logbook, place_now  # noqa: PLC0415

    logbook = Logbook()
    logbook.write([Entry(found, settings, place_now(), may_make=True)])
    if logbook.last:
        say(f"logged to {logbook.last}", err=True)


def _judged(found: "Measurement", max_wh: float, *, include_disturbed: bool) -> int:
    """Say whether the budget was kept, and return the exit code of that."""
    from greenbench.gate.judgement import Verdict  # noqa: PLC0415
    from greenbench.gate.wording import sentence  # noqa: PLC0415
    from greenbench.measuring.budget import judge  # noqa: PLC0415

    judgement = judge(
        found,
        max_wh,
        include_disturbed=include_disturbed,
        limit="--max-wh",
        include="--include-disturbed",
    )
    say(f"{judgement.verdict}: {sentence(judgement)}", err=True)
    return {
        Verdict.FAIL: OverBudgetError.exit_code,
        Verdict.INCONCLUSIVE: UndecidedBudgetError.exit_code,
    }.get(judgement.verdict, 0)


def _check_output(json_file: str | None) -> None:
    """Find out before hours of training whether their file can be written."""
    if json_file in (None, STANDARD_OUTPUT):
        return
    path = Path(str(json_file))
    folder = path.absolute().parent
    if path.is_dir() or not (folder.is_dir() and os.access(folder, os.W_OK)):
        raise ConfigurationError(
            f"--json {json_file} cannot be written; expected a file in a folder that exists, or "
            f"{STANDARD_OUTPUT} for standard output"
        )


def _write(json_file: str | None, found: "Measurement") -> None:
    text = strict_json(found.to_dict())
    if json_file == STANDARD_OUTPUT:
        emit(text)
    elif json_file is not None:
        try:
            with replacing(Path(json_file)) as file:
                file.write(text.encode())
        except OSError as error:
            raise ConfigurationError(
                f"--json {json_file} cannot be written ({reason(error)}); {remedy(error)}"
            ) from error
