"""Uncertainty: what the ticks of counters leave open, and what follows for who reads a figure.

It is not the accuracy of the device's own sensors, which no reading tells.
"""

from collections.abc import Mapping
from math import hypot
from typing import Any

from greenbench.results.account import Account
from greenbench.results.readings import SLOWEST_TICK_S, Component

SHORT_SHARE = 0.05
"""Of a figure, which its uncertainty may be. It is the share by which repeats may vary (CV) before
a case is called unstable: what ticks add must not be what makes it so."""
NOTABLE_SHARE = 0.05
"""Of the total, from which on a phase is judged by itself. All of a smaller one is within what the
total may be uncertain by; else every short search or validation would mark its sample."""


def left_open(row: Mapping[str, Any], column: str = "energy_wh") -> float | None:
    """Return what ticks leave open of a figure in a row; None where nobody knows.

    Net energy is open by as much as the energy: idle power is a mean over seconds, which has no
    uncertainty of its own. Emissions are energy times an intensity, and open by the same share.

    Parameters
    ----------
    row : mapping
        As `greenbench.results.table.to_row` gives it.
    column : str
        The figure.

    Returns
    -------
    float or None
        Half-width of the 95% interval, in the unit of the column.
    """
    known, energy_wh, emissions_g = (
        value if isinstance(value := row.get(name), int | float) else None
        for name in ("uncertainty_wh", "energy_wh", "emissions_g")
    )
    if known is None or column in ("energy_wh", "net_wh"):
        return known
    if column == "emissions_g" and emissions_g is not None and energy_wh:
        return known * emissions_g / energy_wh
    return None


def is_short(account: Account) -> bool:
    """Return whether too few ticks fell into a measured component, in all or of a phase.

    Where the uncertainty of a figure is not known, because it was read at the edges of windows,
    it is that of a tick.

    Parameters
    ----------
    account : Account
        Of a repeat.
    """
    total = account.total.judged.components
    readings = [account.total, *account.phases.values()]
    return any(
        _is_uncertain(part, reading.duration_s)
        for reading in readings
        for name, part in reading.judged.components.items()
        if (part.energy_j or 0.0) >= NOTABLE_SHARE * (total[name].energy_j or 0.0)
    )


def combined_j(one: Component, other: Component, seconds: float) -> float:
    """Return the uncertainty of the difference of two figures of a component.

    Both may come from the same counter, one at its ticks and one at the edges of a window.

    Parameters
    ----------
    one, other : Component
        Of the same time.
    seconds : float
        How long that was.

    Returns
    -------
    float
        In joules; 0 where neither was read at ticks.
    """
    if one.uncertainty_j is None and other.uncertainty_j is None:
        return 0.0
    return hypot(*(_doubt_j(part, seconds) for part in (one, other)))


def _is_uncertain(part: Component, seconds: float) -> bool:
    if not part.energy_j or not part.provenance.is_measured:
        return False
    return _doubt_j(part, seconds, SLOWEST_TICK_S) > SHORT_SHARE * part.energy_j


def _doubt_j(part: Component, seconds: float, usual_tick_s: float = 0.0) -> float:
    """Return the uncertainty of a figure: where nobody knows it, the joules of a tick.

    A window whose edges are read raw has up to that much too many or too few.
    """
    if part.uncertainty_j is not None or not part.energy_j or seconds <= 0:
        return part.uncertainty_j or 0.0
    return part.energy_j / seconds * (part.tick_s or usual_tick_s)
