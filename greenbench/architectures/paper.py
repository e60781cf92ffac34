"""The networks of Yarally et al. 2023 (arXiv 2303.13972), and the families grown from them.

C is the number of channels, D the side of the image. A network with n linear layers has
n - 1 hidden ones and the classifier, as in the paper's replication package.
"""

import math
from collections.abc import Callable

from greenbench.architectures.base import MOST, family
from greenbench.architectures.spec import (
    BatchNorm,
    Conv,
    Flatten,
    Layer,
    Linear,
    MaxPool,
    ReLU,
    Spec,
)
from greenbench.errors import ArchitectureError

ImageShape = tuple[int, int, int]


@family(xs={"width": 1 / 3}, s={"width": 1}, m={"width": 2}, l={"width": 4}, xl={"width": 8})
def simple_cnn(
    image_shape: ImageShape,
    classes: int,
    *,
    conv_layers: int = 2,
    linear_layers: int = 3,
    relu: bool = True,
    width: float = 1,
) -> Spec:
    """Return the paper's SimpleCNN; `relu` False is its SimpleCNN2.

    Convolution i has C·3^(i+1) channels and is followed by normalisation, ReLU and pooling.
    `width` multiplies channels and hidden features; size ``s`` is the paper's network.

    Parameters
    ----------
    image_shape : tuple of int
        Channels, height, width.
    classes : int
        Length of the output.
    conv_layers, linear_layers : int
        At least 0 and at least 1.
    relu : bool
        Whether convolutions are followed by a ReLU.
    width : float
        Above 0.

    Raises
    ------
    ArchitectureError
        If there are more poolings than the image has halvings, or an option is out of range.
    """
    channels, height, side = image_shape
    _check("simple_cnn", conv_layers=(conv_layers, 0), linear_layers=(linear_layers, 1))
    _check_width("simple_cnn", width)
    deepest = int(math.log2(min(height, side)))
    if conv_layers > deepest:
        raise ArchitectureError(
            f"simple_cnn with conv_layers={conv_layers} does not fit {height}×{side} images, "
            f"which can be halved {deepest} times; choose conv_layers={deepest} or fewer"
        )
    layers: list[Layer] = []
    for depth in range(conv_layers):
        layers += [Conv(_scaled(channels * 3 ** (depth + 1), width)), BatchNorm()]
        layers += [ReLU()] * relu + [MaxPool()]
    hidden = _hidden(image_shape, linear_layers, lambda features, j: features / 2 ** (j + 1))
    layers += [Flatten(), *(Linear(_scaled(n, width)) for n in hidden), Linear(classes)]
    return Spec("simple_cnn", image_shape, layers)


def dense_poly(image_shape: ImageShape, classes: int, *, linear_layers: int = 3) -> Spec:
    """Return the paper's DensePolyNN: hidden layer j has max(⌊C·D²/2^(j+1)⌋, C) features.

    Parameters
    ----------
    image_shape : tuple of int
        Channels, height, width.
    classes : int
        Length of the output.
    linear_layers : int
        At least 1; the last one is the classifier.

    Raises
    ------
    ArchitectureError
        If `linear_layers` is out of range.
    """
    _check("dense_poly", linear_layers=(linear_layers, 1))
    hidden = _hidden(image_shape, linear_layers, lambda features, j: features / 2 ** (j + 1))
    return Spec("dense_poly", image_shape, [Flatten(), *map(Linear, [*hidden, classes])])


def dense_linear(image_shape: ImageShape, classes: int, *, linear_layers: int = 3) -> Spec:
    """Return the paper's DenseLinearNN: layer j has max(⌊C·D² - (j+1)·C·D²/n⌋, C) features.

    Parameters
    ----------
    image_shape : tuple of int
        Channels, height, width.
    classes : int
        Length of the output.
    linear_layers : int
        n, at least 1; the last one is the classifier.

    Raises
    ------
    ArchitectureError
        If `linear_layers` is out of range.
    """
    _check("dense_linear", linear_layers=(linear_layers, 1))
    hidden = _hidden(
        image_shape,
        linear_layers,
        lambda features, j: features * (linear_layers - j - 1) / linear_layers,
    )
    return Spec("dense_linear", image_shape, [Flatten(), *map(Linear, [*hidden, classes])])


@family(xs={"width": 1 / 8}, s={"width": 1 / 2}, m={"width": 2}, l={"width": 5}, xl={"width": 12})
def dense(
    image_shape: ImageShape, classes: int, *, linear_layers: int = 3, width: float = 1
) -> Spec:
    """Return DensePolyNN with a ReLU after each hidden layer and features times `width`.

    Without the ReLU a wider network could not learn more, and a family of sizes would
    have nothing to show.

    Parameters
    ----------
    image_shape : tuple of int
        Channels, height, width.
    classes : int
        Length of the output.
    linear_layers : int
        At least 1; the last one is the classifier.
    width : float
        Above 0.

    Raises
    ------
    ArchitectureError
        If an option is out of range.
    """
    _check("dense", linear_layers=(linear_layers, 1))
    _check_width("dense", width)
    hidden = _hidden(image_shape, linear_layers, lambda features, j: features / 2 ** (j + 1))
    layers: list[Layer] = [Flatten()]
    for features in hidden:
        layers += [Linear(_scaled(features, width)), ReLU()]
    return Spec("dense", image_shape, [*layers, Linear(classes)])


def _hidden(
    image_shape: ImageShape, linear_layers: int, features_of: Callable[[float, int], float]
) -> list[int]:
    channels, height, side = image_shape
    features = channels * height * side
    return [max(math.floor(features_of(features, j)), channels) for j in range(linear_layers - 1)]


def _scaled(value: int, width: float) -> int:
    return max(round(value * width), 1)


def _check(name: str, **counts: tuple[int, int]) -> None:
    for option, (value, least) in counts.items():
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= MOST:
            raise ArchitectureError(
                f"{name}: {option} is {value!r}; expected a whole number of at least {least}, at "
                f"most {MOST}"
            )


def _check_width(name: str, width: float) -> None:
    if not isinstance(width, int | float) or not 0 < width <= MOST:
        raise ArchitectureError(
            f"{name}: width is {width!r}; expected a number above 0, at most {MOST}"
        )
