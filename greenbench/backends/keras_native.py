"""Native Keras networks: what they see, and what comes out of them."""

import re
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from greenbench.architectures.spec import Native
from greenbench.backends.checks import named
from greenbench.backends.keras_checks import build_network
from greenbench.errors import ArchitectureError

DATA_FORMAT = "channels_last"
"""Where native networks find the channels, on every engine: what Keras's own layers expect."""

_COLOURS = re.compile("\\x1b\\[[0-9;]*m")
# What keras.applications call the last layer of each of their networks.
_CLASSIFIER = re.compile(r"(^|_)(predictions|head_dense)$")
_ON_SHAPES = re.compile(r"shape|size|dimension|axis|axes|incompatible|channels|ndim", re.IGNORECASE)


def build_native(architecture: Native, seed: int, examples: NDArray[np.float32]) -> Any:
    """Return the model of a native architecture, built for our images.

    Seeds the global generators of Python, NumPy and the engine.

    Parameters
    ----------
    architecture : Native
        What to build.
    seed : int
        Of its initial weights.
    examples : ndarray, shape (n, height, width, channels)
        Some images.

    Raises
    ------
    ArchitectureError
        If it expects images of another layout.
    """
    import keras  # noqa: PLC0415

    keras.utils.set_random_seed(seed % 2**32)
    shape = examples.shape[1:]
    try:
        model = build_network(architecture)
        _check_inputs(architecture, model, shape)
        if not model.built:
            model(keras.ops.convert_to_tensor(examples[:1].copy()))
    except (ValueError, RuntimeError) as error:
        said = _said(error)
        if not _ON_SHAPES.search(said):
            raise
        # A layer does not fit, most often to an input of another layout.
        raise ArchitectureError(
            f"{named(architecture)} cannot be built ({said}){_advice(shape)}"
        ) from error
    for layer in _layers(model):
        _check_layer(architecture, layer, shape)
    return model


def gives_probabilities(model: Any) -> bool:
    """Return whether a model ends in the softmax that all of ``keras.applications`` have.

    Its loss must then be told so. Elsewhere a softmax is a mistake, which is refused.

    Parameters
    ----------
    model : keras.Model
        The model, built.
    """
    import keras  # noqa: PLC0415

    layers = list(_layers(model))
    if not layers or not _CLASSIFIER.search(layers[-1].name):
        return False
    return getattr(layers[-1], "activation", None) is keras.activations.softmax


def _layers(model: Any) -> Iterator[Any]:
    for layer in getattr(model, "layers", ()):
        yield layer
        yield from _layers(layer)


def _check_inputs(architecture: Native, model: Any, shape: tuple[int, ...]) -> None:
    inputs = getattr(model, "inputs", None) if model.built else None
    declared = [tuple(each.shape[1:]) for each in inputs or ()]
    if not declared or (len(declared) == 1 and _fits(declared[0], shape)):
        return
    shown = " and ".join(str(each) for each in declared)
    raise ArchitectureError(f"{named(architecture)} has the input {shown}{_advice(shape)}")


def _check_layer(architecture: Native, layer: Any, shape: tuple[int, ...]) -> None:
    """Refuse a layer that takes our rows for channels; where it flattens, no harm is done."""
    from keras import layers  # noqa: PLC0415

    is_first = getattr(layer, "data_format", None) == "channels_first"
    if not is_first or isinstance(layer, layers.Flatten):
        return
    seen = (layer.get_build_config() or {}).get("input_shape")
    if seen is not None and tuple(seen[1:]) == shape:
        raise ArchitectureError(
            f"{named(architecture)} has the layer {layer.name!r} with data_format="
            f"'channels_first'{_advice(shape)}"
        )


def _said(error: Exception) -> str:
    """Return what Keras says, without its colours and the arguments that it lists."""
    text, _, _ = _COLOURS.sub("", str(error)).partition("Arguments received by")
    return " ".join(text.split())


def _fits(declared: tuple[int | None, ...], shape: tuple[int, ...]) -> bool:
    if len(declared) != len(shape):
        return False
    return all(each in (None, given) for each, given in zip(declared, shape, strict=True))


def _advice(shape: tuple[int, ...]) -> str:
    return (
        f"; native keras networks see images as (height, width, channels), here {shape}: "
        "write `channels, height, width = image_shape` and `keras.Input((height, width, "
        "channels))`, and leave data_format out"
    )
