"""A worker that is stopped, or a machine that sleeps, inside a window: the sample says so."""

import json
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from itertools import chain, repeat
from pathlib import Path

import psutil
import pytest
from mlflow import MlflowClient

from greenbench.compare.samples import describe_samples
from greenbench.energy.host import BEAT_S, StopWatch
from greenbench.energy.ledger import Ledger
from greenbench.results.account import Account
from greenbench.results.table import Row, to_row
from greenbench.testing import FakeClock, FakeMeter
from tests.builders import make_reading, make_result, make_trial
from tests.conftest import Greenbench

Eventually = Callable[[Callable[[], object]], None]


class Machine:
    """The clocks of a process: time, CPU time, and time asleep."""

    def __init__(self) -> None:
        self.clock, self.cpu, self.asleep = FakeClock(), FakeClock(), FakeClock()
        self.watch = StopWatch(self.clock, self.cpu, self.asleep)

    def run(self, seconds: float, *, cpu_share: float) -> None:
        """Let time pass as it does where the thread beats."""
        for _ in range(round(seconds / BEAT_S)):
            self.clock.advance(BEAT_S)
            self.cpu.advance(BEAT_S * cpu_share)
            self.watch.beat()


@pytest.mark.parametrize("cpu_share", [0.0, 1.0, 8.0], ids=["waiting", "computing", "threads"])
def test_a_process_that_runs_was_not_stopped(cpu_share: float) -> None:
    machine = Machine()
    machine.run(60.0, cpu_share=cpu_share)
    assert machine.watch.lap_s() == 0.0


def test_a_stop_is_time_without_a_beat_and_without_computing() -> None:
    machine = Machine()
    machine.run(5.0, cpu_share=1.0)
    machine.clock.advance(30.0)
    assert machine.watch.lap_s() == pytest.approx(30.0 - BEAT_S)
    assert machine.watch.lap_s() == 0.0


def test_long_computing_that_lets_no_thread_beat_is_no_stop() -> None:
    machine = Machine()
    machine.clock.advance(30.0)
    machine.cpu.advance(29.9)
    assert machine.watch.lap_s() == 0.0


def test_a_machine_that_slept_is_told_by_clocks_that_went_apart() -> None:
    machine = Machine()
    machine.asleep.advance(3600.0)
    machine.run(5.0, cpu_share=0.5)
    assert machine.watch.lap_s() == 3600.0


def test_a_stop_is_booked_to_the_phase_that_it_fell_into() -> None:
    machine = Machine()
    ledger = Ledger(FakeMeter(machine.clock), stops=machine.watch)
    machine.clock.advance(10.0)  # Before the account.
    ledger.open()
    with ledger.phase("train"):
        machine.clock.advance(2.0)
    with ledger.phase("evaluate"):
        machine.run(2.0, cpu_share=1.0)
    ledger.close()
    phases = ledger.take().phases
    assert phases["train"].stopped_s == pytest.approx(2.0 - BEAT_S)
    assert (phases["evaluate"].stopped_s, phases["other"].stopped_s) == (0.0, 0.0)


def row_with(stopped_s: float | None) -> Row:
    reading = replace(make_reading(36.0), stopped_s=stopped_s)
    account = Account({"train": reading})
    return to_row(replace(make_result(trials=[make_trial()]), account=account))


def test_a_stopped_sample_is_marked_and_counts_only_if_asked_for() -> None:
    rows = [row_with(0.0), row_with(None), row_with(3.0)]
    marked = ["suspended" in (row["marks"] or "").split() for row in rows]
    assert marked == [False, False, True]
    assert [row["stopped_s"] for row in rows] == [0.0, None, 3.0]
    assert len(describe_samples(rows).counted) == 2
    assert len(describe_samples(rows, include_disturbed=True).counted) == 3


@pytest.mark.integration
@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="the system cannot stop a process")
def test_a_worker_that_was_stopped_in_training_marks_its_sample(
    greenbench: Greenbench, eventually: Eventually, tmp_path: Path
) -> None:
    trace = tmp_path / "trace.csv"
    trace.write_text("# provenance: counter\ntime_s,cpu_w\n0,40\n9000,40\n")
    greenbench.environment["GREENBENCH_IDLE_S"] = "0"
    case = ("-a", "simple_cnn.m", "--epochs", "60", "--repeats", "1")
    running = greenbench.start("run", *case, "--meter", f"replay:{trace}")
    parent = psutil.Process(running.pid)
    # Others last for a moment only.
    eventually(lambda: greenbench.journals and len(parent.children()) == 1)
    (worker,) = parent.children()
    # Several times, since only the worker knows when it trains; where it still imports then, on a
    # busy machine, on and on, and more seldom: training takes long there.
    for run_s in chain([1.0] * 5, repeat(5.0)):
        time.sleep(run_s)
        if running.poll() is not None or '"event": "trial"' in greenbench.journals[0].read_text():
            break
        with suppress(psutil.NoSuchProcess):
            worker.suspend()
            time.sleep(2.0)
            worker.resume()
    output, _ = running.communicate(timeout=400)

    assert running.returncode == 0, output
    assert "suspended: training was stopped for a while" in output
    (journal,) = greenbench.journals
    events = [json.loads(line) for line in journal.read_text().splitlines()]
    (trial,) = [each["values"] for each in events if each["event"] == "trial"]
    assert trial["account"]["phases"]["train"]["stopped_s"] > 1.5
    client = MlflowClient(f"sqlite:///{tmp_path}/mlruns/mlflow.db")
    experiments = [each.experiment_id for each in client.search_experiments()]
    (run,) = client.search_runs(experiments, "tags.kind = 'case'")
    assert "suspended" in run.data.tags["marks"].split()
    assert run.data.metrics["quality/stopped_s"] > 1.5
