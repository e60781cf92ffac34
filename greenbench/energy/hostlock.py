"""The host lock: one measurement at a time on a machine, whoever runs it."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from greenbench.energy.host import descends_from
from greenbench.errors import ConfigurationError
from greenbench.machine.locks import Lock

TELL_EVERY_S = 10.0
HOLDER = "GREENBENCH_HOST_LOCK_HOLDER"
"""The variable that tells processes which ones of them hold which lock: ``PID PATH``."""
MAKING_S = 0.5
"""Whoever makes the file opens it to others in far less."""


@contextmanager
def host_lock(path: Path, on_wait: Callable[[float], None], poll_s: float = 0.2) -> Iterator[None]:
    """Hold the machine for measuring; the operating system frees it if we are killed.

    Where this process holds it already, or one that started it does, what is measured is a part of
    what that one measures, and nobody waits: it would be for ever.

    Parameters
    ----------
    path : Path
        The lock file, one for the whole machine; it may be anybody's.
    on_wait : callable
        Called with the seconds waited so far, at once and then every 10 s.
    poll_s : float
        Seconds between tries.

    Raises
    ------
    ConfigurationError
        If the lock file can be neither read nor made, or is no plain file.
    """
    lock = Lock(path, is_for_everybody=True)
    started = time.monotonic()
    told_s = -TELL_EVERY_S
    while not _acquire(lock):
        if _is_held_for_us(path):
            yield
            return
        waited_s = time.monotonic() - started
        if waited_s - told_s >= TELL_EVERY_S:
            on_wait(waited_s)
            told_s = waited_s
        time.sleep(poll_s)
    before = os.environ.get(HOLDER)
    os.environ[HOLDER] = f"{os.getpid()} {path}"
    try:
        yield
    finally:
        if before is None:
            os.environ.pop(HOLDER, None)
        else:
            os.environ[HOLDER] = before
        lock.release()


def _is_held_for_us(path: Path) -> bool:
    pid, _, held = os.environ.get(HOLDER, "").partition(" ")
    # A process may outlive who started it, and has the variable still.
    return held == str(path) and pid.isdecimal() and descends_from(int(pid))


def _acquire(lock: Lock) -> bool:
    deadline = time.monotonic() + MAKING_S
    while True:
        try:
            return lock.acquire()
        except OSError as error:
            is_shut = isinstance(error, PermissionError) and os.path.lexists(lock.path)
            if is_shut and time.monotonic() < deadline:
                time.sleep(MAKING_S / 10)
                continue
            raise ConfigurationError(
                f"host lock {lock.path} cannot be taken ({error.strerror}); set "
                "GREENBENCH_HOST_LOCK to a file that you may read, the same for everybody who "
                "measures on this machine"
            ) from error
