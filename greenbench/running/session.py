"""A session: the host lock, workers, journal and tracking around the repeats of a suite."""

import json
import os
import random
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from filelock import FileLock, Timeout

from greenbench import registry
from greenbench.architectures.base import check_arguments
from greenbench.cases import SCHEMA_VERSION, Case
from greenbench.energy.carbon import CarbonIntensity, carbon_intensity
from greenbench.energy.hostlock import host_lock
from greenbench.energy.idle import drift
from greenbench.energy.meters import check_meters
from greenbench.errors import (
    CaseFailedError,
    ConfigurationError,
    GreenbenchError,
    JournalError,
    WorkerError,
)
from greenbench.results import CaseResult, TrialStatus
from greenbench.results.journal import Journal
from greenbench.results.marks import is_drifted
from greenbench.running.checkout import Checkout
from greenbench.running.delivery import Delivery
from greenbench.running.executor import Job, WorkerPool
from greenbench.schedulers import make_scheduler
from greenbench.settings import Settings
from greenbench.tracking.database import check_uri

MANIFEST = "run.json"
DONE = "done"
BASE = "base"
"""Folder of the journals of another revision."""


class Listener(Protocol):
    """Is told what a session does; renders it or not."""

    def notice(self, message: str) -> None:
        """Show one line that the user must see."""

    def repeat_started(
        self, case: Case, repeat: int, done_trials: int, revision: str | None = None
    ) -> None:
        """Show that a repeat begins; `done_trials` were finished before an interruption."""

    def event(self, kind: str, values: Mapping[str, Any]) -> None:
        """Show a worker's event: ``trial_started``, ``epoch``, ``trial_finished``, ``notice``."""

    def repeat_finished(self, result: CaseResult | None) -> None:
        """Show that a repeat ended; None if it failed."""


