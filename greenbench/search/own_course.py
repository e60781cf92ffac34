"""The course of a trial that trains itself."""

import math
from collections.abc import Callable, Mapping
from dataclasses import replace

from greenbench.cases import Case
from greenbench.errors import GreenbenchError, ProtocolError, ScoreError, TrainingError
from greenbench.machine.places import described
from greenbench.results import Epoch, Trial, TrialStatus
from greenbench.results.account import Account
from greenbench.results.journal import Journal
from greenbench.results.scores import range_of
from greenbench.search.course import Course
from greenbench.search.training import Workplace
from greenbench.trainings.checkpoint import Checkpoint, costs_told, is_older, read
from greenbench.trainings.driver import Driver, named
from greenbench.trainings.report import Report


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
    tell : callable
        Told of what people must know of the training, in one line.
    """

    def __init__(
        self,
        workplace: Workplace,
        driver: Driver,
        case: Case,
        trial: Trial,
        tell: Callable[[str], None],
    ) -> None:
        super().__init__(case, driver.training.score, trial)
        self._workplace = workplace
        self._driver = driver
        self._run = driver.run
        self._tell = tell
        self._who = named(driver.training)
        self._epochs = list(trial.epochs)
        self._recovered = Account()
        self._has_samples = True
        self._has_looked = False
        self._is_kept = False
        self._run.heard = None if driver.is_stepwise else self._take

    def advance(self, target: int) -> Trial:
        """Let it run to its report of epoch `target`."""
        self._look(is_due=True)
        self._catch_up(target)
        return self.diverge() if self._is_lost else self._ended()

    def _look(self, *, is_due: bool) -> None:
        """Begin where the trial was when it was cut off, if it saved that.

        Parameters
        ----------
        is_due : bool
            Whether what was booked until then is in no line of the journal.
        """
        if self._has_looked:
            return
        self._has_looked = True
        found = read(self._workplace.journal, self.trial.index, self.trial.hyperparameters)
        if found is None:
            self._tell_of_older()
            return
        checkpoint, saved = found
        if len(checkpoint.epochs) > len(self._epochs):
            self._epochs = list(checkpoint.epochs)
            self._samples_seen = checkpoint.samples
        if is_due and checkpoint.segments == len(self.trial.segments):
            self._recovered = checkpoint.account
        run, told = self._run, checkpoint.costs
        run.parameters = told["parameters"]
        run.train_flops_per_sample = told["train_flops_per_sample"]
        run.uncounted = tuple(told["uncounted"])
        if checkpoint.tested is not None:
            run.tested = checkpoint.tested[0], checkpoint.tested[1]
        self._driver.is_over = checkpoint.is_over
        self._driver.go_on_from(saved)

    def _tell_of_older(self) -> None:
        if is_older(self._workplace.journal, self.trial.index):
            self._tell(
                f"{self._who}: an older greenbench kept the checkpoint of trial "
                f"{self.trial.index} as a pickle, which is not read, as that may run anybody's "
                "code: the trial starts over"
            )

    def _catch_up(self, target: int) -> None:
        driver = self._driver
        while self._run.done < target and not driver.is_over and not self._is_lost:
            report = driver.step()
            if report is not None:
                self._take(report)
        if driver.returned is not None:
            self._take_returned(driver.returned)

    def _take(self, report: Report) -> None:
        """Take down an epoch, unless it was before the training was cut off."""
        epoch = self._run.done - 1
        loss = report.loss
        is_lost = loss is not None and not math.isfinite(loss)
        score = None if report.score is None else self._checked(report.score)
        metrics = _finite(report.metrics)
        taken = Epoch(epoch, None if is_lost else loss, score, metrics)
        if epoch < len(self._epochs):
            if self._epochs[epoch] != taken:
                self._tell(
                    f"{self._who} does not come to the same with the same seed: epoch {epoch} of "
                    f"trial {self.trial.index} is another when it is trained again"
                )
            return
        self._add_samples(report.samples)
        self._epochs.append(taken)
        self._has_lost_loss |= is_lost
        self._has_lost_score |= report.score is not None and score is None
        if self._run.pending is not None and not self._is_lost:
            self._save()
        self._workplace.epoch_done(epoch)

    def _take_returned(self, value: float) -> None:
        """Take down what a function returned: the score of its last epoch, or of its only one."""
        score = self._checked(value)
        self._has_lost_score |= score is None
        if not self._epochs:
            self._run.done = 1
            self._add_samples(None)
            self._epochs.append(Epoch(0, None))
        self._epochs[-1] = replace(self._epochs[-1], val_score=score)

    def _add_samples(self, samples: int | None) -> None:
        # Of some epochs alone, their number would be too small.
        self._has_samples &= samples is not None
        self._samples_seen = self._samples_seen + (samples or 0) if self._has_samples else 0

    def _checked(self, value: float) -> float | None:
        """Return a score; None if it is not finite.

        Raises
        ------
        ScoreError
            If it is outside its range.
        """
        if not math.isfinite(value):
            return None
        if value not in self._score:
            raise ScoreError(
                f"{self._who} reports a score ({self._score.name}) of {value:.6g}; expected "
                f"{range_of(self._score)}: divide percentages by 100, or register the training "
                "with another score"
            )
        return value

    def _save(self) -> None:
        run, ledger = self._run, self._workplace.ledger
        # A function reports while it runs; a generator is paused then.
        with run.aside("save") if run.is_running else ledger.phase("save"):
            self._checkpoint().write(
                self._workplace.journal, self.trial.index, self._run, self._driver.random
            )

    def _checkpoint(self) -> Checkpoint:
        return Checkpoint(
            self.trial.hyperparameters,
            tuple(self._epochs),
            self._samples_seen,
            self._recovered + self._workplace.ledger.so_far(),
            len(self.trial.segments),
            costs_told(self._run),
            list(self._run.tested) if self._run.tested else None,
            self._driver.is_over,
        )

    def _ended(self) -> Trial:
        if not self._epochs:
            raise ProtocolError(f"{self._who} ended without a report; {self._advice()}")
        score = self._epochs[-1].val_score
        if score is None:
            raise ProtocolError(
                f"{self._who} reports no score at the end of epoch {self._epochs[-1].epoch}; give "
                "run.report a score"
            )
        if self._driver.is_over:
            return self._finish(TrialStatus.COMPLETED, None, score)
        return self.conclude(score)

    def _advice(self) -> str:
        if self._driver.is_stepwise:
            return "yield run.report(…) at the end of each epoch"
        return "return a score, or make it a generator that yields run.report(…) each epoch"

    def recovered(self) -> Account:
        """Return what was booked before it was cut off, once."""
        account, self._recovered = self._recovered, Account()
        return account

    def is_kept(self, journal: Journal) -> bool:
        """Return whether it saved a checkpoint."""
        return read(journal, self.trial.index, self.trial.hyperparameters) is not None

    def keep(self, journal: Journal) -> None:
        """Keep the last checkpoint; of a training that has ended, the test score is one."""
        self._is_kept = True
        if self._driver.is_over and self._run.tested is not None:
            self._save()

    def take_up(self, journal: Journal) -> None:
        """Begin at its last checkpoint, or without one at its start."""
        is_paused = self.trial.status is TrialStatus.STOPPED
        self._look(is_due=is_paused)
        if not is_paused and self._run.done == 0 and not self._driver.is_over:
            self._tell(
                f"{self._who} saved no checkpoint: trial {self.trial.index} is trained again for "
                "its test"
            )

    def test(self) -> float | None:
        """Let it run to its end, and return the score that it tells there.

        Raises
        ------
        TrainingError
            If its test fails.
        """
        try:
            # Of a repeat that was cut off, it may have to be trained again first.
            self._catch_up(len(self._epochs))
            self._driver.finish()
        except GreenbenchError:
            raise
        except Exception as error:
            raise TrainingError(f"{self._who} fails in its test: {described(error)}") from error
        tested = self._run.tested
        if tested is None:
            self._tell(
                f"{self._who} tells no test score: call run.final(score) after its epochs, or "
                "compare by validation"
            )
        return None if tested is None else self._checked(tested[0])

    def metrics(self) -> Mapping[str, float]:
        """Return what else it told with its test score."""
        if self._run.tested is None:
            return {}
        return _finite(self._run.tested[1])

    def close(self) -> None:
        """End the training where it is, and say what it leaves behind."""
        for left in self._driver.close():
            self._tell(f"{self._who} leaves behind {left}")
        if not self._is_kept:
            self._workplace.journal.drop_state(self.trial.index)

    @property
    def is_finite(self) -> bool:
        """Whether loss and score were finite so far; a loss need not be told."""
        return not self._is_lost

    @property
    def _is_lost(self) -> bool:
        return self._has_lost_score or self._has_lost_loss


def _finite(metrics: Mapping[str, float]) -> dict[str, float]:
    return {name: value for name, value in metrics.items() if math.isfinite(value)}
