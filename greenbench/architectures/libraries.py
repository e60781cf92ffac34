"""Networks of torchvision, timm and keras.applications by name, without weights.

Each library is an architecture whose sizes are its networks: ``torchvision.resnet18``. Their names
are read from its source, so that looking one up does not import it.
"""

import importlib.util
import inspect
import math
import re
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from greenbench.architectures.base import family, native
from greenbench.errors import ArchitectureError, MissingPackageError

ImageShape = tuple[int, int, int]

SMALL = 64
"""Pixels of the shorter side below which a first convolution no longer halves the image."""

LEAST = 32
"""Pixels of a side that networks of keras.applications ask for, if they do not say otherwise."""

_REGISTERED = re.compile(r"@register_model\b.*\n(?:.*\n)*?def (\w+)")
_EXPORTED = re.compile(r"\b([A-Z]\w+) as \1\b")
_PARTS = re.compile(r"(?<=[a-z0-9])(?=V\d|B\d|Tiny|Small|Base|Large|XLarge|Mobile|[SML]$)")
# Poolings right behind the first convolution, as networks call them.
_POOLINGS = ("maxpool", "maxpool1", "features.pool0")


def torchvision_networks() -> Mapping[str, Mapping[str, str]]:
    """Return torchvision's classifiers, by the names that it gives them."""
    return _named(_found("torchvision", "models/*.py", _REGISTERED))


def timm_networks() -> Mapping[str, Mapping[str, str]]:
    """Return timm's networks, by the names that it gives them."""
    return _named(_found("timm", "models/*.py", _REGISTERED))


def keras_networks() -> Mapping[str, Mapping[str, str]]:
    """Return networks of keras.applications: MobileNetV2 is called ``mobilenet_v2``."""
    return _named(map(_snake, _found("keras", "applications/__init__.py", _EXPORTED)))


@native("torch")
@family(torchvision_networks)
def torchvision(image_shape: ImageShape, classes: int, *, network: str) -> Any:
    """Return a classifier of torchvision with random weights, adapted to the images.

    Parameters
    ----------
    image_shape : tuple of int
        Channels, height, width.
    classes : int
        Length of the output.
    network : str
        Its name in torchvision.

    Raises
    ------
    ArchitectureError
        If it does not take images of that size.
    """
    from torchvision.models import get_model  # noqa: PLC0415

    options: dict[str, Any] = {}
    if network.startswith("vit_"):
        options["image_size"] = image_shape[1]
    if network in ("googlenet", "inception_v3"):
        options = {"aux_logits": False, "init_weights": True}

    def build() -> Any:
        return get_model(network, weights=None, num_classes=classes, **options)

    return _adapted(f"torchvision.{network}", build, image_shape)


@native("torch")
@family(timm_networks)
def timm(image_shape: ImageShape, classes: int, *, network: str) -> Any:
    """Return a network of timm with random weights, adapted to the images.

    Parameters
    ----------
    image_shape : tuple of int
        Channels, height, width.
    classes : int
        Length of the output.
    network : str
        Its name in timm.

    Raises
    ------
    ArchitectureError
        If it does not take images of that size.
    """
    from timm import create_model  # noqa: PLC0415

    channels, *sides = image_shape

    def build() -> Any:
        options: dict[str, Any] = {
            "pretrained": False,
            "in_chans": channels,
            "num_classes": classes,
        }
        try:
            return create_model(network, img_size=tuple(sides), **options)
        except TypeError:
            # Only what has positions of patches must know the size.
            return create_model(network, **options)

    return _adapted(f"timm.{network}", build, image_shape)


