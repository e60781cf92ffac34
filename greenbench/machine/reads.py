"""Reads: which files and folders some code reads, and whether it learns from elsewhere.

Python tells of each file that it opens, and Linux how many bytes a process has read: what somebody
reads past Python shows as bytes that no opened file explains, unless it is little, or mapped: so
whoever gets more than Python opened was given it some other way.
"""

import os
import sys
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

State = tuple[int, ...] | None
"""What changes when a file or folder does; None where there is none."""

OPENED = "open"
LISTED = ("os.listdir", "os.scandir")
ELSEWHERE = (
    "os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.spawn", "os.system",
    "socket.connect", "socket.getaddrinfo", "sqlite3.connect", "subprocess.Popen",
)  # fmt: skip
"""What Python calls it when others are asked, of whom it is not known what they read."""
OF_SYSTEM = ("/dev/", "/proc/", "/sys/")
OF_PYTHON = tuple(
    {f"{sysconfig.get_path(name)}/" for name in ("stdlib", "platstdlib", "purelib", "platlib")}
)
CODE = (".py", ".pyc")
UNEXPLAINED_BYTES = 1 << 16
"""So few may be read that no opened file explains: other threads read, and libraries are loaded."""


@dataclass
class Reads:
    """What was read while some code ran.

    Attributes
    ----------
    states : dict of str to State
        Of each file and folder, by absolute path, before it was first read.
    is_all : bool
        Whether nothing else was read, as far as is known. Who maps a file into memory, or reads a
        few bytes, past Python, is not known.
    data_bytes : int
        Of all files that Python opened to read, each once, but for code and what is installed.
    """

    states: dict[str, State] = field(default_factory=dict)
    is_all: bool = True
    data_bytes: int = 0
    _explained: int = 0

    def are_unchanged(self) -> bool:
        """Return whether nothing else was read, and what was is as it was."""
        return self.is_all and all(_state(path) == state for path, state in self.states.items())

    def note(self, event: str, given: tuple[Any, ...]) -> None:
        """Take note of an audit event of Python."""
        if event in ELSEWHERE:
            self.is_all = False
        elif event == OPENED and not isinstance(given[0], int):
            # One that is open already was seen when it was opened.
            self._see_file(given[0], given[2])
        elif event in LISTED and isinstance(given[0], int):
            self.is_all = False
        elif event in LISTED:
            self._see(given[0] or os.curdir)

    def _see_file(self, place: Any, flags: int) -> None:
        if flags & (os.O_WRONLY | os.O_TRUNC):
            # Nothing that was there before can be read of it.
            return
        path = _absolute(place)
        is_data = path not in self.states and not path.startswith(OF_PYTHON)
        size = self._see(path)
        self._explained += size
        self.data_bytes += size if is_data and not path.endswith(CODE) else 0

    def _see(self, place: Any) -> int:
        """Keep the state of a file or folder; return the size."""
        path = _absolute(place)
        if path.startswith(OF_SYSTEM):
            return 0
        state = _state(path)
        self.states.setdefault(path, state)
        return state[0] if state else 0


@contextmanager
def reads_watched() -> Iterator[Reads]:
    """Watch what this process reads, all threads; it is known at the end."""
    _hook_in()
    reads, before = Reads(), _bytes_read()
    _watching.append(reads)
    try:
        yield reads
    finally:
        _watching.remove(reads)
        after = _bytes_read()
        if before is None or after is None:
            reads.is_all = False
        else:
            reads.is_all &= after - before <= reads._explained + UNEXPLAINED_BYTES


_watching: list[Reads] = []


@cache
def _hook_in() -> None:
    # It stays as long as the process.
    sys.addaudithook(_heard)


def _heard(event: str, given: tuple[Any, ...]) -> None:
    for reads in _watching:
        try:
            reads.note(event, given)
        except Exception:  # whatever is raised here would end what is watched
            reads.is_all = False


def _absolute(place: Any) -> str:
    return os.path.abspath(os.fsdecode(place))  # noqa: PTH100


def _state(path: str) -> State:
    try:
        found = os.stat(path)  # noqa: PTH116
    except (OSError, ValueError):
        return None
    return found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino, found.st_dev


def _bytes_read() -> int | None:
    """Return how many bytes this process has read so far; None where nobody knows."""
    try:
        told = Path("/proc/self/io").read_text(encoding="ascii")
        return int(told.split("rchar:")[1].split()[0])
    except (OSError, ValueError, IndexError):
        return None
