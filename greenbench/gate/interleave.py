"""Two revisions, measured alternately in one session: noise between sessions does not count."""

import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from greenbench.cases import Case
from greenbench.cases.suites import GATE
from greenbench.compare.samples import describe_samples
from greenbench.errors import GreenbenchError
from greenbench.gate.baselines import Baseline
from greenbench.gate.limits import MOST_PAIRS
from greenbench.gate.sequential import is_new_first
from greenbench.results import CaseResult
from greenbench.results.table import to_row
from greenbench.running.checkout import checked_out
from greenbench.running.repeats import Follower
from greenbench.running.session import Listener, Session, check_completed
from greenbench.settings import Settings

Row = dict[str, Any]

HERE, BASE = "here", "base"

MOST = 2
"""How many times as many pairs are run as count, if samples are disturbed."""

IsOpen = Callable[[str, Sequence[Row], Baseline], bool]
"""Whether another pair of a case may decide something, by its id and what was measured."""


class Watcher(Listener, Follower, Protocol):
    """Is told of progress, and of cases that need no further pair."""


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
    watcher: Watcher,
    is_open: IsOpen,
    *,
    most: int = MOST_PAIRS,
    is_late: Callable[[], bool] = lambda: False,
    include_disturbed: bool = False,
) -> Alternation:
    """Run cases with the code of the working folder and of another revision, in turn.

    Each round runs each case that is open once with each, with the same seeds: AB in one round,
    BA in the next. Pairs in which a sample is disturbed don't count, and are made up for, by at
    most as many again. Results of the working folder are logged under the suite ``gate``: of few
    cases, they must not pass for the latest of a suite.

    Parameters
    ----------
    settings : Settings
        How and where.
    cases : sequence of Case
        What is run.
    revision : str
        As git takes it.
    watcher : Watcher
        Is told of progress.
    is_open : callable
        Whether a case needs another pair; asked after each one.
    most : int
        Pairs of a case that count after which there is no other.
    is_late : callable
        Whether no further pair is begun; asked from the second round on.
    include_disturbed : bool
        Whether disturbed samples count.

    Raises
    ------
    GreenbenchError
        If the revision cannot be checked out, or nothing can be run.
    """
    cases = [replace(case, repeats=most) for case in cases]
    with (
        checked_out(revision, Path.cwd()) as base,
        Session(
            settings, GATE, cases, watcher, is_fresh=True, is_resumable=False, base=base
        ) as session,
    ):
        turns = _Turns(
            session,
            watcher,
            f"{revision} ({base.commit})",
            is_open,
            include_disturbed=include_disturbed,
        )
        for number in range(MOST * most):
            order = random.Random(f"{session.folder.name} {number}")
            due = [case for case in cases if turns.needs(case, number, most)]
            for case in order.sample(due, len(due)):
                if number and is_late():
                    turns.leave_off(case)
                    continue
                turns.take(case, number)
    return turns.result()


class _Turns:
    """Runs one case with one revision after the other, and keeps what came of it."""

    def __init__(
        self,
        session: Session,
        watcher: Watcher,
        revision: str,
        is_open: IsOpen,
        *,
        include_disturbed: bool,
    ) -> None:
        self._session = session
        self._watcher = watcher
        self._revision = revision
        self._is_open = is_open
        self._left_off: dict[str, bool] = {}
        self._include_disturbed = include_disturbed
        self._rows: dict[str, list[Row]] = {HERE: [], BASE: []}
        self._failures: dict[tuple[str, str], GreenbenchError] = {}

    def needs(self, case: Case, number: int, most: int) -> bool:
        """Return whether a case is still to be run, of which `number` pairs are done."""
        if (HERE, case.id) in self._failures or case.id in self._left_off:
            return False
        if not number:
            return True
        rows = [row for row in self._rows[HERE] if row["case_id"] == case.id]
        is_due = self._pairs(case) < most and self._is_open(case.id, rows, self._baseline())
        if not is_due:
            self.leave_off(case, is_late=False)
        return is_due

    def leave_off(self, case: Case, *, is_late: bool = True) -> None:
        """Run no further pair of a case."""
        self._left_off[case.id] = is_late
        self._watcher.case_dropped(case)

    def take(self, case: Case, number: int) -> None:
        """Run one pair of a case."""
        for side in (HERE, BASE) if is_new_first(number) else (BASE, HERE):
            if (side, case.id) in self._failures:
                continue
            try:
                result = self._run(side, case, number)
                check_completed(result)
            except GreenbenchError as error:
                # With another seed it would not work, either.
                self._failures[side, case.id] = error
                self._watcher.notice(f"Error: {error}")
                continue
            self._rows[side].append({**to_row(result), "session": self._session.folder.name})

    def result(self) -> Alternation:
        """Return what was measured."""
        notes = [
            f"{case_id} cannot run {'here' if side == HERE else f'at {self._revision}'}: {error}"
            for (side, case_id), error in self._failures.items()
        ]
        if took := self._took():
            notes.append(f"pairs that it took: {took}")
        if late := [case_id for case_id, is_late in self._left_off.items() if is_late]:
            notes.append(f"--max-minutes are over, before this was decided: {', '.join(late)}")
        has_failures = any(side == HERE for side, _ in self._failures)
        return Alternation(tuple(self._rows[HERE]), self._baseline(), tuple(notes), has_failures)

    def _took(self) -> str:
        """Return how many pairs of each case were run."""
        repeats = [{(r["case_id"], r["repeat"]) for r in self._rows[side]} for side in (HERE, BASE)]
        taken = Counter(case_id for case_id, _ in sorted(repeats[0] & repeats[1]))
        return ", ".join(f"{case_id} {count}" for case_id, count in taken.items())

    def _baseline(self) -> Baseline:
        label = f"{self._revision}, measured in turn with this"
        return Baseline(label, tuple(self._rows[BASE]), is_interleaved=True, update=None)

    def _run(self, side: str, case: Case, number: int) -> CaseResult:
        if side == BASE:
            return self._session.run_base(case, number)
        result = self._session.run_repeat(case, number)
        self._session.deliver(result)
        return result

    def _pairs(self, case: Case) -> int:
        """Return how many pairs of a case count; samples, where one revision cannot run it."""
        sides = [side for side in (HERE, BASE) if (side, case.id) not in self._failures]
        return len(set.intersection(*(self._counted(side, case) for side in sides)))

    def _counted(self, side: str, case: Case) -> set[int]:
        rows = [row for row in self._rows[side] if row["case_id"] == case.id]
        found = describe_samples(rows, include_disturbed=self._include_disturbed)
        return {row["repeat"] for row in found.counted}
