"""One worker process, seen from its parent: its start, its requests and events, its end."""

import contextlib
import json
import os
import queue
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from greenbench.energy.idle import IdlePower
from greenbench.errors import ConfigurationError, DatasetError, WorkerError
from greenbench.machine.files import last_words
from greenbench.machine.processes import GroupLeader, ended_by
from greenbench.results import Trial, TrialStatus
from greenbench.results.account import Account
from greenbench.results.gpus import Gpu
from greenbench.results.readings import Component, Provenance, Reading
from greenbench.results.scope import Names
from greenbench.running.worker_surroundings import open_log, surroundings

START_TIMEOUT_S = 300.0
STOP_TIMEOUT_S = 5.0
ENDED_TIMEOUT_S = 60.0
"""What a worker whose events have ended may take to end, while the system takes its GPU's memory
from it, or the machine is busy."""

TRIAL_EVENTS = ("trial_started", "trial_finished")
ANSWERS = ("ready", "warm", "idle", "data", "finished", "failed")
"""Events that end a request."""
ENDING = "ending"
"""The last event of a worker that ends by itself, and says why."""

Event = tuple[str, Mapping[str, Any]]
OnEvent = Callable[[str, Mapping[str, Any]], None]


class BrokenOffError(Exception):
    """A worker died or was stopped; `trials` are what it was at."""

    def __init__(self, message: str, trials: Sequence[Trial]) -> None:
        super().__init__(message)
        self.trials = trials


