"""What may be taken over of another run: nothing that a result depends on differs, or is doubtful.

It is asked of results of journals and of a store alike.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from greenbench.cases import Case
from greenbench.registry import OWN
from greenbench.results import CaseResult
from greenbench.results.marks import DOUBTFUL, marks_of
from greenbench.running.conditions import (
    Conditions,
    digest_of,
    name_of_program,
    names_of_data,
    unknown,
)
from greenbench.trainings.command import line_of
from greenbench.trainings.reading import reads_of

MACHINE = ("cpu", "cores", "memory_gib", "system")
"""What a fingerprint is made of, but for the device, which only a worker knows."""


@dataclass(frozen=True)
class Found:
    """A result that may be taken over.

    Attributes
    ----------
    session : str
        Of the run that measured it.
    result : CaseResult
        As it is there.
    basis : mapping
        What it rests on, and only a worker knows.
    """

    session: str
    result: CaseResult
    basis: Mapping[str, Any]

    def as_of(self, suite: str, at: float) -> CaseResult:
        """Return the result as one of a session of now; figures are what they were.

        Parameters
        ----------
        suite : str
            That runs now.
        at : float
            Seconds since 1970-01-01 UTC, as of which it is kept: sessions are ordered by time.
        """
        result, later_s = self.result, at - self.result.started_at
        moved = [replace(each, started_at=each.started_at + later_s) for each in result.trials]
        return replace(
            result,
            suite=suite,
            trials=tuple(moved),
            started_at=at,
            reused_from=result.reused_from or self.session,
        )


def objection(result: CaseResult, now: Conditions, here: Mapping[str, str]) -> str | None:
    """Return why a result is not taken over, as far as that is known without its device and data.

    Parameters
    ----------
    result : CaseResult
        Wherever it was found.
    now : mapping
        What results of its case depend on now.
    here : mapping of str to str
        The environment of this machine.
    """
    if result.conditions != digest_of(now, result.case, result.repeat):
        return "their results do not say that they were measured under these conditions"
    if other := [name for name in MACHINE if result.environment.get(name) != here[name]]:
        return f"their results are of a machine with another {other[0]}"
    if result.design:
        return "their results are of a run that went on until it knew (`--until-decided`)"
    if result.incumbent is None:
        return "no trial of their results completed"
    if marks := doubts(marks_of(result)):
        return marks
    return _unknown_data(result.case, now) if result.case.backend == OWN else None


def _unknown_data(case: Case, now: Conditions) -> str | None:
    """Return why nobody knows whether code or data of a training of one's own changed, if so."""
    line = line_of(case)
    if reads_of(case) is None:
        how = "`--reads`" if line else "`register_training(…, reads=[…])`"
        return (
            f"nobody knows whether the data of {case.architecture} changed, which it loads itself; "
            f"{how} tells"
        )
    if line and now.get(name_of_program(case, line)) is None:
        return f"nobody knows {line.why_unseen() or f'the code of {line.words[0]!r}'}"
    if gone := [name for name in names_of_data(case) if now.get(name) is None]:
        return f"nobody knows {unknown(gone[0])}, which {case.architecture} reads"
    return None


def doubts(marks: Iterable[str]) -> str | None:
    """Return that results have marks that prevent reuse, if some of these do."""
    found = [mark for mark in marks if mark in DOUBTFUL]
    return f"their results are marked as {' and '.join(found)}" if found else None


def first_found(looks: Iterable[Found | str | None]) -> Found | str | None:
    """Return the first result of several looks, or else why the first that has one is of no use."""
    reason = None
    for each in looks:
        if isinstance(each, Found):
            return each
        reason = reason or each
    return reason
