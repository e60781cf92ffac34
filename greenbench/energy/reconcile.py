"""Reconciliation: the phases of a ledger against one window around all of them."""

import math
from collections.abc import Iterable
from dataclasses import replace

from greenbench.results import Reconciliation
from greenbench.results.quality import disagreement
from greenbench.results.readings import Component, Provenance, Reading, sum_energy_j
from greenbench.results.uncertainty import combined_j

COUNTER_LIMIT = 0.02
MODEL_LIMIT = 0.05


def reconcile(booked: Reading, whole: Reading, witnessed: Reading | None = None) -> Reconciliation:
    """Return how far the phases are from the whole, where they are farthest beyond their limit.

    What counters read is held to their limit by itself: a modelled CPU in the same headline does
    not excuse the GPU. Of a component with a counter both read the same one: that they agree says
    that windows and sums are right, and nothing of the counter. One was read at its ticks, the
    other at raw edges, so that they may differ by what a tick holds.

    Parameters
    ----------
    booked : Reading
        Sum over all phases.
    whole : Reading
        One window around them, by a meter of its own.
    witnessed : Reading, optional
        What was booked in windows that further meters read, too; all of it by default.
    """
    headline = whole.counting
    counters = [n for n, part in headline.items() if part.provenance is Provenance.COUNTER]
    others = [name for name in {**headline, **booked.counting} if name not in counters]
    # What the window's meter does not know at all, such as a GPU that others read, it cannot check.
    others = [name for name in others if name in whole.components]
    kinds = {MODEL_LIMIT: others, COUNTER_LIMIT: counters}
    found = [_compared(booked, whole, names, limit) for limit, names in kinds.items() if names]
    worst = max(found, key=_excess, default=Reconciliation(None, None, MODEL_LIMIT))
    return replace(
        worst,
        apart=disagreement(witnessed or booked),
        apart_beyond_ticks=disagreement(witnessed or booked, beyond_ticks=True),
    )


def _compared(
    booked: Reading, whole: Reading, names: Iterable[str], limit: float
) -> Reconciliation:
    absent = Component(None, Provenance.NONE, "")
    first, second = (
        [reading.judged.components.get(name, absent) for name in names]
        for reading in (booked, whole)
    )
    doubts_j = (combined_j(*pair, whole.duration_s) for pair in zip(first, second, strict=True))
    return Reconciliation(sum_energy_j(first), sum_energy_j(second), limit, math.hypot(*doubts_j))


def _excess(found: Reconciliation) -> float:
    # What could not be checked is worse than what was.
    return math.inf if found.excess is None else found.excess / found.limit
