from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import PermutationMethod, wilcoxon

from greenbench.compare.pairs import MANN_WHITNEY, WILCOXON, Pair, compare_pairs, signed_ranks

LOW = [0.5 + n / 100 for n in range(8)]
HIGH = [value + 0.001 * (n + 1) for n, value in enumerate(LOW)]
SEEDS: list[Any] = list(range(8))


def compare(first: list[float], second: list[float], one: list[Any], other: list[Any]) -> Pair:
    (pair,) = compare_pairs({"a": first, "b": second}, {"a": one, "b": other})
    return pair


@settings(deadline=None, max_examples=25)
@given(st.lists(st.integers(-3, 4), min_size=2, max_size=8))
def test_p_is_exact_whatever_ties(differences: list[int]) -> None:
    exact = PermutationMethod(n_resamples=1000)
    expected = wilcoxon([float(d) for d in differences], zero_method="pratt", method=exact)
    p, effect = signed_ranks([float(d) for d in differences])
    assert p == pytest.approx(float(expected.pvalue))
    assert signed_ranks([-float(d) for d in differences]) == pytest.approx((p, -effect))


def test_many_differences_are_tested_too() -> None:
    many = np.random.default_rng(0).normal(0.3, 1, 60)
    p, effect = signed_ranks(many)
    assert p == pytest.approx(float(wilcoxon(many, method="exact").pvalue), rel=0.5)
    assert 0 < effect < 1
    assert signed_ranks(np.zeros(60)) == (1.0, 0.0)


def test_small_differences_show_in_pairs_alone() -> None:
    paired, apart = compare(LOW, HIGH, SEEDS, SEEDS), compare(LOW, HIGH, [None] * 8, [None] * 8)
    assert (paired.test, paired.n_pairs, paired.rank_biserial) == (WILCOXON, 8, -1.0)
    assert paired.p == pytest.approx(2 / 2**8)
    assert paired.larger == "b"
    assert (apart.test, apart.n_pairs, apart.rank_biserial) == (MANN_WHITNEY, None, None)
    assert not apart.is_significant
    assert paired.a12 == apart.a12


def test_order_of_samples_does_not_matter_to_pairs() -> None:
    assert compare(LOW, HIGH[::-1], SEEDS, SEEDS[::-1]) == compare(LOW, HIGH, SEEDS, SEEDS)


@pytest.mark.parametrize(("shared", "test"), [(4, WILCOXON), (3, MANN_WHITNEY)])
def test_pairs_are_made_where_most_samples_have_a_partner(shared: int, test: str) -> None:
    others = [*range(shared), *(f"other {n}" for n in range(shared, 8))]
    assert compare(LOW, HIGH, SEEDS, others).test == test


def test_equal_differences_in_decimals_are_ties() -> None:
    first, second = [0.3, 0.8, 0.5, 0.1], [0.2, 0.9, 0.6, 0.0]
    assert len({one - other for one, other in zip(first, second, strict=True)}) > 2
    assert compare(first, second, SEEDS[:4], SEEDS[:4]).rank_biserial == 0.0


@pytest.mark.parametrize(("number", "reason"), [(5, True), (6, False)])
def test_too_few_pairs_are_not_tested(number: int, reason: bool) -> None:
    pair = compare(LOW[:number], HIGH[:number], SEEDS[:number], SEEDS[:number])
    assert (pair.reason is not None) == (pair.p is None) == reason
    if reason:
        assert pair.reason == "5 paired samples cannot reach 5% over 1 pair"


def test_pairs_of_several_groups_are_corrected_together() -> None:
    groups = {"a": LOW, "b": HIGH, "c": LOW[::-1]}
    blocks = {name: SEEDS for name in groups}
    p = {(pair.one, pair.other): pair.p for pair in compare_pairs(groups, blocks)}
    assert p["a", "b"] == pytest.approx(3 * 2 / 2**8)
