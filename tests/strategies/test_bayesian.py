"""Bayesian search: better than chance, and protected from scikit-optimize's traps."""

import math
import statistics
import warnings

import numpy as np
import pytest
from threadpoolctl import threadpool_info

from greenbench.errors import SearchSpaceError
from greenbench.strategies import Dimension, SearchSpace, bayesian
from greenbench.strategies.bayesian import (
    BayesianCostStrategy,
    BayesianPIStrategy,
    BayesianStrategy,
)
from greenbench.strategies.random import RandomLogStrategy
from greenbench.strategies.spaces import ADAM

ONE_RATE = SearchSpace("rate", (Dimension("learning_rate", 1e-5, 1e-1, prior="log"),))
THREE_LAYERS = SearchSpace("layers", (Dimension("layers", 1, 3, type="int"),))


def quadratic(hyperparameters):
    """Return 1 at the optimum, less by the mean squared distance on the priors' scales."""
    rate = (math.log10(hyperparameters["learning_rate"]) + 5) / 4
    beta1 = (hyperparameters["beta1"] - 0.1) / 0.9
    beta2 = (hyperparameters["beta2"] - 0.8) / 0.2
    return 1 - ((rate - 0.6) ** 2 + (beta1 - 0.8) ** 2 + (beta2 - 0.7) ** 2) / 3


def run(strategy, score, trials):
    proposals = []
    for _ in range(trials):
        proposals.append(strategy.ask())
        strategy.tell(proposals[-1], score(proposals[-1]))
    return proposals


def regret(factory, seed, trials=15):
    proposals = run(factory(ADAM, trials=trials, seed=seed), quadratic, trials)
    return 1 - max(map(quadratic, proposals))


def after(scores, seed=5):
    """Return the next proposal after a search that was told `scores`."""
    told = iter(scores)
    strategy = BayesianStrategy(ONE_RATE, trials=9, seed=seed)
    run(strategy, lambda _: next(told), len(scores))
    return strategy.ask()


@pytest.mark.parametrize(
    "strategy",
    [
        BayesianStrategy,
        pytest.param(BayesianPIStrategy, marks=pytest.mark.slow),
        pytest.param(BayesianCostStrategy, marks=pytest.mark.slow),
    ],
)
def test_search_comes_much_closer_to_the_optimum_than_chance(strategy):
    seeds = range(5)
    by_model = statistics.median(regret(strategy, seed) for seed in seeds)
    by_chance = statistics.median(regret(RandomLogStrategy, seed) for seed in seeds)
    assert by_model < by_chance / 4


def test_scores_are_maximised():
    proposals = run(
        BayesianStrategy(ONE_RATE, trials=9, seed=1), lambda p: p["learning_rate"] * 10, 9
    )
    assert max(p["learning_rate"] for p in proposals) > 0.09


def test_an_open_upper_bound_is_approached_and_never_reached():
    score = lambda p: (p["beta1"] + p["beta2"]) / 2  # noqa: E731
    proposals = run(BayesianStrategy(ADAM, trials=12, seed=2), score, 12)
    assert 0.99 < max(p["beta1"] for p in proposals) < 1.0
    assert 0.99 < max(p["beta2"] for p in proposals) < 1.0


def test_first_proposals_follow_the_log_prior():
    strategy = BayesianStrategy(ONE_RATE, trials=9, seed=1)
    draws = [strategy.ask()["learning_rate"] for _ in range(400)]
    assert 1e-3 / 2 < statistics.median(draws) < 1e-3 * 2


