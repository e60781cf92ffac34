"""A search whose energy is read at the ticks of a counter: trials, lanes, passes, interruptions."""

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from greenbench.backends.torch import TorchBackend
from greenbench.cases import Case
from greenbench.energy.carbon import CarbonIntensity
from greenbench.energy.habits import Habits
from greenbench.errors import GreenbenchError
from greenbench.results import CaseResult
from greenbench.results.journal import Journal
from greenbench.results.table import to_row
from greenbench.search.bench import Bench
from greenbench.search.repeat import run_repeat
from greenbench.testing import FakeCounters, FakeMeter

CASE = Case("random", "dense", size="xs", trials=3, epochs=2)
POWER_W = 200.0
TICK_S = 0.001
"""Shorter than any phase that is looked at, so that none is booked with its neighbour."""

Run = Callable[..., CaseResult]


class BatchingOnCPU(TorchBackend):
    """Lets batches pay."""

    @property
    def batches_pay(self) -> bool:
        return True


class StopError(GreenbenchError):
    """Interrupts a search."""


@pytest.fixture
def counters() -> FakeCounters:
    began_s = time.perf_counter()
    return FakeCounters(time.perf_counter, lambda s: POWER_W, TICK_S, began_s=began_s)


@pytest.fixture
def run(tmp_path: Path, counters: FakeCounters) -> Run:
    bench = Bench(
        backend=BatchingOnCPU("torch", threads=1),
        meter=FakeMeter(time.perf_counter),
        control=FakeMeter(time.perf_counter),
        intensity=CarbonIntensity(100.0, "a test"),
        environment={"host": "here"},
        data_dir=tmp_path,
        emit=lambda event, values: None,
        counters=counters,
    )

    def run(case: Case = CASE, **changes: Any) -> CaseResult:
        journal = Journal.of(tmp_path, case, 0)
        return run_repeat(replace(bench, **changes), case, 0, "tests", journal)

    return run


def gpu_j(result: CaseResult) -> float:
    return result.account.total.components["gpu"].energy_j or 0.0


def test_a_repeat_has_the_joules_of_its_ticks(run: Run) -> None:
    result = run()
    seconds = result.account.total.duration_s
    assert gpu_j(result) == pytest.approx(POWER_W * seconds, rel=0.01)
    parts = [reading.components["gpu"] for reading in result.account.phases.values()]
    assert sum(part.energy_j or 0.0 for part in parts) == pytest.approx(gpu_j(result))
    assert result.account.total.components["gpu"].uncertainty_j is not None


def test_a_repeat_tells_the_next_one_of_the_counter(run: Run) -> None:
    habits = Habits()
    run(habits=habits)
    assert habits.of("gpu", 0).earlier


def test_lanes_share_what_their_windows_used(run: Run) -> None:
    result = run(replace(CASE, batched_trials=3))
    shares = [trial.account.phases["train"].components["gpu"].energy_j for trial in result.trials]
    assert len(set(shares)) == 1
    # By their own seconds, not by those of the repeat, which later ticks correct.
    for trial in result.trials:
        total = trial.account.total
        used_j = total.components["gpu"].energy_j
        assert used_j == pytest.approx(POWER_W * total.duration_s, rel=0.1)


def test_one_pass_of_a_filled_window_is_booked(run: Run) -> None:
    # For longer than one pass takes on a busy machine.
    result = run(replace(CASE, trials=1), min_window_s=2.0)
    (trial,) = result.trials
    assert trial.passes > 1
    train = result.account.phases["train"]
    assert train.components["gpu"].energy_j == pytest.approx(POWER_W * train.duration_s, rel=0.1)


def test_a_resumed_repeat_counts_what_was_used_before(run: Run) -> None:
    def stop(event: str, values: Any) -> None:
        if event == "trial_finished" and values["index"] == 1:
            raise StopError("stop")

    with pytest.raises(StopError):
        run(emit=stop)
    result = run()
    assert result.interruptions == 1
    assert len(result.trials) == 3
    trials_j = sum(t.account.total.components["gpu"].energy_j or 0.0 for t in result.trials)
    assert gpu_j(result) > 0.8 * trials_j


def test_counters_that_die_leave_the_trials(run: Run, counters: FakeCounters) -> None:
    def kill(event: str, values: Any) -> None:
        if event == "trial_finished":
            counters.fault = "the process that reads counters ended"

    result = run(emit=kill)
    assert result.test_score is not None
    assert [trial.val_score is not None for trial in result.trials] == [True] * 3
    row = to_row(result)
    assert row["gpu_wh"] is None
    assert row["uncertainty_wh"] is None
    assert result.account.total.components["gpu"].reason == counters.fault
