"""The host around a measurement: what else uses its CPUs, and the memory of this process."""

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil

from greenbench.energy.process_tree import TreeClock

_CLEAR_REFS = Path("/proc/self/clear_refs")
_STATUS = Path("/proc/self/status")

BEAT_S = 0.25
STOP_S = 0.5
"""What may be lost between two beats on a busy machine; less is no stop."""


class HostWatch:
    """Tells the CPU seconds of this process, and of all that it has started, from everybody else's.

    Time that a hypervisor stole counts as somebody else's: it makes a measurement longer
    just the same.

    Parameters
    ----------
    helper : int, optional
        Number of a process that works for this one, such as the one that reads counters: its
        time is nobody's that could disturb.
    """

    def __init__(self, helper: int | None = None) -> None:
        self._helper: psutil.Process | None = None
        if helper is not None:
            with suppress(psutil.Error):
                self._helper = psutil.Process(helper)
        self._tree = TreeClock(without=helper)
        self._own_s, self._helper_s, self._busy_s = 0.0, self._of_helper_s(0.0), _busy_s()

    def lap(self) -> tuple[float, float]:
        """Return CPU seconds since the last lap: of this process and its own, and of all others."""
        own_s, helper_s, busy_s = self._tree.read_s(), self._of_helper_s(self._helper_s), _busy_s()
        own, helped = own_s - self._own_s, helper_s - self._helper_s
        busy = busy_s - self._busy_s
        self._own_s, self._helper_s, self._busy_s = own_s, helper_s, busy_s
        return own, max(busy - own - helped, 0.0)

    def _of_helper_s(self, last_s: float) -> float:
        if self._helper is not None:
            with suppress(psutil.Error):
                times = self._helper.cpu_times()
                return float(times.user + times.system)
        return last_s


def asleep_s() -> float:
    """Return the seconds that the machine has slept since it was started; 0 if it cannot say."""
    if not hasattr(time, "CLOCK_BOOTTIME"):
        return 0.0
    return time.clock_gettime(time.CLOCK_BOOTTIME) - time.clock_gettime(time.CLOCK_MONOTONIC)


class StopWatch:
    """Tells when this process was stopped, as by SIGSTOP, or the machine slept.

    A thread notes the time four times a second. Where it could not for a while, and the
    process did not compute either, by the clock of its CPU time, it was stopped. Seconds
    that the machine slept are those by which two of its clocks went apart.

    Parameters
    ----------
    clock, cpu_clock, sleep_clock : callable
        Seconds by a clock that never jumps, of CPU time of this process, and asleep.
    """

    def __init__(
        self,
        clock: Callable[[], float] = time.perf_counter,
        cpu_clock: Callable[[], float] = time.process_time,
        sleep_clock: Callable[[], float] = asleep_s,
    ) -> None:
        self._clocks = clock, cpu_clock, sleep_clock
        self._lock = threading.Lock()
        self._last = clock(), cpu_clock(), sleep_clock()
        self._lost_s = 0.0
        self._is_closed = threading.Event()

    def start(self) -> None:
        """Beat from now on, until `close`, or as long as the process lives."""
        threading.Thread(target=self._beat_on, daemon=True).start()

    def close(self) -> None:
        """Beat no more."""
        self._is_closed.set()

    def beat(self) -> None:
        """Note the time; what is missing since the last beat was a stop."""
        with self._lock:
            now = self._clocks[0](), self._clocks[1](), self._clocks[2]()
            passed_s, cpu_s, slept_s = (new - old for new, old in zip(now, self._last, strict=True))
            self._last = now
            self._lost_s += sum(
                lost_s for lost_s in (passed_s - BEAT_S - cpu_s, slept_s) if lost_s > STOP_S
            )

    def lap_s(self) -> float:
        """Return the seconds since the last lap in which the process was stopped or asleep."""
        self.beat()
        with self._lock:
            lost_s, self._lost_s = self._lost_s, 0.0
        return lost_s

    def _beat_on(self) -> None:
        while not self._is_closed.wait(BEAT_S):
            self.beat()


def descends_from(pid: int) -> bool:
    """Return whether this process is the one of that number, or was started by it or its tree."""
    own = psutil.Process()
    with suppress(psutil.Error):
        return pid == own.pid or any(parent.pid == pid for parent in own.parents())
    return False


def own_pids() -> set[int]:
    """Return the ids of this process and of all that it has started."""
    own = psutil.Process()
    with suppress(psutil.Error):
        return {own.pid, *(child.pid for child in own.children(recursive=True))}
    return {own.pid}


def reset_peak_memory() -> bool:
    """Forget the peak of this process's memory so far; return whether the system can."""
    try:
        _CLEAR_REFS.write_text("5", encoding="ascii")
    except OSError:
        return False
    return True


def peak_memory_bytes() -> int | None:
    """Return the largest resident memory since `reset_peak_memory`; None if unknown."""
    try:
        lines = _STATUS.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None
    return next((int(x.split()[1]) * 1024 for x in lines if x.startswith("VmHWM:")), None)


def _busy_s() -> float:
    times = psutil.cpu_times()
    # Linux counts the time of guests as user time, too.
    guests = getattr(times, "guest", 0.0) + getattr(times, "guest_nice", 0.0)
    return float(sum(times) - guests - times.idle - getattr(times, "iowait", 0.0))
