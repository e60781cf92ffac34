"""Searches whose trials pause, go on and are re-evaluated, with real training."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from itertools import pairwise
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest

from greenbench import registry
from greenbench.backends.torch import TorchBackend
from greenbench.cases import Case
from greenbench.energy.carbon import CarbonIntensity
from greenbench.errors import GreenbenchError
from greenbench.results import CaseResult, Trial, TrialStatus
from greenbench.results.account import Account
from greenbench.results.journal import Journal
from greenbench.search.bench import Bench
from greenbench.search.repeat import run_repeat
from greenbench.search.search import NEW_SEEDS
from greenbench.strategies import Dimension, SearchSpace
from greenbench.strategies.random import RandomStrategy
from greenbench.strategies.spaces import Hyperparameters
from greenbench.testing import FakeClock, FakeMeter

CASE = Case("random+asha", "dense", size="xs", trials=9, epochs=16, batch_size=256)
AGAIN = Case("random", "dense", size="xs", trials=4, epochs=2, batch_size=256, reevaluate=2)
SAMPLES = 1294 // 256 * 256

Run = Callable[..., CaseResult]
Whole = Callable[[Case], CaseResult]


class RecordingStrategy(RandomStrategy):
    """A random search that remembers what it is told."""

    told: list[tuple[Hyperparameters, float | None, float | None]]

    def __init__(self, space: SearchSpace, *, trials: int, seed: int) -> None:
        super().__init__(space, trials=trials, seed=seed)
        type(self).told = []

    def tell_energy(self, hyperparameters: Hyperparameters, energy_j: float | None) -> None:
        self._energy_j = energy_j

    def tell(self, hyperparameters: Hyperparameters, score: float | None) -> None:
        self.told.append((hyperparameters, score, self._energy_j))


registry.register_strategy("recording")(RecordingStrategy)
registry.register_space("volatile")(
    SearchSpace("volatile", (Dimension("learning_rate", 1e-3, 1e38, prior="log"),))
)


class StopError(GreenbenchError):
    """Ends a search as a killed process would."""


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    clock = FakeClock()

    def emit(event: str, values: Any) -> None:
        clock.advance(1.0)

    return Bench(
        backend=TorchBackend("torch", threads=1),
        meter=FakeMeter(clock, power_w=10.0),
        control=FakeMeter(clock, power_w=10.0),
        intensity=CarbonIntensity(100.0, "a test"),
        environment={"host": "here"},
        data_dir=tmp_path_factory.mktemp("data"),
        emit=emit,
    )


@pytest.fixture
def run(bench: Bench, tmp_path: Path) -> Run:
    def run(case: Case = CASE, stop_after: int | None = None) -> CaseResult:
        ended = 0

        def emit(event: str, values: Any) -> None:
            nonlocal ended
            bench.emit(event, values)
            ended += event == "trial_finished"
            if event == "trial_finished" and ended == stop_after:
                raise StopError("stopped")

        journal = Journal.of(tmp_path, case, 0)
        return run_repeat(replace(bench, emit=emit), case, 0, "tests", journal)

    return run


@pytest.fixture(scope="module")
def whole(bench: Bench, tmp_path_factory: pytest.TempPathFactory) -> Whole:
    """Return the result of a search that nobody interrupts, which is made once a module."""

    @cache
    def run(case: Case) -> CaseResult:
        journal = Journal.of(tmp_path_factory.mktemp("whole"), case, 0)
        return run_repeat(bench, case, 0, "tests", journal)

    return run


def losses(trial: Trial) -> list[float | None]:
    return [epoch.train_loss for epoch in trial.epochs]


def by_status(trials: Sequence[Trial], status: TrialStatus) -> list[Trial]:
    return [trial for trial in trials if trial.status is status]


def test_scheduled_trials_are_those_of_the_whole_search_as_far_as_they_go(whole: Whole) -> None:
    scheduled, unscheduled = whole(CASE), whole(replace(CASE, strategy="random"))
    for part, full in zip(scheduled.trials, unscheduled.trials, strict=True):
        assert part.hyperparameters == full.hyperparameters
        assert losses(part) == losses(full)[: len(part.epochs)]
    assert {len(trial.epochs) for trial in scheduled.trials} == {1, 4, 16}


def test_epochs_are_trained_once_and_most_are_spared(whole: Whole) -> None:
    result = whole(CASE)
    assert result.costs.epochs == sum(len(trial.epochs) for trial in result.trials)
    assert result.costs.samples_seen == result.costs.epochs * SAMPLES
    assert result.costs.epochs < 9 * 16 / 2


def test_segments_follow_one_another_and_sum_to_the_trial(whole: Whole) -> None:
    result = whole(CASE)
    segments = [segment for trial in result.trials for segment in trial.segments]
    assert sorted(segment.position for segment in segments) == list(range(len(segments)))
    for trial in result.trials:
        assert trial.account == sum((each.account for each in trial.segments), Account())
        assert [each.epochs for each in trial.segments] == [1, 4, 16][: len(trial.segments)]
        assert trial.val_score == trial.segments[-1].val_score
        assert all(one.position < next_.position for one, next_ in pairwise(trial.segments))
    assert result.reconciliation is not None
    assert result.reconciliation.deviation == pytest.approx(0)


def test_stopped_trials_say_so_and_their_energy_counts(whole: Whole) -> None:
    result = whole(CASE)
    stopped = by_status(result.trials, TrialStatus.STOPPED)
    assert [len(trial.epochs) < 16 for trial in stopped] == [True] * len(stopped)
    assert len(stopped) + len(by_status(result.trials, TrialStatus.COMPLETED)) == 9
    booked = sum(trial.account.total.energy_j or 0.0 for trial in result.trials)
    assert booked <= (result.account.total.energy_j or 0.0)
    assert min(trial.account.total.energy_j or 0.0 for trial in stopped) > 0


def test_strategy_is_told_again_of_what_went_on(run: Run) -> None:
    result = run(replace(CASE, strategy="recording+asha"))
    told = RecordingStrategy.told
    assert len(told) == sum(len(trial.segments) for trial in result.trials)
    last = {tuple(point.values()): (score, energy_j) for point, score, energy_j in told}
    assert last == {
        tuple(trial.hyperparameters.values()): (trial.val_score, trial.account.total.energy_j)
        for trial in result.trials
    }


@pytest.mark.parametrize("stop_after", [1, 4, 5, 7])
def test_interrupted_search_goes_on_without_what_had_paused(
    run: Run, whole: Whole, stop_after: int
) -> None:
    with pytest.raises(StopError):
        run(stop_after=stop_after)
    result = run()
    assert [trial.hyperparameters for trial in result.trials] == [
        trial.hyperparameters for trial in whole(CASE).trials
    ]
    assert by_status(result.trials, TrialStatus.COMPLETED) != []
    positions = [each.position for trial in result.trials for each in trial.segments]
    assert sorted(positions) == list(range(len(positions)))
    # What paused before the interruption never goes on.
    for trial in result.trials:
        sides = {segment.position < stop_after for segment in trial.segments}
        assert len(sides) == 1
    assert result.test_score is not None
    assert result.interruptions == 1


def test_incumbent_was_trained_to_its_end_and_is_what_is_tested(whole: Whole) -> None:
    result = whole(CASE)
    best = result.incumbent
    assert best is not None
    assert best.status is TrialStatus.COMPLETED
    # The same training alone; strategies are paired.
    alone = whole(replace(CASE, strategy="random", trials=best.index + 1))
    assert alone.trials[best.index].val_score == best.val_score
    if alone.incumbent is alone.trials[best.index]:
        assert alone.test_score == result.test_score


def test_if_all_that_is_left_had_paused_the_best_is_trained_again(run: Run) -> None:
    case = replace(CASE, trials=2)
    with pytest.raises(StopError):
        run(case, stop_after=2)
    result = run(case)
    (completed,) = by_status(result.trials, TrialStatus.COMPLETED)
    (stopped,) = by_status(result.trials, TrialStatus.STOPPED)
    assert [segment.epochs for segment in completed.segments] == [1, 16]
    assert completed.segments[0].val_score >= stopped.val_score
    assert result.costs.samples_seen == (1 + 1 + 16) * SAMPLES
    assert result.test_score is not None


def test_trial_that_fails_later_is_no_incumbent(run: Run) -> None:
    result = run(replace(CASE, strategy="sobol+asha", space="volatile", trials=16))
    failed = by_status(result.trials, TrialStatus.DIVERGED)
    assert failed != []
    assert all(trial.val_score is None for trial in failed)
    assert result.test_score is not None


def test_best_configurations_are_trained_again_with_new_seeds(whole: Whole) -> None:
    result = whole(AGAIN)
    searched, again = result.trials[:4], result.trials[4:]
    ranked = sorted(searched, key=lambda trial: -(trial.val_score or 0))
    assert [trial.reevaluates for trial in again] == [
        ranked[0].index,
        ranked[0].index,
        ranked[0].index,
        ranked[1].index,
        ranked[1].index,
        ranked[1].index,
    ]
    assert len({tuple(losses(trial)) for trial in (*searched, *again)}) == 10
    for trial in again:
        assert trial.hyperparameters == searched[trial.reevaluates or 0].hyperparameters
        assert (trial.account.total.energy_j or 0) > 0


def test_incumbent_is_then_chosen_by_the_mean_of_the_new_seeds(whole: Whole) -> None:
    result = whole(AGAIN)
    again = result.trials[4:]
    groups = [again[:NEW_SEEDS], again[NEW_SEEDS:]]
    best = max(groups, key=lambda group: fmean(trial.val_score or 0 for trial in group))
    assert result.incumbent is best[0]
    assert result.test_score is not None


@pytest.mark.parametrize("stop_after", [4, 5, 7, 8, 10])
def test_interrupted_reevaluation_trains_nothing_twice(
    run: Run, whole: Whole, stop_after: int
) -> None:
    expected = whole(AGAIN)
    with pytest.raises(StopError):
        run(AGAIN, stop_after=stop_after)
    result = run(AGAIN)
    assert [losses(trial) for trial in result.trials] == [
        losses(trial) for trial in expected.trials
    ]
    assert result.test_score == expected.test_score
    assert result.incumbent is not None
    assert expected.incumbent is not None
    assert result.incumbent.index == expected.incumbent.index


def test_no_checkpoint_is_left(run: Run, tmp_path: Path) -> None:
    run(AGAIN)
    assert list(tmp_path.glob("*.npz")) == []


def test_strategies_meet_the_same_split_weights_and_order(run: Run) -> None:
    one, other = (run(replace(AGAIN, strategy=name)) for name in ("random", "default"))
    assert one.dataset["digest"] == other.dataset["digest"]
    same = [replace(AGAIN, strategy=name).derive_seed(0, "trial", 1) for name in ("random", "grid")]
    assert same[0] == same[1]
