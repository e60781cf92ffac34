"""Leaks: what a training leaves behind when it is over: threads, processes, memory of a GPU."""

import gc
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from greenbench.machine.processes import children
from greenbench.results.table import BYTES_PER_MIB

LEAST_BYTES = BYTES_PER_MIB
"""Of a GPU's memory that is worth a word; a library keeps some for itself."""

_HELPERS = (b"resource_tracker", b"forkserver", b"loky")
"""Processes of libraries, which idle and end by themselves: to end them would break the library."""


_QUIET = ("greenbench", "codecarbon", "zeus", "tqdm", "joblib")
"""Packages whose threads are ours, or wait and end by themselves."""


class Leaks:
    """Knows what one training has started; trainings take turns, and each has its own."""

    def __init__(self) -> None:
        self._threads: set[threading.Thread] = set()
        self._processes: set[int] = set()
        self._gpu_bytes = 0

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Know what is started inside."""
        threads, processes, gpu_bytes = set(threading.enumerate()), children(), _gpu_bytes()
        try:
            yield
        finally:
            self._threads |= {
                each
                for each in set(threading.enumerate()) - threads
                if _package(each) not in _QUIET
            }
            self._processes |= children() - processes
            self._gpu_bytes += _gpu_bytes() - gpu_bytes

    def found(self) -> list[str]:
        """Return in words what is left once it is over; processes are ended."""
        if not (self._is_any() or self._gpu_bytes > LEAST_BYTES):
            return []
        # What only a cycle of references keeps is none.
        with self.watched():
            gc.collect()
        threads = sorted(each.name for each in self._threads if each.is_alive())
        processes = sorted(pid for pid in self._processes & children() if not _is_helper(pid))
        for pid in processes:
            with suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        left = []
        if threads:
            left.append(f"{_counted(len(threads), 'thread')} ({', '.join(threads[:3])}): join them")
        if processes:
            left.append(f"{_counted(len(processes), 'process')}, now ended: wait for them")
        if self._gpu_bytes > LEAST_BYTES:
            mib = self._gpu_bytes / BYTES_PER_MIB
            left.append(f"{mib:.0f} MiB of GPU memory: keep no tensor in what outlives it")
        return left

    def _is_any(self) -> bool:
        return any(each.is_alive() for each in self._threads) or bool(self._processes & children())


def _package(thread: threading.Thread) -> str:
    """Return the package of what a thread does: that of a timer or a function, or of its class."""
    does = getattr(thread, "function", None) or getattr(thread, "_target", None) or type(thread)
    return str(getattr(does, "__module__", "")).partition(".")[0]


def _gpu_bytes() -> int:
    # Looked up, not imported: who has not imported it has allocated nothing.
    torch: Any = sys.modules.get("torch")
    cuda = getattr(torch, "cuda", None)
    if cuda is None or not cuda.is_initialized():
        return 0
    return int(cuda.memory_allocated())


def _is_helper(pid: int) -> bool:
    with suppress(OSError):
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
        return any(name in command for name in _HELPERS)
    return False


def _counted(count: int, what: str) -> str:
    ending = "" if count == 1 else "es" if what.endswith("s") else "s"
    return f"{count} {what}{ending}"
