"""Which table `compare` and `report` read: files, or what is selected from the store."""

import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from greenbench.cases.suites import GATE
from greenbench.cli.environment import read_settings
from greenbench.errors import ConfigurationError
from greenbench.selection import ADHOC_SUITE, parse_pairs

if TYPE_CHECKING:
    from greenbench.compare.files import Tables
    from greenbench.compare.sessions import Question
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


of_session = click.option(
    "--session", metavar="ID", help="Only this one: its id, how that begins, latest or previous."
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
        of_session,
        click.option("--where", multiple=True, help="Only rows with column=value: backend=…."),
        click.option("--host", metavar="FINGERPRINT", help="Only of this host."),
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
    session: str | None = None
    host: str | None = None

    @property
    def source(self) -> str:
        """Where the table comes from, for messages."""
        if self.files:
            return ", ".join(map(str, self.files))
        return f"session {self.session} of {self.store}" if self.session else self.store

    @property
    def store(self) -> str:
        """Where the store is, for messages."""
        return str(read_settings().tracking_uri)

    @property
    def spelled(self) -> str:
        """The arguments that say so, for another command."""
        options = [["--suite", self.suite]] if self.suite else []
        options += [["--all-sessions"]] if self.all_sessions else []
        options += [["--where", each] for each in self.where]
        options += [["--host", self.host]] if self.host else []
        options += [["--include-disturbed"]] if self.include_disturbed else []
        words = [*map(str, self.files), *(word for option in options for word in option)]
        return "".join(f" {shlex.quote(word)}" for word in words)


def read_tables(
    wanted: Wanted, *, with_trials: bool = False, question: "Question | None" = None
) -> "Tables":
    """Read the selected rows, and their trials if they are asked for.

    Parameters
    ----------
    wanted : Wanted
        Files, or what is selected from the store.
    with_trials : bool
        Whether trials are read from the store, too.
    question : Question, optional
        What is asked of the store: of a suite whose latest session has no answer, the newest
        that has one is taken, and named in the notes.

    Raises
    ------
    GreenbenchError
        If a file or the store cannot be read, a column does not exist, or nothing is left.
    """
    where = parse_pairs(wanted.where, "--where")
    if wanted.files:
        from greenbench.compare.files import read_files  # noqa: PLC0415
        from greenbench.compare.hosts import select_host  # noqa: PLC0415
        from greenbench.compare.rows import once  # noqa: PLC0415
        from greenbench.results.heat import mark_hot  # noqa: PLC0415

        if wanted.suite or wanted.all_sessions or wanted.session is not None:
            raise ConfigurationError(
                "--suite, --session and --all-sessions select from the store; of a file, select "
                "with --where"
            )
        found = read_files(wanted.files, where)
        if found.is_foreign:
            if wanted.host is not None:
                raise ConfigurationError(
                    "--host selects results of greenbench; of a CSV, select with --where"
                )
            return found
        # Several tests of one session may have asked for a case, which was measured once.
        rows = select_host(once(found.rows), wanted.host)
        mark_hot(rows)
        return replace(found, rows=rows, trials=select_host(once(found.trials), wanted.host))
    return _read_store(wanted, where, with_trials, question)


def _read_store(
    wanted: Wanted, where: Mapping[str, str], with_trials: bool, question: "Question | None"
) -> "Tables":
    from greenbench.compare.comparable import check_scores  # noqa: PLC0415
    from greenbench.compare.files import Tables  # noqa: PLC0415
    from greenbench.compare.hosts import select_host  # noqa: PLC0415
    from greenbench.compare.rows import measured_once, select  # noqa: PLC0415
    from greenbench.compare.sessions import sessions_of  # noqa: PLC0415
    from greenbench.results.heat import mark_hot  # noqa: PLC0415
    from greenbench.results.looks import number_looks  # noqa: PLC0415
    from greenbench.tracking import Store  # noqa: PLC0415

    settings = read_settings()
    store = Store.existing(settings.tracking_uri, timeout_s=settings.store_timeout_s)
    found = select(_of_session(number_looks(store.read_rows(wanted.suite)), wanted), where)
    if not found:
        raise _nothing(wanted)
    rows, notes = _newest(select_host(found, wanted.host), wanted, question)
    rows = measured_once(rows)
    mark_hot(rows)
    trials = store.read_trials(rows) if with_trials else []
    check_scores([*rows, *trials])
    ids = tuple(dict.fromkeys(each.id for each in sessions_of(rows)))
    return Tables(rows, trials, is_foreign=False, notes=notes, sessions=ids)


def _of_session(rows: list[dict[str, Any]], wanted: Wanted) -> list[dict[str, Any]]:
    """Return the rows of the session that is asked for; of all but the gate's, if none is."""
    from greenbench.compare.sessions import LATEST, PREVIOUS, find_session  # noqa: PLC0415

    # What the gate measured is of few cases, and of revisions in between.
    usual = [row for row in rows if wanted.suite or row["suite"] != GATE]
    if wanted.session is None:
        return usual
    if wanted.all_sessions:
        raise ConfigurationError("--session and --all-sessions contradict each other; choose one")
    among = usual if wanted.session in (LATEST, PREVIOUS) else rows
    return [*find_session(among, wanted.session, wanted.store).rows]


def _newest(
    rows: list[dict[str, Any]], wanted: Wanted, question: "Question | None"
) -> tuple[list[dict[str, Any]], tuple[str, ...]]:
    from greenbench.compare.sessions import newest  # noqa: PLC0415

    if wanted.all_sessions or wanted.session is not None:
        return rows, ()
    return newest(rows, question, loose=ADHOC_SUITE)


def _nothing(wanted: Wanted) -> ConfigurationError:
    conditions = [*([f"suite={wanted.suite}"] if wanted.suite else []), *wanted.where]
    return ConfigurationError(
        f"no results in {wanted.source}"
        + (f" have {' and '.join(conditions)}" if conditions else "")
        + "; run some with `greenbench run`"
    )
