"""Reconciliation: what phases booked against what was measured around them, and by other meters."""

from dataclasses import dataclass

from greenbench.results.quality import disagreement
from greenbench.results.readings import Reading


@dataclass(frozen=True)
class Reconciliation:
    """What the phases booked, against one window around all of them by a second meter.

    Attributes
    ----------
    booked_j, whole_j : float or None
        Headline joules of the phases, and of the window; None if unknown.
    limit : float
        Largest share by which they may differ.
    uncertainty_j : float
        By how many joules they may differ besides, because of ticks; 0 where none were read.
    apart, apart_beyond_ticks : float or None
        Largest share by which what a further meter read of the whole repeat, all passes, differs
        from what the first one did; and by which ticks do not explain it. None without another
        one, and in results of older versions.
    """

    booked_j: float | None
    whole_j: float | None
    limit: float
    uncertainty_j: float = 0.0
    apart: float | None = None
    apart_beyond_ticks: float | None = None

    @property
    def deviation(self) -> float | None:
        """Share of the whole by which the phases differ from it; None if unknown."""
        if self.booked_j is None or not self.whole_j:
            return None
        return abs(self.booked_j - self.whole_j) / self.whole_j

    @property
    def excess(self) -> float | None:
        """Share by which they differ beyond what ticks explain; None if unknown."""
        if self.deviation is None or not self.whole_j:
            return None
        return max(self.deviation - self.uncertainty_j / self.whole_j, 0.0)


def meters_apart(
    total: Reading, found: Reconciliation | None, *, beyond_ticks: bool = False
) -> float | None:
    """Return by what share further meters differ from the first over a repeat; None if unknown.

    All that was read is compared, where that is known: a total of one pass each has the ticks of
    the shortest windows, and further meters are read at the edges of each.

    Parameters
    ----------
    total : Reading
        One pass of each window, with witnesses.
    found : Reconciliation or None
        Of the repeat.
    beyond_ticks : bool
        Whether only what the ticks of counters do not explain counts.
    """
    if found is not None and found.apart is not None:
        return found.apart_beyond_ticks if beyond_ticks else found.apart
    return disagreement(total, beyond_ticks=beyond_ticks)
