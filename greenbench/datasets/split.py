"""Splits: samples, and what is to be learned of them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

Batch = tuple[Any, NDArray[Any]]
"""Inputs and targets of some samples; see `Split`."""


@dataclass(frozen=True)
class Split:
    """Samples and what is to be learned of them.

    Attributes
    ----------
    inputs : ndarray, shape (n, …), or mapping of str to such arrays
        float32, or int64 for token ids. Images are contiguous float32 of shape (n, channels,
        height, width), black 0 and white 1.
    targets : ndarray, shape (n, …)
        Of classification int64 of shape (n,), class indices from 0; of pixels or tokens int64 of
        shape (n, …); of other tasks float32 of shape (n, k).
    """

    inputs: Any
    targets: NDArray[Any]

    def __len__(self) -> int:
        return len(self.targets)

    @property
    def images(self) -> NDArray[np.float32]:
        """The inputs, where they are images."""
        return cast("NDArray[np.float32]", self.inputs)

    @property
    def labels(self) -> NDArray[np.int64]:
        """The targets, where they are classes."""
        return cast("NDArray[np.int64]", self.targets)

    @property
    def input_shape(self) -> Any:
        """Shape of one sample, a tuple of int; of named inputs, a mapping of names to it."""
        return each(self.inputs, lambda array: array.shape[1:])

    @property
    def input_dtype(self) -> Any:
        """Type of the inputs; of several named inputs, a mapping of names to it."""
        return each(self.inputs, lambda array: array.dtype)

    @property
    def target_shape(self) -> tuple[int, ...]:
        """Shape of one sample's target; empty where that is one number."""
        shape: tuple[int, ...] = self.targets.shape[1:]
        return shape

    @property
    def target_dtype(self) -> np.dtype[Any]:
        """Type of the targets."""
        dtype: np.dtype[Any] = self.targets.dtype
        return dtype

    def batch(self, indices: NDArray[np.int64]) -> Batch:
        """Return inputs and targets of the samples at these positions, in their order."""
        return each(self.inputs, lambda array: array[indices]), self.targets[indices]

    def batches(self, size: int) -> Iterator[Batch]:
        """Yield inputs and targets of all samples in their order, `size` at a time."""
        for start in range(0, len(self), size):
            yield self.batch(np.arange(start, min(start + size, len(self)), dtype=np.int64))


def each(inputs: Any, change: Any) -> Any:
    """Return what `change` makes of an array, or of each of several named ones."""
    if isinstance(inputs, Mapping):
        return {name: change(array) for name, array in inputs.items()}
    return change(inputs)


def named(inputs: Any) -> dict[str, Any]:
    """Return arrays by name; a single one has the empty name."""
    return dict(inputs) if isinstance(inputs, Mapping) else {"": inputs}
