"""Repeats of the working folder alone, until what a stored baseline and budgets ask is decided."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from greenbench.cases import Case
from greenbench.cases.suites import GATE
from greenbench.gate.turns import HERE, Turns, Watcher
from greenbench.running.session import Session
from greenbench.settings import Settings

Row = dict[str, Any]

MOST_REPEATS = 20
"""Repeats of a case after which there is no other, as of `greenbench.gate.limits.MOST_PAIRS`: the
levels of looks are calibrated until then."""

NeedsMore = Callable[[str, Sequence[Row]], bool]
"""Whether another repeat of a case may decide something, by its id and the results of all cases."""


@dataclass(frozen=True)
class Measured:
    """What was measured.

    Attributes
    ----------
    rows : tuple of row
        Results.
    notes : tuple of str
        How many repeats each case took, and what else a reader must know.
    has_failures : bool
        Whether a case failed.
    """

    rows: tuple[Row, ...]
    notes: tuple[str, ...]
    has_failures: bool


def measure_until(
    settings: Settings,
    cases: Sequence[Case],
    watcher: Watcher,
    needs_more: NeedsMore,
    *,
    most: int = MOST_REPEATS,
    is_late: Callable[[], bool] = lambda: False,
    include_disturbed: bool = False,
) -> Measured:
    """Run cases round after round, each until another repeat decides nothing.

    As `greenbench.gate.interleave.interleave`, without another revision: disturbed samples are
    made up for, and results are logged under the suite ``gate``.

    Parameters
    ----------
    settings, cases, watcher, most, is_late, include_disturbed
        As of `greenbench.gate.interleave.interleave`, with repeats instead of pairs.
    needs_more : callable
        Whether a case needs another repeat; asked after each round.

    Raises
    ------
    GreenbenchError
        If nothing can be run.
    """
    cases = [replace(case, repeats=most) for case in cases]
    with Session(settings, GATE, cases, watcher, is_fresh=True, is_resumable=False) as session:
        turns = Turns(
            session,
            watcher,
            lambda case_id, rows: needs_more(case_id, rows[HERE]),
            include_disturbed=include_disturbed,
        )
        turns.run(cases, most, is_late)
    return Measured(tuple(turns.rows[HERE]), turns.notes, turns.has_failures)
