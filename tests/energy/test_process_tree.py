"""The CPU time of a tree of processes: each second counted once, wherever the system keeps it."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence

import pytest

from greenbench.energy import process_tree
from greenbench.energy.process_tree import Process, TreeClock, Used
from greenbench.machine.processes import adopt_orphans

OWN, CHILD, GRANDCHILD, OTHER = (10, 0.0), (11, 1.0), (12, 2.0), (13, 3.0)
INIT = 1
Table = Mapping[Process, Used]

WORK_S = 0.2
BUSY_FOR = "import time\nwhile time.process_time() < {seconds}: pass"
BUSY = "while True: pass"

STORIES: dict[str, tuple[list[Table], float]] = {
    "alone": ([{OWN: Used(0, 5.0)}, {OWN: Used(0, 7.0)}], 2.0),
    "a child that lives": (
        [{OWN: Used(0, 5.0)}, {OWN: Used(0, 5.0), CHILD: Used(10, 3.0)}],
        3.0,
    ),
    "a child that was there before": (
        [{OWN: Used(0, 5.0), CHILD: Used(10, 3.0)}, {OWN: Used(0, 5.0), CHILD: Used(10, 4.0)}],
        1.0,
    ),
    "a child that nobody saw": ([{OWN: Used(0, 5.0)}, {OWN: Used(0, 5.0, 3.0)}], 3.0),
    "a child that was seen, and waited for": (
        [
            {OWN: Used(0, 5.0)},
            {OWN: Used(0, 5.0), CHILD: Used(10, 3.0)},
            {OWN: Used(0, 6.0, 3.5)},
        ],
        4.5,
    ),
    "a child that was seen, and that nobody waited for": (
        [
            {OWN: Used(0, 5.0)},
            {OWN: Used(0, 5.0), CHILD: Used(10, 3.0)},
            {OWN: Used(0, 6.0)},
        ],
        4.0,
    ),
    "two generations, both waited for": (
        [
            {OWN: Used(0, 5.0)},
            {OWN: Used(0, 5.0), CHILD: Used(10, 1.0), GRANDCHILD: Used(11, 2.0)},
            {OWN: Used(0, 5.0, 4.0)},
        ],
        4.0,
    ),
    "a grandchild that its parent waited for": (
        [
            {OWN: Used(0, 5.0)},
            {OWN: Used(0, 5.0), CHILD: Used(10, 1.0), GRANDCHILD: Used(11, 2.0)},
            {OWN: Used(0, 5.0), CHILD: Used(10, 1.0, 2.5)},
        ],
        3.5,
    ),
    "a grandchild that outlives its parent": (
        [
            {OWN: Used(0, 5.0)},
            {OWN: Used(0, 5.0), CHILD: Used(10, 1.0), GRANDCHILD: Used(11, 2.0)},
            {OWN: Used(0, 5.0, 1.0), GRANDCHILD: Used(INIT, 6.0)},
        ],
        7.0,
    ),
    "an orphan that is gone, and was nobody's here": (
        [
            {OWN: Used(0, 5.0), GRANDCHILD: Used(INIT, 6.0)},
            {OWN: Used(0, 5.5)},
        ],
        0.5,
    ),
    "a number that another process has by now": (
        [
            {OWN: Used(0, 5.0), CHILD: Used(10, 9.0)},
            {OWN: Used(0, 5.0, 9.0), (11, 8.0): Used(10, 2.0)},
        ],
        2.0,
    ),
}


def told(monkeypatch: pytest.MonkeyPatch, tables: Sequence[Table], **options: int) -> float:
    """Return what a clock says at the end of what it is shown."""
    shown = iter(tables)
    monkeypatch.setattr(process_tree, "look", lambda known=(): next(shown))
    clock = TreeClock(**options)
    return [clock.read_s() for _ in tables[1:]][-1]


@pytest.mark.parametrize(("tables", "seconds"), STORIES.values(), ids=STORIES)
def test_each_second_counts_once(
    monkeypatch: pytest.MonkeyPatch, tables: list[Table], seconds: float
) -> None:
    assert told(monkeypatch, tables) == pytest.approx(seconds)


def test_a_helper_counts_neither_as_it_lives_nor_when_it_ends(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tables = [
        {OWN: Used(0, 5.0), OTHER: Used(10, 1.0)},
        {OWN: Used(0, 6.0), OTHER: Used(10, 4.0)},
        {OWN: Used(0, 6.0, 4.0)},
    ]
    assert told(monkeypatch, tables, without=OTHER[0]) == pytest.approx(1.0)


@pytest.fixture
def _adopting() -> Iterator[None]:
    if not adopt_orphans():
        pytest.skip("the system gives orphans to its first process")
    yield
    adopt_orphans(wanted=False)


def used_s(pid: int) -> float:
    return process_tree._used(pid)[1].own_s


def test_a_living_child_and_its_own_child_are_read() -> None:
    program = f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {BUSY!r}])"
    clock = TreeClock()
    child = subprocess.Popen([sys.executable, "-c", program], start_new_session=True)
    try:
        # As long as it takes: nothing else here uses that much.
        while (found_s := clock.read_s()) < WORK_S:
            time.sleep(0.01)
    finally:
        os.killpg(child.pid, signal.SIGKILL)
        child.wait()
    assert clock.read_s() >= found_s


def test_a_child_that_has_ended_is_read_once() -> None:
    clock = TreeClock()
    began_s = time.process_time()
    subprocess.run([sys.executable, "-c", BUSY_FOR.format(seconds=WORK_S)], check=True)
    assert clock.read_s() >= 0.9 * WORK_S
    before_s = clock.read_s()
    twice_s = clock.read_s() - before_s
    assert twice_s <= time.process_time() - began_s, "the child's seconds are read twice"


@pytest.mark.usefixtures("_adopting")
def test_a_daemon_that_nobody_saw_leave_is_read_as_well() -> None:
    clock = TreeClock()
    # The shell ends at once; what it leaves behind has another parent by then.
    command = f'"{sys.executable}" -c "{BUSY}" >/dev/null 2>&1 & echo $!'
    done = subprocess.run(["/bin/sh", "-c", command], capture_output=True, text=True, check=True)
    daemon = int(done.stdout)
    try:
        while used_s(daemon) < WORK_S:
            time.sleep(0.01)
        assert clock.read_s() >= WORK_S
    finally:
        os.kill(daemon, signal.SIGKILL)
        os.waitpid(daemon, 0)
