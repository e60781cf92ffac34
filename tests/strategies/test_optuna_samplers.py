"""Optuna's samplers: better than chance, silent, and protected from what Optuna trips over."""

import logging
import math
import statistics
import subprocess
import sys
import warnings

import optuna
import pytest

from greenbench.strategies import Dimension, SearchSpace
from greenbench.strategies.optuna import CMAESStrategy, GPStrategy, TPEStrategy
from greenbench.strategies.random import RandomLogStrategy
from greenbench.strategies.spaces import ADAM

ALL = pytest.mark.parametrize("strategy", [TPEStrategy, GPStrategy, CMAESStrategy])
MODELS = pytest.mark.parametrize("strategy", [TPEStrategy, GPStrategy])
RATE = SearchSpace("rate", (Dimension("learning_rate", 1e-5, 1e-1, prior="log"),))
LAYERS = SearchSpace(
    "layers",
    (
        Dimension("layers", 1, 4, type="int", excludes_high=True),
        Dimension("units", 8, 512, prior="log", type="int"),
    ),
)


def score(hyperparameters):
    rate = math.log10(hyperparameters["learning_rate"]) + 2.5
    return 1 - rate**2 / 20 - (hyperparameters["beta1"] - 0.8) ** 2


def run(strategy, score, trials):
    proposals = []
    for _ in range(trials):
        proposals.append(strategy.ask())
        strategy.tell(proposals[-1], score(proposals[-1]))
    return proposals


def regret(factory, seed, trials):
    proposals = run(factory(ADAM, trials=trials, seed=seed), score, trials)
    return 1 - max(map(score, proposals))


@pytest.mark.parametrize(
    ("strategy", "trials", "seeds"),
    [
        (TPEStrategy, 40, 10),
        pytest.param(GPStrategy, 14, 3, marks=pytest.mark.slow),
        (CMAESStrategy, 60, 10),
    ],
)
def test_search_comes_closer_to_the_optimum_than_chance(strategy, trials, seeds):
    by_model = statistics.median(regret(strategy, seed, trials) for seed in range(seeds))
    by_chance = statistics.median(regret(RandomLogStrategy, seed, trials) for seed in range(seeds))
    assert by_model < by_chance / 2


@ALL
@pytest.mark.parametrize("space", [RATE, LAYERS], ids=["one_dimension", "whole_numbers"])
def test_search_is_silent(strategy, space, capfd, caplog):
    with warnings.catch_warnings(), caplog.at_level(logging.DEBUG):
        warnings.simplefilter("error")
        run(strategy(space, trials=6, seed=1), lambda _: 0.5, 6)
    assert capfd.readouterr() == ("", "")
    assert not caplog.records


@ALL
def test_how_loud_optuna_is_elsewhere_is_left_alone(strategy):
    before = (optuna.logging.get_verbosity(), list(warnings.filters))
    run(strategy(RATE, trials=5, seed=1), lambda _: 0.5, 5)
    assert (optuna.logging.get_verbosity(), list(warnings.filters)) == before


@pytest.mark.parametrize(
    ("strategy", "random_trials"), [(TPEStrategy, 3), (GPStrategy, 3), (CMAESStrategy, 1)]
)
def test_first_proposals_are_those_of_random_search_with_the_same_seed(strategy, random_trials):
    ours = run(strategy(ADAM, trials=9, seed=4), score, random_trials + 1)
    theirs = run(RandomLogStrategy(ADAM, trials=9, seed=4), score, random_trials + 1)
    assert ours[:-1] == theirs[:-1]
    assert ours[-1] != theirs[-1]


@MODELS
def test_a_score_told_again_replaces_the_older_one(strategy):
    searches = [strategy(ADAM, trials=9, seed=1) for _ in range(2)]
    told = [run(each, score, 5) for each in searches]
    assert told[0] == told[1]
    for search, scores in zip(searches, ([0.1, 0.99], [0.99, 0.99]), strict=True):
        for each in scores:
            search.tell(told[0][0], each)
    assert searches[0].ask() == searches[1].ask()


def test_cmaes_keeps_the_first_score():
    again, once = (CMAESStrategy(ADAM, trials=20, seed=1) for _ in range(2))
    for _ in range(16):
        proposal = again.ask()
        assert proposal == once.ask()
        for strategy in (again, once):
            strategy.tell(proposal, score(proposal))
        again.tell(proposal, 0.0)


def test_cmaes_moves_on_where_whole_numbers_recur():
    only = SearchSpace("layers", (Dimension("layers", 1, 30, type="int"),))
    proposals = run(CMAESStrategy(only, trials=80, seed=1), lambda p: p["layers"] / 30, 80)
    first, last = (
        statistics.fmean(p["layers"] for p in part) for part in (proposals[:20], proposals[-20:])
    )
    assert last > first + 5


@ALL
def test_a_failure_counts_as_the_worst_score_so_far(strategy):
    def after(*scores):
        told = iter(scores)
        search = strategy(ADAM, trials=9, seed=2)
        run(search, lambda _: next(told), len(scores))
        return run(search, lambda _: 0.5, 8)

    failed = after(0.9, 0.2, None, 0.4)
    assert failed == after(0.9, 0.2, 0.2, 0.4)
    assert failed != after(0.9, 0.2, 0.95, 0.4)


def output_of(program):
    command = [sys.executable, "-c", program]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("package", ["optuna", "cmaes"])
def test_a_missing_package_is_named_with_what_to_install(package):
    program = f"""
import sys
sys.modules[{package!r}] = None
from greenbench import registry
from greenbench.errors import ConfigurationError
registry.strategies.check("tpe")
try:
    registry.strategies.get("tpe")
except ConfigurationError as error:
    print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout == (
        "each of the strategies tpe, gp and cmaes needs the package "
        f"{package!r}, which is not installed; run `pip install 'greenbench[optuna]'`\n"
    )


def test_names_are_listed_without_optuna():
    program = """
import sys
from greenbench import registry
assert {"tpe", "gp", "cmaes", "tpe_warm"} <= set(registry.strategies.names())
registry.strategies.get("bayesian_warm")
print([each for each in ("optuna", "cmaes") if each in sys.modules])
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"
