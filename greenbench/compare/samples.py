"""Samples of a case: which of them count, and how much they vary."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

import numpy as np

from greenbench.compare.spread import interval_of_cv
from greenbench.results.marks import FEW, LEFT_OUT, SHARED_HOST, UNSTABLE_CV, WITHOUT_TIME

Row = Mapping[str, Any]

WALL_TIMES = ("duration_s", "wall_s", "train_s")
"""Columns of seconds that pass whoever computes."""


@dataclass(frozen=True)
class Samples:
    """The samples of one case.

    Attributes
    ----------
    rows : tuple of row
        All of them.
    counted : tuple of row
        Those whose energy is known and counts.
    cv : float or None
        Coefficient of variation of their energy: standard deviation (n - 1) over mean;
        None for fewer than two.
    marks : tuple of str
        Each mark once: those of the samples, then those of the case.
    cv_low, cv_high : float or None
        95% interval of it (see `interval_of_cv`); None for fewer than two, and the upper end where
        there is none.
    """

    rows: tuple[Row, ...]
    counted: tuple[Row, ...]
    cv: float | None
    marks: tuple[str, ...]
    cv_low: float | None = None
    cv_high: float | None = None


def describe_samples(rows: Sequence[Row], *, include_disturbed: bool = False) -> Samples:
    """Return which samples of a case count, and what is to be known of them.

    Parameters
    ----------
    rows : sequence of mapping
        Of one case, as `greenbench.results.table.to_row` gives them.
    include_disturbed : bool
        Whether disturbed samples count, too.
    """
    counted = tuple(
        row
        for row in rows
        if row["energy_wh"] is not None and (include_disturbed or not is_left_out(row))
    )
    energies = [row["energy_wh"] for row in counted]
    cv = (
        float(np.std(energies, ddof=1) / np.mean(energies))
        if len(energies) > 1 and any(energies)
        else None
    )
    low, high = (None, None) if cv is None else interval_of_cv(cv, len(energies))
    marks = [mark for row in rows for mark in marks_in(row)]
    # Few repeats of a steady case often vary by more than it does.
    if low is not None and low > UNSTABLE_CV:
        marks.append("unstable")
    if len(energies) < FEW:
        marks.append("few")
    return Samples(tuple(rows), counted, cv, tuple(dict.fromkeys(marks)), low, high)


def timed_rows(rows: Sequence[Row], *, include_disturbed: bool = False) -> list[Row]:
    """Return the rows whose duration is known and counts, whether or not their energy does.

    Parameters
    ----------
    rows : sequence of mapping
        As `describe_samples` takes them.
    include_disturbed : bool
        Whether samples that others delayed count, too.
    """
    return [
        row
        for row in rows
        if row.get("duration_s") is not None
        and (include_disturbed or not is_left_out(row, "duration_s"))
    ]


def once_each(rows: Sequence[Row], column: str = "test_score") -> list[Row]:
    """Return the rows whose figure is known, one for each case and repeat, with their mean.

    A repeat that is run again has the same seeds, and so gives the same accuracy again: it is
    no further sample of it. Its energy is measured anew, and is one. Where versions of greenbench
    drew another split, the last that is told counts.

    Parameters
    ----------
    rows : sequence of mapping
        Without a ``repeat`` each is a sample of its own.
    column : str
        Of what seeds decide.
    """
    known = [row for row in rows if row.get(column) is not None]
    alike = [_of_last_split(found) for found in _by_seed(known)]
    return [{**found[-1], column: _mean([row[column] for row in found])} for found in alike]


def block_of(row: Row) -> Hashable | None:
    """Return what a sample shares with those that met the same data; None if nobody knows it."""
    seed = row.get("split_seed")
    return None if seed is None else (seed, row.get("dataset"), row.get("repeat"))


def again_note(rows: Sequence[Row]) -> str | None:
    """Return in words how many rows are repeats that were run again; None if there are none."""
    seeds = len(_by_seed(rows))
    if seeds == len(rows):
        return None
    again = len(rows) - seeds
    return (
        f"{again} of {len(rows)} results run a repeat again, with the same seeds: their energies "
        f"count, their accuracies once ({seeds} repeats)"
    )


def shared_note(rows: Sequence[Row]) -> str | None:
    """Return in words how many rows were measured beside others on the host, if some were.

    They are put side by side with those that were measured alone, and that is not left unsaid.
    """
    shared = sum(SHARED_HOST in marks_in(row) for row in rows)
    if shared in (0, len(rows)):
        return None
    return (
        f"{shared} of {len(rows)} results were measured beside others on the host "
        f"({SHARED_HOST}), and the rest alone: their GPUs' own counters count, their times are "
        "those of a busier host"
    )


def _by_seed(rows: Sequence[Row]) -> list[list[Row]]:
    found: dict[tuple[Any, ...], list[Row]] = {}
    for place, row in enumerate(rows):
        repeat = row.get("repeat")
        # What a foreign table has no hash of is of one size.
        case = row.get("case_hash") or row.get("case_id")
        found.setdefault((place,) if repeat is None else (case, repeat), []).append(row)
    return list(found.values())


def _of_last_split(rows: Sequence[Row]) -> list[Row]:
    """Return the rows of a repeat that drew what the last one did that tells it, if any does."""
    told = [seed for row in rows if (seed := row.get("split_seed")) is not None]
    return [row for row in rows if not told or row.get("split_seed") == told[-1]]


def _mean(values: Sequence[float]) -> float:
    # Of equal figures, without rounding.
    return values[0] if len(set(values)) == 1 else fmean(values)


def marks_in(row: Row) -> list[str]:
    """Return the marks of one sample."""
    return str(row.get("marks") or "").split()


def is_left_out(row: Row, column: str = "energy_wh") -> bool:
    """Return whether a figure of a sample counts only if somebody asks for it.

    Parameters
    ----------
    row : mapping
        The sample.
    column : str
        Of an energy or a time.
    """
    marks = WITHOUT_TIME if column in WALL_TIMES else LEFT_OUT
    return not marks.isdisjoint(marks_in(row))
