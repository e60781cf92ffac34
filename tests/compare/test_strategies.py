import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from greenbench.cases import Case
from greenbench.compare.horizons import Horizon
from greenbench.compare.placings import summarise
from greenbench.compare.standings import Standing
from greenbench.compare.strategies import (
    OWN_GROUP,
    Strategies,
    compare_strategies,
)
from greenbench.errors import ConfigurationError, NotComparableError, UnknownNameError
from greenbench.results import TrialStatus
from greenbench.results.table import to_trial_rows
from tests.builders import make_result, make_segmented, make_trial

Trials = Sequence[tuple[float | None, float | None]]

# Coarse and exact in binary, so that ties come up and sums are exact; of several trials.
searches = st.lists(
    st.tuples(st.integers(1, 6).map(float), st.none() | st.integers(0, 8).map(lambda n: n / 8)),
    min_size=2,
    max_size=5,
)
plans = st.dictionaries(
    st.sampled_from(["bayesian", "grid", "random"]),
    st.lists(searches, min_size=1, max_size=2),
    min_size=2,
)


def rows_of(plan: Mapping[str, Sequence[Trials]], **common: Any) -> list[dict[str, Any]]:
    """Return the rows of some searches of each strategy, each a list of energy and accuracy."""
    return [
        {
            "strategy": strategy,
            "repeat": repeat,
            "trial": trial,
            "energy_wh": energy_wh,
            "val_score": accuracy,
            **common,
        }
        for strategy, of_strategy in plan.items()
        for repeat, found in enumerate(of_strategy)
        for trial, (energy_wh, accuracy) in enumerate(found)
    ]


def compare(plan: Mapping[str, Sequence[Trials]], **options: Any) -> Strategies:
    (found,) = compare_strategies(rows_of(plan), group=(), **options)
    return found


def standing(found: Strategies, name: str) -> Standing:
    return next(one for one in found.strategies if one.strategy == name)


def medians(horizon: Horizon | None) -> dict[str, float]:
    assert horizon is not None
    return {found.strategy: found.score.median for found in horizon.found}


def win_rates(horizon: Horizon | None) -> dict[str, float]:
    assert horizon is not None
    return {found.strategy: found.win_rate for found in horizon.found}


FRUGAL: Trials = [(1.0, 0.80), (1.0, 0.85), (1.0, 0.90), (1.0, None), (1.0, 0.97)]
THOROUGH: Trials = [(2.0, 0.70), (2.0, 0.96), (2.0, 0.98)]


def test_equal_trials_and_equal_energy_are_two_answers() -> None:
    found = compare({"frugal": [FRUGAL], "thorough": [THOROUGH]})
    assert found.equal_trials.limit == 3
    assert medians(found.equal_trials) == {"thorough": 0.98, "frugal": 0.90}
    assert found.equal_energy is not None
    assert found.equal_energy.limit == 5.0
    assert medians(found.equal_energy) == {"frugal": 0.97, "thorough": 0.96}
    assert found.equal_trials.best == ("thorough",)
    assert found.equal_energy.best == ("frugal",)


def test_standing_counts_failed_trials_and_their_energy() -> None:
    frugal = standing(compare({"frugal": [FRUGAL], "thorough": [THOROUGH]}), "frugal")
    assert (frugal.searches, frugal.counted, frugal.trials, frugal.failed_trials) == (1, 1, 5, 1)
    assert frugal.energy_wh is not None
    assert frugal.energy_wh.median == 5.0
    assert frugal.best_score == frugal.final_score.median == 0.97


def test_target_is_within_the_tolerance_of_the_best_that_any_strategy_found() -> None:
    plan = {"frugal": [FRUGAL], "thorough": [THOROUGH]}
    found = compare(plan)
    assert found.target == pytest.approx(0.97)
    assert standing(found, "frugal").energy_to_target_wh == 5.0
    assert standing(found, "thorough").energy_to_target_wh == 6.0
    assert standing(compare(plan, tolerance=0.02), "thorough").energy_to_target_wh == 4.0
    missed = standing(compare(plan, tolerance=0.0), "frugal")
    assert (missed.energy_to_target_wh, missed.hit_rate) == (None, 0.0)


