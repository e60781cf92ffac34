"""Runs that go on until they know: how often they err, what they save, and what they say."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from greenbench.cases import Case
from greenbench.compare.asked import plan_of
from greenbench.compare.designs import Truth, by_hand, compare_designs, until_decided
from greenbench.compare.plan import Limits, Plan
from greenbench.compare.returns import Returns, compare_returns
from greenbench.errors import ConfigurationError
from greenbench.results.looks import LOOKS, UNTIL_DECIDED, Look, number_looks
from greenbench.results.table import to_row
from tests.builders import make_result

EXPERIMENTS = 2000
# Of a true 5%, so many experiments show no more than this in 99 of 100 cases.
AT_MOST = 0.062
COSTS = (1.0, 2.0, 4.0, 8.0, 16.0)
SIZES = ("xs", "s", "m")
CASES = tuple(Case(architecture="dense", size=size, repeats=60) for size in SIZES)


def rows_of(
    *accuracies: Sequence[float], design: str | None = UNTIL_DECIDED, look: int = 1
) -> list[dict[str, Any]]:
    """Return results of sizes that cost 1, 2, 4, … Wh, one a repeat."""
    return [
        to_row(
            make_result(
                case,
                repeat=repeat,
                accuracy=accuracy,
                energy_j=3600.0 * 2**place,
                look=look,
                design=design,
            )
        )
        for place, (case, own) in enumerate(zip(CASES, accuracies, strict=False))
        for repeat, accuracy in enumerate(own)
    ]


def around(mean: float, repeats: int, *, far: float = 0.001) -> list[float]:
    """Return accuracies around a mean that are never the same twice in a row."""
    return [mean + far * (-1) ** repeat * (1 + repeat % 3) for repeat in range(repeats)]


def answer(rows: Sequence[dict[str, Any]]) -> Returns:
    (found,) = compare_returns(rows)
    return found


@pytest.mark.simulated
@pytest.mark.parametrize("shared", [0.0, 0.58])
@pytest.mark.parametrize("means", [(-1.0, 0.0), (-1.0, -1.0, 0.0, -1.0)])
def test_wrong_sizes_are_named_in_5_percent_over_all_looks(
    means: tuple[float, ...], shared: float
) -> None:
    truth = Truth(means, 0.95, shared, tolerance=1.0)
    gains = truth.draw(EXPERIMENTS, LOOKS[-1], np.random.default_rng(1))
    found = until_decided(gains, 1.0, in_blocks=shared > 0)
    assert (found.is_named & truth.is_wrong).any(axis=1).mean() <= AT_MOST


@pytest.mark.simulated
@pytest.mark.parametrize("is_paired", [True, False])
@pytest.mark.parametrize("images", [18, 36])
@pytest.mark.parametrize("means", [(0.985, 1.0), (0.9899, 1.0), (0.98, 0.98, 1.0)])
def test_few_test_images_that_are_nearly_all_right_end_no_run_too_early(
    means: tuple[float, ...], images: int, is_paired: bool
) -> None:
    truth = np.array(means)[:, None]
    shape = (EXPERIMENTS, len(means), LOOKS[-1])
    gains = np.random.default_rng(1).binomial(images, truth, shape) / images
    found = until_decided(gains, 0.01, in_blocks=is_paired, test_samples=images)
    is_wrong = np.array(means) < max(means) - 0.01
    assert (found.is_named & is_wrong).any(axis=1).mean() <= AT_MOST


@pytest.mark.simulated
@pytest.mark.parametrize("shared", [0.0, 0.58])
def test_wrong_sizes_are_named_in_5_percent_over_ten_looks_by_hand(
    monkeypatch: pytest.MonkeyPatch, shared: float
) -> None:
    truth = Truth((-1.0, 0.0), 0.95, shared, tolerance=1.0)
    repeats = range(3, 31, 3)
    gains = truth.draw(EXPERIMENTS, max(repeats), np.random.default_rng(2))

    def error() -> float:
        named = by_hand(gains, 1.0, repeats, in_blocks=shared > 0)
        return float((named & truth.is_wrong).any(axis=1).mean())

    assert error() <= AT_MOST
    # As if each look was the only one.
    monkeypatch.setattr(Look, "level", 0.05)
    assert error() > 2 * AT_MOST


@pytest.mark.simulated
def test_clear_answers_take_less_energy_than_fixed_repeats_and_less_where_paired() -> None:
    means = (-6.0, -3.0, 0.0, 0.0, 0.0)
    unpaired, paired = (
        compare_designs(Truth(means, 0.95, shared, 1.0), COSTS, 500, np.random.default_rng(3))
        for shared in (0.0, 0.58)
    )
    assert unpaired.power > 0.9
    assert unpaired.energy_share is not None
    assert unpaired.energy_share < 0.84
    assert paired.repeats < 0.7 * unpaired.repeats
    assert paired.power >= unpaired.power


def test_run_says_the_smallest_size_once_none_smaller_may_do_as_well() -> None:
    found = answer(rows_of(around(0.80, 3), around(0.95, 3), around(0.95, 3)))
    assert found.decision.choice == "dense.s"
    assert (found.decision.look, found.decision.design) == (1, UNTIL_DECIDED)
    assert found.decision.confidence == 0.95


def test_comparing_later_claims_no_more_than_the_looks_did() -> None:
    # By all repeats the smallest is proven, too; but the run had its answer before they were seen.
    early = rows_of(around(0.80, 3), around(0.95, 3), around(0.95, 3))
    more = rows_of(*([0.8, *[0.99] * 40] for _ in SIZES))
    found = answer(early + [row for row in more if row["repeat"] >= 3])
    assert found.decision.choice == "dense.s"
    assert found.decision.look == 1


def test_too_few_repeats_for_a_look_prove_nothing() -> None:
    found = answer(rows_of(around(0.80, 2), around(0.95, 2)))
    assert found.decision.choice is None
    assert "the first look is after 3 repeats" in found.proof


def test_second_look_by_hand_needs_more_than_the_first() -> None:
    accuracies = ([0.949, 0.953, 0.9475, 0.952], [0.95, 0.957, 0.951, 0.9555])
    first = answer(rows_of(*accuracies, design=None))
    third = answer(rows_of(*accuracies, design=None, look=3))
    assert first.decision.level > third.decision.level
    smallest = first.decision.candidates[0]
    assert smallest.p is not None
    assert third.decision.level < smallest.p < first.decision.level
    assert (first.decision.choice, third.decision.choice) == ("dense.xs", "dense.s")
    assert "look 3 needs 0.002 or less" in third.proof
    assert "95% confidence over 3 looks" in third.proof


@pytest.mark.parametrize(
    ("sessions", "looks"),
    [
        # The same seeds again show nothing new.
        ([3, 3, 3], [1, 1, 1]),
        ([3, 5, 5], [1, 2, 2]),
        ([5, 3, 8], [1, 1, 2]),
    ],
)
def test_later_session_with_more_repeats_is_a_further_look(
    sessions: list[int], looks: list[int]
) -> None:
    rows = [
        {**row, "session": str(place)}
        for place, repeats in enumerate(sessions)
        for row in rows_of(around(0.9, repeats), design=None)
    ]
    numbered = number_looks(rows)
    found = [
        max(row["look"] for row in numbered if row["session"] == str(place))
        for place in range(len(sessions))
    ]
    assert found == looks


def test_repeats_that_are_added_say_so_themselves() -> None:
    rows = rows_of(around(0.9, 3), design=None)
    added = [{**row, "look": 2} for row in rows_of(around(0.9, 5), design=None)[3:]]
    session = [{**row, "session": "a"} for row in rows + added]
    assert [row["look"] for row in number_looks(session)] == [1, 1, 1, 2, 2]


def course(plan: Plan, *accuracies: Sequence[float]) -> tuple[int, dict[str, int]]:
    """Run a plan on results that are there; return its rounds, and each size's repeats."""
    rows: list[dict[str, Any]] = []
    everything = rows_of(*accuracies)
    for repeats in range(LOOKS[-1] + 1):
        due = {case.id for case in plan.due(repeats, rows, [], 0.0)}
        if not due:
            break
        rows += [row for row in everything if row["repeat"] == repeats and row["case_id"] in due]
    counts = {case.network: 0 for case in CASES}
    for row in rows:
        counts[row["architecture"]] += 1
    return repeats, counts


