"""The suites under pytest-benchmark: ``tox -e bench``, ``--greenbench-suite NAME``."""

from collections.abc import Callable

from greenbench.cases import Case
from greenbench.results import CaseResult


def bench_case(greenbench_case: Case, greenbench_run: Callable[[Case], list[CaseResult]]) -> None:
    """Run every repeat of a case, as a round each."""
    greenbench_run(greenbench_case)