@pytest.mark.parametrize(
    ("hits", "misses", "energy_wh"), [(1, 0, 1.0), (1, 1, None), (2, 1, 1.0), (2, 2, None)]
)
def test_searches_that_miss_the_target_count_as_later_than_all(
    hits: int, misses: int, energy_wh: float | None
) -> None:
    mixed = [[(1.0, 0.9), (1.0, 0.5)]] * hits + [[(1.0, 0.5), (1.0, 0.5)]] * misses
    found = standing(compare({"mixed": mixed, "other": [[(5.0, 0.9), (5.0, 0.9)]]}), "mixed")
    assert found.energy_to_target_wh == energy_wh
    assert found.hit_rate == pytest.approx(hits / (hits + misses))


def test_area_is_from_the_longest_first_trial_to_the_least_total() -> None:
    found = compare({"frugal": [FRUGAL], "thorough": [THOROUGH]})
    assert standing(found, "frugal").area == pytest.approx((0.85 + 0.9 + 0.9) / 3)
    assert standing(found, "thorough").area == pytest.approx((0.70 + 0.70 + 0.96) / 3)


def test_search_of_one_trial_holds_its_accuracy_and_cuts_nobody() -> None:
    found = compare({"default": [[(1.0, 0.95)]], "frugal": [FRUGAL], "thorough": [THOROUGH]})
    assert found.equal_trials.limit == 3
    assert found.equal_energy is not None
    assert found.equal_energy.limit == 5.0
    assert medians(found.equal_trials)["default"] == 0.95
    assert medians(found.equal_energy)["default"] == 0.95


def test_nothing_is_found_for_less_than_the_first_trial_takes() -> None:
    found = compare({"frugal": [FRUGAL], "vast": [[(9.0, 0.99), (1.0, 0.5)]]})
    assert medians(found.equal_energy)["vast"] == 0.0
    assert "frugal finds 97.0%, vast nothing" in found.sentence
    assert standing(found, "vast").area is None


def test_win_rate_is_the_share_of_pairs_of_searches_with_ties_counted_half() -> None:
    def once(accuracy: float) -> Trials:
        return [(1.0, accuracy), (1.0, 0.0)]

    plan = {"a": [once(0.9), once(0.5)], "b": [once(0.5), once(0.4)], "c": [once(0.5)]}
    found = compare(plan)
    # a beats b in 3 pairs and ties in 1; it beats c in 1 and ties in 1.
    expected = {"a": (3.5 + 1.5) / 6, "b": (0.5 + 0.5) / 6, "c": (0.5 + 1.5) / 4}
    assert win_rates(found.equal_trials) == pytest.approx(expected)
    assert win_rates(found.equal_energy) == pytest.approx(expected)


@settings(max_examples=50)
@given(plans)
def test_answers_are_those_of_a_plain_count(plan: dict[str, list[Trials]]) -> None:
    found = compare(plan)
    everything = [s for of_strategy in plan.values() for s in of_strategy]
    # What found nothing at all cuts nobody, unless all are so.
    completed = [s for s in everything if any(each is not None for _, each in s)] or everything
    fewest = min(len(search) for search in completed)
    least_wh = min(sum(energy or 0.0 for energy, _ in search) for search in completed)
    assert found.equal_trials.limit == fewest
    assert found.equal_energy is not None
    assert found.equal_energy.limit == least_wh

    def best_of(search: Trials, limit_wh: float) -> float:
        spent, best = 0.0, 0.0
        for energy_wh, accuracy in search:
            spent += energy_wh or 0.0
            best = max(best, accuracy or 0.0) if spent <= limit_wh else best
        return best

    for at_trials in found.equal_trials.found:
        cut = [search[:fewest] for search in plan[at_trials.strategy]]
        assert at_trials.best == max(best_of(search, 1e9) for search in cut)
    for at_energy in found.equal_energy.found:
        assert at_energy.best == max(best_of(s, least_wh) for s in plan[at_energy.strategy])


