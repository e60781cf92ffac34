"""Which table `compare` and `report` read: files, or what is selected from the store."""

import os
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from greenbench.cases.suites import GATE
from greenbench.errors import ConfigurationError
from greenbench.selection import parse_pairs
from greenbench.settings import Settings

if TYPE_CHECKING:
    from greenbench.compare.files import Tables
    from greenbench.compare.tolerance import Tolerance

Command = TypeVar("Command", bound=Callable[..., Any])


def _tolerance(
    context: click.Context, option: click.Parameter, value: str | None
) -> "Tolerance | None":
    """Return a number of at least 0, or a percentage of the best."""
    from greenbench.compare.tolerance import read_tolerance  # noqa: PLC0415

    if value is None:
        return None
    try:
        return read_tolerance(value)
    except ValueError:
        raise click.BadParameter(
            f"{value!r} is no tolerance; expected a number of at least 0, such as 0.01 for a "
            "percentage point, or a share of the best, such as 1%",
            context,
            option,
        ) from None


including = click.option(
    "--include-disturbed", is_flag=True, help="Count samples that other processes disturbed."
)


def tolerating(what: str) -> Callable[[Command], Command]:
    """Return the option that says how far below the best score is good enough."""
    return click.option(
        "--tolerance",
        callback=_tolerance,
        metavar="NUMBER",
        help=(
            f"How far below the best score {what}, in its unit, or as a share of the best: 0.01 "
            "of an accuracy is 1 percentage point, and the default; 1% of other scores."
        ),
    )


def selecting_rows(command: Command) -> Command:
    """Add the argument and options that say which table is read."""
    options = [
        click.argument("files", nargs=-1, type=click.Path(path_type=Path)),
        click.option("--suite", help="Only results of this suite."),
        click.option("--all-sessions", is_flag=True, help="Not only the latest of each suite."),
        click.option("--where", multiple=True, help="Only rows with column=value: host=…."),
        including,
    ]
    for option in reversed(options):
        command = option(command)
    return command


@dataclass(frozen=True)
class Wanted:
    """What these options say."""

    files: tuple[Path, ...]
    suite: str | None
    all_sessions: bool
    where: tuple[str, ...]
    include_disturbed: bool

    @property
    def source(self) -> str:
        """Where the table comes from, for messages."""
        if self.files:
            return ", ".join(map(str, self.files))
        return str(Settings.from_environment(os.environ).tracking_uri)

    @property
    def spelled(self) -> str:
        """The arguments that say so, for another command."""
        options = [["--suite", self.suite]] if self.suite else []
        options += [["--all-sessions"]] if self.all_sessions else []
        options += [["--where", each] for each in self.where]
        options += [["--include-disturbed"]] if self.include_disturbed else []
        words = [*map(str, self.files), *(word for option in options for word in option)]
        return "".join(f" {shlex.quote(word)}" for word in words)


def read_tables(wanted: Wanted, *, with_trials: bool = False) -> "Tables":
    """Read the selected rows, and their trials if they are asked for.

    Parameters
    ----------
    wanted : Wanted
        Files, or what is selected from the store.
    with_trials : bool
        Whether trials are read from the store, too.

    Raises
    ------
    GreenbenchError
        If a file or the store cannot be read, a column does not exist, or nothing is left.
    """
    where = parse_pairs(wanted.where, "--where")
    if wanted.files:
        from greenbench.compare.files import read_files  # noqa: PLC0415
        from greenbench.compare.rows import once  # noqa: PLC0415
        from greenbench.results.heat import mark_hot  # noqa: PLC0415

        if wanted.suite or wanted.all_sessions:
            raise ConfigurationError(
                "--suite and --all-sessions select from the store; of a file, select with --where"
            )
        found = read_files(wanted.files, where)
        if found.is_foreign:
            return found
        # Several tests of one session may have asked for a case, which was measured once.
        rows = once(found.rows)
        mark_hot(rows)
        return replace(found, rows=rows, trials=once(found.trials))
    return _read_store(wanted, where, with_trials)


def _read_store(wanted: Wanted, where: Mapping[str, str], with_trials: bool) -> "Tables":
    from greenbench.compare.comparable import check_scores  # noqa: PLC0415
    from greenbench.compare.files import Tables  # noqa: PLC0415
    from greenbench.compare.rows import select  # noqa: PLC0415
    from greenbench.results.heat import mark_hot  # noqa: PLC0415
    from greenbench.tracking import Store  # noqa: PLC0415

    settings = Settings.from_environment(os.environ)
    store = Store.existing(settings.tracking_uri, timeout_s=settings.store_timeout_s)
    # What the gate measured is of few cases, and of revisions in between.
    found = [r for r in store.read_rows(wanted.suite) if wanted.suite or r["suite"] != GATE]
    rows = select(found, where, only_latest=not wanted.all_sessions)
    if not rows:
        conditions = [*([f"suite={wanted.suite}"] if wanted.suite else []), *wanted.where]
        raise ConfigurationError(
            f"no results in {wanted.source}"
            + (f" have {' and '.join(conditions)}" if conditions else "")
            + "; run some with `greenbench run`"
        )
    mark_hot(rows)
    trials = store.read_trials(rows) if with_trials else []
    check_scores([*rows, *trials])
    return Tables(rows, trials, is_foreign=False)
