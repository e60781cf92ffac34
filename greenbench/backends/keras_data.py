"""Data as Keras's networks get it: layouts of images, and splits in the engine's memory."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from greenbench.backends.keras_engines import Batch, Engine
from greenbench.datasets.base import Split

_IMAGES = 4


@dataclass(frozen=True)
class Layout:
    """Where a network has the channels of its images.

    Attributes
    ----------
    inputs, outputs : str
        ``"channels_first"`` or ``"channels_last"``.
    """

    inputs: str
    outputs: str


class Samples(Protocol):
    """A split for networks of one layout."""

    @property
    def layout(self) -> Layout:
        """Where images have their channels."""

    def __len__(self) -> int:
        """Return how many samples there are."""

    @property
    def whole(self) -> Batch | None:
        """All inputs and targets in the engine's memory; None if they are not there."""

    def first(self, count: int) -> Batch:
        """Return copies of the first samples."""

    def batches(self, order: NDArray[np.int64], batch_size: int) -> Iterator[Batch]:
        """Yield batches of samples in `order`."""

    def parts(self, size: int) -> Iterator[tuple[Any, NDArray[Any]]]:
        """Yield all samples: copies of inputs in the engine's memory, targets as they were."""

    def neutral(self) -> Split:
        """Return the samples as they were given."""


@dataclass(frozen=True)
class Loaded:
    """A split in the engine's memory.

    Attributes
    ----------
    given : Split
        As it was.
    inputs, targets : tensor
        In the layout; inputs may be several named ones.
    """

    layout: Layout
    engine: Engine
    given: Split
    inputs: Any
    targets: Any

    @classmethod
    def of(cls, split: Split, layout: Layout, engine: Engine) -> "Loaded":
        """Copy a split into the engine's memory."""
        inputs = in_memory(split.inputs, layout.inputs)
        return cls(layout, engine, split, inputs, in_memory(split.targets, layout.outputs))

    def __len__(self) -> int:
        return len(self.given)

    @property
    def whole(self) -> Batch | None:
        """All inputs and targets."""
        return self.inputs, self.targets

    def first(self, count: int) -> Batch:
        """Return copies of the first samples."""
        return self._copied(slice(count)), _copy(self.targets[:count])

    def batches(self, order: NDArray[np.int64], batch_size: int) -> Iterator[Batch]:
        """Yield batches of samples in `order`."""
        for batch in self.engine.batches(order, batch_size):
            take = partial(self.engine.take, batch)
            yield each(take, self.inputs), take(self.targets)

    def parts(self, size: int) -> Iterator[tuple[Any, NDArray[Any]]]:
        """Yield all samples: a forward pass may work in place on what it gets."""
        for start in range(0, len(self), size):
            part = slice(start, start + size)
            yield self._copied(part), self.given.targets[part]

    def neutral(self) -> Split:
        """Return the samples, read back, in the layout and types in which they were given."""
        if isinstance(self.inputs, Mapping):
            inputs: Any = {
                name: _read_back(values, self.given.inputs[name], self.layout.inputs)
                for name, values in self.inputs.items()
            }
        else:
            inputs = _read_back(self.inputs, self.given.inputs, self.layout.inputs)
        return Split(inputs, _read_back(self.targets, self.given.targets, self.layout.outputs))

    def _copied(self, part: slice) -> Any:
        return each(lambda values: _copy(values[part]), self.inputs)


@dataclass(frozen=True)
class Fetched:
    """A split that memory does not hold: its samples are read some at a time.

    Attributes
    ----------
    given : Split
        With ``batch(indices)``, which returns inputs and targets as NumPy arrays.
    """

    layout: Layout
    given: Split

    def __len__(self) -> int:
        return len(self.given)

    @property
    def whole(self) -> None:
        """Nothing: it is not in memory."""

    def first(self, count: int) -> Batch:
        """Return the first samples."""
        return self._loaded(np.arange(min(count, len(self))))

    def batches(self, order: NDArray[np.int64], batch_size: int) -> Iterator[Batch]:
        """Yield batches of samples in `order`."""
        for start in range(0, len(order), batch_size):
            yield self._loaded(order[start : start + batch_size])

    def parts(self, size: int) -> Iterator[tuple[Any, NDArray[Any]]]:
        """Yield all samples."""
        for start in range(0, len(self), size):
            inputs, targets = self.read(np.arange(start, min(start + size, len(self))))
            yield in_memory(inputs, self.layout.inputs), targets

    def neutral(self) -> Split:
        """Return the split as it was given."""
        return self.given

    def _loaded(self, indices: NDArray[np.int64]) -> Batch:
        inputs, targets = self.read(indices)
        return in_memory(inputs, self.layout.inputs), in_memory(targets, self.layout.outputs)

    def read(self, indices: NDArray[np.int64]) -> tuple[Any, NDArray[Any]]:
        """Return the samples at these positions as they are."""
        read: tuple[Any, NDArray[Any]] = self.given.batch(indices)
        return read


def example_of(split: Split, layout: Layout) -> Any:
    """Return the inputs of the first sample, as arrays in a layout."""
    streamed = getattr(split, "prefetch", None) is not None
    inputs = Fetched(layout, split).read(np.arange(1))[0] if streamed else split.inputs
    return each(lambda array: arranged(array[:1], layout.inputs), inputs)


def hold(split: Split, layout: Layout, engine: Engine) -> Samples:
    """Return a split for networks of a layout: in memory, unless it is one that is streamed."""
    if hasattr(split, "prefetch"):
        return Fetched(layout, split)
    return Loaded.of(split, layout, engine)


def each(change: Callable[[Any], Any], inputs: Any) -> Any:
    """Return what `change` makes of inputs, or of each of several named ones."""
    if isinstance(inputs, Mapping):
        return {name: change(values) for name, values in inputs.items()}
    return change(inputs)


def in_memory(values: Any, data_format: str) -> Any:
    """Return arrays in the engine's memory, images in a layout; numbers have 32 bits."""
    from keras import ops  # noqa: PLC0415

    return each(lambda array: ops.convert_to_tensor(arranged(array, data_format)), values)


def arranged(array: NDArray[Any], data_format: str) -> NDArray[Any]:
    """Return an array in 32 bits; if it has four axes, it is images, which get a layout."""
    dtype = np.int32 if array.dtype.kind in "iub" else np.float32
    narrow = array.astype(dtype, copy=False)
    if data_format == "channels_first" or array.ndim != _IMAGES:
        return narrow
    return np.ascontiguousarray(narrow.transpose(0, 2, 3, 1))


def to_neutral(array: NDArray[Any], data_format: str) -> NDArray[Any]:
    """Return an array with the channels first, if it is images."""
    if data_format == "channels_first" or array.ndim != _IMAGES:
        return array
    return array.transpose(0, 3, 1, 2)


def arranged_shape(shape: tuple[int, ...], data_format: str) -> tuple[int, ...]:
    """Return the shape of a sample in a layout."""
    if data_format == "channels_first" or len(shape) != _IMAGES - 1:
        return shape
    return (*shape[1:], shape[0])


def to_numpy(values: Any) -> NDArray[Any]:
    """Return a tensor as an array."""
    from keras import ops  # noqa: PLC0415

    return np.asarray(ops.convert_to_numpy(values))


def _read_back(values: Any, given: NDArray[Any], data_format: str) -> NDArray[Any]:
    return to_neutral(to_numpy(values), data_format).astype(given.dtype, copy=False)


def _copy(values: Any) -> Any:
    from keras import ops  # noqa: PLC0415

    return ops.copy(values)
