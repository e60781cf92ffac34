"""Asynchronous successive halving and Hyperband, which promote paused trials."""

import math
from dataclasses import dataclass, field

from greenbench.errors import ConfigurationError

REDUCTION = 4
"""One in so many trials of a rung goes on to the next one, which has so many times its epochs."""

FAILED = -math.inf
"""Ranks below every score."""


@dataclass
class _Rung:
    """Trials that reached so many epochs, with their scores, and which of them are done with it."""

    epochs: int
    scores: dict[int, float] = field(default_factory=dict)
    settled: set[int] = field(default_factory=set)

    def promotable(self) -> int | None:
        """Return the best trial that may go on, if any: one of the best quarter that has not."""
        ranked = self.ranked()
        return next(
            (each for each in ranked[: len(ranked) // REDUCTION] if each not in self.settled), None
        )

    def ranked(self) -> list[int]:
        """Return the trials, best first; of equals, the earlier."""
        return sorted(self.scores, key=lambda index: (-self.scores[index], index))


class _Bracket:
    """Rungs from the fewest epochs up; a trial starts at the lowest."""

    def __init__(self, epochs: list[int]) -> None:
        self.rungs = [_Rung(each) for each in epochs]

    @property
    def has_finished_any(self) -> bool:
        """Whether a trial was trained to its end."""
        return any(score != FAILED for score in self.rungs[-1].scores.values())

    def promote(self) -> int | None:
        """Return who goes on, from the highest rung that has one."""
        for rung in reversed(self.rungs[:-1]):
            index = rung.promotable()
            if index is not None:
                rung.settled.add(index)
                return index
        return None

    def paused(self) -> list[tuple[int, float, int]]:
        """Return the trials that pause: epochs reached, score, and index negated."""
        return [
            (rung.epochs, score, -index)
            for rung in self.rungs[:-1]
            for index, score in rung.scores.items()
            if index not in rung.settled
        ]


class _Halving:
    """Brackets of rungs, with the share of trials that each is given."""

    def __init__(self, brackets: list[list[int]], weights: list[int]) -> None:
        self._brackets = [_Bracket(epochs) for epochs in brackets]
        self._weights = weights
        self._bracket_of: dict[int, int] = {}

    def promote(self, *, is_last: bool) -> int | None:
        """Return a paused trial of a best quarter, from the highest rung that has one."""
        for bracket in self._brackets:
            index = bracket.promote()
            if index is not None:
                return index
        if not is_last or any(bracket.has_finished_any for bracket in self._brackets):
            return None
        paused = [trial for bracket in self._brackets for trial in bracket.paused()]
        if not paused:
            return None
        index = -max(paused)[-1]
        self.drop(index)
        return index

    def target(self, index: int) -> int:
        """Return the epochs of the rung above those that the trial has reached."""
        rungs_above = (rung for rung in self._of(index).rungs if index not in rung.scores)
        return next(rungs_above).epochs

    def report(self, index: int, score: float | None) -> None:
        """Enter a trial at its rung; a failed one counts there as the worst, and stays."""
        bracket = self._of(index)
        rung = next((each for each in bracket.rungs if index not in each.scores), bracket.rungs[-1])
        for below in bracket.rungs[: bracket.rungs.index(rung)]:
            below.settled.add(index)
        rung.scores[index] = FAILED if score is None else score
        if score is None:
            rung.settled.add(index)

    def drop(self, index: int) -> None:
        """Let a trial stay where it is."""
        for rung in self._of(index).rungs:
            if index in rung.scores:
                rung.settled.add(index)

    def _of(self, index: int) -> _Bracket:
        if index not in self._bracket_of:
            self._bracket_of[index] = self._next_bracket()
        return self._brackets[self._bracket_of[index]]

    def _next_bracket(self) -> int:
        """Return the bracket that is furthest behind its share."""
        placed = list(self._bracket_of.values())
        due = [(placed.count(n) + 1) / weight for n, weight in enumerate(self._weights)]
        return due.index(min(due))


class AshaScheduler(_Halving):
    """Asynchronous successive halving: the best quarter of each rung goes on to the next.

    Trials start with few epochs. Whenever one is among the best quarter of all that reached
    its rung so far, it goes on to four times the epochs, before any new trial is started.

    Optuna's pruner of that name stops a trial for good when it reaches a rung too early to
    be judged, and starts with full trainings of whatever comes first; here it pauses, and may
    be promoted later, as in the paper.

    Parameters
    ----------
    epochs : int
        Of a whole training, at least 4. The rungs are a quarter of it, a sixteenth, and so
        on, as long as an epoch is left.

    Raises
    ------
    ConfigurationError
        If there are too few epochs to stop anything.

    References
    ----------
    L. Li et al. (2020), A system for massively parallel hyperparameter tuning, algorithm 2.
    """

    def __init__(self, *, epochs: int) -> None:
        super().__init__([rungs("asha", epochs)], [1])


class HyperbandScheduler(_Halving):
    """Hyperband: several brackets of successive halving, which start at different rungs.

    Some trials are given more epochs before they are judged, in case that few epochs
    mislead. Brackets share the trials in Hyperband's proportion, spread evenly over a search.

    Parameters
    ----------
    epochs : int
        Of a whole training, at least 4.

    Raises
    ------
    ConfigurationError
        If there are too few epochs to stop anything.

    References
    ----------
    L. Li et al. (2018), Hyperband: a novel bandit-based approach to hyperparameter
    optimization, algorithm 1; the asynchronous form is that of `AshaScheduler`.
    """

    def __init__(self, *, epochs: int) -> None:
        ladder = rungs("hyperband", epochs)
        depth = len(ladder)
        # Bracket s of s_max + 1 starts ceil((s_max + 1) / (s + 1) * eta**s) trials.
        weights = [
            -(-depth * REDUCTION ** (depth - 1 - start) // (depth - start))
            for start in range(depth)
        ]
        super().__init__([ladder[start:] for start in range(depth)], weights)


def rungs(name: str, epochs: int) -> list[int]:
    """Return the epochs of the rungs, from the fewest up to a whole training."""
    if epochs < REDUCTION:
        raise ConfigurationError(
            f"scheduler {name!r} stops trials at a quarter of their epochs and needs at least "
            f"{REDUCTION}; epochs is {epochs}: choose more, or leave the scheduler out"
        )
    found = [epochs]
    while found[0] >= REDUCTION:
        found.insert(0, found[0] // REDUCTION)
    return found
