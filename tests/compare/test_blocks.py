from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest

from greenbench.compare.anytime import Anytime
from greenbench.compare.horizons import cut_at_energy
from greenbench.compare.searches import Search
from greenbench.compare.strategies import Strategies, compare_strategies
from greenbench.errors import UnknownNameError

Trials = Sequence[tuple[float | None, float | None]]


def rows_of(plan: Mapping[str, Sequence[Trials]], **common: Any) -> list[dict[str, Any]]:
    """Return rows of searches whose equal repeats share a split."""
    return [
        {"strategy": name, "repeat": repeat, "trial": trial, "prior": "log", **common}
        | {"energy_wh": energy_wh, "val_score": found}
        for name, of_strategy in plan.items()
        for repeat, trials in enumerate(of_strategy)
        for trial, (energy_wh, found) in enumerate(trials)
    ]


def compare(plan: Mapping[str, Sequence[Trials]], **options: Any) -> Strategies:
    (found,) = compare_strategies(rows_of(plan), group=(), **options)
    return found


def rising(energy_wh: float, best: float, number: int = 8) -> Trials:
    """Return a search that finds its best in its last trial."""
    return [(energy_wh / number, best - 0.01 * (number - n)) for n in range(1, number + 1)]


def values(found: Sequence[Any]) -> list[float]:
    return [each.value for each in found]


def test_search_that_is_cut_off_cuts_its_own_block_alone() -> None:
    plan = {"a": [rising(8.0, 0.9)] * 6, "b": [rising(2.0, 0.8, 2), *[rising(8.0, 0.8)] * 5]}
    found = compare(plan)
    assert found.equal_energy is not None
    assert values(found.equal_energy.limits) == [2.0, *[8.0] * 5]
    assert values(found.equal_trials.limits) == [2, *[8] * 5]
    assert (found.equal_energy.limit, found.equal_trials.limit) == (8.0, 8)
    assert {one.strategy: one.score.median for one in found.equal_energy.found} == {
        "a": 0.9,
        "b": 0.8,
    }
    assert "At equal energy (8 Wh, by repeat 2 Wh to 8 Wh) a finds 90.0%" in found.sentence
    assert "at equal trials (8, by repeat 2 to 8)" in found.sentence


def test_where_nothing_is_shared_there_is_one_limit_and_a_note_says_so() -> None:
    plan = {"a": [rising(8.0, 0.9)] * 2, "b": [rising(2.0, 0.8, 2), rising(8.0, 0.8)]}
    (found,) = compare_strategies(rows_of(plan, prior=None), group=())
    assert found.equal_energy is not None
    assert (found.equal_energy.limit, found.equal_energy.limits) == (2.0, ())
    assert found.notes
    assert found.notes[0].startswith("all searches are cut at one limit")
    assert compare(plan).notes == ()


def test_strategy_that_lacks_a_block_cuts_the_others_there_as_elsewhere() -> None:
    found = compare({"a": [rising(8.0, 0.9)] * 4, "b": [rising(2.0, 0.8)] * 3})
    assert found.equal_energy is not None
    assert values(found.equal_energy.limits) == [2.0] * 4


def test_search_without_a_completed_trial_is_named_and_cuts_nobody() -> None:
    failed: Trials = [(0.5, None), (0.5, None)]
    found = compare({"a": [rising(8.0, 0.9)] * 3, "b": [failed, *[rising(8.0, 0.8)] * 2]})
    assert found.left_out == ("b, repeat 0: no trial completed",)
    assert found.equal_energy is not None
    for horizon in (found.equal_energy, found.equal_trials):
        assert {one.strategy: one.score.n for one in horizon.found} == {"a": 3, "b": 2}
    assert found.equal_energy.limit == 8.0
    assert "no trial completed in 1 of 3 of b;" in found.sentence
    assert [one.failed_searches for one in found.strategies] == [0, 1]


def test_strategy_of_which_nothing_completed_is_named() -> None:
    failed: Trials = [(0.5, None), (0.5, None)]
    found = compare({"a": [rising(8.0, 0.9)] * 2, "b": [failed] * 2})
    assert "a finds 90.0%, b nothing" in found.sentence
    assert "no trial completed in 2 of 2 of b;" in found.sentence


