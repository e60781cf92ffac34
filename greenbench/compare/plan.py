"""What goes on in a run that is repeated until its questions are decided, round after round."""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any, Protocol

from greenbench.cases import Case
from greenbench.errors import ConfigurationError
from greenbench.results.looks import LOOKS, MOST_REPEATS, MOST_SAID

Row = Mapping[str, Any]

OPTION = "--until-decided"


class Question(Protocol):
    """What is asked of some cases, and how far it is answered."""

    @property
    def cases(self) -> Collection[Case]:
        """All cases that it is about."""

    @property
    def going(self) -> Collection[Case]:
        """Those whose further repeats count; none where it is settled."""

    @property
    def is_settled(self) -> bool:
        """Whether it has its answer."""

    @property
    def answer(self) -> str:
        """What is known, in words."""

    def look(self, repeats: int, rows: Sequence[Row], trials: Sequence[Row]) -> None:
        """Look at so many repeats of its cases."""

    def is_within_reach(self, repeats: int) -> bool:
        """Return whether it may be settled after so many repeats."""

    def fixed_design(self, rows: Sequence[Row]) -> str | None:
        """Return in words what fixed repeats of equal power would have taken; None if unknown."""


@dataclass(frozen=True)
class Limits:
    """What a run may take, in all.

    Attributes
    ----------
    max_wh : float or None
        Headline energy of its repeats, in Wh.
    max_minutes : float or None
        Time of its repeats.
    """

    max_wh: float | None = None
    max_minutes: float | None = None

    def __post_init__(self) -> None:
        for option, value in (("--max-wh", self.max_wh), ("--max-minutes", self.max_minutes)):
            if value is not None and not 0 < value < math.inf:
                raise ConfigurationError(f"{option} is {value:g}; expected a finite number above 0")


@dataclass(frozen=True)
class Took:
    """What repeats took: their number, Wh (None where some are not known) and seconds."""

    repeats: int
    energy_wh: float | None
    seconds: float


@dataclass
class Plan:
    """Says before each round which cases run in it.

    Attributes
    ----------
    questions : sequence of Question
        What is asked.
    others : sequence of Case
        Cases that no question is about: they run as often as they say.
    limits : Limits
        What it may take.
    ended : mapping of int to str
        Of questions, by their place, that end without an answer: why.
    """

    questions: Sequence[Question]
    others: Sequence[Case] = ()
    limits: Limits = field(default_factory=Limits)
    ended: dict[int, str] = field(default_factory=dict)

    def due(
        self, repeats: int, rows: Sequence[Row], trials: Sequence[Row], took_s: float
    ) -> frozenset[Case]:
        """Return which cases run in the next round.

        Parameters
        ----------
        repeats : int
            Rounds that are over.
        rows, trials : sequence of row
            What they gave.
        took_s : float
            Seconds that they took.
        """
        if repeats:
            there = {row["case_id"] for row in rows}
            gone = [q for q in self._open() if not {case.id for case in q.cases} & there]
            self._end(gone, "no repeat of it gave a result")
        if repeats in LOOKS:
            for question in self._open():
                question.look(repeats, rows, trials)
        if repeats:
            self._end_what_is_out_of_reach(repeats, rows, took_s)
        return self._going(repeats)

    def _open(self) -> list[Question]:
        return [
            question
            for place, question in enumerate(self.questions)
            if place not in self.ended and not question.is_settled
        ]

    def _going(self, repeats: int) -> frozenset[Case]:
        others = {case for case in self.others if repeats < case.repeats}
        return frozenset(others.union(*(question.going for question in self._open())))

    def _end_what_is_out_of_reach(self, repeats: int, rows: Sequence[Row], took_s: float) -> None:
        following = next((n for n in LOOKS if n > repeats), None)
        if following is None:
            self._end(self._open(), MOST_SAID)
            return
        rounds, why = self._affordable(repeats, rows, took_s)
        if repeats + rounds < following:
            self._end(self._open(), why)
            return
        within = [n for n in LOOKS if n <= repeats + rounds]
        hopeless = [
            question
            for question in self._open()
            if repeats in LOOKS and not question.is_within_reach(within[-1])
        ]
        self._end(hopeless, f"{within[-1]} repeats would not do, as things are ({why})")

    def _end(self, questions: Sequence[Question], why: str) -> None:
        for place, question in enumerate(self.questions):
            if question in questions:
                self.ended[place] = why

    def _affordable(self, repeats: int, rows: Sequence[Row], took_s: float) -> tuple[int, str]:
        """Return how many more rounds the limits allow, and which limit says so."""
        going = self._going(repeats)
        ids = {case.id for case in going}
        energies, seconds = _means(rows, "energy_wh"), _means(rows, "wall_s")
        spent_wh = sum(row["energy_wh"] or 0.0 for row in rows)
        # Besides its windows, a repeat loads data and tests.
        windows_s = sum(row["wall_s"] or 0.0 for row in rows)
        round_s = sum(seconds.get(each, 0.0) for each in ids) * max(took_s / (windows_s or 1), 1.0)
        round_wh = sum(energies.get(each, 0.0) for each in ids)
        found = [(MOST_REPEATS - repeats, MOST_SAID)]
        if self.limits.max_wh is not None and round_wh:
            rounds = int(max(self.limits.max_wh - spent_wh, 0.0) / round_wh)
            found.append((rounds, f"--max-wh is {self.limits.max_wh:g}"))
        if self.limits.max_minutes is not None and round_s:
            rounds = int(max(60 * self.limits.max_minutes - took_s, 0.0) / round_s)
            found.append((rounds, f"--max-minutes is {self.limits.max_minutes:g}"))
        return min(found)


def _means(rows: Sequence[Row], column: str) -> dict[str, float]:
    """Return the mean of what is known of each case."""
    known: dict[str, list[float]] = {}
    for row in rows:
        if row[column] is not None:
            known.setdefault(str(row["case_id"]), []).append(float(row[column]))
    return {case_id: fmean(values) for case_id, values in known.items()}


def took(rows: Sequence[Row], seconds: float) -> Took:
    """Return what repeats took."""
    energies = [row["energy_wh"] for row in rows]
    return Took(len(rows), None if None in energies else float(sum(energies)), seconds)
