"""`greenbench best`: the hyperparameters that the search of a case has found."""

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from greenbench.cases.suites import GATE
from greenbench.cli.environment import read_settings
from greenbench.cli.output import emit, say
from greenbench.cli.tables import of_session
from greenbench.errors import ConfigurationError, UnknownNameError
from greenbench.settings import Settings
from greenbench.text import clean
from greenbench.text.programs import strict_json

if TYPE_CHECKING:
    from greenbench.compare.winners import Found
    from greenbench.tracking import Store

Row = dict[str, Any]

MOST_NAMED = 5


@click.command()
@click.argument("case")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--python", "as_python", is_flag=True, help="Print a dict, to go on with in Python.")
@of_session
def best(*, case: str, as_json: bool, as_python: bool, session: str | None) -> None:
    """Print the hyperparameters that the search of CASE found, with their scores.

    CASE is the id of a case in the store, or a part of it that no other one has. Of several
    sessions the latest counts, of several repeats the one that is best by validation.
    """
    if as_json and as_python:
        raise ConfigurationError("--json and --python contradict each other; choose one")
    found = _found(case, session)
    if as_json:
        emit(strict_json(_to_json(found)))
    elif as_python:
        emit(_to_python(found))
    else:
        say(found.said_of(found.case_id))
        for name, value in found.best.hyperparameters.items():
            say(f"  {name} = {value!r}")


def _found(case: str, session: str | None) -> "Found":
    from greenbench.compare.sessions import find_session  # noqa: PLC0415
    from greenbench.compare.winners import winners  # noqa: PLC0415
    from greenbench.tracking import Store  # noqa: PLC0415

    settings = read_settings()
    store = Store.existing(settings.tracking_uri, timeout_s=settings.store_timeout_s)
    # What the gate measured is of revisions in between.
    rows = [row for row in store.read_rows() if row["suite"] != GATE]
    if session is not None:
        rows = [*find_session(rows, session, str(settings.tracking_uri)).rows]
    case_id = _named(case, list(dict.fromkeys(str(row["case_id"]) for row in rows)), settings)
    rows = _latest([row for row in rows if row["case_id"] == case_id], store)
    for found in winners(rows):
        return found
    raise ConfigurationError(
        f"case {case_id} has no winner: no trial completed; its runs say why (`greenbench ui`)"
    )


def _named(case: str, known: Sequence[str], settings: Settings) -> str:
    """Return the id that is meant.

    Raises
    ------
    ConfigurationError
        If none is, or several are.
    """
    if not known:
        raise ConfigurationError(
            f"no results in {settings.tracking_uri}; run some with `greenbench run`"
        )
    if case in known:
        return case
    meant = [each for each in known if case in each]
    if not meant and (near := _near(case, known)):
        raise ConfigurationError(f"unknown case {case!r}; did you mean {' or '.join(near)}?")
    if not meant:
        raise UnknownNameError("case", case, known)
    if len(meant) > 1:
        more = f" and {len(meant) - MOST_NAMED} more" if len(meant) > MOST_NAMED else ""
        raise ConfigurationError(
            f"{case!r} is a part of {len(meant)} cases: {', '.join(meant[:MOST_NAMED])}{more}; "
            "give more of one of them, or all"
        )
    return meant[0]


def _near(case: str, known: Sequence[str]) -> list[str]:
    """Return ids of which all or a part is nearly what was given."""
    parts = {part for each in known for part in (each, *each.split("-"))}
    near = difflib.get_close_matches(case, parts, n=1, cutoff=0.7)
    return [each for each in known if near and near[0] in each][:MOST_NAMED]


def _latest(rows: Sequence[Row], store: "Store") -> list[Row]:
    """Return the rows of the latest session in which a trial completed."""
    ended = [row for row in rows if row["val_score"] is not None]
    chosen = [row for row in ended if row["session"] == ended[-1]["session"]]
    return store.with_winners(chosen)


def _to_json(found: "Found") -> Mapping[str, Any]:
    from greenbench.results.scores import columns_of  # noqa: PLC0415

    score = columns_of(found.judged_by)
    return {
        "case_id": found.case_id,
        "strategy": found.strategy,
        "score_name": score.pop("score"),
        **score,
        **asdict(found.best),
        "repeats": [asdict(each) for each in found.winners],
    }


def _to_python(found: "Found") -> str:
    """Return lines that any Python runs; JSON's words for what is true are not its own."""
    best = found.best
    among = f", repeat {best.repeat + 1} of {len(found.winners)}" * (len(found.winners) > 1)
    lines = [
        clean(f"# {found.case_id}{among}, {best.place}: {found.scores_of(best)}"),
        "hyperparameters = {",
        *(f"    {name!r}: {value!r}," for name, value in best.hyperparameters.items()),
        "}",
    ]
    return "".join(f"{line}\n" for line in lines)