def test_target_is_that_of_the_blocks_own_best() -> None:
    levels = (0.7, 0.8, 0.9)
    plan = {
        "a": [rising(8.0, level) for level in levels],
        "b": [rising(4.0, level - 0.005) for level in levels],
    }
    found = compare(plan)
    assert values(found.targets) == pytest.approx([level - 0.01 for level in levels])
    assert found.target == pytest.approx(0.79)
    assert [one.hit_rate for one in found.strategies] == [1.0, 1.0]
    assert "b comes within 1 point of the repeat's best for 4 Wh, 57% of a's" in found.sentence


def test_block_that_lacks_a_strategy_has_the_usual_target() -> None:
    plan = {"a": [rising(8.0, level) for level in (0.7, 0.8, 0.9, 0.6)]}
    found = compare({**plan, "b": [rising(8.0, 0.5)] * 3})
    assert values(found.targets) == pytest.approx([0.69, 0.79, 0.89, 0.79])


def test_who_comes_to_the_target_first_is_tested_in_pairs() -> None:
    plan = {"a": [rising(4.0, 0.9)] * 6, "b": [rising(8.0, 0.9)] * 6}
    found = compare(plan)
    (pair,) = found.to_target
    assert (pair.larger, pair.p, pair.n_pairs) == ("a", 2 / 2**6, 6)
    assert "(p = 0.031, paired)" in found.sentence
    few = compare({name: each[:5] for name, each in plan.items()})
    assert "50% of b's, which is not proven" in few.sentence


def test_search_that_ends_early_is_not_said_to_be_later() -> None:
    # Nobody knows what it would have found for more.
    plan = {"a": [rising(8.0, 0.9)] * 7, "b": [rising(2.0, 0.8, 2)] * 7}
    (pair,) = compare(plan).to_target
    assert pair.p == 1.0


def test_repeats_of_one_split_are_pairs_across_sessions() -> None:
    rows = rows_of({"a": [rising(8.0, 0.9)] * 6}, session="s1", split_seed=7)
    rows += rows_of({"b": [rising(8.0, 0.8)] * 6}, session="s2", split_seed=7)
    (found,) = compare_strategies(rows, group=())
    assert {pair.n_pairs for pair in found.equal_trials.pairs} == {6}


def test_one_strategy_is_tested_against_each_other() -> None:
    plan = {
        name: [rising(8.0, best + n / 500) for n in range(6)]
        for name, best in (("best", 0.9), ("c", 0.8), ("d", 0.7))
    }
    assert "cannot reach 5% over 3 pairs" in compare(plan).sentence
    found = compare(plan, against="best")
    assert [(p.one, p.other) for p in found.equal_trials.pairs] == [("best", "c"), ("best", "d")]
    # That one is above all others needs no correction: the least p of six pairs.
    assert [p.p for p in found.equal_trials.pairs] == [2 / 2**6] * 2
    assert len(found.strategies) == 3
    with pytest.raises(UnknownNameError, match="unknown strategy 'bset'"):
        compare(plan, against="bset")


def simulated(random: Any, better: float, cut_off: int = 0) -> dict[str, list[Search]]:
    """Return ten searches of two strategies, whose splits differ more than their trials."""
    shape = 2, 10, 8
    gains = 0.8 + 0.02 * random.standard_normal((1, 10, 1)) + 0.01 * random.standard_normal(shape)
    gains[0] += better
    gains = np.maximum.accumulate(gains, axis=2)
    energies = np.cumsum(np.exp(0.2 * random.standard_normal(shape)), axis=2)

    def search(one: int, repeat: int) -> Search:
        end = 2 if one and repeat < cut_off else 8
        best = gains[one, repeat, :end]
        curve = Anytime(energies[one, repeat, :end], best)
        return Search(f"s{one}", ({"repeat": repeat, "prior": "log"},), best, curve, None)

    return {f"s{one}": [search(one, repeat) for repeat in range(10)] for one in (0, 1)}


def share_found(number: int, better: float = 0.0, cut_off: int = 0) -> float:
    random, found = np.random.default_rng(0), 0
    for _ in range(number):
        horizon = cut_at_energy(simulated(random, better, cut_off))
        found += horizon is not None and any(pair.is_significant for pair in horizon.pairs)
    return found / number


@pytest.mark.simulated
def test_equal_strategies_are_said_to_differ_in_at_most_5_percent() -> None:
    assert share_found(1000) < 0.05 + 2 * 0.007


@pytest.mark.simulated
def test_search_that_is_cut_off_takes_little_of_the_power() -> None:
    assert share_found(200, better=0.01) > 0.8
    assert share_found(200, better=0.01, cut_off=1) > 0.75
