"""Exports of other tools: what MLflow, Optuna, W&B and codecarbon call what we have names for."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from copy import copy
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

from greenbench.errors import ConfigurationError, NotComparableError
from greenbench.results import TrialStatus

Row = dict[str, Any]

PREFIX = re.compile(r"(?:(?:metrics|params|tags)\.|user_attrs_|(?:config|summary)[./])")
"""What tools put before a name that somebody gave; Optuna's ``params_`` are what was searched."""

STATUS = ("status", "state")
COMPLETED, STOPPED, FAILED = TrialStatus.COMPLETED, TrialStatus.STOPPED, TrialStatus.FAILED
ENDS = (FAILED, STOPPED, COMPLETED)
UNFINISHED = "unfinished"
STATUSES: Mapping[str, str] = {
    **dict.fromkeys(("finished", "complete", "completed", "terminated", "success"), COMPLETED),
    **dict.fromkeys(("succeeded", "done", "ok"), COMPLETED),
    **dict.fromkeys(("pruned", "stopped", "early_stopped"), STOPPED),
    **dict.fromkeys(("failed", "fail", "failure", "error", "crashed", "killed"), FAILED),
    **dict.fromkeys(("cancelled", "canceled", "preempted", "aborted"), FAILED),
    **{status.value: FAILED for status in TrialStatus if status not in (COMPLETED, STOPPED)},
    **dict.fromkeys(("running", "waiting", "pending", "scheduled", "queued", "paused"), UNFINISHED),
    "preempting": UNFINISHED,
}
"""What tools call how a run ended, in small letters."""

PARENT = "tags.mlflow.parentRunId"

NUMBERS = ("trial", "number", "trial_number")
STARTS = (
    "datetime_start", "start_time", "started_at", "start", "created", "created_at", "timestamp",
    "date", "datetime_complete", "end_time",
)  # fmt: skip
"""Columns that order trials: their numbers, or else their times."""

CODECARBON = frozenset(
    {"emissions", "emissions_rate", "cpu_energy", "gpu_energy", "ram_energy", "tracking_mode"}
)
"""Columns of which codecarbon writes all beside ``energy_consumed``, which is in kWh."""
LEAST_OF_CODECARBON = 2


def plain(name: str) -> str:
    """Return a column's name as we would write it: ``energy_wh`` for ``metrics.Energy (Wh)``."""
    bare = PREFIX.sub("", name, count=1).replace("%", " percent")
    return re.sub(r"[^0-9a-z]+", "_", bare.lower()).strip("_")


def is_of_codecarbon(columns: Sequence[str]) -> bool:
    """Return whether columns are those that codecarbon writes."""
    return len(CODECARBON & set(map(plain, columns))) >= LEAST_OF_CODECARBON


def settled(rows: Sequence[Row]) -> tuple[list[Row], list[str]]:
    """Return the rows of runs that have ended, their ``status`` in our words, and what to say.

    Parameters
    ----------
    rows : sequence of dict
        Without a column of `STATUS` they are returned as they are.

    Raises
    ------
    ConfigurationError
        If a status is none that any of the tools has.
    NotComparableError
        If no run has ended.
    """
    rows, notes = _children(rows)
    columns = [name for name in rows[0] if plain(name) in STATUS]
    if not columns:
        return rows, notes
    kept = []
    for row in rows:
        found = [_status(row, column) for column in columns]
        if UNFINISHED not in found:
            worst = next((status for status in ENDS if status in found), None)
            kept.append(_changed(row, status=worst))
    if not kept:
        raise NotComparableError(f"no run has ended: {_counted(rows, columns[0])}; wait for some")
    if left := len(rows) - len(kept):
        notes.append(
            f"left out: {left} of {len(rows)} rows, which have not ended ({', '.join(columns)})"
        )
    return kept, notes