@pytest.mark.parametrize("trials", [1, 2, 8, 40])
def test_the_model_takes_over_after_a_third_of_the_trials(trials):
    strategy = BayesianStrategy(ONE_RATE, trials=trials, seed=1)
    random_trials = min(10, max(3, trials // 3))
    for told in range(random_trials):
        # A model always proposes the same point until it is told more; chance does not.
        assert strategy.ask() != strategy.ask(), f"after {told} scores"
        strategy.tell(strategy.ask(), 0.5)
    assert strategy.ask() == strategy.ask()


@pytest.mark.parametrize("failure", [math.nan, math.inf, -math.inf])
def test_a_score_that_is_not_finite_is_a_failure(failure):
    assert after([0.9, 0.2, failure, 0.4]) == after([0.9, 0.2, None, 0.4])


def test_a_failure_counts_as_the_worst_score_so_far():
    assert after([0.9, 0.2, None, 0.4]) == after([0.9, 0.2, 0.2, 0.4])
    assert after([0.9, 0.2, None, 0.4]) != after([0.9, 0.2, 0.9, 0.4])


def test_a_failure_counts_as_the_worst_score_told_later_too():
    assert after([None, 0.2, 0.7, 0.4]) == after([0.2, 0.2, 0.7, 0.4])


def test_a_search_of_failures_alone_goes_on():
    assert after([None, None, None]) == after([0.0, 0.0, 0.0])


def test_first_proposals_are_those_of_random_search_with_the_same_seed():
    first = [factory(ADAM, trials=30, seed=4) for factory in (BayesianStrategy, RandomLogStrategy)]
    assert run(first[0], quadratic, 10) == run(first[1], quadratic, 10)


def test_a_score_told_again_replaces_the_older_one():
    strategies = [BayesianStrategy(ADAM, trials=12, seed=3) for _ in range(2)]
    again, once = (run(each, quadratic, 6) for each in strategies)
    assert again == once
    # As many scores are told to both; with the seed they decide the random candidates.
    for strategy, scores in zip(strategies, ([0.1, 0.95], [0.95, 0.95]), strict=True):
        for score in scores:
            strategy.tell(again[0], score)
    assert strategies[0].ask() == strategies[1].ask()
    strategies[0].tell(again[0], 0.1)
    strategies[1].tell(again[0], 0.95)
    assert strategies[0].ask() != strategies[1].ask()


def costly_search(energy_j, trials=14, seed=2):
    """Return the proposals where the score falls and the energy rises with beta1."""
    strategy = BayesianCostStrategy(ADAM, trials=trials, seed=seed)
    proposals = []
    for _ in range(trials):
        proposals.append(strategy.ask())
        strategy.tell_energy(proposals[-1], energy_j(proposals[-1]))
        strategy.tell(proposals[-1], quadratic(proposals[-1]))
    return proposals


@pytest.fixture(scope="module")
def by_improvement():
    return run(BayesianStrategy(ADAM, trials=14, seed=2), quadratic, 14)


@pytest.mark.parametrize("energy_j", [5.0, None, 0.0, math.nan, math.inf, -1.0])
def test_equal_or_unknown_costs_leave_the_search_by_expected_improvement(energy_j, by_improvement):
    assert costly_search(lambda _: energy_j) == by_improvement


def test_costs_that_differ_by_a_hair_change_the_proposals_by_little(by_improvement):
    nearly = costly_search(lambda p: 5.0 * (1 + 1e-9 * p["beta1"]), seed=2)[10]
    assert math.log10(nearly["learning_rate"]) == pytest.approx(
        math.log10(by_improvement[10]["learning_rate"]), abs=1.5
    )


@pytest.mark.slow
def test_cheap_regions_are_searched_more_where_costs_differ():
    def mean_beta(energy_j):
        return statistics.fmean(
            each["beta1"] for seed in range(2) for each in costly_search(energy_j, seed=seed)[5:]
        )

    dear_at_high_beta = mean_beta(lambda p: 100.0 ** p["beta1"])
    cheap_at_high_beta = mean_beta(lambda p: 100.0 ** -p["beta1"])
    assert dear_at_high_beta < cheap_at_high_beta


def test_the_unit_of_energy_does_not_matter():
    def first(unit):
        return costly_search(lambda p: unit * (1 + p["beta2"]))[:8]

    in_joules = [pytest.approx(each, rel=1e-3) for each in first(1)]
    assert first(1e-6) == in_joules
    assert first(1e6) == in_joules


def test_an_unknown_energy_counts_as_the_median_of_the_others():
    def told(energies_j):
        energies = iter(energies_j)
        return costly_search(lambda _: next(energies), trials=6)

    assert told([1, 9, None, 5, 5, 5]) == told([1, 9, 5, 5, 5, 5])
    assert told([1, 9, None, 5, 5, 5]) != told([1, 9, 9, 5, 5, 5])


def test_numpy_scalars_are_taken_for_plain_numbers():
    plain, numpy = (BayesianStrategy(ADAM, trials=9, seed=1) for _ in range(2))
    for _ in range(4):
        proposal = plain.ask()
        assert numpy.ask() == proposal
        plain.tell(proposal, 0.5)
        scalars = {name: np.float64(value) for name, value in proposal.items()}
        numpy.tell(scalars, np.float64(0.5))
    assert plain.ask() == numpy.ask()


def test_equal_scores_do_not_stop_the_search():
    assert len(run(BayesianStrategy(ADAM, trials=6, seed=1), lambda _: 0.1, 6)) == 6


def test_more_trials_than_values_neither_end_nor_warn():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        proposals = run(BayesianStrategy(THREE_LAYERS, trials=8, seed=1), lambda _: 0.5, 8)
    assert {p["layers"] for p in proposals} == {1, 2, 3}


def test_warnings_of_others_are_not_silenced():
    before = list(warnings.filters)
    run(BayesianStrategy(THREE_LAYERS, trials=5, seed=1), lambda _: 0.5, 5)
    assert list(warnings.filters) == before


def test_threads_of_others_are_not_limited():
    before = [pool["num_threads"] for pool in threadpool_info()]
    run(BayesianStrategy(ONE_RATE, trials=5, seed=1), lambda _: 0.5, 5)
    assert [pool["num_threads"] for pool in threadpool_info()] == before


@pytest.fixture
def fits(monkeypatch):
    """BLAS threads of each fit."""
    threads = []

    class WatchedOptimizer(bayesian.Optimizer):
        def tell(self, *args):
            pools = [pool for pool in threadpool_info() if pool["user_api"] == "blas"]
            threads.append(max(pool["num_threads"] for pool in pools))
            return super().tell(*args)

    monkeypatch.setattr(bayesian, "Optimizer", WatchedOptimizer)
    return threads


def test_scores_are_fitted_only_where_a_proposal_needs_them(fits):
    run(BayesianStrategy(ONE_RATE, trials=5, seed=1), lambda _: 0.5, 5)
    assert len(fits) == 2


def test_fits_use_one_blas_thread(fits):
    run(BayesianStrategy(ONE_RATE, trials=5, seed=1), lambda _: 0.5, 5)
    assert set(fits) == {1}


@pytest.mark.parametrize("prior", ["uniform", "log"])
def test_whole_numbers_reach_their_bounds_but_not_an_excluded_one(prior):
    layers = Dimension("layers", 1, 9, prior=prior, type="int", excludes_high=True)
    strategy = BayesianStrategy(SearchSpace("layers", (layers,)), trials=9, seed=1)
    draws = {strategy.ask()["layers"] for _ in range(300)}
    assert draws == set(range(1, 9))


def test_a_dimension_with_a_single_value_is_refused():
    only = Dimension("layers", 1, 2, type="int", excludes_high=True)
    with pytest.raises(SearchSpaceError, match="'layers' has the single legal value 1"):
        BayesianStrategy(SearchSpace("one", (only,)), trials=3, seed=0)