@dataclass
class Session:
    """Runs the repeats of a suite on this machine, one at a time.

    Use as a context manager: entering takes up an interrupted run of the same cases if
    there is one, waits for the host lock and starts the workers.

    Attributes
    ----------
    settings : Settings
        How and where.
    suite : str
        Name, for MLflow's experiment.
    cases : sequence of Case
        What may be run.
    listener : Listener
        Is told of progress.
    is_fresh : bool
        Whether to start over instead of resuming.
    is_resumable : bool
        Whether a later session may take this one up if it is interrupted.
    base : Checkout or None
        Another revision of the project, whose code `run_base` runs.
    idle_drift : float or None
        By which share idle power changed during the session; known once it is left, and
        None where idle power is not measured.
    """

    settings: Settings
    suite: str
    cases: Sequence[Case]
    listener: Listener
    is_fresh: bool = False
    is_resumable: bool = True
    base: Checkout | None = None
    _stack: ExitStack = field(default_factory=ExitStack, init=False)
    _has_crashed: bool = field(default=False, init=False)
    idle_drift: float | None = field(default=None, init=False)

    def __enter__(self) -> "Session":
        check_cases(self.cases)
        check_meters(self.settings.meter)
        check_uri(self.settings.tracking_uri)
        intensity = carbon_intensity(self.settings.carbon_g_per_kwh, self.settings.country)
        with ExitStack() as stack:
            self.folder, self.is_resumed = self._open_folder(stack)
            stack.enter_context(host_lock(self.settings.host_lock, self._waiting))
            self._pools = self._open_pools(stack, intensity)
            self._delivery = Delivery(self.settings.tracking_uri, self.listener)
            for pool in self._pools:
                pool.wait_until_ready()
            self._idle_w = self._measure_idle_w("before")
            self._stack = stack.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, *exception: object) -> None:
        with self._stack:
            if kind is None and self._idle_w:
                self._compare_idle_power()
        if self.has_undelivered:
            self.listener.notice("results wait in the journal: `greenbench sync` delivers them")

    @property
    def has_undelivered(self) -> bool:
        """Whether MLflow could not take all results."""
        return self._delivery.has_failed

    def repeats(self) -> Iterator[tuple[Case, int]]:
        """Yield what is to be run: all cases in random order, then all with the next seed."""
        for repeat in range(max((case.repeats for case in self.cases), default=0)):
            due = [case for case in self.cases if repeat < case.repeats]
            # In random order, so that a drift of the machine is no advantage of a case;
            # the same one when the run is resumed.
            random.Random(f"{self.folder.name} {repeat}").shuffle(due)
            yield from ((case, repeat) for case in due)

    def run_repeat(self, case: Case, repeat: int) -> CaseResult:
        """Run one repeat, or return its result if the interrupted run had finished it.

        The result is in the journal; `deliver` brings it to MLflow.

        Raises
        ------
        GreenbenchError
            If the case cannot work or fails outside a trial.
        """
        return self._run(self._pools[0], Journal.of(self.folder, case, repeat), case, repeat)

    def run_base(self, case: Case, repeat: int) -> CaseResult:
        """Run one repeat with the code of the other revision; its result stays in the journal.

        Raises
        ------
        GreenbenchError
            If the case cannot work there or fails outside a trial.
        """
        journal = Journal.of(self.folder / BASE, case, repeat)
        revision = self.base.revision if self.base else None
        return self._run(self._pools[-1], journal, case, repeat, revision)

    def _run(
        self,
        pool: WorkerPool,
        journal: Journal,
        case: Case,
        repeat: int,
        revision: str | None = None,
    ) -> CaseResult:
        state = journal.read()
        self.listener.repeat_started(case, repeat, len(state.trials), revision)
        result = state.result
        try:
            if result is None:
                job = Job(case, repeat, self.suite, journal, self._idle_w)
                result = pool.run(job, self.listener.event)
        except GreenbenchError as error:
            self._has_crashed |= isinstance(error, WorkerError)
            self.listener.repeat_finished(None)
            raise
        self.listener.repeat_finished(result)
        return result

    def deliver(self, result: CaseResult) -> None:
        """Log a result of this session, unless MLflow has it."""
        journal = Journal.of(self.folder, result.case, result.repeat)
        self._delivery.deliver(journal, result, may_exist=self.is_resumed)

    def finish(self) -> None:
        """Mark the run as complete, so that it is not taken up again."""
        (self.folder / DONE).touch()

    def _open_folder(self, stack: ExitStack) -> tuple[Path, bool]:
        manifest = {
            "schema": SCHEMA_VERSION,
            "suite": self.suite,
            "cases": [case.to_dict() for case in self.cases],
        }
        root = self.settings.journal_dir
        try:
            root.mkdir(parents=True, exist_ok=True)
            if not self.is_fresh:
                for folder in _unfinished(root, manifest):
                    if _own(folder, stack):
                        self.listener.notice(_resume_notice(folder, self.cases))
                        return folder, True
            folder = root / f"{self.suite}-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}"
            folder.mkdir()
            stack.callback(self._drop_if_empty, folder)
            _own(folder, stack)
            if self.is_resumable:
                (folder / MANIFEST).write_text(json.dumps(manifest), encoding="utf-8")
        except OSError as error:
            raise ConfigurationError(
                f"journal folder {root} cannot be written ({error.strerror}); "
                "set GREENBENCH_RUNS_DIR to a folder that you may write"
            ) from error
        return folder, False

    def _open_pools(self, stack: ExitStack, intensity: CarbonIntensity) -> list[WorkerPool]:
        """Start the workers of the working folder, and those of the other revision."""
        pools = [WorkerPool(self.settings, intensity, self.folder)]
        if self.base:
            (self.folder / BASE).mkdir(exist_ok=True)
            pools.append(WorkerPool(self.settings, intensity, self.folder / BASE, self.base))
        backends = sorted({case.backend for case in self.cases})
        self.listener.notice(f"starting workers: {', '.join(backends)}")
        for pool in pools:
            stack.callback(pool.close)
            pool.launch(self.cases)
        return pools

    def _measure_idle_w(self, when: str) -> dict[str, float]:
        if not self.settings.idle_s:
            return {}
        power_w = self._pools[0].measure_idle_w(self.settings.idle_s)
        if power_w:
            parts = ", ".join(f"{name} {watts:.4g} W" for name, watts in sorted(power_w.items()))
            self.listener.notice(f"idle power {when} the suite: {parts}")
        return power_w

    def _compare_idle_power(self) -> None:
        self.idle_drift = drift(self._idle_w, self._measure_idle_w("after"))
        if self.idle_drift is None:
            return
        if is_drifted(self.idle_drift):
            self.listener.notice(
                f"idle power changed by {self.idle_drift:.0%} during the suite: its net figures "
                "are marked as drifted; let the machine cool down or quieten, and run again"
            )
        self._delivery.deliver_idle_drift(self.folder, self.suite, self.idle_drift)

    def _drop_if_empty(self, folder: Path) -> None:
        # Nothing was achieved, as after a mistyped option; but a crash leaves its log.
        if not self._has_crashed and not any(folder.glob("*.jsonl")):
            shutil.rmtree(folder, ignore_errors=True)

    def _waiting(self, waited_s: float) -> None:
        self.listener.notice(
            f"waiting for the host lock ({waited_s:.0f} s): another greenbench is measuring on "
            f"this machine; two at once would measure each other ({self.settings.host_lock})"
        )


