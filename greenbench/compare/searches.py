"""Searches: which trials belong together, what they found, and whether their energy counts."""

import math
from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from greenbench.compare.anytime import Anytime, FloatArray, best_so_far
from greenbench.compare.samples import is_left_out
from greenbench.errors import ConfigurationError, NotComparableError
from greenbench.results.chronology import candidate, chronology
from greenbench.results.scores import range_of, score_of, worst_gain
from greenbench.tasks import Score

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Search:
    """One search of one strategy.

    Attributes
    ----------
    strategy : str
        Its name.
    rows : tuple of mapping
        Its trials, in the order in which they started, re-evaluations included.
    best : array of float
        Best validation score of the first so many trials, each trained to its own end, as a
        gain; re-evaluations are none of them. See `best_so_far`.
    curve : Anytime or None
        The best so far over energy, in the order of time; None if its energy does not count.
    reason : str or None
        Why its energy does not count.
    has_completed : bool
        Whether a trial did, so that something was found.
    """

    strategy: str
    rows: tuple[Row, ...]
    best: FloatArray
    curve: Anytime | None
    reason: str | None
    has_completed: bool = True

    @property
    def block(self) -> str | None:
        """Name of what it shares with the same repeat of other strategies: the split, at least.

        None if it is not known to. Results say so since they name their prior, within a session;
        and across sessions, since they name the seed of their split.
        """
        first = self.rows[0]
        repeat, split, session = (first.get(of) for of in ("repeat", "split_seed", "session"))
        if repeat is None or (split is None and first.get("prior") is None):
            return None
        shared = f"session {session}, " if session is not None else ""
        return f"{shared if split is None else f'split {split}, '}repeat {repeat}"

    @property
    def score(self) -> Score:
        """What its figures are."""
        return score_of(self.rows[0])

    @property
    def uncertainty_wh(self) -> float | None:
        """What ticks leave open of its energy, and of that up to any of its trials."""
        known: float | None = self.rows[0].get("repeat_uncertainty_wh")
        return known

    @property
    def test_gain(self) -> float | None:
        """Of the incumbent; None if it is unknown, or nothing was found."""
        tested: float | None = self.rows[0].get("test_score")
        return None if tested is None else self.score.gain(tested)

    @property
    def is_tested(self) -> bool:
        """Whether what it found was tested; nothing need not be."""
        return self.test_gain is not None or self.best[-1] == worst_gain(self.score)

    @property
    def name(self) -> str:
        """Strategy, session and repeat, as far as they are known."""
        parts = [(word, self.rows[0].get(word)) for word in ("session", "repeat")]
        return ", ".join([self.strategy, *(f"{word} {of}" for word, of in parts if of is not None)])


Searches = Mapping[str, Sequence[Search]]
"""The searches of each strategy."""


def read_searches(rows: Sequence[Row], *, include_disturbed: bool = False) -> Searches:
    """Return the searches that trials belong to, by strategy; each repeat of a case once.

    Parameters
    ----------
    rows : sequence of mapping
        A row a trial, as `greenbench.compare.strategies.compare_strategies` takes them.
    include_disturbed : bool
        Whether the energy of disturbed searches counts.

    Raises
    ------
    ConfigurationError
        If an energy or a score is none.
    NotComparableError
        If trials of several searches cannot be told apart.
    """
    trials: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        _check_figures(row)
        key = (str(row["strategy"]), row.get("session"), row.get("repeat"))
        trials.setdefault(key, []).append(row)
    searches: dict[str, list[Search]] = {name: [] for name in sorted({key[0] for key in trials})}
    for (name, *_), members in trials.items():
        searches[name].append(_search(name, _in_order(name, members), include_disturbed))
    return {name: _once_each(found) for name, found in searches.items()}


def _once_each(searches: Sequence[Search]) -> list[Search]:
    """Return one search for each repeat: the latest of those whose energy counts, if any does.

    A repeat that is run again in another session has the same seeds, and finds the same.
    """
    found: dict[Hashable, Search] = {}
    for place, search in enumerate(searches):
        first = search.rows[0]
        repeat = first.get("repeat")
        key = place if repeat is None else (first.get("case_hash"), str(repeat))
        if key not in found or search.curve or not found[key].curve:
            found[key] = search
    return list(found.values())


def _check_figures(row: Row) -> None:
    score = score_of(row)
    limits = {
        "energy_wh": (0.0, math.inf, "a finite number of at least 0, or none if it is unknown"),
        "val_score": (score.low, score.high, f"{range_of(score)}, or none for a trial that failed"),
    }
    for column, (least, most, expected) in limits.items():
        value = row[column]
        is_number = isinstance(value, int | float) and math.isfinite(value)
        if value is not None and not (is_number and least <= value <= most):
            place = getattr(row, "place", row["strategy"])
            raise ConfigurationError(f"{place}: {column} is {value!r}; expected {expected}")


def _in_order(strategy: str, rows: list[Row]) -> tuple[Row, ...]:
    indices = [row.get("trial") for row in rows]
    index, times = Counter(indices).most_common(1)[0]
    if index is not None and times > 1:
        raise NotComparableError(
            f"{strategy}: trial {index} occurs {times} times in one search; give each search its "
            "number in a column `repeat`, name the one that has it with `--seed-column`, or tell "
            "them apart with `--group COLUMN`"
        )
    if all(isinstance(index, int | float) for index in indices):
        rows = sorted(rows, key=lambda row: float(row["trial"]))
    return tuple(rows)


def _search(strategy: str, rows: tuple[Row, ...], include_disturbed: bool) -> Search:
    proposed = [candidate(row) for row in rows if row.get("reevaluates") is None]
    score = score_of(rows[0])
    best, curve = best_so_far(proposed or [None], score), None
    energies = [row["energy_wh"] for row in rows]
    is_disturbed = any(is_left_out(row) for row in rows if row.get("marks"))
    reason = "disturbed" if is_disturbed and not include_disturbed else None
    if None in energies:
        reason = "energy unknown"
    if reason is None:
        steps = chronology(rows)
        spent = np.cumsum([step.energy_wh or 0.0 for step in steps], dtype=np.float64)
        found = best_so_far([step.val_score for step in steps], score)
        curve = Anytime(spent, found, worst_gain(score))
    has_completed = any(each is not None for each in proposed)
    return Search(strategy, rows, best, curve, reason, has_completed)
