"""The prior as a factor of its own: grid, random and Sobol under a uniform or a log prior."""

import warnings

import pytest

from greenbench.registry import strategies
from greenbench.strategies import Dimension, SearchSpace
from greenbench.strategies.grid import GridLogStrategy, GridStrategy
from greenbench.strategies.random import RandomLogStrategy, RandomStrategy
from greenbench.strategies.sobol import SobolStrategy
from greenbench.strategies.spaces import ADAM, PAPER3, PAPER5


def draws(factory, space, count, seed=3):
    strategy = factory(space, trials=count, seed=seed)
    return [strategy.ask() for _ in range(count)]


@pytest.mark.parametrize(
    "strategy", [GridStrategy, RandomStrategy, GridLogStrategy, RandomLogStrategy]
)
def test_the_priors_of_a_space_have_no_influence(strategy):
    assert draws(strategy, ADAM, 20) == draws(strategy, PAPER3, 20)


@pytest.mark.parametrize(
    ("name", "prior"),
    [
        ("grid", "uniform"),
        ("random", "uniform"),
        ("grid_log", "log"),
        ("random_log", "log"),
        ("bayesian_paper", "uniform"),
    ],
)
def test_strategies_with_a_prior_of_their_own_say_so(name, prior):
    assert strategies.get(name).prior == prior


@pytest.mark.parametrize("name", ["sobol", "bayesian", "bayesian_cost", "tpe", "gp", "cmaes"])
def test_strategies_that_take_the_priors_of_the_space_claim_none(name):
    assert not hasattr(strategies.get(name), "prior")


@pytest.mark.parametrize("strategy", [RandomLogStrategy, SobolStrategy])
def test_log_prior_draws_each_decade_equally_often(strategy):
    rates = [each["learning_rate"] for each in draws(strategy, ADAM, 2000)]
    for low in (1e-5, 1e-4, 1e-3, 1e-2):
        assert 420 < sum(low <= rate < 10 * low for rate in rates) < 580


def test_uniform_prior_draws_hardly_any_small_rate():
    rates = [each["learning_rate"] for each in draws(RandomStrategy, ADAM, 2000)]
    assert sum(rate < 1e-3 for rate in rates) < 50


def test_log_levels_reach_small_rates_and_uniform_ones_do_not():
    rates = [
        sorted({e["learning_rate"] for e in draws(each, ADAM, 125)})
        for each in (GridStrategy, GridLogStrategy)
    ]
    assert rates[0][:2] == pytest.approx([1e-5, 0.020008])
    assert rates[1][:2] == pytest.approx([1e-5, 10**-4.2])


@pytest.mark.parametrize(
    ("low", "high", "prior"),
    [
        (1e-9, 1e-7, "log"),
        (1.0, 100.0, "log"),
        (1.0, 99.0, "uniform"),
        (0.0, 1e9, "uniform"),
        (-1.0, 5.0, "uniform"),
    ],
)
def test_log_prior_is_for_bounds_two_orders_of_magnitude_apart(low, high, prior):
    space = SearchSpace("one", (Dimension("x", low, high),))
    assert space.with_prior("log").dimensions[0].prior == prior
    assert space.with_prior("log").with_prior("uniform") == space


def test_a_space_keeps_its_name_bounds_and_types():
    changed = PAPER5.with_prior("log")
    assert changed.name == PAPER5.name
    assert [(d.name, d.low, d.high, d.type, d.excludes_high) for d in changed.dimensions] == [
        (d.name, d.low, d.high, d.type, d.excludes_high) for d in PAPER5.dimensions
    ]


def test_sobol_covers_each_half_of_a_dimension_in_turn():
    points = draws(SobolStrategy, PAPER3, 64)
    for name, middle in (("beta1", 0.55), ("beta2", 0.9)):
        assert sum(each[name] < middle for each in points) == 32


@pytest.mark.parametrize("count", [1, 3, 100])
def test_sobol_draws_are_silent(count):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        points = draws(SobolStrategy, PAPER3, count)
    assert len({tuple(each.values()) for each in points}) == count


def test_a_longer_sobol_search_begins_with_the_shorter_one():
    assert draws(SobolStrategy, ADAM, 5) == draws(SobolStrategy, ADAM, 50)[:5]
