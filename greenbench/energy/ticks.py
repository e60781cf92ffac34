"""Joules of a counter that ticks, shared out among what happened between its ticks.

The value of such a counter changes every now and then: an NVIDIA GPU's about every 100 ms. What
it read at the two edges of a window is wrong by up to a tick of power at each. So nothing is read
at edges here: the joules of each tick go to those segments that it holds, in proportion to the
power of their phases, which all ticks together tell.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy.special import stdtrit

from greenbench.energy.counter_values import Floats, Ticks
from greenbench.energy.plausibility import Evidence, Explanation
from greenbench.energy.regression import Regression, Work
from greenbench.energy.sharing import Model, models
from greenbench.errors import EnergyError

LEAST = 2


@dataclass(frozen=True)
class Segments:
    """What happened when; one segment follows another without a gap.

    Attributes
    ----------
    edges_s : array of shape (m + 1,)
        Seconds by the clock of the ticks; they never fall.
    phases : sequence of m str
        What each segment is booked to.
    counted : sequence of m bool, optional
        Which of them the total is of; all by default.
    """

    edges_s: Floats
    phases: Sequence[str]
    counted: Sequence[bool] | None = None


@dataclass(frozen=True)
class Apportioned:
    """The joules of a counter by segment and by phase.

    Attributes
    ----------
    energy_j : array of shape (m,)
        Joules of each segment; they sum to `total_j`.
    segment_uncertainty_j : array of shape (m,)
        Half-widths of their 95% intervals, in joules.
    phase_j, phase_uncertainty_j : mapping of str to float
        Joules by phase, and half-widths of their 95% intervals. A phase in
        `booked_with` is missing here.
    total_j, total_uncertainty_j : float
        Joules from the first edge to the last, and the half-width of their 95% interval.
    counted_uncertainty_j : float
        That of the segments that count.
    booked_with : mapping of str to str
        A phase that lasts less than a tick in all, and the neighbour whose figure holds its joules.
    tick_s : float
        Median seconds between two ticks.
    lag_s : float
        By how much the counter runs behind, in seconds.
    explanations : sequence of Explanation
        The lags and transients that were averaged.
    """

    energy_j: Floats
    segment_uncertainty_j: Floats
    phase_j: Mapping[str, float]
    phase_uncertainty_j: Mapping[str, float]
    total_j: float
    total_uncertainty_j: float
    counted_uncertainty_j: float
    booked_with: Mapping[str, str]
    tick_s: float
    lag_s: float
    explanations: Sequence[Explanation]


def apportion(
    ticks: Ticks,
    segments: Segments,
    known: Sequence[Explanation] = (),
    *,
    is_open: bool = False,
) -> Apportioned:
    """Share the joules of a counter out among segments.

    The joules of each tick are regressed on the seconds that each phase spent in it (non-negative
    least squares, Lawson and Hanson 1974), which gives each phase a power. Each tick's own joules
    then go to its segments in proportion to what that power says of them. So long segments keep
    what was counted, and only ticks that hold an edge are modelled. By how much the counter runs
    behind and how power follows work are found by the same residuals, and averaged over what is
    plausible (Bayesian model averaging; Hoeting et al. 1999, doi:10.1214/ss/1009212519).

    Parameters
    ----------
    ticks : Ticks
        From the last tick before the first edge to the first one after the last edge; one or
        two more help to see the lag.
    segments : Segments
        What happened when.
    known : sequence of Explanation, optional
        Lags and transients, as a session knows them; by default what these ticks alone tell.
    is_open : bool
        Whether segments may go on after the last tick. Of the rest, the power of phases tells.

    Returns
    -------
    Apportioned
        Joules by segment and phase, with their uncertainties.

    Raises
    ------
    EnergyError
        If ticks or segments make no sense, or the ticks do not cover the segments.
    """
    work, names, booked = work_of(ticks, segments, is_open=is_open)
    regression = Regression(work)
    known = known or Evidence(regression).explanations
    counted = np.ones(len(segments.phases)) if segments.counted is None else segments.counted
    return _summary(work, models(regression, known), names, booked, np.asarray(counted, float))


def work_of(
    ticks: Ticks, segments: Segments, *, is_open: bool = False
) -> tuple[Work, list[str], dict[str, str]]:
    """Return what is shared out, the names of phases by number, and what they hold of others.

    Raises
    ------
    EnergyError
        As `apportion` does.
    """
    times, energy = np.asarray(ticks.times_s, float), np.asarray(ticks.energy_j, float)
    edges = np.asarray(segments.edges_s, float)
    _check(times, energy, edges, segments.phases)
    _check_cover(times, edges[:1] if is_open else edges)
    first = max(int(np.searchsorted(times, edges[0], "right")) - 1, 0)
    last = min(int(np.searchsorted(times, edges[-1], "left")) + 2, times.size - 1)
    times, joules = times[first : last + 1], np.diff(energy[first : last + 1])
    tick_s = float(np.median(np.diff(times)))
    booked = _booked(edges, segments.phases, tick_s)
    held = [booked.get(phase, phase) for phase in segments.phases]
    names = sorted(set(held))
    phase = np.array([names.index(name) for name in held])
    within_s = None if ticks.within_s is None else np.asarray(ticks.within_s)[first : last + 1]
    work = Work(times, joules, edges, phase, tick_s, within_s)
    return work, names, booked


def _summary(
    work: Work,
    averaged: Sequence[Model],
    names: Sequence[str],
    booked: Mapping[str, str],
    counted: Floats,
) -> Apportioned:
    """Average the models, and add up what each one leaves open and what they differ by."""
    weights = np.array([model.why.weight for model in averaged])
    shares = np.array([model.energy_j for model in averaged])
    best = averaged[int(np.argmax(weights))]
    into = (work.phase[:, None] == np.arange(len(names))).astype(float)
    edges_j2, slopes = best.edges_j**2, best.slopes
    own = edges_j2[:-1] + edges_j2[1:]
    quantile = float(stdtrit(best.freedom, 0.975))

    def half_widths(values: Floats, noise: Floats, slope: Floats) -> Floats:
        spread = weights @ (values - weights @ values) ** 2
        fitted = np.einsum("ip,pq,iq->i", slope, best.covariance, slope)
        return np.asarray(quantile * np.sqrt(spread + noise + np.maximum(fitted, 0.0)))

    def of_sum(which: Floats) -> float:
        # What one of two neighbours gets too much, the other lacks.
        is_end = np.diff(which, prepend=0.0, append=0.0) != 0
        noise = np.array([edges_j2[is_end].sum()])
        return float(half_widths((shares @ which)[:, None], noise, (which @ slopes)[None])[0])

    energy_j = weights @ shares
    by_phase = half_widths(shares @ into, own @ into, into.T @ slopes)
    return Apportioned(
        energy_j=energy_j,
        segment_uncertainty_j=half_widths(shares, own, slopes),
        phase_j=dict(zip(names, (energy_j @ into).tolist(), strict=True)),
        phase_uncertainty_j=dict(zip(names, by_phase.tolist(), strict=True)),
        total_j=float(energy_j.sum()),
        total_uncertainty_j=of_sum(np.ones_like(counted)),
        counted_uncertainty_j=of_sum(counted),
        booked_with=booked,
        tick_s=work.tick_s,
        lag_s=float(weights @ np.array([model.why.lag_s for model in averaged])),
        explanations=[model.why for model in averaged],
    )


def _check(times: Floats, energy: Floats, edges: Floats, phases: Sequence[str]) -> None:
    """Refuse what nothing can be told from."""
    if times.ndim != 1 or times.shape != energy.shape or times.size < LEAST:
        raise EnergyError(
            f"a counter gave {times.size} ticks and {energy.size} values; at least two of each "
            "are needed: measure for longer"
        )
    if edges.size < LEAST or edges.size != len(phases) + 1:
        raise EnergyError(
            f"{len(phases)} segments have {edges.size} edges; they need one edge more than "
            "segments, and at least one segment"
        )
    for name, values, least in (
        ("times of ticks", times, "rise"),
        ("values of a counter", energy, "never fall"),
        ("edges of segments", edges, "never fall"),
    ):
        if not np.isfinite(values).all():
            raise EnergyError(f"the {name} hold {values[~np.isfinite(values)][0]}, no number")
        steps = np.diff(values)
        wrong = steps <= 0 if least == "rise" else steps < 0
        if wrong.any():
            at = int(np.argmax(wrong))
            raise EnergyError(
                f"the {name} must {least}, and went from {values[at]:g} to {values[at + 1]:g}"
            )
    if edges[0] == edges[-1]:
        raise EnergyError("the segments last 0 s; there is nothing to share out")


def _check_cover(times: Floats, edges: Floats) -> None:
    """Refuse ticks that say nothing of some segments."""
    if times[0] > edges[0] or times[-1] < edges[-1]:
        raise EnergyError(
            f"ticks from {times[0]:.3f} to {times[-1]:.3f} s do not cover the segments, which go "
            f"from {edges[0]:.3f} to {edges[-1]:.3f} s"
        )


def _booked(edges: Floats, phases: Sequence[str], tick_s: float) -> dict[str, str]:
    """Return which phase holds the joules of each that lasts less than a tick in all."""
    seconds: Counter[str] = Counter()
    for phase, length in zip(phases, np.diff(edges).tolist(), strict=True):
        seconds[phase] += length
    holder = {phase: phase for phase in seconds}
    shared = Counter(frozenset(pair) for pair in pairwise(phases) if pair[0] != pair[1])
    while True:
        groups: Counter[str] = Counter()
        for phase, length in seconds.items():
            groups[holder[phase]] += length
        least = min(groups, key=lambda phase: (groups[phase], phase))
        if len(groups) == 1 or groups[least] >= tick_s:
            return {phase: other for phase, other in holder.items() if phase != other}
        sides: Counter[str] = Counter()
        for pair, count in shared.items():
            one, other = (holder[phase] for phase in pair)
            if one != other and least in (one, other):
                sides[other if one == least else one] += count
        into = max(sides, key=lambda phase: (sides[phase], groups[phase], phase))
        # The longest one names what they have in common.
        name, rest = (into, least) if seconds[into] >= seconds[least] else (least, into)
        holder = {phase: name if held == rest else held for phase, held in holder.items()}
