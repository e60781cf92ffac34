"""Small members of the families that people train: residual networks, transformers, perceptrons."""

import math

from greenbench.architectures.base import MOST, family, per
from greenbench.architectures.spec import (
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
    PatchEmbedding,
    PositionEmbedding,
    ReLU,
    Residual,
    Shape,
    Spec,
)
from greenbench.errors import ArchitectureError
from greenbench.tasks.known import TOKEN

STAGES = 3
WIDENING = 4
"""How many times wider the hidden layer of a transformer's block is, as in arXiv 1706.03762."""


@family(
    xs={"width": 4, "depth": 1},
    s={"width": 16, "depth": 1},
    m={"width": 24, "depth": 2},
    l={"width": 48, "depth": 2},
    xl={"width": 64, "depth": 3},
)
def resnet_small(
    image_shape: Shape, classes: int, *, width: int = 16, depth: int = 1, dropout: float = 0.0
) -> Spec:
    """Return a residual network for small images, as He et al. 2015 (arXiv 1512.03385) for CIFAR.

    Three stages of blocks with `width`, 2 · `width` and 4 · `width` channels, the later two at
    half the size of the one before; then the mean over pixels. Where channels or size change, the
    shortcut is a convolution of 1 × 1. With width 16 and depth 3 it has 20 layers, their ResNet-20.

    Parameters
    ----------
    image_shape : tuple of int
        Channels, height, width.
    classes : int
        Length of the output.
    width : int
        Channels of the first stage.
    depth : int
        Blocks in a stage, of two convolutions each.
    dropout : float
        Share of the features before the classifier that is dropped in training.

    Raises
    ------
    ArchitectureError
        If an option is out of range.
    """
    _check("resnet_small", width=width, depth=depth)
    layers: list[Layer] = [Conv(width, bias=False), BatchNorm(), ReLU()]
    before = width
    for stage in range(STAGES):
        channels = width * 2**stage
        for block in range(depth):
            stride = 2 if stage and not block else 1
            layers += [_residual_block(before, channels, stride), ReLU()]
            before = channels
    layers += [GlobalPool(), *_dropped(dropout), Linear(classes)]
    return Spec("resnet_small", image_shape, layers)


@family(
    xs={"width": 16, "depth": 1, "heads": 2},
    s={"width": 48, "depth": 3, "heads": 4},
    m={"width": 96, "depth": 4, "heads": 4},
    l={"width": 128, "depth": 6, "heads": 8},
    xl={"width": 192, "depth": 8, "heads": 8},
)
def vit_small(
    image_shape: Shape,
    classes: int,
    *,
    width: int = 48,
    depth: int = 3,
    heads: int = 4,
    patch: int | None = None,
    dropout: float = 0.0,
) -> Spec:
    """Return a vision transformer (arXiv 2010.11929) that takes the mean over patches.

    Parameters
    ----------
    image_shape : tuple of int
        Channels, height, width.
    classes : int
        Length of the output.
    width : int
        Features of a token; a multiple of `heads`.
    depth : int
        Blocks of attention and a hidden layer that is four times as wide.
    heads : int
        Of the attention.
    patch : int, optional
        Side of a patch in pixels, which divides both sides of the image. By default the largest
        of at most 4 pixels, or an eighth of the shorter side, that leaves 4 patches a side.
    dropout : float
        Share of the values that is dropped in training, after each attention and hidden layer.

    Raises
    ------
    ArchitectureError
        If an option is out of range.
    """
    _check("vit_small", width=width, depth=depth, heads=heads)
    layers: list[Layer] = [
        PatchEmbedding(_patch(image_shape) if patch is None else patch, width),
        PositionEmbedding(),
        *_dropped(dropout),
        *_transformer_blocks(width, depth, Attention(heads), dropout),
        *(LayerNorm(), GlobalPool(), Linear(classes)),
    ]
    return Spec("vit_small", image_shape, layers)


