"""How numbers are shown: few digits, and in brackets a range or an interval."""

import math

from greenbench.compare.brackets import Bracketed
from greenbench.compare.paired_means import PairedMean
from greenbench.results.readings import Provenance
from greenbench.tasks import Score
from greenbench.tasks.score_format import UNKNOWN, is_share, plain

LARGE = 1000  # from here on, three digits would come with an exponent


def interval(found: Bracketed, scale: float = 1.0, unit: str = "") -> str:
    """Return a median or mean with its range or interval; accuracies in per cent."""

    def shown(value: float) -> str:
        return f"{value * scale:.1f}" if unit == "%" else f"{value * scale:.3g}"

    middle = f"{shown(found.middle)}{unit}"
    if found.low is None or found.high is None:
        return middle
    return f"{middle} [{shown(found.low)}, {shown(found.high)}]"


def score_interval(found: Bracketed, score: Score) -> str:
    """Return a score with its range or interval; of scores that are no shares without a unit."""
    if not math.isfinite(found.middle):
        return UNKNOWN
    if is_share(score):
        return interval(found, 100, "%")
    ends = (
        ""
        if found.low is None or found.high is None
        else f" [{plain(found.low)}, {plain(found.high)}]"
    )
    return f"{plain(found.middle)}{ends}"


def bare_score(found: float | None, score: Score) -> str:
    """Return a score without an interval, of shares with four digits."""
    if found is None or not math.isfinite(found):
        return UNKNOWN
    return f"{found:.2%}" if is_share(score) else plain(found)


def apart(found: float | None, score: Score) -> str:
    """Return a difference of two scores, of shares in points, with its sign and without a unit."""
    if found is None or not math.isfinite(found):
        return UNKNOWN
    return signed(100 * found) if is_share(score) else plain(found, "+")


def signed(value: float) -> str:
    """Return a number with its sign and three digits."""
    return f"{value:+,.0f}" if abs(value) >= LARGE else f"{value:+.3g}"


def at_or_above(value: float | None, least: float | None, scale: float = 1.0) -> str:
    """Return a number; a censored one, of which only the least is known, with ``>``."""
    if value is not None:
        return f"{value * scale:.3g}"
    return "–" if least is None else f"> {least * scale:.3g}"


def bracketed(found: PairedMean | None) -> str:
    """Return a ratio with its interval."""
    return UNKNOWN if found is None else interval(found)


def chance(found: PairedMean | None) -> str:
    """Return the p of a mean over pairs."""
    return UNKNOWN if found is None or found.p is None else f"{found.p:.2g}"


def label(provenance: str | None) -> str:
    """Return whether an energy is measured or estimated, for a title."""
    return f" (energy {Provenance(provenance).label})" if provenance else ""


def on(host: str | None) -> str:
    """Return which host figures are of, for a title; nothing where there is one only."""
    return f" on {host}" if host else ""
