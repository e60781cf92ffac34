"""Native Keras networks: what they see, and what comes out of them."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from greenbench.architectures.spec import Native
from greenbench.backends.checks import named
from greenbench.backends.keras_checks import build_network
from greenbench.backends.keras_data import each
from greenbench.errors import ArchitectureError

DATA_FORMAT = "channels_last"
"""Where native networks find the channels, on every engine: what Keras's own layers expect."""

IMAGE_AXES = 3

_COLOURS = re.compile("\\x1b\\[[0-9;]*m")
# What keras.applications call the last layer of each of their networks.
_CLASSIFIER = re.compile(r"(^|_)(predictions|head_dense)$")
_ON_SHAPES = re.compile(r"shape|size|dimension|axis|axes|incompatible|channels|ndim", re.IGNORECASE)


def build_native(architecture: Native, seed: int, examples: Any) -> Any:
    """Return the model of a native architecture, built for our inputs.

    Seeds the global generators of Python, NumPy and the engine.

    Parameters
    ----------
    architecture : Native
        What to build.
    seed : int
        Of its initial weights.
    examples : ndarray, shape (n, …), or mapping of str to such arrays
        Some inputs; images are of shape (n, height, width, channels).

    Raises
    ------
    ArchitectureError
        If it expects other inputs, or images of another layout.
    """
    import keras  # noqa: PLC0415

    keras.utils.set_random_seed(seed % 2**32)
    shape = each(lambda array: array.shape[1:], examples)
    try:
        model = build_network(architecture)
        _check_inputs(architecture, model, shape)
        if not model.built:
            model(each(lambda array: keras.ops.convert_to_tensor(array[:1].copy()), examples))
    except (ValueError, RuntimeError) as error:
        said = _said(error)
        if not _ON_SHAPES.search(said):
            raise
        # A layer does not fit, most often to an input of another layout.
        raise ArchitectureError(
            f"{named(architecture)} cannot be built ({said}){_advice(shape)}"
        ) from error
    for layer in layers_of(model):
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

    layers = list(layers_of(model))
    if not layers or not _CLASSIFIER.search(layers[-1].name):
        return False
    return getattr(layers[-1], "activation", None) is keras.activations.softmax


def layers_of(model: Any) -> Iterator[Any]:
    """Yield the layers of a model, with those inside of others."""
    for layer in getattr(model, "layers", ()):
        yield layer
        yield from layers_of(layer)


def _check_inputs(architecture: Native, model: Any, shape: Any) -> None:
    inputs = getattr(model, "inputs", None) if model.built else None
    declared = {one.name: tuple(one.shape[1:]) for one in inputs or ()}
    given = shape if isinstance(shape, Mapping) else dict.fromkeys(list(declared)[:1], shape)
    if not declared or (
        set(declared) == set(given) and all(_fits(declared[name], given[name]) for name in given)
    ):
        return
    if isinstance(shape, Mapping):
        shown = ", ".join(f"{name} {declared[name]}" for name in declared)
        raise ArchitectureError(f"{named(architecture)} has the inputs {shown}{_advice(shape)}")
    shown = " and ".join(str(one) for one in declared.values())
    raise ArchitectureError(f"{named(architecture)} has the input {shown}{_advice(shape)}")


def _check_layer(architecture: Native, layer: Any, shape: Any) -> None:
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
    return all(one in (None, given) for one, given in zip(declared, shape, strict=True))


def _advice(shape: Any) -> str:
    if isinstance(shape, Mapping):
        shown = ", ".join(f"{name} {one}" for name, one in shape.items())
        return f"; the data set has the inputs {shown}: name each keras.Input so"
    if len(shape) != IMAGE_AXES:
        return f"; the data set has inputs of shape {shape}: write `keras.Input(input_shape)`"
    return (
        f"; native keras networks see images as (height, width, channels), here {shape}: "
        "write `channels, height, width = image_shape` and `keras.Input((height, width, "
        "channels))`, and leave data_format out"
    )
