"""Runs on the workers of a real Dask cluster on this machine, which is killed here and there."""

import os
import re
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pytest

from greenbench.machine.locks import Lock
from greenbench.results import CaseResult, TrialStatus
from greenbench.results.journal import Journal
from greenbench.tracking import Store
from tests.conftest import Greenbench

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("made_store")]

PARTS = '''
"""A training that can be held."""
import os
import time
from pathlib import Path

import greenbench

MARKS = Path(os.environ["MARKS"])


def is_held():
    """Return whether to wait: from so many epochs on, of all trials, as the mark says."""
    try:
        after = int((MARKS / "hold").read_text())
    except FileNotFoundError:
        return False
    return (MARKS / "epochs").read_text().count("\\n") >= after


@greenbench.register_training("clustered")
def train(run):
    rate = run["learning_rate"]
    for epoch in run.epochs():
        with (MARKS / "epochs").open("a") as told:
            told.write(f"{run.seed} {epoch}\\n")
        while is_held():
            (MARKS / f"held-{os.getppid()}").touch()
            time.sleep(0.02)
        deadly = MARKS / "deadly"
        if deadly.exists() and epoch == 1:
            # The first trial that comes here takes its worker with it, wherever it is run.
            deadly.write_text(deadly.read_text() or str(run.seed))
            if deadly.read_text() == str(run.seed):
                os.kill(os.getppid(), 9)
                time.sleep(60)
        yield run.report(loss=rate, score=0.5 + rate / 10)
    with run.phase("test"):
        run.final(0.6)
'''
WORKER = "from distributed.cli.dask_worker import main; main()"
OF_OTHER_VERSION = f"import greenbench; greenbench.__version__ = '0.0.1'; {WORKER}"
Eventually = Callable[[Callable[[], object]], None]


@dataclass
class Cluster:
    """A scheduler and workers on this machine, each with a host lock of its own."""

    folder: Path
    eventually: Eventually
    address: str = ""
    workers: dict[str, "subprocess.Popen[bytes]"] = field(default_factory=dict)
    started: list["subprocess.Popen[bytes]"] = field(default_factory=list)

    @property
    def marks(self) -> Path:
        return self.folder / "marks"

    def start(self) -> None:
        self.marks.mkdir()
        (self.folder / "held_parts.py").write_text(PARTS)
        arguments = ("--host", "127.0.0.1", "--port", "0", "--no-dashboard")
        program = "from distributed.cli.dask_scheduler import main; main()"
        self._start("scheduler", program, *arguments)
        self.address = self._told("scheduler", r"Scheduler at:\s+(tcp://\S+)")

    def work(self, name: str, *more: str, program: str = WORKER) -> None:
        """Start a worker, and wait until the scheduler knows it."""
        arguments = ("--nthreads", "1", "--name", name, "--no-dashboard", "--no-nanny")
        self.workers[name] = self._start(
            name, program, self.address, *arguments, "--local-directory", f"scratch-{name}", *more
        )
        self._told(name, r"Registered to:\s+(tcp://\S+)")

    def lock(self, name: str) -> Path:
        return self.folder / f"{name}.lock"

    def is_held(self, name: str) -> bool:
        """Return whether the trial that runs at a worker waits."""
        return (self.marks / f"held-{self.workers[name].pid}").exists()

    def stop(self) -> None:
        for process in reversed(self.started):
            process.kill()
            process.wait()

    def _start(self, name: str, program: str, *arguments: str) -> "subprocess.Popen[bytes]":
        environment = {
            **os.environ,
            "MARKS": str(self.marks),
            "GREENBENCH_HOST_LOCK": str(self.lock(name)),
            "GREENBENCH_THREADS": "1",
        }
        with (self.folder / f"{name}.log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-c", program, *arguments],
                cwd=self.folder,
                env=environment,
                stdout=log,
                stderr=log,
            )
        self.started.append(process)
        return process

    def _told(self, name: str, pattern: str) -> str:
        log = self.folder / f"{name}.log"
        self.eventually(lambda: re.search(pattern, log.read_text()))
        found = re.search(pattern, log.read_text())
        assert found
        return found[1]


@pytest.fixture
def cluster(tmp_path: Path, eventually: Callable[..., None]) -> Iterator[Cluster]:
    # Workers import a framework each, on a machine that may be busy.
    cluster = Cluster(tmp_path, partial(eventually, timeout_s=300))
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()


def command(cluster: Cluster, *, trials: int = 2, repeats: int = 2) -> list[str]:
    search = ("-s", "random", "--space", "rate", "--trials", str(trials), "--epochs", "2")
    case = ("-p", "held_parts.py", "-a", "clustered", *search, "--repeats", str(repeats))
    return ["run", *case, "--idle", "0", "--country", "NLD", "--scheduler", cluster.address]


def commands_of(greenbench: Greenbench, cluster: Cluster) -> Greenbench:
    greenbench.environment["MARKS"] = str(cluster.marks)
    # Each machine has its own.
    del greenbench.environment["GREENBENCH_HOST_LOCK"]
    return greenbench


def results(greenbench: Greenbench) -> list[CaseResult]:
    found = [Journal(path).read().result for path in greenbench.journals]
    return [result for result in found if result is not None]


