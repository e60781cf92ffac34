"""Warm start: the published defaults first, and what they scored is not forgotten."""

import pytest

from greenbench.errors import SearchSpaceError
from greenbench.strategies import Dimension, SearchSpace
from greenbench.strategies.bayesian import BayesianStrategy, BayesianWarmStrategy
from greenbench.strategies.optuna import TPEStrategy, TPEWarmStrategy
from greenbench.strategies.spaces import ADAM

DEFAULTS = {"learning_rate": 1e-3, "beta1": 0.9, "beta2": 0.999}
PAIRS = pytest.mark.parametrize(
    ("warm", "cold"), [(BayesianWarmStrategy, BayesianStrategy), (TPEWarmStrategy, TPEStrategy)]
)


def run(strategy, trials):
    proposals = []
    for _ in range(trials):
        proposals.append(strategy.ask())
        strategy.tell(proposals[-1], proposals[-1]["beta1"])
    return proposals


@PAIRS
def test_the_defaults_come_first_and_once(warm, cold):
    proposals = run(warm(ADAM, trials=9, seed=1), 5)
    assert proposals[0] == DEFAULTS
    assert DEFAULTS not in proposals[1:]


@PAIRS
def test_the_rest_is_the_other_strategy_told_of_the_defaults(warm, cold):
    told = cold(ADAM, trials=9, seed=1)
    told.tell(DEFAULTS, 0.9)
    assert run(warm(ADAM, trials=9, seed=1), 6)[1:] == run(told, 5)


@PAIRS
@pytest.mark.parametrize(
    ("dimension", "message"),
    [
        (Dimension("momentum", 0.0, 1.0), "no published default for 'momentum'"),
        (Dimension("learning_rate", 0.01, 0.1), "0.001 is no legal value"),
    ],
)
def test_a_space_without_the_published_defaults_is_refused(warm, cold, dimension, message):
    with pytest.raises(SearchSpaceError, match=message):
        warm(SearchSpace("other", (dimension,)), trials=3, seed=0)
