"""The host around a measurement: what else uses its CPUs, and the memory of this process."""

import os
import time
from pathlib import Path

import psutil

_CLEAR_REFS = Path("/proc/self/clear_refs")
_STATUS = Path("/proc/self/status")


class HostWatch:
    """Tells this process's CPU seconds from everybody else's.

    Time that a hypervisor stole counts as somebody else's: it makes a measurement longer
    just the same.
    """

    def __init__(self) -> None:
        self._own_s, self._busy_s = _own_s(), _busy_s()

    def lap(self) -> tuple[float, float]:
        """Return CPU seconds since the last lap: of this process, and of all others."""
        own_s, busy_s = _own_s(), _busy_s()
        own, busy = own_s - self._own_s, busy_s - self._busy_s
        self._own_s, self._busy_s = own_s, busy_s
        return own, max(busy - own, 0.0)


def reset_peak_memory() -> bool:
    """Forget the peak of this process's memory so far; return whether the system can."""
    try:
        _CLEAR_REFS.write_text("5")
    except OSError:
        return False
    return True


def peak_memory_bytes() -> int | None:
    """Return the largest resident memory since `reset_peak_memory`; None if unknown."""
    try:
        lines = _STATUS.read_text().splitlines()
    except OSError:
        return None
    return next((int(x.split()[1]) * 1024 for x in lines if x.startswith("VmHWM:")), None)


def _own_s() -> float:
    children = os.times()
    return time.process_time() + children.children_user + children.children_system


def _busy_s() -> float:
    times = psutil.cpu_times()
    # Linux counts the time of guests as user time, too.
    guests = getattr(times, "guest", 0.0) + getattr(times, "guest_nice", 0.0)
    return float(sum(times) - guests - times.idle - getattr(times, "iowait", 0.0))
