"""Strategies that are run until it is known which finds more: errors, and what is told later."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import pytest

from greenbench.cases import Case
from greenbench.compare.answers import to_json
from greenbench.compare.contest import WhichStrategy
from greenbench.compare.strategies import OWN_GROUP, Strategies, compare_strategies
from greenbench.compare.strategy_designs import Contenders, simulate
from greenbench.results.looks import LEVEL, LOOKS, UNTIL_DECIDED, Look

NAMES = ("bayesian", "grid", "random")
CASES = tuple(Case(name, "simple_cnn", size="s", trials=8, repeats=60) for name in NAMES)
# Of a true 5%, 300 experiments show no more than this in 99 of 100 cases.
AT_MOST = 0.083


def trials_of(found: Mapping[str, Sequence[float]]) -> list[dict[str, Any]]:
    """Return the trials of searches of two trials, each of 1 Wh, that end with what is found."""
    return [
        {
            "case_id": case.id,
            "strategy": case.strategy,
            "architecture": case.network,
            "backend": case.backend_variant,
            "setting": case.setting,
            "prior": "uniform",
            "session": "s",
            "repeat": repeat,
            "trial": trial,
            "energy_wh": 1.0,
            "val_score": score - 0.1 * (1 - trial),
            "look": next(k for k, n in enumerate(LOOKS, 1) if n > repeat),
            "design": UNTIL_DECIDED,
        }
        for case in CASES
        for repeat, score in enumerate(found.get(case.strategy, ()))
        for trial in (0, 1)
    ]


def answer(trials: Sequence[dict[str, Any]], **options: Any) -> Strategies:
    (found,) = compare_strategies(trials, group=OWN_GROUP, **options)
    return found


def course(trials: Sequence[dict[str, Any]]) -> WhichStrategy:
    """Let a question look at trials that are there, until it is settled."""
    question = WhichStrategy(CASES)
    for repeats in LOOKS:
        going = {case.id for case in question.going}
        if not going or repeats > 1 + max(row["repeat"] for row in trials):
            break
        question.look(repeats, [], trials)
    return question


def above(by: Sequence[float]) -> dict[str, list[float]]:
    """Return what two strategies find if one is above the other by so much in each repeat."""
    other = [0.8 + 0.001 * (repeat % 5) for repeat in range(len(by))]
    return {
        "bayesian": [low + more for low, more in zip(other, by, strict=True)],
        "random": other,
    }


@pytest.mark.simulated
def test_equal_strategies_are_told_apart_in_5_percent_over_all_looks() -> None:
    truth = Contenders((0.0, 0.0), 0.5)
    assert simulate(truth, 300, np.random.default_rng(1)).error <= AT_MOST


@pytest.mark.simulated
def test_looks_at_5_percent_each_would_err_more_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Look, "level", 0.05)
    assert simulate(Contenders((0.0, 0.0), 0.5), 300, np.random.default_rng(1)).error > AT_MOST


def test_looks_at_too_few_repeats_for_ranks_neither_show_anything_nor_end_the_run() -> None:
    # All above, which 8 repeats show with p = 0.0078, and 10 with 0.002.
    trials = trials_of(above([0.05 + 0.001 * repeat for repeat in range(22)]))
    question = WhichStrategy(CASES)
    for repeats in (3, 4, 5, 6, 8):
        question.look(repeats, [], trials)
        assert not question.course.shown
        assert question.is_within_reach(60)
        assert not question.is_within_reach(8)
    question.look(10, [], trials)
    assert question.is_settled


def test_comparing_later_claims_no_more_than_the_looks_did() -> None:
    # The third smallest difference is against it: p = 0.0098 of 10 repeats, and 0.0024 of 12.
    by = [0.001, 0.002, -0.003, *(0.001 * (4 + repeat) for repeat in range(9))]
    found = answer(trials_of(above(by)))
    assert found.equal_energy is not None
    (pair,) = found.equal_energy.pairs
    assert (pair.n_pairs, pair.is_significant) == (10, False)
    assert not any(pair.is_significant for pair in (*found.equal_trials.pairs, *found.to_target))
    # By hand it would be one look at all of them.
    (by_hand,) = compare_strategies(
        [{**row, "design": None, "look": 1} for row in trials_of(above(by))], group=OWN_GROUP
    )
    assert by_hand.equal_energy is not None
    assert by_hand.equal_energy.pairs[0].is_significant


def test_what_a_look_has_shown_stays_whatever_comes_after() -> None:
    by = [0.05 + 0.001 * repeat for repeat in range(10)] + [-0.2 - 0.001 * n for n in range(12)]
    found = answer(trials_of(above(by)))
    assert found.equal_energy is not None
    (pair,) = found.equal_energy.pairs
    assert (pair.n_pairs, pair.larger, pair.is_significant) == (10, "bayesian", True)


def test_answer_says_look_level_and_design() -> None:
    told = to_json(answer(trials_of(above([0.01 * n for n in range(1, 9)]))))
    assert (told["look"], told["level"], told["design"]) == (5, LEVEL, UNTIL_DECIDED)
    assert "Look 5 at these repeats" in told["sentence"]


def test_before_the_first_look_nothing_is_tested() -> None:
    found = answer(trials_of(above([0.01, 0.02])))
    assert "the first look is after 3 repeats" in found.sentence


@pytest.mark.parametrize("seed", [0, 2])
def test_run_and_comparison_claim_the_same(seed: int) -> None:
    rng = np.random.default_rng(seed)
    means = {"bayesian": 0.86, "grid": 0.8, "random": 0.85}
    found = {n: (mean + 0.01 * rng.normal(size=29)).tolist() for n, mean in means.items()}
    everything = trials_of(found)
    question = course(everything)
    dropped = question.course.dropped
    assert "grid" in dropped
    # Those that the run has.
    most = question.course.repeats
    trials = [row for row in everything if row["repeat"] < dropped.get(row["strategy"], most)]
    energy = answer(trials).equal_energy
    assert energy is not None
    told = {
        (pair.larger, pair.other if pair.larger == pair.one else pair.one): pair.p
        for pair in energy.pairs
        if pair.is_significant
    }
    assert told == question.course.shown
    assert asdict(answer(trials, against="random"))["design"] == UNTIL_DECIDED


def test_control_and_the_others_have_half_the_level_each() -> None:
    found = trials_of(above([0.01 * n for n in range(1, 9)]))
    control = [
        {**row, "strategy": "default", "case_id": "default"}
        for row in found
        if (row["strategy"], row["trial"]) == ("random", 0)
    ]
    told = answer([*found, *control])
    assert told.control is not None
    assert told.level == told.control.at_their_ends[0].level == LEVEL / 2
    assert answer(found).level == LEVEL
