"""Cases in rounds, each until nothing of it is open: what one or two revisions cost."""

import random
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from greenbench.cases import Case
from greenbench.compare.samples import describe_samples
from greenbench.errors import GreenbenchError
from greenbench.gate.sequential import is_new_first
from greenbench.results import CaseResult
from greenbench.results.table import to_row
from greenbench.running.case_checks import check_completed
from greenbench.running.listener import Listener
from greenbench.running.repeats import Follower
from greenbench.running.session import Session

Row = dict[str, Any]

HERE, BASE = "here", "base"

MOST = 2
"""How many times as many rounds are run as count, if samples are disturbed."""

IsOpen = Callable[[str, dict[str, list[Row]]], bool]
"""Whether another round may decide something of a case, by its id and the results by side."""


class Watcher(Listener, Follower, Protocol):
    """Is told of progress, and of cases that need no further round."""


class Turns:
    """Runs one case after the other, with one revision or two, and keeps what came of it.

    Parameters
    ----------
    session : Session
        Entered; with a checkout, if there are two revisions.
    watcher : Watcher
        Is told of progress.
    is_open : callable
        Whether a case needs another round; asked after each one.
    base : str, optional
        The other revision, in words; None if there is none.
    include_disturbed : bool
        Whether disturbed samples count.

    Attributes
    ----------
    rows : dict of str to list of row
        Results of the working folder, `HERE`, and of the other revision, `BASE`.
    """

    def __init__(
        self,
        session: Session,
        watcher: Watcher,
        is_open: IsOpen,
        *,
        base: str | None = None,
        include_disturbed: bool = False,
    ) -> None:
        self.rows: dict[str, list[Row]] = {HERE: [], BASE: []}
        self._session = session
        self._watcher = watcher
        self._is_open = is_open
        self._base = base
        self._sides = (HERE,) if base is None else (HERE, BASE)
        self._left_off: dict[str, bool] = {}
        self._include_disturbed = include_disturbed
        self._failures: dict[tuple[str, str], GreenbenchError] = {}

    def run(self, cases: Sequence[Case], most: int, is_late: Callable[[], bool]) -> None:
        """Run rounds over all cases that are open, in random order.

        Parameters
        ----------
        cases : sequence of Case
            What is run.
        most : int
            Rounds that count after which there is no other.
        is_late : callable
            Whether no further case is begun; asked from the second round on.
        """
        for number in range(MOST * most):
            order = random.Random(f"{self._session.folder.name} {number}")
            due = [case for case in cases if self._needs(case, number, most)]
            for case in order.sample(due, len(due)):
                if number and is_late():
                    self._leave_off(case)
                    continue
                self._take(case, number)

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader must know: cases that cannot run, how many rounds it took, what is open."""
        notes = [
            f"{case_id} cannot run {'here' if side == HERE else f'at {self._base}'}: {error}"
            for (side, case_id), error in self._failures.items()
        ]
        if took := self._took():
            notes.append(f"{'pairs' if self._base else 'repeats'} that it took: {took}")
        if late := [case_id for case_id, is_late in self._left_off.items() if is_late]:
            notes.append(f"--max-minutes are over, before this was decided: {', '.join(late)}")
        return tuple(notes)

    @property
    def has_failures(self) -> bool:
        """Whether a case failed with the code of the working folder."""
        return any(side == HERE for side, _ in self._failures)

    def _needs(self, case: Case, number: int, most: int) -> bool:
        """Return whether a case is still to be run, of which `number` rounds are done."""
        if (HERE, case.id) in self._failures or case.id in self._left_off:
            return False
        if not number:
            return True
        is_due = self._counted(case) < most and self._is_open(case.id, self.rows)
        if not is_due:
            self._leave_off(case, is_late=False)
        return is_due

    def _leave_off(self, case: Case, *, is_late: bool = True) -> None:
        self._left_off[case.id] = is_late
        self._watcher.case_dropped(case)

    def _take(self, case: Case, number: int) -> None:
        for side in self._sides if is_new_first(number) else self._sides[::-1]:
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
            self.rows[side].append({**to_row(result), "session": self._session.folder.name})

    def _took(self) -> str:
        """Return how many rounds of each case were run."""
        sides = [{(r["case_id"], r["repeat"]) for r in self.rows[side]} for side in self._sides]
        taken = Counter(case_id for case_id, _ in sorted(set.intersection(*sides)))
        return ", ".join(f"{case_id} {count}" for case_id, count in taken.items())

    def _run(self, side: str, case: Case, number: int) -> CaseResult:
        if side == BASE:
            return self._session.run_base(case, number)
        result = self._session.run_repeat(case, number)
        self._session.deliver(result)
        return result

    def _counted(self, case: Case) -> int:
        """Return how many rounds of a case count; samples, where one revision cannot run it."""
        sides = [side for side in self._sides if (side, case.id) not in self._failures]
        return len(set.intersection(*(self._repeats(side, case) for side in sides)))

    def _repeats(self, side: str, case: Case) -> set[int]:
        rows = [row for row in self.rows[side] if row["case_id"] == case.id]
        found = describe_samples(rows, include_disturbed=self._include_disturbed)
        return {row["repeat"] for row in found.counted}
