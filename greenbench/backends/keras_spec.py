"""Neutral specs as Keras models, and weights between Keras's layout and the neutral one."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

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

# Keras's layout of a kernel to torch's, by number of axes; and back.
_KERNEL_TO_NEUTRAL = {2: (1, 0), 4: (3, 2, 0, 1)}
_KERNEL_FROM_NEUTRAL = {2: (1, 0), 4: (2, 3, 1, 0)}


def sequential(spec: Spec, data_format: str) -> Any:
    """Return the model of a spec, for images in a layout; its weights are still zeros."""
    import keras  # noqa: PLC0415

    channels, height, side = spec.image_shape
    is_first = data_format == "channels_first"
    model = keras.Sequential()
    model.add(keras.Input((channels, height, side) if is_first else (height, side, channels)))
    for placed in spec.layers:
        for layer in _layers(placed.layer, data_format):
            model.add(layer)
    return model


def _layers(layer: Layer, data_format: str) -> list[Any]:
    from keras import layers  # noqa: PLC0415

    match layer:
        case Conv(channels, kernel):
            return [
                layers.Conv2D(
                    channels,
                    kernel,
                    padding="same",
                    data_format=data_format,
                    kernel_initializer="zeros",
                )
            ]
        case BatchNorm(momentum, epsilon):
            axis = 1 if data_format == "channels_first" else -1
            # Keras counts what stays, torch what is new.
            return [layers.BatchNormalization(axis, momentum=1 - momentum, epsilon=epsilon)]
        case ReLU():
            return [layers.ReLU()]
        case MaxPool(window):
            return [layers.MaxPooling2D(window, data_format=data_format)]
        case Flatten():
            # Told that the channels are first, Keras would move them last; it must not.
            reordered = [layers.Permute((3, 1, 2))] if data_format == "channels_last" else []
            return [*reordered, layers.Flatten(data_format="channels_last")]
        case Linear(features):
            return [layers.Dense(features, kernel_initializer="zeros")]


def to_neutral(variable: Any, values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return a variable's values in the layout of `Spec.initial_weights`."""
    return _transposed(variable, values, _KERNEL_TO_NEUTRAL)


def from_neutral(variable: Any, values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return values in the layout of `Spec.initial_weights` as a variable takes them."""
    return _transposed(variable, values, _KERNEL_FROM_NEUTRAL)


def _transposed(
    variable: Any, values: NDArray[np.float32], axes: Mapping[int, tuple[int, ...]]
) -> NDArray[np.float32]:
    if variable.name != "kernel" or values.ndim not in axes:
        return values
    return np.ascontiguousarray(values.transpose(axes[values.ndim]))
