"""The host lock: one measurement at a time on a machine, whoever runs it."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from greenbench.errors import ConfigurationError

TELL_EVERY_S = 10.0


@contextmanager
def host_lock(path: Path, on_wait: Callable[[float], None], poll_s: float = 0.2) -> Iterator[None]:
    """Hold the machine for measuring; the operating system frees it if we are killed.

    Parameters
    ----------
    path : Path
        The lock file, one for the whole machine.
    on_wait : callable
        Called with the seconds waited so far, at once and then every 10 s.
    poll_s : float
        Seconds between tries.

    Raises
    ------
    ConfigurationError
        If the lock file cannot be written.
    """
    lock = FileLock(path, mode=0o666)
    started = time.monotonic()
    told_s = -TELL_EVERY_S
    while True:
        try:
            lock.acquire(timeout=0)
            break
        except Timeout:
            waited_s = time.monotonic() - started
            if waited_s - told_s >= TELL_EVERY_S:
                on_wait(waited_s)
                told_s = waited_s
            time.sleep(poll_s)
        except OSError as error:
            raise ConfigurationError(
                f"host lock {path} cannot be taken ({error.strerror}); "
                "set GREENBENCH_HOST_LOCK to a file that you may write"
            ) from error
    try:
        _widen(path)
        yield
    finally:
        lock.release()


def _widen(path: Path) -> None:
    # The umask strips the mode that we ask for; another user must be able to lock, too.
    try:
        os.chmod(path, 0o666)  # noqa: PTH101
    except OSError:
        return
