"""Searches whose trials are trained in batches, with real training."""

import re
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from greenbench import registry
from greenbench.backends.base import OutOfMemoryError
from greenbench.backends.torch import TorchBackend
from greenbench.backends.torch_batched import TorchBatch
from greenbench.cases import Case
from greenbench.energy.carbon import CarbonIntensity
from greenbench.errors import ConfigurationError, GreenbenchError, SearchExhaustedError
from greenbench.results import CaseResult, Trial, TrialStatus
from greenbench.results.account import Account
from greenbench.results.journal import Journal
from greenbench.search.batch_training import NOT_LEARNING
from greenbench.search.bench import Bench
from greenbench.search.lanes import Lanes
from greenbench.search.repeat import run_repeat
from greenbench.strategies import Dimension, SearchSpace
from greenbench.strategies.random import RandomStrategy
from greenbench.strategies.spaces import Hyperparameters
from greenbench.testing import FakeClock, FakeMeter
from tests.builders import tick

CASE = Case(
    "random_log",
    "dense",
    size="xs",
    space="steady",
    trials=6,
    epochs=3,
    batch_size=256,
    batched_trials=4,
)
ALONE = replace(CASE, batched_trials=1)
SAMPLES = 1294 // 256 * 256

Run = Callable[..., CaseResult]
Alone = Callable[[Case], CaseResult]


class BatchingOnCPU(TorchBackend):
    """Takes batches where they do not pay, and remembers how many lanes each had."""

    lanes: list[int]
    clock: FakeClock

    def synchronize(self) -> None:
        # Each window of training takes a second.
        self.clock.advance(1.0)

    @property
    def batches_pay(self) -> bool:
        return True

    def build_batch(self, requests: Any) -> TorchBatch:
        self.lanes.append(len(requests))
        return super().build_batch(requests)


class ThreeStrategy(RandomStrategy):
    """Has three proposals only."""

    def __init__(self, space: SearchSpace, *, trials: int, seed: int) -> None:
        super().__init__(space, trials=trials, seed=seed)
        self._left = 3

    def ask(self) -> Hyperparameters:
        self._left -= 1
        if self._left < 0:
            raise SearchExhaustedError("there were three")
        return super().ask()


registry.register_strategy("three")(ThreeStrategy)
registry.register_space("some_diverge")(
    SearchSpace("some_diverge", (Dimension("learning_rate", 1e-3, 1e38, prior="log"),))
)


# Adam makes full steps of rounding errors where a gradient is zero; so large an epsilon does not.
registry.register_space("steady")(
    SearchSpace(
        "steady",
        (
            Dimension("learning_rate", 1e-4, 1e-2, prior="log"),
            Dimension("epsilon", 1e-4, 1e-2, prior="log"),
        ),
    )
)


class StopError(GreenbenchError):
    """Ends a search as a killed process would."""


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    clock = FakeClock()

    def emit(event: str, values: Any) -> None:
        clock.advance(1.0)

    backend = BatchingOnCPU("torch", threads=1)
    backend.clock = clock
    return Bench(
        backend=backend,
        meter=FakeMeter(clock, power_w=10.0),
        control=FakeMeter(clock, power_w=10.0),
        intensity=CarbonIntensity(100.0, "a test"),
        environment={"host": "here"},
        data_dir=tmp_path_factory.mktemp("data"),
        emit=emit,
    )


@pytest.fixture
def built(bench: Bench) -> list[int]:
    """The lanes of each batch that is built, that of the warm-up first."""
    assert isinstance(bench.backend, BatchingOnCPU)
    bench.backend.lanes = []
    return bench.backend.lanes


@pytest.fixture
def run(bench: Bench, built: list[int], tmp_path: Path) -> Run:
    def run(
        case: Case = CASE,
        stop_after: int | None = None,
        events: list[tuple[str, int]] | None = None,
        **changes: Any,
    ) -> CaseResult:
        seen = [] if events is None else events

        def emit(event: str, values: Any) -> None:
            if event != "epoch":
                bench.emit(event, values)
                seen.append((event, values["index"]))
            if len([each for each, _ in seen if each == "trial_finished"]) == stop_after:
                raise StopError("stopped")

        journal = Journal.of(tmp_path, case, 0)
        return run_repeat(replace(bench, emit=emit, **changes), case, 0, "tests", journal)

    return run


