"""How numbers are shown: few digits, an interval behind the median."""

from greenbench.compare.stats import Estimate

LARGE = 1000  # from here on, three digits would come with an exponent


def interval(found: Estimate, scale: float = 1.0, unit: str = "") -> str:
    """Return a median with its interval; accuracies in per cent."""

    def shown(value: float) -> str:
        return f"{value * scale:.1f}" if unit == "%" else f"{value * scale:.3g}"

    middle = f"{shown(found.median)}{unit}"
    if found.low is None or found.high is None:
        return middle
    return f"{middle} [{shown(found.low)}, {shown(found.high)}]"


def signed(value: float) -> str:
    """Return a number with its sign and three digits."""
    return f"{value:+,.0f}" if abs(value) >= LARGE else f"{value:+.3g}"


def at_or_above(value: float | None, least: float | None, scale: float = 1.0) -> str:
    """Return a number; a censored one, of which only the least is known, with ``>``."""
    if value is not None:
        return f"{value * scale:.3g}"
    return "–" if least is None else f"> {least * scale:.3g}"
