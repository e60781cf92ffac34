from collections.abc import Callable
from math import exp, inf, log, log1p, sqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import mannwhitneyu, norm, t, ttest_ind

from greenbench.gate.bounds import (
    Bounds,
    level_bounds,
    mean_bounds,
    ratio_bounds,
    session_bounds,
    student_bounds,
)

NEW = (1.31, 1.18, 1.25, 1.4, 1.22)
OLD = (1.0, 1.04, 0.97, 1.01, 0.95)
SESSIONS = ((1.0, 1.1, 1.05), (0.9, 0.95, 0.92), (1.2, 1.15, 1.18), (1.02, 1.0, 1.01))

costs = st.lists(st.floats(0.1, 10.0), min_size=5, max_size=8)
confidences = st.sampled_from([0.8, 0.9, 0.95, 0.98])


def drawn(count: int, *, seed: int, scale: float = 0.05) -> list[float]:
    rng = np.random.default_rng([seed, count])
    return [float(value) for value in np.exp(rng.normal(0.0, scale, count))]


def deviation(share: float) -> float:
    """Return the standard deviation of the logarithm of what is log-normal."""
    return sqrt(log1p(share**2))


def rejects(samples: list[float], baseline: list[float], ratio: float, confidence: float) -> bool:
    """Return whether SciPy's test says that samples are more than a ratio times the baseline."""
    scaled = [ratio * value for value in baseline]
    found = mannwhitneyu(samples, scaled, alternative="greater", method="exact")
    return bool(found.pvalue <= 1 - confidence)


@pytest.mark.parametrize("confidence", [0.9, 0.95, 0.98])
@pytest.mark.parametrize(("count", "other"), [(5, 5), (4, 9), (9, 4), (12, 7), (8, 40), (30, 30)])
def test_ratio_bounds_are_where_the_exact_mann_whitney_test_begins_to_reject(
    count: int, other: int, confidence: float
) -> None:
    samples, baseline = drawn(count, seed=1), drawn(other, seed=2)
    low, high = ratio_bounds(samples, baseline, confidence)
    assert rejects(samples, baseline, low * (1 - 1e-9), confidence)
    assert not rejects(samples, baseline, low * (1 + 1e-9), confidence)
    assert rejects(baseline, samples, 1 / high * (1 - 1e-9), confidence)
    assert not rejects(baseline, samples, 1 / high * (1 + 1e-9), confidence)


@pytest.mark.parametrize(
    ("count", "other", "confidence"), [(3, 3, 0.98), (1, 18, 0.95), (2, 5, 0.98), (2, 2, 0.95)]
)
def test_too_few_samples_bound_no_ratio(count: int, other: int, confidence: float) -> None:
    samples, baseline = drawn(count, seed=1), drawn(other, seed=2)
    assert ratio_bounds(samples, baseline, confidence) == (0.0, inf)
    assert ratio_bounds(samples, baseline, confidence, noise=0.1) == (0.0, inf)


@pytest.mark.parametrize(
    ("count", "other", "confidence"), [(3, 3, 0.95), (4, 4, 0.98), (1, 19, 0.95)]
)
def test_least_samples_that_can_tell_bound_by_the_extreme_ratios(
    count: int, other: int, confidence: float
) -> None:
    samples, baseline = drawn(count, seed=1), drawn(other, seed=2)
    low, high = ratio_bounds(samples, baseline, confidence)
    assert low == min(samples) / max(baseline)
    assert high == max(samples) / min(baseline)


def test_equal_samples_have_their_ratio_as_both_bounds() -> None:
    assert ratio_bounds([1.2] * 5, [1.0] * 5, 0.95) == (1.2, 1.2)
    assert ratio_bounds([0.3] * 5, [0.3] * 5, 0.98) == (1.0, 1.0)


def test_bounds_of_many_skewed_samples_are_those_of_ranks() -> None:
    # The ratio of medians is outside of the interval of shifts here.
    samples = [1.0] * 26 + [float(value) for value in range(3, 28)]
    low, _ = ratio_bounds(samples, [1.0] * 51, 0.95)
    ratios = sorted(value for value in samples for _ in range(51))
    assert low in ratios
    low_of_noise, high_of_noise = ratio_bounds(samples, [1.0] * 51, 0.95, noise=1e-9)
    assert low_of_noise == pytest.approx(low)
    assert high_of_noise > low_of_noise


def test_noise_between_sessions_is_added_in_quadrature() -> None:
    middle = float(np.median(np.divide.outer(NEW, OLD)))
    within = [abs(log(bound / middle)) for bound in ratio_bounds(NEW, OLD, 0.95)]
    between = norm.ppf(0.95) * sqrt(2) * deviation(0.1)
    low, high = ratio_bounds(NEW, OLD, 0.95, noise=0.1)
    assert low == pytest.approx(middle * exp(-sqrt(within[0] ** 2 + between**2)))
    assert high == pytest.approx(middle * exp(sqrt(within[1] ** 2 + between**2)))


@settings(max_examples=50)
@given(costs, costs, confidences, st.sampled_from([0.0, 0.1]), st.floats(0.01, 100.0))
def test_ratio_bounds_scale_with_the_samples(
    samples: list[float], baseline: list[float], confidence: float, noise: float, scale: float
) -> None:
    bounds = ratio_bounds(samples, baseline, confidence, noise)
    scaled = ratio_bounds([scale * value for value in samples], baseline, confidence, noise)
    assert scaled == pytest.approx([scale * bound for bound in bounds])
    swapped = ratio_bounds(baseline, samples, confidence, noise)
    assert swapped == pytest.approx([1 / bounds[1], 1 / bounds[0]])


