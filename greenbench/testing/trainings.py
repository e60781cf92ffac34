"""What every training of one's own must do, as tests to subclass."""

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from greenbench import registry
from greenbench.architectures.base import check_arguments
from greenbench.cases import Case, Scalar, split_network
from greenbench.energy.ledger import Ledger
from greenbench.results import Trial, TrialStatus
from greenbench.results.journal import Journal
from greenbench.search.own_course import OwnCourse
from greenbench.search.training import Workplace
from greenbench.testing.fakes import FakeClock, FakeMeter
from greenbench.trainings import check_seeds
from greenbench.trainings.driver import Driver, named
from greenbench.trainings.run import Run

EPOCHS = 3


class TrainingConformance:
    """What every training must do; subclass it in a test module and name the training.

    Attributes
    ----------
    training : str
        Its name, with or without a size: ``"finetune.s"``.
    hyperparameters : mapping
        What it is trained with.
    epochs : int
        How far; at least 2.
    saves : bool
        Whether it saves checkpoints; False for one that does not.

    Examples
    --------
    >>> class TestFinetune(TrainingConformance):
    ...     training = "finetune.s"
    ...     hyperparameters = {"learning_rate": 1e-3}
    """

    training: ClassVar[str]
    hyperparameters: ClassVar[Mapping[str, Scalar]]
    epochs: ClassVar[int] = EPOCHS
    saves: ClassVar[bool] = True

    def test_equal_seeds_give_equal_scores(self) -> None:
        """Whatever it draws, it draws by its seed."""
        found = check_seeds(self.training, self.hyperparameters, epochs=self.epochs)
        assert found.is_equal, found.sentence

    def test_every_epoch_is_reported_with_a_score_at_the_end(self) -> None:
        """It comes as far as it is asked to."""
        trial = self._course().advance(self.epochs)
        assert trial.status is TrialStatus.COMPLETED, trial.error
        assert trial.val_score is not None

    def test_pause_changes_nothing(self) -> None:
        """Between two reports another trial of it may be trained."""
        whole = self._course().advance(self.epochs)
        paused, other = self._course(), self._course(seed=1)
        for epoch in range(1, self.epochs + 1):
            trial = paused.advance(epoch)
            other.advance(epoch)
        assert trial.epochs == whole.epochs, "it is another with a pause"

    def test_checkpoint_undoes_a_kill(self) -> None:
        """Taken up from what it saved, it comes to what it would have come to."""
        if not self.saves or not self._is_stepwise:
            return
        with tempfile.TemporaryDirectory() as folder:
            journal = Journal(Path(folder, "case.hash.r0.jsonl"))
            whole = self._course().advance(self.epochs)
            self._course(journal).advance(self.epochs - 1)
            kept = journal.load_state(0)
            assert kept is not None, "it saves nothing: call run.save before the report is yielded"
            again = self._course(journal)
            assert again.advance(self.epochs).epochs == whole.epochs, (
                "it goes on as another: save all that it changes in an epoch, and restore it"
            )

    @property
    def _is_stepwise(self) -> bool:
        name, _ = split_network(self.training)
        return bool(registry.architectures.get(name).training.is_stepwise)

    def _course(self, journal: Journal | None = None, seed: int = 0) -> OwnCourse:
        name, size = split_network(self.training)
        training = registry.architectures.get(name).training
        ledger = Ledger(FakeMeter(FakeClock()))
        ledger.open()
        epochs = self.epochs
        run = Run(named(training), self.hyperparameters, seed, epochs, ledger)
        case = Case(architecture=name, size=size, backend="own", dataset="own", epochs=epochs)
        folder = Path(tempfile.gettempdir(), "greenbench-there-is-no-such-folder")
        place = Workplace(ledger, journal or _Nowhere(folder), lambda epoch: None)
        driver = Driver(training, run, check_arguments(name, size, {}))
        trial = Trial(0, dict(self.hyperparameters), TrialStatus.STOPPED)
        return OwnCourse(place, driver, case, trial, lambda message: None)


class _Nowhere(Journal):
    """A journal of a training that nobody will take up."""

    def save_state(self, trial: int, about: Mapping[str, object], state: bytes) -> None:
        """Keep nothing."""
