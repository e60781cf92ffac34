"""The task protocol: what is learned from what, and how it is judged."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from greenbench.datasets.base import Dataset
from greenbench.tasks.score import Score

Loss = Literal["cross_entropy", "binary_cross_entropy", "mse"] | Mapping[str, Callable[..., Any]]
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

        Parameters
        ----------
        reads : str
            What `values` are; see `Score.reads`.
        values : ndarray or float
            Classes of shape (n, …), outputs of shape (n, …), or the mean loss.
        targets : ndarray
            What is right.
        """