@settings(max_examples=50)
@given(costs, costs, st.floats(0.0, 0.3), st.floats(0.0, 0.3))
def test_more_confidence_and_more_noise_widen_the_bounds(
    samples: list[float], baseline: list[float], noise: float, more: float
) -> None:
    def contains(outer: Bounds, inner: Bounds) -> bool:
        return outer[0] <= inner[0] * (1 + 1e-9) and inner[1] <= outer[1] * (1 + 1e-9)

    bounds = ratio_bounds(samples, baseline, 0.95, noise)
    assert contains(ratio_bounds(samples, baseline, 0.98, noise), bounds)
    assert contains(ratio_bounds(samples, baseline, 0.95, noise + more), bounds)
    level = level_bounds(samples, 0.95, noise)
    assert contains(level_bounds(samples, 0.98, noise), level)
    assert contains(level_bounds(samples, 0.95, noise + more), level)
    assert contains(mean_bounds(samples, 0.98), mean_bounds(samples, 0.95))


Measure = Callable[[NDArray[np.float64]], Bounds]


def wrong(measure: Measure, truth: float, confidence: float, size: int) -> tuple[float, float]:
    """Return how often each bound is wrong, less three standard errors of that share."""
    rng = np.random.default_rng(5)
    count = 2_000
    found = np.array([measure(rng.normal(0.0, 1.0, size)) for _ in range(count)])
    slack = 3 * sqrt(confidence * (1 - confidence) / count)
    return float((found[:, 0] > truth).mean() - slack), float((found[:, 1] < truth).mean() - slack)


@pytest.mark.parametrize("confidence", [0.95, 0.98])
def test_bounds_of_five_and_five_samples_are_wrong_as_rarely_as_they_say(
    confidence: float,
) -> None:
    def within(values: NDArray[np.float64]) -> Bounds:
        costs = np.exp(0.05 * values)
        return ratio_bounds(1.2 * costs[:5], costs[5:], confidence)

    assert max(wrong(within, 1.2, confidence, 10)) <= 1 - confidence


@pytest.mark.parametrize(("confidence", "count"), [(0.95, 10), (0.98, 2)])
def test_session_bounds_predict_the_next_session_as_surely_as_they_say(
    confidence: float, count: int
) -> None:
    def ahead(values: NDArray[np.float64]) -> Bounds:
        medians = np.exp(0.1 * values)
        return session_bounds([medians[0]], [[each] for each in medians[1:]], confidence)

    # Student's factor is exact for normal values: the share is right, neither more nor less.
    shares = wrong(ahead, 1.0, confidence, count + 1)
    slack = 6 * sqrt(confidence * (1 - confidence) / 2_000)
    assert all(1 - confidence - slack <= share <= 1 - confidence for share in shares)


def test_session_bounds_are_the_prediction_interval_of_one_more_median() -> None:
    medians = [log(float(np.median(each))) for each in SESSIONS]
    middle = sum(medians) / 4
    deviation = sqrt(sum((each - middle) ** 2 for each in medians) / 3)
    half = t.ppf(0.95, 3) * deviation * sqrt(5 / 4)
    low, high = session_bounds(NEW, SESSIONS, 0.95)
    assert low == pytest.approx(1.25 / exp(middle) * exp(-half))
    assert high == pytest.approx(1.25 / exp(middle) * exp(half))


@pytest.mark.parametrize("value", [0.95, 0.9, 0.97, -0.01, 0.1, 1e-3])
@pytest.mark.parametrize("count", [2, 3, 5, 7])
def test_mean_of_equal_values_is_that_value_to_the_last_digit(value: float, count: int) -> None:
    assert mean_bounds([value] * count, 0.98) == (value, value)


def test_mean_of_one_value_is_unbounded() -> None:
    assert mean_bounds([0.9], 0.98) == (-inf, inf)


def test_mean_bounds_are_students() -> None:
    values = [0.91, 0.94, 0.9]
    expected = t.interval(0.9, 2, loc=np.mean(values), scale=np.std(values, ddof=1) / sqrt(3))
    assert mean_bounds(values, 0.95) == pytest.approx(expected)


def test_level_of_one_sample_is_unbounded() -> None:
    assert level_bounds([1.0], 0.95, 0.1) == (0.0, inf)


def test_level_bounds_are_students_on_logarithms_and_the_noise_of_one_session() -> None:
    low, high = mean_bounds([log(value) for value in NEW], 0.98)
    assert level_bounds(NEW, 0.98, 0.0) == pytest.approx((exp(low), exp(high)))
    half = sqrt(((high - low) / 2) ** 2 + (norm.ppf(0.98) * deviation(0.2)) ** 2)
    middle = exp((low + high) / 2)
    expected = middle * exp(-half), middle * exp(half)
    assert level_bounds(NEW, 0.98, 0.2) == pytest.approx(expected)


def test_level_of_equal_samples_still_has_the_noise_between_sessions() -> None:
    low, high = level_bounds([2.0] * 5, 0.95, 0.1)
    between = norm.ppf(0.95) * deviation(0.1)
    assert (low, high) == pytest.approx((2.0 * exp(-between), 2.0 * exp(between)))


Pairs = list[tuple[float, float]]


def test_student_bounds_are_those_of_a_t_test_of_logarithms() -> None:
    found = ttest_ind(np.log(NEW), np.log(OLD))
    low, high = (float(exp(each)) for each in found.confidence_interval(0.9))
    assert student_bounds(NEW, OLD, 0.95) == pytest.approx((low, high))


def test_student_bounds_contain_the_noise_between_sessions() -> None:
    plain, wide = (student_bounds(NEW, OLD, 0.98, noise) for noise in (0.0, 0.1))
    assert wide[0] < plain[0] < plain[1] < wide[1]
    assert student_bounds([2.0], [1.0], 0.98) == (0.0, inf)
