"""Spread: how sure a coefficient of variation is, which a few repeats hardly tell."""

from functools import cache
from math import sqrt

from scipy.special import chdtri, gammaincinv

CONFIDENCE = 0.95


def interval_of_cv(cv: float, n: int) -> tuple[float, float | None]:
    """Return the two-sided 95% interval of a coefficient of variation.

    Vangel's (1996, The American Statistician 50, 21-26), of samples that are normal; up to 10%,
    where it also serves lognormal ones, it is hardly other than the chi-squared interval of a
    standard deviation: at n = 3, from 0.52 to 6.3 times what the samples have.

    Parameters
    ----------
    cv : float
        Of the samples: standard deviation (n - 1) over mean; at least 0.
    n : int
        Number of samples, at least 2.

    Returns
    -------
    low, high : float, float or None
        As shares of 1; `high` is None where the samples bound it by nothing.
    """
    least, most = _quantiles(n)
    df = n - 1
    squared = cv * cv
    low = cv / sqrt(((most + 2) / n - 1) * squared + most / df)
    room = ((least + 2) / n - 1) * squared + least / df
    return low, cv / sqrt(room) if room > 0 else None


def in_percent(cv: float) -> str:
    """Return it in per cent with two digits, and no exponent: ``"6.8"``, ``"220"``."""
    return f"{float(f'{100 * cv:.2g}'):g}"


@cache
def _quantiles(n: int) -> tuple[float, float]:
    tail = (1 - CONFIDENCE) / 2
    # Of the chi-squared distribution, as scipy.stats has them, which takes a second to import.
    return 2 * float(gammaincinv((n - 1) / 2, tail)), float(chdtri(n - 1, tail))
