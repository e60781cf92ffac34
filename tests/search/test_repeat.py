"""One repeat of a case from ask to journal, with the real backend, meter and images."""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from greenbench import registry
from greenbench.backends.torch import TorchBackend
from greenbench.cases import Case
from greenbench.energy.carbon import CarbonIntensity
from greenbench.energy.codecarbon import CodecarbonMeter
from greenbench.energy.gpus import training_gpus
from greenbench.energy.guard import GuardedMeter
from greenbench.energy.host import reset_peak_memory
from greenbench.errors import EnergyError
from greenbench.results import CaseResult, Trial, TrialStatus
from greenbench.results.account import Account
from greenbench.results.journal import Journal
from greenbench.results.marks import marks_of
from greenbench.results.readings import Component, Provenance, Reading
from greenbench.results.table import to_row
from greenbench.search.bench import Bench
from greenbench.search.repeat import run_repeat
from greenbench.strategies import Dimension, SearchSpace
from greenbench.testing import FakeClock, FakeMeter
from tests.builders import tick
from tests.made_up_nvml import Card, install

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
    assert 0 < result.account.total.duration_s <= result.wall_s


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


def test_model_of_the_incumbent_is_kept_where_that_is_asked_for(run: Run) -> None:
    kept: list[tuple[object, Path]] = []
    run(keep=lambda model, folder: kept.append((model, folder)))
    ((model, folder),) = kept
    assert isinstance(model, torch.nn.Module)
    assert folder.suffix == ".model"


def test_emissions_are_energy_times_intensity(run: Run) -> None:
    result = run()
    kwh = (result.account.total.energy_j or 0.0) / 3.6e6
    assert result.emissions["g_co2e"] == pytest.approx(kwh * 100.0)


def test_equal_definitions_give_equal_results_and_repeats_differ(run: Run) -> None:
    def outcome(result: CaseResult) -> list[tuple[Mapping[str, float], float | None]]:
        return [(trial.hyperparameters, trial.val_score) for trial in result.trials]

    first, again, other = run(folder="a"), run(folder="b"), run(repeat=1)
    assert outcome(first) == outcome(again)
    assert first.test_score == again.test_score
    assert outcome(first) != outcome(other)


def test_sizes_meet_the_same_split_and_say_so_and_repeats_another(run: Run) -> None:
    one, larger, other = run(), run(replace(CASE, size="s", epochs=1)), run(repeat=1)
    digests = [result.dataset["digest"] for result in (one, larger, other)]
    assert digests[0] == digests[1] != digests[2]
    assert to_row(one)["split_seed"] == CASE.derive_seed(0, "split")
    assert to_row(one)["test_samples"] == one.dataset["test"] > 0
    assert one.split_seed == larger.split_seed != other.split_seed
    assert CaseResult.from_dict(json.loads(json.dumps(one.to_dict()))) == one


def test_what_was_taken_up_after_a_change_has_no_split_that_it_shares(run: Run) -> None:
    assert run(replace(CASE, trials=1, epochs=1), mixed=("code",)).split_seed is None


def test_the_incumbent_has_the_best_validation_accuracy(run: Run) -> None:
    result = run()
    best = max(trial.val_score or 0.0 for trial in result.trials)
    assert result.incumbent is not None
    assert result.incumbent.val_score == best


def test_a_diverging_trial_ends_early_and_is_recorded(run: Run) -> None:
    result = run(replace(CASE, strategy="random", space="explosive", epochs=6, trials=2))
    for trial in result.trials:
        assert trial.status is TrialStatus.DIVERGED
        assert trial.val_score is None
        assert len(trial.epochs) < 6
        assert "not finite" in (trial.error or "")
        assert (trial.account.total.energy_j or 0.0) > 0
    assert result.test_score is None


def test_a_grid_that_runs_out_ends_the_case(run: Run) -> None:
    result = run(replace(CASE, strategy="grid", trials=2))
    assert len(result.trials) == 2


def test_validation_every_epoch_gives_a_learning_curve(run: Run) -> None:
    result = run(replace(CASE, epochs=3, validate_every=1))
    for trial in result.trials:
        assert [epoch.val_score is not None for epoch in trial.epochs] == [True] * 3
        assert trial.val_score == trial.epochs[-1].val_score


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
    assert [t.val_score for t in resumed.trials] == [t.val_score for t in whole.trials]
    assert resumed.test_score == whole.test_score


