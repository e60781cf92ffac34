"""Searches whose trials differ in their network, data, batches and epochs, with real training."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from greenbench import register_architecture, register_dataset, register_space
from greenbench.architectures import Flatten, Linear, Spec, build_architecture
from greenbench.backends.torch import TorchBackend
from greenbench.cases import Case
from greenbench.datasets import Dataset, LoadContext
from greenbench.datasets.synthetic import load_synthetic
from greenbench.energy.carbon import CarbonIntensity
from greenbench.errors import ConfigurationError, SearchSpaceError
from greenbench.results import CaseResult, TrialStatus
from greenbench.results.journal import Journal
from greenbench.search.batch_training import obstacle_to_batching
from greenbench.search.bench import Bench
from greenbench.search.repeat import run_repeat
from greenbench.strategies import Categorical, Dimension, SearchSpace
from greenbench.testing import FakeClock, FakeMeter

RATE = Dimension("learning_rate", 1e-4, 1e-2, prior="log")
SIDE = Dimension("side", 6, 8, type="int")
LAYERS = Dimension("linear_layers", 1, 3, type="int")


def space(name: str, *dimensions: Any) -> str:
    register_space(name)(SearchSpace(name, (RATE, *dimensions)))
    return name


NETWORKS = space("varied_networks", LAYERS, Categorical("batch_size", (32, 64, 128)))
DATA = space("varied_data", SIDE)
EPOCHS = space("varied_epochs", Dimension("epochs", 1, 3, type="int"))
SAMPLES = space("varied_samples", Dimension("samples", 200, 300, type="int"))
TOO_DEEP = space("varied_too_deep", Dimension("linear_layers", 0, 2, type="int"))
PICKY = space("varied_picky", Dimension("first", 0, 1, type="int"), Categorical("second", (0, 1)))
CASE = Case(
    "random", "dense", dataset="synthetic", space=NETWORKS, trials=4, epochs=2, reevaluate=1
)


@register_architecture("picky_net")
def picky_net(image_shape: Any, classes: int, first: int = 0, second: int = 0) -> Spec:
    """Build unless both options are 1."""
    return Spec("picky_net", image_shape, [Flatten(), Linear(1 - first * second), Linear(classes)])


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    clock = FakeClock()
    return Bench(
        backend=TorchBackend("torch", threads=1),
        meter=FakeMeter(clock, power_w=10.0),
        control=FakeMeter(clock, power_w=10.0),
        intensity=CarbonIntensity(100.0, "a test"),
        environment={"host": "here"},
        data_dir=tmp_path,
        emit=lambda event, values: clock.advance(1.0),
    )


def run(bench: Bench, case: Case) -> CaseResult:
    return run_repeat(bench, case, 0, "tests", Journal.of(bench.data_dir, case, 0))


def test_costs_are_those_of_each_trials_own_network(bench: Bench) -> None:
    result = run(bench, CASE)
    specs = {}
    for trial in result.trials:
        layers = trial.hyperparameters["linear_layers"]
        specs[trial.index] = build_architecture(
            "dense", (1, 16, 16), 10, options={"linear_layers": layers}
        )
        size = int(trial.hyperparameters["batch_size"])
        assert trial.samples_seen == 2 * (result.dataset["train"] // size * size)
    assert len({spec.parameters for spec in specs.values()}) > 1
    assert result.costs.train_flops == sum(
        specs[trial.index].train_flops * trial.samples_seen for trial in result.trials
    )
    assert result.incumbent is not None
    assert result.costs.parameters == specs[result.incumbent.index].parameters
    assert result.costs.networks == len({spec.parameters for spec in specs.values()})
    assert run(bench, replace(CASE, space="rate")).costs.networks is None


def test_search_that_was_cut_off_goes_on_with_the_networks_it_would_have_had(bench: Bench) -> None:
    whole = run(bench, CASE)
    journal = Journal.of(bench.data_dir, CASE, 0)
    lines = journal.path.read_text(encoding="utf-8").splitlines(keepends=True)
    journal.path.write_text("".join(lines[:3]), encoding="utf-8")
    again = run(bench, CASE)
    assert again.interruptions == 1
    found = [
        [(trial.hyperparameters, trial.val_score, trial.samples_seen) for trial in result.trials]
        for result in (whole, again)
    ]
    assert found[0] == found[1]
    assert again.test_score == whole.test_score


def test_data_of_each_trial_are_those_it_names(bench: Bench) -> None:
    result = run(bench, replace(CASE, space=DATA))
    sides = {trial.hyperparameters["side"] for trial in result.trials}
    assert len(sides) > 1
    assert {trial.status for trial in result.trials} == {TrialStatus.COMPLETED}
    # Results say of the case's own data what they said before.
    assert result.dataset["shape"] == [1, 16, 16]


def test_trial_is_as_long_as_it_says(bench: Bench) -> None:
    result = run(bench, replace(CASE, space=EPOCHS, epochs=2))
    lengths = {len(trial.epochs) for trial in result.trials}
    assert len(lengths) > 1
    for trial in result.trials:
        assert len(trial.epochs) == trial.hyperparameters["epochs"]
        assert trial.status is TrialStatus.COMPLETED


def test_values_that_cannot_be_had_are_refused_before_anything_is_trained(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(TorchBackend, "build", lambda *_: pytest.fail("something was built"))
    with pytest.raises(SearchSpaceError, match="'linear_layers', whose value 0 cannot be had"):
        run(bench, replace(CASE, space=TOO_DEEP))
    with pytest.raises(SearchSpaceError, match="another train split"):
        run(bench, replace(CASE, space=SAMPLES))


def test_network_that_only_one_trial_cannot_have_fails_that_trial(bench: Bench) -> None:
    case = replace(CASE, architecture="picky_net", strategy="grid", space=PICKY, trials=12)
    result = run(bench, replace(case, epochs=1, reevaluate=0))
    for trial in result.trials:
        impossible = trial.hyperparameters["first"] == trial.hyperparameters["second"] == 1
        assert (trial.status is TrialStatus.FAILED) == impossible
    assert any(trial.status is TrialStatus.FAILED for trial in result.trials)


def test_default_has_the_functions_own_defaults(bench: Bench) -> None:
    (trial,) = run(bench, replace(CASE, strategy="default", reevaluate=0)).trials
    assert trial.hyperparameters == {"learning_rate": 1e-3, "linear_layers": 3, "batch_size": 64}
    alone = replace(CASE, strategy="default", space="rate", reevaluate=0)
    (plain,) = run(bench, alone).trials
    assert (trial.val_score, trial.epochs) == (plain.val_score, plain.epochs)


@register_dataset("resplit")
def load_resplit(context: LoadContext, side: int = 8) -> Dataset:
    """Split anew for each side."""
    return load_synthetic(replace(context, seed=context.seed + side), samples=200, side=side)


def test_trials_that_would_be_judged_by_other_samples_are_refused(bench: Bench) -> None:
    with pytest.raises(SearchSpaceError, match="has another validation split"):
        run(bench, replace(CASE, dataset="resplit", space=DATA))


def test_trials_that_differ_in_more_than_the_optimiser_are_not_batched(bench: Bench) -> None:
    why, advice = obstacle_to_batching(replace(CASE, batched_trials=2), bench.backend) or ("", "")
    assert "varies linear_layers, batch_size, which trials of a batch share" in why
    assert "optimiser" in advice
    with pytest.raises(ConfigurationError, match="varies linear_layers"):
        run(bench, replace(CASE, batched_trials=2))
