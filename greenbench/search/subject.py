"""The subject of a repeat: its data in the backend's memory, its task and its architecture."""

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from greenbench import registry
from greenbench.architectures import Native, Spec, build_architecture
from greenbench.backends import BuildRequest, ReplayingBackend
from greenbench.backends.process_state import state_kept
from greenbench.cases import Case, Scalar
from greenbench.datasets import Dataset, LoadContext
from greenbench.errors import DatasetError, TaskError
from greenbench.machine.places import at, calling
from greenbench.search.batch_training import check_batching
from greenbench.search.bench import Bench
from greenbench.search.configuration import Configuration, configure
from greenbench.search.training import ModelCosts, warm_up
from greenbench.tasks import Task, check_loss, find_task

Options = tuple[tuple[str, Scalar], ...]


@dataclass(frozen=True)
class Subject:
    """What the trials of a repeat have in common, and what they are built from.

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
    _architectures: dict[Options, Spec | Native] = field(default_factory=dict, repr=False)
    _loaded: list[Options] = field(default_factory=list, repr=False)

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
        self._bring(trial.dataset_options)
        per_epoch = max(len(self.dataset.train) // trial.batch_size, 1)
        return BuildRequest(
            self.architecture(trial),
            trial.optimizer,
            trial.batch_size,
            seed,
            dict(self.case.backend_options),
            self.task,
            trial.schedule,
            per_epoch * trial.epochs,
            per_epoch,
        )

    def architecture(self, trial: Configuration) -> Spec | Native:
        """Return the architecture of a trial, built once for the same options."""
        key = tuple(sorted(trial.architecture_options.items()))
        if key not in self._architectures:
            self._architectures[key] = _build(self.case, self.dataset, self.task, dict(key))
        return self._architectures[key]

    def warm_up(self) -> ModelCosts:
        """Train a throw-away model of what the case says; see `training.warm_up`."""
        return warm_up(self.bench.backend, self.request({}, seed=0), self.case, self.dataset)

    def restore(self) -> None:
        """Load the data as the case asks for them, if a trial had others."""
        self._bring(dict(self.case.dataset_options))

    def _bring(self, options: Mapping[str, Scalar]) -> None:
        """Let the backend have the data with these options."""
        key = tuple(sorted(options.items()))
        now = self._loaded[-1] if self._loaded else self.case.dataset_options
        if key == now:
            return
        case = replace(self.case, dataset_options=key)
        is_own = key == self.case.dataset_options
        held = self.dataset if is_own else load_dataset(self.bench, case, self.repeat)
        if len(held.train) != len(self.dataset.train):
            raise DatasetError(
                f"dataset {case.dataset!r} has {len(held.train)} training samples with "
                f"{dict(key)}, and {len(self.dataset.train)} with those of the case; a search "
                "cannot choose how much data there is"
            )
        self.bench.backend.load(held)
        self._loaded[:] = [key]


def load_subject(bench: Bench, case: Case, repeat: int) -> Subject:
    """Load a repeat's data, check its task and build its architecture.

    Raises
    ------
    ConfigurationError
        If they do not fit each other.
    """
    check_batching(case, bench.backend)
    dataset = load_dataset(bench, case, repeat)
    task = find_task(case.task or dataset.task)
    check_loss(task, case.backend)
    with calling(f"task {task.name!r}", type(task).check, TaskError):
        task.check(dataset)
    bench.backend.load(dataset)
    subject = Subject(bench, case, repeat, dataset, task)
    subject.architecture(configure(case, {}))
    return subject


def load_dataset(bench: Bench, case: Case, repeat: int) -> Dataset:
    """Return the data set of a repeat.

    Raises
    ------
    DatasetError
        If its loader does not take the options, raises, or returns something else.
    """
    if isinstance(bench.backend, ReplayingBackend):
        return bench.backend.open(case)
    load = registry.datasets.get(case.dataset)
    context = LoadContext(seed=case.derive_seed(repeat, "split"), data_dir=bench.data_dir)
    options = dict(case.dataset_options)
    name = f"dataset {case.dataset!r}"
    try:
        inspect.signature(load).bind(context, **options)
    except TypeError as error:
        raise DatasetError(f"{name} does not take {options}: {error}{at(load)}") from error
    with calling(name, load, DatasetError), state_kept(name):
        dataset: Dataset = load(context, **options)
    if not isinstance(dataset, Dataset):
        raise DatasetError(
            f"{name} returned {type(dataset).__name__}; expected a Dataset{at(load)}"
        )
    try:
        dataset.check()
    except DatasetError as error:
        raise DatasetError(f"{error}{at(load)}") from error
    return dataset


def _build(
    case: Case, dataset: Dataset, task: Task, options: Mapping[str, Scalar]
) -> Spec | Native:
    outputs = task.outputs(dataset)
    with state_kept(f"architecture {case.architecture!r}"):
        return build_architecture(
            case.architecture,
            dataset.image_shape,
            outputs[0] if len(outputs) == 1 else dataset.classes,
            size=case.size,
            options=options,
        )
