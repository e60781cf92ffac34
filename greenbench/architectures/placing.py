"""Where layers stand: the shapes that go in and come out, weights, and FLOPs by torch's count."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from greenbench.architectures.layers import (
    Attention,
    BatchNorm,
    Conv,
    Embedding,
    Flatten,
    GlobalPool,
    Layer,
    LayerNorm,
    Linear,
    MaxPool,
    PatchEmbedding,
    PositionEmbedding,
    Residual,
    check_layer,
)
from greenbench.errors import ArchitectureError

Shape = tuple[int, ...]

_VECTOR, _SEQUENCE, _IMAGE = 1, 2, 3
_KINDS = {_VECTOR: "a vector", _SEQUENCE: "a sequence", _IMAGE: "an image"}
# By number of axes, which inputs a layer takes; one that is not here takes all.
_TAKES: dict[type, tuple[int, ...]] = {
    Conv: (_IMAGE,),
    BatchNorm: (_IMAGE,),
    MaxPool: (_IMAGE,),
    PatchEmbedding: (_IMAGE,),
    Flatten: (_IMAGE, _SEQUENCE),
    GlobalPool: (_IMAGE, _SEQUENCE),
    Linear: (_VECTOR, _SEQUENCE),
    LayerNorm: (_VECTOR, _SEQUENCE),
    PositionEmbedding: (_SEQUENCE,),
    Attention: (_SEQUENCE,),
    Embedding: (_VECTOR,),
}


@dataclass(frozen=True)
class Placed:
    """A layer with the shapes (without the batch axis) that go in and come out.

    Attributes
    ----------
    layer : Layer
        Which one.
    shape_in, shape_out : tuple of int
        (C, H, W) of an image, (T, F) of a sequence, (F,) of a vector, (T,) of token ids.
    body, shortcut : tuple of Placed
        The layers inside, of a `Residual`.
    """

    layer: Layer
    shape_in: Shape
    shape_out: Shape
    body: "tuple[Placed, ...]" = ()
    shortcut: "tuple[Placed, ...]" = ()

    @property
    def weight_shapes(self) -> list[Shape]:
        """Shapes of what is trained, in torch's layout; without what the layers inside have."""
        features = self.shape_in[-1]
        match self.layer:
            case Conv(channels, kernel, _, groups, bias):
                shape = (channels, self.shape_in[0] // groups, kernel, kernel)
                return [shape, (channels,)] if bias else [shape]
            case BatchNorm():
                return [(self.shape_in[0],), (self.shape_in[0],)]
            case LayerNorm():
                return [(features,), (features,)]
            case Linear(outputs):
                return [(outputs, features), (outputs,)]
            case Embedding(vocabulary, outputs):
                return [(vocabulary, outputs)]
            case PositionEmbedding():
                return [self.shape_in]
            case PatchEmbedding(patch, outputs):
                return [(outputs, self.shape_in[0], patch, patch), (outputs,)]
            case Attention():
                # Queries, keys and values come from one product, in this order.
                joint = 3 * features
                return [(joint, features), (joint,), (features, features), (features,)]
        return []

    @property
    def flops(self) -> int:
        """Forward FLOPs of one sample, 2 a multiply-add; only products count, as torch does."""
        match self.layer:
            case Attention():
                tokens, features = self.shape_in
                # Scores, and values mixed by them: all tokens with all, causal or not.
                of_pairs = 2 * (2 * tokens * tokens * features)
                return self.flops_on_inputs + of_pairs + 2 * tokens * features * features
            case Residual():
                return sum(each.flops for each in (*self.body, *self.shortcut))
        return self.flops_on_inputs

    @property
    def flops_on_inputs(self) -> int:
        """Those of `flops` whose products read what goes in, and not what the layer made of it."""
        positions = math.prod(self.shape_in[:-1])
        match self.layer:
            case Conv():
                kernel, *_ = self.weight_shapes
                return 2 * math.prod(self.shape_out[1:]) * math.prod(kernel)
            case PatchEmbedding():
                kernel, *_ = self.weight_shapes
                return 2 * self.shape_out[0] * math.prod(kernel)
            case Linear(outputs):
                return 2 * positions * outputs * self.shape_in[-1]
            case Attention():
                return 2 * positions * 3 * self.shape_in[-1] ** 2
        return 0

    def leaves(self) -> "Iterator[Placed]":
        """Yield itself, or the layers inside, in the order of their weights."""
        if isinstance(self.layer, Residual):
            for each in (*self.body, *self.shortcut):
                yield from each.leaves()
        else:
            yield self

    def train_flops(self, *, is_behind: bool) -> int:
        """Return the FLOPs of one training sample.

        Parameters
        ----------
        is_behind : bool
            Whether something before it is trained, so that what goes in needs a gradient.
        """
        if isinstance(self.layer, Residual):
            branches = (self.body, self.shortcut)
            return sum(train_flops(branch, is_behind=is_behind) for branch in branches)
        return 3 * self.flops - (0 if is_behind else self.flops_on_inputs)


def train_flops(layers: Iterable[Placed], *, is_behind: bool = False) -> int:
    """Return the FLOPs of one training sample: the forward pass, and twice that backwards.

    The gradient with respect to the data is not computed, which saves the first product once,
    unless something before it is trained.

    Parameters
    ----------
    layers : iterable of Placed
        One after another.
    is_behind : bool
        Whether something before them is trained.
    """
    total = 0
    for placed in layers:
        total += placed.train_flops(is_behind=is_behind)
        is_behind = is_behind or any(each.weight_shapes for each in placed.leaves())
    return total


def place(name: str, shape: Shape, layers: Sequence[Layer]) -> Iterator[Placed]:
    """Yield layers with their shapes worked out.

    Parameters
    ----------
    name : str
        Of the architecture, for messages.
    shape : tuple of int
        What goes into the first one, without the batch axis.
    layers : sequence of Layer
        In order.

    Raises
    ------
    ArchitectureError
        If a layer does not fit what comes before it, or is no layer.
    """
    poolings = 0
    for layer in layers:
        check_layer(name, layer)
        if isinstance(layer, MaxPool) and len(shape) == _IMAGE and min(shape[1:]) < layer.window:
            raise ArchitectureError(
                f"{name} does not fit: after {poolings} poolings the image is "
                f"{shape[1]}×{shape[2]}; at most {poolings} poolings fit"
            )
        poolings += isinstance(layer, MaxPool)
        _check_fit(name, layer, shape)
        placed = _placed(name, layer, shape)
        yield placed
        shape = placed.shape_out


def described(shape: Shape | Mapping[str, Shape], *, are_tokens: bool = False) -> str:
    """Return what data of a shape are, for messages: ``"vectors of 30 values"``.

    Parameters
    ----------
    shape : tuple of int or mapping of str to tuple of int
        Of one sample, or of its several inputs.
    are_tokens : bool
        Whether they are token ids.
    """
    if isinstance(shape, Mapping):
        return "several inputs: " + ", ".join(f"{name} of {one}" for name, one in shape.items())
    if are_tokens:
        return f"sequences of {shape[0]} token ids"
    sizes = "×".join(map(str, shape))
    named = {_IMAGE: f"images of {sizes}", _VECTOR: f"vectors of {sizes} values"}
    if len(shape) == _SEQUENCE:
        return f"sequences of {shape[0]} with {shape[1]} features each"
    return named.get(len(shape), f"inputs of the shape {shape!r}")


def _check_fit(name: str, layer: Layer, shape: Shape) -> None:
    kinds = _TAKES.get(type(layer), tuple(_KINDS))
    if len(shape) not in kinds:
        needs = " or ".join(_KINDS[kind] for kind in sorted(kinds, reverse=True))
        advice = ""
        if isinstance(layer, Linear):
            needs, advice = "a vector", "; put Flatten before it, or GlobalPool"
        elif isinstance(layer, Embedding):
            needs = "token ids"
        raise ArchitectureError(
            f"{name}: {type(layer).__name__} needs {needs}, but gets {described(shape)}{advice}"
        )
    for field, dividend, what in _divisions(layer, shape):
        if dividend % (divisor := getattr(layer, field)):
            raise ArchitectureError(
                f"{name}: {field} of {type(layer).__name__} is {divisor}, but {what} {dividend}; "
                "expected a divisor of that"
            )


def _divisions(layer: Layer, shape: Shape) -> Iterator[tuple[str, int, str]]:
    """Yield which field of a layer must divide what, and what that is."""
    match layer:
        case Conv(channels):
            yield "groups", shape[0], "the channels that go in are"
            yield "groups", channels, "its channels are"
        case Attention():
            yield "heads", shape[1], "the features of a token are"
        case PatchEmbedding():
            yield "patch", shape[1], "the height of the images is"
            yield "patch", shape[2], "the width of the images is"


def _placed(name: str, layer: Layer, shape: Shape) -> Placed:
    if not isinstance(layer, Residual):
        return Placed(layer, shape, _shape_after(name, layer, shape))
    body = tuple(place(name, shape, layer.layers))
    shortcut = tuple(place(name, shape, layer.shortcut))
    ends = [branch[-1].shape_out if branch else shape for branch in (body, shortcut)]
    if ends[0] != ends[1]:
        raise ArchitectureError(
            f"{name}: the layers of Residual give {described(ends[0])}, its shortcut "
            f"{described(ends[1])}; expected the same, so that they can be added"
        )
    return Placed(layer, shape, ends[0], body, shortcut)


def _shape_after(name: str, layer: Layer, shape: Shape) -> Shape:
    match layer:
        case Conv(channels, kernel, stride):
            if stride == 1:
                return (channels, *shape[1:])
            sides = [(side + 2 * ((kernel - 1) // 2) - kernel) // stride + 1 for side in shape[1:]]
            if min(sides) < 1:
                raise ArchitectureError(
                    f"{name}: Conv with kernel {kernel} and stride {stride} does not fit "
                    f"{described(shape)}"
                )
            return (channels, *sides)
        case MaxPool(window):
            return (shape[0], shape[1] // window, shape[2] // window)
        case GlobalPool():
            return shape[:1] if len(shape) == _IMAGE else shape[1:]
        case Flatten():
            return (math.prod(shape),)
        case Linear(features):
            return (*shape[:-1], features)
        case Embedding(_, features):
            return (shape[0], features)
        case PatchEmbedding(patch, features):
            return (shape[1] // patch * (shape[2] // patch), features)
    return shape
