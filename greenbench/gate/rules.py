"""The rules of the gate: one limit, one case, its samples and those of a baseline.

Pure functions of numbers. A rule says whether a limit is violated, kept, or whether the samples
cannot tell; what becomes of a violation is not its business.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial
from math import exp, inf, log
from statistics import mean, median

from greenbench.gate.bounds import (
    SESSIONS,
    Bounds,
    has_drifted,
    level_bounds,
    mean_bounds,
    pair_bounds,
    ratio_bounds,
    session_bounds,
)

REAL = 0.98
"""Confidence that a case costs more at all, or more than its budget."""
BEYOND = 0.95
"""Confidence that it costs more by more than is allowed; the bound that people see."""

BY_PAIRS = "pairs of a round are compared, because the machine's pace changed between rounds"


@dataclass(frozen=True)
class Finding:
    """What a rule found.

    Attributes
    ----------
    is_violated : bool or None
        None where the samples cannot tell.
    compared : float or None
        What is compared with the limit.
    low, high : float or None
        Its bounds; None where there are none.
    reason : str
        What was found, without a full stop.
    """

    is_violated: bool | None
    compared: float | None
    low: float | None
    high: float | None
    reason: str


def judge_count(values: Sequence[float], most: float) -> Finding:
    """Judge a deterministic cost by its largest value.

    Parameters
    ----------
    values : sequence of float
        Of the repeats.
    most : float
        What is allowed.
    """
    largest = max(values)
    is_violated = _exceeds(largest, most)
    return Finding(is_violated, largest, largest, largest, _said(is_violated))


def judge_growth(values: Sequence[float], baseline: Sequence[float], most: float) -> Finding:
    """Judge by how much a deterministic cost grew: the largest ratio of two equal repeats.

    Parameters
    ----------
    values, baseline : sequence of float
        Of the same repeats, in the same order, or of one value where all repeats cost the same.
    most : float
        The ratio that is allowed.
    """
    pairs = list(zip(values, baseline, strict=True))
    ratios = [value / known if known else (inf if value else 1.0) for value, known in pairs]
    is_violated = any(_exceeds(value, known, most) for value, known in pairs)
    largest = max(ratios)
    shown = None if largest == inf else largest
    return Finding(is_violated, shown, shown, shown, _said(is_violated))


def judge_least(values: Sequence[float], least: float) -> Finding:
    """Judge whether a score, more being better, reaches a limit, by Student's bounds of its mean.

    Parameters
    ----------
    values : sequence of float
        Of the repeats.
    least : float
        What is needed.
    """
    low, high = mean_bounds(values, REAL)
    return _finding(mean(values), (low, high), high < least, low >= least)


def judge_drop(changes: Sequence[float], most: float) -> Finding:
    """Judge whether such a score is no worse by more than a margin.

    A non-inferiority test: the margin is kept only if that is shown.

    Parameters
    ----------
    changes : sequence of float
        Score less that of the baseline, one for each repeat that both have.
    most : float
        The drop that is allowed, above 0.
    """
    low, high = mean_bounds(changes, REAL)
    return _finding(mean(changes), (low, high), high < -most, low >= -most)


def judge_cost(
    samples: Sequence[float], most: float, noise: float, uncertainty: float = 0.0
) -> Finding:
    """Judge a noisy cost against a budget.

    What ticks of a counter leave open may be alike in all samples, so that their number does not
    lessen it: a budget that is nearer to the median than that is neither kept nor violated.

    Parameters
    ----------
    samples : sequence of float
        Of one session.
    most : float
        The budget.
    noise : float
        Standard deviation between sessions, as a share.
    uncertainty : float
        Half-width of the interval of a single sample, as a share; 0 where nobody knows.
    """
    middle = median(samples)
    if min(samples) <= 0:
        return _not_positive(middle)
    bounds = level_bounds(samples, REAL, noise)
    found = _finding(middle, bounds, bounds[0] > most, bounds[1] <= most)
    if found.is_violated is not None and abs(middle - most) <= uncertainty * middle:
        reason = f"the limit is within the {uncertainty:.1%} that a sample is uncertain by"
        return replace(found, is_violated=None, reason=f"{reason}: train for longer")
    return found


def judge_increase(
    samples: Sequence[float],
    sessions: Mapping[str, Sequence[float]],
    most: float,
    noise: float,
) -> Finding:
    """Judge by which ratio a noisy cost grew.

    It is violated if the cost grew at all, which must be shown at `REAL`, and by more than is
    allowed, which must be shown at `BEYOND`. So unchanged code fails with a chance of 2% at most,
    whatever is allowed.

    Parameters
    ----------
    samples : sequence of float
        Of one session.
    sessions : mapping of str to sequence of float
        Those of the baseline, by session.
    most : float
        The ratio that is allowed.
    noise : float
        Standard deviation between sessions, as a share; 0 if all were measured in one. From
        `greenbench.gate.bounds.SESSIONS` on, the sessions themselves say it.
    """
    known = [value for values in sessions.values() for value in values]
    if min(*samples, *known) <= 0:
        return _not_positive(None)

    def bounds(confidence: float) -> Bounds:
        if noise and len(sessions) >= SESSIONS:
            return session_bounds(samples, list(sessions.values()), confidence)
        return ratio_bounds(samples, known, confidence, noise)

    return _grown(median(samples) / median(known), bounds, most)


def judge_turns(
    samples: Sequence[float],
    baseline: Sequence[float],
    pairs: Sequence[tuple[float, float]],
    most: float,
) -> Finding:
    """Judge by which ratio a noisy cost grew, of two revisions that were measured in turn.

    As `judge_increase` without noise between sessions. If the machine's pace changed from round
    to round by more than within one, pairs of a round are compared instead of all samples.

    Parameters
    ----------
    samples, baseline : sequence of float
        Of the two revisions.
    pairs : sequence of (float, float)
        Those of rounds in which both count.
    most : float
        The ratio that is allowed.
    """
    if min(*samples, *baseline) <= 0:
        return _not_positive(None)
    if not has_drifted(pairs):
        return judge_increase(samples, {"": baseline}, most, 0.0)
    ratio = exp(mean(log(new / old) for new, old in pairs))
    found = _grown(ratio, partial(pair_bounds, pairs), most)
    return replace(found, reason=f"{found.reason}; {BY_PAIRS}")


def _grown(ratio: float, bounds: Callable[[float], Bounds], most: float) -> Finding:
    shown = bounds(BEYOND)
    is_beyond = shown[0] > most
    is_real = is_beyond and bounds(REAL)[0] > 1
    if is_beyond and not is_real:
        reason = f"that it grew at all is less certain than {REAL:.0%}: run more repeats"
        return Finding(None, ratio, *shown, reason)
    return _finding(ratio, shown, is_real, shown[1] <= most)


def _exceeds(value: float, known: float, most: float = 1.0) -> bool:
    """Return whether a deterministic cost is more than another times a ratio, exactly."""
    if isinstance(value, float) or isinstance(known, float):
        # A store rounds whole numbers beyond 2**53, and a file does not.
        value, known = float(value), float(known)
    # 100 * 1.15 is less than 115.
    return Fraction(value) > Fraction(known) * Fraction(most).limit_denominator(10**9)


def _finding(compared: float, bounds: Bounds, is_violated: bool, is_kept: bool) -> Finding:
    if bounds[1] == inf:
        return Finding(None, compared, None, None, "there are too few samples for an interval")
    verdict = True if is_violated else False if is_kept else None
    return Finding(verdict, compared, *bounds, _said(verdict))


def _said(is_violated: bool | None) -> str:
    if is_violated is None:
        return "the interval straddles the limit"
    return "the limit is exceeded" if is_violated else "the limit is kept"


def _not_positive(compared: float | None) -> Finding:
    reason = "a sample is 0: the meter did not resolve it"
    return Finding(None, compared, None, None, reason)
