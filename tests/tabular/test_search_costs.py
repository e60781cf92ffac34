"""What searches cost on the recordings that come with greenbench."""

from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from statistics import median
from types import ModuleType

import pytest

from greenbench.tabular.odometer import Odometer

PATH = Path(__file__).parents[2] / "benchmarks" / "bench_search.py"
CELLS = sorted(path.stem for path in (PATH.parent / "tabular").glob("*.parquet"))
SEEDS = 7


@pytest.fixture(scope="module")
def bench_search() -> ModuleType:
    spec = spec_from_file_location("bench_search", PATH)
    assert spec
    assert spec.loader
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(autouse=True)
def _free_proposals(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let proposals cost nothing: what they take depends on what else this machine does."""
    monkeypatch.setattr(
        "greenbench.tabular.backend.Odometer", lambda: Odometer(lambda: 0.0, lambda: 0.0)
    )


def test_nine_cells_take_less_than_5_mb() -> None:
    assert len(CELLS) == 9
    assert sum(path.stat().st_size for path in (PATH.parent / "tabular").iterdir()) < 5e6


def test_a_search_is_the_same_each_time(bench_search: ModuleType) -> None:
    first, second = (bench_search.run((CELLS[0], "sobol+asha", 3)) for _ in range(2))
    assert first.seen.tolist() == second.seen.tolist()
    assert first.true.tolist() == second.true.tolist()
    assert first.energy_j.tolist() == second.energy_j.tolist()


def test_steps_are_in_the_order_of_time_and_only_rise(bench_search: ModuleType) -> None:
    curve = bench_search.run((CELLS[0], "sobol+asha", 0))
    assert (curve.energy_j[1:] >= curve.energy_j[:-1]).all()
    assert (curve.seen[1:] >= curve.seen[:-1]).all()
    # Nothing is trained to its end before four trials have been compared.
    assert curve.seen[:4].tolist() == [0.0] * 4
    assert curve.trainings < 192 / 2


@pytest.mark.slow
@pytest.mark.parametrize("cell", CELLS)
def test_recommended_search_is_as_good_as_the_grid_for_a_twentieth(
    bench_search: ModuleType, cell: str
) -> None:
    shares = []
    for seed in range(SEEDS):
        grid = bench_search.run((cell, bench_search.GRID, seed))
        found = bench_search.run((cell, bench_search.RECOMMENDED, seed))
        shares.append(found.energy_to(float(grid.true[-1]), is_true=True) / grid.energy_j[-1])
    assert median(shares) <= 0.05
