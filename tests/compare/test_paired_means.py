"""What pairs show: how often the interval of a ratio holds the truth, and how often a test errs."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from greenbench.compare.paired_means import corrected, mean_difference, mean_ratio, student

SIMULATIONS = 2000
Floats = NDArray[np.float64]
Noise = Callable[[np.random.Generator, tuple[int, ...]], Floats]


def of_cv(cv: float) -> Noise:
    """Return logarithms of normal energies that vary by so much."""
    return lambda draw, size: np.log(1 + cv * draw.normal(size=size))


def heavy(draw: np.random.Generator, size: tuple[int, ...]) -> Floats:
    return 0.05 * draw.standard_t(3, size=size)


def skewed(draw: np.random.Generator, size: tuple[int, ...]) -> Floats:
    return 0.05 * draw.exponential(size=size)


def with_outliers(draw: np.random.Generator, size: tuple[int, ...]) -> Floats:
    return of_cv(0.05)(draw, size) + np.log(1.5) * (draw.random(size) < 0.05)


NOISES = {
    "cv2": of_cv(0.02), "cv5": of_cv(0.05), "cv10": of_cv(0.1),
    "t3": heavy, "exponential": skewed, "outliers": with_outliers,
}  # fmt: skip


@pytest.mark.simulated
@pytest.mark.parametrize("n", [2, 3, 5, 10])
@pytest.mark.parametrize("noise", NOISES)
def test_intervals_of_ratios_hold_the_truth_in_95_percent(noise: str, n: int) -> None:
    draw, size = np.random.default_rng(n), (SIMULATIONS, n)
    logs = NOISES[noise](draw, size) - NOISES[noise](draw, size)
    low, high, p = student(np.log(1.2) + logs)
    covered = (low <= np.log(1.2)) & (np.log(1.2) <= high)
    # Heavy tails make it wider; the margin is three standard errors of so many simulations.
    assert np.mean(covered) > 0.935
    if noise.startswith("cv"):
        assert np.mean(covered) == pytest.approx(0.95, abs=0.015)
    assert np.array_equal(p < 0.05, (low > 0) | (high < 0))


@pytest.mark.simulated
@pytest.mark.parametrize("n", [3, 5, 10])
@pytest.mark.parametrize("noise", ["cv5", "t3", "outliers"])
@pytest.mark.parametrize(("groups", "variants"), [(1, 1), (1, 3), (3, 2), (3, 4)])
def test_unchanged_variants_differ_in_5_percent_of_answers_at_most(
    groups: int, variants: int, noise: str, n: int
) -> None:
    draw = np.random.default_rng(variants)
    baseline = NOISES[noise](draw, (SIMULATIONS, groups, 1, n))
    logs = NOISES[noise](draw, (SIMULATIONS, groups, variants, n)) - baseline
    p = student(logs.reshape(SIMULATIONS, groups * variants, n))[2]
    # The least p decides whether Holm's correction leaves any.
    assert np.mean(p.min(axis=1) * groups * variants < 0.05) < 0.065


def test_the_least_p_counts_as_often_as_there_are_comparisons() -> None:
    one, other = mean_ratio([1.1, 1.15, 1.12]), mean_ratio([0.9, 1.3, 1.1])
    single = mean_ratio([2.0])
    assert one.p is not None
    first, second, third = corrected([one, other, single])
    assert (first.p, second.p, third) == (pytest.approx(2 * one.p), pytest.approx(other.p), single)


@pytest.mark.parametrize(
    ("ratios", "p"), [([0.5, 0.5, 0.5], 0.0), ([1.0, 1.0, 1.0], 1.0), ([1.0, 1.0, 1 + 1e-15], 1.0)]
)
def test_ratios_without_noise_are_exact(ratios: list[float], p: float) -> None:
    found = mean_ratio(ratios)
    assert (found.low, found.high) == pytest.approx((ratios[0], ratios[0]))
    assert found.p == p


def test_equal_differences_of_scores_may_be_chance_since_scores_have_steps() -> None:
    # 0.98 - 0.97 and 0.97 - 0.96 differ by rounding alone.
    found = mean_difference([0.98 - 0.97, 0.97 - 0.96, 0.96 - 0.95])
    assert found.p == 0.25
    assert mean_difference([0.01] * 6).p == pytest.approx(1 / 32)
    assert mean_difference([0.0, 0.0]).p == 1.0


@pytest.mark.simulated
@pytest.mark.parametrize("n", [3, 5, 10])
@pytest.mark.parametrize("step", [0.003, 0.01, 0.03])
def test_scores_of_few_steps_differ_in_5_percent_of_answers_at_most(step: float, n: int) -> None:
    draw = np.random.default_rng(1)
    scores = np.round(draw.normal(0.9, 0.01, (2, 5 * SIMULATIONS, n)) / step) * step
    p = student(scores[0] - scores[1], 0.1, is_counted=True)[2]
    assert np.mean(p < 0.05) < 0.06