@per(TOKEN)
@family(
    xs={"width": 16, "depth": 1, "heads": 2},
    s={"width": 64, "depth": 2, "heads": 4},
    m={"width": 96, "depth": 4, "heads": 4},
    l={"width": 128, "depth": 6, "heads": 8},
    xl={"width": 192, "depth": 8, "heads": 8},
)
def gpt_small(
    input_shape: Shape,
    classes: int,
    *,
    vocabulary: int,
    width: int = 64,
    depth: int = 2,
    heads: int = 4,
    dropout: float = 0.0,
) -> Spec:
    """Return a causal transformer with the blocks of GPT-2 (Radford et al. 2019).

    Parameters
    ----------
    input_shape : tuple of int
        Tokens.
    classes : int
        Values for each token: the vocabulary, where the next token is learned.
    vocabulary : int
        How many token ids the data has, which decides on it.
    width, depth, heads, dropout
        As of `vit_small`.

    Raises
    ------
    ArchitectureError
        If an option is out of range.
    """
    _check("gpt_small", width=width, depth=depth, heads=heads)
    layers: list[Layer] = [
        Embedding(vocabulary, width),
        PositionEmbedding(),
        *_dropped(dropout),
        *_transformer_blocks(width, depth, Attention(heads, causal=True), dropout),
        *(LayerNorm(), Linear(classes)),
    ]
    return Spec("gpt_small", input_shape, layers)


@family(
    xs={"width": 16, "depth": 1},
    s={"width": 64, "depth": 2},
    m={"width": 128, "depth": 3},
    l={"width": 256, "depth": 4},
    xl={"width": 512, "depth": 4},
)
def mlp(
    input_shape: Shape, classes: int, *, width: int = 64, depth: int = 2, dropout: float = 0.0
) -> Spec:
    """Return a multi-layer perceptron for vectors; anything else is flattened first.

    Parameters
    ----------
    input_shape : tuple of int
        Features, or any other shape.
    classes : int
        Length of the output.
    width : int
        Features of each hidden layer.
    depth : int
        Hidden layers, each followed by a ReLU.
    dropout : float
        Share of the features that is dropped in training, after each hidden layer.

    Raises
    ------
    ArchitectureError
        If an option is out of range.
    """
    _check("mlp", width=width, depth=depth)
    layers: list[Layer] = [Flatten()] if len(input_shape) > 1 else []
    for _ in range(depth):
        layers += [Linear(width), ReLU(), *_dropped(dropout)]
    return Spec("mlp", input_shape, [*layers, Linear(classes)])


def _residual_block(before: int, channels: int, stride: int) -> Residual:
    # Without a bias: the normalisation would take it away again.
    body: list[Layer] = [
        *(Conv(channels, stride=stride, bias=False), BatchNorm(), ReLU()),
        *(Conv(channels, bias=False), BatchNorm()),
    ]
    is_same = before == channels and stride == 1
    shortcut = () if is_same else (Conv(channels, 1, stride, bias=False), BatchNorm())
    return Residual(tuple(body), shortcut)


def _transformer_blocks(
    width: int, depth: int, attention: Attention, dropout: float
) -> list[Layer]:
    hidden = (LayerNorm(), Linear(WIDENING * width), GELU(), Linear(width), *_dropped(dropout))
    return [Residual((LayerNorm(), attention, *_dropped(dropout))), Residual(hidden)] * depth


def _dropped(rate: float) -> list[Layer]:
    return [Dropout(rate)] if rate != 0 else []


def _patch(image_shape: Shape) -> int:
    _, *sides = image_shape
    side, common = min(sides), math.gcd(*sides)
    most = max(min(4, side // 4), side // 8, 1)
    return max(patch for patch in range(1, most + 1) if common % patch == 0)


def _check(name: str, **counts: int) -> None:
    for option, value in counts.items():
        if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= MOST:
            raise ArchitectureError(
                f"{name}: {option} is {value!r}; expected a whole number above 0, at most {MOST}"
            )
    width, heads = counts["width"], counts.get("heads", 1)
    if width % heads:
        raise ArchitectureError(
            f"{name}: width is {width}, which {heads} heads cannot share; expected a multiple of "
            "heads"
        )
