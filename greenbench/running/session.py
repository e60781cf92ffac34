"""A session: the host lock, workers, journal and tracking around the repeats of a suite."""

import os
import random
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from greenbench.cases import Case
from greenbench.energy.carbon import CarbonIntensity, carbon_intensity
from greenbench.energy.cooling import CoolDown, thermometer
from greenbench.energy.gpus import training_gpus, visible_gpus
from greenbench.energy.hostlock import Held, measuring_lock
from greenbench.energy.idle import drift
from greenbench.energy.meters import check_meters
from greenbench.errors import (
    ConfigurationError,
    GreenbenchError,
    TakenOverError,
    WorkerError,
)
from greenbench.machine.files import folder_made, reason, remedy
from greenbench.results import CaseResult
from greenbench.results.gpus import Gpu
from greenbench.results.journal import Journal
from greenbench.results.marks import is_drifted
from greenbench.running.case_checks import check_cases, check_loading
from greenbench.running.checkout import Checkout
from greenbench.running.conditions import conditions_of, conditions_of_each, digest_of, listed
from greenbench.running.continuing import Continuation
from greenbench.running.delivery import CLOSE_LIMIT_S, Delivery, silence
from greenbench.running.devices import check_devices
from greenbench.running.executor import Job, WorkerPool
from greenbench.running.listener import Listener
from greenbench.running.reuse import take_over
from greenbench.running.run_folder import Request, RunFolder, changed_data, make, refuse, take_up
from greenbench.settings import Settings
from greenbench.tracking.uris import check_uri

