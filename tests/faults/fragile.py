"""The whole command line in one process, on a disk that fails or lets it die at a chosen change.

Its workers live in the same process and replay a recording, so that a run takes a second and is
the same each time, however busy the machine: what a change's number is in one run, it is in all.
Processes are forked from one that has imported everything: `run`.
"""

import fcntl
import io
import json
import math
import multiprocessing
import os
import platform
import shutil
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest

from greenbench.backends.base import ReplayingBackend
from greenbench.cases import Case
from greenbench.energy.carbon import CarbonIntensity
from greenbench.energy.idle import IdlePower
from greenbench.machine import claims, owners
from greenbench.machine.claims import Fence
from greenbench.machine.environment import describe_environment
from greenbench.results.journal import Journal
from greenbench.running import delivery
from greenbench.running.worker_surroundings import open_log
from greenbench.search.bench import Bench
from greenbench.search.repeat import run_repeat
from greenbench.tabular import write_recording
from greenbench.tabular.backend import TabularBackend
from greenbench.tracking import Store
from tests.faults import rough
from tests.faults.made_up_nodes import make_up
from tests.faults.rough import Rough
from tests.tabular.recordings import EPOCHS, make_recording

CHANGES = "changes.json"
OUTPUT = "output.txt"
PRELOADED = [
    "tests.faults.fragile",
    "greenbench.cli",
    "greenbench.running.session",
    "greenbench.terminal",
    "greenbench.terminal.progress",
    "greenbench.strategies.random",
    "greenbench.reports.write",
    "sklearn.gaussian_process",
    "mlflow.store.tracking.sqlalchemy_store",
    *rough.MODULES,
]
KILLED = -signal.SIGKILL
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
EVENTS = {
    "os.rename": "rename", "os.remove": "remove", "os.mkdir": "mkdir", "os.rmdir": "rmdir",
    "os.truncate": "truncate",
}  # fmt: skip


@dataclass(frozen=True)
class Change:
    """One change that is made to the disk: a kind, such as ``fsync``, and of which file."""

    kind: str
    path: str


@dataclass(frozen=True)
class Fault:
    """What happens at a change, instead of it.

    Attributes
    ----------
    number : int
        Which change, from 0, of those that `of` and `kind` leave.
    of : str
        Part of the path of the file; any if empty.
    kind : str
        Any if empty.
    signal : int
        What the process gets; none if 0.
    error : int
        Number of the error that the system tells, now and at each such change that follows.
    pause_s : float
        For how many seconds nothing happens before it, as on a machine that is busy.
    """

    number: int = 0
    of: str = ""
    kind: str = ""
    signal: int = 0
    error: int = 0
    pause_s: float = 0.0


