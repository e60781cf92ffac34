"""How numbers are shown: few digits, one unit a column, an interval behind the median."""

import statistics
from collections.abc import Sequence
from typing import TextIO

from rich.console import Console

from greenbench.compare.returns import SMALL_WH
from greenbench.compare.stats import Estimate

WIDTH = 240
LARGE = 1000  # from here on, three digits would come with an exponent


def new_console(stream: TextIO) -> Console:
    """Return a console with room for whole tables: a number that is cut off misleads."""
    return Console(file=stream, highlight=False, width=WIDTH)


def interval(found: Estimate, scale: float = 1.0, unit: str = "") -> str:
    """Return a median with its interval, as rich shows it; accuracies in per cent."""

    def shown(value: float) -> str:
        return f"{value * scale:.1f}" if unit == "%" else f"{value * scale:.3g}"

    middle = f"{shown(found.median)}{unit}"
    if found.low is None or found.high is None:
        return middle
    return f"{middle} \\[{shown(found.low)}, {shown(found.high)}]"


def signed(value: float) -> str:
    """Return a number with its sign and three digits."""
    return f"{value:+,.0f}" if abs(value) >= LARGE else f"{value:+.3g}"


def energy_unit(values: Sequence[float | None]) -> tuple[str, float]:
    """Return one unit for a column, and how many of it make a Wh."""
    known = [value for value in values if value is not None]
    typical = statistics.median(known) if known else 0.0
    return ("Wh", 1.0) if typical >= SMALL_WH else ("mWh", 1000.0)
