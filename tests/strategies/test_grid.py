"""Grid search: the paper's levels, every cell once, and no grid in memory."""

import math
import tracemalloc
from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from greenbench.errors import SearchExhaustedError
from greenbench.strategies import Dimension, SearchSpace
from greenbench.strategies.grid import GridLogStrategy, GridStrategy
from greenbench.strategies.spaces import ADAM, PAPER3


def all_cells(space, seed=0, strategy=GridStrategy):
    strategy = strategy(space, trials=1, seed=seed)
    cells = []
    try:
        while True:
            cells.append(strategy.ask())
    except SearchExhaustedError:
        return cells


def levels(dimension, strategy=GridStrategy):
    cells = all_cells(SearchSpace("one", (dimension,)), strategy=strategy)
    return sorted(cell[dimension.name] for cell in cells)


def test_levels_are_the_papers_with_the_upper_bound_excluded():
    assert levels(Dimension("beta2", 0.8, 1.0)) == pytest.approx([0.8, 0.84, 0.88, 0.92, 0.96])


def test_log_levels_are_equal_ratios_apart():
    rates = levels(ADAM.dimensions[0], GridLogStrategy)
    ratios = [high / low for low, high in pairwise(rates)]
    assert rates[0] == pytest.approx(1e-5)
    assert ratios == pytest.approx([10**0.8] * 4)


@pytest.mark.parametrize(
    ("dimension", "expected"),
    [
        (Dimension("layers", 1, 4, type="int"), [1, 2, 3, 4]),
        (Dimension("layers", 1, 4, type="int", excludes_high=True), [1, 2, 3]),
        (Dimension("units", 0, 100, type="int"), [0, 20, 40, 60, 80]),
        (Dimension("units", 1, 10_000, prior="log", type="int"), [1, 6, 40, 251, 1585]),
        (Dimension("units", 0.06, 6, prior="log", type="int"), [1, 2]),
    ],
    ids=["few", "few_but_the_last", "many", "log", "rounded_together"],
)
def test_whole_numbers_are_all_levels_or_five_spread_ones(dimension, expected):
    strategy = GridLogStrategy if dimension.prior == "log" else GridStrategy
    assert levels(dimension, strategy) == expected


def test_each_cell_is_proposed_once():
    cells = {tuple(cell.values()) for cell in all_cells(PAPER3)}
    assert len(cells) == len(all_cells(PAPER3)) == 125


@settings(max_examples=30, deadline=None)
@given(sizes=st.lists(st.integers(2, 5), min_size=1, max_size=4), seed=st.integers(0, 2**32 - 1))
def test_any_grid_is_exhausted_without_repetition(sizes, seed):
    space = SearchSpace(
        "any",
        tuple(Dimension(f"d{i}", 1, size, type="int") for i, size in enumerate(sizes)),
    )
    cells = [tuple(cell.values()) for cell in all_cells(space, seed)]
    assert len(cells) == len(set(cells)) == math.prod(sizes)


def test_every_cell_is_as_likely_to_come_first():
    space = SearchSpace("one", (Dimension("beta1", 0.0, 1.0),))
    firsts = Counter(GridStrategy(space, trials=1, seed=s).ask()["beta1"] for s in range(1000))
    assert len(firsts) == 5
    assert all(150 < count < 250 for count in firsts.values())


def test_end_of_the_grid_is_named_with_its_size():
    strategy = GridStrategy(PAPER3, trials=200, seed=0)
    for _ in range(125):
        strategy.ask()
    with pytest.raises(SearchExhaustedError, match="all 125 cells"):
        strategy.ask()


def test_a_longer_search_begins_with_the_shorter_one():
    short, long = (GridStrategy(PAPER3, trials=trials, seed=4) for trials in (3, 100))
    assert [short.ask() for _ in range(3)] == [long.ask() for _ in range(3)]


@pytest.mark.parametrize("dimensions", [5, 12, 40])
def test_no_grid_is_held_in_memory(dimensions):
    space = SearchSpace("wide", tuple(Dimension(f"d{i}", 0.0, 1.0) for i in range(dimensions)))
    tracemalloc.start()
    try:
        strategy = GridStrategy(space, trials=20, seed=0)
        assert len({tuple(strategy.ask().values()) for _ in range(20)}) == 20
        assert tracemalloc.get_traced_memory()[1] < 200_000
    finally:
        tracemalloc.stop()
