from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from greenbench.compare.stats import Estimate, around_median, estimate

figures = st.floats(-1e6, 1e6)


@pytest.mark.parametrize(
    ("samples", "median"), [([3.0], 3.0), ([1.0, 2.0], 1.5), ([1.0, 100.0, 2.0], 2.0)]
)
def test_estimate_is_the_median(samples: list[float], median: float) -> None:
    assert estimate(samples).median == median
    assert estimate(samples).n == len(samples)


def test_a_single_sample_has_nothing_in_brackets() -> None:
    assert estimate([1.0]) == Estimate(1.0, None, None, 1, None)


@pytest.mark.parametrize("n", [2, 3, 4, 5])
def test_below_six_samples_there_is_their_range_and_no_confidence(n: int) -> None:
    found = estimate([*range(n)])
    assert (found.low, found.high, found.confidence) == (0.0, n - 1.0, None)


@pytest.mark.parametrize(
    ("n", "low", "high", "confidence"),
    [(6, 1, 6, 0.96875), (8, 1, 8, 0.9921875), (9, 2, 8, 0.9609375), (10, 2, 9, 0.978515625)],
)
def test_from_six_on_order_statistics_hold_the_median_as_often_as_is_said(
    n: int, low: float, high: float, confidence: float
) -> None:
    found = estimate(np.random.default_rng(n).permutation(np.arange(1.0, n + 1)))
    assert (found.low, found.high) == (low, high)
    assert found.confidence == pytest.approx(confidence)
    # The narrowest that do so: the next pair inwards would hold it more rarely.
    inner = 1 - 2 * binom.cdf(int(low), n, 0.5)
    assert inner < 0.95 < confidence


@settings(deadline=None, max_examples=30)
@given(st.lists(figures, min_size=2, max_size=12))
@example([0.0, 0.0, -991461.8603893168])
def test_brackets_contain_the_median_and_stays_within_the_samples(samples: list[float]) -> None:
    found = estimate(samples)
    assert found.low is not None
    assert found.high is not None
    assert min(samples) <= found.low <= found.median <= found.high <= max(samples)


@settings(deadline=None)
@given(figures, st.integers(3, 20))
def test_repeats_without_noise_have_an_interval_of_no_width(figure: float, n: int) -> None:
    found = estimate([figure] * n)
    assert (found.median, found.low, found.high, found.n) == (figure, figure, figure, n)


def test_interval_is_narrower_with_more_repeats() -> None:
    generator = np.random.default_rng(1)
    widths = []
    for n in (6, 50, 500):
        found = estimate(list(generator.normal(10.0, 1.0, n)))
        assert found.low is not None
        assert found.high is not None
        widths.append(found.high - found.low)
    assert widths[0] > widths[1] > widths[2] > 0


@pytest.mark.parametrize("n", [6, 10, 20])
@pytest.mark.parametrize(
    ("noise", "median"),
    [
        (lambda draw, size: draw.normal(size=size), 0.0),
        (lambda draw, size: draw.lognormal(size=size), 1.0),
        (lambda draw, size: draw.standard_t(3, size=size), 0.0),
    ],
    ids=["normal", "lognormal", "t3"],
)
def test_intervals_of_the_median_cover_it_as_often_as_they_say(
    noise: Callable[[np.random.Generator, tuple[int, int]], Any], median: float, n: int
) -> None:
    low, high, confidence = around_median(noise(np.random.default_rng(n), (2000, n)))
    assert confidence is not None
    assert np.mean((low <= median) & (median <= high)) == pytest.approx(confidence, abs=0.015)


def test_the_range_of_three_covers_the_median_in_three_quarters() -> None:
    low, high, confidence = around_median(np.random.default_rng(0).normal(size=(2000, 3)))
    assert confidence is None
    assert np.mean((low <= 0) & (high >= 0)) == pytest.approx(0.75, abs=0.03)


def test_the_order_of_samples_changes_nothing() -> None:
    samples = np.random.default_rng(3).normal(0.0, 1.0, 200)
    assert estimate(samples) == estimate(samples[::-1])
