"""The gate itself: budgets applied to results, with a baseline where there is one."""

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from greenbench.compare.comparable import check_scores
from greenbench.compare.rows import once
from greenbench.errors import BudgetError
from greenbench.gate.baselines import Baseline
from greenbench.gate.builds import holm, is_of_family
from greenbench.gate.evidence import Evidence
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
    family: int = 1,
    history: Sequence[Row] = (),
    is_repeated: bool = False,
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
    family : int
        Limits of the build that may fail it by chance, if it has more than those of these results.
    history : sequence of row
        Earlier results, of which the noise between sessions is learned.
    is_repeated : bool
        Whether repeats were added until `needs_more` said no.

    Raises
    ------
    ConfigurationError
        If a budget matches no case, or an accuracy is no share.
    NotComparableError
        If results of one case differ in host, meter or provenance.
    """
    check_scores([*rows, *(baseline.rows if baseline else ())])
    cases = _by_case(rows)
    known_cases = list(known_cases)
    check_cases(budgets, [*cases, *known_cases])
    # They ran in random order.
    places = {case_id: place for place, case_id in enumerate(known_cases)}
    cases = dict(sorted(cases.items(), key=lambda each: places.get(each[0], len(places))))
    notes = _notes(budgets, list(cases))
    asked = _of_all(
        cases,
        budgets,
        baseline,
        include_disturbed=include_disturbed,
        history=history,
        is_repeated=is_repeated,
    )
    family = max(family, _family(asked))
    found = holm(lambda left: [replace(one, family=left).judge() for one in asked], family)
    return Judgements(tuple(found), baseline.label if baseline else None, tuple(notes))


def questions(
    case_id: str,
    rows: Sequence[Row],
    budgets: Budgets,
    baseline: Baseline | None = None,
    *,
    include_disturbed: bool = False,
    history: Sequence[Row] = (),
    is_repeated: bool = False,
) -> list[Question]:
    """Return what is to be judged of one case.

    Parameters
    ----------
    case_id : str
        See `greenbench.cases.Case.id`.
    rows : sequence of row
        Its results.
    budgets, baseline, include_disturbed, history, is_repeated
        As of `judge`; the history is of this case.
    """
    known = once(baseline.of(case_id)) if baseline else []
    asked = [
        Question(
            case_id,
            budgets.path,
            Evidence(limit, rows, known, baseline, include_disturbed, history, is_repeated),
        )
        for limit in budgets.of(case_id)
    ]
    return [one for one in asked if one.level is not Level.OFF]


def is_open(
    case_id: str,
    rows: Sequence[Row],
    budgets: Budgets,
    baseline: Baseline,
    *,
    include_disturbed: bool = False,
    family: int = 1,
) -> bool:
    """Return whether more samples of a case may decide a limit that is inconclusive.

    Parameters
    ----------
    case_id, rows, budgets, baseline, include_disturbed
        As of `questions`.
    family : int
        Limits of the build that may fail it by chance.
    """
    asked = questions(case_id, rows, budgets, baseline, include_disturbed=include_disturbed)
    return any(replace(one, family=family).judge().is_open for one in asked)


def needs_more(
    case_id: str,
    rows: Sequence[Row],
    budgets: Budgets,
    baseline: Baseline | None,
    *,
    include_disturbed: bool = False,
    history: Sequence[Row] = (),
) -> bool:
    """Return whether another repeat of a case may decide a limit, by what is stored or by itself.

    Parameters
    ----------
    case_id : str
        See `greenbench.cases.Case.id`.
    rows : sequence of row
        Results of all cases, which share the error.
    budgets, baseline, include_disturbed, history
        As of `judge`.
    """
    asked = _of_all(
        _by_case(rows),
        budgets,
        baseline,
        include_disturbed=include_disturbed,
        history=history,
        is_repeated=True,
    )
    family = max(_family(asked), 1)
    ours = [replace(one, family=family) for one in asked if one.case_id == case_id]
    return any(one.judge().is_open for one in ours)


def _of_all(
    cases: Mapping[str, Sequence[Row]],
    budgets: Budgets,
    baseline: Baseline | None,
    *,
    include_disturbed: bool,
    history: Sequence[Row],
    is_repeated: bool,
) -> list[Question]:
    past = _by_case(history)
    return [
        one
        for case_id, members in cases.items()
        for one in questions(
            case_id,
            members,
            budgets,
            baseline,
            include_disturbed=include_disturbed,
            history=past.get(case_id, ()),
            is_repeated=is_repeated,
        )
    ]


def _by_case(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """Return each case's results, a copy once."""
    cases: dict[str, list[Row]] = {}
    for row in once(rows):
        cases.setdefault(str(row["case_id"]), []).append(row)
    return cases


def _family(asked: Sequence[Question]) -> int:
    """Return how many limits may fail the build by chance."""
    return sum(is_of_family(one.limit, one.level) for one in asked)


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
