"""The search of one repeat: ask, train, measure, tell; pause, go on, and re-evaluate."""

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import cast

from greenbench.backends import ReplayingBackend
from greenbench.backends.base import BatchingBackend, TrainableBatch
from greenbench.energy.host import HostWatch, peak_memory_bytes, reset_peak_memory
from greenbench.energy.ledger import Ledger
from greenbench.energy.reconcile import reconcile
from greenbench.errors import SearchExhaustedError
from greenbench.results import (
    Reconciliation,
    Segment,
    Trial,
    TrialStatus,
    find_incumbent,
    gain_of,
)
from greenbench.results.account import Account
from greenbench.results.journal import Journal
from greenbench.schedulers import make_scheduler
from greenbench.search.batch_training import BatchTraining
from greenbench.search.course import Course
from greenbench.search.proposer import Proposer
from greenbench.search.subject import NetworkSubject, Subject
from greenbench.search.training import Training, Workplace, attempt
from greenbench.strategies.spaces import Hyperparameters

EVENT_INTERVAL_S = 1.0
NEW_SEEDS = 3
"""How often a configuration is trained that is re-evaluated."""


@dataclass(frozen=True)
class Job:
    """What a search is about."""

    subject: Subject
    journal: Journal


@dataclass(frozen=True)
class Found:
    """What a search gave; see the fields of `CaseResult`."""

    trials: list[Trial]
    test_score: float | None
    metrics: Mapping[str, float]
    account: Account
    wall_s: float
    reconciliation: Reconciliation
    peak_memory_bytes: int | None
    model: object | None = None
    """The incumbent's, as its framework has it."""