@settings(max_examples=50)
@given(plans, st.sampled_from([0.25, 1024.0]))
def test_unit_of_energy_changes_nothing_but_energies(
    plan: dict[str, list[Trials]], scale: float
) -> None:
    one = compare(plan)
    scaled = [{**row, "energy_wh": row["energy_wh"] * scale} for row in rows_of(plan)]
    (other,) = compare_strategies(scaled, group=())
    of_searches = ("energy_wh", "energy_wh_low", "energy_wh_high", "energy_to_target_wh")
    for energy in (*of_searches, "energy_to_target_above_wh"):
        for before, after in zip(one.records(), other.records(), strict=True):
            assert after[energy] == (None if before[energy] is None else before[energy] * scale)
    energies = {*of_searches, "energy_to_target_above_wh", "equal_wh"}
    for before, after in zip(one.records(), other.records(), strict=True):
        same = [{k: v for k, v in r.items() if k not in energies} for r in (before, after)]
        assert same[0] == pytest.approx(same[1])
    assert other.equal_trials == one.equal_trials


@settings(max_examples=50)
@given(st.lists(searches, min_size=1, max_size=3), st.lists(searches, min_size=1, max_size=3))
def test_win_rates_of_two_strategies_sum_to_one(one: list[Trials], other: list[Trials]) -> None:
    found = compare({"one": one, "other": other})
    for horizon in (found.equal_trials, found.equal_energy):
        assert sum(win_rates(horizon).values()) == pytest.approx(1.0)


@settings(max_examples=50)
@given(searches, plans, st.integers(0, 5), st.integers(1, 6))
def test_failed_trial_improves_nothing(
    search: Trials, others: dict[str, list[Trials]], position: int, energy_wh: int
) -> None:
    name = "asha"
    longer = [*search[:position], (float(energy_wh), None), *search[position:]]
    before, after = compare({name: [search], **others}), compare({name: [longer], **others})
    for at in ("equal_trials", "equal_energy"):
        assert medians(getattr(after, at))[name] <= medians(getattr(before, at))[name]
        assert win_rates(getattr(after, at))[name] <= win_rates(getattr(before, at))[name] + 1e-12
    was, now = standing(before, name), standing(after, name)
    assert now.best_score == was.best_score
    assert now.hit_rate == was.hit_rate
    if was.energy_to_target_wh is not None:
        assert now.energy_to_target_wh is not None
        assert now.energy_to_target_wh >= was.energy_to_target_wh


@settings(max_examples=30)
@given(plans, st.randoms())
def test_order_of_rows_changes_nothing(plan: dict[str, list[Trials]], random: Any) -> None:
    rows = rows_of(plan)
    shuffled = rows.copy()
    random.shuffle(shuffled)
    (one,), (other,) = (compare_strategies(r, group=()) for r in (rows, shuffled))
    assert one.records() == other.records()
    assert one.sentence == other.sentence


@settings(max_examples=30)
@given(
    st.dictionaries(
        st.sampled_from(["default", "grid", "random"]),
        st.lists(
            st.lists(
                st.tuples(
                    st.none() | st.integers(0, 2).map(float),
                    st.none() | st.integers(0, 2).map(lambda n: n / 2),
                ),
                min_size=1,
                max_size=3,
            ),
            min_size=1,
            max_size=3,
        ),
        min_size=2,
    )
)
def test_whatever_is_missing_there_is_an_answer_in_words_and_in_json(
    plan: dict[str, list[Trials]],
) -> None:
    found = compare(plan)
    assert found.sentence.endswith(".")
    assert (found.equal_energy is None) == (found.reason is not None)
    for answer in (asdict(found), found.records(), asdict(summarise([found]))):
        json.dumps(answer, allow_nan=False)


def test_order_of_searches_changes_no_interval() -> None:
    found: list[Trials] = [[(1.0, n * n / 100), (1.0, None)] for n in range(8)]
    one = compare({"a": found, "b": [THOROUGH]})
    other = compare({"a": [found[n] for n in (3, 7, 0, 5, 2, 6, 1, 4)], "b": [THOROUGH]})
    assert one.records() == other.records()