def steady(power_w: float = 10.0) -> FakeMeter:
    """Return a meter whose every window is read without fail."""
    return FakeMeter(time.perf_counter, power_w)


class FaultyMeter(FakeMeter):
    """Fails once, when it ends the window in which a certain trial trains; leaves it open."""

    def __init__(self, trial: int) -> None:
        super().__init__(time.perf_counter)
        self._trial = trial
        self._windows_left: int | None = None

    def emit(self, event: str, values: Mapping[str, Any]) -> None:
        if event == "trial_started" and values["index"] == self._trial:
            # The one that is open, in which the model is built, and that of its training.
            self._windows_left = 2

    def end_window(self) -> Reading:
        if self._windows_left is not None:
            self._windows_left -= 1
            if self._windows_left == 0:
                raise OSError("the counter\nwent away")
        return super().end_window()


class AbsentMeter(FakeMeter):
    """Can start no window."""

    def begin_window(self) -> None:
        raise EnergyError("nobody answers")


def test_phases_are_reconciled_with_a_window_around_them(run: Run) -> None:
    found = run().reconciliation
    assert found is not None
    assert (found.booked_j or 0.0) > 0
    assert (found.whole_j or 0.0) > 0
    assert found.limit in (0.02, 0.05)


@pytest.mark.parametrize(
    ("control_w", "deviation"), [(10.0, 0.0), (8.0, 0.25), (16.0, 0.375)], ids=str
)
def test_reconciliation_compares_what_two_meters_say(
    run: Run, control_w: float, deviation: float
) -> None:
    clock = FakeClock()
    # Time passes between trials only, so that no edge of a window costs any.
    result = run(
        meter=FakeMeter(clock, 10.0),
        control=FakeMeter(clock, control_w),
        emit=lambda event, values: clock.advance(1.0),
    )
    assert result.reconciliation is not None
    assert result.reconciliation.limit == 0.02
    assert result.reconciliation.deviation == pytest.approx(deviation)
    assert ("unreconciled" in marks_of(result)) == (deviation > 0.02)


