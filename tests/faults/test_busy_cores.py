"""A machine whose cores are busy: a session is slower, says that it was disturbed, and ends."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import psutil
import pytest

from tests.conftest import Greenbench

pytestmark = pytest.mark.integration

SPINNING = "while True: pass"
PAUSE_S = 1.5
RUN = ("run", "-s", "random", "-d", "digits", "--repeats", "1")


@pytest.fixture
def _busy() -> Iterator[None]:
    """Keep all cores busy, twice."""
    cores = len(os.sched_getaffinity(0))
    spinning = [subprocess.Popen([sys.executable, "-c", SPINNING]) for _ in range(2 * cores)]
    yield
    for process in spinning:
        process.kill()
        process.wait()


def result_of(greenbench: Greenbench) -> dict[str, Any]:
    (journal,) = greenbench.journals
    lines = [json.loads(line) for line in journal.read_text().splitlines()]
    (result,) = [line["values"] for line in lines if line["event"] == "result"]
    return dict(result)


@pytest.mark.usefixtures("_busy")
def test_session_on_busy_cores_finishes_and_is_marked_as_disturbed(greenbench: Greenbench) -> None:
    asked = (*RUN, "-a", "simple_cnn.s", "--trials", "3", "--epochs", "3")
    done = greenbench(*asked, timeout_s=600)

    assert done.returncode == 0, done.stderr
    assert {trial["status"] for trial in result_of(greenbench)["trials"]} == {"completed"}
    assert "disturbed" in done.stdout
    assert "Traceback" not in done.stderr


def test_session_whose_worker_is_stopped_for_a_while_finishes_and_says_so(
    greenbench: Greenbench,
) -> None:
    running = greenbench.start(*RUN, "-a", "simple_cnn.m", "--trials", "6", "--epochs", "6")
    is_over = threading.Event()

    def pause() -> None:
        # The meter's processes, too: a machine that sleeps stops them all.
        while not is_over.wait(0.1):
            if not greenbench.journals or not running_trials(greenbench):
                continue
            # Some last for a moment only.
            with suppress(psutil.NoSuchProcess):
                found = psutil.Process(running.pid).children(recursive=True)
                signal_all(found, signal.SIGSTOP)
                time.sleep(PAUSE_S)
                signal_all(found, signal.SIGCONT)
            return

    pausing = threading.Thread(target=pause)
    pausing.start()
    output, _ = running.communicate()
    is_over.set()
    pausing.join()

    assert running.returncode == 0, output
    trials = result_of(greenbench)["trials"]
    assert [trial["index"] for trial in trials] == list(range(6))
    assert {trial["status"] for trial in trials} == {"completed"}
    assert "paused" in output or "stopped" in output or "disturbed" in output


def signal_all(processes: list[psutil.Process], number: int) -> None:
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.send_signal(number)


def running_trials(greenbench: Greenbench) -> int:
    return sum('"trial"' in line for line in greenbench.journals[0].read_text().splitlines())