def test_search_whose_energy_does_not_count_is_named_and_stays_in_equal_trials() -> None:
    rows = rows_of({"a": [FRUGAL, FRUGAL], "b": [THOROUGH, THOROUGH]})
    rows[1]["energy_wh"] = None
    for row in rows[-3:]:
        row["marks"] = "disturbed"
    (found,) = compare_strategies(rows, group=())
    assert found.left_out == ("a, repeat 0: energy unknown", "b, repeat 1: disturbed")
    assert [found.strategies[i].counted for i in (0, 1)] == [1, 1]
    assert [one.score.n for one in found.equal_trials.found] == [2, 2]
    assert found.equal_energy is not None
    assert [one.score.n for one in found.equal_energy.found] == [1, 1]
    (everything,) = compare_strategies(rows, group=(), include_disturbed=True)
    assert everything.left_out == ("a, repeat 0: energy unknown",)


def test_without_energies_equal_trials_are_still_answered() -> None:
    unknown: Trials = [(None, accuracy) for _, accuracy in THOROUGH]
    found = compare({"a": [FRUGAL], "b": [unknown]})
    assert found.equal_energy is None
    assert found.reason == "no energy of b counts (energy unknown)"
    assert found.sentence == (
        "At equal trials (3) b finds 98.0%, a 90.0%; not tested: 1 and 1 searches cannot reach "
        "5% over 1 pair; not at equal energy: no energy of b counts (energy unknown). "
        "No control: run `default` too."
    )
    uncounted = standing(found, "b")
    assert (uncounted.energy_wh, uncounted.area, uncounted.curve) == (None, None, None)
    assert standing(found, "a").energy_wh is not None


def test_sentence_answers_both_questions_and_says_why_nothing_was_tested() -> None:
    assert compare({"frugal": [FRUGAL], "thorough": [THOROUGH]}).sentence == (
        "At equal energy (5 Wh) frugal finds 97.0%, thorough 96.0%; at equal trials (3) thorough "
        "finds 98.0%, frugal 90.0%; frugal comes within 1 point of the best for 5 Wh, 83% of "
        "thorough's, which is not proven; not tested: 1 and 1 searches cannot reach 5% over 1 "
        "pair. No control: run `default` too."
    )


def test_sentence_says_which_differences_are_significant() -> None:
    good: list[Trials] = [[(1.0, 0.90 + i / 1000), (1.0, 0.5)] for i in range(5)]
    bad: list[Trials] = [[(2.0, 0.80 + i / 1000), (2.0, 0.9 + i / 2000)] for i in range(5)]
    found = compare({"good": good, "worse": bad})
    assert found.sentence == (
        "At equal energy (2 Wh) good finds 90.2%, worse 80.2%; at equal trials (2) good finds "
        "90.2%, worse 90.1%; good comes within 1 point of the best for 1 Wh, 25% of worse's (p = "
        "0.004); "
        "at equal energy significant: good above worse (p = 0.0079), at equal trials no "
        "difference is significant. No control: run `default` too."
    )


def test_the_smaller_of_two_is_never_called_the_better() -> None:
    low: list[Trials] = [[(1.0, 0.1 + i / 1000), (1.0, 0.0)] for i in range(5)]
    high: list[Trials] = [[(1.0, 0.9 + i / 1000), (1.0, 0.0)] for i in range(5)]
    for plan in ({"a": low, "b": high}, {"b": high, "a": low}):
        assert "significant: b above a" in compare(plan).sentence


def test_sentence_names_the_strategy_that_comes_there_first() -> None:
    slow, quick = [(4.0, 0.9), (4.0, 0.5)], [(1.0, 0.9), (1.0, 0.5)]
    words = "quick comes within 2.5 points of the best for 1 Wh, 25% of another's, which"
    assert words in compare({"another": [slow], "quick": [quick]}, tolerance=0.025).sentence


def test_energies_of_zero_are_not_divided_by() -> None:
    free: Trials = [(0.0, 0.9), (0.0, 0.5)]
    found = compare({"a": [free], "b": [free]})
    assert (
        "a comes within 1 point of the best for 0 mWh, which is not proven; not" in found.sentence
    )
    assert standing(found, "a").area is None


