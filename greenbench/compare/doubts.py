"""Doubts: whether figures of energy differ by more than the ticks of counters leave open."""

from collections.abc import Iterable, Mapping, Sequence
from math import hypot
from statistics import median
from typing import Any

from greenbench.results.uncertainty import left_open

Row = Mapping[str, Any]

AS_FAR = "as far as its counter's ticks tell"
"""How a figure is qualified that ticks leave open."""


def doubt_of(rows: Iterable[Row], column: str = "energy_wh") -> float | None:
    """Return what ticks leave open of one sample, median; None where it is not known.

    More samples make it no smaller: what the ticks of a counter leave open may be the same in all.
    """
    return middle(left_open(row, column) for row in rows)


def share_of(pairs: Iterable[Sequence[Row]]) -> float | None:
    """Return what ticks leave open of the ratio of a pair's energies, as a share of it, median."""
    shares = [[_share(row) for row in pair] for pair in pairs]
    return middle(
        hypot(*known) if (known := [share for share in pair if share is not None]) else None
        for pair in shares
    )


def are_apart(one: float, other: float, *doubts: float | None) -> bool:
    """Return whether two figures differ by more than ticks leave open of them.

    Parameters
    ----------
    one, other : float
        The figures.
    *doubts : float or None
        Half-widths of their intervals, in the same unit; None is as good as none.
    """
    known = [doubt for doubt in doubts if doubt]
    return not known or abs(one - other) > hypot(*known)


def middle(values: Iterable[float | None]) -> float | None:
    """Return the median of what is known."""
    known = [value for value in values if value is not None]
    return median(known) if known else None


def _share(row: Row) -> float | None:
    doubt = left_open(row)
    return doubt / row["energy_wh"] if doubt is not None and row["energy_wh"] else None
