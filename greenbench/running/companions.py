"""The companions of a worker: started, told, waited for, and ended with it."""

import json
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from greenbench.errors import TrialError
from greenbench.machine.interpreter import worker_command, worker_search_path
from greenbench.machine.processes import ended_by

MODULE = "greenbench.running.rank"
PACKAGE = Path(__file__).parents[1] / "__init__.py"
GRACE_S = 10.0
"""What this process has to find out by itself that a companion is lost, before it is ended."""
SEEN_S = 5.0
"""What it may take until a process that has ended is seen to have, on a busy machine."""


class CompanionProcesses:
    """Processes that do what they are told, each with a rank from 1 on.

    They are in the group of this process, and end with it; also as soon as their standard input
    closes.

    Parameters
    ----------
    set_up : mapping
        What they are first told; ``devices`` is the number of all processes, this one included.
    give_up : callable
        Ends this process, and says why, where it would wait for a lost companion for ever.
    """

    def __init__(self, set_up: Mapping[str, Any], give_up: Callable[[str], object]) -> None:
        self._count = int(set_up["devices"])
        self._give_up = give_up
        self._is_together = False
        self._is_closed = threading.Event()
        self._owed = 0
        self._all = [_Companion(rank, self._count, self._watch) for rank in range(1, self._count)]
        for companion in self._all:
            companion.tell({**set_up, "rank": companion.rank})
        self._owed += 1

    @property
    def is_lost(self) -> bool:
        """Whether one has ended."""
        return any(each.ended for each in self._all)

    def tell(self, request: Mapping[str, Any]) -> None:
        """Ask all of them for something.

        Raises
        ------
        TrialError
            If they were ended.
        """
        if self._is_closed.is_set():
            raise TrialError("it was shared with processes that have ended")
        if self.is_lost:
            raise TrialError(str(self._lost()))
        self._owed += 1
        for companion in self._all:
            companion.tell(request)

    def settle(self) -> None:
        """Wait until they have done what they were asked for.

        Raises
        ------
        TrialError
            If one could not, or has ended.
        """
        owed, self._owed = self._owed, 0
        failed: list[str] = []
        for companion in self._all:
            for _ in range(owed):
                if reason := companion.answer():
                    failed.append(reason)
        for companion in self._all:
            companion.failed = None
        if failed:
            raise TrialError(failed[0])

    @contextmanager
    def together(self) -> Iterator[None]:
        """Do something for which each waits for the others."""
        self._is_together = True
        try:
            yield
        finally:
            self._is_together = False

    def close(self) -> str | None:
        """End them; return why one was lost, if one was."""
        deadline = time.monotonic() + SEEN_S
        while not (reason := self._lost()) and time.monotonic() < deadline:
            time.sleep(0.01)
        self._is_closed.set()
        for companion in self._all:
            companion.end()
        return reason

    def _lost(self) -> str | None:
        """Return what is known of a companion that is lost: first of one that ended."""
        ended = [each.ended for each in self._all if each.ended]
        failed = [each.failed for each in self._all if each.failed]
        return next(iter([*ended, *failed]), None)

    def _watch(self, reason: str) -> None:
        """End this process if it still waits for a companion that was lost a while ago."""
        if self._is_together and not self._is_closed.wait(GRACE_S) and self._is_together:
            self._give_up(reason)


class _Companion:
    """One of them."""

    def __init__(self, rank: int, count: int, lost: Callable[[str], None]) -> None:
        self.rank = rank
        self.ended: str | None = None
        self.failed: str | None = None
        self._name = f"rank {rank} of {count}"
        self._lost = lost
        self._process = subprocess.Popen(
            worker_command(MODULE, str(PACKAGE), worker_search_path(sys.path)),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={
                **os.environ,
                "RANK": str(rank),
                "LOCAL_RANK": str(rank),
                "WORLD_SIZE": str(count),
            },
        )
        self._answers: queue.Queue[str | None] = queue.Queue()
        threading.Thread(target=self._listen, daemon=True).start()

    def tell(self, request: Mapping[str, Any]) -> None:
        stdin: Any = self._process.stdin
        # If it has ended, the answer that does not come says so.
        with suppress(OSError, ValueError):
            stdin.write(json.dumps(request).encode() + b"\n")
            stdin.flush()

    def answer(self) -> str | None:
        """Wait for an answer; return why it could not do what it was told, if so."""
        if self.ended:
            return self.ended
        return self._answers.get()

    def end(self) -> None:
        self._process.kill()
        self._process.wait()
        with suppress(OSError):
            if self._process.stdin is not None:
                self._process.stdin.close()

    def _listen(self) -> None:
        stdout: Any = self._process.stdout
        with suppress(ValueError, OSError):
            for line in stdout:
                error = json.loads(line).get("error")
                if error is not None:
                    self.failed = f"{self._name}: {error}"
                    threading.Thread(target=self._lost, args=(self.failed,), daemon=True).start()
                self._answers.put(self.failed if error is not None else None)
        self.ended = f"{self._name} {ended_by(self._process.wait())}"
        self._answers.put(self.ended)
        self._lost(self.ended)
