"""Brackets: what stands in them behind a median or a mean; the one place that has words for it."""

from collections.abc import Iterable

from greenbench.compare.paired_means import PairedMean
from greenbench.compare.stats import FEWEST_FOR_INTERVAL, Estimate

Bracketed = Estimate | PairedMean


def bracket(found: Bracketed) -> str | None:
    """Return what one pair of brackets holds: ``"range of 3"``, ``"96.9% interval"``, or nothing.

    Parameters
    ----------
    found : Estimate or PairedMean
        The figure; a range claims no confidence.
    """
    if found.low is None or found.high is None:
        return None
    if found.confidence is None:
        return f"range of {found.n}"
    return f"{_percent(found.confidence)}% interval"


def brackets(found: Iterable[Bracketed | None]) -> str:
    """Return what the brackets of a whole table hold, to stand behind the word for its figures.

    Parameters
    ----------
    found : iterable of Estimate or PairedMean or None
        All figures of the table; those without brackets count for nothing.

    Returns
    -------
    str
        Such as ``" [range of 3]"`` or ``" [range of 2 to 5, from 6 on 96.1 to 97.9% interval]"``;
        empty if there are no brackets.
    """
    known = [each for each in found if each is not None and bracket(each) is not None]
    of = sorted({each.n for each in known if each.confidence is None})
    confidences = sorted({each.confidence for each in known if each.confidence is not None})
    said = []
    if of:
        said.append(f"range of {_between([str(n) for n in of])}")
    if confidences:
        words = f"{_between([_percent(each) for each in confidences])}% interval"
        said.append(f"from {FEWEST_FOR_INTERVAL} on {words}" if of else words)
    return f" [{', '.join(said)}]" if said else ""


def _between(ordered: list[str]) -> str:
    return " to ".join(dict.fromkeys((ordered[0], ordered[-1])))


def _percent(confidence: float) -> str:
    return f"{100 * confidence:.3g}"
