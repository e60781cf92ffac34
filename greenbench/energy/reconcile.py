"""Reconciliation: the phases of a ledger against one window around all of them."""

import math
from collections.abc import Iterable

from greenbench.results import Reconciliation
from greenbench.results.readings import Component, Provenance, Reading, sum_energy_j

COUNTER_LIMIT = 0.02
MODEL_LIMIT = 0.05


def reconcile(booked: Reading, whole: Reading) -> Reconciliation:
    """Return how far the phases are from the whole, where they are farthest beyond their limit.

    What counters read is held to their limit by itself: a modelled CPU in the same headline does
    not excuse the GPU.

    Parameters
    ----------
    booked : Reading
        Sum over all phases.
    whole : Reading
        One window around them, by a meter of its own.
    """
    headline = whole.counting
    counters = [n for n, part in headline.items() if part.provenance is Provenance.COUNTER]
    others = [name for name in {**headline, **booked.counting} if name not in counters]
    kinds = {MODEL_LIMIT: others, COUNTER_LIMIT: counters}
    found = [
        Reconciliation(_joules(booked, names), _joules(whole, names), limit)
        for limit, names in kinds.items()
        if names
    ]
    return max(found, key=_excess, default=Reconciliation(None, None, MODEL_LIMIT))


def _joules(reading: Reading, names: Iterable[str]) -> float | None:
    parts = reading.judged.components
    return sum_energy_j(parts.get(n, Component(None, Provenance.NONE, n)) for n in names)


def _excess(found: Reconciliation) -> float:
    # What could not be checked is worse than what was.
    return math.inf if found.deviation is None else found.deviation / found.limit
