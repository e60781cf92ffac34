"""Cells: figures of results as a table shows them; a dash where they are unknown."""

import math

from greenbench.compare.brackets import Bracketed
from greenbench.reports.formats import chance, percent, three_digits
from greenbench.reports.table import NONE, Cell
from greenbench.tasks import Score
from greenbench.tasks.score_format import is_share, plain


def score_cell(found: Bracketed | None, score: Score) -> Cell:
    """Return a score with its range or interval; shares are in per cent.

    Parameters
    ----------
    found : Estimate or PairedMean or None
        In the score's unit, which its column names. Infinite is what a search has that found
        nothing.
    score : Score
        What it is.
    """
    if found is None or not math.isfinite(found.middle):
        return NONE
    low, high = found.low, found.high
    if not is_share(score):
        interval = "" if low is None or high is None else f" [{plain(low)}, {plain(high)}]"
        return Cell(f"{plain(found.middle)}{interval}", found.middle)
    interval = "" if low is None or high is None else f" [{100 * low:.1f}, {100 * high:.1f}]"
    return Cell(f"{percent(found.middle)}{interval}", found.middle)


def bare_score_cell(found: float | None, score: Score, sign: str = "") -> Cell:
    """Return a score, or a difference of two, without an interval.

    Parameters
    ----------
    found : float or None
        In the score's unit.
    score : Score
        What it is.
    sign : str
        ``"+"`` shows that of a gain, too.
    """
    if found is None or not math.isfinite(found):
        return NONE
    return Cell(f"{found:{sign}.1%}" if is_share(score) else plain(found, sign), found)


def estimate_cell(found: Bracketed | None, scale: float) -> Cell:
    """Return a median or mean with its range or interval, in some unit.

    Parameters
    ----------
    found : Estimate or PairedMean or None
        In the unit of its column.
    scale : float
        How many of the unit shown make one of that.
    """
    if found is None:
        return NONE
    text = three_digits(found.middle * scale)
    if found.low is not None and found.high is not None and found.low != found.high:
        low, high = (three_digits(end * scale) for end in (found.low, found.high))
        text += f" [{low}, {high}]"
    return Cell(text, found.middle)


def median_cell(found: Bracketed | None, scale: float) -> Cell:
    """Return a median alone, in some unit.

    Parameters
    ----------
    found : Estimate or PairedMean or None
        In the unit of its column.
    scale : float
        How many of the unit shown make one of that.
    """
    return NONE if found is None else Cell(three_digits(found.middle * scale), found.middle)


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
