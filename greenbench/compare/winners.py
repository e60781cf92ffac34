"""Winners: which hyperparameters each search found, in which trial, and how good they are."""

import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from greenbench.cases import Scalar
from greenbench.results.scores import score_of
from greenbench.tasks import Score
from greenbench.tasks.score_format import LARGE, said, value

Row = Mapping[str, Any]

CONTROL = "default"
"""The strategy that searches nothing: what it has is not found."""


@dataclass(frozen=True)
class Winner:
    """The incumbent of one repeat.

    Attributes
    ----------
    session : str or None
        The run that it is of; None where the table does not say.
    repeat : int
        Which repeat, from 0.
    trial : int
        Its index, from 0.
    trials : int or None
        How many there were, re-evaluations included; None if unknown.
    hyperparameters : dict
        What it was trained with.
    val_score, test_score : float or None
        In the unit of the score; None if unknown.
    """

    session: str | None
    repeat: int
    trial: int
    trials: int | None
    hyperparameters: Mapping[str, Scalar]
    val_score: float | None
    test_score: float | None

    @property
    def settings(self) -> str:
        """The hyperparameters in three digits: ``"learning_rate 0.0021, beta_1 0.91"``."""
        return ", ".join(f"{name} {shown(each)}" for name, each in self.hyperparameters.items())

    @property
    def place(self) -> str:
        """Where it was found, counted from 1: ``"trial 7 of 16"``."""
        return f"trial {self.trial + 1}" + (f" of {self.trials}" if self.trials else "")


@dataclass(frozen=True)
class Found:
    """What all repeats of a case found.

    Attributes
    ----------
    case_id, strategy : str
        Of which case.
    winners : tuple of Winner
        One for each repeat that found any, in their order.
    judged_by : Score
        What the scores are.
    """

    case_id: str
    strategy: str
    winners: tuple[Winner, ...]
    judged_by: Score

    @property
    def best(self) -> Winner:
        """The best by validation, the first of equals: never chosen by the test."""
        return max(self.winners, key=self._gain)

    @property
    def is_searched(self) -> bool:
        """Whether there was anything to find."""
        return self.strategy != CONTROL and bool(self.best.hyperparameters)

    @property
    def sentence(self) -> str:
        """What was found, named by the strategy."""
        return self.said_of(self.strategy)

    def said_of(self, name: str) -> str:
        """Return the sentence, beginning with a name.

        Parameters
        ----------
        name : str
            Of the strategy, or of the case where there are several.
        """
        best, count = self.best, len(self.winners)
        verb = "found" if self.is_searched else "searched nothing, and had"
        among = f" of repeat {best.repeat + 1}, the best of {count} by validation" * (count > 1)
        return (
            f"{name} {verb} {best.settings} in {best.place}{among}: {self.scores_of(best)}"
            f"{self._agreement() if count > 1 else ''}."
        )

    def scores_of(self, winner: Winner) -> str:
        """Return both scores in words: ``"95.0% in validation, 94.4% in the test"``."""
        validation = f"{said(self.judged_by, winner.val_score)} in validation"
        if winner.test_score is None:
            return f"{validation}, and no test score"
        return f"{validation}, {value(self.judged_by, winner.test_score)} in the test"

    def spread(self) -> dict[str, str]:
        """Return by hyperparameter what the repeats found: a value, or from which to which."""
        names = dict.fromkeys(name for each in self.winners for name in each.hyperparameters)
        return {name: self._spread(name) for name in names}

    def records(self) -> list[dict[str, Any]]:
        """Return a row for each repeat, with a column for each hyperparameter."""
        return [
            {
                "case_id": self.case_id,
                "session": each.session,
                "repeat": each.repeat,
                "trial": each.trial,
                "trials": each.trials,
                "val_score": each.val_score,
                "test_score": each.test_score,
                "is_best": each is self.best,
                **{f"best/{name}": known for name, known in each.hyperparameters.items()},
            }
            for each in self.winners
        ]

    def _gain(self, winner: Winner) -> float:
        score = winner.val_score
        return float("-inf") if score is None else self.judged_by.gain(score)

    def _agreement(self) -> str:
        if all(each.hyperparameters == self.best.hyperparameters for each in self.winners):
            return f"; all {len(self.winners)} repeats found the same"
        spread = ", ".join(f"{name} {found}" for name, found in self.spread().items())
        return f"; over all repeats: {spread}"

    def _spread(self, name: str) -> str:
        found = [w.hyperparameters[name] for w in self.winners if name in w.hyperparameters]
        numbers = [each for each in found if _is_number(each)]
        if len(numbers) < len(found):
            return " or ".join(dict.fromkeys(map(shown, found)))
        low, high = shown(min(numbers)), shown(max(numbers))
        return low if low == high else f"{low} to {high}"


def winners(rows: Iterable[Row]) -> list[Found]:
    """Return what each case found, in the order of the rows.

    Parameters
    ----------
    rows : iterable of mapping
        Results, as `greenbench.results.table` gives them; one that does not tell, because no
        trial completed or an older version wrote it, is passed over.
    """
    groups: dict[str, list[tuple[Row, Winner]]] = {}
    for row in rows:
        if winner := _winner(row):
            groups.setdefault(str(row["case_id"]), []).append((row, winner))
    return [
        Found(
            case_id,
            str(members[0][0]["strategy"]),
            tuple(winner for _, winner in members),
            score_of(members[0][0]),
        )
        for case_id, members in groups.items()
    ]


def found_lines(rows: Iterable[Row]) -> list[str]:
    """Return a sentence for each case that searched: which hyperparameters won.

    Parameters
    ----------
    rows : iterable of mapping
        As of `winners`.
    """
    found = [each for each in winners(rows) if each.is_searched]
    if len(found) == 1:
        return [found[0].sentence]
    return [each.said_of(each.case_id) for each in found]


def shown(setting: Scalar) -> str:
    """Return a hyperparameter as people read it: of what is no whole number, three digits."""
    if not isinstance(setting, float):
        return str(setting)
    return f"{setting:.0f}" if abs(setting) >= LARGE else f"{setting:.3g}"


def read_hyperparameters(text: object) -> dict[str, Scalar] | None:
    """Return the hyperparameters that a column holds as JSON; None if it holds none.

    Parameters
    ----------
    text : object
        A store may have cut it off.
    """
    with suppress(TypeError, ValueError, RecursionError):
        found = json.loads(str(text))
        if isinstance(found, dict) and all(isinstance(each, Scalar) for each in found.values()):
            return found
    return None


def _winner(row: Row) -> Winner | None:
    found = read_hyperparameters(row.get("hyperparameters"))
    trial = str(row.get("incumbent_trial"))
    if found is None or not trial.isdecimal():
        return None
    trials = row.get("trials")
    return Winner(
        row.get("session"),
        int(row["repeat"]),
        int(trial),
        int(trials) if isinstance(trials, int | float) else None,
        found,
        row.get("val_score"),
        row.get("test_score"),
    )


def _is_number(found: object) -> bool:
    return isinstance(found, int | float) and not isinstance(found, bool)
