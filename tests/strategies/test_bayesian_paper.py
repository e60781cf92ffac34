"""The paper's Bayesian search: a kernel held fixed, raw inputs, candidates drawn evenly."""

import statistics
import warnings

from greenbench.strategies import Dimension, SearchSpace
from greenbench.strategies.bayesian_paper import BayesianPaperStrategy
from greenbench.strategies.random import RandomStrategy
from greenbench.strategies.spaces import ADAM, PAPER3

LINE = SearchSpace("line", (Dimension("x", -5.0, 5.0),))


def run(strategy, score, trials):
    proposals = []
    for _ in range(trials):
        proposals.append(strategy.ask())
        strategy.tell(proposals[-1], score(proposals[-1]))
    return proposals


def test_first_proposal_is_that_of_random_search_and_the_second_is_not():
    paper, chance = (
        each(PAPER3, trials=9, seed=3) for each in (BayesianPaperStrategy, RandomStrategy)
    )
    ours, theirs = run(paper, lambda _: 0.5, 2), run(chance, lambda _: 0.5, 2)
    assert ours[0] == theirs[0]
    assert ours[1] != theirs[1]


def test_the_priors_of_a_space_have_no_influence():
    searches = [
        run(BayesianPaperStrategy(space, trials=6, seed=1), lambda p: p["beta1"], 6)
        for space in (ADAM, PAPER3)
    ]
    assert searches[0] == searches[1]
    assert statistics.median(each["learning_rate"] for each in searches[0]) > 0.01


def test_it_closes_in_on_an_optimum_as_wide_as_its_kernel():
    for seed in range(3):
        strategy = BayesianPaperStrategy(LINE, trials=30, seed=seed)
        proposals = run(strategy, lambda p: 1 / (1 + (p["x"] - 1) ** 2), 30)
        assert min(abs(each["x"] - 1) for each in proposals) < 0.3


def test_a_score_told_again_replaces_the_older_one():
    again, once = (BayesianPaperStrategy(LINE, trials=9, seed=1) for _ in range(2))
    for strategy, scores in ((again, (0.1, 0.9)), (once, (0.9,))):
        strategy.tell({"x": 0.0}, 0.5)
        for score in scores:
            strategy.tell({"x": 2.0}, score)
    assert again.ask() == once.ask()


def test_many_equal_points_neither_break_it_nor_warn():
    strategy = BayesianPaperStrategy(PAPER3, trials=200, seed=1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for step in range(150):
            point = {"learning_rate": 1e-3 + 1e-12 * step, "beta1": 0.9, "beta2": 0.999}
            strategy.tell(point, 0.5 + 0.001 * (step % 2))
        assert strategy.ask()["beta1"] != 0.9
