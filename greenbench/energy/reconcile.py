"""Reconciliation: the phases of a ledger against one window around all of them."""

from math import hypot

from greenbench.results import Reconciliation
from greenbench.results.readings import Provenance, Reading
from greenbench.results.uncertainty import combined_j

COUNTER_LIMIT = 0.02
MODEL_LIMIT = 0.05


def reconcile(booked: Reading, whole: Reading) -> Reconciliation:
    """Return how far the phases are from the whole.

    Of a component with a counter both read the same one: that they agree says that windows and
    sums are right, and nothing of the counter. One was read at its ticks, the other at raw
    edges, so that they may differ by what a tick holds.

    Parameters
    ----------
    booked : Reading
        Sum over all phases.
    whole : Reading
        One window around them, by a meter of its own.
    """
    is_counter = whole.provenance is Provenance.COUNTER
    limit = COUNTER_LIMIT if is_counter else MODEL_LIMIT
    return Reconciliation(booked.energy_j, whole.energy_j, limit, _uncertainty_j(booked, whole))


def _uncertainty_j(booked: Reading, whole: Reading) -> float:
    first, second = booked.judged.components, whole.judged.components
    common = [name for name in first if name in second]
    return hypot(*(combined_j(first[name], second[name], whole.duration_s) for name in common))
