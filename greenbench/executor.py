"""The executor: runs repeats in worker processes that may crash or hang, and are used again."""

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from greenbench import registry
from greenbench.cases import Case
from greenbench.checkout import Checkout
from greenbench.energy.carbon import CarbonIntensity
from greenbench.energy.meters import meter_names
from greenbench.environment import git_revision
from greenbench.errors import ConfigurationError, WorkerError
from greenbench.journal import Journal
from greenbench.readings import Account, Component, Provenance, Reading
from greenbench.results import CaseResult, Segment, Trial, TrialStatus
from greenbench.settings import Settings

START_TIMEOUT_S = 300.0

# Whichever of them a library reads, it reads once, when it is loaded.
THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS",
)

Event = tuple[str, Mapping[str, Any]]
OnEvent = Callable[[str, Mapping[str, Any]], None]
_Kind = tuple[str, int]


@dataclass(frozen=True)
class Job:
    """One repeat of a case to run, with the journal that it writes, and the idle power."""

    case: Case
    repeat: int
    suite: str
    journal: Journal
    idle_w: Mapping[str, float] = field(default_factory=dict)


class WorkerPool:
    """Worker processes, one a backend and number of threads, started once and used again.

    Parameters
    ----------
    settings : Settings
        What workers are set up with.
    intensity : CarbonIntensity
        Turns energy into emissions.
    log_dir : pathlib.Path
        Where a worker's own output goes.
    checkout : Checkout, optional
        Run the project's code of this revision instead of that in the working folder.
    """

    def __init__(
        self,
        settings: Settings,
        intensity: CarbonIntensity,
        log_dir: Path,
        checkout: Checkout | None = None,
    ) -> None:
        self._settings = settings
        self._intensity = intensity
        self._log_dir = log_dir
        self._checkout = checkout
        self._place_of = checkout.place_of if checkout else str
        self._revision = {"commit": checkout.commit} if checkout else git_revision(settings.branch)
        self._workers: dict[_Kind, _Worker] = {}
        self._lacks_parts = False

    def launch(self, cases: Iterable[Case]) -> None:
        """Start all workers that cases need at once, without waiting for their imports."""
        cases = list(cases)
        modules = registry.registering_modules(cases, meter_names(self._settings.meter))
        for kind in sorted({self._kind(case) for case in cases} - set(self._workers)):
            self._workers[kind] = self._launch(kind, modules)

    def wait_until_ready(self) -> None:
        """Wait for all workers.

        Imports take seconds of CPU time, which must not fall into anybody's measurement.

        Raises
        ------
        ConfigurationError
            If a backend or a registered part cannot be loaded.
        WorkerError
            If a worker dies before it is ready.
        """
        for worker in self._workers.values():
            worker.wait_until_ready()
            # Parts that the revision lacks are no code of ours that it would run; and workers
            # of older revisions do not tell.
            if self._checkout and worker.files and not self._lacks_parts:
                self._checkout.check_code(worker.files)

    def run(self, job: Job, on_event: OnEvent) -> CaseResult:
        """Run a job; a trial that kills its worker is recorded, and the search goes on.

        Raises
        ------
        ConfigurationError
            If the case cannot work.
        WorkerError
            If the case fails outside a trial.
        """
        while True:
            self.launch([job.case])
            self.wait_until_ready()
            worker = self._workers[self._kind(job.case)]
            try:
                worker.run(job, on_event, self._settings.trial_timeout_s)
            except _BrokenOffError as broken:
                del self._workers[self._kind(job.case)]
                if not broken.trials:
                    raise WorkerError(f"{job.case.id}: {broken}; see {worker.log}") from broken
                for trial in broken.trials:
                    job.journal.add_trial(_with_what_was(trial, job))
                    on_event("trial_finished", _trial_event(trial))
                continue
            result = job.journal.read().result
            if result is None:
                raise WorkerError(f"{job.case.id} finished without a result; see {worker.log}")
            return result

    def measure_idle_w(self, seconds: float) -> dict[str, float]:
        """Return the idle power of the components that a worker can measure, in W."""
        worker = next(iter(self._workers.values()), None)
        return worker.measure_idle_w(seconds) if worker else {}

    def close(self) -> None:
        """Stop all workers."""
        for worker in self._workers.values():
            worker.stop()
        self._workers.clear()

    def _kind(self, case: Case) -> _Kind:
        return case.backend, case.threads or self._settings.threads

    def _launch(self, kind: _Kind, modules: list[dict[str, str]]) -> "_Worker":
        (backend, threads), settings = kind, self._settings
        placed = self._placed(modules)
        self._lacks_parts = len(placed) < len(modules)
        request = {
            "backend": backend,
            "threads": threads,
            "meter": settings.meter,
            "min_window_s": settings.min_window_s,
            "intensity": asdict(self._intensity),
            "data_dir": str(settings.data_dir.absolute()),
            "sys_path": [*self._roots(modules), *map(self._place_of, filter(None, sys.path))],
            "modules": placed,
            "revision": self._revision,
        }
        searched = [entry for entry in os.environ.get("PYTHONPATH", "").split(os.pathsep) if entry]
        return _Worker(
            backend,
            request,
            self._log_dir / f"worker-{backend}-{threads}.log",
            self._place_of(str(Path.cwd())),
            os.pathsep.join(map(self._place_of, searched)),
        )

    def _placed(self, modules: list[dict[str, str]]) -> list[dict[str, str]]:
        placed = [{**module, "file": self._place_of(module["file"])} for module in modules]
        # Cases of a module that the other revision lacks cannot run there; others can.
        return [module for module in placed if Path(module["file"]).exists()]

    def _roots(self, modules: list[dict[str, str]]) -> Iterator[str]:
        """Yield the folders that modules of another revision are imported from.

        An editable installation need not be in the search path, and would find our own.
        """
        for module in modules if self._checkout else ():
            file = Path(module["file"])
            levels = module["name"].count(".") + (file.name == "__init__.py")
            yield self._place_of(str(file.parents[levels]))