def _children(rows: Sequence[Row]) -> tuple[list[Row], list[str]]:
    """Return rows without MLflow's parent runs, which sum up what their children say."""
    if {"tags.kind", "tags.case_hash"} <= rows[0].keys():
        raise ConfigurationError(
            "this is an export of greenbench's own store: leave the file out, and `greenbench "
            "compare` reads the store itself"
        )
    parents = {row.get(PARENT) for row in rows} - {None}
    kept = [row for row in rows if row.get("run_id") not in parents]
    if len(kept) == len(rows) or not kept:
        return list(rows), []
    return kept, [f"left out: {len(rows) - len(kept)} runs that are parents of others"]


def completed(rows: Sequence[Row]) -> tuple[list[Row], list[str]]:
    """Return the rows of runs that were trained to their end, and what to say of the others.

    Parameters
    ----------
    rows : sequence of dict
        As `settled` gives them.

    Raises
    ------
    NotComparableError
        If there is none.
    """
    kept = [row for row in rows if row.get("status") in (None, COMPLETED)]
    if not kept:
        raise NotComparableError(f"no run completed: {_counted(rows, 'status')}; run some again")
    others = [row for row in rows if row.get("status") not in (None, COMPLETED)]
    return kept, [f"left out: {_counted(others, 'status')}"] if others else []


def in_order(rows: Sequence[Row], named: str | None) -> tuple[list[Row], str | None]:
    """Return trials in the order in which they ran, and the column that says so.

    Parameters
    ----------
    rows : sequence of dict
        Trials.
    named : str or None
        A column of numbers or times, or an empty text for the order of rows; None takes the
        first of `NUMBERS` and `STARTS` that there is.

    Raises
    ------
    ConfigurationError
        If a cell of that column orders nothing.
    """
    if named is not None:
        return _sorted(rows, named) if named else (list(rows), None)
    for usual in NUMBERS:
        for column in rows[0]:
            if plain(column) == usual and all(isinstance(r[column], int | float) for r in rows):
                return [_changed(row, trial=row[column]) for row in rows], column
    starts = [name for usual in STARTS for name in rows[0] if plain(name) == usual]
    return _sorted(rows, starts[0]) if starts else (list(rows), None)


def _sorted(rows: Sequence[Row], column: str) -> tuple[list[Row], str]:
    times = [_time(row, column) for row in rows]
    places = list(range(len(rows)))
    # Where a tool lists the newest first, of equal times the lower row is the earlier one.
    if sum(a > b for a, b in pairwise(times)) > sum(a < b for a, b in pairwise(times)):
        places.reverse()
    return [rows[place] for place in sorted(places, key=times.__getitem__)], column


def _time(row: Row, column: str) -> float:
    value = row[column]
    if isinstance(value, int | float):
        return float(value)
    try:
        # Days before months, or months before days: only ISO 8601 says.
        found = datetime.fromisoformat(value)
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
    except (ValueError, TypeError) as error:
        place = getattr(row, "place", "table")
        raise ConfigurationError(
            f"{place}: {column} is {value or ''!r}; expected a number or a time such as "
            "2026-01-31 12:00, since it orders the trials: name another with `--order-column`, or "
            "'' for the order of rows"
        ) from error


def _status(row: Row, column: str) -> str | None:
    """Return how a run ended, if that is known."""
    value = row[column]
    if value is None:
        return None
    text = str(value).lower().removeprefix("trialstate.").replace(" ", "_")
    if text not in STATUSES:
        place = getattr(row, "place", "table")
        raise ConfigurationError(
            f"{place}: {column} is {value!r}; expected how the run ended: one of "
            f"{', '.join(STATUSES)}; rename the column if it says something else"
        )
    return STATUSES[text]


def _counted(rows: Sequence[Row], column: str) -> str:
    counts = Counter(str(row[column]) for row in rows)
    return ", ".join(f"{number} {status}" for status, number in counts.items())


def _changed(row: Row, **cells: Any) -> Row:
    # A copy knows its place, too.
    changed = copy(row)
    changed.update(cells)
    return changed
