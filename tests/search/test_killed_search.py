"""A search that is killed at any write to the disk and taken up again ends as a whole one.

Some writes are made before it is killed, and of the others half; with ``GREENBENCH_TRY_ALL=1``,
each is tried both ways.
"""

import io
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest

from greenbench.architectures import build_architecture
from greenbench.backends import BuildRequest
from greenbench.cases import Case
from greenbench.energy.carbon import CarbonIntensity
from greenbench.errors import WorkerError
from greenbench.optimizers.options import optimizer_options
from greenbench.results import CaseResult, Trial, TrialStatus
from greenbench.results.journal import Journal
from greenbench.running.executor import Job, WorkerPool
from greenbench.running.worker_process import BrokenOffError
from greenbench.search.bench import Bench
from greenbench.search.repeat import run_repeat
from greenbench.settings import Settings
from greenbench.tabular import write_recording
from greenbench.tabular.backend import TabularBackend
from tests.tabular.recordings import EPOCHS, make_recording

ALL = bool(os.environ.get("GREENBENCH_TRY_ALL"))
CASE = Case("random", "dense", "tabular", size="xs", trials=8, epochs=EPOCHS)
FEW = replace(CASE, trials=2)
AGAIN = replace(CASE, trials=3, reevaluate=2)
PAUSING = replace(CASE, strategy="random+asha", trials=6)
CASES = pytest.mark.parametrize(
    "case",
    [
        pytest.param(FEW, id="few"),
        pytest.param(CASE, id="whole", marks=pytest.mark.integration),
        pytest.param(AGAIN, id="again", marks=pytest.mark.integration),
        pytest.param(PAUSING, id="pausing", marks=pytest.mark.integration),
    ],
)


class KilledError(BaseException):
    """Nobody catches what a killed process does not live to see."""


@dataclass
class Disk:
    """Counts the changes that are made to it; one of them is the last that a process makes.

    Attributes
    ----------
    fatal : int or None
        Number of that change, from 1.
    is_done : bool
        Whether it is still made; of a write that is not, half is.
    """

    fatal: int | None = None
    is_done: bool = False
    changes: int = 0
    is_dead: bool = False

    def change(self, make: Callable[[], Any], half: Callable[[], Any] | None = None) -> Any:
        if self.is_dead:
            raise KilledError
        self.changes += 1
        if self.changes != self.fatal:
            return make()
        self.is_dead = True
        if self.is_done:
            make()
        elif half:
            half()
        raise KilledError

    def revive(self) -> None:
        self.fatal, self.is_dead = None, False