@dataclass
class Disk:
    """Notes the changes that are made in a folder, and lets one of them fail."""

    folder: str
    fault: Fault | None
    is_calm: bool = False

    def __post_init__(self) -> None:
        self.changes: list[Change] = []
        self._met = 0

    def change(self, kind: str, path: object, half: Callable[[], object] | None = None) -> None:
        name = os.path.abspath(os.fsdecode(path)) if isinstance(path, str | bytes | Path) else ""  # noqa: PTH100
        if self.is_calm or not name.startswith(self.folder):
            return
        change = Change(kind, name.removeprefix(self.folder).lstrip("/"))
        self.changes.append(change)
        fault = self.fault
        if fault is None or fault.of not in change.path or fault.kind not in ("", kind):
            return
        self._met += 1
        if self._met - 1 == fault.number:
            time.sleep(fault.pause_s)
        # After Ctrl+C, what was not written is, when the file is closed.
        if self._met - 1 == fault.number and half and fault.signal != signal.SIGINT:
            half()
        if self._met - 1 == fault.number and fault.signal:
            os.kill(os.getpid(), fault.signal)
        if self._met - 1 >= fault.number and fault.error:
            raise OSError(fault.error, os.strerror(fault.error), name)

    def hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Note what Python tells of opened, renamed and removed files."""
        if event == "open" and isinstance(arguments[2], int) and arguments[2] & WRITING:
            self.change("open", arguments[0])
        elif event in EVENTS:
            self.change(EVENTS[event], arguments[0])


class File(io.FileIO):
    """A file whose writes are noted."""

    disk: Disk

    def write(self, content: Any) -> int:
        data, write = bytes(content), super().write
        self.disk.change("write", self.name, half=lambda: write(data[: len(data) // 2]))
        return int(write(data))


def install(disk: Disk) -> None:
    """Let a disk note what this process, which ends soon, does."""
    open_, fsync = Path.open, os.fsync

    def open_noted(path: Path, mode: str = "r", *arguments: Any, **options: Any) -> Any:
        if "b" not in mode or mode == "rb":
            return open_(path, mode, *arguments, **options)
        file = File(path, mode)
        file.disk = disk
        return io.BufferedRandom(file) if "+" in mode else io.BufferedWriter(file)

    def fsync_noted(number: int) -> None:
        disk.change("fsync", Path(f"/proc/self/fd/{number}").readlink())
        fsync(number)

    Path.open = open_noted  # type: ignore[method-assign, assignment]
    os.fsync = fsync_noted  # type: ignore[assignment]
    sys.addaudithook(disk.hook)
    _note_statements(disk)


def _note_statements(disk: Disk) -> None:
    from sqlalchemy import Engine, event  # noqa: PLC0415

    def execute(connection: Any, cursor: Any, statement: str, *_: Any) -> None:
        if not statement.lstrip().startswith(("SELECT", "PRAGMA", "BEGIN")):
            disk.change("statement", connection.engine.url.database)

    event.listen(Engine, "before_cursor_execute", execute)
    event.listen(
        Engine, "commit", lambda connection: disk.change("commit", connection.engine.url.database)
    )


class Worker:
    """A worker that lives in its parent's process."""

    files: Sequence[str] = ()
    is_spent = False
    device = "recording"
    is_alive = True
    measures = True
    idle_w = (10.0, 12.0)

    def __init__(self, backend: str, module: str, set_up: Mapping[str, Any], log: Path, **_: Any):
        self.log = log
        open_log(log).close()
        replayed = TabularBackend(backend, threads=1)
        self._bench = Bench(
            backend=replayed,
            meter=replayed.meter(),
            control=replayed.meter(),
            intensity=CarbonIntensity(**set_up["intensity"]),
            environment=describe_environment(1, replayed.describe(), set_up["revision"]),
            data_dir=Path(),
            emit=lambda event, values: None,
            clock=replayed.now_s,
        )
        self._idle_w = iter(self.idle_w)
        assert isinstance(replayed, ReplayingBackend)

    def wait_until_ready(self) -> None:
        pass

    def stop(self) -> None:
        pass

    def warm_up(self, case: Mapping[str, Any], repeat: int, limit_s: float) -> None:
        pass

    def measure_idle(self, seconds: float) -> IdlePower:
        return IdlePower({"cpu": next(self._idle_w)})

    def data_of(self, case: Mapping[str, Any], repeat: int, limit_s: float) -> dict[str, Any]:
        from greenbench.search.repeat import data_of  # noqa: PLC0415

        return data_of(self._bench, Case.from_dict(dict(case)), repeat)

    def run(self, job: Mapping[str, Any], on_event: Callable[..., None], limit_s: float) -> None:
        from greenbench.errors import ConfigurationError, GreenbenchError  # noqa: PLC0415

        bench = replace(self._bench, emit=on_event, idle_w=job["idle_w"], mixed=job["mixed"])
        fence = job["fence"] and Fence(Path(job["fence"]["note"]), job["fence"]["token"])
        journal = Journal(Path(job["journal"]), fence)
        try:
            run_repeat(bench, Case.from_dict(job["case"]), job["repeat"], job["suite"], journal)
        except GreenbenchError as error:
            # What a worker tells of errors.
            raise ConfigurationError(str(error)) from None


@dataclass(frozen=True)
class Node:
    """A made-up machine, which shares a folder with others where each lock is granted to all.

    Attributes
    ----------
    name : str
        Its own.
    looks : int
        How often it looks for a sign of life of others.
    """

    name: str
    looks: int

    def be(self, folder: Path) -> None:
        """Let this process, which ends soon, be on it; what is its own is in a folder."""
        owners.PROC = make_up(folder / self.name)
        fcntl.flock = lambda *_: None  # type: ignore[assignment]
        claims.BEAT_S, claims.LOOK_S, claims.LOOKS = 0.01, 0.02, self.looks
        platform.node = lambda: self.name


def _pace(*, is_late: bool) -> None:
    """Let no clock decide which results the store is told between repeats, and which at the end."""
    delivery.BETWEEN_S = 0.0 if is_late else math.inf
    delivery.SILENT_S = math.inf


