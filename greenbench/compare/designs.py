"""Designs in simulated experiments: fixed repeats, and looks until it is decided.

They are judged by the functions that judge a run. Noise is normal, equal in all sizes, and the
same in part for all sizes of a repeat where these meet the same data.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from greenbench.compare.noninferiority import Bools, Floats, p_values, share_blocks
from greenbench.compare.until import judge
from greenbench.results.looks import CONFIDENCE, LOOKS, MOST_REPEATS, Look

FEWEST, MOST = 3, 200
STEP = 1.12
"""By how much fixed numbers of repeats grow that are tried."""


@dataclass(frozen=True)
class Truth:
    """What is true of the sizes of a family, least energy first.

    Attributes
    ----------
    means : tuple of float
        Expected scores.
    noise : float
        Standard deviation of a score over repeats.
    shared : float
        Correlation of the scores of two sizes in one repeat; 0 where they are unpaired.
    tolerance : float
        How far below the best is good enough.
    """

    means: tuple[float, ...]
    noise: float
    shared: float
    tolerance: float

    @property
    def right(self) -> int:
        """The position of the size of least energy within the tolerance of the best."""
        return int(np.argmax(self._is_within))

    @property
    def is_wrong(self) -> Bools:
        """Which sizes are at the tolerance or further below: to name one is an error."""
        least = max(self.means) - self.tolerance
        return np.asarray(np.array(self.means) <= least + 1e-12 * (1 + abs(least)))

    @property
    def _is_within(self) -> Bools:
        least = max(self.means) - self.tolerance
        return np.asarray(np.array(self.means) >= least - 1e-12 * (1 + abs(least)))

    def draw(self, experiments: int, repeats: int, rng: np.random.Generator) -> Floats:
        """Return scores, shape (experiments, sizes, repeats)."""
        shape = (experiments, len(self.means), repeats)
        common = rng.normal(size=(experiments, 1, repeats))
        own = rng.normal(size=shape)
        noise: Floats = np.sqrt(self.shared) * common + np.sqrt(1 - self.shared) * own
        means: Floats = np.array(self.means)
        return np.asarray(means[:, None] + self.noise * noise)


def truth_of(gains: Floats, tolerance: float) -> Truth:
    """Return what would be true if it were as it was seen.

    Parameters
    ----------
    gains : array of float, shape (sizes, blocks)
        Of one experiment; NaN where a size has none of a block.
    tolerance : float
        How far below the best is good enough.
    """
    means = np.nanmean(gains, axis=-1)
    noise = float(np.sqrt(np.nanmean(np.nanvar(gains, axis=-1, ddof=1))))
    whole = gains[:, ~np.isnan(gains).any(axis=0)]
    shared = 0.0
    if share_blocks(gains).all() and whole.shape[-1] > FEWEST:
        with np.errstate(invalid="ignore", divide="ignore"):
            found = np.asarray(np.corrcoef(whole))[np.triu_indices(len(whole), 1)]
        # Above 0, since they are compared in pairs; and some noise is each size's own.
        shared = float(np.clip(np.nan_to_num(found).mean(), 0.01, 0.99))
    return Truth(tuple(means.tolist()), noise, shared, tolerance)


@dataclass(frozen=True)
class Outcome:
    """What experiments with looks came to.

    Attributes
    ----------
    choice : array of int, shape (experiments,)
        Position of the size that is named; -1 where none is.
    is_named : array of bool, shape (experiments, sizes)
        Which sizes any look proved.
    repeats : array of int, shape (experiments, sizes)
        Trained of each size.
    """

    choice: np.ndarray[tuple[int], np.dtype[np.int64]]
    is_named: Bools
    repeats: np.ndarray[tuple[int, int], np.dtype[np.int64]]


def until_decided(
    gains: Floats, tolerance: float, *, in_blocks: bool, test_samples: int | None = None
) -> Outcome:
    """Return what a run with looks would have come to.

    Parameters
    ----------
    gains : array of float, shape (experiments, sizes, repeats)
        Sizes by energy, least first; as many repeats as the last of `LOOKS`.
    tolerance : float
        How far below the best is good enough.
    in_blocks : bool
        Whether the sizes of a repeat met the same data.
    test_samples : int, optional
        As `judge` takes it.
    """
    experiments, sizes, _ = gains.shape
    is_going, is_named = np.ones((2, experiments, sizes), dtype=bool)
    is_named[:] = False
    repeats = np.zeros((experiments, sizes), dtype=np.int64)
    is_open = np.ones(experiments, dtype=bool)
    for n in LOOKS:
        repeats[is_open[:, None] & is_going] = n
        rows = np.flatnonzero(is_open)
        patterns = is_going[rows] @ (1 << np.arange(sizes))
        for pattern in np.unique(patterns):
            some = rows[patterns == pattern]
            there = np.flatnonzero(is_going[some[0]])
            if len(there) == 1:
                is_named[some, there[0]] = True
                is_open[some] = False
                continue
            judged = judge(
                gains[np.ix_(some, there, np.arange(n))],
                tolerance,
                in_blocks=in_blocks,
                test_samples=test_samples,
            )
            named = is_named[np.ix_(some, there)] | judged.is_proven
            is_named[np.ix_(some, there)] = named
            is_going[np.ix_(some, there)] = ~judged.droppable(named)
            is_open[some] = ~judged.is_settled(named)
    choice = np.where(is_named.any(axis=1), is_named.argmax(axis=1), -1)
    return Outcome(choice, is_named, repeats)


def fixed(
    gains: Floats, tolerance: float, *, in_blocks: bool, confidence: float = CONFIDENCE
) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Return the size that one test of all repeats names, -1 where it names none.

    Parameters
    ----------
    gains, tolerance, in_blocks
        As `until_decided` takes them.
    confidence : float
        Of the test.
    """
    is_proven = p_values(gains, tolerance, in_blocks=in_blocks) <= 1 - confidence
    return np.where(is_proven.any(axis=-1), is_proven.argmax(axis=-1), -1)


