"""A disk that is full, read-only or broken at one file: one line, nothing lost, and it goes on."""

import errno
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from greenbench.results.journal import Journal
from greenbench.tracking import Store
from tests.conftest import Greenbench
from tests.faults.fragile import Fault, Place, command

pytestmark = pytest.mark.integration

TRIALS = 12
ADVICE = {
    errno.ENOSPC: ("No space left on device", "make room"),
    errno.EDQUOT: ("quota exceeded", "make room within your quota"),
    errno.EIO: ("Input/output error", "see to the disk"),
    errno.EROFS: ("Read-only file system", "choose a folder that you may write"),
}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    place = Place(tmp_path_factory.mktemp("disks"))
    place.make()
    return place


@pytest.fixture
def folder(place: Place, request: pytest.FixtureRequest) -> Path:
    return place.folder(re.sub(r"\W", "-", request.node.name))


def trials_of(folder: Path) -> list[int]:
    return [
        trial.index
        for path in sorted(folder.glob("mlruns/journal/*/*.jsonl"))
        for trial in Journal(path).read().history
    ]


def check_whole(folder: Path) -> None:
    """Check that there is one run, complete and delivered, with each trial once."""
    assert trials_of(folder) == list(range(TRIALS))
    (journal,) = folder.glob("mlruns/journal/*/*.jsonl")
    assert Journal(journal).read().is_delivered
    assert not [path for path in journal.parent.iterdir() if path.suffix in (".tmp", ".npz")]
    store = Store(f"sqlite:///{folder}/mlruns/mlflow.db")
    rows = store.read_rows()
    assert len(rows) == 1
    assert len(store.read_trials(rows)) == TRIALS


@pytest.mark.parametrize(
    "fault",
    [
        Fault(0, "run.json", "write", error=errno.ENOSPC),
        Fault(0, "worker-tabular", "open", error=errno.EROFS),
        Fault(0, ".jsonl", "write", error=errno.EDQUOT),
        Fault(4, ".jsonl", "write", error=errno.ENOSPC),
        Fault(4, ".jsonl", "fsync", error=errno.EIO),
        Fault(3, ".npz", "write", error=errno.ENOSPC),
        Fault(1, ".npz", "rename", error=errno.EROFS),
        Fault(0, "/done", "fsync", error=errno.ENOSPC),
    ],
    ids=lambda fault: f"{fault.of}-{fault.kind}-{fault.number}",
)
def test_run_that_cannot_be_written_ends_with_one_line_and_goes_on_when_there_is_room(
    place: Place, folder: Path, fault: Fault
) -> None:
    done = place.run(folder, *command(trials=TRIALS), fault=fault)

    assert done.code in (1, 2), done.output
    assert "Traceback" not in done.output
    (line,) = [line for line in done.output.splitlines() if "cannot be written" in line]
    reason, advice = ADVICE[fault.error]
    assert line.startswith("Error: ")
    assert fault.of in line
    assert reason in line
    assert advice in line
    before = trials_of(folder)

    again = place.run(folder, *command(trials=TRIALS))

    assert again.code == 0, again.output
    assert trials_of(folder)[: len(before)] == before
    check_whole(folder)


@pytest.mark.parametrize("kind", ["statement", "commit"])
def test_results_wait_while_the_store_has_no_room(place: Place, folder: Path, kind: str) -> None:
    fault = Fault(5, of="mlflow.db", kind=kind, error=errno.ENOSPC)
    done = place.run(folder, *command(trials=TRIALS), fault=fault)

    assert done.code == 0, done.output
    assert "Traceback" not in done.output
    assert done.output.count("results are kept in the journal, and the run goes on") == 1
    assert "`greenbench sync` delivers them" in done.output

    synced = place.run(folder, "sync")

    assert "delivered 1 result" in synced.output, synced.output
    check_whole(folder)
    (row,) = Store(f"sqlite:///{folder}/mlruns/mlflow.db").read_rows()
    assert row["idle_drift"] == pytest.approx(0.2)


