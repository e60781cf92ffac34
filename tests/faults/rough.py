"""Rough surroundings: a clock that was set to another day, and workers that can be killed alone.

Workers are forked from a process that has imported all they need; else they are real ones.
"""

import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, BinaryIO

MODULES = [
    "greenbench.running.worker",
    "greenbench.tabular.backend",
    "greenbench.energy.codecarbon",
]
"""What workers import, to be imported before they are forked."""


@dataclass(frozen=True)
class Rough:
    """Where a command runs.

    Attributes
    ----------
    name : str
        Tells what it leaves behind from that of others.
    clock_s : float
        By how many seconds the wall clock is wrong.
    variables : mapping of str to str
        Of the environment, in addition.
    """

    name: str = "rough"
    clock_s: float = 0.0
    variables: tuple[tuple[str, str], ...] = ()

    def be(self, folder: Path) -> None:
        """Let this process, which ends soon, be there."""
        os.setsid()
        _set_clock(self.clock_s)
        os.environ |= dict(self.variables)
        from greenbench.running import worker_process  # noqa: PLC0415

        worker_process.subprocess = SimpleNamespace(  # type: ignore[attr-defined]
            Popen=Forked, PIPE=subprocess.PIPE, TimeoutExpired=subprocess.TimeoutExpired
        )


def _set_clock(offset_s: float) -> None:
    true_time, strftime = time.time, time.strftime
    time.time = lambda: true_time() + offset_s
    time.strftime = lambda form, at=None: strftime(form, at or time.localtime(time.time()))


class Forked:
    """A worker that is forked instead of started; looks like `subprocess.Popen`."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        stderr: BinaryIO,
        env: Mapping[str, str],
        cwd: str,
        **_: Any,
    ) -> None:
        self.args = command
        self.returncode: int | None = None
        given, ours_in = os.pipe()
        ours_out, events = os.pipe()
        self.pid = os.fork()
        if not self.pid:
            _serve((given, events, stderr.fileno()), (ours_in, ours_out), env, cwd)
        os.close(given)
        os.close(events)
        self.stdin, self.stdout = os.fdopen(ours_in, "wb"), os.fdopen(ours_out, "rb")

    def poll(self) -> int | None:
        return self._reap(os.WNOHANG)

    def wait(self, timeout: float | None = None) -> int:
        code = self._reap(0)
        assert code is not None
        return code

    def _reap(self, options: int) -> int | None:
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, options)
            self.returncode = os.waitstatus_to_exitcode(status) if pid else None
        return self.returncode


def _serve(streams: Sequence[int], others: Sequence[int], env: Mapping[str, str], cwd: str) -> None:
    try:
        os.setsid()
        for number, stream in enumerate(streams):
            os.dup2(stream, number)
        # Its input ends with the parent, if nobody else holds the other end.
        for stream in (*others, *streams[:2]):
            os.close(stream)
        os.environ.clear()
        os.environ.update(env)
        os.chdir(cwd)
        sys.stdout, sys.stderr = (os.fdopen(number, "w", closefd=False) for number in (1, 2))
        from greenbench.running import worker  # noqa: PLC0415

        worker.main()
    finally:
        os._exit(1)
