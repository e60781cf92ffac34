"""Faults at random moments on busy cores: each trial is there once, as if nothing had happened.

A few of each kind are tried; with ``GREENBENCH_TRY_ALL=1``, fifty. All draw by a seed, which
``GREENBENCH_TEST_SEED`` sets; what a moment hits, the machine decides.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Collection, Iterator
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any

import psutil
import pytest

from greenbench.results import CaseResult, TrialStatus
from greenbench.results.journal import Journal
from greenbench.tracking import Store
from tests.faults.fault_proxy import proxied
from tests.faults.fragile import KILLED, Done, Place, Started, command
from tests.faults.rough import Rough
from tests.mlflow_server import Server

pytestmark = pytest.mark.integration

TRIALS = 24
MANY = 50 if os.environ.get("GREENBENCH_TRY_ALL") else 6
SEED = int(os.environ.get("GREENBENCH_TEST_SEED", "0"))
ASKED = (*command(trials=TRIALS), "--idle", "0")
A_YEAR_S = 365 * 24 * 3600
AWAY = ("dropped", "reset", "lost answer", "500", "500 after", "503 for an hour", "garbage")
SPINNING = "while True: pass"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    place = Place(tmp_path_factory.mktemp("load"))
    place.make()
    return place


@pytest.fixture(scope="module")
def whole(place: Place) -> CaseResult:
    """The result of a run that nobody disturbs."""
    folder = place.folder("whole")
    done = place.end(place.start(folder, *ASKED, node=Rough()))
    assert done.code == 0, done.output
    (result,) = results_of(folder)
    return result


@pytest.fixture(scope="module", autouse=True)
def _busy(whole: CaseResult) -> Iterator[None]:
    """Keep all cores busy, once all is imported."""
    cores = len(os.sched_getaffinity(0))
    spinning = [subprocess.Popen([sys.executable, "-c", SPINNING]) for _ in range(cores)]
    yield
    for process in spinning:
        process.kill()
        process.wait()


@pytest.fixture
def random(request: pytest.FixtureRequest) -> Random:
    return Random(f"{request.node.name} {SEED}")


def journals(folder: Path) -> list[Journal]:
    return [Journal(path) for path in sorted(folder.glob("mlruns/journal/*/*.jsonl"))]


def results_of(folder: Path) -> list[CaseResult]:
    """Return the results of all runs, which have ended."""
    results = [journal.read().result for journal in journals(folder)]
    assert None not in results
    return [result for result in results if result is not None]


def size(folder: Path) -> int:
    """Return how much there is in all journals, in bytes."""
    found = 0
    for journal in journals(folder):
        with suppress(FileNotFoundError):
            found += journal.path.stat().st_size
    return found


def wait_for_a_moment(started: Started, folder: Path, random: Random) -> bool:
    """Wait until some more is in the journals; return whether the command still runs."""
    wanted = size(folder) + random.choice([0, 0, random.randrange(1, 20_000)])
    # Between two lines, as before the first and after the last one.
    later_s = random.uniform(0, 0.3)
    while size(folder) < wanted and started.process.is_alive():
        time.sleep(0.02)
    time.sleep(later_s)
    return started.process.is_alive()


def workers_of(started: Started) -> list[int]:
    with suppress(psutil.Error):
        return [child.pid for child in psutil.Process(started.process.pid).children()]
    return []


def tear(folder: Path) -> None:
    """Leave half a line at the end of journals that have no result yet, as a power cut does."""
    for journal in journals(folder):
        if journal.read().result is None:
            with journal.path.open("ab") as file:
                file.write(b'{"event": "trial", "values": {"ind')


def check_ledger(result: CaseResult) -> None:
    """Check that what trials used is in the account once, whoever was killed meanwhile."""
    used = [trial.account.phases["train"].energy_j for trial in result.trials]
    known = [joules for joules in used if joules is not None]
    # What a worker used that was killed, nobody knows, which is not 0.
    expected = pytest.approx(sum(known)) if len(known) == len(used) else None
    assert result.account.phases["train"].energy_j == expected


def check_equal(result: CaseResult, whole: CaseResult) -> None:
    """Check that a search came to what an undisturbed one comes to."""
    assert result.test_score == whole.test_score
    for trial, expected in zip(result.trials, whole.trials, strict=True):
        assert trial.index == expected.index
        assert trial.hyperparameters == expected.hyperparameters
        assert (trial.status, trial.val_score) == (expected.status, expected.val_score)
    check_ledger(result)
    for phase in ("train", "evaluate"):
        expected_j = whole.account.phases[phase].energy_j
        assert result.account.phases[phase].energy_j == pytest.approx(expected_j)


def check_store(folder: Path, uri: str = "", others: Collection[str] = ()) -> None:
    """Check that the store has each run once, with each of its trials, and besides only others."""
    store = Store(uri or f"sqlite:///{folder}/mlruns/mlflow.db")
    rows = [row for row in store.read_rows() if row["session"] not in others]
    sessions = sorted(journal.path.parent.name for journal in journals(folder))
    assert sorted(row["session"] for row in rows) == sessions
    assert len(store.read_trials(rows)) == TRIALS * len(sessions)


def check_trials(folder: Path) -> None:
    for journal in journals(folder):
        state = journal.read()
        assert [trial.index for trial in state.history] == list(range(TRIALS))
        assert (journal.path.parent / "done").exists()
        left = [each.name for each in journal.path.parent.iterdir()]
        assert not [name for name in left if name.endswith((".tmp", ".npz", ".owner"))]


def finish(place: Place, folder: Path, **surroundings: Any) -> Done:
    """Let the run that was disturbed last come to its end."""
    done = place.end(place.start(folder, *ASKED, node=Rough(**surroundings)))
    assert done.code == 0, done.output
    assert "Traceback" not in done.output
    return done


def test_run_that_is_killed_again_and_again_trains_each_trial_once(
    place: Place, whole: CaseResult, random: Random
) -> None:
    folder = place.folder("kills")
    for _ in range(MANY):
        # Its clock is wrong, and the last one's was so, too, by something else.
        clock_s = random.choice([0, random.uniform(-A_YEAR_S, A_YEAR_S)])
        code = 0
        # One that has ended by itself is no kill.
        while not code:
            started = place.start(folder, *ASKED, node=Rough(clock_s=clock_s))
            if wait_for_a_moment(started, folder, random):
                kill(started, with_workers=random.random() < 0.5)
            code = place.end(started).code
        assert code == KILLED
        if random.random() < 0.5:
            tear(folder)
    finish(place, folder, clock_s=-A_YEAR_S)
    check_trials(folder)
    for result in results_of(folder):
        check_equal(result, whole)
    check_store(folder)


def kill(started: Started, *, with_workers: bool) -> None:
    """Kill a command; its workers at once with it, or when they find out."""
    assert started.process.pid is not None
    # It may have ended just now.
    with suppress(ProcessLookupError):
        # It must not see them die.
        os.kill(started.process.pid, signal.SIGSTOP)
        for worker in workers_of(started) if with_workers else ():
            with suppress(ProcessLookupError):
                os.kill(worker, signal.SIGKILL)
        os.kill(started.process.pid, signal.SIGKILL)


def test_run_whose_workers_are_killed_again_and_again_loses_what_they_were_at(
    place: Place, whole: CaseResult, random: Random
) -> None:
    folder, killed = place.folder("workers"), 0
    for _ in range(MANY):
        started = place.start(folder, *ASKED, node=Rough())
        while killed < MANY and wait_for_a_moment(started, folder, random):
            for worker in workers_of(started):
                with suppress(ProcessLookupError):
                    os.kill(worker, signal.SIGKILL)
                    killed += 1
        done = place.end(started)
        # One that is killed outside a trial ends its case.
        assert done.code in (0, 1), done.output
        assert "Traceback" not in done.output
        if killed >= MANY:
            break
    finish(place, folder)
    check_trials(folder)
    check_store(folder)
    crashed = 0
    for result in results_of(folder):
        for trial, expected in zip(result.trials, whole.trials, strict=True):
            assert trial.hyperparameters == expected.hyperparameters
            if trial.status is TrialStatus.CRASHED:
                crashed += 1
                assert trial.account.total.energy_j is None
            else:
                assert (trial.status, trial.val_score) == (expected.status, expected.val_score)
        check_ledger(result)
    assert crashed <= killed


@pytest.fixture
def small(place: Place) -> Iterator[Path]:
    """A run's folder whose journal and store are on a disk of 48 MiB."""
    made, folder = place.folder("made"), place.shared / "small"
    disk = folder / "mlruns"
    disk.mkdir(parents=True)
    mount = ["mount", "-t", "tmpfs", "-o", "size=48m", "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting a small disk needs root, and a container that lets it")
    shutil.copytree(made / "mlruns", disk, dirs_exist_ok=True)
    yield folder
    subprocess.run(["umount", "--lazy", str(disk)], check=True)


