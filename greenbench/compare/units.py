"""Units: energies and masses with one in which they have few zeros.

It imports nothing heavy: progress is shown before anything else is loaded.
"""

import statistics
from collections.abc import Iterable

SMALL_WH = 0.1
SMALL_G = 0.1


def with_unit(energy_wh: float) -> str:
    """Return an energy with its unit: Wh, or mWh below 0.1 Wh."""
    return f"{energy_wh:.3g} Wh" if energy_wh >= SMALL_WH else f"{energy_wh * 1000:.3g} mWh"


def energy_unit(energies_wh: Iterable[float | None]) -> tuple[str, float]:
    """Return one unit for several energies, and how many of it make a Wh.

    Parameters
    ----------
    energies_wh : iterable of float or None
        Of one column or axis, in Wh; None where it is unknown.
    """
    return _unit(energies_wh, "Wh", SMALL_WH)


def mass_unit(masses_g: Iterable[float | None]) -> tuple[str, float]:
    """Return one unit for several masses, and how many of it make a gram.

    Parameters
    ----------
    masses_g : iterable of float or None
        Of one column, in g; None where it is unknown.
    """
    return _unit(masses_g, "g", SMALL_G)


def _unit(values: Iterable[float | None], unit: str, least: float) -> tuple[str, float]:
    known = [value for value in values if value is not None]
    is_small = not known or statistics.median(known) < least
    return (f"m{unit}", 1000.0) if is_small else (unit, 1.0)