@native("keras")
@family(keras_networks)
def keras(image_shape: ImageShape, classes: int, *, network: str) -> Any:
    """Return a network of keras.applications with random weights, adapted to the images.

    Images that are smaller than it takes are enlarged by a whole factor, each pixel to a square.

    Parameters
    ----------
    image_shape : tuple of int
        Channels, height, width.
    classes : int
        Length of the output.
    network : str
        Its name, as ``mobilenet_v2`` for MobileNetV2.
    """
    import keras as library  # noqa: PLC0415

    names = _found("keras", "applications/__init__.py", _EXPORTED)
    function = getattr(library.applications, next(n for n in names if _snake(n) == network))
    channels, height, width = image_shape
    model, factor = _enlarged(function, image_shape, classes)
    layers = library.layers
    before = [layers.UpSampling2D(factor)] if factor > 1 else []
    # Some expect pixels up to 255, and scale them down themselves.
    if any(isinstance(each, layers.Rescaling) for each in model.layers):
        before.append(layers.Rescaling(255.0))
    if not before:
        return model
    return library.Sequential([library.Input((height, width, channels)), *before, model])


def _enlarged(function: Callable[..., Any], image_shape: ImageShape, classes: int) -> Any:
    """Return a network, and the factor by which images become as large as it asks for."""
    channels, *sides = image_shape
    options: dict[str, Any] = {"weights": None, "classes": classes, "classifier_activation": None}
    if "include_preprocessing" in inspect.signature(function).parameters:
        options["include_preprocessing"] = False

    def build(least: int) -> Any:
        factor = math.ceil(least / min(sides))
        shape = (*(factor * side for side in sides), channels)
        return function(input_shape=shape, **options), factor

    try:
        return build(LEAST)
    except ValueError as error:
        # "Input size must be at least 75x75".
        if not (least := re.search(r"at least (\d+)x", str(error))):
            raise
        return build(int(least[1]))


def _adapted(name: str, build: Callable[[], Any], image_shape: ImageShape) -> Any:
    """Return a torch network for images of a shape, on which it has been tried."""
    import torch  # noqa: PLC0415

    try:
        model = build()
        _adapt_stem(model, image_shape[0], is_small=min(image_shape[1:]) < SMALL)
        with torch.no_grad():
            model.eval()(torch.zeros(2, *image_shape))
    except (RuntimeError, ValueError, AssertionError) as error:
        sizes = "×".join(map(str, image_shape))
        raise ArchitectureError(
            f"{name} does not take images of {sizes} ({error}); choose larger ones, or another "
            "network"
        ) from error
    return model.train()


def _adapt_stem(model: Any, channels: int, *, is_small: bool) -> None:
    """Give the first convolution the images' channels; keep small images as large as they are.

    As He et al. 2015 do for CIFAR, it has 3 × 3 pixels and no stride then, and no pooling follows.
    """
    from torch import nn  # noqa: PLC0415

    name, old = next((n, m) for n, m in model.named_modules() if isinstance(m, nn.Conv2d))
    kernel: Any = old.kernel_size
    stride: Any = old.stride
    padding: Any = old.padding
    # What cuts an image into patches is no such thing.
    halves = max(stride) > 1 and kernel != stride
    if is_small and halves:
        kernel, stride, padding = (3, 3), (1, 1), (1, 1)
        for pooling in _POOLINGS:
            _replace(model, pooling, nn.MaxPool2d, nn.Identity())
    elif channels == old.in_channels:
        return
    has_bias = old.bias is not None
    new = nn.Conv2d(channels, old.out_channels, kernel, stride, padding, bias=has_bias)
    nn.init.kaiming_normal_(new.weight, mode="fan_out", nonlinearity="relu")
    _replace(model, name, nn.Conv2d, new)


def _replace(model: Any, name: str, kind: type, new: Any) -> None:
    parent, _, attribute = name.rpartition(".")
    try:
        if not isinstance(model.get_submodule(name), kind):
            return
    except AttributeError:
        return
    setattr(model.get_submodule(parent), attribute, new)


@cache
def _found(package: str, files: str, pattern: re.Pattern[str]) -> tuple[str, ...]:
    """Return the names that a pattern finds in files of a package, which is not imported."""
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise MissingPackageError(f"architecture {package!r}", package, package)
    paths = sorted(Path(spec.origin).parent.glob(files))
    return tuple(
        name for path in paths for name in pattern.findall(path.read_text(encoding="utf-8"))
    )


def _snake(name: str) -> str:
    return _PARTS.sub("_", name).lower()


def _named(names: Any) -> Mapping[str, Mapping[str, str]]:
    return {name: {"network": name} for name in sorted(names)}
