"""The subject of a repeat that is a training of somebody's own."""

import hashlib
import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from greenbench.architectures.base import check_arguments
from greenbench.cases import Case, Scalar
from greenbench.machine.places import at
from greenbench.results import Costs, Trial
from greenbench.search.basis import Basis
from greenbench.search.bench import Bench
from greenbench.search.configuration import configure, trial_case
from greenbench.search.lanes import Lanes
from greenbench.search.own_course import OwnCourse
from greenbench.search.training import Workplace
from greenbench.search.warming import Exercise, ModelCosts
from greenbench.tasks import Score
from greenbench.trainings import Run, Training
from greenbench.trainings.driver import Driver


@dataclass(frozen=True)
class OwnTask:
    """What is learned, as far as greenbench knows: how it is judged."""

    score: Score
    name: str = "own"


@dataclass(frozen=True)
class OwnSubject:
    """A training of somebody's own.

    Attributes
    ----------
    bench : Bench
        What it is measured with.
    case : Case
        The definition.
    repeat : int
        Which repeat, from 0.
    training : Training
        What is trained.
    """

    bench: Bench
    case: Case
    repeat: int
    training: Training
    _runs: list[Run] = field(default_factory=list, repr=False)

    @property
    def task(self) -> Any:
        """How it is judged."""
        return OwnTask(self.training.score)

    def warm_up(self, exercise: Exercise | None = None) -> ModelCosts:
        """Train nothing: nobody knows how to train a little of it."""
        return ModelCosts(None, None)

    def lanes(self) -> Lanes:
        """Return one."""
        return Lanes(1)

    def course(self, workplace: Workplace, trial: Trial) -> OwnCourse:
        """Return a trial that has not begun."""
        case = trial_case(self.case, trial.hyperparameters)
        options = {**self._options(), **self._searched(trial.hyperparameters)}
        seed = self.case.derive_seed(self.repeat, "trial", trial.index)
        who = f"training {self.training.name!r}{at(self.training.train)}"
        run = Run(who, trial.hyperparameters, seed, case.epochs, workplace.ledger)
        run.batch_size = case.batch_size
        run.place = workplace.journal.path.with_suffix(f".t{trial.index}")
        self._runs.append(run)
        driver = Driver(self.training, run, options)
        return OwnCourse(workplace, driver, case, trial)

    def costs(self, model: ModelCosts, trials: Sequence[Trial], incumbent: Trial | None) -> Costs:
        """Return what the training told of them."""
        samples = sum(trial.samples_seen for trial in trials)
        told = next((run for run in reversed(self._runs) if run.parameters is not None), None)
        flops = told.train_flops_per_sample if told else None
        return Costs(
            parameters=told.parameters if told else None,
            train_flops_per_sample=flops,
            train_flops=flops * samples if flops is not None and samples else None,
            samples_seen=samples or None,
            epochs=sum(len(trial.epochs) for trial in trials),
            trials=len(trials),
        )

    def basis(self) -> Basis:
        """Return nothing of the data, which the training loads itself; its source is one."""
        return {"content": None, "digest": self._digest()}

    def reload(self, repeat: int) -> Any:
        """Nothing differs by repeat."""
        raise NotImplementedError

    def describe(self, basis: Basis) -> dict[str, Any]:
        """Return what results say of the data: that nobody knows them."""
        return {
            "name": self.case.dataset,
            "digest": basis["digest"],
            "content": None,
            "source": ", ".join(self._files()),
            "notes": [],
        }

    def check_intact(self) -> None:
        """Do nothing: the data are the training's own."""

    def _options(self) -> dict[str, Any]:
        options = dict(self.case.architecture_options)
        return check_arguments(self.case.architecture, self.case.size, options)

    def _searched(self, hyperparameters: Mapping[str, Scalar]) -> Mapping[str, Scalar]:
        own = dict(self.case.architecture_options)
        searched = configure(self.case, hyperparameters).architecture_options
        return {name: value for name, value in searched.items() if name not in own}

    def _digest(self) -> str:
        digest = hashlib.sha256()
        for file in self._files():
            digest.update(Path(file).read_bytes())
        return digest.hexdigest()[:16] if self._files() else ""

    def _files(self) -> Sequence[str]:
        file = inspect.getsourcefile(inspect.unwrap(self.training.train))
        return self.training.files or ([file] if file else [])
