from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from greenbench.compare.placings import summarise
from greenbench.compare.strategies import Strategies, compare_strategies

Trials = Sequence[tuple[float | None, float | None]]


def rows_of(plan: Mapping[str, Sequence[Trials]], **common: Any) -> list[dict[str, Any]]:
    """Return the rows of some searches of each strategy, each a list of energy and accuracy."""
    return [
        {"strategy": name, "repeat": repeat, "trial": trial, "prior": "log", **common}
        | {"energy_wh": energy_wh, "val_score": accuracy}
        for name, of_strategy in plan.items()
        for repeat, found in enumerate(of_strategy)
        for trial, (energy_wh, accuracy) in enumerate(found)
    ]


def compare(plan: Mapping[str, Sequence[Trials]], **common: Any) -> Strategies:
    (found,) = compare_strategies(rows_of(plan, **common), group=())
    return found


def defaults(accuracy: float = 0.9, number: int = 9, energy_wh: float = 0.5) -> list[Trials]:
    return [[(energy_wh, accuracy + repeat / 1000)] for repeat in range(number)]


def searches(gain: float, number: int = 9, accuracy: float = 0.9) -> list[Trials]:
    return [
        [(0.5, 0.8), (0.5, accuracy + repeat / 1000 + gain), (1.0, None)]
        for repeat in range(number)
    ]


def first_sentence(found: Strategies) -> str:
    return found.sentence.partition(" At equal")[0]


def test_defaults_that_are_as_good_are_the_first_sentence() -> None:
    found = compare({"default": defaults(), "random": searches(-0.1), "tpe": searches(-0.001)})
    assert first_sentence(found) == (
        "No search beats the published defaults: default finds 90.4% with 0.5 Wh, the best "
        "search (tpe) 90.3% with 2 Wh."
    )
    assert found.control is not None
    assert not found.control.is_beaten


def test_better_search_says_by_how_much_and_for_what() -> None:
    found = compare({"default": defaults(), "random": searches(-0.1), "tpe": searches(0.02)})
    assert first_sentence(found) == (
        "tpe beats the published defaults by 2 points: it finds 92.4% with 2 Wh, default finds "
        "90.4% with 0.5 Wh (4 times the energy)."
    )


def test_small_gain_beats_the_defaults_only_if_it_is_proven() -> None:
    paired = compare({"default": defaults(), "tpe": searches(0.002)})
    assert paired.control is not None
    assert (paired.control.is_beaten, paired.control.is_proven) == (True, True)
    apart = compare({"default": defaults(), "tpe": searches(0.002)}, prior=None)
    assert apart.control is not None
    assert (apart.control.is_beaten, apart.control.is_proven) == (False, False)


def test_large_gain_of_few_repeats_is_said_to_be_unproven() -> None:
    found = compare({"default": defaults(number=2), "tpe": searches(0.05, number=2)})
    assert first_sentence(found).startswith(
        "tpe finds 5 points more than the published defaults, which is not proven: it finds 95.1%"
    )


def test_proven_search_is_named_before_a_better_one_by_chance() -> None:
    lucky = searches(0.06, number=1)
    found = compare({"default": defaults(), "lucky": lucky, "sure": searches(0.03)})
    assert found.control is not None
    assert found.control.best == "sure"


def test_defaults_that_find_nothing_are_beaten() -> None:
    found = compare({"default": [[(0.5, None)]], "tpe": searches(0.0, number=1)})
    assert "which is not proven: it finds 90.0% with 2 Wh, default finds nothing with 0.5 Wh" in (
        found.sentence
    )


def test_control_that_has_not_ended_at_equal_energy_is_judged_at_the_ends() -> None:
    found = compare({"default": defaults(energy_wh=9.0), "tpe": searches(-0.001)})
    assert found.control is not None
    assert found.control.at_equal_energy == ()
    assert not found.control.is_beaten


def test_energies_that_are_unknown_are_left_out() -> None:
    unknown: list[Trials] = [[(None, 0.9)]]
    found = compare({"default": unknown, "tpe": searches(0.0, number=1)})
    assert "default finds 90.0%, the best search (tpe) 90.0% with 2 Wh." in found.sentence


def test_test_accuracies_count_where_they_are_known() -> None:
    # What looks better by three points on the validation split is no better on the test split.
    looks = {"default": defaults(), "tpe": searches(0.03)}
    rows = [{**row, "test_score": 0.89 + row["repeat"] / 1000} for row in rows_of(looks)]
    (found,) = compare_strategies(rows, group=())
    assert first_sentence(found).startswith(
        "No search beats the published defaults on the test split: default finds 89.4% with 0.5 Wh,"
    )
    del rows[0]["test_score"]
    (found,) = compare_strategies(rows, group=())
    assert found.control is not None
    assert (found.control.is_tested, found.control.is_beaten) == (False, True)


def test_without_a_control_the_answer_asks_for_it() -> None:
    found = compare({"random": searches(0.0), "tpe": searches(0.05)})
    assert found.control is None
    assert found.sentence.endswith(" No control: run `default` too.")


@pytest.mark.parametrize(
    ("gains", "words"),
    [
        ((0.0, 0.0), "No search beats the published defaults in 2 of 2 groups. "),
        ((0.05, 0.0), "No search beats the published defaults in 1 of 2 groups. "),
        ((0.05, 0.05), "A search finds more than the published defaults in each of 2 groups. "),
        ((0.05, None), "A search finds more than the published defaults in each of 1 group with "
         "this control, of 2. "),
    ],
)  # fmt: skip
def test_summary_begins_with_the_control(gains: tuple[float | None, ...], words: str) -> None:
    rows = []
    for number, gain in enumerate(gains):
        own = {"default": defaults()} if gain is not None else {"random": searches(-0.1)}
        rows += rows_of({**own, "tpe": searches(gain or 0.0)}, dataset=f"d{number}")
    found = summarise(compare_strategies(rows, group=("dataset",)))
    assert found.sentence.startswith(words)


def test_tests_of_the_same_repeats_are_paired_and_say_so() -> None:
    plan = {"random": searches(0.0), "tpe": searches(0.002)}
    assert "significant: tpe above random (p = 0.0039, paired)" in compare(plan).sentence
    assert "no difference is significant." in compare(plan, prior=None).sentence
    assert "no difference is significant (paired)." in (
        compare({"random": searches(0.0), "tpe": searches(0.0)}).sentence
    )


def test_repeats_of_other_sessions_are_no_pairs() -> None:
    rows = rows_of({"random": searches(0.0)}, session="s1")
    rows += rows_of({"tpe": searches(0.002)}, session="s2")
    (found,) = compare_strategies(rows, group=())
    assert {pair.test for pair in found.equal_trials.pairs} == {"mann-whitney"}
