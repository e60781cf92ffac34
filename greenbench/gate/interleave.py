"""Two revisions, measured alternately in one session: noise between sessions does not count."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from greenbench.cases import Case
from greenbench.cases.suites import GATE
from greenbench.compare.samples import describe_samples
from greenbench.errors import GreenbenchError
from greenbench.gate.baselines import Baseline
from greenbench.results import CaseResult
from greenbench.results.table import to_row
from greenbench.running.checkout import checked_out
from greenbench.running.session import Listener, Session, check_completed
from greenbench.settings import Settings

Row = dict[str, Any]

HERE, BASE = "here", "base"

MOST = 2
"""How many times the rounds asked for are run, if samples are disturbed."""


@dataclass(frozen=True)
class Alternation:
    """What was measured.

    Attributes
    ----------
    rows : tuple of row
        Results of the working folder.
    baseline : Baseline
        Those of the other revision.
    notes : tuple of str
        Cases that one of the two cannot run, with the reason.
    has_failures : bool
        Whether a case failed with the code of the working folder.
    """

    rows: tuple[Row, ...]
    baseline: Baseline
    notes: tuple[str, ...]
    has_failures: bool


def interleave(
    settings: Settings,
    cases: Sequence[Case],
    revision: str,
    listener: Listener,
    *,
    rounds: int,
    include_disturbed: bool = False,
) -> Alternation:
    """Run cases with the code of the working folder and of another revision, in turn.

    Each round runs each case once with each, with the same seeds, in random order. Where samples
    are disturbed, rounds are added, at most as many again. Results of the working folder are
    logged under the suite ``gate``: of few cases, they must not pass for the latest of a suite.

    Parameters
    ----------
    settings : Settings
        How and where.
    cases : sequence of Case
        What is run.
    revision : str
        As git takes it.
    listener : Listener
        Is told of progress.
    rounds : int
        Samples that are wanted of each.
    include_disturbed : bool
        Whether disturbed samples count, so that no round is added.

    Raises
    ------
    GreenbenchError
        If the revision cannot be checked out, or nothing can be run.
    """
    cases = [replace(case, repeats=rounds) for case in cases]
    with (
        checked_out(revision, Path.cwd()) as base,
        Session(
            settings, GATE, cases, listener, is_fresh=True, is_resumable=False, base=base
        ) as session,
    ):
        turns = _Turns(session, include_disturbed=include_disturbed)
        for number in range(MOST * rounds):
            order = random.Random(f"{session.folder.name} {number}")
            due = [case for case in cases if turns.needs(case, number, rounds)]
            for case in order.sample(due, len(due)):
                turns.take(case, number, order.sample((HERE, BASE), 2))
    return turns.result(f"{revision} ({base.commit})")


class _Turns:
    """Runs one case with one revision after the other, and keeps what came of it."""

    def __init__(self, session: Session, *, include_disturbed: bool) -> None:
        self._session = session
        self._include_disturbed = include_disturbed
        self._rows: dict[str, list[Row]] = {HERE: [], BASE: []}
        self._failures: dict[tuple[str, str], GreenbenchError] = {}

    def needs(self, case: Case, number: int, rounds: int) -> bool:
        """Return whether a case is still to be run, of which `number` rounds are done."""
        if (HERE, case.id) in self._failures:
            return False
        sides = [side for side in (HERE, BASE) if (side, case.id) not in self._failures]
        return number < rounds or any(self._counted(side, case) < rounds for side in sides)

    def take(self, case: Case, number: int, sides: Sequence[str]) -> None:
        """Run one round of a case."""
        for side in sides:
            if (side, case.id) in self._failures:
                continue
            try:
                result = self._run(side, case, number)
                check_completed(result)
            except GreenbenchError as error:
                # With another seed it would not work, either.
                self._failures[side, case.id] = error
                self._session.listener.notice(f"Error: {error}")
                continue
            self._rows[side].append({**to_row(result), "session": self._session.folder.name})

    def result(self, revision: str) -> Alternation:
        """Return what was measured."""
        notes = [
            f"{case_id} cannot run {'here' if side == HERE else f'at {revision}'}: {error}"
            for (side, case_id), error in self._failures.items()
        ]
        label = f"{revision}, measured in turn with this"
        baseline = Baseline(label, tuple(self._rows[BASE]), is_interleaved=True, update=None)
        has_failures = any(side == HERE for side, _ in self._failures)
        return Alternation(tuple(self._rows[HERE]), baseline, tuple(notes), has_failures)

    def _run(self, side: str, case: Case, number: int) -> CaseResult:
        if side == BASE:
            return self._session.run_base(case, number)
        result = self._session.run_repeat(case, number)
        self._session.deliver(result)
        return result

    def _counted(self, side: str, case: Case) -> int:
        rows = [row for row in self._rows[side] if row["case_id"] == case.id]
        return len(describe_samples(rows, include_disturbed=self._include_disturbed).counted)