class Search:
    """The loop of one repeat.

    Parameters
    ----------
    job : Job
        What to search.

    Attributes
    ----------
    prior : str
        How the strategy spreads its proposals; see `CaseResult`.
    """

    def __init__(self, job: Job) -> None:
        subject = self._subject = job.subject
        self._bench, self._case, self._journal = subject.bench, subject.case, job.journal
        self._score = subject.task.score
        backend = self._bench.backend
        replay = backend if isinstance(backend, ReplayingBackend) else None
        self._now_s = replay.now_s if replay else time.perf_counter
        counters = self._bench.counters
        watch = replay or HostWatch(counters.pid if counters else None)
        self._ledger = Ledger(
            self._bench.meter, watch, self._bench.stops, counters, self._bench.habits
        )
        self._workplace = Workplace(self._ledger, job.journal, self._epoch_done)
        self._proposer = Proposer(self._case, subject.repeat, self._score)
        self._scheduler = make_scheduler(self._case)
        self.prior = self._proposer.prior
        self._trials: dict[int, Trial] = {}
        self._paused: dict[int, Course] = {}
        self._lanes = 1
        self._is_exhausted = False
        self._segments = 0
        self._lost: list[Trial] = []
        self._incumbent: int | None = None
        self._best_course: Course | None = None
        self._recovered = Account()
        self._last_event_at = 0.0

    def run(self, history: Sequence[Trial], lanes: int = 1) -> Found:
        """Run what is left of the search.

        Parameters
        ----------
        history : sequence of Trial
            What an interrupted search had done: each trial as it ended or paused, in order.
        lanes : int
            How many new trials are trained as one.
        """
        self._lanes = lanes
        self._replay(history)
        has_peak = reset_peak_memory()
        earlier = self._booked()
        opened_at = self._now_s() - earlier.total.duration_s
        control = self._bench.control
        control.begin_window()
        try:
            self._ledger.open()
            try:
                self._search()
                self._reevaluate()
                tested = self._test()
                test_score = tested.test() if tested else None
            finally:
                self._ledger.close()
        finally:
            whole = control.end_window()
        wall_s = self._now_s() - opened_at + self._recovered.total.duration_s
        before = earlier + self._recovered
        memory_bytes = peak_memory_bytes() if has_peak else None
        # After all windows: nobody has to know them to have trained.
        metrics = tested.metrics() if tested and test_score is not None else {}
        model = tested.native if tested else None
        if tested is not None:
            # Which leaves it no model.
            tested.close()
        return Found(
            self._ordered(),
            test_score,
            metrics,
            before + self._ledger.whole(),
            wall_s,
            reconcile(self._ledger.measured, whole, before.total),
            memory_bytes,
            model,
        )

    def _replay(self, history: Sequence[Trial]) -> None:
        for trial in history:
            if trial.reevaluates is None:
                if trial.index not in self._trials:
                    self._proposer.skip()
                self._tell(trial)
                self._segments += len(trial.segments) > 0
            self._trials[trial.index] = trial
        if best := self._best(self._searched()):
            self._incumbent = best.index
        for trial in self._searched():
            if trial.status is TrialStatus.STOPPED:
                self._find(trial)

    def _find(self, trial: Trial) -> None:
        """Take up a paused trial of a process that is gone, or know that it is lost."""
        course = self._course(trial)
        if course.is_kept(self._journal):
            course.take_up(self._journal)
            self._paused[trial.index] = course
        else:
            self._lost.append(trial)
            self._scheduler.drop(trial.index)

    def _search(self) -> None:
        while trainings := self._next():
            self._go_on(trainings, [self._target(each) for each in trainings])
        while self._lost and self._best(self._searched()) is None:
            # Nothing else is left: train the most promising of them once more, from its start.
            trial = max(self._lost, key=lambda each: (len(each.epochs), gain_of(each, self._score)))
            self._lost.remove(trial)
            course = self._course(trial)
            self._go_on([course], [course.epochs])

    def _go_on(self, courses: Sequence[Course], targets: Sequence[int]) -> None:
        if len(courses) > 1:
            lanes = Counter(targets)
            for course, target in zip(courses, targets, strict=True):
                course.trial = replace(course.trial, lanes=lanes[target])
        for course in courses:
            self._emit_start(course.trial)
        if len(courses) == 1:
            self._advance(courses[0], targets[0])
        else:
            self._advance_batches(cast("Sequence[Training]", courses), targets)
        for course in courses:
            self._conclude(course)

    def _conclude(self, course: Course) -> None:
        trial = course.trial
        self._trials[trial.index] = trial
        # Whoever trains without a journal does nothing of that.
        with self._ledger.aside():
            self._write(course)
        with self._ledger.phase("search"):
            self._tell(trial)

    def _write(self, course: Course) -> None:
        """Put down what a trial gave, and the weights of the best one."""
        trial, beaten, left = course.trial, self._incumbent, None
        if trial.status is TrialStatus.STOPPED:
            self._paused[trial.index] = course
        elif self._best(self._searched()) is trial:
            left, self._best_course = self._best_course, course
            self._incumbent = trial.index
            course.keep(self._journal)
        else:
            left = course
        self._record(trial)
        if beaten is not None and beaten != self._incumbent:
            # Not before the line that says so is on the disk.
            self._journal.drop_checkpoint(beaten)
        if left is not None:
            left.close()

    def _next(self) -> list[Course]:
        """Return a paused trial that goes on, or new ones; none at the end of the search."""
        if not self._is_exhausted and len(self._searched()) < self._case.trials:
            index = self._scheduler.promote(is_last=False)
            if index is not None:
                return [self._paused.pop(index)]
            if started := self._start():
                return started
        index = self._scheduler.promote(is_last=True)
        return [] if index is None else [self._paused.pop(index)]

    def _start(self) -> list[Course]:
        """Return new trials, as many as are trained at once; fewer if there are no more."""
        first, started_at = len(self._searched()), self._bench.clock()
        count = min(self._lanes, self._case.trials - first)
        proposals: list[Hyperparameters] = []
        with self._ledger.phase("search"), suppress(SearchExhaustedError):
            while len(proposals) < count:
                proposals.append(self._proposer.ask())
        self._is_exhausted = len(proposals) < count
        return [
            self._course(Trial(first + i, each, TrialStatus.STOPPED, started_at=started_at))
            for i, each in enumerate(proposals)
        ]

    def _course(self, trial: Trial) -> Course:
        return self._subject.course(self._workplace, trial)

    def _target(self, course: Course) -> int:
        """Return how far a trial is trained now: as far as it says itself, or a scheduler."""
        if self._case.scheduler is None:
            return course.epochs
        return self._scheduler.target(course.trial.index)

    def _advance(self, course: Course, target: int) -> Trial:
        """Train a trial to `target` epochs and book it; no error of a training ends the search."""
        attempt(lambda: course.advance(target), course.fail)
        recovered = course.recovered()
        self._recovered += recovered
        return self._book(course, target, recovered + self._ledger.take())

    def _advance_batches(self, trainings: Sequence[Training], targets: Sequence[int]) -> None:
        """Train new trials, those with the same target as one model, and share out the energy."""
        subject = cast("NetworkSubject", self._subject)
        asked = self._ledger.take() * (1 / len(trainings))
        shares: dict[int, Account] = {}
        for target in dict.fromkeys(targets):
            lanes = [each for each, its in zip(trainings, targets, strict=True) if its == target]
            if len(lanes) == 1:
                attempt(partial(lanes[0].advance, target), lanes[0].fail)
            else:
                batch = BatchTraining(subject.conditions(self._workplace), lanes)
                build_batch = partial(self._build_batch, lanes)
                attempt(partial(batch.advance, build_batch, target), batch.fail)
            share = self._ledger.take() * (1 / len(lanes))
            shares |= {lane.trial.index: share for lane in lanes}
        for training, target in zip(trainings, targets, strict=True):
            self._book(training, target, asked + shares[training.trial.index])

    def _book(self, course: Course, target: int, account: Account) -> Trial:
        trial = course.trial
        if self._case.scheduler and trial.reevaluates is None:
            segment = Segment(self._segments, target, trial.val_score, account)
            trial = trial.with_segment(segment)
            self._segments += 1
        else:
            trial = replace(trial, account=account)
        course.trial = trial
        return trial

    def _build_batch(self, lanes: Sequence[Training]) -> TrainableBatch:
        subject = cast("NetworkSubject", self._subject)
        backend = cast("BatchingBackend", self._bench.backend)
        return backend.build_batch([subject.trial_request(lane.trial) for lane in lanes])

    def _tell(self, trial: Trial) -> None:
        self._proposer.tell(trial)
        self._scheduler.report(trial.index, self._gain(trial))

    def _gain(self, trial: Trial) -> float | None:
        return None if trial.val_score is None else self._score.gain(trial.val_score)

    def _reevaluate(self) -> None:
        """Train the best configurations again, with seeds that the search has not seen."""
        ranked = sorted(
            (trial for trial in self._searched() if trial.status is TrialStatus.COMPLETED),
            key=lambda trial: -gain_of(trial, self._score),
        )
        index = self._case.trials
        for original in ranked[: self._case.reevaluate]:
            for _ in range(NEW_SEEDS):
                if index not in self._trials:
                    self._train_again(index, original)
                index += 1

    def _train_again(self, index: int, original: Trial) -> None:
        trial = Trial(
            index,
            original.hyperparameters,
            TrialStatus.STOPPED,
            started_at=self._bench.clock(),
            reevaluates=original.index,
        )
        self._emit_start(trial)
        course = self._course(trial)
        trial = self._advance(course, course.epochs)
        self._trials[index] = trial
        again = [each for each in self._trials.values() if each.reevaluates == original.index]
        with self._ledger.aside():
            if self._best(again) is trial and trial.status is TrialStatus.COMPLETED:
                course.keep(self._journal)
            self._record(trial)
        course.close()

    def _test(self) -> Course | None:
        """Return the incumbent where it was at its end; None without any."""
        best, course = self._best(self._ordered()), self._best_course
        if best is None:
            return None
        if course is None or best.index != self._incumbent:
            # It was trained before the repeat was interrupted, or again.
            course = self._course(best)
            course.take_up(self._journal)
        return course

    def _best(self, trials: Sequence[Trial]) -> Trial | None:
        return find_incumbent(trials, self._score)

    def _ordered(self) -> list[Trial]:
        return [self._trials[index] for index in sorted(self._trials)]

    def _searched(self) -> list[Trial]:
        """Return the trials of the search itself, without re-evaluations."""
        return [trial for trial in self._ordered() if trial.reevaluates is None]

    def _booked(self) -> Account:
        return sum((trial.account for trial in self._trials.values()), Account())

    def _emit_start(self, trial: Trial) -> None:
        values = {
            "index": trial.index,
            "hyperparameters": trial.hyperparameters,
            "reevaluates": trial.reevaluates,
            "lanes": trial.lanes,
        }
        self._bench.emit("trial_started", values)

    def _record(self, trial: Trial) -> None:
        self._journal.add_trial(trial)
        event = {
            "index": trial.index,
            "status": trial.status.value,
            "val_score": trial.val_score,
            "score": self._score.to_dict(),
        }
        self._bench.emit("trial_finished", event)

    def _epoch_done(self, epoch: int) -> None:
        now = time.monotonic()
        if now - self._last_event_at >= EVENT_INTERVAL_S:
            self._last_event_at = now
            self._bench.emit("epoch", {"epoch": epoch})