class File(io.FileIO):
    """A file whose changes count."""

    disk: Disk

    def write(self, content: Any) -> int:
        data, write = bytes(content), super().write
        written = self.disk.change(partial(write, data), partial(write, data[: len(data) // 2]))
        return int(written)

    def truncate(self, size: int | None = None) -> int:
        return int(self.disk.change(partial(super().truncate, size)))


KEEPS_ARCHIVES = pytest.mark.filterwarnings(
    # NumPy below 2 leaves an archive open whose writing failed.
    "ignore:.*ZipFile.__del__:pytest.PytestUnraisableExceptionWarning"
)


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    disk = Disk()
    open_, replace_, unlink = Path.open, Path.replace, Path.unlink

    def open_fragile(path: Path, mode: str = "r", *arguments: Any, **options: Any) -> Any:
        if "b" not in mode or "r" in mode:
            return open_(path, mode, *arguments, **options)
        file = disk.change(partial(File, path, mode))
        file.disk = disk
        return io.BufferedRandom(file) if "+" in mode else io.BufferedWriter(file)

    monkeypatch.setattr(Path, "open", open_fragile)
    # Who is killed does not notice whether it was real; it would take most of the time.
    monkeypatch.setattr(os, "fsync", lambda number: disk.change(lambda: None))
    monkeypatch.setattr(
        Path, "replace", lambda path, target: disk.change(partial(replace_, path, target))
    )
    monkeypatch.setattr(
        Path, "unlink", lambda path, **options: disk.change(partial(unlink, path, **options))
    )
    return disk


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("recordings")
    write_recording(make_recording(), folder)
    return folder


@pytest.fixture(scope="module")
def backend(recordings: Path) -> TabularBackend:
    return TabularBackend("tabular", threads=1, folder=recordings)


@pytest.fixture(scope="module")
def bench(backend: TabularBackend) -> Bench:
    return Bench(
        backend=backend,
        meter=backend.meter(),
        control=backend.meter(),
        intensity=CarbonIntensity(100.0, "a test"),
        environment={"host": "here"},
        data_dir=Path(),
        emit=lambda event, values: None,
        clock=backend.now_s,
    )


@pytest.fixture
def killed_at(disk: Disk, tmp_path: Path) -> Callable[..., Iterator[Path]]:
    """Yield a folder for each moment at which a process may be killed while it runs something."""

    def moments(run: Callable[[Path], object]) -> Iterator[Path]:
        whole = tmp_path / "whole"
        whole.mkdir()
        disk.changes = 0
        run(whole)
        for number in range(1, disk.changes + 1):
            # Those of a kind recur with each trial, at equal distances.
            drawn = [Random(number).random() < 0.5]
            for is_done in (False, True) if ALL else drawn:
                folder = tmp_path / f"{number}-{is_done}"
                folder.mkdir()
                disk.fatal, disk.is_done, disk.changes = number, is_done, 0
                yield folder
                assert not disk.is_dead
                disk.fatal = None

    return moments


def tested(backend: TabularBackend, case: Case, trial: Trial) -> float:
    """Return the test accuracy of a trial that is trained alone."""
    backend.open(case)
    request = BuildRequest(
        build_architecture("dense", (1, 8, 8), 10, size="xs"),
        optimizer_options("adam", trial.hyperparameters),
        case.batch_size,
        case.derive_seed(0, "trial", trial.index),
    )
    model = backend.build(request)
    for _ in range(EPOCHS):
        model.train_epoch(np.arange(64))
    return model.evaluate("test")


def outcome(result: CaseResult) -> list[tuple[int, Mapping[str, float], str, float | None]]:
    return [
        (trial.index, trial.hyperparameters, trial.status.value, trial.val_score)
        for trial in result.trials
    ]


def lines_of(journal: Journal) -> list[tuple[int, int]]:
    """Return index and number of segments of each line: what was done, and when."""
    return [(trial.index, len(trial.segments)) for trial in journal.read().history]


@CASES
@KEEPS_ARCHIVES
def test_killed_search_goes_on_as_if_it_had_not_been(
    bench: Bench, disk: Disk, killed_at: Callable[..., Iterator[Path]], case: Case, tmp_path: Path
) -> None:
    assert isinstance(bench.backend, TabularBackend)

    def run(folder: Path) -> CaseResult:
        return run_repeat(bench, case, 0, "tests", Journal.of(folder, case, 0))

    moments = 0
    whole: CaseResult | None = None
    for folder in killed_at(run):
        journal = Journal.of(folder, case, 0)
        whole = whole or Journal.of(tmp_path / "whole", case, 0).read().result
        with pytest.raises(KilledError):
            run(folder)
        disk.revive()
        before = lines_of(journal)
        result = journal.read().result or run(folder)

        assert whole is not None
        assert lines_of(journal)[: len(before)] == before
        assert len(set(lines_of(journal))) == len(lines_of(journal))
        assert TrialStatus.CRASHED not in {trial.status for trial in result.trials}
        if not case.scheduler:
            assert outcome(result) == outcome(whole)
        assert result.incumbent is not None
        assert result.test_score == tested(bench.backend, case, result.incumbent)
        moments += 1
    assert moments > (2 if ALL else 1) * 3 * case.trials


class InProcess:
    """A worker that lives here, and dies with the disk."""

    files: tuple[str, ...] = ()
    log = "no log"

    def __init__(self, bench: Bench, disk: Disk) -> None:
        self._bench, self._disk = bench, disk

    def wait_until_ready(self) -> None:
        pass

    def stop(self) -> None:
        pass

    def run(self, job: Mapping[str, Any], on_event: Callable[..., None], limit_s: float) -> None:
        current: dict[int, Mapping[str, Any]] = {}

        def emit(event: str, values: Mapping[str, Any]) -> None:
            if self._disk.is_dead:
                raise KilledError
            if event == "trial_started":
                current[values["index"]] = values
            elif event == "trial_finished":
                del current[values["index"]]
            on_event(event, values)

        case, journal = Case.from_dict(job["case"]), Journal(Path(job["journal"]))
        try:
            run_repeat(replace(self._bench, emit=emit), case, 0, "tests", journal)
        except KilledError:
            self._disk.revive()
            lost = [
                Trial(
                    each["index"],
                    each["hyperparameters"],
                    TrialStatus.CRASHED,
                    reevaluates=each["reevaluates"],
                )
                for each in current.values()
            ]
            raise BrokenOffError("was killed", lost) from None


@pytest.mark.slow
@CASES
@KEEPS_ARCHIVES
def test_worker_that_is_killed_costs_at_most_the_trial_that_it_was_at(
    bench: Bench,
    disk: Disk,
    killed_at: Callable[..., Iterator[Path]],
    case: Case,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert isinstance(bench.backend, TabularBackend)
    monkeypatch.setattr(
        "greenbench.running.executor.WorkerProcess",
        lambda *arguments, **options: InProcess(bench, disk),
    )
    monkeypatch.setattr("greenbench.running.executor.git_revision", lambda branch: {})

    def run(folder: Path) -> CaseResult:
        settings = Settings.from_environment({})
        pool = WorkerPool(settings, bench.intensity, folder)
        job = Job(case, 0, "tests", Journal.of(folder, case, 0))
        ended: list[tuple[int, str]] = []

        def note(event: str, values: Mapping[str, Any]) -> None:
            if event == "trial_finished":
                ended.append((values["index"], values["status"]))

        try:
            result = pool.run(job, note)
        except WorkerError:
            # It was at no trial: the same command goes on.
            result = job.journal.read().result or pool.run(job, note)
        history = job.journal.read().history
        assert ended == [(trial.index, trial.status.value) for trial in history]
        return result

    for folder in killed_at(run):
        result = run(folder)
        journal = Journal.of(folder, case, 0)
        assert len(set(lines_of(journal))) == len(lines_of(journal))
        crashed = [t for t in journal.read().history if t.status is TrialStatus.CRASHED]
        assert len(crashed) <= 1
        assert result.incumbent is not None
        assert result.test_score == tested(bench.backend, case, result.incumbent)
