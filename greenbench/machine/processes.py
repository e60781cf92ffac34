"""Processes that lead a group, which ends with them; and which processes are ours."""

import ctypes
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

POLL_S = 0.02
_PROC = Path("/proc")
PR_SET_CHILD_SUBREAPER = 36
"""Of ``prctl(2)``, since Linux 3.4."""


def ended_by(code: int) -> str:
    """Return how a process ended: ``"was killed by SIGKILL"``, ``"ended with exit code 1"``.

    Parameters
    ----------
    code : int
        As `subprocess.Popen.returncode`: of a signal, its number below 0.
    """
    if code >= 0:
        return f"ended with exit code {code}"
    try:
        return f"was killed by {signal.Signals(-code).name}"
    except ValueError:
        # Those of real time have numbers only.
        return f"was killed by signal {-code}"


def children() -> set[int]:
    """Return the numbers of the processes that this one has started, and that have not ended.

    Where the system does not list them, they are those that `multiprocessing` knows.
    """
    try:
        listed = [path.read_text().split() for path in Path("/proc/self/task").glob("*/children")]
    except OSError:
        listed = []
    if not listed:
        return {each.pid for each in multiprocessing.active_children() if each.pid is not None}
    return {int(pid) for pids in listed for pid in pids if not _is_over(int(pid))}


def _is_over(pid: int) -> bool:
    """Return whether a child has ended, and only nobody has asked for its exit code."""
    with suppress(OSError):
        about = Path(f"/proc/{pid}/stat").read_bytes()
        return about.rpartition(b")")[2].split()[0] == b"Z"
    return True


_PROC = Path("/proc")


class GroupLeader:
    """A process that leads its session, and whose children go with it.

    The system gives the number of a process that was reaped to another one, which may belong
    to anybody. So the group is killed once its leader has ended and before it is reaped,
    whichever thread finds that out, and never after that.

    Parameters
    ----------
    process : subprocess.Popen
        Started with ``start_new_session``; polled, waited for and signalled through us alone.
    """

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        self._process = process
        self._reaping = threading.Lock()

    @property
    def pid(self) -> int:
        """Its number."""
        return self._process.pid

    @property
    def stdin(self) -> IO[bytes] | None:
        """What it reads."""
        return self._process.stdin

    @property
    def stdout(self) -> IO[bytes] | None:
        """What it writes."""
        return self._process.stdout

    def poll(self) -> int | None:
        """Return the exit code, None while it runs; what is left of its group is killed."""
        return self._reap() if self._has_ended(os.WNOHANG) else None

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end, and return the exit code; what is left of its group is killed.

        Raises
        ------
        subprocess.TimeoutExpired
            If it runs on for `timeout` seconds.
        """
        if timeout is None:
            self._has_ended(0)
            return self._reap()
        deadline = time.monotonic() + timeout
        while not self._has_ended(os.WNOHANG):
            if time.monotonic() >= deadline:
                raise subprocess.TimeoutExpired(self._process.args, timeout)
            time.sleep(POLL_S)
        return self._reap()

    def wait_unreaped(self) -> None:
        """Wait for the end, and leave its number with it where the system can."""
        self._has_ended(0)

    def signal(self, number: int = signal.SIGKILL) -> None:
        """Send a signal to it and its children, unless it was reaped."""
        with self._reaping:
            if self._process.returncode is None:
                with suppress(ProcessLookupError, PermissionError):
                    os.killpg(self.pid, number)

    def _has_ended(self, options: int) -> bool:
        if self._process.returncode is not None:
            return True
        if not hasattr(os, "waitid"):
            # macOS with Python below 3.13: that it ended cannot be seen without reaping it.
            return (self._process.poll() if options else self._process.wait()) is not None
        try:
            ended = os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT | options)
        except ChildProcessError:
            # Another thread was first, or the system, which is told to ignore children.
            with self._reaping:
                self._process.wait()
            return True
        return ended is not None

    def _reap(self) -> int:
        self.signal()
        with self._reaping:
            return self._process.wait()


def adopt_orphans(wanted: bool = True) -> bool:
    """Become the parent of processes below this one whose own parent ends, where Linux is there.

    A daemon leaves its parents so; the system would give it to its first process, and nobody could
    tell any more whose it was. Whoever adopts one does not wait for it: it cannot be told from the
    children that somebody's own code waits for. So what is left of it stays in the system's table
    until this process ends.

    Parameters
    ----------
    wanted : bool
        False to stop it.

    Returns
    -------
    bool
        Whether the system does so.
    """
    if sys.platform != "linux":
        return False
    with suppress(OSError, AttributeError):
        return bool(ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, int(wanted), 0, 0, 0) == 0)
    return False


_GUARD = """\
echo .
read -r group
read -r _
if [ -n "$group" ]; then
    kill -s KILL -- "-$group"
    [ -n "$2" ] || exit
fi
# Again: one that was about to start had not got its variable yet.
for pause in 0 1; do
    sleep "$pause"
    for found in $(grep -ls -e "$1" /proc/[0-9]*/environ); do
        found=${found#/proc/}
        kill -s KILL "${found%/environ}"
    done
done
"""


class Guardian:
    """Kills a group of processes when this process ends, however it does.

    It is there, and ready, before the group is: whoever is killed between starting a process and
    telling so would leave it behind. It is a shell that waits for the end of its standard input,
    whose other end only we hold. It is in a session of its own, so that whoever kills our group
    leaves it alone.

    Parameters
    ----------
    mark : str
        ``VARIABLE=VALUE`` that all have in their environment which the group starts, and nobody
        else. By it, the group is found that we had no time to tell of, where the system shows it
        (it is Linux that does).
    is_spread : bool
        Whether those are killed, too, that have left the group.

    Raises
    ------
    OSError
        If it cannot be started.
    """

    def __init__(self, mark: str, *, is_spread: bool) -> None:
        process: Any = subprocess.Popen(
            ["/bin/sh", "-c", _GUARD, "sh", mark, "yes" if is_spread else ""],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        if not process.stdout.readline():
            raise ChildProcessError(f"/bin/sh {ended_by(process.wait())}")
        self._process = process

    def watch(self, group: int) -> None:
        """Tell it the number of the group."""
        with suppress(OSError):
            self._process.stdin.write(f"{group}\n".encode())
            self._process.stdin.flush()

    def dismiss(self) -> None:
        """Let the group alone from now on; call it while the number is still the group's."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            with suppress(OSError):
                pipe.close()


def signal_marked(variable: str, value: str, number: int = signal.SIGKILL) -> int:
    """Signal the processes that found a variable in their environment, and return how many.

    A daemon leaves its group and its parent; its environment it keeps. Where the system does not
    show that of processes (it is Linux that does), none is found.

    Parameters
    ----------
    variable, value : str
        Which nobody else has.
    number : int
        The signal; without, they are killed.
    """
    mark = f"{variable}={value}".encode()
    reached = 0
    for environment in _PROC.glob("[0-9]*/environ"):
        with suppress(OSError):
            if mark in environment.read_bytes().split(b"\0"):
                os.kill(int(environment.parent.name), number)
                reached += 1
    return reached
