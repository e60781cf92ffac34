"""One repeat of a case from ask to journal, with the real backend, meter and images."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from greenbench import registry
from greenbench.backends.torch import TorchBackend
from greenbench.cases import Case
from greenbench.energy.carbon import CarbonIntensity
from greenbench.energy.codecarbon import CodecarbonMeter
from greenbench.journal import Journal
from greenbench.results import CaseResult, TrialStatus
from greenbench.runner import Bench, run_repeat
from greenbench.strategies import Dimension, SearchSpace

CASE = Case("random", "dense", size="xs", trials=3, epochs=2)

Run = Callable[..., CaseResult]

registry.register_space("explosive")(
    SearchSpace("explosive", (Dimension("learning_rate", 1e37, 1e38, prior="log"),))
)


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return Bench(
        backend=TorchBackend("torch", threads=1),
        meter=CodecarbonMeter(),
        control=CodecarbonMeter(),
        intensity=CarbonIntensity(100.0, "a test"),
        environment={"host": "here"},
        data_dir=tmp_path_factory.mktemp("data"),
        emit=lambda event, values: None,
    )


@pytest.fixture
def run(bench: Bench, tmp_path: Path) -> Run:
    def run(case: Case = CASE, repeat: int = 0, folder: str = ".", **changes: Any) -> CaseResult:
        (tmp_path / folder).mkdir(exist_ok=True)
        journal = Journal.of(tmp_path / folder, case, repeat)
        return run_repeat(replace(bench, **changes), case, repeat, "tests", journal)

    return run


def test_phases_sum_to_the_total_and_cover_the_wall_time(run: Run) -> None:
    result = run()
    phases = result.account.phases
    assert {"train", "evaluate", "search", "other"} <= set(phases)
    total = sum(reading.energy_j or 0.0 for reading in phases.values())
    assert result.account.total.energy_j == pytest.approx(total)
    # Windows follow one another; only their edges, a few ms each, lie between them.
    assert 0.4 * result.wall_s < result.account.total.duration_s <= result.wall_s


def test_every_trial_has_its_own_energy_within_the_total(run: Run) -> None:
    result = run()
    spent = [trial.account.total.energy_j for trial in result.trials]
    assert all(joules is not None and joules > 0 for joules in spent)
    assert sum(j for j in spent if j) <= (result.account.total.energy_j or 0.0)


def test_costs_are_exact(run: Run) -> None:
    costs = run().costs
    samples_an_epoch = 1294 // 64 * 64
    assert (costs.trials, costs.epochs) == (3, 6)
    assert costs.samples_seen == 6 * samples_an_epoch
    assert costs.train_flops == costs.samples_seen * costs.train_flops_per_sample


def test_emissions_are_energy_times_intensity(run: Run) -> None:
    result = run()
    kwh = (result.account.total.energy_j or 0.0) / 3.6e6
    assert result.emissions["g_co2e"] == pytest.approx(kwh * 100.0)


def test_equal_definitions_give_equal_results_and_repeats_differ(run: Run) -> None:
    def outcome(result: CaseResult) -> list[tuple[Mapping[str, float], float | None]]:
        return [(trial.hyperparameters, trial.val_accuracy) for trial in result.trials]

    first, again, other = run(folder="a"), run(folder="b"), run(repeat=1)
    assert outcome(first) == outcome(again)
    assert first.test_accuracy == again.test_accuracy
    assert outcome(first) != outcome(other)


def test_the_incumbent_has_the_best_validation_accuracy(run: Run) -> None:
    result = run()
    best = max(trial.val_accuracy or 0.0 for trial in result.trials)
    assert result.incumbent is not None
    assert result.incumbent.val_accuracy == best


def test_a_diverging_trial_ends_early_and_is_recorded(run: Run) -> None:
    result = run(replace(CASE, strategy="random", space="explosive", epochs=6, trials=2))
    for trial in result.trials:
        assert trial.status is TrialStatus.DIVERGED
        assert trial.val_accuracy is None
        assert len(trial.epochs) < 6
        assert "not finite" in (trial.error or "")
        assert (trial.account.total.energy_j or 0.0) > 0
    assert result.test_accuracy is None


def test_a_grid_that_runs_out_ends_the_case(run: Run) -> None:
    result = run(replace(CASE, strategy="grid", trials=2))
    assert len(result.trials) == 2


def test_validation_every_epoch_gives_a_learning_curve(run: Run) -> None:
    result = run(replace(CASE, epochs=3, validate_every=1))
    for trial in result.trials:
        assert [epoch.val_accuracy is not None for epoch in trial.epochs] == [True] * 3
        assert trial.val_accuracy == trial.epochs[-1].val_accuracy


def test_finished_trials_in_the_journal_are_not_run_again(
    run: Run, bench: Bench, tmp_path: Path
) -> None:
    whole = run(folder="whole")
    journal = Journal.of(tmp_path, CASE, 0)
    journal.start(1.0)
    journal.add_trial(whole.trials[0])
    started = []
    if whole.incumbent is whole.trials[0]:
        pytest.skip("the incumbent would need its checkpoint")

    def emit(event: str, values: Mapping[str, Any]) -> None:
        if event == "trial_started":
            started.append(values["index"])

    resumed = run(emit=emit)

    assert started == [1, 2]
    assert resumed.interruptions == 1
    assert [t.val_accuracy for t in resumed.trials] == [t.val_accuracy for t in whole.trials]
    assert resumed.test_accuracy == whole.test_accuracy
