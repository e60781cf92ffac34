"""Streamed splits: samples that stay where they are, and are read some at a time."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NoReturn, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from greenbench.datasets.split import Batch, Split, each, named
from greenbench.errors import DatasetError

BLOCK_BYTES = 64 * 2**20

Indices = NDArray[np.int64]


class Source(Protocol):
    """Where samples are read from, by position; it never changes."""

    def __len__(self) -> int:
        """Return how many samples there are."""

    def read(self, indices: Indices) -> Batch:
        """Return inputs and targets of the samples at these positions, in their order.

        Of the types that `Split` names.
        """


class Streamed(Split):
    """A split that memory need not hold: its inputs and targets have shapes and types only.

    `batch` reads samples when they are asked for: energy of whoever trains then. What `prefetch`
    has read before is in memory.

    Parameters
    ----------
    source : Source
        Where samples are read from.
    index : ndarray of int64, shape (n,), optional
        Positions in the source of this split's samples; all, in their order, if left out.
    """

    def __init__(self, source: Source, index: Indices | None = None) -> None:
        positions = np.arange(len(source), dtype=np.int64) if index is None else index
        held = _Held(source, positions)
        inputs, targets = held.read(np.arange(1, dtype=np.int64))
        super().__init__(
            each(inputs, lambda array: Elsewhere.like(array, len(positions))),
            cast("NDArray[Any]", Elsewhere.like(targets, len(positions))),
        )
        # The attributes of a split are frozen.
        object.__setattr__(self, "_held", held)

    _held: "_Held"

    def batch(self, indices: Indices) -> Batch:
        """Return inputs and targets of the samples at these positions, in their order."""
        return self._held.batch(indices)

    def prefetch(self, indices: Indices) -> None:
        """Read the samples at these positions into memory, in the place of what was there."""
        self._held.fetch(indices)

    def blocks(self, order: Indices, batch_size: int) -> Iterator[Indices]:
        """Yield an order in parts that memory holds, of whole batches, to `prefetch` one by one."""
        arrays = [*named(self.inputs).values(), self.targets]
        sample = sum(math.prod(array.shape[1:]) * array.dtype.itemsize for array in arrays)
        size = max(1, BLOCK_BYTES // max(1, sample * batch_size)) * batch_size
        for start in range(0, len(order), size):
            yield order[start : start + size]


@dataclass(frozen=True)
class Elsewhere:
    """What an array that is not in memory would be.

    Attributes
    ----------
    shape : tuple of int
        Its shape.
    dtype : dtype
        Its type.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @classmethod
    def like(cls, array: NDArray[Any], length: int) -> "Elsewhere":
        """Return one of so many rows, of the kind that an array has."""
        return cls((length, *array.shape[1:]), array.dtype)

    @property
    def ndim(self) -> int:
        """Its number of axes."""
        return len(self.shape)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: object) -> NoReturn:
        raise _not_held()

    def __iter__(self) -> NoReturn:
        raise _not_held()

    def __array__(self, *args: object, **options: object) -> NoReturn:
        raise _not_held()


def _not_held() -> DatasetError:
    return DatasetError(
        "samples of a streamed split are not in memory, and what is used here needs them there; "
        "choose a backend and options that can stream, or load fewer samples"
    )


class _Held:
    """What is in memory of a source's samples."""

    def __init__(self, source: Source, index: Indices) -> None:
        self.source = source
        self.index = index
        self._ranked: Indices = np.empty(0, np.int64)
        self._rows: Indices = np.empty(0, np.int64)
        self._block: Batch | None = None

    def read(self, indices: Indices) -> Batch:
        return self.source.read(self.index[indices])

    def fetch(self, indices: Indices) -> None:
        self._block = None  # before the next one takes as much memory again
        self._block = self.read(indices)
        self._rows = np.argsort(indices, kind="stable")
        self._ranked = indices[self._rows]

    def batch(self, indices: Indices) -> Batch:
        if self._block is None:
            return self.read(indices)
        places = np.minimum(np.searchsorted(self._ranked, indices), len(self._ranked) - 1)
        if not np.array_equal(self._ranked[places], indices):
            return self.read(indices)
        rows = self._rows[places]
        inputs, targets = self._block
        return each(inputs, lambda array: array[rows]), targets[rows]
