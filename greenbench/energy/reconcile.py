"""Reconciliation: the phases of a ledger against one window around all of them."""

from greenbench.results import Reconciliation
from greenbench.results.readings import Provenance, Reading

COUNTER_LIMIT = 0.02
MODEL_LIMIT = 0.05


def reconcile(booked: Reading, whole: Reading) -> Reconciliation:
    """Return how far the phases are from the whole.

    Parameters
    ----------
    booked : Reading
        Sum over all phases.
    whole : Reading
        One window around them, by a meter of its own.
    """
    is_counter = whole.provenance is Provenance.COUNTER
    limit = COUNTER_LIMIT if is_counter else MODEL_LIMIT
    return Reconciliation(booked.energy_j, whole.energy_j, limit)
