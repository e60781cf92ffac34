"""Strategies in simulated experiments that are looked at until it is known which finds more.

They are tested and judged by the functions that judge a run. Noise is normal, and in part the same
for all strategies of a repeat, which share its split.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from greenbench.compare.control import CONTROL
from greenbench.compare.noninferiority import Floats
from greenbench.compare.pairs import Pair, compare_pairs
from greenbench.compare.strategy_course import StrategyCourse, look_at
from greenbench.compare.strategy_looks import level_of
from greenbench.results.looks import LOOKS, UNTIL_DECIDED, Look


@dataclass(frozen=True)
class Contenders:
    """What is true of some strategies, in standard deviations of what a search finds.

    Attributes
    ----------
    means : tuple of float
        What each finds at equal energy, expected.
    shared : float
        Correlation of what two strategies find in one repeat.
    control : float or None
        What the published defaults find at equal energy; None if they are not run. At their ends,
        on the test split, they and all others find the same.
    """

    means: tuple[float, ...]
    shared: float
    control: float | None = None

    @property
    def names(self) -> list[str]:
        """Of the strategies, the control last."""
        own = [f"s{place}" for place in range(len(self.means))]
        return own if self.control is None else [*own, CONTROL]

    def draw(self, rng: np.random.Generator) -> Floats:
        """Return what is found at equal energy, and at the ends; shape (2, strategies, repeats)."""
        means = np.array([*self.means, *([] if self.control is None else [self.control])])
        common = rng.normal(size=(2, 1, LOOKS[-1]))
        own = rng.normal(size=(2, len(means), LOOKS[-1]))
        found = np.sqrt(self.shared) * common + np.sqrt(1 - self.shared) * own
        found[0] += means[:, None]
        return np.asarray(found)

    def is_wrong(self, above: str, below: str) -> bool:
        """Return whether it is an error to say that one is above another."""
        if CONTROL in (above, below):
            # That the defaults find less at equal energy is true; all else of them is not.
            return below != CONTROL or self.control is None or self.control >= min(self.means)
        places = [self.names.index(name) for name in (above, below)]
        return self.means[places[0]] <= self.means[places[1]]


@dataclass(frozen=True)
class Erred:
    """How often looks say that a strategy is above another that it is not above.

    Attributes
    ----------
    error : float
        Share of experiments in which any look says so, of whatever two.
    settled : float
        Share of experiments that end with an answer.
    repeats : float
        Rounds until they end, mean.
    """

    error: float
    settled: float
    repeats: float


def course_of(truth: Contenders, gains: Floats) -> StrategyCourse:
    """Return what the looks of one experiment show.

    Parameters
    ----------
    truth : Contenders
        What is true.
    gains : array of float, shape (2, strategies, repeats)
        As `Contenders.draw` gives them; as many repeats as the last of `LOOKS`.
    """
    course = StrategyCourse()
    for repeats in LOOKS:
        if course.is_settled:
            break
        at_energy, at_ends = (
            {
                name: of[:repeats].tolist()
                for name, of in zip(truth.names, each, strict=True)
                if name not in course.dropped
            }
            for each in gains
        )
        has_control = CONTROL in at_ends and len(at_ends) > 1
        ends = _tested(at_ends, repeats, CONTROL) if has_control else ()
        best = max(at_energy, key=lambda name: float(np.median(at_energy[name])))
        course = look_at(course, repeats, best, _tested(at_energy, repeats), ends)
    return course


def _tested(
    gains: Mapping[str, Sequence[float]], repeats: int, against: str | None = None
) -> list[Pair]:
    blocks = dict.fromkeys(gains, range(repeats))
    level = level_of(Look(1, UNTIL_DECIDED), has_control=CONTROL in gains)
    return [replace(pair, level=level) for pair in compare_pairs(gains, blocks, against)]


def simulate(truth: Contenders, experiments: int, rng: np.random.Generator) -> Erred:
    """Return how often looks err.

    Parameters
    ----------
    truth : Contenders
        What is true.
    experiments : int
        To simulate.
    rng : numpy.random.Generator
        Random numbers.
    """
    courses = [course_of(truth, truth.draw(rng)) for _ in range(experiments)]
    wrong = [any(truth.is_wrong(*two) for two in course.shown) for course in courses]
    return Erred(
        float(np.mean(wrong)),
        float(np.mean([course.is_settled for course in courses])),
        float(np.mean([course.repeats for course in courses])),
    )