@pytest.mark.parametrize(("first", "how"), [(0.5, "does;"), (0.9, "does in most of its searches;")])
def test_sentence_says_that_the_others_miss_the_target(first: float, how: str) -> None:
    others: list[Trials] = [[(1.0, first), (1.0, 0.5)], [(1.0, 0.5), (1.0, 0.5)]]
    found = compare({"a": [[(1.0, 0.9), (1.0, 0.5)]], "b": others})
    assert f"a comes within 1 point of the best for 1 Wh, which no other {how}" in found.sentence


def test_strategy_of_unknown_energy_is_not_said_to_miss_the_target() -> None:
    unknown: Trials = [(None, 0.9), (1.0, 0.9)]
    found = compare({"a": [FRUGAL], "b": [[(1.0, 0.5), (1.0, 0.5)]], "c": [unknown]})
    assert (
        "a comes within 1 point of the best for 5 Wh, which no other whose energy counts does"
        in (found.sentence)
    )


def test_without_a_completed_trial_that_is_the_answer() -> None:
    failed: Trials = [(1.0, None), (1.0, None)]
    found = compare({"a": [failed], "b": [failed]})
    assert found.sentence == "No trial of any strategy completed."
    assert found.target is None
    assert standing(found, "a").hit_rate == 0.0


def test_each_group_has_its_own_answer() -> None:
    rows = [
        *rows_of({"a": [FRUGAL], "b": [THOROUGH]}, dataset="two"),
        *rows_of({"a": [THOROUGH], "b": [FRUGAL]}, dataset="one"),
        *rows_of({"a": [FRUGAL, FRUGAL]}, dataset="of one strategy"),
    ]
    found = compare_strategies(rows, group=("dataset",))
    assert [answer.group for answer in found] == [{"dataset": "one"}, {"dataset": "two"}]
    assert [answer.equal_trials.best for answer in found] == [("a",), ("b",)]
    assert found[0].records()[0]["dataset"] == "one"


def test_no_trials_have_no_answer() -> None:
    assert compare_strategies([], group=OWN_GROUP) == []


@pytest.mark.parametrize("column", ["network", "model", "dataset", "architecture", "backend"])
def test_what_must_not_be_mixed_is_refused_with_what_to_do(column: str) -> None:
    rows = [
        *rows_of({"a": [FRUGAL]}, **{column: "x"}),
        *rows_of({"b": [THOROUGH]}, **{column: "y"}),
    ]
    with pytest.raises(NotComparableError, match=rf"differ in {column} \(x, y\).*--group {column}"):
        compare_strategies(rows, group=())


@pytest.mark.parametrize("column", ["energy_provenance", "energy_scope", "meter", "host"])
def test_energies_of_different_origin_are_refused(column: str) -> None:
    rows = [
        *rows_of({"a": [FRUGAL]}, **{column: "x"}),
        *rows_of({"b": [THOROUGH]}, **{column: "y"}),
    ]
    with pytest.raises(NotComparableError, match=f"--where {column}=x"):
        compare_strategies(rows, group=())
    (apart,) = compare_strategies([{**row, column: "x"} for row in rows], group=())
    assert apart.provenance == ("x" if column == "energy_provenance" else None)


def test_origin_of_energies_that_do_not_count_does_not_matter() -> None:
    unknown: Trials = [(None, 0.5), (1.0, 0.6)]
    rows = [
        *rows_of({"a": [FRUGAL], "b": [THOROUGH]}, energy_provenance="counter"),
        *rows_of({"c": [unknown]}, energy_provenance="none"),
    ]
    (found,) = compare_strategies(rows, group=())
    assert found.provenance == "counter"
    assert {record["energy_provenance"] for record in found.records()} == {"counter"}


@pytest.mark.parametrize("column", ["strategy", "energy_wh", "val_score", "dataset"])
def test_missing_column_is_named(column: str) -> None:
    rows = rows_of({"a": [FRUGAL], "b": [THOROUGH]}, dataset="x")
    for row in rows:
        del row[column]
    with pytest.raises(UnknownNameError, match=f"unknown column '{column}'"):
        compare_strategies(rows, group=("dataset",))


def test_percentages_are_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"val_score is 98\.1"):
        compare({"a": [[(1.0, 98.1)]], "b": [FRUGAL]})


