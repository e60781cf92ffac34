import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from greenbench.compare.stats import Estimate, estimate

figures = st.floats(-1e6, 1e6)


@pytest.mark.parametrize(
    ("samples", "median"), [([3.0], 3.0), ([1.0, 2.0], 1.5), ([1.0, 100.0, 2.0], 2.0)]
)
def test_estimate_is_the_median(samples: list[float], median: float) -> None:
    assert estimate(samples).median == median
    assert estimate(samples).n == len(samples)


@pytest.mark.parametrize("samples", [[1.0], [1.0, 2.0]])
def test_fewer_than_three_samples_have_no_interval(samples: list[float]) -> None:
    found = estimate(samples)
    assert (found.low, found.high) == (None, None)


@settings(deadline=None, max_examples=30)
@given(st.lists(figures, min_size=3, max_size=12))
@example([0.0, 0.0, -991461.8603893168])
def test_interval_contains_the_median_and_stays_within_the_samples(samples: list[float]) -> None:
    found = estimate(samples)
    assert found.low is not None
    assert found.high is not None
    assert min(samples) <= found.low <= found.median <= found.high <= max(samples)


@settings(deadline=None)
@given(figures, st.integers(3, 20))
def test_repeats_without_noise_have_an_interval_of_no_width(figure: float, n: int) -> None:
    assert estimate([figure] * n) == Estimate(figure, figure, figure, n)


def test_interval_is_narrower_with_more_repeats() -> None:
    generator = np.random.default_rng(1)
    widths = []
    for n in (5, 50, 500):
        found = estimate(list(generator.normal(10.0, 1.0, n)))
        assert found.low is not None
        assert found.high is not None
        widths.append(found.high - found.low)
    assert widths[0] > widths[1] > widths[2] > 0


def test_interval_covers_the_true_median_about_as_often_as_it_claims() -> None:
    generator = np.random.default_rng(2)
    hits = 0
    for _ in range(60):
        found = estimate(list(generator.normal(0.0, 1.0, 15)))
        hits += found.low is not None and found.high is not None and found.low <= 0 <= found.high
    assert hits / 60 > 0.85


def test_equal_samples_give_equal_intervals() -> None:
    # So many that resampling anew would hardly give the same bounds by chance.
    samples = list(np.random.default_rng(3).normal(0.0, 1.0, 200))
    assert estimate(samples) == estimate(samples)


def test_interval_of_very_many_samples_goes_on_where_that_of_many_ends() -> None:
    generator = np.random.default_rng(0)
    samples = generator.lognormal(size=201)
    few, many = estimate(samples[:200]), estimate(samples)
    assert few.low is not None
    assert few.high is not None
    assert many.low == pytest.approx(few.low, rel=0.1)
    assert many.high == pytest.approx(few.high, rel=0.1)
    assert many.low < many.median < many.high
