"""The built-in strategies do what every strategy must do, and what only they do."""

from collections import Counter

import pytest

from greenbench.errors import SearchExhaustedError, SearchSpaceError
from greenbench.registry import strategies
from greenbench.strategies import Dimension, SearchSpace
from greenbench.strategies.base import NUMERIC, TAKE_CATEGORIES
from greenbench.strategies.bayesian import (
    BayesianCostStrategy,
    BayesianPIStrategy,
    BayesianStrategy,
    BayesianWarmStrategy,
)
from greenbench.strategies.bayesian_paper import BayesianPaperStrategy
from greenbench.strategies.default import DefaultStrategy
from greenbench.strategies.grid import GridLogStrategy, GridStrategy
from greenbench.strategies.optuna import CMAESStrategy, GPStrategy, TPEStrategy, TPEWarmStrategy
from greenbench.strategies.random import RandomLogStrategy, RandomStrategy
from greenbench.strategies.sobol import SobolStrategy
from greenbench.strategies.spaces import ADAM, PAPER5
from greenbench.strategies.survey import SurveyStrategy
from greenbench.testing import StrategyConformance
from greenbench.testing.strategies import SPACES

BUILT_IN = strategies.names()


class FewSpaces:
    """For variants of a strategy that searches all spaces here: what differs knows no space."""

    @pytest.fixture(params=[ADAM, SPACES[-1]], ids=lambda space: space.name)
    def space(self, request):
        return request.param


class TestDefault(StrategyConformance):
    strategy = DefaultStrategy
    is_deterministic = True
    integer_space = None
    wide_space = None

    def test_proposal_is_the_published_one(self):
        assert DefaultStrategy(PAPER5, trials=1, seed=0).ask() == {
            "learning_rate": 1e-3,
            "beta1": 0.9,
            "beta2": 0.999,
            "epsilon": 1e-8,
            "weight_decay": 0.0,
        }

    def test_there_is_one_proposal_however_many_trials(self):
        strategy = DefaultStrategy(ADAM, trials=8, seed=0)
        strategy.ask()
        with pytest.raises(SearchExhaustedError, match="one proposal"):
            strategy.ask()

    @pytest.mark.parametrize(
        ("dimension", "message"),
        [
            (Dimension("momentum", 0.0, 1.0), "no published default for 'momentum'"),
            (Dimension("learning_rate", 0.01, 0.1), "0.001 is no legal value"),
            (Dimension("beta1", 0.1, 0.9, excludes_high=True), "0.9 is no legal value"),
            (Dimension("learning_rate", 0, 8, type="int"), "0.001 is no legal value"),
        ],
        ids=["unknown", "below", "excluded", "not_whole"],
    )
    def test_a_space_without_the_published_default_is_refused(self, dimension, message):
        with pytest.raises(SearchSpaceError, match=message):
            DefaultStrategy(SearchSpace("other", (dimension,)), trials=1, seed=0)


class TestGrid(StrategyConformance):
    strategy = GridStrategy


class TestGridLog(StrategyConformance):
    strategy = GridLogStrategy


class TestRandom(StrategyConformance):
    strategy = RandomStrategy

    def test_outermost_whole_numbers_are_drawn_as_often_as_the_others(self):
        space = SearchSpace("layers", (Dimension("layers", 1, 5, type="int", excludes_high=True),))
        strategy = RandomStrategy(space, trials=2000, seed=3)
        draws = Counter(strategy.ask()["layers"] for _ in range(2000))
        assert sorted(draws) == [1, 2, 3, 4]
        assert all(420 < count < 580 for count in draws.values())


class TestRandomLog(StrategyConformance):
    strategy = RandomLogStrategy


class TestSobol(StrategyConformance):
    strategy = SobolStrategy


class TestSurvey(StrategyConformance):
    strategy = SurveyStrategy


class TestBayesian(StrategyConformance):
    strategy = BayesianStrategy


class TestBayesianPI(FewSpaces, StrategyConformance):
    strategy = BayesianPIStrategy


class TestBayesianCost(FewSpaces, StrategyConformance):
    strategy = BayesianCostStrategy


class TestBayesianPaper(StrategyConformance):
    strategy = BayesianPaperStrategy
    categorical_spaces = ()


class TestBayesianWarm(FewSpaces, StrategyConformance):
    strategy = BayesianWarmStrategy
    integer_space = None
    wide_space = None


class TestTPE(StrategyConformance):
    strategy = TPEStrategy


class TestTPEWarm(FewSpaces, StrategyConformance):
    strategy = TPEWarmStrategy
    integer_space = None
    wide_space = None


class TestGP(StrategyConformance):
    strategy = GPStrategy


class TestCMAES(StrategyConformance):
    strategy = CMAESStrategy
    categorical_spaces = ()


def test_advice_names_all_strategies_that_take_choices_and_no_other():
    tested = {
        each.strategy: each.categorical_spaces for each in StrategyConformance.__subclasses__()
    }
    built_in = [name for name in BUILT_IN if strategies.origin(name) is None]
    take = {name for name in built_in if tested[strategies.get(name)]}
    assert take == set(TAKE_CATEGORIES)
    assert set(NUMERIC) == set(built_in) - take


def test_every_registered_strategy_has_its_class_above():
    tested = {each.strategy for each in StrategyConformance.__subclasses__()}
    built_in = {strategies.get(name) for name in BUILT_IN}
    # Tests register strategies of their own in this process.
    assert {each for each in built_in if each.__module__.startswith("greenbench.")} <= tested
