"""Neutral specs as Keras models, and weights between Keras's layout and the neutral one."""

from collections.abc import Iterable, Iterator, Mapping
from itertools import count
from typing import Any

import numpy as np
from numpy.typing import NDArray

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

# Keras's layout of a kernel to torch's, by number of axes; and back.
_KERNEL_TO_NEUTRAL = {2: (1, 0), 4: (3, 2, 0, 1)}
_KERNEL_FROM_NEUTRAL = {2: (1, 0), 4: (2, 3, 1, 0)}
_IMAGE = 3


def sequential(spec: Spec, data_format: str, seed: int = 0) -> Any:
    """Return the model of a spec, for images in a layout; its weights are still zeros.

    Outputs that are images have their channels first in either layout.

    Parameters
    ----------
    spec : Spec
        The network.
    data_format : str
        ``"channels_first"`` or ``"channels_last"``, for networks of images.
    seed : int
        Of what it draws in training.
    """
    import keras  # noqa: PLC0415

    shape, is_last = spec.input_shape, data_format == "channels_last"
    if is_last and len(shape) == _IMAGE:
        shape = (*shape[1:], shape[0])
    model = keras.Sequential()
    model.add(keras.Input(shape, dtype="int32" if spec.vocabulary else None))
    for layer in _Layers(data_format, seed).of(spec.layers):
        model.add(layer)
    if is_last and len(spec.outputs) == _IMAGE:
        model.add(keras.layers.Permute((3, 1, 2)))
    return model


class _Layers:
    """Makes Keras's layers of ours, in one layout of images, each with a seed of its own."""

    def __init__(self, data_format: str, seed: int) -> None:
        self._format = data_format
        self._seeds = count(seed)

    def of(self, placed_layers: Iterable[Placed]) -> Iterator[Any]:
        for placed in placed_layers:
            yield from self._layers(placed)

    def _layers(self, placed: Placed) -> list[Any]:
        from keras import layers  # noqa: PLC0415

        match placed.layer:
            case Residual():
                from greenbench.backends import keras_layers as own  # noqa: PLC0415

                return [own.Residual(*map(list, map(self.of, (placed.body, placed.shortcut))))]
            case ReLU():
                return [layers.ReLU()]
            case GELU():
                return [layers.Activation(_exact_gelu)]
            case SiLU():
                return [layers.Activation("silu")]
            case Dropout(rate):
                return [layers.Dropout(rate, seed=next(self._seeds) % 2**31)]
        if len(placed.shape_in) == _IMAGE:
            return self._layers_of_images(placed)
        return _layers_of_tokens(placed)

    def _layers_of_images(self, placed: Placed) -> list[Any]:
        from keras import layers  # noqa: PLC0415

        is_last = self._format == "channels_last"
        match placed.layer:
            case Conv():
                return self._convolution(placed.layer)
            case BatchNorm(momentum, epsilon):
                axis = -1 if is_last else 1
                # Keras counts what stays, torch what is new.
                return [layers.BatchNormalization(axis, momentum=1 - momentum, epsilon=epsilon)]
            case MaxPool(window):
                return [layers.MaxPooling2D(window, data_format=self._format)]
            case PatchEmbedding(patch, features):
                cut = self._conv2d(features, patch, strides=patch, padding="valid")
                moved = [] if is_last else [layers.Permute((2, 3, 1))]
                return [cut, *moved, layers.Reshape(placed.shape_out)]
            case Flatten():
                # Told that the channels are first, Keras would move them last; it must not.
                reordered = [layers.Permute((3, 1, 2))] if is_last else []
                return [*reordered, layers.Flatten(data_format="channels_last")]
        return [layers.GlobalAveragePooling2D(data_format=self._format)]

    def _convolution(self, layer: Conv) -> list[Any]:
        from keras import layers  # noqa: PLC0415

        options: dict[str, Any] = {"groups": layer.groups, "use_bias": layer.bias}
        if layer.stride == 1:
            return [self._conv2d(layer.channels, layer.kernel, padding="same", **options)]
        # What Keras pads by itself depends on the image's size, and is not the same on each side.
        zeros = layers.ZeroPadding2D((layer.kernel - 1) // 2, data_format=self._format)
        options |= {"strides": layer.stride, "padding": "valid"}
        return [zeros, self._conv2d(layer.channels, layer.kernel, **options)]

    def _conv2d(self, channels: int, kernel: int, **options: Any) -> Any:
        from keras import layers  # noqa: PLC0415

        return layers.Conv2D(
            channels, kernel, data_format=self._format, kernel_initializer="zeros", **options
        )


def _layers_of_tokens(placed: Placed) -> list[Any]:
    from keras import layers  # noqa: PLC0415

    from greenbench.backends import keras_layers as own  # noqa: PLC0415

    match placed.layer:
        case Flatten():
            return [layers.Flatten(data_format="channels_last")]
        case Linear(features):
            return [layers.Dense(features, kernel_initializer="zeros")]
        case LayerNorm(epsilon):
            return [layers.LayerNormalization(epsilon=epsilon)]
        case Embedding(vocabulary, features):
            return [layers.Embedding(vocabulary, features, embeddings_initializer="zeros")]
        case PositionEmbedding():
            return [own.PositionEmbedding()]
        case Attention(heads, causal):
            return [own.Attention(placed.shape_in[-1], heads, causal=causal)]
    return [layers.GlobalAveragePooling1D(data_format="channels_last")]


def _exact_gelu(values: Any) -> Any:
    from keras import ops  # noqa: PLC0415

    return ops.gelu(values, approximate=False)


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
