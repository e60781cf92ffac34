"""Neutral layer specs: typed layers with shapes, parameters, FLOPs and initial weights."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from numbers import Integral, Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

from greenbench.errors import ArchitectureError

Shape = tuple[int, ...]
Weights = list[NDArray[np.float32]]


@dataclass(frozen=True)
class Conv:
    """Convolution with stride 1 and zero padding that keeps the image's size."""

    channels: int
    kernel: int = 3


@dataclass(frozen=True)
class BatchNorm:
    """Batch normalisation over channels; momentum 0.1 as torch counts it."""

    momentum: float = 0.1
    epsilon: float = 1e-5


@dataclass(frozen=True)
class ReLU:
    """Rectified linear unit."""


@dataclass(frozen=True)
class MaxPool:
    """Maximum over non-overlapping windows of `window` × `window` pixels."""

    window: int = 2


@dataclass(frozen=True)
class Flatten:
    """Flatten to a vector, channel by channel."""


@dataclass(frozen=True)
class Linear:
    """Fully connected layer with bias."""

    features: int


Layer = Conv | BatchNorm | ReLU | MaxPool | Flatten | Linear


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


@dataclass(frozen=True)
class Placed:
    """A layer with the shapes (without the batch axis) that go in and come out."""

    layer: Layer
    shape_in: Shape
    shape_out: Shape

    @property
    def weight_shapes(self) -> list[Shape]:
        """Shapes of what is trained, in torch's layout."""
        match self.layer:
            case Conv(channels, kernel):
                return [(channels, self.shape_in[0], kernel, kernel), (channels,)]
            case BatchNorm():
                return [(self.shape_in[0],), (self.shape_in[0],)]
            case Linear(features):
                return [(features, self.shape_in[0]), (features,)]
        return []

    @property
    def flops(self) -> int:
        """Forward FLOPs of one sample, 2 a multiply-add; only products count, as torch does."""
        match self.layer:
            case Conv(channels, kernel):
                pixels = self.shape_out[1] * self.shape_out[2]
                return 2 * pixels * channels * self.shape_in[0] * kernel * kernel
            case Linear(features):
                return 2 * features * self.shape_in[0]
        return 0


class Spec:
    """A network as an ordered list of layers, for images of one shape.

    Parameters
    ----------
    name : str
        For messages.
    image_shape : tuple of int
        Channels, height, width.
    layers : list of Layer
        In order; the last one gives a value a class.

    Attributes
    ----------
    layers : tuple of Placed
        The layers with their shapes worked out.

    Raises
    ------
    ArchitectureError
        If a layer does not fit what comes before it, or the last one gives an image.
    """

    def __init__(self, name: str, image_shape: tuple[int, int, int], layers: list[Layer]) -> None:
        self.name = name
        if len(image_shape) != len("CHW") or not all(map(_is_count, image_shape)):
            raise ArchitectureError(
                f"{name}: images have the shape {image_shape!r}; expected channels, height and "
                "width, whole numbers above 0"
            )
        self.image_shape = image_shape
        self.layers = tuple(_place(name, image_shape, layers))
        if not self.layers or len(self.layers[-1].shape_out) != 1:
            raise ArchitectureError(
                f"{name} gives an image; expected a value a class: end with Flatten and Linear"
            )

    @property
    def classes(self) -> int:
        """Length of the output."""
        return self.layers[-1].shape_out[0]

    @property
    def parameters(self) -> int:
        """Number of trainable parameters."""
        shapes = [shape for placed in self.layers for shape in placed.weight_shapes]
        return sum(math.prod(shape) for shape in shapes)

    @property
    def train_flops(self) -> int:
        """FLOPs of one training sample: the forward pass, and twice that backwards.

        The gradient with respect to the image is not computed, which saves the first
        product once, unless something before it is trained. This is the count of
        ``torch.utils.flop_counter``.
        """
        trained = [placed.flops for placed in self.layers if placed.weight_shapes]
        return 3 * sum(trained) - sum(trained[:1])

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
        for placed in self.layers:
            values = samples * math.prod(placed.shape_in[1:])
            if isinstance(placed.layer, BatchNorm) and values == 1:
                raise ArchitectureError(
                    f"{self.name}: BatchNorm sees one value a channel, an image of 1×1 in a "
                    "batch of 1; train in batches of at least 2, or put it before the pooling"
                )

    def initial_weights(self, seed: int) -> Weights:
        """Draw initial weights, equal for every backend.

        Uniform in ±1/√fan_in, torch's default for convolutions and linear layers;
        normalisation starts as the identity.

        Returns
        -------
        list of ndarray of float32
            For each layer in order: weight and bias; for a normalisation also running mean
            and variance. In torch's layout.
        """
        generator = np.random.default_rng(seed)
        weights: Weights = []
        for placed in self.layers:
            shapes = placed.weight_shapes
            if isinstance(placed.layer, BatchNorm):
                ones, zeros = np.ones(shapes[0], np.float32), np.zeros(shapes[0], np.float32)
                weights += [ones, zeros, zeros.copy(), ones.copy()]
            elif shapes:
                bound = 1 / math.sqrt(math.prod(shapes[0][1:]))
                weights += [
                    generator.uniform(-bound, bound, shape).astype(np.float32) for shape in shapes
                ]
        return weights


def _place(name: str, shape: Shape, layers: list[Layer]) -> Iterator[Placed]:
    poolings = 0
    for layer in layers:
        _check(name, layer)
        spatial = len(shape) > 1
        if isinstance(layer, Conv | BatchNorm | MaxPool | Flatten) and not spatial:
            raise ArchitectureError(
                f"{name}: {type(layer).__name__} needs an image, but comes after Flatten"
            )
        if isinstance(layer, Linear) and spatial:
            raise ArchitectureError(f"{name}: Linear needs a vector; put Flatten before it")
        if isinstance(layer, MaxPool):
            if min(shape[1:]) < layer.window:
                raise ArchitectureError(
                    f"{name} does not fit: after {poolings} poolings the image is "
                    f"{shape[1]}×{shape[2]}; at most {poolings} poolings fit"
                )
            poolings += 1
        shape_out = _shape_after(layer, shape)
        yield Placed(layer, shape, shape_out)
        shape = shape_out


def _check(name: str, layer: Layer) -> None:
    """Raise `ArchitectureError` unless each backend takes a layer for the same."""
    if not isinstance(layer, Layer):
        raise ArchitectureError(
            f"{name}: {layer!r} is no layer; expected one such as Linear(10), called"
        )
    for field in fields(layer):
        value = getattr(layer, field.name)
        if field.type is int:
            is_right, expected = _is_count(value), "a whole number above 0"
        elif field.name == "momentum":
            is_right, expected = _is_number(value) and 0 <= value <= 1, "a number from 0 to 1"
        else:
            is_right, expected = _is_number(value) and 0 < value < math.inf, "a number above 0"
        if not is_right:
            raise ArchitectureError(
                f"{name}: {field.name} of {type(layer).__name__} is {value!r}; expected {expected}"
            )


def _is_count(value: object) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool) and int(value) > 0


def _is_number(value: object) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)


def _shape_after(layer: Layer, shape: Shape) -> Shape:
    match layer:
        case Conv(channels):
            return (channels, *shape[1:])
        case MaxPool(window):
            return (shape[0], shape[1] // window, shape[2] // window)
        case Flatten():
            return (math.prod(shape),)
        case Linear(features):
            return (features,)
    return shape
