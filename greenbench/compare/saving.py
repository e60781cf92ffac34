"""Saving: which share of one size's energy another does not need, and how sure that is."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import exp, log
from statistics import fmean
from typing import Any

from greenbench.compare.paired_means import mean_ratio

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Saving:
    """A share of energy that is not needed.

    Attributes
    ----------
    share : float
        1 less the geometric mean of the pairs' ratios; below 0 where more is needed.
    low, high : float
        95% interval.
    """

    share: float
    low: float
    high: float


def saving_of(less: Sequence[Row], more: Sequence[Row]) -> Saving | None:
    """Return what `less` saves of the energy of `more`; None with fewer than two pairs.

    By pairs, the same repeat and session of both: one round of a run, so that what drifts over
    hours cancels out. Student's interval of the logarithms of their ratios.

    Parameters
    ----------
    less, more : sequence of mapping
        Samples of two sizes, with ``energy_wh``; those without a ``repeat`` are in no pair.
    """
    one, other = _rounds(less), _rounds(more)
    ratios = [exp(one[round_] - other[round_]) for round_ in one if round_ in other]
    found = mean_ratio(ratios) if ratios else None
    if found is None or found.low is None or found.high is None:
        return None
    return Saving(1 - found.mean, 1 - found.high, 1 - found.low)


def _rounds(rows: Sequence[Row]) -> dict[tuple[Any, Any], float]:
    """Return the logarithm of the energy of each round; of several samples, their mean."""
    found: dict[tuple[Any, Any], list[float]] = {}
    for row in rows:
        if row.get("repeat") is not None and row["energy_wh"] > 0:
            found.setdefault((row.get("session"), row["repeat"]), []).append(log(row["energy_wh"]))
    return {round_: fmean(logs) for round_, logs in found.items()}
