"""Neutral specs as torch layers."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from greenbench.architectures.spec import (
    GELU,
    Attention,
    BatchNorm,
    Conv,
    Dropout,
    Embedding,
    Flatten,
    LayerNorm,
    Linear,
    MaxPool,
    PatchEmbedding,
    Placed,
    PositionEmbedding,
    ReLU,
    Residual,
    SiLU,
    Spec,
)
from greenbench.backends import torch_layers as own

_IMAGE = 3
_DRAWING: frozenset[Callable[..., Any]] = frozenset(
    {nn.init.kaiming_uniform_, nn.init.uniform_, nn.init.normal_, Tensor.uniform_, Tensor.normal_}
)


def network(spec: Spec, device: torch.device) -> nn.Module:
    """Return a network on a device, for who sets all of its weights.

    Theirs are whatever was in memory, and no random numbers are drawn for them; unless the network
    draws some later, which are to be those that follow.
    """
    if spec.draws:
        return nn.Sequential(*_layers(spec.layers)).to(device)
    with device, _Undrawn():
        return nn.Sequential(*_layers(spec.layers))


class _Undrawn(TorchFunctionMode):
    """Leaves tensors as they are where they would be filled with random numbers.

    `torch.nn.utils.skip_init` does so, too, by tensors without memory, whose first use imports
    some hundred modules.
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        options = kwargs or {}
        if func in _DRAWING:
            return args[0] if args else options["tensor"]
        return func(*args, **options)


def _layers(placed_layers: Iterable[Placed]) -> Iterator[nn.Module]:
    # In place spares memory, but only on an output that nothing else reads: not on the data,
    # not on what goes into a residual, and not on what a former ReLU keeps for its gradient.
    is_fresh = False
    for placed in placed_layers:
        yield nn.ReLU(inplace=is_fresh) if isinstance(placed.layer, ReLU) else _layer(placed)
        is_fresh = isinstance(placed.layer, Conv | BatchNorm | Linear | Residual)


def _layer(placed: Placed) -> nn.Module:
    match placed.layer:
        case Residual():
            branches = (nn.Sequential(*_layers(each)) for each in (placed.body, placed.shortcut))
            return own.Residual(*branches)
        case ReLU():
            return nn.ReLU()
        case GELU():
            return nn.GELU()
        case SiLU():
            return nn.SiLU()
        case Flatten():
            return nn.Flatten()
        case Dropout(rate):
            # At 0 torch would draw all the same.
            return nn.Dropout(rate) if rate else nn.Identity()
    if len(placed.shape_in) == _IMAGE:
        return _layer_of_images(placed)
    return _layer_of_tokens(placed)


def _layer_of_images(placed: Placed) -> nn.Module:
    channels_in = placed.shape_in[0]
    match placed.layer:
        case Conv(channels, kernel, stride, groups, bias):
            padding = "same" if stride == 1 else (kernel - 1) // 2
            return nn.Conv2d(
                channels_in, channels, kernel, stride, padding, groups=groups, bias=bias
            )
        case BatchNorm(momentum, epsilon):
            return nn.BatchNorm2d(channels_in, eps=epsilon, momentum=momentum)
        case MaxPool(window):
            return nn.MaxPool2d(window)
        case PatchEmbedding(patch, features):
            return own.PatchEmbedding(channels_in, patch, features)
    return own.GlobalPool((2, 3))


def _layer_of_tokens(placed: Placed) -> nn.Module:
    match placed.layer:
        case Linear(features):
            return nn.Linear(placed.shape_in[-1], features)
        case LayerNorm(epsilon):
            return nn.LayerNorm(placed.shape_in[-1], eps=epsilon)
        case Embedding(vocabulary, features):
            return nn.Embedding(vocabulary, features)
        case PositionEmbedding():
            return own.PositionEmbedding(*placed.shape_in)
        case Attention(heads, causal):
            tokens, width = placed.shape_in
            return own.Attention(tokens, width, heads, causal=causal)
    return own.GlobalPool((1,))
