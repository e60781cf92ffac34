"""Splits as torch reads them: on the device as a whole, or fetched batch by batch."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from greenbench.datasets.base import Split

Inputs = Tensor | dict[str, Tensor]
"""Samples, or several named inputs of each, all with the samples as their first axis."""
Batch = tuple[Inputs, Tensor]

_IMAGE_AXES = 4


def mapped(inputs: Any, change: Callable[[Any], Any]) -> Any:
    """Return what `change` makes of an input, or of each of several named ones."""
    if isinstance(inputs, Mapping):
        return {name: change(one) for name, one in inputs.items()}
    return change(inputs)


def tensors_of(inputs: Inputs) -> tuple[Tensor, ...]:
    """Return the tensors of inputs, in their order."""
    return tuple(inputs.values()) if isinstance(inputs, dict) else (inputs,)


def like(inputs: Inputs, tensors: tuple[Tensor, ...]) -> Inputs:
    """Return tensors under the names that inputs have."""
    return dict(zip(inputs, tensors, strict=True)) if isinstance(inputs, dict) else tensors[0]


def call(module: nn.Module, inputs: Inputs) -> Any:
    """Call a module on inputs; several named ones are its keyword arguments."""
    return module(**inputs) if isinstance(inputs, dict) else module(inputs)


def cut(inputs: Inputs, start: int, stop: int) -> Inputs:
    """Return some samples of inputs."""
    found: Inputs = mapped(inputs, lambda one: one[start:stop])
    return found


def copied(inputs: Inputs) -> Inputs:
    """Return a copy: a forward pass may work in place on what it gets."""
    found: Inputs = mapped(inputs, Tensor.clone)
    return found


def shapes(inputs: Inputs) -> tuple[Any, ...]:
    """Return names, shapes of a sample and types."""
    names = tuple(inputs) if isinstance(inputs, dict) else ()
    return (*names, *((one.shape[1:], one.dtype) for one in tensors_of(inputs)))


def laid_out(inputs: Inputs, layout: torch.memory_format) -> Inputs:
    """Return inputs whose images have a layout; copies nothing that has it already."""
    if isinstance(inputs, dict):
        return {name: _laid_out(one, layout) for name, one in inputs.items()}
    return _laid_out(inputs, layout)


def _laid_out(one: Tensor, layout: torch.memory_format) -> Tensor:
    is_image = one.ndim == _IMAGE_AXES and one.is_floating_point()
    return one.contiguous(memory_format=layout) if is_image else one


class Held:
    """A split on the device.

    Parameters
    ----------
    inputs : Inputs
        All samples.
    targets : Tensor
        What is right.
    """

    def __init__(self, inputs: Inputs, targets: Tensor) -> None:
        self.inputs = inputs
        self.targets = targets

    def __len__(self) -> int:
        return len(self.targets)

    def laid_out(self, layout: torch.memory_format) -> "Held":
        """Return the split with images in a layout."""
        return Held(laid_out(self.inputs, layout), self.targets)

    def take(self, positions: Tensor) -> Batch:
        """Return the samples at positions on the device; faster than indexing."""
        targets = self.targets.index_select(0, positions)
        if isinstance(self.inputs, dict):
            named = self.inputs.items()
            return {name: one.index_select(0, positions) for name, one in named}, targets
        return self.inputs.index_select(0, positions), targets

    def first(self, count: int) -> Batch:
        """Return the first samples."""
        return cut(self.inputs, 0, count), self.targets[:count]

    def parts(self, size: int) -> Iterator[Batch]:
        """Yield all samples in their order, so many at a time."""
        for start in range(0, len(self), size):
            yield cut(self.inputs, start, start + size), self.targets[start : start + size]

    def on_host(self) -> Split:
        """Return it as NumPy arrays."""
        return Split(mapped(self.inputs, lambda one: one.cpu().numpy()), self.targets.cpu().numpy())


class Streamed:
    """A split that memory does not hold: samples come from it some at a time.

    Parameters
    ----------
    split : object
        With ``batch(indices)``, which returns inputs and targets as NumPy arrays.
    device : torch.device
        Where they go.
    layout : torch.memory_format
        Of images.
    """

    def __init__(
        self,
        split: Any,
        device: torch.device,
        layout: torch.memory_format = torch.contiguous_format,
    ) -> None:
        self._split = split
        self._device = device
        self._layout = layout

    def __len__(self) -> int:
        return len(self._split)

    @property
    def inputs(self) -> Inputs:
        """A sample, with the shapes and types of all."""
        return self.first(1)[0]

    def laid_out(self, layout: torch.memory_format) -> "Streamed":
        """Return the split with images in a layout."""
        return Streamed(self._split, self._device, layout)

    def fetch(self, positions: NDArray[np.int64]) -> Batch:
        """Return the samples at these positions, on the device."""
        inputs, targets = self._split.batch(positions)
        moved = mapped(inputs, lambda one: on_device(one, self._device))
        return laid_out(moved, self._layout), on_device(targets, self._device)

    def first(self, count: int) -> Batch:
        """Return the first samples."""
        return self.fetch(np.arange(min(count, len(self))))

    def parts(self, size: int) -> Iterator[Batch]:
        """Yield all samples in their order, so many at a time."""
        for start in range(0, len(self), size):
            yield self.fetch(np.arange(start, min(start + size, len(self))))

    def on_host(self) -> Any:
        """Return it as it was given."""
        return self._split


def hold(split: Any, device: torch.device) -> Held | Streamed:
    """Return a split as torch reads it: on the device, unless it is one that is streamed."""
    if hasattr(split, "prefetch"):
        return Streamed(split, device)
    inputs = mapped(split.inputs, lambda one: on_device(one, device))
    return Held(inputs, on_device(split.targets, device))


def on_device(array: NDArray[Any], device: torch.device) -> Tensor:
    """Return an array as a tensor; on the CPU it is the same memory where torch can write to it."""
    usable = array if array.flags.writeable else array.copy()
    return torch.from_numpy(usable).to(device)
