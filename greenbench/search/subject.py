"""The subject of a repeat: its data in the backend's memory, its task and its architecture."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

from greenbench.architectures import Native, Spec, build_architecture
from greenbench.backends import BuildRequest, TrainableModel
from greenbench.backends.process_state import state_kept
from greenbench.backends.takes import check_request_taken
from greenbench.cases import Case, Options, Scalar, freeze_options
from greenbench.cases.case import ORDER
from greenbench.datasets import Dataset, Streamed
from greenbench.errors import (
    ArchitectureError,
    DatasetError,
    SearchSpaceError,
    TaskError,
    TrialError,
)
from greenbench.machine.places import calling
from greenbench.machine.secrets import redact
from greenbench.results import Costs, Trial
from greenbench.search.basis import Basis, data_basis
from greenbench.search.batch_training import check_batching
from greenbench.search.bench import Bench
from greenbench.search.configuration import (
    Configuration,
    beyond_optimizer,
    configure,
    first_values,
    outermost,
    searches,
    trial_case,
)
from greenbench.search.costs import costs_of
from greenbench.search.course import Course
from greenbench.search.held_data import HeldData
from greenbench.search.intact import Intact
from greenbench.search.lanes import Lanes, choose_lanes
from greenbench.search.loading import load_dataset, load_own
from greenbench.search.training import Conditions, Training, Workplace
from greenbench.search.warming import Exercise, ModelCosts, warm_up
from greenbench.tasks import Task, check_loss, find_task

MOST_ARCHITECTURES = 64
"""Specs that are kept; beyond, the oldest is built anew when it is asked for."""


class Subject(Protocol):
    """What the trials of a repeat have in common, and what they are made from."""

    @property
    def bench(self) -> Bench:
        """What it is trained with."""

    @property
    def case(self) -> Case:
        """The definition."""

    @property
    def repeat(self) -> int:
        """Which repeat, from 0."""

    @property
    def task(self) -> Task:
        """What is learned, and how it is judged."""

    def warm_up(self, exercise: Exercise | None = None) -> ModelCosts:
        """Bring the device into the state in which it trains; tell what the model costs."""

    def lanes(self) -> Lanes:
        """Return how many trials are trained as one."""

    def course(self, workplace: Workplace, trial: Trial) -> Course:
        """Return a trial that has not begun."""

    def costs(self, model: ModelCosts, trials: Sequence[Trial], incumbent: Trial | None) -> Costs:
        """Return what the trials cost together."""

    def basis(self) -> Basis:
        """Return what the figures rest on of its data; see `greenbench.search.basis`."""

    def content_of(self, repeat: int) -> str | None:
        """Return the content of the data set as another repeat loads it; None if unknown."""

    def describe(self, basis: Basis) -> dict[str, Any]:
        """Return what results say of the data; see `CaseResult`."""

    def check_intact(self) -> None:
        """Raise an error if the data are not what they were."""


@dataclass(frozen=True)
class NetworkSubject:
    """A network that a backend trains on a data set.

    Attributes
    ----------
    bench : Bench
        Whose backend has loaded the data set.
    case : Case
        The definition.
    repeat : int
        Which repeat, from 0.
    dataset : Dataset
        As the case asks for it.
    task : Task
        What is learned: the case's, or what the data set is for.
    """

    bench: Bench
    case: Case
    repeat: int
    dataset: Dataset
    task: Task
    _held: HeldData
    _intact: Intact
    _architectures: dict[tuple[Options, Options], Spec | Native] = field(
        default_factory=dict, repr=False
    )

    def request(self, hyperparameters: Mapping[str, Scalar], seed: int) -> BuildRequest:
        """Return what a trial's model is built from; its data are in the backend's memory then.

        Parameters
        ----------
        hyperparameters : mapping
            Of the trial; of none, what the case says.
        seed : int
            Of the initial weights.
        """
        trial = configure(self.case, hyperparameters)
        self._held.bring(trial.dataset_options)
        per_epoch = max(len(self.dataset.train) // trial.batch_size, 1)
        request = BuildRequest(
            self.architecture(trial),
            trial.optimizer,
            trial.batch_size,
            seed,
            dict(self.case.backend_options),
            self.task,
            trial.schedule,
            per_epoch * trial.epochs,
            per_epoch,
            dict(hyperparameters),
        )
        augmentation = getattr(self._held.dataset, "augmentation", None)
        check_request_taken(self.case, self.bench.backend, request, augmentation)
        return request

    def build(self, hyperparameters: Mapping[str, Scalar], seed: int) -> TrainableModel:
        """Return the model of a trial; see `request`.

        Raises
        ------
        TrialError
            If it cannot be had, where other trials may have other networks.
        """
        try:
            return self.bench.backend.build(self.request(hyperparameters, seed))
        except (ArchitectureError, DatasetError) as error:
            if not beyond_optimizer(self.case):
                raise
            raise TrialError(str(error)) from error

    def architecture(self, trial: Configuration) -> Spec | Native:
        """Return the architecture of a trial on the data held, built once for the same options."""
        key = freeze_options(trial.architecture_options), self._held.loaded
        if key not in self._architectures:
            while len(self._architectures) >= MOST_ARCHITECTURES:
                self._architectures.pop(next(iter(self._architectures)))
            self._architectures[key] = _build(
                self.case, self._held.dataset, self.task, trial.architecture_options
            )
        return self._architectures[key]

    def trial_request(self, trial: Trial) -> BuildRequest:
        """Return what a trial's model is built from; see `request`."""
        return self.request(trial.hyperparameters, self._seed(trial))

    def course(self, workplace: Workplace, trial: Trial) -> Training:
        """Return a trial that has not begun."""
        its_own = trial_case(self.case, trial.hyperparameters)
        return Training(
            self.conditions(workplace, its_own),
            trial,
            self.case.derive_seed(self.repeat, ORDER, trial.index),
            lambda: self.build(trial.hyperparameters, self._seed(trial)),
        )

    def conditions(self, workplace: Workplace, case: Case | None = None) -> Conditions:
        """Return under what trials are trained; `case` as a trial runs it."""
        train = self.dataset.train
        return Conditions(
            self.bench.backend,
            case or self.case,
            len(train),
            workplace.ledger,
            self.bench.min_window_s,
            workplace.epoch_done,
            train if isinstance(train, Streamed) else None,
            self.task,
        )

    def _seed(self, trial: Trial) -> int:
        return self.case.derive_seed(self.repeat, "trial", trial.index)

    def lanes(self) -> Lanes:
        """Return how many trials are trained as one, after a throw-away batch of so many."""
        return choose_lanes(
            self.bench.backend,
            self.base(),
            self.case,
            len(self.dataset.train),
            has_spare=self.bench.min_window_s > 0,
        )

    def costs(self, model: ModelCosts, trials: Sequence[Trial], incumbent: Trial | None) -> Costs:
        """Return what the trials cost together; see `costs_of`."""
        return costs_of(self, model, trials, incumbent)

    def basis(self) -> Basis:
        """Return content and digest of the data set."""
        return data_basis(self.dataset)

    def content_of(self, repeat: int) -> str | None:
        """Return the content of the data set as another repeat loads it."""
        return load_dataset(self.bench, self.case, repeat).content

    def describe(self, basis: Basis) -> dict[str, Any]:
        """Return what results say of the data."""
        dataset = self.dataset
        return {
            "name": dataset.name,
            "digest": dataset.digest,
            "content": basis["content"],
            "source": redact(dataset.source),
            "shape": list(dataset.input_shape),
            "classes": dataset.classes,
            "train": len(dataset.train),
            "validation": len(dataset.validation),
            "test": len(dataset.test),
            "notes": [redact(note) for note in dataset.notes],
        }

    def check_intact(self) -> None:
        """Raise an error if the data set is another one now, or does not come back."""
        self.restore()
        self._intact.check(self.case.architecture)

    def base(self) -> BuildRequest:
        """Return what a model of the case itself is built from."""
        return self.request(first_values(self.case), seed=0)

    def warm_up(self, exercise: Exercise | None = None) -> ModelCosts:
        """Train a throw-away model of what the case says; see `warming.warm_up`."""
        return warm_up(self.bench.backend, self.base(), self.case, self.dataset, exercise)

    def restore(self) -> None:
        """Load the data as the case asks for them, if a trial had others."""
        self._held.bring(dict(self.case.dataset_options))

    def try_values(self) -> None:
        """Build networks and load data at the ends of each dimension, before anything is trained.

        Raises
        ------
        SearchSpaceError
            If one cannot be had; what only several of them make impossible fails its trial.
        """
        if not searches(self.case, "architecture", "dataset"):
            return
        first = first_values(self.case)
        for name, value in outermost(self.case):
            trial = configure(self.case, {**first, name: value})
            try:
                self._held.bring(trial.dataset_options)
                self.architecture(trial)
            except (ArchitectureError, DatasetError) as error:
                raise SearchSpaceError(
                    f"search space {self.case.space!r} has the dimension {name!r}, whose value "
                    f"{value!r} cannot be had: {error}"
                ) from error
        self.restore()


