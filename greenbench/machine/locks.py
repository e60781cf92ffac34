"""Locks between processes: a file that anybody who may read it can hold, and nobody alters."""

import errno
import fcntl
import os
import secrets
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Protocol

from greenbench.machine.files import NO_LINKS

FLAGS = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY
"""Nothing is followed, truncated or made, and what is no file is not waited for."""

NO_FILE = (errno.ELOOP, errno.ENXIO)
"""Of a symbolic link and of a socket."""

POLL_S = 0.05
LOOK_S, LOOKS = 0.01, 50
"""Whoever only looks whether a lock is held has let it go by then; on a busy machine, by a later
one of so many tries."""

LOCKS = Path("/proc/locks")
"""Where Linux tells who holds which; nobody else writes there, and so nobody is made up."""

_held: set[BinaryIO] = set()


class Lock:
    """Held by one process at a time; the system frees it when that process ends, however.

    Whose the file is does not matter, and what is found in its place stays as it is. Children
    of the process do not hold the lock.

    Parameters
    ----------
    path : pathlib.Path
        The file; made empty if there is none.
    is_for_everybody : bool
        Whether other users may hold it, too, whatever the umask is when it is made.
    """

    def __init__(self, path: Path, *, is_for_everybody: bool = False) -> None:
        self.path = path
        self._is_for_everybody = is_for_everybody
        self._file: BinaryIO | None = None

    def acquire(self, *, is_shared: bool = False) -> bool:
        """Take the lock if it is free, and return whether it was.

        Parameters
        ----------
        is_shared : bool
            Whether others may hold it at the same time who share it, too.

        Raises
        ------
        OSError
            If the file can be neither opened nor made, or is no plain file.
        """
        kind, access = fcntl.LOCK_SH if is_shared else fcntl.LOCK_EX, os.O_RDONLY
        while True:
            file = self._open(access)
            try:
                fcntl.flock(file, kind | fcntl.LOCK_NB)
            except BlockingIOError:
                file.close()
                return False
            except OSError as error:
                file.close()
                if error.errno == errno.EBADF and access != os.O_RDWR:
                    # NFS makes a lock of bytes of it, which only who may write gets alone.
                    access = os.O_RDWR
                    continue
                raise
            if self._is_there(file):
                break
            # Somebody cleared it away, and others hold another one by now.
            file.close()
        self._file = file
        _held.add(file)
        return True

    def release(self) -> None:
        """Let others take it; the file stays."""
        if self._file is not None:
            _held.discard(self._file)
            self._file.close()
            self._file = None

    def stamp(self) -> None:
        """Note in its file's time that it was taken, where we may."""
        if self._file is not None:
            with suppress(OSError):
                os.utime(self._file.fileno())

    @contextmanager
    def held(self, limit_s: float) -> Iterator[None]:
        """Hold the lock, once others let it go.

        Raises
        ------
        TimeoutError
            If others hold it for longer than `limit_s`.
        OSError
            As `acquire` does.
        """
        with held(self, limit_s):
            yield

    def _open(self, access: int) -> BinaryIO:
        try:
            handle = self._find_or_make(access | FLAGS)
        except OSError as error:
            if error.errno in NO_FILE:
                raise OSError(error.errno, "it is a link or a socket, not a plain file") from error
            raise
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            os.close(handle)
            raise OSError(errno.EINVAL, "it is not a plain file")
        return os.fdopen(handle, "rb", buffering=0)

    def _find_or_make(self, flags: int) -> int:
        while True:
            # Not in one call: systems refuse to make what another user has in a shared folder.
            with suppress(FileNotFoundError):
                return os.open(self.path, flags)
            with suppress(FileExistsError):
                return self._make(flags | os.O_CREAT | os.O_EXCL)

    def _make(self, flags: int) -> int:
        if not self._is_for_everybody:
            return os.open(self.path, flags, 0o666)
        # Elsewhere first: in its place, another user may open it from its first moment.
        aside = self.path.with_name(f".{self.path.name}.{secrets.token_hex(4)}.tmp")
        handle = os.open(aside, flags, 0o666)
        try:
            # The umask took something away; earlier versions open it for writing.
            os.fchmod(handle, 0o666)
            os.link(aside, self.path)
        except OSError as error:
            os.close(handle)
            if error.errno not in NO_LINKS:
                raise
            # Such file systems know of no users, either.
            return os.open(self.path, flags, 0o666)
        finally:
            with suppress(OSError):
                aside.unlink(missing_ok=True)
        return handle

    def _is_there(self, file: BinaryIO) -> bool:
        with suppress(OSError):
            return os.path.samestat(self.path.lstat(), os.fstat(file.fileno()))
        return False


def holders(path: Path) -> list[int]:
    """Return the numbers of the processes that hold a lock, by the system's own account.

    None where that is not known, as without ``/proc``, of another container, or of another machine.

    Parameters
    ----------
    path : pathlib.Path
        The lock's file.
    """
    try:
        found = path.lstat()
        lines = LOCKS.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return []
    # Whoever waits has an arrow before the kind, and so another word in each place.
    where = f"{os.major(found.st_dev):02x}:{os.minor(found.st_dev):02x}:{found.st_ino}"
    numbers = {words[4] for words in map(str.split, lines) if words[5:6] == [where]}
    return sorted(int(number) for number in numbers if number.isdecimal() and int(number))


class Acquirable(Protocol):
    """What one process at a time holds."""

    def acquire(self) -> bool:
        """Take it if it is free, and return whether it was."""

    def release(self) -> None:
        """Let others take it."""


@contextmanager
def held(lock: Acquirable, limit_s: float) -> Iterator[None]:
    """Hold a lock, once others let it go; see `Lock.held`."""
    deadline = time.monotonic() + limit_s
    while not lock.acquire():
        if time.monotonic() >= deadline:
            raise TimeoutError(errno.ETIMEDOUT, f"held by another process for {limit_s:g} s")
        time.sleep(POLL_S)
    try:
        yield
    finally:
        lock.release()


def taken_past_looks(
    acquire: Callable[[], bool], may_be_a_look: Callable[[], bool] = lambda: True
) -> bool:
    """Take a lock that somebody may hold who only looks, and return whether it was free.

    Parameters
    ----------
    acquire : callable
        Takes it if it is free, and returns whether it was.
    may_be_a_look : callable
        Whether whoever holds it may do so for a look; asked each time that it is held.
    """
    for _ in range(LOOKS):
        if acquire():
            return True
        if not may_be_a_look():
            return False
        time.sleep(LOOK_S)
    return acquire()


def _forget_held() -> None:
    """Close what a forked child got from us, and would hold for as long as it lives."""
    for file in _held:
        file.close()
    _held.clear()


os.register_at_fork(after_in_child=_forget_held)
