"""The executor: runs repeats in worker processes that may crash or hang, and are used again."""

import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import greenbench
from greenbench import registry
from greenbench.cases import Case
from greenbench.energy.carbon import CarbonIntensity
from greenbench.energy.idle import IdlePower
from greenbench.energy.meters import meter_names
from greenbench.errors import WorkerError
from greenbench.machine.claims import Fence
from greenbench.machine.environment import git_revision
from greenbench.machine.interpreter import worker_command, worker_search_path
from greenbench.machine.sources import sources_of
from greenbench.results import CaseResult, Segment, Trial, TrialStatus
from greenbench.results.account import Account
from greenbench.results.gpus import Gpu
from greenbench.results.journal import Journal
from greenbench.results.looks import Look
from greenbench.results.scope import Names
from greenbench.running.checkout import WORKER_MODULE, Checkout
from greenbench.running.devices import check_devices
from greenbench.running.parts import PACKAGE_FILE, modules_in_sight, own_parts, registering_modules
from greenbench.running.worker_process import BrokenOffError, OnEvent, WorkerProcess
from greenbench.settings import Settings
from greenbench.trainings.driver import named

_Kind = tuple[str, int, int]


@dataclass(frozen=True)
class Job:
    """One repeat of a case to run: its journal, the idle power, what changed, and which look.

    Attributes
    ----------
    waits : bool
        Whether the worker begins a trial, and goes on after it, only when that was seen to.
    conditions : str or None
        Digest of what it runs under, where that is recorded with the result.
    """

    case: Case
    repeat: int
    suite: str
    journal: Journal
    idle_w: Mapping[str, float] = field(default_factory=dict)
    mixed: Sequence[str] = ()
    look: Look = field(default_factory=Look)
    waits: bool = False
    conditions: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the request that a worker gets."""
        return {
            "case": self.case.to_dict(),
            "repeat": self.repeat,
            "suite": self.suite,
            "journal": str(self.journal.path),
            "fence": _told(self.journal.fence),
            "idle_w": dict(self.idle_w),
            "mixed": list(self.mixed),
            "look": self.look.number,
            "design": self.look.design,
            "waits": self.waits,
            "conditions": self.conditions,
        }


def _told(fence: Fence | None) -> dict[str, str] | None:
    return None if fence is None else {"note": str(fence.note), "token": fence.token}


class WorkerPool:
    """Worker processes, one a backend, threads and devices, started once and used again.

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
    working : pathlib.Path, optional
        Where workers work; default: the working folder.
    """

    def __init__(
        self,
        settings: Settings,
        intensity: CarbonIntensity,
        log_dir: Path,
        checkout: Checkout | None = None,
        working: Path | None = None,
    ) -> None:
        self._working = working or Path.cwd()
        self._settings = settings
        self._intensity = intensity
        self._log_dir = log_dir
        self._checkout = checkout
        self._place_of = checkout.place_of if checkout else str
        self._revision = {"commit": checkout.commit} if checkout else git_revision(settings.branch)
        self._workers: dict[_Kind, WorkerProcess] = {}
        self._lacks_parts = False

    def launch(self, cases: Iterable[Case]) -> None:
        """Start all workers that cases need at once, without waiting for their imports."""
        cases = list(cases)
        for case in cases:
            check_devices(case, self._settings.threads_of(case), os.environ)
        for kind in [kind for kind, worker in self._workers.items() if worker.is_spent]:
            self._workers.pop(kind).stop()
        due = sorted({self._kind(case) for case in cases} - set(self._workers))
        if not due:
            return
        parts = self._parts(cases)
        asked = registering_modules(cases, meter_names(self._settings.meter))
        self._lacks_parts = len(parts["modules"]) < len(asked)
        if self._checkout and self._checkout.lacking:
            self._checkout.check_submodules(sources_of(asked).files.values())
        for kind in due:
            self._workers[kind] = self._launch(kind, parts)

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
        taken_up: dict[int, int] = {}
        while True:
            self.launch([job.case])
            self.wait_until_ready()
            worker = self._workers[self._kind(job.case)]
            watch = _Watch(job.journal, on_event)
            try:
                # A test may ask for a case that nobody knew of when the worker was started.
                request = {**job.to_dict(), **self._parts([job.case])}
                worker.run(request, watch, self._settings.trial_timeout_s)
            except BrokenOffError as broken:
                # Whoever closed all of them meanwhile ended it.
                self._workers.pop(self._kind(job.case), None)
                if _goes_on(broken.trials, job, taken_up) or _record_lost(
                    broken.trials, job, watch
                ):
                    continue
                if job.journal.read().result is None:
                    raise WorkerError(f"{job.case.id}: {broken}; see {worker.log}") from broken
                # It died before it could.
                job.journal.drop_checkpoints()
            result = job.journal.read().result
            if result is None:
                raise WorkerError(f"{job.case.id} finished without a result; see {worker.log}")
            return result

    @property
    def gpus(self) -> list[Gpu] | None:
        """The cards that workers train on, each once; None until one of them has told."""
        told = [each.gpus for each in self._workers.values() if each.gpus is not None]
        return list(dict.fromkeys(gpu for gpus in told for gpu in gpus)) if told else None

    @property
    def measures(self) -> bool:
        """Whether a worker can measure idle power."""
        return any(self._measuring())

    def warm_up(self, repeats: Iterable[tuple[Case, int]]) -> None:
        """Let each worker do what its first repeat does before it trains.

        An open context and a device that was used cost power, after a suite as before it.
        """
        first: dict[_Kind, tuple[Case, int]] = {}
        for case, repeat in repeats:
            first.setdefault(self._kind(case), (case, repeat))
        for kind, worker in self._workers.items():
            if kind in first and worker.measures:
                case, repeat = first[kind]
                # One that dies of it is started anew for the repeat, which tells why.
                with suppress(WorkerError):
                    worker.warm_up(case.to_dict(), repeat, self._settings.trial_timeout_s)

    def measure_idle(self, seconds: float) -> IdlePower:
        """Return what one worker measures while all of them do nothing."""
        worker = next(self._measuring(), None)
        return worker.measure_idle(seconds) if worker else IdlePower()

    def _measuring(self) -> Iterator[WorkerProcess]:
        return (each for each in self._workers.values() if each.is_alive and each.measures)

    def data_of(self, case: Case, repeat: int) -> dict[str, Any]:
        """Return what a repeat would rest on of its data; its worker loads them."""
        worker = self._workers[self._kind(case)]
        return worker.data_of(case.to_dict(), repeat, self._settings.trial_timeout_s)

    def device_of(self, case: Case) -> str | None:
        """Return what a case would be trained on, if its worker tells."""
        return self._workers[self._kind(case)].device

    def scope_of(self, case: Case) -> Names | None:
        """Return which components count in a case's figures, if its worker tells."""
        return self._workers[self._kind(case)].scope

    def close(self) -> None:
        """Stop all workers."""
        # One by one: somebody may launch another one while we wait for the end of one.
        while self._workers:
            self._workers.popitem()[1].stop()

    def _kind(self, case: Case) -> _Kind:
        return case.backend, self._settings.threads_of(case), case.devices

    def _launch(self, kind: _Kind, parts: Mapping[str, Any]) -> WorkerProcess:
        (backend, threads, devices), settings = kind, self._settings
        search_path = worker_search_path(self._folders(parts["modules"]))
        request = {
            "backend": backend,
            "threads": threads,
            "devices": devices,
            "meter": settings.meter,
            "headline": settings.headline,
            "host_lock": str(settings.host_lock.absolute()),
            "cpu_tdp_w": settings.cpu_tdp_w,
            "min_window_s": settings.min_window_s,
            "has_control": settings.has_control,
            # Of another revision, nothing goes to MLflow.
            "keep_models": settings.keep_models and self._checkout is None,
            "intensity": asdict(self._intensity),
            "data_dir": str(settings.data_dir.absolute()),
            # Workers of older revisions take it from here.
            "sys_path": search_path,
            "revision": self._revision,
            **parts,
            # One that cannot be there is refused with its case, and not with all of them.
            "parts": [],
        }
        module = self._checkout.worker_module() if self._checkout else WORKER_MODULE
        shared = f"x{devices}" if devices > 1 else ""
        searched = [entry for entry in os.environ.get("PYTHONPATH", "").split(os.pathsep) if entry]
        return WorkerProcess(
            backend,
            worker_command(module, self._place_of(greenbench.__file__), search_path),
            request,
            self._log_dir / f"worker-{backend}-{threads}{shared}.log",
            working=self._place_of(str(self._working)),
            python_path=os.pathsep.join(map(self._place_of, searched)),
        )

    def _parts(self, cases: Sequence[Case]) -> dict[str, Any]:
        """Return what a worker must import for some cases, where it finds that, and why."""
        meters = meter_names(self._settings.meter)
        modules = registering_modules(cases, meters)
        placed = [{**module, "file": self._place_of(module["file"])} for module in modules]
        in_sight = {name: self._place_of(file) for name, file in modules_in_sight().items()}
        return {
            # Cases of a module that the other revision lacks cannot run there; others can.
            "modules": [module for module in placed if Path(module["file"]).exists()],
            "in_sight": {name: file for name, file in in_sight.items() if Path(file).exists()},
            "parts": [] if self._checkout else own_parts(cases, meters),
        }

    def _folders(self, modules: Sequence[Mapping[str, str]]) -> Iterator[str]:
        """Yield the folders that a worker imports from, less those of Python.

        An editable installation need not be in the search path, and would find our own.
        """
        if self._checkout:
            ours = str(Path(greenbench.__file__).parents[1])
            yield from {self._place_of(ours)} - {ours}
            for module in modules:
                file = Path(module["file"])
                yield str(file.parents[module["name"].count(".") + (file.name == PACKAGE_FILE)])
        # The working folder, which an interactive Python calls so, is the last one otherwise.
        yield from (self._place_of(entry or str(self._working)) for entry in sys.path)
        yield self._place_of(str(self._working))


