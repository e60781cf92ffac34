"""Limits without a verdict: which, and why."""

from pathlib import Path

import pytest

from greenbench.gate.budgets import read_budgets
from greenbench.gate.unjudged import Coverage

S, M = "default-own_net.s-torch-digits", "default-own_net.m-torch-digits"
ALL = '[[budget]]\ncase = "*"\nparameters = { max = 10 }\naccuracy = { min = 0.5 }\n'


def covered(text: str, *cases: str, tests: tuple[str, ...] = ()) -> Coverage:
    path = Path("budgets.toml")
    path.write_text(text, encoding="utf-8")
    return Coverage(
        read_budgets(path), dict.fromkeys(cases, "deselected"), dict.fromkeys(tests, "deselected")
    )


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_a_case_without_a_verdict_is_said_with_its_limits_and_the_reason() -> None:
    found = covered(ALL, S, M)
    found.judged(S, {S: ()})
    assert found.lines() == [f"{M}: parameters max, accuracy min: deselected"]


def test_what_became_of_a_test_says_more_than_that_it_was_collected() -> None:
    found = covered(ALL, S)
    found.not_judged(S, "its test failed before")
    assert found.lines() == [f"{S}: parameters max, accuracy min: its test failed before"]


def test_a_case_that_was_judged_by_one_of_two_tests_is_judged() -> None:
    found = covered(ALL, S)
    found.judged(S, {S: ()})
    found.not_judged(S, "Skipped: another test of the same case")
    assert found.lines() == []


def test_a_test_that_judged_a_variant_of_its_case_did_what_it_was_for() -> None:
    found = covered(ALL, S)
    found.judged(S, {f"{S}+epochs3": ()})
    assert found.lines() == []


def test_limits_that_fewer_repeats_left_open_are_not_judged() -> None:
    found = covered(ALL, S)
    found.judged(S, {S: ("accuracy min: 1 of 5 repeats ran",)})
    assert found.lines() == [f"{S}: accuracy min: 1 of 5 repeats ran"]


def test_a_case_that_no_budget_limits_is_nobodys_business() -> None:
    found = covered(f'[[budget]]\ncase = "{S}"\nparameters = {{ max = 10 }}\n', S, M)
    found.judged(S, {S: ()})
    assert found.lines() == []


def test_a_budget_of_cases_that_nobody_selected_is_not_judged() -> None:
    text = f'{ALL}\n[[budget]]\ncase = "bayesian-*"\ntrials = {{ max = 4 }}\n'
    found = covered(text, S)
    found.judged(S, {S: ()})
    assert found.lines() == ["budgets.toml:7: no case of 'bayesian-*' was selected"]


def test_a_budget_that_is_off_limits_nobody() -> None:
    text = f'{ALL}\n[[budget]]\ncase = "bayesian-*"\nlevel = "off"\ntrials = {{ max = 4 }}\n'
    found = covered(text, S)
    found.judged(S, {S: ()})
    assert found.lines() == []


def test_without_any_case_every_budget_is_said() -> None:
    assert covered(ALL).lines() == ["budgets.toml:2: no case of '*' was selected"]


def test_a_test_whose_case_only_it_knows_is_said_by_its_name() -> None:
    found = covered(ALL, tests=("test_a.py::test_a", "test_a.py::test_b"))
    found.judged("test_a.py::test_a", {S: ()})
    assert found.lines() == ["test_a.py::test_b: the limits of what it runs: deselected"]