def load_subject(bench: Bench, case: Case, repeat: int) -> NetworkSubject:
    """Load a repeat's data, check its task and build its architecture.

    Raises
    ------
    ConfigurationError
        If they do not fit each other.
    """
    check_batching(case, bench.backend)
    loaded = load_own(bench, case, repeat)
    dataset = loaded.dataset
    task = find_task(case.task or dataset.task)
    check_loss(task, case.backend)
    with calling(f"task {task.name!r}", type(task).check, TaskError):
        task.check(dataset)
    bench.backend.load(dataset)
    load = partial(load_dataset, bench, case, repeat)
    held = HeldData(bench.backend, dataset, case.dataset_options, load, case.architecture)
    intact = Intact(bench.backend, dataset, loaded.digests)
    subject = NetworkSubject(bench, case, repeat, dataset, task, held, intact)
    subject.architecture(configure(case, first_values(case)))
    subject.try_values()
    return subject


def _build(
    case: Case, dataset: Dataset, task: Task, options: Mapping[str, Scalar]
) -> Spec | Native:
    with state_kept(f"architecture {case.architecture!r}"):
        return build_architecture(
            case.architecture,
            dataset.input_shape,
            task.outputs(dataset),
            size=case.size,
            options=options,
            vocabulary=dataset.vocabulary,
        )
