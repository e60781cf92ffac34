"""A program: started, read, stopped and ended together with all that it starts."""

import os
import secrets
import selectors
import shutil
import signal
import subprocess
import tempfile
import threading
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from greenbench.errors import TrainingError
from greenbench.machine.processes import GroupLeader, Guardian, signal_marked
from greenbench.machine.reporting import GO, REPORT
from greenbench.trainings.messages import Lines
from greenbench.trainings.report_file import ReportFile

MARK = "GREENBENCH_PROGRAM"
"""Variable that all have which a program starts, daemons included."""
PIECE = 1 << 16
LOOK_S = 0.1
"""How often a file of the user's own is looked at."""

Line = tuple[bytes, bool]
"""A line, and whether nothing but a report can be meant by it."""


class Program:
    """A program under way.

    Parameters
    ----------
    arguments : sequence of str
        The program and what it is given.
    environment : mapping
        Variables that it has besides ours.
    log : pathlib.Path
        What it prints is added here.
    file : pathlib.Path, optional
        Of its own, in which it reports.
    is_spread : bool
        Whether what it starts may lead sessions of its own, as the processes of ``torchrun`` do:
        those are stopped with it.

    Raises
    ------
    TrainingError
        If it cannot be started.
    """

    def __init__(
        self,
        arguments: Sequence[str],
        environment: Mapping[str, str],
        log: Path,
        file: Path | None = None,
        *,
        is_spread: bool = False,
    ) -> None:
        self._is_spread = is_spread
        self._folder = Path(tempfile.mkdtemp(prefix="greenbench-"))
        self._mark = secrets.token_hex(16)
        self._waiting: deque[Line] = deque()
        self._file = ReportFile(file) if file else None
        pipe = self._folder / "report"
        for path in (pipe, Path(f"{pipe}{GO}")):
            os.mkfifo(path)
        # With both ends open, none of them ends or blocks because a program closes its own.
        self._reports, self._go = (os.open(f"{pipe}{end}", os.O_RDWR) for end in ("", GO))
        self._ended, self._end = os.pipe()
        self._log = log.open("ab", buffering=0)
        try:
            self._guardian = Guardian(f"{MARK}={self._mark}", is_spread=True)
        except OSError as error:
            self._drop()
            raise TrainingError(f"what would end it with us cannot be started: {error}") from error
        try:
            process = subprocess.Popen(
                arguments,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=self._log,
                env={**os.environ, **environment, REPORT: str(pipe), MARK: self._mark},
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            self._guardian.dismiss()
            self._drop()
            raise TrainingError(f"it cannot be started: {error}") from error
        self._leader = GroupLeader(process)
        self._guardian.watch(process.pid)
        self._attendant = threading.Thread(target=self._attend, daemon=True)
        self._attendant.start()
        assert process.stdout is not None
        self._printed = process.stdout
        self._lines = {self._printed.fileno(): Lines(), self._reports: Lines()}
        self._selector = selectors.DefaultSelector()
        for source in (*self._lines, self._ended):
            os.set_blocking(source, False)
            self._selector.register(source, selectors.EVENT_READ)

    def lines(self) -> Iterator[Line]:
        """Yield what it writes, line by line, until it ends; then nothing of it is left."""
        has_ended = False
        while True:
            while self._waiting:
                yield self._waiting.popleft()
            if has_ended:
                return
            ready = self._selector.select(LOOK_S if self._file else None)
            has_ended = any(key.fd == self._ended for key, _ in ready)
            if has_ended:
                self._attendant.join()
                signal_marked(MARK, self._mark)
            for source in self._lines:
                self._read(source, is_last=has_ended)
            if self._file:
                self._waiting += [(line, True) for line in self._file.read(is_last=has_ended)]

    def wait(self) -> int:
        """Return its exit code, once it has ended; below 0, the signal that ended it."""
        return self._leader.wait()

    def pause(self) -> None:
        """Stop it and all that it has started."""
        self._signal(signal.SIGSTOP)

    def go_on(self, *, waits: bool) -> None:
        """Let it go on; give it leave if it waits for that."""
        self._signal(signal.SIGCONT)
        if waits:
            os.write(self._go, b"\n")

    def close(self) -> None:
        """End it and all that it has started, and forget it."""
        self._leader.signal()
        self._attendant.join()
        signal_marked(MARK, self._mark)
        self._selector.close()
        self._printed.close()
        self._drop()

    def _signal(self, number: int) -> None:
        self._leader.signal(number)
        if self._is_spread:
            signal_marked(MARK, self._mark, number)

    def _attend(self) -> None:
        """Wait for its end, and tell the thread that reads it."""
        self._leader.wait_unreaped()
        # While the number is still its own.
        self._guardian.dismiss()
        self._leader.wait()
        os.write(self._end, b"\n")

    def _read(self, source: int, *, is_last: bool) -> None:
        """Take what has come in from a pipe: a piece, or at the end all that is there."""
        lines, is_meant = self._lines[source], source == self._reports
        while True:
            try:
                piece = os.read(source, PIECE)
            except BlockingIOError:
                break
            self._log.write(piece)
            self._waiting += [(line, is_meant) for line in lines.add(piece)]
            if not piece:
                # It has closed it, and may go on.
                with suppress(KeyError):
                    self._selector.unregister(source)
                break
            if not is_last:
                break
        if is_last:
            self._waiting += [(line, is_meant) for line in lines.rest()]

    def _drop(self) -> None:
        for descriptor in (self._reports, self._go, self._ended, self._end):
            os.close(descriptor)
        self._log.close()
        shutil.rmtree(self._folder, ignore_errors=True)