class _Watch:
    """Passes a worker's events on, and knows which trials ended without one.

    A worker may die between the journal's line of a trial and the event that tells of it.
    """

    def __init__(self, journal: Journal, on_event: OnEvent) -> None:
        self._journal, self._on_event = journal, on_event
        self._told = len(journal.read().history)

    def __call__(self, kind: str, values: Mapping[str, Any]) -> None:
        self._told += kind == "trial_finished"
        self._on_event(kind, values)

    def untold(self) -> dict[int, Trial]:
        """Return the trials, by index, whose end is in the journal and was not told."""
        return {trial.index: trial for trial in self._journal.read().history[self._told :]}


def _goes_on(lost: Sequence[Trial], job: Job, taken_up: dict[int, int]) -> bool:
    """Return whether a trial whose worker died goes on from a checkpoint of its own.

    It does as long as each worker that it kills leaves a later one than the last did.
    """
    for trial in lost:
        found = job.journal.load_state(trial.index)
        if found is None or trial.status is not TrialStatus.CRASHED:
            return False
        epochs = len(found[0]["epochs"])
        if epochs <= taken_up.get(trial.index, 0):
            return False
        taken_up[trial.index] = epochs
    return bool(lost)


def _record_lost(lost: Sequence[Trial], job: Job, watch: _Watch) -> bool:
    """Record the trials that a worker was at when it died; return whether there were any."""
    ended = watch.untold()
    for trial in lost:
        if trial.index not in ended:
            record_lost(trial, job.case, job.journal)
        watch("trial_finished", _trial_event(ended.get(trial.index, trial)))
    return bool(lost)


