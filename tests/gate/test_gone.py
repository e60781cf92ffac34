"""Cases that a baseline has and its suite no longer are named; those that did not run are not."""

from typing import Any

from greenbench.gate.baselines import Baseline
from greenbench.gate.gone import gone_cases, gone_note
from tests.builders import make_row


def rows(*names: str, suite: str | None = "ci") -> tuple[dict[str, Any], ...]:
    return tuple(make_row(changed={"case_id": name, "suite": suite}) for name in names)


def gone(baseline: tuple[dict[str, Any], ...], **suites: list[str]) -> list[str]:
    return gone_cases(Baseline("file", baseline), rows("a"), suites)


def test_case_that_was_removed_is_gone() -> None:
    assert gone(rows("a", "b", "b", suite=None), ci=["a"]) == ["b"]


def test_case_that_was_renamed_is_gone_under_its_old_name() -> None:
    assert gone(rows("old", "a", suite=None), ci=["a", "new"]) == ["old"]


def test_case_that_did_not_run_is_not_gone() -> None:
    assert gone(rows("a", "b", suite=None), ci=["a", "b"]) == []


def test_case_that_ran_is_not_gone_though_no_suite_has_it() -> None:
    assert gone(rows("a", suite=None), ci=[]) == []


def test_case_of_another_suite_in_the_store_is_not_gone() -> None:
    assert gone((*rows("a"), *rows("b", suite="scaling")), ci=["a"]) == []


def test_of_a_suite_that_cannot_be_listed_nothing_is_gone() -> None:
    assert gone(rows("b", suite=None)) == []
    assert gone_cases(None, rows("a"), {"ci": []}) == []


def test_note_says_what_drops_them_where_something_does() -> None:
    file, store = Baseline("file", ()), Baseline("tag:a=b", (), update=None)
    assert gone_note(["b"], ["ci"], file) == (
        "b of the baseline is neither among these results nor in ci, and so not judged: removed, "
        "renamed or not run; `greenbench gate --update --prune` drops it"
    )
    assert gone_note(["b", "c"], ["ci", "mine", "ci"], store) == (
        "b, c of the baseline are neither among these results nor in ci or mine, and so not "
        "judged: removed, renamed or not run"
    )


def test_where_nothing_ran_nothing_is_known_to_be_gone() -> None:
    assert gone_cases(Baseline("file", rows("b", suite=None)), [], {"ci": []}) == []
