"""The pytest plugin as far as pytest goes without running a case."""

import pytest

from greenbench.cases.suites import ci
from greenbench.pytest_plugin import _extra_info
from tests.builders import make_row

BENCH = """
def bench_case(greenbench_case, greenbench_run):
    greenbench_run(greenbench_case)

def test_of_another_kind():
    pass
"""
IDS = [case.id for case in ci()]


def collected(pytester: pytest.Pytester, *options: str, is_apart: bool = False) -> list[str]:
    """Return what pytest would run, in order: ids of cases, and names of other tests."""
    pytester.makepyfile(bench_order=BENCH)
    arguments = ("bench_order.py", "--collect-only", "-q", "-o", "python_functions=bench_* test_*")
    # A process of its own takes seconds to import what is here already.
    run = pytester.runpytest_subprocess if is_apart else pytester.runpytest_inprocess
    lines = run(*arguments, *options).outlines
    names = [line.partition("::")[2] for line in lines if "::" in line]
    return [name.removeprefix("bench_case[").removesuffix("]") for name in names]


def test_cases_run_in_random_order_and_other_tests_keep_their_places(
    pytester: pytest.Pytester,
) -> None:
    order = collected(pytester)
    assert sorted(order[:-1]) == sorted(IDS)
    assert order[:-1] != IDS
    assert order[-1] == "test_of_another_kind"


def test_cases_keep_the_order_of_the_suite_if_asked(pytester: pytest.Pytester) -> None:
    assert collected(pytester, "--greenbench-keep-order") == [*IDS, "test_of_another_kind"]


def test_processes_of_xdist_agree_on_the_order(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTEST_XDIST_TESTRUNUID", "one run")
    assert collected(pytester) == collected(pytester, is_apart=True)


@pytest.mark.parametrize("marks", [["short", None, None], [None, "short", "short"]])
def test_marks_of_some_repeats_alone_are_summed_up(marks: list[str | None]) -> None:
    info = _extra_info([make_row(changed={"marks": mark}) for mark in marks])
    assert info["marks"] == "short"
    assert [row["marks"] for row in info["repeats"]] == marks


def test_the_number_of_trials_does_not_hide_the_trials() -> None:
    info = {"trials": ["a trial"]}
    info.update(_extra_info([make_row()]))
    assert info["trials"] == ["a trial"]


def test_marks_that_differ_between_repeats_stay_one_text() -> None:
    marks = ("short drifted", None, "disturbed short drifted")
    info = _extra_info([make_row(changed={"marks": mark}) for mark in marks])
    assert info["marks"] == "short drifted disturbed"
