"""`greenbench gate` where it measures: in turn with a revision, or until it is decided."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from greenbench.cases import Case
from greenbench.cli.environment import read_settings
from greenbench.cli.gate_asked import Asked
from greenbench.cli.output import interruptible
from greenbench.errors import ConfigurationError
from greenbench.selection import DEFAULT_SUITE, known_case_ids
from greenbench.settings import Settings

if TYPE_CHECKING:
    from greenbench.gate.judgement import Judgements
    from greenbench.gate.limits import Budgets

Row = dict[str, Any]
Judged = tuple[Sequence[Row], "Judgements", bool]
"""What was measured, what is said of it, and whether a case failed."""

MOST_PAIRS = MOST_REPEATS = 20
INTERRUPTED = "interrupted: nothing is judged; finished repeats are kept"


def judge_interleaved(asked: Asked, budgets: "Budgets") -> Judged:
    """Measure cases in turn with another revision, and judge them by it."""
    from greenbench.gate.builds import family_of  # noqa: PLC0415
    from greenbench.gate.interleave import interleave  # noqa: PLC0415
    from greenbench.gate.judging import is_open, judge  # noqa: PLC0415
    from greenbench.terminal.progress import Progress  # noqa: PLC0415

    settings = read_settings()
    cases = _cases(asked, budgets, settings)
    most, disturbed = asked.max_pairs or MOST_PAIRS, asked.include_disturbed
    family = family_of(budgets, [case.id for case in cases])
    twice = [replace(case, repeats=most) for case in cases] * 2
    with interruptible(INTERRUPTED), Progress(twice) as progress:
        found = interleave(
            settings,
            cases,
            str(asked.revision),
            progress,
            lambda case_id, rows, baseline: is_open(
                case_id, rows, budgets, baseline, include_disturbed=disturbed, family=family
            ),
            most=most,
            is_late=_deadline(asked.max_minutes),
            include_disturbed=disturbed,
        )
    judged = judge(
        found.rows,
        budgets,
        found.baseline,
        known_cases=known_case_ids(settings.data_dir),
        include_disturbed=disturbed,
    )
    judged = replace(judged, notes=(*judged.notes, *found.notes))
    return found.rows, judged, found.has_failures


def judge_until_decided(asked: Asked, budgets: "Budgets") -> Judged:
    """Measure cases until they are decided, and judge them by a stored baseline and budgets."""
    from greenbench.gate.baselines import find_baseline  # noqa: PLC0415
    from greenbench.gate.judging import judge, needs_more  # noqa: PLC0415
    from greenbench.gate.until import measure_until  # noqa: PLC0415
    from greenbench.terminal.progress import Progress  # noqa: PLC0415

    settings = read_settings()
    cases = _cases(asked, budgets, settings)
    # Nothing is measured yet; of what will be, this is known.
    to_come: list[Row] = [{"suite": asked.suite or DEFAULT_SUITE, "session": None}]
    uri, timeout_s = settings.tracking_uri, settings.store_timeout_s
    baseline = find_baseline(asked.stored, to_come, uri, timeout_s)
    history, disturbed = history_of(to_come, settings), asked.include_disturbed
    most = asked.max_repeats or MOST_REPEATS
    shown = [replace(case, repeats=most) for case in cases]
    with interruptible(INTERRUPTED), Progress(shown, is_open=True) as progress:
        found = measure_until(
            settings,
            cases,
            progress,
            lambda case_id, rows: needs_more(
                case_id, rows, budgets, baseline, include_disturbed=disturbed, history=history
            ),
            most=most,
            is_late=_deadline(asked.max_minutes),
            include_disturbed=disturbed,
        )
    judged = judge(
        found.rows,
        budgets,
        baseline,
        known_cases=known_case_ids(settings.data_dir),
        include_disturbed=disturbed,
        history=history,
        is_repeated=True,
    )
    judged = replace(judged, notes=(*judged.notes, *found.notes))
    return found.rows, judged, found.has_failures


def history_of(rows: Sequence[Row], settings: Settings) -> list[Row]:
    """Return what else the store has of the suites of some results; nothing if there is none."""
    from greenbench.compare.rows import measured_anew  # noqa: PLC0415
    from greenbench.tracking import Store  # noqa: PLC0415

    store = Store.prepare(settings.tracking_uri, timeout_s=settings.store_timeout_s)
    if store is None:
        return []
    sessions = {row["session"] for row in rows}
    found = [row for suite in sorted({r["suite"] for r in rows}) for row in store.read_rows(suite)]
    found, _ = measured_anew(found)
    return [row for row in found if row["session"] not in sessions and row["status"] != "failed"]


def _cases(asked: Asked, budgets: "Budgets", settings: Settings) -> list[Case]:
    """Return the cases that are asked for and limited."""
    cases = [case for case in asked.cases(settings.data_dir) if budgets.of(case.id)]
    if not cases:
        source = asked.files[0] if asked.files else repr(asked.suite or DEFAULT_SUITE)
        raise ConfigurationError(f"{asked.budget} limits no case of {source} that is asked for")
    return cases


def _deadline(minutes: float | None) -> Callable[[], bool]:
    """Return what tells whether so many minutes are over."""
    end = time.monotonic() + 60 * minutes if minutes else math.inf
    return lambda: time.monotonic() >= end