class _BrokenOffError(Exception):
    """A worker died or was stopped; `trials` are what it was at."""

    def __init__(self, message: str, trials: Sequence[Trial]) -> None:
        super().__init__(message)
        self.trials = trials


class _Worker:
    """One worker process, seen from its parent."""

    def __init__(
        self, backend: str, set_up: Mapping[str, Any], log: Path, working: str, python_path: str
    ) -> None:
        self.backend = backend
        self.log = log
        self.files: list[str] = []
        self._is_ready = False
        self._is_closed = False
        threads = str(set_up["threads"])
        environment = {
            **os.environ,
            "PYTHONPATH": python_path,
            **dict.fromkeys(THREAD_VARIABLES, threads),
            # Threads that spin while they wait were seen to take 40 times as long when
            # something else ran on one of the cores, and they burn the energy we measure.
            "OMP_WAIT_POLICY": "PASSIVE",
        }
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "greenbench.worker"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=output,
                env=environment,
                cwd=working,
                # Ctrl+C is for the parent: a worker that it ended would look like a crash.
                start_new_session=True,
            )
        self._events: queue.Queue[Event | None] = queue.Queue()
        threading.Thread(target=self._listen, daemon=True).start()
        threading.Thread(target=self._clear_up, daemon=True).start()
        self._send(set_up)

    def wait_until_ready(self) -> None:
        """Wait for the first answer."""
        if self._is_ready:
            return
        event = self._next(START_TIMEOUT_S)
        if event is None:
            raise WorkerError(f"the {self.backend} worker {self._cause()}; see {self.log}")
        self._raise_if_failed(event)
        self.files = event[1].get("files", [])
        self._is_ready = True

    def measure_idle_w(self, seconds: float) -> dict[str, float]:
        """Let the worker measure while it does nothing; empty if it cannot."""
        self._send({"idle_s": seconds})
        event = self._next(seconds + START_TIMEOUT_S)
        if event is None:
            raise WorkerError(f"the {self.backend} worker {self._cause()}; see {self.log}")
        self._raise_if_failed(event)
        return dict(event[1]["power_w"])

    def run(self, job: Job, on_event: OnEvent, trial_timeout_s: float) -> None:
        """Send a job and pass its events on until it is finished."""
        self._send(
            {
                "case": job.case.to_dict(),
                "repeat": job.repeat,
                "suite": job.suite,
                "journal": str(job.journal.path),
                "idle_w": dict(job.idle_w),
            }
        )
        # Several are trained at once, in a batch.
        current: dict[int, Mapping[str, Any]] = {}
        deadline = time.monotonic() + trial_timeout_s
        while True:
            event = self._next(deadline - time.monotonic())
            if event is None:
                self._break_off(list(current.values()), trial_timeout_s)
                return
            kind, values = event
            if kind == "finished":
                return
            self._raise_if_failed(event)
            if kind in ("trial_started", "trial_finished"):
                current.pop(values["index"], None)
                if kind == "trial_started":
                    current[values["index"]] = values
                deadline = time.monotonic() + trial_timeout_s * max(len(current), 1)
            on_event(kind, values)

    def stop(self) -> None:
        """End the process."""
        with contextlib.suppress(OSError):
            if self._process.stdin is not None:
                self._process.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=5)
        self._kill()

    def _kill(self) -> None:
        # With the processes that a meter may have started: the worker leads their group.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def _clear_up(self) -> None:
        # Those of a worker that crashed would go on. Forked ones hold its end of the pipe,
        # too: without them its events end, and so does the wait for the next one.
        self._process.wait()
        self._kill()

    def _break_off(self, current: Sequence[Mapping[str, Any]], trial_timeout_s: float) -> None:
        hung = self._process.poll() is None and not self._is_closed
        if hung:
            self._kill()
        self._process.wait()
        status = TrialStatus.TIMED_OUT if hung else TrialStatus.CRASHED
        limit_s = trial_timeout_s * max(len(current), 1)
        what = f"took longer than {limit_s:g} s" if hung else self._cause()
        message = f"the {self.backend} worker {what}"
        # What it used until then went with it: the energy is unknown, which is not 0.
        part = Component(None, Provenance.NONE, "lost with its worker", message)
        lost = Reading(0.0, {"cpu": part}, cpu_s=None, other_cpu_s=None)
        trials = [
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
            for trial in current
        ]
        raise _BrokenOffError(message, trials)

    def _raise_if_failed(self, event: Event) -> None:
        kind, values = event
        if kind != "failed":
            return
        if values["is_configuration"]:
            raise ConfigurationError(values["message"])
        raise WorkerError(f"{values['message']}; see {self.log}")

    def _cause(self) -> str:
        code = self._process.wait()
        if code < 0:
            return f"was killed by {signal.Signals(-code).name}"
        return f"ended with exit code {code}"

    def _send(self, request: Mapping[str, Any]) -> None:
        if self._process.stdin is None:
            return
        # A worker that has died is found out when its events are read.
        with contextlib.suppress(OSError):
            self._process.stdin.write(json.dumps(request).encode() + b"\n")
            self._process.stdin.flush()

    def _listen(self) -> None:
        if self._process.stdout is not None:
            for line in self._process.stdout:
                entry = json.loads(line)
                self._events.put((entry["event"], entry["values"]))
        self._is_closed = True
        self._events.put(None)

    def _next(self, timeout_s: float) -> Event | None:
        try:
            return self._events.get(timeout=max(timeout_s, 0.001))
        except queue.Empty:
            return None


def _with_what_was(lost: Trial, job: Job) -> Trial:
    """Return a trial that was lost with what it had been before, if it had paused."""
    if job.case.scheduler is None or lost.reevaluates is not None:
        return lost
    state = job.journal.read()
    before = next((trial for trial in state.trials if trial.index == lost.index), None)
    trial = replace(before or lost, status=lost.status, error=lost.error, val_accuracy=None)
    if before is None:
        trial = replace(trial, account=Account())
    position = sum(len(each.segments) for each in state.trials)
    return trial.with_segment(Segment(position, len(trial.epochs), None, lost.account))


def _trial_event(trial: Trial) -> dict[str, Any]:
    return {"index": trial.index, "status": trial.status.value, "val_accuracy": None}
