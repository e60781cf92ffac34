"""CPU seconds of this process and of all that it has started, living and ended."""

import os
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

PROC = Path("/proc")
TICKS = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100
"""A second, as the kernel counts CPU time of other processes."""

Process = tuple[int, float]
"""A number, and when the process began that has it: the system gives it to others later."""


@dataclass(frozen=True)
class Used:
    """What one process has used so far, as the system keeps it.

    Attributes
    ----------
    parent : int
        The number of its parent.
    own_s : float
        Its own CPU seconds, all threads.
    waited_s : float
        Those of the children that ended and that it waited for, and of theirs.
    """

    parent: int
    own_s: float
    waited_s: float = 0.0


NOTHING = Used(0, 0.0)


class TreeClock:
    """A clock of the CPU time that a tree of processes uses.

    The system adds what a child used to its parent's account when the parent has waited for it, and
    then all at once. So living processes are looked at, too, and of what arrives in an account that
    was counted before is taken off. A process whose parent has ended is followed further, as one
    that nobody waits for is: what it used until the last look stays counted.

    What is lost: a process that leaves the tree before anybody has looked at it, as a daemon does
    (`greenbench.machine.processes.adopt_orphans` keeps those on Linux); what one that nobody waits
    for uses after the last look; and processes that the system does not show, such as another
    user's.

    Parameters
    ----------
    without : int, optional
        The number of a child whose time is not counted.
    """

    def __init__(self, without: int | None = None) -> None:
        self._without = without
        self._total_s = 0.0
        self._last: Mapping[Process, Used] = look()

    def read_s(self) -> float:
        """Return the CPU seconds since the clock was made."""
        now = look(self._last)
        known_s = self._counted_before(now)
        for process, used in now.items():
            before = self._last.get(process, NOTHING)
            if process[0] != self._without:
                self._total_s += max(used.own_s - before.own_s, 0.0)
                arrived_s = used.waited_s - before.waited_s
                self._total_s += max(arrived_s - known_s.get(process[0], 0.0), 0.0)
        self._last = now
        return self._total_s

    def _counted_before(self, now: Mapping[Process, Used]) -> dict[int, float]:
        """Return what was counted of processes that are gone, by who has their account now."""
        there = {number for number, _ in now}
        parents = {number: used.parent for (number, _), used in self._last.items()}
        found: dict[int, float] = {}
        for process, used in self._last.items():
            if process in now:
                continue
            heir = used.parent
            while heir not in there and heir in parents:
                heir = parents[heir]
            found[heir] = found.get(heir, 0.0) + used.own_s + used.waited_s
        return found


def look(known: Iterable[Process] = ()) -> dict[Process, Used]:
    """Return what this process, all that it has started, and what is known of it have used.

    Parameters
    ----------
    known : iterable of (int, float)
        Processes that belong to it, whoever their parent is by now.
    """
    own, times = os.getpid(), os.times()
    waited_s = times.children_user + times.children_system
    found = {(own, 0.0): Used(0, time.process_time(), waited_s)}
    waiting: list[tuple[int, float | None]] = [each for each in known if each[0] != own]
    # One call to the system, where nothing was started: windows have many edges.
    if waiting or _has_children():
        waiting += [(child, None) for child in _children(own)]
    while waiting:
        number, expected = waiting.pop()
        # It may be gone by now, and its number another's.
        with suppress(OSError, psutil.Error):
            began, used = _used(number)
            if expected in (None, began) and (number, began) not in found:
                found[number, began] = used
                waiting += [(child, None) for child in _children(number)]
    return found


def _used(number: int) -> tuple[float, Used]:
    """Return when a process began, by a clock that only tells processes apart, and its account."""
    file = PROC / str(number) / "stat"
    if file.exists():
        # proc(5); the name, in brackets, may hold anything. psutil takes a millisecond for it.
        fields = file.read_bytes().rpartition(b")")[2].split()
        own, waited = ((int(fields[i]) + int(fields[i + 1])) / TICKS for i in (11, 13))
        return float(fields[19]), Used(int(fields[1]), own, waited)
    process = psutil.Process(number)
    times = process.cpu_times()
    return process.create_time(), Used(process.ppid(), times.user + times.system)


def _has_children() -> bool:
    if not hasattr(os, "waitid"):
        return True
    try:
        # Nothing is reaped: only asked for.
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


def _children(number: int) -> list[int]:
    tasks = PROC / str(number) / "task"
    if not (tasks / str(number) / "children").exists():
        # Another system, or a kernel without: psutil asks all processes for their parents.
        return [child.pid for child in psutil.Process(number).children()]
    found = []
    for task in os.listdir(tasks):  # noqa: PTH208
        # A thread may be gone by now.
        with suppress(OSError):
            found += (tasks / task / "children").read_text("ascii").split()
    return [int(child) for child in found]