class WorkerProcess:
    """A worker that is started at once, and waited for when it is needed.

    Parameters
    ----------
    backend : str
        What it trains with.
    command : sequence of str
        What is run.
    set_up : dict
        The first request.
    log : pathlib.Path
        Where its own output goes.
    working : str
        The folder that it works in.
    python_path : str
        What it finds as ``PYTHONPATH``.

    Attributes
    ----------
    files : list of str
        Those that parts were imported from; known when it is ready.
    is_spent : bool
        Whether a case left something behind in it that cannot be put back, or nobody waited for
        its last answer.
    device : str or None
        What it trains on; known then, too.
    measures : bool
        Whether its meter measures, so that it can tell idle power; known then, too.
    gpus : list of Gpu or None
        The cards that it trains on; None until it has told.
    scope : tuple of str or None
        Components that count in its figures; known then, too.
    """

    def __init__(
        self,
        backend: str,
        command: Sequence[str],
        set_up: Mapping[str, Any],
        log: Path,
        *,
        working: str,
        python_path: str,
    ) -> None:
        self.backend = backend
        self.log = log
        self.files: list[str] = []
        self.is_spent = False
        self.device: str | None = None
        self.measures = False
        self.gpus: list[Gpu] | None = None
        self.scope: Names | None = None
        self._is_ready = False
        self._is_closed = False
        self._why: str | None = None
        self._request = -1
        self._is_answered = False
        with open_log(log) as output:
            self._logged_before = output.tell()
            process = subprocess.Popen(
                list(command),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=output,
                env=surroundings(os.environ, python_path, int(set_up["threads"])),
                cwd=working,
                # Ctrl+C is for the parent: a worker that it ended would look like a crash.
                start_new_session=True,
            )
        # With it go the processes that a meter may have started.
        self._process = GroupLeader(process)
        self._events: queue.Queue[tuple[int | None, Event] | None] = queue.Queue()
        threading.Thread(target=self._listen, daemon=True).start()
        # Those of a worker that crashed would go on. Forked ones hold its end of the pipe, too:
        # without them its events end, and so does the wait for the next one.
        threading.Thread(target=self._process.wait, daemon=True).start()
        self._send(set_up)

    def wait_until_ready(self) -> None:
        """Wait for the first answer."""
        if self._is_ready:
            return
        self._is_ready = True
        try:
            with self._waiting():
                values = self._answer(START_TIMEOUT_S)
        except BaseException:
            # It cannot be told again what it is for.
            self.is_spent = True
            raise
        self.files = values.get("files", [])
        self.device = values.get("environment", {}).get("device")
        # Workers of older revisions do not tell, and cannot be warmed up.
        self.measures = bool(values.get("measures"))
        if "gpus" in values:
            self.gpus = [Gpu(**each) for each in values["gpus"]]
        scope = values.get("scope")
        self.scope = None if scope is None else tuple(scope)

    def warm_up(self, case: Mapping[str, Any], repeat: int, limit_s: float) -> None:
        """Let the worker do what a repeat does before it trains; whatever fails fails again."""
        self._ask({"warm_up": case, "repeat": repeat}, limit_s)

    def measure_idle(self, seconds: float) -> IdlePower:
        """Let the worker measure while it does nothing."""
        return IdlePower(**self._ask({"idle_s": seconds}, seconds))

    def data_of(self, case: Mapping[str, Any], repeat: int, limit_s: float) -> dict[str, Any]:
        """Let the worker load the data of a repeat; return what it would rest on of them."""
        return dict(self._ask({"data_of": case, "repeat": repeat}, limit_s))

    def run(self, job: Mapping[str, Any], on_event: OnEvent, trial_timeout_s: float) -> None:
        """Send a job and pass its events on until it is finished.

        Raises
        ------
        BrokenOffError
            If the process dies, or has to be stopped.
        """
        # Several are trained at once, in a batch.
        current: dict[int, Mapping[str, Any]] = {}
        with self._waiting():
            self._send(job)
            deadline = time.monotonic() + trial_timeout_s
            while not self._is_answered:
                event = self._next(deadline - time.monotonic())
                if event is None:
                    self._break_off(list(current.values()), trial_timeout_s)
                    return
                kind, values = event
                if self._is_answered:
                    continue
                on_event(kind, values)
                if kind in TRIAL_EVENTS:
                    current.pop(values["index"], None)
                    if kind == "trial_started":
                        current[values["index"]] = values
                    if job.get("waits"):
                        self._tell({"acknowledged": values["index"]})
                    deadline = time.monotonic() + trial_timeout_s * max(len(current), 1)

    def _ask(self, request: Mapping[str, Any], seconds: float) -> Mapping[str, Any]:
        with self._waiting():
            self._send(request)
            return self._answer(seconds + START_TIMEOUT_S)

    def _answer(self, limit_s: float) -> Mapping[str, Any]:
        event = self._next(limit_s)
        if event is None:
            what = self._end(limit_s)
            said = f": {words}" if (words := self._last_words()) else ""
            raise WorkerError(f"the {self.backend} worker {what}{said}; see {self.log}")
        return event[1]

    @contextlib.contextmanager
    def _waiting(self) -> Iterator[None]:
        """End the worker if an answer is not waited for, and so would be taken for the next one.

        A test may be stopped by a limit of its own, or by Ctrl+C.
        """
        try:
            yield
        finally:
            if not self._is_answered:
                self.is_spent = True
                self._kill()

    @property
    def is_alive(self) -> bool:
        """Whether the process runs."""
        return self._process.poll() is None

    def stop(self) -> None:
        """End the process."""
        with contextlib.suppress(OSError):
            if self._process.stdin is not None:
                self._process.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=STOP_TIMEOUT_S)
        self._kill()

    def _kill(self) -> None:
        self._process.signal()
        self._process.wait()

    def _break_off(self, current: Sequence[Mapping[str, Any]], trial_timeout_s: float) -> None:
        is_hung = not self._is_closed
        message = f"the {self.backend} worker {self._end(trial_timeout_s * max(len(current), 1))}"
        status = TrialStatus.TIMED_OUT if is_hung else TrialStatus.CRASHED
        raise BrokenOffError(message, lost_trials(current, status, message, self.scope))

    def _raise_if_failed(self, event: Event) -> None:
        kind, values = event
        if kind != "failed":
            return
        if values["is_configuration"]:
            # A worker of an older revision does not tell.
            of = DatasetError if values.get("is_of_data") else ConfigurationError
            raise of(values["message"])
        raise WorkerError(f"{values['message']}; see {self.log}")

    def _end(self, limit_s: float) -> str:
        """Return how the process ended; one that goes on is ended."""
        if not self._is_closed:
            self._kill()
            return f"took longer than {limit_s:g} s"
        try:
            code = self._process.wait(timeout=ENDED_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._kill()
            return "closed its events, and went on"
        if self._why is not None:
            return f"ended itself: {self._why}"
        return ended_by(code)

    def _last_words(self) -> str:
        """Return the last lines that it logged, as one line."""
        return last_words(self.log, self._logged_before)

    def _send(self, request: Mapping[str, Any]) -> None:
        self._request += 1
        self._is_answered = False
        self._tell({**request, "request": self._request})

    def _tell(self, values: Mapping[str, Any]) -> None:
        if self._process.stdin is None:
            return
        line = json.dumps(values).encode() + b"\n"
        # A worker that has died is found out when its events are read.
        with contextlib.suppress(OSError):
            self._process.stdin.write(line)
            self._process.stdin.flush()

    def _listen(self) -> None:
        if self._process.stdout is not None:
            for line in self._process.stdout:
                if not line.endswith(b"\n"):
                    # It died while it wrote this.
                    break
                # What a program that it started writes here is no event.
                with contextlib.suppress(ValueError, KeyError, TypeError):
                    entry = json.loads(line)
                    event = entry["event"], dict(entry["values"])
                    # Workers of older revisions do not tell which request it is for.
                    self._events.put((entry.get("request"), event))
        self._is_closed = True
        self._events.put(None)

    def _next(self, timeout_s: float) -> Event | None:
        """Wait for the next event of the request; None if there is none in time, or ever."""
        deadline = time.monotonic() + timeout_s
        while True:
            wait_s = max(deadline - time.monotonic(), 0.001)
            try:
                found = self._events.get(timeout=min(wait_s, threading.TIMEOUT_MAX))
            except queue.Empty:
                return None
            if found is None:
                self._events.put(None)
                return None
            request, event = found
            if event[0] == ENDING:
                self._why = str(event[1]["message"])
                continue
            if request in (None, self._request):
                break
        self._is_answered = event[0] in ANSWERS
        # Workers of older revisions do not tell.
        self.is_spent = self.is_spent or bool(event[1].get("lasting"))
        self._raise_if_failed(event)
        return event


def lost_trials(
    started: Sequence[Mapping[str, Any]],
    status: TrialStatus,
    message: str,
    scope: Sequence[str] | None,
) -> list[Trial]:
    """Return trials that were lost with whoever ran them.

    Parameters
    ----------
    started : sequence of mapping
        What each of them told when it started.
    status : TrialStatus
        How they ended.
    message, scope : str; sequence of str or None
        Why, and which components count in their figures.
    """
    # What they used until then went with them: the energy is unknown, which is not 0.
    part = Component(None, Provenance.NONE, "lost with its worker", message)
    parts = dict.fromkeys(scope or ("cpu",), part)
    names = None if scope is None else tuple(scope)
    lost = Reading(0.0, parts, cpu_s=None, other_cpu_s=None, scope=names)
    return [
        Trial(
            trial["index"],
            trial["hyperparameters"],
            status,
            account=Account({"train": lost}),
            error=message,
            reevaluates=trial["reevaluates"],
            # Workers of older revisions do not tell.
            lanes=trial.get("lanes", 1),
        )
        for trial in started
    ]
