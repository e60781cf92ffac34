"""The gate itself: budgets applied to results, with a baseline where there is one."""

import difflib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from greenbench.compare.comparable import check_scores
from greenbench.compare.rows import once
from greenbench.errors import BudgetError
from greenbench.gate.baselines import Baseline
from greenbench.gate.judgement import Judgements
from greenbench.gate.limits import Budgets, Level
from greenbench.gate.question import Question

Row = Mapping[str, Any]


def judge(
    rows: Sequence[Row],
    budgets: Budgets,
    baseline: Baseline | None = None,
    *,
    known_cases: Iterable[str] = (),
    include_disturbed: bool = False,
) -> Judgements:
    """Apply budgets to results.

    Parameters
    ----------
    rows : sequence of row
        One a repeat, as `greenbench.results.table.to_row` gives them; a copy is no further sample.
    budgets : Budgets
        What is allowed.
    baseline : Baseline, optional
        What is compared against; without one, relative limits are inconclusive.
    known_cases : iterable of str
        Ids of cases that exist, whether they ran or not; in their order the answers come.
    include_disturbed : bool
        Whether samples count during which other processes used the host.

    Raises
    ------
    ConfigurationError
        If a budget matches no case, or an accuracy is no share.
    NotComparableError
        If results of one case differ in host, meter or provenance.
    """
    check_scores([*rows, *(baseline.rows if baseline else ())])
    cases: dict[str, list[Row]] = {}
    for row in once(rows):
        cases.setdefault(str(row["case_id"]), []).append(row)
    known_cases = list(known_cases)
    check_cases(budgets, [*cases, *known_cases])
    # They ran in random order.
    places = {case_id: place for place, case_id in enumerate(known_cases)}
    cases = dict(sorted(cases.items(), key=lambda each: places.get(each[0], len(places))))
    notes = _notes(budgets, list(cases))
    found = []
    for case_id, members in cases.items():
        known = once(baseline.of(case_id)) if baseline else []
        for limit in budgets.of(case_id):
            one = Question(
                limit, case_id, members, known, baseline, budgets.path, include_disturbed
            )
            if one.level is not Level.OFF:
                found.append(one.judge())
    return Judgements(tuple(found), baseline.label if baseline else None, tuple(notes))


def check_cases(budgets: Budgets, cases: Sequence[str]) -> None:
    """Raise `BudgetError` if a budget matches none of all cases, which a mistyped glob does."""
    if strangers := budgets.unmatched(cases):
        raise BudgetError(
            str(budgets.path),
            [(line, _no_such_case(pattern, cases)) for pattern, line in strangers],
        )


def _notes(budgets: Budgets, cases: Sequence[str]) -> list[str]:
    notes = [
        f"{budgets.path}:{line}: no case of {pattern!r} is among these results"
        for pattern, line in budgets.unmatched(cases)
    ]
    if free := [case for case in cases if not budgets.of(case)]:
        notes.append(f"no budget limits {', '.join(free)}")
    return notes


def _no_such_case(pattern: str, cases: Sequence[str]) -> str:
    nearest = difflib.get_close_matches(pattern, cases, n=1, cutoff=0.5)
    hint = f"did you mean {nearest[0]}?" if nearest else "`greenbench list` shows all"
    return f"case {pattern!r} matches no case; {hint}"
