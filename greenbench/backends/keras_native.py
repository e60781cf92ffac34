"""Native Keras networks: what they see, and what comes out of them."""

import re
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from greenbench.architectures.spec import Native
from greenbench.backends.process_state import random_numbers_of
from greenbench.errors import ArchitectureError

DATA_FORMAT = "channels_last"
"""Where native networks find the channels, on every engine: what Keras's own layers expect."""

EXAMPLES = 8
"""How many images tell whether a network gives probabilities."""

_COLOURS = re.compile("\\x1b\\[[0-9;]*m")
_ROUNDING = 0.02  # of bfloat16, in a sum over classes


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
        model = architecture.build()
        _check_inputs(architecture.name, model, shape)
        if not model.built:
            model(keras.ops.convert_to_tensor(examples[:1].copy()))
    except ValueError as error:
        # Keras found that a layer does not fit, most often to an input of another layout.
        raise ArchitectureError(
            f"architecture {architecture.name!r} cannot be built ({_said(error)}){_advice(shape)}"
        ) from error
    for layer in _layers(model):
        _check_layer(architecture.name, layer, shape)
    return model


def ends_in_softmax(model: Any, examples: NDArray[np.float32]) -> bool:
    """Return whether a model gives probabilities, as those of ``keras.applications`` do.

    Its loss must then be told so. Seen from what it gives, whichever layer, operation or code
    of its own makes them.

    Parameters
    ----------
    model : keras.Model
        The model, built.
    examples : ndarray, shape (n, height, width, channels)
        Some images.
    """
    from keras import ops  # noqa: PLC0415

    with random_numbers_of({}, goes_on=False):
        given = model(ops.convert_to_tensor(examples.copy()), training=False)
    outputs = ops.convert_to_numpy(ops.cast(given, "float32"))
    sums = outputs.sum(axis=-1)
    return bool((outputs >= 0).all() and (abs(sums - 1) < _ROUNDING).all())


def _layers(model: Any) -> Iterator[Any]:
    for layer in getattr(model, "layers", ()):
        yield layer
        yield from _layers(layer)


def _check_inputs(name: str, model: Any, shape: tuple[int, ...]) -> None:
    inputs = getattr(model, "inputs", None) if model.built else None
    declared = [tuple(each.shape[1:]) for each in inputs or ()]
    if not declared or (len(declared) == 1 and _fits(declared[0], shape)):
        return
    shown = " and ".join(str(each) for each in declared)
    raise ArchitectureError(f"architecture {name!r} has the input {shown}{_advice(shape)}")


def _check_layer(name: str, layer: Any, shape: tuple[int, ...]) -> None:
    """Refuse a layer that takes our rows for channels; where it flattens, no harm is done."""
    from keras import layers  # noqa: PLC0415

    is_first = getattr(layer, "data_format", None) == "channels_first"
    if not is_first or isinstance(layer, layers.Flatten):
        return
    seen = (layer.get_build_config() or {}).get("input_shape")
    if seen is not None and tuple(seen[1:]) == shape:
        raise ArchitectureError(
            f"architecture {name!r} has the layer {layer.name!r} with data_format="
            f"'channels_first'{_advice(shape)}"
        )


def _said(error: ValueError) -> str:
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