def by_hand(gains: Floats, tolerance: float, repeats: Sequence[int], *, in_blocks: bool) -> Bools:
    """Return which sizes any look by hand proves, where repeats are added after each.

    Parameters
    ----------
    gains, tolerance, in_blocks
        As `until_decided` takes them.
    repeats : sequence of int
        That there are at the first look, the second, …

    Returns
    -------
    array of bool, shape (experiments, sizes)
    """
    is_named = np.zeros(gains.shape[:2], dtype=bool)
    for number, n in enumerate(repeats, 1):
        p = p_values(gains[..., :n], tolerance, in_blocks=in_blocks)
        is_named |= p <= Look(number).level
    return is_named


def fixed_repeats(
    truth: Truth, power: float, experiments: int, rng: np.random.Generator
) -> int | None:
    """Return the fewest repeats of a fixed design that names the right size so often.

    None if 200 are too few.
    """
    gains = truth.draw(experiments, MOST, rng)
    n = FEWEST
    while n <= MOST:
        found = fixed(gains[..., :n], truth.tolerance, in_blocks=truth.shared > 0)
        if np.mean(found == truth.right) >= power:
            return n
        n = max(n + 1, round(STEP * n))
    return None


@dataclass(frozen=True)
class Compared:
    """What looks save against a fixed design of equal power.

    Attributes
    ----------
    error : float
        Share of experiments in which any look names a size that is at the tolerance or below.
    power : float
        Share that names the right size.
    repeats : float
        Of all sizes, mean.
    fixed_repeats : int or None
        Of one size, that a fixed design of equal power needs; None if over 200.
    energy_share : float or None
        Energy of the looks as a share of that.
    """

    error: float
    power: float
    repeats: float
    fixed_repeats: int | None
    energy_share: float | None


def compare_designs(
    truth: Truth, costs: Sequence[float], experiments: int, rng: np.random.Generator
) -> Compared:
    """Return what looks come to where something is true, and what a fixed design takes.

    Parameters
    ----------
    truth : Truth
        Of a family.
    costs : sequence of float
        Energy of a repeat of each size, in any unit.
    experiments : int
        To simulate.
    rng : numpy.random.Generator
        Random numbers.
    """
    gains = truth.draw(experiments, MOST_REPEATS, rng)
    found = until_decided(gains, truth.tolerance, in_blocks=truth.shared > 0)
    power = float(np.mean(found.choice == truth.right))
    n = fixed_repeats(truth, power, min(experiments, 2000), rng) if power else None
    energy = float((found.repeats * np.asarray(costs)).sum(axis=1).mean())
    return Compared(
        error=float((found.is_named & truth.is_wrong).any(axis=1).mean()),
        power=power,
        repeats=float(found.repeats.sum(axis=1).mean()),
        fixed_repeats=n,
        energy_share=None if n is None else energy / (n * float(np.sum(costs))),
    )
