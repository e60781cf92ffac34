import functools
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from greenbench.machine.processes import GroupLeader, signal_marked
from tests.conftest import is_gone

only_linux = pytest.mark.skipif(
    sys.platform != "linux", reason="only Linux shows the environment of others"
)
Eventually = Callable[[Callable[[], object]], None]
PATIENCE_S = 300.0

WITH_CHILD = """
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print(child.pid, flush=True)
if sys.argv[1] == "stay":
    sys.stdin.readline()
sys.exit(7)
"""


def start(what: str) -> tuple[GroupLeader, int]:
    leader = GroupLeader(
        subprocess.Popen(
            [sys.executable, "-c", WITH_CHILD, what],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
    )
    assert leader.stdout is not None
    return leader, int(leader.stdout.readline())


@pytest.mark.parametrize("how", ["wait", "wait for a time", "poll"])
def test_children_of_one_that_ended_end_with_it(how: str, eventually: Eventually) -> None:
    leader, child = start("go")
    if how == "poll":
        eventually(lambda: leader.poll() is not None)
    else:
        leader.wait(None if how == "wait" else PATIENCE_S)
    assert leader.poll() == 7
    eventually(lambda: is_gone(child))


def test_signal_reaches_leader_and_children(eventually: Eventually) -> None:
    leader, child = start("stay")
    leader.signal()
    assert leader.wait(PATIENCE_S) == -signal.SIGKILL
    eventually(lambda: is_gone(child))


def test_one_that_runs_is_waited_for_as_long_as_asked() -> None:
    leader, child = start("stay")
    with pytest.raises(subprocess.TimeoutExpired):
        leader.wait(0.05)
    assert leader.poll() is None
    assert not is_gone(child)
    leader.signal()
    leader.wait()


def test_nobody_is_signalled_once_it_was_reaped(monkeypatch: pytest.MonkeyPatch) -> None:
    signalled: list[tuple[int, bool]] = []
    kill = os.killpg

    def looked_at(group: int, number: int) -> None:
        # One that has ended and is not reaped has a line among the processes.
        signalled.append((group, Path(f"/proc/{group}").exists()))
        kill(group, number)

    monkeypatch.setattr(os, "killpg", looked_at)
    leader, _ = start("go")
    threads = [threading.Thread(target=leader.wait) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    before = list(signalled)
    for end in (leader.signal, leader.poll, leader.wait):
        end()
    assert signalled == before
    assert before
    assert all(was_there for _, was_there in before)


def test_children_that_the_system_reaps_are_not_signalled(
    monkeypatch: pytest.MonkeyPatch, eventually: Eventually
) -> None:
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        leader, child = start("go")
        eventually(lambda: not Path(f"/proc/{leader.pid}").exists())
        monkeypatch.setattr(os, "killpg", lambda *_: pytest.fail("its number may be another's"))
        leader.wait(PATIENCE_S)
        leader.signal()
    finally:
        signal.signal(signal.SIGCHLD, before)
        os.kill(child, signal.SIGKILL)


GUARDED = """
import os, subprocess, sys, time
from greenbench.machine.processes import Guardian
mark = f"of {os.getpid()}"
guardian = Guardian(f"A_MARK={mark}", is_spread="spread" in sys.argv[1])
marked = {**os.environ, "A_MARK": mark}
other = subprocess.Popen(["sleep", "600"], start_new_session=True, env=marked)
away = subprocess.Popen(["sleep", "600"], start_new_session=True, env=marked)
if "late" not in sys.argv[1]:
    guardian.watch(other.pid)
if "dismiss" in sys.argv[1]:
    guardian.dismiss()
print(other.pid, away.pid, flush=True)
time.sleep(600)
"""


@pytest.mark.parametrize(
    ("how", "ends"),
    [
        ("watched", [True, False]),
        pytest.param("watched, spread", [True, True], marks=only_linux),
        # It was killed before it could tell which group it had started.
        pytest.param("late", [True, True], marks=only_linux),
        pytest.param("late, spread", [True, True], marks=only_linux),
        ("dismissed", [False, False]),
        ("dismissed, spread", [False, False]),
    ],
)
def test_a_group_ends_with_the_process_that_is_killed_unless_its_guardian_was_dismissed(
    how: str, ends: list[bool], eventually: Eventually
) -> None:
    ours = subprocess.Popen([sys.executable, "-c", GUARDED, how], stdout=subprocess.PIPE)
    assert ours.stdout is not None
    both = [*map(int, ours.stdout.readline().split())]
    os.killpg(both[0], signal.SIGSTOP)
    children = [child.pid for child in psutil.Process(ours.pid).children()]
    ours.kill()
    ours.wait()
    try:
        for pid in {*children} - {*both}:
            eventually(functools.partial(is_gone, pid))
        eventually(lambda: [is_gone(pid) for pid in both] == ends)
    finally:
        for pid in both:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


@only_linux
def test_processes_are_found_by_their_environment(eventually: Eventually) -> None:
    # Whoever runs this test beside us has another mark.
    mark = f"of a test of {os.getpid()}"
    marked = subprocess.Popen(["sleep", "600"], env={**os.environ, "A_MARK": mark})
    eventually(lambda: signal_marked("A_MARK", mark))
    assert marked.wait() == -signal.SIGKILL
