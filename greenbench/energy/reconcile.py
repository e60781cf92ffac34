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


def reconcile(booked: Reading, whole: Reading, before: Reading | None = None) -> Reconciliation:
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
        One window around them, by meters of its own.
    before : Reading, optional
        What a process that was interrupted had booked.
    """
    headline = whole.counting
    counters = [n for n, part in headline.items() if part.provenance is Provenance.COUNTER]
    others = [name for name in {**headline, **booked.counting} if name not in counters]
    # What the window's meter does not know at all, such as a GPU that others read, it cannot check.
    others = [name for name in others if name in whole.components]
    kinds = {MODEL_LIMIT: others, COUNTER_LIMIT: counters}
    found = [_compared(booked, whole, names, limit) for limit, names in kinds.items() if names]
    worst = max(found, key=_excess, default=Reconciliation(None, None, MODEL_LIMIT))
    seen = _seen(booked, whole)
    both = before + seen if before else seen
    return replace(
        worst,
        apart=disagreement(both),
        apart_beyond_ticks=disagreement(both, beyond_ticks=True),
    )


def _seen(booked: Reading, whole: Reading) -> Reading:
    """Return what the first meter and others read of the whole time.

    What was read at ticks is taken from there: read at edges, it would be the counter that others
    read at edges, too. The rest is the window's own: phases leave out what reading them takes.
    """
    at_ticks = {
        name: part for name, part in booked.components.items() if part.uncertainty_j is not None
    }
    return replace(whole, components={**whole.components, **at_ticks})


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
