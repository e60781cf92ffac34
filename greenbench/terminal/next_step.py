"""What to do with results that were just made, as a command that works as it stands."""

import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from greenbench.compare.ratios import OWN_GROUP as OF_RATIOS
from greenbench.compare.ratios import compare_ratios
from greenbench.compare.returns import SERIES, compare_returns
from greenbench.compare.strategies import OWN_GROUP as OF_SEARCHES
from greenbench.compare.strategies import without_budget
from greenbench.errors import GreenbenchError

Row = Mapping[str, Any]


def after_run(rows: Sequence[Row], suite: str, *, include_disturbed: bool = False) -> str:
    """Return the command that answers what the most of these cases ask together.

    Parameters
    ----------
    rows : sequence of row
        Of one run, one a repeat.
    suite : str
        Under whose name they are stored.
    include_disturbed : bool
        Whether disturbed samples counted in what was shown.
    """
    done = [row for row in rows if row["test_score"] is not None]
    asked = {
        "returns": _most(done, SERIES, "architecture"),
        "strategies": _most(done, OF_SEARCHES, "strategy"),
        "backends": _most(done, OF_RATIOS, "backend"),
    }
    chosen = f"--suite {shlex.quote(suite)}"
    for question in sorted(asked, key=lambda name: -asked[name]):
        for is_included in (include_disturbed, True):
            if asked[question] > 1 and _has_answer(question, rows, is_included):
                further = " --include-disturbed" if is_included else ""
                return f"greenbench compare {question} {chosen}{further}"
    return f"greenbench report {chosen}"


def _most(rows: Iterable[Row], group: Sequence[str], varied: str) -> int:
    """Return how many values a column has, at most, where the others of a group are equal."""
    found: dict[tuple[str, ...], set[str]] = {}
    for row in rows:
        columns = (name for name in group if name != varied and name in row)
        shared = tuple(without_budget(row, name) for name in columns)
        found.setdefault(shared, set()).add(str(row[varied]))
    return max(map(len, found.values()), default=0)


def _has_answer(question: str, rows: Sequence[Row], include_disturbed: bool) -> bool:
    answers: dict[str, Callable[[], Any]] = {
        "returns": lambda: compare_returns(rows, include_disturbed=include_disturbed),
        "backends": lambda: compare_ratios(rows, "backend", include_disturbed=include_disturbed),
        # At equal trials there is one, whatever counts.
        "strategies": lambda: True,
    }
    try:
        return bool(answers[question]())
    except GreenbenchError:
        return False
