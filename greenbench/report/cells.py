"""Cells: figures of results as a table shows them; a dash where they are unknown."""

from greenbench.compare.stats import Estimate
from greenbench.report.formats import chance, percent, three_digits
from greenbench.report.table import NONE, Cell


def percent_cell(found: Estimate | None) -> Cell:
    """Return an accuracy in per cent with its interval.

    Parameters
    ----------
    found : Estimate or None
        In [0, 1].
    """
    if found is None:
        return NONE
    low, high = found.low, found.high
    interval = "" if low is None or high is None else f" [{100 * low:.1f}, {100 * high:.1f}]"
    return Cell(f"{percent(found.median)}{interval}", found.median)


def estimate_cell(found: Estimate | None, scale: float) -> Cell:
    """Return a median with its interval, in some unit.

    Parameters
    ----------
    found : Estimate or None
        In the unit of its column.
    scale : float
        How many of the unit shown make one of that.
    """
    if found is None:
        return NONE
    text = three_digits(found.median * scale)
    if found.low is not None and found.high is not None and found.low != found.high:
        low, high = (three_digits(end * scale) for end in (found.low, found.high))
        text += f" [{low}, {high}]"
    return Cell(text, found.median)


def median_cell(found: Estimate | None, scale: float) -> Cell:
    """Return a median alone, in some unit.

    Parameters
    ----------
    found : Estimate or None
        In the unit of its column.
    scale : float
        How many of the unit shown make one of that.
    """
    return NONE if found is None else Cell(three_digits(found.median * scale), found.median)


def chance_cell(p: float | None) -> Cell:
    """Return a p value.

    Parameters
    ----------
    p : float or None
        Probability.
    """
    return NONE if p is None else Cell(chance(p), p)


def number_cell(value: float | None, form: str) -> Cell:
    """Return a number in some form.

    Parameters
    ----------
    value : float or None
        What is shown, and sorted by.
    form : str
        As `str.format` takes it.
    """
    return NONE if value is None else Cell(form.format(value), float(value))
