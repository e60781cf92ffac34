"""Streamed splits: samples that stay where they are, and are read some at a time."""

from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from greenbench.datasets.split import Batch, Split, each
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
    """A split that memory need not hold: it has `batch`, and no `inputs` and `targets`.

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
        # The attributes of a split are frozen.
        object.__setattr__(self, "_held", held)
        object.__setattr__(self, "_first", held.read(np.arange(1, dtype=np.int64)))

    _held: "_Held"
    _first: Batch

    def __len__(self) -> int:
        return len(self._held.index)

    def __getattribute__(self, name: str) -> Any:
        if name in ("inputs", "targets"):
            raise DatasetError(
                f"{name} of a streamed split are not in memory; read some with `batch`, or choose "
                "a backend and options that can stream"
            )
        return super().__getattribute__(name)

    @property
    def input_shape(self) -> Any:
        """Shape of one sample, a tuple of int; of named inputs, a mapping of names to it."""
        return each(self._first[0], lambda array: array.shape[1:])

    @property
    def input_dtype(self) -> Any:
        """Type of the inputs; of several named inputs, a mapping of names to it."""
        return each(self._first[0], lambda array: array.dtype)

    @property
    def target_shape(self) -> tuple[int, ...]:
        """Shape of one sample's target; empty where that is one number."""
        return self._first[1].shape[1:]

    @property
    def target_dtype(self) -> np.dtype[Any]:
        """Type of the targets."""
        return self._first[1].dtype

    def batch(self, indices: Indices) -> Batch:
        """Return inputs and targets of the samples at these positions, in their order."""
        return self._held.batch(indices)

    def prefetch(self, indices: Indices) -> None:
        """Read the samples at these positions into memory, in the place of what was there."""
        self._held.fetch(indices)

    def blocks(self, order: Indices, batch_size: int) -> Iterator[Indices]:
        """Yield an order in parts that memory holds, of whole batches, to `prefetch` one by one."""
        sample = sum(_bytes(array) for array in _arrays(self._first))
        size = max(1, BLOCK_BYTES // max(1, sample * batch_size)) * batch_size
        for start in range(0, len(order), size):
            yield order[start : start + size]


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


def _arrays(batch: Batch) -> Iterator[NDArray[Any]]:
    inputs, targets = batch
    yield from inputs.values() if isinstance(inputs, dict) else (inputs,)
    yield targets


def _bytes(array: NDArray[Any]) -> int:
    return array[:1].nbytes
