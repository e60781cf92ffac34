"""Pairs that are looked at one after another: how often the boundaries err, and how soon they know.

2,000 simulations a cell; `docs/results/gate.md` has those of 100,000.
"""

from math import log

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import ttest_ind

from greenbench.gate import sequential
from greenbench.gate.sequential import Decisions, decide, is_new_first, looks, nominal

Floats = NDArray[np.float64]

SIMULATIONS, PAIRS = 2_000, 20
FIRST = np.array([is_new_first(number) for number in range(PAIRS)])
ALLOWED = log(1.1)


def costs(cv: float, growth: float, *, drift: float = 1.0, seed: int = 1) -> tuple[Floats, Floats]:
    """Return the logarithms of what both cost, of a machine that slows by a factor in 5 pairs."""
    noise = np.random.default_rng(seed).normal(0.0, cv, (SIMULATIONS, PAIRS, 2))
    turns = noise + log(drift) / 9 * np.arange(2 * PAIRS).reshape(PAIRS, 2)
    new = np.where(FIRST, turns[..., 0], turns[..., 1]) + log(growth)
    return new, np.where(FIRST, turns[..., 1], turns[..., 0])


def decided(new: Floats, old: Floats, allowed: float = ALLOWED, **how: int) -> Decisions:
    return decide(looks(new, old, FIRST), allowed, **how)


@pytest.mark.simulated
@pytest.mark.simulated
@pytest.mark.parametrize(("cv", "pairs"), [(0.02, 3.05), (0.05, 4.1), (0.1, 7.8)])
def test_unchanged_code_is_soon_kept_and_hardly_ever_violated(cv: float, pairs: float) -> None:
    found = decided(*costs(cv, 1.0))
    assert found.pairs.mean() <= pairs
    assert found.is_violated.mean() <= 0.02
    assert found.is_kept.mean() >= 0.94


@pytest.mark.simulated
@pytest.mark.parametrize("cv", [0.02, 0.05, 0.1])
@pytest.mark.parametrize("drift", [1.0, 4.0])
def test_growth_by_just_what_is_allowed_is_violated_in_half_of_all_cases(
    cv: float, drift: float
) -> None:
    found = decided(*costs(cv, 1.1, drift=drift))
    assert 0.35 <= found.is_violated.mean() <= 0.6


@pytest.mark.simulated
@pytest.mark.parametrize(("cv", "share"), [(0.02, 0.001), (0.05, 0.04), (0.1, 0.1)])
def test_growth_by_half_of_what_is_allowed_is_seldom_violated(cv: float, share: float) -> None:
    assert decided(*costs(cv, 1.05)).is_violated.mean() <= share


@pytest.mark.parametrize(
    ("cv", "power", "pairs"), [(0.02, 0.999, 3.5), (0.05, 0.99, 5), (0.1, 0.975, 8.5)]
)
def test_growth_by_20_percent_is_found(cv: float, power: float, pairs: float) -> None:
    found = decided(*costs(cv, 1.2))
    assert found.is_violated.mean() >= power
    assert found.pairs.mean() <= pairs
    assert found.is_kept.mean() <= 0.015


@pytest.mark.simulated
def test_growth_is_found_on_a_machine_that_gets_ever_slower() -> None:
    found = decided(*costs(0.05, 1.2, drift=4.0))
    assert found.is_violated.mean() >= 0.98
    assert found.by_pairs.mean() >= 0.98


@pytest.mark.simulated
@pytest.mark.parametrize("family", [1, 15])
def test_unchanged_code_fails_2_percent_of_builds_where_no_growth_is_allowed(family: int) -> None:
    new, old = costs(0.05, 1.0)
    found = decided(new, old, 0.0, family=family).is_violated
    builds = found[: SIMULATIONS // family * family].reshape(-1, family).any(axis=1)
    # Without a share for each of 15 limits, it would be a quarter of them.
    assert builds.mean() <= (0.03 if family == 1 else 0.06)


@pytest.mark.simulated
def test_heavy_tails_and_outliers_raise_no_false_alarms() -> None:
    rng = np.random.default_rng(7)
    tailed = 0.05 * rng.standard_t(3, (2, SIMULATIONS, PAIRS))
    new, old = costs(0.05, 1.0)
    outliers = np.where(rng.random((2, SIMULATIONS, PAIRS)) < 0.05, log(1.5), 0.0)
    for here, base in (tailed, (new + outliers[0], old + outliers[1])):
        for allowed in (0.0, ALLOWED):
            assert decided(here, base, allowed).is_violated.mean() <= 0.02


@pytest.mark.simulated
@pytest.mark.parametrize("error", [0.05, 0.2])
def test_nominal_levels_hold_their_errors_over_all_looks(error: float) -> None:
    found = looks(*costs(1.0, 1.0), FIRST)
    ratio = (found.growth / np.where(found.error > 0, found.error, 1.0))[:, 2:]
    crossed = ratio > sequential._quantile(nominal(error), found.freedom)[:, 2:]
    assert crossed.any(axis=1).mean() == pytest.approx(error, abs=0.01)


def test_a_look_at_a_steady_machine_is_students_test_of_all_samples() -> None:
    new, old = (each[:1, :5] for each in costs(0.05, 1.2))
    found = looks(new, old, FIRST[:5])
    expected = ttest_ind(new[0], old[0], alternative="greater")
    assert not found.by_pairs[0, -1]
    assert found.growth[0, -1] / found.error[0, -1] == pytest.approx(expected.statistic)
    assert found.freedom[0, -1] == 8


def test_what_drifts_over_a_pair_is_no_growth() -> None:
    # Base first, then it second, and so on, on a machine that slows by 10% from turn to turn.
    new, old = costs(1e-9, 1.0, drift=2.4)
    found = looks(new, old, FIRST)
    assert found.by_pairs[:, 3:].all()
    assert found.growth[:, 3:] == pytest.approx(0.0, abs=1e-7)


@given(st.integers(0, 100), st.floats(1e-6, 1e6), st.floats(1.0, 4.0), st.permutations(range(6)))
def test_looks_depend_on_no_unit_and_not_on_who_is_who(
    seed: int, unit: float, drift: float, order: list[int]
) -> None:
    new, old = (each[:3, :6] for each in costs(0.05, 1.1, drift=drift, seed=seed))
    first = FIRST[order]
    found = looks(new, old, first)
    scaled = looks(new + log(unit), old + log(unit), first)
    turned = looks(old, new, ~first)
    for other, sign in ((scaled, 1), (turned, -1)):
        assert (other.by_pairs == found.by_pairs).all()
        assert other.growth == pytest.approx(sign * found.growth, abs=1e-9)
        assert other.error == pytest.approx(found.error, abs=1e-6)


def test_one_row_is_decided_like_any_of_many() -> None:
    new, old = costs(0.05, 1.1)
    found = decided(new, old)
    for row in range(20):
        one = decided(new[row : row + 1], old[row : row + 1])
        assert one.pairs[0] == found.pairs[row]
        assert one.is_violated[0] == found.is_violated[row]


def test_where_the_same_one_always_comes_first_no_order_is_taken_off() -> None:
    pace = np.arange(5.0)
    new, old = (each[:2, :5] + pace for each in costs(0.01, 1.1))
    found = looks(new, old, np.ones(5, bool))
    assert found.by_pairs[:, -1].all()
    assert found.growth[:, -1] == pytest.approx((new - old).mean(axis=1))
    assert (found.freedom[:, -1] == 4).all()