BASE = "base"
"""Folder of the journals of another revision."""


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
    may_mix : bool or None
        Whether to go on with an interrupted run though something changed that its results
        depend on; they are marked then. None where nobody can ask for that.
    is_resumable : bool
        Whether a later session may take this one up if it is interrupted.
    base : Checkout or None
        Another revision of the project, whose code `run_base` runs.
    continues : Continuation or None
        The run that the cases belong to, and that gets more repeats of them.
    design : str or None
        Of a run that goes on until it knows; see `greenbench.results.looks`.
    reuses : bool
        Whether what other runs have measured under the same conditions is taken over.
    idle_drift : float or None
        By which share idle power changed during the session; known once it is left, and
        None where idle power is not measured.
    """

    settings: Settings
    suite: str
    cases: Sequence[Case]
    listener: Listener
    is_fresh: bool = False
    may_mix: bool | None = None
    is_resumable: bool = True
    base: Checkout | None = None
    continues: Continuation | None = None
    design: str | None = None
    reuses: bool = False
    _stack: ExitStack = field(default_factory=ExitStack, init=False)
    _has_crashed: bool = field(default=False, init=False)
    _is_complete: bool = field(default=False, init=False)
    _cool_down: CoolDown | None = field(default=None, init=False)
    _pools: list[WorkerPool] = field(default_factory=list, init=False)
    _suites: dict[str, None] = field(default_factory=dict, init=False)
    _of_each: dict[Case, Mapping[str, Any]] = field(default_factory=dict, init=False)
    idle_drift: float | None = field(default=None, init=False)
    _measures_here: ClassVar[bool] = True

    def __enter__(self) -> "Session":
        # A test may make its cases itself, which nobody can announce.
        if self.cases or self.is_resumable:
            check_cases(self.cases)
        check_meters(self.settings.meter)
        check_uri(self.settings.tracking_uri)
        if self._measures_here:
            check_loading(self.cases, self.settings.data_dir)
            for case in self.cases:
                check_devices(case, self.settings.threads_of(case), os.environ)
        intensity = carbon_intensity(self.settings.carbon_g_per_kwh, self.settings.country)
        if self.settings.cool_down and self._measures_here:
            self._cool_down = CoolDown(thermometer(self._gpus), self.listener.notice)
        with ExitStack() as stack:
            try:
                self._open(stack, intensity, is_fresh=self.is_fresh)
                if self._run_folder.is_resumed and not self._is_complete:
                    self._go_on_or_over(stack, intensity)
                if self._cool_down:
                    self._cool_down.check()
                self._idle_w = self._measure_idle_w("before")
            except WorkerError:
                # Its log says why.
                self._has_crashed = True
                raise
            self._stack = stack.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, *exception: object) -> None:
        with ExitStack() as last, self._stack:
            last.callback(self._tell_undelivered)
            # Whatever fails on the way there, results are delivered. The host is still ours, so
            # that this is in nobody's figures, either.
            has_time = kind is None or issubclass(kind, Exception)
            try:
                if kind is None:
                    self._end_idle_power()
            except BaseException as error:
                has_time = isinstance(error, Exception)
                raise
            finally:
                self._delivery.close(CLOSE_LIMIT_S if has_time else 0.0)
                if not self.is_resumable:
                    self._delivery.forget_drift(self.folder)

    def _tell_undelivered(self) -> None:
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
            yield from ((case, repeat) for case in self.in_turn(due, repeat))

    def in_turn(self, cases: Sequence[Case], repeat: int) -> list[Case]:
        """Return the cases of a round in random order, so that a drift favours none.

        It is the same one when the run is resumed, in whichever order they are named then.
        """
        due = sorted(cases, key=lambda case: (case.id, case.hash))
        random.Random(f"{self.folder.name} {repeat}").shuffle(due)
        return due

    def run_repeat(self, case: Case, repeat: int, suite: str | None = None) -> CaseResult:
        """Run one repeat, or return its result if the interrupted run had finished it.

        The result is in the journal; `deliver` brings it to MLflow. It is of the session's
        suite, unless another one is named.

        Raises
        ------
        GreenbenchError
            If the case cannot work or fails outside a trial.
        """
        return self._run(self._pools[0], self._job(case, repeat, self.folder, suite))

    def run_base(self, case: Case, repeat: int) -> CaseResult:
        """Run one repeat with the code of the other revision; its result stays in the journal.

        Raises
        ------
        GreenbenchError
            If the case cannot work there or fails outside a trial.
        """
        job = self._job(case, repeat, self.folder / BASE)
        return self._run(self._pools[-1], job, self.base.revision if self.base else None)

    def _job(self, case: Case, repeat: int, folder: Path, suite: str | None = None) -> Job:
        self._suites[suite or self.suite] = None
        run = self._run_folder
        journal, mixed = Journal.of(folder, case, repeat, run.fence), run.mixed
        look = run.look_of(case, repeat)
        digest = None if mixed else digest_of(self._of_each.get(case), case, repeat)
        return Job(
            case, repeat, suite or self.suite, journal, self._idle_w, mixed, look, conditions=digest
        )

    def _run(self, pool: WorkerPool, job: Job, revision: str | None = None) -> CaseResult:
        case, journal = job.case, job.journal
        if case not in self.cases:
            check_cases([case])
        self._run_folder.check()
        state = journal.read()
        if state.result is not None:
            # It may have been killed before it could.
            journal.drop_checkpoints()
        self.listener.repeat_started(case, job.repeat, len(state.trials), revision)
        result = state.result
        try:
            if result is None:
                if self._cool_down:
                    self._cool_down.wait()
                result = pool.run(job, self.listener.event)
        except GreenbenchError as error:
            self._has_crashed |= isinstance(error, WorkerError)
            self.listener.repeat_finished(None)
            # Whatever it says, that may be why.
            self._run_folder.check()
            raise
        self.listener.repeat_finished(result)
        return result

    def drift_of(self, row: Mapping[str, Any]) -> float | None:
        """Return by which share idle power changed while a row's result was measured, if known."""
        # By its number: clocks are set back.
        first = self._run_folder.first_added.get(row["case_hash"], 0)
        is_older = row["repeat"] < first
        return None if is_older or row.get("reused_from") else self.idle_drift

    def deliver(self, result: CaseResult) -> None:
        """Have a result of this session logged, unless MLflow has it: a little now, or later."""
        run = self._run_folder
        run.check()
        journal = Journal.of(self.folder, result.case, result.repeat, run.fence)
        may_exist = run.is_resumed
        self._delivery.deliver(journal, result, may_exist=may_exist)

    def finish(self) -> None:
        """Mark the run as complete, so that it is not taken up again.

        Call it last, when all that came out was told: until then, the same command tells it
        again, and trains nothing for that.
        """
        self._run_folder.finish()
        self._delivery.forget_drift(self.folder)

    def _open(self, stack: ExitStack, intensity: CarbonIntensity, *, is_fresh: bool) -> None:
        """Take the folder, and where something is left to run, the host and workers."""
        self._run_folder = self._open_folder(stack, intensity, is_fresh=is_fresh)
        self.folder = self._run_folder.path
        of_run, say = self._run_folder.request.conditions, self.listener.notice
        self._of_each = conditions_of_each(self.settings, self.cases, of_run)
        if self.reuses:
            hold = self._measuring
            take_over(self._run_folder, self._of_each, self.settings, intensity, say, hold=hold)
        away = silence(self.settings)
        is_new = not self._run_folder.is_resumed and not self.reuses
        self._is_complete = not is_new and self._run_folder.is_complete()
        held = None if self._is_complete else stack.enter_context(self._measuring())
        self._pools = self._open_pools(stack, intensity)
        timeout_s = self.settings.store_timeout_s
        self._delivery = Delivery(self.settings.tracking_uri, self.listener, timeout_s, away)
        for pool in self._pools:
            pool.wait_until_ready()
            if held and held.is_shared:
                held.take(pool.gpus or ())

    def _measuring(self) -> AbstractContextManager[Held]:
        """Return what waits for the machine, or for the cards whose own counter is the headline."""
        most = max((case.devices for case in self.cases), default=1)
        gpus, headline = visible_gpus(os.environ)[:most], self.settings.headline
        return measuring_lock(self.settings.host_lock, gpus, headline, self.listener.notice)

    def _open_folder(
        self, stack: ExitStack, intensity: CarbonIntensity, *, is_fresh: bool
    ) -> RunFolder:
        if self.continues:
            return self.continues.take_up(stack, self.listener.notice)
        is_kept = self.is_resumable
        conditions = self._conditions(intensity) if is_kept else {}
        request = Request(self.suite, self.cases, conditions, self.may_mix, self.design)
        root = self.settings.journal_dir
        try:
            stack.enter_context(folder_made(root))
            if not is_fresh and (found := take_up(root, request, stack, self.listener.notice)):
                return found
            made = make(root, request, stack)
            stack.callback(self._drop_if_empty, made)
            if self.is_resumable:
                made.begin()
            if self.base:
                (made.path / BASE).mkdir()
        except OSError as error:
            raise ConfigurationError(
                f"journal folder {root} cannot be written ({reason(error)}); {remedy(error)}, or "
                "set GREENBENCH_RUNS_DIR to another one"
            ) from error
        return made

    def _conditions(self, intensity: CarbonIntensity) -> Mapping[str, Any]:
        return conditions_of(self.settings, self.cases, intensity)

    def _go_on_or_over(self, stack: ExitStack, intensity: CarbonIntensity) -> None:
        """Start over if what only workers know has changed since the run was interrupted."""
        differences = changed_data(self._run_folder, self._pools[0])
        if self.continues:
            may_mix = bool(self.may_mix)
            self._run_folder = self.continues.begin(self._run_folder, differences, may_mix=may_mix)
        elif differences and self.may_mix:
            self._run_folder = self._run_folder.mix(differences)
            self.listener.notice(f"{listed(differences)} changed: all is marked as mixed")
        elif differences:
            refuse(self._run_folder, differences, self.listener.notice)
            stack.close()
            self._open(stack, intensity, is_fresh=True)

    def _open_pools(self, stack: ExitStack, intensity: CarbonIntensity) -> list[WorkerPool]:
        """Start the workers of the working folder, and those of the other revision."""
        pools = [WorkerPool(self.settings, intensity, self.folder)]
        if self.base:
            pools.append(WorkerPool(self.settings, intensity, self.folder / BASE, self.base))
        cases = () if self._is_complete else self.cases
        backends = sorted({case.backend for case in cases})
        if backends:
            self.listener.notice(f"starting workers: {', '.join(backends)}")
        for pool in pools:
            stack.callback(pool.close)
            pool.launch(cases)
        return pools

    def _measure_idle_w(self, when: str) -> dict[str, float]:
        idle_s = self.settings.idle_s
        if not idle_s or not self._pools[0].measures:
            return {}
        if when == "before":
            for pool in self._pools:
                pool.warm_up(self.repeats())
        self.listener.notice(f"measuring idle power for {idle_s:g} s (--idle 0 leaves it out)")
        found = self._pools[0].measure_idle(idle_s)
        if found.power_w:
            self.listener.notice(f"idle power {when} the suite: {found.words}")
        return dict(found.power_w)

    def _end_idle_power(self) -> None:
        """Know by how much idle power changed, now or before an interruption, and tell MLflow."""
        if self._idle_w:
            self._compare_idle_power()
        elif self._is_complete:
            self.idle_drift = self._delivery.deliver_noted_drift(self.folder)

    def _compare_idle_power(self) -> None:
        try:
            after = self._measure_idle_w("after")
        except GreenbenchError as error:
            # All else is done, and nothing of it depends on this.
            self.listener.notice(
                f"idle power after the suite is not known, nor whether it drifted ({error})"
            )
            return
        self.idle_drift = drift(self._idle_w, after)
        if self.idle_drift is None:
            return
        if is_drifted(self.idle_drift):
            self._run_folder.mark_drifted()
            self.listener.notice(
                f"idle power changed by {self.idle_drift:.0%} during the suite: its net figures "
                "are marked as drifted; let the machine cool down or quieten, and run again"
            )
        self._run_folder.check()
        first = self._run_folder.first_added
        for suite in self._suites:
            self._delivery.deliver_idle_drift(self.folder, suite, self.idle_drift, first)

    def _gpus(self) -> Sequence[Gpu]:
        """Return the GPUs that train, as workers tell; until there are any, by the environment."""
        told = self._pools[0].gpus if self._pools else None
        return training_gpus(os.environ) if told is None else told

    def _drop_if_empty(self, folder: RunFolder) -> None:
        # Nothing was achieved, as after a mistyped option; but a crash leaves its log.
        with suppress(TakenOverError, OSError):
            folder.check()
            if not self._has_crashed and not any(folder.path.glob("*.jsonl")):
                shutil.rmtree(folder.path, ignore_errors=True)