@pytest.fixture(scope="module")
def alone(bench: Bench, tmp_path_factory: pytest.TempPathFactory) -> Alone:
    """Return the result of a search one by one, which is made once a module."""

    @cache
    def run(case: Case) -> CaseResult:
        journal = Journal.of(tmp_path_factory.mktemp("alone"), case, 0)
        return run_repeat(bench, replace(case, batched_trials=1), 0, "tests", journal)

    return run


def losses(trial: Trial) -> list[float | None]:
    return [epoch.train_loss for epoch in trial.epochs]


def statuses(result: CaseResult) -> set[TrialStatus]:
    return {trial.status for trial in result.trials}


def booked_j(result: CaseResult) -> float:
    return sum(trial.account.total.energy_j or 0.0 for trial in result.trials)


def assert_same_trainings(found: CaseResult, expected: CaseResult) -> None:
    for trial, alone in zip(found.trials, expected.trials, strict=True):
        assert trial.hyperparameters == alone.hyperparameters
        assert losses(trial) == pytest.approx(losses(alone), rel=1e-3)
        assert trial.val_score == pytest.approx(alone.val_score, abs=0.02)
        assert trial.samples_seen == alone.samples_seen


@pytest.mark.parametrize("architecture", ["dense", "simple_cnn"])
def test_trials_are_those_of_a_search_one_by_one(run: Run, built: list[int], architecture: str):
    case = replace(CASE, architecture=architecture, validate_every=2)
    batched = run(case)
    assert built == [4, 4, 2]
    alone = run(replace(case, batched_trials=1))
    assert built == [4, 4, 2]
    assert_same_trainings(batched, alone)
    assert batched.test_score == pytest.approx(alone.test_score, abs=0.02)
    assert batched.costs == alone.costs
    for trial in batched.trials:
        assert [epoch.val_score is None for epoch in trial.epochs] == [True, False, False]


def test_trials_say_how_many_shared_their_windows(run: Run):
    assert [trial.lanes for trial in run().trials] == [4, 4, 4, 4, 2, 2]
    assert [trial.lanes for trial in run(ALONE).trials] == [1] * 6


def test_lanes_share_their_account_evenly_and_nothing_is_lost(run: Run):
    result = run()
    batches = [result.trials[:4], result.trials[4:]]
    for lanes in batches:
        assert len({trial.account.total.energy_j for trial in lanes}) == 1
        assert len({trial.account.total.duration_s for trial in lanes}) == 1
    # An event takes a second of 10 W: four starts, then two, and whatever epochs were reported.
    # Ends are told while they are written down, which is nobody's.
    first, second = (sum((each.account for each in lanes), Account()) for lanes in batches)
    assert first.total.duration_s >= 4
    assert second.total.duration_s >= 2
    assert [trial.account.energy_j("train") for trial in batches[0]] == [2.5] * 4
    assert [trial.account.energy_j("train") for trial in batches[1]] == [5.0] * 2
    total = result.account.total
    assert booked_j(result) == pytest.approx(total.energy_j or 0.0)
    assert total.duration_s == pytest.approx((total.energy_j or 0.0) / 10)
    assert {"train", "evaluate", "search", "other"} <= set(result.trials[0].account.phases)
    assert result.reconciliation is not None
    assert result.reconciliation.deviation == pytest.approx(0)


def test_cpu_seconds_of_the_lanes_are_those_of_the_search(run: Run):
    result = run()
    trials = [trial.account.energy_j("train") is not None for trial in result.trials]
    assert all(trials)
    spent = sum(trial.account.phases["train"].cpu_s or 0.0 for trial in result.trials)
    assert spent == pytest.approx(result.account.phases["train"].cpu_s)


def test_all_of_a_batch_start_before_any_ends(run: Run):
    events: list[tuple[str, int]] = []
    run(events=events)
    assert events[:8] == [
        *(("trial_started", index) for index in range(4)),
        *(("trial_finished", index) for index in range(4)),
    ]


@pytest.mark.parametrize("stop_after", [1, 3, 4, 5])
def test_lanes_that_were_not_recorded_are_trained_again(run: Run, alone: Alone, stop_after: int):
    with pytest.raises(StopError):
        run(stop_after=stop_after)
    result = run()
    assert_same_trainings(result, alone(CASE))
    assert [trial.index for trial in result.trials] == list(range(6))
    assert result.interruptions == 1
    assert result.test_score is not None


