"""Emissions as people see them: with one digit where nobody said which grid the power came from.

Countries' grids differ from the world average by up to tenfold, so that further digits would say
nothing. Files for programs have all digits.
"""

from collections.abc import Iterable

WORLD_AVERAGE = "world average"
"""How the source of an intensity begins that is neither anybody's own nor a country's."""
ROUGHLY = "~"
"""Before a figure that is one of a world average."""


def are_rough(sources: Iterable[str | None]) -> bool:
    """Return whether any of the sources of intensities is a world average."""
    return any(source is not None and source.startswith(WORLD_AVERAGE) for source in sources)


def one_digit(value: float) -> str:
    """Return a figure with one significant digit, without an exponent where it is short."""
    return f"{ROUGHLY}{float(f'{value:.1g}'):g}"


def intensity_in_words(g_per_kwh: float, source: str) -> str:
    """Return at which intensity emissions are computed.

    Parameters
    ----------
    g_per_kwh : float
        In g CO2e/kWh.
    source : str
        Where it comes from.
    """
    shown = one_digit(g_per_kwh) if are_rough([source]) else f"{g_per_kwh:g}"
    return f"{shown} g CO2e/kWh"