def fill(filler: Path) -> None:
    """Leave no room on a disk."""
    with filler.open("wb", buffering=0) as file:
        for size in (2**20, 2**12, 1):
            with suppress(OSError):
                while file.write(b"x" * size):
                    pass


def test_disk_that_is_full_at_times_costs_no_trial(
    place: Place, small: Path, whole: CaseResult, random: Random
) -> None:
    filler = small / "mlruns" / "filler"
    for _ in range(MANY // 2):
        started = place.start(small, *ASKED, node=Rough())
        while wait_for_a_moment(started, small, random):
            fill(filler)
            time.sleep(random.uniform(0, 0.2))
            filler.unlink()
        done = place.end(started)
        assert done.code in (0, 1, 2), done.output
        assert "Traceback" not in done.output
        if done.code:
            errors = [line for line in done.output.splitlines() if line.startswith("Error")]
            assert any("No space left on device" in line for line in errors), done.output
    finish(place, small)
    assert place.run(small, "sync").code == 0
    check_trials(small)
    for result in results_of(small):
        check_equal(result, whole)
    check_store(small)


def test_store_that_comes_and_goes_has_each_result_once(
    place: Place, whole: CaseResult, random: Random, mlflow_server: Server
) -> None:
    folder = place.folder("store")
    # Other tests use the server, too.
    others = {row["session"] for row in Store(mlflow_server.database).read_rows()}
    with proxied(mlflow_server.port) as proxy:
        variables = (("MLFLOW_TRACKING_URI", proxy.url), ("MLFLOW_HTTP_REQUEST_TIMEOUT", "60"))
        rough = Rough(variables=variables)
        for _ in range(MANY // 3):
            proxy.harm(random.choice(AWAY), first=random.randrange(1, 90), times=9999)
            done = place.end(place.start(folder, *ASKED, node=rough))
            assert done.code == 0, done.output
            assert "Traceback" not in done.output
            proxy.harm(random.choice(AWAY), first=random.randrange(1, 90), times=9999)
            done = place.end(place.start(folder, "sync", node=rough))
            assert done.code in (0, 2), done.output
        proxy.harm()
        done = place.end(place.start(folder, "sync", node=rough))
        assert done.code == 0, done.output
    check_trials(folder)
    for result in results_of(folder):
        check_equal(result, whole)
    check_store(folder, mlflow_server.database, others)
