"""Two revisions, measured alternately in one session: noise between sessions does not count."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from greenbench.cases import Case
from greenbench.cases.suites import GATE
from greenbench.gate.baselines import Baseline
from greenbench.gate.limits import MOST_PAIRS
from greenbench.gate.turns import BASE, HERE, Turns, Watcher
from greenbench.running.checkout import checked_out
from greenbench.running.session import Session
from greenbench.settings import Settings

Row = dict[str, Any]

IsOpen = Callable[[str, Sequence[Row], Baseline], bool]
"""Whether another pair of a case may decide something, by its id and what was measured."""


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
        words = f"{revision} ({base.commit})"

        def measured(rows: dict[str, list[Row]]) -> Baseline:
            label = f"{words}, measured in turn with this"
            return Baseline(label, tuple(rows[BASE]), is_interleaved=True, update=None)

        def asks(case_id: str, rows: dict[str, list[Row]]) -> bool:
            ours = [row for row in rows[HERE] if row["case_id"] == case_id]
            return is_open(case_id, ours, measured(rows))

        turns = Turns(session, watcher, asks, base=words, include_disturbed=include_disturbed)
        turns.run(cases, most, is_late)
    rows = turns.rows
    return Alternation(tuple(rows[HERE]), measured(rows), turns.notes, turns.has_failures)
