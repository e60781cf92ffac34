"""Augmentation: how training images are varied, each time that they are seen.

Here it is said and checked only. Backends vary the images, in training alone, with their own
framework's code: torchvision's transforms and keras' layers.
"""

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from greenbench.errors import DatasetError

if TYPE_CHECKING:
    from greenbench.datasets.base import Dataset

MOST_MAGNITUDE = 30
IMAGE_AXES = 3


@dataclass(frozen=True)
class Augmentation:
    """How each image of a batch is varied, anew at each step and in this order.

    The random numbers come from the seed of the model, so that a training can be repeated. Backends
    draw other numbers, from the same distributions.

    Attributes
    ----------
    crop : int
        Pixels of black that are put around an image, from which a part of its own size is cut at
        a random place: it moves by up to so many pixels. 0 leaves it where it is.
    flip : bool
        Whether an image is mirrored, left for right, with probability ½.
    randaugment : int
        Magnitude of RandAugment (Cubuk et al., 2019) with two operations an image, 1 to 30;
        0 is none. Keras' layer takes it as a share of 30.
    """

    crop: int = 0
    flip: bool = False
    randaugment: int = 0

    def __bool__(self) -> bool:
        return self != Augmentation()

    def check(self, who: str, shape: tuple[int, ...]) -> None:
        """Check that samples of a shape can be varied so.

        Parameters
        ----------
        who : str
            The data set, for messages.
        shape : tuple of int
            Of a sample.

        Raises
        ------
        DatasetError
            If an option is out of range, or the samples are no images.
        """
        if type(self.flip) is not bool:
            raise DatasetError(f"{who}: flip is {self.flip!r}; expected true or false")
        if not self and type(self.crop) is type(self.randaugment) is int:
            return
        if not isinstance(shape, tuple) or len(shape) != IMAGE_AXES:
            raise DatasetError(
                f"{who} has samples of shape {shape}, which are no images: crop, flip and "
                "randaugment vary images only; leave them out"
            )
        for name, most in (("crop", min(shape[1:])), ("randaugment", MOST_MAGNITUDE)):
            value = getattr(self, name)
            if type(value) is not int or not 0 <= value <= most:
                raise DatasetError(
                    f"{who}: {name} is {value!r}; expected a whole number from 0 to {most}"
                )
        if self.randaugment and shape[0] not in (1, 3):
            raise DatasetError(
                f"{who} has images of {shape[0]} channels; randaugment takes 1 or 3: leave it out"
            )


OPTIONS = tuple(inspect.signature(Augmentation).parameters)
"""Options of an image data set that change neither its images nor its splits."""


def augmented(load: Callable[..., "Dataset"]) -> Callable[..., "Dataset"]:
    """Give a loader of images the options ``crop``, ``flip`` and ``randaugment``; a decorator."""
    own = inspect.signature(load)
    defaults = inspect.signature(Augmentation).parameters.values()
    options = [each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in defaults]

    @functools.wraps(load)
    def loaded(*args: Any, **given: Any) -> "Dataset":
        augmentation = Augmentation(**{name: given.pop(name) for name in OPTIONS if name in given})
        dataset = load(*args, **given)
        augmentation.check(f"dataset {dataset.name!r}", dataset.input_shape)
        return replace(dataset, augmentation=augmentation or None)

    parameters = [*own.parameters.values(), *options]
    loaded.__signature__ = own.replace(parameters=parameters)  # type: ignore[attr-defined]
    return loaded
