"""The subject of a repeat that is a training of somebody's own."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from greenbench.architectures.base import check_arguments
from greenbench.cases import Case, Scalar
from greenbench.cases.case import RUN
from greenbench.machine.places import place_of
from greenbench.results import Costs, Trial
from greenbench.search.basis import Basis
from greenbench.search.bench import Bench
from greenbench.search.configuration import configure, is_of_run, trial_case
from greenbench.search.lanes import Lanes
from greenbench.search.own_course import OwnCourse
from greenbench.search.training import Workplace
from greenbench.search.warming import Exercise, ModelCosts
from greenbench.strategies.spaces import find_space
from greenbench.tasks import Score
from greenbench.trainings import Run, Training
from greenbench.trainings.driver import Driver, named
from greenbench.trainings.imports import import_early
from greenbench.trainings.source import source_of


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
    _runs: dict[int, Run] = field(default_factory=dict, repr=False)
    _told: set[str] = field(default_factory=set, repr=False)

    @property
    def task(self) -> Any:
        """How it is judged."""
        return OwnTask(self.training.score)

    def warm_up(self, exercise: Exercise | None = None) -> ModelCosts:
        """Import what it imports; nobody knows how to train a little of it."""
        import_early(self.training)
        return ModelCosts(None, None)

    def lanes(self) -> Lanes:
        """Return one."""
        return Lanes(1)

    def course(self, workplace: Workplace, trial: Trial) -> OwnCourse:
        """Return a trial that has not begun."""
        case = trial_case(self.case, trial.hyperparameters)
        options = {**self._options(), **self._searched(trial.hyperparameters)}
        # It draws its data and its weights by one seed, which its sizes share.
        seed = self.case.derive_seed(self.repeat, RUN, trial.index)
        who = named(self.training)
        run = Run(who, trial.hyperparameters, seed, case.epochs, workplace.ledger)
        run.batch_size = case.batch_size
        run.place = workplace.journal.path.with_suffix(f".t{trial.index}")
        self._runs[trial.index] = run
        driver = Driver(self.training, run, options)
        return OwnCourse(workplace, driver, case, trial, self._tell)

    def _tell(self, message: str) -> None:
        """Tell people what they must know of the training; the same once."""
        if message not in self._told:
            self._told.add(message)
            self.bench.emit("warning", {"message": message})

    def costs(self, model: ModelCosts, trials: Sequence[Trial], incumbent: Trial | None) -> Costs:
        """Return what the training told of them; None where it did not."""
        samples = [trial.samples_seen or None for trial in trials if trial.epochs]
        told = {each: (each.parameters, each.train_flops_per_sample) for each in self._ran()}
        best = self._runs.get(incumbent.index) if incumbent else None
        if best not in told:
            best = next(reversed(told), None)
        networks = len(set(told.values()))
        return Costs(
            parameters=best.parameters if best else None,
            train_flops_per_sample=best.train_flops_per_sample if best else None,
            train_flops=self._flops(trials, networks),
            samples_seen=None if None in samples else sum(filter(None, samples)),
            epochs=sum(len(trial.epochs) for trial in trials),
            trials=len(trials),
            uncounted=best.uncounted if best else (),
            networks=networks if networks > 1 else None,
        )

    def _ran(self) -> list[Run]:
        """Return the trials of this process that got as far as a report, in order."""
        return [run for run in self._runs.values() if run.done]

    def _flops(self, trials: Sequence[Trial], networks: int) -> int | None:
        """Return the FLOPs of all trials; None if they are not known of one."""
        total, ran = 0, self._ran()
        for trial in trials:
            run = self._runs.get(trial.index)
            if run not in ran:
                # Of another process; where all have one network, it had that, too.
                run = ran[-1] if ran and networks == 1 else None
            known = run.train_flops_per_sample if run else None
            if trial.epochs and (known is None or not trial.samples_seen):
                return None
            total += (known or 0) * trial.samples_seen
        return total

    def basis(self) -> Basis:
        """Return nothing of the data, which the training loads itself; its source is one."""
        return {"content": None, "digest": None, "training_source": self.source}

    @property
    def source(self) -> str | None:
        """The digest of the code that it is made of; None of a training of greenbench's own."""
        return source_of(self.training)

    def content_of(self, repeat: int) -> str | None:
        """Return None: nobody knows the data, which the training loads itself."""
        return None

    def describe(self, basis: Basis) -> dict[str, Any]:
        """Return what results say of the data: that nobody knows them."""
        return {
            "name": self.case.dataset,
            "digest": self.source or "unknown",
            "content": None,
            "source": ", ".join(self.training.files) or place_of(self.training.train) or "",
            "notes": [],
        }

    def check_intact(self) -> None:
        """Say which of the searched hyperparameters no trial has asked for."""
        ran = self._ran()
        asked = {name for run in ran for name in run.asked}
        handed = self._handed() if ran else []
        if unused := [name for name in handed if name not in asked]:
            self._tell(
                f"{named(self.training)} never asks for {', '.join(unused)}, which the search "
                f"space {self.case.space!r} searches: read run[{unused[0]!r}], or choose another "
                "with --space"
            )

    def _handed(self) -> list[str]:
        """Return the hyperparameters that a run alone hands over: no option of the function is."""
        space = find_space(self.case.space)
        searched = [each.name for each in space.dimensions]
        return [name for name in searched if is_of_run(self.case, space, name)]

    def _options(self) -> dict[str, Any]:
        options = dict(self.case.architecture_options)
        return check_arguments(self.case.architecture, self.case.size, options)

    def _searched(self, hyperparameters: Mapping[str, Scalar]) -> Mapping[str, Scalar]:
        own = dict(self.case.architecture_options)
        searched = configure(self.case, hyperparameters).architecture_options
        return {name: value for name, value in searched.items() if name not in own}
