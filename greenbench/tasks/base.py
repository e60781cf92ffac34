"""The task protocol: what is learned from what, and how it is judged."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, Protocol, get_args, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from greenbench import registry
from greenbench.datasets.base import Dataset
from greenbench.errors import TaskError
from greenbench.machine.places import at, calling
from greenbench.tasks.score import Score

NamedLoss = Literal["cross_entropy", "binary_cross_entropy", "mse"]
Loss = NamedLoss | Mapping[str, Callable[..., Any]]
"""A loss that every backend has, or the user's own for each backend: outputs, targets → mean."""


@runtime_checkable
class Task(Protocol):
    """What is learned; a frozen dataclass or a class with these attributes."""

    @property
    def name(self) -> str:
        """Return the name in the registry."""

    @property
    def score(self) -> Score:
        """Return what selects trials."""

    @property
    def metrics(self) -> Sequence[Score]:
        """Return what else the test tells."""

    @property
    def loss(self) -> Loss:
        """Return what training minimises; see `Loss`."""

    def check(self, dataset: Dataset) -> None:
        """Raise `TaskError` if the targets of a data set are none that can be learned so."""

    def outputs(self, dataset: Dataset) -> tuple[int, ...]:
        """Return the shape of what a network gives for one sample."""

    def measure(
        self, reads: str, values: NDArray[Any] | float, targets: NDArray[np.generic]
    ) -> dict[str, float]:
        """Return the score and metrics, by name, that are computed from what is given.

        What the data leave undefined is left out, such as the AUROC of three classes.

        Parameters
        ----------
        reads : str
            What `values` are; see `Score.reads`.
        values : ndarray or float
            Classes of shape (n, …), outputs of shape (n, …), or the mean loss.
        targets : ndarray
            What is right.
        """


def find_task(name: str) -> Task:
    """Return a registered task; of a class, an instance.

    Raises
    ------
    UnknownNameError
        If nothing is registered under that name.
    TaskError
        If it is no task, or its loss is none.
    """
    found: Any = registry.tasks.get(name)
    where = f"task {name!r}{at(found if callable(found) else type(found))}"
    if isinstance(found, type):
        with calling(f"task {name!r}", found, TaskError):
            found = found()
    if not isinstance(found, Task) or not isinstance(found.score, Score):
        raise TaskError(
            f"{where} is no task; expected name, score (a Score), metrics, loss, check, outputs "
            "and measure, as greenbench.tasks.Task has them"
        )
    is_own = isinstance(found.loss, Mapping) and all(map(callable, found.loss.values()))
    if not is_own and found.loss not in get_args(NamedLoss):
        raise TaskError(
            f"{where} has the loss {found.loss!r}; expected {', '.join(get_args(NamedLoss))}, or "
            "a function for each backend: {'torch': …, 'keras': …}"
        )
    return found


def check_loss(task: Task, backend: str) -> None:
    """Raise `TaskError` if a task has a loss of its own, and none for a backend.

    Parameters
    ----------
    task : Task
        What is learned.
    backend : str
        Name in the registry; ``keras_jax`` takes the loss for ``keras``.
    """
    if isinstance(task.loss, Mapping) and not {backend, backend.partition("_")[0]} & set(task.loss):
        raise TaskError(
            f"task {task.name!r} has a loss for {', '.join(task.loss)} and none for the backend "
            f"{backend!r}; add one, or choose another backend"
        )