@pytest.mark.parametrize("stop_after", [1, 2, 3, 4])
def test_weights_of_the_best_recorded_lane_survive_an_interruption(
    run: Run, monkeypatch: pytest.MonkeyPatch, stop_after: int
):
    with pytest.raises(StopError):
        run(stop_after=stop_after)
    exhaust_memory(monkeypatch)
    result = run(replace(CASE))
    alone = run(replace(ALONE, trials=stop_after))
    assert result.incumbent is not None
    assert alone.incumbent is not None
    assert result.incumbent.index == alone.incumbent.index
    assert result.test_score == pytest.approx(alone.test_score, abs=0.02)


def test_a_search_that_runs_out_of_proposals_trains_those_it_has(run: Run, built: list[int]):
    result = run(replace(CASE, strategy="three", batched_trials=2))
    assert built == [2, 2]
    assert [trial.lanes for trial in result.trials] == [2, 2, 1]
    assert statuses(result) == {TrialStatus.COMPLETED}


def test_lanes_diverge_alone(run: Run):
    case = replace(CASE, strategy="sobol", space="some_diverge", trials=8, batched_trials=8)
    result = run(case)
    assert statuses(result) == {TrialStatus.COMPLETED, TrialStatus.DIVERGED}
    alone = run(replace(case, batched_trials=1))
    assert [each.status for each in result.trials] == [each.status for each in alone.trials]
    for trial, other in zip(result.trials, alone.trials, strict=True):
        assert len(trial.epochs) == len(other.epochs)
        assert trial.error == other.error
        assert trial.samples_seen == other.samples_seen
        assert (trial.account.total.energy_j or 0.0) > 0


def test_a_batch_that_diverges_as_a_whole_is_not_validated(run: Run):
    registry.register_space("all_diverge")(
        SearchSpace("all_diverge", (Dimension("learning_rate", 1e37, 1e38, prior="log"),))
    )
    result = run(replace(CASE, space="all_diverge", trials=4))
    assert statuses(result) == {TrialStatus.DIVERGED}
    assert result.test_score is None
    assert all("evaluate" not in trial.account.phases for trial in result.trials)


def exhaust_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    def exhausted(self: TorchBatch, order: Any) -> None:
        raise OutOfMemoryError("the device is full")

    monkeypatch.setattr(TorchBatch, "train_epoch", exhausted)


def test_batch_without_memory_says_what_to_lower(run: Run, monkeypatch: pytest.MonkeyPatch):
    exhaust_memory(monkeypatch)
    result = run()
    assert statuses(result) == {TrialStatus.OUT_OF_MEMORY}
    assert [trial.lanes for trial in result.trials] == [4, 4, 4, 4, 2, 2]
    assert "the device is full; 4 trials were trained as one: lower --batched-trials" in (
        result.trials[0].error or ""
    )


def test_backend_that_raises_fails_all_lanes(run: Run, monkeypatch: pytest.MonkeyPatch):
    def broken(self: TorchBatch, split: str) -> None:
        raise ValueError("no such thing")

    case = replace(CASE, trials=4)
    # The warm-up would find it, too.
    monkeypatch.setattr("greenbench.search.subject.choose_lanes", lambda *a, **b: Lanes(4))
    monkeypatch.setattr(TorchBatch, "evaluate", broken)
    result = run(case)
    assert statuses(result) == {TrialStatus.FAILED}
    (error,) = {trial.error for trial in result.trials}
    assert error is not None
    assert re.fullmatch(r"ValueError: no such thing \(\S*test_batched_search.py:\d+\)", error)
    assert [len(trial.epochs) for trial in result.trials] == [3] * 4


