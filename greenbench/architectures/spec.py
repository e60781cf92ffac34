"""Neutral layer specs: typed layers with shapes, parameters, FLOPs and initial weights."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from greenbench.architectures.layers import (
    GELU,
    Attention,
    BatchNorm,
    Conv,
    Dropout,
    Embedding,
    Flatten,
    GlobalPool,
    Layer,
    LayerNorm,
    Linear,
    MaxPool,
    PatchEmbedding,
    PositionEmbedding,
    ReLU,
    Residual,
    SiLU,
    is_count,
)
from greenbench.architectures.placing import Placed, Shape, described, place, train_flops
from greenbench.errors import ArchitectureError

__all__ = [
    "GELU",
    "Attention",
    "BatchNorm",
    "Conv",
    "Dropout",
    "Embedding",
    "Flatten",
    "GlobalPool",
    "Layer",
    "LayerNorm",
    "Linear",
    "MaxPool",
    "Native",
    "PatchEmbedding",
    "Placed",
    "PositionEmbedding",
    "ReLU",
    "Residual",
    "Shape",
    "SiLU",
    "Spec",
    "Weights",
    "described",
]

Weights = list[NDArray[np.float32]]

_IMAGE = 3
# Of GPT-2's embeddings (Radford et al. 2019).
_EMBEDDING_DEVIATION = 0.02
_DRAWS = 2**15
"""Numbers that are drawn at once: 256 KiB of doubles."""


@dataclass(frozen=True)
class Native:
    """An architecture that only one backend can build.

    Attributes
    ----------
    name : str
        Its name, for messages.
    backend : str
        The backend that takes it.
    build : callable
        Returns the backend's own model object: a torch module or a keras model.
    """

    name: str
    backend: str
    build: Callable[[], Any]


class Spec:
    """A network as an ordered list of layers, for inputs of one shape.

    Parameters
    ----------
    name : str
        For messages.
    input_shape : tuple of int
        Of a sample: (channels, height, width) of images, (features,) of vectors, (tokens, features)
        of sequences, (tokens,) of token ids, whose first layer is an `Embedding`.
    layers : sequence of Layer
        In order; the last one gives what the task wants, such as a value a class.

    Attributes
    ----------
    layers : tuple of Placed
        The layers with their shapes worked out.

    Raises
    ------
    ArchitectureError
        If there are no layers, or one does not fit what comes before it.
    """

    def __init__(self, name: str, input_shape: Shape, layers: Sequence[Layer]) -> None:
        self.name = name
        shape = tuple(input_shape)
        if not 1 <= len(shape) <= _IMAGE or not all(map(is_count, shape)):
            raise ArchitectureError(
                f"{name}: its inputs have the shape {input_shape!r}; expected whole numbers above "
                "0: (channels, height, width) of images, (features,) of vectors, (tokens,) of "
                "token ids"
            )
        if not layers:
            raise ArchitectureError(f"{name} has no layers; give it some, such as Linear(10)")
        self.input_shape = shape
        self.layers = tuple(place(name, shape, layers))
        self._check_embeddings()

    @property
    def image_shape(self) -> Shape:
        """The former name of `input_shape`."""
        return self.input_shape

    @property
    def outputs(self) -> Shape:
        """Shape of a sample's outputs: (n,), (tokens, n), or (n, height, width)."""
        return self.layers[-1].shape_out

    @property
    def classes(self) -> int:
        """Length of the outputs' axis of classes: the first of an image, else the last."""
        return self.outputs[0 if len(self.outputs) == _IMAGE else -1]

    @property
    def vocabulary(self) -> int | None:
        """How many token ids it knows; None of a network for numbers."""
        first = self.layers[0].layer
        return first.vocabulary if isinstance(first, Embedding) else None

    @property
    def leaves(self) -> Iterator[Placed]:
        """Its layers, and those inside of them, in the order of their weights."""
        for placed in self.layers:
            yield from placed.leaves()

    @property
    def draws(self) -> bool:
        """Whether it draws random numbers in training."""
        return any(isinstance(each.layer, Dropout) and each.layer.rate for each in self.leaves)

    @property
    def parameters(self) -> int:
        """Number of trainable parameters."""
        shapes = [shape for placed in self.leaves for shape in placed.weight_shapes]
        return sum(math.prod(shape) for shape in shapes)

    @property
    def train_flops(self) -> int:
        """FLOPs of one training sample: the forward pass, and twice that backwards.

        The gradient with respect to the data is not computed, which saves the first product once,
        unless something before it is trained. This is the count of ``torch.utils.flop_counter``.
        """
        return train_flops(self.layers)

    def check_trainable(self, samples: int) -> None:
        """Check whether the network can be trained in batches of so many samples.

        Raises
        ------
        ArchitectureError
            If it has no parameters, or if a normalisation would see one value a channel, which
            has no variance.
        """
        if not self.parameters:
            raise ArchitectureError(
                f"{self.name} has nothing to train; give it a layer with weights, such as Linear"
            )
        for placed in self.leaves:
            values = samples * math.prod(placed.shape_in[1:])
            if isinstance(placed.layer, BatchNorm) and values == 1:
                raise ArchitectureError(
                    f"{self.name}: BatchNorm sees one value a channel, an image of 1×1 in a "
                    "batch of 1; train in batches of at least 2, or put it before the pooling"
                )

    def initial_weights(self, seed: int) -> Weights:
        """Draw initial weights, equal for every backend.

        Uniform in ±1/√fan_in, torch's default for convolutions and linear layers; embeddings
        normal with deviation 0.02, GPT-2's; normalisation starts as the identity.

        Returns
        -------
        list of ndarray of float32
            For each layer in order: weight and bias; for a batch normalisation also running mean
            and variance. In torch's layout.
        """
        generator = np.random.default_rng(seed)
        return [values for placed in self.leaves for values in _initial_weights(placed, generator)]

    def _check_embeddings(self) -> None:
        rest = (each.layer for each in self.leaves if each is not self.layers[0])
        if any(isinstance(layer, Embedding) for layer in rest):
            raise ArchitectureError(
                f"{self.name}: Embedding takes token ids, which only the data has; expected it "
                "as the first layer"
            )


def _initial_weights(
    placed: Placed, generator: np.random.Generator
) -> Iterator[NDArray[np.float32]]:
    shapes = placed.weight_shapes
    match placed.layer:
        case BatchNorm():
            ones, zeros = np.ones(shapes[0], np.float32), np.zeros(shapes[0], np.float32)
            yield from (ones, zeros, zeros.copy(), ones.copy())
        case LayerNorm():
            yield from (np.ones(shapes[0], np.float32), np.zeros(shapes[0], np.float32))
        case Embedding() | PositionEmbedding():
            yield _drawn(partial(generator.normal, 0, _EMBEDDING_DEVIATION), shapes[0])
        case _:
            bound = 0.0
            for shape in shapes:
                if len(shape) > 1:
                    bound = 1 / math.sqrt(math.prod(shape[1:]))
                yield _drawn(partial(generator.uniform, -bound, bound), shape)


def _drawn(draw: Callable[[int], Any], shape: Shape) -> NDArray[np.float32]:
    """Return draws in single precision; some at a time, for the cache to hold those in double."""
    values = np.empty(shape, np.float32)
    flat = values.reshape(-1)
    for start in range(0, flat.size, _DRAWS):
        part = flat[start : start + _DRAWS]
        part[:] = draw(part.size)
    return values