def trials_told(greenbench: Greenbench) -> int:
    return sum(len(Journal(path).read().history) for path in greenbench.journals)


def check_all_is_there_once(greenbench: Greenbench, repeats: int, trials: int) -> None:
    found = results(greenbench)
    assert sorted(result.repeat for result in found) == list(range(repeats))
    store = Store(f"sqlite:///{greenbench.folder}/mlruns/mlflow.db")
    rows = store.read_rows()
    assert sorted(row["repeat"] for row in rows) == list(range(repeats))
    told = Counter((row["run_id"], row["trial"]) for row in store.read_trials(rows))
    assert set(told.values()) == {1}
    assert len(told) == repeats * trials
    for result in found:
        assert [trial.index for trial in result.trials] == list(range(trials))
        booked = [reading.energy_j for reading in result.account.phases.values()]
        of_trials = [trial.account.total.energy_j for trial in result.trials]
        total = result.account.total.energy_j
        if total is None:
            # Where others took the cores, the meter's clock and ours disagree on a window.
            assert result.account.total.reason
            continue
        assert sum(filter(None, booked)) == pytest.approx(total)
        assert sum(filter(None, of_trials)) <= total * (1 + 1e-9)


def test_worker_that_is_killed_takes_only_its_running_trial(
    greenbench: Greenbench, cluster: Cluster
) -> None:
    commands = commands_of(greenbench, cluster)
    for name in ("first", "second"):
        cluster.work(name, "--resources", "METER=1")
    # At nine epochs or ten, those that are held have four at most: three trials are over.
    (cluster.marks / "hold").write_text("9")
    driver = commands.start(*command(cluster, repeats=12))
    cluster.eventually(lambda: cluster.is_held("first") and cluster.is_held("second"))
    cluster.eventually(lambda: trials_told(commands) >= 3)
    begun = {path: Journal(path).read().history for path in commands.journals}
    cluster.workers["first"].kill()
    (cluster.marks / "hold").unlink()
    output, _ = driver.communicate(timeout=900)
    assert driver.returncode == 0, output
    assert "worker first is gone" in output
    check_all_is_there_once(commands, repeats=12, trials=2)
    assert trials_told(commands) == 24
    for path, history in begun.items():
        assert Journal(path).read().history[: len(history)] == history
    hosts = {result.environment["host"] for result in results(commands)}
    assert len(hosts) == 1


def test_trial_that_kills_two_workers_is_recorded_and_the_search_goes_on(
    greenbench: Greenbench, cluster: Cluster
) -> None:
    commands = commands_of(greenbench, cluster)
    (cluster.marks / "deadly").touch()
    for name in ("first", "second", "third"):
        cluster.work(name, "--resources", "METER=1")
    done = commands(*command(cluster, trials=3, repeats=1))
    assert done.returncode == 0, done.stderr
    (result,) = results(commands)
    statuses = [trial.status for trial in result.trials]
    assert statuses == [TrialStatus.CRASHED, TrialStatus.COMPLETED, TrialStatus.COMPLETED]
    assert "as another one did before" in (result.trials[0].error or "")
    assert sum(process.poll() == -signal.SIGKILL for process in cluster.workers.values()) == 2


def test_driver_that_is_killed_is_resumed_and_workers_stop_meanwhile(
    greenbench: Greenbench, cluster: Cluster
) -> None:
    commands = commands_of(greenbench, cluster)
    for name in ("first", "second"):
        cluster.work(name, "--resources", "METER=1")
    (cluster.marks / "hold").write_text("5")
    driver = commands.start(*command(cluster, repeats=4))
    cluster.eventually(lambda: cluster.is_held("first") and cluster.is_held("second"))
    cluster.eventually(lambda: trials_told(commands) >= 1)
    driver.kill()
    driver.wait()
    # Not before: it may have been about to tell of another one.
    told = trials_told(commands)
    # Nobody waits for what they do: they end it, and others may measure there.
    for name in ("first", "second"):
        lock = Lock(cluster.lock(name))
        cluster.eventually(lock.acquire)
        lock.release()
    assert trials_told(commands) == told
    (cluster.marks / "hold").unlink()
    done = commands(*command(cluster, repeats=4))
    assert done.returncode == 0, done.stderr
    assert "resuming" in done.stderr
    assert len(list(commands.folder.glob("mlruns/journal/*"))) == 1
    check_all_is_there_once(commands, repeats=4, trials=2)
    assert trials_told(commands) == 8


def test_clusters_that_cannot_be_used_are_refused_in_one_line(
    greenbench: Greenbench, cluster: Cluster
) -> None:
    commands = commands_of(greenbench, cluster)

    def refusal() -> str:
        done = commands(*command(cluster))
        assert done.returncode == 2, done.stderr
        # Of a worker that a busy machine keeps, another line tells.
        (line,) = [line for line in done.stderr.splitlines() if "does not answer" not in line]
        return line

    cluster.work("bare")
    assert "--resources METER=1" in refusal()
    cluster.work("other", "--resources", "METER=1", program=OF_OTHER_VERSION)
    assert "worker other cannot be used: it has greenbench 0.0.1" in refusal()
    assert not commands.journals