def own_rows(strategy: str, *, repeat: int = 0, **case: Any) -> list[dict[str, Any]]:
    trials = [
        make_trial(index, accuracy=0.5 + index / 10, energy_j=3600.0)
        for index in range(1 if strategy == "default" else 3)
    ]
    result = make_result(Case(strategy=strategy, **case), repeat=repeat, trials=trials)
    return [{**row, "session": "s1"} for row in to_trial_rows(result)]


def test_default_is_compared_with_searches_of_any_number_of_trials() -> None:
    rows = [
        *own_rows("default"),
        *own_rows("random", trials=32),
        *own_rows("random", trials=32, repeat=1),
        *own_rows("default", epochs=3),
        *own_rows("random", trials=32, epochs=3),
    ]
    found = compare_strategies(rows, group=OWN_GROUP)
    assert [answer.group["setting"] for answer in found] == ["digits", "digits+epochs3"]
    assert [answer.provenance for answer in found] == ["model", "model"]
    assert {one.strategy: one.searches for one in found[0].strategies} == {
        "default": 1,
        "random": 2,
    }


def test_searches_are_compared_whether_they_reevaluate_or_not() -> None:
    rows = [*own_rows("default"), *own_rows("random", reevaluate=2, trials=8)]
    (found,) = compare_strategies(rows, group=OWN_GROUP)
    assert found.group["setting"] == "digits"


def test_standing_says_what_the_energy_went_into() -> None:
    trials = [
        make_segmented(0, (0, 90.0, 0.5), status=TrialStatus.STOPPED, proposal_j=10.0),
        make_segmented(1, (1, 90.0, 0.4), (2, 200.0, 0.9)),
        make_segmented(2, (3, 90.0, None), status=TrialStatus.FAILED),
        replace(make_trial(3, accuracy=0.8, energy_j=20.0), reevaluates=1),
    ]
    case = Case("random+asha")
    rows = to_trial_rows(make_result(case, trials=trials, prior="log", accuracy=0.77))
    rows += rows_of({"old": [[(0.1, 0.5), (0.1, None)]]}, energy_provenance="model")
    for row in rows[-2:]:
        del row["energy_provenance"]
    (found,) = compare_strategies(rows, group=())
    asha, old = standing(found, "random+asha"), standing(found, "old")
    assert (asha.prior, asha.trials, asha.stopped_trials, asha.failed_trials) == ("log", 3, 1, 1)
    assert asha.reevaluations == 1
    assert asha.optimism == pytest.approx(0.03)
    assert asha.proposal_share == pytest.approx(10 / 500)
    assert asha.wasted_share == pytest.approx(190 / 500)
    assert (old.prior, old.stopped_trials, old.proposal_share, old.optimism) == (None,) * 4
    assert (old.reevaluations, old.wasted_share) == (0, 0.5)


def test_censored_energy_to_target_is_known_to_be_above() -> None:
    misses: list[Trials] = [[(1.0, 0.5), (1.0, 0.5)], [(2.0, 0.5), (3.0, 0.5)]]
    found = compare({"hits": [[(1.0, 0.9), (1.0, 0.5)]], "misses": misses})
    missing, hitting = standing(found, "misses"), standing(found, "hits")
    assert (missing.energy_to_target_wh, missing.energy_to_target_above_wh) == (None, 3.5)
    assert (hitting.energy_to_target_wh, hitting.energy_to_target_above_wh) == (1.0, None)


def test_same_strategy_with_different_numbers_of_trials_is_refused() -> None:
    rows = [*own_rows("default"), *own_rows("random"), *own_rows("random", trials=32)]
    with pytest.raises(NotComparableError, match=r"random: .*--where setting=digits`"):
        compare_strategies(rows, group=OWN_GROUP)


def test_same_strategy_with_different_definitions_is_refused() -> None:
    changed = [{**row, "case_hash": "other", "repeat": 1} for row in own_rows("random")]
    rows = [*own_rows("default"), *own_rows("random"), *changed]
    with pytest.raises(NotComparableError, match="random: figures differ in definition"):
        compare_strategies(rows, group=OWN_GROUP)


def grouped(*plans_of_groups: Mapping[str, Sequence[Trials]]) -> list[Strategies]:
    rows = [row for i, plan in enumerate(plans_of_groups) for row in rows_of(plan, dataset=f"d{i}")]
    return compare_strategies(rows, group=("dataset",))


