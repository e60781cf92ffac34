"""The pool of workers without their work: which are started, and with which surroundings."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from greenbench.cases import Case
from greenbench.energy.carbon import carbon_intensity
from greenbench.running.executor import WorkerPool
from greenbench.running.worker_process import THREAD_VARIABLES
from greenbench.settings import Settings

Started = list[dict[str, Any]]

TAUGHT = (
    "import json, sys\n"
    "request = json.loads(sys.stdin.readline())\n"
    "print(json.dumps({'event': 'failed', 'values': {'is_configuration': False, "
    "'message': f'{request[\"backend\"]} {request[\"threads\"]}'}}), flush=True)\n"
    "sys.stdin.read()\n"
)


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> Started:
    """What each process is started with; instead of a worker, it waits for its input to end."""
    found: Started = []
    start = subprocess.Popen

    def record(command: list[str], **options: Any) -> Any:
        found.append(options)
        return start([sys.executable, "-c", TAUGHT], **options)

    monkeypatch.setattr("greenbench.running.worker_process.subprocess.Popen", record)
    return found


@pytest.fixture
def pool(tmp_path: Path) -> Iterator[WorkerPool]:
    settings = Settings.from_environment({"GREENBENCH_THREADS": "3"})
    pool = WorkerPool(settings, carbon_intensity(100.0, None), tmp_path)
    yield pool
    pool.close()


def threads_of(options: dict[str, Any]) -> set[str]:
    return {options["env"][name] for name in THREAD_VARIABLES}


def test_each_number_of_threads_has_a_worker_of_its_own(
    pool: WorkerPool, started: Started, tmp_path: Path
) -> None:
    pool.launch([Case(threads=2), Case(threads=4), Case(backend="keras", threads=2)])
    assert len(started) == 3
    names = {"worker-torch-2.log", "worker-torch-4.log", "worker-keras-2.log"}
    assert {path.name for path in tmp_path.iterdir()} == names


def test_worker_is_used_again_by_cases_of_its_number(pool: WorkerPool, started: Started) -> None:
    pool.launch([Case(), Case(seed=1), Case(threads=3)])
    pool.launch([Case(epochs=1, threads=3)])
    assert len(started) == 1


def test_libraries_and_the_worker_are_told_the_same_number(
    pool: WorkerPool, started: Started
) -> None:
    pool.launch([Case(), Case(threads=1)])
    assert [threads_of(options) for options in started] == [{"1"}, {"3"}]
    with pytest.raises(Exception, match="torch 1"):
        pool.wait_until_ready()
