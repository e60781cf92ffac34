"""Neutral specs as torch layers."""

from collections.abc import Iterator

from torch import nn

from greenbench.architectures.spec import (
    BatchNorm,
    Conv,
    Flatten,
    Linear,
    MaxPool,
    Placed,
    ReLU,
    Spec,
)


def layers(spec: Spec) -> Iterator[nn.Module]:
    """Yield a network's layers, untrained."""
    # In place spares memory, but only on an output that nothing else reads: not on the data,
    # and not on what a former ReLU keeps for its gradient.
    is_fresh = False
    for placed in spec.layers:
        yield nn.ReLU(inplace=is_fresh) if isinstance(placed.layer, ReLU) else _layer(placed)
        is_fresh = isinstance(placed.layer, Conv | BatchNorm | Linear)


def _layer(placed: Placed) -> nn.Module:
    match placed.layer:
        case Conv(channels, kernel):
            return nn.Conv2d(placed.shape_in[0], channels, kernel, padding="same")
        case BatchNorm(momentum, epsilon):
            return nn.BatchNorm2d(placed.shape_in[0], eps=epsilon, momentum=momentum)
        case ReLU():
            return nn.ReLU()
        case MaxPool(window):
            return nn.MaxPool2d(window)
        case Flatten():
            return nn.Flatten()
        case Linear(features):
            return nn.Linear(placed.shape_in[0], features)
