"""Courses: one trial's way through its epochs, whoever trains it."""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import replace

from greenbench.cases import Case
from greenbench.machine.places import described
from greenbench.results import Epoch, Trial, TrialStatus
from greenbench.results.account import Account
from greenbench.results.journal import Journal
from greenbench.search.scores import score_of
from greenbench.tasks import Score


class Course(ABC):
    """One trial in training: how far it is, and what is known if it breaks off.

    Parameters
    ----------
    case : Case
        As the trial runs it.
    score : Score
        What validations give.
    trial : Trial
        What is known before; samples seen are added to its own.

    Attributes
    ----------
    trial : Trial
        With the outcome so far.
    """

    def __init__(self, case: Case, score: Score, trial: Trial) -> None:
        self.trial = trial
        self._case = case
        self._score = score
        self._epochs: list[Epoch] = []
        self._samples_seen = trial.samples_seen
        self._passes = 1
        self._has_lost_score = False
        self._has_lost_loss = False

    @abstractmethod
    def advance(self, target: int) -> Trial:
        """Train to `target` epochs, and validate; below those of the case, it can go on later."""

    @abstractmethod
    def is_kept(self, journal: Journal) -> bool:
        """Return whether a paused trial of an interrupted repeat can be taken up."""

    @abstractmethod
    def keep(self, journal: Journal) -> None:
        """Do what is needed so that `take_up` works after an interruption."""

    @abstractmethod
    def take_up(self, journal: Journal) -> None:
        """Be where the trial was when it ended or paused, before its repeat was interrupted."""

    @abstractmethod
    def test(self) -> float | None:
        """Return the test score at the end of the trial; None if there is none."""

    @abstractmethod
    def metrics(self) -> Mapping[str, float]:
        """Return what else the test told, by name; outside all windows."""

    @property
    def native(self) -> object | None:
        """The framework's own model; None where nobody knows it."""
        return None

    @abstractmethod
    def close(self) -> None:
        """Let go of what it holds: the trial neither goes on nor is tested."""

    def recovered(self) -> Account:
        """Return what was booked before the trial was cut off, if it goes on from there; once."""
        return Account()

    @property
    def epochs(self) -> int:
        """How far it is trained at most."""
        return self._case.epochs

    @property
    def is_finite(self) -> bool:
        """Whether the loss and the score were finite so far."""
        has_loss = not self._epochs or self._epochs[-1].train_loss is not None
        return has_loss and not self._has_lost_score

    def epoch_trained(self, epoch: int, samples: int, loss: float) -> None:
        """Take down an epoch with its mean loss."""
        self._samples_seen += samples
        self._epochs.append(Epoch(epoch, loss if math.isfinite(loss) else None))

    def score_of(self, value: float) -> float | None:
        """Return `score_of` of a value that a model was found to have."""
        return score_of(value, self._case, self._score)

    def validated(self, val_score: float | None) -> None:
        """Take down the score after the last epoch; None if it is not finite."""
        self._has_lost_score |= val_score is None
        self._epochs[-1] = replace(self._epochs[-1], val_score=val_score)

    def conclude(self, val_score: float | None) -> Trial:
        """Return the trial as it is at its target, with its last score."""
        is_whole = len(self._epochs) == self._case.epochs
        status = TrialStatus.COMPLETED if is_whole else TrialStatus.STOPPED
        return self._finish(status, None, val_score)

    def diverge(self) -> Trial:
        """Return the trial as one whose loss, or score, is not finite."""
        what = self._score.name if self._has_lost_score else "loss"
        return self._finish(TrialStatus.DIVERGED, f"the {what} is not finite")

    def fail(self, status: TrialStatus, error: Exception) -> Trial:
        """Return the trial as it was when `error` ended it."""
        return self._finish(status, described(error))

    def _finish(
        self, status: TrialStatus, error: str | None, val_score: float | None = None
    ) -> Trial:
        self.trial = replace(
            self.trial,
            status=status,
            val_score=val_score,
            epochs=tuple(self._epochs),
            samples_seen=self._samples_seen,
            passes=self._passes,
            error=error,
        )
        return self.trial