@pytest.mark.parametrize("kind", ["open", "write", "fsync", "rename"])
def test_idle_drift_reaches_the_store_though_nobody_can_note_it(
    place: Place, folder: Path, kind: str
) -> None:
    fault = Fault(of="idle-drift", kind=kind, error=errno.ENOSPC)
    done = place.run(folder, *command(trials=TRIALS), fault=fault)

    assert done.code == 0, done.output
    (line,) = [line for line in done.output.splitlines() if "cannot be written" in line]
    assert "idle-drift.json cannot be written (No space left on device)" in line
    check_whole(folder)
    (row,) = Store(f"sqlite:///{folder}/mlruns/mlflow.db").read_rows()
    assert row["idle_drift"] == pytest.approx(0.2)
    # Nothing half-written is in the way of later deliveries.
    synced = place.run(folder, "sync")
    assert (synced.code, "delivered 0 result" in synced.output) == (0, True), synced.output


def test_run_whose_folder_somebody_removes_ends_with_one_line(place: Place, folder: Path) -> None:
    # As the system tells of a file whose folder is gone.
    fault = Fault(4, of=".jsonl", kind="open", error=errno.ENOENT)
    done = place.run(folder, *command(trials=TRIALS), fault=fault)
    assert done.code == 2, done.output
    assert "somebody removed its folder" in done.output
    assert "Traceback" not in done.output


@pytest.fixture(scope="module")
def finished(place: Place) -> Path:
    """The folder of a run that has ended."""
    folder = place.folder("finished")
    assert place.run(folder, *command(trials=TRIALS)).code == 0
    return folder


@pytest.mark.parametrize("of", ["report.html", "samples.csv", ".png"])
def test_report_that_has_no_room_leaves_no_half_of_a_file(
    place: Place, finished: Path, folder: Path, of: str
) -> None:
    shutil.copytree(finished, folder, dirs_exist_ok=True)
    fault = Fault(of=of, kind="fsync", error=errno.ENOSPC)
    done = place.run(folder, "report", "--no-log", fault=fault)

    assert done.code == 2, done.output
    assert done.output.count("\n") == 1
    assert "No space left on device" in done.output
    written = [path for path in (folder / "mlruns/report").rglob("*") if path.is_file()]
    assert not [path for path in written if of in path.name or path.suffix == ".tmp"]
    assert place.run(folder, "report", "--no-log").code == 0


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A disk of 48 MiB."""
    folder = tmp_path / "mlruns"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=48m", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting a small disk needs root, and a container that lets it")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_disk_that_fills_up_in_a_real_run_costs_no_finished_trial(
    greenbench: Greenbench, small: Path, eventually: Callable[[Callable[[], object]], None]
) -> None:
    asked = ("run", "-s", "random", "-a", "simple_cnn.m", "-d", "digits", "--repeats", "1")
    asked = (*asked, "--epochs", "4", "--trials", "8")
    running = greenbench.start(*asked)
    eventually(lambda: len(trials_of(greenbench.folder)) >= 2)
    filler = small / "filler"
    workers = psutil.Process(running.pid).children(recursive=True)
    # Or the run might end before the disk is full.
    for each in workers:
        each.suspend()
    with filler.open("wb", buffering=0) as file:
        for size in (2**20, 2**12, 1):
            with suppress(OSError):
                while file.write(b"x" * size):
                    pass
    for each in workers:
        each.resume()
    output, _ = running.communicate()

    assert running.returncode == 2, output
    assert "Traceback" not in output
    (line,) = [line for line in output.splitlines() if "finished trials are kept" in line]
    assert "cannot be written (No space left on device)" in line
    assert "make room, then run the same command again" in line
    before = trials_of(greenbench.folder)
    assert len(before) >= 2

    filler.unlink()
    done = greenbench(*asked)

    assert done.returncode == 0, done.stderr
    assert "resuming" in done.stderr
    assert trials_of(greenbench.folder) == list(range(8))
    assert len(Store(f"sqlite:///{small}/mlflow.db").read_rows()) == 1
