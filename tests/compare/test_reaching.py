import numpy as np
import pytest
from statsmodels.duration.survfunc import SurvfuncRight

from greenbench.compare.reaching import reaching


def test_median_is_the_usual_one_where_all_get_there() -> None:
    found = reaching([1.0, 2.0, 4.0, 9.0], [9.0] * 4)
    assert (found.median, found.above, found.hit_rate) == (3.0, None, 1.0)
    assert (found.low, found.high) == (None, None)


def test_search_that_ended_early_counts_as_long_as_it_ran() -> None:
    reached = [1.0, 2.0, 3.0, 4.0, 5.0, None, None, None]
    spent = [9.0] * 5 + [0.5, 0.6, 0.7]
    # As late as all, the three would make the median 4.5; left out, it is the others' own.
    assert reaching(reached, spent).median == 3.0


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("seed", range(3))
def test_median_is_that_of_another_implementation(seed: int) -> None:
    random = np.random.default_rng(seed)
    energies, ends = random.lognormal(0, 0.5, 21), random.lognormal(0.5, 0.5, 21)
    is_there = energies <= ends
    reached = [float(e) if there else None for e, there in zip(energies, is_there, strict=True)]
    found = reaching(reached, ends.tolist())
    other = SurvfuncRight(np.minimum(energies, ends), is_there.astype(int))
    low, high = other.quantile_ci(0.5, method="cloglog")
    assert found.median == pytest.approx(other.quantile(0.5))
    assert found.low == pytest.approx(low)
    assert found.high == (None if np.isinf(high) else pytest.approx(high))


@pytest.mark.parametrize("hits", [0, 1, 2])
def test_without_half_of_the_searches_there_is_no_median(hits: int) -> None:
    reached: list[float | None] = [*[1.0] * hits, *[None] * (4 - hits)]
    found = reaching(reached, [5.0] * 4)
    assert (found.median, found.hit_rate) == (None, hits / 4)
    assert found.above == {0: 5.0, 1: 5.0, 2: 3.0}[hits]


def test_who_goes_no_further_is_never_there() -> None:
    reached = [0.9, 1.1, None, None]
    assert reaching(reached, [0.9, 1.1, 1.0, 1.0]).median == 1.1
    assert reaching(reached, [0.9, 1.1, 1.0, 1.0], [False] * 4).median is None
