"""The rules of the gate: one limit, one case, its samples and those of a baseline.

Pure functions of numbers. A rule says whether a limit is violated, kept, or whether the samples
cannot tell; what becomes of a violation is not its business.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from math import exp, inf, log
from statistics import mean, median

import numpy as np

from greenbench.gate.bounds import (
    SESSIONS,
    Bounds,
    level_bounds,
    mean_bounds,
    prediction,
    ratio_bounds,
    session_bounds,
    session_noise,
    session_width,
    student_bounds,
)
from greenbench.gate.limits import FEWEST_PAIRS
from greenbench.gate.sequential import KEPT, LIKELY, SHOWN, UNCHANGED, decide, looks, nominal

REAL = 0.98
"""Confidence that a case costs more at all, or more than its budget; in a build with several noisy
limits, that none is wrongly said to."""
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
    is_open : bool
        Whether more samples may tell.
    confidence : float or None
        Of the interval from `low` to `high`; None for that of its kind of limit.
    """

    is_violated: bool | None
    compared: float | None
    low: float | None
    high: float | None
    reason: str
    is_open: bool = False
    confidence: float | None = None


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
    samples: Sequence[float],
    most: float,
    noise: float,
    uncertainty: float = 0.0,
    freedom: float = inf,
    *,
    is_repeated: bool = False,
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
    freedom : float
        Degrees of freedom that the noise was learned with; infinite if it is given.
    is_repeated : bool
        Whether this is one look of several, each at more samples, of which the first that decides
        is the last.
    """
    middle = median(samples)
    if min(samples) <= 0:
        return _not_positive(middle)
    sure = _sure(is_repeated)
    bounds = level_bounds(samples, sure, noise, freedom, spent=_spent(sure, is_repeated))
    found = _finding(middle, bounds, bounds[0] > most, bounds[1] <= most)
    if found.is_violated is not None and abs(middle - most) <= uncertainty * middle:
        reason = f"the limit is within the {uncertainty:.1%} that a sample is uncertain by"
        return replace(found, is_violated=None, reason=f"{reason}: train for longer")
    return _open(found, most, noise, session_width(sure, noise, 1, freedom))


def judge_increase(
    samples: Sequence[float],
    sessions: Mapping[str, Sequence[float]],
    most: float,
    noise: float,
    *,
    family: int = 1,
    freedom: float = inf,
    is_repeated: bool = False,
) -> Finding:
    """Judge by which ratio a noisy cost grew.

    It is violated if the cost grew at all, which must be shown at `REAL` for all noisy limits of
    the build together (Bonferroni), and by more than is allowed, which must be shown at `BEYOND`.
    So a build of unchanged code fails with a chance of 2% at most, whatever is allowed.

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
    family : int
        Noisy limits that the build has.
    freedom : float
        Degrees of freedom that the noise was learned with; infinite if it is given.
    is_repeated : bool
        Whether this is one look of several, each at more samples, of which the first that decides
        is the last.
    """
    known = [value for values in sessions.values() for value in values]
    if min(*samples, *known) <= 0:
        return _not_positive(None)

    real = 1 - (1 - _sure(is_repeated)) / family
    ratio = median(samples) / median(known)
    if noise and len(sessions) >= SESSIONS:
        levels = list(sessions.values())

        def of_sessions(confidence: float) -> Bounds:
            return session_bounds(
                samples, levels, confidence, spent=_spent(confidence, is_repeated)
            )

        widths = prediction(levels, BEYOND), prediction(levels, real)
        return _open(_grown(ratio, of_sessions, most, real), most, session_noise(levels), *widths)

    def bounds(confidence: float) -> Bounds:
        # Few samples have no ranks that are as sure as many limits or looks need.
        has_few = (family > 1 or is_repeated) and confidence == real
        of = student_bounds if has_few else ratio_bounds
        spent = _spent(confidence, is_repeated)
        return of(samples, known, confidence, noise, freedom, spent=spent)

    beyond, at_all = (session_width(each, noise, 2, freedom) for each in (BEYOND, real))
    return _open(_grown(ratio, bounds, most, real), most, noise, beyond, at_all)


def judge_turns(
    pairs: Sequence[tuple[float, float]],
    new_first: Sequence[bool],
    most: float,
    *,
    family: int = 1,
    fewest: int = FEWEST_PAIRS,
) -> Finding:
    """Judge by which ratio a noisy cost grew, of two revisions that were measured in turn.

    The first look that decides, counts: whoever measures on for other limits changes nothing.

    Parameters
    ----------
    pairs : sequence of (float, float)
        What the two took in the rounds in which both count, in the order of time; at least one.
    new_first : sequence of bool
        Whether the first of the two was measured first.
    most : float
        The ratio that is allowed.
    family : int
        Noisy limits that the build has.
    fewest : int
        Pairs of the first look.
    """
    if min(min(pair) for pair in pairs) <= 0:
        return _not_positive(None)
    new, old = np.log(pairs).T[:, None]
    found = decide(looks(new, old, new_first), log(most), family=family, fewest=fewest)
    ratio, low, high = (exp(each[0]) for each in (found.growth, found.low, found.high))
    verdict = True if found.is_violated[0] else False if found.is_kept[0] else None
    reason, after = _said(verdict), f"after {found.pairs[0]} pairs"
    if verdict is None:
        unsure = f"that it grew at all is less certain than {REAL:.0%}"
        reason = f"{unsure if low > most else reason} {after}"
    reason += f"; {BY_PAIRS}" if found.by_pairs[0] else ""
    reason += "" if verdict is None else f"; decided {after}"
    if verdict and low <= most:
        reason += ": that it grew is certain, that it did by more than is allowed likely "
        reason += f"({LIKELY:.0%})"
    return Finding(verdict, ratio, low, high, reason, verdict is None, 1 - SHOWN - KEPT)


def _grown(ratio: float, bounds: Callable[[float], Bounds], most: float, real: float) -> Finding:
    shown = bounds(BEYOND)
    is_beyond = shown[0] > most
    is_real = is_beyond and bounds(real)[0] > 1
    if is_beyond and not is_real:
        reason = f"that it grew at all is less certain than {REAL:.0%}: run more repeats"
        return Finding(None, ratio, *shown, reason)
    return _finding(ratio, shown, is_real, shown[1] <= most)


def hopeless(compared: float, most: float, noise: float, width: float) -> str | None:
    """Return why no number of further repeats decides a limit; None if some number may.

    Repeats lessen the noise within a session alone.

    Parameters
    ----------
    compared, most : float
        What is compared with the limit, and the limit; above 0.
    noise : float
        Standard deviation between sessions, as a share.
    width : float
        How far the logarithm of a bound is from that of `compared`, by that noise alone.
    """
    if not compared * exp(-width) <= most < compared * exp(width):
        return None
    return (
        f"more repeats cannot decide it: noise between sessions is {noise:.0%}; measure in turn: "
        "--baseline interleaved:auto"
    )


def _open(found: Finding, most: float, noise: float, width: float, at_all: float = 0.0) -> Finding:
    """Return what was found and straddles a limit with whether more samples may tell."""
    if found.is_violated is not None or found.compared is None:
        return found
    if found.low is None or not noise:
        return replace(found, is_open=True)
    # What is beyond a limit must have grown at all, which may be the harder question.
    bar = (1.0, at_all) if at_all and found.low > most else (most, width)
    if not (why := hopeless(found.compared, bar[0], noise, bar[1])):
        return replace(found, is_open=True)
    return replace(found, reason=f"{found.reason.partition(':')[0]}; {why}")


def _sure(is_repeated: bool) -> float:
    """Return the confidence of what fails a build.

    Noise between sessions is drawn once, but shows at each look with another noise on top; the
    margin below what is promised is for that.
    """
    return 1 - UNCHANGED if is_repeated else REAL


def _spent(confidence: float, is_repeated: bool) -> float | None:
    """Return the confidence of each of many looks that holds one over all; None for one look."""
    return 1 - nominal(1 - confidence) if is_repeated else None


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