def record_lost(lost: Trial, case: Case, journal: Journal) -> None:
    """Record a trial that ended with whoever ran it, so that the search goes on without it."""
    journal.add_trial(_with_what_was(_with_its_name(lost, case), case, journal))
    journal.drop_state(lost.index)


def _with_its_name(lost: Trial, case: Case) -> Trial:
    """Return a trial that was lost, whose error names the training that was under way."""
    if training := registry.training_of(case):
        return replace(lost, error=f"{named(training)}: {lost.error}")
    return lost


def _with_what_was(lost: Trial, case: Case, journal: Journal) -> Trial:
    """Return a trial that was lost with what it had been before, if it had paused."""
    if case.scheduler is None or lost.reevaluates is not None:
        return lost
    state = journal.read()
    before = next((trial for trial in state.trials if trial.index == lost.index), None)
    trial = replace(before or lost, status=lost.status, error=lost.error, val_score=None)
    if before is None:
        trial = replace(trial, account=Account())
    position = sum(len(each.segments) for each in state.trials)
    return trial.with_segment(Segment(position, len(trial.epochs), None, lost.account))


def _trial_event(trial: Trial) -> dict[str, Any]:
    return {
        "index": trial.index,
        "status": trial.status.value,
        "val_score": trial.val_score,
    }
