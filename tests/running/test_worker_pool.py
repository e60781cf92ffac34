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
from greenbench.running.worker_process import WorkerProcess
from greenbench.running.worker_surroundings import THREAD_VARIABLES
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


MEASURING = (
    "import json, sys\n"
    "taken = open(f'requests-{sys.argv[1]}', 'w', buffering=1)\n"
    "for line in sys.stdin:\n"
    "    request = json.loads(line)\n"
    "    number = request.pop('request')\n"
    "    known = {'warm_up': ('warm', {'lasting': []}), 'idle_s': ('idle', {'power_w': "
    "{'gpu': 123.0}, 'unsteady': []})}\n"
    "    asked = next((name for name in known if name in request), None)\n"
    "    event, values = known.get(asked, ('ready', {'measures': True}))\n"
    "    print(asked, request.get('repeat'), file=taken)\n"
    "    print(json.dumps({'event': event, 'values': values, 'request': number}), flush=True)\n"
)


@pytest.fixture
def measuring(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The folder in which workers that measure, and train nothing, note what they were asked."""
    start = subprocess.Popen
    number = iter(range(9))

    def replace(command: list[str], **options: Any) -> Any:
        taught = [sys.executable, "-c", MEASURING, str(next(number))]
        return start(taught, **{**options, "cwd": tmp_path})

    monkeypatch.setattr("greenbench.running.worker_process.subprocess.Popen", replace)
    return tmp_path


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


def test_all_workers_are_warmed_up_by_their_first_repeats_and_one_measures(
    pool: WorkerPool, measuring: Path
) -> None:
    torch, keras = Case(), Case(backend="keras")
    pool.launch([torch, keras])
    pool.wait_until_ready()
    assert pool.measures
    pool.warm_up([(torch, 2), (keras, 1), (torch, 0)])
    assert pool.measure_idle(3.0).power_w == {"gpu": 123.0}
    asked = [(measuring / f"requests-{number}").read_text().split("\n") for number in range(2)]
    assert asked[0] == ["None None", "warm_up 1", "idle_s None", ""]
    assert asked[1] == ["None None", "warm_up 2", ""]


def test_worker_that_is_launched_while_the_pool_closes_is_ended_too(
    pool: WorkerPool, started: Started, monkeypatch: pytest.MonkeyPatch
) -> None:
    stopped: list[str] = []
    stop = WorkerProcess.stop

    def launch_then_stop(worker: WorkerProcess) -> None:
        if not stopped:
            pool.launch([Case(backend="keras")])
        stopped.append(worker.backend)
        stop(worker)

    monkeypatch.setattr(WorkerProcess, "stop", launch_then_stop)
    pool.launch([Case()])
    pool.close()
    assert stopped == ["torch", "keras"]


def test_pool_without_workers_measures_nothing(pool: WorkerPool) -> None:
    assert not pool.measures
    pool.warm_up([(Case(), 0)])
    assert pool.measure_idle(3.0).power_w == {}


@pytest.mark.parametrize("name", ["TF_FORCE_GPU_ALLOW_GROWTH", "XLA_PYTHON_CLIENT_PREALLOCATE"])
def test_no_worker_takes_all_memory_of_a_gpu_unless_the_user_says_so(
    pool: WorkerPool, started: Started, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.delenv(name, raising=False)
    pool.launch([Case()])
    monkeypatch.setenv(name, "mine")
    pool.launch([Case(threads=1)])
    modest = {"TF_FORCE_GPU_ALLOW_GROWTH": "true", "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
    assert [options["env"][name] for options in started] == [modest[name], "mine"]