def test_auto_trains_as_many_as_fit_and_says_how_many(
    run: Run, alone: Alone, built: list[int], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(TorchBackend, "lanes_that_fit", lambda *arguments: 3)
    result = run(replace(CASE, batched_trials="auto"))
    assert built == [3, 3, 3]
    assert [trial.lanes for trial in result.trials] == [3] * 6
    assert result.compute_notes == ("3 trials are trained as one (batched_trials auto)",)
    assert result.case.id.endswith("+batched_trialsauto")
    assert_same_trainings(result, alone(CASE))


def test_filled_windows_book_one_pass(run: Run, built: list[int], monkeypatch: pytest.MonkeyPatch):
    tick(monkeypatch)
    filled = run(replace(CASE, trials=4, epochs=2), min_window_s=0.3)
    # The warm-up, the batch, and the spare one that fills its window.
    assert built == [4, 4, 4]
    assert {trial.passes for trial in filled.trials} != {1}
    assert_same_trainings(filled, run(replace(ALONE, trials=4, epochs=2)))


def test_reevaluations_are_trained_one_by_one(run: Run):
    result = run(replace(CASE, trials=4, reevaluate=1))
    again = [trial for trial in result.trials if trial.reevaluates is not None]
    assert len(again) == 3
    assert {trial.lanes for trial in again} == {1}
    alone = run(replace(ALONE, trials=4, reevaluate=1))
    assert result.test_score == pytest.approx(alone.test_score, abs=0.02)


@pytest.mark.parametrize("scheduler", ["asha", "hyperband"])
def test_paused_lanes_go_on_alone(run: Run, alone: Alone, scheduler: str):
    case = replace(CASE, strategy=f"random_log+{scheduler}", trials=10, epochs=16, batched_trials=5)
    result = run(case)
    whole = alone(replace(case, strategy="random_log"))
    assert statuses(result) == {TrialStatus.STOPPED, TrialStatus.COMPLETED}
    for trial, full in zip(result.trials, whole.trials, strict=True):
        assert trial.hyperparameters == full.hyperparameters
        expected = losses(full)[: len(trial.epochs)]
        assert losses(trial) == pytest.approx(expected, rel=0.02)
        assert trial.account.total.energy_j == pytest.approx(
            sum(each.account.total.energy_j or 0.0 for each in trial.segments)
        )
    promoted = [trial for trial in result.trials if len(trial.segments) > 1]
    assert promoted
    assert all(trial.lanes > 1 for trial in promoted)
    positions = [segment.position for trial in result.trials for segment in trial.segments]
    assert sorted(positions) == list(range(len(positions)))
    # Those that begin at another rung are another batch.
    starts = [trial.segments[0].epochs for trial in result.trials]
    expected_lanes = [
        starts[first : first + 5].count(epochs)
        for first in (0, 5)
        for epochs in starts[first : first + 5]
    ]
    assert [trial.lanes for trial in result.trials] == expected_lanes
    total = result.account.total
    # The last event comes after the last account of a trial.
    assert booked_j(result) == pytest.approx((total.energy_j or 0.0) - 10, abs=45)


@pytest.mark.parametrize("stop_after", [2, 5, 7])
def test_interrupted_batches_under_a_scheduler_replay(run: Run, alone: Alone, stop_after: int):
    case = replace(CASE, strategy="random_log+hyperband", trials=8, epochs=16)
    with pytest.raises(StopError):
        run(case, stop_after=stop_after)
    result = run(case)
    whole = alone(replace(case, strategy="random_log"))
    assert [each.hyperparameters for each in result.trials] == [
        each.hyperparameters for each in whole.trials
    ]
    positions = [segment.position for trial in result.trials for segment in trial.segments]
    assert sorted(positions) == list(range(len(positions)))
    assert result.test_score is not None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"strategy": "bayesian"}, r"'bayesian' may learn .*\(.*grid, .*random, .*sobol.*\)"),
        ({"strategy": "bayesian+asha"}, "'bayesian' may learn"),
        ({"backend_options": {"precision": "bfloat16"}}, r"options \(precision\)"),
    ],
)
def test_cases_that_cannot_be_batched_are_refused(
    run: Run, changes: dict[str, Any], message: str, tmp_path: Path
):
    with pytest.raises(ConfigurationError, match=message) as refused:
        run(replace(CASE, **changes))
    assert "batched_trials is 4" in str(refused.value)
    assert "\n" not in str(refused.value)
    assert list(tmp_path.glob("*.jsonl")) == []


@pytest.mark.parametrize("strategy", NOT_LEARNING)
def test_strategies_that_are_advised_can_be_batched(run: Run, strategy: str):
    result = run(replace(CASE, strategy=strategy, epochs=1, trials=2))
    assert [trial.lanes for trial in result.trials] == [2, 2]


@pytest.mark.parametrize(
    ("backend", "message"),
    [("torch", "lose on a CPU"), ("tabular", "cannot train several models as one")],
)
def test_backends_where_batches_lose_or_are_unknown_are_refused(
    run: Run, backend: str, message: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    other = registry.backends.get(backend)(backend, threads=1)
    with pytest.raises(ConfigurationError, match=message):
        run(replace(CASE, backend=backend), backend=other)
    if backend == "torch":
        run(replace(ALONE, trials=1, epochs=1), backend=other)


def test_trials_of_older_journals_were_trained_alone():
    values = {
        "index": 0,
        "hyperparameters": {},
        "status": "completed",
        "epochs": [],
        "account": {"phases": {}},
    }
    assert Trial.from_dict(values).lanes == 1