def test_size_that_is_out_is_trained_no_further() -> None:
    near = [0.95 + 0.012 * (-1) ** repeat for repeat in range(60)]
    plan = plan_of(CASES, Limits())
    rounds, repeats = course(plan, around(0.5, 60), near, near[1:] + near[:1])
    assert repeats["dense.xs"] < rounds == repeats["dense.s"] == repeats["dense.m"]


def test_run_ends_before_the_look_that_would_take_too_much() -> None:
    noisy = [0.95 + 0.03 * (-1) ** repeat for repeat in range(60)]
    # A round takes 7 Wh, and looks are after 3, 4, 5, … rounds.
    plan = plan_of(CASES, Limits(max_wh=30.0))
    rounds, _ = course(plan, noisy, noisy, noisy)
    assert rounds <= 4
    assert "--max-wh is 30" in plan.ended[0]


def test_no_more_is_run_once_no_limit_would_do() -> None:
    noisy = [0.95 + 0.2 * (-1) ** (repeat // 2) for repeat in range(60)]
    noisier = [0.95 + 0.2 * (-1) ** (repeat // 3) for repeat in range(60)]
    plan = plan_of(CASES, Limits(max_wh=60.0))
    rounds, _ = course(plan, noisy, noisier, noisy[5:] + noisy[:5])
    assert rounds < 60 / 7
    assert plan.ended


def test_question_without_any_result_is_over_after_a_round() -> None:
    plan = plan_of(CASES, Limits())
    assert plan.due(0, [], [], 0.0)
    assert not plan.due(1, [], [], 0.0)
    assert "no repeat of it gave a result" in plan.ended[0]


def test_cases_without_a_question_run_as_often_as_they_say() -> None:
    other = Case(architecture="simple_cnn", size="s", backend="keras", repeats=2)
    plan = plan_of([*CASES, other], Limits())
    assert other in plan.due(1, [], [], 0.0)
    assert other not in plan.due(2, [], [], 0.0)


def test_neither_sizes_nor_strategies_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="neither two sizes of a family nor two strat"):
        plan_of(CASES[:1], Limits())


@pytest.mark.parametrize("limit", [0.0, -1.0, float("nan"), float("inf")])
def test_limit_that_is_none_is_refused(limit: float) -> None:
    with pytest.raises(ConfigurationError, match=r"--max-wh is .*; expected a finite number"):
        Limits(max_wh=limit)