def check_completed(result: CaseResult) -> None:
    """Raise `CaseFailedError` if no trial of a repeat completed, with the reasons."""
    if result.incumbent is None:
        reasons = sorted({trial.error for trial in result.trials if trial.error})
        raise CaseFailedError(
            f"{result.case.id}: no trial of repeat {result.repeat} completed: {'; '.join(reasons)}"
        )


def check_cases(cases: Sequence[Case]) -> None:
    """Raise `ConfigurationError` if there are no cases, one cannot work, or an id repeats."""
    if not cases:
        raise ConfigurationError("no case selected; `greenbench list` shows all")
    seen: set[str] = set()
    for case in cases:
        registry.check_case(case)
        make_scheduler(case)
        check_arguments(case.architecture, case.size, dict(case.architecture_options))
        if case.id in seen:
            raise ConfigurationError(f"case {case.id} is listed twice; remove one of them")
        seen.add(case.id)


def _unfinished(root: Path, manifest: Mapping[str, Any]) -> Iterator[Path]:
    for path in sorted(root.glob(f"*/{MANIFEST}"), reverse=True):
        if (path.parent / DONE).exists():
            continue
        try:
            if json.loads(path.read_text(encoding="utf-8")) == manifest:
                yield path.parent
        except ValueError:
            continue


def _own(folder: Path, stack: ExitStack) -> bool:
    """Take the lock that says whose run this is; the system frees it if we are killed."""
    lock = FileLock(folder / ".lock")
    try:
        stack.enter_context(lock.acquire(timeout=0))
    except Timeout:
        return False
    return True


def _resume_notice(folder: Path, cases: Sequence[Case]) -> str:
    finished = trials = lost = total = 0
    for case, repeat in [(each, n) for each in cases for n in range(each.repeats)]:
        total += 1
        try:
            state = Journal.of(folder, case, repeat).read()
        except JournalError:
            continue
        finished += state.result is not None
        if state.result is None:
            trials += len(state.trials)
            lost += sum(trial.status is TrialStatus.STOPPED for trial in state.trials)
    stopped = f" ({lost} that had paused stay where they are)" if lost else ""
    return (
        f"resuming {folder.name}: {finished} of {total} repeats are finished, and {trials} "
        f"trials of the interrupted one{stopped}; `--fresh` starts over instead"
    )
