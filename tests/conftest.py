"""Fixtures for all tests: nothing here touches the user's own store, lock or settings."""

import itertools
import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import chdir, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import hypothesis
import psutil
import pytest
from click.testing import CliRunner

from greenbench.cli import cli
from greenbench.tracking import Store
from tests.mlflow_server import Server, mlflow_server_in

if TYPE_CHECKING:
    from mlflow import MlflowClient

pytest_plugins = ["pytester"]

# Shared machines stall; how long an example takes says nothing here. CI must not fail for
# an example that nobody's change has to do with: new ones are for those who look.
hypothesis.settings.register_profile(
    "greenbench",
    deadline=None,
    derandomize="CI" in os.environ,
    max_examples=50,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
# For a second run of what has passed, with other releases of packages.
hypothesis.settings.register_profile(
    "few", hypothesis.settings.get_profile("greenbench"), max_examples=10
)
hypothesis.settings.load_profile("greenbench")

# A shell that runs the tests in the background, or nohup, lets them ignore these signals, and so
# whatever they start.
for _number, _handler in (
    (signal.SIGINT, signal.default_int_handler),
    (signal.SIGHUP, signal.SIG_DFL),
):
    if signal.getsignal(_number) is signal.SIG_IGN:
        signal.signal(_number, _handler)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int | None:
    """Return what ``-n logical`` means: one process more than there are CPUs, since many wait."""
    if config.getoption("numprocesses") != "logical":
        return None
    from joblib import cpu_count  # noqa: PLC0415

    # Of which a quota may leave fewer: more processes would wait for each other, up to limits.
    return int(cpu_count()) + 1


# Of the measurements of papers, which are nobody's setting.
_REFERENCE_DIR = os.environ.get("GREENBENCH_REFERENCE_DIR")
_NUMBERS = itertools.count()

LEAN = ("-p", "no:anyio", "-p", "no:hypothesispytest")
"""For a pytest that a test starts: without plugins that take as long to import as all else."""


@pytest.fixture
def reference_dir() -> Path:
    """The folder of the measurements of papers."""
    if not _REFERENCE_DIR:
        pytest.skip("GREENBENCH_REFERENCE_DIR is not set: the paper's measurements are not there")
    return Path(_REFERENCE_DIR)


@pytest.fixture(autouse=True)
def _own_surroundings(
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """Keep stores, locks and settings of the person who runs the tests out of them."""
    for name in list(os.environ):
        # Inside xdist, a pytest that a test starts would take itself for a part of it.
        if name.startswith(("MLFLOW_", "CODECARBON_", "PYTEST_XDIST", "COLUMNS")) or (
            name.startswith("GREENBENCH_") and name != "GREENBENCH_DATA_DIR"
        ):
            monkeypatch.delenv(name)
    if "tmp_path" in request.fixturenames:
        folder = request.getfixturevalue("tmp_path")
        runs, lock = folder / "mlruns", folder / "host.lock"
    else:
        # Most tests write nothing; a folder of pytest's costs more the more there are already.
        folder, number = tmp_path_factory.getbasetemp(), next(_NUMBERS)
        runs, lock = folder / f"mlruns-{number}", folder / f"host-{number}.lock"
    monkeypatch.setenv("GREENBENCH_RUNS_DIR", str(runs))
    monkeypatch.setenv("GREENBENCH_HOST_LOCK", str(lock))
    # Half a second a worker; those tests that are of it ask for it.
    monkeypatch.setenv("GREENBENCH_CONTROL", "0")
    # Tests run side by side, and their networks are small.
    monkeypatch.setenv("GREENBENCH_THREADS", "1")


@pytest.fixture(scope="module")
def runs_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a module's store."""
    return tmp_path_factory.mktemp("mlruns")


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a store that holds nothing."""
    empty = tmp_path_factory.mktemp("empty") / "mlflow.db"
    Store(f"sqlite:///{empty}")
    with closing(sqlite3.connect(empty)) as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return empty


@pytest.fixture(scope="session")
def new_store(empty_store: Path) -> Callable[[Path], Store]:
    """Makes a store in a folder, as a copy of an empty one: to make one anew takes a second."""

    def make(folder: Path) -> Store:
        shutil.copy(empty_store, folder / "mlflow.db")
        return Store(f"sqlite:///{folder / 'mlflow.db'}")

    return make


@pytest.fixture
def made_store(empty_store: Path, tmp_path: Path) -> None:
    """An empty store where a test's commands look for one, which else the first has to make."""
    (tmp_path / "mlruns").mkdir()
    shutil.copy(empty_store, tmp_path / "mlruns")


@pytest.fixture(scope="module")
def store(new_store: Callable[[Path], Store], runs_dir: Path) -> Store:
    """One store for the module."""
    return new_store(runs_dir)


@pytest.fixture(scope="session")
def mlflow_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One real server for all tests of a process, which take suites of their own."""
    with mlflow_server_in(tmp_path_factory.mktemp("server")) as server:
        yield server


@pytest.fixture
def suite(request: pytest.FixtureRequest) -> str:
    """A suite, and so an experiment, for each test."""
    # Older MLflows have experiments of 500 characters at most.
    return re.sub(r"\W+", "_", request.node.name.lower())[:200]


@pytest.fixture
def client(store: Store) -> "MlflowClient":
    """MLflow's own client of the store."""
    from mlflow import MlflowClient  # noqa: PLC0415

    return MlflowClient(store.uri.reveal())


@dataclass
class Greenbench:
    """Runs the real command line in processes of its own."""

    folder: Path
    environment: dict[str, str]
    started: list["subprocess.Popen[str]"] = field(default_factory=list)

    def __call__(
        self, *arguments: str, timeout_s: float = 900
    ) -> "subprocess.CompletedProcess[str]":
        """Run a command to its end."""
        return subprocess.run(
            [sys.executable, "-m", "greenbench", *arguments],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )

    def here(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Run a command in this process, which has imported what it needs: it only looks."""
        with patch.dict(os.environ, self.environment, clear=True), chdir(self.folder):
            done = CliRunner().invoke(cli, arguments)
        assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
        return subprocess.CompletedProcess(arguments, done.exit_code, done.stdout, done.stderr)

    def start(self, *arguments: str, start_new_session: bool = False) -> "subprocess.Popen[str]":
        """Start a command and leave it running; standard error goes to standard output."""
        process = subprocess.Popen(
            [sys.executable, "-m", "greenbench", *arguments],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=start_new_session,
        )
        self.started.append(process)
        return process

    @property
    def journals(self) -> list[Path]:
        """All journals, sorted by folder and name."""
        return sorted((self.folder / "mlruns" / "journal").glob("*/*.jsonl"))


def events(journal: Path, kind: str) -> list[dict[str, Any]]:
    """Return what a journal says of one kind; a line that is being written is not there yet."""
    whole = journal.read_text().rpartition("\n")[0]
    lines = [json.loads(line) for line in whole.splitlines()]
    return [line["values"] for line in lines if line["event"] == kind]


def is_gone(pid: int) -> bool:
    """Return whether a process has ended, though perhaps nobody has asked how."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


@pytest.fixture
def greenbench(tmp_path: Path) -> Iterator[Greenbench]:
    """The command line, in an empty folder."""
    commands = Greenbench(tmp_path, dict(os.environ))
    yield commands
    for process in commands.started:
        if process.poll() is None:
            process.kill()
        process.wait()


@pytest.fixture
def eventually() -> Callable[[Callable[[], object]], None]:
    """Wait until something is true, or fail after minutes: a machine that is busy takes them."""

    def wait(condition: Callable[[], object], timeout_s: float = 300) -> None:
        deadline = time.monotonic() + timeout_s
        while not condition():
            assert time.monotonic() < deadline, "it did not happen in time"
            time.sleep(0.05)

    return wait
