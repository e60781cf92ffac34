"""Two machines that share a folder on which every lock is granted: a trial is trained by one."""

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from greenbench.results.journal import Journal
from greenbench.running.manifest import state_of
from greenbench.tracking import Store
from tests.faults.fragile import Fault, Node, Place, Started, command

pytestmark = pytest.mark.integration

TRIALS = 12
FIRST = Node("first", looks=1)
SECOND = Node("second", looks=3)
PATIENT = Node("patient", looks=9999)

Start = Callable[..., Started]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    place = Place(tmp_path_factory.mktemp("nodes"))
    place.make()
    return place


@pytest.fixture
def start(place: Place) -> Iterator[Start]:
    """Start commands, which do not outlive the test."""
    all_started: list[Started] = []

    def start(folder: Path, *asked: str, **options: object) -> Started:
        all_started.append(place.start(folder, *asked, **options))  # type: ignore[arg-type]
        return all_started[-1]

    yield start
    for each in all_started:
        if each.process.is_alive():
            each.process.kill()
        each.process.join()


def asleep(started: Started) -> bool:
    stat = Path(f"/proc/{started.process.pid}/stat").read_text()
    return stat.rpartition(")")[2].split()[0] == "T"


def check_whole(folder: Path) -> None:
    """Check that there is one run, complete and delivered, with each trial once."""
    (path,) = folder.glob("mlruns/journal/*/*.jsonl")
    state = Journal(path).read()
    assert [trial.index for trial in state.history] == list(range(TRIALS))
    assert state.result is not None
    assert state.is_delivered
    assert state_of(path.parent) == "complete"
    assert not [each for each in path.parent.iterdir() if each.suffix in (".tmp", ".owner")]
    store = Store(f"sqlite:///{folder}/mlruns/mlflow.db")
    rows = store.read_rows()
    assert len(rows) == 1
    assert len(store.read_trials(rows)) == TRIALS


@pytest.mark.parametrize(
    "fault",
    [
        Fault(3, ".jsonl", "open", signal.SIGSTOP),
        Fault(4, ".jsonl", "write", signal.SIGSTOP),
        Fault(3, ".npz", "rename", signal.SIGSTOP),
        Fault(0, "idle-drift", "write", signal.SIGSTOP),
    ],
    ids=lambda fault: f"{fault.of}-{fault.kind}",
)
def test_run_of_a_machine_that_fell_asleep_goes_on_elsewhere_and_stops_when_it_wakes_up(
    place: Place,
    start: Start,
    tmp_path: Path,
    fault: Fault,
    eventually: Callable[[Callable[[], object]], None],
) -> None:
    folder = place.folder(tmp_path.name)
    asked = command(trials=TRIALS)
    sleeper = start(folder, *asked, fault=fault, node=FIRST)
    eventually(lambda: asleep(sleeper))
    (run,) = (folder / "mlruns/journal").iterdir()

    done = place.end(start(folder, *asked, node=SECOND))

    assert done.code == 0, done.output
    assert f"the run {run.name} is taken over from a process on first" in done.output
    assert f"resuming {run.name}" in done.output
    check_whole(folder)

    assert sleeper.process.pid is not None
    os.kill(sleeper.process.pid, signal.SIGCONT)
    woken = place.end(sleeper)

    assert woken.code == 2, woken.output
    assert "Traceback" not in woken.output
    (line,) = [line for line in woken.output.splitlines() if line.startswith("Error")]
    assert f"{run.name} was taken over by another greenbench" in line
    check_whole(folder)


def test_run_of_a_machine_that_died_goes_on_elsewhere(
    place: Place, start: Start, tmp_path: Path
) -> None:
    folder = place.folder(tmp_path.name)
    fault = Fault(4, ".jsonl", "write", signal.SIGKILL)
    place.end(start(folder, *command(trials=TRIALS), fault=fault, node=FIRST))
    (run,) = (folder / "mlruns/journal").iterdir()
    # Nobody here can tell.
    assert state_of(run) == "unknown"

    done = place.end(start(folder, *command(trials=TRIALS), node=SECOND))

    assert done.code == 0, done.output
    assert "which shows no sign of life" in done.output
    check_whole(folder)


def test_run_of_a_machine_that_lives_is_left_to_it(
    place: Place, start: Start, tmp_path: Path, eventually: Callable[[Callable[[], object]], None]
) -> None:
    folder = place.folder(tmp_path.name)
    asked = command(trials=TRIALS)
    running = start(folder, *asked, fault=Fault(4, ".jsonl", "open", signal.SIGSTOP), node=FIRST)
    eventually(lambda: asleep(running))
    (run,) = (folder / "mlruns/journal").iterdir()
    other = start(folder, *asked, node=PATIENT)
    said = place.shared / f"{PATIENT.name}-output.txt"
    eventually(lambda: "looking for signs of life" in said.read_text())

    assert running.process.pid is not None
    os.kill(running.process.pid, signal.SIGCONT)
    first, second = place.end(running), place.end(other)

    assert (first.code, second.code) == (0, 0), first.output + second.output
    # Whether it was seen alive, or at its end.
    assert "is taken over" not in second.output
    assert "resuming" not in second.output
    runs = sorted(folder.glob("mlruns/journal/*/*.jsonl"))
    assert next(path.parent for path in runs) == run
    for path in runs:
        assert [trial.index for trial in Journal(path).read().history] == list(range(TRIALS))
    assert len(Store(f"sqlite:///{folder}/mlruns/mlflow.db").read_rows()) == len(runs) == 2
