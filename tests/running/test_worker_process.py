"""One worker as its parent sees it, with a few lines in the place of a worker."""

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from greenbench.errors import WorkerError
from greenbench.results import TrialStatus
from greenbench.results.account import Account
from greenbench.results.readings import Component, Provenance, Reading
from greenbench.running import worker_process
from greenbench.running.worker_process import BrokenOffError, WorkerProcess

TOLD = """
import json, os, sys, time

def tell(event, values, request):
    print(json.dumps({"event": event, "values": values, "request": request}), flush=True)

for line in sys.stdin:
    job = json.loads(line)
    number = job["request"]
    if number == 0:
        tell("ready", {}, 0)
        continue
"""
TRIAL = {"index": 0, "hyperparameters": {}, "reevaluates": None}
STARTED = f"    tell('trial_started', {TRIAL!r}, number)\n"

Start = Callable[..., WorkerProcess]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start a process that answers as some lines say, after it is ready."""
    started: list[WorkerProcess] = []

    def start_with(lines: str, prelude: str = TOLD) -> WorkerProcess:
        worker = WorkerProcess(
            "torch",
            [sys.executable, "-c", prelude + lines],
            {"threads": 1},
            tmp_path / "worker.log",
            working=str(tmp_path),
            python_path="",
        )
        started.append(worker)
        return worker

    yield start_with
    for worker in started:
        worker.stop()


def told_by(worker: WorkerProcess, limit_s: float = 400.0) -> list[str]:
    events: list[str] = []
    worker.run({}, lambda kind, values: events.append(kind), limit_s)
    return events


def test_events_of_another_request_and_lines_that_are_none_are_dropped(start: Start) -> None:
    worker = start(
        "    tell('epoch', {}, number - 1)\n"
        "    tell('finished', {}, number + 1)\n"
        "    for line in ('noise', '[]', '3', '{}', '{\"event\": 1, \"values\": 2}'):\n"
        "        print(line, flush=True)\n"
        "    tell('warning', {}, number)\n"
        "    tell('finished', {}, number)\n"
    )
    worker.wait_until_ready()
    assert told_by(worker) == ["warning"]
    assert told_by(worker) == ["warning"]
    assert not worker.is_spent


def test_worker_that_tells_no_request_is_an_older_one(start: Start) -> None:
    worker = start("    tell('finished', {}, None)\n")
    worker.wait_until_ready()
    assert told_by(worker) == []


class _LimitError(BaseException):
    """As of a test's own time limit."""


@pytest.mark.parametrize("kind", [_LimitError, KeyboardInterrupt, ValueError])
def test_worker_whose_answer_nobody_waits_for_is_ended(
    start: Start, kind: type[BaseException]
) -> None:
    worker = start(STARTED + "    time.sleep(600)\n")
    worker.wait_until_ready()

    def stop(*_: object) -> None:
        raise kind

    with pytest.raises(kind):
        worker.run({}, stop, 600.0)
    assert worker.is_spent
    assert not worker.is_alive


def test_worker_that_closes_its_events_is_not_waited_for_without_end(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_process, "ENDED_TIMEOUT_S", 1.0)
    worker = start(STARTED + "    os.close(1)\n    time.sleep(600)\n")
    worker.wait_until_ready()
    with pytest.raises(BrokenOffError, match="closed its events, and went on") as broken:
        told_by(worker)
    assert [trial.status for trial in broken.value.trials] == [TrialStatus.CRASHED]


def test_worker_that_takes_long_to_end_is_not_said_to_go_on(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_process, "STOP_TIMEOUT_S", 0.0)
    # As where its events end with a file of its, and its GPU's memory takes longer.
    worker = start(STARTED + "    os.close(1)\n    time.sleep(1)\n    os._exit(3)\n")
    worker.wait_until_ready()
    with pytest.raises(BrokenOffError, match="ended with exit code 3"):
        told_by(worker)


def test_energy_lost_with_a_worker_is_unknown_by_what_would_have_counted(start: Start) -> None:
    ready = TOLD.replace('"ready", {}', '"ready", {"scope": ["gpu"]}')
    worker = start(STARTED + "    os._exit(3)\n", ready)
    worker.wait_until_ready()
    with pytest.raises(BrokenOffError) as broken:
        told_by(worker)
    lost = broken.value.trials[0].account
    parts = {
        "cpu": Component(5.0, Provenance.MODEL, "its cpu"),
        "gpu": Component(50.0, Provenance.COUNTER, "its gpu"),
    }
    rest = Account({"train": Reading(2.0, parts, scope=("gpu",))})
    total = (lost + rest).total
    assert (total.energy_j, total.covers) == (None, "gpu")


@pytest.mark.parametrize("limit_s", [1e10, 1e300, float("inf")])
def test_limit_may_be_beyond_what_a_clock_can_wait_for(start: Start, limit_s: float) -> None:
    worker = start(STARTED + "    tell('finished', {}, number)\n")
    worker.wait_until_ready()
    assert told_by(worker, limit_s) == ["trial_started"]


@pytest.mark.parametrize(
    ("number", "name"), [(9, "SIGKILL"), (32, "signal 32"), (34, "SIGRTMIN"), (40, "signal 40")]
)
def test_signal_that_ends_a_worker_is_named(start: Start, number: int, name: str) -> None:
    worker = start(f"    os.kill(os.getpid(), {number})\n")
    worker.wait_until_ready()
    with pytest.raises(BrokenOffError, match=f"was killed by {name}$"):
        told_by(worker)


def test_last_lines_of_a_worker_that_dies_at_its_start_are_told(
    start: Start, tmp_path: Path
) -> None:
    (tmp_path / "worker.log").write_text("of another worker\n")
    said = json.dumps("first\nsecond\n\n\x1b[31mthird  line\n")
    worker = start("", f"import sys\nsys.stderr.write({said})\nsys.exit(3)\n")
    with pytest.raises(WorkerError) as refused:
        worker.wait_until_ready()
    assert worker.is_spent
    told = "ended with exit code 3: first | second | ?[31mthird line; see "
    assert str(refused.value) == f"the torch worker {told}{tmp_path / 'worker.log'}"
