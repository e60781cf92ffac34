"""What searches found: the sentence, the best of several repeats, and rows that do not tell."""

from dataclasses import replace
from typing import Any

from greenbench.cases import Case
from greenbench.compare.winners import found_lines, winners
from greenbench.results import Trial
from greenbench.results.table import to_row
from greenbench.tasks import Score
from tests.builders import make_result, make_trial

SEARCH = Case("bayesian", size="xs", trials=3, repeats=2)
LOSS = Score("loss", higher_is_better=False, low=0.0)


def trial(index: int, score: float, **hyperparameters: Any) -> Trial:
    return replace(make_trial(index, accuracy=score), hyperparameters=hyperparameters)


def row(*trials: Trial, test: float = 0.5, case: Case = SEARCH, **changed: Any) -> dict[str, Any]:
    return to_row(make_result(case, trials=trials, accuracy=test, **changed))


def test_sentence_names_hyperparameters_trial_and_both_scores() -> None:
    found = row(trial(0, 0.4, learning_rate=0.1), trial(1, 0.951, learning_rate=0.00213), test=0.94)
    assert found_lines([found]) == [
        "bayesian found learning_rate 0.00213 in trial 2 of 2: 95.1% in validation, 94.0% in the "
        "test."
    ]


def test_best_repeat_is_chosen_by_validation_and_never_by_the_test() -> None:
    first = row(trial(0, 0.8, width=64, relu=True), test=0.99)
    second = row(trial(0, 0.9, width=32, relu=False), test=0.1, repeat=1)
    (line,) = found_lines([first, second])
    assert "found width 32, relu False in trial 1 of 1 of repeat 2, the best of 2 by valid" in line
    assert line.endswith("10.0% in the test; over all repeats: width 32 to 64, relu True or False.")


def test_repeats_that_agree_are_said_to() -> None:
    rows = [row(trial(0, 0.8, width=64), repeat=repeat) for repeat in (0, 1)]
    assert found_lines(rows)[0].endswith("; all 2 repeats found the same.")


def test_training_that_tests_nothing_is_said_to() -> None:
    (line,) = found_lines([row(trial(0, 0.8, width=64), test_score=None)])
    assert line.endswith("80.0% in validation, and no test score.")


def test_lower_is_better_where_the_score_says_so() -> None:
    rows = [
        row(trial(0, loss, width=repeat), score=LOSS, repeat=repeat)
        for repeat, loss in enumerate((0.5, 0.2, 0.9))
    ]
    assert winners(rows)[0].best.hyperparameters == {"width": 1}


def test_several_cases_are_named_and_the_control_found_nothing() -> None:
    others = [Case("default"), Case("random", trials=3)]
    rows = [row(trial(0, 0.8, width=64), case=case) for case in (SEARCH, *others)]
    searched = [line.partition(" found ")[0] for line in found_lines(rows)]
    assert searched == [SEARCH.id, others[1].id]


def test_rows_that_do_not_tell_are_passed_over() -> None:
    known = row(trial(0, 0.8, width=64))
    older = {name: known[name] for name in known if name != "hyperparameters"}
    cut_off = {**known, "hyperparameters": '{"width": 6'}
    failed = row(replace(make_trial(accuracy=None)))
    assert not winners([older, cut_off, failed])
