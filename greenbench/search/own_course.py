"""The course of a trial that trains itself."""

import math
from collections.abc import Mapping
from dataclasses import replace

from greenbench.cases import Case
from greenbench.errors import TrialError
from greenbench.machine.places import at
from greenbench.results import Epoch, Trial, TrialStatus
from greenbench.results.journal import Journal
from greenbench.search.course import Course
from greenbench.search.training import Workplace
from greenbench.trainings.driver import Driver


class OwnCourse(Course):
    """One trial of a training of somebody's own.

    Parameters
    ----------
    workplace : Workplace
        What it is trained with.
    driver : Driver
        Lets the training run.
    case : Case
        As the trial runs it.
    trial : Trial
        What is known before.
    """

    def __init__(self, workplace: Workplace, driver: Driver, case: Case, trial: Trial) -> None:
        super().__init__(case, driver.training.score, trial)
        self._workplace = workplace
        self._driver = driver
        self._run = driver.run

    def advance(self, target: int) -> Trial:
        """Let it run to its report of epoch `target`."""
        while len(self._epochs) < target:
            epoch = len(self._epochs)
            report = self._driver.step()
            if report is None:
                break
            loss = report.loss if report.loss is None or math.isfinite(report.loss) else None
            self._samples_seen += report.samples or 0
            self._epochs.append(Epoch(epoch, loss))
            if report.loss is not None and loss is None:
                return self.diverge()
            if report.score is not None:
                self.validated(self.score_of(report.score))
            if self._has_lost_score:
                return self.diverge()
            self._workplace.epoch_done(epoch)
            if self._driver.is_over:
                break
        return self._ended()

    def _ended(self) -> Trial:
        training = self._driver.training
        who = f"training {training.name!r}{at(training.train)}"
        if not self._epochs:
            raise TrialError(f"{who} ended without a report; yield run.report(…) each epoch")
        score = self._epochs[-1].val_score
        if score is None:
            raise TrialError(f"{who} reports no score; give run.report a score")
        if self._driver.is_over:
            return self._finish(TrialStatus.COMPLETED, None, score)
        return self.conclude(score)

    def is_kept(self, journal: Journal) -> bool:
        """Return whether it saved a checkpoint where it paused."""
        return False

    def keep(self, journal: Journal) -> None:
        """Do nothing: it saves itself."""

    def take_up(self, journal: Journal) -> None:
        """Train it again, from its start or its last checkpoint."""
        trial = self.trial
        self.advance(len(trial.epochs))
        self.trial = replace(trial)

    def test(self) -> float | None:
        """Let it run to its end, and return the score that it tells there."""
        self._driver.finish()
        if self._run.tested is None:
            return None
        return self.score_of(self._run.tested[0])

    def metrics(self) -> Mapping[str, float]:
        """Return what else it told with its test score."""
        if self._run.tested is None:
            return {}
        return {name: value for name, value in self._run.tested[1].items() if math.isfinite(value)}

    def close(self) -> None:
        """End the training where it is."""
        self._driver.close()

    @property
    def is_finite(self) -> bool:
        """Whether the score was finite so far; a loss need not be told."""
        return not self._has_lost_score