def test_further_passes_change_no_outcome_and_are_all_reconciled(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = tick(monkeypatch)
    meters = {"meter": FakeMeter(clock), "control": FakeMeter(clock)}
    plain = run(folder="plain", **meters)
    filled = run(folder="filled", min_window_s=0.2, **meters)

    def outcome(result: CaseResult) -> list[Any]:
        return [(t.hyperparameters, t.epochs, t.samples_seen) for t in result.trials]

    assert outcome(filled) == outcome(plain)
    assert (filled.costs, filled.test_score) == (plain.costs, plain.test_score)
    assert [trial.passes for trial in plain.trials] == [1, 1, 1]
    assert all(trial.passes > 1 for trial in filled.trials)
    assert filled.reconciliation is not None
    # 10 W for at least 0.2 s a trial; of that the account holds one pass.
    booked_j = filled.reconciliation.booked_j or 0.0
    assert booked_j >= 3 * 10.0 * 0.2
    train_j = filled.account.energy_j("train") or 0.0
    rest_j = (filled.account.total.energy_j or 0.0) - train_j
    passes_j = sum((t.account.energy_j("train") or 0.0) * t.passes for t in filled.trials)
    assert booked_j >= (rest_j + passes_j) * (1 - 1e-9)
    assert booked_j > rest_j + train_j


@pytest.mark.parametrize("trial", [0, 1, 2])
def test_meter_that_fails_in_mid_search_costs_no_trial_its_accuracy(run: Run, trial: int) -> None:
    sound = run(folder="sound", meter=steady(), control=steady())
    faulty = FaultyMeter(trial)
    result = run(folder="faulty", meter=GuardedMeter(faulty), control=steady(), emit=faulty.emit)

    def accuracies(result: CaseResult) -> list[float | None]:
        return [trial.val_score for trial in result.trials]

    assert accuracies(result) == accuracies(sound)
    assert None not in accuracies(result)
    assert result.test_score == sound.test_score
    unknown = [each.index for each in result.trials if each.account.total.energy_j is None]
    assert unknown == [trial]
    lost = result.trials[trial].account
    assert lost.total.provenance is Provenance.NONE
    assert "OSError: the counter went away" in (lost.total.components["cpu"].reason or "")
    assert lost.phases["train"].energy_j is None
    assert lost.phases["train"].duration_s > 0
    assert all((lost.energy_j(phase) or 0.0) > 0 for phase in ("other", "search", "evaluate"))


def test_energy_that_was_lost_is_none_with_a_reason_everywhere(run: Run) -> None:
    faulty = FaultyMeter(1)
    result = run(meter=GuardedMeter(faulty), control=steady(), emit=faulty.emit)
    assert result.account.total.energy_j is None
    assert result.emissions["g_co2e"] is None
    assert result.reconciliation is not None
    assert (result.reconciliation.booked_j, result.reconciliation.deviation) == (None, None)
    row = to_row(result)
    unknown = ("energy_wh", "train_wh", "cpu_wh", "net_wh", "emissions_g", "unreconciled_share")
    assert [row[name] for name in unknown] == [None] * len(unknown)
    assert "the counter went away" in row["energy_reason"]
    assert row["energy_provenance"] == row["cpu_provenance"] == "none"
    assert row["evaluate_wh"] > 0


def test_control_meter_that_fails_leaves_a_mark_and_the_energy(run: Run) -> None:
    result = run(meter=steady(), control=GuardedMeter(AbsentMeter(time.perf_counter)))
    assert result.reconciliation is not None
    assert result.reconciliation.whole_j is None
    assert "unreconciled" in marks_of(result)
    assert (result.account.total.energy_j or 0.0) > 0


def test_control_window_ends_also_when_a_repeat_breaks_off(run: Run) -> None:
    meter, control = steady(), steady()

    def interrupt(event: str, values: Mapping[str, Any]) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(meter=meter, control=control, emit=interrupt)
    for each in (meter, control):
        with pytest.raises(EnergyError, match="no window is open"):
            each.end_window()


def test_cpu_seconds_are_told_apart(run: Run) -> None:
    result = run()
    total, train = result.account.total, result.account.phases["train"]
    assert total.cpu_s is not None
    assert train.cpu_s is not None
    assert 0 < train.cpu_s < total.cpu_s
    assert total.other_cpu_s is not None
    assert total.other_cpu_s >= 0
    assert to_row(result)["other_cpu_share"] is not None


def test_peak_memory_is_recorded_where_the_system_tells(run: Run) -> None:
    if not reset_peak_memory():
        pytest.skip("this system does not forget the peak of a process's memory")
    # Python and torch alone take more.
    assert (run().peak_memory_bytes or 0) > 20 * 2**20


def test_idle_power_goes_with_the_result_and_makes_net_energy(run: Run) -> None:
    result = run(meter=steady(10.0), control=steady(), idle_w={"cpu": 4.0})
    assert result.idle_w == {"cpu": 4.0}
    row = to_row(result)
    assert row["idle_w"] == 4.0
    assert row["net_wh"] == pytest.approx(row["energy_wh"] * 0.6)


def test_resumed_repeat_reconciles_only_the_last_sitting(run: Run, tmp_path: Path) -> None:
    meters = {"meter": steady(), "control": steady()}
    whole = run(folder="whole", **meters)
    # An hour before the interruption; the trial is no incumbent, which would need a checkpoint.
    before = Account({"train": Reading(3600.0, {"cpu": Component(9e6, Provenance.COUNTER, "x")})})
    first: Trial = replace(whole.trials[0], val_score=0.0, account=before)
    journal = Journal.of(tmp_path, CASE, 0)
    journal.start(1.0)
    journal.add_trial(first)

    resumed = run(**meters)

    assert resumed.trials[0] == first
    assert [t.hyperparameters for t in resumed.trials] == [t.hyperparameters for t in whole.trials]
    assert (resumed.account.total.energy_j or 0.0) > 9e6
    assert resumed.wall_s > 3600.0
    assert resumed.reconciliation is not None
    assert 0 < (resumed.reconciliation.booked_j or 0.0) < 9e6
    assert 0 < (resumed.reconciliation.whole_j or 0.0) < 9e6
    assert journal.read().result == resumed


def test_cards_that_train_are_looked_at_before_and_after(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    card = Card("GPU-a", temperature=33)
    install(monkeypatch, card)
    gpus = training_gpus({})

    def warm(event: str, values: Mapping[str, Any]) -> None:
        card.temperature = 58

    [found] = run(gpus=gpus, emit=warm).gpus
    assert (found.gpu, found.before.temperature_c, found.after.temperature_c) == (gpus[0], 33, 58)
    assert run(repeat=1).gpus == ()
