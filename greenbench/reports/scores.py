"""Scores of a report: what tables and sections call them; no column has two of them."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from greenbench.tasks import ACCURACY, Score
from greenbench.tasks.score_format import by_score, is_share
from greenbench.tasks.score_format import heading as heading_of

Found = TypeVar("Found")


@dataclass(frozen=True)
class Part(Generic[Found]):
    """What a report has of one score.

    Attributes
    ----------
    suffix : str
        Of names; empty if the report has one score.
    score : Score
        That of all members.
    members : tuple
        In the order given.
    """

    suffix: str
    score: Score
    members: tuple[Found, ...]

    @property
    def said(self) -> str:
        """What a caption says of the score: nothing of an accuracy that is the only one."""
        return by_score(self.score, is_said=bool(self.suffix))


def split_by_score(found: Iterable[Found], score_of: Callable[[Found], Score]) -> list[Part[Found]]:
    """Return what is found, score by score.

    Parameters
    ----------
    found : iterable
        Anything that is judged by a score.
    score_of : callable
        Returns that of one.
    """
    groups: dict[tuple[object, ...], list[Found]] = {}
    for each in found:
        score = score_of(each)
        alike = (score.name, score.unit, score.higher_is_better)
        groups.setdefault(alike, []).append(each)
    return [
        Part(f"-{number}" if len(groups) > 1 else "", score_of(members[0]), tuple(members))
        for number, members in enumerate(groups.values(), 1)
    ]


def heading(score: Score, before: str = "") -> str:
    """Return what stands over a column, whose figures have no unit but per cent.

    Parameters
    ----------
    score : Score
        What is shown.
    before : str
        Such as ``"test"``.
    """
    return heading_of(score, before, None if is_share(score) else score.unit)


def all_scores(found: Sequence[Score]) -> Score | None:
    """Return the score that all share, or None; an accuracy of nothing.

    Parameters
    ----------
    found : sequence of Score
        Of a report's cases.
    """
    parts = split_by_score(found, lambda score: score)
    return None if len(parts) > 1 else parts[0].score if parts else ACCURACY