def test_summary_counts_the_groups_in_which_each_was_best() -> None:
    found = summarise(grouped(*[{"a": [FRUGAL], "b": [THOROUGH]}] * 3))
    assert found.sentence == (
        "a is best in 3 of 3 groups at equal energy and b in 3 of 3 at equal trials. "
        "No control: run `default` too."
    )
    assert found.records()[0] == {
        "strategy": "a",
        "groups": 3,
        "best_at_equal_energy": 3.0,
        "best_at_equal_trials": 0.0,
        "win_rate_at_equal_energy": 1.0,
        "win_rate_at_equal_trials": 0.0,
    }


def test_strategies_that_tie_share_the_group() -> None:
    better = {"a": [THOROUGH], "b": [[(2.0, 0.1)] * 3], "c": [[(2.0, 0.1)] * 3]}
    tied = {"a": [[(2.0, 0.1)] * 3], "b": [THOROUGH], "c": [THOROUGH]}
    found = summarise(grouped(better, tied, tied))
    assert [one.best_at_equal_trials for one in found.placings] == [1.0, 1.0, 1.0]
    assert [one.win_rate_at_equal_trials for one in found.placings] == pytest.approx(
        [1 / 3, (0.25 + 0.75 * 2) / 3, (0.25 + 0.75 * 2) / 3]
    )
    assert found.sentence == (
        "a, b and c are each best in 1 of 3 groups at equal energy and in 1 of 3 at equal trials. "
        "No control: run `default` too."
    )


def test_summary_says_that_energies_are_unknown() -> None:
    unknown: Trials = [(None, 0.9), (None, 0.9)]
    found = summarise(grouped({"a": [unknown], "b": [THOROUGH]}, {"a": [FRUGAL], "b": [THOROUGH]}))
    assert (found.groups, found.energy_groups) == (2, 1)
    found = summarise(grouped({"a": [unknown], "b": [THOROUGH]}))
    assert found.sentence == (
        "b is best in 1 of 1 group at equal trials; no group has an answer at equal energy. "
        "No control: run `default` too."
    )
    assert found.placings[0].win_rate_at_equal_energy is None


def test_summary_of_nothing_says_so() -> None:
    assert summarise([]).sentence == "No group has two strategies to compare."


@pytest.fixture
def paper(reference_dir: Path) -> list[dict[str, Any]]:
    """Return the paper's trials of three strategies, six cells of data set and network."""
    rows: list[dict[str, Any]] = []
    for path in sorted((reference_dir / "yarally2023").glob("rq1_*.csv")):
        with path.open(newline="", encoding="utf-8") as stream:
            rows += csv.DictReader(stream)
    return [
        {
            **row,
            "trial": int(row["trial"]),
            "energy_wh": float(row["energy_j"]) / 3600,
            "val_score": float(row["accuracy"]),
        }
        for row in rows
    ]


def test_best_accuracies_are_those_of_the_paper(paper: list[dict[str, Any]]) -> None:
    found = compare_strategies(paper, group=("dataset", "network"))
    assert len(found) == 6
    best: dict[tuple[str, ...], float] = {}
    for row in paper:
        cell = row["dataset"], row["network"], row["strategy"]
        best[cell] = max(best.get(cell, 0.0), row["val_score"])
    assert best == {
        (*answer.group.values(), one.strategy): one.best_score
        for answer in found
        for one in answer.strategies
    }
    assert all(answer.equal_trials.limit == 64 for answer in found)


def test_bayesian_search_is_best_in_most_of_the_papers_cells(paper: list[dict[str, Any]]) -> None:
    found = summarise(compare_strategies(paper, group=("dataset", "network")))
    assert found.sentence == (
        "bayesian is best in 5 of 6 groups at equal energy and in 5 of 6 at equal trials. "
        "No control: run `default` too."
    )


def test_papers_networks_are_not_mixed(paper: list[dict[str, Any]]) -> None:
    with pytest.raises(NotComparableError, match="cifar10: trials differ in network"):
        compare_strategies(paper, group=("dataset",))