def _child(
    arguments: Sequence[str],
    folder: Path,
    fault: Fault | None,
    shared: Path,
    place: Node | Rough | None,
    *,
    is_late: bool,
) -> None:
    ours = f"{place.name}-" if place else ""
    with (shared / f"{ours}{OUTPUT}").open("wb") as output:
        os.dup2(output.fileno(), 1)
        os.dup2(output.fileno(), 2)
    os.chdir(folder)
    for name in list(os.environ):
        if name.startswith(("GREENBENCH_", "MLFLOW_", "CODECARBON_")):
            del os.environ[name]
    os.environ |= {
        "GREENBENCH_RUNS_DIR": str(folder / "mlruns"),
        "GREENBENCH_TABULAR_DIR": str(shared / "recordings"),
        "GREENBENCH_HOST_LOCK": str(shared / "host.lock"),
        "GREENBENCH_THREADS": "1",
        "GREENBENCH_COUNTRY": "NLD",
        "COLUMNS": "200",
    }
    if place:
        place.be(shared)
    from greenbench import cli  # noqa: PLC0415
    from greenbench.running import executor  # noqa: PLC0415

    if not isinstance(place, Rough):
        _pace(is_late=is_late)
        executor.WorkerProcess = Worker  # type: ignore[assignment, misc]
    disk = Disk(str(folder), fault)
    install(disk)
    try:
        cli.cli(list(arguments), standalone_mode=True)
    finally:
        disk.is_calm = True
        changes = [[change.kind, change.path] for change in disk.changes]
        (shared / f"{ours}{CHANGES}").write_text(json.dumps(changes))
        for stream in (sys.stdout, sys.stderr):
            stream.flush()


@dataclass(frozen=True)
class Done:
    """What became of a process: its exit code, what it printed, what it changed if it ended."""

    code: int
    output: str
    changes: tuple[Change, ...]


@dataclass(frozen=True)
class Started:
    """A process that runs the command line, and on which machine."""

    process: BaseProcess
    node: Node | Rough | None


@dataclass(frozen=True)
class Place:
    """A folder to run in, and what runs share: recordings, and a store that is made already."""

    shared: Path

    def make(self) -> None:
        """Put there what runs share."""
        write_recording(make_recording(), self.shared / "recordings")
        Store(f"sqlite:///{self.shared}/mlruns/mlflow.db")

    def folder(self, name: str) -> Path:
        """Return a new folder, with a fresh store."""
        folder = self.shared / name
        shutil.copytree(self.shared / "mlruns", folder / "mlruns")
        return folder

    def run(
        self, folder: Path, *arguments: str, fault: Fault | None = None, is_late: bool = False
    ) -> Done:
        """Run the command line in a process of its own; `is_late`: the store is told at the end."""
        return self.end(self.start(folder, *arguments, fault=fault, is_late=is_late))

    def start(
        self,
        folder: Path,
        *arguments: str,
        fault: Fault | None = None,
        node: Node | Rough | None = None,
        is_late: bool = False,
    ) -> Started:
        """Start the command line, on a made-up machine or in rough surroundings if so asked."""
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(PRELOADED)
        self._of(node, CHANGES).unlink(missing_ok=True)
        # It may be killed before it says anything.
        self._of(node, OUTPUT).write_bytes(b"")
        given = (arguments, folder, fault, self.shared, node)
        process = context.Process(target=_child, args=given, kwargs={"is_late": is_late})
        with pytest.MonkeyPatch.context() as patch:
            # Many small matrices: threads would wait for each other.
            patch.setenv("OMP_NUM_THREADS", "1")
            patch.setenv("OPENBLAS_NUM_THREADS", "1")
            process.start()
        return Started(process, node)

    def end(self, started: Started) -> Done:
        """Wait for the end of a process."""
        started.process.join()
        changes = self._of(started.node, CHANGES)
        made = json.loads(changes.read_text()) if changes.exists() else []
        code = started.process.exitcode
        assert code is not None
        output = self._of(started.node, OUTPUT).read_text()
        return Done(code, output, tuple(Change(*each) for each in made))

    def _of(self, node: Node | Rough | None, name: str) -> Path:
        return self.shared / (f"{node.name}-{name}" if node else name)


def command(strategy: str = "random", trials: int = 12, repeats: int = 1) -> tuple[str, ...]:
    """Return the arguments of a search that is replayed."""
    budget = ("--trials", str(trials), "--epochs", str(EPOCHS), "--repeats", str(repeats))
    return ("run", "-s", strategy, "-a", "dense.xs", "-b", "tabular", *budget)
