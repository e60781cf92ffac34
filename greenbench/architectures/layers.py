"""The layers of neutral specs: what each one is, and which numbers it takes."""

import math
from dataclasses import dataclass, fields
from numbers import Integral, Real

from greenbench.errors import ArchitectureError


@dataclass(frozen=True)
class Conv:
    """Convolution with zero padding that keeps the image's size, where the stride is 1.

    With a larger stride, (kernel - 1) // 2 zeros stand on each side. `groups` of channels see
    nothing of each other: as many as there are channels make it depthwise.
    """

    channels: int
    kernel: int = 3
    stride: int = 1
    groups: int = 1
    bias: bool = True


@dataclass(frozen=True)
class BatchNorm:
    """Batch normalisation over channels; momentum 0.1 as torch counts it."""

    momentum: float = 0.1
    epsilon: float = 1e-5


@dataclass(frozen=True)
class LayerNorm:
    """Normalisation over the features of a token or a vector."""

    epsilon: float = 1e-5


@dataclass(frozen=True)
class ReLU:
    """Rectified linear unit."""


@dataclass(frozen=True)
class GELU:
    """Gaussian error linear unit, by the error function and not its approximation."""


@dataclass(frozen=True)
class SiLU:
    """Sigmoid linear unit, x · sigmoid(x), also called swish."""


@dataclass(frozen=True)
class MaxPool:
    """Maximum over non-overlapping windows of `window` × `window` pixels."""

    window: int = 2


@dataclass(frozen=True)
class GlobalPool:
    """Mean over all pixels of an image, or all tokens of a sequence."""


@dataclass(frozen=True)
class Flatten:
    """Flatten to a vector: an image channel by channel, a sequence token by token."""


@dataclass(frozen=True)
class Linear:
    """Fully connected layer with bias; acts on each token of a sequence alike."""

    features: int


@dataclass(frozen=True)
class Embedding:
    """A trained vector of features for each token of a vocabulary; the first layer of a text's."""

    vocabulary: int
    features: int


@dataclass(frozen=True)
class PositionEmbedding:
    """Adds a trained vector to each position of a sequence."""


@dataclass(frozen=True)
class PatchEmbedding:
    """Cut an image into `patch` × `patch` pixels, each a token of so many features, row by row."""

    patch: int
    features: int


@dataclass(frozen=True)
class Attention:
    """Multi-head self-attention (arXiv 1706.03762), whose tokens see no later ones if causal."""

    heads: int
    causal: bool = False


@dataclass(frozen=True)
class Dropout:
    """Sets a share of the values to 0 in training, and scales the others up."""

    rate: float


@dataclass(frozen=True)
class Residual:
    """The sum of some layers' output and of what goes in, or of what a shortcut makes of it."""

    layers: "tuple[Layer, ...]"
    shortcut: "tuple[Layer, ...]" = ()

    def __post_init__(self) -> None:
        for name in ("layers", "shortcut"):
            if isinstance(given := getattr(self, name), list):
                object.__setattr__(self, name, tuple(given))


Layer = (
    Conv
    | BatchNorm
    | LayerNorm
    | ReLU
    | GELU
    | SiLU
    | MaxPool
    | GlobalPool
    | Flatten
    | Linear
    | Embedding
    | PositionEmbedding
    | PatchEmbedding
    | Attention
    | Dropout
    | Residual
)


def check_layer(name: str, layer: Layer) -> None:
    """Raise `ArchitectureError` unless each backend takes a layer for the same.

    Parameters
    ----------
    name : str
        Of the architecture.
    layer : Layer
        One of its layers; those inside are not looked at.
    """
    if not isinstance(layer, Layer):
        raise ArchitectureError(
            f"{name}: {layer!r} is no layer; expected one such as Linear(10), called"
        )
    for field in fields(layer):
        value = getattr(layer, field.name)
        is_right, expected = _judged(field.name, field.type, value)
        if not is_right:
            raise ArchitectureError(
                f"{name}: {field.name} of {type(layer).__name__} is {value!r}; expected {expected}"
            )


def is_count(value: object) -> bool:
    """Return whether a value is a whole number above 0."""
    return isinstance(value, Integral) and not isinstance(value, bool) and int(value) > 0


def _judged(field: str, kind: object, value: object) -> tuple[bool, str]:
    """Return whether a field's value is right, and what is expected of it."""
    if kind is int:
        return is_count(value), "a whole number above 0"
    if kind is bool:
        return isinstance(value, bool), "True or False"
    if kind is not float:
        return isinstance(value, tuple), "layers"
    is_number = isinstance(value, Real) and not isinstance(value, bool)
    number = float(value) if is_number else math.nan  # type: ignore[arg-type]
    if field == "momentum":
        return 0 <= number <= 1, "a number from 0 to 1"
    if field == "rate":
        return 0 <= number < 1, "a number from 0 to below 1"
    return 0 < number < math.inf, "a number above 0"
